"""Simulated annotators: the truth they start from, how they err, and that they vote once."""

import pyarrow.parquet as pq
import pytest

from biomedica_assets import schemas
from biomedica_assets.labels.sheets import SheetsRecord
from biomedica_assets.labels.simulated import (
    ANNOTATORS,
    KINDS,
    SimulatedAnnotator,
    beside,
    cast_simulated,
    labels_of,
    sample_truth,
    shared_labels,
)
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.vote_log import VoteLog
from biomedica_assets.sample.pictures import DRAWINGS
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile

TAXONOMY = load_taxonomy()


def picture(*kinds: str, inset: str = "") -> dict:
    panels = [{"kind": kind, "inset": False} for kind in kinds]
    return {"panels": panels + ([{"kind": inset, "inset": True}] if inset else [])}


def test_every_drawing_has_labels_of_the_taxonomy():
    assert KINDS.keys() == DRAWINGS.keys()
    for kind, labels in KINDS.items():
        answers = dict(zip(("figure_kind", "modality", "specimen"), ([label] for label in labels), strict=True))
        assert TAXONOMY.faults_of(answers) == [], kind


@pytest.mark.parametrize(
    ("shown", "figure_kind", "modality", "specimen", "panel_type"),
    [
        (picture("bar_plot"), ("bar_plot",), ("no_technique",), ("no_specimen",), "single"),
        (picture("histology", inset="bar_plot"), ("micrograph", "bar_plot"), ("light_microscopy",), ("tissue",),
         "single"),
        (picture("ct", "ct"), ("clinical_image",), ("computed_tomography",), ("chest",), "multiple_images"),
        (picture("bar_plot", "box_plot"), ("bar_plot", "box_plot"), ("no_technique",), ("no_specimen",),
         "multiple_plots"),
        (picture("fundus", "bar_plot"), ("clinical_image", "bar_plot"), ("fundus_photography",), ("eye",),
         "multiple_images_plots"),
        (picture("histology", "western_blot"), ("micrograph", "assay_image"), ("light_microscopy", "immunoblot"),
         ("tissue", "molecule"), "multiple_images_assays"),
        (picture("western_blot", "bar_plot"), ("assay_image", "bar_plot"), ("immunoblot",), ("molecule",), "multiple"),
        # A specimen is a clinical image, so that the lower label stands for both.
        (picture("specimen", "ct"), ("specimen_photograph",), ("computed_tomography", "photography"),
         ("chest", "tissue"), "multiple_images"),
    ],
)  # fmt: skip
def test_labels_of_pictures(shown, figure_kind, modality, specimen, panel_type):
    assert labels_of(shown, TAXONOMY) == {
        "figure_kind": figure_kind,
        "modality": modality,
        "specimen": specimen,
        "panel_type": (panel_type,),
    }


def test_every_picture_of_the_sample_has_answers():
    truth = sample_truth()
    assert len(truth) > 150
    for row in truth.values():
        assert TAXONOMY.faults_of(labels_of(row, TAXONOMY)) == []


def test_what_members_share():
    bar, line, ct = (labels_of(picture(kind), TAXONOMY) for kind in ("bar_plot", "line_plot", "ct"))
    plots = {"modality": ("no_technique",), "specimen": ("no_specimen",), "panel_type": ("single",)}
    assert shared_labels([bar, line], TAXONOMY) == ({"figure_kind": ("plot",), **plots}, False)
    assert shared_labels([bar, bar, line], TAXONOMY) == ({"figure_kind": ("bar_plot",), **plots}, False)
    assert shared_labels([bar, ct], TAXONOMY) == ({"panel_type": ("single",)}, True)


def test_errors_are_as_frequent_as_said_and_always_the_same():
    annotator = SimulatedAnnotator("x", error=0.2, unsure=0.1)
    questions = [f"concept:s/{number}" for number in range(4000)]
    right = {"panel_type": ("single",), "modality": ("radiography",)}
    said = [annotator.answer(question, right, TAXONOMY) for question in questions]
    assert said == [annotator.answer(question, right, TAXONOMY) for question in questions]
    # Standard errors: 0.0063 and 0.0047.
    assert sum(one["panel_type"] != ("single",) for one in said) / 4000 == pytest.approx(0.2, abs=0.03)
    assert sum(map(annotator.is_unsure, questions)) / 4000 == pytest.approx(0.1, abs=0.025)
    # single stands beside multiple alone; radiography beside the 19 others without a parent, about 42 times each.
    assert {one["panel_type"] for one in said} == {("single",), ("multiple",)}
    taken = [one["modality"][0] for one in said if one["modality"] != ("radiography",)]
    assert set(taken) == set(beside("radiography", TAXONOMY))
    assert max(map(taken.count, set(taken))) < 2 * len(taken) / len(set(taken))


@pytest.fixture
def sheets(tmp_path):
    """Sheets of two concepts: four bar plots, and two of them with two tables."""
    files = Files(tmp_path / "store")
    bars, tables = ([t for t in sample_truth().values() if t["kind"] == kind] for kind in ("bar_plot", "table_image"))
    rows = [
        {
            **{"space": "s1", "concept": concept, "role": "nearest", "position": place, "chunk": "c", "distance": 0.1},
            **dict.fromkeys(("figure_id", "image_id"), f"{picture['article_id']}/F{place}"),
            **{name: picture[name] for name in ("article_id", "sha256")},
        }
        for concept, members in enumerate(([*bars[:4]], [*bars[4:6], *tables[:2]]))
        for place, picture in enumerate(members)
    ]
    path = "concepts/files/sheets-x.parquet"
    (tmp_path / "store/concepts/files").mkdir(parents=True)
    pq.write_table(schemas.rows_to_table(schemas.CONTACT_SHEETS, rows), tmp_path / "store" / path)
    return files, SheetsRecord("s1", DataFile(path, 0, "", len(rows)), 4, [4, 4], [4, 4])


def test_they_vote_once_on_concepts_and_images_and_err_as_said(sheets):
    files, record = sheets
    annotators = (SimulatedAnnotator("sim-right", 0), SimulatedAnnotator("sim-unsure", 0, unsure=1))
    assert cast_simulated(files, TAXONOMY, record, annotators=annotators, images=2) == 2 * (2 + 2)
    assert cast_simulated(files, TAXONOMY, record, annotators=annotators, images=2) == 0
    log = VoteLog(files)
    log.refresh()
    votes = log.current()
    assert {vote.source for vote in votes} == {"simulated"}
    assert all(vote.unsure for vote in votes if vote.annotator == "sim-unsure")
    said = {vote.target: vote for vote in votes if vote.annotator == "sim-right"}
    alike, apart = said["concept:s1/0"], said["concept:s1/1"]
    plots = {"modality": ("no_technique",), "specimen": ("no_specimen",), "panel_type": ("single",)}
    assert (alike.answers, alike.mixed, len(alike.shown)) == ({"figure_kind": ("bar_plot",), **plots}, False, 4)
    assert (apart.answers, apart.mixed) == (plots, True)
    assert sum(vote.target_kind == "image" for vote in said.values()) == 2


def test_names_are_told_apart():
    assert len({annotator.name for annotator in ANNOTATORS}) == 3
    assert all(annotator.name.startswith("sim-") for annotator in ANNOTATORS)
