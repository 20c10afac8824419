"""REST: figures, images, articles, subsets, labels, statistics, health, metrics.

What does not belong here: search (`api_search`), streams (`streams`), pages (`gallery`).
"""

from __future__ import annotations

import re
import threading
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from biomedica_assets.images.crops import crop, crop_media_type
from biomedica_assets.images.probe import EXTENSIONS, ImageError
from biomedica_assets.schemas import Row
from biomedica_assets.serve import forms, models
from biomedica_assets.serve.ids import ArticleId, ArticleKey, FigurePart, Ordinal, parse_article
from biomedica_assets.serve.metrics import CONTENT_TYPE
from biomedica_assets.serve.problems import ProblemError, documented
from biomedica_assets.serve.ranges import names, serve_bytes
from biomedica_assets.serve.state import NO_CATALOGUE, State
from biomedica_assets.serve.thumbnails import MEDIA_TYPE, NoThumbnail, Size
from biomedica_assets.store.shards import SpanError, read_span

SHOWN = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
"""Media types that browsers show; the others are offered for download."""

Version = Annotated[
    str | None, Query(pattern="^[0-9a-f]{0,64}$", description="start of its SHA-256: lets caches keep it")
]
PanelNumber = Annotated[
    int | None, Query(ge=1, le=9999, description="this panel alone, cut from the image; counted in reading order")
]
Side = Annotated[Size, Query(description="longest side in pixels; smaller images keep theirs")]

_Responses = dict[int | str, dict[str, Any]]
_BYTES: dict[str, Any] = {"description": "the bytes", "content": {media_type: {} for media_type in sorted(EXTENSIONS)}}
_ISOLATED = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}
_PARTIAL = {"description": "the part asked for", "content": _BYTES["content"]}
_UNCHANGED = {"description": "not changed"}
_IMAGE: _Responses = {200: _BYTES, 206: _PARTIAL, 304: _UNCHANGED}
_THUMBNAIL: _Responses = {200: {"description": "WebP", "content": {MEDIA_TYPE: {}}}, 304: _UNCHANGED}
_TEXT: _Responses = {200: {"description": "Prometheus' text format", "content": {"text/plain": {}}}}


def router(state: State) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1")

    @routes.get(
        "/figures/{article_id}/{figure}",
        tags=["figures"],
        summary="A figure: caption, mentions, images, licence",
        responses=documented(404, 410),
    )
    def figure(article_id: ArticleId, figure: FigurePart) -> models.Figure:
        """Everything known of one figure. Its id is `article_id/figure`."""
        record, found = state.figure(parse_article(article_id), figure)
        return forms.figure(record, found, state.site)

    @routes.head("/images/{article_id}/{figure}/{ordinal}", include_in_schema=False)
    @routes.get(
        "/images/{article_id}/{figure}/{ordinal}",
        tags=["images"],
        summary="An image as published",
        response_class=Response,
        responses=_IMAGE | documented(404, 410, 416),
    )
    async def image(
        request: Request,
        article_id: ArticleId,
        figure: FigurePart,
        ordinal: Ordinal,
        panel: PanelNumber = None,
        v: Version = None,
    ) -> Response:
        """The original bytes, read from the archive shard. Answers Range, If-Range and If-None-Match.

        With `panel`, a panel of it as a file of its own: JPEG from a JPEG, PNG from all else.
        """
        row = await run_in_threadpool(state.image, parse_article(article_id), figure, ordinal)
        if panel is not None:
            return await run_in_threadpool(_panel, state, request, row, panel, v)
        media_type = row["media_type"] or "application/octet-stream"

        def read(offset: int, length: int) -> bytes:
            return read_image(state, row, offset, length)

        return await serve_bytes(
            request,
            read,
            size=row["bytes"],
            etag=f'"{row["sha256"]}"',
            media_type=media_type,
            headers={
                **_ISOLATED,
                "Cache-Control": _caching(state, row["sha256"], v),
                "Content-Disposition": _disposition(row["image_id"], media_type),
                **_shared(state),
            },
        )

    @routes.get(
        "/images/{article_id}/{figure}/{ordinal}/thumbnail",
        tags=["images"],
        summary="A small WebP of an image",
        response_class=Response,
        responses=_THUMBNAIL | documented(404, 410),
    )
    def thumbnail(
        request: Request,
        article_id: ArticleId,
        figure: FigurePart,
        ordinal: Ordinal,
        size: Side = 320,
        panel: PanelNumber = None,
        v: Version = None,
    ) -> Response:
        """White where the original is transparent, 8 bits a channel, first frame or page."""
        row = state.image(parse_article(article_id), figure, ordinal)
        name, read = row["sha256"], partial(read_image, state, row, 0, row["bytes"])
        if panel is not None:
            found = state.panel(row, panel)
            name, read = forms.panel_version(found), partial(_cut, state, row, found)
        etag = f'"{name[:32]}-{size}"'
        headers = {**_ISOLATED, "ETag": etag, "Cache-Control": _caching(state, name, v), **_shared(state)}
        if names(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        try:
            data = state.thumbnails.get(name, size, read)
        except NoThumbnail as error:
            raise ProblemError(404, "not-decodable", f"{row['image_id']} cannot be decoded: {error}") from error
        return Response(data, media_type=MEDIA_TYPE, headers=headers)

    @routes.get(
        "/articles/{article}",
        tags=["articles"],
        summary="An article: metadata, licence, figures",
        responses=documented(404, 410),
    )
    def article(article: ArticleKey) -> models.Article:
        """By PMCID (its current version) or article version."""
        return forms.article(state.article(parse_article(article)), state.site)

    @routes.get("/subsets", tags=["dataset"], summary="Named selections of images", responses=documented())
    def subsets() -> models.Subsets:
        """Subsets that recipes have made of this dataset; their exports are WebDatasets, Parquet or JSON lines."""
        return models.Subsets(subsets=[forms.subset(found) for found in state.subsets()])

    @routes.get("/labels", tags=["dataset"], summary="Labels of images", responses=documented())
    def labels() -> models.Labels:
        """Labels with their numbers of images, most frequent first, those above others included.

        As computed with the newest statistics; none until images are annotated.
        """
        return models.Labels(labels=[models.Label(label=label, images=images) for label, images in state.labels()])

    @routes.get("/statistics", tags=["dataset"], summary="The dataset in numbers", responses=documented())
    def statistics() -> models.Statistics:
        """As computed with the newest catalogue."""
        return models.Statistics(**state.statistics())

    @routes.get("/health/live", tags=["operation"], summary="Whether the process answers")
    async def live() -> models.Health:
        """For whoever restarts processes."""
        return models.Health(status="live")

    @routes.get("/health/ready", tags=["operation"], summary="Whether it can serve", responses=documented())
    async def ready() -> models.Health:
        """For load balancers: 503 before the first catalogue."""
        generation = state.view.generation
        if generation is None:
            raise ProblemError(503, "no-catalogue", NO_CATALOGUE, {"Retry-After": "60"})
        newest = max(generation.releases, default=None)
        return models.Health(status="ready", catalogue=newest, search=state.searcher is not None)

    @routes.get(
        "/metrics",
        tags=["operation"],
        summary="Metrics for Prometheus",
        response_class=Response,
        responses=_TEXT | documented(),
    )
    def metrics() -> Response:
        """Over all processes of this server."""
        return Response(state.metrics.text(), media_type=CONTENT_TYPE)

    return routes


def read_image(state: State, row: Row, offset: int, length: int) -> bytes:
    """Bytes of an image's file in its shard. Raises ProblemError 503 when the shard is not there or too short."""
    try:
        return read_span(state.files, row["shard"], row["image_offset"] + offset, length)
    except (FileNotFoundError, SpanError) as error:
        # Compaction has moved it since this process last looked: the next look will know.
        detail = f"the bytes of {row['image_id']} are not where they were; try again"
        headers = {"Retry-After": str(round(state.settings.serve_refresh_seconds))}
        raise ProblemError(503, "moved", detail, headers) from error


_cutting = threading.Semaphore(2)  # decoded images in memory per process: 50 million pixels are 150 MB


def _cut(state: State, row: Row, panel: Row) -> bytes:
    """A panel as a file of its own. Raises ProblemError 404 when the image cannot be decoded, and as `read_image`."""
    data = read_image(state, row, 0, row["bytes"])
    try:
        with _cutting:
            return crop(data, forms.panel_box(panel), max_pixels=state.settings.max_pixels)
    except (ImageError, ValueError) as error:
        raise ProblemError(404, "not-decodable", f"{panel['panel_id']} cannot be cut: {error}") from error


def _panel(state: State, request: Request, row: Row, number: int, version: str | None) -> Response:
    """The answer to a request for one panel."""
    panel = state.panel(row, number)
    name, media_type = forms.panel_version(panel), crop_media_type(row["media_type"])
    headers = {
        **_ISOLATED,
        "ETag": f'"{name}"',
        "Cache-Control": _caching(state, name, version),
        "Content-Disposition": _disposition(panel["panel_id"], media_type),
        **_shared(state),
    }
    if names(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(_cut(state, row, panel), headers=headers, media_type=media_type)


def _caching(state: State, name: str, version: str | None) -> str:
    """An address that names the bytes may be kept; a day by default, since what is withdrawn lives on in caches."""
    if version and name.startswith(version):
        return f"public, max-age={state.settings.image_cache_seconds}, immutable"
    return "public, no-cache"


def _disposition(identifier: str, media_type: str) -> str:
    """A file name of our own making, from the id: ASCII letters, digits and ``_.-`` only."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", identifier)[-120:].lstrip(".")
    kind = "inline" if media_type in SHOWN else "attachment"
    return f'{kind}; filename="{name}.{EXTENSIONS.get(media_type, "bin")}"'


def _shared(state: State) -> dict[str, str]:
    """Other sites' pages may show pictures only where the operator named origins."""
    return {"Cross-Origin-Resource-Policy": "cross-origin" if state.settings.serve_origins else "same-origin"}
