"""From documents found to hits: cards, snippets, the figure an article is shown by.

What does not belong here: which documents are found, and in which order (`opened`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from biomedica_assets.search.keyword import KeywordIndex, Snippets
from biomedica_assets.search.query import TextQuery
from biomedica_assets.search.requests import Fragment, Hit

_EXCERPT = 240


class HitMaker:
    """Makes the hits of one search.

    Args:
        figures, articles: the indexes.
        served: licence groups of which images may be shown.
        figure_text, article_text: what was searched for in each, whose words are marked.
        fields: of the request.
    """

    def __init__(
        self,
        figures: KeywordIndex,
        articles: KeywordIndex,
        served: Sequence[str],
        figure_text: TextQuery,
        article_text: TextQuery,
        fields: Sequence[str],
    ) -> None:
        self._figures, self._articles, self._served = figures, articles, served
        self._snippets: Snippets | None = None
        self._article_snippets: Snippets | None = None
        if figure_text.loose is not None:
            marked = [name for name in ("caption", "mention") if name in fields]
            self._snippets = figures.snippets(figure_text.loose, marked)
        if article_text.loose is not None and "article" in fields:
            self._article_snippets = articles.snippets(article_text.loose, ("title", "abstract"))

    def figure(self, address: Any, score: float) -> Hit:
        """The hit of a figure."""
        card = served_card(self._figures.card(address), self._served)
        snippets = self._snippets.of(address) if self._snippets else {}
        caption = " ".join(filter(None, [card["label"], card["caption"] or card["group_caption"]]))
        if "caption" not in snippets and caption:
            snippets = {"caption": [(excerpt(caption), False)], **snippets}
        return Hit(card["figure_id"], card["article_id"], card["pmcid"], score, card, snippets)

    def article(self, address: Any, score: float, figure: Any, count: int) -> Hit:
        """The hit of an article.

        Args:
            address: of the article.
            score: of the hit.
            figure: address of the figure it is shown by; null when it has none.
            count: figures of it that were found.
        """
        card = self._articles.card(address)
        found = self._article_snippets.of(address) if self._article_snippets else {}
        said = found.get("title") or found.get("abstract")
        snippets: dict[str, list[Fragment]] = {"article": said} if said else {}
        if figure is None:
            return Hit(None, card["article_id"], card["pmcid"], score, card | {"images": []}, snippets, 0)
        hit = self.figure(figure, score)
        shown = {**hit.snippets, **snippets}
        return Hit(hit.figure_id, hit.article_id, hit.pmcid, score, {**card, **hit.card}, shown, count)


def served_card(card: dict[str, Any], served: Sequence[str]) -> dict[str, Any]:
    """A figure's card without images of licence groups that are not served."""
    return card | {"images": [image for image in card["images"] if image["licence_group"] in served]}


def excerpt(text: str) -> str:
    """The beginning of a text, cut behind a word.

    >>> excerpt("word " * 100)[-7:]
    'word …'
    """
    if len(text) <= _EXCERPT:
        return text
    return text[:_EXCERPT].rpartition(" ")[0].rstrip() + " …"
