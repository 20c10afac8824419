"""The tools by the Model Context Protocol: over standard input and output, and over HTTP at ``/mcp``.

Over HTTP every request stands for itself (no sessions), so that any process of the server may answer it. What does not
belong here: what the tools do (`tools`).
"""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from biomedica_assets import __version__
from biomedica_assets.serve.limits import listed
from biomedica_assets.serve.problems import ProblemError
from biomedica_assets.serve.state import State
from biomedica_assets.serve.tools import INSTRUCTIONS, TOOLS, ToolError, call, inlined

_log = logging.getLogger(__name__)
_BODY_BYTES = 1 << 18
_READS_ONLY = types.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


def mcp_server(state: State) -> Server[Any]:
    """The protocol's server over a state."""

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=tool.name,
                    title=tool.title,
                    description=tool.description,
                    input_schema=tool.schema,
                    output_schema=inlined(tool.result.model_json_schema(mode="serialization")),
                    annotations=_READS_ONLY,
                )
                for tool in TOOLS.values()
            ]
        )

    async def call_tool(
        context: ServerRequestContext[Any, Any], asked: types.CallToolRequestParams
    ) -> types.CallToolResult:
        site = _site(context.request)
        try:
            answer = await anyio.to_thread.run_sync(partial(call, state, asked.name, asked.arguments, site))
        except ToolError as error:
            return _failed(f"{error.reason}: {error.detail}")
        except Exception:
            _log.exception("unexpected")
            return _failed("internal: something went wrong in the server")
        return types.CallToolResult(
            content=[
                types.TextContent(text=answer.data.model_dump_json(exclude_none=True)),
                *(
                    types.ImageContent(data=base64.b64encode(data).decode(), mime_type=media_type)
                    for _, media_type, data in answer.pictures
                ),
            ],
            structured_content=answer.data.model_dump(mode="json"),
        )

    return Server(
        "biomedica_assets",
        version=__version__,
        title="Figures of PubMed Central's Open Access articles",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=lambda name: TOOLS[name].schema if name in TOOLS else None,
    )


class McpEndpoint:
    """The protocol over HTTP, as an ASGI app that runs while `running`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._origins = listed(state.settings.serve_origins.lower())
        self._manager: StreamableHTTPSessionManager | None = None

    def route(self) -> Route:
        """Where it is reached. Without sessions there is nothing to GET or DELETE."""
        return Route("/mcp", self, methods=["POST"])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer while this is entered."""
        # Host names are the gate's business, for every address of the server; origins are checked below.
        manager = StreamableHTTPSessionManager(
            mcp_server(self._state), json_response=True, stateless=True, max_request_body_size=_BODY_BYTES
        )
        async with manager.run():
            self._manager = manager
            try:
                yield
            finally:
                self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        origin = headers.get("origin", "").lower()
        if origin and origin not in self._origins and urlsplit(origin).netloc != headers.get("host", "").lower():
            # A browser sends other sites' pages here without asking first: they could read through a local server.
            detail = "pages of this origin may not call; the operator names origins in BIOMEDICA_SERVE_ORIGINS"
            raise ProblemError(403, "origin", detail)
        if self._manager is None:
            raise ProblemError(503, "shutting-down", "this process is shutting down", {"Retry-After": "5"})
        await self._manager.handle_request(scope, receive, send)


async def serve_stdio(state: State) -> None:
    """Answer one client over standard input and output until it closes them."""
    server = mcp_server(state)
    await anyio.to_thread.run_sync(state.start)
    try:
        async with stdio_server() as (received, sent):
            await server.run(received, sent, server.create_initialization_options())
    finally:
        await anyio.to_thread.run_sync(state.close)


def _site(request: Any) -> str:
    """The address under which a client reaches the server; empty when it does not by HTTP."""
    return f"{request.url.scheme}://{request.url.netloc}" if isinstance(request, Request) else ""


def _failed(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)
