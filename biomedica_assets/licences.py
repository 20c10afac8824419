"""Creative Commons licences: what codes, URLs and words mean. Pure functions, no I/O.

Grouping is NLM's (https://pmc.ncbi.nlm.nih.gov/tools/openftlist/): commercial, noncommercial, other.
"Commercial" says nothing about derivatives: CC BY-ND is in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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


_ZERO = re.compile(r"\bCC0\b|public domain dedication|CC[ -]zero", re.IGNORECASE)
_NAMED = re.compile(r"creative commons|\bCC[ -]BY", re.IGNORECASE)
_BY = re.compile(r"attribution|\bCC[ -]BY", re.IGNORECASE)
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
    zero, named = _ZERO.search(text), _NAMED.search(text)
    version = _VERSION.search(text, named.start() if named else 0) if (zero or named) else None
    if zero and not _BY.search(text):
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


_STRICTNESS = ("CC0", "CC BY", "CC BY-SA", "CC BY-ND", "CC BY-NC", "CC BY-NC-SA", "CC BY-NC-ND")


class Decision(NamedTuple):
    """The licence that counts, its group, and why."""

    code: str | None
    group: str
    reason: str


def decide_licence(stated: Mapping[str, str | None]) -> Decision:
    """The licence that counts when several sources state one: on conflict the stricter, so that nothing is given away.

    Args:
        stated: licence code by source, e.g. ``{"PMC": "CC BY", "XML": "CC BY-NC"}``; null where it states none.

    >>> decide_licence({"PMC": "CC BY", "XML": "CC BY-NC"}).code
    'CC BY-NC'
    """
    known = {source: code for source, raw in stated.items() if (code := normalise_code(raw))}
    if not known:
        return Decision(None, "other", f"no licence stated by {' or '.join(stated)}")
    source = max(known, key=lambda name: _strictness(known[name]))
    code = known[source]
    if len(set(known.values())) == 1:
        reason = f"stated by {' and '.join(known)}"
    else:
        conflict = ", ".join(f"{name} says {known[name]}" for name in known)
        reason = f"{conflict}: the stricter counts"
    return Decision(code, licence_group(code), reason)


def _strictness(code: str) -> int:
    return _STRICTNESS.index(code) if code in _STRICTNESS else len(_STRICTNESS)
