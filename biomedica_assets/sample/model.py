"""What a sample article is made of, and what a parser must find in it.

`Figure` and `Mention` are the truth, written by hand beside the XML in `articles`; nothing here reads XML.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from biomedica_assets.pmc.keys import format_article_id
from biomedica_assets.sample.pictures import Picture


@dataclass(frozen=True)
class Figure:
    """What must become of one figure.

    Attributes:
        xml_id: id as written; None when the element has none.
        label: label as a reader would type it; None when there is none.
        caption: title and paragraphs joined by one space; None when there is no caption of its own.
        files: cloud-layout file names of its distinct graphics that can be collected, in order.
        kind: value of ``figures.kind``; None where more than one value would be right.
        group_caption: caption of the enclosing group.
    """

    xml_id: str | None
    label: str | None
    caption: str | None
    files: tuple[str, ...] = ()
    kind: str | None = "fig"
    group_caption: str | None = None


@dataclass(frozen=True)
class Mention:
    """What must become of one citation of a figure, in document order.

    Attributes:
        figure: xml_id of the figure.
        panels: panels named, upper case, ranges expanded; None where more than one answer would be right.
        text: surface text with the panel letters behind a link; None where it is not fixed (inside a range).
        expanded: the figure stands inside a written range.
        kind: "xref", or "text" when the figure is named without a link.
        near: words that stand in the paragraph of the citation; "" where not worth checking.
    """

    figure: str
    panels: tuple[str, ...] | None = ()
    text: str | None = None
    expanded: bool = False
    kind: str = "xref"
    near: str = ""


@dataclass(frozen=True)
class Article:
    """One article version of the sample.

    XML parts (``title``, ``body``, ``abstract`` ...) are raw JATS with two conveniences: ``[[intro:2]]`` stands for
    two filler paragraphs, ``@{name.jpg}`` for a file name that loses its extension in the package layout.

    Attributes:
        absent: listed in the inventory, but none of its objects exist.
        missing: names in the media list whose objects do not exist.
        fields: metadata JSON fields that differ from what the other attributes imply.
        paragraphs: whole texts that must be among the article's paragraphs.
        shapes: names of the odd shapes it stands for (`articles.shapes`).
        outcome: value of ``versions.outcome`` after a build of its release with default settings.
    """

    pmcid: int
    topic: str
    title: str
    body: str
    version: int = 1
    kind: str = "research-article"
    journal: int = 0
    date: tuple[int, ...] = (2024, 5, 17)
    doi: str | None = ""
    pmid: int | None = 0
    licence: str | None = "CC BY"
    licence_version: str = "4.0"
    licence_xml: str | None = None
    flavour: str = "jats14"
    wrapper: str = ""
    language: str = "en"
    abstract: str = "<p>[[abstract]]</p>"
    front: str = ""
    keywords: str | None = None
    back: str = ""
    floats: str = ""
    after: str = ""
    references: int = 12
    entities: bool = False
    pictures: tuple[Picture, ...] = ()
    supplements: tuple[str, ...] = ()
    pdf: bool = False
    manuscript: bool = False
    historical_ocr: bool = False
    open_access: bool = True
    retracted: bool = False
    absent: bool = False
    missing: tuple[str, ...] = ()
    fields: tuple[tuple[str, Any], ...] = ()
    outcome: str = "collected"
    shapes: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    mentions: tuple[Mention, ...] = ()
    paragraphs: tuple[str, ...] = ()

    @property
    def article_id(self) -> str:
        """PMCID, a dot, version."""
        return format_article_id(self.pmcid, self.version)

    @property
    def doi_text(self) -> str | None:
        """The DOI, below 10.5555 (a prefix reserved for examples); None when the article has none."""
        return f"10.5555/bas.{self.pmcid % 10**6:06d}" if self.doi == "" else self.doi

    @property
    def pmid_number(self) -> int | None:
        """The PubMed id (far above all real ones); None when the article has none."""
        return 970_000_000 + self.pmcid % 10**6 if self.pmid == 0 else self.pmid
