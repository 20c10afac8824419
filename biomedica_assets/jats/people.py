"""Authors: names in every form, ORCID iDs, affiliations by reference and in line.

What does not belong here: editors, reviewers and other contributors, who are in no table.
"""

from __future__ import annotations

import re

from biomedica_assets.jats.document import Element
from biomedica_assets.jats.text import Inline, collapse, plain
from biomedica_assets.schemas import Row

_ORCID = re.compile(r"(\d{4})-?(\d{4})-?(\d{4})-?(\d{3}[\dXx])(?!\d)")
_NOT_AFFILIATION_TEXT = ("label", "sup", "institution-id", "email", "xref", "fn", "phone", "fax")


def read_authors(meta: Element) -> list[Row]:
    """Authors of ``article-meta`` in order.

    A contributor counts as an author unless its own, or its group's, type says otherwise. ``collective`` is true for
    a group's name (``collab``); the members listed within a group are not repeated as authors.
    """
    affiliations: dict[str, str] = {}
    for child in meta:
        if child.tag == "aff":
            _keep_affiliation(child, affiliations)
        elif child.tag in ("contrib-group", "aff-alternatives"):
            for aff in child.iter("aff"):
                _keep_affiliation(aff, affiliations)
    authors: list[Row] = []
    linked = any(x.get("ref-type") == "aff" for g in meta if g.tag == "contrib-group" for x in g.iter("xref"))
    unlinked = [] if linked else [text for aff in meta if aff.tag == "aff" and (text := affiliation_text(aff))]
    for group in meta:
        if group.tag != "contrib-group":
            continue
        group_type = group.get("content-type") or ""
        # Affiliations that no contributor links to are everybody's.
        own = [text for aff in group if aff.tag == "aff" and (text := affiliation_text(aff))]
        shared = (own or unlinked) if not linked else []
        for contrib in group:
            if contrib.tag == "contrib" and (contrib.get("contrib-type") or _type_of(group_type)) in _AUTHOR_TYPES:
                author = _author(contrib, affiliations, shared)
                if author:
                    authors.append(author)
            elif contrib.tag == "collab":
                name = _collab_name(contrib)
                if name:
                    authors.append(_row(name, collective=True))
    return authors


_AUTHOR_TYPES = frozenset(("author", "collab", "on-behalf-of", "group", "authors"))


def _type_of(group_type: str) -> str:
    return "editor" if re.search("edit|review|transl", group_type, re.IGNORECASE) else "author"


def _row(
    name: str,
    surname: str | None = None,
    given_names: str | None = None,
    orcid: str | None = None,
    collective: bool = False,
    affiliations: list[str] | None = None,
) -> Row:
    return {
        "name": name,
        "surname": surname,
        "given_names": given_names,
        "orcid": orcid,
        "collective": collective,
        "affiliations": affiliations or [],
    }


def _author(contrib: Element, known: dict[str, str], shared: list[str]) -> Row | None:
    name: Element | None = None
    collab: str | None = None
    anonymous = False
    orcid: str | None = None
    own: list[str] = []
    for child in contrib:
        tag = child.tag
        if tag in ("name", "string-name"):
            name = child if name is None else name
        elif tag == "name-alternatives":
            name = _best_name(child) if name is None else name
        elif tag in ("collab", "on-behalf-of"):
            collab = collab or _collab_name(child)
        elif tag == "collab-alternatives":
            collab = collab or next((_collab_name(c) for c in child.iter("collab")), None)
        elif tag == "anonymous":
            anonymous = True
        elif tag == "contrib-id" or tag in ("uri", "ext-link"):
            orcid = orcid or _orcid(child)
        elif tag == "xref":
            if child.get("ref-type") in ("aff", None):
                for rid in (child.get("rid") or "").split():
                    if rid in known:
                        own.append(known[rid])
        elif tag in ("aff", "aff-alternatives"):
            aff = child if tag == "aff" else next(child.iter("aff"), None)
            text = affiliation_text(aff) if aff is not None else None
            if text:
                own.append(text)
    affiliations = list(dict.fromkeys(own)) or shared
    if name is not None:
        surname, given, full = _name_parts(name)
        if full:
            return _row(full, surname, given, orcid, False, affiliations)
    if collab:
        return _row(collab, orcid=orcid, collective=True, affiliations=affiliations)
    return _row("Anonymous", affiliations=affiliations) if anonymous else None


def _best_name(alternatives: Element) -> Element | None:
    """Of a name in several scripts the Western one, else the first."""
    names = [child for child in alternatives if child.tag in ("name", "string-name")]
    return next((n for n in names if n.get("name-style") in ("western", None)), names[0] if names else None)


def _name_parts(name: Element) -> tuple[str | None, str | None, str | None]:
    parts: dict[str, str] = {}
    for child in name:
        text = plain(child) if isinstance(child.tag, str) else None
        if text:
            parts.setdefault(child.tag, text)
    surname, given = parts.get("surname"), parts.get("given-names")
    if not surname and not given:
        return None, None, plain(name)
    eastern = name.get("name-style") == "eastern"
    order = (surname, given) if eastern else (parts.get("prefix"), given, surname, parts.get("suffix"))
    return surname, given, " ".join(filter(None, order))


def _collab_name(collab: Element) -> str | None:
    """A group's name, without the list of its members."""
    for child in collab:
        if child.tag in ("institution", "named-content") and not (collab.text or "").strip():
            return plain(child)
    out = Inline([], flat=True)
    if collab.text:
        out.parts.append(collab.text)
    for child in collab:
        if child.tag not in ("contrib-group", "xref", "aff", "fn", "email", "contrib-id", "address"):
            out.add(child)
        if child.tail:
            out.parts.append(child.tail)
    return out.finish().strip(" ,;") or None


def _orcid(element: Element) -> str | None:
    kind = element.get("contrib-id-type") or element.get("content-type") or ""
    text = "".join(element.itertext()) or ""
    href = next((value for name, value in element.items() if name.endswith("href")), "")
    if "orcid" not in f"{kind} {text} {href}".lower():
        return None
    return orcid_of(text) or orcid_of(href)


def orcid_of(text: str) -> str | None:
    """The bare iD in any way of writing it.

    >>> orcid_of("http://orcid.org/0000-0002-1825-009x"), orcid_of("0000000218250097")
    ('0000-0002-1825-009X', '0000-0002-1825-0097')
    """
    match = _ORCID.search(text)
    return "-".join(match.groups()).upper() if match else None


def _keep_affiliation(aff: Element, affiliations: dict[str, str]) -> None:
    key, text = aff.get("id"), affiliation_text(aff)
    parent = aff.getparent()
    if text:
        if key:
            affiliations.setdefault(key, text)
        if parent is not None and parent.tag == "aff-alternatives" and parent.get("id"):
            affiliations.setdefault(parent.get("id"), text)


_REPEATED_SIGN = re.compile(r"(?:[,;]\s*){2,}")
_SPACED_SIGN = re.compile(r"\s+([,;.])")


def affiliation_text(aff: Element) -> str | None:
    """An affiliation in words, without its label, identifiers and e-mail addresses."""
    whole = next((i for i in aff.iterchildren("institution") if i.get("content-type") == "original"), None)
    if whole is not None and (text := plain(whole)):
        return text.strip(" ,;") or None  # SciELO: the line as printed, beside its parts
    parts: list[str] = []
    _affiliation(aff, parts)
    text = collapse("".join(parts))
    if ", ," in text or ",," in text or ";" in text or " ," in text or " ." in text:
        text = _SPACED_SIGN.sub(r"\1", _REPEATED_SIGN.sub(", ", text))
    return text.strip(" ,;") or None


def _affiliation(element: Element, parts: list[str]) -> None:
    if element.text:
        parts.append(element.text)
    previous = False
    for child in element:
        if isinstance(child.tag, str) and (child.tag not in _NOT_AFFILIATION_TEXT or _is_word(child)):
            if previous:
                last = next((words for part in reversed(parts) if (words := part.rstrip())), ",")
                if not last.endswith((",", ";", "(", ":", "–", "-")):
                    parts.append(", ")
            _affiliation(child, parts)
            tail = child.tail or ""
            # Elements side by side without any text between them are set off by commas.
            previous = not tail.strip() and child.tag in _ADDRESS_PARTS
        else:
            tail = child.tail or ""
        parts.append(tail)


_ADDRESS_PARTS = frozenset(
    ("institution", "institution-wrap", "addr-line", "city", "state", "country", "postal-code", "named-content")
)


def _is_word(element: Element) -> bool:
    """A superscript that is part of the words ("2<sup>nd</sup>"), not the affiliation's number."""
    if element.tag != "sup":
        return False
    previous = element.getprevious()
    before = (element.getparent().text if previous is None else previous.tail) or ""
    return bool(before.strip())
