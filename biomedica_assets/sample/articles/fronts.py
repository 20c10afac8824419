# ruff: noqa: E501 - an article reads better when each element keeps its line
"""Articles about wrappers, front matter, licences and the state of a version: manuscript, TDM, retracted, scanned."""

from __future__ import annotations

from dataclasses import replace

from biomedica_assets.sample.articles.parts import cite, fig, graphic, picture, research
from biomedica_assets.sample.articles.plain import Fig, plain
from biomedica_assets.sample.model import Article, Figure, Mention

SMALL = (360, 270)

RICH_FRONT = Article(
    pmcid=90_000_029, topic="renal", journal=11, date=(2024, 1, 31), licence="CC BY-NC",
    shapes=("title_markup", "structured_abstract", "trans_abstract", "keyword_groups", "collective_author"),
    title="Effect of <italic>NPRX2</italic> on CO<sub>2</sub> handling: a 10<sup>−3</sup> dilution study",
    abstract=(
        "<sec><title>Background</title><p>[[abstract]]</p></sec><sec><title>Methods</title><p>Samples were diluted.</p></sec>"
        "<sec><title>Conclusions</title><p>The effect is small.</p></sec>"
    ),
    front=(
        '<trans-title-group xml:lang="es"><trans-title>Efecto de <italic>NPRX2</italic></trans-title></trans-title-group>'
        '<trans-abstract xml:lang="es"><title>Resumen</title><p>Las muestras se diluyeron.</p></trans-abstract>'
    ),
    keywords=(
        '<kwd-group xml:lang="en" kwd-group-type="author"><title>Keywords</title><kwd>dilution</kwd><kwd><italic>NPRX2</italic>'
        '</kwd></kwd-group><kwd-group xml:lang="es"><title>Palabras clave</title><kwd>dilución</kwd></kwd-group>'
        '<kwd-group kwd-group-type="abbreviations"><kwd>eGFR</kwd></kwd-group>'
    ),
    body=research(
        f"<p>The curve is flat ({cite('F1', 'Figure 1')}).</p>"
        + fig("F1", "Figure 1", "<p>Uptake of CO<sub>2</sub>.</p>", graphic("bas-000029-g001.jpg"))
    ),
    pictures=(picture("bas-000029-g001.jpg", "dose_response"),),
    figures=(Figure("F1", "Figure 1", "Uptake of CO2.", ("bas-000029-g001.jpg",)),),
    mentions=(Mention("F1", text="Figure 1", near="The curve is flat"),),
)  # fmt: skip


def _small(number: int, topic: str, title: str, kind: str, **rest: object) -> Article:
    """A short article with one figure, for the wrappers."""
    name = f"bas-{number:06d}-g001.jpg"
    return Article(
        pmcid=90_000_000 + number, topic=topic, title=title,
        body=research(
            f"<p>The result is shown in {cite('F1', 'Figure 1')}.</p>"
            + fig("F1", "Figure 1", "<title>The result.</title><p>One of three runs.</p>", graphic(name))
        ),
        pictures=(picture(name, kind),),
        figures=(Figure("F1", "Figure 1", "The result. One of three runs.", (name,)),),
        mentions=(Mention("F1", text="Figure 1", near="The result is shown in"),), **rest,  # type: ignore[arg-type]
    )  # fmt: skip


ARTICLE_SET = _small(
    30, "cardio", "A single heartbeat in an article set", "signal_trace", journal=3, date=(2013, 7, 1), flavour="jats11",
    wrapper="pmc-articleset", shapes=("pmc_articleset",), licence_version="3.0",
)  # fmt: skip
OAI = _small(
    31, "eye", "A tomogram served by OAI-PMH", "oct", journal=4, date=(2022, 10, 22), wrapper="oai", shapes=("oai_pmh", "namespaced"),
)  # fmt: skip
BOM = _small(
    32, "plant", "A leaf behind a byte order mark", "leaf", journal=10, date=(2012, 5), flavour="jats10",
    licence_version="3.0", shapes=("byte_order_mark", "date_without_day"),
)  # fmt: skip
NOT_WELL_FORMED = replace(
    _small(33, "health", "Waiting times in two towns", "street", journal=8, date=(2014, 3, 3), flavour="jats10"),
    back="<ack><title>Acknowledgements</title><p>We thank R & D of Port Elsewhere.</p></ack>",
    shapes=("not_well_formed",), licence_version="3.0",
)  # fmt: skip
LICENCE_IN_WORDS = _small(
    34, "bone", "A forearm, licensed in words only", "bone_xray", journal=2, date=(2009, 9, 9), flavour="nlm30",
    licence="CC BY-NC",
    licence_xml=(
        '<license license-type="open-access"><license-p>This article is distributed under the terms of the Creative Commons '
        "Attribution Non-Commercial License, which permits use, distribution and reproduction in any medium, provided the "
        "original work is properly cited and the use is non-commercial.</license-p></license>"
    ),
    licence_version="", shapes=("licence_in_words",),
)  # fmt: skip
LICENCE_MALFORMED = _small(
    35, "gastro", "A licence address with a missing hyphen", "histology", journal=7, date=(2016, 6, 6), flavour="jats11",
    licence="CC BY-NC-ND",
    licence_xml=(
        '<license xlink:href="http://creativecommons.org/licenses/by-ncnd/4.0/"><license-p>Open access.</license-p></license>'
    ),
    shapes=("licence_malformed_url",),
)  # fmt: skip

CC0 = plain(90_000_036, "infect", "Genomes of an imagined outbreak", [Fig("tree"), Fig("region_map bar_plot", "AB", cite=3)],
            journal=3, date=(2020, 4, 9), licence="CC0", licence_version="1.0", shapes=("cc0",))  # fmt: skip
BY_ND = plain(90_000_037, "derm", "A surgeon's atlas of small flaps", [Fig("surgery"), Fig("skin_lesion specimen", "ab", style="(a)", cite=4)],
              form="case", journal=2, date=(2019, 2, 18), licence="CC BY-ND", shapes=("cc_by_nd",))  # fmt: skip
NO_LICENCE = plain(90_000_038, "neuro", "An older report without a licence", [Fig("mri")], journal=3, date=(2001, 8, 1), licence=None,
                   flavour="nlm23", shapes=("no_cc_licence",))  # fmt: skip

MANUSCRIPT = plain(
    90_000_039, "onco", "Stromal signals before resection", [Fig("survival_plot"), Fig("heat_map")], journal=5,
    date=(2025, 2, 1), manuscript=True, licence="CC BY-NC", shapes=("manuscript_and_published",), pmid=970_000_039,
)  # fmt: skip
PUBLISHED = plain(
    90_000_039, "onco", "Stromal signals before resection of pancreatic tumours",
    [Fig("survival_plot"), Fig("heat_map volcano_plot", "AB", cite=4), Fig("histology immunohistochemistry", "AB", cite=3)],
    version=2, journal=5, date=(2025, 6, 20), pdf=True, shapes=("manuscript_and_published",), pmid=970_000_039,
)  # fmt: skip
TDM = replace(
    plain(90_000_040, "neuro", "Lesion volume in a national cohort", [Fig("mri line_plot", "AB", cite=2)], journal=1,
          date=(2023, 9, 30), manuscript=True, licence="TDM", open_access=False, outcome="gated:tdm",
          shapes=("tdm_manuscript",)),
    pictures=(),
)  # fmt: skip
RETRACTED = plain(
    90_000_041, "bone", "Osteoblast recruitment after a single dose", [Fig("bar_plot western_blot", "AB", cite=4), Fig("electron")],
    journal=0, date=(2022, 3, 15), retracted=True, outcome="retracted", shapes=("retracted",),
    front='<related-article related-article-type="retraction-forward" ext-link-type="doi" xlink:href="10.5555/bas.900041"/>',
)  # fmt: skip
OCR = Article(
    pmcid=90_000_042, topic="health", journal=8, date=(1998, 1), flavour="jats14", title="Report on the Drainage of Lower Mirren",
    doi=None, pmid=None, abstract="", references=0, historical_ocr=True, licence="CC0", licence_version="1.0", keywords="",
    body="<p>[Scanned text.] The drains of the lower town were inspected in the spring. [[review:1]]</p>".replace("[[review:1]]", ""),
    shapes=("historical_ocr", "doi_null", "pmid_null", "no_figures"), outcome="gated:historical_ocr",
)  # fmt: skip
ABSENT = plain(
    90_000_043, "cardio", "Listed by mistake", [Fig("line_plot")], journal=0, date=(2026, 8, 1), absent=True,
    outcome="absent", shapes=("listed_but_absent",),
)  # fmt: skip
NO_FIGURES = Article(
    pmcid=90_000_044, topic="health", journal=8, date=(2024, 10, 8), kind="letter", keywords="", shapes=("no_figures",),
    title="On the cost of empty beds", body="<p>To the editor.</p>[[discussion:4]]", abstract="",
)  # fmt: skip

ARTICLES = (
    RICH_FRONT, ARTICLE_SET, OAI, BOM, NOT_WELL_FORMED, LICENCE_IN_WORDS, LICENCE_MALFORMED, CC0, BY_ND, NO_LICENCE,
    MANUSCRIPT, PUBLISHED, TDM, RETRACTED, OCR, ABSENT, NO_FIGURES,
)  # fmt: skip
