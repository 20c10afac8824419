"""The gallery: pages rendered here, usable without scripts; the whole question stands in the address.

Pages show what the REST API answers, made by the same functions. What does not belong here: how texts are marked up
(`words`), the templates' look (``templates/``, ``static/``).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from fastapi import APIRouter, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from markupsafe import Markup, escape
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from biomedica_assets import __version__
from biomedica_assets.dataset.filters import MANY
from biomedica_assets.search.requests import SearchRequest
from biomedica_assets.serve import forms, words
from biomedica_assets.serve.api_search import answer, ask
from biomedica_assets.serve.ids import ArticleId, ArticleKey, FigurePart, figure_path, parse_article
from biomedica_assets.serve.labelling import labelling_on
from biomedica_assets.serve.problems import Problem, ProblemError, field_problems
from biomedica_assets.serve.search_models import SearchAnswer, SearchQuery
from biomedica_assets.serve.state import State
from biomedica_assets.serve.thumbnails import NoThumbnail, shrink

FACETS = {
    "licence": "Licence",
    "kind": "Kind of figure",
    "label": "Label",
    "panel_type": "Panel type",
    "article_type": "Article type",
    "journal": "Journal",
    "mesh": "MeSH",
    "paragraph_type": "Type of a citing paragraph",
    "paragraph_domain": "Domain of a citing paragraph",
    "media_type": "File type",
}
"""Facets of the sidebar, each also a filter of this name. Years have a chart of their own."""
ENTITIES = {
    "disease": "Diseases",
    "chemical": "Chemicals",
    "gene": "Genes and proteins",
    "species": "Species",
    "cell_line": "Cell lines",
    "cell_type": "Cell types",
    "tissue": "Anatomy",
}
"""Facets of what captions name: values of the filter ``entity``."""
COUNTED = (*FACETS, *ENTITIES, "year", "n_panels")
EXAMPLES = ("glomeruli", "histology stain", "survival curve", '"scale bar"', "retina OCT", "flow chart of patients")
PAGE = 24
_MANY = MANY | {"field", "facet"}
_NO_FILTERS = ("q", "like", "mode", "group", "cursor", "limit")
_HERE = Path(__file__).parent


class Question:
    """What the address asks. ``values`` are its parameters that a search knows, empty ones left out.

    Args:
        request: of the page; unknown parameters are ignored, as links collect them on the way.
    """

    def __init__(self, request: Request) -> None:
        known = SearchQuery.model_fields
        items = [(name, value.strip()) for name, value in request.query_params.multi_items() if name in known]
        self.items = [(name, value) for name, value in items if value]
        if self.one("q"):  # typed on a page of figures like another one: a new question
            self.items = [(name, value) for name, value in self.items if name != "like"]

    @property
    def values(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in self.items:
            if name in _MANY:
                found.setdefault(name, []).append(value)
            else:
                found[name] = value
        return found

    def one(self, name: str, default: str = "") -> str:
        """Value of a parameter that is given once."""
        return next((value for key, value in self.items if key == name), default)

    def chosen(self, name: str) -> set[str]:
        """Values of a parameter, lower case."""
        return {value.lower() for key, value in self.items if key == name}

    @property
    def filters(self) -> list[tuple[str, str]]:
        """Parameters that narrow the results."""
        return [(name, value) for name, value in self.items if name not in _NO_FILTERS]

    def address(self, *, without: tuple[str, str] | None = None, **changes: str | None) -> str:
        """The query of another address: this one with changes, from its first page."""
        items = [(name, value) for name, value in self.items if name not in changes and name != "cursor"]
        if without in items:
            items.remove(without)
        items += [(name, value) for name, value in changes.items() if value]
        return "?" + urlencode(items)


class Gallery:
    """The gallery over a state."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._root = state.site.root
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self._templates.globals.update(
            root=self._root,
            version=__version__,
            asset=self._asset,
            figure_path=figure_path,
            words=words,
            facets=FACETS,
            entity_facets=ENTITIES,
            examples=EXAMPLES,
            labelling=labelling_on(state.settings),
            search_ready=lambda: self._state.searcher is not None,
        )
        self._templates.filters["number"] = lambda value: "–" if value is None else f"{value:,}".replace(",", " ")
        self._templates.filters["code"] = _code
        self._hashes: dict[str, str] = {}

    def _asset(self, name: str) -> str:
        """Address of a static file, with a part of its hash so that browsers may keep it."""
        if name not in self._hashes:
            self._hashes[name] = hashlib.sha256((_HERE / "static" / name).read_bytes()).hexdigest()[:12]
        return f"{self._root}/static/{name}?v={self._hashes[name]}"

    def render(
        self, template: str, status: int = 200, headers: dict[str, str] | None = None, **context: Any
    ) -> Response:
        """A page."""
        text = self._templates.get_template(template).render(**context)
        return HTMLResponse(text, status, headers={"Cache-Control": "no-cache", **(headers or {})})

    def problem_page(self, problem: Problem, headers: dict[str, str]) -> Response:
        """The page of a problem."""
        return self.render("problem.html", problem.status, headers, problem=problem)

    # Search -----------------------------------------------------------------------------------------------------

    def search(self, request: Request) -> Response:
        """The page of an address, also when what it asks cannot be answered."""
        question = Question(request)

        def make() -> SearchRequest:
            return SearchQuery(**{"limit": PAGE, **question.values, "facet": list(COUNTED)}).request()

        return self._results(question, make)

    def search_by_image(self, data: bytes, request: Request) -> Response:
        """The page of pictures like an uploaded one. It has one page, since the picture is kept nowhere."""
        question = Question(request)
        try:
            small = shrink(data, 320, self._state.settings.max_pixels)
        except NoThumbnail as error:
            detail = f"this file is no picture that can be read: {error}. JPEG, PNG, GIF, TIFF, WebP and BMP can"
            return self._nothing(question, Problem(title="", status=400, detail=detail, reason="image"))
        picture = f"data:image/webp;base64,{base64.b64encode(small).decode()}"
        return self._results(question, partial(SearchRequest, image=data, limit=2 * PAGE), picture)

    def _results(self, question: Question, make: Callable[[], SearchRequest], picture: str = "") -> Response:
        try:
            found = answer(ask(self._state, make), self._state.site)
        except RequestValidationError as error:
            detail = "; ".join(f"{item.where.removeprefix('query.')}: {item.message}" for item in field_problems(error))
            return self._nothing(question, Problem(title="", status=422, detail=detail, reason="invalid"), picture)
        except ProblemError as error:
            problem = Problem(title="", status=error.status, detail=error.detail, reason=error.reason)
            return self._nothing(question, problem, picture)
        return self.render(
            "search.html",
            question=question,
            found=found,
            problem=None,
            picture=picture,
            years=year_chart(found),
            totals=self._totals() if not question.items and not picture else None,
        )

    def _nothing(self, question: Question, problem: Problem, picture: str = "") -> Response:
        return self.render(
            "search.html",
            problem.status,
            question=question,
            found=None,
            problem=problem,
            picture=picture,
            years=[],
            totals=None,
        )

    def _totals(self) -> dict[str, Any] | None:
        try:
            return self._state.statistics()
        except ProblemError:
            return None

    # Records ----------------------------------------------------------------------------------------------------

    def figure(self, article_id: str, part: str) -> Response:
        """A figure's page."""
        record, row = self._state.figure(parse_article(article_id), part)
        figure = forms.figure(record, row, self._state.site)
        siblings = [one.row["figure_id"] for one in record.figures]
        here = siblings.index(figure.figure_id)
        parts = words.caption(figure)
        return self.render(
            "figure.html",
            figure=figure,
            parts=parts,
            others=words.unclaimed(figure, parts),
            paragraphs=words.paragraphs(figure.mentions),
            similar=self._similar(figure.figure_id),
            before=siblings[here - 1] if here else None,
            after=siblings[here + 1] if here + 1 < len(siblings) else None,
        )

    def _similar(self, figure_id: str) -> SearchAnswer | None:
        """Figures like this one; the page does without when they cannot be had."""
        try:
            return answer(ask(self._state, lambda: SearchRequest(like=figure_id, limit=8)), self._state.site)
        except (ProblemError, RequestValidationError):
            return None

    def article(self, key: str) -> Response:
        """An article's page."""
        record = self._state.article(parse_article(key))
        return self.render("article.html", article=forms.article(record, self._state.site))

    def numbers(self) -> Response:
        """The dataset in numbers."""
        return self.render("numbers.html", statistics=self._state.statistics(), subsets=self._state.subsets())

    def api(self, request: Request) -> Response:
        """The API described, from its OpenAPI document."""
        origin = f"{request.url.scheme}://{request.url.netloc}"
        return self.render("api.html", document=request.app.openapi(), origin=origin)

    def router(self) -> APIRouter:
        """The routes of the pages: not part of the API's description."""
        routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

        @routes.get("/")
        def search(request: Request) -> Response:
            return self.search(request)

        @routes.post("/by-image")
        async def by_image(request: Request, image: UploadFile) -> Response:
            data = await image.read()
            return await run_in_threadpool(self.search_by_image, data, request)

        @routes.get("/figures/{article_id}/{figure}")
        def figure(article_id: ArticleId, figure: FigurePart) -> Response:
            return self.figure(article_id, figure)

        @routes.get("/articles/{article}")
        def article(article: ArticleKey) -> Response:
            return self.article(article)

        @routes.get("/numbers")
        def numbers() -> Response:
            return self.numbers()

        @routes.get("/api")
        def api(request: Request) -> Response:
            return self.api(request)

        return routes


def _code(text: str) -> Markup:
    """What stands between backticks in a message as code."""
    pieces = [escape(piece) for piece in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(p) if n % 2 else p for n, p in enumerate(pieces))


def year_chart(found: SearchAnswer) -> list[dict[str, Any]]:
    """Years with their counts, from the first to the last, and heights from 1 to 100 for a chart of bars."""
    counts = {int(one.value): one.count for one in found.facets.get("year", ()) if one.value.isdigit()}
    if not counts:
        return []
    most = max(counts.values())
    first, last = max(min(counts), max(counts) - 60), max(counts)
    return [
        {"year": year, "count": counts.get(year, 0), "height": -(-100 * counts.get(year, 0) // most)}
        for year in range(first, last + 1)
    ]
