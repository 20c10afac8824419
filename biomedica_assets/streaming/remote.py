"""A stream from a server: bytes over HTTP, going on by cursor and range when the connection is cut.

What does not belong here: what the bytes are (`samples`), streams made on the spot (`client`).
"""

from __future__ import annotations

import http.client
import json
import logging
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from biomedica_assets.streaming.reading import BLOCK_BYTES, Block
from biomedica_assets.streaming.selection import StateGoneError, StreamError

_log = logging.getLogger(__name__)
_TIMEOUT = 60.0  # seconds without a byte
_WAIT, _LONGEST_WAIT = 0.2, 20.0  # seconds


class ServerGoneError(OSError):
    """The server did not answer properly, again and again."""


class MovedError(StreamError):
    """Something was withdrawn; go on with this cursor."""

    def __init__(self, cursor: str) -> None:
        super().__init__("something was withdrawn: go on with another cursor")
        self.cursor = cursor


class Server:
    """A biomedica server.

    Args:
        url: its address.
        headers: to be sent along, such as Authorization.
        tries: attempts in a row that may fail before `ServerGoneError`.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, tries: int = 8) -> None:
        self.url, self._headers, self._tries = url.rstrip("/"), dict(headers or {}), tries

    def plan(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What a stream with these parameters would be.

        Raises:
            StreamError, StateGoneError, MovedError: as the server says.
            ServerGoneError: it says nothing.
        """
        with self._open("/v1/streams/plan", parameters, {}) as response:
            answer: dict[str, Any] = json.loads(response.read())
            return answer

    def blocks(self, plan: Mapping[str, Any], first: int) -> Iterator[Block]:
        """The bytes of a planned stream from ``first`` on; cut connections are mended.

        Raises:
            MovedError: something in the rest was withdrawn; all bytes given so far stand.
            StreamError, StateGoneError, ServerGoneError: as `plan`.
        """
        failures = 0
        while first < plan["bytes"]:
            begun = first
            headers = {"Range": f"bytes={first}-", "If-Match": f'"{plan["etag"]}"'}
            with self._open("/v1/stream", {"cursor": plan["cursor"]}, headers) as response:
                if response.status != http.client.PARTIAL_CONTENT:
                    raise StreamError(f"{self.url} does not answer ranges: is there a proxy that drops them?")
                try:
                    while data := response.read(BLOCK_BYTES):
                        yield data
                        first += len(data)
                except (OSError, http.client.HTTPException) as error:
                    _log.info("stream cut at byte %d: %s", first, error)
            failures = 0 if first > begun else failures + 1
            if first < plan["bytes"]:
                self._pause(failures, None)

    def unbounded(self, cursor: str) -> Iterator[Block]:
        """The bytes of a stream without a length, from a cursor to its end, or to where the connection is cut.

        Raises:
            MovedError, StreamError, StateGoneError, ServerGoneError: as `plan`.
        """
        with self._open("/v1/stream", {"cursor": cursor}, {}) as response:
            try:
                while data := response.read1(BLOCK_BYTES):
                    yield data
            except (OSError, http.client.HTTPException) as error:
                _log.info("stream cut: %s", error)

    def _open(self, path: str, parameters: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
        query = urllib.parse.urlencode(parameters, doseq=True)
        request = urllib.request.Request(f"{self.url}{path}?{query}", headers={**self._headers, **headers})  # noqa: S310
        failures = 0
        while True:
            try:
                return urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
            except urllib.error.HTTPError as error:
                with error:
                    wait = error.headers.get("Retry-After") if error.code in (429, 503) else None
                    if wait is None and error.code < 500:
                        raise _refusal(error) from None
            except (OSError, http.client.HTTPException) as error:
                _log.info("%s does not answer: %s", self.url, error)
                wait = None
            failures += 1
            self._pause(failures, wait)

    def _pause(self, failures: int, wait: str | None) -> None:
        if failures >= self._tries:
            raise ServerGoneError(f"{self.url} gave no bytes in {failures} attempts")
        seconds = _WAIT * 2**failures
        if wait and wait.isdigit():
            seconds = max(seconds, float(wait))
        time.sleep(min(seconds, _LONGEST_WAIT))


def _refusal(error: urllib.error.HTTPError) -> StreamError:
    try:
        problem = json.loads(error.read())
        detail, cursor = str(problem["detail"]), problem.get("cursor")
    except (ValueError, KeyError, OSError):
        detail, cursor = f"HTTP {error.code}", None
    if error.code == 412 and cursor:
        return MovedError(cursor)
    return StateGoneError(detail) if error.code == 410 else StreamError(detail)
