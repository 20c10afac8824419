"""Latin names that neither vocabulary nor tagger knows: a shortened genus or a known one, and a Latin word behind it.

Belongs here: the form of such names. Captions are full of them ("M. oryzae"), the corpora of abstracts are not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from biomedica_assets.entities.words import fold

PROBABILITY = 0.9
"""That of such names; of 20 in the captions of the development half 19 are species."""
LEAST = 0.0002, 0.05
"""What the tagger must give a shortened name at least: with a Latin ending, with another."""

_GENUS = re.compile(r"[A-Z][a-z]?$")
_ENDING = re.compile(r"[a-z]{2,}(?:us|um|is|ae|i|a|ax|ix|ex|es|on|or|ens|ans)$")
_ENGLISH = re.compile(
    r".*(?:tion|sion|ion|son|osis|asis|ysis|data|area|basis|axis|plasma|serum|medium|media|bacteria|area|idea|factor|or|on|ta|"
    r"oma|via|extra|status|versus|thus|locus|focus|virus|fungus|this|pelvis|uterus|thymus|fetus|spectrum|maximum|minimum)$"
)


def looks_latin(word: str) -> bool:
    """Whether a small word may be the second part of a species' name.

    >>> [looks_latin(word) for word in ("oryzae", "vulneris", "organs", "region", "data")]
    [True, True, False, False, False]
    """
    return len(word) > 3 and bool(_ENDING.match(word)) and not _ENGLISH.match(word) and fold(word) == word


def shortened(words: Sequence[str], starts: np.ndarray, ends: np.ndarray) -> Iterator[tuple[int, int]]:
    """Tokens of every "M. oryzae" and "Ae. aegypti", whatever its ending."""
    for dot in (i for i, word in enumerate(words) if word == "." and 0 < i < len(words) - 1):
        word = words[dot + 1]
        if (
            _GENUS.match(words[dot - 1])
            and ends[dot - 1] == starts[dot]
            and 0 <= starts[dot + 1] - ends[dot] <= 1
            and len(word) > 3
            and word.isalpha()
            and word.islower()
        ):
            yield dot - 1, dot + 2


def extended(
    words: Sequence[str], genera: Collection[tuple[int, int]], starts: np.ndarray, ends: np.ndarray
) -> Iterator[tuple[int, int]]:
    """Tokens of a known genus, a capitalised word, and the Latin word behind it."""
    for first, behind in genera:
        if behind - first == 1 and behind < len(words) and words[first].istitle() and len(words[first]) > 3:
            near = starts[behind] - ends[first] == 1
            if near and words[behind].isalpha() and words[behind].islower() and looks_latin(words[behind]):
                yield first, behind + 1
