"""The tools as functions of chat completions: their schema, and calling them over plain HTTP.

For agents that know function calling but not MCP: ``GET /v1/tools`` is what goes into a request's ``tools``, and a
call's ``arguments`` go to ``POST /v1/tools/{name}``. What does not belong here: what the tools do (`tools`).
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from biomedica_assets.serve.problems import ProblemError, documented
from biomedica_assets.serve.state import State
from biomedica_assets.serve.tools import INSTRUCTIONS, TOOLS, ToolError, call


class Function(BaseModel):
    """A function as chat completions describe it."""

    name: str
    description: str
    parameters: dict[str, Any] = Field(description="JSON Schema of its arguments")


class FunctionTool(BaseModel):
    """An item of a request's ``tools``."""

    type: Literal["function"] = "function"
    function: Function


class ToolList(BaseModel):
    """All tools, and what a model should be told beforehand."""

    instructions: str = Field(description="for the system message")
    tools: list[FunctionTool]


class ToolPicture(BaseModel):
    """A picture that was asked for."""

    image_id: str
    media_type: str
    data: str = Field(description="base64")


class ToolAnswer(BaseModel):
    """What a call gives: ``result`` is to be handed back to the model as JSON."""

    model_config = ConfigDict(extra="forbid")

    name: str
    result: dict[str, Any]
    images: list[ToolPicture]


_Name = Annotated[
    str,
    Path(pattern=f"^({'|'.join(TOOLS)})$", description="of the tool", examples=["search_figures"]),
]
_Arguments = Annotated[
    dict[str, Any],
    Body(
        description="as the tool's schema says",
        openapi_examples={"search_figures": {"value": {"query": "H&E stained sections of liver", "limit": 3}}},
    ),
]


def tool_list() -> ToolList:
    """The schema of all tools."""
    return ToolList(
        instructions=INSTRUCTIONS,
        tools=[
            FunctionTool(function=Function(name=tool.name, description=tool.description, parameters=tool.schema))
            for tool in TOOLS.values()
        ],
    )


def router(state: State) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/tools", tags=["tools"])

    @routes.get("", summary="Tools of chat agents, as functions", responses=documented())
    def tools() -> ToolList:
        """In the form of chat completions' ``tools``. The same tools are at ``/mcp`` by the Model Context Protocol."""
        return tool_list()

    @routes.post("/{name}", summary="Call a tool", responses=documented(400, 404, 410))
    def call_tool(request: Request, name: _Name, arguments: _Arguments) -> ToolAnswer:
        """The arguments are those of the model's call, as an object."""
        try:
            answer = call(state, name, arguments, f"{request.url.scheme}://{request.url.netloc}")
        except ToolError as error:
            raise ProblemError(error.status, error.reason, error.detail) from error
        pictures = [
            ToolPicture(image_id=image_id, media_type=media_type, data=base64.b64encode(data).decode())
            for image_id, media_type, data in answer.pictures
        ]
        return ToolAnswer(name=name, result=answer.data.model_dump(mode="json"), images=pictures)

    return routes
