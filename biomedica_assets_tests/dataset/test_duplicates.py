"""Duplicates of the small store, worked out by hand from `conftest.articles`."""

from __future__ import annotations

import pytest

from biomedica_assets.dataset.duplicates import (
    add_duplicates_view,
    build_duplicates,
    read_duplicates,
    report_reuse,
)
from biomedica_assets.store.catalogue import open_catalogue
from biomedica_assets.store.files import Files
from biomedica_assets_tests.dataset.conftest import articles, blank
from biomedica_assets_tests.ingest.releases import DAYS, World


def rows(world: World) -> dict[str, tuple]:
    with open_catalogue(world.files) as catalogue:
        add_duplicates_view(world.files, catalogue)
        found = catalogue.execute(
            "SELECT image_id, kind, duplicate_of, cluster, cluster_size FROM duplicates"
        ).fetchall()
    return {row[0]: row[1:] for row in found}


def test_exact_and_near(world: World) -> None:
    record = build_duplicates(world.files)
    first = "PMC12.1/f1/1"  # 2018, the earliest
    assert rows(world) == {
        first: ("original", None, first, 3),
        "PMC11.1/f1/1": ("exact", first, first, 3),
        "PMC13.1/f1/1": ("near", first, first, 3),
        "PMC14.1/f1/1": ("original", None, "PMC14.1/f1/1", 2),
        "PMC14.1/f2/1": ("exact", "PMC14.1/f1/1", "PMC14.1/f1/1", 2),
        "PMC15.1/f1/1": ("original", None, "PMC15.1/f1/1", 2),
        "PMC16.1/f1/1": ("exact", "PMC15.1/f1/1", "PMC15.1/f1/1", 2),
    }
    counts = {name: record.counts[name] for name in ("images", "files", "exact", "near", "clusters", "across_articles")}
    assert counts == {"images": 15, "files": 12, "exact": 3, "near": 1, "clusters": 3, "across_articles": 2}


def test_blank_pictures_are_compared_by_bytes_alone(empty_world: World) -> None:
    empty_world.build(DAYS[0], *(a.but(files=(("w.png", blank(20 + a.pmcid)),)) for a in articles()))
    counts = build_duplicates(empty_world.files).counts
    assert (counts["images"], counts["hashed"], counts["near"]) == (7, 0, 0)


def test_reuse_is_shown(world: World) -> None:
    build_duplicates(world.files)
    report = report_reuse(world.files)
    assert (report.across_articles, report.within_articles, report.across_versions) == (2, 1, 0)
    assert report.examples[0] == {
        "cluster": "PMC12.1/f1/1",
        "articles": 3,
        "images": 3,
        "kinds": ["exact", "near", "original"],
        "pmcids": [11, 12, 13],
        "image_ids": ["PMC11.1/f1/1", "PMC12.1/f1/1", "PMC13.1/f1/1"],
    }


def test_versions_that_share_a_picture(world: World) -> None:
    second = articles()[0].but(version=2, title="Corrected")
    world.build(DAYS[1], *articles(), second)
    build_duplicates(world.files)
    assert report_reuse(world.files).across_versions == 2
    assert "PMC11.1/f1/1" not in rows(world)
    assert rows(world)["PMC11.2/f1/1"][0] == "exact"


def test_nothing_is_done_twice_and_bytes_repeat(world: World) -> None:
    record = build_duplicates(world.files)
    assert build_duplicates(world.files) == record == read_duplicates(world.files)
    data = world.files.read(record.file.path)
    world.files.remove("duplicates/generation.json")
    assert build_duplicates(world.files) == record
    assert world.files.read(record.file.path) == data


def test_a_withdrawn_article_is_masked_before_the_next_run(world: World) -> None:
    build_duplicates(world.files)
    world.release(DAYS[1], *articles()[1:])
    world.list()
    assert "PMC11.1/f1/1" not in rows(world)


def test_distance_zero_keeps_only_equal_hashes(world: World) -> None:
    build_duplicates(world.files, distance=0)
    assert {kind for kind, *_ in rows(world).values()} <= {"original", "exact", "near"}
    with pytest.raises(ValueError, match="40 bits"):
        build_duplicates(world.files, distance=40)


def test_no_catalogue() -> None:
    with pytest.raises(FileNotFoundError, match="catalogue"):
        build_duplicates(Files("memory://no-duplicates"))
