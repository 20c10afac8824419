"""Weak labels: which words say what, how sure, and that no text breaks them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.weak import CAPTION, KIND, MESH, RuleError, WeakLabeller, load_rules, strongest, words

TAXONOMY = load_taxonomy()
LABELLER = WeakLabeller(load_rules(), TAXONOMY)


def labels(caption, axis=None, source=CAPTION, **facts):
    facts = {"panels": 0, "kind": "fig"} | facts
    said = LABELLER.label(caption, **facts)
    return {s.label: s.probability for s in said if s.source == source and axis in (None, s.axis)}


def test_every_label_of_the_shipped_rules_is_in_the_shipped_taxonomy():
    assert LABELLER.unknown == []


def test_words():
    assert words("T2-weighted MR images (FLAIR), axial slices; CT/PET_scan") == [
        *("t2", "weighted", "mr", "image", "flair", "axial", "slice", "ct", "pet", "scan"),
    ]
    assert words("glass pus axis the OCTs") == ["glass", "pus", "axis", "the", "oct"]


@pytest.mark.parametrize(
    ("caption", "axis", "expected"),
    [
        ("Axial T2-weighted image of the brain.", "modality", {"magnetic_resonance"}),
        ("Chest X-rays at admission.", "modality", {"radiography"}),
        ("X-ray diffraction of the powder.", "modality", set()),
        ("Optical coherence tomogram of the macula.", "modality", {"optical_coherence_tomography"}),
        ("Western blot of AKT; bar graph of the densities.", "figure_kind", {"assay_image", "bar_plot"}),
        ("Western blot of AKT; bar graph of the densities.", "modality", {"immunoblot"}),
        ("Kaplan–Meier curves.", "modality", {"no_technique"}),
        ("PRISMA flow diagram.", "figure_kind", {"cohort_flowchart"}),
        ("Fishing villages.", "modality", set()),
        ("Octopus.", "modality", set()),
    ],
)
def test_captions(caption, axis, expected):
    found = {label for label, p in labels(caption, axis).items() if p >= 0.5}
    assert set(TAXONOMY.most_specific(found)) == expected


def test_what_stands_first_counts_more():
    first = labels("CT of the thorax.", "modality")["computed_tomography"]
    later = labels(" ".join(["word"] * 14) + " CT of the thorax.", "modality")["computed_tomography"]
    rule = next(r for r in load_rules().captions if r.label == "computed_tomography")
    assert first == rule.probability
    assert later == pytest.approx(rule.probability * load_rules().later)


def test_kind_of_figure():
    assert labels(None, "figure_kind", KIND, kind="table") == {"table": 0.95}
    assert labels(None, "modality", KIND, kind="table") == {"no_technique": 0.95}
    assert labels(None, None, KIND, kind="fig") == {}


def test_mesh_is_evidence_and_no_decision():
    found = labels("A figure.", "modality", MESH, mesh=["D014057", "D000001"])
    assert found == {"computed_tomography": 0.35}
    assert all(rule.probability < load_rules().decides for rule in load_rules().mesh)


def test_panels_are_counted_where_a_figure_is_one_file():
    assert labels("(A) One. (B) Two.", "panel_type", panels=2) == {"multiple": 0.9}
    assert labels("One.", "panel_type", panels=0) == {"single": 0.65}
    assert labels("(A) One. (B) Two.", "panel_type", panels=2, images=2) == {}
    assert labels(None, "panel_type", panels=0) == {}, "no caption says nothing"


def test_strongest_by_axis():
    said = LABELLER.label("Chest radiograph; bar graph of counts.", panels=0, kind="fig")
    best = strongest(said, ["modality", "specimen"])
    assert {axis: one.label for axis, one in best.items()} == {"modality": "radiography", "specimen": "chest"}


def test_the_id_names_the_rules():
    rules = load_rules()
    changed = rules.model_copy(update={"later": 0.7})
    assert rules.id.startswith(f"rules-{rules.version}-")
    assert changed.id != rules.id


def test_labels_that_a_taxonomy_lacks_are_left_out():
    axes = tuple(axis for axis in TAXONOMY.axes if axis.id == "panel_type")
    small = TAXONOMY.model_copy(update={"axes": axes})
    for name in ("labels", "_axes", "_axis_of", "_order", "id"):  # made anew for the copy
        small.__dict__.pop(name, None)
    said = WeakLabeller(load_rules(), small).label("CT of the chest.", panels=0, kind="table", mesh=["D014057"])
    assert {one.axis for one in said} == {"panel_type"}


def test_files_that_are_no_rules(tmp_path):
    (tmp_path / "rules.yaml").write_text("version: [1")
    with pytest.raises(RuleError):
        load_rules(str(tmp_path / "rules.yaml"))
    with pytest.raises(RuleError):
        load_rules(str(tmp_path / "none.yaml"))


@given(st.text(max_size=200), st.integers(0, 9), st.sampled_from(["fig", "table", "scheme", None]))
def test_any_text(caption, panels, kind):
    said = LABELLER.label(caption, panels=panels, kind=kind)
    assert len({(s.axis, s.label, s.source) for s in said}) == len(said)
    assert all(0 < s.probability < 1 and TAXONOMY.axis_of(s.label).id == s.axis for s in said)
    assert said == LABELLER.label(caption, panels=panels, kind=kind)
