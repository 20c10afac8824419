"""Table paragraph_quality: its rows, when they are made anew, and the store's own model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from biomedica_assets.quality import training
from biomedica_assets.quality.collect import collect_teacher_labels
from biomedica_assets.quality.model_files import POINTER, read_record, shipped_record
from biomedica_assets.quality.tables import build_paragraph_quality, unfinished_paragraph_quality
from biomedica_assets.quality.training import ensure_quality_model
from biomedica_assets.settings import Settings
from biomedica_assets.store.manifests import StoreError
from biomedica_assets.store.snapshots import create_snapshot, restore_snapshot, verify_snapshot
from biomedica_assets.store.tables import read_table
from biomedica_assets_tests.ingest.releases import DAYS, World
from biomedica_assets_tests.quality.endpoint import article

pytestmark = pytest.mark.usefixtures("no_local_database")

CHUNK, NEXT = f"{DAYS[0]}-00000", f"{DAYS[1]}-00000"
CASE = (
    "A 45-year-old woman was admitted to our hospital with fever, cough and chest pain. Physical examination showed "
    "crackles of the left lung. The patient was treated with antibiotics for ten days, and she was discharged well."
)
STUDY = "Cells were cultured in medium, RNA was extracted and gene expression was measured by PCR (Fig. 1)."
FUNDING = "This work was supported by grants of the ministry."
FIRST = (
    article(1, ("Methods", (STUDY,)), ("Funding", (FUNDING,))),
    article(2, ("Case presentation", (CASE,)), article_type="case-report"),
)
SECOND = article(3, ("Methods", (STUDY.replace("Cells", "Neurons"),)))


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.build(DAYS[0], *FIRST)
    return made


def settings(world: World, labels: str = "") -> Settings:
    return Settings(store=world.files.url, teacher_labels=labels, _env_file=None)


def build(world: World, chunk: str = CHUNK):
    return build_paragraph_quality(world.files, chunk, settings(world))


def rows(world: World, path: str) -> dict[str, dict]:
    return {row["paragraph_id"]: row for row in read_table(world.files, path).to_pylist()}


def teach(world: World, *labels: dict) -> None:
    path = world.root / "labels.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in labels))
    collect_teacher_labels(world.files, settings(world, str(path)))


def test_every_paragraph_of_running_text_has_a_row(world):
    manifest, skipped = build(world)
    assert not skipped
    found = rows(world, manifest.file.path)
    assert {name: (row["type"], row["domain"]) for name, row in found.items()} == {
        "PMC1.1/p0": ("study", "biomedical"),
        "PMC1.1/p1": ("other", "other"),
        "PMC2.1/p0": ("clinical_case", "clinical"),
    }
    assert found["PMC1.1/p1"]["score"] < 2 <= found["PMC2.1/p0"]["score"]
    assert {row["source"] for row in found.values()} == {"model"}
    assert {row["model"] for row in found.values()} == {f"quality-{shipped_record().id}"}
    assert all(0 < row["type_probability"] <= 1 for row in found.values())
    assert manifest.counts["paragraphs"] == manifest.counts["model"] == 3
    assert manifest.counts["type_clinical_case"] == manifest.counts["level_1"] == 1


def test_what_is_valid_is_not_made_again_and_a_new_chunk_alone_is_unfinished(world):
    first, _ = build(world)
    assert build(world) == (first, True)
    assert unfinished_paragraph_quality(world.files, settings(world)) == []
    world.build(DAYS[1], *FIRST, SECOND)
    assert unfinished_paragraph_quality(world.files, settings(world)) == [NEXT]
    build(world, NEXT)
    assert unfinished_paragraph_quality(world.files, settings(world)) == []
    assert build(world) == (first, True)


def test_the_same_bytes_come_out_of_the_same_chunk(world, tmp_path_factory):
    other = World(tmp_path_factory.mktemp("other"))
    other.build(DAYS[0], *FIRST)
    assert build(world)[0].file == build(other)[0].file


def test_a_chunk_that_is_not_committed_is_said(world):
    with pytest.raises(StoreError, match="not committed"):
        build(world, "2026-11-10-00009")


def test_a_teachers_label_wins_and_rewrites_its_chunk_alone(world):
    world.build(DAYS[1], *FIRST, SECOND)
    build(world)
    second, _ = build(world, NEXT)
    teach(world, {"paragraph_id": "PMC1.1/p0", "type": "review", "domain": "clinical", "score": 5})
    assert unfinished_paragraph_quality(world.files, settings(world)) == [CHUNK]
    manifest, _ = build(world)
    row = rows(world, manifest.file.path)["PMC1.1/p0"]
    assert (row["type"], row["domain"], row["score"], row["source"]) == ("review", "clinical", 5.0, "teacher")
    assert row["type_probability"] == row["domain_probability"] == 1
    assert row["model"].startswith("file:labels.jsonl@")
    assert (manifest.counts["teacher"], manifest.counts["model"]) == (1, 2)
    assert build(world, NEXT) == (second, True)


def test_few_labels_leave_the_shipped_model(world):
    teach(world, {"paragraph_id": "PMC1.1/p0", "type": "review", "domain": "clinical", "score": 5})
    said: list[str] = []
    assert ensure_quality_model(world.files, log=said.append) == (shipped_record(), False)
    assert "too few" in said[0]


@pytest.fixture
def taught(tmp_path: Path, monkeypatch) -> World:
    """Ten articles whose teacher calls studies reviews of level 4, and funding what it is."""
    monkeypatch.setattr(training, "LEAST", 20)
    world = World(tmp_path)
    world.build(DAYS[0], *(article(n, ("Methods", (f"{STUDY} {n}",)), ("Funding", (FUNDING,))) for n in range(1, 11)))
    review, other = ("review", "biomedical", 4), ("other", "other", 1)
    labels = [
        dict(zip(("paragraph_id", "type", "domain", "score"), (f"PMC{n}.1/p{place}", *label), strict=True))
        for n in range(1, 11)
        for place, label in enumerate((review, other))
    ]
    teach(world, *labels)
    return world


def test_a_store_with_enough_labels_has_its_own_model(taught):
    build(taught)
    record, changed = ensure_quality_model(taught.files)
    assert changed and record.id != shipped_record().id
    assert read_record(taught.files) == record
    [teacher] = record.about["teachers"]
    assert record.about["teachers"][teacher] == 20
    assert ensure_quality_model(taught.files) == (record, False)
    assert unfinished_paragraph_quality(taught.files, settings(taught)) == [CHUNK]
    build(taught)
    taught.build(
        DAYS[1], *(article(n, ("Methods", (f"{STUDY} {n}",)), ("Funding", (FUNDING,))) for n in range(1, 11)), SECOND
    )
    assert unfinished_paragraph_quality(taught.files, settings(taught)) == [NEXT]
    assert ensure_quality_model(taught.files) == (record, False)
    manifest, _ = build(taught, NEXT)
    assert rows(taught, manifest.file.path)["PMC3.1/p0"]["model"] == f"quality-{record.id}"


def test_the_own_model_goes_with_its_labels(taught):
    ensure_quality_model(taught.files)
    teach(taught, {"paragraph_id": "PMC1.1/p0", "type": "review", "domain": "clinical", "score": 5})
    assert ensure_quality_model(taught.files) == (shipped_record(), True)
    assert not taught.files.exists(POINTER)
    assert ensure_quality_model(taught.files) == (shipped_record(), False)


def test_a_snapshot_brings_model_and_labels_back(taught):
    record, _ = ensure_quality_model(taught.files)
    build(taught)
    made = create_snapshot(taught.files, "before")
    assert record.file.path in made.files
    teach(taught, {"paragraph_id": "PMC1.1/p0", "type": "review", "domain": "clinical", "score": 5})
    ensure_quality_model(taught.files)
    assert verify_snapshot(taught.files, "before").wrong == []
    restore_snapshot(taught.files, "before")
    assert read_record(taught.files) == record
    assert unfinished_paragraph_quality(taught.files, settings(taught)) == []
