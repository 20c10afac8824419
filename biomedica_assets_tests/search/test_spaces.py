"""Vector spaces of a generation: reductions and bridges are kept with it, fitted anew when they are outgrown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from biomedica_assets.search import spaces, vector_spaces
from biomedica_assets.search.generation import build_index
from biomedica_assets.search.requests import SearchRequest
from biomedica_assets.search.searcher import Searcher
from biomedica_assets.search.vector_spaces import Bridge, Judged, Reduction
from biomedica_assets_tests.ingest.releases import DAYS, World
from biomedica_assets_tests.search.conftest import (
    FakeEncoder,
    add_features,
    encoders,
    found,
    paper,
    papers,
    png,
    settings,
)


def open_searcher(world: World, cache: Path, **changes: object) -> Searcher:
    return Searcher(world.files, cache, settings(world), encoders())


def test_a_reduction_applies_to_rows_and_queries(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 5)))[0].astype(np.float32)
    fitted: list[int] = []

    def fit(sample: object) -> Reduction:
        fitted.append(sum(len(batch) for batch in sample))  # type: ignore[attr-defined]
        return Reduction(np.full(8, 0.01, np.float32), axes, 0.9)

    monkeypatch.setattr(spaces, "fit_reduction", fit)
    built = build_index(world.files, rebuild=True)
    assert fitted == [10, 11]  # captions, pictures
    images = built.manifest.spaces["images"]
    assert images["segments"][0]["dimensions"] == 5
    searcher = open_searcher(world, tmp_path / "cache")
    assert found(searcher, image=png(121, 12))[0] == "12/f1"
    # the next delta uses the same one
    world.build(DAYS[1], *papers(), paper(16, ["Another lung"]))
    add_features(world)
    assert build_index(world.files).manifest.spaces["images"]["reduction"] == images["reduction"]
    assert len(fitted) == 2
    searcher.refresh()
    assert found(searcher, image=png(161, 16))[0] == "16/f1"
    # four times as many vectors as it was fitted on: time for another
    monkeypatch.setattr(spaces, "OUTGROWN", 1)
    world.build(DAYS[2], *papers(), paper(16, ["Another lung", "And one more"]))
    add_features(world)
    build_index(world.files)
    assert len(fitted) == 4
    searcher.refresh()
    assert found(searcher, image=png(162, 16))[0] == "16/f2"
    assert found(searcher, image=png(121, 12))[0] == "12/f1"


def test_texts_are_asked_through_a_bridge_that_is_of_use(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = FakeEncoder("image").encode_images([png(122, 12)])[0][0]  # the picture of "Liver enzymes"

    def fit(recall: float) -> object:
        bridge = Bridge(np.zeros(8), np.zeros((8, 8), np.float32), shown, Judged(100, 100, 0.2, recall, 0.1))
        return lambda *_: bridge

    monkeypatch.setattr(spaces, "fit_bridge", fit(0.1))  # no better than chance
    built = build_index(world.files, rebuild=True)
    assert built.manifest.spaces["images"]["bridge"] is None
    assert built.manifest.spaces["images"]["bridge_recall"] == 0.1
    searcher = open_searcher(world, tmp_path / "cache")
    request = SearchRequest(text="brain", mode="vector", limit=1)
    assert searcher.search(request).hits[0].figure_id == "PMC12.1/f1"
    monkeypatch.setattr(spaces, "fit_bridge", fit(0.9))
    built = build_index(world.files, rebuild=True)
    assert built.manifest.spaces["images"]["bridge"]
    searcher.refresh()
    opened = searcher._now().newest.opened  # type: ignore[attr-defined]
    assert opened.spaces is not None
    rankings = opened.spaces.by_text("brain", np.ones(opened.rows.rows, bool), 5).rankings
    assert [name for name, *_ in rankings] == ["captions", "looks"]
    assert "12/f2" in found(searcher, "brain", mode="vector")[:3]
    # nothing grew by half: it stays
    assert not build_index(world.files).changed


def test_real_fits_on_few_pairs(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_spaces, "FEWEST_PAIRS", 4)
    monkeypatch.setattr(vector_spaces, "FEWEST_TO_CENTRE", 4)
    monkeypatch.setattr(vector_spaces, "WIDEST", 4)
    built = build_index(world.files, rebuild=True)
    images = built.manifest.spaces["images"]
    assert images["reduction"]
    assert images["bridge_recall"] is not None
    assert found(open_searcher(world, tmp_path / "cache"), image=png(121, 12))[0] == "12/f1"


def test_one_space_for_texts_and_pictures(world: World, tmp_path: Path) -> None:
    class Joint(FakeEncoder):
        def __init__(self) -> None:
            super().__init__("text")
            self.id, self.images = "fake-image@0", True

    searcher = Searcher(world.files, tmp_path / "cache", settings(world), encoders(lambda *_: Joint()))
    response = searcher.search(SearchRequest(text="liver", mode="vector"))
    # the captions are of another encoder: what can be asked is not
    assert response.mode == "keyword"
    opened = searcher._now().newest.opened  # type: ignore[attr-defined]
    assert opened.spaces is not None
    object.__setattr__(opened.spaces._spaces["captions"], "encoder", "fake-image@0")
    rankings = opened.spaces.by_text("liver", np.ones(opened.rows.rows, bool), 5).rankings
    assert [name for name, *_ in rankings] == ["captions", "images"]


def test_words_that_the_encoder_does_not_know(world: World, tmp_path: Path) -> None:
    response = open_searcher(world, tmp_path / "cache").search(SearchRequest(text="enzymes"))
    assert [hit.figure_id for hit in response.hits] == ["PMC12.1/f2"]
    assert response.mode == "keyword"
    assert "none of the words" in response.warnings[0]
