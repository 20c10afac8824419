"""The words of a reference ("Figs 1–4", "Figure 3H–J & 5C", "S6–11"): the numbers they name, lists and ranges.

What does not belong here: which figures are meant (`mentions.py`), panel letters (`panels.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from biomedica_assets.jats.labels import DASHES
from biomedica_assets.jats.panels import Panels, panels_inside

NUMBER = re.compile(r"(?<![A-Za-z0-9.])(?P<prefix>[A-Z]{1,3}\.?)?(?P<number>\d{1,3})(?!\d|\.\d)")
_RANGE = re.compile(
    rf"\s*\)?\s*(?:[{DASHES}]+|to|through|thru|until|bis)\s*(?:figs?\.?\s*|figures?\s*)?", re.IGNORECASE
)
_LIST = re.compile(r"\s*\)?\s*(?:,|;|&|/|\+|and|or|,\s*and|e|y|et|und)\s*(?:figs?\.?\s*|figures?\s*)?", re.IGNORECASE)


_PLURAL = re.compile(r"(?:fig|figure|figura|scheme|plate|video|movie|image)s\b", re.IGNORECASE)
_PLURAL_BEFORE = re.compile(
    rf"(?:{_PLURAL.pattern})\.?(?:[\s,;&(){DASHES}]+|and\b|to\b|[A-Z]?\d{{1,3}}[A-Za-z]?(?![A-Za-z\d]))*+$",
    re.IGNORECASE,
)
_CLOSED = re.compile(r"\s*(?:[;:)\]]|[.,](?!\d)|$)")
_DIMENSIONS = re.compile(r"[23]D\s+[a-z]")


def is_plural(text: str, start: int) -> bool:
    """True when a number, or the name of a figure, at ``start`` stands behind "Figs", with numbers between at most."""
    return bool(_PLURAL.match(text, start) or _PLURAL_BEFORE.search(text[max(0, start - 60) : start]))


def may_be_listed(text: str, start: int, end: int, sign: str, plural: bool) -> bool:
    """True when a number behind a figure's is hardly a count: "Fig. 1, 2.", "Figs 1 and 2 show"; not "Fig. 1, 2 mg".

    ``sign``: what stands before the number; ``end``: behind its panels.
    """
    if _CLOSED.match(text, end):
        return True
    if _DIMENSIONS.match(text, start):
        return False
    return text[end - 1].isalpha() or (plural and sign.strip() != ",")


@dataclass(slots=True)
class Mention:
    """One figure at one place of a block; offsets into the block's text."""

    figure_id: str
    start: int
    end: int
    panels: list[str] = field(default_factory=list)
    expanded: bool = False
    kind: str = "xref"
    rid: str | None = None


class Item(NamedTuple):
    """One number in a reference: letters before it ('S'), offsets (panels included), panels behind it."""

    prefix: str
    number: int
    start: int
    end: int
    panels: list[str]

    def fits(self, series: str) -> bool:
        """True when the letters before the number are those of the series ("S1" and 'figure s')."""
        last = series.rsplit(" ", 1)[-1]
        return last == self.prefix.lower() if self.prefix else len(last) > 2 or last.endswith("-")


class Surface(NamedTuple):
    """The words of one link, read. ``panels``: letters when there is no number. ``open``: more may follow behind."""

    text: str
    items: tuple[Item, ...]
    panels: list[str]
    open: bool
    unclosed: bool
    last_panels: Panels | None

    def pairs(self) -> Iterator[tuple[Item, Item, str]]:
        """Neighbouring numbers written as a range or a list, with which it is."""
        for a, b in pairwise(self.items):
            gap = self.text[a.end : b.start]
            if _RANGE.fullmatch(gap):
                if b.number - a.number <= 50:
                    yield a, b, "range"
            elif _LIST.fullmatch(gap):
                yield a, b, "list"

    def is_range(self, first: Item, second: Item) -> bool:
        """True when a range sign stands between two items."""
        return bool(_RANGE.fullmatch(self.text, first.end, second.start))

    def spans(self, number: int) -> bool:
        """True when a number lies inside a written range."""
        return any(sign == "range" and a.number < number < b.number for a, b, sign in self.pairs())


@lru_cache(maxsize=8192)
def read_surface(text: str, series: str | None) -> Surface:
    """Read the words of a link. ``series`` is that of the figure linked: numbers in its name are passed over."""
    position = 0
    if series and (compound := _compound_head(series)):
        match = compound.search(text)
        position = match.end() if match else 0
    items: list[Item] = []
    last: Panels | None = None
    while match := NUMBER.search(text, position):
        last = panels_inside(text, match.end(), len(text))
        position = last.end if last else match.end()
        prefix = (match["prefix"] or "").rstrip(".")
        items.append(Item(prefix, int(match["number"]), match.start(), position, last.letters if last else []))
    bare: Panels | None = None
    if not items:
        bare = last = panels_inside(text, 0, len(text))
        position = last.end if last else len(text) if text.strip(" .").isalpha() else -1
    rest = text[position:].strip(" ") if position >= 0 else "?"
    unclosed = text.count("(") > text.count(")")
    return Surface(text, tuple(items), bare.letters if bare else [], not rest, unclosed, last)


@lru_cache(maxsize=1024)
def _compound_head(series: str) -> re.Pattern[str] | None:
    """How the name of a series with a number in it is written ("Figure 1—figure supplement", "Figure 7-")."""
    if not any(character.isdigit() for character in series):
        return None
    words = re.escape(series).replace("figure", r"fig(?:ure)?s?\.?").replace(r"\ ", r"\s*")
    words = words.replace(r"\-", rf"\s*[{DASHES}]+\s*").replace("supplement", "supplements?")
    return re.compile(words + r"s?\s*", re.IGNORECASE)
