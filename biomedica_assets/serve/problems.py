"""Errors as problem details (RFC 9457): every answer that is not a success says what happened and what to do.

What does not belong here: deciding what is an error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from http import HTTPMethod, HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import Scope

from biomedica_assets.serve.logs import request_id
from biomedica_assets.store.files import TransientIOError

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)


class FieldProblem(BaseModel):
    """One thing wrong with a request's parameters or body."""

    where: str = Field(description="parameter or key, e.g. query.limit", examples=["query.limit"])
    message: str = Field(description="what is wrong with it", examples=["Input should be less than or equal to 100"])


class Problem(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Gone",
                "status": 410,
                "detail": "PMC90000001.1 has been withdrawn: retracted",
                "reason": "withdrawn",
            }
        }
    )

    type: str = Field("about:blank", description="kind of problem; about:blank: the status says it all")
    title: str = Field(description="the status in words")
    status: int = Field(description="HTTP status")
    detail: str = Field(description="what happened, for a person")
    reason: str = Field(description="what happened, in one word, for a program")
    request_id: str | None = Field(None, description="to be named when reporting the problem")
    errors: list[FieldProblem] | None = Field(None, description="what is wrong with the request, item by item")


class ProblemError(Exception):
    """Ends a request with a problem.

    Args:
        status: HTTP status.
        reason: one word for programs, e.g. "withdrawn".
        detail: a sentence for people: what happened and what can be done.
        headers: to be sent along.
    """

    def __init__(self, status: int, reason: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.headers = status, reason, detail, headers or {}


def problem(
    status: int,
    reason: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    errors: list[FieldProblem] | None = None,
) -> Response:
    """The response of a problem."""
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        reason=reason,
        request_id=request_id.get(),
        errors=errors,
    )
    answer = _ProblemResponse(
        body.model_dump(exclude_none=True),
        status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
    answer.problem = body
    return answer


Page = Callable[[Problem, dict[str, str]], Response]
"""Makes a page of a problem."""


class Problems:
    """Answers problems: as a page where a browser wants one and the address is one of the gallery's, else as JSON.

    Args:
        page: makes the page of a problem.
        root: path below which the server is mounted.
    """

    def __init__(self, page: Page, root: str = "") -> None:
        self._page = page
        self._root = root

    def dress(self, answer: Response, scope: Scope) -> Response:
        """The page of a problem, or the answer as it is."""
        found = getattr(answer, "problem", None)
        path = scope["path"].removeprefix(self._root) if scope["path"].startswith(f"{self._root}/") else scope["path"]
        if found is None or path.startswith(("/v1/", "/mcp", "/static/")):
            return answer
        if "text/html" not in Headers(scope=scope).get("accept", ""):
            return answer
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        return self._page(found, kept)

    def install(self, app: FastAPI) -> None:
        """Let every error of the app be answered as a problem."""
        handlers: dict[type[Exception], Callable[[Any], Response]] = {
            RequestValidationError: _invalid,
            HTTPException: _http,
            ProblemError: _stated,
            TransientIOError: _store_away,
            PermissionError: _store_away,
        }
        for kind, handler in handlers.items():
            app.add_exception_handler(kind, partial(self._handle, handler))
        app.add_exception_handler(405, self._not_allowed)

    def _not_allowed(self, request: Request, error: Exception) -> Response:
        """An address has a route for each of its methods, and the error comes from the first: it knows of no other."""
        if isinstance(error, HTTPException) and "Allow" in (error.headers or {}):
            error.headers = {"Allow": ", ".join(_methods(request))}
        return self._handle(_http, request, error)

    def _handle(self, handler: Callable[[Any], Response], request: Request, error: Exception) -> Response:
        return self.dress(handler(error), request.scope)


class _ProblemResponse(JSONResponse):
    problem: Problem


def field_problems(error: RequestValidationError | Any) -> list[FieldProblem]:
    """What pydantic found, without the values: they may be long, or somebody's secret."""
    found = []
    for item in error.errors()[:20]:
        where = ".".join(str(part) for part in item["loc"]) or "request"
        message = str(item["msg"]).removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "there is no such parameter"
        found.append(FieldProblem(where=where, message=message[:300]))
    return found


def _methods(request: Request) -> list[str]:
    """Methods that the address answers."""
    asked = {"type": "http", "path": request.scope["path"], "root_path": request.scope.get("root_path", "")}
    routes = request.app.router.routes
    return [
        method
        for method in HTTPMethod
        if any(route.matches({**asked, "method": method})[0] is Match.FULL for route in routes)
    ]


def invalid_at(where: str, error: ValidationError) -> RequestValidationError:
    """The error of a model that a route makes of what it got in the query or body."""
    return RequestValidationError([{**item, "loc": (where, *item["loc"])} for item in error.errors()])


def _invalid(error: RequestValidationError) -> Response:
    found = field_problems(error)
    detail = "; ".join(f"{item.where}: {item.message}" for item in found)[:1000]
    return problem(422, "invalid", detail, errors=found)


def _http(error: HTTPException) -> Response:
    words = {404: "there is nothing at this address", 405: "this address does not answer that method"}
    detail = words.get(error.status_code, str(error.detail))
    reason = HTTPStatus(error.status_code).name.lower()
    return problem(error.status_code, reason, detail, headers=dict(error.headers or {}))


def _stated(error: ProblemError) -> Response:
    return problem(error.status, error.reason, error.detail, headers=error.headers)


def _store_away(_: Exception) -> Response:
    return problem(503, "store", "the store does not answer; try again", headers={"Retry-After": "5"})


def unexpected(error: Exception) -> Response:
    """500: logged with its traceback, told to nobody else."""
    _log.error("unexpected", exc_info=error)
    return problem(500, "internal", "something went wrong here; please report the request_id")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route for OpenAPI: what may go wrong besides an invalid request."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    words = {
        401: "a key is needed",
        404: "unknown, superseded or under a licence that is not served: `reason` says which",
        410: "withdrawn",
        413: "the body is too large",
        416: "the range lies outside the file",
        422: "parameters or body are not as described: `errors` says which",
        429: "too many requests: wait `Retry-After` seconds",
        503: "overloaded, or nothing to serve yet",
        504: "took too long",
    }
    return {
        status: {"description": words.get(status, HTTPStatus(status).phrase), "model": Problem, "content": content}
        for status in (*statuses, 401, 422, 429, 503, 504)
    }
