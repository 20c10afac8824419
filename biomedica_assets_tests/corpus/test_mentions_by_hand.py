"""Mentions of real articles, worked out by reading their XML: figure, words, panels, ranges.

Each row stands for one form of writing; the form is in the comment, as the XML has it.
"""

from __future__ import annotations

import pytest

from biomedica_assets.jats import Article

# article, id of the figure, words, panels, stands inside a written range, kind
EXPECTED = [
    # <xref rid="fig1">Figure 1B</xref> and its kin: letters inside the link
    ("PMC3597511", "pgen-1003362-g001", "Figure 1B", "B", False, "xref"),
    ("PMC3840788", "fig2", "Figure 2A,B", "A B", False, "xref"),
    ("PMC3840788", "fig2", "Figure 2D–I", "D E F G H I", False, "xref"),
    ("PMC6031371", "F2", "Fig. 2, E and F", "E F", False, "xref"),
    ("PMC3431597", "F2", "2A,G,I,K,M", "A G I K M", False, "xref"),
    ("PMC2946600", "fig5", "Figure 5(a)", "A", False, "xref"),
    ("PMC7849732", "f0005", "Figure 5(a,b)", "A B", False, "xref"),
    ("PMC6379088", "fig2", "Figure 2-B", "B", False, "xref"),
    ("PMC5287385", "F1-ad-8-1-17", "Fig. 1 B", "B", False, "xref"),
    ("PMC10335194", "fig2", "Fig. 2C/D", "C D", False, "xref"),
    ("PMC13243723", "glia70180-fig-0002", "2K′", "K", False, "xref"),
    ("PMC11456550", "Fig3", "3a2", "A2", False, "xref"),
    ("PMC4383033", "fig1s2", "Figure 1–figure supplement 2 panels B", "B", False, "xref"),
    # Figures whose name is not a plain number
    ("PMC6123649", "embr201745619-fig-0004ev", "EV4C", "C", False, "xref"),
    ("PMC5096720", "ppat.1005952.s001", "S1A Fig", "A", False, "xref"),
    ("PMC10862830", "F8", "Figure 1-2C", "C", False, "xref"),
    ("PMC4109478", "F5", "Figs 16–17", "", False, "xref"),  # the label is "Figures 16–22."
    ("PMC3840788", "fig24", "Author response image 3A", "A", False, "xref"),
    # Nothing but a letter in the link: Fig. <xref>3</xref><xref>a</xref>, Fig. 1 <xref>A</xref>
    ("PMC4839147", "Fig3", "a", "A", False, "xref"),
    ("PMC7907964", "f3-br-0-0-01412", "D", "D", False, "xref"),
    ("PMC3385242", "F1", "Fig. 1 A", "A", False, "xref"),
    # Letters behind the link
    ("PMC6282583", "cmdc201800446-fig-0001", "1 a", "A", False, "xref"),  # (Figure <xref>1</xref> a).
    ("PMC7055569", "advs1498-fig-0006", "6 a,b", "A B", False, "xref"),
    ("PMC5552061", "fig2", "Figures 2C–2E", "C D E", False, "xref"),  # <xref>Figures 2C</xref>–2E
    ("PMC5552061", "fig3", "Figures 3H and 3I", "H I", False, "xref"),
    ("PMC11617464", "fig6", "Figures 6E and 6F", "E F", False, "xref"),
    # Ordinary words and numbers behind the link are no panels
    ("PMC3191386", "fig2", "figure 2", "", False, "xref"),  # figure 2 and a tempogram
    ("PMC6341727", "Fig3", "3a", "A", False, "xref"),  # (Fig. 3a, P < 0.01)
    ("PMC4622537", "f0002", "Figure 2D", "D", False, "xref"),  # Figure 2D, 2 peptides
    ("PMC10200000", "Fig2", "2b", "B", False, "xref"),  # (Figs. 2b and S2)
    ("PMC6153652", "Fig3", "3", "", False, "xref"),  # (Figs. 2, <xref>3</xref>, S4): S4 is a supplementary figure
    ("PMC5396313", "mc22591-fig-0002", "2A", "A", False, "xref"),  # <xref>2</xref>A and S6
    # Several figures in one link: each has its own panels
    ("PMC3840788", "fig6", "Figures 6D and 7", "D", False, "xref"),
    ("PMC3840788", "fig7", "Figures 6D and 7", "", False, "xref"),
    ("PMC3840788", "fig18", "Figures 3, 6 and 18G–H", "G H", False, "xref"),
    ("PMC4383033", "fig2", "Figure 1A,E, 2E,G", "E G", False, "xref"),
    ("PMC4383033", "fig5", "Figure 3H–J & 5C", "C", False, "xref"),
    # Ranges within a link
    ("PMC3840788", "video2", "Videos 1–4", "", True, "xref"),
    ("PMC3840788", "video4", "Videos 1–4", "", False, "xref"),
    ("PMC4031984", "fig4s9", "Figure 4—figure supplements 1–10", "", True, "xref"),
    # Ranges over two links
    ("PMC4304183", "Fig2", "1–4", "", True, "xref"),
    ("PMC5750398", "fig3", "Fig. 1 to 4", "", True, "xref"),
    ("PMC6611665", "pone.0219434.s005", "S4–S7", "", True, "xref"),
    ("PMC10862830", "F11", "Figure 3-(1–3", "", True, "xref"),
    ("PMC6135896", "pcy091-F7", "Figs.\ufffd6–8", "", True, "xref"),  # the file holds the replacement character
    ("PMC7935333", "f0002", "Figure 2A–D", "B C", True, "xref"),
    ("PMC4738724", "fig2", "2(a)–2(c)", "B", True, "xref"),
    ("PMC11642743", "F5", "5 D–F", "E", True, "xref"),
    # A link without words: (Fig. 1a<xref rid="f1"/>); Figs. 1</xref><xref rid="f2"/>–<xref>3</xref>
    ("PMC2885006", "f1", "Fig. 1a", "A", False, "xref"),
    ("PMC2885006", "f2", "Fig. 2a, b", "A B", False, "xref"),
    ("PMC6283022", "f2-bmb-51-578", "Figs. 1–3", "", True, "xref"),
    # Named in words, without a link
    ("PMC5674245", "F0005", "Figure 5A–E", "A B C D E", False, "text"),
    ("PMC5697668", "mpp12564-fig-0003", "Figures 2–5", "", True, "text"),
    ("PMC3848065", "F9", "Fig. 9C", "C", False, "text"),
    ("PMC3430997", "F5", "Fig. 5A", "A", False, "text"),
]


@pytest.mark.parametrize(("article", "figure", "words", "panels", "expanded", "kind"), EXPECTED)
def test_mention(
    by_name: dict[str, Article], article: str, figure: str, words: str, panels: str, expanded: bool, kind: str
) -> None:
    found = by_name[article]
    ids = {f["figure_id"] for f in found.figures if f.get("xml_id") == figure}
    mentions = {
        (m["text"], tuple(m["panels"]), m["expanded"], m["kind"]) for m in found.mentions if m["figure_id"] in ids
    }
    assert (words, tuple(panels.split()), expanded, kind) in mentions


# Words that name a figure of something else: another work's plate, a supplement, another article.
NOT_OURS = [
    ("PMC5973687", "f0001", "Figure 1A"),  # (Supp. Figure 1A)
    ("PMC4749757", "fig1-1352458515581436", "Figure 1"),  # Electronic Supplementary Materials, Figure 1
    ("PMC11634928", "Fig2", "Fig. 2S"),
    ("PMC6031069", "fig25", "fig. 25"),  # tab. 2, fig. 25. 1839.
    ("PMC6031069", "fig4", "fig. 3–8"),  # plate 4, fig. 3–8 in Nishikado
]


@pytest.mark.parametrize(("article", "figure", "words"), NOT_OURS)
def test_no_mention(by_name: dict[str, Article], article: str, figure: str, words: str) -> None:
    found = by_name[article]
    assert (f"{found.article_id}/{figure}", words, "text") not in {
        (m["figure_id"], m["text"], m["kind"]) for m in found.mentions
    }


def test_both_ends_of_a_range_and_what_lies_between(by_name: dict[str, Article]) -> None:
    # PMC11461605 p: "Figs. <xref>5</xref>–<xref>6</xref>": nothing lies between, both stand there.
    found = by_name["PMC11461605"]
    texts = {p["paragraph_id"]: p["text"] for p in found.paragraphs}
    ends = [
        m["figure_id"].rpartition("/")[2]
        for m in found.mentions
        if "Figs. 5–6" in texts[m["paragraph_id"]][m["start"] - 8 : m["end"] + 8] and m["text"] in "56"
    ]
    assert ends == ["Fig5", "Fig6"]
