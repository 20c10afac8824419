"""The distilled classifier: one linear map from hashed columns to type, domain and score, and how it is fitted.

Weights are whole numbers and sums of them exact, so that the same paragraph gets the same label on every machine.
Applying it needs numpy alone, fitting it scikit-learn. What does not belong here: the columns (`features`), where
models are kept (`model_files`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from biomedica_assets.quality.features import COLUMNS, Columns, fact_columns, text_columns
from biomedica_assets.quality.labels import DOMAINS, LEVELS, TYPES, Label
from biomedica_assets.quality.paragraphs import Paragraph

FIT_VERSION = "1"
"""Raised when the same examples would give another model."""

OUTPUTS = len(TYPES) + len(DOMAINS) + 1
_TYPE, _DOMAIN, _SCORE = slice(0, len(TYPES)), slice(len(TYPES), OUTPUTS - 1), OUTPUTS - 1
WORDS_LENGTH = 5.0
"""How much the words of a text weigh together, where each fact weighs 1."""
BATCH = 256
"""Paragraphs hashed at a time."""
FOLDS = 5
C, ALPHA = 0.3, 100.0
"""Inverse strength of the penalty of the regressions on type and domain, strength of that on the score."""
EVENED = 0.5
"""Between 0, where every example counts alike, and 1, where every type does: case reports are rare."""
PRIOR = 30.0
"""How freely a model may lean on the one before: its outputs enter as columns so much larger than a word's."""
WITHIN = 0.49
"""Decimals of a score order the paragraphs of a level; rounding still gives the level."""
_MISSING = "fitting needs scikit-learn: pip install 'biomedica_assets[quality]'"


@dataclass(frozen=True)
class Predicted:
    """Of each paragraph: number of type and domain and their probabilities, score and, unbounded, where it came from.

    ``scores`` float [n]: a whole level, and decimals up to `WITHIN` that order paragraphs within it.
    """

    types: np.ndarray
    type_probabilities: np.ndarray
    domains: np.ndarray
    domain_probabilities: np.ndarray
    scores: np.ndarray
    raw_scores: np.ndarray

    @property
    def levels(self) -> np.ndarray:
        """Whole scores."""
        return np.floor(self.scores)


@dataclass(frozen=True)
class QualityModel:
    """``weights`` int16 [columns, outputs] with ``scales`` float64 [outputs]: types, then domains, then the score.

    ``temperatures`` of types and domains; ``cuts``: raw scores from which a paragraph has level 2, 3, 4 and 5.
    """

    weights: np.ndarray
    scales: np.ndarray
    bias: np.ndarray
    temperatures: tuple[float, float]
    cuts: tuple[float, ...]
    id: str = ""
    about: dict[str, Any] = field(default_factory=dict)

    def predict(self, paragraphs: Sequence[Paragraph], *, context: bool = True) -> Predicted:
        """Label paragraphs; without ``context`` by their text alone."""
        return self.decided(self.outputs(paragraphs, context=context))

    def outputs(self, paragraphs: Sequence[Paragraph], *, context: bool = True) -> np.ndarray:
        """float64 [n, outputs] before temperatures and cuts."""
        found = np.zeros((len(paragraphs), OUTPUTS))
        for start in range(0, len(paragraphs), BATCH):
            some = paragraphs[start : start + BATCH]
            words = text_columns([one.text for one in some])
            share = WORDS_LENGTH / np.sqrt(np.maximum(words.sizes, 1))
            sums = self._summed(words) * share[:, None] + self._summed(fact_columns(some, context=context))
            found[start : start + len(some)] = sums * self.scales + self.bias
        return found

    def _summed(self, columns: Columns) -> np.ndarray:
        sums = np.zeros((len(columns), OUTPUTS), np.int64)
        there = columns.sizes > 0
        if there.any():
            rows = self.weights[columns.of].astype(np.int32)
            sums[there] = np.add.reduceat(rows, columns.starts[:-1][there], axis=0, dtype=np.int64)
        return sums

    def decided(self, outputs: np.ndarray) -> Predicted:
        """What outputs amount to."""
        types = _softmax(outputs[:, _TYPE] / self.temperatures[0])
        domains = _softmax(outputs[:, _DOMAIN] / self.temperatures[1])
        raw = outputs[:, _SCORE]
        return Predicted(
            types.argmax(axis=1),
            types.max(axis=1),
            domains.argmax(axis=1),
            domains.max(axis=1),
            graded(raw, self.cuts),
            raw,
        )


def graded(raw: np.ndarray, cuts: Sequence[float]) -> np.ndarray:
    """Raw scores as levels 1 to 5 with decimals: 0 at a level's lower cut, `WITHIN` just below the next one.

    >>> graded(np.array([1.9, 2.0, 2.6, 9.0]), (2.0, 3.0, 4.0, 5.0)).round(3).tolist()
    [1.441, 2.0, 2.294, 5.0]
    """
    edges = np.array([cuts[0] - 1, *cuts, cuts[-1] + 1])
    level = np.searchsorted(cuts, raw, side="right")
    width = np.maximum(edges[level + 1] - edges[level], 1e-9)
    within = np.clip((raw - edges[level]) / width, 0, 1) * WITHIN
    return np.where(level == len(cuts), LEVELS[-1], level + 1 + within)


def _softmax(outputs: np.ndarray) -> np.ndarray:
    raised = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def fit_model(
    paragraphs: Sequence[Paragraph],
    labels: Sequence[Label],
    groups: Sequence[str],
    *,
    prior: QualityModel | None = None,
    about: dict[str, Any] | None = None,
) -> QualityModel:
    """Learn from labelled paragraphs, each seen twice: with its context and as text alone.

    Probabilities and cuts are set on predictions for articles that were left out. With a ``prior`` the new model is
    that one corrected by these labels: with few of them it stays near it.

    Args:
        paragraphs: examples.
        labels: of each.
        groups: article of each: no article is both learnt from and predicted.
        prior: model to start from.
        about: what is to be said of the model.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: fewer than `FOLDS` articles, or labels of one type or one domain only.
    """
    from threadpoolctl import threadpool_limits

    try:
        import scipy.sparse as sp
        from sklearn.model_selection import GroupKFold
    except ImportError as error:
        raise ImportError(_MISSING) from error
    answers = _Answers.of(labels)
    blank = [Paragraph(one.text) for one in paragraphs]
    with threadpool_limits(1):
        seen = _matrix(paragraphs, True, prior)
        both = sp.vstack([seen, _matrix(blank, False, prior)]).tocsr()
        n = len(paragraphs)
        outputs = np.zeros((n, OUTPUTS))
        for train, test in GroupKFold(FOLDS).split(seen, groups=list(groups)):
            weights, bias = _fit(both[np.concatenate([train, train + n])], answers.rows(np.tile(train, 2)))
            outputs[test] = seen[test] @ weights + bias
        weights, bias = _fit(both, answers.rows(np.tile(np.arange(n), 2)))
    temperatures = (
        _temperature(outputs[:, _TYPE], answers.types),
        _temperature(outputs[:, _DOMAIN], answers.domains),
    )
    if prior is not None:  # its outputs were columns: fold them into the weights of the words
        own, leaning = weights[:COLUMNS], weights[COLUMNS:] / 1.0
        weights = own + PRIOR * (prior.weights * prior.scales) @ leaning
        bias = bias + PRIOR * prior.bias @ leaning
    scales = np.abs(weights).max(axis=0) / np.iinfo(np.int16).max + 1e-12
    return QualityModel(
        np.rint(weights / scales).astype(np.int16),
        scales,
        bias,
        temperatures,
        _cuts(outputs[:, _SCORE], answers.scores),
        about=dict(about or {}),
    )


@dataclass(frozen=True)
class _Answers:
    types: np.ndarray
    domains: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(cls, labels: Sequence[Label]) -> _Answers:
        return cls(
            np.array([TYPES.index(one.type) for one in labels]),
            np.array([DOMAINS.index(one.domain) for one in labels]),
            np.array([one.score for one in labels], float),
        )

    def rows(self, which: np.ndarray) -> _Answers:
        return _Answers(self.types[which], self.domains[which], self.scores[which])


def _matrix(paragraphs: Sequence[Paragraph], context: bool, prior: QualityModel | None) -> Any:
    """Sparse [n, columns], and the prior's outputs as further columns."""
    import scipy.sparse as sp

    parts = []
    for start in range(0, len(paragraphs), BATCH):
        some = paragraphs[start : start + BATCH]
        words = text_columns([one.text for one in some])
        facts = fact_columns(some, context=context)
        values = np.repeat(WORDS_LENGTH / np.sqrt(np.maximum(words.sizes, 1)), words.sizes)
        shape = (len(some), COLUMNS)
        whole = sp.csr_matrix((values, words.of, words.starts), shape=shape) + sp.csr_matrix(
            (np.ones(len(facts.of)), facts.of, facts.starts), shape=shape
        )
        if prior is not None:
            whole = sp.hstack([whole, PRIOR * prior.outputs(some, context=context)])
        parts.append(whole)
    return sp.vstack(parts).tocsr()


def _fit(matrix: Any, answers: _Answers) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import LogisticRegression, Ridge

    weights, bias = np.zeros((matrix.shape[1], OUTPUTS)), np.full(OUTPUTS, -20.0)
    for place, wanted in ((_TYPE, answers.types), (_DOMAIN, answers.domains)):
        known = np.unique(wanted)
        counted = np.bincount(wanted, minlength=place.stop - place.start)
        weights_of = (len(wanted) / (len(known) * np.maximum(counted, 1))) ** EVENED
        regression = LogisticRegression(C=C, max_iter=300, tol=1e-4).fit(matrix, wanted, weights_of[wanted])
        coefficients, intercepts = regression.coef_, regression.intercept_
        if len(known) == 2:  # one row then, for the second of the two
            coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.array([-1, 1]) * intercepts / 2
        weights[:, place.start + known] = coefficients.T
        bias[place.start + known] = intercepts
    ridge = Ridge(alpha=ALPHA, solver="sparse_cg", tol=1e-5).fit(matrix, answers.scores)
    weights[:, _SCORE], bias[_SCORE] = ridge.coef_, ridge.intercept_
    return weights, bias


def _temperature(outputs: np.ndarray, wanted: np.ndarray) -> float:
    """What to divide outputs by so that probabilities are as often right as they say."""
    from scipy.optimize import minimize_scalar

    def loss(temperature: float) -> float:
        likely = _softmax(outputs / temperature)[np.arange(len(wanted)), wanted]
        return float(-np.log(np.maximum(likely, 1e-12)).mean())

    return float(minimize_scalar(loss, bounds=(0.2, 5.0), method="bounded").x)


def _cuts(raw: np.ndarray, wanted: np.ndarray) -> tuple[float, ...]:
    """Where to cut raw scores so that as many paragraphs reach each level as by the teacher."""
    ordered = np.sort(raw)
    below = [np.mean(np.rint(wanted) < level) for level in LEVELS[1:]]
    cuts = [float(np.quantile(ordered, share)) if share < 1 else float(ordered[-1]) + 1 for share in below]
    return tuple(np.maximum.accumulate(cuts).tolist())


def batches(paragraphs: Iterator[tuple[Any, Paragraph]], size: int = BATCH) -> Iterator[list[tuple[Any, Paragraph]]]:
    """Lists of ``size`` at most."""
    from itertools import islice

    while some := list(islice(paragraphs, size)):
        yield some
