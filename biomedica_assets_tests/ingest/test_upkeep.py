"""Garbage collection beside a living store, and stores that must not be used."""

from __future__ import annotations

import json

import pytest

from biomedica_assets.ingest import inputs
from biomedica_assets.ingest.checks import check_chunk
from biomedica_assets.ingest.chunk import ingest_chunk
from biomedica_assets.ingest.summary import summarise
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets.store.garbage import collect_garbage
from biomedica_assets.store.manifests import StoreError
from biomedica_assets.store.shards import read_image
from biomedica_assets_tests.ingest.releases import DAYS, World, art, picture, write_release

FIRST, SECOND = f"{DAYS[0]}-00000", f"{DAYS[1]}-00000"
HOUR = 3600.0


def paths(world: World) -> set[str]:
    return {path for path, _ in world.files.list()}


def sweep(world: World, hour: float) -> tuple[int, int]:
    """(deleted, waiting) of a collection at this hour with a day of grace."""
    done = collect_garbage(world.files, now=hour * HOUR, grace_seconds=24 * HOUR)
    return done.deleted, done.waiting


def test_only_what_nothing_names_goes_and_only_after_its_grace(world: World) -> None:
    world.build(DAYS[0], art(1), art(2))
    world.build(DAYS[1], art(1).with_file("f2.png", picture(500)), art(2))
    live = paths(world)
    old_generation = (
        {path for path in live if path.startswith("catalogue/")}
        - {file.path for file in build_generation(world.files).files.values()}
        - {"catalogue/generation.json"}
    )
    stray = {"shards/2026-11-10-00009-0000-0123456789abcdef.tar", "tables/images/x-0123456789abcdef.parquet"}
    for path in stray:
        world.files.write(path, b"left by a killed run")
    waiting = len(old_generation | stray)
    assert sweep(world, 100) == (0, waiting)
    assert sweep(world, 123.9) == (0, waiting)
    assert stray < paths(world)
    assert sweep(world, 124) == (waiting, 0)
    assert paths(world) == (live - old_generation) | {"garbage.json"}
    # The second chunk still reads the first one's shard.
    for row in world.rows("images"):
        read_image(world.files, row)


def test_what_is_named_again_in_time_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.build(DAYS[0], art(1))
    table = world.manifest(FIRST).tables["articles"].path
    from biomedica_assets.ingest import article

    with monkeypatch.context() as patch:
        patch.setattr(article, "PARSER_VERSION", "other")
        patch.setattr(inputs, "PARSER_VERSION", "other")
        world.ingest()
        build_generation(world.files)
        assert world.manifest(FIRST).tables["articles"].path != table
        sweep(world, 0)
    world.ingest()  # the old parser again: the old file is live again
    build_generation(world.files)
    sweep(world, 10)
    assert world.manifest(FIRST).tables["articles"].path == table
    sweep(world, 40)
    assert table in paths(world)
    assert all(check.passed for check in check_chunk(world.files, world.manifest(FIRST)))


def test_borrowed_shards_stay_when_their_own_chunk_drops_them(world: World) -> None:
    world.build(DAYS[0], art(1), art(2))
    world.build(DAYS[1], art(1, title="new"), art(2))
    [shard] = world.manifest(FIRST).shards
    world.files.remove(f"chunks/{FIRST}.json")
    build_generation(world.files)
    sweep(world, 0)
    sweep(world, 100)
    assert shard.path in paths(world)
    assert [len(read_image(world.files, row)) for row in world.rows("images", SECOND)] == [
        len(picture(11)),
        len(picture(12)),
    ]


def test_a_collection_never_takes_from_a_running_chunk(world: World) -> None:
    """Files that are in the store but not yet in a manifest are younger than the grace."""
    world.release(DAYS[0], art(1))
    world.list()
    seen = []

    def look(_: str) -> None:
        seen.append(sweep(world, 0))

    ingest_chunk(world.workspace(), FIRST, log=look)
    sweep(world, 1)
    build_generation(world.files)
    assert sweep(world, 1000) == (0, 0)
    assert world.sql("SELECT count(*) FROM samples") == [(2,)]


def test_other_sources_are_refused(world: World) -> None:
    world.build(DAYS[0], art(1))
    other = world.root / "other"
    write_release(other, DAYS[1], [art(1), art(2)])
    manifest = next(other.rglob("*Z/manifest.json"))
    manifest.write_bytes(manifest.read_bytes().replace(b'pmc-oa-opendata"', b'private-bucket"'))
    from biomedica_assets_tests.ingest.releases import md5

    manifest.with_name("manifest.checksum").write_text(md5(manifest.read_bytes()))
    before = paths(world)
    with pytest.raises(StoreError, match=r"holds data of 'cloud:pmc-oa-opendata'.*'cloud:private-bucket'.*--adopt"):
        world.list(source=str(other))
    assert paths(world) == before


def test_a_mirror_is_the_same_source(world: World) -> None:
    world.build(DAYS[0], art(1))
    world.release(DAYS[1], art(1), art(2))
    assert world.list(source=str(world.folder)).rows == 1


def test_store_of_a_newer_format_is_refused(world: World) -> None:
    world.build(DAYS[0], art(1))
    world.files.write("store.json", json.dumps({"format_version": 2, "source": "cloud:pmc-oa-opendata"}).encode())
    world.release(DAYS[1], art(2))
    before = paths(world)
    for adopt in (False, True):
        from biomedica_assets.ingest.listing import list_release

        with pytest.raises(StoreError, match="store format 2; this software writes 1: upgrade"):
            list_release(world.workspace(), adopt=adopt)
    assert paths(world) == before


def test_unknown_chunk(world: World) -> None:
    world.build(DAYS[0], art(1))
    for chunk in (f"{DAYS[0]}-00001", f"{DAYS[3]}-00000", "nonsense"):
        with pytest.raises(StoreError, match="no file list with the chunk"):
            ingest_chunk(world.workspace(), chunk)


def test_summary_counts_what_is_current(world: World) -> None:
    world.build(DAYS[0], art(1), art(2).with_file("f1.png", None), art(3, licence="TDM"))
    text = summarise(world.workspace())
    numbers = {line.split()[0]: line.split()[1] for line in text.splitlines() if len(line.split()) == 2}
    assert {name: numbers[name] for name in ("articles", "figures", "captions", "mentions", "images")} == {
        "articles": "2",
        "figures": "4",
        "captions": "4",
        "mentions": "4",
        "images": "3",
    }
    assert "1 recorded, 0 of them lost a version" in text


def test_checks_pass_on_sound_chunks_and_name_what_is_wrong(world: World) -> None:
    world.build(DAYS[0], art(1), art(2, xml=b"<html/>"))
    manifest = world.manifest(FIRST)
    assert [check.check.name for check in check_chunk(world.files, manifest) if not check.passed] == ["failures_few"]
    world.files.write(manifest.shards[0].path, b"cut")
    wrong = [check for check in check_chunk(world.files, manifest) if not check.passed and check.check.blocking]
    assert [check.check.name for check in wrong] == ["files_present"]
    assert manifest.shards[0].path in wrong[0].message
