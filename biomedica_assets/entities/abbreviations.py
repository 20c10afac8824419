"""Short forms that a text explains: "hepatocellular carcinoma (HCC)", or in a legend "HCC, hepatocellular carcinoma;".

Belongs here: pairs of short and long form by offsets. Does not belong here: what they mean. The matching of letters is
that of Schwartz and Hearst (2003).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BRACKET = re.compile(r"\(\s*([^\W_][^()\s;,]{0,11})\s*(?:[;,][^()]{0,60})?\)")
_LEGEND = re.compile(r"(?<![\w-])([^\W_][\w/+-]{1,11})(?:\s*[=:,]|\s+[-–—])\s+([^;,.:=()]{4,90})(?=[;,.]|$)")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Abbreviation:
    """A short form as written and where its long form stands."""

    short: str
    start: int
    end: int


def abbreviations(text: str) -> Iterator[Abbreviation]:
    """Short forms that ``text`` explains, in order of their definitions."""
    for match in _BRACKET.finditer(text):
        short = match[1]
        if _may_be_short(short):
            before = text[max(0, match.start() - 150) : match.start()].rstrip()
            offset = max(0, match.start() - 150)
            words = [m.start() for m in _WORD.finditer(before)]
            begin = words[-min(len(words), len(short) + 5, 2 * len(short))] if words else 0
            if (at := _long_form(short, before[begin:])) is not None:
                yield Abbreviation(short, offset + begin + at, offset + len(before))
    for match in _LEGEND.finditer(text):
        short, long = match[1], match[2].rstrip()
        if _may_be_short(short) and _long_form(short, long) == 0 and len(long.split()) <= len(short) + 5:
            yield Abbreviation(short, match.start(2), match.start(2) + len(long))


def _may_be_short(short: str) -> bool:
    return 2 <= len(short) <= 10 and any(c.isupper() for c in short) and sum(c.isalpha() for c in short) >= 2


def _long_form(short: str, candidate: str) -> int | None:
    """Where the long form begins: its letters must hold those of the short form, the first at a word's beginning."""
    s, c = len(short) - 1, len(candidate) - 1
    while s >= 0:
        letter = short[s].lower()
        if not letter.isalnum():
            s -= 1
            continue
        while c >= 0 and (candidate[c].lower() != letter or (s == 0 and c > 0 and candidate[c - 1].isalnum())):
            c -= 1
        if c < 0:
            return None
        s, c = s - 1, c - 1
    begin = c + 1
    long = candidate[begin:]
    if len(long) <= len(short) or short.lower() in long.lower().split():
        return None
    return begin
