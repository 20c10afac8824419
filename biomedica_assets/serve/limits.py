"""The gate before the app: whom it answers, how often, how much at once, how large and how long.

Too much is refused early and clearly (429, 503 with Retry-After), so that a crowd makes the server refuse, not slow to
a halt. All of it is per process: rates and caps add up over workers. What does not belong here: logs and headers
(`observe`), what a request does.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections import OrderedDict
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from biomedica_assets.serve.keys import Key, Keys, presented_key
from biomedica_assets.serve.metrics import Metrics
from biomedica_assets.serve.problems import Problems, problem
from biomedica_assets.settings import Settings, project_root

FREE = ("/v1/health/", "/static/", "/favicon.ico")
"""Answered to everybody, always: cheap, and without anything of the dataset."""
_PICTURE_COST = 0.1
_MOST_CALLERS = 50_000
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
KEY_NAME = "biomedica.key"
"""Key of a request's scope: the name of the API key that was given."""


class TokenBuckets:
    """Token buckets by caller: ``burst`` requests at once, then ``rate`` a second. Callers long away are forgotten."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, cost: float, now: float, rate: float | None = None) -> float:
        """Take tokens; 0 when there were enough, else seconds until there are."""
        rate = self._rate if rate is None else rate
        if rate <= 0:
            return 0.0
        tokens, since = self._buckets.pop(caller, (float(self._burst), now))
        tokens = min(float(self._burst), tokens + (now - since) * rate)
        wait = max(0.0, (cost - tokens) / rate)
        self._buckets[caller] = (tokens if wait else tokens - cost, now)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)
        return wait


class Gate:
    """ASGI middleware, see the module's docstring."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, problems: Problems) -> None:
        self._problems = problems
        self._app, self._settings, self._metrics = app, settings, metrics
        self._keys = Keys(project_root() / settings.serve_keys) if settings.serve_keys else None
        self._buckets = TokenBuckets(settings.serve_rate, settings.serve_burst)
        self._under_way = 0
        self._names = host_names(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            self._metrics.refused.labels(refusal.headers["x-refused"]).inc()
            del refusal.headers["x-refused"]
            await self._problems.dress(refusal, scope)(scope, receive, send)
        elif scope["path"].startswith(FREE):
            await self._app(scope, receive, send)
        else:
            await self._within_limits(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
        if self._names and host.lower() not in self._names and headers.get("host", "").lower() not in self._names:
            detail = "this server does not answer for that host name; its operator sets BIOMEDICA_SERVE_NAMES"
            return _refused(421, "host", detail)
        if scope["path"].startswith(FREE):
            return None
        key, given = None, presented_key(headers.get("authorization"), headers.get("x-api-key"))
        if self._keys and given is not None:
            key = self._keys.find(given)
        scope[KEY_NAME] = key.name if key else None
        wait = self._buckets.take(
            _caller(scope, key), _cost(scope["path"]), time.monotonic(), key.rate if key else None
        )
        if wait > 0:
            seconds = str(math.ceil(wait))
            return _refused(429, "rate", f"too many requests: wait {seconds} s", {"Retry-After": seconds})
        if self._keys and key is None and not (self._settings.serve_open and given is None):
            detail = "a key is needed: Authorization: Bearer <key>" if given is None else "this key is not known"
            return _refused(401, "key", detail, {"WWW-Authenticate": 'Bearer, Basic realm="biomedica"'})
        size = headers.get("content-length", "0")
        if not size.isascii() or not size.isdigit() or int(size) > self._settings.serve_body_bytes:
            return _refused(413, "size", f"a body may have {self._settings.serve_body_bytes} bytes")
        if self._under_way >= self._settings.serve_concurrency:
            detail = "as many requests as this process takes are under way; try again"
            return _refused(503, "overload", detail, {"Retry-After": "1"})
        return None

    async def _within_limits(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app with a place, a body limit and a time limit. The work of a request that is given up ends by
        itself, since a thread cannot be stopped, and keeps its place until then."""
        call = _Call(send, self._settings.serve_body_bytes, receive)
        self._take_place()
        task = asyncio.ensure_future(self._run(scope, call))
        try:
            await asyncio.wait(
                (task, started := asyncio.ensure_future(call.started.wait())),
                timeout=self._settings.serve_timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
            started.cancel()
            if call.begin_timeout():
                self._metrics.refused.labels("timeout").inc()
                detail = f"no answer within {self._settings.serve_timeout:g} s"
                await problem(504, "timeout", detail)(scope, receive, send)
                return
            await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def _run(self, scope: Scope, call: _Call) -> None:
        held = True

        def release() -> None:
            nonlocal held
            if held:
                held = False
                self._leave_place()

        call.on_streaming = release
        try:
            await self._app(scope, call.receive, call.send)
        finally:
            call.started.set()
            release()

    def _take_place(self) -> None:
        self._under_way += 1
        self._metrics.under_way.inc()

    def _leave_place(self) -> None:
        self._under_way -= 1
        self._metrics.under_way.dec()


class _Call:
    """The channels of one request, watched: whether the answer has begun, how long the body gets."""

    def __init__(self, send: Send, max_bytes: int, receive: Receive) -> None:
        self._send, self._receive, self._left = send, receive, max_bytes
        self._given_up = False
        self.started = asyncio.Event()
        self.on_streaming: Any = None

    def begin_timeout(self) -> bool:
        """True when the answer has not begun: from now on the app's own is thrown away."""
        self._given_up = not self.started.is_set()
        return self._given_up

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, "the body is too large")
        return message

    async def send(self, message: Message) -> None:
        if self._given_up:
            return
        self.started.set()
        # What follows costs a block at a time: long downloads must not take the places of short questions.
        if message["type"] == "http.response.body" and message.get("more_body"):
            self.on_streaming()
        await self._send(message)


def host_names(settings: Settings) -> frozenset[str]:
    """Host names to answer for; none means any. On loopback only loopback's, against pages that rebind a name to it."""
    named = listed(settings.serve_names.lower())
    return frozenset(named or (LOOPBACK if is_loopback(settings.serve_host) else ()))


def listed(setting: str) -> list[str]:
    """The items of a setting that names several, by comma.

    >>> listed("a.example, b.example,")
    ['a.example', 'b.example']
    """
    return [item.strip() for item in setting.split(",") if item.strip()]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("example.org")
    (True, True, False, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _caller(scope: Scope, key: Key | None) -> str:
    if key:
        return f"key {key.name}"
    address = (scope.get("client") or ("unknown", 0))[0]
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return str(address)
    # A household or machine commonly has a whole /64.
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)


def _cost(path: str) -> float:
    """A page shows dozens of pictures."""
    return _PICTURE_COST if path.startswith("/v1/images/") else 1.0


def _refused(status: int, reason: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    return problem(status, reason, detail, headers={**(headers or {}), "x-refused": reason})
