"""File lists: what a release changes, against a plain model in Python; guards, scopes, retries, chunks."""

from __future__ import annotations

import csv
import gzip
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biomedica_assets.pmc.cloud import _relation
from biomedica_assets.pmc.file_list import (
    FileListRow,
    FileListSummary,
    Guard,
    ReleaseOrderError,
    Retry,
    chunk_key,
    list_chunks,
    read_chunk_rows,
    read_summary,
    write_file_list,
)
from biomedica_assets.pmc.releases import Listing, ListingError, Release
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import file_list_path

Version = tuple[int, int]
State = dict[Version, str]  # change token by (PMCID, version)
COLUMNS = ["Key", "LastModifiedDate", "ETag"]


def listing(folder: Path, day: str, state: State, extra: Sequence[tuple[str, str, str]] = ()) -> Listing:
    """A listing of the state in two shards, last row first."""
    rows = [(f"metadata/PMC{p}.{v}.json", "2026-01-01", etag) for (p, v), etag in reversed(state.items())] + [*extra]
    shards = []
    for number in range(2):
        path = folder / f"{day}-{number}.csv.gz"
        with gzip.open(path, "wt", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows[number::2])
        shards.append(path)
    return Listing(Release(day, "cloud", f"checksum of {day}", f"{day}/manifest.json"), _relation(COLUMNS, shards))


def write(
    folder: Path, store: Files, day: str, state: State, extra: Sequence[tuple[str, str, str]] = (), **options: object
) -> FileListSummary:
    """Compare and, unless held, put the file list into the store."""
    target = folder / "new.parquet"
    options = {"chunk_size": 3} | options
    summary = write_file_list(listing(folder, day, state, extra), store, target, **options)  # type: ignore[arg-type]
    if not summary.held:
        store.put_file(target, file_list_path(day), move=True)
    return summary


def all_rows(store: Files, release: str) -> list[FileListRow]:
    return [row for chunk, _ in list_chunks(store, release) for row in read_chunk_rows(store, chunk)]


def brief(store: Files, release: str) -> list[tuple[str, str, str | None]]:
    return [(row.action, row.listed_id, row.etag) for row in all_rows(store, release)]


@pytest.fixture
def store(tmp_path: Path) -> Files:
    return Files(tmp_path / "store")


def test_first_load_is_sorted_and_cut_into_chunks(tmp_path: Path, store: Files) -> None:
    state = {(20, 1): "a", (3, 10): "b", (3, 9): "c", (100, 1): "d"}
    summary = write(tmp_path, store, "2026-11-20", state)
    assert summary.chunks == [("2026-11-20-00000", 3), ("2026-11-20-00001", 1)]
    assert summary.actions == {"add": 4, "change": 0, "remove": 0, "retry": 0}
    assert (summary.listed, summary.listed_before) == (4, 0)
    first = read_chunk_rows(store, "2026-11-20-00000")
    assert [row.listed_id for row in first] == ["PMC3.9", "PMC3.10", "PMC20.1"]
    assert first[0] == FileListRow(
        chunk="2026-11-20-00000",
        action="add",
        listed_id="PMC3.9",
        pmcid=3,
        version=9,
        etag="c",
        last_modified="2026-01-01",
        location=None,
        prior_chunk=None,
        attempts=0,
    )
    assert [row.listed_id for row in read_chunk_rows(store, "2026-11-20-00001")] == ["PMC100.1"]
    assert read_chunk_rows(store, "2026-11-20-00002") == []
    with pytest.raises(FileNotFoundError):
        read_chunk_rows(store, "2026-11-21-00000")
    assert read_summary(store, "2026-11-20") == summary


def test_add_change_remove_reappear(tmp_path: Path, store: Files) -> None:
    write(tmp_path, store, "2026-11-18", {(1, 1): "a", (2, 1): "b", (3, 1): "c", (4, 1): "d"})
    write(tmp_path, store, "2026-11-19", {(1, 1): "a", (2, 1): "B", (4, 1): "d", (5, 1): "e"})
    assert [(*row[1:3], row.etag, row.prior_chunk) for row in all_rows(store, "2026-11-19")] == [
        ("change", "PMC2.1", "B", "2026-11-18-00000"),
        ("remove", "PMC3.1", None, "2026-11-18-00000"),
        ("add", "PMC5.1", "e", None),
    ]
    # 3 comes back as it was: still an add, because removals count at once
    write(tmp_path, store, "2026-11-20", {(1, 1): "a", (2, 1): "B", (3, 1): "c", (4, 1): "d", (5, 1): "e"})
    assert [(*row[1:3], row.prior_chunk) for row in all_rows(store, "2026-11-20")] == [
        ("add", "PMC3.1", "2026-11-19-00000")
    ]
    summary = write(tmp_path, store, "2026-11-21", {(1, 1): "a", (2, 1): "B", (3, 1): "c", (4, 1): "d", (5, 1): "e"})
    assert (summary.rows, summary.chunks) == (0, [])
    assert list_chunks(store, "2026-11-21") == []


def test_odd_rows_are_counted(tmp_path: Path, store: Files) -> None:
    extra = [
        ("metadata/PMC1.1.json", "2026-05-05", "newer"),
        ("metadata/PMC1.1.json", "2025-05-05", "older"),
        ("metadata/readme.txt", "2026-01-01", "x"),
        ("metadata/PMC1.json", "2026-01-01", "x"),
        ("metadata/PMC01.1.json", "2026-01-01", "x"),  # no such name: it would stand for PMC1.1
        ("metadata/PMC1.1.json.bak", "2026-01-01", "x"),
        ("metadata/PMC9999999999999999999.1.json", "2026-01-01", "x"),
        ("metadata/../PMC5.1.json", "2026-01-01", "x"),
    ]
    summary = write(tmp_path, store, "2026-11-20", {(1, 1): "a", (2, 1): "b"}, extra)
    assert (summary.skipped, summary.duplicates, summary.listed) == (6, 2, 2)
    assert brief(store, "2026-11-20") == [("add", "PMC1.1", "newer"), ("add", "PMC2.1", "b")]


def test_retries(tmp_path: Path, store: Files) -> None:
    state = {(n, 1): f"e{n}" for n in range(1, 7)}
    write(tmp_path, store, "2026-11-18", state)
    first, second = "2026-11-18-00000", "2026-11-18-00001"
    state[3, 1] = "changed"
    del state[6, 1]
    summary = write(
        tmp_path,
        store,
        "2026-11-19",
        state,
        retries=[
            Retry("PMC1.1", "e1", 0, first),
            Retry("PMC2.1", "e2", 2, first),  # has had its attempts
            Retry("PMC3.1", "e3", 0, first),  # changed meanwhile
            Retry("PMC4.1", "other", 0, second),  # of a state that is not the newest
            Retry("PMC5.1", "e5", -1, second),  # only now wanted
            Retry("PMC6.1", "e6", 0, second),  # gone
            Retry("PMC77.1", "x", 0, second),  # never heard of
        ],
        max_attempts=2,
    )
    assert [(*row[1:3], row.attempts) for row in all_rows(store, "2026-11-19")] == [
        ("retry", "PMC1.1", 1),
        ("change", "PMC3.1", 0),
        ("retry", "PMC5.1", 0),
        ("remove", "PMC6.1", 0),
    ]
    assert summary.given_up == 1
    # the retried row failed again; the first chunk's failure is out of date by now
    retries = [Retry("PMC1.1", "e1", 0, first), Retry("PMC1.1", "e1", 1, "2026-11-19-00000")]
    write(tmp_path, store, "2026-11-20", state, retries=retries, max_attempts=2)
    assert [(row.action, row.attempts) for row in all_rows(store, "2026-11-20")] == [("retry", 2)]
    write(tmp_path, store, "2026-11-21", state, retries=retries, max_attempts=2)
    assert all_rows(store, "2026-11-21") == []


def test_scope_widens(tmp_path: Path, store: Files) -> None:
    state = {(n, 1): "e" for n in (1, 5, 10, 15, 20)}
    summary = write(tmp_path, store, "2026-11-18", state, scope=[(15, 15), (4, 9), (5, 10)])
    assert brief(store, "2026-11-18") == [("add", f"PMC{n}.1", "e") for n in (5, 10, 15)]
    assert (summary.out_of_scope, summary.listed) == (2, 5)
    write(tmp_path, store, "2026-11-19", state, scope=[(1, 15)])
    assert brief(store, "2026-11-19") == [("add", "PMC1.1", "e")]
    # narrower again: what is out of it is not updated, but its removal counts
    state |= {(1, 1): "new", (15, 1): "new"}
    del state[10, 1]
    write(tmp_path, store, "2026-11-20", state, scope=[(15, 15)])
    assert brief(store, "2026-11-20") == [("remove", "PMC10.1", None), ("change", "PMC15.1", "new")]
    write(tmp_path, store, "2026-11-21", state)
    assert brief(store, "2026-11-21") == [("change", "PMC1.1", "new"), ("add", "PMC20.1", "e")]


def test_guard_holds_until_approved(tmp_path: Path, store: Files) -> None:
    state = {(n, 1): "e" for n in range(1, 1001)}
    write(tmp_path, store, "2026-11-18", state, chunk_size=500)
    guard = Guard(removed_share=0.01, changed_share=0.05, floor=5)
    few = {key: "e" for key in state if key[0] > 10} | {(n, 1): "x" for n in range(11, 61)}
    assert write(tmp_path, store, "2026-11-19", few, guard=guard).held == []  # 10 removed, 50 changed: the limits
    many = {key: "e" for key in few if key[0] > 30}
    summary = write(tmp_path, store, "2026-11-20", many, guard=guard)
    assert summary.held == ["removes 20 of 990 versions (2.02%); 1.00% may pass"]
    assert summary.actions == {"add": 0, "change": 30, "remove": 20, "retry": 0}
    assert not (tmp_path / "new.parquet").exists()
    assert not store.exists(file_list_path("2026-11-20"))
    rewritten = dict.fromkeys(few, "all new")
    summary = write(tmp_path, store, "2026-11-21", rewritten, guard=guard)
    assert summary.held == ["changes 990 of 990 versions (100.00%); 5.00% may pass"]
    assert write(tmp_path, store, "2026-11-21", {}, guard=guard).held != []  # an empty inventory
    approved = write(tmp_path, store, "2026-11-21", rewritten, guard=guard, approved=True)
    assert approved.held == [] and approved.actions["change"] == 990
    assert read_summary(store, "2026-11-21") == approved


def test_guard_floor() -> None:
    assert Guard(0.001, 0.05, 100).reasons(1000, removed=100, changed=100) == []
    assert len(Guard(0.001, 0.05, 100).reasons(1000, removed=101, changed=101)) == 2
    assert Guard().reasons(0, removed=0, changed=0) == []


@pytest.mark.parametrize("day", ["2026-11-20", "2026-11-19"])
def test_releases_must_come_in_order(tmp_path: Path, store: Files, day: str) -> None:
    write(tmp_path, store, "2026-11-20", {(1, 1): "a"})
    with pytest.raises(ReleaseOrderError):
        write(tmp_path, store, day, {(1, 1): "b"})


def test_unreadable_listing(tmp_path: Path, store: Files) -> None:
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(b"not gzip")
    release = Release("2026-11-20", "cloud", "", "manifest.json")
    with pytest.raises(ListingError, match=r"manifest\.json"):
        write_file_list(Listing(release, _relation(COLUMNS, [broken])), store, tmp_path / "x", chunk_size=1)


def test_bytes_depend_only_on_the_input(tmp_path: Path) -> None:
    state = {(n, v): f"{n}-{v}" for n in range(3000, 1, -1) for v in (2, 1)}
    files = []
    for place, threads in (("memory://file-list-bytes", 1), (str(tmp_path / "store"), 4)):
        store = Files(place)
        write(tmp_path, store, "2026-11-19", state, chunk_size=700, threads=threads)
        changed = state | {(n, 1): "new" for n in range(5, 3000, 7)}
        write(tmp_path, store, "2026-11-20", dict(reversed(changed.items())), chunk_size=700, threads=threads)
        files.append([store.read(file_list_path(day)) for day in ("2026-11-19", "2026-11-20")])
    assert files[0] == files[1]


def test_more_than_a_row_group(tmp_path: Path, store: Files) -> None:
    state = {(n, 1): "e" for n in range(1, 210_001)}
    summary = write(tmp_path, store, "2026-11-20", state, chunk_size=50_000)
    assert [size for _, size in summary.chunks] == [50_000] * 4 + [10_000]
    rows = read_chunk_rows(store, chunk_key("2026-11-20", 2))
    assert [row.pmcid for row in rows] == list(range(100_001, 150_001))
    assert {row.chunk for row in rows} == {"2026-11-20-00002"}


@dataclass
class Model:
    """What the file lists should say, in plain Python."""

    newest: dict[Version, tuple[str, str | None, str]] = field(default_factory=dict)  # action, etag, chunk

    def expected(
        self, day: str, state: State, retries: list[Retry], scope: list[tuple[int, int]]
    ) -> list[tuple[str, Version, str | None, str | None, int]]:
        def wanted(version: Version) -> bool:
            return not scope or any(first <= version[0] <= last for first, last in scope)

        found = []
        for version in sorted(self.newest.keys() | state.keys()):
            action, etag, chunk = self.newest.get(version, ("remove", None, None))
            attempts = [
                r.attempts + 1
                for r in retries
                if r.listed_id == "PMC{}.{}".format(*version) and (r.etag, r.chunk) == (etag, chunk)
            ]
            if version not in state:
                if action != "remove":
                    found.append(("remove", version, None, chunk, 0))
            elif not wanted(version):
                continue
            elif action == "remove":
                found.append(("add", version, state[version], chunk, 0))
            elif etag != state[version]:
                found.append(("change", version, state[version], chunk, 0))
            elif attempts and max(attempts) <= 3:
                found.append(("retry", version, etag, chunk, max(attempts)))
        for number, (action, version, etag, _, _) in enumerate(found):
            self.newest[version] = (action, etag, chunk_key(day, number // 3))
        return found


versions = st.tuples(st.integers(1, 6), st.integers(0, 2))
states = st.dictionaries(versions, st.sampled_from(["a", "b", "c"]), max_size=10)
scopes = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)).map(lambda r: (r[0], r[0] + r[1])), max_size=3)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(states, scopes), min_size=1, max_size=4), st.data())
def test_any_sequence_of_releases(releases: list[tuple[State, list[tuple[int, int]]]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, model = Path(name), Model()
        store = Files(folder / "store")
        for number, (state, scope) in enumerate(releases):
            day = f"2026-11-{number + 10}"
            listed = [
                (f"PMC{p}.{v}", etag, chunk) for (p, v), (action, etag, chunk) in model.newest.items() if action != "x"
            ]
            failed = data.draw(st.lists(st.sampled_from(listed), max_size=4)) if listed else []
            retries = [Retry(i, e, data.draw(st.integers(-1, 4)), c) for i, e, c in failed]
            expected = model.expected(day, state, retries, scope)
            summary = write(folder, store, day, state, retries=retries, scope=scope, max_attempts=3)
            rows = all_rows(store, day)
            assert [(r.action, (r.pmcid, r.version), r.etag, r.prior_chunk, r.attempts) for r in rows] == expected
            assert [r.chunk for r in rows] == [chunk_key(day, n // 3) for n in range(len(rows))]
            assert summary.rows == len(rows) == sum(size for _, size in summary.chunks)
