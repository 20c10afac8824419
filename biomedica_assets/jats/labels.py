"""Labels of figures ("Fig. 2", "Figure S1", "Figure 1—figure supplement 2", "Figures 1–3."): series and number.

A series is what counts on its own: the figures, the schemes, the supplementary figures, the supplements of figure 1.
References in the text are resolved, and written ranges filled, within one series only, never across.
What does not belong here: reading references out of running text (`mentions.py`) and panel letters (`panels.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

DASHES = "-‐‑‒–—―−"


class Label(NamedTuple):
    """A parsed label: series ('figure', 'figure s', 'figure 1-figure supplement'), numbers covered, letter ('a')."""

    series: str
    first: int
    last: int
    letter: str


_FIGURE_WORD = re.compile(
    r"\b(?:figures?|figs?|fgs?|figuras?|figurs?|figuren|abb(?:ildung(?:en)?)?|obr|rys|ris|рис(?:унок)?|图)\b\.?",
    re.IGNORECASE,
)
_SUPPLEMENTARY = re.compile(r"\b(?:supplement(?:ary|al)?|suppl?|supporting(?: information)?)\b\.?", re.IGNORECASE)
_NUMBER_FIRST = re.compile(r"^\s*(S?)(\d+)\s*\.?\s+((?:Figs?|Figures?|Tables?|Schemes?|Videos?)\.?)$", re.IGNORECASE)
_LAST_NUMBER = re.compile(
    rf"^(?P<head>.*?)(?P<first>\d+)(?P<letter>[A-Za-z]?)(?:\s*(?:[{DASHES}]|to|and|&)\s*(?P<last>\d+))?$", re.DOTALL
)
_ROMAN = re.compile(r"^(?P<head>.*\s)(?P<roman>[IVX]{1,5})$")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}
_PLURAL = re.compile(r"\b(scheme|plate|video|table|chart|image|supplement|movie|box|graph|map|photo)s\b")


@lru_cache(maxsize=4096)
def parse_label(label: str | None) -> Label | None:
    """Series and number of a label; null when it has no number.

    >>> parse_label("Fig. 2"), parse_label("Figure S1."), parse_label("S1 Fig")
    (Label(series='figure', first=2, last=2, letter=''), Label(series='figure s', first=1, last=1, letter=''), \
Label(series='figure s', first=1, last=1, letter=''))
    >>> parse_label("Figures 1–3."), parse_label("Figure 1a.")
    (Label(series='figure', first=1, last=3, letter=''), Label(series='figure', first=1, last=1, letter='a'))
    """
    if not label:
        return None
    text = label.strip(" .:|;,)]" + DASHES)
    swapped = _NUMBER_FIRST.match(text)
    if swapped:
        text = f"{swapped[3]} {swapped[1]}{swapped[2]}"
    match = _LAST_NUMBER.match(text)
    if match:
        head, first, letter = match["head"], int(match["first"][:9]), match["letter"].lower()
        last = int(match["last"][:9]) if match["last"] else first
        plural = bool(re.search(r"(?:s|ures)\.?\s*$", head))
        if match["last"] and (not plural or not first < last <= first + 50):
            # "Figure 7-1": a number within chapter 7, not a range.
            head, first, last = text[: match.start("last")], int(match["last"][:9]), int(match["last"][:9])
            letter = ""
        return Label(series_name(head), first, last, letter)
    roman = _ROMAN.match(text)
    if roman:
        value = _roman(roman["roman"])
        return Label(series_name(roman["head"]), value, value, "")
    return None


@lru_cache(maxsize=4096)
def series_name(head: str) -> str:
    """What stands before the number, in one spelling: 'Supplementary Fig. S' -> 'figure s', 'Figs.' -> 'figure'."""
    text = re.sub(rf"[{DASHES}]", "-", _FIGURE_WORD.sub("figure", head)).lower().strip()
    supplementary = _SUPPLEMENTARY.match(text)
    if supplementary:
        text = text[supplementary.end() :].strip()
        text = text if text.endswith(" s") else text + " s"
    text = re.sub(r"[\s.:,()\[\]]+", " ", text).strip()
    return re.sub(r"\s*-\s*", "-", _PLURAL.sub(r"\1", text))


def _roman(text: str) -> int:
    total = 0
    for i, letter in enumerate(text):
        value = _ROMAN_VALUES[letter]
        total += -value if any(_ROMAN_VALUES[after] > value for after in text[i + 1 :]) else value
    return total


_NAME = re.compile(r"[^\W\d_]{2,}(?:\s+[^\W\d_]{2,})*")


@dataclass(slots=True)
class LabelIndex:
    """The labelled figures of one article or sub-article, by series and number."""

    _series: dict[str, dict[tuple[int, str], list[str]]] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)

    def add(self, figure_id: str, label: Label, written: str) -> None:
        """Register a figure under every number its label covers; ``written`` is the label's text."""
        numbers = self._series.setdefault(label.series, {})
        for number in range(label.first, label.last + 1):
            numbers.setdefault((number, label.letter), []).append(figure_id)
        name = _NAME.search(written)
        if name:
            self.words.add(name[0])

    def find(self, series: str, number: int, letter: str = "") -> str | None:
        """The one figure of that series, number and letter; null when there is none or more than one."""
        found = self._series.get(series, {}).get((number, letter.lower()))
        return found[0] if found and len(found) == 1 else None

    def between(self, series: str, first: tuple[int, str], last: tuple[int, str]) -> list[str]:
        """Figures of the series strictly between two (number, letter) keys, in order, each once."""
        numbers = self._series.get(series, {})
        inside = sorted(key for key in numbers if first < key < last)
        return list(dict.fromkeys(figure for key in inside for figure in numbers[key]))
