# ruff: noqa: E501 - an article reads better when each element keeps its line
"""Articles about how the text cites figures: panels, ranges, several targets, odd links, no link at all."""

from __future__ import annotations

from biomedica_assets.sample.articles.parts import cite, fig, graphic, picture, research
from biomedica_assets.sample.model import Article, Figure, Mention
from biomedica_assets.sample.pictures import Picture

SMALL = (360, 270)


def _figures(number: int, kinds: list[tuple[str, str]]) -> tuple[str, tuple[Picture, ...], tuple[Figure, ...]]:
    """Figures F1, F2 ... of an article: XML, pictures, truth. ``kinds``: (drawings, panel letters)."""
    names = [f"bas-{number:06d}-g{n:03d}.jpg" for n in range(1, len(kinds) + 1)]
    xml = "".join(
        fig(f"F{n}", f"Figure {n}", f"<p>Result number {n}.</p>", graphic(name)) for n, name in enumerate(names, 1)
    )
    sizes = [(640, 460) if letters else SMALL for _, letters in kinds]
    pictures = tuple(
        picture(name, drawn, letters, size=size)
        for name, (drawn, letters), size in zip(names, kinds, sizes, strict=True)
    )
    truth = tuple(Figure(f"F{n}", f"Figure {n}", f"Result number {n}.", (name,)) for n, name in enumerate(names, 1))
    return xml, pictures, truth


_xml, _pictures, _truth = _figures(
    19,
    [
        ("western_blot bar_plot fluorescence histology", "ABCD"),
        ("line_plot box_plot scatter_plot violin_plot heat_map spectrum histogram pie_chart", "ABCDEFGH"),
        ("phase_contrast phase_contrast bar_plot bar_plot", "abcd"),
    ],
)
PANELS_INSIDE = Article(
    pmcid=90_000_019, topic="onco", journal=5, date=(2024, 9, 2), shapes=("panels_inside_link",),
    title="Multiplex immunofluorescence of resected tumours",
    body=research(
        f"<p>Bands were weaker ({cite('F1', 'Figure 1A,B')}). Staining was absent ({cite('F1', 'Fig. 1C and D')}). Curves "
        f"differ ({cite('F2', 'Figure 2B–D')}), and so do {cite('F2', 'Figs. 2E, G-H')}. Cells were round "
        f"({cite('F3', 'Figure 3(a)')}, {cite('F3', '3b-d')}).</p>" + _xml
    ),
    pictures=_pictures, figures=_truth,
    mentions=(
        Mention("F1", ("A", "B"), "Figure 1A,B"),
        Mention("F1", ("C", "D"), "Fig. 1C and D"),
        Mention("F2", ("B", "C", "D"), "Figure 2B–D"),
        Mention("F2", ("E", "G", "H"), "Figs. 2E, G-H"),
        Mention("F3", ("A",), "Figure 3(a)"),
        Mention("F3", ("B", "C", "D"), "3b-d"),
    ),
)  # fmt: skip

_xml, _pictures, _truth = _figures(
    20,
    [
        ("ct ct", "AB"),
        ("xray ultrasound mri", "ABC"),
        ("bar_plot bar_plot line_plot box_plot box_plot scatter_plot histogram survival_plot", "ABCDEFGH"),
    ],
)
PANELS_BEHIND = Article(
    pmcid=90_000_020, topic="cardio", journal=4, date=(2024, 2, 14), shapes=("panels_behind_link",), licence="CC BY-NC-ND",
    title="Four imaging methods in exertional dyspnoea",
    body=research(
        f"<p>Imaging was normal ({cite('F1', 'Figure 1')}A), later abnormal ({cite('F1', 'Fig. 1')}A, B). All methods agree "
        f"({cite('F2', 'Figure 2')}A–C). Counts are in {cite('F3', 'Figure 3')}B-F, H. A patient is shown in "
        f"{cite('F2', 'Figure 2')} A patient who did not respond was excluded.</p>" + _xml
    ),
    pictures=_pictures, figures=_truth,
    mentions=(
        Mention("F1", ("A",), "Figure 1A"),
        Mention("F1", ("A", "B"), "Fig. 1A, B"),
        Mention("F2", ("A", "B", "C"), "Figure 2A–C"),
        Mention("F3", ("B", "C", "D", "E", "F", "H"), "Figure 3B-F, H"),
        Mention("F2", (), "Figure 2"),
    ),
)  # fmt: skip

_xml, _pictures, _truth = _figures(
    21, [(k, "") for k in ("bar_plot", "line_plot", "roc_curve", "forest_plot", "survival_plot")]
)
RANGES = Article(
    pmcid=90_000_021, topic="health", journal=8, date=(2021, 3, 25), shapes=("range_inside_link", "range_across_links", "several_rids"),
    title="Readmission in five figures: an interrupted time series",
    body=research(
        f"<p>One link: {cite('F1', 'Figures 1–3')}.</p><p>Two links: Figs {cite('F2', '2')}–{cite('F5', '5')}.</p>"
        f"<p>Several targets: {cite('F1 F4', 'Figures 1 and 4')}.</p><p>A list: {cite('F1', 'Figs. 1')}, "
        f"{cite('F3', '3')} and {cite('F5', '5')}.</p>" + _xml
    ),
    pictures=_pictures, figures=_truth,
    mentions=(
        Mention("F1", near="One link"), Mention("F2", expanded=True), Mention("F3"),
        Mention("F2", near="Two links"), Mention("F3", expanded=True), Mention("F4", expanded=True), Mention("F5"),
        Mention("F1", near="Several targets"), Mention("F4", near="Several targets"),
        Mention("F1", near="A list"), Mention("F3", near="A list"), Mention("F5", near="A list"),
    ),
)  # fmt: skip

_xml, _pictures, _truth = _figures(22, [("fluorescence", ""), ("western_blot", ""), ("electron", ""), ("network", "")])
ODD_LINKS = Article(
    pmcid=90_000_022, topic="gastro", journal=7, date=(2019, 11, 11), flavour="jats12", licence="CC BY-SA",
    shapes=("link_in_markup", "odd_ref_type", "missing_ref_type", "empty_link", "dangling_rid", "link_in_title", "link_in_table_cell", "link_in_list"),
    title="Metagenomics of remission, with odd links",
    body=research(
        f"<p>Wrapped: <italic>{cite('F1', 'Figure 1')}</italic> and {cite('F2', '<bold>Fig. <italic>2</italic></bold>')}.</p>"
        '<p>Odd type: <xref ref-type="other" rid="F3">Figure 3</xref>; no type: <xref rid="F3">Figure 3</xref>.</p>'
        '<p>Nowhere: <xref ref-type="fig" rid="F99">Figure 99</xref>; without words: <xref ref-type="fig" rid="F4"/>.</p>'
        f"<sec><title>Communities by site ({cite('F4', 'Figure 4')})</title>[[results:1]]</sec>"
        f'<table-wrap id="T1"><label>Table 1</label><caption><p>Taxa.</p></caption><table><tbody><tr><td>Genus</td><td>see '
        f"{cite('F1', 'Fig. 1')}</td></tr></tbody></table></table-wrap>"
        f'<list list-type="bullet"><list-item><p>Item with {cite("F2", "Figure 2")}.</p></list-item></list>' + _xml
    ),
    pictures=_pictures, figures=_truth,
    mentions=(
        Mention("F1", text="Figure 1", near="Wrapped"), Mention("F2", text="Fig. 2", near="Wrapped"),
        Mention("F3", text="Figure 3", near="Odd type"), Mention("F3", text="Figure 3", near="no type"),
        Mention("F4", near="Nowhere"),
        Mention("F4", text="Figure 4", near="Communities by site"),
        Mention("F1", text="Fig. 1", near="see"), Mention("F2", text="Figure 2", near="Item with"),
    ),
)  # fmt: skip

_xml, _pictures, _truth = _figures(23, [("skin_lesion", ""), ("histology immunohistochemistry", "AB")])
NO_LINKS = Article(
    pmcid=90_000_023, topic="derm", journal=6, date=(2011, 5, 30), flavour="nlm30", licence_version="3.0",
    shapes=("named_without_link", "section_without_figures"), kind="case-report",
    title="Sudden plaques after a sea voyage",
    body=(
        "<sec><title>Case report</title>[[case:2]]<p>Plaques covered both arms (Figure 1). The biopsy is shown in Fig. 2B.</p>"
        f"<p>Both appear again in {cite('F1', 'Figure 1')}, but Figure 9 does not exist.</p>" + _xml + "</sec>"
        "<sec><title>Discussion</title>[[discussion:3]]</sec>"
    ),
    pictures=_pictures, figures=_truth,
    mentions=(
        Mention("F1", (), "Figure 1", kind="text", near="both arms"),
        Mention("F2", ("B",), "Fig. 2B", kind="text", near="biopsy"),
        Mention("F1", text="Figure 1", near="appear again"),
    ),
)  # fmt: skip

ARTICLES = (PANELS_INSIDE, PANELS_BEHIND, RANGES, ODD_LINKS, NO_LINKS)
