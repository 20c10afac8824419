"""Teachers' labels: a model behind a real endpoint with all its faults, a file, and what is published of both."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from biomedica_assets.quality.answers import Answers, pack_answers
from biomedica_assets.quality.collect import PATIENCE, SUSPICIOUS, collect_teacher_labels
from biomedica_assets.quality.labels import text_sha256
from biomedica_assets.quality.labels_file import LabelsFileError
from biomedica_assets.quality.llm import RETRIES, TRIES, TeacherUnusableError, teacher_id
from biomedica_assets.quality.teacher_labels import read_labels, read_labels_record
from biomedica_assets.settings import Settings
from biomedica_assets.store.files import Files
from biomedica_assets_tests.ingest.releases import DAYS, World
from biomedica_assets_tests.quality.endpoint import (
    CUT,
    HANG,
    REFUSED,
    STUDY,
    TRUNCATED,
    WEB_PAGE,
    Endpoint,
    article,
    serving,
    teacher_settings,
)

pytestmark = pytest.mark.usefixtures("no_local_database")

TEXTS = [f"Paragraph number {n} tells how cells were grown and what was seen of them." for n in range(12)]
CHUNK = f"{DAYS[0]}-00000"
JUDGE = teacher_id("judge-1")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two articles with six paragraphs each."""
    made = World(tmp_path)
    made.build(DAYS[0], *(article(pmcid, ("Results", tuple(TEXTS[n : n + 6]))) for pmcid, n in ((1, 0), (2, 6))))
    return made


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """The client pauses between its retries for half a second and more."""
    import openai._base_client as base

    monkeypatch.setattr(base, "INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr(base, "MAX_RETRY_DELAY", 0.02)


def collect(world: World, endpoint: Endpoint, *, again: bool = False, **given):
    return collect_teacher_labels(world.files, teacher_settings(world.files.url, endpoint.url, **given), again=again)


def labelled(world: World) -> dict[str, tuple[str, float, str]]:
    rows = [row for rows in read_labels(world.files).values() for row in rows]
    return {row["paragraph_id"]: (row["type"], row["score"], row["teacher"]) for row in rows}


def test_every_paragraph_is_asked_about_once(world):
    with serving(Endpoint(lambda text, n: STUDY)) as endpoint:
        first = collect(world, endpoint)
        assert (first.sample, first.asked, first.failed, first.tokens) == (12, 12, 0, 12 * 420)
        assert first.changed
        again = collect(world, endpoint)
    assert (again.asked, again.held, again.changed) == (0, 12, False)
    assert endpoint.asked == Counter(TEXTS)
    assert endpoint.keys == {"Bearer secret"}
    assert set(labelled(world).values()) == {("study", 3.0, JUDGE)}
    assert set(labelled(world)) == {f"PMC{pmcid}.1/p{n}" for pmcid in (1, 2) for n in range(6)}
    asked = endpoint.bodies[0]
    assert (asked["model"], asked["temperature"], asked["response_format"]) == ("judge-1", 0, {"type": "json_object"})
    assert "section: Results" in asked["messages"][1]["content"]
    assert read_labels_record(world.files).teachers == {JUDGE: 12}


def test_a_smaller_sample_is_the_same_on_every_machine(world):
    with serving(Endpoint(lambda text, n: STUDY)) as endpoint:
        assert collect(world, endpoint, teacher_sample=5).asked == 5
        first = set(endpoint.asked)
        assert collect(world, endpoint, teacher_sample=8).asked == 3
        assert first < set(endpoint.asked)
        collect(world, endpoint, teacher_sample=5, teacher_seed=21)
    assert endpoint.asked.most_common(1)[0][1] == 1


@pytest.mark.parametrize("fault", [429, 500, 503, CUT])
def test_what_passes_is_asked_again(world, fault):
    with serving(Endpoint(lambda text, n: fault if n == 0 else STUDY)) as endpoint:
        found = collect(world, endpoint, teacher_sample=3)
    assert (found.asked, found.failed, found.stopped) == (3, 0, "")
    assert set(endpoint.asked.values()) == {2}
    assert len(labelled(world)) == 3


def test_an_answer_that_does_not_come_is_given_up_and_asked_for_again(world):
    with serving(Endpoint(lambda text, n: HANG if n == 0 else STUDY)) as endpoint:
        found = collect(world, endpoint, teacher_sample=2, teacher_timeout=0.3)
    assert (found.asked, found.failed) == (2, 0)
    assert set(endpoint.asked.values()) == {2}


def test_an_endpoint_that_is_down_ends_the_run_and_nothing_is_lost(world):
    endpoint = Endpoint(lambda text, n: STUDY if len(endpoint.asked) <= 3 else 503)
    with serving(endpoint):
        found = collect(world, endpoint, teacher_concurrency=1)
        assert "does not answer" in found.stopped
        assert (found.asked, found.unanswered) == (3, PATIENCE)
        assert max(endpoint.asked.values()) == RETRIES + 1
        assert len(labelled(world)) == 3
        endpoint.reply = lambda text, n: STUDY
        assert collect(world, endpoint).asked == 9
    assert len(labelled(world)) == 12


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("I think it is a study.", "NoJson"),
        ('{"type": "study", "domain": "biomedical"', "NoJson"),
        ('{"type": "paper", "domain": "biomedical", "score": 3}', "WrongLabels"),
        ('{"type": "study", "domain": "biomedical", "score": 6}', "WrongLabels"),
        ('{"type": "study", "domain": "biomedical", "score": "3"}', "WrongLabels"),
        ('{"type": "study", "domain": "biomedical", "score": true}', "WrongLabels"),
        ('{"type": "study", "domain": "biomedical", "score": 3, "why": "it is"}', "WrongLabels"),
        (TRUNCATED, "Truncated"),
        (REFUSED, "Refused"),
        (WEB_PAGE, "NoCompletion"),
        (422, "Rejected"),
    ],
)
def test_unusable_answers_are_typed_kept_and_not_asked_for_again(world, reply, error):
    bad = TEXTS[4]
    with serving(Endpoint(lambda text, n: reply if text == bad else STUDY)) as endpoint:
        found = collect(world, endpoint)
        assert (found.asked, found.failed) == (12, 1)
        assert [(one["object"], one["error"]) for one in found.failures] == [("PMC1.1/p4", error)]
        assert endpoint.asked[bad] == (1 if error == "Rejected" else TRIES)
        assert len(labelled(world)) == 11
        assert collect(world, endpoint).asked == 0
        endpoint.reply = lambda text, n: STUDY
        assert collect(world, endpoint, again=True).asked == 1
    assert len(labelled(world)) == 12
    answer = Answers(world.files).last[JUDGE, text_sha256(bad)]
    assert answer.number == 1 and answer.label.score == 3


def test_a_bad_answer_is_told_what_is_wrong_with_it(world):
    with serving(Endpoint(lambda text, n: '{"type": "essay"}' if n == 0 else STUDY)) as endpoint:
        found = collect(world, endpoint, teacher_sample=1)
    assert (found.asked, found.failed, found.tokens) == (1, 0, 840)
    told = endpoint.bodies[1]["messages"]
    assert [one["role"] for one in told] == ["system", "user", "assistant", "user"]
    assert "'study', 'review', 'clinical_case' or 'other'" in told[3]["content"]


def test_thoughts_and_code_marks_around_the_answer_are_fine(world):
    content = f"<think>Perhaps {{a review}}?</think>\n```json\n{json.dumps(STUDY)}\n```"
    with serving(Endpoint(lambda text, n: content)) as endpoint:
        assert collect(world, endpoint, teacher_sample=2).failed == 0


def test_options_that_the_endpoint_does_not_know_are_left_out(world):
    endpoint = Endpoint(lambda text, n: STUDY)
    endpoint.refused_options = {"response_format", "seed", "max_tokens"}
    with serving(endpoint):
        found = collect(world, endpoint, teacher_concurrency=1)
    assert (found.asked, found.failed) == (12, 0)
    assert len(endpoint.bodies) == 12 + 3
    assert endpoint.bodies[-1].keys() == {"model", "messages", "temperature", "max_completion_tokens"}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_is_said_at_once(world, status):
    wanted = pytest.raises(TeacherUnusableError, match="BIOMEDICA_TEACHER_URL, _MODEL and _KEY")
    with serving(Endpoint(lambda text, n: status)) as endpoint, wanted:
        collect(world, endpoint, teacher_concurrency=2)
    assert sum(endpoint.asked.values()) <= 4
    assert not Answers(world.files).last


def test_a_model_that_cannot_do_it_is_not_asked_to_the_end(tmp_path):
    world = World(tmp_path)
    world.build(DAYS[0], article(1, ("Results", tuple(f"Text {n}" for n in range(3 * SUSPICIOUS)))))
    wanted = pytest.raises(TeacherUnusableError, match=f"first {SUSPICIOUS} answers")
    with serving(Endpoint(lambda text, n: "What?")) as endpoint, wanted:
        collect(world, endpoint)
    assert len(endpoint.asked) < 2 * SUSPICIOUS


def test_the_budget_ends_the_run_and_counts_over_runs(world):
    with serving(Endpoint(lambda text, n: STUDY)) as endpoint:
        # A question may cost about (1442 + 71) / 3 + 100 tokens; each costs 420.
        given = {"teacher_tokens": 2000, "teacher_answer_tokens": 100, "teacher_concurrency": 1}
        found = collect(world, endpoint, **given)
        assert "budget of 2000" in found.stopped
        assert found.tokens <= 2000
        asked = found.asked
        assert asked == 4
        assert collect(world, endpoint, **given).asked == 0
        assert collect(world, endpoint, **given | {"teacher_tokens": 0}).asked == 12 - asked


def test_requests_keep_the_pace(world):
    with serving(Endpoint(lambda text, n: 500 if n == 0 else STUDY)) as endpoint:
        collect(world, endpoint, teacher_sample=3, teacher_rate=600)
    assert len(endpoint.times) == 6  # retries are requests too
    assert max(endpoint.times) - min(endpoint.times) >= 0.45


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    texts = tuple(f"Text number {n}." for n in range(40))
    world = World(tmp_path)
    world.build(DAYS[0], article(1, ("Results", texts)))

    def slow(text: str, n: int):
        time.sleep(0.05)
        return STUDY | {"score": 1 + len(text) % 3}

    with serving(Endpoint(slow)) as endpoint:
        command = [sys.executable, "-m", "biomedica_assets_tests.quality.endpoint", world.files.url, endpoint.url]
        process = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while sum(endpoint.asked.values()) < 12 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        held = len(Answers(world.files).last)
        assert 8 <= held < 40
        found = collect(world, endpoint, teacher_concurrency=2)
    assert found.held == held
    assert found.asked == 40 - held
    # Only what was on its way when the process died was asked about twice.
    assert set(endpoint.asked.values()) <= {1, 2}
    assert sum(endpoint.asked.values()) <= 40 + 2
    assert len(labelled(world)) == 40


def test_answers_are_packed_and_read_as_before(world):
    with serving(Endpoint(lambda text, n: STUDY)) as endpoint:
        collect(world, endpoint)
        before = Answers(world.files)
        assert pack_answers(world.files, JUDGE, at_least=13) == 0
        assert pack_answers(world.files, JUDGE, at_least=12) == 12
        assert not list(world.files.list("teacher"))
        assert collect(world, endpoint).asked == 0
    after = Answers(world.files)
    assert (after.last, after.tokens) == (before.last, before.tokens)
    [(pack, _)] = world.files.list("teacher_packed")
    world.files.write(pack, world.files.read(pack)[:-9])
    with pytest.raises(Exception, match="damaged"):
        Answers(Files(world.files.url))


def settings_of(world: World, path: Path) -> Settings:
    return Settings(store=world.files.url, teacher_labels=str(path), _env_file=None)


def test_labels_of_a_file_by_id_hash_and_text(world, tmp_path):
    path = tmp_path / "labels.csv"
    rows = [
        "paragraph_id,text_sha256,text,type,domain,score",
        "PMC1.1/p0,,,review,clinical,4",
        f",{text_sha256(TEXTS[7])},,clinical_case,clinical,5",
        f",,{TEXTS[2]},other,other,1",
        "PMC9.1/p0,,,review,clinical,4",
    ]
    path.write_text("\n".join(rows))
    found = collect_teacher_labels(world.files, settings_of(world, path))
    assert (found.asked, found.unresolved) == (0, 1)
    names = {name: (kind, score) for name, (kind, score, _) in labelled(world).items()}
    assert names == {"PMC1.1/p0": ("review", 4), "PMC2.1/p1": ("clinical_case", 5), "PMC1.1/p2": ("other", 1)}
    [teacher] = {teacher for *_, teacher in labelled(world).values()}
    assert teacher.startswith("file:labels.csv@")


def test_the_file_counts_before_the_model(world, tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps({"paragraph_id": "PMC1.1/p0", "type": "other", "domain": "other", "score": 1}) + "\n")
    with serving(Endpoint(lambda text, n: STUDY)) as endpoint:
        collect(world, endpoint, teacher_labels=str(path))
    found = labelled(world)
    assert found["PMC1.1/p0"][0] == "other"
    assert Counter(kind for kind, *_ in found.values()) == {"study": 11, "other": 1}


def test_faults_of_a_file_are_said_line_by_line(world, tmp_path):
    path = tmp_path / "labels.jsonl"
    good = {"paragraph_id": "PMC1.1/p0", "type": "other", "domain": "other", "score": 1}
    lines = [good, good | {"type": "essay"}, good | {"score": 9}, {**good, "paragraph_id": ""}, good | {"score": 2}]
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(LabelsFileError) as caught:
        collect_teacher_labels(world.files, settings_of(world, path))
    assert [fault.split(":")[0] for fault in str(caught.value).partition(": ")[2].split("; ")] == [
        "line 2",
        "line 3",
        "line 4",
        "line 5",
    ]


def test_without_a_teacher_nothing_is_published(world):
    found = collect_teacher_labels(world.files, Settings(store=world.files.url, _env_file=None))
    assert (found.record, found.changed) == (None, False)
    assert read_labels_record(world.files) is None


def test_withdrawn_texts_are_not_sent_away(world):
    world.release(DAYS[1], article(1, ("Results", tuple(TEXTS[:6]))))
    world.list()
    with serving(Endpoint(lambda text, n: STUDY)) as endpoint:
        collect(world, endpoint)
    assert set(endpoint.asked) == set(TEXTS[:6])


def test_a_label_stays_with_the_text_when_ids_move(world):
    with serving(Endpoint(lambda text, n: STUDY | {"score": 1 + TEXTS.index(text) % 5})) as endpoint:
        collect(world, endpoint)
        moved = article(1, ("Results", ("A new first paragraph.", *TEXTS[:6])))
        world.build(DAYS[1], moved, article(2, ("Results", tuple(TEXTS[6:]))))
        collect(world, endpoint, teacher_sample=0)
    found = labelled(world)
    assert {name: score for name, (_, score, _) in found.items() if name.startswith("PMC1.")} == {
        f"PMC1.1/p{n + 1}": 1 + n % 5 for n in range(6)
    }
