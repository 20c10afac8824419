"""Texts of records cut into pieces that a page can mark up: spans, styles and panels by their offsets.

Pieces are plain text, escaped by the templates: no markup is ever made from what articles hold. What does not belong
here: addresses and routes (`gallery`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from biomedica_assets.serve import models, search_models


class Piece(NamedTuple):
    """A piece of a text with the names of the spans that cover it."""

    text: str
    marks: frozenset[str]


class Panel(NamedTuple):
    """A part of a caption: the panel it is about, or null, and its pieces."""

    panel: str | None
    pieces: list[Piece]


class Paragraph(NamedTuple):
    """A paragraph that mentions a figure, mentions marked."""

    sections: str
    pieces: list[Piece]


def cut(text: str, spans: Iterable[tuple[int, int, str]]) -> list[Piece]:
    """Cut a text where spans (start, end, name) begin and end; spans may overlap, and reach beyond the text.

    >>> [(p.text, sorted(p.marks)) for p in cut("abcd", [(1, 3, "i"), (2, 9, "b")])]
    [('a', []), ('b', ['i']), ('c', ['b', 'i']), ('d', ['b'])]
    """
    known = [(max(0, start), min(len(text), end), name) for start, end, name in spans]
    edges = sorted({0, len(text), *(edge for start, end, _ in known if start < end for edge in (start, end))})
    return [
        Piece(text[low:high], frozenset(name for start, end, name in known if start <= low and high <= end))
        for low, high in pairwise(edges)
    ]


def caption(figure: models.Figure) -> list[Panel]:
    """The caption by panels, italics and the like marked. One part without a panel when it has none."""
    text = figure.caption or ""
    styles = [(style.start, style.end, style.style) for style in figure.styles]
    styles += [(formula.start, formula.end, "math") for formula in figure.formulas]
    parts: list[tuple[str | None, int, int]] = []
    position = 0
    for part in sorted(figure.sub_captions, key=lambda found: (found.start, found.end)):
        if part.start < position:
            continue  # two panels share a text: it stands under the first
        end = _before_marker(text, position, part)
        if text[position:end].strip():
            parts.append((None, position, end))
        shared = [other.panel for other in figure.sub_captions if (other.start, other.end) == (part.start, part.end)]
        parts.append((", ".join(shared), part.start, part.end))
        position = part.end
    if text[position:].strip():
        parts.append((None, position, len(text)))
    return [
        Panel(panel, cut(text[start:end], [(low - start, high - start, name) for low, high, name in styles]))
        for panel, start, end in parts
    ]


_MARKER = re.compile(r"[\s(\[]*\b([A-Za-z])(?:\s*(?:[-–,&]|and)\s*[A-Za-z])*[)\].:,;]*\s*$")


def _before_marker(text: str, position: int, part: models.SubCaption) -> int:
    """Where the text before a panel ends when the letter that the page shows anyway, "(a)", is left out."""
    match = _MARKER.search(text, position, part.start)
    return match.start() if match and match[1].upper() == part.panel[:1].upper() else part.start


def paragraphs(mentions: Sequence[models.Mention]) -> list[Paragraph]:
    """The paragraphs that mention a figure, once each, in order, every mention marked."""
    texts: dict[str, models.Mention] = {}
    spans: dict[str, list[tuple[int, int, str]]] = {}
    for mention in mentions:
        if mention.paragraph:
            texts.setdefault(mention.paragraph_id, mention)
            spans.setdefault(mention.paragraph_id, []).append((mention.start, mention.end, "mention"))
    return [
        Paragraph(" › ".join(mention.section_path), cut(mention.paragraph or "", spans[name]))
        for name, mention in texts.items()
    ]


_KINDS = {
    "fig": "figure",
    "fig_group": "group of figures",
    "group_member": "member of a group",
    "nested": "figure in a figure",
    "chemical": "chemical structure",
    "supplementary": "supplementary figure",
}


def value(field: str, text: str) -> str:
    """A filter's value as people say it.

    >>> value("kind", "fig"), value("article_type", "case-report"), value("media_type", "image/tiff")
    ('figure', 'case report', 'TIFF')
    """
    if field == "kind":
        return _KINDS.get(text, text.replace("_", " "))
    if field == "media_type":
        return text.removeprefix("image/").upper()
    return text.replace("-", " ") if field == "article_type" else text


def unlabelled(pieces: Sequence[search_models.Fragment], label: str | None) -> list[search_models.Fragment]:
    """A snippet without the figure's label at its beginning, which stands above it anyway."""
    if not label or not pieces or pieces[0].match or not pieces[0].text.startswith(label):
        return list(pieces)
    return [search_models.Fragment(text=pieces[0].text[len(label) :].lstrip(" .:"), match=False), *pieces[1:]]


def shortened(text: str | None, length: int) -> str:
    """At most ``length`` characters, cut between words."""
    text = text or ""
    if len(text) <= length:
        return text
    return text[:length].rpartition(" ")[0].rstrip(".,;: ") + " …"


def alternative(label: str | None, caption: str | None, title: str | None) -> str:
    """What stands for a picture when it is not seen."""
    return shortened(": ".join(filter(None, [label, caption or title])), 300) or "figure without caption"
