"""Running text: an element's content as plain text, with links, marked-up stretches and formulas by offset.

What does not belong here: which elements are paragraphs, captions or figures (`walk.py`, `figures.py`), and what
links mean (`mentions.py`).

Rules of plain text: every run of white space, no-break and thin spaces included, is one ordinary space, as one would
type it; in-line markup leaves its characters ("10<sup>-5</sup>" is "10-5") and adds no space; blocks are separated by
one; formulas are written once (`math.py`); every other character stays as the source has it. Offsets count code
points of the final text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import accumulate

from lxml import etree

from biomedica_assets.jats.document import MATHML, Element, href_of
from biomedica_assets.jats.math import mathml_text, tex_source, tex_text

BLOCK_BREAK = "\u2029"
"""Stands between blocks in raw text (paragraph separator): white space, so that it ends up as one space."""


Link = tuple[int, int, str, str | None]
"""One ``xref``: start and end offset, ``rid`` and ``ref-type`` as written. (Plain tuples: there are very many.)"""

Span = tuple[int, int, str]
"""A marked-up stretch: start and end offset, style (italic, bold, sup, sub, sc, underline ...)."""

Formula = tuple[int, int, str | None]
"""A formula: start and end offset, and its TeX source when the file has it."""


class Inline:
    """Collects the content of one block. Positions are indices into ``parts`` until `finish` turns them to offsets.

    ``nested`` holds the blocks found inside, to be handled after this one; their text is not part of this one's.
    With ``flat``, nested paragraphs and lists belong to the text (captions, table cells, titles); with ``styled``,
    marked-up stretches and formulas are recorded.
    """

    __slots__ = ("actions", "formulas", "links", "nested", "objects", "parts", "spans", "text")

    def __init__(self, objects: list[tuple[str, str]], flat: bool = False, styled: bool = False) -> None:
        self.actions = _FLAT_STYLED if styled else _FLAT if flat else _FLOW
        self.objects = objects  # (href, class) of the graphics met, shared by the whole article
        self.parts: list[str] = []
        self.links: list[Link] = []
        self.spans: list[Span] = []
        self.formulas: list[Formula] = []
        self.nested: list[Element] = []
        self.text = ""

    def render(self, element: Element) -> None:
        """Add the content of an element (without its tail)."""
        parts, actions = self.parts, self.actions
        text = element.text
        if text:
            parts.append(text)
        for child in element:
            action = actions.get(child.tag)
            if action is not None:
                action(self, child)
            elif len(child):
                self.render(child)
            else:
                text = child.text
                if text:
                    parts.append(text)
            text = child.tail
            if text:
                parts.append(text)

    def add(self, child: Element) -> None:
        """Add a child element as `render` would, without its tail."""
        action = self.actions.get(child.tag)
        if action is not None:
            action(self, child)
        else:
            self.render(child)

    def finish(self, text: str | None = None) -> str:
        """Set and return the final text; links, spans and formulas get their offsets in it.

        ``text``: the final text, where the caller has put it together from `blocks` already.
        """
        parts = self.parts
        if text is None:
            text = "".join(parts)
            if "\n" in text and self.join_broken(text):
                text = "".join(parts)
            text = collapse(text)
        self.text = text
        if self.links or self.spans or self.formulas:
            starts = [0, *accumulate(map(len, parts))]
            if starts[-1] - (parts[-1] == BLOCK_BREAK) != len(text):
                starts = _collapsed_starts(parts)
            if self.links:
                self.links = [(*_place(text, starts[a], starts[b]), rid, kind) for a, b, rid, kind in self.links]
            if self.spans:
                placed = [(*_place(text, starts[a], starts[b]), style) for a, b, style in self.spans]
                self.spans = sorted(span for span in placed if span[0] < span[1])
            if self.formulas:
                self.formulas = [(*_place(text, starts[a], starts[b]), tex) for a, b, tex in self.formulas]
        return text

    def join_broken(self, raw: str) -> bool:
        """Take out line breaks that only a formatter puts: "(\\n<italic>n</italic>\\n= 13)", "</sup>\\n, and".

        Nobody types white space inside brackets or before punctuation, so that this touches no other text.
        ``raw``: the parts, joined. True when something was taken out.
        """
        breaks = [match.span() for match in _BROKEN.finditer(raw)]
        if breaks:
            parts, start, position = self.parts, 0, 0
            for i, part in enumerate(parts):
                end = start + len(part)
                while position < len(breaks) and breaks[position][0] < end:
                    first, last = max(breaks[position][0], start) - end, min(breaks[position][1], end) - end
                    # Offsets from the end stay right when something before them is taken out.
                    parts[i] = parts[i][:first] + (parts[i][last:] if last else "")
                    if breaks[position][1] > end:
                        break
                    position += 1
                start = end
        return bool(breaks)

    def blocks(self, first: int = 0, last: int | None = None) -> list[str]:
        """The texts of the blocks between two part positions, empty ones left out."""
        pieces = "".join(self.parts[first:last]).split(BLOCK_BREAK)
        return [piece for piece in map(collapse, pieces) if piece]

    def mark(self) -> tuple[int, int, int, int]:
        """Where collecting stands; `reset` goes back to it."""
        return len(self.parts), len(self.links), len(self.spans), len(self.formulas)

    def reset(self, mark: tuple[int, int, int, int]) -> None:
        """Forget what was added since the mark (nested blocks and objects stay known)."""
        del self.parts[mark[0] :], self.links[mark[1] :], self.spans[mark[2] :], self.formulas[mark[3] :]


_BROKEN = re.compile(r"(?<=[(\[])[ \t\r]*\n[ \t\r\n]*|(?<![ \t\r\n])[ \t\r]*\n[ \t\r\n]*(?=[,;:)\]]|\.(?![\d.]))")


def collapse(raw: str) -> str:
    """Every run of white space as one ordinary space, none at the ends.

    Most text has no white space but single spaces, and to see that costs a fraction of splitting and joining
    (beyond ASCII, ``isprintable`` is false for every white-space character other than the ordinary space).
    """
    if "  " in raw or ("\n" in raw or "\t" in raw or "\r" in raw if raw.isascii() else not raw.isprintable()):
        return " ".join(raw.split())
    return raw.strip()


def _collapsed_starts(parts: list[str]) -> list[int]:
    """Offset of each part, and of the end, in the text whose white space is collapsed."""
    starts: list[int] = []
    length, spaced = 0, True  # spaced: a space now would be the second one, or the first of the text
    for part in parts:
        starts.append(length)
        core = len(" ".join(part.split()))
        if core:
            if core == len(part):
                length += core
                spaced = False
                continue
            if not spaced and part[0].isspace():
                length += 1
            spaced = part[-1].isspace()
            length += core + spaced
        elif part and not spaced:
            length += 1
            spaced = True
    starts.append(length)
    return starts


def _place(text: str, start: int, end: int) -> tuple[int, int]:
    """Offsets without the white space at both ends, which collapsing may have moved beyond the text's end."""
    if end > len(text) or start >= end or text[start] == " " or text[end - 1] == " ":
        end = min(end, len(text))
        start = min(start, end)
        while start < end and text[start] == " ":
            start += 1
        while end > start and text[end - 1] == " ":
            end -= 1
    return start, end


# ---- what to do with each element ------------------------------------------------------------------------------

Action = Callable[[Inline, Element], None]


def _skip(out: Inline, element: Element) -> None:
    """Not part of the text."""


def _nest(out: Inline, element: Element) -> None:
    """A block of its own: handled later, and the text goes on around it."""
    out.nested.append(element)
    following = (element.tail or "").lstrip()
    out.parts.append("" if following[:1] in tuple(",.;:)]") else " ")


def _set_apart(out: Inline, element: Element) -> None:
    """A block inside a flat text: one space before and behind."""
    parts = out.parts
    if parts and parts[-1] != BLOCK_BREAK:
        parts.append(BLOCK_BREAK)
    out.render(element)
    parts.append(BLOCK_BREAK)


def _spaced(out: Inline, element: Element) -> None:
    """A piece of a block (label, term): one space before and behind."""
    out.parts.append(" ")
    out.render(element)
    out.parts.append(" ")


def _space(out: Inline, element: Element) -> None:
    out.parts.append(" ")


def _xref(out: Inline, element: Element) -> None:
    parts = out.parts
    start = len(parts)
    if len(element):
        out.render(element)
    else:
        text = element.text
        if text:
            parts.append(text)
    rid = element.get("rid")
    if rid:
        out.links.append((start, len(parts), rid, element.get("ref-type")))


def _math(out: Inline, element: Element) -> None:
    _add_formula(out, mathml_text(element), None)


def _tex(out: Inline, element: Element) -> None:
    source = tex_source("".join(element.itertext()))
    _add_formula(out, tex_text(source), source)


def _add_formula(out: Inline, text: str, tex: str | None) -> None:
    start = len(out.parts)
    out.parts.append(text)
    out.formulas.append((start, len(out.parts), tex))


def _formula(out: Inline, element: Element) -> None:
    """inline-formula: its forms (TeX, MathML, picture, words) are one formula, written once."""
    for graphic in element.iter("graphic", "inline-graphic"):
        _object(out, graphic, "formula")
    tex = next(element.iter("tex-math"), None)
    math = next(element.iter(MATHML + "math", "math"), None)
    chosen = math if math is not None else tex if tex is not None else next(element.iter("textual-form"), None)
    before = len(out.formulas)
    _around(out, element, chosen)
    if math is not None and tex is not None and len(out.formulas) > before:
        start, end, _ = out.formulas[-1]
        out.formulas[-1] = (start, end, tex_source("".join(tex.itertext())))


def _around(out: Inline, element: Element, chosen: Element | None) -> None:
    """Text of a formula element: the chosen form once, and what stands beside its forms (label, punctuation)."""
    if element.text and element.text.strip():
        out.parts.append(element.text)
    for child in element:
        if child is chosen:
            out.add(child)
        elif child.tag == "label":
            _spaced(out, child)
        elif chosen is not None and any(form is chosen for form in child.iter(chosen.tag)):
            _around(out, child, chosen)
        elif child.tag not in _FORMS:
            out.add(child)
        if child.tail and child.tail.strip():
            out.parts.append(child.tail)


def _display_formula(out: Inline, element: Element) -> None:
    out.parts.append(" ")
    _formula(out, element)
    out.parts.append(" ")


def _formula_group(out: Inline, element: Element) -> None:
    for child in element:
        if child.tag == "disp-formula":
            _display_formula(out, child)
        elif child.tag not in ("caption", "label"):
            out.add(child)


def _inline_graphic(out: Inline, element: Element) -> None:
    _object(out, element, "inline")


def _media(out: Inline, element: Element) -> None:
    _object(out, element, "media")


def _supplement_link(out: Inline, element: Element) -> None:
    _object(out, element, "supplement")
    out.render(element)


def _object(out: Inline, element: Element, object_class: str) -> None:
    href = href_of(element)
    if href:
        out.objects.append((href, object_class))


def _alternatives(out: Inline, element: Element) -> None:
    """One thing in several forms: the first form that has text; graphics only recorded."""
    done = False
    for child in element:
        if child.tag in ("graphic", "inline-graphic"):
            _object(out, child, "inline")
        elif not done and child.tag not in ("media",):
            before = len(out.parts)
            out.add(child)
            done = len(out.parts) > before


def _script(out: Inline, element: Element) -> None:
    """A sub- or superscript: a line break before it, or at its edges, is a formatter's.

    Unless letters follow it at once: "with\\n<sup>3</sup>H-thymidine".
    """
    parts = out.parts
    start = len(parts)
    if len(element):
        out.render(element)
    elif element.text:
        parts.append(element.text)
    letters_follow = (element.tail or "")[:1].isalnum()
    if start and not letters_follow and parts[start - 1][-1:].isspace():
        before = parts[start - 1]
        words = before.rstrip(" \t\r\n")
        if "\n" in before[len(words) :]:
            parts[start - 1] = words
    if start < len(parts):
        if "\n" in parts[start]:
            parts[start] = _stripped(parts[start], parts[start].lstrip(" \t\r\n"))
        if "\n" in parts[-1] and not letters_follow:
            parts[-1] = _stripped(parts[-1], parts[-1].rstrip(" \t\r\n"))


def _stripped(part: str, stripped: str) -> str:
    """A part without its edge, if a line break was in that."""
    return stripped if part.count("\n") > stripped.count("\n") else part


def _styled_script(style: str) -> Action:
    def action(out: Inline, element: Element) -> None:
        start = len(out.parts)
        _script(out, element)
        out.spans.append((start, len(out.parts), style))

    return action


def _styled(style: str) -> Action:
    def action(out: Inline, element: Element) -> None:
        start = len(out.parts)
        if len(element):
            out.render(element)
        elif element.text:
            out.parts.append(element.text)
        out.spans.append((start, len(out.parts), style))

    return action


_FORMS = frozenset(("tex-math", MATHML + "math", "math", "graphic", "inline-graphic", "alternatives", "textual-form"))
_COMMON: dict[object, Action] = {
    etree.Comment: _skip,
    etree.ProcessingInstruction: _skip,
    "xref": _xref,
    "sup": _script,
    "sub": _script,
    "break": _space,
    "hr": _space,
    "index-term": _skip,
    "object-id": _skip,
    "alt-text": _skip,
    "long-desc": _skip,
    "permissions": _skip,
    MATHML + "math": _math,
    "math": _math,
    "tex-math": _tex,
    "inline-formula": _formula,
    "chem-struct": _formula,
    "disp-formula": _display_formula,
    "disp-formula-group": _formula_group,
    "alternatives": _alternatives,
    "inline-graphic": _inline_graphic,
    "inline-supplementary-material": _supplement_link,
    "inline-media": _media,
    "processing-meta": _skip,
}
_OWN_BLOCKS = (
    "fig",
    "fig-group",
    "table-wrap",
    "table-wrap-group",
    "supplementary-material",
    "chem-struct-wrap",
    "boxed-text",
    "graphic",
    "media",
    "fn",
    "fn-group",
    "array",
    "table",
)
_TEXT_BLOCKS = (
    "p",
    "list",
    "def-list",
    "disp-quote",
    "verse-group",
    "speech",
    "statement",
    "preformat",
    "code",
    "sec",
    "explanation",
    "question-wrap",
    "question",
    "answer",
)
_FLOW: dict[object, Action] = _COMMON | dict.fromkeys(_OWN_BLOCKS + _TEXT_BLOCKS, _nest)
_FLAT: dict[object, Action] = (
    _COMMON
    | dict.fromkeys(_OWN_BLOCKS, _nest)
    | dict.fromkeys(
        (*_TEXT_BLOCKS, "list-item", "def-item", "title", "verse-line", "disp-formula", "sig-block"), _set_apart
    )
    | dict.fromkeys(("label", "term", "def", "speaker", "subtitle", "tr", "td", "th"), _spaced)
    | {"disp-formula": _display_formula}
)
_STYLES = {
    "italic": "italic",
    "bold": "bold",
    "sup": "sup",
    "sub": "sub",
    "sc": "sc",
    "underline": "underline",
    "monospace": "monospace",
    "overline": "overline",
    "strike": "strike",
    "roman": "roman",
    "sans-serif": "sans-serif",
}
_FLAT_STYLED: dict[object, Action] = _FLAT | {
    tag: _styled_script(style) if style in ("sup", "sub") else _styled(style) for tag, style in _STYLES.items()
}


_NOTES = frozenset(("fn", "author-notes", "corresp", "aff"))


def _title_xref(out: Inline, element: Element) -> None:
    """A mark that leads to a footnote is no part of a title."""
    if element.get("ref-type") not in _NOTES:
        _xref(out, element)
    else:
        for graphic in element.iter("inline-graphic"):
            _inline_graphic(out, graphic)


_TITLE: dict[object, Action] = _FLAT | {"xref": _title_xref}


def title_text(element: Element, objects: list[tuple[str, str]]) -> str | None:
    """Plain text of an article's title, without footnote marks; null when it has none."""
    out = Inline(objects, flat=True)
    out.actions = _TITLE
    out.render(element)
    return out.finish() or None


def plain(element: Element, objects: list[tuple[str, str]] | None = None) -> str | None:
    """Plain text of an element such as a title or a label; null when it has none."""
    if not len(element):
        text = element.text
        return " ".join(text.split()) or None if text else None
    out = Inline([] if objects is None else objects, flat=True)
    out.render(element)
    return out.finish() or None
