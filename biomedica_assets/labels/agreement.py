"""How far annotators agree: Krippendorff's alpha, Fleiss' kappa, and what they take for what.

Both coefficients are 1 when all agree and 0 when they agree no more than chance would have it. They are written out
here, some lines each: the library `krippendorff` is under the GPL, which this project is not, and statsmodels' kappa
wants the same number of annotators everywhere; tests compare with the examples that their authors published.
What does not belong here: which label holds (`consensus`), how the numbers are shown (`agreement_report`).
"""

from __future__ import annotations

import hashlib
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
MOST_TARGETS = 2500
"""Of more targets so many are measured, those with the smallest hashes: intervals are narrow, and work is bounded."""
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
    """What annotators gave: ``value`` [n], an index into ``values``, to ``unit`` [n], in order of units.

    Units with fewer than two values are left out.
    """

    unit: np.ndarray
    value: np.ndarray
    values: list[Any]

    @classmethod
    def of(cls, units: Iterable[Sequence[Hashable]]) -> Table:
        """Values by unit, who gave them does not matter."""
        several = [unit for unit in units if len(unit) > 1]
        place: dict[Hashable, int] = {}
        value = [place.setdefault(value, len(place)) for unit in several for value in unit]
        unit = np.repeat(np.arange(len(several)), [len(unit) for unit in several])
        return cls(unit, np.array(value, int), list(place))

    def recoded(self, value_of: Callable[[Any], Hashable]) -> Table:
        """The same units with other values."""
        codes = [value_of(value) for value in self.values]
        place = {code: index for index, code in enumerate(dict.fromkeys(codes))}
        return Table(self.unit, np.array([place[code] for code in codes], int)[self.value], list(place))

    @property
    def sizes(self) -> np.ndarray:
        """Values per unit."""
        return np.bincount(self.unit)

    def within(self, apart: np.ndarray) -> np.ndarray:
        """Per unit, ``apart`` [values, values] summed over all ordered pairs of its values, each with itself too."""
        sizes, sums = self.sizes, np.zeros(len(self.sizes))
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int)
        for size in np.unique(sizes):
            units = np.flatnonzero(sizes == size)
            given = self.value[first[units, None] + np.arange(size)]
            for one in range(size):
                sums[units] += apart[given[:, [one]], given].sum(1)
        return sums


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
    sizes = table.sizes
    if not len(sizes):
        return None, None
    apart = _distances(table.values, distance)
    within = table.within(apart) / (sizes - 1)

    def alpha(weights: np.ndarray) -> float:
        total = weights @ sizes
        overall = np.bincount(table.value, weights[table.unit], minlength=len(table.values))
        expected = overall @ apart @ overall / (total - 1)
        return 1 - (weights @ within) / expected if expected else np.nan

    found = alpha(np.ones(len(sizes)))
    if np.isnan(found):
        return None, None
    random, even = np.random.default_rng(0), np.full(len(sizes), 1 / len(sizes))
    drawn = np.array([alpha(random.multinomial(len(sizes), even).astype(float)) for _ in range(resamples)])
    usable = drawn[~np.isnan(drawn)]
    if not len(usable):
        return float(found), None
    low, high = np.quantile(usable, [0.025, 0.975]).tolist()
    return float(found), (low, high)


def _distances(values: list[Any], distance: Distance) -> np.ndarray:
    if distance is nominal:
        return 1 - np.eye(len(values), dtype=np.float32)
    if distance is not jaccard:
        return np.array([[distance(one, other) for other in values] for one in values])
    members = sorted(set().union(*values))
    held = np.array([[member in value for member in members] for value in values], np.float32)
    both, sizes = held @ held.T, held.sum(1)
    return 1 - both / (sizes[:, None] + sizes - both)


def fleiss_kappa(table: Table) -> float | None:
    """Fleiss' kappa (Psychological Bulletin 76, 1971). None when it has no value, as for `krippendorff_alpha`.

    Fleiss wants as many values in each unit. Where that is not so, units count alike, and the share of a value is
    that among all values; with equal numbers this is Fleiss' own formula.
    """
    sizes = table.sizes
    if not len(sizes):
        return None
    same = table.within(np.eye(len(table.values)))
    observed = float(np.mean((same - sizes) / (sizes * (sizes - 1))))
    expected = float(((np.bincount(table.value) / len(table.value)) ** 2).sum())
    return (observed - expected) / (1 - expected) if len(table.values) > 1 else None


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
    """Agreement on one axis. ``units`` of the ``targets`` that two or more annotators answered are measured, by hash.

    ``values`` are their answers.

    ``alpha`` takes the distance of two answers for what `distance_on` says, ``kappa`` every set of labels for a value
    of its own. ``same`` is the mean likeness of two answers. ``pairs`` has it by pair of annotators, with how often.
    """

    axis: str
    targets: int
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
    every = {target: dict(sorted(_values(answers).items())) for target, answers in sorted(stated.items())}
    several = [target for target, values in every.items() if len(values) > 1]
    given = {target: every[target] for target in sorted(several, key=_hash)[:MOST_TARGETS]}
    table = Table.of(list(values.values()) for values in given.values())
    wide = {value: value if value == MIXED_VALUE else frozenset(taxonomy.expand(value)) for value in table.values}
    distance = distance_on(axis)
    alpha, interval = krippendorff_alpha(table.recoded(wide.__getitem__), distance, RESAMPLES)
    pairs: dict[tuple[str, str], list[float]] = {}
    confused: Counter[tuple[str, str]] = Counter()
    for values in given.values():
        for (one, a), (other, b) in combinations(values.items(), 2):
            pairs.setdefault((one, other), []).append(1 - distance(wide[a], wide[b]))
            confused.update((min(x, y), max(x, y)) for x in a - wide[b] for y in b - wide[a])
    everything = [likeness for found in pairs.values() for likeness in found]
    return AxisAgreement(
        axis=axis.id,
        targets=len(several),
        units=len(table.sizes),
        values=len(table.value),
        annotators=len({name for values in every.values() for name in values}),
        alpha=alpha,
        interval=interval,
        kappa=fleiss_kappa(table),
        same=float(np.mean(everything)) if everything else None,
        pairs={key: (float(np.mean(found)), len(found)) for key, found in sorted(pairs.items())},
        labels=_by_label(table, wide, axis),
        confusions=tuple(
            Confusion(one, other, times)
            for (one, other), times in sorted(confused.items(), key=lambda item: (-item[1], item[0]))
        ),
    )


def _hash(target: str) -> bytes:
    return hashlib.sha256(target.encode()).digest()


def _values(answers: Answers) -> dict[str, frozenset[str]]:
    return answers.labels | dict.fromkeys(answers.mixed, MIXED_VALUE)


def _by_label(table: Table, wide: Mapping[frozenset[str], frozenset[str]], axis: Axis) -> tuple[LabelAgreement, ...]:
    found = []
    for label in axis.labels:
        having = {value for value in table.values if label.id in wide[value]}
        held = table.recoded(having.__contains__)
        given = int((held.value == held.values.index(True)).sum()) if True in held.values else 0
        if given:
            found.append(LabelAgreement(label.id, given, krippendorff_alpha(held)[0], fleiss_kappa(held)))
    return tuple(found)


def measure_agreement(votes: Sequence[Vote], taxonomy: Taxonomy) -> list[AxisAgreement]:
    """Agreement on every axis, of votes that count (one per annotator and target)."""
    return [agreement_on(answers_on(votes, axis, taxonomy), axis, taxonomy) for axis in taxonomy.axes]
