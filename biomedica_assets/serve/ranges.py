"""Bytes of the store over HTTP: conditional and range requests (RFC 9110, sections 13 and 14).

What does not belong here: which bytes may be served.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from biomedica_assets.serve.problems import ProblemError

BLOCK = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)

Read = Callable[[int, int], bytes]
"""(offset, length) -> exactly so many bytes."""


class Part(NamedTuple):
    """First byte, and how many."""

    offset: int
    length: int


def requested_part(header: str | None, size: int) -> Part | None:
    """The part that a Range header asks for, or None for the whole: no header, or one of a form we do not serve.

    RFC 9110 lets a server answer several ranges, or a malformed header, with the whole.

    >>> requested_part("bytes=0-99", 1000), requested_part("bytes=-10", 1000), requested_part("bytes=5-1,7-9", 1000)
    (Part(offset=0, length=100), Part(offset=990, length=10), None)

    Raises:
        ProblemError: 416, nothing of it lies in the file.
    """
    match = _RANGE.fullmatch((header or "").replace(" ", ""))
    if not match or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        detail = f"the file has {size} bytes; {header!r:.80} lies outside"
        raise ProblemError(416, "range", detail, {"Content-Range": f"bytes */{size}"})
    return Part(start, end - start)


def names(header: str | None, etag: str) -> bool:
    """Whether a list of entity tags names ours; weak ones compare equal, which is right for If-None-Match."""
    if header is None:
        return False
    return header.strip() == "*" or etag in {tag.strip().removeprefix("W/") for tag in header.split(",")}


async def serve_bytes(
    request: Request, read: Read, *, size: int, etag: str, media_type: str, headers: dict[str, str]
) -> Response:
    """Answer GET or HEAD for bytes that ``read`` gives, in blocks; a slow client holds one block in memory.

    Raises:
        ProblemError: 416.
    """
    headers = {"ETag": etag, "Accept-Ranges": "bytes", **headers}
    if names(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    header = request.headers.get("range")
    condition = request.headers.get("if-range")
    # If-Range compares strongly, so that a weak tag or a date gives the whole.
    part = requested_part(header, size) if header and (condition is None or condition.strip() == etag) else None
    status, start, length = 200, 0, size
    if part:
        status, start, length = 206, part.offset, part.length
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    headers["Content-Length"] = str(length)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    # The first block is read before anything is sent: what the store does not hold is still an error then.
    block = await run_in_threadpool(read, start, min(BLOCK, length))
    if len(block) == length:
        return Response(block, status, headers, media_type)

    async def blocks() -> AsyncIterator[bytes]:
        yield block
        for offset in range(start + BLOCK, start + length, BLOCK):
            yield await run_in_threadpool(read, offset, min(BLOCK, start + length - offset))

    return StreamingResponse(blocks(), status, headers, media_type)
