"""Creative Commons licences: what codes, URLs and words mean. Pure functions, no I/O.

Grouping is NLM's (https://pmc.ncbi.nlm.nih.gov/tools/openftlist/): commercial, noncommercial, other.
"Commercial" says nothing about derivatives: CC BY-ND is in it.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

GROUPS = {
    "CC0": "commercial",
    "CC BY": "commercial",
    "CC BY-SA": "commercial",
    "CC BY-ND": "commercial",
    "CC BY-NC": "noncommercial",
    "CC BY-NC-SA": "noncommercial",
    "CC BY-NC-ND": "noncommercial",
}
"""Licence group by code; every other code, and none, is "other"."""


class Licence(NamedTuple):
    """A licence read from a URL or from words: code ('CC BY-NC'), version ('4.0' or null)."""

    code: str
    version: str | None


def licence_group(code: str | None) -> str:
    """NLM's licence group of a code: commercial, noncommercial or other."""
    return GROUPS.get(normalise_code(code) or "", "other")


def normalise_code(code: str | None) -> str | None:
    """PMC's spelling of a licence code: upper case, 'CC BY-NC-ND'; unknown codes are only tidied.

    >>> normalise_code("cc-by_nc"), normalise_code("CC BY NC-ND"), normalise_code("TDM"), normalise_code("")
    ('CC BY-NC', 'CC BY-NC-ND', 'TDM', None)
    """
    tidy = " ".join((code or "").upper().split())
    if not tidy or tidy == "NONE":
        return None
    if re.fullmatch(r"CC[ -]?(0|ZERO)", tidy):
        return "CC0"
    parts = re.split(r"[ _-]+", tidy)
    if parts[0] == "CC" and parts[1:] and all(part in {"BY", "NC", "ND", "SA"} for part in parts[1:]):
        return "CC " + "-".join(parts[1:])
    return tidy


_URL = re.compile(
    r"creativecommons\.org/+(?:licen[cs]es?/+(?P<terms>[a-z-]+)|publicdomain/+(?P<zero>zero|mark))"
    r"(?:/+(?P<version>\d(?:\.\d)?))?",
    re.IGNORECASE,
)
_SHORT_TAG = re.compile(r"\b(cc0|ccby(?:nc)?(?:nd|sa)?)licen[cs]e\b", re.IGNORECASE)


def licence_from_url(url: str | None) -> Licence | None:
    """Licence named by a Creative Commons URL anywhere in the text; malformed terms ('by-ncnd') are repaired.

    Null when the text names no Creative Commons URL, or one whose terms are not a known licence.

    >>> licence_from_url("https://creativecommons.org/licenses/by-nc/4.0/")
    Licence(code='CC BY-NC', version='4.0')
    >>> licence_from_url("http://creativecommons.org/licenses/by-ncnd/3.0")
    Licence(code='CC BY-NC-ND', version='3.0')
    """
    match = _URL.search(unquote(url or ""))
    if not match:
        return None
    if match["zero"]:
        return Licence("CC0" if match["zero"].lower() == "zero" else "PUBLIC DOMAIN", match["version"])
    code = _code_from_terms(match["terms"])
    return Licence(code, match["version"]) if code else None


def licence_from_tag(tag: str | None) -> Licence | None:
    """Licence named by PMC's content-type tag, e.g. 'ccbyncndlicense' on ali:license_ref."""
    match = _SHORT_TAG.search(tag or "")
    if not match:
        return None
    word = match[1].lower()
    return Licence("CC0", None) if word == "cc0" else _licence(_code_from_terms(word[2:]), None)


def _code_from_terms(terms: str) -> str | None:
    """'by-ncnd' -> 'CC BY-NC-ND'; null unless the letters are BY and then NC, ND, SA terms, each once at most."""
    letters = re.sub(r"[^a-z]", "", terms.lower())
    match = re.fullmatch(r"by(nc)?(nd|sa)?", letters)
    if not match:
        return None
    return "CC " + "-".join(part.upper() for part in ("by", match[1], match[2]) if part)


def _licence(code: str | None, version: str | None) -> Licence | None:
    return Licence(code, version) if code else None


_WORDS = (
    (re.compile(r"\bCC0\b|public domain dedication|CC[ -]zero", re.IGNORECASE), ""),
    (re.compile(r"creative commons|\bCC[ -]BY", re.IGNORECASE), "by"),
)
_NONCOMMERCIAL = re.compile(r"non-?\s?commercial|\bBY[ -]NC\b", re.IGNORECASE)
_NO_DERIVATIVES = re.compile(r"no-?\s?deriv|\bND\b|without modification", re.IGNORECASE)
_SHARE_ALIKE = re.compile(r"share-?\s?alike|\bSA\b", re.IGNORECASE)
_VERSION = re.compile(r"\b([1-4]\.\d)\b")


def licence_from_words(text: str | None) -> Licence | None:
    """Licence described in words ("Creative Commons Attribution Non-Commercial License 4.0").

    Only text that names Creative Commons (or CC BY, CC0) counts: "open access" alone gives null.

    >>> licence_from_words("under the terms of the Creative Commons Attribution-NonCommercial License (CC BY-NC 4.0)")
    Licence(code='CC BY-NC', version='4.0')
    """
    if not text:
        return None
    zero, named = (pattern.search(text) for pattern, _ in _WORDS)
    version = _VERSION.search(text, named.start() if named else 0) if (zero or named) else None
    if zero and not re.search(r"attribution|\bCC[ -]BY", text, re.IGNORECASE):
        return Licence("CC0", version[1] if version else None)
    if not named:
        return None
    code = "CC BY"
    if _NONCOMMERCIAL.search(text):
        code += "-NC"
    if _NO_DERIVATIVES.search(text):
        code += "-ND"
    elif _SHARE_ALIKE.search(text):
        code += "-SA"
    return Licence(code, version[1] if version else None)
