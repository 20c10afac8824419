"""Assets of teachers: what they commit and show, and that nothing is asked where nobody is named."""

from __future__ import annotations

import json

import dagster as dg
import pytest

from biomedica_assets.quality import training
from biomedica_assets.quality.model_files import read_record, shipped_record
from biomedica_assets_tests.automation.test_annotation_assets import run, shown
from biomedica_assets_tests.ingest.releases import DAYS, World
from biomedica_assets_tests.quality.endpoint import Endpoint, article, serving

CHUNK = f"{DAYS[0]}-00000"
KINDS = (("Methods", "Cells were grown and measured."), ("Funding", "This work was supported by a grant."))


@pytest.fixture
def world(tmp_path) -> World:
    made = World(tmp_path)
    made.build(DAYS[0], *(article(n, *((title, (f"{text} {n}",)) for title, text in KINDS)) for n in range(1, 6)))
    return made


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("pmc_chunk", [CHUNK])
        yield instance


def reply(text: str, _: int):
    if "1" in text:
        return "no idea"
    kind = ("other", "other", 1) if "grant" in text else ("review", "biomedical", 4)
    return dict(zip(("type", "domain", "score"), kind, strict=True))


def test_a_model_behind_an_endpoint_teaches(world, instance, monkeypatch):
    monkeypatch.setattr(training, "LEAST", 8)
    with serving(Endpoint(reply)) as endpoint:
        monkeypatch.setenv("BIOMEDICA_TEACHER_URL", endpoint.url)
        monkeypatch.setenv("BIOMEDICA_TEACHER_MODEL", "judge-1")
        metadata = shown(run(world, instance, "teacher_labels"), "teacher_labels")
        assert (metadata["asked"], metadata["failed"], metadata["dagster/row_count"]) == (10, 2, 8)
        assert metadata["failures"].count("NoJson") == 2
        assert "judge-1@prompt-" in metadata["teachers"]
        again = shown(run(world, instance, "teacher_labels"), "teacher_labels")
        assert (again["asked"], again["changed"]) == (0, False)
    fitted = shown(run(world, instance, "quality_model"), "quality_model")
    assert fitted["own"] and fitted["changed"]
    assert fitted["model"] == read_record(world.files).id != shipped_record().id
    rows = shown(run(world, instance, "paragraph_quality", partition=CHUNK), "paragraph_quality")
    assert (rows["teacher"], rows["model"]) == (8, 2)
    assert len(json.dumps({name: str(value) for name, value in metadata.items()})) < 40_000


def test_without_a_teacher_the_shipped_model_stands(world, instance):
    metadata = shown(run(world, instance, "teacher_labels"), "teacher_labels")
    assert (metadata["asked"], metadata["changed"]) == (0, False)
    fitted = shown(run(world, instance, "quality_model"), "quality_model")
    assert (fitted["own"], fitted["changed"], fitted["model"]) == (False, False, shipped_record().id)


def test_an_endpoint_without_a_model_is_said(world, instance, monkeypatch):
    monkeypatch.setenv("BIOMEDICA_TEACHER_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(dg.Failure, match="names no model"):
        run(world, instance, "teacher_labels")
