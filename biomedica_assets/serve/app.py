"""The web server's app, put together: gate, REST, streams, gallery. Everything it shows is in the store.

``uvicorn --factory biomedica_assets.serve.app:create_app`` runs it with the settings of the environment; any number of
processes may. What does not belong here: what a route does.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from biomedica_assets import __version__
from biomedica_assets.serve import api, api_search, labelling_api, logs, openai_tools, streams
from biomedica_assets.serve.gallery import Gallery
from biomedica_assets.serve.labelling import Desk
from biomedica_assets.serve.labelling_pages import LabellingPages
from biomedica_assets.serve.limits import Gate, listed
from biomedica_assets.serve.mcp_server import McpEndpoint
from biomedica_assets.serve.metrics import Metrics
from biomedica_assets.serve.observe import Observe
from biomedica_assets.serve.problems import Problems
from biomedica_assets.serve.state import State
from biomedica_assets.settings import Settings

STATIC = Path(__file__).with_name("static")
_THREADS = 8
"""Of the work of requests, per process: more only wait for each other, and keep the loop that refuses waiting."""
_SWITCH_SECONDS = 0.0005
"""After which a thread at work lets others have the interpreter; with Python's 5 ms, a full server refuses late."""
_CONDITIONS = ("Range", "If-Match", "If-None-Match", "If-Range")
"""Headers that other sites' pages may send besides, to take a transfer up where it was cut."""
_TOLD = (
    *("Accept-Ranges", "Content-Disposition", "Content-Range", "ETag", "Retry-After", "X-Request-ID"),
    *("Biomedica-Cursor", "Biomedica-Samples", "Biomedica-State"),
)
"""Headers of answers that other sites' pages may read; browsers hide all but a few others."""
_DESCRIPTION = """
Figures of PubMed Central's Open Access articles: search, records, original images, thumbnails, streams.

Ids: an article version is `PMC11370360.1`; a figure `PMC11370360.1/F1`; an image `PMC11370360.1/F1/1`. In addresses
their slashes separate segments. A figure's part of the id may hold `%` (an escaped XML id), to be written `%25`.

Every image has a licence of its own. `attribution` is the line to be printed with it.
"""
_TAGS = [
    {"name": "search", "description": "find figures and articles"},
    {"name": "figures", "description": "records of figures"},
    {"name": "images", "description": "bytes of images"},
    {"name": "articles", "description": "records of articles"},
    {"name": "stream", "description": "many images as one WebDataset"},
    {"name": "tools", "description": "for chat agents"},
    {"name": "labelling", "description": "votes of annotators on concepts and images"},
    {"name": "dataset", "description": "what there is"},
    {"name": "operation", "description": "for operators"},
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """The app over the store that the settings name. Nothing is read before its lifespan begins.

    Raises:
        KeysError, OSError: the file of keys cannot be used.
    """
    settings = settings or Settings()
    metrics = Metrics()
    state = State(settings, metrics)
    gallery = Gallery(state)
    desk = Desk(state)
    agents = McpEndpoint(state)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        logs.configure()
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        sys.setswitchinterval(_SWITCH_SECONDS)
        await anyio.to_thread.run_sync(state.start)
        try:
            async with agents.running():
                yield
        finally:
            await anyio.to_thread.run_sync(state.close)

    app = FastAPI(
        title="biomedica_assets",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        openapi_tags=_TAGS,
        docs_url=None,  # both load scripts from elsewhere; the gallery has a page about the API
        redoc_url=None,
        lifespan=lifespan,
        license_info={"name": "MIT (this software); every image has its own licence"},
    )
    app.state.biomedica, app.state.desk = state, desk
    for room in (api, api_search, streams, openai_tools):
        app.include_router(room.router(state))
    app.include_router(labelling_api.router(desk))
    app.router.routes.append(agents.route())
    app.mount("/static", _Static(directory=STATIC), name="static")
    app.include_router(LabellingPages(state, desk, gallery).router())
    app.include_router(gallery.router())
    problems = Problems(gallery.problem_page, state.site.root)
    problems.install(app)
    if state.site.root:
        app.add_middleware(_Mounted, root=state.site.root)
    app.add_middleware(Gate, settings=settings, metrics=metrics, problems=problems)
    if origins := listed(settings.serve_origins):
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type", *_CONDITIONS],
            expose_headers=_TOLD,
        )
    app.add_middleware(Observe, metrics=metrics)
    return app


class _Mounted:
    """The proxy strips the path that the server is mounted at; applications expect it in front, by ASGI's rules."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self._app, self._root = app, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["root_path"] = self._root
            scope["path"] = self._root + scope["path"]
            scope["raw_path"] = self._root.encode() + (scope.get("raw_path") or b"")
        await self._app(scope, receive, send)


class _Static(StaticFiles):
    """Files of the pages. An address that names a version may be kept for ever: another version has another address."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        kept = "public, max-age=31536000, immutable" if b"v=" in scope["query_string"] else "no-cache"
        response.headers["Cache-Control"] = kept
        return response
