# ruff: noqa: E501 - lines of XML are easier to compare with a source when they are not broken
"""Figures: every fig wherever it stands, other captioned holders, graphics and renditions, ids, own permissions."""

from __future__ import annotations

import pytest

from biomedica_assets.jats import Article, parse_article

from .conftest import corpus_file, parse

FIG = '<fig id="F1"><label>Figure 1</label><caption><p>Text.</p></caption><graphic xlink:href="g1"/></fig>'


def ids(article: Article) -> list[str]:
    return [f["figure_id"].removeprefix("PMC1.1/") for f in article.figures]


@pytest.mark.parametrize(
    ("body", "tail", "place", "kind"),
    [
        (f"<p>Before {FIG} after.</p>", "", "body", "fig"),
        (f"<sec><title>T</title>{FIG}</sec>", "", "body", "fig"),
        ("", f"<floats-group>{FIG}</floats-group>", "floats", "fig"),
        ("", f"<floats-wrap>{FIG}</floats-wrap>", "floats", "fig"),
        ("", f"<back>{FIG}</back>", "back", "fig"),
        ("", f"<back><app-group><app><title>A</title>{FIG}</app></app-group></back>", "appendix", "fig"),
        ("", f"<back><fn-group><fn><p>{FIG}</p></fn></fn-group></back>", "back", "fig"),
        (f"<boxed-text><sec>{FIG}</sec></boxed-text>", "", "body", "box"),
        (f"<p><boxed-text><p>{FIG}</p></boxed-text></p>", "", "body", "box"),
        (f"<supplementary-material><p>{FIG}</p></supplementary-material>", "", "body", "supplementary"),
        (f"<p><list><list-item><p>{FIG}</p></list-item></list></p>", "", "body", "fig"),
        (f"<table-wrap><table><tr><td>{FIG}</td></tr></table></table-wrap>", "", "body", "fig"),
        (f"<disp-quote><p>{FIG}</p></disp-quote>", "", "body", "fig"),
        (f"<p><bold>{FIG}</bold></p>", "", "body", "fig"),
        ("", f'<sub-article article-type="reply"><body>{FIG}</body></sub-article>', "sub_article", "fig"),
        ("", f'<response response-type="reply"><body><p>{FIG}</p></body></response>', "sub_article", "fig"),
        ("", f"<back><ref-list><ref><note><p>{FIG}</p></note></ref></ref-list></back>", "back", "fig"),
        ("", f"<back><bio><p>{FIG}</p></bio></back>", "back", "fig"),
        (f"<unheard-of>{FIG}</unheard-of>", "", "body", "fig"),
    ],
)
def test_fig_wherever_it_stands(body: str, tail: str, place: str, kind: str) -> None:
    article = parse(body, tail=tail)
    assert [(f["xml_id"], f["element"], f["place"], f["kind"]) for f in article.figures] == [("F1", "fig", place, kind)]
    assert [c["text"] for c in article.captions] == ["Text."]
    assert [i["href"] for i in article.images] == ["g1"]
    assert all("Text." not in p["text"] for p in article.paragraphs)


def test_fig_in_abstracts() -> None:
    article = parse(meta=f'<abstract abstract-type="graphical"><p>{FIG}</p></abstract>')
    assert [(f["kind"], f["place"]) for f in article.figures] == [("graphical_abstract", "abstract")]
    assert parse(meta=f"<abstract><p>{FIG}</p></abstract>").figures[0]["kind"] == "fig"


def test_graphical_abstract_without_fig_is_a_figure() -> None:
    """PMC4887101: the abstract itself is the captioned holder of its graphic."""
    article = parse(
        meta='<abstract abstract-type="graphical" id="Abs2"><title>Graphical abstract</title><p id="P2">'
        '<graphic xlink:href="u1.jpg"/></p></abstract><abstract><p>Words.</p></abstract>'
    )
    assert [(f["xml_id"], f["element"], f["kind"]) for f in article.figures] == [
        ("Abs2", "abstract", "graphical_abstract")
    ]
    assert article.captions[0]["text"] == "Graphical abstract"
    assert [i["href"] for i in article.images] == ["u1.jpg"]
    assert article.article["abstract"] == "Words."
    assert article.objects == []


def test_nested_figures_come_after_their_parent() -> None:
    article = parse(
        '<fig id="F1"><label>Figure 1</label><caption><p>Main.</p></caption><graphic xlink:href="a"/>'
        '<p><fig id="F1s1"><label>Figure 1—figure supplement 1.</label><caption><p>More.</p></caption>'
        '<graphic xlink:href="b"/></fig></p></fig>'
    )
    assert [(f["xml_id"], f["kind"], f["parent_id"], f["ordinal"]) for f in article.figures] == [
        ("F1", "fig", None, 0),
        ("F1s1", "nested", "PMC1.1/F1", 1),
    ]
    assert [(i["figure_id"][7:], i["href"]) for i in article.images] == [("F1", "a"), ("F1s1", "b")]


def test_fig_without_anything() -> None:
    article = parse('<fig/><fig id=""/><p>x<fig id="F1"><caption/></fig></p><fig id="F1"/>')
    assert ids(article) == ["@body.fig", "@body.fig-2", "F1", "@body.fig-3"]
    assert [f["error"] for f in article.failures] == ["DuplicateId"]
    assert article.captions == [] and article.images == []
    assert all(f["n_graphics"] == 0 and f["label"] is None for f in article.figures)


def test_ids_are_escaped() -> None:
    assert ids(parse('<fig id="a/b c@é"/><fig id="@body.fig"/>')) == ["a%2Fb%20c%40%C3%A9", "%40body.fig"]


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        # parts: one image each, in order
        ('<graphic xlink:href="gr5a"/><graphic xlink:href="gr5b"/>', [["gr5a"], ["gr5b"]]),
        ('<p><graphic xlink:href="a.jpg"/></p><media><graphic xlink:href="b.jpg"/></media>', [["a.jpg"], ["b.jpg"]]),
        ('<p><ext-link><graphic xlink:href="a.jpg"/></ext-link></p>', [["a.jpg"]]),
        # renditions: one image
        ('<graphic xlink:href="a.tif"/><graphic xlink:href="a.jpg"/>', [["a.tif", "a.jpg"]]),
        ('<graphic xlink:href="X.JPG"/><graphic xlink:href="x.gif"/>', [["X.JPG", "x.gif"]]),
        (
            '<alternatives><graphic content-type="print-only" xlink:href="f_PB"/><graphic xlink:href="f_OC"/></alternatives>',
            [["f_OC", "f_PB"]],
        ),
        (
            '<alternatives><graphic content-type="thumb" xlink:href="f.gif"/><graphic xlink:href="f.jpg"/></alternatives>',
            [["f.jpg", "f.gif"]],
        ),
        ('<graphic xlink:href="f.jpg"/><graphic specific-use="thumbnail" xlink:href="t.gif"/>', [["f.jpg", "t.gif"]]),
        ('<graphic xlink:href="f.jpg"/><graphic xlink:href="f.jpg"/>', [["f.jpg"]]),
        # PLOS: what stands behind the last dot is no extension
        (
            '<graphic xlink:href="info:doi/10.1371/journal.pone.1.g001"/><graphic xlink:href="info:doi/10.1371/journal.pone.1.g002"/>',
            [["info:doi/10.1371/journal.pone.1.g001"], ["info:doi/10.1371/journal.pone.1.g002"]],
        ),
        ('<media mimetype="image" xlink:href="a.png"/>', [["a.png"]]),
        ('<graphic xlink:href="  "/><graphic/>', []),
        # graphics in odd places, when the figure has no others
        ('<p><inline-graphic xlink:href="a.gif"/></p>', [["a.gif"]]),
        ('<caption><p>T.<graphic xlink:href="a"/></p></caption>', [["a"]]),
        ('<chem-struct-wrap><chem-struct><graphic xlink:href="a"/></chem-struct></chem-struct-wrap>', [["a"]]),
        ('<disp-formula><graphic xlink:href="a"/></disp-formula>', [["a"]]),
        ('<p><list><list-item><p><graphic xlink:href="a"/></p></list-item></list></p>', [["a"]]),
    ],
)
def test_images(inner: str, expected: list[list[str]]) -> None:
    article = parse(f'<fig id="F1">{inner}</fig>')
    assert [article.renditions[i["image_id"]] for i in article.images] == expected
    assert [i["ordinal"] for i in article.images] == list(range(1, len(expected) + 1))
    assert [i["image_id"] for i in article.images] == [f"PMC1.1/F1/{n + 1}" for n in range(len(expected))]
    assert article.figures[0]["n_graphics"] == len(expected)
    assert article.objects == []


def test_inline_graphics_beside_a_graphic_are_objects() -> None:
    article = parse('<fig id="F1"><p><inline-graphic xlink:href="a.gif"/></p><graphic xlink:href="g"/></fig>')
    assert [i["href"] for i in article.images] == ["g"]
    assert [(o["file_name"], o["object_class"]) for o in article.objects] == [("a.gif", "inline")]


def test_video_figure() -> None:
    article = parse('<fig id="V1"><label>Video 1.</label><media mimetype="video" xlink:href="v.mov"/></fig>')
    assert article.figures[0]["kind"] == "video"
    assert [(o["file_name"], o["object_class"]) for o in article.objects] == [("v.mov", "media")]


def test_table_is_a_figure_only_when_it_is_an_image() -> None:
    caption = "<label>Table 1</label><caption><p>Ages.</p></caption>"
    table = "<table><tr><td>1<inline-graphic xlink:href='s.gif'/></td></tr></table>"
    article = parse(
        f'<table-wrap id="T1">{caption}{table}</table-wrap>'
        f'<table-wrap id="T2">{caption}<graphic xlink:href="t2"/></table-wrap>'
        f'<table-wrap id="T3">{caption}<alternatives><graphic xlink:href="t3"/>{table}</alternatives></table-wrap>'
    )
    assert [(f["xml_id"], f["kind"], f["label"]) for f in article.figures] == [
        ("T2", "table", "Table 1"),
        ("T3", "table", "Table 1"),
    ]
    assert article.article["n_tables"] == 3
    assert [(o["file_name"], o["object_class"]) for o in article.objects] == [("s.gif", "table")]


@pytest.mark.parametrize(
    ("body", "kind", "caption"),
    [
        (
            '<chem-struct-wrap id="X"><label>1</label><caption><p>Acid.</p></caption><graphic xlink:href="g"/></chem-struct-wrap>',
            "chemical",
            "Acid.",
        ),
        (
            '<boxed-text id="X"><caption><title>Box</title></caption><graphic xlink:href="g"/><p>Words.</p></boxed-text>',
            "box",
            "Box",
        ),
        ('<p><graphic id="X" xlink:href="g"><caption><p>Alone.</p></caption></graphic></p>', "other", "Alone."),
        (
            '<supplementary-material id="X"><label>Figure S1</label><caption><p>Gel.</p></caption>'
            '<media mimetype="image" xlink:href="g"><caption><p>Click here for additional data file.</p></caption>'
            "</media></supplementary-material>",
            "supplementary",
            "Gel.",
        ),
        (
            '<supplementary-material id="X" xlink:href="g.tif"><label>S1</label><caption><p>Gel.</p></caption></supplementary-material>',
            "supplementary",
            "Gel.",
        ),
    ],
)
def test_other_captioned_holders(body: str, kind: str, caption: str) -> None:
    article = parse(body)
    assert [(f["xml_id"], f["kind"]) for f in article.figures] == [("X", kind)]
    assert [c["text"] for c in article.captions] == [caption]
    assert [i["href"].removesuffix(".tif") for i in article.images] == ["g"]


def test_graphics_that_are_no_figures() -> None:
    article = parse(
        '<p>A <inline-graphic xlink:href="i.gif"/> B <inline-formula><inline-graphic xlink:href="e.gif"/></inline-formula></p>'
        '<disp-formula><graphic xlink:href="d.gif"/></disp-formula><p><graphic xlink:href="loose.jpg"/></p>'
        '<supplementary-material><media xlink:href="s.pdf"/></supplementary-material>'
        '<p><media xlink:href="m.mp4"/> <inline-supplementary-material xlink:href="x.csv">file</inline-supplementary-material></p>'
    )
    assert article.figures == []
    assert {o["file_name"]: o["object_class"] for o in article.objects} == {
        "i.gif": "inline",
        "e.gif": "formula",
        "d.gif": "formula",
        "loose.jpg": "inline",
        "s.pdf": "supplement",
        "m.mp4": "media",
        "x.csv": "supplement",
    }
    assert article.paragraphs[-1]["text"] == "file"


def test_alt_text_attribution_doi_and_permissions() -> None:
    article = parse(
        '<fig id="F1"><object-id pub-id-type="doi">10.1/f1</object-id><label>1</label><caption><p>Reprinted from Li et al. '
        "with permission. Bars.</p></caption><alt-text>A cat</alt-text><long-desc>A black cat.</long-desc>"
        '<graphic xlink:href="g"/><attrib>Photo: Ann</attrib><permissions><copyright-statement>© 2010 Verso'
        '</copyright-statement><license xlink:href="http://creativecommons.org/licenses/by-nc/3.0/"><license-p>By Verso.'
        "</license-p></license></permissions></fig>"
    )
    figure = article.figures[0]
    assert figure["doi"] == "10.1/f1"
    assert (figure["alt_text"], figure["long_description"]) == ("A cat", "A black cat.")
    assert figure["attribution"] == "Photo: Ann"
    assert figure["permissions"] == "© 2010 Verso By Verso."
    assert (figure["copyright"], figure["licence_code"], figure["licence_version"]) == (
        "© 2010 Verso",
        "CC BY-NC",
        "3.0",
    )
    assert figure["third_party_notice"] == "Reprinted from Li et al. with permission. © 2010 Verso By Verso."


def test_ordinary_captions_have_no_third_party_notice() -> None:
    article = parse('<fig id="F1"><caption><p>Cells were modified by heat. Data adapted to light.</p></caption></fig>')
    assert article.figures[0]["third_party_notice"] is None


@pytest.mark.parametrize(
    ("words", "is_notice"),
    [
        ("Stained (taken from Tosi et al., 2009).", True),
        ("Taken from He et al. (2013).", True),
        ("Pictures A–D taken from Van Rensburg et al. (2006).", True),
        ("Boundaries are taken from ref. 15.", True),
        ("Adaptado de Perkovic e Rodgers.18", True),
        ("Source: WHO.", True),
        ("Image analysis taken from the marked cross symbol spots", False),
        ("Images taken from 50, 20 and 5 nm with SAED", False),
        ("Images obtained from WT mice", False),
        ("Source: the authors", False),
        ("Fuente: los autores.", False),
    ],
)
def test_third_party_notice(words: str, is_notice: bool) -> None:
    notice = parse(f'<fig id="F1"><caption><p>{words}</p></caption></fig>').figures[0]["third_party_notice"]
    assert notice == (words if is_notice else None)


def test_legend_in_an_attrib_is_caption() -> None:
    article = parse(
        '<fig id="F1"><caption><p>Network.</p></caption><graphic xlink:href="g"/>'
        "<attrib><bold>Notes:</bold> (A) All. (B) Part.</attrib><attrib>Courtesy of X.</attrib></fig>"
        '<fig id="F2"><graphic xlink:href="h"/><attrib>Abbreviations: PPI, protein–protein.</attrib></fig>'
    )
    assert [c["text"] for c in article.captions] == [
        "Network. Notes: (A) All. (B) Part.",
        "Abbreviations: PPI, protein–protein.",
    ]
    assert article.captions[0]["paragraphs"] == ["Network.", "Notes: (A) All. (B) Part."]
    assert [f["attribution"] for f in article.figures] == ["Courtesy of X.", None]


def test_section_of_a_figure() -> None:
    article = parse(f"<sec><title>Methods</title><sec><title>The <italic>gel</italic></title>{FIG}</sec></sec>")
    assert article.figures[0]["section_path"] == ["Methods", "The gel"]


def test_sub_article_type() -> None:
    tail = f'<sub-article article-type="reply"><front-stub><title-group><article-title>R</article-title></title-group></front-stub><body>{FIG}</body></sub-article>'
    assert parse(tail=tail).figures[0]["sub_article"] == "reply"


def test_pmc2958805_has_four_figures_among_292_graphics() -> None:
    article = parse_article(corpus_file("articles/PMC2958805/pcbi.1000960.nxml"))
    assert len([f for f in article.figures if f["element"] == "fig"]) == 4
    formulas = [o for o in article.objects if o["object_class"] == "formula"]
    assert len(formulas) > 200
