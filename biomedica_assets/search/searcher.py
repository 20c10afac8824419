"""The searcher: what servers, tools and the command line ask. It follows the store: new generations, withdrawals.

Searches in flight keep the generation they began with; the one before the newest stays open, so that people can turn
its pages. What does not belong here: how one generation answers (`opened`), HTTP (`serve`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biomedica_assets.search.cursors import MAX_PLACE, Place, read_cursor, write_cursor
from biomedica_assets.search.local import local_copy, prune
from biomedica_assets.search.manifest import INDEX_VERSION, IndexManifest, read_manifest, read_pointer
from biomedica_assets.search.opened import OpenGeneration, Withdrawn
from biomedica_assets.search.requests import (
    CursorError,
    Hit,
    IndexMissingError,
    QueryError,
    SearchError,
    SearchRequest,
    SearchResponse,
)
from biomedica_assets.settings import Settings
from biomedica_assets.store.files import Files
from biomedica_assets.store.withdrawals import withdrawal_stamps, withdrawn_ids

if TYPE_CHECKING:
    from biomedica_assets.search.vector_queries import Encoders

__all__ = [
    "CursorError",
    "Hit",
    "IndexMissingError",
    "QueryError",
    "SearchError",
    "SearchRequest",
    "SearchResponse",
    "Searcher",
]


@dataclass(frozen=True)
class _Serving:
    """A generation and what of it must not be found any more."""

    opened: OpenGeneration
    withdrawn: Withdrawn


@dataclass(frozen=True)
class _State:
    """What searches that begin now use: replaced as a whole."""

    newest: _Serving
    former: _Serving | None
    stamps: tuple[Any, ...]
    withdrawn_ids: frozenset[str]


class Searcher:
    """Searches a store's newest index generation. Safe for many threads.

    Args:
        files: the store.
        cache_folder: local folder for copies of index files; may be shared by processes and deleted when none runs.
        settings: which licence groups are served, encoders, how often the store is looked at.
        encoders: to share with other searchers; default: those of the settings, loaded when first needed.

    Raises:
        IndexMissingError: there is no index that this version reads; `refresh` may be tried later by a new searcher.
    """

    def __init__(self, files: Files, cache_folder: Path, settings: Settings, encoders: Encoders | None = None) -> None:
        self._files, self._cache, self._settings = files, Path(cache_folder), settings
        self._encoders = encoders or _encoders(settings)
        self._refreshing = threading.Lock()
        self._looked = 0.0
        self._state: _State | None = None
        self.refresh()

    @property
    def manifest(self) -> IndexManifest:
        """Of the generation that new searches use."""
        return self._now().newest.opened.manifest

    def search(self, request: SearchRequest) -> SearchResponse:
        """Carry a search out.

        Raises:
            CursorError: the cursor is wrong, or its generation is gone.
            QueryError: it asks for what this store or server does not have.
            FilterError: a filter needs a table that does not exist yet.
        """
        state = self._look()
        serving, place = state.newest, None
        if request.cursor:
            place = read_cursor(request.cursor, request)
            serving = _of_generation(state, place)
        offset = place.offset if place else 0
        opened, withdrawn = serving.opened, serving.withdrawn
        page = opened.page(request, withdrawn, offset, place.loose if place else None)
        behind = offset + request.limit
        cursor = None
        warnings = page.warnings
        if page.more and behind <= MAX_PLACE:
            cursor = write_cursor(Place(opened.id, behind, page.loose), request)
        elif page.more:
            warnings = [*warnings, f"pages end after {MAX_PLACE:,} results: narrow the search, or stream all of them"]
        facets = opened.facets(request, withdrawn, page.loose, page.mode) if request.facets else {}
        return SearchResponse(
            page.hits, page.total, page.total_exact, facets, cursor, opened.id, page.mode, list(warnings)
        )

    def figure(self, figure_id: str) -> dict[str, Any] | None:
        """The card of a figure; null when there is none that may be shown."""
        newest = self._look().newest
        return newest.opened.figure(figure_id, newest.withdrawn)

    def facets(self, request: SearchRequest) -> dict[str, list[tuple[str, int]]]:
        """The facets of a search alone, e.g. of no search at all for a first page."""
        newest = self._look().newest
        return newest.opened.facets(request, newest.withdrawn, False, "keyword")

    def refresh(self) -> bool:
        """Look at the store: open a new generation if there is one, and mask what is withdrawn now.

        Returns:
            Whether a new generation was opened. Without news it costs a few small reads.

        Raises:
            IndexMissingError: there is no index yet; with one open already, it goes on serving.
        """
        with self._refreshing:
            self._looked = time.monotonic()
            before = self._state
            stamps = withdrawal_stamps(self._files)
            newest = before.newest.opened if before else None
            opened = self._open_newest(newest)
            swapped = opened is not newest
            if before and not swapped and stamps == before.stamps:
                return False
            ids = before.withdrawn_ids if before and stamps == before.stamps else withdrawn_ids(self._files)
            former = before.newest if before and swapped else before.former if before else None
            if former:
                former = replace(former, withdrawn=former.opened.withdrawn(ids))
            self._state = _State(_Serving(opened, opened.withdrawn(ids)), former, stamps, ids)
            if swapped:
                prune(self._cache, [serving.opened.manifest for serving in (self._state.newest, former) if serving])
            return swapped

    def close(self) -> None:
        """Let the files go, as soon as no search is at work in them."""
        self._state = None

    def _open_newest(self, now: OpenGeneration | None) -> OpenGeneration:
        pointer = read_pointer(self._files)
        if pointer is None:
            raise IndexMissingError(
                f"{self._files.url} has no search index yet: run `biomedica build`, or materialize `search_index`"
            )
        if now is not None and now.id == pointer.generation:
            return now
        manifest = read_manifest(self._files, pointer.generation)
        if manifest.version != INDEX_VERSION:
            raise IndexMissingError(
                f"the search index of {self._files.url} is of version {manifest.version}, this software reads "
                f"{INDEX_VERSION}: materialize `search_index` with it"
            )
        folder = local_copy(self._files, manifest, self._cache)
        return OpenGeneration(folder, manifest, self._settings.served_groups, self._encoders)

    def _now(self) -> _State:
        state = self._state
        if state is None:
            raise SearchError("this searcher is closed")
        return state

    def _look(self) -> _State:
        """The state to use; the store is looked at first when nobody has for a while, by one search at a time."""
        if time.monotonic() - self._looked > self._settings.serve_refresh_seconds and not self._refreshing.locked():
            self._looked = time.monotonic()
            with contextlib.suppress(OSError, SearchError):  # what is open goes on serving
                self.refresh()
        return self._now()


def _encoders(settings: Settings) -> Encoders | None:
    """The encoders; null where the packages of vector search are not installed."""
    try:
        from biomedica_assets.search.vector_queries import Encoders
    except ImportError:
        return None
    return Encoders(settings)


def _of_generation(state: _State, place: Place) -> _Serving:
    for serving in (state.newest, state.former):
        if serving and serving.opened.id == place.generation:
            return serving
    raise CursorError("the index has been renewed since this cursor was given out: search again without it")
