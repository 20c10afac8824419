"""Names in PMC's bucket: article ids, metadata keys, object URLs, and which names are safe to use.

Here belongs every rule about the spelling of keys (https://pmc-oa-opendata.s3.amazonaws.com/README.txt; an article
version owns the prefix ``PMC<id>.<version>/``). Not here: reading objects, or matching the hrefs of the XML to them.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

BUCKET = "pmc-oa-opendata"
"""The bucket of the live service; a packed release may name another one."""

ARTICLE_ID = re.compile(r"^PMC\d+\.\d+$", re.ASCII)
METADATA_KEY = re.compile(r"^metadata/(PMC\d+)\.(\d+)\.json$", re.ASCII)

PRIVATE_FIRST, PRIVATE_LAST = 9 * 10**11, 10**12 - 1
"""Range of the numbers given to articles that have no PMCID: PMC900000000000 to PMC999999999999 (a 9, eleven digits).

PMC's own numbers had 8 digits in 2026, so the ranges do not meet.
"""

_MAX_KEY_BYTES = 1024  # limit of S3 for a key


class InvalidArticleIdError(ValueError):
    """The text is not an article version such as PMC11370360.1."""


class InvalidObjectUrlError(ValueError):
    """The text is not an object URL such as s3://bucket/key?md5=<32 hex digits>."""


class UnsafeKeyError(ValueError):
    """The key lies outside the article's prefix, or its name must not be used as a file name."""


class ObjectUrl(NamedTuple):
    """Bucket, key as written, and MD5 (32 lower-case hex digits; null when the URL states none)."""

    bucket: str
    key: str
    md5: str | None


def parse_article_id(article_id: str) -> tuple[int, int]:
    """Number of the PMCID, and version.

    Raises:
        InvalidArticleIdError: it does not match `ARTICLE_ID`.

    >>> parse_article_id("PMC11370360.2")
    (11370360, 2)
    """
    if not ARTICLE_ID.fullmatch(article_id):
        raise InvalidArticleIdError(f"not an article version: {article_id!r}")
    number, version = article_id[3:].split(".")
    if len(number) > 18 or len(version) > 9:  # larger ones fit no int64 column, and none can be real
        raise InvalidArticleIdError(f"number too large: {article_id[:60]!r}")
    return int(number), int(version)


def format_article_id(pmcid: int, version: int) -> str:
    """Article version: ``format_article_id(11370360, 2)`` is ``"PMC11370360.2"``."""
    return f"PMC{pmcid}.{version}"


def is_private(pmcid: int) -> bool:
    """True for a number that stands for an article without a PMCID (see `PRIVATE_FIRST`)."""
    return PRIVATE_FIRST <= pmcid <= PRIVATE_LAST


def metadata_key(article_id: str) -> str:
    """Key of the metadata JSON that the inventory lists."""
    return f"metadata/{article_id}.json"


def xml_key(article_id: str) -> str:
    """Key of the XML of an article version."""
    return f"{article_id}/{article_id}.xml"


def parse_metadata_key(key: str) -> tuple[int, int] | None:
    """Number of the PMCID and version of an inventory key; null for any other key (they are skipped and counted)."""
    match = METADATA_KEY.fullmatch(key)
    if not match:
        return None
    try:
        return parse_article_id(f"{match[1]}.{match[2]}")
    except InvalidArticleIdError:
        return None


_MD5_QUERY = re.compile(r"\?(?:[^?]*&)?md5=([^?&]*)(?:&[^?]*)?$")
_MD5 = re.compile(r"[0-9a-f]{32}")


def parse_object_url(url: str) -> ObjectUrl:
    """Bucket, key and MD5 of an entry of the metadata JSON.

    The key is returned as written: whether PMC percent-encodes keys is not documented, so a reader tries the
    `spellings` in turn. A ``?`` or ``#`` belongs to the key unless it starts the ``?md5=`` at the end.

    Raises:
        InvalidObjectUrlError: not an s3 URL with bucket and key, or the md5 is not 32 hex digits.

    >>> parse_object_url("s3://pmc-oa-opendata/PMC1.1/fx1.jpg?md5=7E7E95A91DEDF32760EDA1032D632D24").md5
    '7e7e95a91dedf32760eda1032d632d24'
    """
    scheme, _, rest = url.strip().partition("://")
    md5 = None
    if query := _MD5_QUERY.search(rest):
        md5 = query[1].lower()
        if not _MD5.fullmatch(md5):
            raise InvalidObjectUrlError(f"md5 is not 32 hex digits: {url[:200]!r}")
        rest = rest[: query.start()]
    bucket, _, key = rest.partition("/")
    if scheme.lower() != "s3" or not bucket or not key:
        raise InvalidObjectUrlError(f"not s3://bucket/key: {url[:200]!r}")
    return ObjectUrl(bucket, key, md5)


def format_object_url(bucket: str, key: str, md5: str) -> str:
    """Entry of the metadata JSON, the key not encoded (as in every example seen of the live service)."""
    return f"s3://{bucket}/{key}?md5={md5}"


def spellings(key: str) -> tuple[str, ...]:
    """The key as written, then percent-decoded when that differs: the order in which to ask for it."""
    decoded = unquote(key, errors="replace")
    return (key,) if decoded == key else (key, decoded)


def safe_member(article_id: str, key: str) -> str:
    """Name of a media object within its article version: what follows ``V/`` in the key.

    Checked as written and percent-decoded, because either spelling may end up as a file name.

    Raises:
        UnsafeKeyError: the key does not start with ``V/``, or the name has a backslash, a drive letter, an empty,
            ``.`` or ``..`` part, a control character, a lone surrogate, or more than 1024 bytes.

    >>> safe_member("PMC1.1", "PMC1.1/x-g001.jpg")
    'x-g001.jpg'
    """
    if not key.startswith(f"{article_id}/"):
        raise UnsafeKeyError(f"not below {article_id}/: {key[:200]!r}")
    for spelling in spellings(key):
        problem = _problem(spelling)
        if problem:
            raise UnsafeKeyError(f"{problem}: {key[:200]!r}")
    return key[len(article_id) + 1 :]


def _problem(key: str) -> str | None:
    try:
        if len(key.encode()) > _MAX_KEY_BYTES:
            return f"key of over {_MAX_KEY_BYTES} bytes"
    except UnicodeEncodeError:
        return "key is not text"
    if "\\" in key:
        return "backslash in key"
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in key):
        return "control character in key"
    for part in key.split("/"):
        if part.strip() in {"", ".", ".."}:
            return "empty or dotted part in key"
        if re.match(r"[A-Za-z]:", part):
            return "drive letter in key"
    return None
