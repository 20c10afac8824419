"""Vector segments against brute force: exact where they say so, masks, deltas, merges, damaged files."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomedica_assets.search import vector_codes, vectors
from biomedica_assets.search.vector_files import SegmentRecord, VectorFileError
from biomedica_assets.search.vectors import Segment, VectorIndex, build_segment, merge_segments, plan_merges

Rows = list[tuple[np.ndarray, np.ndarray]]


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clustered(count: int, dimensions: int = 32, centres: int = 40, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    middle = random.standard_normal((centres, dimensions))
    return unit(middle[random.integers(0, centres, count)] + 0.7 * random.standard_normal((count, dimensions)))


def built(folder: Path, rows: np.ndarray, matrix: np.ndarray) -> SegmentRecord:
    record = build_segment(folder, [(rows, matrix)], matrix.shape[1])
    assert record is not None
    return record


def brute(matrix: np.ndarray, rows: np.ndarray, query: np.ndarray, limit: int, mask: np.ndarray | None) -> list[int]:
    """Rows by falling cosine of the vectors as stored, ties by row, each row once."""
    scores = matrix.astype(np.float16).astype(np.float32) @ (query / np.linalg.norm(query))
    kept = np.ones(len(rows), bool) if mask is None else mask[rows]
    best = [int(rows[place]) for place in np.lexsort((rows, -scores)) if kept[place]]
    return list(dict.fromkeys(best))[:limit]


def recall(found: np.ndarray, wanted: list[int]) -> float:
    return len(set(found.tolist()) & set(wanted)) / len(wanted)


@pytest.mark.parametrize("share", [None, 0.5, 0.02])
def test_small_segments_give_what_brute_force_gives(tmp_path: Path, share: float | None) -> None:
    matrix = clustered(2_000)
    rows = np.arange(100, 2_100)
    index = VectorIndex(tmp_path, [built(tmp_path, rows, matrix)])
    mask = None if share is None else np.random.default_rng(1).random(2_100) < share
    for query in clustered(20, seed=2):
        found, scores = index.search(query, 10, mask)
        assert found.tolist() == brute(matrix, rows, query, 10, mask)
        assert (np.diff(scores) <= 0).all()
        assert scores[0] <= 1.001


@pytest.mark.parametrize("lists", [1, 64])
def test_codes_find_what_brute_force_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lists: int) -> None:
    monkeypatch.setattr(vectors, "CODED_FROM", 1_000)
    monkeypatch.setattr(vector_codes, "ONE_LIST", 10**9 if lists == 1 else 1_000)
    matrix = clustered(4_000)
    rows = np.arange(4_000)
    record = built(tmp_path, rows, matrix)
    assert record.codes is not None
    assert (record.lists, record.probes) == ((1, 1) if lists == 1 else (64, 16))  # sqrt(4000) is about 2**6
    index = VectorIndex(tmp_path, [record])
    for share in (None, 0.9, 0.5):
        mask = None if share is None else np.random.default_rng(3).random(4_000) < share
        scored = []
        for query in clustered(30, seed=4):
            found, _ = index.search(query, 10, mask)
            assert mask is None or mask[found].all()
            scored.append(recall(found, brute(matrix, rows, query, 10, mask)))
            assert index.search(query, 10, mask, exact=True)[0].tolist() == brute(matrix, rows, query, 10, mask)
        assert np.mean(scored) >= 0.95


def test_a_row_with_several_vectors_is_found_once_by_its_best(tmp_path: Path) -> None:
    axes = np.eye(4, dtype=np.float32)
    # Row 7 owns three vectors, two of them the query itself; row 9 comes second, row 8 last.
    matrix = np.stack([axes[0], axes[0], axes[1], axes[3], unit(axes[:1] + axes[1:2])[0]])
    index = VectorIndex(tmp_path, [built(tmp_path, np.array([7, 7, 7, 8, 9]), matrix)])
    rows, scores = index.search(axes[0], 2)
    assert rows.tolist() == [7, 9]
    assert scores == pytest.approx([1, np.sqrt(0.5)], abs=1e-3)
    assert index.vectors_of(7).tolist() == [axes[0].tolist(), axes[0].tolist(), axes[1].tolist()]
    assert index.vectors_of(6).shape == (0, 4)


def test_many_vectors_of_one_row_do_not_hide_the_others(tmp_path: Path) -> None:
    near, far = clustered(1, 8, seed=5)[0], clustered(1, 8, seed=6)[0]
    matrix = np.concatenate([np.tile(near, (500, 1)), far[None], -near[None]])
    index = VectorIndex(tmp_path, [built(tmp_path, np.array([3] * 500 + [4, 5]), matrix)])
    assert index.search(near, 3)[0].tolist() == [3, 4, 5]


def test_equal_vectors_are_given_in_the_order_of_rows(tmp_path: Path) -> None:
    index = VectorIndex(tmp_path, [built(tmp_path, np.arange(50), np.tile(clustered(1), (50, 1)))])
    assert index.search(clustered(1)[0], 50)[0].tolist() == list(range(50))


def test_what_says_nothing_is_left_out(tmp_path: Path) -> None:
    matrix = np.array([[0, 0], [3, 4], [0, 0]], np.float32)
    index = VectorIndex(tmp_path, [built(tmp_path, np.array([0, 1, 2]), matrix)])
    assert index.count == 1
    assert index.vectors_of(1) == pytest.approx(np.array([[0.6, 0.8]]), abs=1e-3)
    assert index.search(np.zeros(2), 5)[0].tolist() == []
    assert build_segment(tmp_path, [(np.array([1]), np.zeros((1, 2)))], 2) is None
    assert build_segment(tmp_path, [], 2) is None


def test_masks(tmp_path: Path) -> None:
    matrix = clustered(100)
    index = VectorIndex(tmp_path, [built(tmp_path, np.arange(100), matrix)])
    nothing = np.zeros(100, bool)
    assert index.search(matrix[5], 10, nothing)[0].tolist() == []
    nothing[[70, 3]] = True
    assert sorted(index.search(matrix[5], 10, nothing)[0].tolist()) == [3, 70]
    assert index.search(matrix[5], 1, np.ones(100_000, bool))[0].tolist() == [5]
    with pytest.raises(ValueError, match="a mask of 99 rows, the index has 100"):
        index.search(matrix[5], 10, np.ones(99, bool))
    with pytest.raises(ValueError, match="31 dimensions, the index has 32"):
        index.search(np.ones(31), 10)


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    index = VectorIndex(tmp_path, [])
    assert index.search(np.ones(8), 10)[0].tolist() == []
    assert index.vectors_of(0).shape == (0, 0)
    assert (index.count, index.rows, index.dimensions) == (0, 0, None)


@pytest.mark.parametrize(
    ("rows", "matrix", "message"),
    [
        ([2, 1], np.ones((2, 4)), "ascending"),
        ([-1, 1], np.ones((2, 4)), "ascending"),
        ([1, 1 << 32], np.ones((2, 4)), "32 bits"),
        ([1, 2], np.ones((2, 3)), r"shape \(2, 3\)"),
        ([1], np.ones((2, 4)), "for 1 rows"),
        ([1, 2], np.array([[1, 1, 1, np.nan]] * 2), "no number"),
    ],
)
def test_refused_input(tmp_path: Path, rows: list[int], matrix: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_segment(tmp_path, [(np.array(rows), matrix)], 4)


def test_batches_must_ascend_too(tmp_path: Path) -> None:
    one = np.ones((1, 4))
    with pytest.raises(ValueError, match="ascending"):
        build_segment(tmp_path, [(np.array([5]), one), (np.array([4]), one)], 4)


def test_files_do_not_depend_on_batches_and_are_plain(tmp_path: Path) -> None:
    matrix = clustered(1_000)
    whole = built(tmp_path / "a", np.arange(1_000), matrix)
    parts = [(np.arange(i, i + 100), matrix[i : i + 100]) for i in range(0, 1_000, 100)]
    assert build_segment(tmp_path / "b", parts, 32) == whole
    data = (tmp_path / "a" / whole.vectors).read_bytes()
    plain = np.frombuffer(data[-1_000 * 32 * 2 :], "<f2").reshape(1_000, 32)
    assert np.abs(plain.astype(np.float32) - matrix).max() < 1e-3
    assert np.load(tmp_path / "a" / whole.rows).tolist() == list(range(1_000))
    assert SegmentRecord.from_json(whole.to_json()) == whole


def test_deltas_and_a_merge_without_the_dead(tmp_path: Path) -> None:
    matrix = clustered(300)
    # The second delta holds rows between those of the first: features that came later.
    first, second = np.r_[0:100, 200:300], np.arange(100, 200)
    records = [built(tmp_path, first, matrix[first]), built(tmp_path, second, matrix[second])]
    apart = VectorIndex(tmp_path, records)
    alive = np.ones(300, bool)
    alive[::3] = False
    merged = merge_segments(tmp_path, apart.segments, keep=alive)
    assert merged is not None
    together = VectorIndex(tmp_path, [merged])
    assert together.count == 200
    assert together.segments[0].rows.tolist() == np.flatnonzero(alive).tolist()
    stored = np.concatenate([apart.segments[0].matrix[:100], apart.segments[1].matrix, apart.segments[0].matrix[100:]])
    assert (together.segments[0].matrix == stored[alive]).all()  # the very bytes
    for query in clustered(10, seed=8):
        wanted = brute(matrix, np.arange(300), query, 20, alive)
        assert apart.search(query, 20, alive)[0].tolist() == wanted
        assert together.search(query, 20)[0].tolist() == wanted
    assert merge_segments(tmp_path, apart.segments, keep=np.zeros(300, bool)) is None


def test_a_merge_can_renumber(tmp_path: Path) -> None:
    matrix = clustered(4)
    segment = Segment(tmp_path, built(tmp_path, np.array([0, 1, 2, 9]), matrix))
    new = np.full(10, -1)
    new[[0, 2, 9]] = [8, 3, 4]
    record = merge_segments(tmp_path, [segment], renumber=new)
    assert record is not None
    moved = VectorIndex(tmp_path, [record])
    assert moved.segments[0].rows.tolist() == [3, 4, 8]
    assert [int(moved.search(matrix[old], 1)[0][0]) for old in (0, 2, 3)] == [8, 3, 4]


@pytest.mark.parametrize(
    ("alive", "counts", "groups"),
    [
        ([], [], []),
        ([5_000] * 7, [5_000] * 7, []),
        ([5_000] * 8, [5_000] * 8, [[0, 1, 2, 3, 4, 5, 6, 7]]),
        ([1_000_000] + [10] * 8, [1_000_000] + [10] * 8, [[1, 2, 3, 4, 5, 6, 7, 8]]),
        ([69, 100], [100, 100], [[0]]),  # 31 of 100 are dead
        ([70, 0], [100, 10], [[1]]),  # 30 are not more than 30 %; nothing is left of the second
        # Eight small ones of 39,999 make one of the next tier (40,000 to 320,000), which has seven already.
        ([39_999] * 8 + [50_000] * 7, [39_999] * 8 + [50_000] * 7, [list(range(15))]),
    ],
)
def test_which_segments_are_merged(alive: list[int], counts: list[int], groups: list[list[int]]) -> None:
    assert plan_merges(alive, counts) == groups


@given(st.lists(st.integers(1, 60_000), min_size=1, max_size=300))
@settings(max_examples=50, deadline=None)
def test_deltas_leave_few_segments_and_lose_none(deltas: list[int]) -> None:
    held: list[int] = []
    rewritten = 0
    for delta in deltas:
        held.append(delta)
        groups = plan_merges(held, held)
        places = [place for group in groups for place in group]
        assert len(places) == len(set(places))
        merged = [sum(held[place] for place in group) for group in groups]
        rewritten += sum(merged)
        held = [size for place, size in enumerate(held) if place not in places] + merged
    assert sum(held) == sum(deltas)
    assert len(held) <= 7 * 5  # at most seven of a tier; 300 x 60,000 reaches the fifth
    assert rewritten <= 5 * sum(deltas)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_vectors_and_any_mask(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 40))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows = np.sort(random.integers(0, 60, count))
    matrix = unit(random.standard_normal((count, 6)))
    mask = data.draw(st.none() | st.lists(st.booleans(), min_size=60, max_size=60).map(np.array))
    limit = data.draw(st.integers(1, 50))
    query = random.standard_normal(6).astype(np.float32)
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=3)))
    with tempfile.TemporaryDirectory() as folder:
        records = [
            build_segment(Path(folder), [(rows[start:end], matrix[start:end])], 6)
            for start, end in zip([0, *cuts], [*cuts, count], strict=True)
        ]
        index = VectorIndex(Path(folder), [record for record in records if record])
        found, scores = index.search(query, limit, mask)
        stored = np.concatenate([segment.matrix for segment in index.segments]).astype(np.float32)
    exact = stored @ (query / np.linalg.norm(query))
    kept = np.ones(count, bool) if mask is None else mask[rows]
    best = {row: exact[(rows == row) & kept].max() for row in set(rows[kept].tolist())}
    assert len(found) == len(set(found.tolist())) == min(limit, len(best))
    assert scores == pytest.approx([best[row] for row in found.tolist()], abs=1e-5)
    assert list(scores) == pytest.approx(sorted(best.values(), reverse=True)[:limit], abs=1e-5)


def test_many_threads_search_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "CODED_FROM", 1_000)
    index = VectorIndex(tmp_path, [built(tmp_path, np.arange(5_000), clustered(5_000))])
    queries = clustered(64, seed=9)
    masks = [np.random.default_rng(i).random(5_000) < share for i, share in enumerate((0.01, 0.2, 0.9))]
    work = [(query, masks[number % 3]) for number, query in enumerate(queries)]
    alone = [index.search(query, 10, mask)[0].tolist() for query, mask in work]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda one: index.search(one[0], 10, one[1])[0].tolist(), work)) == alone


@pytest.mark.parametrize("kind", ["rows", "vectors", "codes"])
@pytest.mark.parametrize("harm", ["missing", "empty", "cut", "header", "other"])
def test_damaged_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, harm: str) -> None:
    monkeypatch.setattr(vectors, "CODED_FROM", 100)
    record = built(tmp_path, np.arange(400), clustered(400, 8))
    path = tmp_path / str(getattr(record, kind))
    data = path.read_bytes()
    if harm == "missing":
        path.unlink()
    elif harm == "other":
        larger = built(tmp_path / "other", np.arange(500), clustered(500, 8))
        path.write_bytes((tmp_path / "other" / str(getattr(larger, kind))).read_bytes())
    else:
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "header": b"\xff" * 60 + data[60:]}[harm])
    with pytest.raises(VectorFileError) as caught:
        VectorIndex(tmp_path, [record])
    assert caught.value.path == path


def test_segments_of_different_width_do_not_mix(tmp_path: Path) -> None:
    records = [built(tmp_path, np.arange(3), clustered(3, width)) for width in (4, 6)]
    with pytest.raises(ValueError, match=r"segments of \[4, 6\] dimensions"):
        VectorIndex(tmp_path, records)
