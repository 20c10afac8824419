"""What the search routes are asked and answer: typed, described for OpenAPI.

What does not belong here: carrying it out (`api_search`, the room `search`).
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from biomedica_assets.dataset.filters import Filters
from biomedica_assets.search.requests import Facet, Mode, SearchRequest, TextField
from biomedica_assets.serve.models import Licence

_Text = Annotated[str, Field(max_length=2000)]
_FigureId = Annotated[str, Field(max_length=500)]
_Cursor = Annotated[str, Field(max_length=500)]
_Limit = Annotated[int, Field(ge=1, le=100)]

WORDS = 'words, "phrases", -excluded words, and words of one field: caption:word, mention:word, article:word'


def filters_of(values: Any) -> Filters:
    """The filters among the fields of a model that has them all."""
    return Filters(**{name: getattr(values, name) for name in Filters.model_fields})


class FilterQuery(Filters):
    """Filters as parameters of an address, beside parameters of other kinds."""

    # Overrides the check of the same name: the other parameters are no filters, and a query may hold a tab.
    @field_validator("*", mode="before")
    @classmethod
    def _one_is_many(cls, value: Any, info: ValidationInfo) -> Any:
        return super()._one_is_many(value, info) if info.field_name in Filters.model_fields else value


class SearchQuery(FilterQuery):
    """Parameters of ``GET /v1/search``; filters may be given several times."""

    q: _Text | None = Field(None, description=WORDS, examples=["glomeruli"])
    mode: Mode = Field("hybrid", description="keyword: the words; vector: the meaning; hybrid: both")
    field: list[TextField] = Field(["caption", "mention", "article"], description="where words may stand")
    group: Literal["figure", "article"] = Field("figure", description="what a hit is")
    like: _FigureId | None = Field(None, description="figures like this one, by its figure_id")
    limit: _Limit = Field(20, description="most hits of a page")
    cursor: _Cursor | None = Field(None, description="next_cursor of the page before, with all else the same")
    facet: list[Facet] = Field([], description="fields to count the values of")

    def request(self) -> SearchRequest:
        """Raises pydantic.ValidationError."""
        return SearchRequest(
            text=self.q,
            mode=self.mode,
            fields=tuple(self.field),
            filters=filters_of(self),
            group=self.group,
            like=self.like,
            limit=self.limit,
            cursor=self.cursor,
            facets=tuple(self.facet),
        )


class FacetQuery(FilterQuery):
    """Parameters of ``GET /v1/facets``."""

    q: _Text | None = Field(None, description=WORDS)
    facet: list[Facet] = Field(description="fields to count the values of", min_length=1, examples=[["journal"]])

    def request(self) -> SearchRequest:
        """Raises pydantic.ValidationError."""
        return SearchRequest(text=self.q, mode="keyword", filters=filters_of(self), limit=1, facets=tuple(self.facet))


class SimilarQuery(FilterQuery):
    """Parameters of ``GET /v1/figures/.../similar``."""

    limit: _Limit = Field(12, description="most hits of a page")
    cursor: _Cursor | None = Field(None, description="next_cursor of the page before")

    def request(self, figure_id: str) -> SearchRequest:
        """Raises pydantic.ValidationError."""
        return SearchRequest(like=figure_id, filters=filters_of(self), limit=self.limit, cursor=self.cursor)


class SearchBody(BaseModel):
    """Body of ``POST /v1/search``."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"text": "glomeruli", "filters": {"licence_group": ["commercial"], "width_min": 300}},
                {"text": '"scale bar" -mouse', "mode": "keyword", "fields": ["caption"], "group": "article"},
            ]
        },
    )

    text: _Text | None = Field(None, description=WORDS)
    mode: Mode = "hybrid"
    fields: list[TextField] = Field(["caption", "mention", "article"], description="where words may stand")
    filters: Filters = Filters()
    group: Literal["figure", "article"] = Field("figure", description="what a hit is")
    like: _FigureId | None = Field(None, description="figures like this one, by its figure_id")
    image: str | None = Field(
        None, description="pictures like this one: an image file in base64", json_schema_extra={"format": "byte"}
    )
    limit: _Limit = 20
    cursor: _Cursor | None = None
    facets: list[Facet] = []

    @field_validator("image")
    @classmethod
    def _base64(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                raise ValueError("is not base64") from None
        return value

    def request(self) -> SearchRequest:
        """Raises pydantic.ValidationError."""
        image = base64.b64decode(self.image) if self.image else None
        return SearchRequest(**self.model_dump(exclude={"image", "filters"}), filters=self.filters, image=image)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Fragment(_Answer):
    """A piece of a text; ``match``: it is what was searched for."""

    text: str
    match: bool


class HitImage(_Answer):
    """An image of a hit."""

    image_id: str
    url: str | None = Field(description="path of the original; null when it is not served")
    thumbnail_url: str | None = Field(description="path of a thumbnail; add ?size=160, 320, 640, 1280 or 2048")
    media_type: str | None
    width: int | None
    height: int | None
    n_panels: int | None = Field(description="panels found in it; null until they are looked for")
    licence: Licence


class HitEntity(_Answer):
    """An entity that a caption names."""

    type: str = Field(description="disease, chemical, gene, species, cell_line, cell_type or tissue")
    name: str
    id: str | None


class Hit(_Answer):
    """A figure, or an article shown by its best figure."""

    figure_id: str | None = Field(description="null for an article found by its text that has no figure")
    article_id: str
    pmcid: str
    score: float = Field(description="orders the hits of one search, means nothing beyond it")
    figures: int | None = Field(description="figures found of the article, when grouped by article")
    label: str | None
    kind: str | None
    caption: str | None
    title: str | None = Field(description="of the article")
    journal: str | None
    publication_date: str | None
    authors: str | None
    licence: Licence
    attribution: str | None = Field(description="line to be printed with the figure")
    images: list[HitImage]
    entities: list[HitEntity] = Field(description="named in the caption; none until it is annotated")
    snippets: dict[str, list[Fragment]] = Field(description="by caption, mention, article: pieces with what was found")


class Count(_Answer):
    """A value of a field, and how many hits have it."""

    value: str
    count: int


class SearchAnswer(_Answer):
    """One page of hits."""

    hits: list[Hit]
    total: int
    total_exact: bool = Field(description="false: there may be more")
    facets: dict[str, list[Count]]
    next_cursor: str | None = Field(description="null: this was the last page")
    mode: str = Field(description="what was used")
    generation: str = Field(description="state of the index")
    warnings: list[str] = Field(description="what was left out, and why")


class FacetAnswer(_Answer):
    """Values of fields with counts."""

    total: int
    facets: dict[str, list[Count]]
    generation: str
