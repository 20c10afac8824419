"""Permissions of an article or a figure: copyright, licence (from links, tags or words), third-party notices.

What does not belong here: what licence codes and URLs mean (`biomedica_assets.licences`).
"""

from __future__ import annotations

import re

from biomedica_assets.jats.document import Element, href_of, local_name
from biomedica_assets.jats.text import Inline, plain
from biomedica_assets.licences import Licence, licence_from_tag, licence_from_url, licence_from_words
from biomedica_assets.schemas import Row


def read_permissions(elements: list[Element]) -> Row:
    """Copyright and licence of ``permissions`` elements (or, in NLM 2.x, of what stands in ``article-meta`` itself).

    Returns the columns copyright, licence_code, licence_version, licence_url, licence_text, licence_reason; the
    code is taken from the first of: a link, PMC's tag on ``ali:license_ref``, the words of the statement.
    """
    copyrights: list[str] = []
    urls: list[str] = []
    tags: list[str] = []
    words: list[str] = []
    for element in elements:
        for child in element.iter():
            name = local_name(child)
            if name == "copyright-statement":
                _append(copyrights, plain(child))
            elif name in ("license", "licence"):
                _append(urls, href_of(child))
                _append(tags, child.get("license-type"))
                _append(words, _words(child))
            elif name == "license_ref":
                _append(urls, plain(child))
                _append(tags, child.get("content-type"))
            elif name in ("ext-link", "uri"):
                _append(urls, href_of(child))
                _append(urls, plain(child))
        if not copyrights:
            year, holder = (plain(c) if c is not None else None for c in _year_and_holder(element))
            text = " ".join(filter(None, (year, holder)))
            _append(copyrights, f"© {text}" if text and "©" not in text else text)
    licence, url, reason = _decide(urls, tags, words, copyrights)
    return {
        "copyright": " ".join(copyrights) or None,
        "licence_code": licence.code if licence else None,
        "licence_version": licence.version if licence else None,
        "licence_url": url,
        "licence_text": " ".join(words) or None,
        "licence_reason": reason,
    }


def own_permissions(elements: list[Element]) -> Row:
    """A figure's own permissions: the same, with all their words in the column permissions."""
    row = read_permissions(elements)
    text = " ".join(filter(None, (plain_permissions(element) for element in elements)))
    return {
        "permissions": text or None,
        "copyright": row["copyright"],
        "licence_code": row["licence_code"],
        "licence_version": row["licence_version"],
        "licence_url": row["licence_url"],
    }


def plain_permissions(element: Element) -> str | None:
    """All statements of a permissions element, one after the other."""
    return " ".join(filter(None, map(_words, element))) or None


def _words(element: Element) -> str | None:
    """The words of a licence or another statement, without the bare URL of ``ali:license_ref``."""
    if element.tag not in ("license", "licence"):
        return None if local_name(element) == "license_ref" else plain(element)
    out = Inline([], flat=True)
    out.parts.append(element.text or "")
    for child in element:
        if local_name(child) != "license_ref":
            out.add(child)
        out.parts.append(child.tail or "")
    return out.finish() or None


def _append(found: list[str], value: str | None) -> None:
    if value and value not in found:
        found.append(value)


def _year_and_holder(element: Element) -> tuple[Element | None, Element | None]:
    return element.find("copyright-year"), element.find("copyright-holder")


def _decide(
    urls: list[str], tags: list[str], words: list[str], copyrights: list[str]
) -> tuple[Licence | None, str | None, str]:
    for url in urls:
        licence = licence_from_url(url)
        if licence:
            return licence, url, "licence URL in the XML"
    first = next((url for url in urls if re.match(r"https?://", url)), None)
    for tag in tags:
        licence = licence_from_tag(tag)
        if licence:
            return licence, first, "licence tag in the XML"
    for text in (*words, *copyrights):
        licence = licence_from_url(text)
        if licence:
            return licence, first, "licence URL in the words of the XML"
        licence = licence_from_words(text)
        if licence:
            return licence, first, "words of the licence statement"
    return None, first, "the XML states no Creative Commons licence" if words or urls else "the XML states no licence"


_NOTICE_HINTS = (
    "ermission",
    "dapted",
    "eproduced",
    "eprinted",
    "odified",
    "ourtesy",
    "©",
    "opyright",
    "edrawn",
    "aken from",
    "btained from",
    "daptad",
    "odificad",
    "omad",
    "roduzid",
    "roducid",
    "uente:",
    "onte:",
    "icense",
    "redit",
    "ource:",
)
_NOTICE = re.compile(
    r"\b(?:adapted|reproduced|reprinted|modified|redrawn|taken|obtained|borrowed|republished|reused|used)\b"
    r"[^.;]{0,60}?\b(?:with (?:the )?(?:kind )?permission|by permission|under (?:a |the )?(?:CC|Creative|licen[cs]e))"
    r"|\b(?:adapted|reproduced|reprinted|modified|redrawn|republished)(?: (?:and \w+|in part|with \w+|figure))? "
    r"(?:from|after)\b"
    r"|\b(?:taken|obtained|sourced|borrowed) from (?:the )?(?:work of )?(?:refs?\b|references?\b|"
    r"(?:(?:van|von|der?|den|d[aiou]|l[ae]|el|al) ){0,2}(?-i:[A-Z])[^\W\d_][\w’'-]*"
    r"(?:,? et al|,? (?:and|&) (?-i:[A-Z])\w+,? [(\[]?\d|,? \(?(?:19|20)\d\d|,? \[\d))"
    r"|\b(?:figure|image|picture|photo(?:graph)?|panel|data|map)s?\b[^.;]{0,30}\b(?:taken|used|obtained|sourced) from\b"
    r"(?=[^.;]{0,50}(?:https?:|www\.|website|database|repository|archive|viewer|atlas|museum|internet|"
    r"\b(?:Google|Wiki\w+|NASA|GEO|TCGA|NCBI|Flickr|Shutterstock|BioRender)\b))"
    r"|\b(?:adaptad|modificad|tomad|reproduzid|reproducid)[oa]s? (?:de|del|do|da|por)\b"
    r"|\b(?:with|by) (?:the )?(?:kind )?permission\b|\bpermission (?:from|of)\b|\bcourtesy of\b|©|\bcopyright\b"
    r"|\b(?:image|photo(?:graph)?|picture|figure) credits?\b|\bcredits?:|\bphoto(?:graph)? by\b"
    r"|\b(?:Source|Fuente|Fonte):(?!\s*(?:(?:the|our|l?[oa]s) )?(?:own|authors?|autor\w*|elabora\w+|pr[óo]pri\w)\b)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?:\s+(?=[A-Z(\[])|\s*$)")


def third_party_notice(*texts: str | None) -> str | None:
    """Sentences that say that a figure comes from, or belongs to, somebody else; null when none do.

    >>> third_party_notice("Map of sites. Adapted from Smith et al. (2010) with permission. Bars: 1 km.")
    'Adapted from Smith et al. (2010) with permission.'
    """
    found: list[str] = []
    for text in texts:
        if text and _may_be_notice(text):
            for sentence in _sentences(text):
                if _NOTICE.search(sentence):
                    _append(found, sentence)
    return " ".join(found) or None


def _may_be_notice(text: str) -> bool:
    for hint in _NOTICE_HINTS:
        position = text.find(hint)
        # Words of a notice stand close together: a window around each hint is enough to search.
        while position >= 0:
            if _NOTICE.search(text, max(0, position - 80), position + 80):
                return True
            position = text.find(hint, position + 1)
    return False


_ABBREVIATION = re.compile(r"\b(?:et al|Fig|Figs|Ref|Refs|Dr|vol|no|e\.g|i\.e|cf|approx|[A-Z])\.$")


def _sentences(text: str) -> list[str]:
    sentences: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if not _ABBREVIATION.search(text, max(start, match.start() - 10), match.start() + 1):
            sentences.append(text[start : match.end()].strip())
            start = match.end()
    rest = text[start:].strip()
    return [*sentences, rest] if rest else sentences
