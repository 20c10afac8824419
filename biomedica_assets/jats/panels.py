"""Panel letters after a figure's number: "2B,C", "5b-d", "Fig. 1(a)", "3</xref>B-F, H", "Fig 1 (a and b)".

What does not belong here: which figure is meant (`mentions.py`) and panels in captions (`captions.py`).

Inside a link single letters are panels; behind it they are only where they can hardly be words: glued to the number,
in brackets, after "panel", or a list of letters. Panels are upper case; ranges are expanded ("B-F" is B, C, D, E, F).
"""

from __future__ import annotations

import re
from typing import NamedTuple

_DASH = "[-‐‑‒–—−]"
# One panel: a letter, perhaps with a small number, primes or a roman sub-panel; not the start of a word.
# ("a-iii": roman numerals are parts of a panel, not panels).
_NO_NAME = r"(?!S\d|(?:i{2,3}|i[vx]|vi{1,3})(?![A-Za-z]))"
_PLAIN = rf"{_NO_NAME}[A-Za-z](?:(?:iii|ii|iv|vi|v|i)(?![A-Za-z]))?['′’″*]{{0,2}}(?![A-Za-z0-9])"
_NUMBERED = r"(?!S\d)[A-Za-z]\d{1,2}(?![\d.])['′’″*]{0,2}(?![A-Za-z0-9])"
_ONE = rf"(?:{_PLAIN}|{_NUMBERED})"
_END = rf"(?![A-Za-z0-9]|{_DASH}[A-Za-z]{{2}})"
_LETTER = re.compile(r"([A-Za-z])(\d{1,2})?")

_SEPARATOR = rf"\s*(?:{_DASH}|/|,\s*and\b|,\s*or\b|,?\s*&|\band\b|\bor\b|\bto\b|\bthrough\b|\+|,|;)\s*"
_ITEM = rf"(?:\(\s*{_ONE}\s*\)|{_ONE})"
_PLAIN_ITEM = rf"(?:\(\s*{_PLAIN}\s*\)|{_PLAIN})"
_GLUED = r"(?:[A-Z]{2,4}|[a-z]{2,4})(?![A-Za-z])"
_GLUED_LIST = re.compile(_GLUED)
# Letters with numbers are panels when the first one has a number too ("6A1, B1"; but "2A, P1": a primer).
_LIST = re.compile(
    rf"{_PLAIN_ITEM}(?:{_SEPARATOR}(?:panels?\s*)?{_PLAIN_ITEM})*|{_ITEM}(?:{_SEPARATOR}(?:panels?\s*)?{_ITEM})*"
)
_LEADS = (
    re.compile(r"[\s,:.;–-]*(?:\(?\s*[Pp]anels?\s*)?"),
    re.compile(r"[\s,:.;–-]*\(\s*"),
)


class Panels(NamedTuple):
    """Panels read at a place: letters in upper case, and where their text ends."""

    letters: list[str]
    end: int


def panels_inside(text: str, start: int, end: int) -> Panels | None:
    """Panels right after a number that ends at ``start``, inside a link that ends at ``end``."""
    for pattern in _LEADS:
        lead = pattern.match(text, start, end)
        match = _LIST.match(text, lead.end(), end) if lead else None
        if match:
            return Panels(_letters(match[0]), match.end())
    glued = _GLUED_LIST.match(text, start, end)
    if glued and _ascending(glued[0]):
        return Panels(list(glued[0].upper()), glued.end())
    return None


_BEHIND_BRACKET = re.compile(rf"\s*[(\[]\s*(?:[Pp]anels?\s*)?({_PLAIN_ITEM}(?:{_SEPARATOR}{_PLAIN_ITEM})*)\s*[)\]]")
_BEHIND_PANEL = re.compile(rf",?\s*\(?\s*[Pp]anels?\s+({_ITEM}(?:{_SEPARATOR}{_ITEM})*){_END}\)?")
_BEHIND_GLUED = re.compile(rf"{_DASH}?({_ONE}){_END}")
_BEHIND_SPACED = re.compile(rf"(?:[,:]\s+({_PLAIN})|\s+({_ONE})){_END}")
_MORE = re.compile(rf"(?P<separator>{_SEPARATOR})(?:panels?\s*)?(?P<item>{_ITEM}){_END}")
_CLOSED = re.compile(r"\s*(?:[,;:)\]]|\.(?:\s+[A-Z(]|\s*$)|$)|\s+(?:and|or|are|were|is|was|shows?)\b")
_NO_PANEL = re.compile(r"\s*[=<>≤≥±]|\.\s*[a-z]")
"""What follows a statistic ("p < 0.05") or a genus ("E. coli")."""


def panels_behind(text: str, start: int, limit: int, inside: Panels | None = None) -> Panels | None:
    """Panels in the text behind a link that ends at ``start``, no further than ``limit`` (the next link).

    ``inside``: the panels that the link itself names up to its end; then only a continuation counts
    ("<xref>2A</xref>, B and D"). Null when there are none.
    """
    if start >= limit:
        return None
    if inside:
        more = _continue(text, inside.letters, start, limit)
        return more if more.end > start else None
    if not _MAYBE_PANELS.match(text, start, limit):
        return None
    for pattern in (_BEHIND_BRACKET, _BEHIND_PANEL):
        match = pattern.match(text, start, limit)
        if match:
            return Panels(_letters(match[1]), match.end())
    match = _BEHIND_GLUED.match(text, start, limit)
    if match:
        return _continue(text, _letters(match[1]), match.end(), limit)
    capitals = _CAPITALS.match(text, start, limit)
    if capitals and _ascending(capitals[0]):
        return _continue(text, list(capitals[0]), capitals.end(), limit)
    match = _BEHIND_SPACED.match(text, start, limit)
    if not match or _NO_PANEL.match(text, match.end()):
        return None
    letter = match[1] or match[2]
    panels = _continue(text, _letters(letter), match.end(), limit)
    closers = ")];," if letter[0].isupper() else ")]"
    if panels.end == match.end() and (match.end() == len(text) or text[match.end()] not in closers):
        return None  # one letter alone: a word ("Figure 3 A patient") more often than a panel
    return panels


_MAYBE_PANELS = re.compile(
    rf"\s*[,:]?\s*(?:[(\[]\s*(?:[Pp]anel|[A-Za-z](?![a-z]{{2}})|\()|\(?\s*[Pp]anel|{_DASH}?[A-Za-z](?![a-z]))|[A-Z]{{2,4}}(?![A-Za-z0-9])"
)
_CAPITALS = re.compile(r"[A-Z]{2,4}(?![A-Za-z0-9])")


def _continue(text: str, letters: list[str], end: int, limit: int) -> Panels:
    """Go on over ", C and E-G" as long as each piece is a panel of the same case and hardly a word."""
    upper = _is_upper(text, end)
    while True:
        match = _MORE.match(text, end, limit)
        if not match or _NO_PANEL.match(text, match.end()):
            break
        item, separator = match["item"].strip("( )"), match["separator"].strip()
        closed = bool(_CLOSED.match(text, match.end()) or _MORE.match(text, match.end(), limit))
        ascending = (item[0].upper(), item[1:]) > (letters[-1][0], letters[-1][1:])
        next_letter = separator == "," and item.upper() == chr(ord(letters[-1][0]) + 1) != "I"  # "1e, f indicates"
        if item[0].isupper() != upper or not (closed or next_letter or (ascending and separator not in (",", ";"))):
            break
        if item[-1].isdigit() and not any(len(letter) > 1 for letter in letters):
            break
        if not ascending and item in ("a", "A", "I"):
            break
        letters = [*letters[:-1], *_letters(f"{letters[-1]} {separator} {item}")]
        end = match.end()
    return Panels(list(dict.fromkeys(letters)), end)


_REPEATED = re.compile(rf"(?P<separator>{_SEPARATOR})(?P<number>[A-Z]{{0,2}}\d{{1,3}})(?P<item>{_ITEM}){_END}")


def panels_repeated(text: str, number: str, letters: list[str], start: int, limit: int) -> Panels:
    """Go on over panels that repeat the figure's number: "<xref>Figures 2C</xref>–2E", "5B, 5C, and 5E"."""
    panels = Panels(letters, start)
    while (match := _REPEATED.match(text, panels.end, limit)) and match["number"] == number:
        letters = [*panels.letters[:-1], *_letters(f"{panels.letters[-1]} {match['separator']} {match['item']}")]
        panels = _continue(text, letters, match.end(), limit)
    return panels


def _is_upper(text: str, end: int) -> bool:
    """Case of the last letter before an offset."""
    return next((c.isupper() for c in reversed(text[max(0, end - 6) : end]) if c.isalpha()), True)


def _ascending(letters: str) -> bool:
    return list(letters) == sorted(set(letters)) and letters.lower() not in ("iv", "ix")


_RANGE_SIGN = re.compile(rf"\s*\)?\s*(?:{_DASH}|to|through)\s*(?:panels?\s*)?\(?\s*$")


def _letters(text: str) -> list[str]:
    """'A, C–E' -> A, C, D, E; 'a1,b2' -> A1, B2; each panel once, in the order written."""
    found: list[str] = []
    previous_end = 0
    for match in re.finditer(_ONE, text):
        letter = _LETTER.match(match[0])
        if letter is None:
            continue
        if match.start() and text[match.start() - 1].isalpha():
            continue
        name = (letter[1] + (letter[2] or "")).upper()
        if found and _RANGE_SIGN.match(text[previous_end : match.start()]):
            found.extend(panels_between(found[-1], name))
        found.append(name)
        previous_end = match.end()
    return list(dict.fromkeys(found))


def panels_between(first: str, last: str) -> list[str]:
    """Panels strictly between two: A, D -> B, C; A1, A3 -> A2."""
    if first[0] == last[0] and first[1:] and last[1:]:
        return [f"{first[0]}{n}" for n in range(int(first[1:]) + 1, int(last[1:]))]
    if len(first) == len(last) == 1 and first < last:
        return [chr(code) for code in range(ord(first) + 1, ord(last))]
    return []
