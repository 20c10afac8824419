"""Releases in PMC's old layout: a file list and one ``oa_package/xx/yy/PMC<id>.tar.gz`` per article.

PMC stopped serving it in August 2026; mirrors and private collections keep it. Belongs here: the variants of the
file list, and its rows as a `Listing`. Not here: reading the packages (`articles`).

One version per article: the list knows no versions, so every row is ``PMC<id>.1``; the version proper is in the XML.
A row's change token is ``<path>@<last updated>``; its location is the path with what else the list says of the
article as a query: ``oa_package/08/e0/PMC13900.tar.gz?license=CC+BY&retracted=no`` (see `package_articles`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets.pmc.articles import Articles
from biomedica_assets.pmc.package_articles import PackageArticles, format_location
from biomedica_assets.pmc.releases import Listing, ListingError, Release, scratch_folder
from biomedica_assets.store.duck import sql_text
from biomedica_assets.store.files import Files, Traffic

_ALL = ("oa_file_list.csv", "oa_file_list.txt")
_PARTS = tuple(
    f"{stem}.{ending}"
    for ending in ("csv", "txt")
    for stem in ("oa_comm_use_file_list", "oa_non_comm_use_file_list", "oa_noncomm_use_file_list", "oa_other_file_list")
)
_PATH = re.compile(r"\S*\.tar\.gz")
_PMCID = re.compile(r"(?:PMC)?([1-9]\d{0,11})", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_BATCH = 100_000
_COLUMNS = {"articlefile": "file", "lastupdatedutc": "lastupdated", "licence": "license", "pmcid": "accessionid"}
_SEEN: dict[tuple[str, ...], tuple[str, str]] = {}  # date and MD5 by the lists' state
_SCHEMA = pa.schema([(n, pa.string()) for n in ("pmcid", "version", "etag", "last_modified", "location")])


class PackageSource:
    """The one release that a mirror of packages holds (see `ReleaseSource`)."""

    layout = "packages"

    def __init__(self, files: Files) -> None:
        self.files = files
        self._lists: list[str] | None = None

    @property
    def lists(self) -> list[str]:
        """File lists to read: the one of everything, else those of its parts (csv before txt)."""
        if self._lists is None:
            self._lists = next(([name] for name in _ALL if self._has(name)), None)
        if self._lists is None:
            parts = [name for name in _PARTS if self._has(name)]
            self._lists = [n for n in parts if n.endswith(".csv") or n.replace(".txt", ".csv") not in parts]
        return self._lists

    def _has(self, name: str) -> bool:
        try:
            return self.files.exists(name)
        except PermissionError:  # a bucket that may not be listed says 403 for missing objects
            return False

    @property
    def traffic(self) -> Traffic:
        return self.files.traffic

    @property
    def identity(self) -> str:
        return f"packages:{self.files.url}"

    def latest(self) -> Release | None:
        """The release that the lists make together, named by the newest date in them.

        Raises:
            ListingError: a list states no date at all, or has no usable header.
        """
        if not self.lists:
            return None
        # sensors ask every minute: a list of a gigabyte is read again only when it is another file
        state = (self.files.url, *(f"{name} {self.files.stamp(name)}" for name in self.lists))
        if state not in _SEEN:
            digest, newest = hashlib.md5(), ""
            for name in self.lists:
                newest = max(chain([newest], (row.updated for row in _rows(name, self._lines(name, digest)))))
            _SEEN[state] = (newest[:10], digest.hexdigest())
        name, checksum = _SEEN[state]
        if not _DATE.fullmatch(name):
            raise ListingError(f"{', '.join(self.lists)}: no date to name the release by")
        return Release(name, self.layout, checksum, "+".join(self.lists))

    def releases(self) -> list[Release]:
        latest = self.latest()
        return [latest] if latest else []

    def listing(self, release: Release, scratch: str | Path | None = None) -> Listing:
        folder = scratch_folder(scratch)
        path, digest = folder / "listing.parquet", hashlib.md5()
        listing = Listing(release, f"SELECT * FROM read_parquet({sql_text(str(path))})", folder)
        try:
            rows = chain.from_iterable(_rows(name, self._lines(name, digest)) for name in release.path.split("+"))
            _write(path, rows)
            if digest.hexdigest() != release.checksum:
                raise ListingError(f"{release.path} changed since it was found: its MD5 is not {release.checksum}")
        except BaseException:
            listing.__exit__()
            raise
        return listing

    def articles(self, *, max_object_bytes: int | None = None, forbidden_limit: int = 5) -> Articles:
        return PackageArticles(self.files, max_object_bytes=max_object_bytes, forbidden_limit=forbidden_limit)

    def _lines(self, name: str, digest: hashlib._Hash) -> Iterator[str]:
        """Lines of a list with their ends (a quoted citation may hold some); its bytes go into the digest."""
        rest = b""
        for block in self.files.stream(name):
            digest.update(block)
            head, end, rest = (rest + block).rpartition(b"\n")
            yield from io.StringIO((head + end).decode("utf-8", "replace"))
        if rest:
            yield rest.decode("utf-8", "replace")


class _ListRow(NamedTuple):
    """One line of a list: texts as written; '' when there is none. ``path`` is '' for a dated first line."""

    path: str
    accession: str
    updated: str
    licence: str
    retracted: str


def _rows(name: str, lines: Iterator[str]) -> Iterator[_ListRow]:
    """Rows of a list, told apart by the first line: a date (tab-separated text) or a header.

    The text variant has no header and no date per row: its rows are dated by the list, as all that is known.
    """
    try:
        yield from _parsed_rows(name, lines)
    except csv.Error as error:
        raise ListingError(f"{name}: {error}") from error


def _parsed_rows(name: str, lines: Iterator[str]) -> Iterator[_ListRow]:
    first = next(lines, "")
    first = first.removeprefix("\ufeff").strip()
    if _DATE.match(first) and "\t" not in first:
        yield _ListRow("", "", first, "", "")
        for cells in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            if len(cells) >= 3:
                yield _ListRow(cells[0], cells[2], "", cells[4] if len(cells) > 4 else "", "")
        return
    delimiter = "\t" if "\t" in first else ","
    header = [_column(cell) for cell in next(csv.reader([first], delimiter=delimiter), [])]
    if not {"file", "accessionid"} <= set(header):
        raise ListingError(f"{name}: neither a date nor a header with File and Accession ID, but {first[:200]!r}")
    at = {column: position for position, column in enumerate(header)}
    wanted = [at.get(column) for column in ("file", "accessionid", "lastupdated", "license", "retracted")]
    for cells in csv.reader(lines, delimiter=delimiter):
        values = [cells[i].strip() if i is not None and i < len(cells) else "" for i in wanted]
        yield _ListRow(*values)


def _column(cell: str) -> str:
    """'Last Updated (YYYY-MM-DD HH:MM:SS)' -> 'lastupdated'; 'Article File' -> 'file'."""
    name = re.sub(r"[^a-z]", "", cell.split("(", maxsplit=1)[0].lower())
    return _COLUMNS.get(name, name)


def _write(path: Path, rows: Iterable[_ListRow]) -> None:
    """The rows as Parquet in the shape of a `Listing`. Rows that name no package get null names: they are counted."""
    rows = (row for row in rows if row.path or row.accession)
    with pq.ParquetWriter(path, _SCHEMA) as writer:
        while batch := list(islice(rows, _BATCH)):
            writer.write_table(pa.Table.from_pylist([_listed(row) for row in batch], schema=_SCHEMA))


def _listed(row: _ListRow) -> dict[str, str | None]:
    number = _PMCID.fullmatch(row.accession)
    named = number is not None and _PATH.fullmatch(row.path) is not None
    return {
        "pmcid": number[1] if number and named else None,
        "version": "1" if named else None,
        "etag": f"{row.path}@{row.updated}",
        "last_modified": row.updated or None,
        "location": format_location(row.path, row.licence, row.retracted),
    }
