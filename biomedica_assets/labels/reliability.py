"""How much each annotator's word is worth, and how probable a label is given who said it and who did not.

The model of Dawid and Skene (Applied Statistics 28, 1979) for yes and no: every annotator has a sensitivity and a
specificity, every label a prevalence, and the truth is what is not observed; EM estimates all of them from the votes
alone. Sensitivity and specificity are shared by the labels of an axis, since most labels are too rare for their own.
The library for this, crowd-kit, would bring transformers, nltk and pandas along (250 MB) for these few lines; a test
compares with its results. What does not belong here: majorities, ties and who counts (`consensus`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ITERATIONS = 200
TOLERANCE = 1e-7
_EPSILON = 1e-9


@dataclass(frozen=True)
class Beliefs:
    """What is believed before any vote, as if so many votes (yes, no) had been seen.

    Sensitivity 0.9 from 10 votes, specificity 0.98 from 50, prevalence a half from one: with few votes these speak,
    with many they do not.
    """

    sensitivity: tuple[float, float] = (9.0, 1.0)
    specificity: tuple[float, float] = (49.0, 1.0)
    prevalence: tuple[float, float] = (0.5, 0.5)


NO_BELIEFS = Beliefs((0, 0), (0, 0), (0, 0))


@dataclass(frozen=True)
class Reliability:
    """``probability`` per item; ``sensitivity`` and ``specificity`` per annotator; ``prevalence`` per label."""

    probability: np.ndarray
    sensitivity: np.ndarray
    specificity: np.ndarray
    prevalence: np.ndarray
    iterations: int


def estimate(
    said: np.ndarray, label: np.ndarray, asked: np.ndarray, unsaid: np.ndarray, beliefs: Beliefs | None = None
) -> Reliability:
    """Fit the model. An item is a (target, label) that at least one annotator gave; all others are taken as untrue.

    Args:
        said: int8 [items, annotators]: 1 gave the label, 0 answered without it, -1 did not answer.
        label: int [items], which label an item is about.
        asked: int [labels], targets that anybody answered: what prevalence refers to.
        unsaid: int [annotators], (target, label) pairs that the annotator answered and that are no item, as nobody
            gave the label there.
        beliefs: what is believed before; `Beliefs` by default.
    """
    beliefs = beliefs or Beliefs()
    yes, no = (said == 1).astype(float), (said == 0).astype(float)
    probability = yes.sum(1) / np.maximum(yes.sum(1) + no.sum(1), 1)
    iterations = 0
    while True:
        sensitivity = _rate(probability @ yes, probability @ no, beliefs.sensitivity)
        specificity = _rate((1 - probability) @ no + unsaid, (1 - probability) @ yes, beliefs.specificity)
        held = np.bincount(label, probability, minlength=len(asked))
        prevalence = _rate(held, asked - held, beliefs.prevalence)
        if iterations == ITERATIONS:
            break
        odds = np.log(prevalence / (1 - prevalence))[label]
        odds += yes @ np.log(sensitivity / (1 - specificity)) + no @ np.log((1 - sensitivity) / specificity)
        before, probability = probability, 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
        iterations += 1
        if np.abs(probability - before).max(initial=0) < TOLERANCE:
            break
    return Reliability(probability, sensitivity, specificity, prevalence, iterations)


def _rate(hits: np.ndarray, misses: np.ndarray, belief: tuple[float, float]) -> np.ndarray:
    """Share of hits, kept off 0 and 1, whose logarithms have no bounds."""
    hits, misses = hits + belief[0] + _EPSILON, misses + belief[1] + _EPSILON
    return np.clip(hits / (hits + misses), _EPSILON, 1 - _EPSILON)
