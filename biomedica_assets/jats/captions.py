"""Captions: title and paragraphs as plain text, markup and formulas by offset.

What does not belong here: plain-text rules (`text.py`), the split by panels (`subcaptions.py`), the figures that
captions belong to (`figures.py`).

``text`` is title and paragraphs joined by one space. It leaves out the label, object ids, "DOI: ..." boilerplate,
footnotes, permissions, and blocks that stand in the caption element without being caption: supplementary files,
source data, nested figures.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING

from biomedica_assets.jats.document import XML_LANG, Element
from biomedica_assets.jats.subcaptions import lettered_items, sub_captions
from biomedica_assets.jats.text import BLOCK_BREAK, Inline
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
        out.parts.append(BLOCK_BREAK)
        out.add(legend)
        out.parts.append(BLOCK_BREAK)
    raw = "".join(out.parts)
    if "\n" in raw:
        out.join_broken(raw)
    title, paragraphs = out.blocks(0, title_end), out.blocks(title_end)
    text = out.finish(" ".join([*title, *paragraphs])) or None
    starts = accumulate((len(block) + 1 for block in [*title, *paragraphs]), initial=0)
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
            "sub_captions": sub_captions(text, out.spans, lettered_items(chosen, text), starts) if text else [],
        }
        walk.captions.append(row)
        if text:
            walk.caption_block(text, out.links, figure_id)
    return out.nested


def caption_text(captions: list[Element], walk: Walk) -> tuple[str | None, Inline]:
    """Plain text of a caption that is no figure's (a group's, a table's), and what it was collected in."""
    out = Inline(walk.objects, flat=True)
    for caption in _main_language(captions, walk.language):
        _render(out, caption, 0)
    return out.finish() or None, out


def _render(out: Inline, caption: Element, title_end: int) -> int:
    """Add one caption element; return where its title ends (a part position)."""
    if caption.text and caption.text.strip():
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
    return words[:5].lower().startswith(_BOILERPLATE_STARTS) and is_boilerplate(" ".join(out.blocks(first)))


def is_boilerplate(text: str) -> bool:
    """True for a line that is no text of the article: "DOI: http://dx.doi.org/10.7554/eLife.01085.001"."""
    return text[:5].lower().startswith(_BOILERPLATE_STARTS) and bool(_BOILERPLATE.fullmatch(text))


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
