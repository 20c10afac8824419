"""Compaction: what is dead goes, what lives keeps its bytes, whenever it is killed and whoever reads meanwhile."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest

from biomedica_assets.store import catalogue, compaction
from biomedica_assets.store.catalogue import open_catalogue
from biomedica_assets.store.compaction import compact
from biomedica_assets.store.files import Files
from biomedica_assets.store.garbage import collect_garbage
from biomedica_assets.store.shards import read_image, read_span
from biomedica_assets.store.snapshots import (
    create_snapshot,
    delete_snapshot,
    logical_checksum,
    open_snapshot,
    read_snapshot,
    verify_snapshot,
)
from biomedica_assets_tests.ingest.releases import DAYS, World, art, data_files, picture
from biomedica_assets_tests.store.test_snapshots import RETRACTED, world

__all__ = ["world"]

FIRST, SECOND = f"{DAYS[0]}-00000", f"{DAYS[1]}-00000"


def noise(seed: int) -> bytes:
    """A picture of some 10 kB, so that samples of several sizes stand in a shard."""
    return picture(seed, "BMP", (60, 40 + seed % 7))


def fill(made: World, *, tail: bool = True) -> World:
    """Release 1: six articles. Release 2: 1 same, 2 retracted, 3 removed, 4 another picture, 5 new title, 6 same."""
    first = [art(n).with_file("f1.png", noise(n)) for n in range(1, 7)]
    made.build(DAYS[0], *first)
    if tail:
        second = [
            first[0],
            first[1].but(fields=RETRACTED),
            first[3].with_file("f1.png", noise(99)),
            first[4].but(title="New"),
            first[5],
        ]
        made.build(DAYS[1], *second)
    return made


def samples(files: Files) -> dict[str, bytes]:
    """Bytes of every current sample by image_id, read by the catalogue's spans; each image is checked by its MD5."""
    with open_catalogue(files) as views:
        rows = views.sql("SELECT * FROM images ORDER BY image_id").to_arrow_table().to_pylist()
        index = views.execute('SELECT image_id, shard, "offset", length, image_offset FROM sample_index').fetchall()
    for row in rows:
        read_image(files, row)
    places = {row["image_id"]: (row["shard"], row["offset"], row["length"], row["image_offset"]) for row in rows}
    assert places == {image_id: tuple(place) for image_id, *place in index}
    return {row["image_id"]: read_span(files, row["shard"], row["offset"], row["length"]) for row in rows}


def shard_bytes(files: Files) -> int:
    return sum(size for _, size in files.list("shards"))


def sweep(files: Files) -> int:
    collect_garbage(files, now=0, grace_seconds=3600)
    return collect_garbage(files, now=4000, grace_seconds=3600).deleted


def test_dead_samples_go_and_live_ones_keep_their_bytes(world: Callable[..., World]) -> None:
    made = fill(world())
    before, held, checksum = samples(made.files), shard_bytes(made.files), logical_checksum(made.files)
    [old] = made.manifest(FIRST).shards
    done = compact(made.files, dead_share=0.1)
    # Dead: both pictures of 2 (retracted) and the first one of 4; 3 is missing from one inventory only.
    dead = [row for row in made.rows("images", FIRST) if row["shard"] is None]
    assert {row["image_id"] for row in dead} == {"PMC2.1/f1/1", "PMC2.1/f2/1", "PMC4.1/f1/1"}
    assert all(row["md5"] and row["offset"] is row["length"] is row["image_offset"] is None for row in dead)
    assert samples(made.files) == before
    assert logical_checksum(made.files) == checksum
    [new] = made.manifest(FIRST).shards
    assert (done.shards, done.bytes_before, done.bytes_after, done.chunks) == (1, old.bytes, new.bytes, 2)
    assert new.path in {shard.path for shard in made.manifest(SECOND).shards}  # 5 borrows from the first chunk's shard
    assert new.rows == 9
    with tarfile.open(fileobj=BytesIO(made.files.read(new.path))) as archive:
        assert len(archive.getnames()) == 27
    assert made.files.exists(old.path)  # a stream may be reading it
    sweep(made.files)
    assert not made.files.exists(old.path)
    assert shard_bytes(made.files) == held - old.bytes + new.bytes
    assert samples(made.files) == before
    assert compact(made.files, dead_share=0.01).shards == 0


def test_a_stream_with_old_spans_reads_on_until_the_grace_has_passed(world: Callable[..., World]) -> None:
    made = fill(world())
    with open_catalogue(made.files) as views:
        rows = views.sql("SELECT shard, image_offset, bytes, md5 FROM images").to_arrow_table().to_pylist()
    compact(made.files, dead_share=0.1)
    collect_garbage(made.files, now=0, grace_seconds=3600)
    collect_garbage(made.files, now=3599, grace_seconds=3600)
    for row in rows:
        read_image(made.files, row)


def test_a_removal_waits_for_later_inventories(world: Callable[..., World]) -> None:
    made = fill(world())
    compact(made.files, dead_share=0.1, confirm_releases=1)
    assert all(row["shard"] for row in made.rows("images", FIRST) if row["article_id"] == "PMC3.1")
    later = [art(n).with_file("f1.png", noise(n)) for n in (1, 6)]
    made.build(
        DAYS[2],
        *later,
        art(4).with_file("f1.png", noise(99)),
        art(5, title="New").with_file("f1.png", noise(5)),
        art(8),
    )
    assert compact(made.files, dead_share=0.1, confirm_releases=2).shards == 0
    assert compact(made.files, dead_share=0.1, confirm_releases=1).shards >= 1
    assert not any(row["shard"] for row in made.rows("images", FIRST) if row["article_id"] == "PMC3.1")


def test_the_threshold_and_the_budget(world: Callable[..., World]) -> None:
    made = fill(world("small", shard_bytes=12_000))
    assert compact(made.files, dead_share=1.0).shards == 0
    whole_dead = compact(made.files, dead_share=0.3, max_bytes=0)
    assert whole_dead.bytes_after == 0 and whole_dead.shards >= 1
    before = samples(made.files)
    compact(made.files, dead_share=0.05)
    assert samples(made.files) == before


def test_a_snapshot_keeps_superseded_samples_but_not_withdrawn_ones(world: Callable[..., World]) -> None:
    made = fill(world(), tail=False)
    before = create_snapshot(made.files, "one")
    fill(made)
    compact(made.files, dead_share=0.01)
    rows = {row["image_id"]: row["shard"] for row in made.rows("images", FIRST)}
    assert rows["PMC4.1/f1/1"] and not rows["PMC2.1/f1/1"]
    sweep(made.files)
    after = read_snapshot(made.files, "one")
    assert verify_snapshot(made.files, "one", contents=True).wrong == []
    assert set(before.files) - {path for path, _ in made.files.list()}  # its old shard is really gone
    assert (after.checksums, after.counts) == (before.checksums, before.counts)
    with open_snapshot(made.files, "one") as views:
        rows = views.sql("SELECT * FROM images ORDER BY image_id").to_arrow_table().to_pylist()
        assert [row["article_id"] for row in rows[::2]] == ["PMC1.1", "PMC4.1", "PMC5.1", "PMC6.1"]
        assert [read_image(made.files, row) for row in rows if row["image_id"] == "PMC4.1/f1/1"] == [noise(4)]
        spans = views.execute('SELECT image_id, shard, "offset", length FROM sample_index').fetchall()
    assert sorted(spans) == [(row["image_id"], row["shard"], row["offset"], row["length"]) for row in rows]
    delete_snapshot(made.files, "one")
    compact(made.files, dead_share=0.01)
    assert not {r["image_id"]: r["shard"] for r in made.rows("images", FIRST)}["PMC4.1/f1/1"]


class Killed(BaseException):
    """What no handler catches, as SIGKILL."""


class Mortal(Files):
    """Files that die at the n-th change of the store."""

    left = 10**9

    def _step(self) -> None:
        Mortal.left -= 1
        if Mortal.left < 0:
            raise Killed

    def write(self, path: str, data: bytes) -> None:
        self._step()
        super().write(path, data)

    def put_file(self, local_path: Any, path: str, *, move: bool = False) -> None:
        self._step()
        super().put_file(local_path, path, move=move)

    def remove(self, path: str) -> None:
        self._step()
        super().remove(path)


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.soak)])
def test_killed_at_any_step_and_run_again(world: Callable[..., World], tmp_path: Any, stride: int) -> None:
    made = fill(world(), tail=False)
    create_snapshot(made.files, "one")
    fill(made)
    expected = samples(made.files)
    original = {path: made.files.read(path) for path, _ in made.files.list()}

    def fresh(name: str) -> Mortal:
        copy = Mortal(tmp_path / name)
        for path, data in original.items():
            Files.write(copy, path, data)
        return copy

    unbroken = fresh("unbroken")
    compact(unbroken, dead_share=0.05)
    sweep(unbroken)
    steps = 0
    while True:
        files = fresh(f"killed-{steps}")
        Mortal.left = steps
        try:
            compact(files, dead_share=0.05)
            break
        except Killed:
            Mortal.left = 10**9
        finally:
            Mortal.left = 10**9
        assert samples(files) == expected
        sweep(files)  # even a collection in between takes nothing away
        assert samples(files) == expected
        compact(files, dead_share=0.05)
        sweep(files)
        assert samples(files) == expected
        assert data_files(files) == data_files(unbroken)
        assert files.read("snapshots/one.json") == unbroken.read("snapshots/one.json")
        assert not list(files.list("compaction"))
        steps += stride
    assert steps >= 8


def test_a_chunk_committed_meanwhile_keeps_what_it_borrowed(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fill(world())
    finish = compaction._finish

    def slow(files: Files, scratch: str | None) -> Any:
        if files.exists(compaction.JOURNAL):
            # The retraction is taken back: a new chunk points at samples that the plan has given up.
            made.build(DAYS[2], *(art(n).with_file("f1.png", noise(n)) for n in range(1, 7)))
        return finish(files, scratch)

    with monkeypatch.context() as patch:
        patch.setattr(compaction, "_finish", slow)
        compact(made.files, dead_share=0.1)
    expected = samples(made.files)
    assert {"PMC2.1/f1/1", "PMC2.1/f2/1"} <= expected.keys()
    sweep(made.files)
    assert samples(made.files) == expected
    compact(made.files, dead_share=0.1)
    sweep(made.files)
    assert samples(made.files) == expected


def test_damaged_spans_stop_the_plan(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    made = fill(world())
    [shard] = made.manifest(FIRST).shards
    with pytest.raises(compaction.StoreError, match="no sample can lie at"):
        compaction._spans(_Fixed([(0, 1024), (512, 1024)]), shard)  # type: ignore[arg-type]
    assert made.files.exists(shard.path)


class _Fixed:
    def __init__(self, rows: list[tuple[int, int]]) -> None:
        self._rows = rows

    def execute(self, *_: Any) -> _Fixed:
        return self

    def fetchall(self) -> list[tuple[int, int]]:
        return self._rows


def test_runs_of_neighbours() -> None:
    assert list(compaction._runs([(0, 512), (512, 1024), (2048, 512), (2560, 512)])) == [(0, 1536), (2048, 3072)]
    assert list(compaction._runs([])) == []


def test_over_a_store_that_is_not_local(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    made = fill(world())
    memory = Files("memory://compaction-test")
    for path, _ in made.files.list():
        memory.write(path, made.files.read(path))
    before = samples(memory)
    compact(memory, dead_share=0.1)
    assert samples(memory) == before
    compact(made.files, dead_share=0.1)
    assert data_files(made.files) == data_files(memory)
    assert catalogue.read_generation(made.files) == catalogue.read_generation(memory)


def test_a_reparse_asks_for_nothing_that_was_dropped(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    from biomedica_assets.ingest import inputs
    from biomedica_assets.ingest.checks import check_chunk
    from biomedica_assets.ingest.preview import chunk_preview

    made = fill(world())
    compact(made.files, dead_share=0.1)
    before, images = samples(made.files), made.rows("images", FIRST)
    monkeypatch.setattr(inputs, "PARSER_VERSION", "another")
    for path in made.folder.rglob("*.png"):
        path.unlink()
    assert set(made.ingest()) == {FIRST, SECOND}
    catalogue.build_generation(made.files)
    assert made.rows("images", FIRST) == images
    assert samples(made.files) == before
    assert made.failures() == set()
    assert all(check.passed for chunk in (FIRST, SECOND) for check in check_chunk(made.files, made.manifest(chunk)))
    assert chunk_preview(made.files, made.manifest(FIRST)).sheet


def test_what_comes_back_after_its_bytes_were_dropped_is_fetched_again(world: Callable[..., World]) -> None:
    made = fill(world())
    compact(made.files, dead_share=0.1)
    made.build(DAYS[2], *(art(n).with_file("f1.png", noise(n)) for n in range(1, 7)))
    assert {"PMC2.1/f1/1", "PMC2.1/f2/1"} <= samples(made.files).keys()
    [shard] = made.manifest(f"{DAYS[2]}-00000").own_shards
    assert shard.rows == 3  # both pictures of 2 and the first one of 4; 3 still had its bytes
