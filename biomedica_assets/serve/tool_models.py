"""What chat agents' tools take and give: typed, described for a model to read, short.

What does not belong here: carrying them out (`tools`), protocols (`mcp_server`, `openai_tools`).
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from biomedica_assets.dataset.filters import Filters
from biomedica_assets.search.requests import Facet, Mode
from biomedica_assets.serve.search_models import WORDS


def _parsed(value: Any) -> Any:
    """Some agents write objects and lists as JSON inside a text."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


class Arguments(BaseModel):
    """Arguments of a tool."""

    model_config = ConfigDict(extra="forbid")


FigureId = Annotated[
    str, Field(max_length=500, description="id of a figure, as results give it", examples=["PMC90000001.1/F1"])
]
_Filters = Annotated[Filters, BeforeValidator(_parsed), Field(description="restrict to what passes all of these")]
_Limit = Annotated[int, Field(ge=1, le=25, description="most figures to return")]
_QUERY = f"what to look for, named as captions would: {WORDS}"
_Query = Annotated[str, Field(min_length=1, max_length=2000)]


class SearchFigures(Arguments):
    """Arguments of `search_figures`."""

    query: _Query | None = Field(None, description=_QUERY)
    mode: Mode = Field("hybrid", description="keyword: the words; vector: the meaning; hybrid: both")
    filters: _Filters = Filters()
    one_per_article: bool = Field(False, description="at most the best figure of each article")
    limit: _Limit = 8
    cursor: Annotated[str, Field(max_length=500)] | None = Field(
        None, description="next_cursor of the results before, with all else the same"
    )


class GetFigure(Arguments):
    """Arguments of `get_figure`."""

    figure_id: FigureId
    include_images: bool = Field(False, description="return the pictures too, made small")
    image_size: Literal[320, 640, 1280] = Field(640, description="longest side of the pictures in pixels")


class FindSimilarFigures(Arguments):
    """Arguments of `find_similar_figures`."""

    figure_id: FigureId
    filters: _Filters = Filters()
    limit: _Limit = 8


class GetArticle(Arguments):
    """Arguments of `get_article`."""

    article: Annotated[str, Field(max_length=30)] = Field(
        description="PMCID or article version", examples=["PMC90000001", "PMC90000001.1"]
    )


class DatasetStatistics(Arguments):
    """Arguments of `dataset_statistics`."""

    query: _Query | None = Field(None, description=_QUERY)
    filters: _Filters = Filters()
    count_by: Annotated[list[Facet], BeforeValidator(_parsed), Field(max_length=5)] = Field(
        [], description="count the figures found by the values of these fields"
    )


class Result(BaseModel):
    """What a tool gives."""

    model_config = ConfigDict(extra="forbid")


class Picture(Result):
    """One image of a figure."""

    image_id: str
    width: int | None = Field(description="pixels of the original")
    height: int | None = Field(description="pixels of the original")
    url: str | None = Field(description="the original; null where no web server gives it out")
    thumbnail_url: str | None = Field(description="a small WebP of it")


class FigureHit(Result):
    """A figure among results."""

    figure_id: str | None = Field(description="null for an article without figures")
    article_id: str
    label: str | None
    caption: str | None = Field(description="shortened")
    article_title: str | None
    licence: str | None = Field(description="of the figure; null: none is known", examples=["CC BY 4.0"])
    licence_group: str | None = Field(description="commercial, noncommercial or other: what the licence allows")
    citation: str = Field(description="to be given wherever the figure is mentioned")
    attribution: str | None = Field(description="line to be printed with the picture wherever it is shown")
    article_url: str = Field(description="the article on PMC")
    images: list[Picture]


class FiguresFound(Result):
    """Results of a search."""

    total: int = Field(description="all that were found")
    total_exact: bool = Field(description="false: there may be more")
    figures: list[FigureHit]
    next_cursor: str | None = Field(None, description="ask again with it for more; null: that was all")
    warnings: list[str] = Field(description="what was left out, and why")


class Citing(Result):
    """A paragraph that cites a figure."""

    section: str
    text: str


class FigureFound(FigureHit):
    """A figure with what the article says of it."""

    caption: str | None = Field(description="whole")
    panels: dict[str, str] = Field(description="by panel letter: its part of the caption")
    entities: dict[str, list[str]] = Field({}, description="by type, disease and so on: what the caption names")
    licence_url: str | None
    third_party_notice: str | None = Field(description="words that say it belongs to somebody else")
    journal: str | None
    publication_date: str | None
    doi: str | None
    mentions: list[Citing]
    warning: str | None = Field(None, description="what must be said along with it")


class FigureLine(Result):
    """A figure in the list of its article's figures."""

    figure_id: str
    label: str | None
    caption: str | None = Field(description="shortened")


class ArticleFound(Result):
    """An article with its figures."""

    article_id: str
    pmcid: str
    pmid: int | None
    doi: str | None
    title: str | None
    authors: list[str]
    journal: str | None
    publication_date: str | None
    abstract: str | None
    mesh: list[str]
    keywords: list[str]
    licence: str | None
    licence_group: str | None
    citation: str
    article_url: str
    warning: str | None = Field(None, description="what must be said along with it")
    figures: list[FigureLine]
    figures_left_out: int = Field(0, description="figures beyond those listed")


class StatisticsFound(Result):
    """The dataset in numbers."""

    release: str | None = Field(None, description="of the newest source data")
    totals: dict[str, int | None] = Field({}, description="of the whole dataset, when nothing was asked for")
    series: dict[str, dict[str, int]] = Field({}, description="of the whole dataset: the most frequent values")
    figures: int | None = Field(None, description="figures that query and filters keep")
    counts: dict[str, dict[str, int]] = Field({}, description="of those, by field: value and figures")
    warnings: list[str] = []
