"""State of the one pass over an article's tree: where it stands, and the blocks, figures and graphics found so far.

What does not belong here: what is done with each element (`handlers.py`), how text is rendered (`text.py`), what a
figure's rows hold (`figures.py`), what links mean once all figures are known (`mentions.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from biomedica_assets.jats.document import Element, href_of
from biomedica_assets.jats.figures import element_path, escape_id
from biomedica_assets.jats.labels import Label, LabelIndex
from biomedica_assets.jats.text import Inline, Link, collapse
from biomedica_assets.schemas import Row


@dataclass(slots=True)
class Block:
    """One text block. ``always``: a paragraph; else it becomes one only when it mentions a figure."""

    kind: str
    path: list[str]
    section_type: str | None
    text: str
    links: list[Link]
    scope: int
    figure_id: str | None
    always: bool


Handler = Callable[["Walk", Element], None]
"""What is done with an element of some name."""


class Walk:
    """State of the pass over one article, and what it has found so far."""

    def __init__(
        self,
        article: Element,
        article_id: str,
        language: str | None,
        handlers: Mapping[Any, Handler],
        references: bytes = b"",
    ) -> None:
        self.article = article
        self.references = references  # what the tree lacks: see `Document`
        self.handlers = handlers
        self.article_id = article_id
        self.language = language
        self.blocks: list[Block] = []
        self.figures: list[Row] = []
        self.captions: list[Row] = []
        self.images: list[Row] = []
        self.renditions: dict[str, list[str]] = {}
        self.objects: list[tuple[str, str]] = []
        self.problems: list[tuple[str, str, str | None]] = []  # (class, message, object)
        self.figure_ids: dict[str, str] = {}  # XML id (of the figure or of its graphic) -> figure_id
        self.figure_labels: dict[str, tuple[int, Label]] = {}
        self.labels = [LabelIndex()]  # one per scope: 0 is the article, then each sub-article
        self.n_tables = 0
        self.n_references = 0
        # Where the pass stands
        self.path: list[str] = []
        self.section_type: str | None = None
        self.kind = "p"
        self.place = "body"
        self.scope = 0
        self.sub_article: str | None = None
        self.parent_id: str | None = None
        self.group: tuple[str, str | None] | None = None
        self.container: str | None = None
        self.graphical = False
        self._used_ids: set[str] = set()
        self._ids: set[str] | None = None  # every id of the article, once one is looked for
        self._positions: dict[Element, dict[Element, int]] = {}

    # -- walking --

    def children(self, element: Element) -> None:
        """Handle every child element in order."""
        for child in element:
            handler = self.handlers.get(child.tag)
            if handler is not None:
                handler(self, child)
            else:
                self.other(child)

    def dispatch(self, element: Element) -> None:
        """Handle one element."""
        handler = self.handlers.get(element.tag)
        if handler is not None:
            handler(self, element)
        else:
            self.other(element)

    def other(self, element: Element) -> None:
        """An element without a rule: text of its own may mention figures, its children are handled."""
        text = element.text
        if text and not text.isspace():
            self.text_block(element, "other", always=False)
        elif len(element):
            self.children(element)

    def within(self, elements: Iterable[Element], **state: Any) -> None:
        """Handle elements with some of the state changed: parent=, group=, container=, kind=, place=, ..."""
        names = {"parent": "parent_id"}
        saved = {names.get(name, name): getattr(self, names.get(name, name)) for name in state}
        for name, value in state.items():
            setattr(self, names.get(name, name), value)
        for element in elements:
            self.dispatch(element)
        for name, value in saved.items():
            setattr(self, name, value)

    # -- adding --

    def paragraph(self, element: Element, kind: str | None = None, prefix: str | None = None) -> None:
        """A paragraph in running text: one block, then the blocks nested in it."""
        if not len(element) and not prefix:
            self._plain_block(element.text, kind or self.kind, True)
            return
        out = Inline(self.objects)
        if prefix:
            out.parts.append(prefix + " ")
        out.render(element)
        self.add_block(out, kind or self.kind, always=True)
        for nested in out.nested:
            self.dispatch(nested)

    def text_block(self, element: Element, kind: str, *, always: bool) -> str:
        """A block of flat text (title, cell, caption of a table); returns its text."""
        if not len(element):
            return self._plain_block(element.text, kind, always)
        out = Inline(self.objects, flat=True)
        out.render(element)
        text = self.add_block(out, kind, always=always)
        for nested in out.nested:
            self.dispatch(nested)
        return text

    def _plain_block(self, raw: str | None, kind: str, always: bool) -> str:
        """A block without any markup, which needs no collecting."""
        text = collapse(raw) if raw else ""
        if text:
            self.blocks.append(Block(kind, self.path, self.section_type, text, [], self.scope, None, always))
        return text

    def add_block(self, out: Inline, kind: str, *, always: bool, figure_id: str | None = None) -> str:
        """Finish a block and keep it, unless it is empty."""
        text = out.finish()
        if text:
            self.blocks.append(
                Block(kind, self.path, self.section_type, text, out.links, self.scope, figure_id, always)
            )
        return text

    def caption_block(self, text: str, links: list[Link], figure_id: str) -> None:
        """A figure's caption as a block: its mentions of other figures count."""
        self.blocks.append(Block("caption", self.path, self.section_type, text, links, self.scope, figure_id, False))

    def legend(self, element: Element) -> None:
        """Text inside a figure beside its caption: a paragraph, without the figures nested in it."""
        out = Inline([], flat=True)
        out.render(element)
        self.add_block(out, self.kind, always=True)

    def new_figure_id(self, element: Element, xml_id: str | None) -> str:
        """figure_id by the XML id; by element path where there is none or an earlier figure has it already."""
        name = escape_id(xml_id) if xml_id else element_path(element, self.article, self._positions)
        if name in self._used_ids:
            self.problems.append(("DuplicateId", f"id {xml_id!r} is on more than one figure", xml_id))
            name = element_path(element, self.article, self._positions)
        self._used_ids.add(name)
        return f"{self.article_id}/{name}"

    def dangling(self, rids: list[str]) -> None:
        """A figure link that points at nothing (at an element that is no figure is another matter)."""
        for rid in rids:
            if f'"{rid}"'.encode() in self.references:
                continue
            if self._ids is None:
                self._ids = set(self.article.xpath(".//@id"))
            if rid not in self._ids:
                self.problems.append(("DanglingReference", f"a figure link points at {rid!r}, which is nowhere", rid))

    def object(self, element: Element, object_class: str) -> None:
        """Record the file an element names."""
        href = href_of(element)
        if href:
            self.objects.append((href, object_class))
