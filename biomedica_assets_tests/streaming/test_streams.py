"""Streams of a real store: each sample once over all parts, exact ranges, cursors, withdrawals, garbage."""

from __future__ import annotations

import io
import json
import random
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.dataset.filters import Filters
from biomedica_assets.dataset.recipes import Recipe
from biomedica_assets.dataset.subsets import build_subset
from biomedica_assets.store.compaction import compact
from biomedica_assets.store.garbage import collect_garbage
from biomedica_assets.store.shards import END, SpanError
from biomedica_assets.store.snapshots import create_snapshot
from biomedica_assets.streaming.cursor import CursorError, decode
from biomedica_assets.streaming.plan import Part
from biomedica_assets.streaming.planner import Planner, WithdrawnError
from biomedica_assets.streaming.reading import RemoteSource, open_source
from biomedica_assets.streaming.samples import Closing, CutError, Found, read_samples
from biomedica_assets.streaming.selection import StateGoneError, StreamError
from biomedica_assets.streaming.tar import Tar
from biomedica_assets_tests.ingest.releases import DAYS, World
from biomedica_assets_tests.streaming.conftest import SERVED, articles, image_ids, withdraw


def planner(world: World, **options: object) -> Planner:
    return Planner(world.files, refresh_seconds=0, **options)  # type: ignore[arg-type]


def whole(world: World, tar: Tar) -> bytes:
    data = b"".join(tar.read(open_source(world.files)))
    assert len(data) == tar.size
    return data


def ids(data: bytes) -> list[str]:
    return [json.loads(s.members["json"])["image_id"] for s in read_samples([data]) if isinstance(s, Found)]


def test_the_tar_is_a_tar_of_all_that_is_served(still: World) -> None:
    tar = planner(still).begin()
    data = whole(still, tar)
    found = ids(data)
    assert len(found) == len(SERVED) and set(found) == SERVED
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
        closing = json.loads(archive.extractfile("__end__").read())  # type: ignore[union-attr]
    assert names[-1] == "__end__" and len(names) == 3 * len(SERVED) + 1
    assert closing["samples"] == len(SERVED) and closing["bytes"] == tar.plan.bytes
    assert decode(closing["cursor"]).position == len(SERVED)
    assert ids(whole(still, planner(still).resume(closing["cursor"]))) == [], "behind the end there is only the end"


def test_four_ranks_with_two_workers_see_each_sample_once_per_epoch(still: World) -> None:
    plans = planner(still)
    state = plans.begin().cursor.state
    orders = []
    for epoch in (0, 1):
        seen: list[str] = []
        for rank in range(4):
            of_rank = []
            for worker in range(2):
                part = Part(seed=5, epoch=epoch, rank=rank, world=4, worker=worker, workers=2)
                of_rank += ids(whole(still, plans.begin(part, state=state)))
            alone = ids(whole(still, plans.begin(Part(seed=5, epoch=epoch, rank=rank, world=4), state=state)))
            assert set(alone) == set(of_rank), "the rank's share does not depend on its workers"
            seen += of_rank
        assert len(seen) == len(SERVED) and set(seen) == SERVED
        orders.append(seen)
    assert orders[0] != orders[1], "another epoch, another order"


def test_parts_must_name_their_state(still: World) -> None:
    with pytest.raises(StreamError, match=r"state=[0-9a-f]{16}"):
        planner(still).begin(Part(world=2))


def test_every_range_is_that_range(still: World) -> None:
    tar = planner(still).begin(Part(seed=2))
    data, local, remote = whole(still, tar), open_source(still.files), RemoteSource(still.files, 4, 30_000)
    numbers = random.Random(4)
    cuts = [(0, 1), (tar.size - 1, tar.size), (tar.plan.bytes - 1, tar.plan.bytes + 1), (tar.plan.bytes, tar.size)]
    for _ in range(150):
        first = numbers.randrange(tar.size)
        cuts.append((first, numbers.randrange(first, tar.size) + 1))
    for first, last in cuts:
        for source in (local, remote):
            assert b"".join(tar.read(source, first, last)) == data[first:last], (first, last)


def test_filters_subsets_limits_and_the_archives_order(still: World) -> None:
    plans = planner(still)
    assert set(ids(whole(still, plans.begin(filters=Filters(published_from="2020"))))) == image_ids(range(20, 25))
    assert set(ids(whole(still, plans.begin(filters=Filters(licence_group="noncommercial"))))) == image_ids([3])
    assert set(ids(whole(still, plans.begin(filters=Filters(pmcid=["PMC7", "8"]))))) == image_ids([7, 8])
    assert len(ids(whole(still, plans.begin(Part(limit=7))))) == 7
    build_subset(still.files, Recipe(name="late", description="late", where="publication_year > 2022"))
    assert set(ids(whole(still, plans.begin(subset="late")))) == image_ids([23, 24])
    early = plans.begin(Part(shuffle=False, limit=20))
    data = whole(still, early)
    shard = still.files.read(early.plan.samples.shards[0]).removesuffix(END)
    assert data.startswith(shard) and len(shard) < early.plan.bytes
    assert plans.begin(Part(shuffle=False, seed=3, epoch=9, limit=20)).plan.kept.tolist() == list(range(20))


def test_licences_that_are_not_served(still: World) -> None:
    with pytest.raises(StreamError, match="other is not served"):
        planner(still).begin(filters=Filters(licence_group="other"))
    everything = planner(still, groups=("commercial", "noncommercial", "other")).begin()
    assert len(everything.plan) == 72
    with pytest.raises(StreamError, match="other is not served"):
        planner(still).resume(everything.cursor.encode())


def test_what_is_not_there(still: World) -> None:
    plans = planner(still)
    for options in ({"subset": "nope"}, {"subset": "../x"}, {"snapshot": "nope"}, {"snapshot": "../x"}):
        with pytest.raises(StreamError):
            plans.begin(**options)  # type: ignore[arg-type]
    with pytest.raises(StreamError, match="annotations"):
        plans.begin(filters=Filters(label="x"))
    with pytest.raises(StateGoneError):
        plans.begin(state="0" * 16)


def test_going_on_after_a_withdrawal_loses_and_repeats_nothing(world: World) -> None:
    begun = planner(world)
    tar = begun.begin(Part(seed=1))
    data = whole(world, tar)
    order = ids(data)
    cut = tar.plan.offset(30) + 700  # within the sample of number 30
    had = order[:30]
    later = {name.partition(".")[0] for name in order[30:]} - {name.partition(".")[0] for name in order[:30]}
    gone = int(sorted(later)[0].removeprefix("PMC"))
    withdraw(world, gone)
    after = planner(world)
    again = after.resume(tar.cursor.encode())
    assert (again.etag, again.size) == (tar.etag, tar.size), "a stream keeps its state and its list"
    assert b"".join(again.read(open_source(world.files), cut)) == data[cut:]
    with pytest.raises(WithdrawnError) as caught:
        after.check(again, cut)
    rest = after.resume(caught.value.cursor.encode())
    after.check(rest)
    assert had + ids(whole(world, rest)) == [name for name in order if not name.startswith(f"PMC{gone}.")]


def test_a_withdrawal_that_touches_nothing_of_the_rest_goes_on(world: World) -> None:
    tar = planner(world).begin(Part(shuffle=False))
    first = ids(whole(world, tar))[0]
    withdraw(world, int(first.partition(".")[0].removeprefix("PMC")))
    after = planner(world)
    again = after.resume(tar.cursor.encode())
    after.check(again, tar.plan.offset(6))
    with pytest.raises(WithdrawnError):
        after.check(again)


def test_a_removal_counts_when_its_file_list_is_there(world: World) -> None:
    tar = planner(world).begin()
    world.release(DAYS[1], *articles(without=[9]))
    world.list()  # no chunk is made, no catalogue
    after = planner(world)
    with pytest.raises(WithdrawnError):
        after.check(after.resume(tar.cursor.encode()))
    assert set(ids(whole(world, after.begin()))) == SERVED - image_ids([9])
    assert set(ids(whole(world, after.begin(state=tar.cursor.state)))) == SERVED - image_ids([9])


def test_snapshots_stay_and_other_states_go(world: World) -> None:
    create_snapshot(world.files, "kept")
    plans = planner(world)
    of_snapshot, of_state = plans.begin(snapshot="kept"), plans.begin()
    before = whole(world, of_snapshot)
    assert whole(world, of_state)[: of_state.plan.bytes] == before[: of_snapshot.plan.bytes]
    world.build(DAYS[1], *[a.but(caption="another") for a in articles()])
    assert whole(world, planner(world).resume(of_state.cursor.encode())) == whole(world, of_state)
    collect_garbage(world.files, now=0, grace_seconds=0)
    collect_garbage(world.files, now=1, grace_seconds=0)
    with pytest.raises(StateGoneError, match="begin a new epoch"):
        planner(world).resume(of_state.cursor.encode())
    assert whole(world, planner(world).resume(of_snapshot.cursor.encode())) == before


def test_compaction_of_a_snapshot_moves_nobodys_place(world: World) -> None:
    create_snapshot(world.files, "kept")
    tar = planner(world).begin(snapshot="kept")
    withdraw(world, 7)
    assert compact(world.files, dead_share=0.01, confirm_releases=0).shards
    collect_garbage(world.files, now=0, grace_seconds=60)
    rest = planner(world).resume(tar.cursor.encode())
    with pytest.raises(WithdrawnError) as caught:
        planner(world).check(rest)
    assert set(ids(whole(world, planner(world).resume(caught.value.cursor.encode())))) == SERVED - image_ids([7])
    assert set(ids(whole(world, planner(world).begin(snapshot="kept")))) == SERVED - image_ids([7])


def test_a_place_outlives_the_list_that_it_was_made_with(world: World) -> None:
    create_snapshot(world.files, "kept")
    withdraw(world, 7)
    plans = planner(world)
    tar = plans.begin(snapshot="kept")
    order = ids(whole(world, tar))
    assert set(order) == SERVED - image_ids([7])
    place = plans.cursor_at(tar, tar.plan.offset(20)).encode()
    world.build(DAYS[2], *articles(without=[7, 8]))
    collect_garbage(world.files, now=0, grace_seconds=0)
    collect_garbage(world.files, now=1, grace_seconds=0)
    with pytest.raises(WithdrawnError) as caught:
        planner(world).resume(place)
    rest = planner(world).resume(caught.value.cursor.encode())
    assert ids(whole(world, rest)) == [name for name in order[20:] if not name.startswith("PMC8.")]


def test_a_shard_that_is_cut_is_an_error(world: World) -> None:
    tar = planner(world).begin()
    for shard in tar.plan.samples.shards:
        path = world.files.local_path(shard)
        assert path is not None
        with path.open("rb+") as file:
            file.truncate(1000)
    for source in (open_source(world.files), RemoteSource(world.files, 2, 30_000)):
        with pytest.raises(SpanError):
            list(tar.read(source))


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.hex()))
def test_hostile_cursors(text: str) -> None:
    with pytest.raises(CursorError):
        decode(text)


@pytest.mark.parametrize("cut", ["sample", "inside"])
def test_a_cut_tar_is_noticed(still: World, cut: str) -> None:
    tar = planner(still).begin()
    data = whole(still, tar)
    samples = []
    with pytest.raises(CutError):
        for found in read_samples([data[: tar.plan.offset(10) + (300 if cut == "inside" else 0)]]):
            samples.append(found)
    assert len(samples) == 9, "the tenth might go on"


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=40))
def test_samples_do_not_depend_on_how_blocks_fall(sizes: list[int]) -> None:
    blocks, place, number = [], 0, 0
    while place < len(TAR):
        size = sizes[number % len(sizes)]
        blocks.append(TAR[place : place + size])
        place, number = place + size, number + 1
    assert list(read_samples(blocks)) == list(read_samples([TAR]))


def _tar() -> bytes:
    """Two samples, one of a long name, and a closing member."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        closing = json.dumps({"samples": 2, "bytes": 1, "checksum": "", "cursor": ""}).encode()
        for name, data in (
            ("a.jpg", b"x" * 700),
            ("a.json", b"{}"),
            (f"{'b' * 120}.jpg", b"y" * 512),
            (f"{'b' * 120}.txt", b""),
            ("__end__", closing),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


TAR = _tar()


def test_samples_of_a_tar() -> None:
    first, second, closing = read_samples([TAR])
    assert isinstance(first, Found) and isinstance(second, Found) and isinstance(closing, Closing)
    assert (first.key, first.members) == ("a", {"jpg": b"x" * 700, "json": b"{}"})
    assert (second.key, second.members) == ("b" * 120, {"jpg": b"y" * 512, "txt": b""})
    # header + 700 bytes padded, header + 2 padded: where the PAX record of the second sample begins
    assert first.end == 512 + 1024 + 512 + 512
