"""What the server knows of its store: one immutable view, replaced as a whole when the store has news.

The server keeps nothing of its own: any number of processes may serve one store. A thread looks for a new generation
of the catalogue, withdrawals, and a new search index; requests use the view that is there when they come. What does
not belong here: HTTP.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from biomedica_assets.dataset.documents import read_document
from biomedica_assets.dataset.subsets import Subset, read_subset
from biomedica_assets.schemas import Row
from biomedica_assets.search.local import cache_folder, index_folder
from biomedica_assets.serve.forms import Site
from biomedica_assets.serve.ids import ArticleName, parse_article
from biomedica_assets.serve.metrics import Metrics
from biomedica_assets.serve.problems import ProblemError
from biomedica_assets.serve.records import ArticleRecord, FigureRecord, Recent, Records
from biomedica_assets.serve.thumbnails import Thumbnails
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import Generation, read_generation
from biomedica_assets.store.files import Files
from biomedica_assets.store.news import withdrawn_since
from biomedica_assets.store.withdrawals import read_withdrawals, withdrawal_stamps

if TYPE_CHECKING:
    from biomedica_assets.search.searcher import Searcher

_log = logging.getLogger(__name__)

_SEARCHES = 4
"""Carried out at once, per process: each wants a core, and more of them keep the loop that refuses from its own."""

NO_CATALOGUE = "this store has no catalogue yet: run `biomedica build`, or materialize the asset `catalogue`"
NO_INDEX = "this store has no search index yet: run `biomedica build`, or materialize the asset `search_index`"
NO_SEARCH = "search is not installed here: pip install 'biomedica_assets[search]'"


@dataclass(frozen=True)
class View:
    """One state of the store. ``withdrawn`` maps ids of versions, ``gone`` PMCIDs, to why they must not be served."""

    generation: Generation | None = None
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    gone: Mapping[int, str] = field(default_factory=dict)
    stamps: tuple[Any, ...] = ()


def read_view(files: Files, stamps: tuple[Any, ...] = ()) -> View:
    """The view of the store as it is now."""
    generation = read_generation(files)
    if generation is None:
        return View(stamps=stamps)
    withdrawn: dict[str, str] = {}
    gone: dict[int, str] = {}
    for row in read_withdrawals(files).to_pylist():
        withdrawn[row["listed_id"]] = withdrawn[row["article_id"]] = gone[row["pmcid"]] = row["reason"]
    withdrawn |= withdrawn_since(files, generation)
    return View(generation, withdrawn, gone, stamps)


class State:
    """Everything requests share. `start` begins to look for news, `close` ends it.

    Args:
        settings: of the server and its store.
        metrics: to be counted in.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.files = Files(settings.store)
        self.records = Records(self.files)
        folder = cache_folder(settings)
        self.thumbnails = Thumbnails(folder / "thumbnails", settings.thumbnail_bytes, settings.max_pixels, metrics)
        self.view = View()
        self.searcher: Searcher | None = None
        self.search_problem = NO_INDEX
        self.searching = threading.BoundedSemaphore(_SEARCHES)
        self.site = Site(self.served, settings.serve_root.rstrip("/"))
        self._index_folder = index_folder(settings)
        self._documents: Recent[Any] = Recent(8)
        self._end = threading.Event()
        self._refreshing = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Read the store once, then keep looking; a store that cannot be read now is asked again."""
        self.refresh()
        self._thread = threading.Thread(target=self._keep_looking, name="refresh", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the background thread and let the index go."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(10)
        if self.searcher is not None:
            self.searcher.close()

    def refresh(self) -> None:
        """Take over what is new in the store. Errors are logged and counted: what was known before goes on serving."""
        with self._refreshing:
            for part in (self._refresh_view, self._refresh_search):
                try:
                    part()
                except Exception:
                    self.metrics.refresh_errors.inc()
                    _log.exception("cannot read news of the store")
                else:
                    self.metrics.refreshed.set(time.time())

    def _keep_looking(self) -> None:
        while not self._end.wait(self.settings.serve_refresh_seconds):
            self.refresh()

    def _refresh_view(self) -> None:
        stamps = withdrawal_stamps(self.files)
        if stamps != self.view.stamps:
            self.view = read_view(self.files, stamps)
            _log.info("new state of the store", extra={"facts": {"withdrawn": len(self.view.withdrawn)}})

    def _refresh_search(self) -> None:
        if self.searcher is not None:
            self.searcher.refresh()
            return
        try:
            from biomedica_assets.search.searcher import Searcher
        except ImportError as error:
            if (error.name or "").startswith(__package__.partition(".")[0]):
                raise  # not an extra that is missing: logged, and counted
            self.search_problem = NO_SEARCH
            return
        try:
            self.searcher = Searcher(self.files, self._index_folder, self.settings)
        except FileNotFoundError as error:  # none yet, or one of another version: it says which
            self.search_problem = str(error)

    # What may be served -----------------------------------------------------------------------------------------

    def generation(self) -> Generation:
        """The catalogue generation that is served. Raises ProblemError 503 before the first."""
        if self.view.generation is None:
            raise ProblemError(503, "no-catalogue", NO_CATALOGUE, {"Retry-After": "60"})
        return self.view.generation

    def locate(self, name: ArticleName) -> Row:
        """The row of ``current`` of an article that may be served.

        Raises:
            ProblemError: 404 (unknown, or another version is current), 410 (withdrawn), 503 (no catalogue).
        """
        generation, view = self.generation(), self.view
        shown = f"PMC{name.pmcid}" + (f".{name.version}" if name.version is not None else "")
        row = self.records.current(generation, name.pmcid)
        if name.version is not None and shown in view.withdrawn:
            raise _withdrawn(shown, view.withdrawn[shown])
        if row is None:
            if name.pmcid in view.gone:
                raise _withdrawn(shown, view.gone[name.pmcid])
            raise ProblemError(404, "unknown", f"there is no article {shown} in this dataset")
        listed = f"PMC{row['pmcid']}.{row['version']}"
        for version in (row["article_id"], listed):
            if version in view.withdrawn:
                raise _withdrawn(version, view.withdrawn[version])
        if name.version is not None and shown not in (row["article_id"], listed):
            detail = f"{shown} is not the current version; that is {row['article_id']}"
            raise ProblemError(404, "superseded", detail)
        return row

    def article(self, name: ArticleName) -> ArticleRecord:
        """The records of an article. Raises ProblemError as `locate`, and 404 for licences that are not served."""
        row = self.locate(name)
        record = self.records.article(self.generation(), row)
        if record is None:
            raise ProblemError(404, "unknown", f"the store has no records of {row['article_id']}")
        self._check_licence(record.row["article_id"], record.row["licence_group"])
        return record

    def figure(self, name: ArticleName, part: str) -> tuple[ArticleRecord, FigureRecord]:
        """A figure and its article. Raises ProblemError as `article`, and 404."""
        record = self.article(name)
        figure_id = f"{record.row['article_id']}/{part}"
        for figure in record.figures:
            if figure.row["figure_id"] == figure_id:
                return record, figure
        raise ProblemError(404, "unknown", f"{record.row['article_id']} has no figure {part}")

    def image(self, name: ArticleName, part: str, ordinal: int) -> Row:
        """The row of an image whose bytes may be served. Raises ProblemError as `locate`, and 404."""
        current = self.locate(name)
        image_id = f"{current['article_id']}/{part}/{ordinal}"
        for row in self.records.spans(self.generation(), current["chunk"], current["article_id"]):
            if row["image_id"] == image_id:
                break
        else:
            raise ProblemError(404, "unknown", f"there is no image {image_id}")
        self._check_licence(image_id, row["licence_group"])
        if row["shard"] is None or row["bytes"] is None:
            raise ProblemError(404, "not-held", f"the store does not hold the bytes of {image_id}")
        return row

    def panel(self, image: Row, number: int) -> Row:
        """The row of the n-th panel of an image that may be served. Raises ProblemError 404."""
        current = self.locate(parse_article(image["article_id"]))
        for row in self.records.panels(self.generation(), current["chunk"], current["article_id"]):
            if (row["image_id"], row["ordinal"]) == (image["image_id"], number):
                return row
        raise ProblemError(404, "unknown", f"there is no panel {number} of {image['image_id']}")

    def served(self, group: str | None) -> bool:
        """Whether what bears this licence group may be shown."""
        return (group or "other") in self.settings.served_groups

    def _check_licence(self, shown: str, group: str | None) -> None:
        if not self.served(group):
            served = ", ".join(self.settings.served_groups)
            detail = f"the licence of {shown} is in group {group or 'other'}; this server shows: {served}"
            raise ProblemError(404, "licence", detail)

    def search(self) -> Searcher:
        """The search index. Raises ProblemError 503 while there is none."""
        if self.searcher is None:
            raise ProblemError(503, "no-index", self.search_problem, {"Retry-After": "60"})
        return self.searcher

    # Documents of the store -------------------------------------------------------------------------------------

    def statistics(self) -> dict[str, Any]:
        """The store's statistics as computed last. Raises ProblemError 503 before the first."""

        def read() -> dict[str, Any]:
            found: dict[str, Any] = json.loads(read_document(self.files, "statistics", "statistics.json"))
            return found

        try:
            stamp = self.files.stamp("card/statistics.json")
            return dict(self._documents.get(("statistics", stamp), read))
        except FileNotFoundError:
            detail = "this store has no statistics yet: materialize the asset `statistics`"
            raise ProblemError(503, "no-statistics", detail, {"Retry-After": "60"}) from None

    def labels(self) -> list[tuple[str, int]]:
        """Labels and how many images have each, as counted with the newest statistics; none before the first."""
        try:
            return [(label, count) for label, count in self.statistics()["series"].get("labels", [])]
        except ProblemError:
            return []

    def subsets(self) -> list[Subset]:
        """The newest state of every subset, by name."""

        def read() -> list[Subset]:
            found = []
            for name in self.files.folders("subsets"):
                try:
                    found.append(read_subset(self.files, name))
                except FileNotFoundError:
                    continue  # being written, or gone this moment
            return found

        # Asked again each minute; manifests are small.
        minute = int(time.monotonic() // 60)
        return list(self._documents.get(("subsets", minute), read))


def _withdrawn(shown: str, reason: str) -> ProblemError:
    return ProblemError(410, "withdrawn", f"{shown} has been withdrawn: {reason}")
