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
    """A piece of a text with the names of the spans that cover it, and the entity that it is part of, or null."""

    text: str
    marks: frozenset[str]
    entity: models.Entity | None = None


class Panel(NamedTuple):
    """A part of a caption: the panel it is about, or null, its pieces, and the panels found of these letters."""

    panel: str | None
    pieces: list[Piece]
    found: list[models.Panel]


class Paragraph(NamedTuple):
    """A paragraph that mentions a figure, mentions and entities marked, and what it is worth, or null."""

    sections: str
    pieces: list[Piece]
    quality: models.Quality | None


def cut(
    text: str, spans: Iterable[tuple[int, int, str]], entities: Sequence[models.Entity] = (), offset: int = 0
) -> list[Piece]:
    """Cut a text where spans (start, end, name) begin and end; spans may overlap, and reach beyond the text.

    Entities lie at their offsets less ``offset``; of those that overlap the outermost is marked.

    >>> [(p.text, sorted(p.marks)) for p in cut("abcd", [(1, 3, "i"), (2, 9, "b")])]
    [('a', []), ('b', ['i']), ('c', ['b', 'i']), ('d', ['b'])]
    """
    known = [(max(0, start), min(len(text), end), name) for start, end, name in spans]
    named: list[tuple[int, int, models.Entity]] = []
    for entity in sorted(entities, key=lambda one: (one.start, -one.end)):
        start, end = max(0, entity.start - offset), min(len(text), entity.end - offset)
        if start < end and (not named or start >= named[-1][1]):
            named.append((start, end, entity))
    places = [*((start, end) for start, end, _ in known), *((start, end) for start, end, _ in named)]
    edges = sorted({0, len(text), *(edge for start, end in places if start < end for edge in (start, end))})
    return [
        Piece(
            text[low:high],
            frozenset(name for start, end, name in known if start <= low and high <= end),
            next((entity for start, end, entity in named if start <= low and high <= end), None),
        )
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
        if parts:
            position = _behind_marker(text, position, parts[-1][0])
        end = max(position, _before_marker(text, position, part))
        if text[position:end].strip():
            parts.append((None, position, end))
        shared = [other.panel for other in figure.sub_captions if (other.start, other.end) == (part.start, part.end)]
        parts.append((", ".join(shared), part.start, part.end))
        position = part.end
    if parts:
        position = _behind_marker(text, position, parts[-1][0])
    if text[position:].strip():
        parts.append((None, position, len(text)))
    return [
        Panel(
            panel,
            cut(
                text[start:end],
                [(low - start, high - start, name) for low, high, name in styles],
                figure.entities,
                start,
            ),
            [one for one in figure.panels if panel and one.letter in panel.split(", ") and _several(figure)],
        )
        for panel, start, end in parts
    ]


def unclaimed(figure: models.Figure, parts: Iterable[Panel]) -> list[models.Panel]:
    """Panels of a compound figure that no part of the caption is about."""
    claimed = {one.panel_id for part in parts for one in part.found}
    return [one for one in figure.panels if one.panel_id not in claimed] if _several(figure) else []


def _several(figure: models.Figure) -> bool:
    return len(figure.panels) > 1


_MARKER = re.compile(r"[\s(\[]*\b([A-Za-z])(?:\s*(?:[-–,&]|and)\s*[A-Za-z])*[)\].:,;]*\s*$")


def _before_marker(text: str, position: int, part: models.SubCaption) -> int:
    """Where the text before a panel ends when the letter that the page shows anyway, "(a)", is left out."""
    match = _MARKER.search(text, position, part.start)
    return match.start() if match and match[1].upper() == part.panel[:1].upper() else part.start


_BEHIND = re.compile(r"\s*[(\[]([A-Za-z][\w ,&–-]{0,24})[)\]]\s*(?:[,;.]\s*)?(?:(?:and|or|while|whereas)\s+)?")


def _behind_marker(text: str, position: int, panel: str | None) -> int:
    """Where the text behind a panel goes on without the letter or place that closed it: "mice (left) and "."""
    match = _BEHIND.match(text, position)
    if match and panel and (panel[1:2].isalpha() or match[1][0].upper() == panel[0]):
        return match.end()
    return position


def paragraphs(mentions: Sequence[models.Mention]) -> list[Paragraph]:
    """The paragraphs that mention a figure, once each, in order, every mention marked."""
    texts: dict[str, models.Mention] = {}
    spans: dict[str, list[tuple[int, int, str]]] = {}
    for mention in mentions:
        if mention.paragraph:
            texts.setdefault(mention.paragraph_id, mention)
            spans.setdefault(mention.paragraph_id, []).append((mention.start, mention.end, "mention"))
    return [
        Paragraph(
            " › ".join(mention.section_path),
            cut(mention.paragraph or "", spans[name], mention.entities),
            mention.quality,
        )
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
    if field in ("entity_type", "paragraph_type", "paragraph_domain"):
        return text.replace("_", " ")
    if field == "media_type":
        return text.removeprefix("image/").upper()
    return text.replace("-", " ") if field == "article_type" else text


CODES = {
    "disease": ("D", "disease"),
    "chemical": ("C", "chemical"),
    "gene": ("G", "gene or protein"),
    "species": ("S", "species"),
    "cell_line": ("L", "cell line"),
    "cell_type": ("T", "cell type"),
    "tissue": ("A", "anatomy"),
}
"""By type of entity: the letter that stands behind it, so that nothing hangs on colours, and its name for people."""


def legend(figure: models.Figure) -> list[str]:
    """Types of the entities that a figure's page marks."""
    found = {one.type for one in (*figure.entities, *(e for mention in figure.mentions for e in mention.entities))}
    return [kind for kind in CODES if kind in found]


class Named(NamedTuple):
    """An entity that a caption names, and how often."""

    name: str
    type: str
    search: str
    entity: models.Entity
    times: int


def named(entities: Iterable[models.Entity]) -> list[Named]:
    """What a caption names, once each, by type; ``search`` is what finds it."""
    found: dict[tuple[str, str], list[models.Entity]] = {}
    for one in entities:
        found.setdefault((one.type, one.ids[0] if one.ids else one.text.lower()), []).append(one)
    order = list(CODES)
    listed = [Named(same[0].name or same[0].text, kind, key, same[0], len(same)) for (kind, key), same in found.items()]
    return sorted(listed, key=lambda one: (order.index(one.type) if one.type in order else 99, -one.times, one.name))


def by_type(entities: Iterable[models.Entity]) -> dict[str, list[str]]:
    """``{"disease": ["Breast Neoplasms (MESH:D001943)"]}``: what a caption names, once each."""
    found: dict[str, list[str]] = {}
    for one in named(entities):
        ids = one.entity.ids
        found.setdefault(one.type, []).append(f"{one.name} ({ids[0]})" if ids else one.name)
    return found


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
