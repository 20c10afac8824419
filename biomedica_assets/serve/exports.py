"""REST: finished exports, their shards with HTTP Range, so that `webdataset` and Parquet readers take the addresses.

Archive shards are never served: they may hold what is withdrawn. What does not belong here: streams (`streams`).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from biomedica_assets.dataset.export_manifest import Export, ExportShard
from biomedica_assets.serve.problems import ProblemError, documented
from biomedica_assets.serve.ranges import serve_bytes
from biomedica_assets.serve.state import State
from biomedica_assets.store.files import Files
from biomedica_assets.store.shards import read_span
from biomedica_assets.streaming.exported import Exports, shard_of

Name = Annotated[str, Path(pattern="^[a-z][a-z0-9_]{0,62}$", description="the subset's name")]
Folder = Annotated[str, Path(pattern="^[a-z]{1,20}-[0-9a-f]{16}$", description="format and id of the export")]
File = Annotated[str, Path(pattern="^[0-9]{6,9}\\.(tar|parquet)$", description="a shard that the export lists")]

_KINDS = {"tar": "application/x-tar", "parquet": "application/vnd.apache.parquet"}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "the file", "content": {kind: {} for kind in _KINDS.values()}},
    206: {"description": "the range asked for", "content": {kind: {} for kind in _KINDS.values()}},
    304: {"description": "not changed"},
}


class ExportedShard(BaseModel):
    """One file of an export."""

    url: str | None = Field(description="its address; null while it holds something withdrawn")
    bytes: int
    sha256: str
    samples: int
    withdrawn: int = Field(description="images in it that are withdrawn since; until it is rebuilt it is not served")


class ExportSummary(BaseModel):
    """An export in a list."""

    name: str = Field(description="the subset")
    folder: str = Field(description="format and id")
    format: str
    samples: int
    bytes: int
    url: str = Field(description="address of its shards' list")


class ExportList(BaseModel):
    """Finished exports."""

    exports: list[ExportSummary]


class ExportDetails(ExportSummary):
    """An export with its shards."""

    licence_groups: list[str]
    tombstones: list[str] = Field(description="image ids to drop for whoever copied an earlier state")
    shards: list[ExportedShard]


def router(state: State) -> APIRouter:
    """The routes, to be included by those of streams."""
    settings = state.settings
    target = Files(settings.exports) if settings.exports else state.files
    exports = Exports(state.files, target, settings.served_groups)
    routes = APIRouter()

    def find(name: str, folder: str) -> Export:
        try:
            record = exports.read(name, folder)
        except FileNotFoundError:
            raise ProblemError(404, "unknown", f"there is no finished export {name}/{folder}") from None
        if not exports.served(record):
            raise ProblemError(404, "licence", f"the export {name}/{folder} has licences that are not served here")
        return record

    def summary(record: Export) -> ExportSummary:
        folder = record.folder.rpartition("/")[2]
        return ExportSummary(
            name=record.name,
            folder=folder,
            format=record.options["format"],
            samples=record.counts["samples"],
            bytes=record.counts["bytes"],
            url=f"{state.site.root}/v1/exports/{record.name}/{folder}",
        )

    @routes.get("/exports", summary="Finished exports", responses=documented())
    def listed() -> ExportList:
        """Subsets written as files, for those who copy rather than stream."""
        return ExportList(exports=[summary(record) for record in exports.list()])

    @routes.get("/exports/{name}/{folder}", summary="An export and its shards", responses=documented(404))
    def details(name: Name, folder: Folder) -> ExportDetails:
        """Addresses, lengths and hashes of its files."""
        record = find(name, folder)
        found, dirty = summary(record), exports.withdrawn(record)
        shards = [
            ExportedShard(
                url=None if shard.number in dirty else f"{found.url}/{shard.path.rpartition('/')[2]}",
                bytes=shard.bytes,
                sha256=shard.sha256,
                samples=shard.samples,
                withdrawn=dirty.get(shard.number, 0),
            )
            for shard in record.shards
        ]
        return ExportDetails(
            **found.model_dump(),
            licence_groups=list(record.recipe["licence_groups"]),
            tombstones=record.tombstones,
            shards=shards,
        )

    def shard_to_serve(name: str, folder: str, file: str) -> tuple[Export, ExportShard]:
        record = find(name, folder)
        shard = shard_of(record, file)
        if shard is None:
            raise ProblemError(404, "unknown", f"the export {name}/{folder} lists no file {file}")
        if count := exports.withdrawn(record).get(shard.number, 0):
            detail = (
                f"{count} images in this file have been withdrawn: it is served again once the export is rebuilt; "
                f"/v1/stream?subset={name} leaves them out at once"
            )
            raise ProblemError(410, "withdrawn", detail)
        path = f"{record.folder}/{shard.path}"
        try:
            whole = target.size(path) == shard.bytes
        except FileNotFoundError:
            whole = False
        if not whole:
            raise ProblemError(503, "rebuilding", "this file is being replaced; try again", {"Retry-After": "10"})
        return record, shard

    @routes.head("/exports/{name}/{folder}/{file}", include_in_schema=False)
    @routes.get(
        "/exports/{name}/{folder}/{file}",
        summary="A shard of an export",
        response_class=Response,
        responses=_FILE | documented(404, 410, 416),
    )
    async def shard(request: Request, name: Name, folder: Folder, file: File) -> Response:
        """Answers Range, If-Range and If-None-Match; `{000000..000012}.tar` is an address for `webdataset`."""
        record, found = await run_in_threadpool(shard_to_serve, name, folder, file)
        path = f"{record.folder}/{found.path}"
        return await serve_bytes(
            request,
            lambda offset, length: read_span(target, path, offset, length),
            size=found.bytes,
            etag=f'"{found.sha256[:32]}"',
            media_type=_KINDS[file.rpartition(".")[2]],
            headers={"Cache-Control": "no-cache"},
        )

    return routes
