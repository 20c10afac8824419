"""The web server on loopback in a thread, and a proxy before it that cuts connections. Both end with their block."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

from biomedica_assets.serve.app import create_app
from biomedica_assets.settings import Settings

_LIFE = 120.0  # seconds


@contextlib.contextmanager
def served(store: str, **settings: Any) -> Iterator[str]:
    """The server over a store; yields its address."""
    given = {"serve_refresh_seconds": 0.2} | settings
    app = create_app(Settings(store=store, _env_file=None, **given))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    begun = time.monotonic()
    while not server.started:
        assert time.monotonic() - begun < _LIFE and thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


class CuttingProxy:
    """Passes bytes on and cuts each answer after so many; ``cuts`` says how many for the first, the second ..."""

    def __init__(self, address: str, cuts: list[int]) -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        self._target, self.cuts, self.made = (host, int(port)), list(cuts), 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self._end = time.monotonic() + _LIFE

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> CuttingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end = 0.0

    def _accept(self) -> None:
        with self._socket:
            while time.monotonic() < self._end:
                with contextlib.suppress(TimeoutError):
                    client, _ = self._socket.accept()
                    threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target, 20) as server, contextlib.suppress(OSError):
            client.settimeout(20)
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(65536)
            # One request a connection: its answer then ends where the connection does.
            server.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            left = self.cuts.pop(0) if self.cuts and b"/v1/stream?" in request else None
            while data := server.recv(65536):
                if left is not None and len(data) >= left:
                    client.sendall(data[:left])
                    self.made += 1
                    return
                client.sendall(data)
                left = left and left - len(data)
