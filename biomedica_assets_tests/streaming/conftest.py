"""A store of 24 articles with 3 pictures each: 72 samples in three chunks, two of them under licences not served."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from biomedica_assets_tests.ingest.releases import DAYS, Art, World, art

LICENCES = {3: "CC BY-NC", 5: "custom", 6: "custom"}
ARTICLES, PICTURES = 24, 3


def articles(without: Iterable[int] = ()) -> list[Art]:
    """PMC1 to PMC24, published 2001 to 2024; PMC5 and PMC6 are of licence group other, PMC3 noncommercial."""
    return [
        art(number, PICTURES, year=2000 + number, licence=LICENCES.get(number, "CC BY"))
        for number in range(1, ARTICLES + 1)
        if number not in set(without)
    ]


def image_ids(numbers: Iterable[int]) -> set[str]:
    return {f"PMC{n}.1/f{picture}/1" for n in numbers for picture in range(1, PICTURES + 1)}


SERVED = image_ids(set(range(1, ARTICLES + 1)) - {5, 6})


def _world(root: Path) -> World:
    return World(root, shard_bytes=20_000)


def withdraw(world: World, *numbers: int) -> None:
    """The next release is without these articles; the catalogue knows."""
    world.build(DAYS[1], *articles(without=numbers))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("built")
    _world(root).build(DAYS[0], *articles())
    return root


@pytest.fixture(autouse=True)
def quick_builds(no_local_database: None) -> None:
    """Of every test here."""


@pytest.fixture
def still(built: Path) -> World:
    """The world, to be left as it is."""
    return _world(built)


@pytest.fixture
def world(built: Path, tmp_path: Path) -> World:
    """A world to change."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    return _world(tmp_path)
