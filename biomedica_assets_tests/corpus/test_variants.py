"""The same article in another wrapping gives the same rows; a damaged one gives rows or a typed failure."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from lxml import etree

from biomedica_assets import schemas
from biomedica_assets.jats import Article, NotAnArticle, parse_articles

from .conftest import Parsed

# Nested figures, groups, supplements, formulas, odd labels, four languages, statements, pretty print.
SHAPES = ("PMC5050015", "PMC4385903", "PMC6611665", "PMC2958805", "PMC10862830", "PMC6239004", "PMC5896394", "52882")


def content(article: Article) -> list[Any]:
    """What must not depend on the wrapping: everything but ids, root and version."""
    captions = {c["figure_id"]: c for c in article.captions}
    skipped = ("root", "dtd_version", "article_id", "pmcid", "version")
    return [
        [(f.get("label"), f["kind"], captions.get(f["figure_id"], {}).get("text")) for f in article.figures],
        [(p["kind"], p["section_path"], p["text"]) for p in article.paragraphs],
        [(m["text"], m["start"], m["panels"], m["expanded"], m["kind"]) for m in article.mentions],
        {key: value for key, value in article.article.items() if key not in skipped},
    ]


def _bytes(article: etree._Element, encoding: str = "utf-8") -> bytes:
    return bytes(etree.tostring(article, encoding=encoding, with_tail=False))  # type: ignore[arg-type]


def _oai(article: etree._Element) -> bytes:
    text = _bytes(article)
    if b"xmlns=" not in text[:800]:
        text = text.replace(b"<article", b'<article xmlns="https://jats.nlm.nih.gov/ns/archiving/1.3/"', 1)
    begin = b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><GetRecord><record><header/><metadata>'
    return begin + text + b"</metadata></record></GetRecord></OAI-PMH>"


def _attributes_reversed(article: etree._Element) -> bytes:
    for element in article.iter(etree.Element):
        attributes = list(element.attrib.items())
        for name, _ in attributes:
            del element.attrib[name]
        for name, value in reversed(attributes):
            element.set(name, value)
    return _bytes(article)


def _other_prefix(article: etree._Element) -> bytes:
    text = _bytes(article).decode()
    match = re.search(r'xmlns:(\w+)="http://www.w3.org/1999/xlink"', text)
    if match:
        text = re.sub(rf"\b{match[1]}:", "z:", text.replace(f"xmlns:{match[1]}=", "xmlns:z="))
    return text.encode()


def _comments_in_text(article: etree._Element) -> bytes:
    for element in list(article.iter("{*}p", "{*}title", "{*}label")):
        if element.text and len(element.text) > 6:
            comment = etree.Comment("c")
            comment.tail, element.text = element.text[4:], element.text[:4]
            element.insert(0, comment)
    return _bytes(article)


def _other_ids(article: etree._Element) -> bytes:
    for element in article.iter(etree.Element):
        for name in ("id", "rid"):
            if element.get(name):
                element.set(name, " ".join(f"Q-{value}" for value in element.get(name, "").split()))
    return _bytes(article)


VARIANTS: dict[str, Callable[[etree._Element], bytes]] = {
    "bare": _bytes,
    "oai": _oai,
    "efetch set": lambda article: b"<pmc-articleset>" + _bytes(article) + b"</pmc-articleset>",
    "two in a set": lambda article: b"<pmc-articleset>" + _bytes(article) * 2 + b"</pmc-articleset>",
    "attributes reversed": _attributes_reversed,
    "other prefix": _other_prefix,
    "comments in the text": _comments_in_text,
    "other ids": _other_ids,
    "utf-16": lambda article: _bytes(article, "utf-16"),
    "ascii with references": lambda article: _bytes(article, "us-ascii"),
    "byte order mark": lambda article: b"\xef\xbb\xbf" + _bytes(article),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_wrapping_changes_nothing(corpus: list[Parsed], variant: str) -> None:
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=True)
    chosen = [p for p in corpus if any(shape in p.name for shape in SHAPES)] + corpus[::40]
    for parsed in chosen:
        tree = etree.fromstring(parsed.data, parser)
        article = tree if etree.QName(tree).localname == "article" else next(tree.iter("{*}article"))
        for read in parse_articles(VARIANTS[variant](article)):
            assert content(read) == content(parsed.articles[0]), parsed.name


def test_damage_gives_rows_or_a_typed_failure(corpus: list[Parsed]) -> None:
    chance = random.Random(1)
    for parsed in [p for p in corpus if "PMC5050015" in p.name or "PMC6611665" in p.name]:
        for _ in range(40):
            data = bytearray(parsed.data)
            for _ in range(chance.choice((1, 5, 50, 500))):
                data[chance.randrange(len(data))] = chance.randrange(256)
            cut = chance.randrange(len(data))
            damaged = bytes(data[:cut] + data[cut + chance.choice((0, 0, 50, 5000, len(data))) :])
            try:
                articles = parse_articles(damaged)
            except NotAnArticle:
                continue
            for article in articles:
                for name, rows in article.tables().items():
                    complete = [{**row, "chunk": "c"} for row in rows]
                    schemas.rows_to_table(schemas.CHUNK_TABLES[name], complete)
