# ruff: noqa: E501 - lines of XML are easier to compare with a source when they are not broken
"""Captions: what a careful reader would type; every defect known of other parsers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from biomedica_assets.jats import Article, parse_article
from biomedica_assets.jats.math import tex_source, tex_text

from .conftest import corpus_file, corpus_member, parse


def caption(inner: str, label: str = "<label>Figure 1</label>") -> dict:
    return parse(f'<fig id="F1">{label}<caption>{inner}</caption><graphic xlink:href="g"/></fig>').captions[0]


def text(inner: str) -> str | None:
    return caption(inner)["text"]


def test_title_and_paragraphs_are_joined_by_one_space() -> None:
    row = caption("<title>Effect of X.</title><p>Bars, 5 mm.</p><p>Arrows: cells.</p>")
    assert row["text"] == "Effect of X. Bars, 5 mm. Arrows: cells."
    assert row["title"] == "Effect of X."
    assert row["paragraphs"] == ["Bars, 5 mm.", "Arrows: cells."]


def test_title_of_a_pretty_printed_caption() -> None:
    row = caption("\n  <title>Effect of X.</title>\n  <p>Bars, 5 mm.</p>\n")
    assert (row["title"], row["paragraphs"]) == ("Effect of X.", ["Bars, 5 mm."])


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<p>10<sup>-5</sup> M CO<sub>2</sub></p>", "10-5 M CO2"),
        ("<p>An <italic>overview of <sub>the</sub> <bold>cell</bold></italic>.</p>", "An overview of the cell."),
        ("<p>See <xref ref-type='bibr' rid='B1'>Li <italic>et al</italic>., 2010</xref>, and</p>", "See Li et al., 2010, and"),
        ("<p>  spread \n\t over   lines </p>", "spread over lines"),
        ("<p>5\u00a0mm\u2009wide</p>", "5 mm wide"),
        ("<p>one<break/>two</p>", "one two"),
        ("<p>Site <ext-link>http://x.org</ext-link>.</p>", "Site http://x.org."),
        ("<p>A <!-- not this -->B <?nor this?>C</p>", "A B C"),
        ("<p>Items:<list><list-item><p>one</p></list-item><list-item><p>two</p></list-item></list></p>", "Items: one two"),
        ("<p>WT<def-list><def-item><term>a</term><def><p>first</p></def></def-item></def-list></p>", "WT a first"),
        ("<p>Real.</p><p><bold>DOI:</bold> <ext-link>http://dx.doi.org/10.7554/eLife.01085.003</ext-link></p>", "Real."),
        ("<p>doi:10.1371/journal.pone.0012345.g001</p>", None),
        ("<p>Real.</p><p>Data: 10.5061/dryad.x</p>", "Real. Data: 10.5061/dryad.x"),
        ("<object-id>10.1/x</object-id><p>Real.</p>", "Real."),
        ("<p>Real.</p><p><supplementary-material id='S1'><label>Figure 1—source data 1.</label><caption><title>Raw"
         "</title></caption><media xlink:href='a.xlsx'/></supplementary-material></p>", "Real."),
        ("<p>Real<fn><p>a note</p></fn> text</p>", "Real text"),
        ("<p>Word <inline-graphic xlink:href='i.gif'/> here</p>", "Word here"),
        ("<p>Real.</p><alt-text>not this</alt-text><long-desc>nor this</long-desc>", "Real."),
        ("", None),
    ],
)  # fmt: skip
def test_plain_text(inner: str, expected: str | None) -> None:
    article = parse(f'<fig id="F1"><label>Figure 1</label><caption>{inner}</caption><graphic xlink:href="g"/></fig>')
    assert (article.captions[0]["text"] if article.captions else None) == expected


MATHML = "<mml:math><mml:msubsup><mml:mi>E</mml:mi><mml:mn>86</mml:mn><mml:mtext>trained</mml:mtext></mml:msubsup></mml:math>"
TEX = r"<tex-math>\documentclass[12pt]{minimal}\begin{document}$$E_{86}^{\text {trained}}$$\end{document}</tex-math>"


@pytest.mark.parametrize("forms", [TEX + MATHML, MATHML + TEX])
def test_formula_in_several_forms_is_typed_once(forms: str) -> None:
    row = caption(
        f"<p>Score <inline-formula><alternatives>{forms}<inline-graphic xlink:href='e1.gif'/></alternatives>"
        "</inline-formula> of x.</p>"
    )
    assert row["text"] == "Score E86trained of x."
    assert row["math"] == [{"start": 6, "end": 16, "tex": r"E_{86}^{\text {trained}}"}]


def test_formula_graphics_are_no_images_of_the_figure() -> None:
    article = parse(
        '<fig id="F1"><caption><p>At <inline-formula><inline-graphic xlink:href="e1.gif"/></inline-formula> h.</p>'
        '</caption><graphic xlink:href="g1"/></fig>'
    )
    assert [i["href"] for i in article.images] == ["g1"]
    assert [(o["file_name"], o["object_class"]) for o in article.objects] == [("e1.gif", "formula")]
    assert article.captions[0]["text"] == "At h."


@pytest.mark.parametrize(
    ("mathml", "expected"),
    [
        ("<mml:mfrac><mml:mi>a</mml:mi><mml:mi>b</mml:mi></mml:mfrac>", "a/b"),
        ("<mml:mfrac><mml:mrow><mml:mi>a</mml:mi><mml:mo>+</mml:mo><mml:mn>1</mml:mn></mml:mrow><mml:mi>b</mml:mi>"
         "</mml:mfrac>", "(a+1)/b"),
        ("<mml:msup><mml:mn>10</mml:mn><mml:mrow><mml:mo>-</mml:mo><mml:mn>5</mml:mn></mml:mrow></mml:msup>", "10-5"),
        ("<mml:msqrt><mml:mi>x</mml:mi></mml:msqrt>", "√x"),
        ("<mml:mi>p</mml:mi>\n <mml:mo>&lt;</mml:mo>\n <mml:mn>0.05</mml:mn>", "p<0.05"),
        ("<mml:mfenced><mml:mi>a</mml:mi><mml:mi>b</mml:mi></mml:mfenced>", "(a,b)"),
        ("<mml:semantics><mml:mi>x</mml:mi><mml:annotation>\\TeX</mml:annotation></mml:semantics>", "x"),
        ("<mml:mi>f</mml:mi><mml:mo>\u2061</mml:mo><mml:mi>x</mml:mi>", "fx"),
    ],
)  # fmt: skip
def test_mathml(mathml: str, expected: str) -> None:
    assert text(f"<p><inline-formula><mml:math>{mathml}</mml:math></inline-formula></p>") == expected


@pytest.mark.parametrize(
    ("tex", "expected"),
    [
        (r"\alpha x \leq 5\,\mu", "αx≤5 μ"),
        (r"\frac{a}{b}", "a/b"),
        (r"{\rm{\mu }}{\rm{g}}/{\rm{mL}}", "μg/mL"),
        (r"\langle O\rangle", "⟨O⟩"),
        (r"R^{2}=0.9\%", "R2=0.9%"),
    ],
)
def test_tex(tex: str, expected: str) -> None:
    assert tex_text(tex_source(f"\\begin{{document}}${tex}$\\end{{document}}")) == expected


def test_markup_is_kept_by_offset() -> None:
    row = caption("<title>The <italic>E. coli</italic> gene</title><p>10<sup>-5</sup> <bold> A </bold></p>")
    assert row["text"] == "The E. coli gene 10-5 A"
    assert [(row["text"][s["start"] : s["end"]], s["style"]) for s in row["rich"]] == [
        ("E. coli", "italic"),
        ("-5", "sup"),
        ("A", "bold"),
    ]


def test_missing_caption_is_not_the_previous_one() -> None:
    article = parse(
        '<fig id="F1"><label>1</label><caption><p>First.</p></caption></fig><fig id="F2"><label>2</label></fig>'
    )
    assert [c["figure_id"] for c in article.captions] == ["PMC1.1/F1"]


def test_label_is_kept_apart_from_the_caption() -> None:
    article = parse('<fig id="F1"><label><bold>Figure 2.</bold></label><caption><p>Text.</p></caption></fig>')
    assert article.figures[0]["label"] == "Figure 2."
    assert article.captions[0]["text"] == "Text."


def test_text_of_statement_stands_in_for_a_missing_caption() -> None:
    """PMC5896394: <fig><label/><graphic/><statement><p>Trial flow diagram</p></statement></fig>."""
    article = parse(
        '<fig id="F1"><label>1</label><graphic xlink:href="g"/><statement><p>\nTrial flow</p></statement></fig>'
    )
    assert [c["text"] for c in article.captions] == ["Trial flow"]


def test_main_language_of_several_captions() -> None:
    article = parse(
        '<fig id="F1"><caption xml:lang="pt"><p>Idade.</p></caption><caption xml:lang="en"><p>Age.</p></caption></fig>',
        attributes='xml:lang="en"',
    )
    assert (article.captions[0]["text"], article.captions[0]["language"]) == ("Age.", "en")


def test_group_caption_and_member_captions_are_both_kept() -> None:
    article = parse(
        '<fig-group id="G1"><label>Figure 3</label><caption><p>Common <italic>words</italic>.</p></caption>'
        '<fig id="G1a"><label>a</label><caption><p>Left.</p></caption><graphic xlink:href="a"/></fig>'
        '<fig id="G1b"><label>b</label><graphic xlink:href="b"/></fig></fig-group>'
    )
    assert [(f["xml_id"], f["kind"], f["group_id"]) for f in article.figures] == [
        ("G1", "fig_group", None),
        ("G1a", "group_member", "PMC1.1/G1"),
        ("G1b", "group_member", "PMC1.1/G1"),
    ]
    assert [(c["figure_id"][7:], c["text"], c["group_caption"]) for c in article.captions] == [
        ("G1", "Common words.", None),
        ("G1a", "Left.", "Common words."),
        ("G1b", None, "Common words."),
    ]


# ---- panels ----


def panels(inner: str) -> list[tuple[str, str]]:
    row = caption(inner)
    for part in row["sub_captions"]:
        assert row["text"][part["start"] : part["end"]] == part["text"]
    return [(part["panel"], part["text"]) for part in row["sub_captions"]]


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<p>Common. (A) First one. (B) Second, as in (A).</p>", [("A", "First one."), ("B", "Second, as in (A).")]),
        ("<title>T</title><p><bold>a</bold> First. <bold>b</bold> Second.</p>", [("A", "First."), ("B", "Second.")]),
        ("<p>(<bold>A</bold>) One. (<bold>B</bold> and <bold>C</bold>) Two.</p>", [("A", "One."), ("B", "Two."), ("C", "Two.")]),
        ("<p>A, First one; B, second one.</p>", [("A", "First one"), ("B", "second one.")]),
        ("<p>Maps. A: North. B: South.</p>", [("A", "North."), ("B", "South.")]),
        ("<p>(a–c) Three views. (d) Fourth.</p>", [("A", "Three views."), ("B", "Three views."), ("C", "Three views."), ("D", "Fourth.")]),
        ("<p>Shown are (A) kinesin and (B) dynein.</p>", [("A", "kinesin"), ("B", "dynein.")]),
        ("<p><list list-type='alpha-upper'><list-item><p>First.</p></list-item><list-item><p>Second.</p></list-item></list></p>",
         [("A", "First."), ("B", "Second.")]),
        ("<p><list><list-item><label>A, B</label><p>First.</p></list-item><list-item><label>C</label><p>Last.</p></list-item></list></p>",
         [("A", "First."), ("B", "First."), ("C", "Last.")]),
        # letters behind what they mark: each closes the words since the one before
        ("<p>Levels of IL-1 (A), IL-2 (B) and IL-3 (C).</p>", [("A", "Levels of IL-1"), ("B", "IL-2"), ("C", "IL-3")]),
        ("<p>Growth. Effect of temperature (a) and pH (b) on growth.</p>", [("A", "Effect of temperature"), ("B", "pH")]),
        ("<p>We cut the skin (a). Holes were drilled (b). Bars: 5 mm.</p>", [("A", "We cut the skin"), ("B", "Holes were drilled")]),
        ("<p>Height (A, C) and weight (B, D) of mice (A, B) and rats (C, D).</p>",
         [("A", "Height"), ("C", "Height"), ("B", "weight"), ("D", "weight")]),
        ("<p>Seeds (A) and roots (B) of rice. (C) Yield in 2019.</p>", [("A", "Seeds"), ("B", "roots"), ("C", "Yield in 2019.")]),
        ("<p>Neurons (A-C). D1 is red (A), D2 is green (B), both are yellow (C).</p>",
         [("A", "D1 is red"), ("B", "D2 is green"), ("C", "both are yellow")]),
        ("<p>Blots of JNK (A), which showed a band, and of ERK (B), which showed two.</p>", []),
        # one bracket, a colon, no sign at all; a title without a stop
        ("<p>Fibre: a) dry, and b) hydrated</p>", [("A", "dry"), ("B", "hydrated")]),
        ("<p>Counts. a) All. b and c) Trees of π b) and of D c). d) Rest.</p>",
         [("A", "All."), ("B", "Trees of π b) and of D c)."), ("C", "Trees of π b) and of D c)."), ("D", "Rest.")]),
        ("<p>Sections (a: control, b: treated). Bars, 5 µm.</p>", [("A", "control"), ("B", "treated")]),
        ("<p>Maps. A: North; B: South; and C: West. *P &lt; 0.05.</p>", [("A", "North"), ("B", "South"), ("C", "West.")]),
        ("<title>Weight of mice</title><p>(A) Control. Mean of five. (B) Treated.</p>", [("A", "Control. Mean of five."), ("B", "Treated.")]),
        ("<p>Force. (A). Height, (B). weight and (C). speed.</p>", [("A", "Height"), ("B", "weight"), ("C", "speed.")]),
        ("<p>In panels A and C, LASV. In panels B and D, LCMV.</p>", [("A", "LASV."), ("C", "LASV."), ("B", "LCMV."), ("D", "LCMV.")]),
        ("<p>Cells. A, bottom) Stained. A, top) Larger. B, bottom) Not stained.</p>",
         [("A", "Stained. A, top) Larger."), ("B", "Not stained.")]),
        # nested: parts of a panel stay with it; a group gives way to its members' own sentences
        ("<p>(a) Model. (i) Cut; (ii) sewn. (b) Images.</p>", [("A", "Model. (i) Cut; (ii) sewn."), ("B", "Images.")]),
        ("<p>(A, B) Nuts. (A) Sole and (B) mixed. (C) Millet.</p>", [("A", "Sole"), ("B", "mixed."), ("C", "Millet.")]),
        ("<p>Leaves. (A–C) One day (A), two (B) and three (C). (D) Root.</p>",
         [*((p, "One day (A), two (B) and three (C).") for p in "ABC"), ("D", "Root.")]),
        # what is opened within a sentence ends with it, and what leads to a marker is not the panel's before
        ("<p>Eigenvalues (a) from KBM7 and (b) from GM06990 cells. Calls (c) for KBM7 and (d) for IMR90.</p>",
         [("A", "from KBM7"), ("B", "from GM06990 cells."), ("C", "for KBM7"), ("D", "for IMR90.")]),
        ("<p>Tests of (A) envelope and (B) onset. This extends Figure 3.</p>", [("A", "envelope"), ("B", "onset.")]),
        # matter that speaks of the whole figure
        ("<p>(A) Cells. (B) Counts. Data are means ± SD. WT, wild type; KO, knock-out.</p>", [("A", "Cells."), ("B", "Counts.")]),
        ("<p>(A) Cells. Bar, 5 µm. (B) Leaf. Bar, 9 µm.</p>", [("A", "Cells. Bar, 5 µm."), ("B", "Leaf. Bar, 9 µm.")]),
        ("<p>(A) Cells. (B) Leaf. Reproduced with permission from [4].</p>", [("A", "Cells."), ("B", "Leaf.")]),
        ("<p>(A) Cells. (B) Leaf. (C) Root. Error bars in A and C are SE.</p>", [("A", "Cells."), ("B", "Leaf."), ("C", "Root.")]),
        # places
        ("<p>Yield. Left: wet. Right: dry.</p>", [("LEFT", "wet."), ("RIGHT", "dry.")]),
        ("<p>Plates. The upper panel shows mice, whereas the lower panel shows rats.</p>",
         [("TOP", "shows mice"), ("BOTTOM", "shows rats.")]),
        ("<p>Curves of PA (left) and NA (right) by country.</p>", [("LEFT", "Curves of PA"), ("RIGHT", "NA")]),
        ("<p>Top left: six. Bottom left: eight. Right: all.</p>", [("TOP LEFT", "six."), ("BOTTOM LEFT", "eight."), ("RIGHT", "all.")]),
        ("<p>(A) Mice (left) and rats (right). (B) Fish.</p>", [("A", "Mice (left) and rats (right)."), ("B", "Fish.")]),
        ("<p>In each graph, the top panel shows power, the lower panel shows ratios.</p>", []),
        ("<p>The bottom panels show genes.</p>", []),
        # letters that are no panels
        ("<p>Nucleotides (A, T, G, C) denote variations.</p>", []),
        ("<p>A. borkumensis in water. B. subtilis in air.</p>", []),
        ("<p>A map of sites.</p>", []),
        ("<p>(B) Second without a first. (C) Third.</p>", []),
    ],
)  # fmt: skip
def test_sub_captions(inner: str, expected: list[tuple[str, str]]) -> None:
    assert panels(inner) == expected


# ---- the corpus: disagreements of other parsers, read by hand ----


def of(article: Article, xml_id: str) -> str | None:
    return next((c["text"] for c in article.captions if c["figure_id"].endswith("/" + xml_id)), None)


def test_pmc4706934_has_one_caption_only() -> None:
    article = parse_article(corpus_member("bulk/xml_more.tar.gz", "PMC4706934.xml"))
    assert of(article, "fig2") is None
    assert of(article, "fig3") is None
    assert len([f for f in article.figures if f["element"] == "fig"]) >= 3


def test_pmc7849732_two_versions_of_one_image() -> None:
    article = parse_article(corpus_file("articles/PMC7849732/PMC7849732.xml"))
    figure = next(f for f in article.figures if f["xml_id"] == "f0002")
    images = [i for i in article.images if i["figure_id"] == figure["figure_id"]]
    assert len(images) == figure["n_graphics"] == 1
    assert len(article.renditions[images[0]["image_id"]]) == 2
    assert images[0]["href"].upper().replace(".JPG", "").endswith("_OC")
    assert of(article, "f0002")


def test_pmc5050015_has_no_source_data_in_the_caption() -> None:
    article = parse_article(corpus_file("articles/PMC5050015/PMC5050015.xml"))
    assert "source data" not in (of(article, "fig1") or "")
    assert "DOI" not in (of(article, "fig1") or "")


def test_pmc3631234_keeps_words_in_nested_markup() -> None:
    article = parse_article(corpus_file("articles/PMC3631234/PMC3631234.xml"))
    assert (of(article, "pone-0062199-g003") or "").endswith("yw (A), yw>UAS-TTX (B), yw>UAS-Shi (C).")


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        ("lines (\n<italic>n</italic>\n= 13)\n, and", "lines (n = 13), and"),
        ("of <italic>Yy1</italic>\n<sup>\n<italic>LoxP/LoxP</italic>\n</sup>) and", "of Yy1LoxP/LoxP) and"),
        ("(Beta/SE)\n<sup>2</sup>\n, represents", "(Beta/SE)2, represents"),
        ("seen ( \n<bold>A</bold>\n )\n. Next", "seen (A). Next"),
        ("k\n<sub>\n  cat\n</sub>\nwas", "kcat was"),
        # written so
        ("words\non two\nlines <italic>and</italic>\nthree", "words on two lines and three"),
        ("with\n<sup>3</sup>H-thymidine", "with 3H-thymidine"),
        ("note <sup>2</sup> , then ( <bold>A</bold> )", "note 2 , then ( A )"),
        ("P <\n.05, and\n... so", "P < .05, and ... so"),
        ("cites<sup>6\n</sup>The", "cites6 The"),
    ],
)
def test_line_breaks_of_a_formatter(words: str, typed: str) -> None:
    words = words.replace("P <", "P &lt;")
    article = parse(
        f'<fig id="F1"><caption><title>T\n</title>\n<p>{words}</p>\n</caption></fig><p>{words}</p><p>{words} (see\n<xref rid="F1">1</xref>\n).</p>'
    )
    assert article.captions[0]["text"] == f"T {typed}"
    assert [p["text"] for p in article.paragraphs] == [typed, f"{typed} (see 1)."]
    assert article.mentions[0]["text"] == "1"
    for caption in article.captions:
        for span in caption["rich"]:
            assert "<" not in caption["text"][span["start"] : span["end"]].strip("<")
            assert caption["text"][span["start"] : span["end"]].strip() == caption["text"][span["start"] : span["end"]]


@given(st.lists(st.sampled_from(["(", "\n", " ", ")", "a", ",", ".", "<sup>", "<b>", "\n ", "1"]), max_size=14))
@settings(max_examples=300, deadline=None)
def test_only_white_space_goes(pieces: list[str]) -> None:
    closing = {"<sup>": "<sup>x</sup>", "<b>": "<italic>\ny</italic>"}
    words = "".join(closing.get(piece, piece) for piece in pieces)
    article = parse(f'<fig id="F1"><caption><p>q{words}</p></caption></fig><p>q{words}</p>')
    bare = "".join(etree.fromstring(f"<p>q{words}</p>").itertext())
    for text in (article.captions[0]["text"], article.paragraphs[0]["text"]):
        assert "".join(text.split()) == "".join(bare.split())
        assert text == " ".join(text.split())
    marked = sorted(article.captions[0]["text"][s["start"] : s["end"]] for s in article.captions[0]["rich"])
    assert marked == sorted("x" if piece == "<sup>" else "y" for piece in pieces if piece in closing)


def test_sub_captions_of_one_group_and_without_joining_words() -> None:
    repeated = caption("<p>Binding. (A and B) Filtration of Gic1 with GppNHp (A) and GDP (B), respectively.</p>")
    words = "Filtration of Gic1 with GppNHp (A) and GDP (B), respectively."
    assert [(s["panel"], s["text"]) for s in repeated["sub_captions"]] == [("A", words), ("B", words)]
    assert caption("<p>Differences between groups (A–C) of cells.</p>")["sub_captions"] == []
    joined = caption("<p>(A) Grain length, and (B) grain width.</p>")
    assert [(s["panel"], s["text"]) for s in joined["sub_captions"]] == [("A", "Grain length"), ("B", "grain width.")]
