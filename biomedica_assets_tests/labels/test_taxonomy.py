"""The taxonomy: the shipped one, what is refused, and which published names follow from labels."""

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.labels.taxonomy import (
    SHIPPED,
    TaxonomyError,
    load_taxonomy,
    published_names,
    published_panels,
    to_markdown,
)

TAXONOMY = load_taxonomy()
LABELS = list(TAXONOMY.labels)


def write(tmp_path: Path, record: object) -> Path:
    path = tmp_path / "taxonomy.yaml"
    path.write_text(yaml.safe_dump(record))
    return path


@pytest.fixture
def record() -> dict:
    return copy.deepcopy(yaml.safe_load(SHIPPED.read_text()))


def test_docs_are_made_from_the_shipped_taxonomy():
    docs = Path(__file__).resolve().parents[2] / "docs" / "taxonomy.md"
    assert docs.read_text() == to_markdown(TAXONOMY), "python -m biomedica_assets.labels.taxonomy > docs/taxonomy.md"


def test_the_published_list_has_16_global_and_119_local_names():
    names = published_names()
    assert len([name for name in names if "/" not in name]) == 16
    assert len([name for name in names if "/" in name]) == 119
    assert published_panels()["single"] == ("single panel",)


def test_every_published_local_name_follows_from_a_label_or_is_explained():
    given_names = {name.name for label in TAXONOMY.labels.values() for name in label.biomedica}
    locals_ = {name for name in published_names() if "/" in name}
    assert locals_ - given_names == set(TAXONOMY.not_given)
    assert {name.split("/")[0] for name in given_names} == {name for name in published_names() if "/" not in name}


@pytest.mark.parametrize(
    ("labels", "global_names", "local_names", "panel"),
    [
        # The lowest label speaks, and the part only because the kind of picture is clinical.
        (
            ["clinical_image", "magnetic_resonance", "brain", "single"],
            ["Clinical Imaging"],
            ["magnetic resonance", "brain"],
            ("single", "single panel"),
        ),
        (["illustration", "brain"], ["Illustrative Diagrams"], ["scientific illustration"], (None, None)),
        # A label below the one that is asked for will do: intraoperative lies below clinical_image.
        (
            ["intraoperative_photograph", "eye"],
            ["Clinical Imaging"],
            ["intraoperative image", "eye"],
            (None, None),
        ),
        # plot lies above bar_plot; micrograph is a fallback that confocal_microscopy makes needless.
        (
            ["plot", "bar_plot", "micrograph", "confocal_microscopy", "multiple_images_plots"],
            ["Plots and Charts", "Microscopy"],
            ["bar plot", "confocal microscopy"],
            ("multiple", "multiple panels: images & plots"),
        ),
        (["micrograph", "cells"], ["Microscopy"], ["microscopy"], (None, None)),
        (
            ["micrograph", "immunohistochemistry"],
            ["Microscopy", "Immuno Assays"],
            ["microscopy", "immunohistochemistry"],
            (None, None),
        ),
        # A global name without a local one; one without any name speaks through what lies above it, or not at all.
        (["screen"], ["Screen Based Visuals"], [], (None, None)),
        (["chromosomes"], [], [], (None, None)),
        (["multiple_plots"], [], [], ("multiple", None)),
        ([], [], [], (None, None)),
    ],
)  # fmt: skip
def test_published_names_of_labels(labels, global_names, local_names, panel):
    found = TAXONOMY.published(labels)
    assert found.global_names == global_names
    assert found.local_names == local_names
    assert (found.panel_type, found.panel_subtype) == panel


@given(st.sets(st.sampled_from(LABELS)))
def test_published_names_are_published_and_do_not_depend_on_order_or_implied_labels(labels):
    found = TAXONOMY.published(labels)
    assert set(found.global_names) <= published_names()
    assert all(any(f"{first}/{second}" in published_names() for first in found.global_names)
               for second in found.local_names)  # fmt: skip
    assert TAXONOMY.published(sorted(labels, reverse=True)) == found
    assert TAXONOMY.published(TAXONOMY.expand(labels)) == found


@given(st.sets(st.sampled_from(LABELS)))
def test_most_specific_and_expand_undo_each_other(labels):
    assert TAXONOMY.expand(TAXONOMY.most_specific(labels)) == TAXONOMY.expand(labels)


def test_answers():
    assert TAXONOMY.faults_of({"figure_kind": ["bar_plot", "line_plot"], "panel_type": ["single"]}) == []
    assert TAXONOMY.faults_of({"colour": ["red"]}) == [
        "there is no axis 'colour'; there are figure_kind, modality, specimen, panel_type"
    ]
    assert TAXONOMY.faults_of({"figure_kind": []}) == ["figure_kind: no label; leave the axis out to give no answer"]
    assert TAXONOMY.faults_of({"panel_type": ["single", "multiple"]}) == ["panel_type takes one label, not 2"]
    assert TAXONOMY.faults_of({"modality": ["bar_plot"]}) == ["modality has no label 'bar_plot'"]
    assert TAXONOMY.faults_of({"modality": ["pcr", "pcr"]}) == ["modality: the same label twice"]


def test_a_file_of_ones_own_and_its_id(tmp_path, record):
    path = write(tmp_path, record)
    assert load_taxonomy(path).id == TAXONOMY.id  # the same content
    record["axes"][0]["labels"][0]["definition"] = "Something else."
    path = write(tmp_path, record)
    assert load_taxonomy(path).id != TAXONOMY.id
    assert load_taxonomy(path).version == TAXONOMY.version


def test_renamed_labels_are_found(tmp_path, record):
    record["renamed"] = {"bar_chart": "bar_plot"}
    taxonomy = load_taxonomy(write(tmp_path, record))
    assert taxonomy.resolve("bar_chart") == "bar_plot"
    assert taxonomy.resolve("bar_plot") == "bar_plot"
    assert taxonomy.resolve("nothing") is None


def _second(record, **changes):
    record["axes"][0]["labels"][1].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: _second(r, id="micrograph"), "micrograph is both in figure_kind and in figure_kind"),
        (lambda r: _second(r, id="modality"), "modality is both in figure_kind and in modality"),
        (lambda r: _second(r, parent="radiography"), "figure_kind has no label 'radiography' to be its parent"),
        (lambda r: _second(r, parent="clinical_photograph"), "clinical_photograph lies below itself"),
        (lambda r: _second(r, biomedica=["Clinical Imaging/aura photo"]), "no name 'Clinical Imaging/aura photo'"),
        (lambda r: _second(r, biomedica=[{"name": "Maps", "with": ["nowhere"]}]), "there is no label 'nowhere'"),
        (lambda r: _second(r, panel={"type": "triple"}), "no panel type 'triple'"),
        (lambda r: _second(r, panel={"type": "single", "subtype": "x"}), "no panel subtype 'x'"),
        (lambda r: _second(r, colour="red"), "axes.0.labels.1.colour: Extra inputs"),
        (lambda r: _second(r, id="Not An Id"), "axes.0.labels.1.id: String should match"),
        (lambda r: _second(r, definition=""), "axes.0.labels.1.definition: String should have at least 1"),
        (lambda r: r.update(version=1.0), "version: Input should be a valid string"),
        (lambda r: r["axes"][3].update(choices="two"), "axes.3.choices: Input should be 'one' or 'several'"),
        (lambda r: r.update(not_given={"Maps/map": "why"}), "not_given: 'Maps/map'"),
        (lambda r: r.update(renamed={"plot": "bar_plot"}), "plot must be gone"),
        (lambda r: r.update(axes=[]), "axes: Tuple should have at least 1"),
    ],
)
def test_contradictions_are_refused(tmp_path, record, change, message):
    change(record)
    with pytest.raises(TaxonomyError, match=r"taxonomy\.yaml") as error:
        load_taxonomy(write(tmp_path, record))
    assert message in str(error.value)


@pytest.mark.parametrize("data", [b"", b"- 1", b"a: [", b"\xff\xfe\x00", b"!!python/object/apply:os.system [true]"])
def test_what_is_no_taxonomy_is_refused(tmp_path, data):
    path = tmp_path / "bad.yaml"
    path.write_bytes(data)
    with pytest.raises(TaxonomyError, match=r"bad\.yaml"):
        load_taxonomy(path)
    with pytest.raises(TaxonomyError, match=r"absent\.yaml"):
        load_taxonomy(tmp_path / "absent.yaml")
