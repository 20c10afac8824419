# ruff: noqa: E501 - an article reads better when each element keeps its line
"""Articles about captions and labels: glue, lists, markup, mathematics, entities, what is missing, whose figure it is."""

from __future__ import annotations

from biomedica_assets.sample.articles.parts import cite, fig, graphic, picture, research
from biomedica_assets.sample.model import Article, Figure, Mention

SMALL = (360, 270)

GLUE = Article(
    pmcid=90_000_012, topic="renal", journal=0, date=(2024, 7, 9),
    shapes=("caption_title_and_paragraphs", "caption_list", "xref_in_caption", "bold_panel_letters"),
    title="Long captions and what they hold: an imaging series",
    body=research(
        f"<p>All views are in {cite('F1', 'Figure 1')}.</p>"
        + fig(
            "F1", "Figure 1",
            "<title>Three views of one kidney</title><p>First paragraph (<bold>A</bold>, <bold>B</bold>).</p><p>Second "
            f'paragraph; compare {cite("F2", "Figure 2")} and reference <xref ref-type="bibr" rid="R2">2</xref>.</p>'
            '<list list-type="simple"><list-item><p><bold>A</bold>, cortex</p></list-item><list-item><p><bold>B</bold>, '
            "medulla</p></list-item></list>",
            graphic("bas-000012-g001.jpg"),
        )
        + fig("F2", "Figure 2", "<title/><p>Only a paragraph,<break/>on two lines.</p>", graphic("bas-000012-g002.jpg"))
    ),
    pictures=(
        picture("bas-000012-g001.jpg", "ct ct", "AB", columns=2, size=(720, 330), letter_style="inside"),
        picture("bas-000012-g002.jpg", "ultrasound"),
    ),
    figures=(
        Figure(
            "F1", "Figure 1",
            "Three views of one kidney First paragraph (A, B). Second paragraph; compare Figure 2 and reference 2. "
            "A, cortex B, medulla",
            ("bas-000012-g001.jpg",),
        ),
        Figure("F2", "Figure 2", "Only a paragraph, on two lines.", ("bas-000012-g002.jpg",)),
    ),
    mentions=(Mention("F1", text="Figure 1"), Mention("F2", text="Figure 2", near="Second paragraph; compare")),
)  # fmt: skip

MATH = Article(
    pmcid=90_000_013, topic="cardio", journal=3, date=(2022, 2, 28), flavour="jats13",
    shapes=("caption_sub_sup", "caption_math_once", "caption_tex_only", "inline_formula"),
    title="Strain, stress and the E/e<sup>′</sup> ratio",
    body=research(
        f"<p>The fit is good ({cite('F1', 'Figure 1')}; {cite('F2', 'Figure 2')}).</p>"
        + fig(
            "F1", "Figure 1",
            "<p>Flux of Ca<sup>2+</sup> at 10<sup>−5</sup> M and V<sub>max</sub> in <italic>Mus musculus</italic>.</p>",
            graphic("bas-000013-g001.jpg"),
        )
        + fig(
            "F2", "Figure 2",
            '<p>Slope <inline-formula><alternatives><tex-math id="M1">\\documentclass{minimal}\\begin{document}$$\\alpha '
            '= 2$$\\end{document}</tex-math><mml:math id="M2"><mml:mi>α</mml:mi><mml:mo>=</mml:mo><mml:mn>2</mml:mn>'
            '</mml:math><inline-graphic xlink:href="@{bas-000013-i001.gif}"/></alternatives></inline-formula> is fixed.</p>',
            graphic("bas-000013-g002.jpg"),
        )
    ),
    pictures=(
        picture("bas-000013-g001.jpg", "dose_response"), picture("bas-000013-g002.jpg", "scatter_plot"),
        picture("bas-000013-i001.gif", "chemical_structure", size=(40, 16)),
    ),
    figures=(
        Figure("F1", "Figure 1", "Flux of Ca2+ at 10−5 M and Vmax in Mus musculus.", ("bas-000013-g001.jpg",)),
        # The formula stands once. Whether spaces stand around its sign is the parser's choice: captions are compared
        # without white space for this figure (see `loose_captions` of the tests).
        Figure("F2", "Figure 2", "Slope α=2 is fixed.", ("bas-000013-g002.jpg",)),
    ),
    mentions=(Mention("F1", text="Figure 1"), Mention("F2", text="Figure 2")),
)  # fmt: skip

ENTITIES = Article(
    pmcid=90_000_014, topic="onco", journal=5, date=(2006, 8, 15), flavour="nlm30", licence_version="2.5", entities=True,
    pmid=None, shapes=("named_entities", "nlm30"),
    title="Effects of &beta;-blockade in S&oslash;berg&rsquo;s model",
    body=research(
        f"<p>Growth stopped&mdash;at last ({cite('F1', 'Figure&nbsp;1')}).</p>"
        + fig("F1", "Figure&nbsp;1", "<p>Growth at 5&thinsp;&deg;C &plusmn; 1, &alpha; &ge; &frac12;; &xi;&hellip;</p>",
              graphic("bas-000014-1.jpg"))
    ),
    pictures=(picture("bas-000014-1.jpg", "line_plot"),),
    figures=(
        Figure("F1", "Figure 1", "Growth at 5 °C ± 1, α ≥ ½; ξ…", ("bas-000014-1.jpg",)),
    ),
    mentions=(Mention("F1", near="Growth stopped—at last"),),
)  # fmt: skip

MARKUP = Article(
    pmcid=90_000_015, topic="infect", journal=1, date=(2020, 1, 7), flavour="bare",
    shapes=("no_doctype", "processing_instructions", "caption_comment_cdata", "caption_ext_link", "caption_inline_graphic"),
    title="Second-line treatment: a bundle of markup",
    body=research(
        f"<p>The time to conversion<?cloudpmc page?> was short ({cite('F1', 'Figure 1')}).</p>"
        + fig(
            "F1", "Figure 1",
            "<p>Culture<!-- a comment --> results<?processing instruction?> for <named-content content-type=\"genus\">"
            '<italic>Fictobacter</italic></named-content>; <ext-link ext-link-type="uri" xlink:href="https://data.example.org/1">'
            'see the data</ext-link>, <styled-content style="color:red">red</styled-content> bars <inline-graphic '
            'xlink:href="@{bas-000015-i001.gif}"/> and <![CDATA[R < 0.5 & rising]]>.</p>',
            graphic("bas-000015-g001.jpg"),
        )
    ),
    pictures=(
        picture("bas-000015-g001.jpg", "culture_plate"), picture("bas-000015-i001.gif", "bar_plot", size=(20, 16)),
    ),
    figures=(
        Figure(
            "F1", "Figure 1",
            "Culture results for Fictobacter; see the data, red bars and R < 0.5 & rising.", ("bas-000015-g001.jpg",),
        ),
    ),
    mentions=(Mention("F1", text="Figure 1", near="The time to conversion was short"),),
)  # fmt: skip

MISSING_PARTS = Article(
    pmcid=90_000_016, topic="bone", journal=2, date=(2015, 12), flavour="jats10", licence="CC BY-NC",
    shapes=("no_caption", "no_label", "no_graphic", "no_id", "repeated_id", "uncited_figure", "empty_caption"),
    title="Fragments: figures with missing parts",
    body=research(
        f"<p>Only one is cited ({cite('F1', 'Figure 1')}).</p>"
        + fig("F1", "Figure 1", "<p>Micro-tomogram of a vertebra.</p>", graphic("bas-000016-g001.jpg"))
        + fig("F2", "Figure 2", None, graphic("bas-000016-g002.jpg"))
        + fig("F3", None, "<p>No label here.</p>", graphic("bas-000016-g003.jpg"))
        + fig("F4", "Figure 4", "<p>No picture here.</p>")
        + fig(None, "Figure 5", "<p>No id here.</p>", graphic("bas-000016-g005.jpg"))
        + fig("F6", "Figure 6", "<p>First use of an id.</p>", graphic("bas-000016-g006.jpg"))
        + fig("F6", "Figure 7", "<p>Second use of the same id.</p>", graphic("bas-000016-g007.jpg"))
        + fig("F8", "Figure 8", "<title/><p/>", graphic("bas-000016-g008.jpg"))
    ),
    pictures=tuple(
        picture(f"bas-000016-g{n:03d}.jpg", kind, size=SMALL)
        for n, kind in ((1, "bone_xray"), (2, "bone_xray"), (3, "histology"), (5, "bar_plot"), (6, "electron"), (7, "pie_chart"), (8, "histogram"))
    ),
    figures=(
        Figure("F1", "Figure 1", "Micro-tomogram of a vertebra.", ("bas-000016-g001.jpg",)),
        Figure("F2", "Figure 2", None, ("bas-000016-g002.jpg",)),
        Figure("F3", None, "No label here.", ("bas-000016-g003.jpg",)),
        Figure("F4", "Figure 4", "No picture here.", ()),
        Figure(None, "Figure 5", "No id here.", ("bas-000016-g005.jpg",)),
        Figure("F6", "Figure 6", "First use of an id.", ("bas-000016-g006.jpg",)),
        Figure("F6", "Figure 7", "Second use of the same id.", ("bas-000016-g007.jpg",)),
        Figure("F8", "Figure 8", None, ("bas-000016-g008.jpg",)),
    ),
    mentions=(Mention("F1", text="Figure 1"),),
)  # fmt: skip

LABEL_WORDS = Article(
    pmcid=90_000_017, topic="plant", journal=10, date=(2016, 9, 21), flavour="jats11", language="es", licence="CC BY-NC-SA",
    shapes=("label_words", "label_range", "language_es"),
    title="Roya de la hoja en doce campos de ensayo",
    front='<trans-title-group xml:lang="en"><trans-title>Leaf rust on twelve trial fields</trans-title></trans-title-group>',
    body=research(
        f"<p>Véase {cite('F1', 'Figura 1')}; {cite('P1', 'Plate 1')}, {cite('C1', 'Chart 1')} y {cite('F24', 'Figures 2–4')}.</p>"
        + fig("F1", "Figura 1", '<p>Hoja con lesiones.</p>', graphic("bas-000017-gf01.jpg"))
        + fig("P1", "Plate 1", "<p>Field in June.</p>", graphic("bas-000017-p1.jpg"))
        + fig("C1", "Chart 1", "<p>Yield by site.</p>", graphic("bas-000017-c1.jpg"))
        + fig("F24", "Figures 2–4.", "<p>Sites (2), soils (3) and rain (4).</p>", graphic("bas-000017-gf02.jpg"))
    ),
    pictures=(
        picture("bas-000017-gf01.jpg", "leaf"), picture("bas-000017-p1.jpg", "landscape"),
        picture("bas-000017-c1.jpg", "bar_plot", size=SMALL), picture("bas-000017-gf02.jpg", "region_map region_map bar_plot", columns=3, size=(760, 280)),
    ),
    figures=(
        Figure("F1", "Figura 1", "Hoja con lesiones.", ("bas-000017-gf01.jpg",)),
        Figure("P1", "Plate 1", "Field in June.", ("bas-000017-p1.jpg",)),
        Figure("C1", "Chart 1", "Yield by site.", ("bas-000017-c1.jpg",)),
        Figure("F24", "Figures 2–4.", "Sites (2), soils (3) and rain (4).", ("bas-000017-gf02.jpg",)),
    ),
    mentions=(
        Mention("F1", text="Figura 1"), Mention("P1", text="Plate 1"), Mention("C1", text="Chart 1"), Mention("F24", text="Figures 2–4"),
    ),
)  # fmt: skip

PERMISSIONS = Article(
    pmcid=90_000_018, topic="neuro", journal=4, date=(2023, 10, 19), kind="review-article",
    shapes=("figure_permissions", "third_party_notice", "alt_text", "attrib"),
    title="Imaging of remyelination: a review with borrowed figures",
    body=(
        "<sec><title>Introduction</title>[[review:3]]</sec><sec><title>Images</title>"
        f"<p>Examples are in {cite('F1', 'Figure 1')}, {cite('F2', 'Figure 2')} and {cite('F3', 'Figure 3')}.</p>"
        + fig("F1", "Figure 1", "<p>Lesions over one year.</p>",
              "<alt-text>Axial slice with four bright spots</alt-text><long-desc>Four lesions near the ventricles.</long-desc>",
              graphic("bas-000018-g001.jpg"),
              '<permissions><copyright-statement>© 2011 Notional Society of Radiology</copyright-statement><license '
              'xlink:href="https://creativecommons.org/licenses/by-nc/4.0/"><license-p>CC BY-NC 4.0</license-p></license>'
              "</permissions>")
        + fig("F2", "Figure 2",
              "<p>Ratio maps. Reproduced with permission from Holmqvist et al. Copyright 2009 Fictive Press.</p>",
              graphic("bas-000018-g002.jpg"))
        + fig("F3", "Figure 3", "<p>Sketch of the cord.</p>", graphic("bas-000018-g003.png"),
              "<attrib>Drawing by J. Kovalen</attrib>")
        + "[[review:2]]</sec><sec><title>Outlook</title>[[review:2]]</sec>"
    ),
    pictures=(
        picture("bas-000018-g001.jpg", "mri"), picture("bas-000018-g002.jpg", "mri mri", columns=2, size=(700, 340)),
        picture("bas-000018-g003.png", "anatomy"),
    ),
    figures=(
        Figure("F1", "Figure 1", "Lesions over one year.", ("bas-000018-g001.jpg",)),
        Figure("F2", "Figure 2", "Ratio maps. Reproduced with permission from Holmqvist et al. Copyright 2009 Fictive Press.",
               ("bas-000018-g002.jpg",)),
        Figure("F3", "Figure 3", "Sketch of the cord.", ("bas-000018-g003.png",)),
    ),
    mentions=(Mention("F1", text="Figure 1"), Mention("F2", text="Figure 2"), Mention("F3", text="Figure 3")),
)  # fmt: skip

ARTICLES = (GLUE, MATH, ENTITIES, MARKUP, MISSING_PARTS, LABEL_WORDS, PERMISSIONS)
