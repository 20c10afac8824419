"""Garbage collection over the dataset's products: what a record names stays, whatever its age; the rest goes."""

from __future__ import annotations

import pytest

from biomedica_assets.dataset.card import publish_card
from biomedica_assets.dataset.documents import document_path
from biomedica_assets.dataset.duplicates import Duplicates, build_duplicates, read_duplicates
from biomedica_assets.dataset.export_manifest import Export, Options
from biomedica_assets.dataset.export_upkeep import rebuild_all
from biomedica_assets.dataset.exports import export
from biomedica_assets.dataset.recipes import Recipe
from biomedica_assets.dataset.subsets import Subset, build_subset, iter_subset, read_subset, withheld
from biomedica_assets.store.catalogue import read_generation
from biomedica_assets.store.files import Files
from biomedica_assets.store.garbage import collect_garbage, live_paths
from biomedica_assets.store.manifests import StoreError
from biomedica_assets.store.snapshots import create_snapshot, delete_snapshot, read_snapshot, verify_snapshot
from biomedica_assets_tests.dataset.conftest import articles, scene
from biomedica_assets_tests.ingest.releases import DAYS, Art, World

HOUR = 3600.0
RECIPE = Recipe(name="trial", description="a trial", dedup="near")


def paths(files: Files) -> set[str]:
    return {path for path, _ in files.list()} - {"garbage.json"}


def sweep(files: Files) -> tuple[set[str], set[str]]:
    """What the collection after a day of grace deleted, and what it left."""
    before = paths(files)
    assert collect_garbage(files, now=0, grace_seconds=24 * HOUR).deleted == 0
    assert collect_garbage(files, now=23 * HOUR, grace_seconds=24 * HOUR).deleted == 0
    assert paths(files) == before, "the grace is not over"
    collect_garbage(files, now=25 * HOUR, grace_seconds=24 * HOUR)
    return before - paths(files), paths(files)


def products(world: World) -> tuple[Duplicates, Subset]:
    found = build_duplicates(world.files)
    subset = build_subset(world.files, RECIPE)
    publish_card(world.files)
    return found, subset


def second_release(world: World) -> None:
    """PMC17 goes, PMC14 shows another picture, PMC18 is new."""
    kept = [a for a in articles() if a.pmcid not in (14, 17)]
    new = [Art(n, files=(("p.png", scene(1)), ("q.png", scene(40 + n))), year=2023) for n in (14, 18)]
    world.build(DAYS[1], *kept, *new)


def named_by(record: Export, world: World) -> set[str]:
    subset = read_subset(world.files, record.name, record.subset)
    return {f"{record.folder}/{s.path}" for s in record.shards} | {subset.file.path, f"subsets/trial/{subset.id}.json"}


def test_two_generations_the_old_one_named_by_snapshot_and_export(world: World) -> None:
    old_duplicates, old_subset = products(world)
    record = export(world.files, old_subset, Options("webdataset", 60_000))
    assert record is not None
    old_report = document_path(world.files, "card", "report.html")
    create_snapshot(world.files, "old")
    second_release(world)
    new_duplicates, new_subset = products(world)
    assert old_duplicates.file.path != new_duplicates.file.path
    assert old_subset.file.path != new_subset.file.path

    deleted, left = sweep(world.files)
    kept = set(read_snapshot(world.files, "old").files)
    assert kept <= left
    assert named_by(record, world) <= left
    assert verify_snapshot(world.files, "old", contents=True).wrong == []
    assert old_duplicates.file.path in deleted, "nothing reads a table of duplicates but the newest"
    assert old_report in deleted
    assert not [path for path in deleted if path.split("/")[0] in ("exports", "chunks", "releases", "snapshots")]
    # What is left is of use: newest and old state are read, the old export loses what was withdrawn.
    assert read_duplicates(world.files) == new_duplicates
    assert world.files.exists(new_duplicates.file.path)
    assert world.files.exists(document_path(world.files, "card", "report.html"))
    assert len(list(iter_subset(world.files, new_subset))) == new_subset.counts["images"]
    assert rebuild_all(world.files) == {record.folder: withheld(world.files, old_subset)}

    delete_snapshot(world.files, "old")
    deleted, left = sweep(world.files)
    assert deleted
    assert deleted <= kept
    assert live_paths(world.files) >= {path for path in left if path.startswith(("shards/", "tables/", "catalogue/"))}
    assert named_by(record, world) <= left


def test_without_snapshot_and_export_only_the_newest_state_stays(world: World) -> None:
    old_duplicates, old_subset = products(world)
    old_generation = read_generation(world.files)
    assert old_generation is not None
    second_release(world)
    new_duplicates, new_subset = products(world)
    strays = {"subsets/trial/0123456789abcdef.parquet", "duplicates/0123456789abcdef.parquet"}
    for path in strays:
        world.files.write(path, b"left by a killed run")
    deleted, left = sweep(world.files)
    assert strays | {old_duplicates.file.path, old_generation.files["current"].path} <= deleted
    # A state of a subset is a record for good: an export of it may lie where this store cannot look.
    states = {f"subsets/trial/{one.id}.json" for one in (old_subset, new_subset)}
    files = {one.file.path for one in (old_subset, new_subset)}
    assert {path for path in left if path.startswith("subsets/")} == states | files | {"subsets/trial/current.json"}
    assert {path for path in left if path.startswith("duplicates/")} == {
        "duplicates/generation.json",
        new_duplicates.file.path,
    }
    [card] = {path.split("/")[1] for path in left if path.startswith("card/card-")}
    assert document_path(world.files, "card", "README.md").startswith(f"card/{card}/")


def test_a_record_that_cannot_be_read_deletes_nothing(world: World) -> None:
    products(world)
    world.files.write("subsets/trial/0123456789abcdef.json", b'{"file": {"path": "subs')
    world.files.write("duplicates/0123456789abcdef.parquet", b"stray")
    before = paths(world.files)
    for hour in (0, 100):
        with pytest.raises(StoreError, match=r"subsets/trial/0123456789abcdef\.json is no JSON"):
            collect_garbage(world.files, now=hour * HOUR, grace_seconds=0)
    assert paths(world.files) == before
