"""`biomedica votes`, run as people run it: what one store exports, another imports; bad rows are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from biomedica_assets.cli import main
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.vote_log import VoteLog
from biomedica_assets.labels.votes import cast_vote
from biomedica_assets.store.files import Files
from biomedica_assets_tests.labels.test_votes import concept

TAXONOMY = load_taxonomy()


def run(monkeypatch: pytest.MonkeyPatch, store: Path, *words: str) -> tuple[int, str, str]:
    monkeypatch.setenv("BIOMEDICA_STORE", str(store))
    done = CliRunner().invoke(main, ["votes", *words])
    return done.exit_code, done.stdout, done.stderr


def test_votes_go_from_one_store_to_another(tmp_path, monkeypatch):
    here = Files(tmp_path / "here")
    first = cast_vote(here, concept(answers={"panel_type": ["single"]}, comment="two\nlines"), TAXONOMY)
    cast_vote(here, concept(annotator="bob", mixed=True), TAXONOMY)
    cast_vote(here, concept(mixed=True, supersedes=first.vote_id), TAXONOMY)
    table = tmp_path / "votes.csv"
    assert run(monkeypatch, tmp_path / "here", "export", str(table)) == (0, "", "3 votes\n")

    there = tmp_path / "there"
    assert run(monkeypatch, there, "import", str(table)) == (0, "3 kept, 0 there already, 0 refused\n", "")
    assert run(monkeypatch, there, "import", str(table)) == (0, "0 kept, 3 there already, 0 refused\n", "")
    logs = [VoteLog(here), VoteLog(Files(there))]
    for log in logs:
        log.refresh()
    assert sorted(logs[0].votes, key=str) == sorted(logs[1].votes, key=str)
    assert run(monkeypatch, there, "export")[1].splitlines() == table.read_text().splitlines()


def test_what_is_no_vote_is_told(tmp_path, monkeypatch):
    table = tmp_path / "votes.csv"
    table.write_text(
        "annotator,target_kind,space,concept,answers.panel_type\nada,concept,s1,0,single\nbob,concept,s1,0,no_such\n"
    )
    status, out, err = run(monkeypatch, tmp_path / "store", "import", str(table))
    assert (status, out) == (1, "1 kept, 0 there already, 1 refused\n")
    assert err.startswith(f"{table}:3: ") and "no_such" in err

    table.write_text("who,what\n")
    status, out, err = run(monkeypatch, tmp_path / "store", "import", str(table))
    assert (status, out) == (1, "") and "unknown column 'who'" in err
