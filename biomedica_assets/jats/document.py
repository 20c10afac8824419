"""Bytes of an XML file to article elements: wrappers, namespaces, named entities, damaged and hostile input.

What does not belong here: anything about the content of an article.

Nothing outside the bytes is ever read: no DTD, no external entity, no network. Entities that a document declares
for itself are not expanded either (billion laughs); names of the HTML and MathML (ISO) sets are known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from html.entities import html5
from threading import local
from typing import Any

from lxml import etree

Element = Any
"""An lxml element; lxml ships no usable types."""

MATHML = "{http://www.w3.org/1998/Math/MathML}"
XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class NotAnArticle(ValueError):  # noqa: N818
    """The bytes hold no JATS article: another kind of XML, an error page, an empty file."""


class MalformedXML(NotAnArticle):
    """The bytes are damaged beyond recovery: not even a piece of an article can be read."""


class TooDeep(NotAnArticle):
    """Elements are nested deeper than any article's (some hundred levels): refused, not guessed at."""


@dataclass(slots=True)
class Document:
    """One parsed file: the name of its root, its article elements, and what was wrong with it (class, message).

    ``references``: the bytes of the references that were not parsed (see `_without_references`).
    """

    root: str
    articles: list[Element]
    problems: list[tuple[str, str]] = field(default_factory=list)
    references: bytes = b""


_OPTIONS: dict[str, Any] = {
    "resolve_entities": False,
    "load_dtd": False,
    "no_network": True,
    "dtd_validation": False,
    "attribute_defaults": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}
_THREAD = local()


def _strict_parser() -> etree.XMLParser:
    """This thread's parser: threads that share one wait for each other, and a new one costs 25 microseconds."""
    parser = getattr(_THREAD, "parser", None)
    if parser is None:
        parser = _THREAD.parser = etree.XMLParser(**_OPTIONS)
    return parser


def read_document(data: bytes) -> Document:
    """Parse the bytes of one file; damaged XML is repaired or recovered as far as possible, and that is recorded.

    Raises:
        MalformedXML: nothing of an article could be recovered.
        NotAnArticle: the XML holds no ``article`` element.
    """
    problems: list[tuple[str, str]] = []
    root, references = _parse(data, problems)
    name = local_name(root)
    articles = [root] if name == "article" else list(_outermost_articles(root))
    if not articles:
        message = f"no article element; the root is {name!r}"
        raise MalformedXML(message) if problems and not len(root) else NotAnArticle(message)
    for article in articles:
        _strip_namespace(article)
    if _NAMED_ENTITY.search(data):
        _resolve_entity_nodes(root, problems)
    return Document(name, articles, problems, references)


def local_name(element: Element) -> str:
    """Tag without its namespace; comments and processing instructions have none ('')."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def child_of(element: Element, tag: str) -> Element | None:
    """First child of that name (lxml's own ``find`` interprets a path, which costs four times as much)."""
    return next(element.iterchildren(tag), None)


def href_of(element: Element) -> str | None:
    """``xlink:href``, whatever prefix or lack of one the file uses; null when absent or blank."""
    value = element.get(XLINK_HREF)
    if value is None:
        for name, other in element.items():
            if name.rpartition("}")[2].rpartition(":")[2] == "href":
                value = other
                break
    return value.strip() or None if value else None


def texts(element: Element) -> str:
    """All text below an element, white space collapsed; for short fields without markup of interest."""
    if not len(element):
        return " ".join((element.text or "").split())
    return " ".join("".join(element.itertext()).split())


def _parse(data: bytes, problems: list[tuple[str, str]]) -> tuple[Element, bytes]:
    """Root element, and the references that it lacks."""
    if not data or data.isspace():
        raise MalformedXML("the file is empty")
    article, references = _without_references(data)
    if references:
        with suppress(etree.XMLSyntaxError):
            return etree.fromstring(article, _strict_parser()), references
    return _parse_whole(data, problems), b""


def _without_references(data: bytes) -> tuple[bytes, bytes]:
    """The file with its (last) reference list's references left as empty elements, and the bytes left out.

    References are counted, never read, and make up half of an article's elements: not to parse them saves a quarter
    of the time of the parse, the search for them included. All are parsed where anything but references stands among
    them, or where one does not end in its citation: notes and figures in reference lists are read.
    """
    end = data.rfind(b"</ref-list>")
    start = data.rfind(b"<ref-list", 0, end) if end > 0 else -1
    first = data.find(b"<ref ", start, end) if start > 0 else -1
    last = data.rfind(b"</ref>", first, end) if first > 0 else -1
    if last < 0:
        return data, b""
    references = data[first:last]
    if b"!" in references and b"<!" in references:
        return data, b""  # a comment or CDATA, in which tags are no tags
    pieces = references.split(b"</ref>")
    for piece in pieces:
        whole = piece.lstrip().startswith(b"<ref ") and piece.rstrip().endswith(b"citation>")
        if not whole or piece.count(b"<ref ") > 1:
            return data, b""
    return b"".join((data[:first], b"<ref/>" * len(pieces), data[last + len(b"</ref>") :])), references


def _parse_whole(data: bytes, problems: list[tuple[str, str]]) -> Element:
    try:
        return etree.fromstring(data, _strict_parser())
    except etree.XMLSyntaxError as error:
        first = str(error)
    repaired = _repair(data)
    if repaired != data:
        try:
            root = etree.fromstring(repaired, _strict_parser())
            kind = "UndefinedEntity" if "Entity" in first else "MalformedXML"
            problems.append((kind, f"read after repair; a strict parser says: {first}"))
            return root
        except etree.XMLSyntaxError as error:
            first = str(error)
    root = None
    # Wherever a parser that is lenient may meet them, in what merely looks like a DOCTYPE say.
    repaired = _REFERENCE.sub(lambda match: _replace_reference(match[0]), repaired)
    with suppress(etree.XMLSyntaxError):
        root = etree.fromstring(repaired, etree.XMLParser(recover=True, **_OPTIONS))
    if root is None:
        raise MalformedXML(f"nothing could be recovered; a strict parser says: {first}")
    problems.append(("MalformedXML", f"recovered in part; a strict parser says: {first}"))
    return root


_MARKUP_OR_ENTITY = re.compile(
    rb"<!\[CDATA\[.*?\]\]>|<!--.*?-->|<\?.*?\?>|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>"
    rb"|&([A-Za-z][A-Za-z0-9.]*|#x?[0-9A-Fa-f]+);",
    re.DOTALL,
)
_NAMED_ENTITY = re.compile(rb"&(?!#|amp;|lt;|gt;|quot;|apos;)")
_XML_ENTITIES = {b"amp", b"lt", b"gt", b"quot", b"apos"}
_NO_CHARACTERS = {0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD}
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_CONTROLS = bytes(c for c in range(32) if c not in (9, 10, 13))
_UTF8_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*encoding=["'](?!utf-?8)""", re.IGNORECASE)


def _repair(data: bytes) -> bytes:
    """Known named entities as character references; without bad UTF-8, leading blanks and what no XML may hold."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = _DECLARATION.sub("", data.decode("utf-16", "replace")).encode("utf-8", "replace")
    elif b"\x00" in data[:4]:
        return data  # UTF-32, or UTF-16 that does not say so: byte-wise repair does not apply
    data = data.lstrip().translate(None, _CONTROLS)
    if not _UTF8_DECLARED.match(data):
        data = data.decode("utf-8", "replace").translate(_NO_CHARACTERS).encode()
    return _MARKUP_OR_ENTITY.sub(_replace_entity, data)


def _replace_entity(match: re.Match[bytes]) -> bytes:
    name = match[1]
    if name is None or name in _XML_ENTITIES:
        return match[0]
    if name[:1] == b"#":
        return _replace_reference(match[0])
    value = named_entity(name.decode())
    return match[0] if value is None else value.encode("ascii", "xmlcharrefreplace")


_REFERENCE = re.compile(rb"&#x?[0-9A-Fa-f]+;?")


def _replace_reference(reference: bytes) -> bytes:
    """A reference to what is no character (XML 1.0, production Char) as one to U+FFFD.

    A lenient parser keeps "&#xD800;", and then the text that holds it cannot be read at all.
    """
    digits = reference[2:].rstrip(b";")
    try:
        code = int(digits[1:], 16) if digits[:1] == b"x" else int(digits.lstrip(b"0")[:9] or b"0")
    except ValueError:  # "&#A;"
        return reference
    good = 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code < 0x110000 or code in (9, 10, 13)
    return reference if good else b"&#xFFFD;"


def named_entity(name: str) -> str | None:
    """Characters of an HTML or MathML (ISO) entity name; null when the name is not known.

    >>> named_entity("alpha"), named_entity("ast"), named_entity("nonsense")
    ('α', '*', None)
    """
    return html5.get(name + ";")


def _resolve_entity_nodes(root: Element, problems: list[tuple[str, str]]) -> None:
    """Replace entity nodes (names the file declares, or leaves to its DTD) by text; unknown ones by nothing."""
    for node in list(root.iter(etree.Entity)):
        name = node.name
        value = named_entity(name)
        if value is None:
            problems.append(("UndefinedEntity", f"entity {name!r} is not expanded: its text is left out"))
        # Entity nodes cannot be removed without their tail: both become text of what precedes.
        text = (value or "") + (node.tail or "")
        previous, parent = node.getprevious(), node.getparent()
        if previous is not None:
            previous.tail = (previous.tail or "") + text
        else:
            parent.text = (parent.text or "") + text
        node.tail = None
        parent.remove(node)


def _outermost_articles(element: Element) -> Iterator[Element]:
    for child in element:
        if local_name(child) == "article":
            yield child
        elif len(child):
            yield from _outermost_articles(child)


def _strip_namespace(article: Element) -> None:
    """Give the elements of a namespaced article (OAI-PMH) their bare JATS names."""
    namespace, brace, _ = article.tag.rpartition("}")
    if brace:
        skip = len(namespace) + 1
        for element in list(article.iter(namespace + "}*")):
            element.tag = element.tag[skip:]
