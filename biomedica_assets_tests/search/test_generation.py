"""Index generations: deltas against rebuilding, kills, features that come later, garbage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biomedica_assets.search import generation, manifest
from biomedica_assets.search.generation import build_index
from biomedica_assets.search.manifest import read_pointer
from biomedica_assets.search.searcher import Searcher, SearchRequest
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets.store.files import Files
from biomedica_assets.store.garbage import collect_garbage
from biomedica_assets_tests.ingest.releases import DAYS, World
from biomedica_assets_tests.search.conftest import (
    add_features,
    encoders,
    found,
    paper,
    papers,
    png,
    settings,
)

QUESTIONS: list[dict[str, Any]] = [
    {},
    {"text": "liver", "mode": "keyword"},
    {"text": "kidney brain skin", "mode": "keyword"},
    {"text": "kidney", "mode": "vector"},
    {"text": "liver", "mode": "hybrid"},
    {"text": "lesion", "mode": "keyword", "filters": {"published_from": "2020"}},
    {"image": png(121, 12)},
    {"text": "liver", "group": "article"},
    {"filters": {"width_max": 12, "media_type": "image/png"}},
]


def open_searcher(world: World, cache: Path) -> Searcher:
    return Searcher(world.files, cache, settings(world), encoders())


def answers(world: World, cache: Path) -> list[Any]:
    """What a searcher says to `QUESTIONS`: ids with their cards and snippets, in an order that ties do not touch."""
    searcher = open_searcher(world, cache)
    said: list[Any] = []
    for question in QUESTIONS:
        response = searcher.search(SearchRequest(**question, limit=100, facets=("journal", "year")))
        hits = {hit.figure_id or hit.article_id: (hit.card, hit.snippets, hit.figures) for hit in response.hits}
        facets = {name: sorted(values) for name, values in response.facets.items()}
        said.append((hits, response.total, facets))
    return said


def next_release(world: World) -> None:
    """12 goes, 11 says something else, 13 has a newer version, 16 comes, 14 is licensed now."""
    _, _, _, fourteen, fifteen = papers()
    world.build(
        DAYS[1],
        paper(11, ["Section of the spleen", "Section of the kidney, stained"], year=2018),
        paper(13, ["Kidney and lung", "Lung"], version=2, year=2020),
        replace(fourteen, licence="CC BY"),
        fifteen,
        paper(16, ["A liver again", "No organ at all"], year=2024),
    )


def test_a_scratch_folder_may_have_a_quote_in_its_name(world: World, tmp_path: Path) -> None:
    scratch = tmp_path / "reader's"
    scratch.mkdir()
    next_release(world)
    built = build_index(world.files, scratch=str(scratch))
    assert (built.rebuilt, built.changed) == (None, True)


def test_a_delta_with_deletions_equals_a_rebuild(world: World, tmp_path: Path) -> None:
    before = answers(world, tmp_path / "before")
    next_release(world)
    add_features(world)
    built = build_index(world.files)
    assert built.rebuilt is None
    # of 11: both figures; of 12: two; of 13: two; 14 is the same but for its licence, which is a change
    assert (built.added, built.deleted) == (7, 7)
    assert built.manifest.counts["figures"] == 10
    assert built.manifest.counts["dead"] == 7
    by_delta = answers(world, tmp_path / "delta")
    assert by_delta != before
    again = build_index(world.files, rebuild=True)
    assert again.rebuilt
    assert again.manifest.counts["dead"] == 0
    assert again.manifest.rows == 10
    assert answers(world, tmp_path / "anew") == by_delta


def test_order_is_that_of_a_rebuild(world: World, tmp_path: Path) -> None:
    next_release(world)
    add_features(world)
    build_index(world.files)
    searcher = open_searcher(world, tmp_path / "delta")
    asked = [{"text": text, "mode": "vector"} for text in ("liver", "lung kidney")] + [{"image": png(111, 11)}]
    by_delta = [found(searcher, **one) for one in asked]
    build_index(world.files, rebuild=True)
    searcher.refresh()
    assert [found(searcher, **one) for one in asked] == by_delta


def test_nothing_new_is_nothing_done(world: World) -> None:
    pointer = read_pointer(world.files)
    built = build_index(world.files)
    assert not built.changed
    assert built.bytes_written == 0
    assert read_pointer(world.files) == pointer


def test_files_that_say_the_same_change_no_row(world: World) -> None:
    # a release that lists an article again, as it was, makes another chunk
    eleven, *others = papers()
    world.build(DAYS[1], replace(eleven, fields={"citation": "Another J. 2018"}), *others)
    built = build_index(world.files)
    assert built.looked_at == 1
    assert (built.added, built.deleted) == (0, 0)
    assert build_index(world.files).looked_at == 0


def test_features_that_come_later(world: World, tmp_path: Path) -> None:
    world.build(DAYS[1], *papers(), paper(16, ["A liver again", "No organ at all"], year=2024))
    built = build_index(world.files)
    counts = built.manifest.counts
    assert counts["figures"] == 12
    # the new chunk has no features yet
    assert counts["figures_with_captions_vectors"] == 10
    assert counts["figures_without_images_vectors"] == 2
    searcher = open_searcher(world, tmp_path / "cache")
    assert "16/f1" not in found(searcher, "liver", mode="vector")
    add_features(world)
    built = build_index(world.files)
    assert (built.added, built.looked_at) == (0, 0)
    # "No organ at all" is nothing to the encoder
    assert built.manifest.counts["figures_with_captions_vectors"] == 11
    assert built.manifest.counts["figures_with_images_vectors"] == 12
    assert searcher.refresh()
    assert "16/f1" in found(searcher, "liver", mode="vector")
    assert not build_index(world.files).changed


def test_another_encoder_takes_over_when_it_has_more(world: World, tmp_path: Path) -> None:
    chunks = sorted(manifest.read_newest(world.files).spaces["captions"]["chunks"])  # type: ignore[union-attr]
    add_features(world, chunks[:1], "other")
    other = build_index(world.files).manifest.spaces["captions"]
    assert other["encoder"] == ("other-text@0" if _rows(world, chunks[0]) > _rows(world, chunks[1]) else "fake-text@0")
    add_features(world, chunks, "other")
    built = build_index(world.files)
    assert built.manifest.spaces["captions"]["encoder"] == "other-text@0"
    searcher = open_searcher(world, tmp_path / "cache")
    response = searcher.search(SearchRequest(text="liver", mode="vector"))
    assert response.mode == "keyword"  # this server is set to the other one
    assert any("other-text@0" in warning for warning in response.warnings)


def _rows(world: World, chunk: str) -> int:
    from biomedica_assets.store.derived import read_derived_manifest

    held = read_derived_manifest(world.files, "caption_features", chunk)
    assert held is not None
    return held.file.rows


class _KilledError(BaseException):
    """The process ends here."""


def _writes(monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
    """Let so many writes to the store through, then end."""
    left = [allowed]

    def counted(real: Any) -> Any:
        def write(self: Files, *arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                raise _KilledError
            left[0] -= 1
            return real(self, *arguments, **options)

        return write

    for name in ("write", "put_file", "remove"):
        monkeypatch.setattr(Files, name, counted(getattr(Files, name)))


def test_killed_at_any_write(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    next_release(world)
    add_features(world)
    old = answers(world, tmp_path / "old")  # without 12, which is masked already
    new = None
    for allowed in _numbers():
        with monkeypatch.context() as patched:
            _writes(patched, allowed)
            try:
                build_index(world.files)
                survived = True
            except _KilledError:
                survived = False
        now = answers(world, tmp_path / f"cache{allowed}")
        if new is None and now != old:
            # the pointer is one of the last three writes
            new = now
        assert now == (old if new is None else new)
        if survived:
            break
    assert new is not None
    build_index(world.files, rebuild=True)
    assert answers(world, tmp_path / "anew") == new


def _numbers() -> Iterator[int]:
    """Every third place up to the end, which are enough kinds of places."""
    yield from range(0, 200, 3)


def test_garbage_spares_two_generations(world: World, tmp_path: Path) -> None:
    for day in (1, 2, 3):
        eleven = paper(11, [f"Section number {day}"], year=2018)
        world.build(DAYS[day], eleven, *papers()[1:])
        build_index(world.files)
    pointer = read_pointer(world.files)
    assert pointer is not None
    assert pointer.previous is not None
    collect_garbage(world.files, now=1e9, grace_seconds=0)
    done = collect_garbage(world.files, now=1e9 + 10, grace_seconds=5)
    assert done.waiting == 0
    held = {path for path, _ in world.files.list("index/files")}
    kept = [manifest.read_manifest(world.files, one) for one in (pointer.generation, pointer.previous)]
    assert held == {file.path for one in kept for file in one.files.values()}
    assert "11/f1" in found(open_searcher(world, tmp_path / "cache"), "number", mode="keyword")


def test_many_deltas_stay_few_files(world: World, tmp_path: Path) -> None:
    articles = papers()
    for day in range(1, 8):
        articles.append(paper(20 + day, [f"Organ {day}"], year=2024))
        world.build(DAYS[day], *articles)
        add_features(world)
        built = build_index(world.files)
    rows = [name for name in built.manifest.files if name.startswith("rows/")]
    assert len(rows) <= 3
    assert built.manifest.counts["figures"] == 10 + 7
    assert found(open_searcher(world, tmp_path / "cache"), "organ", mode="keyword", limit=3).count("27/f1") == 1


def test_dead_rows_lead_to_a_rebuild(world: World) -> None:
    world.build(DAYS[1], *papers()[:1])
    built = build_index(world.files)
    assert built.manifest.counts["dead"] == 8
    built = build_index(world.files)
    assert built.rebuilt == "8 of 10 rows are dead"
    assert built.manifest.counts["dead"] == 0


def test_an_index_of_other_rules_is_built_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build_index(world.files, article_text=False).rebuilt == "made by other rules"
    monkeypatch.setattr(generation, "KEYWORD_VERSION", 99)
    assert build_index(world.files, article_text=False).rebuilt == "made by other rules"


def test_a_store_without_articles(tmp_path: Path) -> None:
    world = World(tmp_path, chunk_size=3)
    with pytest.raises(FileNotFoundError, match="catalogue"):
        build_index(world.files)
    world.release(DAYS[0])
    build_generation(world.files)
    built = build_index(world.files)
    assert built.manifest.counts == {"figures": 0, "articles": 0, "images": 0, "dead": 0}
    searcher = open_searcher(world, tmp_path / "cache")
    assert found(searcher, "liver") == found(searcher) == found(searcher, group="article") == []
    assert np.array_equal(searcher.search(SearchRequest()).hits, [])
