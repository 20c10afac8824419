"""Snapshots, what changed between them, and the withdrawal list that wins over them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from biomedica_assets.store import catalogue
from biomedica_assets.store.catalogue import open_catalogue, read_generation
from biomedica_assets.store.differences import diff_snapshots
from biomedica_assets.store.garbage import collect_garbage, live_paths
from biomedica_assets.store.manifests import read_chunk_manifests
from biomedica_assets.store.snapshots import (
    SnapshotError,
    create_snapshot,
    delete_snapshot,
    list_snapshots,
    logical_checksum,
    open_snapshot,
    read_snapshot,
    restore_snapshot,
    verify_snapshot,
    withheld,
)
from biomedica_assets.store.withdrawals import read_withdrawals, withdrawn_ids
from biomedica_assets_tests.ingest.releases import DAYS, World, art, picture

RETRACTED = {"is_retracted": True}


@pytest.fixture
def world(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    monkeypatch.setattr(catalogue, "write_local_database", lambda *_: None)

    def make(name: str = "world", **settings: Any) -> World:
        return World(tmp_path / name, **settings)

    return make


@pytest.fixture
def two(world: Callable[..., World]) -> World:
    """Release 2: 1 unchanged, 2 retracted, 3 removed, 4 another picture and title, 5 new version, 6 new, 7 TDM now."""
    made = world()
    first = [art(1), art(2), art(3), art(4), art(5), art(7)]
    made.build(DAYS[0], *first)
    create_snapshot(made.files, "one")
    made.build(
        DAYS[1],
        art(1),
        art(2, fields=RETRACTED),
        art(4, title="Another").with_file("f2.png", picture(900)),
        art(5),
        art(5, version=2),
        art(6, pictures=1),
        art(7, licence="TDM"),
    )
    create_snapshot(made.files, "two")
    return made


def ids(connection: Any, view: str = "current") -> list[str]:
    with connection:
        return [row[0] for row in connection.execute(f"SELECT article_id FROM {view} ORDER BY 1").fetchall()]


def test_withdrawal_list_says_what_was_collected_once_and_why(two: World) -> None:
    rows = {r["article_id"]: (r["reason"], r["since_release"]) for r in read_withdrawals(two.files).to_pylist()}
    assert rows == {
        "PMC2.1": ("retracted", DAYS[1]),
        "PMC3.1": ("removed", DAYS[1]),
        "PMC7.1": ("gated:tdm", DAYS[1]),
    }
    assert withdrawn_ids(two.files) == set(rows)
    two.build(DAYS[2], art(1), art(2), art(3), art(4), art(7))
    assert withdrawn_ids(two.files) == {"PMC5.1", "PMC5.2", "PMC6.1"}  # what came back is free again


def test_a_manuscript_goes_with_its_retracted_published_version(world: Callable[..., World]) -> None:
    made = world()
    manuscript = art(1, fields={"is_manuscript": True})
    made.build(DAYS[0], manuscript)
    made.build(DAYS[1], manuscript, art(1, version=2, fields=RETRACTED))
    [row] = read_withdrawals(made.files).to_pylist()
    assert (row["article_id"], row["reason"], row["since_release"]) == ("PMC1.1", "pmcid_retracted", DAYS[1])
    made.build(DAYS[2], manuscript, art(1, version=2))
    assert withdrawn_ids(made.files) == frozenset()


def test_removals_of_an_uncommitted_release_count_at_once(two: World) -> None:
    two.release(DAYS[2], art(1))
    two.list()
    assert {"PMC4.1", "PMC5.2", "PMC6.1"} <= withdrawn_ids(two.files)
    assert ids(open_snapshot(two.files, "two")) == ["PMC1.1"]


def test_a_snapshot_is_read_as_it_was_without_what_is_withdrawn(two: World) -> None:
    assert ids(open_snapshot(two.files, "one")) == ["PMC1.1", "PMC4.1", "PMC5.1"]
    assert ids(open_snapshot(two.files, "one"), "images") == ["PMC1.1"] * 2 + ["PMC4.1"] * 2 + ["PMC5.1"] * 2
    with open_snapshot(two.files, "one") as views:
        titles = views.execute("SELECT DISTINCT title FROM samples WHERE pmcid = 4").fetchall()
        assert titles == [("A title",)]
        assert views.execute("SELECT count(*) FROM sample_index").fetchone() == (6,)
    assert withheld(two.files, "one").to_pylist() == [
        {"article_id": "PMC2.1", "reason": "retracted", "since_release": DAYS[1], "images": 2},
        {"article_id": "PMC3.1", "reason": "removed", "since_release": DAYS[1], "images": 2},
        {"article_id": "PMC7.1", "reason": "gated:tdm", "since_release": DAYS[1], "images": 2},
    ]
    assert withheld(two.files, "two").to_pylist() == []


def test_the_difference_names_exactly_what_changed(two: World) -> None:
    found = diff_snapshots(two.files, "one", "two")
    rows = {(r["kind"], r["change"], r["id"], r["detail"]) for r in found.rows.to_pylist()}
    gone = {"PMC2.1": "retracted", "PMC3.1": "removed", "PMC7.1": "removed"}
    why = {"PMC2.1": "retracted", "PMC3.1": "removed", "PMC7.1": "gated:tdm"}
    expected: set[tuple[str, str, str, str | None]] = set()
    for article, change in gone.items():
        expected |= {("article", change, article, why[article])}
        expected |= {("figure", change, f"{article}/f{n}", why[article]) for n in (1, 2)}
        expected |= {("image", change, f"{article}/f{n}/1", why[article]) for n in (1, 2)}
    for article, change, detail in (
        ("PMC5.1", "removed", "replaced by PMC5.2"),
        ("PMC5.2", "added", "replaces PMC5.1"),
    ):
        expected |= {("article", change, article, detail)}
        expected |= {("figure", change, f"{article}/f{n}", detail) for n in (1, 2)}
        expected |= {("image", change, f"{article}/f{n}/1", detail) for n in (1, 2)}
    expected |= {("article", "added", "PMC6.1", None), ("figure", "added", "PMC6.1/f1", None)}
    expected |= {("image", "added", "PMC6.1/f1/1", None)}
    expected |= {("article", "changed", "PMC4.1", "articles, images, objects")}
    expected |= {("image", "changed", "PMC4.1/f2/1", "images")}
    assert rows == expected
    assert found.counts["article"] == {"added": 2, "changed": 1, "removed": 3, "retracted": 1}
    assert json.loads(found.to_json())["counts"] == found.counts


def test_the_difference_backwards_and_to_itself(two: World) -> None:
    assert diff_snapshots(two.files, "two", "two").rows.num_rows == 0
    back = diff_snapshots(two.files, "two", "one")
    assert back.counts["article"] == {"added": 4, "changed": 1, "removed": 2}
    assert {r["detail"] for r in back.rows.to_pylist() if r["id"] == "PMC6.1"} == {"no longer current"}


def test_names(two: World) -> None:
    assert list_snapshots(two.files) == ["one", "two"]
    assert create_snapshot(two.files, "two") == read_snapshot(two.files, "two")
    with pytest.raises(SnapshotError, match="names another state"):
        create_snapshot(two.files, "one")
    named = create_snapshot(two.files)
    assert named.name == f"{DAYS[1]}-{named.logical_checksum[:8]}"
    with pytest.raises(SnapshotError, match="no name for a snapshot"):
        create_snapshot(two.files, "../two")
    with pytest.raises(SnapshotError, match=r"it has: .*one, two"):
        open_snapshot(two.files, "three")


def test_nothing_to_name(world: Callable[..., World]) -> None:
    with pytest.raises(SnapshotError, match="no committed chunk"):
        create_snapshot(world().files)


def test_verify(two: World) -> None:
    checked = verify_snapshot(two.files, "one", contents=True)
    assert (checked.wrong, checked.checked) == ([], len(read_snapshot(two.files, "one").files))
    path = read_snapshot(two.files, "one").manifests[f"{DAYS[0]}-00000"].shards[0].path
    data = two.files.read(path)
    two.files.write(path, data[:-1] + b"x")
    assert verify_snapshot(two.files, "one").wrong == []
    assert verify_snapshot(two.files, "one", contents=True).wrong == [path]
    two.files.remove(path)
    assert verify_snapshot(two.files, "one").wrong == [path]
    with pytest.raises(SnapshotError, match="1 files of the snapshot 'one' are missing"):
        restore_snapshot(two.files, "one")


def test_garbage_collection_spares_what_a_snapshot_names(two: World) -> None:
    kept = set(read_snapshot(two.files, "one").files)
    for hour in (0, 100):
        collect_garbage(two.files, now=hour * 3600, grace_seconds=3600)
    assert kept <= {path for path, _ in two.files.list()}
    delete_snapshot(two.files, "one")
    assert not kept <= live_paths(two.files)


def test_restore_brings_the_state_back_but_for_what_is_withdrawn(two: World) -> None:
    before = read_chunk_manifests(two.files)
    restore_snapshot(two.files, "one")
    assert read_chunk_manifests(two.files) == read_snapshot(two.files, "one").manifests
    assert ids(open_catalogue(two.files)) == ["PMC1.1", "PMC4.1", "PMC5.1"]
    assert {"PMC2.1", "PMC3.1", "PMC7.1"} <= withdrawn_ids(two.files)
    [kept] = [name for name in list_snapshots(two.files) if name.startswith("before-one-")]
    restore_snapshot(two.files, kept)
    assert read_chunk_manifests(two.files) == before
    assert ids(open_catalogue(two.files)) == ["PMC1.1", "PMC4.1", "PMC5.2", "PMC6.1"]
    assert logical_checksum(two.files) == read_snapshot(two.files, "two").logical_checksum
    restore_snapshot(two.files, "one")
    two.build()  # the chunk of the second release is unfinished, and made again
    assert read_chunk_manifests(two.files).keys() == before.keys()
    assert logical_checksum(two.files) == read_snapshot(two.files, "two").logical_checksum


def test_logical_checksum_does_not_depend_on_how_chunks_were_built(world: Callable[..., World]) -> None:
    from biomedica_assets.ingest.chunk import ingest_chunk
    from biomedica_assets.store.catalogue import build_generation

    articles = [art(n) for n in range(1, 8)]
    sums = set()
    for name, order, settings in (
        ("forward", 1, {"concurrency": 1}),
        ("backward", -1, {"concurrency": 8, "shard_bytes": 4000}),
    ):
        made = world(name, chunk_size=3)
        made.release(DAYS[0], *articles)
        made.list()
        for chunk in [f"{DAYS[0]}-0000{n}" for n in range(3)][::order]:
            ingest_chunk(made.workspace(**settings), chunk)
        build_generation(made.files)
        sums.add(logical_checksum(made.files))
    assert len(sums) == 1
    other = world("other")
    other.build(DAYS[0], *articles[:-1], articles[-1].with_file("f2.png", picture(901)))
    assert logical_checksum(other.files) not in sums


def test_the_list_stands_when_the_generation_is_lost(two: World) -> None:
    listed = read_withdrawals(two.files)
    generation = read_generation(two.files)
    two.files.remove(catalogue.POINTER)
    catalogue.build_generation(two.files)
    assert read_withdrawals(two.files).equals(listed)
    assert read_generation(two.files) == generation
