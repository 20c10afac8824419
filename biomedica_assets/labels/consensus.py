"""What votes amount to: per target and axis the labels that most annotators give, and how probable they are.

The rules, in this order, for one target and one axis:

1. Only the newest vote of each annotator counts. One that is `unsure` gives no label. One that is `mixed` says of the
   axes it leaves open that the concept's pictures have nothing in common; else an open axis is no statement.
2. `unsure`: at least half of those who made a statement are unsure.
3. `mixed`: at least half of the others find the target mixed. Such labels must not be copied to members.
4. A label holds when more than half of the others give it or something below it; of those the lowest are the labels.
   So a bar plot and a line plot agree on a plot (``coarse``). On an axis with several choices more than one may hold.
5. `tie`: no label holds. `single`: one annotator alone. Else `agreed`.

Beside the majority stands the weighted consensus (`reliability`): the probability of each label given who said it, and
``weighted``, the labels that are more probable than not; it decides ties by who is more often right.
What does not belong here: how votes are kept (`votes`), how far annotators agree (`agreement`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from biomedica_assets.labels.reliability import Reliability, estimate
from biomedica_assets.labels.taxonomy import Axis, Taxonomy
from biomedica_assets.labels.votes import Vote, current_votes

AGREED, SINGLE, TIE, MIXED, UNSURE = "agreed", "single", "tie", "mixed", "unsure"
DECIDED = (AGREED, SINGLE)
"""The statuses whose labels may be used."""


@dataclass(frozen=True)
class LabelShare:
    """A label that somebody gave, or that lies above one: votes, share of those who answered, probability."""

    label: str
    votes: int
    share: float
    probability: float


@dataclass(frozen=True)
class Consensus:
    """The outcome for one target and axis. ``labels`` is empty unless ``status`` is agreed or single.

    ``coarse``: nobody gave one of the labels itself, but several gave different ones below it.

    ``share`` and ``probability`` are those of the least sure of the labels; without labels the best share, and null.
    ``n_votes`` counts the annotators who made a statement: answered, mixed, unsure.
    """

    target: str
    target_kind: str
    space: str | None
    concept: int | None
    image_id: str | None
    sha256: str | None
    axis: str
    status: str
    labels: tuple[str, ...]
    weighted: tuple[str, ...]
    coarse: bool
    share: float
    probability: float | None
    n_votes: int
    n_mixed: int
    n_unsure: int
    annotators: tuple[str, ...]
    counts: tuple[LabelShare, ...] = field(default=())


@dataclass(frozen=True)
class Answers:
    """What annotators state of one target on one axis: labels by annotator, lowest ones; who is mixed, who unsure."""

    labels: dict[str, frozenset[str]]
    mixed: tuple[str, ...]
    unsure: tuple[str, ...]

    @property
    def annotators(self) -> tuple[str, ...]:
        return tuple(sorted((*self.labels, *self.mixed, *self.unsure)))


def countable(votes: Iterable[Vote], *, simulated: bool) -> list[Vote]:
    """The votes that count, without those of simulated annotators unless they are wanted."""
    return current_votes(vote for vote in votes if simulated or vote.source != "simulated")


def answers_on(votes: Iterable[Vote], axis: Axis, taxonomy: Taxonomy) -> dict[str, Answers]:
    """By target, what these votes (one per annotator and target) state on an axis; targets without a statement absent.

    Labels of earlier taxonomies go by their new name; those that are no more are passed over.
    """
    found: dict[str, Answers] = {}
    for vote in votes:
        labels = frozenset(
            taxonomy.most_specific(
                {
                    label
                    for label in map(taxonomy.resolve, vote.answers.get(axis.id, ()))
                    if label and taxonomy.axis_of(label) is axis
                }
            )
        )
        if not (labels or vote.unsure or vote.mixed):
            continue
        answers = found.setdefault(vote.target, Answers({}, (), ()))
        if vote.unsure:
            found[vote.target] = replace(answers, unsure=(*answers.unsure, vote.annotator))
        elif labels:
            answers.labels[vote.annotator] = labels
        else:
            found[vote.target] = replace(answers, mixed=(*answers.mixed, vote.annotator))
    return found


def reach_consensus(votes: Iterable[Vote], taxonomy: Taxonomy) -> tuple[list[Consensus], dict[str, dict[str, Rates]]]:
    """The outcome of votes (one per annotator and target): by target and axis, and annotators' rates by axis."""
    votes = list(votes)
    heads = {vote.target: vote for vote in votes}
    outcomes: list[Consensus] = []
    rates: dict[str, dict[str, Rates]] = {}
    for axis in taxonomy.axes:
        stated = answers_on(votes, axis, taxonomy)
        probabilities, rates[axis.id] = weigh(stated, axis, taxonomy)
        outcomes += [
            _outcome(heads[target], axis, answers, probabilities.get(target, {}), taxonomy)
            for target, answers in stated.items()
        ]
    order = {axis.id: index for index, axis in enumerate(taxonomy.axes)}
    return sorted(outcomes, key=lambda one: (one.target, order[one.axis])), rates


@dataclass(frozen=True)
class Rates:
    """An annotator on an axis: how often a label that holds is given, and one that does not is not; answers given."""

    sensitivity: float
    specificity: float
    answered: int


def weigh(
    stated: Mapping[str, Answers], axis: Axis, taxonomy: Taxonomy
) -> tuple[dict[str, dict[str, float]], dict[str, Rates]]:
    """Probabilities by target and label, and the rates of annotators by name; see `reliability.estimate`."""
    annotators = sorted({name for answers in stated.values() for name in answers.labels})
    labels = [label.id for label in axis.labels]
    number = {label: index for index, label in enumerate(labels)}
    column = {name: index for index, name in enumerate(annotators)}
    keys: list[tuple[str, str]] = []
    rows: list[list[int]] = []
    answered, answered_items = np.zeros(len(annotators)), np.zeros(len(annotators))
    asked = 0
    for target, answers in stated.items():
        if not answers.labels:
            continue
        asked += 1
        given = {name: taxonomy.expand(chosen) for name, chosen in answers.labels.items()}
        said = sorted(set().union(*given.values()), key=number.__getitem__)
        for name in given:
            answered[column[name]] += 1
            answered_items[column[name]] += len(said)
        for label in said:
            keys.append((target, label))
            rows.append([int(label in given[name]) if name in given else -1 for name in annotators])
    if not keys:
        return {}, {}
    used = {label for _, label in keys}
    fit: Reliability = estimate(
        np.array(rows, np.int8),
        np.array([number[label] for _, label in keys]),
        np.full(len(labels), asked),
        answered * len(used) - answered_items,
    )
    probabilities: dict[str, dict[str, float]] = {}
    for (target, label), probability in zip(keys, fit.probability.tolist(), strict=True):
        probabilities.setdefault(target, {})[label] = probability
    if not axis.several:
        for target, chances in probabilities.items():
            given_labels = set().union(*stated[target].labels.values())
            probabilities[target] = _exclusive(chances, given_labels, taxonomy)
    return probabilities, {
        name: Rates(float(fit.sensitivity[i]), float(fit.specificity[i]), int(answered[i]))
        for name, i in column.items()
    }


def _exclusive(chances: Mapping[str, float], given: Iterable[str], taxonomy: Taxonomy) -> dict[str, float]:
    """Probabilities when exactly one of the given labels holds, with all above it; from those that know no such rule.

    The odds of labels that are independent otherwise multiply.
    """
    lines = [taxonomy.expand([label]) for label in sorted(given)]
    sums = np.array([sum(_logit(chances[label]) for label in line) for line in lines])
    weights = np.exp(sums - sums.max())
    weights /= weights.sum()
    return {
        label: float(sum(weight for line, weight in zip(lines, weights, strict=True) if label in line))
        for label in chances
    }


def _logit(probability: float) -> float:
    bounded = min(max(probability, 1e-12), 1 - 1e-12)
    return math.log(bounded / (1 - bounded))


def _outcome(
    vote: Vote, axis: Axis, answers: Answers, probabilities: Mapping[str, float], taxonomy: Taxonomy
) -> Consensus:
    n_labels, n_mixed, n_unsure = len(answers.labels), len(answers.mixed), len(answers.unsure)
    counts = Counter(label for chosen in answers.labels.values() for label in taxonomy.expand(chosen))
    order = [label.id for label in axis.labels if label.id in counts]
    voters = n_labels + n_mixed
    shares = tuple(LabelShare(name, counts[name], counts[name] / voters, probabilities[name]) for name in order)
    held = taxonomy.most_specific([one.label for one in shares if 2 * one.votes > voters])
    status = AGREED if held else TIE
    if n_unsure and 2 * n_unsure >= voters + n_unsure:
        status = UNSURE
    elif n_mixed and 2 * n_mixed >= voters:
        status = MIXED
    elif held and voters == 1:
        status = SINGLE
    labels = held if status in DECIDED else []
    below = {name for chosen in answers.labels.values() for name in chosen}
    given = [one for one in shares if one.label in labels]
    return Consensus(
        target=vote.target,
        target_kind=vote.target_kind,
        space=vote.space,
        concept=vote.concept,
        image_id=vote.image_id,
        sha256=vote.sha256,
        axis=axis.id,
        status=status,
        labels=tuple(labels),
        weighted=tuple(taxonomy.most_specific([one.label for one in shares if one.probability > 0.5])),
        coarse=any(label not in below for label in labels),
        share=min((one.share for one in given), default=max((one.share for one in shares), default=0.0)),
        probability=min((one.probability for one in given), default=None),
        n_votes=voters + n_unsure,
        n_mixed=n_mixed,
        n_unsure=n_unsure,
        annotators=answers.annotators,
        counts=shares,
    )
