"""One opened generation: answers searches, knows nothing of other generations. Immutable; safe for many threads.

Rankings by words and by vectors, one of several, the articles that figures stand in, counts and facets. What does not
belong here: cursors, swapping generations, reading withdrawals (`searcher`), what a hit shows (`hits`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tantivy

from biomedica_assets.dataset.filters import Filters
from biomedica_assets.search.fusion import Found, blend, fuse
from biomedica_assets.search.generation import DEAD
from biomedica_assets.search.hits import HitMaker, served_card
from biomedica_assets.search.keyword import KeywordIndex, Ranked, all_of
from biomedica_assets.search.manifest import IndexManifest
from biomedica_assets.search.query import TextQuery, text_query
from biomedica_assets.search.requests import FILTERED_BY, Hit, QueryError, SearchRequest
from biomedica_assets.search.restrictions import Restrictions, Withdrawn, about_images
from biomedica_assets.search.rows import RowTable

if TYPE_CHECKING:
    from biomedica_assets.search.vector_queries import Encoders, VectorSpaces

DEPTH = 300
"""How many figures (or articles) of each ranking are fused; further ones follow in the order of words alone."""
ARTICLE_DEPTH = 1000
"""How many figures are looked at when they are grouped by article."""
COUNTED = 1000
"""Up to so many figures with the words, a hybrid search's total is right from the first page on; above, `DEPTH` too
much at most until the pages come to what words alone found: counting costs as much as the ranking by words did."""
FACET_SIZE = 30
_BESIDE = ThreadPoolExecutor(8, "search-words")
"""Ranks by words while the thread of a search ranks by vectors: both let go of the interpreter's lock."""

FIGURE_FIELDS = {"caption": {"caption": 2.0}, "mention": {"mention": 1.0}, "article": {"article": 0.7}}
ARTICLE_FIELDS = {"article": {"title": 3.0, "abstract": 1.5, "terms": 1.5, "body": 1.0}}
"""By field of a request: fields of the index and their weights."""
WEIGHTS = {"words": 1.0, "captions": 1.0, "images": 1.0, "looks": 0.3}
"""How much each ranking counts when several are fused; ``looks`` are pictures found by a text through a bridge."""
WEAKER = {"wordllama": 0.4}
"""How much captions count by encoders that know no word order (by the kind that begins their id)."""


@dataclass(frozen=True)
class Page:
    """Hits of one page; ``total`` see `SearchResponse`; ``more`` when a page follows."""

    hits: list[Hit]
    total: int
    total_exact: bool
    more: bool
    mode: str
    loose: bool
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Words:
    """The ranking by words: its query (null when there is none), how many it finds, the best rows."""

    query: tantivy.Query | None
    count: int
    rows: list[int]
    scores: list[float]
    loose: bool


_NO_WORDS = _Words(None, 0, [], [], False)


class OpenGeneration:
    """A generation's files, opened.

    Args:
        folder: its local copy.
        manifest: of it.
        served: licence groups of which anything may be found.
        encoders: for queries by vectors; null: none are answered.
    """

    def __init__(
        self, folder: Path, manifest: IndexManifest, served: Sequence[str], encoders: Encoders | None = None
    ) -> None:
        self.manifest, self.id, self._served = manifest, manifest.id, tuple(served)
        self._tables = set(manifest.inputs["tables"])
        self.figures = KeywordIndex(folder / "figures")
        self.articles = KeywordIndex(folder / "articles")
        dead = np.load(folder / DEAD) if DEAD in manifest.files else np.empty(0, np.uint32)
        paths, terms = (
            sorted(folder / name for name in manifest.files if name.startswith(kind)) for kind in ("rows/", "terms/")
        )
        self.rows = RowTable(paths, terms, manifest.rows, dead, served)
        self._bound = Restrictions(self.figures, self.articles, self.rows, self._served)
        self.rows.mask(Filters())  # nearly every query by vectors needs it: made before the first one waits for it
        self.spaces: VectorSpaces | None = None
        if manifest.spaces and encoders is not None:
            from biomedica_assets.search.vector_queries import VectorSpaces

            self.spaces = VectorSpaces(folder, manifest, encoders)

    def withdrawn(self, article_ids: frozenset[str]) -> Withdrawn:
        """Which of these withdrawn versions are in this generation."""
        listed = sorted(article_ids)
        if not listed or not self.articles.count(self.articles.terms("article_id", listed)):
            return Withdrawn()  # the usual case: the index has seen the list
        held = [one for one in listed if self.articles.count(self.articles.term("article_id", one))]
        return Withdrawn(tuple(held), tuple(self.rows.of_articles(held)))

    def figure(self, figure_id: str, withdrawn: Withdrawn) -> dict[str, Any] | None:
        """The card of a figure, null when there is none that may be shown."""
        query = self._bound.figures(self.figures.term("figure_id", figure_id), Filters(), withdrawn)
        addresses = self.figures.search(query, 1).addresses
        return served_card(self.figures.card(addresses[0]), self._served) if addresses else None

    def page(self, request: SearchRequest, withdrawn: Withdrawn, offset: int, loose: bool | None) -> Page:
        """One page.

        Args:
            request: what is asked.
            withdrawn: what must not be found.
            offset: of the first hit.
            loose: whether one word of several is enough; null: when too few figures have most of them.

        Raises:
            QueryError: it asks for what is not there.
            FilterError: a filter needs a table that does not exist yet.
        """
        request.filters.check(self._tables)
        text = self._text(self.figures, request, FIGURE_FIELDS)
        ranked_by_words = self._by_words(request, withdrawn, text, loose)
        found, mode = self._by_vectors(request, withdrawn, text)
        if request.group == "article":
            return self._article_page(request, withdrawn, offset, loose, text, ranked_by_words, found, mode)
        maker = self._maker(request, text)
        if mode == "keyword" and not request.like:
            ranked, _, used_loose = self._ranked(self.figures, text, request, withdrawn, loose, request.limit, offset)
            hits = [maker.figure(*one) for one in zip(ranked.addresses, ranked.scores, strict=True)]
            more = offset + len(hits) < ranked.count
            return Page(hits, ranked.count, True, more, mode, used_loose, [*text.warnings, *found.warnings])
        words = _NO_WORDS if mode == "vector" else ranked_by_words()
        return self._fused_page(request, maker, words, found, mode, offset, text)

    # Rankings -------------------------------------------------------------------------------------------------

    def _by_vectors(self, request: SearchRequest, withdrawn: Withdrawn, text: TextQuery) -> tuple[Found, str]:
        """Rankings by vectors, and the mode that is used: keyword where there are none."""
        if request.mode == "keyword" and not request.image:
            return Found(), "keyword"
        if not (request.text or request.like or request.image):
            return Found(), "keyword"
        if self.spaces is None:
            if request.image:
                raise QueryError("this index holds no vectors of images: search by words")
            return Found([], ["this index holds no vectors yet: searched by words alone"]), "keyword"
        mask = self._bound.mask(request.filters, withdrawn)
        depth = DEPTH if request.group == "figure" else ARTICLE_DEPTH
        if request.like:
            found = self.spaces.like(self._row_of(request.like, withdrawn), mask, depth)
        elif request.image:
            found = self.spaces.by_image(request.image, mask, depth)
            if request.text:
                also = self.spaces.by_text(request.text, mask, depth)
                found = Found([*found.rankings, *also.rankings], [*found.warnings, *also.warnings])
        else:
            found = self.spaces.by_text(request.text or "", mask, depth)
        if text.excluded is not None:
            found = Found([self._without(one, text.excluded) for one in found.rankings], found.warnings)
        if not found.rankings:
            return found, "keyword"
        return found, "vector" if request.mode == "vector" or (request.image and not request.text) else "hybrid"

    def _without(self, ranking: Any, excluded: tantivy.Query) -> Any:
        """A ranking without the figures that have an excluded word."""
        name, rows, scores = ranking
        bad = self.figures.search(all_of([self.figures.terms("row", rows.tolist()), excluded]), max(len(rows), 1))
        kept = ~np.isin(rows, self.figures.numbers("row", bad.addresses))
        return name, rows[kept], scores[kept]

    def _by_words(
        self, request: SearchRequest, withdrawn: Withdrawn, text: TextQuery, loose: bool | None
    ) -> Callable[[], _Words]:
        """Gives the ranking by words; it is begun beside the ranking by vectors when both are asked for."""

        def rank() -> _Words:
            return self._rank_by_words(request, withdrawn, text, loose)

        if request.mode != "hybrid" or self.spaces is None or not (request.text or request.like):
            return rank
        beside = _BESIDE.submit(rank)
        return lambda: rank() if beside.cancel() else beside.result()  # not begun yet: this thread need not wait

    def _rank_by_words(
        self, request: SearchRequest, withdrawn: Withdrawn, text: TextQuery, loose: bool | None
    ) -> _Words:
        """The ranking by words, as deep as it is fused."""
        depth = DEPTH if request.group == "figure" else ARTICLE_DEPTH
        used_loose = False
        if request.like:
            query = self.figures.like(self._address_of(request.like, withdrawn))
            itself = [self.figures.term("figure_id", request.like)]
            bound = self._bound.figures(query, request.filters, withdrawn, itself)
            ranked = self.figures.search(bound, depth)
        elif text.strict is None:
            return _NO_WORDS
        else:
            ranked, bound, used_loose = self._ranked(self.figures, text, request, withdrawn, loose, depth)
        rows = self.figures.numbers("row", ranked.addresses)
        return _Words(bound, ranked.count, rows, ranked.scores, used_loose)

    def _fused_page(
        self,
        request: SearchRequest,
        maker: HitMaker,
        words: _Words,
        found: Found,
        mode: str,
        offset: int,
        text: TextQuery,
    ) -> Page:
        """A page of the fused rankings; behind them, what else has the words."""
        fused = self._fuse(words, found)
        rows = [row for row, _ in fused]
        part = fused[offset : offset + request.limit]
        addresses = self._addresses(self.figures, "row", [row for row, _ in part])
        hits = [maker.figure(addresses[row], score) for row, score in part if row in addresses]
        behind = 0
        if words.query is not None and words.count > len(words.rows):
            behind = words.count - len(words.rows)  # at most: what vectors found may have the words too
            if offset + request.limit >= len(fused):
                rest = all_of([words.query], [self.figures.terms("row", rows)])
                ranked = self.figures.search(rest, request.limit - len(part), max(0, offset - len(fused)))
                hits += [maker.figure(address, 0.0) for address in ranked.addresses[: request.limit - len(part)]]
                behind = ranked.count
            elif words.count <= COUNTED:
                others = np.setdiff1d(rows, words.rows).tolist()
                behind -= self.figures.count(all_of([self.figures.terms("row", others), words.query])) if others else 0
        total = len(fused) + behind
        more = offset + request.limit < total
        return Page(hits, total, mode == "keyword", more, mode, words.loose, [*text.warnings, *found.warnings])

    def _fuse(self, words: _Words, found: Found) -> list[tuple[int, float]]:
        if not words.rows and len(found.rankings) == 1:  # similarities, as they are
            return [(int(row), float(score)) for row, score in zip(*found.rankings[0][1:], strict=True)]
        rankings: list[tuple[float, Sequence[int], Sequence[float]]] = [(WEIGHTS["words"], words.rows, words.scores)]
        rankings += [(self._weight(name), rows.tolist(), scores.tolist()) for name, rows, scores in found.rankings]
        return blend(rankings, DEPTH)

    def _weight(self, ranking: str) -> float:
        if ranking == "captions":
            kind = self.manifest.spaces["captions"]["encoder"].partition("-")[0]
            return WEAKER.get(kind, WEIGHTS["captions"])
        return WEIGHTS[ranking]

    def _article_page(
        self,
        request: SearchRequest,
        withdrawn: Withdrawn,
        offset: int,
        loose: bool | None,
        text: TextQuery,
        ranked_by_words: Callable[[], _Words],
        found: Found,
        mode: str,
    ) -> Page:
        """Articles by their own text and by their figures, fused; each shown by its best figure."""
        own = self._text(self.articles, request, ARTICLE_FIELDS)
        maker = self._maker(request, text, own)
        if not (request.text or request.like or request.image):
            query = self._bound.articles(None, request.filters, withdrawn)
            ranked = self.articles.search(query, request.limit, offset, newest=True)
            hits = [self._article_hit(maker, address, 0.0, None, 0, request, withdrawn) for address in ranked.addresses]
            more = offset + len(hits) < ranked.count
            return Page(_shown(hits, request.filters), ranked.count, True, more, mode, False)
        words = _NO_WORDS if mode == "vector" else ranked_by_words()
        best: dict[int, int] = {}
        several: dict[int, int] = {}
        for row, _ in self._fuse(words, found):
            pmcid = int(self.rows.pmcids[row])
            best.setdefault(pmcid, row)
            several[pmcid] = several.get(pmcid, 0) + 1
        lists: list[tuple[float, Sequence[int]]] = [(1.0, list(best))]
        exact = mode == "keyword" and words.count <= len(words.rows)
        used_loose = words.loose
        if request.text and "article" in request.fields and mode != "vector":
            ranked, _, own_loose = self._ranked(self.articles, own, request, withdrawn, loose, DEPTH)
            lists.append((1.0, self.articles.numbers("pmcid", ranked.addresses)))
            exact &= ranked.count <= DEPTH
            used_loose |= own_loose
        fused = fuse(lists)
        part = fused[offset : offset + request.limit]
        addresses = self._addresses(self.articles, "pmcid", [pmcid for pmcid, _ in part])
        figures = self._addresses(self.figures, "row", [best[pmcid] for pmcid, _ in part if pmcid in best])
        hits = []
        for pmcid, score in part:
            if pmcid in addresses:
                figure = figures.get(best.get(pmcid, -1))
                count = several.get(pmcid, 0)
                hits.append(self._article_hit(maker, addresses[pmcid], score, figure, count, request, withdrawn))
        more = offset + len(part) < len(fused)
        warnings = [*dict.fromkeys([*text.warnings, *own.warnings, *found.warnings])]
        return Page(_shown(hits, request.filters), len(fused), exact, more, mode, used_loose, warnings)

    def _article_hit(
        self,
        maker: HitMaker,
        address: Any,
        score: float,
        figure: Any,
        count: int,
        request: SearchRequest,
        withdrawn: Withdrawn,
    ) -> Hit:
        """An article's hit; one that no figure was found of is shown by the first that the filters keep."""
        if figure is None:
            pmcid = self.articles.numbers("pmcid", [address])[0]
            query = self._bound.figures(self.figures.term("pmcid", pmcid), request.filters, withdrawn)
            figure = next(iter(self.figures.search(query, 1).addresses), None)
        return maker.article(address, score, figure, count)

    # Queries --------------------------------------------------------------------------------------------------

    def _text(self, index: KeywordIndex, request: SearchRequest, boosts: dict[str, dict[str, float]]) -> TextQuery:
        wanted: dict[str, dict[str, float]] = {
            name: fields for name, fields in boosts.items() if name in request.fields
        }
        return text_query(index, request.text or "", wanted)

    def _ranked(
        self,
        index: KeywordIndex,
        text: TextQuery,
        request: SearchRequest,
        withdrawn: Withdrawn,
        loose: bool | None,
        limit: int,
        offset: int = 0,
    ) -> tuple[Ranked, tantivy.Query, bool]:
        """What has the words, the query that found it, and whether it is the loose one.

        That is asked when the strict one does not fill the first page; later pages stay with what the first one had.
        Without a word the newest publications come first.
        """
        bind = self._bound.articles if index is self.articles else self._bound.figures
        if text.strict is None or text.loose is None:
            nothing = tantivy.Query.empty_query() if request.text else None
            bound = bind(nothing, request.filters, withdrawn)
            return index.search(bound, limit, offset, newest=nothing is None), bound, False
        if not loose:
            bound = bind(text.strict, request.filters, withdrawn)
            ranked = index.search(bound, limit, offset)
            if loose is not None or text.strict is text.loose or ranked.count >= request.limit:
                return ranked, bound, False
        bound = bind(text.loose, request.filters, withdrawn)
        return index.search(bound, limit, offset), bound, True

    def _maker(self, request: SearchRequest, text: TextQuery, own: TextQuery | None = None) -> HitMaker:
        none = TextQuery(None, None, None, [])
        return HitMaker(self.figures, self.articles, self._served, text, own or none, request.fields)

    def _addresses(self, index: KeywordIndex, field: str, numbers: Sequence[int]) -> dict[int, Any]:
        """Where the documents with these numbers are, by number: rows of figures, PMCIDs of articles."""
        if not numbers:
            return {}
        addresses = index.search(index.terms(field, numbers), len(numbers)).addresses
        return dict(zip(index.numbers(field, addresses), addresses, strict=True))

    def _address_of(self, figure_id: str, withdrawn: Withdrawn) -> Any:
        """Raises QueryError when there is no such figure that may be shown."""
        query = self._bound.figures(self.figures.term("figure_id", figure_id), Filters(), withdrawn)
        addresses = self.figures.search(query, 1).addresses
        if not addresses:
            raise QueryError(f"there is no figure {figure_id!r} here")
        return addresses[0]

    def _row_of(self, figure_id: str, withdrawn: Withdrawn) -> int:
        return self.figures.numbers("row", [self._address_of(figure_id, withdrawn)])[0]

    # Facets ---------------------------------------------------------------------------------------------------

    def facets(
        self, request: SearchRequest, withdrawn: Withdrawn, loose: bool, mode: str
    ) -> dict[str, list[tuple[str, int]]]:
        """Values and counts of each facet asked for: over what has the words, or over all that the filters keep.

        The latter where a ranking by vectors, which has no end, is all there is. A field that is filtered itself shows
        what its other values would give: its own filter is left out.
        """
        request.filters.check(self._tables)
        by_article = request.group == "article"
        index, boosts = (self.articles, ARTICLE_FIELDS) if by_article else (self.figures, FIGURE_FIELDS)
        bind = self._bound.articles if by_article else self._bound.figures
        text = self._text(index, request, boosts)
        chosen = text.loose if loose else text.strict
        if mode == "vector" or (mode == "hybrid" and not index.count(bind(chosen, request.filters, withdrawn))):
            chosen = None
        together: dict[Filters, list[str]] = {}
        for facet in request.facets:
            together.setdefault(_all_but(request.filters, facet), []).append(facet)
        found: dict[str, list[tuple[str, int]]] = {}
        for filters, facets in together.items():
            found |= index.facets(bind(chosen, filters, withdrawn), facets, FACET_SIZE)
        if "licence_group" in found:
            found["licence_group"] = [one for one in found["licence_group"] if one[0] in self._served]
        return {facet: found[facet] for facet in request.facets}


def _shown(hits: list[Hit], filters: Filters) -> list[Hit]:
    """Hits without articles of which no figure passes after all (see `restrictions.MOST_APART`)."""
    return [hit for hit in hits if hit.figure_id is not None] if about_images(filters) else hits


def _all_but(filters: Filters, facet: str) -> Filters:
    fields = FILTERED_BY.get(facet, (facet,))
    return filters.model_copy(update={name: type(filters).model_fields[name].default for name in fields})
