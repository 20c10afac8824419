"""Abstracts: parts and main text for the article's row; their paragraphs and figures go through the walk.

What does not belong here: the rest of the front matter (`front.py`).
"""

from __future__ import annotations

import re

from biomedica_assets.jats.captions import is_boilerplate
from biomedica_assets.jats.document import XML_LANG, Element
from biomedica_assets.jats.figures import add_figure, collect
from biomedica_assets.jats.walk import Walk
from biomedica_assets.schemas import Row

_GRAPHICAL = frozenset(("graphical", "toc", "graphic", "toc-graphic", "visual", "graphical-abstract", "image"))


def read_abstract(walk: Walk, element: Element, row: Row) -> None:
    """One abstract: its parts for the article's row, its paragraphs and figures through the walk."""
    kind = element.get("abstract-type") or "main"
    language = element.get(XML_LANG)
    is_main = element.tag == "abstract" and kind == "main"
    first = len(walk.blocks)
    place, walk.place, walk.path = walk.place, "abstract", []
    walk.graphical = kind.lower() in _GRAPHICAL
    if walk.graphical:
        _graphical_abstract(walk, element)
    walk.within(element, kind="abstract")
    walk.graphical, walk.place, walk.path = False, place, []
    parts: list[Row] = []
    for block in walk.blocks[first:]:
        if block.kind == "abstract" and not is_boilerplate(block.text):
            title = block.path[-1] if block.path else None
            if parts and title is not None and parts[-1]["title"] == title:
                parts[-1]["text"] += " " + block.text
            else:
                parts.append({"kind": kind, "language": language or None, "title": title, "text": block.text})
    row["abstract_parts"].extend(parts)
    if is_main and not row.get("abstract"):
        row["abstract"] = _joined(parts)


_NO_MAIN_ABSTRACT = re.compile(
    r"graphic|toc|teaser|highlight|key-?point|editor|author-summary|web|video|image|plain|lay|impact|significance|note",
    re.IGNORECASE,
)


def choose_main_abstract(row: Row) -> None:
    """Where no abstract is without a type, the first one that is a summary of the article stands in for it."""
    if not row.get("abstract"):
        kinds = [part["kind"] for part in row["abstract_parts"] if not _NO_MAIN_ABSTRACT.search(part["kind"])]
        if kinds:
            language = next(p["language"] for p in row["abstract_parts"] if p["kind"] == kinds[0])
            parts = row["abstract_parts"]
            row["abstract"] = _joined([p for p in parts if p["kind"] == kinds[0] and p["language"] == language])


def _joined(parts: list[Row]) -> str | None:
    return "\n\n".join(map(_headed, parts)) or None


def _headed(part: Row) -> str:
    title, text = part["title"], part["text"]
    if not title:
        return str(text)
    return f"{title} {text}" if title.endswith((":", ".", "?", "!")) else f"{title}: {text}"


def _graphical_abstract(walk: Walk, element: Element) -> None:
    """A graphical abstract that is no ``fig``: the abstract itself is the captioned holder of its graphic."""
    graphics = [g for g in element.iter("graphic") if next(g.iterancestors("fig", "table-wrap"), None) is None]
    if not graphics:
        return
    holder = collect(graphics)
    holder.captions = [element]
    add_figure(walk, element, holder, "graphical_abstract")
