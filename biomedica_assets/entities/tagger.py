"""The learned tagger: linear-chain CRFs, one for each type, over the same attributes, for many sentences at once.

Belongs here: the model's file, scores, the best labels, probabilities. Does not belong here: learning (`train`), what
becomes of the spans (`offline`).

One model per type, since a corpus that annotates diseases says nothing about genes: each is learned from the corpora
that annotate its type. They share attributes, so that a token's scores for all models are one row, added up once per
distinct token. Weights are multiples of 1/32 kept as integers: sums, and so the best labels, are exact everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from biomedica_assets.entities.annotators import AnnotatorError
from biomedica_assets.entities.arrays import load_arrays
from biomedica_assets.entities.batch import Batch
from biomedica_assets.entities.features import BEGIN, END, NAME_OFFSETS, OFFSETS, attributes
from biomedica_assets.entities.vocabulary import TYPES

SHIPPED = Path(__file__).with_name("tagger.npz")
SCALE = 32
B, I, O = 0, 1, 2  # noqa: E741 - the names of the labels
LABELS = 3
_NEVER = -(1 << 24)
_MOST = 2000
_EXP = np.array([math.exp(score / SCALE) for score in range(-_MOST, _MOST + 1)])
_BLOCK = 256
"""Sentences of similar length worked on together."""


class TaggerError(AnnotatorError):
    """The tagger's file is missing or not what it should be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A span of tokens found by one model, with the probability that exactly this span is one."""

    first: int
    behind: int
    probability: float


class Tagger:
    """Weights of all models. A column is (offset, model, label) for attributes, (model, label) for names."""

    def __init__(self, arrays: dict[str, np.ndarray], sha256: str) -> None:
        self.sha256 = sha256
        self.models: tuple[str, ...] = tuple(arrays["models"].tobytes().decode().split())
        self.width = len(self.models) * LABELS
        attributes_ = arrays["attributes"].tobytes().decode().split("\n")
        self._index = {attribute: row for row, attribute in enumerate(attributes_)}
        self._first = np.concatenate([[0], np.cumsum(arrays["counts"], dtype=np.int64)])
        self._columns = arrays["columns"]
        self._weights = arrays["weights"]
        self._names = arrays["names"].astype(np.int32)
        """[NAME_OFFSETS, TYPES, CODES, model and label]"""
        self.transitions = arrays["transitions"].astype(np.int32)
        """[model, label before, label]"""
        self._edges = self._rows([BEGIN, END])[:, OFFSETS.index(0)]
        self._cache = np.zeros((0, len(OFFSETS), self.width), np.int16)

    @classmethod
    def load(cls, path: Path = SHIPPED) -> Tagger:
        """Read a model's file.

        Raises:
            TaggerError: it is missing or damaged.
        """
        return load_arrays(path, cls, "tagger", _MADE_BY, TaggerError)

    def learn_words(self, new: Sequence[str], *, anew: bool = False) -> None:
        """Scores of tokens that a table of words has new; ``anew``: of a new table."""
        if anew:
            self._cache = self._cache[:0]
        if new:
            self._cache = np.concatenate([self._cache, self._word_rows(new)])

    def _word_rows(self, words: Sequence[str]) -> np.ndarray:
        index = self._index
        lists = [[row for a in attributes(word) if (row := index.get(a)) is not None] for word in words]
        return np.clip(self._sums(lists), -(1 << 15), (1 << 15) - 1).astype(np.int16)

    def _rows(self, names: Sequence[str]) -> np.ndarray:
        return self._sums([[self._index[name]] if name in self._index else [] for name in names])

    def _sums(self, lists: Sequence[Sequence[int]]) -> np.ndarray:
        rows = np.array([row for one in lists for row in one], np.int64)
        owner = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
        counts = self._first[rows + 1] - self._first[rows]
        behind = np.cumsum(counts)
        places = np.arange(behind[-1] if len(behind) else 0) + np.repeat(self._first[rows] - behind + counts, counts)
        size = len(OFFSETS) * self.width
        cells = np.repeat(owner, counts) * size + self._columns[places]
        sums = np.bincount(cells, self._weights[places], minlength=len(lists) * size)
        return sums.astype(np.int32).reshape(len(lists), len(OFFSETS), self.width)

    def scores(self, batch: Batch) -> np.ndarray:
        """int32 [token, model, label]: what attributes and names say of each token."""
        n = len(batch.rows)
        out = np.zeros((n, self.width), np.int32)
        sentence = np.zeros(n, np.int64)
        sentence[batch.breaks[1:-1]] = 1
        sentence = np.cumsum(sentence)
        for offset in OFFSETS:
            here = slice(max(0, -offset), n - max(0, offset))
            there = slice(max(0, offset), n - max(0, -offset))
            same = (sentence[here] == sentence[there])[:, None]
            part = self._cache[batch.rows[there], OFFSETS.index(offset)]
            if offset in NAME_OFFSETS:
                names = self._names[NAME_OFFSETS.index(offset)]
                for number in range(len(TYPES)):
                    part = part + names[number, batch.codes[there, number]]
            out[here] += np.where(same, part, 0)
        if n:
            out[batch.breaks[:-1]] += self._edges[0]
            out[batch.breaks[1:] - 1] += self._edges[1]
        return out.reshape(n, len(self.models), LABELS)

    def tag(self, batch: Batch) -> tuple[dict[str, list[Tagged]], Marginals]:
        """The spans of the best labelling by model, and the means to ask for the probability of others."""
        scores = self.scores(batch)
        lengths = np.diff(batch.breaks)
        order = np.argsort(lengths, kind="stable")
        best = np.full((len(batch.rows), len(self.models)), O, np.uint8)
        marginals = Marginals(self, scores, batch.breaks)
        for begin in range(0, len(order), _BLOCK):
            block = order[begin : begin + _BLOCK]
            firsts, sizes = batch.breaks[block], lengths[block]
            steps = np.arange(int(sizes.max()))
            inside = steps < sizes[:, None]
            places = np.where(inside, firsts[:, None] + steps, 0)
            padded = scores[places]
            path = self._viterbi(padded, sizes)
            best[places[inside]] = path[inside]
            marginals.add(padded, sizes, places, inside)
        found: dict[str, list[Tagged]] = {}
        starts = np.zeros(len(batch.rows) + 1, bool)
        starts[batch.breaks] = True
        for number, model in enumerate(self.models):
            labels = best[:, number]
            firsts = np.flatnonzero(labels == B)
            spans = []
            for first in firsts.tolist():
                behind = first + 1
                while behind < len(labels) and labels[behind] == I and not starts[behind]:
                    behind += 1
                spans.append((first, behind))
            found[model] = [Tagged(f, b, marginals.of(number, f, b)) for f, b in spans]
        return found, marginals

    def _viterbi(self, scores: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        count, steps = scores.shape[:2]
        back = np.zeros((steps, count, len(self.models), LABELS), np.uint8)
        state = scores[:, 0].copy()
        state[..., I] = _NEVER
        for t in range(1, steps):
            # [sentence, model, before, label]
            options = state[..., :, None] + self.transitions
            back[t] = options.argmax(axis=2)
            moved = options.max(axis=2) + scores[:, t]
            on = (t < sizes)[:, None, None]
            state = np.where(on, moved, state)
        path = np.full((count, steps, len(self.models)), O, np.uint8)
        label = state.argmax(axis=2).astype(np.uint8)
        for t in range(steps - 1, -1, -1):
            on = (t < sizes)[:, None]
            path[:, t] = np.where(on, label, O)
            if t:
                before = np.take_along_axis(back[t], label[..., None].astype(np.int64), axis=2)[..., 0]
                label = np.where(on, before, label)
        return path


class Marginals:
    """Probability of any span under each model, from forward and backward sums of every sentence."""

    def __init__(self, tagger: Tagger, scores: np.ndarray, breaks: np.ndarray) -> None:
        self._weights = _EXP[np.clip(tagger.transitions, -_MOST, _MOST) + _MOST]
        self._scores, self._ends = scores, np.zeros(len(scores) + 1, bool)
        self._ends[breaks] = True
        # From a table, since exp of an array may differ in the last digit with the place of a number in it.
        self._exp = _EXP[np.clip(scores, -_MOST, _MOST) + _MOST]
        self._forward = np.zeros(scores.shape)
        self._backward = np.zeros(scores.shape)
        self._scaled = np.ones(scores.shape[:2])

    def add(self, padded: np.ndarray, sizes: np.ndarray, places: np.ndarray, inside: np.ndarray) -> None:
        """Sums of a block of sentences, each step scaled to 1."""
        weights, exp = self._weights, self._exp[places]
        count, steps, models = exp.shape[:3]
        forward = np.zeros(exp.shape)
        scaled = np.ones((count, steps, models))
        state = exp[:, 0].copy()
        state[..., I] = 0
        for t in range(steps):
            if t:
                state = (
                    state[..., 0, None] * weights[:, 0]
                    + state[..., 1, None] * weights[:, 1]
                    + state[..., 2, None] * weights[:, 2]
                ) * exp[:, t]
            total = state[..., 0] + state[..., 1] + state[..., 2]
            state = state / total[..., None]
            forward[:, t], scaled[:, t] = state, total
        backward = np.ones(exp.shape)
        state = np.ones((count, models, LABELS))
        for t in range(steps - 2, -1, -1):
            moved = state * exp[:, t + 1]
            moved = (
                moved[..., None, 0] * weights[..., 0]
                + moved[..., None, 1] * weights[..., 1]
                + moved[..., None, 2] * weights[..., 2]
            ) / scaled[:, t + 1, :, None]
            on = (t + 1 < sizes)[:, None, None]
            state = np.where(on, moved, 1.0)
            backward[:, t] = state
        self._forward[places[inside]] = forward[inside]
        self._backward[places[inside]] = backward[inside]
        self._scaled[places[inside]] = scaled[inside]

    def of(self, model: int, first: int, behind: int) -> float:
        """Probability that tokens ``first`` to before ``behind`` are exactly one span of the model."""
        weights = self._weights[model]
        value = self._forward[first, model, B]
        for t in range(first + 1, behind):
            before = B if t == first + 1 else I
            value *= weights[before, I] * self._exp[t, model, I] / self._scaled[t, model]
        if self._ends[behind]:
            return float(value)
        label = B if behind == first + 1 else I
        after = self._exp[behind, model] * self._backward[behind, model] / self._scaled[behind, model]
        return float(value * (weights[label, B] * after[B] + weights[label, O] * after[O]))


_MADE_BY = "python -m biomedica_assets.entities.train"


def spans_of(labels: Sequence[str]) -> list[tuple[int, int]]:
    """Spans of a list of B, I, O labels."""
    edges = [i for i, label in enumerate(labels) if label == "B"]
    out = []
    for first, limit in pairwise([*edges, len(labels)]):
        behind = first + 1
        while behind < limit and labels[behind] == "I":
            behind += 1
        out.append((first, behind))
    return out
