"""Votes as CSV: there and back, and files that mean no good."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.vote_csv import CsvError, Imported, RowError, axes_of, export_csv, import_csv, read_csv
from biomedica_assets.labels.vote_log import VoteLog, pack_votes
from biomedica_assets.labels.votes import NewVote, Vote, cast_vote
from biomedica_assets.store.files import Files
from biomedica_assets_tests.labels.test_votes import SHA, concept, made

TAXONOMY = load_taxonomy()
AXES = ["figure_kind", "modality", "specimen", "panel_type"]
HEADER = "annotator,target_kind,space,concept,answers.panel_type"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "store")


def text(votes: list[Vote]) -> bytes:
    return "".join(export_csv(votes, axes_of(votes, TAXONOMY))).encode()


def all_votes(files: Files) -> list[Vote]:
    log = VoteLog(files)
    log.refresh()
    return log.votes


def test_what_an_export_looks_like():
    vote = made(7, answers={"figure_kind": ("bar_plot", "table")}, comment="=1+1", shown=("a/b/1", "a/c/1"), seconds=2)
    header, row = text([vote]).decode().split("\r\n")[:2]
    assert header == (
        "annotator,target_kind,space,concept,image_id,sha256,mixed,unsure,comment,seconds,supersedes,source,"
        "vote_id,created_at,taxonomy,shown,"
        "answers.figure_kind,answers.modality,answers.specimen,answers.panel_type"
    )
    assert row == (
        "ada,concept,s1,0,,,false,false,'=1+1,2.0,,web,20261122T000007000000Z-0000000000000007,"
        "2026-11-22T00:00:07.000000Z,t,a/b/1|a/c/1,bar_plot|table,,,"
    )


def test_there_and_back_again(files, tmp_path):
    first = cast_vote(
        files, concept(answers={"panel_type": ["single"]}, comment="'quoted', \"and\"\nlines;\t–"), TAXONOMY
    )
    cast_vote(files, concept(mixed=True, supersedes=first.vote_id, seconds=0.1), TAXONOMY)
    image = NewVote(annotator="bob", target_kind="image", image_id="PMC1.1/F%2F1/1", sha256=SHA, unsure=True)
    cast_vote(files, image, TAXONOMY)
    votes = all_votes(files)
    other = Files(tmp_path / "other")
    assert import_csv(other, text(votes), TAXONOMY) == Imported(3, 0, ())
    assert all_votes(other) == votes
    assert import_csv(other, text(votes), TAXONOMY) == Imported(0, 3, ())
    pack_votes(other, at_least=1)
    assert import_csv(other, text(votes), TAXONOMY) == Imported(0, 3, ())
    assert all_votes(other) == votes


def test_axes_that_only_votes_know_have_a_column():
    vote = made(1, answers={"colour": ("red",)})
    assert axes_of([vote], TAXONOMY) == [*AXES, "colour"]
    [(_, found)] = read_csv(text([vote]), TAXONOMY)
    assert found == vote
    with pytest.raises(KeyError, match="colour"):
        list(export_csv([vote], AXES))


def test_rows_without_an_id_are_cast_now(files):
    data = f"{HEADER}\nada,concept,s1,3,single\n\nbob,concept,s1,3,\n".encode()
    assert import_csv(files, data, TAXONOMY) == Imported(2, 0, ())
    ada, bob = all_votes(files)
    assert (ada.answers, ada.source, ada.taxonomy) == ({"panel_type": ("single",)}, "csv", TAXONOMY.id)
    assert bob.empty


def test_a_spreadsheet_with_a_mark_and_other_line_ends(files):
    data = f"\ufeff{HEADER}\r\nada,concept,s1,3,single\r\n".encode()
    assert import_csv(files, data, TAXONOMY) == Imported(1, 0, ())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("ada,concept,s1,3", "4 cells, but 5 columns"),
        ("ada,concept,s1,3,single,more", "6 cells, but 5 columns"),
        ("../ada,concept,s1,3,single", "annotator: String should match"),
        ("ada,concept,s1,three,single", "concept: Input should be a valid integer"),
        ("ada,concept,,3,single", "a concept is named by space and concept"),
        ("ada,concept,s1,3,singel", "panel_type has no label 'singel'"),
        ("ada,concept,s1,3,single|multiple", "panel_type takes one label, not 2"),
        ("ada,concept,s1,3,|", "answers.panel_type.0: String should match"),
        ("ada,page,s1,3,single", "target_kind: Input should be 'concept' or 'image'"),
        ("ada,concept,s1,3,\0", "answers.panel_type.0: String should match"),
    ],
)
def test_wrong_rows_are_told_and_the_others_kept(files, row, message):
    data = f"{HEADER}\nada,concept,s1,1,single\n{row}\nada,concept,s1,2,single\n".encode()
    imported = import_csv(files, data, TAXONOMY)
    assert imported.kept == 2
    [error] = imported.errors
    assert error.line == 3
    assert message in error.message


def test_the_line_of_an_error_counts_lines_within_cells():
    data = b'annotator,target_kind,comment\nada,page,"two\nlines"\nada,page,x\n'
    assert [line for line, _ in read_csv(data, TAXONOMY)] == [2, 4]


def test_open_quotes_end_the_reading_there(files):
    data = f'{HEADER}\nada,concept,s1,1,single\nada,concept,s1,2,"sin\nada,concept,s1,3,single\n'.encode()
    imported = import_csv(files, data, TAXONOMY)
    assert imported.kept == 1
    assert [(e.line, e.message.endswith("nothing behind this line was read")) for e in imported.errors] == [(3, True)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no header"),
        (b"\xff\xfea", "not UTF-8"),
        (b"annotator;target_kind\nada;concept\n", "unknown column 'annotator;target_kind'"),
        (b"annotator,target_kind,annotator\n", "column 'annotator' twice"),
        (b"annotator,concept\n", "no column 'target_kind'"),
        (b"annotator,target_kind,colour\n", "unknown column 'colour'"),
        (b'"annotator', "no header"),
    ],
)
def test_files_that_are_no_votes(files, data, message):
    with pytest.raises(CsvError, match=message):
        import_csv(files, data, TAXONOMY)


def test_nobody_votes_for_others_or_from_the_future(files):
    mine, theirs = made(1), made(2, "bob")
    imported = import_csv(files, text([mine, theirs]), TAXONOMY, annotator="ada")
    assert (imported.kept, len(imported.errors)) == (1, 1)
    late = text([made(3)]).replace(b"20261122T", b"29991122T").replace(b"2026-11-22", b"2999-11-22")
    [error] = import_csv(files, late, TAXONOMY).errors
    assert error == RowError(2, "created_at lies ahead: 2999-11-22T00:00:03.000000Z")
    changed = text([mine.model_copy(update={"mixed": True})])
    [error] = import_csv(files, changed, TAXONOMY).errors
    assert "another vote" in error.message
    half = b"annotator,target_kind,space,concept,created_at\nada,concept,s,1,2026-11-22T00:00:00.000000Z\n"
    assert "without the rest" in import_csv(files, half, TAXONOMY).errors[0].message
    assert all_votes(files) == [mine]


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)


@given(comment=_TEXT, seconds=st.none() | st.floats(0, 1e6), kinds=st.sets(st.sampled_from(["bar_plot", "table"])))
def test_every_vote_survives_csv(comment, seconds, kinds):
    answers = {"figure_kind": tuple(sorted(kinds))} if kinds else {}
    vote = made(5, comment=comment, seconds=seconds, answers=answers, unsure=True)
    [(line, found)] = read_csv(text([vote]), TAXONOMY)
    assert (line, found) == (2, vote)


@given(comment=_TEXT)
def test_no_cell_is_a_formula(comment):
    for row in csv.reader(io.StringIO(text([made(5, comment=comment)]).decode(), newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_votes_or_errors(data, header):
    data = f"{HEADER}\n".encode() + data if header else data
    try:
        rows = list(read_csv(data, TAXONOMY))
    except CsvError:
        return
    assert all(isinstance(row, (NewVote, RowError)) for _, row in rows)
