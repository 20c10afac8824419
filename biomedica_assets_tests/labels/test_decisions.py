"""What holds when several sources speak."""

import pytest

from biomedica_assets.labels.decisions import choose
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.weak import Said

TAXONOMY = load_taxonomy()


def said(text):
    """ "classifier plot .9, concept bar_plot .7" -> what they say."""
    found = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        source, label, probability = one.split()
        found.append(Said(TAXONOMY.axis_of(label).id, label, float(probability), source))
    return found


@pytest.mark.parametrize(
    ("axis", "decided", "denied", "expected"),
    [
        ("figure_kind", "", "", {}),
        ("figure_kind", "concept map .6, caption_rule table .9", "", {"map": "concept"}),
        ("figure_kind", "review table 1, classifier map .9, concept map .9", "", {"table": "review"}),
        ("figure_kind", "classifier plot .9, concept bar_plot .7", "", {"bar_plot": "concept"}),
        ("figure_kind", "classifier plot .9, concept bar_plot .7", "bar_plot", {"plot": "classifier"}),
        ("figure_kind", "classifier plot .9, concept diagram .7", "", {"plot": "classifier"}),
        ("figure_kind", "concept map .9, caption_rule bar_plot .8", "map", {"bar_plot": "caption_rule"}),
        ("figure_kind", "concept bar_plot .9, concept map .8", "plot", {"map": "concept"}),
        ("figure_kind", "review map 1, concept map .9", "map", {"map": "review"}),
        ("figure_kind", "classifier bar_plot .9, concept plot .7", "", {"bar_plot": "classifier"}),
        ("figure_kind", "classifier plot .9, classifier assay_image .8", "",
         {"plot": "classifier", "assay_image": "classifier"}),
        ("figure_kind", "classifier plot .9, concept bar_plot .7, caption_rule line_plot .8", "",
         {"bar_plot": "concept"}),
        ("modality", "classifier no_technique .9, classifier radiography .6", "", {"radiography": "classifier"}),
        ("modality", "caption_rule no_technique .9", "", {"no_technique": "caption_rule"}),
        ("panel_type", "classifier single .6, classifier multiple .7", "", {"multiple": "classifier"}),
        ("panel_type", "caption_rule multiple .9, figure_kind single .8", "", {"multiple": "caption_rule"}),
        ("panel_type", "classifier multiple .7, concept multiple_plots .6, caption_rule single .9", "",
         {"multiple_plots": "concept"}),
    ],
)  # fmt: skip
def test_who_is_heard(axis, decided, denied, expected):
    held = choose(said(decided), TAXONOMY.axis(axis), TAXONOMY, set(denied.split()))
    assert {label: one.source for label, one in held.items()} == expected
