"""A batch of texts read at once: tokens, sentences, names of the vocabulary in them.

Belongs here: what tagger and linking both start from, and training too. Does not belong here: what is made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from biomedica_assets.entities.vocabulary import TYPES, Vocabulary
from biomedica_assets.entities.words import Tokens, WordTable, joins, read

CODES = 9
"""0: in no name; 1-4: first, inner, last, only token of a free name; 5-8: the same of a symbol."""
FIRST, INNER, LAST, ONLY = 1, 2, 3, 4
_MOST_WORDS = 100_000
"""Distinct tokens remembered at most; rows are then numbered anew."""


@dataclass(frozen=True)
class Batch:
    """Texts with their tokens in one row; all numbers count tokens of the whole batch."""

    texts: Sequence[str]
    tokens: list[Tokens]
    first: np.ndarray
    """int64 per text: its first token; one more at the end."""
    rows: np.ndarray
    """int64 per token: row in the table of words."""
    starts: np.ndarray
    ends: np.ndarray
    breaks: np.ndarray
    """int64: tokens at which sentences begin, and the number of tokens."""
    names: dict[str, list[tuple[int, int, int]]]
    """Per type: first token, token behind, number of the name; the longest from the left, none overlapping."""
    codes: np.ndarray
    """uint8 per token and type, see CODES."""


class Reader:
    """Reads batches; remembers words. Results do not depend on what was read before."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.table = WordTable()

    def forget(self) -> bool:
        """Begin a new table of words when the old one has grown too long; whether that was so."""
        if len(self.table) < _MOST_WORDS:
            return False
        self.table = WordTable()
        return True

    def read(self, texts: Sequence[str]) -> tuple[Batch, list[str]]:
        """A batch, and the tokens that are new in the table of words, in the order of their rows."""
        tokens = [read(text) for text in texts]
        words = [word for one in tokens for word in one.words]
        rows, new = self.table.rows(words)
        first = np.cumsum([0, *(len(one.words) for one in tokens)])
        starts = np.array([s for one in tokens for s in one.starts], np.int64)
        ends = np.array([e for one in tokens for e in one.ends], np.int64)
        breaks = np.array(
            [b + f for one, f in zip(tokens, first, strict=False) for b in one.breaks] + [len(rows)], np.int64
        )
        free, symbol = joins(self.table, rows, starts, ends, breaks[:-1])
        hits = self.vocabulary.find(self.table, rows, free, symbol)
        names, codes = self._longest(hits, len(rows))
        return Batch(texts, tokens, first, rows, starts, ends, breaks, names, codes), new

    def _longest(self, hits: np.ndarray, length: int) -> tuple[dict[str, list[tuple[int, int, int]]], np.ndarray]:
        codes = np.zeros((length, len(TYPES)), np.uint8)
        names: dict[str, list[tuple[int, int, int]]] = {}
        if not len(hits):
            return names, codes
        masks = self.vocabulary.type_masks[hits[:, 2]]
        symbols = self.vocabulary.symbols[hits[:, 2]]
        for number, kind in enumerate(TYPES):
            of_type = np.flatnonzero(masks & (1 << number))
            behind_last = -1
            kept: list[tuple[int, int, int]] = []
            own = hits[of_type]
            order = np.lexsort((-own[:, 1], own[:, 0]))
            column = codes[:, number]
            for (first, behind, name), symbol in zip(
                own[order].tolist(), symbols[of_type][order].tolist(), strict=True
            ):
                if first < behind_last:
                    continue
                behind_last = behind
                kept.append((first, behind, name))
                shift = 4 if symbol else 0
                if behind - first == 1:
                    column[first] = ONLY + shift
                else:
                    column[first + 1 : behind - 1] = INNER + shift
                    column[first], column[behind - 1] = FIRST + shift, LAST + shift
            if kept:
                names[kind] = kept
        return names, codes
