"""REST: search, similar figures, facets. The gallery asks through the same functions.

What does not belong here: how a search is carried out (the room `search`), the forms of questions and answers
(`search_models`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import ValidationError

from biomedica_assets.dataset.filters import FilterError
from biomedica_assets.search.requests import (
    CursorError,
    IndexMissingError,
    QueryError,
    SearchRequest,
    SearchResponse,
)
from biomedica_assets.search.requests import Hit as Found
from biomedica_assets.serve import search_models as models
from biomedica_assets.serve.forms import Site
from biomedica_assets.serve.ids import ArticleId, FigurePart, parse_article
from biomedica_assets.serve.models import Licence
from biomedica_assets.serve.problems import ProblemError, documented, invalid_at
from biomedica_assets.serve.state import State


def ask(state: State, make: Callable[[], SearchRequest], where: str = "query") -> SearchResponse:
    """Make the request of a question and answer it.

    Raises:
        RequestValidationError: the question cannot be put (422).
        ProblemError: 400 (query, cursor), 503 (no index).
    """
    try:
        asked = make()
    except ValidationError as error:
        raise invalid_at(where, error) from error
    searcher = state.search()
    try:
        with state.searching:
            return searcher.search(asked)
    except CursorError as error:
        raise ProblemError(400, "cursor", str(error)) from error
    except IndexMissingError as error:
        raise ProblemError(503, "no-index", str(error), {"Retry-After": "60"}) from error
    except (QueryError, FilterError) as error:
        raise ProblemError(400, "query", str(error)) from error


def answer(found: SearchResponse, site: Site) -> models.SearchAnswer:
    """An answer as the API gives it."""
    return models.SearchAnswer(
        hits=[hit(one, site) for one in found.hits],
        total=found.total,
        total_exact=found.total_exact,
        facets=_counts(found),
        next_cursor=found.next_cursor,
        mode=found.mode,
        generation=found.generation,
        warnings=found.warnings,
    )


def hit(found: Found, site: Site) -> models.Hit:
    """A hit as the API gives it."""
    card = found.card
    return models.Hit(
        figure_id=found.figure_id,
        article_id=found.article_id,
        pmcid=found.pmcid,
        score=found.score,
        figures=found.figures,
        label=card.get("label"),
        kind=card.get("kind"),
        caption=card.get("caption") or card.get("group_caption"),
        title=card.get("title"),
        journal=card.get("journal"),
        publication_date=card.get("date"),
        authors=card.get("authors"),
        licence=_licence(card.get("licence") or card.get("article_licence") or {}),
        attribution=card.get("attribution"),
        images=[_image(image, site) for image in card.get("images") or ()],
        entities=[models.HitEntity(**entity) for entity in card.get("entities") or ()],
        snippets={
            name: [models.Fragment(text=text, match=match) for text, match in pieces]
            for name, pieces in found.snippets.items()
        },
    )


def _image(row: Mapping[str, Any], site: Site) -> models.HitImage:
    url, thumbnail = None, None
    if site.served(row.get("licence_group")) and row.get("bytes") is not None:
        url, thumbnail = site.addresses(row["image_id"], row.get("sha256"), row.get("width"))
    return models.HitImage(
        url=url,
        thumbnail_url=thumbnail,
        licence=_licence({name: row.get(f"licence_{name}") for name in ("code", "version", "url", "group")}),
        **{name: row.get(name) for name in ("image_id", "media_type", "width", "height", "n_panels")},
    )


def _licence(card: Mapping[str, Any]) -> Licence:
    return Licence(**{name: card.get(name) for name in ("code", "version", "url", "group")})


def _counts(found: SearchResponse) -> dict[str, list[models.Count]]:
    return {
        name: [models.Count(value=str(value), count=count) for value, count in counts]
        for name, counts in found.facets.items()
    }


def router(state: State) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1", tags=["search"])

    @routes.get("/search", summary="Search figures and articles", responses=documented(400))
    def search(query: Annotated[models.SearchQuery, Query()]) -> models.SearchAnswer:
        """Without `q` and `like` it lists what the filters keep, newest publication first."""
        return answer(ask(state, query.request), state.site)

    @routes.post("/search", summary="Search, also by a picture", responses=documented(400, 413))
    def search_by_body(body: models.SearchBody) -> models.SearchAnswer:
        """The same, for long questions and for pictures."""
        return answer(ask(state, body.request, "body"), state.site)

    @routes.get(
        "/figures/{article_id}/{figure}/similar", summary="Figures like this one", responses=documented(400, 404, 410)
    )
    def similar(
        article_id: ArticleId, figure: FigurePart, query: Annotated[models.SimilarQuery, Query()]
    ) -> models.SearchAnswer:
        """By picture and caption, the most similar first."""
        state.locate(parse_article(article_id))
        return answer(ask(state, lambda: query.request(f"{article_id}/{figure}")), state.site)

    @routes.get("/facets", summary="Values of fields, with counts", responses=documented(400))
    def facets(query: Annotated[models.FacetQuery, Query()]) -> models.FacetAnswer:
        """Among the figures that the query and the filters keep."""
        found = ask(state, query.request)
        return models.FacetAnswer(total=found.total, facets=_counts(found), generation=found.generation)

    return routes
