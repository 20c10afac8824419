"""Plans: which bytes a stream has, found again from any byte, whatever is withdrawn. Against a naive reckoning."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from biomedica_assets.streaming.plan import Part, Plan, part_order
from biomedica_assets.streaming.selection import Samples


def samples(lengths: list[int], gaps: list[int]) -> Samples:
    """Two shards, samples with gaps between them."""
    count = len(lengths)
    offsets, place = [], 0
    for number, (length, gap) in enumerate(zip(lengths, gaps, strict=True)):
        if number == count // 2:
            place = 0
        offsets.append(place + gap)
        place += gap + length
    return Samples(
        shards=("a", "b"),
        shard=(np.arange(count) >= count // 2).astype(np.int32),
        offset=np.array(offsets, np.int64),
        length=np.array(lengths, np.int32),
        row=np.arange(count, dtype=np.int32)[::-1].copy(),
        check=np.arange(count, dtype=np.uint64),
    )


@given(st.data())
def test_against_a_naive_reckoning(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 60))
    found = samples(
        data.draw(st.lists(st.integers(1, 9), min_size=count, max_size=count)),
        data.draw(st.lists(st.sampled_from([0, 0, 3]), min_size=count, max_size=count)),
    )
    part = Part(world=2, rank=data.draw(st.integers(0, 1)), shuffle=data.draw(st.booleans()))
    places = part_order(found, part)
    gone = data.draw(st.sets(st.integers(0, max(0, count - 1))))
    start = data.draw(st.integers(0, len(places)))
    plan = Plan(found, places, np.array(sorted(gone), np.int32), start)

    kept = [(position, int(n)) for position, n in enumerate(places) if position >= start and found.row[n] not in gone]
    sent = [
        (found.shards[found.shard[n]], byte)
        for _, n in kept
        for byte in range(found.offset[n], found.offset[n] + found.length[n])
    ]
    assert len(plan) == len(kept) and plan.bytes == len(sent)
    assert [plan.position(number) for number in range(len(kept) + 1)] == [p for p, _ in kept] + [len(places)]
    runs = plan.runs(0, len(plan))
    assert [(run.shard, byte) for run in runs for byte in range(run.offset, run.offset + run.length)] == sent
    offset = 0
    for number, (_, n) in enumerate(kept):
        length = int(found.length[n])
        assert plan.offset(number) == offset
        assert plan.find(offset) == plan.find(offset + length - 1) == (number, offset)
        offset += length
    assert plan.find(offset) == (len(plan), offset)


@given(st.integers(1, 60), st.integers(1, 20), st.sets(st.integers(0, 99)), st.integers(0, 30))
def test_batches_end_with_windows(most: int, window: int, gone: set[int], start: int) -> None:
    found = samples([1 + n % 7 for n in range(100)], [0] * 100)
    plan = Plan(found, part_order(found, Part()), np.array(sorted(gone), np.int32), start)
    cuts = [0]
    while cuts[-1] < len(plan):
        cuts += plan.batches(cuts[-1], most, window)[1:]
    assert cuts == sorted(set(cuts)) and cuts[-1] == len(plan)
    lengths = found.length[plan.kept]
    windows = [plan.position(number) // window for number in range(len(plan))]
    for first, last in pairwise(cuts):
        assert last == first + 1 or lengths[first:last].sum() <= most
        assert windows[first] == windows[last - 1]
        full = last == len(plan) or windows[last] != windows[first]
        assert full or lengths[first : last + 1].sum() > most, "a batch is cut short only where it must be"


def test_neighbours_are_one_run() -> None:
    plan = Plan(samples([5] * 8, [0] * 8), np.arange(8, dtype=np.int32), np.empty(0, np.int32))
    assert [tuple(run) for run in plan.runs(0, 8)] == [("a", 0, 20), ("b", 0, 20)]


def test_many_samples_are_found_by_their_bytes() -> None:
    lengths = np.random.default_rng(1).integers(1, 2000, 20_000).astype(np.int32)
    found = samples(lengths.tolist(), [0] * len(lengths))
    plan = Plan(found, part_order(found, Part()), np.array([5, 77, 9000], np.int32))
    ends = np.cumsum(found.length[plan.kept], dtype=np.int64)
    assert plan.bytes == ends[-1] and len(plan) == 19_997
    for number in (0, 1, 4095, 4096, 4097, 12_345, len(plan) - 1):
        begin = int(ends[number - 1]) if number else 0
        assert plan.find(begin) == (number, begin) and plan.offset(number) == begin


@pytest.mark.parametrize("wrong", [{"rank": 4, "world": 4}, {"worker": 1}, {"epoch": -1}, {"limit": 0}, {"rang": 1}])
def test_parts_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Part(**wrong)  # type: ignore[arg-type]
