"""Articles of the old layout: one tar.gz each, read in one pass, never unpacked to disk.

Belongs here: what a package may hold, its limits, which of its files is the article. Not here: the file lists
(`packages`), the XML's content (`jats/`).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from biomedica_assets.licences import normalise_code
from biomedica_assets.pmc.articles import (
    ArticleMetadata,
    BadPackageError,
    FetchError,
    ObjectReader,
    ObjectRef,
    Opened,
    OversizeError,
    Problem,
)
from biomedica_assets.pmc.file_list import FileListRow
from biomedica_assets.pmc.keys import UnsafeKeyError, safe_member
from biomedica_assets.pmc.prefetch import charge
from biomedica_assets.store.files import Files, InvalidPathError, check_path

_KEPT = re.compile(r"\.(jpe?g|png|gif|tiff?|webp|bmp)$", re.IGNORECASE)
_PADDING = 4 << 20  # no header, with all its extensions, is larger


class Location(NamedTuple):
    """Where a package lies, and what the file list says of it (null when it has no such column)."""

    path: str
    licence_code: str | None
    is_retracted: bool | None


def format_location(path: str, licence: str, retracted: str) -> str:
    """A file-list row's location: the path, and what else the list says as a query ('' is left out)."""
    facts = [(key, value) for key, value in (("license", licence), ("retracted", retracted)) if value]
    return f"{path}?{urlencode(facts)}" if facts else path


def parse_location(location: str) -> Location:
    """The parts of a file-list row's location.

    >>> parse_location("oa_package/08/e0/PMC13900.tar.gz?license=CC+BY&retracted=no")
    Location(path='oa_package/08/e0/PMC13900.tar.gz', licence_code='CC BY', is_retracted=False)
    """
    path, _, query = location.partition("?")
    facts = dict(parse_qsl(query))
    retracted = facts.get("retracted")
    is_retracted = None if retracted is None else retracted.strip().lower() in ("yes", "true", "1")
    return Location(path, normalise_code(facts.get("license")), is_retracted)


@dataclass(frozen=True)
class PackageLimits:
    """What a package may cost: members, bytes of all of them unpacked, bytes held in memory (XML and images each)."""

    members: int = 20_000
    unpacked_bytes: int = 16 << 30
    held_bytes: int = 1 << 30


@dataclass
class _Package:
    held_bytes: int
    max_object_bytes: int | None
    members: dict[str, bytes | FetchError] = field(default_factory=dict)  # kept ones, and why others were not
    media: list[ObjectRef] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)  # candidates for the article's XML
    problems: list[Problem] = field(default_factory=list)
    names: set[str] = field(default_factory=set)  # of all members read, without the package's folder
    _held: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    def has_room(self, size: int, is_text: bool) -> bool:
        """Whether a member of this size may be held; if so it counts. Images never take the room of the XML."""
        if self.max_object_bytes is not None and size > self.max_object_bytes:
            return False
        fits = self._held[is_text] + size <= self.held_bytes
        self._held[is_text] += size if fits else 0
        return fits


class PackageArticles:
    """Articles of a mirror of packages (see `Articles` for the methods).

    The list says that they are open access; licence and retraction are the list's, all else is in the XML. Media
    MD5s are those of the bytes read. Only images are held; other members are listed with their MD5.
    """

    def __init__(
        self,
        files: Files,
        *,
        max_object_bytes: int | None = None,
        forbidden_limit: int = 5,
        limits: PackageLimits | None = None,
    ) -> None:
        self._files, self._reader = files, ObjectReader(files, forbidden_limit)
        self._max_object_bytes = max_object_bytes
        self._limits = limits or PackageLimits()
        self.traffic = files.traffic

    def open(self, row: FileListRow) -> Opened:
        location = parse_location(row.location or "")
        package, xml = _Package(0, 0), ObjectRef(location.path, "", None)
        if not location.is_retracted:  # else nothing of it is wanted
            package = self._read(location.path, row.pmcid)
            xml = _choose_xml(location.path, package, row.pmcid)
            package.members[xml.key] = package.texts[xml.key]
        metadata = ArticleMetadata(
            row.listed_id,
            row.pmcid,
            row.version,
            xml=xml,
            media=tuple(package.media),
            problems=tuple(package.problems),
            is_open_access=True,
            is_retracted=location.is_retracted,
            licence_code=location.licence_code,
        )
        return Opened(None, row.etag, metadata, package.members)

    def xml(self, opened: Opened) -> bytes:
        key = opened.metadata.xml.key
        data = (opened.members or {}).get(key)
        if not isinstance(data, bytes):
            raise data or BadPackageError(key, "was not read")
        return data

    def media(self, opened: Opened, references: Iterable[ObjectRef]) -> Iterator[tuple[ObjectRef, bytes | FetchError]]:
        members = opened.members or {}
        for reference in references:
            yield reference, members.get(reference.key) or FetchError(reference.key, "not an image: not held")

    def _read(self, path: str, pmcid: int) -> _Package:
        try:
            blocks = self._files.stream(check_path(path))
            package = _unpack(path, pmcid, blocks, self._limits, self._max_object_bytes)
        except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, InvalidPathError) as error:
            raise BadPackageError(path, f"{type(error).__name__}: {error}") from error
        except OSError as error:
            raise self._reader.translated(path, error) from error
        self._reader.answered()
        return package


def _unpack(
    path: str, pmcid: int, blocks: Iterator[bytes], limits: PackageLimits, max_object_bytes: int | None
) -> _Package:
    package, unpacked, count = _Package(limits.held_bytes, max_object_bytes), 0, 0
    unzipped = _Bounded(gzip.GzipFile(fileobj=io.BufferedReader(_Blocks(blocks), 1 << 16)), path)
    unzipped.allow(_PADDING)
    with tarfile.open(fileobj=unzipped, mode="r|") as archive:  # type: ignore[call-overload]
        while (member := archive.next()) is not None:
            unzipped.allow(None)
            archive.members = []  # or the archive remembers every member
            count, unpacked = count + 1, unpacked + member.size
            if count > limits.members or unpacked > limits.unpacked_bytes:
                raise BadPackageError(path, f"over {limits.members} members or {limits.unpacked_bytes} bytes")
            if not member.isdir():
                _take(archive, member, pmcid, package)
            unzipped.allow(_PADDING)
    while unzipped.read(1 << 16):  # to the end of the stream, where the checksum is
        pass
    return package


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, pmcid: int, package: _Package) -> None:
    """Read one member through, and keep it if it is the article's XML or an image."""
    try:
        name = _safe_name(member.name, pmcid)
    except UnsafeKeyError as error:
        package.problems.append(Problem(member.name[:200], str(error)))
        return
    source = archive.extractfile(member) if member.isfile() else None
    if source is None or name in package.names:
        why = "not a regular file" if source is None else "a second member of this name"
        package.problems.append(Problem(member.name[:200], why))
        return
    package.names.add(name)
    is_text = name.lower().endswith((".nxml", ".xml"))
    wanted = is_text or _KEPT.search(name) is not None
    kept: list[bytes] | None = [] if wanted and package.has_room(member.size, is_text) else None
    digest = hashlib.md5()
    while block := source.read(1 << 20):
        digest.update(block)
        if kept is not None:
            kept.append(block)
    if not is_text:
        package.media.append(ObjectRef(member.name, name, digest.hexdigest()))
    if kept is not None:
        charge(member.size)
        (package.texts if is_text else package.members)[member.name] = b"".join(kept)
    elif wanted:
        package.members[member.name] = OversizeError(member.name, f"{member.size} bytes are more than the limit")


def _safe_name(member: str, pmcid: int) -> str:
    """Name within the article: the member's without the package's folder. Raises UnsafeKeyError."""
    folder = f"PMC{pmcid}"
    name = member.removeprefix("./").removeprefix(f"{folder}/")
    return safe_member(folder, f"{folder}/{name}")


def _choose_xml(path: str, package: _Package, pmcid: int) -> ObjectRef:
    """The article among a package's XML files: .nxml before .xml; of several the one with the package's PMCID."""
    texts = package.texts
    names = sorted(n for n in texts if n.lower().endswith(".nxml")) or sorted(texts)
    if not names:
        too_large = (m for n, m in package.members.items() if n.lower().endswith("xml") and isinstance(m, FetchError))
        raise next(too_large, None) or BadPackageError(path, "holds no XML")
    own = re.compile(rb"""pub-id-type\s*=\s*["'](?:pmc|pmcid)["'][^>]*>\s*(?:PMC)?%d\s*<""" % pmcid)
    name = next((n for n in names if own.search(texts[n])), names[0])
    return ObjectRef(name, _safe_name(name, pmcid), hashlib.md5(texts[name]).hexdigest())


class _Blocks(io.RawIOBase):
    """An iterator of blocks as a raw stream."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


class _Bounded:
    """A stream that gives only so many bytes between two members: extended headers are read whole, into memory."""

    def __init__(self, stream: gzip.GzipFile, path: str) -> None:
        self._stream, self._path = stream, path
        self._left: int | None = None

    def allow(self, size: int | None) -> None:
        self._left = size

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise BadPackageError(self._path, f"a member header of over {_PADDING} bytes")
        return data
