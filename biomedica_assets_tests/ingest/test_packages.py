"""The package layout from end to end."""

from __future__ import annotations

import gzip
from datetime import datetime
from pathlib import Path

import pytest

from biomedica_assets.ingest import inputs
from biomedica_assets.pmc.writer import Package, pack_packages, package_path
from biomedica_assets.sample import write_packages
from biomedica_assets.store.shards import read_image
from biomedica_assets_tests.ingest.releases import DAYS, World, art, picture

FIRST = "2026-11-18-00000"


def package(number: int, *, version: int = 1, day: int = 18, licence: str = "CC BY", **changes: object) -> Package:
    article = art(number, version=version, **changes)
    files = ((f"x{number}.nxml", article.document()), *article.files)
    return Package(number, files, "J. 2020", datetime(2026, 11, day), number, licence)  # noqa: DTZ001


@pytest.fixture
def mirror(world: World) -> World:
    return world


def put(world: World, *packages: Package) -> None:
    pack_packages(str(world.folder), packages)


def paths(*numbers: int) -> dict[str, int]:
    return {package_path(number): 1 for number in numbers}


def test_sample_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_packages(str(tmp_path / "release"), 1)
    world = World(tmp_path)
    world.build()
    outcomes = set(world.outcomes().values())
    assert "collected" in outcomes
    assert world.sql("SELECT count(*) FROM samples")[0][0] > 100
    for row in world.rows("images")[::10]:
        read_image(world.files, row)
    before = world.sql("SELECT * FROM samples ORDER BY image_id")
    monkeypatch.setattr(inputs, "PARSER_VERSION", "changed")
    assert sum(manifest.run["requests"] for manifest in world.ingest().values()) == 0
    world.build()
    assert world.sql("SELECT * FROM samples ORDER BY image_id") == before


def test_each_package_is_asked_for_once(mirror: World) -> None:
    put(mirror, package(1), package(2))
    asked = mirror.build()
    assert {key: n for key, n in asked.items() if key.startswith("oa_package")} == paths(1, 2)
    assert mirror.sql("SELECT count(*) FROM samples") == [(4,)]


def test_a_later_list_fetches_changed_packages_and_stores_changed_pictures(mirror: World) -> None:
    put(mirror, package(1), package(2))
    mirror.build()
    shards = mirror.shards()
    put(mirror, package(1, day=19, title="new"), package(2))
    asked = mirror.build()
    assert {key: n for key, n in asked.items() if key.startswith("oa_package")} == paths(1)
    assert mirror.shards() == shards
    assert mirror.sql("SELECT title FROM articles ORDER BY pmcid") == [("new",), ("A title",)]


def test_version_is_the_one_of_the_xml(mirror: World) -> None:
    put(mirror, package(1, version=3), package(2))
    mirror.build()
    rows = mirror.rows("versions")
    assert [(r["listed_id"], r["article_id"]) for r in rows] == [("PMC1.1", "PMC1.3"), ("PMC2.1", "PMC2.1")]
    assert mirror.sql("SELECT article_id, version FROM articles ORDER BY 1") == [("PMC1.3", 3), ("PMC2.1", 1)]
    assert mirror.sql("SELECT image_id, sample_key FROM images ORDER BY 1 LIMIT 1") == [
        ("PMC1.3/f1/1", "PMC1-3-f1_2Epng")
    ]
    put(mirror, package(2, day=19))
    mirror.list()
    for view in ("current", "sample_index", "articles", "samples"):
        assert mirror.sql(f"SELECT DISTINCT article_id FROM {view}") == [("PMC2.1",)]


def test_tables_only_then_images(mirror: World) -> None:
    put(mirror, package(1))
    mirror.build(scope={"tables_only": True})
    put(mirror, package(1), package(2, day=19))
    asked = mirror.build()
    assert {key: n for key, n in asked.items() if key.startswith("oa_package")} == paths(1, 2)
    assert mirror.sql("SELECT count(*) FROM samples") == [(4,)]
    assert mirror.failures() == set()


def test_licence_scope_then_all(mirror: World) -> None:
    put(mirror, package(1, licence="CC BY-NC"))
    mirror.build(scope={"licence_groups": ["commercial"]})
    assert mirror.outcomes() == {"PMC1.1": "out_of_scope"}
    put(mirror, package(1, licence="CC BY-NC"), package(2, day=19))
    mirror.build()
    assert mirror.outcomes() == {"PMC1.1": "collected", "PMC2.1": "collected"}
    assert mirror.sql("SELECT count(*) FROM samples") == [(4,)]


def test_bad_packages_fail_alone(mirror: World) -> None:
    put(mirror, package(1), package(2), package(3), package(4), package(5))
    damaged = {2: b"not a gzip file", 3: gzip.compress(b"not a tar file" * 100), 4: None, 5: None}
    for number, data in damaged.items():
        path = mirror.folder / package_path(number)
        if number == 5:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:400] if data is None else data)
    mirror.build()
    assert mirror.outcomes() == {
        "PMC1.1": "collected",
        **{f"PMC{n}.1": "failed" for n in (2, 3, 4)},
        "PMC5.1": "absent",
    }
    assert mirror.failures() == {(f"PMC{n}.1", package_path(n), "verify", "BadPackage") for n in (2, 3, 4)}
    put(mirror, *[package(n, day=19) for n in (1, 2, 3, 4, 5)])
    mirror.build()
    assert mirror.sql("SELECT count(*) FROM open_failures") == [(0,)]
    assert mirror.sql("SELECT count(*) FROM current") == [(5,)]


def test_failure_of_a_package_is_closed_by_the_version_it_turns_out_to_be(mirror: World) -> None:
    put(mirror, package(1, version=3))
    path = mirror.folder / package_path(1)
    whole = path.read_bytes()
    path.write_bytes(whole[:400])
    mirror.build()
    assert mirror.sql("SELECT article_id FROM open_failures") == [("PMC1.1",)]
    put(mirror, package(1, version=3, day=19))
    mirror.build()
    assert mirror.sql("SELECT article_id FROM current") == [("PMC1.3",)]
    assert mirror.sql("SELECT count(*) FROM open_failures") == [(0,)]


def test_changed_picture_in_a_package(mirror: World) -> None:
    put(mirror, package(1))
    mirror.build()
    changed = art(1).with_file("f2.png", picture(400))
    put(
        mirror,
        Package(1, (("x1.nxml", changed.document()), *changed.files), "J", datetime(2026, 11, 19), 1, "CC BY"),  # noqa: DTZ001
    )
    mirror.build()
    assert [shard.rows for shard in mirror.manifest("2026-11-19-00000").own_shards] == [1]
    assert DAYS
