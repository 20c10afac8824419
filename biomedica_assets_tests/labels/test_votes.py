"""Votes: what is refused, which one counts, that none is lost by kills, crowds or packing."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from biomedica_assets.labels import votes as votes_module
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.vote_log import VoteLog, find_vote, pack_votes, to_table
from biomedica_assets.labels.votes import NewVote, Vote, VoteError, cast_vote, current_votes, keep_vote, loose_votes
from biomedica_assets.store.files import ClientOptions, Files
from biomedica_assets.store.manifests import StoreError
from biomedica_assets_tests.servers import FakeS3

TAXONOMY = load_taxonomy()
SHA = "ab" * 32


def concept(annotator: str = "ada", number: int = 0, **more: object) -> NewVote:
    return NewVote(annotator=annotator, target_kind="concept", space="s1", concept=number, **more)


def made(number: int, annotator: str = "ada", **more: object) -> Vote:
    """A vote of the given second."""
    stamp = f"2026-11-22T00:00:{number:02d}"
    more = {"target_kind": "concept", "space": "s1", "concept": 0, "answers": {"panel_type": ["single"]}} | more
    return Vote(
        annotator=annotator,
        vote_id=f"{re.sub('[-:]', '', stamp)}000000Z-{number:016x}",
        created_at=f"{stamp}.000000Z",
        taxonomy="t",
        **more,
    )


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "store")


def test_a_vote_is_one_file_and_is_read_back(files):
    new = concept(
        answers={"figure_kind": ["bar_plot", "table"], "panel_type": ["multiple"]},
        comment="  two of them “ü”\n",
        shown=["PMC1.1/F1/1", "PMC1.1/F%2F2/1"],
        seconds=12.5,
    )
    vote = cast_vote(files, new, TAXONOMY)
    assert [path for path, _ in files.list()] == [f"votes/ada/{vote.vote_id}.json"]
    record = json.loads(files.read(vote.path))
    assert record["comment"] == "two of them “ü”"
    assert record["taxonomy"] == TAXONOMY.id
    assert record["target_kind"] == "concept" and record["image_id"] is None
    assert find_vote(files, "ada", vote.vote_id) == vote
    log = VoteLog(files)
    assert log.refresh() == 1 and log.votes == [vote] and log.damaged == {}
    assert log.refresh() == 0


def test_an_image_is_named_by_its_bytes():
    one = NewVote(annotator="ada", target_kind="image", image_id="PMC1.1/F1/1", sha256=SHA)
    other = NewVote(annotator="ada", target_kind="image", image_id="PMC2.1/F9/1", sha256=SHA)
    assert one.target == other.target == f"image:{SHA}"
    assert concept(number=7).target == "concept:s1/7"


@pytest.mark.parametrize(
    "fields",
    [
        {"annotator": "../ada"},
        {"annotator": "Ada"},
        {"annotator": ""},
        {"annotator": "ada\n"},
        {"annotator": ".."},
        {"concept": -1},
        {"concept": None},
        {"space": "a/b"},
        {"sha256": SHA},
        {"target_kind": "image"},
        {"target_kind": "page"},
        {"comment": "x" * 4001},
        {"seconds": float("nan")},
        {"seconds": -1},
        {"shown": ["x"] * 501},
        {"answers": {"figure_kind": ["x"] * 51}},
        {"answers": {"Figure Kind": []}},
        {"supersedes": "../../x"},
        {"source": "dream"},
        {"colour": "red"},
    ],
)
def test_wrong_votes_are_refused(fields):
    good = {"annotator": "ada", "target_kind": "concept", "space": "s1", "concept": 0}
    NewVote(**good)
    with pytest.raises(ValidationError):
        NewVote(**good | fields)


def test_answers_must_be_in_the_taxonomy(files):
    with pytest.raises(VoteError) as error:
        cast_vote(files, concept(answers={"panel_type": ["single", "multiple"], "modality": ["bar_plot"]}), TAXONOMY)
    assert error.value.faults == ["panel_type takes one label, not 2", "modality has no label 'bar_plot'"]
    assert list(files.list()) == []


def test_what_is_superseded_must_be_there_and_about_the_same(files):
    mine = cast_vote(files, concept(unsure=True), TAXONOMY)
    theirs = cast_vote(files, concept("bob", unsure=True), TAXONOMY)
    cast_vote(files, concept(mixed=True, supersedes=mine.vote_id), TAXONOMY)
    with pytest.raises(VoteError, match="ada has no vote"):
        cast_vote(files, concept(mixed=True, supersedes=theirs.vote_id), TAXONOMY)
    with pytest.raises(VoteError, match="is about concept:s1/0"):
        cast_vote(files, concept(number=1, mixed=True, supersedes=mine.vote_id), TAXONOMY)
    pack_votes(files, at_least=1)
    cast_vote(files, concept(unsure=True, supersedes=mine.vote_id), TAXONOMY)  # found in the pack as well


def test_the_newest_of_an_annotator_for_a_target_counts():
    first, second, bobs, other = made(1), made(2, mixed=True), made(3, "bob"), made(0, concept=1)
    assert current_votes([second, bobs, first, other]) == [second, bobs, other]


def test_an_empty_vote_takes_back():
    assert current_votes([made(1), made(2, answers={})]) == []
    assert current_votes([made(1), made(2, answers={}), made(3)]) == [made(3)]


def test_a_late_clock_does_not_bring_back_what_was_replaced():
    old = made(30)
    new = made(10, supersedes=old.vote_id, unsure=True)  # cast later, by a machine whose clock is behind
    assert current_votes([old, new]) == [new]
    assert current_votes([old, new, made(5)]) == [new]


def test_a_circle_is_broken_by_time():
    one, two = made(1), made(2)
    circle = [one.model_copy(update={"supersedes": two.vote_id}), two.model_copy(update={"supersedes": one.vote_id})]
    assert current_votes(circle) == [circle[1]]


_VOTES = st.lists(
    st.builds(
        lambda second, annotator, number, empty, back: (second, annotator, number, empty, back),
        st.integers(0, 59), st.sampled_from(["ada", "bob"]), st.integers(0, 2), st.booleans(), st.integers(0, 5),
    ),
    max_size=12,
    unique_by=lambda v: v[0],
)  # fmt: skip


@given(_VOTES, st.randoms())
def test_at_most_one_vote_counts_and_order_and_repetition_do_not_matter(plan, random):
    votes: list[Vote] = []
    for second, annotator, number, empty, back in plan:
        same = [v for v in votes if v.annotator == annotator and v.concept == number]
        supersedes = same[back].vote_id if back < len(same) else None
        answers = {} if empty else {"panel_type": ["single"]}
        votes.append(made(second, annotator, concept=number, answers=answers, supersedes=supersedes))
    counted = current_votes(votes)
    assert len({(v.annotator, v.target) for v in counted}) == len(counted)
    assert not {v.vote_id for v in counted} & {v.supersedes for v in votes}
    shuffled = votes + votes
    random.shuffle(shuffled)
    assert current_votes(shuffled) == counted
    assert current_votes(counted) == counted


def test_ids_rise_though_the_clock_does_not(files, monkeypatch):
    class Stuck(votes_module.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2030, 1, 1, tzinfo=tz)

    monkeypatch.setattr(votes_module, "datetime", Stuck)
    monkeypatch.setattr(votes_module, "_clock", votes_module._Clock())
    ids = [cast_vote(files, concept(unsure=True), TAXONOMY).vote_id for _ in range(5)]
    assert [vote_id[:22] for vote_id in ids] == [f"20300101T00000000000{n}Z" for n in range(5)]


def test_an_id_that_is_taken_is_not_taken_twice(files):
    vote = made(1)
    assert keep_vote(files, vote)
    assert keep_vote(files, vote)  # the answer to the first attempt was lost
    assert not keep_vote(files, vote.model_copy(update={"mixed": True}))
    assert find_vote(files, "ada", vote.vote_id) == vote


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("20261122T000001000000Z-0000000000000001.json", b"{"),
        ("20261122T000001000000Z-0000000000000001.json", b""),
        ("20261122T000001000000Z-0000000000000001.json", b"[1]"),
        ("20261122T000001000000Z-0000000000000001.json", b"\xff" * 100),
        ("20261122T000001000000Z-0000000000000001.json", b"[" * 100_000),
        ("20261122T000001000000Z-0000000000000001.json", b" " * (1 << 19)),
        ("20261122T000001000000Z-0000000000000009.json", made(1).to_json()),
        ("20261122T000001000000Z-0000000000000001.json", made(1, "bob").to_json()),
        ("20261122T000001000000Z-0000000000000001.json", made(1).to_json().replace(b"00:00:01", b"00:00:02")),
    ],
)
def test_damaged_files_are_told_and_passed_over(files, name, data):
    files.write(f"votes/ada/{name}", data)
    files.write("votes/ada/notes.txt", b"not a vote")
    good = cast_vote(files, concept(unsure=True), TAXONOMY)
    log = VoteLog(files)
    log.refresh()
    assert log.votes == [good]
    assert list(log.damaged) == [f"votes/ada/{name}"]
    assert pack_votes(files, at_least=1) == 1
    assert files.exists(f"votes/ada/{name}")


def test_packing_keeps_every_vote(files):
    cast = [cast_vote(files, concept(a, n, mixed=n == 1), TAXONOMY) for a in ("ada", "bob") for n in range(3)]
    follower = VoteLog(files)
    follower.refresh()
    assert pack_votes(files, at_least=7) == 0
    assert pack_votes(files, at_least=6) == 6
    assert list(loose_votes(files)) == []
    cast.append(cast_vote(files, concept("ada", 9, unsure=True), TAXONOMY))
    assert pack_votes(files, at_least=1) == 1
    cast.append(cast_vote(files, concept("ada", 10, unsure=True), TAXONOMY))
    fresh = VoteLog(files)
    assert fresh.refresh() == 8
    assert follower.refresh() == 2
    assert fresh.votes == follower.votes == sorted(cast, key=lambda v: (v.annotator, v.vote_id))
    assert to_table(fresh.votes).num_rows == 8


def test_a_pack_that_reads_back_wrong_deletes_nothing(files, monkeypatch):
    cast_vote(files, concept(unsure=True), TAXONOMY)
    monkeypatch.setattr("biomedica_assets.labels.vote_log.read_pack", lambda *_: iter(()))
    with pytest.raises(StoreError, match="no vote was deleted"):
        pack_votes(files, at_least=1)
    assert len(list(loose_votes(files))) == 1


def test_a_damaged_pack_is_an_error_not_a_loss(files):
    cast_vote(files, concept(unsure=True), TAXONOMY)
    pack_votes(files, at_least=1)
    [(pack, size)] = files.list("votes_packed")
    files.write(pack, files.read(pack)[: size // 2])
    with pytest.raises(StoreError, match="is damaged"):
        VoteLog(files).refresh()


_VOTER = """
import sys
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.votes import NewVote, cast_vote
from biomedica_assets.store.files import Files
files, taxonomy = Files(sys.argv[1]), load_taxonomy()
for number in range(int(sys.argv[3]), int(sys.argv[4])):
    new = NewVote(annotator=sys.argv[2], target_kind="concept", space="s", concept=number, unsure=True)
    print(cast_vote(files, new, taxonomy).vote_id, flush=True)
"""


def voter(root: Path, annotator: str, first: int, end: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", _VOTER, str(root), annotator, str(first), str(end)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_annotators_at_once_lose_nothing_while_votes_are_packed(tmp_path):
    root = tmp_path / "store"
    files = Files(root)
    # Two servers write for ada, one for bob, and votes are packed and read all the while.
    running = [voter(root, "ada", 0, 60), voter(root, "ada", 60, 120), voter(root, "bob", 0, 60)]
    follower = VoteLog(files)
    end = time.monotonic() + 60
    while any(process.poll() is None for process in running) and time.monotonic() < end:
        pack_votes(files, at_least=1)
        follower.refresh()
    told = [set(process.communicate(timeout=60)[0].split()) for process in running]
    assert [len(ids) for ids in told] == [60, 60, 60]
    follower.refresh()
    fresh = VoteLog(files)
    fresh.refresh()
    for log in (follower, fresh):
        assert {v.vote_id for v in log.votes} == set.union(*told)
        assert len(log.current()) == 180 and log.damaged == {}


def test_a_kill_loses_no_vote_that_was_acknowledged_and_leaves_no_half_one(tmp_path):
    root = tmp_path / "store"
    told: list[str] = []
    for number in range(4):
        process = voter(root, "ada", 0, 10_000)
        assert process.stdout
        told += [line.strip() for line in itertools.islice(process.stdout, 5 + 7 * number)]
        os.kill(process.pid, signal.SIGKILL)
        told += process.communicate(timeout=60)[0].split()
    log = VoteLog(Files(root))
    log.refresh()
    assert set(told) <= {v.vote_id for v in log.votes}
    assert log.damaged == {}
    assert len(told) >= 4 * 5


@pytest.mark.parametrize("times", [1, 2])
def test_an_object_store_that_falters_keeps_each_vote_once(times):
    options = ClientOptions(max_retries=4, first_backoff=0.01, max_backoff=0.02)
    with FakeS3() as server:
        files = Files(server.url, anonymous=True, endpoint=server.endpoint, options=options)
        server.fail("votes/", 503, times=times, method="PUT")
        cast = [cast_vote(files, concept(number=n, unsure=True), TAXONOMY) for n in range(3)]
        log = VoteLog(files)
        assert log.refresh() == 3
        assert pack_votes(files, at_least=3) == 3
        assert VoteLog(files).refresh() == 3
        assert log.refresh() == 0 and log.votes == cast


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_vote_or_a_vote_error(data):
    try:
        Vote.from_json(data)
    except VoteError as error:
        assert error.faults
