# ruff: noqa: E501 - lines of XML are easier to compare with a source when they are not broken
"""Mentions: links in every form, panels, ranges, names without links, paragraphs around them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomedica_assets.jats import parse_article
from biomedica_assets.jats.labels import Label, parse_label
from biomedica_assets.jats.panels import panels_behind, panels_inside

from .conftest import corpus_member, figures, found, links, parse


def x(rid: str, text: str, kind: str = ' ref-type="fig"') -> str:
    return f'<xref{kind} rid="{rid}">{text}</xref>'


def mentioned(sentence: str, figs: str | None = None) -> list[tuple[str, str, list[str]]]:
    return links(parse(f"<p>{sentence}</p>" + (figs or figures(1, 2, 3, 4, 5, 6, 7))))


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        # panels inside the link
        (f"See {x('F2', 'Figure 2B,C')}.", [("F2", "Figure 2B,C", ["B", "C"])]),
        (f"See {x('F5', 'Fig. 5b-d')}.", [("F5", "Fig. 5b-d", ["B", "C", "D"])]),
        (f"See {x('F1', 'Fig. 1(a)')}.", [("F1", "Fig. 1(a)", ["A"])]),
        (f"See {x('F2', '2A–C and E')}.", [("F2", "2A–C and E", ["A", "B", "C", "E"])]),
        (f"See {x('F2', 'Fig. 2, A and B')}.", [("F2", "Fig. 2, A and B", ["A", "B"])]),
        (f"See {x('F1', 'Figure 1A1, B2')}.", [("F1", "Figure 1A1, B2", ["A1", "B2"])]),
        (f"See {x('F4', 'Fig. 4')} here.", [("F4", "Fig. 4", [])]),
        (f"See {x('F2', 'Fig. 2A–2C')}.", [("F2", "Fig. 2A–2C", ["A", "B", "C"])]),
        (f"({x('F2', 'Figures 2, S2')})", [("F2", "Figures 2, S2", [])]),
        (f"({x('F3', '3C and S3A')})", [("F3", "3C and S3A", ["C"])]),
        # panels behind the link
        (f"(Figure {x('F1', '1')} a).", [("F1", "1 a", ["A"])]),
        (f"({x('F3', 'Figure 3')}B-F, H). The", [("F3", "Figure 3B-F, H", ["B", "C", "D", "E", "F", "H"])]),
        (f"{x('F1', 'Fig 1')} (a and b) show", [("F1", "Fig 1 (a and b)", ["A", "B"])]),
        (f"{x('F2', 'Fig. 2')}, A and B).", [("F2", "Fig. 2, A and B", ["A", "B"])]),
        (f"in {x('F1', 'Fig 1')} panel A.", [("F1", "Fig 1 panel A", ["A"])]),
        (f"(Fig. {x('F3', '3')}a). Then", [("F3", "3a", ["A"])]),
        (f"({x('F2', 'Fig. 2A')}, B and D).", [("F2", "Fig. 2A, B and D", ["A", "B", "D"])]),
        (f"(Figure {x('F3', '3(a')}). Then", [("F3", "3(a)", ["A"])]),
        (f"(Figure {x('F3', '3')}-A; red)", [("F3", "3-A", ["A"])]),
        # words that are no panels
        (f"{x('F3', 'Figure 3')} A patient", [("F3", "Figure 3", [])]),
        (f"In {x('F1', 'Fig 1')}, a large cell", [("F1", "Fig 1", [])]),
        (f"In {x('F1', 'Fig 1')} T cells", [("F1", "Fig 1", [])]),
        (f"({x('F1', 'Fig 1')}, n = 3)", [("F1", "Fig 1", [])]),
        (f"({x('F1', 'Fig 1')}, P < 0.05)".replace("<", "&lt;", 0).replace("P < ", "P &lt; "), [("F1", "Fig 1", [])]),
        (f"({x('F2', 'Fig 2B')}, a protein)", [("F2", "Fig 2B", ["B"])]),
        (f"{x('F2', 'Fig 2')} E. coli", [("F2", "Fig 2", [])]),
        (f"{x('F2', 'Fig 2')}, C-terminal domain", [("F2", "Fig 2", [])]),
        (f"({x('F2', 'Fig 2')}, left)", [("F2", "Fig 2", [])]),
        # the next link is not swallowed
        (f"({x('F3', 'Fig. 3A')}, {x('F3', 'B')})", [("F3", "Fig. 3A", ["A"]), ("F3", "B", ["B"])]),
        (f"({x('F3', 'Fig. 3')}<sup>{x('B1', 'a', ' ref-type=' + chr(34) + 'bibr' + chr(34))}</sup>)", [("F3", "Fig. 3", [])]),
    ],
)  # fmt: skip
def test_panels(sentence: str, expected: list[tuple[str, str, list[str]]]) -> None:
    assert mentioned(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        # several ids in one link
        (f"{x('F6 F7', 'Figures 6D and 7')}", [("F6", ["D"], False), ("F7", [], False)]),
        (f"{x('F3 F5', 'Figure 3H–J &amp; 5C')}", [("F3", ["H", "I", "J"], False), ("F5", ["C"], False)]),
        (f"{x('F1 F2', 'Figure 1A,E, 2E,G')}", [("F1", ["A", "E"], False), ("F2", ["E", "G"], False)]),
        # ranges in one link
        (f"{x('F1 F2 F3 F4', 'Figs 1–4')}", [("F1", [], False), ("F2", [], True), ("F3", [], True), ("F4", [], False)]),
        (f"{x('F1 F4', 'Figs 1-4')}", [("F1", [], False), ("F4", [], False), ("F2", [], True), ("F3", [], True)]),
        (f"{x('F1', 'Figs. 1 to 3')}", [("F1", [], False), ("F2", [], True), ("F3", [], False)]),
        (f"{x('F1', 'Figs. 1 and 3')}", [("F1", [], False), ("F3", [], False)]),
        # ranges across two links
        (f"Figs {x('F1', '1')}–{x('F4', '4')} show", [("F1", [], False), ("F2", [], True), ("F3", [], True), ("F4", [], False)]),
        (f"Figs {x('F1', '1')} to {x('F3', '3')} show", [("F1", [], False), ("F2", [], True), ("F3", [], False)]),
        (f"Figs {x('F1', '1')} through {x('F3', '3')}", [("F1", [], False), ("F2", [], True), ("F3", [], False)]),
        (f"{x('F1', 'Fig. 1')}–{x('F3', 'Fig. 3')}", [("F1", [], False), ("F2", [], True), ("F3", [], False)]),
        (f"from {x('F1', 'Figure 1')} to {x('F3', 'Figure 3')}", [("F1", [], False), ("F3", [], False)]),
        (f"Figs {x('F1', '1')}, {x('F4', '4')}", [("F1", [], False), ("F4", [], False)]),
        (f"Figs {x('F4', '4')}–{x('F1', '1')}", [("F4", [], False), ("F1", [], False)]),
        # a range of panels of one figure
        (f"{x('F2', 'Fig. 2A')}–{x('F2', 'D')}", [("F2", ["A"], False), ("F2", ["B", "C"], True), ("F2", ["D"], False)]),
        # a range whose end, or whose inside, is linked in an odd way
        (f"Figs. {x('F3', '3')}–5", [("F3", [], False), ("F4", [], True), ("F5", [], False)]),
        (f"Figs. {x('F3', '3')}–{x('F4', '')}5", [("F3", [], False), ("F4", [], True)]),
        # numbers without a link behind one that has it
        (f"(Figs. {x('F1', '1')}, 2 and 3)", [("F1", [], False), ("F2", [], False), ("F3", [], False)]),
        (f"Figs. {x('F1', '1')} and 2 show", [("F1", [], False), ("F2", [], False)]),
        (f"Figs. {x('F1', '1')}, 2 and {x('F4', '4')} show", [("F1", [], False), ("F2", [], False), ("F4", [], False)]),
        (f"{x('F2', 'Figures 2C')} and 3A show", [("F2", ["C"], False), ("F3", ["A"], False)]),
        (f"{x('F2', 'Fig. 2A')}, 3B,C.", [("F2", ["A"], False), ("F3", ["B", "C"], False)]),
        (f"(Fig. {x('F1', '1')}, 2)", [("F1", [], False), ("F2", [], False)]),
        (f"Fig. {x('F1', '1')}, 2 mg", [("F1", [], False)]),
        (f"Fig. {x('F1', '1')}, 2, 3 mg", [("F1", [], False)]),
        (f"Figs. {x('F1', '1')}, 2 mg", [("F1", [], False)]),
        (f"{x('F1', 'Figure 1')}, 5 patients", [("F1", [], False)]),
        (f"{x('F1', 'Fig. 1')} and 3D models", [("F1", [], False)]),
        (f"{x('F1', 'Fig. 1')}, 2.5 mg", [("F1", [], False)]),
        (f"Figs. {x('F1', '1')}, 2 and S3)", [("F1", [], False), ("F2", [], False)]),
        (f"Figs. {x('F1', '1')} and 99.", [("F1", [], False)]),
    ],
)  # fmt: skip
def test_lists_and_ranges(sentence: str, expected: list[tuple[str, list[str], bool]]) -> None:
    article = parse(f"<p>{sentence}</p>" + figures(1, 2, 3, 4, 5, 6, 7))
    rows = [(f, panels, expanded) for f, _, panels, expanded, _ in found(article)]
    assert sorted(rows) == sorted(expected)


def test_members_of_a_range_span_its_text() -> None:
    article = parse(f"<p>In Figs {x('F1', '1')}–{x('F3', '3')} we</p>" + figures(1, 2, 3))
    assert ("F2", "1–3", [], True, "xref") in found(article)


def test_ranges_stay_within_their_series() -> None:
    figs = (
        figures(1, 2, 3)
        + '<fig id="S1"><label>Scheme 1</label></fig><fig id="S2"><label>Scheme 2</label></fig>'
        + "".join(f'<fig id="X{n}"><label>Figure S{n}</label></fig>' for n in range(5, 13))
    )
    article = parse(f"<p>{x('F1', 'Figs 1')}–{x('F3', '3')}; {x('X6', 'Figs S6')}–{x('X11', 'S11')}</p>{figs}")
    assert [m[0] for m in found(article) if m[3]] == ["F2", "X7", "X8", "X9", "X10"]
    assert not any(m[3] for m in found(parse(f"<p>{x('F1', 'Fig. 1')}–{x('S2', 'Scheme 2')}</p>{figs}")))


def test_figure_supplements() -> None:
    label = "Figure 1—figure supplement {}."
    figs = figures(1) + "".join(f'<fig id="s{n}"><label>{label.format(n)}</label></fig>' for n in range(1, 5))
    text = "Figure 1—figure supplements 1–4"
    assert sorted(found(parse(f"<p>{x('s1 s2 s3 s4', text)}</p>{figs}"))) == [
        ("s1", text, [], False, "xref"),
        ("s2", text, [], True, "xref"),
        ("s3", text, [], True, "xref"),
        ("s4", text, [], False, "xref"),
    ]
    assert mentioned(x("s2", "Figure 1—figure supplement 2A–C"), figs) == [
        ("s2", "Figure 1—figure supplement 2A–C", ["A", "B", "C"])
    ]


def test_figures_labelled_by_number_and_letter() -> None:
    """PMC4385903: the members of a group are "Figure 1a.", "Figure 1b."."""
    figs = "".join(f'<fig id="F1{c}"><label>Figure 1{c}.</label></fig>' for c in "abcd")
    assert mentioned(f"(Fig. {x('F1a', '1a')})", figs) == [("F1a", "1a", [])]
    rows = found(parse(f"<p>Figs {x('F1a', '1a')}–{x('F1d', '1d')}</p>{figs}"))
    assert [(m[0], m[3]) for m in rows] == [("F1a", False), ("F1b", True), ("F1c", True), ("F1d", False)]


@pytest.mark.parametrize(
    "kind", ["", ' ref-type="other"', ' ref-type="scheme"', ' ref-type="figure"', ' ref-type="table"', ' ref-type="bibr"']
)  # fmt: skip
def test_any_ref_type(kind: str) -> None:
    assert mentioned(x("F1", "Fig. 1", kind)) == [("F1", "Fig. 1", [])]


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        ("<p>A <italic>b <bold>{}</bold></italic> c.</p>", "p"),
        ("<p>A <sup>{}</sup></p>", "p"),
        ("<sec><title>About {}</title></sec>", "title"),
        ("<table-wrap><table><tr><td>x</td><td><bold>{}</bold></td></tr></table></table-wrap>", "table_cell"),
        ("<table-wrap><caption><p>As {}</p></caption><table/></table-wrap>", "caption"),
        ("<table-wrap><table/><table-wrap-foot><fn><p>As {}</p></fn></table-wrap-foot></table-wrap>", "footnote"),
        ("<table-wrap><table/><table-wrap-foot><attrib><italic>As {}</italic></attrib></table-wrap-foot></table-wrap>", "other"),
        ('<fig id="F9"><caption><p>As in {}.</p></caption></fig>', "caption"),
        ("<p>x<fn><p>As {}</p></fn></p>", "footnote"),
        ("<list><list-item><p>As {}</p></list-item></list>", "list_item"),
        ("<p>x<list><list-item><p>As {}</p></list-item></list></p>", "list_item"),
        ("<disp-quote><p>As {}</p></disp-quote>", "p"),
        ("<boxed-text><p>As {}</p></boxed-text>", "p"),
        ("<supplementary-material><caption><p>As {}</p></caption><media xlink:href='a.pdf'/></supplementary-material>", "caption"),
        ("<statement><p>As {}</p></statement>", "p"),
        ("<p>x <styled-content>{}</styled-content></p>", "p"),
    ],
)  # fmt: skip
def test_links_anywhere(block: str, kind: str) -> None:
    article = parse(block.format(x("F1", "Fig. 1B")) + figures(1))
    assert links(article) == [("F1", "Fig. 1B", ["B"])]
    assert article.mentions[0]["rid"] == "F1"
    paragraph = next(p for p in article.paragraphs if p["paragraph_id"] == article.mentions[0]["paragraph_id"])
    assert paragraph["kind"] == kind


def test_links_in_abstract_and_back_matter() -> None:
    article = parse(
        figures(1),
        meta=f"<abstract><p>As {x('F1', 'Fig. 1')}</p></abstract>",
        tail=f"<back><ack><title>Thanks</title><p>For {x('F1', 'Fig. 1')}</p></ack></back>",
    )
    assert [p["kind"] for p in article.paragraphs] == ["abstract", "p"]
    assert article.paragraphs[1]["section_path"] == ["Thanks"]
    assert len(article.mentions) == 2


def test_link_to_the_graphic_to_a_group_and_to_a_table_image() -> None:
    figs = (
        '<fig id="F1"><graphic id="gr" xlink:href="a"/></fig><fig-group id="G"><fig id="m"/></fig-group>'
        '<table-wrap id="T1"><label>Table 1</label><graphic xlink:href="t"/></table-wrap>'
    )
    sentence = f"{x('gr', 'Fig. 1')} {x('G', 'Fig. 2')} {x('T1', 'Table 1')}"
    assert [row[0] for row in mentioned(sentence, figs)] == ["F1", "G", "T1"]


def test_dangling_link_is_a_failure() -> None:
    article = parse(f'<p id="p1">{x("nowhere", "Fig. 9")} {x("p1", "Fig. 8")}</p>' + figures(1))
    assert article.mentions == []
    assert [(f["error"], f["object"]) for f in article.failures] == [("DanglingReference", "nowhere")]


def test_two_figures_of_one_paragraph_are_two_mentions() -> None:
    article = parse(f"<p>Both {x('F1', 'Fig. 1')} and {x('F2', 'Fig. 2')} show.</p>" + figures(1, 2))
    assert links(article) == [("F1", "Fig. 1", []), ("F2", "Fig. 2", [])]
    assert [p["text"] for p in article.paragraphs] == ["Both Fig. 1 and Fig. 2 show."]


def test_whitespace_around_links() -> None:
    article = parse(f"<p>\n  Shown\n in ({x('F1', chr(10) + '  Fig.' + chr(160) + '1A ')}\n), too.\n</p>" + figures(1))
    assert article.paragraphs[0]["text"] == "Shown in (Fig. 1A), too."
    assert links(article) == [("F1", "Fig. 1A", ["A"])]


def test_empty_link_takes_the_name_beside_it() -> None:
    assert mentioned(f"(Fig. 2a, b{x('F2', '')}, lanes 1)") == [("F2", "Fig. 2a, b", ["A", "B"])]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        # the figure's number repeated behind the link
        (f"({x('F2', 'Figures 2C')}–2E).", [("F2", "Figures 2C–2E", ["C", "D", "E"])]),
        (f"({x('F5', 'Figures 5B')}, 5C, and 5E).", [("F5", "Figures 5B, 5C, and 5E", ["B", "C", "E"])]),
        (f"({x('F6', 'Figures 6E')} and 6F show", [("F6", "Figures 6E and 6F", ["E", "F"])]),
        (f"({x('F6', 'Figures 6E')} and 6F–H)", [("F6", "Figures 6E and 6F–H", ["E", "F", "G", "H"])]),
        # a letter with a number is a panel right behind the figure's number only
        (f"({x('F2', 'Fig. 2A, P1')}; see", [("F2", "Fig. 2A, P1", ["A"])]),
        (f"({x('F2', 'Fig. 2A')}, P1; see", [("F2", "Fig. 2A", ["A"])]),
        (f"in {x('F5', 'Fig. 5')} (R4), which", [("F5", "Fig. 5", [])]),
        (f"in {x('F5', 'Fig. 5')}, R4, which", [("F5", "Fig. 5", [])]),
        (f"in {x('F6', 'Fig. 6A1, B1')}.", [("F6", "Fig. 6A1, B1", ["A1", "B1"])]),
        # roman parts of a panel
        (f"area ({x('F2', 'Figure 2a')}-iii).", [("F2", "Figure 2a", ["A"])]),
        # the next letter before a word; letters that are words or signs
        (f"Fig. {x('F1', '1e')}, f indicates", [("F1", "1e, f", ["E", "F"])]),
        (f"{x('F1', 'Fig. 1H')}, I think", [("F1", "Fig. 1H", ["H"])]),
        (f"({x('F1', 'Fig. 1O')}, P = 0.3)", [("F1", "Fig. 1O", ["O"])]),
    ],
)  # fmt: skip
def test_what_goes_on_behind_a_link(sentence: str, expected: list[tuple[str, str, list[str]]]) -> None:
    assert mentioned(sentence) == expected


def test_letters_in_links_behind_a_name() -> None:
    sentence = f"(Fig. 1 {x('F1', 'A')}, {x('F1', 'B')})."
    assert mentioned(sentence) == [("F1", "Fig. 1 A", ["A"]), ("F1", "B", ["B"])]


def test_a_link_says_whose_figure_it_is() -> None:
    cited = "<xref ref-type='bibr' rid='B1'>Kwong et al., 1998</xref>"
    assert mentioned(f"({cited}) (Fig. 4{x('F4', '')}). So") == [("F4", "Fig. 4", [])]
    assert mentioned(f"({cited}) (Fig. 4). So") == []


# ---- names without a link ----


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("as shown in Fig. 3B, C.", [("F3", "Fig. 3B, C", ["B", "C"], False)]),
        ("see Figures 2 and 3.", [("F2", "Figures 2", [], False), ("F3", "3", [], False)]),
        ("see Figs. 1–3.", [("F1", "Figs. 1", [], False), ("F2", "Figs. 1–3", [], True), ("F3", "3", [], False)]),
        ("FIGURE 4 says", [("F4", "FIGURE 4", [], False)]),
        ("as in Fig. 3 of [12]", []),
        ("as in Fig. 3 in ref. 12", []),
        ("as in Figure 3 of Smith et al.", []),
        ("as in Figure 3F of the original study", []),
        ("their Fig. 2 says", []),
        ("Supplementary Fig. 2", []),
        ("Supp. Figure 1B", []),
        ("Additional file 1: Figure 2", []),
        ("Extended Data Fig. 2", []),
        ("Fig. 2S shows", []),
        ("Fig. S2", []),
        ("Fig. 99", []),
        ("plate 4, fig. 3 in Nishikado Y. 1917", []),
        ("Figure 1—figure supplements 1 and 2", []),
        ("Figure 1 – Figure supplement 1", []),
        ("Figure 1, figure supplements 1–3", []),
        ("(Fig. 1, 2 mg)", [("F1", "Fig. 1", [], False)]),
        ("Figures 1, 2 and 3 show", [("F1", "Figures 1", [], False), ("F2", "2", [], False), ("F3", "3", [], False)]),
        ("configure 3 nodes", []),
        ("figure 3.5 is no label", []),
    ],
)  # fmt: skip
def test_names_without_a_link(sentence: str, expected: list[tuple[str, str, list[str], bool]]) -> None:
    rows = found(parse(f"<p>{sentence}</p>" + figures(1, 2, 3, 4)))
    assert [row[:4] for row in rows] == expected
    assert all(row[4] == "text" for row in rows)


def test_name_inside_a_link_is_no_second_mention() -> None:
    assert len(mentioned(f"See Fig. {x('F1', '1')} and {x('F2', 'Fig. 2')}.")) == 2


def test_ambiguous_and_own_names_are_no_mentions() -> None:
    twice = '<fig id="A"><label>Figure 1</label></fig><fig id="B"><label>Figure 1</label></fig>'
    assert found(parse(f"<p>See Figure 1.</p>{twice}")) == []
    own = '<fig id="A"><label>Figure 1</label><caption><p>Figure 1. Map.</p></caption></fig>'
    assert found(parse(own)) == []


def test_names_keep_to_their_sub_article() -> None:
    tail = (
        '<sub-article article-type="reply"><body><p>See Author response image 1 and Figure 1.</p>'
        '<fig id="R1"><label>Author response image 1.</label></fig></body></sub-article>'
    )
    article = parse("<p>See Author response image 1.</p>" + figures(1), tail=tail)
    assert [row[:2] for row in found(article)] == [("R1", "Author response image 1")]


@pytest.mark.parametrize(
    ("label", "sentence", "named"),
    [
        ("Scheme 2", "as in Scheme 2.", "Scheme 2"),
        ("Figura 1", "como na Figura 1.", "Figura 1"),
        ("Abb. 3", "siehe Abb. 3.", "Abb. 3"),
        ("Video 4.", "see Video 4.", "Video 4"),
        ("S1 Fig", "see Fig. S1.", "Fig. S1"),
        ("Figures 1–3.", "see Fig. 2.", "Fig. 2"),
    ],
)
def test_words_of_the_articles_own_labels(label: str, sentence: str, named: str) -> None:
    article = parse(f'<p>{sentence}</p><fig id="A"><label>{label}</label></fig>')
    assert links(article) == [("A", named, [])]


# ---- labels and panels ----


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Fig. 1", Label("figure", 1, 1, "")),
        ("FIGURE 12:", Label("figure", 12, 12, "")),
        ("Fig. 3 |", Label("figure", 3, 3, "")),
        ("Supplementary Figure 2", Label("figure s", 2, 2, "")),
        ("Supplementary Fig. S2", Label("figure s", 2, 2, "")),
        ("Figure S2", Label("figure s", 2, 2, "")),
        ("S2 Fig.", Label("figure s", 2, 2, "")),
        ("Figure EV3", Label("figure ev", 3, 3, "")),
        ("Figure 7-1.", Label("figure 7-", 1, 1, "")),
        ("Figures 1–3.", Label("figure", 1, 3, "")),
        ("Appendix 1—figure 2.", Label("appendix 1-figure", 2, 2, "")),
        ("Plate IV", Label("plate", 4, 4, "")),
        ("Figure", None),
        ("", None),
        (None, None),
    ],
)
def test_labels(label: str | None, expected: Label | None) -> None:
    assert parse_label(label) == expected


@given(st.text(alphabet="AaBbCcI ,–-()and1.;", max_size=25), st.integers(0, 25))
@settings(max_examples=300)
def test_panel_readers_stay_in_bounds(text: str, start: int) -> None:
    start = min(start, len(text))
    for panels in (panels_inside(text, start, len(text)), panels_behind(text, start, len(text))):
        if panels:
            assert start < panels.end <= len(text)
            assert panels.letters and len(set(panels.letters)) == len(panels.letters)
            assert all(p == p.upper() for p in panels.letters)


# ---- paragraphs ----


def test_host_paragraph_does_not_swallow_what_stands_in_it() -> None:
    article = parse(
        f"<p>Before.{figures(1)}After. <list><list-item><p>Item.</p></list-item></list>End.</p>"
        "<p>x <disp-formula><label>(1)</label><mml:math><mml:mi>y</mml:mi></mml:math></disp-formula> z</p>"
    )
    assert [(p["kind"], p["text"]) for p in article.paragraphs] == [
        ("p", "Before. After. End."),
        ("list_item", "Item."),
        ("p", "x (1) y z"),
    ]


def test_text_of_a_block_is_in_no_other() -> None:
    article = parse(
        "<p>A<disp-quote><p>B</p></disp-quote><boxed-text><p>C<table-wrap><caption><p>D</p></caption>"
        "<table><tr><td>E</td></tr></table><table-wrap-foot><p>F</p></table-wrap-foot></table-wrap></p></boxed-text></p>"
    )
    assert [p["text"] for p in article.paragraphs] == ["A", "B", "C", "F"]


def test_sections_and_citations() -> None:
    article = parse(
        '<sec sec-type="methods"><title>Methods</title><sec><label>2.1</label><title>Cells</title>'
        '<p>As before [<xref ref-type="bibr" rid="B1 B2">1, 2</xref>], and</p></sec></sec>',
        tail="<back><ref-list><ref id='B1'><mixed-citation>No paragraph.</mixed-citation></ref><ref id='B2'/></ref-list></back>",
    )
    (paragraph,) = article.paragraphs
    assert paragraph["section_path"] == ["Methods", "Cells"]
    assert paragraph["section_type"] == "methods"
    assert paragraph["citations"] == [{"start": 11, "end": 15, "rids": ["B1", "B2"]}]
    assert paragraph["text"][11:15] == "1, 2"
    assert article.article["n_references"] == 2


def test_pmc11471756_every_figure_is_mentioned() -> None:
    article = parse_article(corpus_member("bulk/oa_noncomm_xml.incr.2024-12-22.tar.gz", "PMC11471756.xml"))
    cited = {m["figure_id"] for m in article.mentions if m["kind"] == "xref"}
    assert len(cited) == 12
