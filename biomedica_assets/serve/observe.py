"""Around every request: its id, one line of log, its metrics, security headers, and 500 for what nobody expected.

What does not belong here: refusing requests (`limits`).
"""

from __future__ import annotations

import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from biomedica_assets.serve.logs import access, new_request_id, request_id
from biomedica_assets.serve.metrics import Metrics
from biomedica_assets.serve.problems import unexpected

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Observe:
    """ASGI middleware, see the module's docstring."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        found = new_request_id(Headers(scope=scope).get("x-request-id"))
        token = request_id.set(found)
        begun = time.perf_counter()
        path = scope["path"][:300]
        status, first, size = 0, 0.0, 0

        async def watched(message: Message) -> None:
            nonlocal status, first, size
            if message["type"] == "http.response.start":
                status, first = message["status"], time.perf_counter() - begun
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = found
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            answer = unexpected(error)
            if not status:
                await answer(scope, receive, watched)
            else:
                raise  # the answer had begun: the server cuts the connection, so that nobody takes it as whole
        finally:
            route = _route(scope)
            self._metrics.requests.labels(scope["method"] if status != 405 else "other", route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(first)
            self._metrics.bytes.labels(route).inc(size)
            access.info(
                "request",
                extra={
                    "facts": {
                        "method": scope["method"],
                        "path": path,
                        "status": status,
                        "milliseconds": round(1000 * (time.perf_counter() - begun), 1),
                        "bytes": size,
                        "client": (scope.get("client") or ("", 0))[0],
                    }
                },
            )
            request_id.reset(token)


def _route(scope: Scope) -> str:
    """The pattern of the route that answered, whatever it was included under: never what a client wrote."""
    found: str = getattr(scope.get("route"), "path", "") or "none"
    return f"/v1{found}" if "/v1/" in scope["path"] and not found.startswith(("/v1", "none")) else found
