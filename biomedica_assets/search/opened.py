"""One opened generation: answers searches, knows nothing of other generations. Immutable; safe for many threads.

Lists of figures by words, by vectors or both, the articles they stand in, counts, facets and cards. What does not
belong here: cursors, swapping generations, reading withdrawals (`searcher`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tantivy

from biomedica_assets.dataset.filters import Filters
from biomedica_assets.search.fusion import fuse
from biomedica_assets.search.generation import DEAD
from biomedica_assets.search.keyword import IMAGE_FIELDS, KeywordIndex, all_of
from biomedica_assets.search.manifest import IndexManifest
from biomedica_assets.search.query import TextQuery, text_query
from biomedica_assets.search.requests import Fragment, Hit, QueryError, SearchRequest
from biomedica_assets.search.rows import RowTable

DEPTH = 300
"""How many figures of each ranking are fused."""
ARTICLE_DEPTH = 1000
"""How many figures are looked at when they are grouped by article."""
FACET_SIZE = 30

FIGURE_FIELDS = {"caption": {"caption": 2.0}, "mention": {"mention": 1.0}, "article": {"article": 0.7}}
ARTICLE_FIELDS = {"article": {"title": 3.0, "abstract": 1.5, "terms": 1.5, "body": 1.0}}
"""By field of a request: fields of the index and their weights."""
_SNIPPETS = {"title": "article", "abstract": "article"}
_EXCERPT = 240


@dataclass(frozen=True)
class Withdrawn:
    """What of a generation must not be found any more: article versions, and the rows of their figures."""

    article_ids: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Page:
    """Hits of one page; ``total`` see `SearchResponse`; ``more`` when a page follows."""

    hits: list[Hit]
    total: int
    total_exact: bool
    more: bool
    mode: str
    loose: bool
    warnings: list[str]


class OpenGeneration:
    """A generation's files, opened.

    Args:
        folder: its local copy.
        manifest: of it.
        served: licence groups of which anything may be found.
    """

    def __init__(self, folder: Path, manifest: IndexManifest, served: Sequence[str]) -> None:
        self.manifest, self.id, self._served = manifest, manifest.id, tuple(served)
        self.figures = KeywordIndex(folder / "figures")
        self.articles = KeywordIndex(folder / "articles")
        dead = np.load(folder / DEAD) if DEAD in manifest.files else np.empty(0, np.uint32)
        paths = sorted(folder / name for name in manifest.files if name.startswith("rows/"))
        self.rows = RowTable(paths, manifest.rows, dead, served)

    def close(self) -> None:
        """Let go of it; only when no search is at work in it any more."""
        self.rows.close()

    def withdrawn(self, article_ids: frozenset[str]) -> Withdrawn:
        """Which of these withdrawn versions are in this generation."""
        found = self.rows.of_articles(article_ids) if article_ids else {}
        bare = [
            a
            for a in sorted(article_ids)
            if a not in found and self.articles.count(self.articles.term("article_id", a))
        ]
        return Withdrawn((*sorted(found), *bare), tuple(sorted(row for rows in found.values() for row in rows)))

    # Searches -------------------------------------------------------------------------------------------------

    def page(self, request: SearchRequest, withdrawn: Withdrawn, offset: int, loose: bool | None) -> Page:
        """One page.

        Args:
            request: what is asked.
            withdrawn: what must not be found.
            offset: of the first hit.
            loose: whether one word of several is enough; null: when too few figures have most of them.

        Raises:
            QueryError: it asks for what is not there.
        """
        if request.group == "article":
            return self._by_article(request, withdrawn, offset, loose)
        if request.like or request.image:
            raise QueryError("this index has no vectors: search by words")
        return self._keyword_page(request, withdrawn, offset, loose)

    def _keyword_page(self, request: SearchRequest, withdrawn: Withdrawn, offset: int, loose: bool | None) -> Page:
        text = self._text(self.figures, request, FIGURE_FIELDS)
        chosen, used_loose = self._strictness(self.figures, text, request, withdrawn, offset, loose)
        query = self._figure_query(chosen, request.filters, withdrawn)
        found = self.figures.search(query, request.limit, offset, newest=chosen is None)
        hits = self._figure_hits(found.addresses, found.scores, text, request)
        more = offset + len(hits) < found.count
        return Page(hits, found.count, True, more, "keyword", used_loose, list(text.warnings))

    def _text(self, index: KeywordIndex, request: SearchRequest, boosts: dict[str, dict[str, float]]) -> TextQuery:
        wanted: dict[str, dict[str, float]] = {
            name: fields for name, fields in boosts.items() if name in request.fields
        }
        return text_query(index, request.text or "", wanted)

    def _strictness(
        self,
        index: KeywordIndex,
        text: TextQuery,
        request: SearchRequest,
        withdrawn: Withdrawn,
        offset: int,
        loose: bool | None,
    ) -> tuple[tantivy.Query | None, bool]:
        """The query to use, and whether it is the loose one: when the strict one does not fill the first page."""
        if text.strict is None or text.loose is None:
            return (tantivy.Query.empty_query() if request.text else None), False
        if loose is None:
            strict = self._figure_query(text.strict, request.filters, withdrawn)
            if index is self.articles:
                strict = self._article_query(text.strict, request.filters, withdrawn)
            loose = text.loose is not text.strict and index.count(strict) < request.limit
        return (text.loose if loose else text.strict), loose

    def _figure_query(self, text: tantivy.Query | None, filters: Filters, withdrawn: Withdrawn) -> tantivy.Query:
        index = self.figures
        must = list(index.filter_queries(filters, self._served).values())
        apart = self.rows.apart(filters)
        must_not = [index.terms("row", apart.tolist())] if len(apart) else []
        if withdrawn.article_ids:
            must_not.append(index.terms("article_id", withdrawn.article_ids))
        return all_of([*([text] if text is not None else []), *must], must_not)

    def _article_query(self, text: tantivy.Query | None, filters: Filters, withdrawn: Withdrawn) -> tantivy.Query:
        """Articles of which one figure passes; without filters on images, also those that have no figure."""
        index = self.articles
        queries = index.filter_queries(filters, self._served)
        must_not = []
        if any(name.removesuffix("_min").removesuffix("_max") in IMAGE_FIELDS for name in filters.active()):
            apart = self.rows.apart(filters, by="pmcid")
            must_not = [index.terms("pmcid", apart.tolist())] if len(apart) else []
        else:
            del queries["licence_group"]
        if withdrawn.article_ids:
            must_not.append(index.terms("article_id", withdrawn.article_ids))
        return all_of([*([text] if text is not None else []), *queries.values()], must_not)

    def _by_article(self, request: SearchRequest, withdrawn: Withdrawn, offset: int, loose: bool | None) -> Page:
        """Articles by their own text and by their figures' captions, fused; each shown by its best figure."""
        warnings: list[str] = []
        lists: list[tuple[float, list[int]]] = []
        best: dict[int, Any] = {}
        several: dict[int, int] = {}
        exact = True
        used_loose = False
        own = self._text(self.articles, request, ARTICLE_FIELDS)
        figures = self._text(self.figures, request, FIGURE_FIELDS)
        if not request.text:
            return self._newest_articles(request, withdrawn, offset)
        if "article" in request.fields:
            query, used_loose = self._strictness(self.articles, own, request, withdrawn, offset, loose)
            found = self.articles.search(self._article_query(query, request.filters, withdrawn), DEPTH)
            lists.append((1.0, self.articles.numbers("pmcid", found.addresses)))
            exact &= found.count <= DEPTH
            warnings += own.warnings
        chosen, figures_loose = self._strictness(self.figures, figures, request, withdrawn, offset, loose)
        used_loose |= figures_loose
        found = self.figures.search(self._figure_query(chosen, request.filters, withdrawn), ARTICLE_DEPTH)
        pmcids = self.figures.numbers("pmcid", found.addresses)
        for pmcid, address in zip(pmcids, found.addresses, strict=True):
            best.setdefault(pmcid, address)
            several[pmcid] = several.get(pmcid, 0) + 1
        lists.append((1.0, list(best)))
        exact &= found.count <= ARTICLE_DEPTH
        warnings = list(dict.fromkeys([*warnings, *figures.warnings]))
        ranked = fuse(lists)
        page = ranked[offset : offset + request.limit]
        hits = [
            self._article_hit(pmcid, score, best.get(pmcid), several.get(pmcid, 0), own, figures, request, withdrawn)
            for pmcid, score in page
        ]
        more = offset + len(page) < len(ranked)
        return Page([h for h in hits if h], len(ranked), exact, more, "keyword", used_loose, warnings)

    def _newest_articles(self, request: SearchRequest, withdrawn: Withdrawn, offset: int) -> Page:
        query = self._article_query(None, request.filters, withdrawn)
        found = self.articles.search(query, request.limit, offset, newest=True)
        none = TextQuery(None, None, [])
        hits = [
            self._article_hit(pmcid, 0.0, None, 0, none, none, request, withdrawn)
            for pmcid in self.articles.numbers("pmcid", found.addresses)
        ]
        more = offset + len(found.addresses) < found.count
        return Page([h for h in hits if h], found.count, True, more, "keyword", False, [])

    # Hits -----------------------------------------------------------------------------------------------------

    def _figure_hits(
        self, addresses: Sequence[Any], scores: Sequence[float], text: TextQuery, request: SearchRequest
    ) -> list[Hit]:
        snippets = None
        if text.loose is not None:
            fields = [name for name in ("caption", "mention") if name in request.fields]
            snippets = self.figures.snippets(text.loose, fields)
        return [
            self._figure_hit(address, score, snippets.of(address) if snippets else {})
            for address, score in zip(addresses, scores, strict=True)
        ]

    def _figure_hit(self, address: Any, score: float, snippets: dict[str, list[Fragment]]) -> Hit:
        card = self._served_card(self.figures.card(address))
        caption = " ".join(filter(None, [card["label"], card["caption"] or card["group_caption"]]))
        if "caption" not in snippets and caption:
            snippets = {"caption": [(excerpt(caption), False)], **snippets}
        return Hit(card["figure_id"], card["article_id"], card["pmcid"], score, card, snippets)

    def _article_hit(
        self,
        pmcid: int,
        score: float,
        figure: Any,
        count: int,
        own: TextQuery,
        figures: TextQuery,
        request: SearchRequest,
        withdrawn: Withdrawn,
    ) -> Hit | None:
        """An article, with the figure it is shown by: the best one, or else the first that the filters keep."""
        term = self.articles.term("pmcid", pmcid)
        query = all_of(
            [term], [self.articles.terms("article_id", withdrawn.article_ids)] if withdrawn.article_ids else []
        )
        addresses = self.articles.search(query, 1).addresses
        if not addresses:
            return None
        article = self.articles.card(addresses[0])
        snippets = self.articles.snippets(own.loose, ("title", "abstract")).of(addresses[0]) if own.loose else {}
        shown = {_SNIPPETS[name]: fragment for name, fragment in snippets.items()}
        if figure is None:
            own_figures = self._figure_query(self.figures.term("pmcid", pmcid), request.filters, withdrawn)
            figure = next(iter(self.figures.search(own_figures, 1).addresses), None)
        if figure is None:
            return Hit(None, article["article_id"], article["pmcid"], score, article | {"images": []}, shown, 0)
        hit = self._figure_hits([figure], [score], figures, request)[0]
        card = {**article, **hit.card}
        return Hit(hit.figure_id, hit.article_id, hit.pmcid, score, card, {**hit.snippets, **shown}, count)

    def _served_card(self, card: dict[str, Any]) -> dict[str, Any]:
        """The card without images of licence groups that are not served."""
        images = [image for image in card["images"] if image["licence_group"] in self._served]
        return card | {"images": images}

    def figure(self, figure_id: str, withdrawn: Withdrawn) -> dict[str, Any] | None:
        """The card of a figure, null when there is none that may be shown."""
        query = self._figure_query(self.figures.term("figure_id", figure_id), Filters(), withdrawn)
        addresses = self.figures.search(query, 1).addresses
        return self._served_card(self.figures.card(addresses[0])) if addresses else None

    # Facets ---------------------------------------------------------------------------------------------------

    def facets(self, request: SearchRequest, withdrawn: Withdrawn, loose: bool) -> dict[str, list[tuple[str, int]]]:
        """Values and counts of each facet asked for.

        A field that is filtered itself shows what its other values would give: its own filter is left out.
        """
        by_article = request.group == "article"
        index, boosts = (self.articles, ARTICLE_FIELDS) if by_article else (self.figures, FIGURE_FIELDS)
        text = self._text(index, request, boosts)
        chosen = text.loose if loose else text.strict
        found: dict[str, list[tuple[str, int]]] = {}
        for facet in request.facets:
            filters = _without(request.filters, facet)
            make = self._article_query if by_article else self._figure_query
            values = index.facet(make(chosen, filters, withdrawn), facet, FACET_SIZE)
            if facet == "licence_group":
                values = [(value, count) for value, count in values if value in self._served]
            found[facet] = values
        return found


def _without(filters: Filters, facet: str) -> Filters:
    fields = ("published_from", "published_to") if facet == "year" else (facet,)
    return filters.model_copy(update={name: type(filters).model_fields[name].default for name in fields})


def excerpt(text: str) -> str:
    """The beginning of a text, cut behind a word.

    >>> excerpt("word " * 100)[-7:]
    'word …'
    """
    if len(text) <= _EXCERPT:
        return text
    return text[:_EXCERPT].rpartition(" ")[0].rstrip() + " …"
