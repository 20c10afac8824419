"""REST: streams of filtered, shuffled samples as WebDataset tars, and what a stream would be.

What does not belong here: which bytes a stream has (the room `streaming`), finished exports (`exports`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from prometheus_client import Gauge
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from biomedica_assets.dataset.filters import Filters
from biomedica_assets.serve import exports
from biomedica_assets.serve.problems import MEDIA_TYPE, Problem, ProblemError, documented
from biomedica_assets.serve.ranges import names, requested_part
from biomedica_assets.serve.search_models import FilterQuery, filters_of
from biomedica_assets.serve.state import State
from biomedica_assets.store.files import TransientIOError
from biomedica_assets.store.shards import SpanError
from biomedica_assets.streaming.cursor import MAX_LENGTH, CursorError
from biomedica_assets.streaming.plan import Part
from biomedica_assets.streaming.planner import AnyTar, Planner, WithdrawnError
from biomedica_assets.streaming.reading import Block, open_source
from biomedica_assets.streaming.selection import StateGoneError, StreamError, StreamUnit

_log = logging.getLogger(__name__)
_THREADS, _PLANNERS = 8, 4
_LOOK_SECONDS = 15.0  # how often a running stream asks whether something of its rest has been withdrawn
_FRESH_SECONDS = 5.0
_REMOTE_BATCH = 8 << 20
_T = TypeVar("_T")


class StreamQuery(FilterQuery, Part):
    """What to stream: filters as in a search, then which part of which epoch. A cursor says all of it by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subset: str | None = Field(None, max_length=63, description="only images of this subset")
    snapshot: str | None = Field(None, max_length=100, description="a snapshot instead of the newest state")
    state: str | None = Field(None, pattern="^[0-9a-f]{16}$", description="id of a state, as a plan gives it")
    unit: StreamUnit = Field("image", description="panel: crops of panels that have a text of their own")
    cursor: str | None = Field(
        None, max_length=MAX_LENGTH, description="where to go on; then nothing else may be given"
    )

    @property
    def filters(self) -> Filters:
        """The filters alone."""
        return filters_of(self)

    @property
    def part(self) -> Part:
        """Epoch and part alone."""
        return Part(**{name: getattr(self, name) for name in Part.model_fields})


class PlanQuery(StreamQuery):
    """As for a stream."""

    offset: int = Field(
        0,
        ge=0,
        lt=2**60,
        description="a byte of the stream, of panels the number of a sample: the cursor goes on there",
    )


class StreamPlan(BaseModel):
    """What a stream with these parameters sends."""

    state: str = Field(description="the state of the dataset; name it to get the same again")
    samples: int = Field(description="samples that are sent")
    bytes: int | None = Field(description="length of the tar; null for panels, which are cut as they are sent")
    checksum: str | None = Field(description="SHA-256 over the first 8 bytes of each image's SHA-256, in order")
    etag: str | None = Field(description="names the bytes of the tar")
    cursor: str = Field(description="this stream from `offset` on")
    url: str = Field(description="address of that")


class WithdrawnProblem(Problem):
    """Something was withdrawn: the cursor goes on without it."""

    cursor: str


def router(state: State) -> APIRouter:
    """The routes."""
    streams = _Streams(state)
    routes = APIRouter(prefix="/v1", tags=["stream"])
    tar: dict[str, Any] = {"content": {"application/x-tar": {}}}
    refusals: dict[int | str, dict[str, Any]] = {
        **documented(400),
        410: documented(410)[410] | {"description": "the state is not kept any more: begin a new epoch"},
        412: {
            "description": "withdrawn meanwhile: go on with `cursor`",
            "model": WithdrawnProblem,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/WithdrawnProblem"}}},
        },
    }
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "a tar that `webdataset` reads", **tar},
        206: {"description": "the range asked for", **tar},
        304: {"description": "not changed"},
        **documented(416),
        **refusals,
    }

    @routes.head("/stream", include_in_schema=False)
    @routes.get("/stream", summary="Samples as a WebDataset tar", response_class=Response, responses=answers)
    async def stream(request: Request, query: Annotated[StreamQuery, Query()]) -> Response:
        """Samples in an order that seed and epoch decide, made while it is read.

        The header `Biomedica-Cursor` pins what is sent. With it as `cursor`, and Range, a cut transfer goes on at any
        byte; without a cursor, Range needs If-Range or If-Match, since the dataset may have gone on. The last member,
        `__end__`, says how many samples there were: a tar without it is cut. Streams of panels have no length and no
        ranges: they go on by cursor, `/v1/streams/plan` gives one for any number of samples.
        """
        return await streams.answer(request, query)

    @routes.get("/streams/plan", summary="What a stream would be", response_model=StreamPlan, responses=refusals)
    def plan(query: Annotated[PlanQuery, Query()]) -> Any:
        """Counts, bytes and a cursor, without reading an image."""
        try:
            found = streams.find(query)
        except WithdrawnError as error:
            return _withdrawn(error)
        cursor = streams.planner.cursor_at(found, query.offset).encode()
        return StreamPlan(
            state=found.cursor.state,
            samples=len(found.plan),
            bytes=found.size,
            checksum=found.plan.checksum() if found.size is not None else None,
            etag=found.etag,
            cursor=cursor,
            url=f"{state.site.root}/v1/stream?cursor={cursor}",
        )

    routes.include_router(exports.router(state))
    return routes


class _Streams:
    """The streams of one process."""

    def __init__(self, state: State) -> None:
        settings = state.settings
        self.planner = Planner(
            state.files,
            settings.served_groups,
            cache_bytes=settings.stream_cache_bytes,
            refresh_seconds=min(_FRESH_SECONDS, settings.serve_refresh_seconds),
        )
        self._source = open_source(state.files, batch_bytes=_REMOTE_BATCH)
        self._most, self._stall = settings.serve_streams, settings.stream_stall_seconds
        # Threads of their own: a slow disk must not take those that answer searches.
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="stream")
        self._planning = ThreadPoolExecutor(_PLANNERS, thread_name_prefix="plan")
        self._under_way = 0
        self._gauge = Gauge(
            "biomedica_streams", "Streams under way", multiprocess_mode="livesum", registry=state.metrics.registry
        )

    def find(self, query: StreamQuery) -> AnyTar:
        """The stream asked for. Raises ProblemError."""
        try:
            if query.cursor is None:
                return self.planner.begin(
                    query.part,
                    query.filters,
                    subset=query.subset,
                    snapshot=query.snapshot,
                    state=query.state,
                    unit=query.unit,
                )
            if extra := query.model_fields_set - {"cursor", "offset"}:
                names = ", ".join(sorted(extra))
                raise ProblemError(400, "cursor", f"a cursor says all by itself: leave out {names}")
            return self.planner.resume(query.cursor)
        except WithdrawnError:
            raise
        except CursorError as error:
            raise ProblemError(400, "cursor", str(error)) from error
        except StateGoneError as error:
            raise ProblemError(410, "state-gone", str(error)) from error
        except StreamError as error:
            raise ProblemError(400, "stream", str(error)) from error

    def _measured(self, query: StreamQuery) -> AnyTar:
        """The stream asked for, its length and tag worked out: too long a reckoning for the event loop."""
        tar = self.find(query)
        _ = tar.etag, tar.size
        return tar

    async def answer(self, request: Request, query: StreamQuery) -> Response:
        """The response to GET or HEAD."""
        if self._under_way >= self._most:
            detail = f"{self._most} streams are under way in this process, as many as it takes; try again"
            raise ProblemError(503, "overload", detail, {"Retry-After": "10"})
        held = _Held(self)
        try:
            answer = await self._answer(request, query, held)
        except WithdrawnError as error:
            answer = _withdrawn(error)
        except BaseException:
            held.release()
            raise
        if not isinstance(answer, StreamingResponse):
            held.release()
        return answer

    async def _answer(self, request: Request, query: StreamQuery, held: _Held) -> Response:
        tar = await self.run(lambda: self._measured(query), self._planning)
        headers = {
            "Cache-Control": "no-store",
            "Biomedica-State": tar.cursor.state,
            "Biomedica-Samples": str(len(tar.plan)),
            "Biomedica-Cursor": tar.cursor.encode(),
        }
        if tar.size is None:
            if query.cursor is not None:
                await self.run(lambda: self.planner.check(tar), self._planning)
            return await self._send(request, held, tar, 0, None, 200, {**headers, "Accept-Ranges": "none"})
        etag = f'"{tar.etag}"'
        headers |= {"ETag": etag, "Accept-Ranges": "bytes"}
        asked = request.headers
        if (match := asked.get("if-match")) and match.strip() != "*" and etag not in map(str.strip, match.split(",")):
            detail = "these are other bytes than If-Match names: go on with the cursor of the stream that you began"
            raise ProblemError(412, "changed", detail)
        # Without a cursor, the same address may mean other bytes tomorrow: a bare Range would splice two streams.
        condition = asked.get("if-range")
        pinned = query.cursor is not None or match is not None
        part = None
        if condition.strip() == etag if condition else pinned:
            part = requested_part(asked.get("range"), tar.size)
        first, length = part or (0, tar.size)
        if query.cursor is not None:
            await self.run(lambda: self.planner.check(tar, first), self._planning)
        if part:
            headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{tar.size}"
        elif names(asked.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        headers["Content-Length"] = str(length)
        return await self._send(request, held, tar, first, first + length, 206 if part else 200, headers)

    async def _send(
        self,
        request: Request,
        held: _Held,
        tar: AnyTar,
        first: int,
        last: int | None,
        status: int,
        headers: dict[str, str],
    ) -> Response:
        """The answer with the stream from one of its places to another."""
        if request.method == "HEAD":
            answer = Response(status_code=status, headers=headers, media_type="application/x-tar")
            if tar.size is None:
                del answer.headers["Content-Length"]  # of this empty body, not of the stream
            return answer
        blocks: Iterator[Block] = tar.read(self._source, first, last)
        # The first block is read before anything is sent: what the store does not hold is still an error then.
        block = await self.run(lambda: _first(blocks))
        body = _Body(self, held, tar, first, block, blocks)
        return _TarResponse(body, status, headers, "application/x-tar", stall=self._stall)

    def count(self, more: int) -> None:
        """So many streams more are under way."""
        self._under_way += more
        self._gauge.inc(more)

    def close(self, blocks: Iterator[Block]) -> None:
        """Let go of the files and connections of blocks that nobody takes any more."""
        self._pool.submit(blocks.close)  # type: ignore[attr-defined]

    async def run(self, work: Callable[[], _T], pool: ThreadPoolExecutor | None = None) -> _T:
        """Let a thread work, one that reads blocks unless another pool is given."""
        # Shielded: a thread cannot be stopped, and who waits for its end must not learn of it too early.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(pool or self._pool, work))


class _Held:
    """A place among the streams under way, given back once."""

    def __init__(self, streams: _Streams) -> None:
        self._streams: _Streams | None = streams
        streams.count(1)

    def release(self) -> None:
        if self._streams:
            self._streams.count(-1)
            self._streams = None


class _Cut(Exception):  # noqa: N818 - no error: the end of a stream that must not look like its end
    pass


class _Body:
    """The blocks of a stream, each read while the one before is sent: one waits, and one is under way."""

    def __init__(
        self, streams: _Streams, held: _Held, tar: AnyTar, first: int, block: Block | None, blocks: Iterator[Block]
    ) -> None:
        self._streams, self._held = streams, held
        self._tar, self._first, self._block, self._blocks = tar, first, block, blocks
        self._following: asyncio.Future[Block | None] | None = None

    async def __aiter__(self) -> AsyncIterator[Block]:
        run, planner = self._streams.run, self._streams.planner
        block, sent, looked = self._block, self._first, time.monotonic()
        self._block = None
        try:
            while block is not None:
                self._following = asyncio.ensure_future(run(lambda: next(self._blocks, None)))
                yield block
                sent = self._tar.behind(sent, block)
                if time.monotonic() - looked > _LOOK_SECONDS:
                    await run(partial(planner.check, self._tar, sent))
                    looked = time.monotonic()
                block = await self._following
        except (WithdrawnError, OSError, SpanError) as error:
            _log.warning("stream cut", extra={"facts": {"error": type(error).__name__, "detail": str(error)[:200]}})
            raise _Cut from error

    def end(self) -> None:
        """Give the place back, and close what is open once no thread is in it any more."""
        self._held.release()
        if self._following is None or self._following.done():
            self._streams.close(self._blocks)
        else:
            self._following.add_done_callback(lambda _: self._streams.close(self._blocks))


class _TarResponse(StreamingResponse):
    """Sends blocks no faster than they are taken; cuts the connection when they are not taken at all."""

    def __init__(self, body: _Body, *arguments: Any, stall: float) -> None:
        super().__init__(body, *arguments)
        self._body, self._stall = body, stall

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def patient(message: Message) -> None:
            async with asyncio.timeout(self._stall):
                await send(message)

        try:
            await super().__call__(scope, receive, patient)
        except (_Cut, TimeoutError) as error:
            # Shorter than its Content-Length: the server closes the connection, and the client sees a cut.
            _log.info("stream ended early", extra={"facts": {"reason": type(error).__name__}})
        finally:
            self._body.end()


def _first(blocks: Iterator[Block]) -> Block | None:
    try:
        return next(blocks, None)
    except FileNotFoundError as error:
        detail = "a file of this state is not in the store any more: begin a new epoch with the present state"
        raise ProblemError(410, "state-gone", detail) from error
    except (TransientIOError, SpanError) as error:
        raise ProblemError(503, "store", "the store does not give these bytes now", {"Retry-After": "10"}) from error


def _withdrawn(error: WithdrawnError) -> Response:
    cursor = error.cursor.encode()
    body = WithdrawnProblem(
        title="Precondition Failed", status=412, detail=str(error), reason="withdrawn", cursor=cursor
    )
    headers = {"Biomedica-Cursor": cursor, "Cache-Control": "no-store"}
    return JSONResponse(body.model_dump(exclude_none=True), 412, headers, MEDIA_TYPE)
