"""What is done with each element of an article, in document order.

A handler per element name; elements without one are passed through to their children. Reference lists are counted,
not read: mixed citations are no paragraphs.

What does not belong here: the state of the pass (`walk.py`), how text is rendered (`text.py`), what a figure's rows
hold (`figures.py`), the article's own metadata (`front.py`).
"""

from __future__ import annotations

from typing import Any

from lxml import etree

from biomedica_assets.jats.captions import caption_text
from biomedica_assets.jats.document import Element, href_of
from biomedica_assets.jats.figures import HOLDER_PARTS, Holder, add_figure, collect, is_image
from biomedica_assets.jats.labels import LabelIndex
from biomedica_assets.jats.text import Inline, plain
from biomedica_assets.jats.walk import Block, Handler, Walk


def _nothing(walk: Walk, element: Element) -> None:
    """Neither text nor figures."""


def _section(walk: Walk, element: Element) -> None:
    outer = walk.path, walk.section_type
    walk.section_type = element.get("sec-type") or walk.section_type
    for child in element:
        tag = child.tag
        if tag == "title":
            title = _title(walk, child)
            if title:
                walk.path = [*outer[0], title]
        elif tag != "label":
            handler = walk.handlers.get(tag)
            if handler is not None:
                handler(walk, child)
            else:
                walk.other(child)
    walk.path, walk.section_type = outer


def _title(walk: Walk, element: Element) -> str:
    return walk.text_block(element, "title", always=False)


def _title_only(walk: Walk, element: Element) -> None:
    walk.text_block(element, "title", always=False)


def _preformatted(walk: Walk, element: Element) -> None:
    walk.text_block(element, "other", always=False)


def _paragraph(walk: Walk, element: Element) -> None:
    walk.paragraph(element)


def _list(walk: Walk, element: Element) -> None:
    kind = walk.kind
    if kind == "p":
        walk.kind = "list_item"
    walk.children(element)
    walk.kind = kind


def _list_item(walk: Walk, element: Element) -> None:
    label: str | None = None
    for child in element:
        if child.tag == "label":
            label = plain(child)
        elif child.tag == "p":
            walk.paragraph(child, prefix=label)
            label = None
        else:
            walk.dispatch(child)


def _definition(walk: Walk, element: Element) -> None:
    """A term and its definition are one block."""
    walk.text_block(element, walk.kind, always=True)


def _footnote(walk: Walk, element: Element) -> None:
    walk.within(element, kind="footnote")


def _speech(walk: Walk, element: Element) -> None:
    speaker = element.find("speaker")
    name = plain(speaker) if speaker is not None else None
    for child in element:
        if child.tag == "p":
            walk.paragraph(child, prefix=name)
            name = None
        elif child.tag != "speaker":
            walk.dispatch(child)


def _verse(walk: Walk, element: Element) -> None:
    walk.text_block(element, walk.kind, always=True)


def _figure(walk: Walk, element: Element) -> None:
    add_figure(walk, element, collect(element))


def _figure_group(walk: Walk, element: Element) -> None:
    holder = collect(element)
    holder.deferred = []
    members = [child for child in element if child.tag not in HOLDER_PARTS]
    group_text, _ = caption_text(holder.captions, walk)
    figure_id = add_figure(walk, element, holder, "fig_group")
    walk.within(members, group=(figure_id, group_text), parent=None)


def _holder(kind: str, object_class: str = "inline") -> Handler:
    """An element that is a figure only when it has a caption or label and a graphic of its own."""

    def handler(walk: Walk, element: Element) -> None:
        holder = _own_parts(element)
        href = href_of(element)
        if href:
            walk.objects.append((href, object_class))
            if is_image(element, href):
                holder.graphics.append([(0, href)])
        if holder.graphics and (holder.captions or holder.label is not None):
            add_figure(walk, element, holder, kind)
        else:
            _caption_of(walk, element)
        outer = walk.path
        if kind == "box":
            walk.path = [*outer, *filter(None, [_caption_title(element)])]
        for child in element:
            if child.tag in ("graphic", "media", "alternatives"):
                _loose(walk, child, object_class)
            elif child.tag not in HOLDER_PARTS:
                walk.within([child], container=kind if kind in ("box", "supplementary") else walk.container)
        walk.path = outer

    return handler


def _caption_title(element: Element) -> str | None:
    title = element.find("caption/title")
    return None if title is None else plain(title)


def _own_parts(element: Element) -> Holder:
    """Caption, label and graphics that are an element's own, not those of figures or text inside it."""
    return collect(
        child
        for child in element
        if child.tag in HOLDER_PARTS or (child.tag == "p" and len(child) and not plain(child) and _only_graphics(child))
    )


def _only_graphics(paragraph: Element) -> bool:
    return all(child.tag in ("graphic", "alternatives", "media") for child in paragraph)


def _caption_of(walk: Walk, element: Element) -> None:
    """A caption that is no figure's: a block when it mentions one."""
    for child in element:
        if child.tag == "caption":
            _, out = caption_text([child], walk)
            if out.text:
                walk.blocks.append(
                    Block("caption", walk.path, walk.section_type, out.text, out.links, walk.scope, None, False)
                )
            for nested in out.nested:
                walk.dispatch(nested)


def _loose(walk: Walk, element: Element, object_class: str) -> None:
    """A graphic outside any figure: only recorded (names that figures have are taken out at the end)."""
    for graphic in element.iter("graphic", "inline-graphic", "media"):
        walk.object(graphic, object_class)


def _table_wrap(walk: Walk, element: Element) -> None:
    walk.n_tables += 1
    holder = collect(element)
    if holder.graphics:
        holder.deferred = []
        holder.legends = []
        add_figure(walk, element, holder, "table")
    else:
        _caption_of(walk, element)
    for child in element:
        tag = child.tag
        if tag == "alternatives":
            for form in child:
                if form.tag not in ("graphic", "media"):
                    walk.dispatch(form)
        elif tag not in HOLDER_PARTS or tag == "attrib":
            walk.dispatch(child)


_UNLINKED_TYPES = frozenset(("bibr", "table-fn", "fn", "aff", "corresp"))


def _table(walk: Walk, table: Element) -> None:
    """Only cells that may mention a figure are read; graphics in cells are the table's."""
    cells: dict[Element, None] = {}
    for xref in table.iter("xref"):
        if xref.get("ref-type") not in _UNLINKED_TYPES:
            cell = next(xref.iterancestors("td", "th"), None)
            if cell is not None:
                cells[cell] = None
    words = etree.tostring(table, method="text", encoding="unicode", with_tail=False)
    if "Fig" in words or "fig" in words or "FIG" in words:
        for cell in table.iter("td", "th"):
            text = "".join(cell.itertext())
            if "Fig" in text or "fig" in text or "FIG" in text:
                cells[cell] = None
    for graphic in table.iter("graphic", "inline-graphic", "media"):
        formula = next(graphic.iterancestors("inline-formula", "disp-formula", "fig"), None)
        if formula is None or formula.tag != "fig":
            walk.object(graphic, "table" if formula is None else "formula")
    figures = [f for f in table.iter("fig") if next(f.iterancestors("fig"), None) is None]
    if len(cells) > 1:
        order = {cell: None for cell in table.iter("td", "th") if cell in cells}
        cells = order
    for cell in cells:
        out = Inline([], flat=True)
        out.render(cell)
        walk.add_block(out, "table_cell", always=False)
    for figure in figures:
        _figure(walk, figure)


def _graphic(walk: Walk, element: Element) -> None:
    """A graphic of its own: a figure when it has a caption or label, else an object."""
    holder = collect(element)
    if holder.captions or holder.label is not None:
        add_figure(walk, element, collect([element]), "other")
    else:
        walk.object(element, "inline")


def _inline_graphic(walk: Walk, element: Element) -> None:
    walk.object(element, "inline")


def _media_element(walk: Walk, element: Element) -> None:
    href = href_of(element)
    if href and is_image(element, href):
        _graphic(walk, element)
    else:
        walk.object(element, "media")
        _caption_of(walk, element)


def _alternatives(walk: Walk, element: Element) -> None:
    _loose(walk, element, "inline")
    for child in element:
        if child.tag not in ("graphic", "inline-graphic", "media"):
            walk.dispatch(child)


def _formula(walk: Walk, element: Element) -> None:
    """A display formula between paragraphs: its graphics are recorded, its text is no paragraph."""
    for graphic in element.iter("graphic", "inline-graphic"):
        walk.object(graphic, "formula")


def _formula_group(walk: Walk, element: Element) -> None:
    if any(child.tag in ("graphic", "alternatives") for child in element) and element.find("caption") is not None:
        _holder("other")(walk, element)
    else:
        walk.children(element)


_COUNT_REFERENCES = etree.XPath("count(ref) + count(ref-list//ref)")


def _references(walk: Walk, element: Element) -> None:
    """Counted only, but for the rare figure, or link in a note, inside a reference list."""
    walk.n_references += int(float(_COUNT_REFERENCES(element)))  # type: ignore[arg-type]
    if next(element.iter("xref", "fig", "p"), None) is not None:
        for child in element:
            if child.tag not in ("ref", "ref-list"):
                walk.dispatch(child)
            elif next(child.iter("xref", "fig"), None) is not None:
                for part in child:
                    if part.tag in ("note", "fig"):
                        walk.dispatch(part)


def sub_article(walk: Walk, element: Element) -> None:
    """A sub-article or response: a scope of its own for labels; its metadata are not the article's."""
    saved = walk.scope, walk.sub_article, walk.place, walk.path, walk.section_type
    walk.labels.append(LabelIndex())
    walk.scope = len(walk.labels) - 1
    walk.sub_article = element.get("article-type") or element.get("response-type") or element.tag
    walk.place, walk.path, walk.section_type = "sub_article", [], None
    for child in element:
        if child.tag not in ("front", "front-stub"):
            walk.dispatch(child)
        else:
            for part in child.iter("abstract", "trans-abstract", "author-notes"):
                walk.within(part, kind="footnote" if part.tag == "author-notes" else "abstract")
    walk.scope, walk.sub_article, walk.place, walk.path, walk.section_type = saved


def _placed(place: str) -> Handler:
    def handler(walk: Walk, element: Element) -> None:
        outer = walk.place
        walk.place = outer if walk.sub_article else place
        walk.children(element)
        walk.place = outer

    return handler


def _appendix(walk: Walk, element: Element) -> None:
    outer = walk.place
    walk.place = outer if walk.sub_article else "appendix"
    _section(walk, element)
    walk.place = outer


HANDLERS: dict[Any, Handler] = {
    "body": _placed("body"),
    "back": _placed("back"),
    "floats-group": _placed("floats"),
    "floats-wrap": _placed("floats"),
    "app": _appendix,
    "app-group": _section,
    "sub-article": sub_article,
    "response": sub_article,
    "sec": _section,
    "ack": _section,
    "bio": _section,
    "notes": _section,
    "glossary": _section,
    "fn-group": _section,
    "statement": _section,
    "title": _title_only,
    "p": _paragraph,
    "list": _list,
    "list-item": _list_item,
    "def-list": _list,
    "def-item": _definition,
    "fn": _footnote,
    "disp-quote": Walk.children,
    "speech": _speech,
    "verse-group": _verse,
    "preformat": _preformatted,
    "code": _preformatted,
    "fig": _figure,
    "fig-group": _figure_group,
    "chem-struct-wrap": _holder("chemical"),
    "chem-struct-wrapper": _holder("chemical"),
    "boxed-text": _holder("box"),
    "table-wrap": _table_wrap,
    "table": _table,
    "array": _table,
    "graphic": _graphic,
    "inline-graphic": _inline_graphic,
    "media": _media_element,
    "alternatives": _alternatives,
    "disp-formula": _formula,
    "disp-formula-group": _formula_group,
    "supplementary-material": _holder("supplementary", "supplement"),
    "ref-list": _references,
    "label": _nothing,
    "alt-text": _nothing,
    "long-desc": _nothing,
    "object-id": _nothing,
    "permissions": _nothing,
    "processing-meta": _nothing,
    "sec-meta": _nothing,
    etree.Comment: _nothing,
    etree.ProcessingInstruction: _nothing,
}
