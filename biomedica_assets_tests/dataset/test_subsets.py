"""Subsets of the small store: steps, determinism, masking, and a predicate that tries to leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from biomedica_assets.dataset.duplicates import build_duplicates
from biomedica_assets.dataset.queries import bounded_catalogue, lock
from biomedica_assets.dataset.recipes import Recipe, RecipeError
from biomedica_assets.dataset.subsets import InactiveError, Subset, build_subset, iter_subset, read_subset, withheld
from biomedica_assets.store.files import Files
from biomedica_assets_tests.dataset.conftest import articles
from biomedica_assets_tests.ingest.releases import DAYS, World


def recipe(**keys: Any) -> Recipe:
    return Recipe(**({"name": "trial", "description": "a trial"} | keys))


def ids(world: World, subset: Subset) -> list[str]:
    return [row["image_id"] for row in iter_subset(world.files, subset)]


def steps(subset: Subset) -> list[tuple[str, int, int]]:
    return [(step["step"], step["before"], step["after"]) for step in subset.steps]


def test_licence_groups(world: World) -> None:
    subset = build_subset(world.files, recipe(licence_groups=["noncommercial"]))
    assert ids(world, subset) == ["PMC13.1/f1/1", "PMC13.1/f2/1"]
    assert steps(subset) == [("licence_groups", 15, 2)]
    # `other` is taken only when it is named.
    assert "PMC16.1/f1/1" not in ids(world, build_subset(world.files, recipe()))
    assert ids(world, build_subset(world.files, recipe(licence_groups=["other"]))) == ["PMC16.1/f1/1"]


def test_where_sees_captions_and_keywords(world: World) -> None:
    subset = build_subset(world.files, recipe(where="caption ILIKE '%radiograph%' OR len(keywords) > 5"))
    assert ids(world, subset) == ["PMC11.1/f1/1", "PMC11.1/f2/1"]
    assert steps(subset) == [("licence_groups", 15, 14), ("where", 14, 2)]


def test_mesh_is_null_until_there_is_metadata(world: World) -> None:
    subset = build_subset(world.files, recipe(where="width > 0 OR list_has_any(mesh, ['Humans'])"))
    assert len(ids(world, subset)) == 14


def test_dedup_keeps_the_first_that_is_in_the_subset(world: World) -> None:
    exact = build_subset(world.files, recipe(dedup="exact"))
    assert steps(exact) == [("licence_groups", 15, 14), ("dedup", 14, 12)]
    assert {"PMC12.1/f1/1", "PMC13.1/f1/1"} <= set(ids(world, exact))
    assert "PMC11.1/f1/1" not in ids(world, exact)
    with pytest.raises(InactiveError, match="needs the table duplicates"):
        build_subset(world.files, recipe(dedup="near"))
    build_duplicates(world.files)
    near = build_subset(world.files, recipe(dedup="near"))
    assert steps(near)[-2:] == [("dedup", 14, 12), ("dedup", 12, 11)]
    assert "PMC13.1/f1/1" not in ids(world, near)
    # The original is not in this one: its duplicate stays.
    only = build_subset(world.files, recipe(dedup="near", licence_groups=["noncommercial"]))
    assert "PMC13.1/f1/1" in ids(world, only)


def test_balance_and_limit_are_seeded(world: World) -> None:
    def picked(**keys: Any) -> list[str]:
        return ids(world, build_subset(world.files, recipe(**keys)))

    balanced = build_subset(world.files, recipe(balance=[{"by": "publication_year", "max": 2}]))
    # 2018: 1, 2019: 2, 2020: 2, 2021: 3 -> 2, 2022: 6 -> 2 (PMC16 is `other`)
    assert balanced.file.rows == 9
    assert picked(limit=5) == picked(limit=5)
    assert len(picked(limit=5)) == 5
    assert picked(limit=5, seed=1) != picked(limit=5, seed=2)
    # A larger limit only adds.
    assert set(picked(limit=5)) < set(picked(limit=8))


def test_decontamination(world: World, tmp_path: Path) -> None:
    rows = {row["image_id"]: row for row in world.rows("images")}
    listed = tmp_path / "held.txt"
    listed.write_text(
        f"# benchmark\n{rows['PMC12.1/f1/1']['sha256']}\n\n{rows['PMC17.1/f1/1']['perceptual_hash']} # x\n"
    )
    subset = build_subset(world.files, recipe(decontaminate=[{"list": str(listed), "distance": 4}]))
    assert steps(subset) == [("licence_groups", 15, 14), ("decontaminate", 14, 11)]
    assert not {"PMC11.1/f1/1", "PMC12.1/f1/1", "PMC17.1/f1/1"} & set(ids(world, subset))
    listed.write_text("abc\n")
    with pytest.raises(RecipeError, match="line 1: neither 64 nor 16"):
        build_subset(world.files, recipe(decontaminate=[{"list": str(listed)}]))
    with pytest.raises(RecipeError, match="cannot be read"):
        build_subset(world.files, recipe(decontaminate=[{"list": str(tmp_path / "none")}]))


def test_same_generation_same_bytes(world: World) -> None:
    given = recipe(limit=6, balance=[{"by": "journal", "max": 9}])
    first = build_subset(world.files, given)
    data, manifest = world.files.read(first.file.path), world.files.read(f"subsets/trial/{first.id}.json")
    assert build_subset(world.files, given) == first
    for path, _ in list(world.files.list("subsets")):
        world.files.remove(path)
    again = build_subset(world.files, given)
    assert again == first == read_subset(world.files, "trial") == read_subset(world.files, "trial", first.id)
    assert world.files.read(first.file.path) == data
    assert world.files.read(f"subsets/trial/{first.id}.json") == manifest
    assert first.recipe["limit"] == 6
    assert first.inputs["releases"] == [DAYS[0]]


def test_reading_masks_what_is_no_longer_current(world: World) -> None:
    subset = build_subset(world.files, recipe())
    before = ids(world, subset)
    release = articles()
    release[0] = release[0].with_file("b.png", articles()[3].files[0][1])  # another picture under the same id
    release[2] = release[2].but(licence="custom")  # leaves the licence groups
    release[3] = release[3].but(title="only the title changes")
    del release[1]  # removed
    world.build(DAYS[1], *release)
    gone = {"PMC11.1/f2/1", "PMC12.1/f1/1", "PMC13.1/f1/1", "PMC13.1/f2/1"}
    assert ids(world, subset) == [image_id for image_id in before if image_id not in gone]
    assert withheld(world.files, subset) == sorted(gone)
    # Rows say where the bytes lie now.
    chunks = {row["image_id"]: row["chunk"] for row in iter_subset(world.files, subset)}
    assert chunks["PMC14.1/f1/1"].startswith(DAYS[1])


def test_a_removal_counts_as_soon_as_it_is_listed(world: World) -> None:
    subset = build_subset(world.files, recipe())
    world.release(DAYS[1], *articles()[1:])
    world.list()
    assert withheld(world.files, subset) == ["PMC11.1/f1/1", "PMC11.1/f2/1"]


def test_not_true_or_false(world: World) -> None:
    with pytest.raises(RecipeError, match="gives a BIGINT"):
        build_subset(world.files, recipe(where="width"))


def test_a_fault_of_the_data_names_the_recipe(world: World) -> None:
    with pytest.raises(RecipeError, match="trial: Conversion"):
        build_subset(world.files, recipe(where="kind::INTEGER > 3"))


def test_the_connection_is_locked(world: World, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with bounded_catalogue(world.files) as (connection, _):
        lock(world.files, connection)
        assert connection.execute("SELECT count(*) FROM images").fetchall() == [(15,)]
        for statement in (
            f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            f"ATTACH '{tmp_path}/out.duckdb' AS out",
            "SET enable_external_access = true",
            "SET memory_limit = '1TB'",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)


def test_a_store_in_memory(world: World) -> None:
    files = Files(f"memory://subset-{world.root.name}")
    for path, _ in list(world.files.list()):
        files.write(path, world.files.read(path))
    subset = build_subset(files, recipe(where="width > 0"))
    assert subset == build_subset(world.files, recipe(where="width > 0"))


def test_no_catalogue() -> None:
    with pytest.raises(FileNotFoundError, match="catalogue"):
        build_subset(Files("memory://no-subsets"), recipe())
