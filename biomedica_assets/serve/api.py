"""REST: figures, images, articles, subsets, labels, statistics, health, metrics.

What does not belong here: search (`api_search`), streams (`streams`), pages (`gallery`).
"""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from biomedica_assets.images.probe import EXTENSIONS
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
        v: Version = None,
    ) -> Response:
        """The original bytes, read from the archive shard. Answers Range, If-Range and If-None-Match."""
        row = await run_in_threadpool(state.image, parse_article(article_id), figure, ordinal)
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
                "Cache-Control": _caching(state, row, v),
                "Content-Disposition": _disposition(row, media_type),
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
        v: Version = None,
    ) -> Response:
        """White where the original is transparent, 8 bits a channel, first frame or page."""
        row = state.image(parse_article(article_id), figure, ordinal)
        etag = f'"{row["sha256"][:32]}-{size}"'
        headers = {**_ISOLATED, "ETag": etag, "Cache-Control": _caching(state, row, v), **_shared(state)}
        if names(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        try:
            data = state.thumbnails.get(row["sha256"], size, partial(read_image, state, row, 0, row["bytes"]))
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


def _caching(state: State, row: Row, version: str | None) -> str:
    """An address that names the bytes may be kept; a day by default, since what is withdrawn lives on in caches."""
    if version and row["sha256"].startswith(version):
        return f"public, max-age={state.settings.image_cache_seconds}, immutable"
    return "public, no-cache"


def _disposition(row: Row, media_type: str) -> str:
    """A file name of our own making, from the id: ASCII letters, digits and ``_.-`` only."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", row["image_id"])[-120:].lstrip(".")
    kind = "inline" if media_type in SHOWN else "attachment"
    return f'{kind}; filename="{name}.{EXTENSIONS.get(media_type, "bin")}"'


def _shared(state: State) -> dict[str, str]:
    """Other sites' pages may show pictures only where the operator named origins."""
    return {"Cross-Origin-Resource-Policy": "cross-origin" if state.settings.serve_origins else "same-origin"}
