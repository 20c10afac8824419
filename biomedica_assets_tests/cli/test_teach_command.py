"""`biomedica teach`: labels from an endpoint and a file, told in words, and the model that follows."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from biomedica_assets.cli import main
from biomedica_assets_tests.ingest.releases import DAYS, World
from biomedica_assets_tests.quality.endpoint import STUDY, Endpoint, article, serving


@pytest.fixture
def store(tmp_path, monkeypatch) -> World:
    world = World(tmp_path)
    world.build(DAYS[0], article(1, ("Results", ("Cells grew.", "Cells died."))))
    monkeypatch.setenv("BIOMEDICA_STORE", world.files.url)
    return world


def test_what_was_asked_is_told(store, monkeypatch):
    with serving(Endpoint(lambda text, n: STUDY if "grew" in text else "What?")) as endpoint:
        monkeypatch.setenv("BIOMEDICA_TEACHER_URL", endpoint.url)
        monkeypatch.setenv("BIOMEDICA_TEACHER_MODEL", "judge-1")
        result = CliRunner().invoke(main, ["teach"])
        assert result.exit_code == 0, result.output
        assert "2 answers, 1 of them unusable, 0 held before" in result.output
        assert "PMC1.1/p1: NoJson" in result.output
        assert "shipped with the software" in result.output
        again = CliRunner().invoke(main, ["teach", "--again"])
        assert "1 answers, 1 of them unusable, 1 held before" in again.output


def test_without_a_teacher_it_says_what_to_set(store):
    result = CliRunner().invoke(main, ["teach"])
    assert result.exit_code == 0
    assert "BIOMEDICA_TEACHER_URL" in result.output


def test_a_bad_file_is_a_sentence(store, tmp_path, monkeypatch):
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps({"paragraph_id": "PMC1.1/p0", "type": "poem"}))
    monkeypatch.setenv("BIOMEDICA_TEACHER_LABELS", str(path))
    result = CliRunner().invoke(main, ["teach"])
    assert result.exit_code == 1
    assert "line 1" in result.output and "Traceback" not in result.output
