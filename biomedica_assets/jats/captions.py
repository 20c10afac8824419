"""Captions: title and paragraphs as plain text, markup and formulas by offset, the text of each lettered panel.

What does not belong here: plain-text rules (`text.py`), the figures that captions belong to (`figures.py`).

``text`` is title and paragraphs joined by one space. It leaves out the label, object ids, "DOI: ..." boilerplate,
footnotes, permissions, and blocks that stand in the caption element without being caption: supplementary files,
source data, nested figures.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from biomedica_assets.jats.document import XML_LANG, Element
from biomedica_assets.jats.text import Inline, Span
from biomedica_assets.schemas import Row

if TYPE_CHECKING:
    from biomedica_assets.jats.walk import Walk

_BOILERPLATE = re.compile(
    r"(?:DOI\s*:?\s*)?(?:https?://(?:dx\.)?doi\.org/)?(?:doi\s*:\s*)?10\.\d{4,9}/\S+"
    r"|Click here (?:for additional data file|to view)\.?(?:\s*\([^)]*\))?",
    re.IGNORECASE,
)


def add_caption(
    walk: Walk, figure_id: str, captions: list[Element], legends: list[Element], group_text: str | None
) -> list[Element]:
    """Add the caption row of a figure, when it or its group has a caption; return the blocks nested in it."""
    chosen = _main_language(captions, walk.language)
    out = Inline(walk.objects, flat=True, styled=True)
    title_end = 0
    for caption in chosen:
        title_end = _render(out, caption, title_end)
    for legend in legends:
        out.add(legend)
    title, paragraphs = out.blocks(0, title_end), out.blocks(title_end)
    text = out.finish(" ".join([*title, *paragraphs])) or None
    if text or group_text:
        row: Row = {
            "article_id": walk.article_id,
            "figure_id": figure_id,
            "title": " ".join(title) or None,
            "paragraphs": paragraphs,
            "text": text,
            "group_caption": group_text,
            "language": next((lang for lang in map(_language, chosen) if lang), None),
            "rich": [{"start": a, "end": b, "style": style} for a, b, style in out.spans],
            "math": [{"start": a, "end": b, "tex": tex} for a, b, tex in out.formulas],
            "sub_captions": sub_captions(text, out.spans, _lettered_items(chosen, text)) if text else [],
        }
        walk.captions.append(row)
        if text:
            walk.caption_block(text, out.links, figure_id)
    return [block for block in out.nested if block.tag not in ("graphic", "permissions")]


def caption_text(captions: list[Element], walk: Walk) -> tuple[str | None, Inline]:
    """Plain text of a caption that is no figure's (a group's, a table's), and what it was collected in."""
    out = Inline(walk.objects, flat=True)
    for caption in _main_language(captions, walk.language):
        _render(out, caption, 0)
    return out.finish() or None, out


def _render(out: Inline, caption: Element, title_end: int) -> int:
    """Add one caption element; return where its title ends (a part position)."""
    if caption.text:
        out.parts.append(caption.text)
    for child in caption:
        mark = out.mark()
        is_title = child.tag in ("title", "subtitle")
        out.add(child)
        if child.tag == "p" and _is_boilerplate(out, mark[0]):
            out.reset(mark)
        elif is_title and title_end == mark[0]:
            title_end = len(out.parts)
        if child.tail and child.tail.strip():
            out.parts.append(child.tail)
    return title_end


_BOILERPLATE_STARTS = ("doi", "http", "10.", "click")


def _is_boilerplate(out: Inline, first: int) -> bool:
    words = next((part for part in out.parts[first:] if not part.isspace()), "").lstrip()
    return words[:5].lower().startswith(_BOILERPLATE_STARTS) and bool(
        _BOILERPLATE.fullmatch(" ".join(out.blocks(first)))
    )


def _language(caption: Element) -> str | None:
    return caption.get(XML_LANG) or None


def _main_language(captions: list[Element], language: str | None) -> list[Element]:
    """Of captions in several languages the article's, else the first; captions of one language go together."""
    if len(captions) < 2:
        return captions
    languages = [_language(caption) for caption in captions]
    if len(set(languages)) == 1:
        return captions
    wanted = next((lang for lang in languages if lang is None or lang == language), languages[0])
    return [caption for caption, lang in zip(captions, languages, strict=True) if lang == wanted]


Marker = tuple[int, int, tuple[str, ...]]
"""A panel marker in a caption: offsets and the panels it names."""

# ---- panels ----------------------------------------------------------------------------------------------------

_LETTERED_LISTS = {"alpha-upper": "A", "alpha-lower": "A"}


def _lettered_items(captions: list[Element], text: str | None) -> list[tuple[int, int, str]]:
    """Items of a lettered list without written labels: their letter is only in ``list-type``."""
    found: list[tuple[int, int, str]] = []
    position = 0
    for caption in captions:
        for listing in caption.iter("list"):
            if listing.get("list-type") not in _LETTERED_LISTS or text is None:
                continue
            letter = 0
            for item in listing:
                if item.tag != "list-item":
                    continue
                if next(item.iter("label"), None) is not None:
                    break
                out = Inline([], flat=True)
                out.render(item)
                words = out.finish()
                start = text.find(words, position) if words else -1
                if start >= 0 and letter < 26:
                    position = start + len(words)
                    found.append((start, position, chr(ord("A") + letter)))
                letter += 1
    return found


_DASH = "[-‐‑–—]"
_GROUP = rf"[A-Za-z](?:\d|[′'])?(?:\s*(?:,|&|and|{_DASH}|to|/)+\s*[A-Za-z](?:\d|[′'])?)*"
# "(A)", "(A, B)", "(a–c)", "(A and B)", "[A]"; "(A: ...)"
_BRACKETED = re.compile(rf"[(\[]\s*({_GROUP})\s*[)\]](?![A-Za-z0-9])")
# "A, ...", "A: ...", "A. ...", "A) ...", "A–C, ..." at the start of a sentence; "Panel A: ..."
_LEADING = re.compile(rf"(?:(?<=^)|(?<=[.;:!?)]\s)|(?<=[.;:!?] \s))(?:[Pp]anels?\s+)?({_GROUP})(?:[,:.)]|\s[–—-])\s+")
_FIRST = re.compile(r"(?:^|[.;:!?)]\s)(?:[Pp]anels?\s+)?[Aa](?:[,:.)]|\s[–—-])?")
_POSITION = re.compile(
    r"\((left|right|top|bottom|middle|upper|lower|center|centre)(?:\s+(?:panels?|row|column|image))?\)", re.I
)
_BOLD = re.compile(rf"({_GROUP})[,:.)]?")


def sub_captions(text: str, spans: list[Span], items: list[tuple[int, int, str]] | None = None) -> list[Row]:
    """The part of a caption that describes each panel, offsets into ``text``; a common beginning belongs to none.

    A split is made only when the markers are of one form and begin with panel A in order (precision before recall);
    a marker of several panels ("(A, B)") gives each of them the same text. Empty when the caption has no safe split.
    """
    if items:
        return [{"panel": panel, "text": text[start:end], "start": start, "end": end} for start, end, panel in items]
    for markers in (_bold_markers, _bracketed, _leading):
        chosen = _ordered(text, markers(text, spans))
        if chosen:
            return _pieces(text, chosen)
    return []


def _bracketed(text: str, _: list[Span]) -> list[Marker]:
    return _matches(_BRACKETED, text) if any(sign in text for sign in ("(A", "(a", "[A", "[a")) else []


def _leading(text: str, _: list[Span]) -> list[Marker]:
    return _matches(_LEADING, text) if _FIRST.search(text) else []


def _matches(pattern: re.Pattern[str], text: str) -> list[Marker]:
    return [(m.start(), m.end(), panels) for m in pattern.finditer(text) if (panels := _panels(m[1]))]


def _bold_markers(text: str, spans: list[Span]) -> list[Marker]:
    """Bold (or bracketed bold) panel letters: "<bold>a</bold> Order parameter"."""
    found = []
    for start, end, style in spans:
        if style != "bold" or end - start > 24:
            continue
        words = text[start:end].strip("()[] ")
        match = _BOLD.fullmatch(words)
        panels = _panels(match[1]) if match else ()
        if panels:
            if start and text[start - 1] in "([":
                start -= 1
                # "(<bold>A</bold>)", "(<bold>A</bold> and <bold>B</bold>)"
                close = re.compile(r"[^)\]]{0,24}[)\]]").match(text, end)
                if close:
                    inner = _panels(text[start + 1 : close.end() - 1].strip())
                    panels, end = inner or panels, close.end() if inner else end
            elif end < len(text) and text[end] in ",.:)":
                end += 1
            if not found or start >= found[-1][1]:
                found.append((start, end, panels))
    return found


@lru_cache(maxsize=4096)
def _panels(words: str) -> tuple[str, ...]:
    """'A' -> A; 'a–c' -> A, B, C; 'A, B and D' -> A, B, D; nothing when the letters are no sequence of panels."""
    letters = re.findall(r"(?<![A-Za-z])([A-Za-z](?:\d)?)(?![A-Za-z])|(and|to)", words)
    found: list[str] = []
    for letter, _ in letters:
        if letter:
            name = letter.upper()
            if found and re.search(rf"(?:{_DASH}|to)\s*$", words[: words.find(letter)]) and found[-1] < name:
                found.extend(chr(c) for c in range(ord(found[-1][0]) + 1, ord(name[0])))
            found.append(name)
    ascending = all(a < b for a, b in zip(found, found[1:], strict=False))
    return tuple(found) if ascending and len(found) <= 26 else ()


def _ordered(text: str, markers: list[Marker]) -> list[Marker]:
    """Markers that open a panel: A first, then each next letter in turn; a letter met again is a reference back."""
    chosen: list[Marker] = []
    expected = "A"
    for start, end, panels in markers:
        if panels[0][0] == expected or (
            chosen and panels[0][0] == chosen[-1][2][-1][0] and panels[0] > chosen[-1][2][-1]
        ):
            if len(panels) == 1 and text[start:end].strip("()[] .,:") in ("A", "a") and not _opens(text, start, end):
                continue
            chosen.append((start, end, panels))
            expected = chr(ord(panels[-1][0]) + 1)
    count = sum(len(panels) for _, _, panels in chosen)
    return chosen if count >= 2 else []


def _opens(text: str, start: int, end: int) -> bool:
    """False for an article ("A, ..." never is one, "A " could be)."""
    return text[end - 1 : end] in tuple("),.:]") or text[start] in "([" or text[end : end + 1] != ""


def _pieces(text: str, markers: list[Marker]) -> list[Row]:
    """Text from behind each marker to the next one."""
    rows: list[Row] = []
    for i, (_, end, panels) in enumerate(markers):
        stop = markers[i + 1][0] if i + 1 < len(markers) else len(text)
        start = end
        while start < stop and text[start] in " :.,;–—-":
            start += 1
        while stop > start and text[stop - 1] in " ;,(":
            stop -= 1
        rows.extend({"panel": panel, "text": text[start:stop], "start": start, "end": stop} for panel in panels)
    return rows
