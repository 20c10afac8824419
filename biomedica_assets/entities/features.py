"""What the tagger sees in a token; training and tagging must see the same.

Belongs here: the attributes of a token by itself and of its place in names of the vocabulary. Does not belong here:
their weights (`tagger`), how they are learned (`train`).
"""

from __future__ import annotations

import re

from biomedica_assets.entities.words import fold, plain

OFFSETS = (-2, -1, 0, 1, 2)
NAME_OFFSETS = (-1, 0, 1)
BEGIN, END = "<begin>", "<end>"
"""Attributes of the first and the last token of a sentence."""

_ROMAN = re.compile(r"[IVX]{1,4}$")
_RUNS = re.compile(r"(.)\1+")


def shape(word: str) -> str:
    """Capitals as A, small letters as a, digits as 0, other letters as x, marks as they are."""
    return "".join(
        "0" if c.isdigit() else "A" if c.isupper() else "a" if c.islower() else "x" if c.isalpha() else c for c in word
    )


def attributes(word: str) -> list[str]:
    """Attributes of a token by itself, seen at the token; those up to the mark ``near`` are seen beside it too."""
    low = plain(word).lower()
    full = shape(word)
    short = _RUNS.sub(r"\1", full)
    out = [f"w={low}", f"x={short}", f"3={low[-3:]}"]
    if not word[0].isalnum():
        return out[:2]
    folded = fold(word)
    if folded != low:
        out.append(f"f={folded}")
    out += [f"s={full[:8]}", f"n={min(len(word), 9)}"]
    out += [f"p{n}={low[:n]}" for n in (2, 3, 4, 5) if len(low) > n]
    out += [f"e{n}={low[-n:]}" for n in (1, 2, 4, 5, 6) if len(low) > n]
    if _ROMAN.match(word):
        out.append("roman")
    if low != word.lower():
        out.append("greek")
    if len(low) > 6:
        out += [f"c={low[i : i + 4]}" for i in range(1, len(low) - 4)]
    return out


def seen_at(attribute: str, offset: int) -> bool:
    """Whether an attribute of the token at this distance is looked at."""
    if offset == 0:
        return True
    if offset in (-1, 1):
        return attribute[:2] in ("w=", "x=", "3=", "f=")
    return attribute[:2] in ("w=", "x=")
