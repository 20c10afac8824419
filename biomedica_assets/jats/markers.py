"""Panel markers in a caption: "(A)", "b-d)", "C:", bold letters, "Left panel:".

What does not belong here: which markers make up a split, and where their text ends (`subcaptions.py`); panel letters
in running text (`panels.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from biomedica_assets.jats.text import Span


class Marker(NamedTuple):
    """A panel marker: where it stands, the panels it names, and how it stands.

    ``role``: ``opens`` (its text follows), ``closes`` (its text stands before it) or ``either`` (between words).
    ``begins``: it stands where a sentence begins; ``joined``: a sign or a joining word stands before it.
    """

    start: int
    end: int
    panels: tuple[str, ...]
    role: str
    begins: bool
    joined: bool = True


_DASH = "[-‐‑–—]"
_ONE = r"[A-Za-z](?:\d|[′'])?"
_GROUP = rf"{_ONE}(?:\s*(?:,|&|and|{_DASH}|to|/)+\s*{_ONE}){{0,12}}"
_SIDE = r"(?:(?:upper|lower|top|bottom|left|right|middle|cent(?:er|re)|inset)\b)"
# "(A)", "(A, B)", "(a–c)", "[A]", "(A and B)", "(A, left)"
_BRACKETED = re.compile(rf"[(\[]\s*(?:[Pp]anels?\s)?({_GROUP})(?:,?\s+{_SIDE}[\w ]{{0,16}})?\s*[)\]](?![A-Za-z0-9])")
# "A)", "c and d)", "A, bottom)": closed but never opened
_HALF = re.compile(rf"(?<![\w(\[])({_GROUP})(?:,?\s+{_SIDE})?\)")
_JOINER = re.compile(rf"\s*(?:(?P<range>{_DASH}|to)|,|&|,?\s*and)?\s*")
_NAMED = re.compile(r"(?:In\s)?(?:[Pp]anels?|Plots?|Graphs?|Images?|Subfigures?|Parts?)\s$")
# "A, ...", "A: ...", "A. ...", "A–C, ..."
_STOPPED = re.compile(
    rf"(?<![\w(\[])(?:(?:In\s)?[Pp]anels?\s+)?({_GROUP})"
    rf"(?:(?:[,:]|\s[–—-])\s+|\.(?:\s+(?![a-z])|(?=[A-Z][a-z]{{3}})))"
)
# "(a: control, b: treated)"
_INLINE = re.compile(r"(?<![\w.])([A-Za-z]):\s(?=\S)")
_BOLD = re.compile(rf"({_GROUP})[,:.)]?")

_STOP_BEFORE = re.compile(r"(?:^|[.!?][)\]”\"]?)\s*$")
_JOINED_BEFORE = re.compile(r"(?:[;:,!?)\]—–-]|\b(?:and|or|while|whereas|followed by|as well as|versus)|&)\s*$")
_BOUND_BEFORE = re.compile(r"\b(?:of|for|in|with|from|to|by|on|at|the|an?|as|under|between|see)\s*$")
_REFERS = re.compile(r"\b(?:in|as|see|from|panels?|figs?\.?|figures?|category|lane|group)\s*$", re.IGNORECASE)
_CLOSED = re.compile(r"\s*(?:[,.;)\]]|(?:and|or)\b|$)")
_CAPITAL = re.compile(r"\s*[A-Z][a-z]{2}")
# Most captions name no panels: seen at once when there is no first one.
_A_BRACKETED = re.compile(r"(?<![A-Za-z])[Aa](?:[)\]]|[-‐‑–—,/ ][^()]{0,40}[)\]])")
_A_STOPPED = re.compile(r"(?:^|[.:!?;)]\s)(?:(?:In\s)?[Pp]anels?\s)?[Aa](?:[,:.&/-]|[‐‑–—]|\s(?:[–—-]|and|to|&))")


def _marker(text: str, blocks: frozenset[int], start: int, end: int, panels: tuple[str, ...]) -> Marker:
    """A marker with the role that the words around it give it."""
    before = text[max(0, start - 14) : start]
    begins = start in blocks or bool(_STOP_BEFORE.search(before))
    joined = not begins and bool(_JOINED_BEFORE.search(before))
    if not (begins or joined) and _CAPITAL.match(text, end) and not _BOUND_BEFORE.search(before):
        begins = True  # a stop is missing: "... in mice (B) Weight of ..."
    if begins:
        role = "opens"
    elif _CLOSED.match(text, end):
        role = "closes"
    else:
        role = "opens" if joined or text[end - 1] in ":." else "either"
    return Marker(start, end, panels, role, begins, begins or joined)


def bracketed(text: str, blocks: frozenset[int], _: list[Span]) -> list[Marker]:
    """Markers with a bracket on both sides or behind: "(A)", "(B) and (C)", "d)"."""
    if not _A_BRACKETED.search(text):
        return []
    closing = unopened(text)
    found = [(m.start(), m.end(), m[1]) for m in _BRACKETED.finditer(text)]
    if closing:
        found += [(m.start(), m.end(), m[1]) for m in _HALF.finditer(text) if m.end() - 1 in closing]
        found.sort()
    merged: list[tuple[int, int, str]] = []
    for start, end, words in found:
        joint = _JOINER.fullmatch(text, merged[-1][1], start) if merged else None
        together = f"{merged[-1][2]} {'–' if joint['range'] else ','} {words}" if joint else ""
        if joint and joint[0].strip() and panels_of(together):
            merged[-1] = (merged[-1][0], end, together)
        else:
            merged.append((start, end, words))
    markers: list[Marker] = []
    signs = ":"
    for start, end, words in merged:
        if panels := panels_of(words):
            named = _NAMED.search(text, max(0, start - 14), start)
            begins = start in blocks or _STOP_BEFORE.search(text, max(0, start - 3), start)
            if not markers and begins and text[end : end + 2] == ". ":
                signs = ":."  # "(A). Height, (B). Weight"
            if end < len(text) and text[end] in signs:
                end += 1
            markers.append(_marker(text, blocks, named.start() if named else start, end, panels))
    return markers


def stopped(text: str, blocks: frozenset[int], _: list[Span]) -> list[Marker]:
    """Letters followed by a sign where a sentence, or a part of one behind ";" or ":", begins: "A. ...", "B: ..."."""
    markers: list[Marker] = []
    if not (_A_STOPPED.search(text) or any(_STOPPED.match(text, block) for block in blocks)):
        return markers
    for match in _STOPPED.finditer(text):
        if panels := panels_of(match[1]):
            before = text[max(0, match.start() - 6) : match.start()]
            if match.start() in blocks or _STOPPED_AFTER.search(before):
                begins = not before.rstrip().endswith((";", "and", ":"))
                markers.append(Marker(match.start(), match.end(), panels, "opens", begins))
    return markers


_STOPPED_AFTER = re.compile(r"(?:^|[.:!?)]\s|;\s(?:and\s)?)$")


def inline(text: str, _: frozenset[int], __: list[Span]) -> list[Marker]:
    """Letters with a colon within brackets: "Sections (a: control, b: treated)"."""
    if "a: " not in text and "A: " not in text:
        return []
    return [
        Marker(match.start(), match.end(), (match[1].upper(),), "opens", False)
        for match in _INLINE.finditer(text)
        if text[max(0, match.start() - 2) : match.start()].rstrip().endswith(("(", ",", ";"))
    ]


def bold(text: str, blocks: frozenset[int], spans: list[Span]) -> list[Marker]:
    """Bold letters without brackets: "<bold>a</bold> Order parameter", "<bold>b</bold>, <bold>c</bold> Views"."""
    found: list[Marker] = []
    for start, end, style in spans:
        if style != "bold" or end - start > 24 or (found and start < found[-1].end):
            continue
        match = _BOLD.fullmatch(text[start:end].strip())
        panels = panels_of(match[1]) if match else ()
        if not panels or text[max(0, start - 1) : start] in ("(", "["):
            continue
        if end < len(text) and text[end] in ",.:)":
            end += 1
        if found and (joint := _JOINER.fullmatch(text, found[-1].end, start)):
            sign = "–" if joint["range"] else ","
            panels = panels_of(f"{','.join(found[-1].panels)} {sign} {panels[0]}") or panels
            start = found.pop().start
        marker = _marker(text, blocks, start, end, panels)
        if marker.role == "closes" or (marker.role == "either" and _REFERS.search(text, max(0, start - 10), start)):
            continue
        found.append(marker._replace(role="opens"))
    return found


Finder = Callable[[str, frozenset[int], list[Span]], list[Marker]]
FINDERS: tuple[Finder, ...] = (bold, bracketed, stopped, inline)
"""Each finds the markers of one form; forms are not mixed in a split."""


def refers(text: str, marker: Marker) -> bool:
    """True when the words before a marker make it a reference: "cells as in (A)"."""
    return bool(_REFERS.search(text, max(0, marker.start - 10), marker.start))


def unopened(text: str) -> frozenset[int]:
    """Offsets of closing brackets that no bracket opens."""
    found, depth = [], 0
    for match in _ROUND.finditer(text):
        if match[0] == "(":
            depth += 1
        elif depth:
            depth -= 1
        else:
            found.append(match.start())
    return frozenset(found)


_ROUND = re.compile("[()]")


@lru_cache(maxsize=4096)
def panels_of(words: str) -> tuple[str, ...]:
    """'A' -> A; 'a–c' -> A, B, C; 'A, B and D' -> A, B, D; nothing when the letters are no sequence of panels."""
    found: list[str] = []
    previous = 0
    for match in re.finditer(r"(?<![A-Za-z])[A-Za-z]\d?(?![A-Za-z])", words):
        name = match[0].upper()
        if found and re.search(rf"(?:{_DASH}|to)\s*$", words[previous : match.start()]):
            found.extend(chr(code) for code in range(ord(found[-1][0]) + 1, ord(name[0])))
        found.append(name)
        previous = match.end()
    return tuple(found) if found == sorted(set(found)) and len(found) <= 26 else ()


# ---- positions ---------------------------------------------------------------------------------------------------

_POSITION = r"(?:(?:top|upper|middle|bottom|lower)[ -])?(?:left|right|middle|cent(?:er|re))|top|upper|bottom|lower"
_PANEL = r"(?:\s(?:sub)?(?:panel|figure|graph|image|plot|row|column|part|picture)s?)"
_POSITIONS = {"UPPER": "TOP", "LOWER": "BOTTOM", "CENTER": "MIDDLE", "CENTRE": "MIDDLE"}
# "Left: ...", "Left, ...", "(Left) ...", "Right panel: ...", "The top panel shows ...", "... (left)"
_PLACED = re.compile(
    rf"(?P<open>\()?(?:[Tt]he\s)?\b(?P<at>{_POSITION})\b(?P<panel>{_PANEL})?"
    rf"(?P<sign>\)|\s?:|,|(?=\s(?:shows?|depicts?|represents?|illustrates?|displays?|highlights?|indicates?)\s))",
    re.IGNORECASE,
)
_EACH = re.compile(r"\b[Ee]ach\b[^.]*$")


def positions(text: str, blocks: frozenset[int]) -> Iterator[Marker]:
    """Places that name panels: "Left: ...", "(top) ...", "... (right)"; upper is TOP, lower BOTTOM, centre MIDDLE."""
    words = text.lower()
    if not (
        ("left" in words and "right" in words)
        or (("top" in words or "upper" in words) and ("bottom" in words or "lower" in words))
    ):
        return
    for match in _PLACED.finditer(text):
        if _EACH.search(text, max(0, match.start() - 40), match.start()):
            return
        bracketed, sign = bool(match["open"]), match["sign"].strip()
        if bracketed != (sign == ")") and not (sign == ")" and match["at"][0].isupper()):
            continue
        name = " ".join(_POSITIONS.get(word, word) for word in re.split("[ -]", match["at"].upper()))
        marker = _marker(text, blocks, match.start(), match.end(), (name,))
        if not bracketed:
            names_it = marker.begins or (marker.role == "opens" and sign in ":)") if sign else match["panel"]
            if not names_it:
                continue
            marker = marker._replace(role="opens")
        yield marker
