"""Plain articles: the usual shape of a paper, with pictures of every kind. Odd shapes are in the other modules.

`plain` writes an article from a list of figures and keeps the truth as it goes: captions from the table below,
citations from `_CITED`, both as a reader would type them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from biomedica_assets.sample.model import Article, Figure, Mention
from biomedica_assets.sample.pictures import Picture
from biomedica_assets.sample.prose import fill


@dataclass(frozen=True)
class Fig:
    """One figure of a plain article: the drawings of its panels and how the picture is made."""

    kinds: str
    letters: str = ""
    format: str = "jpg"
    size: tuple[int, int] = (640, 460)
    cite: int = 0
    columns: int = 0
    inset: str = ""
    style: str = "plain"
    seed: str = ""
    scale: float = 1.0


CAPTIONS: dict[str, str] = {
    "line_plot": "Course of {outcome} over time, means with standard errors",
    "bar_plot": "Expression of {gene} by group, means and standard deviations",
    "scatter_plot": "Correlation between {gene} and {outcome}",
    "box_plot": "Distribution of {outcome} by group; boxes show quartiles",
    "violin_plot": "Density of {gene} levels in single samples",
    "histogram": "Histogram of {outcome} in {cohort}",
    "survival_plot": "Kaplan-Meier estimates after {drug} or {comparator}; ticks are censored observations",
    "roc_curve": "Receiver operating characteristic of {gene} as a marker of {disease}",
    "forest_plot": "Forest plot of trials that compared {drug} with {comparator}",
    "heat_map": "Hierarchical clustering of genes of {pathway}",
    "pie_chart": "Share of subtypes among {cohort}",
    "volcano_plot": "Volcano plot of features found by {method}",
    "cluster_plot": "Two-dimensional embedding of cells from the {organ}, coloured by cluster",
    "flow_cytometry": "Flow cytometry of cells from the {organ}; numbers are per cent of live cells",
    "spectrum": "Chromatogram of {drug} after incubation",
    "signal_trace": "Recording at rest before treatment",
    "dose_response": "Concentration-response curves of {drug} and two analogues",
    "flowchart": "Flow of participants through the study",
    "pathway": "Proposed link between {gene} and {pathway}",
    "network": "Interaction network around {gene}; node size shows degree",
    "tree": "Phylogenetic tree of {gene} and related sequences",
    "gene_map": "Domain structure of {gene} and position of variants",
    "chemical_structure": "Structural formula of {drug}",
    "region_map": "Location of the study sites",
    "table_image": "Summary of baseline data, reproduced as an image",
    "alignment": "Alignment of {gene} sequences; conserved positions are shaded",
    "timeline": "Time line of the protocol",
    "western_blot": "Western blot of {gene} and the loading control",
    "agarose_gel": "Agarose gel of amplified products; M, size marker",
    "culture_plate": "Culture plate after three days",
    "fluorescence": "Fluorescence micrograph of the {organ}, nuclei in blue",
    "confocal_stack": "Confocal stack of single cells, maximum projection",
    "anatomy": "Sketch of the {organ}",
    "street": "The street on which the practice stands",
    "phase_contrast": "Phase-contrast micrograph of cultured cells",
    "electron": "Electron micrograph of the {organ}",
    "histology": "Section of the {organ}, haematoxylin and eosin",
    "immunohistochemistry": "Immunostaining for {gene}, brown, with haematoxylin counterstain",
    "blood_smear": "Peripheral blood smear",
    "ct": "Axial computed tomography",
    "xray": "Chest radiograph at admission",
    "bone_xray": "Radiograph of the forearm",
    "mri": "Axial magnetic resonance image of the brain",
    "ultrasound": "Ultrasound image of the {organ}",
    "angiogram": "Digital subtraction angiogram",
    "pet": "Positron emission tomogram, coronal view",
    "skin_lesion": "Clinical photograph of the lesion",
    "endoscopy": "Endoscopic view",
    "surgery": "Intraoperative view",
    "fundus": "Fundus photograph",
    "oct": "Optical coherence tomogram of the macula",
    "landscape": "View of the field site",
    "leaf": "Leaf with early lesions",
    "device": "The device used for sampling",
    "specimen": "Excised specimen with ruler",
    "protein": "Model of the {gene} protein, coloured by domain",
}
"""Caption of one drawing kind; slots are the topic's words."""

_CITED: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ('as shown in <xref ref-type="fig" rid="F{n}">Figure {n}</xref>.', (), "Figure {n}"),
    ('(<xref ref-type="fig" rid="F{n}">Fig. {n}</xref>).', (), "Fig. {n}"),
    ('(<xref ref-type="fig" rid="F{n}">Figure {n}A</xref>).', ("A",), "Figure {n}A"),
    ('(<xref ref-type="fig" rid="F{n}">Figure {n}</xref>B).', ("B",), "Figure {n}B"),
    ('(<xref ref-type="fig" rid="F{n}">Figure {n}A,B</xref>).', ("A", "B"), "Figure {n}A,B"),
    ('(<xref ref-type="fig" rid="F{n}">Fig. {n}A–C</xref>).', ("A", "B", "C"), "Fig. {n}A–C"),
    ('(<xref ref-type="fig" rid="F{n}">Fig 1</xref>).', (), "Fig 1"),
)
"""Ways to cite figure n: XML, panels, surface text."""

_LEADS = (
    "The main finding is consistent across analyses,",
    "An example is given for a typical participant",
    "The pattern was the same in both batches",
    "Individual values are displayed",
    "The response was uniform in this group",
)


def plain(
    pmcid: int, topic: str, title: str, figures: list[Fig], where: str = "sec", form: str = "research", **rest: Any
) -> Article:
    """An article of the usual shape.

    Args:
        where: "sec", "p" or "floats": what holds the ``fig`` elements.
        form: "research", "case" or "review": which sections and filler it has.
        rest: any other field of `Article`.
    """
    rng = random.Random(f"plain/{pmcid}/{rest.get('version', 1)}")
    pictures, truth, mentions, blocks, elements = [], [], [], [], []
    filler = {"research": "results", "case": "case", "review": "review"}[form]
    for n, figure in enumerate(figures, 1):
        name = f"bas-{pmcid % 10**6:06d}-g{n:03d}.{figure.format}"
        kinds = tuple(figure.kinds.split())
        pictures.append(
            Picture(
                name, kinds, figure.letters, figure.columns, figure.size, figure.seed, figure.scale, figure.inset,
                figure.style,
            )
        )  # fmt: skip
        heading, text = _caption(kinds, figure.letters, topic, rng)
        element = (
            f'<fig id="F{n}" position="float"><label>Figure {n}</label><caption><title>{heading}</title><p>{text}</p>'
            f'</caption><graphic xlink:href="@{{{name}}}"/></fig>'
        )
        truth.append(Figure(f"F{n}", f"Figure {n}", f"{heading} {text}", (name,)))
        cited, panels, surface = _CITED[figure.cite]
        mentions.append(Mention(f"F{n}", panels, surface.format(n=n)))
        paragraph = f"{rng.choice(_LEADS)} {cited.format(n=n)}"
        if where == "p":
            paragraph, element = f"{paragraph} {element}", ""
        blocks.append(f"[[{filler}:{rng.randint(1, 2)}]]<p>{paragraph}</p>{element if where == 'sec' else ''}")
        elements.append(element)
    return Article(
        pmcid=pmcid, topic=topic, title=title, body=_body(form, "".join(blocks), rng), pictures=tuple(pictures),
        figures=tuple(truth), mentions=tuple(mentions), floats="".join(elements) if where == "floats" else "",
        kind={"research": "research-article", "case": "case-report", "review": "review-article"}[form], **rest,
    )  # fmt: skip


def _caption(kinds: tuple[str, ...], letters: str, topic: str, rng: random.Random) -> tuple[str, str]:
    said = [fill(CAPTIONS[kind], topic, rng) for kind in kinds]
    said = [s[0].upper() + s[1:] for s in said]
    if len(kinds) == 1:
        return f"{said[0]}.", "Data are from all participants unless stated otherwise."
    heading = "Summary of the findings."
    if letters:
        return heading, " ".join(f"({mark}) {text}." for mark, text in zip(letters, said, strict=False))
    return heading, "; ".join(said) + "."


def _body(form: str, middle: str, rng: random.Random) -> str:
    n = rng.randint(2, 3)
    if form == "case":
        return (
            f'<sec sec-type="intro"><title>Introduction</title>[[intro:{n}]]</sec>'
            f'<sec sec-type="cases"><title>Case presentation</title>[[case:1]]{middle}</sec>'
            f'<sec sec-type="discussion"><title>Discussion</title>[[discussion:{n}]]</sec>'
            '<sec sec-type="conclusions"><title>Conclusions</title>[[discussion:1]]</sec>'
        )
    if form == "review":
        return (
            f"<sec><title>Introduction</title>[[review:{n}]]</sec><sec><title>What is known</title>{middle}</sec>"
            f"<sec><title>Open questions</title>[[review:1]][[discussion:{n}]]</sec>"
        )
    return (
        f'<sec sec-type="intro"><title>Introduction</title>[[intro:{n}]]</sec>'
        f'<sec sec-type="methods"><title>Methods</title>'
        f"<sec><title>Participants and samples</title>[[methods:{n}]]</sec>"
        "<sec><title>Statistical analysis</title>[[methods:1]]</sec></sec>"
        f'<sec sec-type="results"><title>Results</title>{middle}</sec>'
        f'<sec sec-type="discussion"><title>Discussion</title>[[discussion:{n}]]</sec>'
    )
