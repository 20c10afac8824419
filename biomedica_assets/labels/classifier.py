"""Linear classifiers with calibrated probabilities: for every label of an axis, how likely it is that an image has it.

One logistic regression per label over prepared vectors, fitted on what votes say, with probabilities measured on
articles that were held out. Applying one needs numpy alone. What does not belong here: where examples come from
(`examples`), how vectors are prepared and models kept (`label_model`), which source wins (`annotations`).

Labels form trees, and a vote may stop half way down: what is only called a plot says nothing of bar plots against
line plots. So an example counts for a label as present (it is said, or something below it), as absent (something
beside it is said), or not at all (only something above it is said).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from biomedica_assets.labels.space import one_thread
from biomedica_assets.labels.taxonomy import Axis, Taxonomy

FOLDS = 5
MIN_IMAGES, MIN_ARTICLES = 8, 4
"""A label with fewer examples, or from fewer articles, is left out; so is one that as few do not have."""
PENALTY = 100.0
"""Inverse of the squared penalty (C), measured in docs/labels.md."""
BINS = 10
"""Of the calibration curve, equally wide."""
MIN_DECIDED = 5
"""Held-out images that a threshold must decide, to be trusted."""

Answers = Sequence[frozenset[str] | None]
"""Per example the labels of one axis that are said of it; None where nothing is."""


@dataclass(frozen=True)
class AxisScores:
    """What was measured on held-out articles, against what the votes say.

    ``accuracy`` of the likeliest label among all examples, ``decided`` the share for which some label passes its
    threshold and ``decided_accuracy`` the accuracy among those. ``ece`` is the expected calibration error of the
    likeliest label's probability, ``macro_f1`` the mean of the labels' F1 at their thresholds. ``curve`` has, for
    each bin of probability, its mean, the share that was right, and the number of examples.
    """

    examples: int
    articles: int
    accuracy: float
    decided: float
    decided_accuracy: float | None
    macro_f1: float
    ece: float
    ece_before: float
    curve: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True)
class LabelScores:
    """One label on held-out articles at its threshold; ``images`` and ``articles`` that have it."""

    label: str
    images: int
    articles: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class AxisModel:
    """Classifier of one axis.

    ``weights`` [wide, labels] and ``bias`` [labels] give logits; divided by ``temperature`` and moved by ``shift`` they
    are calibrated. ``thresholds``
    [labels]: probability from which a label is held to be there, above 1 where that could not be said surely enough.
    ``left_out``: labels that some example has but too few, with their number of images.
    """

    axis: str
    labels: tuple[str, ...]
    weights: np.ndarray
    bias: np.ndarray
    temperature: float
    shift: float
    thresholds: np.ndarray
    scores: AxisScores | None = None
    label_scores: tuple[LabelScores, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)

    def probabilities(self, vectors: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
        """float64 [n, labels] of prepared vectors [n, wide]; a label is never likelier than the one above it."""
        logits = np.asarray(vectors, np.float64) @ self.weights + self.bias
        return _below_parents(_sigmoid(logits / self.temperature + self.shift), self.labels, taxonomy)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -50, 50)))


def _below_parents(probabilities: np.ndarray, labels: Sequence[str], taxonomy: Taxonomy) -> np.ndarray:
    place = {label: index for index, label in enumerate(labels)}
    for index in sorted(range(len(labels)), key=lambda i: len(taxonomy.ancestors(labels[i]))):
        for above in taxonomy.ancestors(labels[index])[:1]:
            if above in place:
                np.minimum(probabilities[:, index], probabilities[:, place[above]], out=probabilities[:, index])
    return probabilities


def likeliest(probabilities: np.ndarray, labels: Sequence[str], taxonomy: Taxonomy) -> np.ndarray:
    """int [n]: the likeliest label of each row, as low in its tree as is likelier than not.

    Of the labels without a parent the likeliest, then of those below it, while one of them is at least 0.5.
    """
    place = {label: index for index, label in enumerate(labels)}
    below: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        parent = next((place[a] for a in taxonomy.ancestors(label) if a in place), -1)
        below.setdefault(parent, []).append(index)
    found = np.empty(len(probabilities), int)
    for row, p in enumerate(probabilities):
        at = max(below[-1], key=lambda i: (p[i], -i))
        while at in below:
            child = max(below[at], key=lambda i: (p[i], -i))
            if p[child] < 0.5:
                break
            at = child
        found[row] = at
    return found


def decided(
    probabilities: np.ndarray, thresholds: np.ndarray, labels: Sequence[str], axis: Axis, taxonomy: Taxonomy
) -> list[list[str]]:
    """Per row the labels held to be there, the lowest of each tree; empty where the classifier abstains.

    On an axis that takes one label it is the likeliest of those that pass.
    """
    found = []
    for p in probabilities:
        lowest = taxonomy.most_specific([labels[index] for index in np.flatnonzero(p >= thresholds).tolist()])
        if not axis.several and len(lowest) > 1:
            place = {label: index for index, label in enumerate(labels)}
            lowest = [max(lowest, key=lambda label: (p[place[label]], -place[label]))]
        found.append(lowest)
    return found


def marks(labels: Sequence[str], answers: Answers, taxonomy: Taxonomy) -> np.ndarray:
    """int8 [n, labels]: 1 where the label is said to be there, 0 where not, -1 where nothing is known of it."""
    found = np.full((len(answers), len(labels)), -1, np.int8)
    for row, said in enumerate(answers):
        if said is None:
            continue
        there, lowest = taxonomy.expand(said), set(taxonomy.most_specific(said))
        for column, label in enumerate(labels):
            left_open = not lowest.isdisjoint(taxonomy.ancestors(label))
            found[row, column] = 1 if label in there else -1 if left_open else 0
    return found


def fit_axis(
    points: np.ndarray,
    answers: Answers,
    weights: np.ndarray,
    articles: Sequence[str],
    axis: Axis,
    taxonomy: Taxonomy,
    *,
    precision: float = 0.85,
    seed: int = 0,
) -> AxisModel | str:
    """A classifier of one axis, or why there can be none.

    Args:
        points: float [n, narrow], centred.
        answers: what is said of each example on this axis.
        weights: how much each example counts, > 0.
        articles: article of each example: all of an article are held out together.
        axis: of the taxonomy.
        taxonomy: for what lies below what.
        precision: share of right decisions that a label's threshold must reach on held-out articles.
        seed: of the folds.
    """
    known = [row for row, said in enumerate(answers) if said]
    groups = np.array([articles[row] for row in known])
    said = [answers[row] for row in known]
    present = sorted({label for one in said if one for label in taxonomy.expand(one)}, key=list(taxonomy.labels).index)
    y = marks(present, said, taxonomy)
    enough = [_enough(y[:, column], groups) for column in range(len(present))]
    left_out = {label: int((y[:, i] == 1).sum()) for i, label in enumerate(present) if not enough[i]}
    labels = tuple(label for label, kept in zip(present, enough, strict=True) if kept)
    folds = min(FOLDS, len(set(groups)))
    if not labels or folds < 2:
        return f"{len(known)} examples of {len(set(groups))} articles: no label has {MIN_IMAGES} of {MIN_ARTICLES}"
    x, y, w = np.asarray(points, float)[known], y[:, enough], np.asarray(weights, float)[known]
    w = w / w.mean()
    strata = [min(taxonomy.most_specific(one)) if one else "" for one in said]
    held_out = np.full(y.shape, np.nan)
    for train, test in _splits(strata, groups, folds, seed):
        coefficients, bias = _fit(x[train], y[train], w[train])
        held_out[test] = x[test] @ coefficients + bias
    temperature, shift = _calibrate(held_out, y, w)
    before = _below_parents(_sigmoid(held_out), labels, taxonomy)
    after = _below_parents(_sigmoid(held_out / temperature + shift), labels, taxonomy)
    thresholds = np.array([_threshold(after[:, i], y[:, i], w, precision) for i in range(len(labels))])
    label_scores = tuple(_label_scores(i, label, after, thresholds, y, groups) for i, label in enumerate(labels))
    coefficients, bias = _fit(x, y, w)
    return AxisModel(
        axis=axis.id,
        labels=labels,
        weights=coefficients.astype(np.float32),
        bias=bias.astype(np.float32),
        temperature=temperature,
        shift=shift,
        thresholds=thresholds.round(4).astype(np.float32),
        scores=_axis_scores(before, after, thresholds, said, groups, label_scores, axis, taxonomy),
        label_scores=label_scores,
        left_out=left_out,
    )


def _enough(y: np.ndarray, articles: np.ndarray) -> bool:
    return all((y == v).sum() >= MIN_IMAGES and len(set(articles[y == v])) >= MIN_ARTICLES for v in (0, 1))


def _splits(strata: list[str], groups: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(train, test) rows of each fold; whole articles, the labels spread over the folds."""
    import warnings

    from sklearn.model_selection import StratifiedGroupKFold

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        return list(splitter.split(np.zeros(len(strata)), strata, groups))


def _fit(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients [wide, labels] and biases [labels]; where a fold has one answer only, that answer's share."""
    from sklearn.linear_model import LogisticRegression

    coefficients, bias = np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape[1])
    with one_thread():  # the same order of additions, however many cores there are
        for column in range(y.shape[1]):
            rows = y[:, column] >= 0
            answers = y[rows, column]
            if answers.min(initial=1) == answers.max(initial=0):
                share = (answers.sum() + 0.5) / (len(answers) + 1)
                bias[column] = np.log(share / (1 - share))
                continue
            model = LogisticRegression(C=PENALTY, max_iter=300, tol=1e-5)
            model.fit(x[rows], answers, sample_weight=w[rows])
            coefficients[:, column], bias[column] = model.coef_[0], model.intercept_[0]
    return coefficients, bias


def _calibrate(logits: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Temperature and shift by which held-out answers are likeliest (Platt 1999, for all labels of an axis at once).

    With few examples the penalty keeps rare labels from ever being likely: the shift makes up for it.
    """
    from scipy.optimize import minimize

    known = y >= 0
    z, answer, weight = logits[known], y[known], np.broadcast_to(w[:, None], y.shape)[known]

    weight = weight / weight.sum()

    def loss(place: np.ndarray) -> tuple[float, np.ndarray]:
        moved = z * place[0] + place[1]
        wrong = weight * (_sigmoid(moved) - answer)
        return float((weight * (np.logaddexp(0, moved) - answer * moved)).sum()), np.array([wrong @ z, wrong.sum()])

    found = minimize(
        loss, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=[(1 / 8, 8), (-4, 4)], options={"gtol": 1e-7}
    )
    return round(float(1 / found.x[0]), 4), round(float(found.x[1]), 4)


def _threshold(p: np.ndarray, y: np.ndarray, w: np.ndarray, precision: float) -> float:
    """The least probability, 0.5 or more, from which on held-out answers are right often enough; 2 if there is none."""
    rows = np.flatnonzero((y >= 0) & (p >= 0.5))
    order = rows[np.argsort(-p[rows], kind="stable")]
    right = np.cumsum(w[order] * y[order]) / np.maximum(np.cumsum(w[order]), 1e-12)
    ends = [i for i in range(MIN_DECIDED - 1, len(order)) if i == len(order) - 1 or p[order[i + 1]] < p[order[i]]]
    passing = [i for i in ends if right[i] >= precision]
    if not passing:
        return 2.0
    last = passing[-1]
    # Half way to the next one that was not good enough, so that the last right one is not on the edge itself.
    following = p[order[last + 1]] if last + 1 < len(order) else 0.5
    return float((p[order[last]] + following) / 2)


def calibration(p: np.ndarray, right: np.ndarray) -> tuple[float, list[list[float]]]:
    """Expected calibration error, and per bin that holds any: mean probability, share right, count."""
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    curve: list[list[float]] = []
    error = 0.0
    for number in range(BINS):
        held = bins == number
        if held.any():
            mean, share, count = float(p[held].mean()), float(right[held].mean()), int(held.sum())
            curve.append([round(mean, 4), round(share, 4), count])
            error += count / len(p) * abs(mean - share)
    return error, curve


def _axis_scores(
    before: np.ndarray,
    after: np.ndarray,
    thresholds: np.ndarray,
    said: Answers,
    articles: np.ndarray,
    label_scores: Sequence[LabelScores],
    axis: Axis,
    taxonomy: Taxonomy,
) -> AxisScores:
    labels = [one.label for one in label_scores]
    there = [taxonomy.expand(one or ()) for one in said]

    def top(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        best = likeliest(p, labels, taxonomy)
        right = np.array([labels[index] in one for index, one in zip(best, there, strict=True)])
        return p[np.arange(len(p)), best], right

    p, right = top(after)
    error, curve = calibration(p, right)
    chosen = decided(after, thresholds, labels, axis, taxonomy)
    sure = [row for row, found in enumerate(chosen) if found]
    good = [set(chosen[row]) <= there[row] for row in sure]
    return AxisScores(
        examples=len(there),
        articles=len(set(articles)),
        accuracy=round(float(right.mean()), 4),
        decided=round(len(sure) / len(there), 4),
        decided_accuracy=round(float(np.mean(good)), 4) if sure else None,
        macro_f1=round(float(np.mean([one.f1 or 0.0 for one in label_scores])), 4),
        ece=round(error, 4),
        ece_before=round(calibration(*top(before))[0], 4),
        curve=curve,
    )


def _label_scores(
    column: int, label: str, p: np.ndarray, thresholds: np.ndarray, y: np.ndarray, articles: np.ndarray
) -> LabelScores:
    known = y[:, column] >= 0
    truth, guess = y[known, column] == 1, p[known, column] >= thresholds[column]
    hits = float((truth & guess).sum())
    precision = hits / guess.sum() if guess.any() else None
    recall = hits / truth.sum() if truth.any() else None
    f1 = 2 * hits / (truth.sum() + guess.sum()) if truth.any() or guess.any() else None
    rounded: list[Any] = [None if v is None else round(float(v), 4) for v in (precision, recall, f1)]
    return LabelScores(label, int(truth.sum()), len(set(articles[known][truth])), *rounded)
