"""What a source of releases is, whatever its layout, and how to tell the layout of a URL.

Belongs here: the small interface that the rest of the project sees. Not here: how a layout is read (`cloud`,
`packages`), what a release changed (`file_list`), article objects (`articles`).
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from biomedica_assets.store.files import ClientOptions, Files, NotListableError, Traffic

if TYPE_CHECKING:
    from biomedica_assets.pmc.articles import Articles


class SourceUnusableError(Exception):
    """The source cannot be used at all: the run must stop, no row is to be blamed."""


class ListingError(SourceUnusableError):
    """A release whose list of versions cannot be used: wrong checksum, unknown format, unreadable."""


class NoReleaseError(SourceUnusableError):
    """There is no release at the URL, in neither layout."""


@dataclass(frozen=True, order=True)
class Release:
    """One state of PMC OA.

    Attributes:
        name: its date, ``YYYY-MM-DD``; names sort.
        layout: ``cloud`` or ``packages``.
        checksum: MD5 of the manifest or file list, 32 hex digits: the same checksum, the same list of versions.
        path: manifest or file list below the source's root.
    """

    name: str
    layout: str
    checksum: str
    path: str


@dataclass
class Listing:
    """The versions that a release lists, as something DuckDB can read. A context manager: its files go at the end.

    Attributes:
        release: what is listed.
        relation: SQL query with the text columns ``pmcid``, ``version`` (digits; both null when the listed name is
            not one of an article version), ``etag``, ``last_modified``, ``location`` (null in the cloud layout).
        folder: temporary folder of the files, or null when they are read in place.
    """

    release: Release
    relation: str
    folder: Path | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


class ReleaseSource(Protocol):
    """A place that releases are read from."""

    layout: str
    files: Files

    @property
    def identity(self) -> str:
        """Which source this is, for ``store.json``: a store takes releases of one identity only.

        Cloud layout: ``cloud:<bucket>``, the source bucket that the manifest names, so that a local mirror and the
        bucket itself are the same source. Package layout: ``packages:<root URL>``, because nothing in the files
        tells whose they are.

        Raises:
            NoReleaseError: nothing there yet.
        """

    @property
    def traffic(self) -> Traffic:
        """Requests and bytes so far."""

    def latest(self) -> Release | None:
        """The newest complete release: its manifest is there and fits its checksum."""

    def releases(self) -> list[Release]:
        """All complete releases that the source still offers, oldest first."""

    def listing(self, release: Release, scratch: str | Path | None = None) -> Listing:
        """The release's versions, checked. Temporary files go below ``scratch`` (default: the system's).

        Raises:
            ListingError: see there.
        """

    def articles(self, *, max_object_bytes: int | None = None, forbidden_limit: int = 5) -> Articles:
        """Reader of article objects. ``forbidden_limit``: so many 403s in a row make the source unusable."""


def open_source(
    url: str,
    *,
    anonymous: bool = True,
    endpoint: str | None = None,
    options: ClientOptions | None = None,
    today: date | None = None,
) -> ReleaseSource:
    """The source at a URL; the layout is told by what is there. Arguments as for `Files`.

    Args:
        today: where the search for dated folders starts on servers that cannot list; default: the current day.

    Raises:
        NoReleaseError: neither inventory reports nor a list of packages.
    """
    from biomedica_assets.pmc.cloud import INVENTORY, CloudSource
    from biomedica_assets.pmc.packages import PackageSource

    files = Files(url, anonymous=anonymous, endpoint=endpoint, options=options)
    try:
        listable, cloud = True, bool(files.folders(INVENTORY))
    except (NotListableError, PermissionError):
        listable, cloud = False, False
    except FileNotFoundError as error:
        raise NoReleaseError(f"{files.url}: {error}") from error
    if cloud:
        return CloudSource(files)
    packages = PackageSource(files)
    if packages.lists:
        return packages
    if not listable and (source := CloudSource(files, today=today)).latest():
        return source
    raise NoReleaseError(f"{files.url}: neither {INVENTORY}/ nor oa_file_list.csv (or one of its variants)")


def scratch_folder(scratch: str | Path | None) -> Path:
    """A new temporary folder below ``scratch``."""
    if scratch is not None:
        Path(scratch).mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="listing-", dir=scratch))
