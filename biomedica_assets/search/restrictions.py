"""What restricts every search: filters, licence groups that are served, what has been withdrawn since.

Said three times over, and the same each time: as a query of the figures' index, of the articles', and as a mask over
rows. What does not belong here: what is searched for (`query`), in which order it is shown (`opened`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tantivy

from biomedica_assets.dataset.filters import Filters, bounded
from biomedica_assets.search.keyword import IMAGE_FIELDS, OF_FIGURE, KeywordIndex, all_of
from biomedica_assets.search.rows import RowTable

MOST_APART = 200_000
"""So many documents are named one by one in a query (50 ms of CPU); beyond that a count may include a few too many."""


@dataclass(frozen=True)
class Withdrawn:
    """What of a generation must not be found any more: article versions, and the rows of their figures."""

    article_ids: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()


def about_images(filters: Filters) -> bool:
    """Whether a filter speaks of images or figures, so that an article without any cannot pass."""
    names = {bounded(name) for name in filters.active()}
    return not names.isdisjoint({*IMAGE_FIELDS, *OF_FIGURE})


class Restrictions:
    """The restrictions of one generation, for one server's licence groups."""

    def __init__(self, figures: KeywordIndex, articles: KeywordIndex, rows: RowTable, served: Sequence[str]) -> None:
        self._figures, self._articles, self._rows, self._served = figures, articles, rows, served
        self._licensed = {
            "figures": figures.licensed(served, text_only=False),
            "articles": articles.licensed(served, text_only=True),
            "articles with images": articles.licensed(served, text_only=False),
        }

    def figures(
        self,
        text: tantivy.Query | None,
        filters: Filters,
        withdrawn: Withdrawn,
        unlike: Sequence[tantivy.Query] = (),
    ) -> tantivy.Query:
        """Figures of which one image passes all filters, and that may be served."""
        index = self._figures
        must, must_not = self._licensed["figures"]
        must = [*must, *index.filter_queries(filters, self._served).values()]
        must_not = [*must_not, *unlike, *self._apart(index, filters, "row")]
        if withdrawn.article_ids:
            must_not = [*must_not, index.terms("article_id", withdrawn.article_ids)]
        return all_of([*([text] if text is not None else []), *must], must_not)

    def articles(self, text: tantivy.Query | None, filters: Filters, withdrawn: Withdrawn) -> tantivy.Query:
        """Articles of which one figure passes; without filters on images, also those that have no figure."""
        index = self._articles
        by_images = about_images(filters)
        must, must_not = self._licensed["articles with images" if by_images else "articles"]
        must = [*must, *index.filter_queries(filters, self._served).values()]
        if by_images:
            must_not = [*must_not, *self._apart(index, filters, "pmcid")]
        if withdrawn.article_ids:
            must_not = [*must_not, index.terms("article_id", withdrawn.article_ids)]
        return all_of([*([text] if text is not None else []), *must], must_not)

    def _apart(self, index: KeywordIndex, filters: Filters, by: str) -> list[tantivy.Query]:
        """What passes each condition, but by different images: nothing to say when it is more than `MOST_APART`."""
        apart = self._rows.apart(filters, by=by)
        return [index.terms(by, apart.tolist())] if 0 < len(apart) <= MOST_APART else []

    def mask(self, filters: Filters, withdrawn: Withdrawn) -> np.ndarray:
        """bool over rows: figures that pass and may be served. Do not write to it."""
        mask = self._rows.mask(filters)
        if withdrawn.rows:
            mask = mask.copy()
            mask[list(withdrawn.rows)] = False
        return mask
