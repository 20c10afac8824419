"""A small store: articles of several licences, with pictures that stand in several of them."""

from __future__ import annotations

import io
import shutil
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from biomedica_assets_tests.ingest.releases import DAYS, Art, World


@lru_cache
def scene(seed: int, kind: str = "PNG", quality: int = 90, side: int = 96) -> bytes:
    """A picture with structure: soft random blobs; the same seed at another quality or side is a near duplicate."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": quality} if kind == "JPEG" else {}))
    return buffer.getvalue()


def blank(side: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "white").save(buffer, "PNG")
    return buffer.getvalue()


def articles() -> list[Art]:
    """What the store is built from.

    Picture 1 stands in PMC11 (2019, PNG) and, byte for byte, in PMC12 (2018); as JPEG in PMC13 (2020). PMC14 has
    picture 4 twice under two names. PMC15 and PMC16 show the same blank picture.
    """
    return [
        Art(11, files=(("a.png", scene(1)), ("b.png", scene(2))), year=2019, caption="Chest radiograph"),
        Art(12, files=(("x.png", scene(1)),), year=2018, caption="Dermoscopy of the lesion"),
        Art(13, files=(("y.jpg", scene(1, "JPEG", 60)), ("z.jpg", scene(3, "JPEG"))), year=2020, licence="CC BY-NC"),
        Art(14, files=(("p.png", scene(4)), ("q.png", scene(4))), year=2021),
        Art(15, files=(("w.png", blank()),), year=2021),
        Art(16, files=(("v.png", blank()),), year=2022, licence="custom"),
        Art(17, files=tuple((f"n{n}.png", scene(100 + n)) for n in range(6)), year=2022),
    ]


def _world(root: Path) -> World:
    return World(root, chunk_size=3)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a world that is built once."""
    root = tmp_path_factory.mktemp("built")
    _world(root).build(DAYS[0], *articles())
    return root


@pytest.fixture(autouse=True)
def quick_builds(no_local_database: None) -> None:
    """Of every test here."""


@pytest.fixture
def empty_world(tmp_path: Path) -> World:
    return _world(tmp_path)


@pytest.fixture
def world(built: Path, tmp_path: Path) -> World:
    """The store of `articles`, catalogue built, nothing else."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    return _world(tmp_path)
