"""How far annotators agree: Krippendorff's alpha, Fleiss' kappa, and what they take for what.

Both coefficients are 1 when all agree and 0 when they agree no more than chance would have it. They are written out
here, some lines each: the library `krippendorff` is under the GPL, which this project is not, and statsmodels' kappa
wants the same number of annotators everywhere; tests compare with the examples that their authors published.
What does not belong here: which label holds (`consensus`), how the numbers are shown (`agreement_report`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from biomedica_assets.labels.consensus import Answers, answers_on
from biomedica_assets.labels.taxonomy import Axis, Taxonomy
from biomedica_assets.labels.votes import Vote

RESAMPLES = 500
MIXED_VALUE = frozenset({"(mixed)"})
"""What an annotator states who finds nothing in common: a value like others, of which nobody else's comes near."""

Distance = Callable[[Any, Any], float]


def nominal(one: Hashable, other: Hashable) -> float:
    """0 for the same value, 1 for any other."""
    return float(one != other)


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of labels that only one of two sets has.

    >>> jaccard(frozenset("ab"), frozenset("bc"))
    0.6666666666666667
    """
    return 1 - len(one & other) / len(one | other) if one | other else 0.0


@dataclass(frozen=True)
class Table:
    """Counts [units, values] of what annotators gave to each unit; units with fewer than two values are left out."""

    counts: np.ndarray
    values: list[Any]

    @classmethod
    def of(cls, units: Iterable[Sequence[Hashable]]) -> Table:
        """Values by unit, who gave them does not matter."""
        several = [unit for unit in units if len(unit) > 1]
        values = list(dict.fromkeys(value for unit in several for value in unit))
        place = {value: index for index, value in enumerate(values)}
        counts = np.zeros((len(several), len(values)))
        for row, unit in enumerate(several):
            for value in unit:
                counts[row, place[value]] += 1
        return cls(counts, values)


def krippendorff_alpha(
    table: Table, distance: Distance = nominal, resamples: int = 0
) -> tuple[float | None, tuple[float, float] | None]:
    """Krippendorff's alpha, and the interval that 95 % of resampled sets of units fall into, if it is asked for.

    Computing Krippendorff's Alpha-Reliability, K. Krippendorff, 2011, section D (any number of observers, missing data,
    any distance). None when no unit has two values, or all values are the same: there is no chance to compare with.

    Args:
        table: values by unit.
        distance: squared difference of two values, 0 for the same.
        resamples: how many sets of as many units are drawn, with a fixed seed; 0 for no interval.
    """
    counts = table.counts
    if not len(counts):
        return None, None
    apart = np.array([[distance(one, other) for other in table.values] for one in table.values])
    weights = np.ones((1, len(counts)))
    if resamples:
        drawn = np.random.default_rng(0).multinomial(len(counts), [1 / len(counts)] * len(counts), size=resamples)
        weights = np.concatenate([weights, drawn])
    sizes = counts.sum(1)
    within = np.einsum("uv,vw,uw->u", counts, apart, counts, optimize=True) / (sizes - 1)
    total = weights @ sizes
    overall = weights @ counts
    expected = np.einsum("rv,vw,rw->r", overall, apart, overall, optimize=True) / (total * (total - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        alphas = 1 - (weights @ within / total) / expected
    if not np.isfinite(alphas[0]):
        return None, None
    usable = alphas[1:][np.isfinite(alphas[1:])]
    interval = tuple(np.quantile(usable, [0.025, 0.975]).tolist()) if len(usable) else None
    return float(alphas[0]), interval


def fleiss_kappa(table: Table) -> float | None:
    """Fleiss' kappa (Psychological Bulletin 76, 1971). None when it has no value, as for `krippendorff_alpha`.

    Fleiss wants as many values in each unit. Where that is not so, units count alike, and the share of a value is
    that among all values; with equal numbers this is Fleiss' own formula.
    """
    counts = table.counts
    if not len(counts):
        return None
    sizes = counts.sum(1)
    observed = float(np.mean(((counts**2).sum(1) - sizes) / (sizes * (sizes - 1))))
    expected = float(((counts.sum(0) / counts.sum()) ** 2).sum())
    return (observed - expected) / (1 - expected) if expected < 1 else None


@dataclass(frozen=True)
class LabelAgreement:
    """Agreement on whether one label (or one below it) holds: how often it was given, alpha and kappa."""

    label: str
    given: int
    alpha: float | None
    kappa: float | None


@dataclass(frozen=True)
class Confusion:
    """Two labels of one axis, and how often one annotator gave the first where another gave the second instead."""

    one: str
    other: str
    times: int


@dataclass(frozen=True)
class AxisAgreement:
    """Agreement on one axis. ``units`` are the targets that two or more annotators answered, ``values`` their answers.

    ``alpha`` takes the distance of two answers for what `distance_on` says, ``kappa`` every set of labels for a value
    of its own. ``same`` is the mean likeness of two answers. ``pairs`` has it by pair of annotators, with how often.
    """

    axis: str
    units: int
    values: int
    annotators: int
    alpha: float | None
    interval: tuple[float, float] | None
    kappa: float | None
    same: float | None
    pairs: dict[tuple[str, str], tuple[float, int]]
    labels: tuple[LabelAgreement, ...]
    confusions: tuple[Confusion, ...]


def distance_on(axis: Axis) -> Distance:
    """How far two answers are apart: on an axis of one choice 0 or 1, else by the labels that only one has.

    Labels above the given ones are counted among them: a bar plot is nearer to a line plot than to a table.
    """
    return jaccard if axis.several else nominal


def agreement_on(stated: Mapping[str, Answers], axis: Axis, taxonomy: Taxonomy) -> AxisAgreement:
    """Agreement of what annotators state on an axis (`consensus.answers_on`). Who is unsure states nothing here."""
    given = {target: dict(sorted(_values(answers).items())) for target, answers in sorted(stated.items())}
    lowest = [list(values.values()) for values in given.values()]
    wide = {value: value if value == MIXED_VALUE else frozenset(taxonomy.expand(value)) for u in lowest for value in u}
    distance = distance_on(axis)
    spread = [[wide[value] if axis.several else value for value in unit] for unit in lowest]
    alpha, interval = krippendorff_alpha(Table.of(spread), distance, RESAMPLES)
    table = Table.of(lowest)
    pairs: dict[tuple[str, str], list[float]] = {}
    confused: Counter[tuple[str, str]] = Counter()
    for values in given.values():
        for (one, a), (other, b) in combinations(values.items(), 2):
            likeness = 1 - (distance(wide[a], wide[b]) if axis.several else distance(a, b))
            pairs.setdefault((one, other), []).append(likeness)
            confused.update((min(x, y), max(x, y)) for x in a - wide[b] for y in b - wide[a])
    everything = [likeness for found in pairs.values() for likeness in found]
    return AxisAgreement(
        axis=axis.id,
        units=len(table.counts),
        values=int(table.counts.sum()),
        annotators=len({name for values in given.values() for name in values}),
        alpha=alpha,
        interval=interval,
        kappa=fleiss_kappa(table),
        same=float(np.mean(everything)) if everything else None,
        pairs={key: (float(np.mean(found)), len(found)) for key, found in sorted(pairs.items())},
        labels=_by_label(lowest, wide, axis),
        confusions=tuple(
            Confusion(one, other, times)
            for (one, other), times in sorted(confused.items(), key=lambda item: (-item[1], item[0]))
        ),
    )


def _values(answers: Answers) -> dict[str, frozenset[str]]:
    return answers.labels | dict.fromkeys(answers.mixed, MIXED_VALUE)


def _by_label(
    units: Sequence[Sequence[frozenset[str]]], wide: Mapping[frozenset[str], frozenset[str]], axis: Axis
) -> tuple[LabelAgreement, ...]:
    found = []
    for label in axis.labels:
        table = Table.of([[label.id in wide[value] for value in unit] for unit in units])
        given = int(table.counts[:, table.values.index(True)].sum()) if True in table.values else 0
        if given:
            found.append(LabelAgreement(label.id, given, krippendorff_alpha(table)[0], fleiss_kappa(table)))
    return tuple(found)


def measure_agreement(votes: Sequence[Vote], taxonomy: Taxonomy) -> list[AxisAgreement]:
    """Agreement on every axis, of votes that count (one per annotator and target)."""
    return [agreement_on(answers_on(votes, axis, taxonomy), axis, taxonomy) for axis in taxonomy.axes]
