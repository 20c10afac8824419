"""Captions and figures of real articles, as a careful reader would type them from the XML."""

from __future__ import annotations

import pytest

from biomedica_assets.jats import Article
from biomedica_assets.schemas import Row


def figure_and_caption(article: Article, xml_id: str) -> tuple[Row, Row]:
    figure = next(f for f in article.figures if f.get("xml_id") == xml_id)
    return figure, next((c for c in article.captions if c["figure_id"] == figure["figure_id"]), {})


# article, figure, label, whole text
WHOLE = [
    ("PMC7617240", "f1", "Figure 1.", "CONSORT diagram."),
    ("PMC4385903", "F892904", "Figure 2c.", "male lateral."),
    # Title and paragraph with nothing between them in the XML: one space
    (
        "PMC3840788",
        "fig5",
        "Figure 5.",
        "Cdc42-GppNHp binds specifically to Gic1. (A and B) Gel filtration chromatography and SDS-PAGE of Gic1 with "
        "Cdc42-GppNHp (A) and Cdc42-GDP (B), respectively.",
    ),
    # No caption element: the words stand in <statement>
    ("PMC5896394", "F1", "Figure 1", "Trial flow diagram"),
    # Subscripts and superscripts stay where they stand
    (
        "PMC3009318",
        "Fap1",
        "Fig. 1.",
        "Thermal ellipsoid plot (Barbour, 2001) of a portion of the polymeric structure of "
        "Eu(H2O)5(C8H3O7S).3H2O.0.5C10H8N2O2 at the 50% probability level; hydrogen atoms are drawn as spheres of "
        "arbitrary radius. The 4,4'-bipyridine N-oxide molecule lies on a center-of-inversion.",
    ),
    (
        "PMC5430587",
        "Fig4",
        "Fig. 4",
        "Some unearthed seeds contained bran. a rice grain; b millet grain. Scale bars a 0.5 mm; b 0.2 mm. "
        "Arrow aleurone layer; arrowhead naked seed",
    ),
    (
        "PMC4443630",
        "Fig2",
        "Fig. 2",
        "Kaplan-Meier analysis of overall survival for patients with centrally located primary NSCLC and lung "
        "metastases (a) and for patients with T1N0M0 and T2N0M0 (b) lesions. Number of subjects at risk are shown "
        "below. Tick marks indicate censored patients",
    ),
    (
        "PMC6329482",
        "F1",
        "FIGURE",
        "Health care–linked cases of epidemic keratoconjunctivitis (N = 15), by date of initial eye care clinic "
        "visit — Los Angeles County, California, June–July 2017",
    ),
    # SciELO translation in a sub-article
    (
        "doi_10.5935_abc.20170100",
        "f2",
        "Figura 1",
        "Combinação dos desfechos do SPRINT e ACCORD e dados combinados dos dois estudos. IAM: infarto agudo do "
        "miocárdio; AVC: acidente vascular cerebral; ICC: Insufciência Cardíaca; ICo: eventos coronarianos; CV: "
        "cardiovascular. Adaptado de Perkovic e Rodgers.18",
    ),
]


@pytest.mark.parametrize(("article", "figure", "label", "text"), WHOLE)
def test_whole_caption(by_name: dict[str, Article], article: str, figure: str, label: str, text: str) -> None:
    row, caption = figure_and_caption(by_name[article], figure)
    assert row["label"] == label
    assert caption["text"] == text


# article, figure, how the text begins and ends
ENDS = [
    # The file without a DTD for its entities, which no strict parser reads
    ("doi_10.1371_journal.pone.0000010", "pone.0000010-f01", None, "e age groups in Brasília."),
    # eLife: the DOI line and the nested source data are no caption
    ("PMC5050015", "fig1", None, "and figure supplement 1."),
    ("PMC4031984", "fig1s4", None, "uded in the Coulson plot."),
    # EMBO: the panel letters are labels of list items
    (
        "PMC5793798",
        "embj201796692-fig-0004",
        "Immunohistochemistry of FLAG‐tag expression in the central nervous system (CNS) A–D In the main olfactory "
        "bulb (MOB) (A), FLAG‐tag",
        "VMH, ventromedial hypothalamic nucleus; 3V, third ventricle.",
    ),
    (
        "PMC4412693",
        "Fig1",
        "Analysis of cDNA encoding the protein kinase R-binding domain (PKR-BD) region before and after the pegylated "
        "interferon α/ribavirin (PEG-IFNα/RBV) therapy. a Melting curve before",
        "before and after the therapy",
    ),
    (
        "PMC11631191",
        "msae231-F5",
        "Plots of the relative activity as a function of temperature.",
        None,
    ),
    ("PMC11643294", "F6", "Correlation between the importance of an executive function feature and individual", None),
]


@pytest.mark.parametrize(("article", "figure", "begin", "end"), ENDS)
def test_ends_of_caption(
    by_name: dict[str, Article], article: str, figure: str, begin: str | None, end: str | None
) -> None:
    _, caption = figure_and_caption(by_name[article], figure)
    assert caption["text"].startswith(begin or "")
    assert caption["text"].endswith(end or "")


def test_title_apart_from_paragraphs(by_name: dict[str, Article]) -> None:
    _, caption = figure_and_caption(by_name["PMC3840788"], "fig5")
    assert caption["title"] == "Cdc42-GppNHp binds specifically to Gic1."
    assert caption["paragraphs"] == [caption["text"].removeprefix(caption["title"] + " ")]


def test_markup_and_formulas_are_kept_by_offset(by_name: dict[str, Article]) -> None:
    _, caption = figure_and_caption(by_name["PMC4412693"], "Fig1")
    marked = [(caption["text"][s["start"] : s["end"]], s["style"]) for s in caption["rich"]]
    assert marked == [("a", "bold"), ("arrow", "italic"), ("m", "sub"), ("b", "bold")]
    _, caption = figure_and_caption(by_name["PMC4839147"], "Fig1")
    assert [f["tex"] for f in caption["math"]] == [r"E_{86}^{\text {trained}}"]
    assert [caption["text"][f["start"] : f["end"]] for f in caption["math"]] == ["E86trained"]


def test_line_breaks_of_pretty_printed_files_are_no_spaces(by_name: dict[str, Article]) -> None:
    # ... of <italic>Yy1</italic>\n<sup>\n<italic>LoxP/LoxP</italic>\n</sup>) and; (\n<italic>n</italic>\n= 13)
    for article, figure, words in [
        ("PMC13262022", "glia70185-fig-0003", "(Yy1LoxP/LoxP) and"),
        ("PMC11518618", "FI22080374-1", "(n = 13)"),
        ("doi_10.7554_eLife.30274", "fig1", "(A) Repre"),
    ]:
        _, caption = figure_and_caption(by_name[article], figure)
        assert words in caption["text"], article


@pytest.mark.parametrize(
    ("article", "figure", "panels"),
    [
        ("PMC5430587", "Fig4", {"A": "rice grain"}),
        (
            "PMC4412693",
            "Fig1",
            {
                "A": "Melting curve before and after the therapy. The arrow indicates the Tm shift from before to "
                "after the therapy.",
                "B": "aa. sequence of the C-terminal region of the NS5A protein covering the PKR-BD region before and "
                "after the therapy",
            },
        ),
        ("PMC6135896", "pcy091-F5", {"B": "Northern blot analysis of CsLOX6."}),
        ("PMC13262022", "glia70185-fig-0006", {"B": "Morphological analysis of O2AST in CN."}),
        # The letters stand behind the words
        (
            "PMC4443630",
            "Fig2",
            {
                "A": "Kaplan-Meier analysis of overall survival for patients with centrally located primary NSCLC and "
                "lung metastases",
                "B": "for patients with T1N0M0 and T2N0M0",
            },
        ),
        (
            "PMC11456550",
            "Fig2",
            {
                "B": "Cylindrical defects (6 mm diameter, 0.5 mm depth) were created in the calvarium of the "
                "rabbits by drilling with a trephine bur"
            },
        ),
        (
            "PMC6321889",
            "fig1",
            {"LEFT": "crystallization pattern of 600 mg DCC with dewetting before crystallization."},
        ),
    ],
)
def test_sub_captions(by_name: dict[str, Article], article: str, figure: str, panels: dict[str, str]) -> None:
    _, caption = figure_and_caption(by_name[article], figure)
    found = {p["panel"]: p["text"] for p in caption.get("sub_captions") or []}
    assert {panel: found.get(panel) for panel in panels} == panels
    if not panels:
        assert found == {}


# article, figure: columns of the figure
FIGURES = [
    ("PMC4383033", "video8", {"kind": "video", "n_graphics": 0}),
    ("PMC4385903", "F892904", {"kind": "group_member", "place": "floats"}),
    ("PMC6103745", "fig2s1", {"kind": "nested", "place": "body"}),
    ("PMC6222480", "molecules-23-01897-sch001", {"kind": "scheme", "label": "Scheme 1"}),
    ("PMC6262769", "undfig1", {"kind": "graphical_abstract", "place": "abstract", "label": None}),
    ("PMC2822703", "plt1", {"kind": "box", "place": "front"}),
    ("PMC5096720", "ppat.1005952.s001", {"kind": "supplementary", "label": "S1 Fig"}),
    ("doi_10.5935_abc.20170100", "f2", {"place": "sub_article", "sub_article": "translation"}),
    # One image in two versions (colour, print) within alternatives
    ("PMC7849732", "f0002", {"n_graphics": 1}),
    ("PMC4949662", "bit25539-fig-0001", {"copyright": "Copyright © 2015 Wiley Periodicals, Inc."}),
    (
        "PMC6115875",
        "F0001",
        {"third_party_notice": "This figure is modified from Jones et al. (2016a)."},
    ),
    ("PMC4805039", "f2", {"third_party_notice": "Redrawn from Elmlinger et al (8)."}),
    (
        "PMC6329482",
        "F1",
        {
            "long_description": "The figure is a histogram showing health care–linked cases of epidemic "
            "keratoconjunctivitis (N = 15), by date of initial eye care clinic visit, in Los Angeles County, "
            "California, during June–July 2017."
        },
    ),
]


@pytest.mark.parametrize(("article", "figure", "columns"), FIGURES)
def test_figure(by_name: dict[str, Article], article: str, figure: str, columns: dict[str, object]) -> None:
    row, _ = figure_and_caption(by_name[article], figure)
    assert {key: row.get(key) for key in columns} == columns


def test_group_caption(by_name: dict[str, Article]) -> None:
    row, caption = figure_and_caption(by_name["PMC4385903"], "F892904")
    assert caption["group_caption"] == "Spathidexia marioburgosi sp. n.; male DHJPAR0029985, female DHJPAR0022862"
    assert row["group_id"] == "PMC4385903.1/F892887"
