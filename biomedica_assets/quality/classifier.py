"""The distilled classifier: one linear map from hashed columns to type, domain and score, and how it is fitted.

Weights are whole numbers and sums of them exact, so that the same paragraph gets the same label on every machine.
Applying it needs numpy alone, fitting it scikit-learn. What does not belong here: the columns (`features`), where
models are kept (`model_files`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from biomedica_assets.quality.features import COLUMNS, Columns, fact_columns, text_columns
from biomedica_assets.quality.labels import DOMAINS, LEVELS, TYPES, Label
from biomedica_assets.quality.paragraphs import Paragraph

FIT_VERSION = "1"
"""Raised when the same examples would give another model."""

OUTPUT_NAMES = (*TYPES, *DOMAINS, *(f"above {level}" for level in LEVELS[:-1]))
OUTPUTS = len(OUTPUT_NAMES)
_TYPE = slice(0, len(TYPES))
_DOMAIN = slice(len(TYPES), len(TYPES) + len(DOMAINS))
_ABOVE = slice(len(TYPES) + len(DOMAINS), OUTPUTS)
WORDS_LENGTH = 5.0
"""How much the words of a text weigh together, where each fact weighs 1."""
BATCH = 256
"""Paragraphs hashed at a time."""
FOLDS = 3
C = 0.3
"""Inverse strength of the regressions' penalty."""
EVENED = 1.0
"""Of types and domains, between 0, where every example counts alike, and 1, where every answer does: case reports are
rare. Levels count as often as there are examples."""
_NEVER = 20.0
"""Output for what every example or none is."""
WITHIN = 0.49
"""Decimals of a score order the paragraphs of a level; rounding still gives the level."""
_MISSING = "fitting needs scikit-learn: pip install 'biomedica_assets[quality]'"


@dataclass(frozen=True)
class Predicted:
    """Of each paragraph: number of type and domain and their probabilities, score and expected level.

    ``scores`` float [n]: a whole level, and decimals up to `WITHIN` that order paragraphs within it.
    ``expected`` float [n]: 1 and the probabilities of being above each level.
    """

    types: np.ndarray
    type_probabilities: np.ndarray
    domains: np.ndarray
    domain_probabilities: np.ndarray
    scores: np.ndarray
    expected: np.ndarray

    @property
    def levels(self) -> np.ndarray:
        """Whole scores."""
        return np.floor(self.scores)


@dataclass(frozen=True)
class QualityModel:
    """``weights`` int16 [columns, outputs] with ``scales`` float64 [outputs], in the order of `OUTPUT_NAMES`.

    ``temperatures`` of types and domains; ``cuts``: expected levels from which a paragraph has level 2, 3, 4 and 5.
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
        expected = _expected(outputs)
        return Predicted(
            types.argmax(axis=1),
            types.max(axis=1),
            domains.argmax(axis=1),
            domains.max(axis=1),
            graded(expected, self.cuts),
            expected,
        )


def _expected(outputs: np.ndarray) -> np.ndarray:
    return 1 + (1 / (1 + np.exp(-outputs[:, _ABOVE]))).sum(axis=1)


def graded(expected: np.ndarray, cuts: Sequence[float]) -> np.ndarray:
    """Expected levels as levels 1 to 5 with decimals: 0 at a level's lower cut, `WITHIN` just below the next one.

    >>> graded(np.array([1.9, 2.0, 2.6, 9.0]), (2.0, 3.0, 4.0, 5.0)).round(3).tolist()
    [1.441, 2.0, 2.294, 5.0]
    """
    edges = np.array([cuts[0] - 1, *cuts, cuts[-1] + 1])
    level = np.searchsorted(cuts, expected, side="right")
    width = np.maximum(edges[level + 1] - edges[level], 1e-9)
    within = np.clip((expected - edges[level]) / width, 0, 1) * WITHIN
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
    cuts = _cuts(_expected(outputs), answers.scores)
    if prior is not None:  # its outputs were columns: fold them into the weights of the words
        own, leaning = weights[:COLUMNS], weights[COLUMNS:] / 1.0
        weights = own + (prior.weights * prior.scales) @ leaning
        bias = bias + prior.bias @ leaning
    scales = np.abs(weights).max(axis=0) / np.iinfo(np.int16).max + 1e-12
    return QualityModel(
        np.rint(weights / scales).astype(np.int16),
        scales,
        bias,
        temperatures,
        cuts,
        about={**(about or {}), "left_out": _agreement(outputs, cuts, answers)},
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
            whole = sp.hstack([whole, prior.outputs(some, context=context)])
        parts.append(whole)
    return sp.vstack(parts).tocsr()


def _fit(matrix: Any, answers: _Answers) -> tuple[np.ndarray, np.ndarray]:
    weights, bias = np.zeros((matrix.shape[1], OUTPUTS)), np.full(OUTPUTS, -_NEVER)
    for place, wanted in ((_TYPE, answers.types), (_DOMAIN, answers.domains)):
        counted = np.bincount(wanted)
        known = np.flatnonzero(counted)
        bias[place.start + known] = _NEVER if len(known) == 1 else 0
        if len(known) > 1:
            share = (len(wanted) / (len(known) * np.maximum(counted, 1))) ** EVENED
            own, intercepts = _regression(matrix, wanted, share[wanted])
            if len(known) == 2:  # one row then, for the second of the two
                own, intercepts = np.vstack([-own, own]) / 2, np.array([-1, 1]) * intercepts / 2
            weights[:, place.start + known], bias[place.start + known] = own.T, intercepts
    for output, level in enumerate(LEVELS[:-1], _ABOVE.start):
        above = np.rint(answers.scores) > level
        if above.all() or not above.any():
            bias[output] = _NEVER if above.all() else -_NEVER
        else:
            own, intercepts = _regression(matrix, above, None)
            weights[:, output], bias[output] = own[0], intercepts[0]
    return weights, bias


def _regression(matrix: Any, wanted: np.ndarray, share: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=C, max_iter=500, tol=1e-3).fit(matrix, wanted, share)
    return fitted.coef_, fitted.intercept_


def _temperature(outputs: np.ndarray, wanted: np.ndarray) -> float:
    """What to divide outputs by so that probabilities are as often right as they say."""
    from scipy.optimize import minimize_scalar

    def loss(temperature: float) -> float:
        likely = _softmax(outputs / temperature)[np.arange(len(wanted)), wanted]
        return float(-np.log(np.maximum(likely, 1e-12)).mean())

    return float(minimize_scalar(loss, bounds=(0.2, 5.0), method="bounded").x)


def _agreement(outputs: np.ndarray, cuts: Sequence[float], answers: _Answers) -> dict[str, float]:
    """With the teacher, on articles left out: shares of types, domains and levels that are the same, mean error."""
    levels, wanted = np.floor(graded(_expected(outputs), cuts)), np.rint(answers.scores)
    found = {
        "type": np.mean(outputs[:, _TYPE].argmax(axis=1) == answers.types),
        "domain": np.mean(outputs[:, _DOMAIN].argmax(axis=1) == answers.domains),
        "level": np.mean(levels == wanted),
        "level_error": np.mean(np.abs(levels - wanted)),
    }
    return {name: round(float(value), 4) for name, value in found.items()}


def _cuts(expected: np.ndarray, wanted: np.ndarray) -> tuple[float, ...]:
    """Where to cut expected levels so that as many paragraphs reach each level as by the teacher."""
    ordered = np.sort(expected)
    below = [np.mean(np.rint(wanted) < level) for level in LEVELS[1:]]
    # A level that nothing is below or above begins where nothing is.
    known = {0.0: 0.0, 1.0: float(LEVELS[-1])}
    cuts = [known[share] if share in known else float(np.quantile(ordered, share)) for share in below]
    return tuple(np.maximum.accumulate(cuts).tolist())
