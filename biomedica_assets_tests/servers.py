"""Object servers for tests, on loopback, each with a bounded life.

`FakeS3` counts requests and injects faults; `moto_server` is a second, independent implementation of S3's semantics.
``python -m biomedica_assets_tests.servers FOLDER`` serves a folder from a process of its own (for benchmarks).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from aiohttp import web

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_LIFE = 900  # seconds after which a forgotten server stops by itself


@dataclass
class Fault:
    """What to do to requests whose key matches: a status, or 'cut' (half a body), 'wrong' (other bytes), 'hang'."""

    pattern: re.Pattern[str]
    kind: int | str
    times: float = float("inf")
    method: str = "GET"


class FolderObjects(MutableMapping[str, bytes]):
    """A folder as a mapping of keys to bytes."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def __getitem__(self, key: str) -> bytes:
        try:
            return (self.root / key).read_bytes()
        except OSError:
            raise KeyError(key) from None

    def __setitem__(self, key: str, data: bytes) -> None:
        (self.root / key).parent.mkdir(parents=True, exist_ok=True)
        (self.root / key).write_bytes(data)

    def __delitem__(self, key: str) -> None:
        (self.root / key).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[str]:
        return (p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if p.is_file())

    def __len__(self) -> int:
        return sum(1 for _ in self)


class FakeS3:
    """An S3 server that lets everybody read and write one bucket, path style.

    >>> with FakeS3({"a/b": b"data"}) as server:
    ...     urllib.request.urlopen(f"{server.endpoint}/{server.bucket}/a/b").read()
    b'data'
    """

    def __init__(
        self,
        objects: Path | MutableMapping[str, bytes] | None = None,
        *,
        bucket: str = "bucket",
        latency: float = 0.0,
        listable: bool = True,
        missing: int = 404,
        port: int = 0,
    ) -> None:
        self.objects: MutableMapping[str, bytes] = (
            FolderObjects(objects) if isinstance(objects, Path) else objects or {}
        )
        self.bucket, self.latency, self.listable = bucket, latency, listable
        self.missing = missing  # S3 says 403 where listing is not allowed
        self.log: list[tuple[str, str]] = []  # (method, key); listings as ("LIST", prefix)
        self.bytes_sent = 0
        self.signed = 0  # requests that carried a signature
        self._faults: list[Fault] = []
        self._changes: list[tuple[re.Pattern[str], dict[str, bytes | None]]] = []
        self._uploads: dict[str, dict[int, bytes]] = {}
        self._lock = threading.Lock()
        self._port = port

    @property
    def requests(self) -> int:
        return len(self.log)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """Root for `Files`, together with ``endpoint``."""
        return f"s3://{self.bucket}"

    @property
    def http_url(self) -> str:
        """The bucket as a plain web folder."""
        return f"{self.endpoint}/{self.bucket}"

    def keys(self, method: str = "GET") -> list[str]:
        """Keys asked for, in order."""
        return [key for seen, key in self.log if seen == method]

    def forget(self) -> None:
        """Empty the log."""
        self.log.clear()
        self.bytes_sent = 0

    def fail(self, pattern: str, kind: int | str, times: float = float("inf"), method: str = "GET") -> None:
        """Inject a fault into the next ``times`` requests whose key matches the pattern."""
        self._faults.append(Fault(re.compile(pattern), kind, times, method))

    def heal(self) -> None:
        """Take all faults back."""
        self._faults.clear()

    def change_after(self, pattern: str, objects: dict[str, bytes | None]) -> None:
        """Replace (None: remove) objects as soon as a GET of a matching key was answered."""
        self._changes.append((re.compile(pattern), objects))

    def __enter__(self) -> FakeS3:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        if not started.wait(20):
            raise RuntimeError("server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def _run(self, started: threading.Event) -> None:
        asyncio.run(self._serve(started))

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port)
        await site.start()
        self._port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        started.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), _LIFE)
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        bucket, _, key = request.match_info["path"].partition("/")
        if "Authorization" in request.headers:
            self.signed += 1
        if self.latency:
            await asyncio.sleep(self.latency)
        if bucket != self.bucket:
            return _error(404, "NoSuchBucket")
        if not key:
            return self._list(request)
        self.log.append((request.method, key))
        fault = self._fault(request.method, key)
        if isinstance(fault, int):
            return _error(fault, {503: "SlowDown", 403: "AccessDenied", 404: "NoSuchKey"}.get(fault, "Error"))
        if fault == "hang":
            await asyncio.sleep(60)
        if request.method in ("GET", "HEAD"):
            return await self._get(request, key, fault)
        return await self._change(request, key)

    def _fault(self, method: str, key: str) -> int | str | None:
        for fault in self._faults:
            if fault.times > 0 and fault.method == method and fault.pattern.search(key):
                fault.times -= 1
                return fault.kind
        return None

    async def _get(self, request: web.Request, key: str, fault: str | None) -> web.StreamResponse:
        data = self.objects.get(key)
        if data is None:
            return _error(self.missing, "NoSuchKey")
        etag = hashlib.md5(data).hexdigest()
        if fault == "wrong":
            data = data[::-1] + b"!"
        status, body, headers = 200, data, {"ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        headers["Last-Modified"] = "Sat, 21 Nov 2026 00:00:00 GMT"
        if wanted := re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", "")):
            first = int(wanted[1]) if wanted[1] else max(0, len(data) - int(wanted[2]))
            last = min(int(wanted[2]), len(data) - 1) if wanted[1] and wanted[2] else len(data) - 1
            if first > last:
                return _error(416, "InvalidRange")
            status, body = 206, data[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        if fault == "cut":
            return await self._cut(request, status, body, headers)
        self.bytes_sent += len(body)
        if request.method == "GET":
            self._apply_changes(key)
        return web.Response(status=status, body=body, headers=headers)

    async def _cut(self, request: web.Request, status: int, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers | {"Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    def _apply_changes(self, key: str) -> None:
        for change in [c for c in self._changes if c[0].search(key)]:
            self._changes.remove(change)
            for changed, data in change[1].items():
                if data is None:
                    self.objects.pop(changed, None)
                else:
                    self.objects[changed] = data

    async def _change(self, request: web.Request, key: str) -> web.StreamResponse:
        data, query = await request.read(), request.query
        if request.method == "DELETE":
            self.objects.pop(key, None)
            return web.Response(status=204)
        if request.method == "POST" and "uploads" in query:
            upload = f"upload{len(self._uploads)}"
            self._uploads[upload] = {}
            return _xml(f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")
        if request.method == "POST":
            parts = self._uploads.pop(query["uploadId"])
            self.objects[key] = b"".join(parts[number] for number in sorted(parts))
            return _xml("<CompleteMultipartUploadResult><ETag>&quot;x-1&quot;</ETag></CompleteMultipartUploadResult>")
        if "partNumber" in query:
            self._uploads[query["uploadId"]][int(query["partNumber"])] = data
        elif request.headers.get("If-None-Match") == "*" and key in self.objects:
            return _error(412, "PreconditionFailed")
        else:
            self.objects[key] = data
        return web.Response(headers={"ETag": f'"{hashlib.md5(data).hexdigest()}"'})

    def _list(self, request: web.Request) -> web.Response:
        query = request.query
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        self.log.append(("LIST", prefix))
        fault = self._fault("LIST", prefix)
        if not self.listable or isinstance(fault, int):
            return _error(fault if isinstance(fault, int) else 403, "AccessDenied")
        after = query.get("continuation-token") or query.get("start-after", "")
        limit = int(query.get("max-keys", "1000"))
        entries: dict[str, str] = {}  # by the name that sorts them
        for key in sorted(k for k in self.objects if k.startswith(prefix)):
            head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            name = prefix + head + cut if cut else key
            if name <= after or name in entries:
                continue
            if cut:
                entries[name] = f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
            else:
                entries[name] = (
                    f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-21T00:00:00.000Z</LastModified>"
                    f"<ETag>&quot;e&quot;</ETag><Size>{len(self.objects[key])}</Size></Contents>"
                )
        names = list(entries)[:limit]
        more = len(entries) > limit
        token = f"<NextContinuationToken>{escape(names[-1])}</NextContinuationToken>" if more else ""
        return _xml(
            f'<ListBucketResult xmlns="{_NAMESPACE}"><Name>{self.bucket}</Name><Prefix>{escape(prefix)}</Prefix>'
            f"<KeyCount>{len(names)}</KeyCount><MaxKeys>{limit}</MaxKeys>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(entries[n] for n in names)}"
            "</ListBucketResult>"
        )


def _xml(body: str) -> web.Response:
    return web.Response(text=f'<?xml version="1.0" encoding="UTF-8"?>\n{body}', content_type="application/xml")


def _error(status: int, code: str) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return web.Response(status=status, text=text, content_type="application/xml")


@contextlib.contextmanager
def moto_server(objects: MutableMapping[str, bytes] | None = None, bucket: str = "bucket") -> Iterator[str]:
    """Endpoint of a moto S3 server with a bucket that anybody may read; it ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # the timer bounds the server's life even when this process is killed
    code = (
        f"import os, threading; timer = threading.Timer({_LIFE}, os._exit, (1,)); timer.daemon = True; timer.start()\n"
        f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait_for(f"{endpoint}/moto-api/data.json")
        _request("PUT", f"{endpoint}/{bucket}", headers={"x-amz-acl": "public-read-write"})
        for key, data in (objects or {}).items():
            _request("PUT", f"{endpoint}/{bucket}/{key}", data, {"x-amz-acl": "public-read"})
        yield endpoint
    finally:
        process.terminate()
        process.wait(20)


def _request(method: str, url: str, data: bytes = b"", headers: dict[str, str] | None = None) -> None:
    # without a type urllib sends a form, which moto takes apart
    headers = {"Content-Type": "application/octet-stream"} | (headers or {})
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    urllib.request.urlopen(request, timeout=20).close()


def _wait_for(url: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def main() -> None:
    """Serve a folder until ``--seconds`` have passed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bucket", default="bucket")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=_LIFE)
    arguments = parser.parse_args()
    with FakeS3(arguments.folder, bucket=arguments.bucket, port=arguments.port) as server:
        print(server.endpoint, flush=True)
        time.sleep(min(arguments.seconds, _LIFE))


if __name__ == "__main__":
    main()
