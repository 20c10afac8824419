"""Creative Commons licences: what codes, URLs and words mean. Pure functions, no I/O.

Grouping is NLM's (https://pmc.ncbi.nlm.nih.gov/tools/openftlist/): commercial, noncommercial, other.
"Commercial" says nothing about derivatives: CC BY-ND is in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
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
_EITHER_WAY = re.compile(r"\bcommercial(?:ly)?,?(?: (?:and|or|as well as)|/) ?non-?\s?commercial", re.IGNORECASE)
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
    # "redistribution, commercial and non-commercial" allows both.
    if _NONCOMMERCIAL.search(_EITHER_WAY.sub(" ", text)):
        code += "-NC"
    if _NO_DERIVATIVES.search(text):
        code += "-ND"
    elif _SHARE_ALIKE.search(text):
        code += "-SA"
    return Licence(code, version[1] if version else None)


class Rule(NamedTuple):
    """One line of the rule table: ``name`` is what rows carry as licence_rule."""

    name: str
    applies_to: str
    when: str
    then: str


RULES = (
    Rule("agreed", "article", "every source that states a licence states the same one", "that licence"),
    Rule("one_source", "article", "one source alone states a licence", "that licence"),
    Rule(
        "conflict", "article", "sources state different Creative Commons licences", "the terms of all of them together"
    ),
    Rule("not_cc", "article", "a source states a licence that is not Creative Commons", "that one; group other"),
    Rule("unstated", "article", "no source states a licence", "none; group other"),
    Rule("article", "image", "the figure says nothing of its own", "the article's licence"),
    Rule("figure_agrees", "image", "the figure states the article's licence", "that licence"),
    Rule("figure_conflict", "image", "the figure states another licence", "the terms of both together"),
    Rule("notice_licence", "image", "a notice names another owner and a licence", "the terms of both together"),
    Rule("notice", "image", "a notice names another owner and no licence", "none; group other"),
)
"""How a licence is decided: what comes out never allows more than any source does. See `decide_licence`,
`image_licence`."""


class Decision(NamedTuple):
    """The licence that counts, its group, why in words, and by which of `RULES`."""

    code: str | None
    group: str
    reason: str
    rule: str


def decide_licence(stated: Mapping[str, str | None]) -> Decision:
    """The licence that counts when several sources state one: on conflict all terms, so that nothing is given away.

    Args:
        stated: licence code by source, e.g. ``{"PMC": "CC BY", "XML": "CC BY-NC"}``; null where it states none.

    >>> decide_licence({"PMC": "CC BY-ND", "XML": "CC BY-NC"})[:2]
    ('CC BY-NC-ND', 'noncommercial')
    """
    known = {source: code for source, raw in stated.items() if (code := normalise_code(raw))}
    if not known:
        return Decision(None, "other", f"no licence stated by {' or '.join(stated)}", "unstated")
    codes = set(known.values())
    foreign = sorted(codes - set(GROUPS))
    code = foreign[0] if foreign else _together(codes)
    if len(codes) == 1:
        rule = "not_cc" if foreign else "agreed" if len(known) > 1 else "one_source"
        return Decision(code, licence_group(code), f"stated by {' and '.join(known)}", rule)
    said = ", ".join(f"{name} says {known[name]}" for name in known)
    return Decision(code, licence_group(code), f"{said}: {code} counts", "not_cc" if foreign else "conflict")


def _together(codes: set[str]) -> str:
    """The licence with the terms of all; no derivatives forbids more than share alike."""
    terms = {term for code in codes for term in re.findall(r"BY|NC|ND|SA", code)}
    if not terms:
        return "CC0"
    last = next((term for term in ("ND", "SA") if term in terms), None)
    return "CC " + "-".join(term for term in ("BY", "NC" if "NC" in terms else None, last) if term)


def article_licence(pmc_code: str | None, article: Mapping[str, Any]) -> Decision:
    """The licence of an article: PMC's code, the XML's link or tag, and the words of its licence statement.

    Args:
        pmc_code: licence code as PMC serves it.
        article: columns licence_code and licence_text as parsed from the XML.
    """
    code, words = normalise_code(article.get("licence_code")), licence_from_words(article.get("licence_text"))
    stated = {"PMC": pmc_code, "the XML": code}
    if words is not None and words.code != code:
        stated["its wording"] = words.code
    return decide_licence(stated)


def image_licence(figure: Mapping[str, Any], article: Mapping[str, Any], licence: Decision) -> dict[str, str | None]:
    """Licence columns of an image: what its figure says of its own can only forbid more than the article's licence.

    Args:
        figure: the row of `figures`: licence_code, licence_version, licence_url, third_party_notice.
        article: licence_code, licence_version and licence_url as parsed from the XML.
        licence: the article's, of `article_licence`.
    """
    notice, own = figure.get("third_party_notice"), normalise_code(figure.get("licence_code"))
    named = licence_from_url(notice) or licence_from_words(notice)
    source = article
    if own:
        decision = decide_licence({"the article": licence.code, "the figure": own})
        decision = decision._replace(rule="figure_agrees" if own == licence.code else "figure_conflict")
        source = figure if decision.code == own and (own != licence.code or figure.get("licence_url")) else article
    elif named:
        decision = decide_licence({"the article": licence.code, "the notice": named.code})._replace(
            rule="notice_licence"
        )
    elif notice:
        decision = Decision(None, "other", "the figure names another owner and no licence", "notice")
    else:
        decision = licence._replace(rule="article")
    fits = decision.code is not None and normalise_code(source.get("licence_code")) == decision.code
    return {
        "licence_code": decision.code,
        "licence_version": source.get("licence_version") if fits else None,
        "licence_url": source.get("licence_url") if fits else None,
        "licence_group": decision.group,
        "licence_rule": decision.rule,
        "licence_reason": decision.reason,
        "third_party_notice": notice,
    }


def to_markdown() -> str:
    """`docs/licences.md`: the rule table."""
    lines = [
        "# Licences",
        "",
        "Made from `biomedica_assets/licences.py` by `python -m biomedica_assets.licences > docs/licences.md`.",
        "",
        "Every article and image carries `licence_code`, `licence_group`, `licence_rule` (below) and `licence_reason`",
        "(the sources in words). What comes out never allows more than any of the sources does; PMC's code, the XML's",
        "link or tag, and the words of the statement count alike. Groups are NLM's: commercial (CC0, CC BY, CC BY-SA,",
        "CC BY-ND), noncommercial (the CC BY-NC licences), other. A notice removes no image, it sets its group.",
        "",
        "| rule | of an | when | licence |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{rule.name}` | {rule.applies_to} | {rule.when} | {rule.then} |" for rule in RULES]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(to_markdown(), end="")
