"""One article version's objects, the same way for both layouts: metadata, XML, media, all verified.

Belongs here: parsing the metadata JSON (its fields: https://pmc-oa-opendata.s3.amazonaws.com/README.txt), the gates,
fetching with checksums, and the one restart that stale answers need. Not here: which versions to fetch (`file_list`),
what the XML says (`jats/`), several articles at a time (`prefetch`).
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from biomedica_assets.licences import normalise_code
from biomedica_assets.pmc.file_list import FileListRow
from biomedica_assets.pmc.keys import (
    InvalidObjectUrlError,
    UnsafeKeyError,
    metadata_key,
    parse_object_url,
    safe_member,
    spellings,
    xml_key,
)
from biomedica_assets.pmc.prefetch import charge
from biomedica_assets.pmc.releases import SourceUnusableError
from biomedica_assets.store.files import Fetched, Files, TooLargeError, Traffic, TransientIOError

MAX_JSON_BYTES = 16 << 20
_S3_ETAG = re.compile(r"[0-9a-f]{32}(-\d+)?")


class FetchError(Exception):
    """An object of an article that could not be had; a row of `failures`.

    Attributes:
        object: key or member that the problem is about.
        stage: fetch, verify or list.
        transient: another try may succeed.
    """

    stage = "fetch"
    transient = False

    def __init__(self, object: str, message: str) -> None:
        super().__init__(object, message)
        self.object, self.message = object, message

    def __str__(self) -> str:
        return f"{self.object}: {self.message}"

    @property
    def problem(self) -> str:
        """Class of the problem as `failures` names it, e.g. ChecksumMismatch."""
        return type(self).__name__.removesuffix("Error")


class AbsentError(FetchError):
    """Listed but not there (404): the normal lag of an inventory, not a failure of the version."""


class ForbiddenError(FetchError):
    """403 for one object. To be taken like 404, but see `SourceUnusableError`."""


class ChecksumMismatchError(FetchError):
    """The bytes do not have the MD5 that the metadata states, also after the metadata were read again."""

    stage = "verify"
    transient = True  # the object may be changing under us; the next release tells


class OversizeError(FetchError):
    """Larger than the limit; not read."""


class BadMetadataError(FetchError):
    """Metadata that name no usable article: not JSON, another article's, no XML of this version."""

    stage = "verify"


class BadPackageError(FetchError):
    """A package that is not a readable tar.gz, holds no XML, or passes the limits."""

    stage = "verify"


class UnavailableError(FetchError):
    """The source did not answer in time or answered with errors, also after retries."""

    transient = True


class ObjectRef(NamedTuple):
    """An object of an article: its key, its name within the version, its MD5 (null when not stated)."""

    key: str
    name: str
    md5: str | None


class Problem(NamedTuple):
    """An entry of the metadata that cannot be used: as written, and why."""

    entry: str
    message: str


@dataclass(frozen=True)
class ArticleMetadata:
    """What PMC says of an article version besides its XML. Null means not stated."""

    article_id: str
    pmcid: int
    version: int
    xml: ObjectRef
    media: tuple[ObjectRef, ...] = ()
    problems: tuple[Problem, ...] = ()
    pmid: int | None = None
    doi: str | None = None
    mid: str | None = None
    title: str | None = None
    citation: str | None = None
    is_open_access: bool | None = None
    is_manuscript: bool | None = None
    is_historical_ocr: bool | None = None
    is_retracted: bool | None = None
    licence_code: str | None = None


def parse_metadata(data: bytes, article_id: str, pmcid: int, version: int) -> ArticleMetadata:
    """The metadata JSON of an article version.

    Tolerant of missing keys and of other spellings of booleans. Media entries that cannot be used are kept as
    ``problems``. An XML entry without MD5, or none at all, stands for the key that every version has.

    Raises:
        BadMetadataError: not a JSON object, about another version, or its XML lies outside the version's prefix.
    """
    key = metadata_key(article_id)
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadMetadataError(key, f"not JSON: {error}") from error
    if not isinstance(record, dict):
        raise BadMetadataError(key, "not a JSON object")
    stated = (str(record.get("pmcid", f"PMC{pmcid}")), str(record.get("version", version)))
    if stated != (f"PMC{pmcid}", str(version)):
        raise BadMetadataError(key, f"is about {stated[0]}.{stated[1]}")
    try:
        flags = {name: _boolean(record.get(name)) for name in _FLAGS}
        xml = _reference(record["xml_url"], article_id) if record.get("xml_url") else None
    except (ValueError, TypeError) as error:
        raise BadMetadataError(key, str(error)) from error
    media, problems = _media(record.get("media_urls"), article_id)
    pmid = str(record.get("pmid") or "")
    return ArticleMetadata(
        article_id,
        pmcid,
        version,
        xml=xml or ObjectRef(xml_key(article_id), f"{article_id}.xml", None),
        media=media,
        problems=problems,
        pmid=int(pmid) if pmid.isascii() and pmid.isdigit() and len(pmid) < 19 else None,
        doi=_text(record.get("doi")),
        mid=_text(record.get("mid")),
        title=_text(record.get("title")),
        citation=_text(record.get("citation")),
        is_open_access=flags["is_pmc_openaccess"],
        is_manuscript=flags["is_manuscript"],
        is_historical_ocr=flags["is_historical_ocr"],
        is_retracted=flags["is_retracted"],
        licence_code=normalise_code(_text(record.get("license_code"))),
    )


_FLAGS = ("is_pmc_openaccess", "is_manuscript", "is_historical_ocr", "is_retracted")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": None, "none": None}


def _boolean(value: object) -> bool | None:
    """JSON true, "true", "yes" and 1 alike; null stays null. Raises ValueError for anything else."""
    try:
        return _BOOLEANS[str("" if value is None else value).strip().lower()]
    except KeyError:
        raise ValueError(f"not a boolean: {value!r:.100}") from None


def _text(value: object) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None


def _reference(url: object, article_id: str) -> ObjectRef:
    """Raises ValueError (InvalidObjectUrlError, UnsafeKeyError) or TypeError."""
    if not isinstance(url, str):
        raise TypeError(f"not a URL: {url!r:.100}")
    parsed = parse_object_url(url)
    return ObjectRef(parsed.key, safe_member(article_id, parsed.key), parsed.md5)


def _media(urls: object, article_id: str) -> tuple[tuple[ObjectRef, ...], tuple[Problem, ...]]:
    if urls is None:
        return (), ()
    if not isinstance(urls, list):
        return (), (Problem(f"{urls!r:.200}", "media_urls is not a list"),)
    media: dict[str, ObjectRef] = {}
    problems = []
    for url in urls:
        try:
            reference = _reference(url, article_id)
        except (InvalidObjectUrlError, UnsafeKeyError, TypeError) as error:
            problems.append(Problem(f"{url!s:.200}", str(error)))
        else:
            media.setdefault(reference.key, reference)
    return tuple(media.values()), tuple(problems)


def gate(metadata: ArticleMetadata, *, historical_ocr: bool) -> str | None:
    """Why a version must not be collected, or null: retracted, tdm, not_open_access, historical_ocr.

    Retraction comes first: it decides what becomes of the PMCID's other versions too.
    """
    if metadata.is_retracted:
        return "retracted"
    if metadata.licence_code == "TDM":
        return "tdm"
    if not metadata.is_open_access:
        return "not_open_access"
    if metadata.is_historical_ocr and not historical_ocr:
        return "historical_ocr"
    return None


class Opened(NamedTuple):
    """A version's metadata: bytes as served (null in the package layout), change token, parsed."""

    data: bytes | None
    etag: str | None
    metadata: ArticleMetadata
    members: Mapping[str, bytes | FetchError] | None = None  # package layout: what the package held, by key


class Articles(Protocol):
    """Reader of article versions. Safe to use from many threads; methods may raise any `FetchError`."""

    traffic: Traffic

    def open(self, row: FileListRow) -> Opened:
        """Metadata of a listed version. Raises `AbsentError` when it is gone."""

    def xml(self, opened: Opened) -> bytes:
        """The XML, its MD5 checked."""

    def media(self, opened: Opened, references: Iterable[ObjectRef]) -> Iterator[tuple[ObjectRef, bytes | FetchError]]:
        """The media asked for, in that order, MD5 checked; a `FetchError` in place of bytes that cannot be had."""


class CloudArticles:
    """Articles of a bucket in the cloud layout (see `Articles`).

    The change token is the ETag where the server gives S3's kind, else the MD5 of the bytes, which S3 uses for
    objects as small as these: a local mirror and the bucket give the same token.

    Args:
        max_object_bytes: larger objects are not read (`OversizeError`).
        forbidden_limit: so many 403s with no answer in between raise `SourceUnusableError`.
    """

    def __init__(self, files: Files, *, max_object_bytes: int | None = None, forbidden_limit: int = 5) -> None:
        self._reader = ObjectReader(files, forbidden_limit)
        self._max_object_bytes = max_object_bytes
        self.traffic = files.traffic

    def open(self, row: FileListRow) -> Opened:
        fetched = self._reader.fetch(metadata_key(row.listed_id), MAX_JSON_BYTES)
        etag = fetched.etag if fetched.etag and _S3_ETAG.fullmatch(fetched.etag) else _md5(fetched.data)
        return Opened(fetched.data, etag, parse_metadata(fetched.data, row.listed_id, row.pmcid, row.version))

    def xml(self, opened: Opened) -> bytes:
        return self._verified(opened.metadata.xml)

    def media(self, opened: Opened, references: Iterable[ObjectRef]) -> Iterator[tuple[ObjectRef, bytes | FetchError]]:
        for reference in references:
            try:
                yield reference, self._verified(reference)
            except FetchError as error:
                yield reference, error

    def _verified(self, reference: ObjectRef) -> bytes:
        data = self._reader.fetch(reference.key, self._max_object_bytes).data
        if reference.md5 is not None and (found := _md5(data)) != reference.md5:
            raise ChecksumMismatchError(reference.key, f"MD5 is {found}, the metadata state {reference.md5}")
        return data


class ObjectReader:
    """Objects by key with the errors of this module; counts 403s in a row."""

    def __init__(self, files: Files, forbidden_limit: int) -> None:
        self._files, self._limit = files, forbidden_limit
        self._forbidden, self._lock = 0, threading.Lock()

    def fetch(self, key: str, max_bytes: int | None) -> Fetched:
        """The object, by the first spelling of its key that is there. Its bytes count towards the prefetch budget."""
        for spelling in spellings(key):
            try:
                fetched = self._files.fetch(spelling, max_bytes=max_bytes)
            except FileNotFoundError as error:
                self.answered()
                missing = error
            except OSError as error:
                raise self.translated(key, error) from error
            else:
                self.answered()
                charge(len(fetched.data))
                return fetched
        raise AbsentError(key, "not there") from missing

    def answered(self) -> None:
        """The source gave a proper answer: earlier 403s were about single objects."""
        self._forbidden = 0

    def translated(self, key: str, error: OSError) -> FetchError | SourceUnusableError:
        """The error of this module for one of the store's."""
        if isinstance(error, PermissionError):
            with self._lock:
                self._forbidden += 1
                if self._forbidden >= self._limit:
                    return SourceUnusableError(f"{self._forbidden} times 403 in a row, last for {key}")
            return ForbiddenError(key, str(error))
        self.answered()
        if isinstance(error, TooLargeError):
            return OversizeError(key, str(error))
        if isinstance(error, FileNotFoundError):
            return AbsentError(key, "not there")
        if isinstance(error, TransientIOError | TimeoutError | ConnectionError):
            return UnavailableError(key, str(error))
        return FetchError(key, str(error))


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@dataclass
class CollectedArticle:
    """What `collect` brought home.

    Attributes:
        gated: why the version is not collected (`xml` is then null), or null.
        media: by key; a `FetchError` where the bytes could not be had.
        restarted: true when the objects were found changed and the metadata read again.
    """

    opened: Opened
    gated: str | None = None
    xml: bytes | None = None
    media: dict[str, bytes | FetchError] = field(default_factory=dict)
    restarted: bool = False


def collect(
    articles: Articles,
    row: FileListRow,
    want: Callable[[ArticleMetadata, bytes], Sequence[ObjectRef]],
    *,
    gated: Callable[[ArticleMetadata], str | None],
) -> CollectedArticle:
    """All that is wanted of one version, restarted once when its objects change meanwhile.

    An object that is missing or has another MD5 than stated means that the metadata are stale: they are read once
    more and the article is done again (objects already verified are kept). What is still wrong then is an error.

    Args:
        want: media to fetch, given metadata and XML; called again after a restart.
        gated: why not to collect the version, or null; nothing more is fetched then.

    Raises:
        AbsentError: the version is not there (any more).
        FetchError: metadata or XML cannot be had.
        SourceUnusableError: the run must stop.
    """
    verified: dict[tuple[str, str | None], bytes] = {}
    try:
        return _attempt(articles, row, want, gated, verified, final=False)
    except (ChecksumMismatchError, AbsentError) as error:
        if isinstance(error, AbsentError) and error.object == metadata_key(row.listed_id):
            raise
        again = _attempt(articles, row, want, gated, verified, final=True)
        again.restarted = True
        return again


def _attempt(
    articles: Articles,
    row: FileListRow,
    want: Callable[[ArticleMetadata, bytes], Sequence[ObjectRef]],
    gated: Callable[[ArticleMetadata], str | None],
    verified: dict[tuple[str, str | None], bytes],
    *,
    final: bool,
) -> CollectedArticle:
    opened = articles.open(row)
    collected = CollectedArticle(opened, gated(opened.metadata))
    if collected.gated:
        return collected
    xml = opened.metadata.xml
    collected.xml = verified.get((xml.key, xml.md5)) if xml.md5 else None
    if collected.xml is None:
        collected.xml = verified[xml.key, xml.md5] = articles.xml(opened)
    references = want(opened.metadata, collected.xml)
    held = {r.key: verified[r.key, r.md5] for r in references if r.md5 and (r.key, r.md5) in verified}
    collected.media.update(held)
    for reference, result in articles.media(opened, [r for r in references if r.key not in held]):
        if isinstance(result, bytes):
            verified[reference.key, reference.md5] = result
        elif isinstance(result, ChecksumMismatchError | AbsentError) and not final:
            raise result
        collected.media[reference.key] = result
    return collected
