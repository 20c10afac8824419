"""Figures: every ``fig``, and every other captioned holder of a graphic, with its graphics and its own permissions.

What does not belong here: caption text (`captions.py`), where figures are found (`walk.py`), image files (`images/`).

Renditions of one graphic (``alternatives``, the same stem with another extension, a thumbnail) are one image with
several candidate names; graphics with different stems (gr5a, gr5b) are parts of the figure, one image each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from biomedica_assets.jats.captions import add_caption
from biomedica_assets.jats.document import Element, href_of
from biomedica_assets.jats.labels import parse_label
from biomedica_assets.jats.permissions import own_permissions, third_party_notice
from biomedica_assets.jats.text import plain
from biomedica_assets.schemas import Row

if TYPE_CHECKING:
    from biomedica_assets.jats.walk import Walk

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "gif", "tif", "tiff", "webp", "bmp", "svg", "eps")
_EXTENSION = re.compile(r"\.([A-Za-z0-9]{2,4})$")
_VIDEO = re.compile(r"\.(?:mov|avi|mp4|m4v|mpe?g|wmv|flv|swf|webm|ogv|mkv|3gp)$", re.IGNORECASE)
_WRAPPERS = frozenset(
    "p link ext-link uri named-content styled-content bold italic sup email target sec statement".split()  # noqa: SIM905
)
_DEFERRED = frozenset(
    (
        "fig",
        "fig-group",
        "table-wrap",
        "table-wrap-group",
        "supplementary-material",
        "boxed-text",
        "list",
        "def-list",
        "disp-quote",
        "fn",
        "fn-group",
        "chem-struct-wrap",
        "table",
        "array",
        "disp-formula",
        "disp-formula-group",
        "preformat",
        "code",
    )
)


_LEGEND = re.compile(r"(?:Notes?|Abbreviations?)\s*:")
"""Legends that some publishers (Dove, Taylor & Francis) put where credit lines belong."""
_CHEMISTRY = frozenset(("chem-struct-wrap", "chem-struct-wrapper", "chem-struct"))


@dataclass(slots=True)
class Holder:
    """What the element of a figure holds, before it becomes rows."""

    label: Element | None = None
    captions: list[Element] = field(default_factory=list)
    graphics: list[list[tuple[int, str]]] = field(default_factory=list)  # per image: (rank, href), best rank lowest
    graphic_ids: list[str] = field(default_factory=list)
    legends: list[Element] = field(default_factory=list)  # text that is no caption: p, statement
    inline: list[Element] = field(default_factory=list)  # inline-graphic outside the caption
    media: list[str] = field(default_factory=list)
    deferred: list[Element] = field(default_factory=list)
    permissions: list[Element] = field(default_factory=list)
    attributions: list[str] = field(default_factory=list)
    notes: list[Element] = field(default_factory=list)  # legends in an attrib
    alt_text: str | None = None
    long_description: str | None = None
    doi: str | None = None


def escape_id(xml_id: str) -> str:
    """An XML id as part of a figure id: percent-encoded but for letters, digits and ``_.-~``; see `unescape_id`.

    >>> escape_id("F1"), escape_id("fig 1/é")
    ('F1', 'fig%201%2F%C3%A9')
    """
    return quote(xml_id, safe="")


def unescape_id(escaped: str) -> str | None:
    """The XML id behind an escaped one; null for an element path ("@body.sec-2.fig"), which stands for no id."""
    return None if escaped.startswith("@") else unquote(escaped)


def element_path(element: Element, article: Element, positions: dict[Element, dict[Element, int]]) -> str:
    """A name for an element without an id of its own: '@', then tags with position: ``@body.sec-2.fig``.

    ``positions``: of the children of each element met so far among those of the same name; filled here.
    """
    steps = []
    while element is not article and element is not None:
        tag, parent = element.tag, element.getparent()
        if parent not in positions:
            counts: Counter[str] = Counter()
            known = positions[parent] = {}
            for child in parent:
                counts[child.tag] += 1
                known[child] = counts[child.tag]
        position = positions[parent][element]
        steps.append(tag if position == 1 else f"{tag}-{position}")
        element = parent
    return "@" + escape_id(".".join(reversed(steps)))


HOLDER_PARTS = frozenset(
    (
        "label",
        "caption",
        "graphic",
        "alternatives",
        "media",
        "object-id",
        "alt-text",
        "long-desc",
        "attrib",
        "permissions",
    )
)
"""Children that describe the figure itself; all others are content in it."""


def collect(children: Iterable[Element]) -> Holder:
    """Read the children of a figure's element (or the chosen ones of them that are its own)."""
    holder = Holder()
    _collect(children, holder)
    return holder


def _collect(children: Iterable[Element], holder: Holder) -> None:
    for child in children:
        tag = child.tag
        if tag == "label":
            if holder.label is None:
                holder.label = child
        elif tag == "caption":
            holder.captions.append(child)
        elif tag == "graphic":
            _graphic(child, holder, None)
        elif tag == "alternatives":
            _alternatives(child, holder)
        elif tag == "media":
            _media(child, holder, None)
        elif tag == "inline-graphic":
            holder.inline.append(child)
        elif tag in _CHEMISTRY and not any(part.tag in ("caption", "label") for part in child):
            _collect(child, holder)
        elif tag == "object-id":
            if child.get("pub-id-type") == "doi" and not holder.doi:
                holder.doi = plain(child)
        elif tag == "alt-text":
            holder.alt_text = holder.alt_text or plain(child)
        elif tag == "long-desc":
            holder.long_description = holder.long_description or plain(child)
        elif tag == "attrib":
            text = plain(child)
            if text and _LEGEND.match(text):
                holder.notes.append(child)
            elif text:
                holder.attributions.append(text)
        elif tag == "permissions":
            holder.permissions.append(child)
        elif tag in _DEFERRED:
            holder.deferred.append(child)
        elif tag in _WRAPPERS:
            if tag not in ("sec", "statement") and _has_own_text(child):
                holder.legends.append(child)
                legends = list(holder.legends)
                _collect(child, holder)
                holder.legends = legends
            else:
                _collect(child, holder)


def _has_own_text(element: Element) -> bool:
    if element.text and element.text.strip():
        return True
    for child in element:
        if child.tail and child.tail.strip():
            return True
        if child.tag not in _DEFERRED and child.tag not in HOLDER_PARTS and _has_own_text(child):
            return True
    return False


def _graphic(element: Element, holder: Holder, image: list[tuple[int, str]] | None) -> None:
    href = href_of(element)
    if element.get("id"):
        holder.graphic_ids.append(element.get("id"))
    if href:
        if image is None:
            image = []
            holder.graphics.append(image)
        image.append((_rank(element), href))
    if len(element):
        inner = Holder()
        _collect(element, inner)
        holder.captions.extend(inner.captions)
        holder.attributions.extend(inner.attributions)
        holder.permissions.extend(inner.permissions)
        holder.alt_text = holder.alt_text or inner.alt_text
        holder.long_description = holder.long_description or inner.long_description


def _rank(element: Element) -> int:
    """Preference among renditions: as displayed on line, then for print, then thumbnails."""
    use = f"{element.get('specific-use') or ''} {element.get('content-type') or ''}".lower()
    if "thumb" in use:
        return 2
    return 1 if "print" in use else 0


def _media(element: Element, holder: Holder, image: list[tuple[int, str]] | None) -> None:
    href = href_of(element)
    if href:
        if is_image(element, href):
            _graphic(element, holder, image)
            return
        holder.media.append(href)
    if element.get("id"):
        holder.graphic_ids.append(element.get("id"))
    _collect(element, holder)  # a graphic, or a caption, wrapped in media


def _alternatives(element: Element, holder: Holder) -> None:
    image: list[tuple[int, str]] = []
    for child in element:
        if child.tag in ("graphic", "inline-graphic"):
            _graphic(child, holder, image)
        elif child.tag == "media":
            _media(child, holder, image)
        elif child.tag in _DEFERRED:
            holder.deferred.append(child)
    if image:
        holder.graphics.append(image)


def is_image(element: Element, href: str) -> bool:
    """True when a media or supplementary element names an image file, by MIME type or extension."""
    kind = (element.get("mimetype") or "").lower()
    extension = _EXTENSION.search(href)
    if extension:
        return extension[1].lower() in IMAGE_EXTENSIONS
    return kind.startswith("image")


def merge_renditions(graphics: list[list[tuple[int, str]]]) -> list[list[str]]:
    """Names per image, preferred first: the same stem is one image, a lone thumbnail belongs to its predecessor."""
    if len(graphics) == 1 and len(graphics[0]) == 1:
        return [[graphics[0][0][1]]]
    merged: list[list[tuple[int, str]]] = []
    by_stem: dict[str, list[tuple[int, str]]] = {}
    for image in graphics:
        stems = {stem_of(href) for _, href in image}
        target = next((by_stem[stem] for stem in sorted(stems) if stem in by_stem), None)
        if target is None and merged and all(rank == 2 for rank, _ in image):
            target = merged[-1]
        if target is None:
            target = []
            merged.append(target)
        target.extend(candidate for candidate in image if candidate not in target)
        for stem in stems:
            by_stem.setdefault(stem, target)
    # The first graphic of an image keeps its place among its equals: sorting is stable.
    return [list(dict.fromkeys(href for _, href in sorted(image, key=lambda c: c[0]))) for image in merged]


def stem_of(href: str) -> str:
    """Name without path and image extension, lower case: what renditions of one graphic have in common.

    >>> stem_of("info:doi/10.1371/journal.pone.0000010.g001"), stem_of("a/Gr1.JPG")
    ('journal.pone.0000010.g001', 'gr1')
    """
    name = href.rsplit("/", 1)[-1].lower()
    extension = _EXTENSION.search(name)
    return name[: extension.start()] if extension and extension[1] in IMAGE_EXTENSIONS else name


def add_figure(walk: Walk, element: Element, holder: Holder, kind: str | None = None) -> str:
    """Add the rows of one figure (figures, captions, images) and handle what is nested in it; return its id."""
    xml_id = element.get("id")
    figure_id = walk.new_figure_id(element, xml_id)
    label = plain(holder.label) if holder.label is not None else None
    parent_id, group = walk.parent_id, walk.group
    ordinal = len(walk.figures)
    row: Row = {}
    walk.figures.append(row)
    legends = holder.notes if holder.captions else holder.legends + holder.notes
    nested = add_caption(walk, figure_id, holder.captions, legends, group[1] if group else None)
    nested = _odd_graphics(walk, holder, nested)
    images = merge_renditions(holder.graphics)
    row |= {
        "article_id": walk.article_id,
        "figure_id": figure_id,
        "element": element.tag,
        "xml_id": xml_id,
        "kind": kind or _kind(walk, element, holder, label, bool(images)),
        "ordinal": ordinal,
        "label": label,
        "group_id": group[0] if group else None,
        "parent_id": parent_id,
        "sub_article": walk.sub_article,
        "place": walk.place,
        "section_path": walk.path,
        "doi": holder.doi,
        "alt_text": holder.alt_text,
        "long_description": holder.long_description,
        "attribution": " ".join(holder.attributions) or None,
        "n_graphics": len(images),
    }
    for name in (xml_id, *holder.graphic_ids):
        if name:
            walk.figure_ids.setdefault(name, figure_id)
    parsed = parse_label(label)
    if parsed and label:
        walk.labels[walk.scope].add(figure_id, parsed, label)
        walk.figure_labels[figure_id] = (walk.scope, parsed)
    if holder.permissions:
        row.update(own_permissions(holder.permissions))
    caption = walk.captions[-1]["text"] if walk.captions and walk.captions[-1]["figure_id"] == figure_id else None
    row["third_party_notice"] = third_party_notice(caption, row["attribution"], row.get("permissions"))
    for ordinal, candidates in enumerate(images, 1):
        image_id = f"{figure_id}/{ordinal}"
        walk.images.append(
            {
                "article_id": walk.article_id,
                "figure_id": figure_id,
                "image_id": image_id,
                "ordinal": ordinal,
                "href": candidates[0],
            }
        )
        walk.renditions[image_id] = candidates
    walk.objects.extend((href, "media") for href in holder.media)
    if holder.captions:
        for legend in holder.legends:
            walk.legend(legend)
    walk.within(holder.deferred + nested, parent=figure_id)
    return figure_id


def _odd_graphics(walk: Walk, holder: Holder, nested: list[Element]) -> list[Element]:
    """Graphics inside a caption, in line, or deep in a layout are the figure's when it has no others.

    Returns the nested blocks that are no graphics.
    """
    odd = [block for block in nested if block.tag == "graphic"]
    others = [block for block in nested if block.tag != "graphic"]
    odd += holder.inline
    if not holder.graphics and not odd:
        layouts = [block for block in holder.deferred if block.tag in _LAYOUTS]
        odd = [graphic for layout in layouts for graphic in layout.iter("graphic", "inline-graphic")]
    had_none = not holder.graphics
    for graphic in odd:
        if had_none:
            _graphic(graphic, holder, None)
        else:
            walk.object(graphic, "inline")
    return others


_LAYOUTS = frozenset(("list", "table", "array", "disp-formula", "disp-formula-group", "disp-quote", "preformat"))


def _kind(walk: Walk, element: Element, holder: Holder, label: str | None, has_images: bool) -> str:
    word = (label or "").lower()
    fig_type = (element.get("fig-type") or "").lower()
    if walk.parent_id and element.tag == "fig":
        return "nested"
    if walk.group:
        return "group_member"
    if walk.graphical:
        return "graphical_abstract"
    if not has_images and any(_VIDEO.search(href) for href in holder.media):
        return "video"
    if word.startswith("scheme") or fig_type == "scheme":
        return "scheme"
    if fig_type.startswith("chem"):
        return "chemical"
    if walk.container:
        return walk.container
    return "fig"
