"""All records of one article: puts the pass, the metadata and the mentions together.

What does not belong here: any rule about JATS elements.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from biomedica_assets.jats.document import XML_LANG, Document, Element, MalformedXML, TooDeep, read_document
from biomedica_assets.jats.front import read_front, read_ids
from biomedica_assets.jats.handlers import HANDLERS
from biomedica_assets.jats.mentions import resolve
from biomedica_assets.jats.walk import Walk
from biomedica_assets.schemas import ARTICLES, Row

PARSER_VERSION = "2"
"""Raised whenever the rows made from the same bytes change."""


@dataclass(slots=True)
class Article:
    """The rows of one article, by table; columns as in `schemas.py`, without ``chunk``.

    ``images`` holds one row per graphic of a figure; ``renditions`` maps its image_id to the names of all its
    renditions, the one the XML prefers first. ``objects`` holds the other graphics, by file name.
    """

    article: Row
    paragraphs: list[Row]
    figures: list[Row]
    captions: list[Row]
    mentions: list[Row]
    images: list[Row]
    objects: list[Row]
    failures: list[Row]
    renditions: dict[str, list[str]] = field(default_factory=dict)

    @property
    def article_id(self) -> str:
        """The article version, e.g. ``PMC11370360.1``."""
        return str(self.article["article_id"])

    def tables(self) -> dict[str, list[Row]]:
        """Rows by table name (`schemas.RECORD_TABLES`)."""
        return {
            "articles": [self.article],
            "paragraphs": self.paragraphs,
            "figures": self.figures,
            "captions": self.captions,
            "mentions": self.mentions,
            "images": self.images,
            "objects": self.objects,
            "failures": self.failures,
        }


_BLANK: Row = {c: None for c in ARTICLES.names if c not in ("chunk", "source_key", "source_md5", "source_etag")}
"""Every column of an article's row that the XML can fill."""


def parse_article(data: bytes, article_id: str | None = None) -> Article:
    """Records of the first (or only) article of an XML file.

    ``article_id`` (``PMC11370360.1``) overrides the one the XML states. Without either the article gets a stable
    private id between PMC900000000000.1 and PMC999999999999.1, made from its DOI or else from the bytes.

    Raises:
        NotAnArticle: the bytes are no JATS article (subclasses: MalformedXML beyond recovery, TooDeep).
    """
    document = read_document(data)
    return _guarded(document, document.articles[0], data, article_id)


def parse_articles(data: bytes) -> list[Article]:
    """Records of every article of a file (an efetch answer can hold several), in its order.

    Raises:
        NotAnArticle: as `parse_article`.
    """
    document = read_document(data)
    return [_guarded(document, article, data, None) for article in document.articles]


def _guarded(document: Document, article: Element, data: bytes, article_id: str | None) -> Article:
    try:
        return _records(document, article, data, article_id)
    except RecursionError as error:
        raise TooDeep("elements are nested too deep to be an article") from error
    except UnicodeDecodeError as error:
        raise MalformedXML(f"text that is none: {error}") from error


def _records(document: Document, element: Element, data: bytes, article_id: str | None) -> Article:
    ids = read_ids(element)
    identity = article_id or _identity(ids, data, document.articles.index(element))
    walk = Walk(element, identity, element.get(XML_LANG), HANDLERS, document.references)
    row = read_front(walk, element, ids)
    for child in element:
        if child.tag not in ("front", "front-stub"):
            walk.dispatch(child)
    paragraphs, mentions = resolve(walk)
    pmcid, _, version = identity.removeprefix("PMC").partition(".")
    row.update(
        article_id=identity,
        pmcid=int(pmcid),
        version=int(version or 1),
        n_figures=len(walk.figures),
        n_paragraphs=len(paragraphs),
        n_mentions=len(mentions),
        n_tables=walk.n_tables,
        n_references=walk.n_references,
        n_characters=sum(len(p["text"]) for p in paragraphs),
        root=document.root,
        parser_version=PARSER_VERSION,
        citation=citation(row),
    )
    return Article(
        article=_BLANK | row,
        paragraphs=paragraphs,
        figures=walk.figures,
        captions=walk.captions,
        mentions=mentions,
        images=walk.images,
        objects=_objects(walk),
        failures=_failures(walk, document),
        renditions=walk.renditions,
    )


_PMCID = re.compile(r"(?:PMC)?\s*(\d{1,15})(?:\.(\d{1,4}))?", re.IGNORECASE)


def _identity(ids: dict[str, str], data: bytes, position: int) -> str:
    """Article version by the XML's own ids; `pmcaid` and `pmcaiid` are ids of something else."""
    for kind in ("pmcid-ver", "pmcid", "pmc"):
        match = _PMCID.fullmatch(ids.get(kind, ""))
        if match:
            return f"PMC{int(match[1])}.{int(match[2] or 1)}"
    doi = ids.get("doi", "").lower()
    return f"PMC{private_pmcid(doi.encode() if doi else data + b'%d' % position)}.1"


def private_pmcid(key: bytes) -> int:
    """A stable number in the private range 900000000000-999999999999 for an article that has no PMCID.

    ``key``: the DOI in lower case, else the bytes of the file.
    """
    return 900_000_000_000 + int.from_bytes(hashlib.sha256(key).digest()[:8], "big") % 100_000_000_000


def _objects(walk: Walk) -> list[Row]:
    """Graphics and files that no figure has, each name once, with the class met first."""
    figures = {href for candidates in walk.renditions.values() for href in candidates}
    classes: dict[str, str] = {}
    for href, object_class in walk.objects:
        if href not in figures:
            classes.setdefault(href, object_class)
    return [
        {"article_id": walk.article_id, "file_name": href, "object_class": object_class, "collected": False}
        for href, object_class in classes.items()
    ]


def _failures(walk: Walk, document: Document) -> list[Row]:
    problems = [(error, message, None) for error, message in document.problems] + walk.problems
    return [
        {
            "article_id": walk.article_id,
            "object": subject,
            "stage": "parse",
            "error": error,
            "message": message,
            "transient": False,
            "fatal": False,
        }
        for error, message, subject in dict.fromkeys(problems)
    ]


_ISSUE_DATES = ("collection", "ppub", "pub-print", "epub-ppub")


def citation(row: Row) -> str | None:
    """Short citation from the XML's parts, in NLM's order: journal. date;volume(issue):pages."""
    journal = row.get("journal_abbreviation") or row.get("journal")
    # Volume and issue are those of the collection, which may be a year after the first publication.
    years = [d["date"][:4] for d in row.get("dates", ()) if d["type"] in _ISSUE_DATES] if row.get("volume") else []
    year = years[0] if years else row.get("publication_year")
    if not journal or not year:
        return None
    issue = f"({row['issue']})" if row.get("issue") else ""
    pages = "-".join(dict.fromkeys(filter(None, (row.get("first_page"), row.get("last_page")))))
    where = f"{row.get('volume') or ''}{issue}"
    pages = pages or row.get("elocation_id") or ""
    return f"{journal.rstrip('.')}. {year}" + (f";{where}" if where else "") + (f":{pages}" if pages else "") + "."
