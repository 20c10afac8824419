"""Words of texts: tokens with offsets, folded spellings, hashes that join, sentences.

Belongs here: everything that reading a text and reading a vocabulary must do alike. Does not belong here: what a word
means (`vocabulary`), what the tagger sees in it (`features`).

The hash of a name is that of its characters without spaces, hyphens and other marks: ``TNF-alpha``, ``TNF alpha`` and
``TNFα`` are one name. It is a polynomial in the characters, so that the hash of several tokens follows from theirs by
one multiplication and one addition each, for all places of a batch at once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TOKEN = re.compile(r"['’]s\b|[^\W_]+|[^\w\s]|_")
"""A possessive s, a run of letters and digits, or one mark."""

WORD, JOINER, INNER, BARRIER = 0, 1, 2, 3
"""Kinds of token: letters and digits; hyphens and apostrophes; marks within names; what no name goes beyond."""
_JOINERS = frozenset("-‐‑‒–−'’`´′″\"“”")
_INNER = frozenset(",.()[]{}+*:")

_BASE = 0x9E3779B97F4A7C15 | 1
_MASK = (1 << 64) - 1
EXACT = 0x5851F42D4C957F2D
"""Mixed into the hashes of spellings whose case counts."""
HASH_BITS = 40

_GREEK = {
    **dict(
        zip(
            "αβγδεζηθικλμνξοπρστυφχψω",
            re.findall(
                r"[\w-]+",
                "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma "
                "tau upsilon phi chi psi omega",
            ),
            strict=True,
        )
    ),
    "ς": "sigma",
    "ϕ": "phi",
    "ϵ": "epsilon",
    "ß": "beta",  # what a keyboard without Greek has
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "ł": "l",
}
_UNSPLIT = re.compile(
    r"(?:\b(?:figs?|refs?|vs|al|e\.g|i\.e|cf|approx|no|nos|resp|dr|st|eq|eqs|tab|suppl|var|subsp|spp?|ca|etc)|\b[A-Z])\.$",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?][)\]\"”’]?\s+(?=[A-Z0-9(\[“\"])|\n+")
LONGEST = 160
"""Tokens in one sentence; longer ones are cut, so that memory stays bounded."""


def plain(word: str) -> str:
    """Without accents and ligatures, Greek letters spelled out; the case stays."""
    if word.isascii():
        return word
    flat = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    out = []
    for c in flat:
        name = _GREEK.get(c.lower())
        out.append(c if name is None else name.capitalize() if c.isupper() and c.lower() not in "æœøłß" else name)
    return "".join(out)


def fold(word: str) -> str:
    """A word as free spellings compare it: plain, lower case, singular.

    >>> [fold(word) for word in ("Tumours", "Cells", "Mitosis", "Arteries", "α")]
    ['tumor', 'cell', 'mitosis', 'artery', 'alpha']
    """
    low = plain(word).lower()
    if len(low) > 3 and low.isalpha():
        if low.endswith("ies") and len(low) > 5:
            low = low[:-3] + "y"
        elif low.endswith("s") and low[-2] not in "siu":
            low = low[:-1]
    if len(low) > 5:
        low = low.replace("tumour", "tumor").replace("aemia", "emia").replace("haem", "hem").replace("oedema", "edema")
    return low


def exact(word: str) -> str:
    """A word as symbols compare it: plain, case kept, without the plural s behind a capital or digit (TLRs, miRNAs)."""
    word = plain(word)
    if len(word) > 2 and word[-1] == "s" and (word[-2].isupper() or word[-2].isdigit()):
        return word[:-1]
    return word


def kind_of(token: str) -> int:
    """WORD, JOINER, INNER or BARRIER."""
    if token[0].isalnum():
        return WORD
    if len(token) > 1 or token in _JOINERS:  # the possessive s is longer
        return JOINER
    return INNER if token in _INNER else BARRIER


def spelled(name: str, *, free: bool) -> str:
    """What stands for a name: its words, folded (free) or with their case, run together."""
    change = fold if free else exact
    return "".join(change(token) for token in TOKEN.findall(name) if kind_of(token) == WORD)


def polynomial(text: str) -> tuple[int, int]:
    """Hash of the characters, and the factor by which joining them moves what stands before."""
    value, factor = 0, 1
    for byte in text.encode("utf-8", "surrogatepass"):
        value = (value * _BASE + byte + 1) & _MASK
        factor = (factor * _BASE) & _MASK
    return value, factor


def finish(values: np.ndarray) -> np.ndarray:
    """Spread polynomial hashes (uint64) evenly and cut them to HASH_BITS bits: the finalizer of splitmix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (values ^ (values >> np.uint64(31))) >> np.uint64(64 - HASH_BITS)


def hash_of(spelling: str, *, free: bool) -> int:
    """The finished hash of one spelling, see `spelled`."""
    value = np.array([polynomial(spelling)[0]], np.uint64)
    return int(finish(value if free else value ^ np.uint64(EXACT))[0])


@dataclass(frozen=True)
class Tokens:
    """The tokens of one text."""

    text: str
    words: list[str]
    starts: list[int]
    ends: list[int]
    breaks: list[int]
    """Numbers of tokens at which a sentence begins; the first is 0, unless there is none."""


def read(text: str) -> Tokens:
    """Tokens and sentences of a text; a sentence has LONGEST tokens at most."""
    words: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in TOKEN.finditer(text):
        words.append(match[0])
        start, end = match.span()
        starts.append(start)
        ends.append(end)
    cuts = [
        m.end()
        for m in _SENTENCE.finditer(text)
        if "\n" in m[0] or not _UNSPLIT.search(text[max(0, m.start() - 8) : m.start() + 1])
    ]
    breaks: list[int] = []
    cut = iter(cuts)
    following = next(cut, None)
    for number, start in enumerate(starts):
        new = not breaks
        while following is not None and start >= following:
            new, following = True, next(cut, None)
        if new or number - breaks[-1] >= LONGEST:
            breaks.append(number)
    return Tokens(text, words, starts, ends, breaks)


class WordTable:
    """What is known of every distinct token seen: kind, hashes, marks that matter; one row each, see `rows`."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self.kind = np.zeros(0, np.uint8)
        self.hashes = np.zeros((0, 4), np.uint64)
        """Per token: free value and factor, exact value and factor (see `polynomial`)."""
        self.marks = np.zeros((0, 4), bool)
        """Per token: one after which a space may follow within a name; a dot; one capital; begins small."""

    def rows(self, words: Sequence[str]) -> tuple[np.ndarray, list[str]]:
        """Rows of tokens, and those tokens that are new, in the order of their rows."""
        index = self._index
        try:
            return np.array([index[word] for word in words], np.int64), []
        except KeyError:
            new = [word for word in dict.fromkeys(words) if word not in index]
        index.update(zip(new, range(len(index), len(index) + len(new)), strict=True))
        kinds, hashes, marks = [], [], []
        for word in new:
            kind = kind_of(word)
            kinds.append(kind)
            hashes.append((*polynomial(fold(word)), *polynomial(exact(word))) if kind == WORD else (0, 1, 0, 1))
            single = len(word) == 1
            marks.append(
                (
                    word == "+" or (kind == JOINER and not single),
                    word == ".",
                    single and word.isupper(),
                    word[0].islower(),
                )
            )
        self.kind = np.concatenate([self.kind, np.array(kinds, np.uint8)])
        self.hashes = np.concatenate([self.hashes, np.array(hashes, np.uint64).reshape(-1, 4)])
        self.marks = np.concatenate([self.marks, np.array(marks, bool).reshape(-1, 4)])
        return np.array([index[word] for word in words], np.int64), new

    def __len__(self) -> int:
        return len(self._index)


def joins(
    table: WordTable, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray, breaks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each token of a batch, whether a name may go on to the next one: in free spelling, and as a symbol.

    Within free names there are spaces between words, marks only where no space stands beside them; within symbols
    hyphens alone (IL-6). A space may follow a possessive s, a charge (CD4+ T cell) and a shortened genus (E. coli).

    Args:
        table: knows the tokens.
        rows: of the tokens in ``table``.
        starts, ends: offsets of the tokens.
        breaks: numbers of the tokens at which sentences begin.
    """
    kind, marks = table.kind[rows], table.marks[rows]
    free = np.zeros(len(rows), bool)
    symbol = np.zeros(len(rows), bool)
    if len(rows) < 2:
        return free, symbol
    here, after = kind[:-1], kind[1:]
    glued = ends[:-1] == starts[1:]
    genus = np.zeros(len(rows) - 1, bool)
    genus[1:] = marks[1:-1, 1] & marks[:-2, 2] & marks[2:, 3]
    spaced = (after == WORD) & ((here == WORD) | marks[:-1, 0] | genus)
    free[:-1] = (here != BARRIER) & (after != BARRIER) & (glued | spaced)
    symbol[:-1] = glued & (here <= JOINER) & (after <= JOINER)
    free[breaks[1:] - 1] = symbol[breaks[1:] - 1] = False
    return free, symbol
