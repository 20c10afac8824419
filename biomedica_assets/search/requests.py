"""What a search is asked and what it answers: the types that servers, pages and tools share.

What does not belong here: how an answer comes about (`searcher`), the filters' meaning (`dataset.filters`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from biomedica_assets.dataset.filters import ENTITY_TYPES, Filters


class SearchError(Exception):
    """A search cannot be carried out; the message says why and what to do."""


class QueryError(SearchError):
    """What was asked cannot be answered by this server or store, whoever asks."""


class CursorError(SearchError):
    """The cursor is not from this search, or the state it belongs to is no longer kept: search again without it."""


class IndexMissingError(SearchError, FileNotFoundError):
    """The store has no search index yet, or none that this version reads: materialize `search_index`."""


Mode = Literal["keyword", "vector", "hybrid"]
TextField = Literal["caption", "mention", "article"]
Facet = Literal[
    "licence_group", "licence", "journal", "article_type", "mesh", "language", "kind", "media_type", "year", "label",
    "panel_type", "keyword", "subject", "publication_type", "publisher", "n_panels", "entity_type", "disease",
    "chemical", "gene", "species", "cell_line", "cell_type", "tissue", "paragraph_type", "paragraph_domain",
]  # fmt: skip
FILTERED_BY = {
    "year": ("published_from", "published_to"),
    "n_panels": ("n_panels_min", "n_panels_max"),
    **dict.fromkeys(ENTITY_TYPES, ("entity",)),
}
"""By facet, the filters that name what it counts, where they have other names."""
MAX_TEXT = 2000
MAX_IMAGE_BYTES = 20 << 20


class SearchRequest(BaseModel):
    """One search. Without text, likeness and image it lists what the filters keep, newest publication first.

    ``text`` holds words (stemmed, English), "phrases" in quotes, -excluded words and phrases, and words of one field
    as caption:word, mention:word or article:word. ``fields`` are where keywords may stand; ``like`` asks for figures
    like one of this id, ``image`` for pictures like these bytes of an image file. ``group`` says whether a hit is a
    figure, or an article shown by its best figure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_TEXT)] | None = None
    mode: Mode = "hybrid"
    fields: tuple[TextField, ...] = ("caption", "mention", "article")
    filters: Filters = Filters()
    group: Literal["figure", "article"] = "figure"
    like: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    image: Annotated[bytes, Field(max_length=MAX_IMAGE_BYTES)] | None = None
    limit: int = Field(20, ge=1, le=100)
    cursor: Annotated[str, StringConstraints(max_length=500)] | None = None
    facets: tuple[Facet, ...] = ()

    @field_validator("text", "cursor", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        """No text is no text; what is not Unicode (lone surrogates) is not searched for."""
        if isinstance(value, str):
            value = value.encode("utf-8", "replace").decode().replace("\0", " ").strip()
        return value or None

    @field_validator("fields", "facets")
    @classmethod
    def _once(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(values))

    @model_validator(mode="after")
    def _one_question(self) -> SearchRequest:
        asked = [name for name in ("text", "like", "image") if getattr(self, name)]
        if len(asked) > 1 and "like" in asked:
            raise ValueError("`like` stands alone: give text or an image in another search")
        if not self.fields:
            raise ValueError("`fields` is empty: name at least one of caption, mention, article")
        return self


Fragment = tuple[str, bool]
"""A piece of text, and whether it is what was searched for."""


@dataclass(frozen=True)
class Hit:
    """One result. ``score`` only orders hits of one search; ``card`` is what a result shows (see `documents`).

    ``snippets`` maps caption, mention, article (title or abstract) to pieces of their text, for people: plain text, to
    be escaped. ``figures`` is how many of an article's figures were found, when grouped by article.
    """

    figure_id: str | None
    """Null for an article that was found by its text and has no figure."""
    article_id: str
    pmcid: str
    score: float
    card: dict[str, Any]
    snippets: dict[str, list[Fragment]] = field(default_factory=dict)
    figures: int | None = None


@dataclass(frozen=True)
class SearchResponse:
    """The answer. ``total`` counts figures, or articles when grouped by them.

    ``total_exact`` is false when there may be more: rankings by vectors go only so deep. ``mode`` is what was used;
    ``warnings`` say, for people, what was left out and why.
    """

    hits: list[Hit]
    total: int
    total_exact: bool
    facets: dict[str, list[tuple[str, int]]]
    next_cursor: str | None
    generation: str
    mode: str
    warnings: list[str] = field(default_factory=list)
