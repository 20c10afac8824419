"""A small store with a search index, and the web server over it: a real uvicorn on loopback, in a thread."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from PIL import Image

from biomedica_assets.search.generation import build_index
from biomedica_assets.serve.app import create_app
from biomedica_assets.settings import Settings
from biomedica_assets_tests.ingest.releases import DAYS, Art, World, picture

LIFE_SECONDS = 600


def tiff() -> bytes:
    """16 bits a sample: a ramp from 1000 to 1000 + 99 * 100."""
    buffer = io.BytesIO()
    image = Image.new("I;16", (100, 50))
    image.putdata([1000 + x * 100 for _ in range(50) for x in range(100)])
    image.save(buffer, "TIFF")
    return buffer.getvalue()


def clear() -> bytes:
    """A transparent PNG of 1000 x 500 pixels."""
    buffer = io.BytesIO()
    Image.new("RGBA", (1000, 500), (255, 0, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


ARTICLES = (
    Art(11, title="Kidneys of mice", caption="Glomeruli at week eight", year=2019,
        files=(("a.png", picture(1)), ("b.png", picture(2)))),
    Art(12, title="Retinas of men", caption="Fundus photograph & <b>bold</b>", year=2020, licence="CC BY-NC",
        files=(("c.jpg", picture(3, "JPEG", (640, 480))),)),
    Art(13, title="Closed", caption="Glomeruli nobody may see", licence="custom", files=(("d.png", picture(4)),)),
    Art(14, title="Deep", caption="Confocal stack", files=(("e.tif", tiff()), ("f.png", clear()))),
    *(Art(20 + n, title=f"Series {n}", caption=f"Serial section number {n}", year=2000 + n,
          files=((f"s{n}.png", picture(20 + n)),)) for n in range(6)),
)  # fmt: skip


class Served:
    """The server under test: its world, state and address."""

    def __init__(self, world: World, state: Any, url: str) -> None:
        self.world, self.state, self.url = world, state, url

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(**{"base_url": self.url, "timeout": 30, **options})

    def wait(self, condition: Any, seconds: float = 60) -> Any:
        """What the condition says as soon as it holds."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.05)
        return found


@contextmanager
def serving(world: World, **settings: Any) -> Iterator[Served]:
    """Serve a world's store."""
    given = {"store": world.given["store"], "cache": str(world.root / "cache"), "serve_refresh_seconds": 0.2}
    app = create_app(Settings(**(given | settings), _env_file=None))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=False, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    timer = threading.Timer(LIFE_SECONDS, lambda: setattr(server, "should_exit", True))
    timer.daemon = True
    timer.start()
    try:
        end = time.monotonic() + 30
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < end
            time.sleep(0.02)
        yield Served(world, app.state.biomedica, f"http://127.0.0.1:{port}")
    finally:
        timer.cancel()
        server.should_exit = True
        thread.join(20)


def make_world(root: Path) -> World:
    """A store of `ARTICLES` with a search index."""
    (root / "release").mkdir(parents=True)
    world = World(root, chunk_size=4)
    world.build(DAYS[0], *ARTICLES)
    build_index(world.files)
    return world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Read only: shared by all tests."""
    return make_world(tmp_path_factory.mktemp("served") / "world")


@pytest.fixture(scope="session")
def served(world: World) -> Iterator[Served]:
    with serving(world) as server:
        yield server


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with served.client() as found:
        yield found
