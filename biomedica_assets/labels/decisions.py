"""What holds of an image on one axis, when several sources speak: review, then classifier, concept, words around it.

What does not belong here: what each source says (`propagate`, `classifier`, `weak`), tables (`annotations`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from biomedica_assets.labels.propagate import CONCEPT, REVIEW
from biomedica_assets.labels.taxonomy import Axis, Taxonomy
from biomedica_assets.labels.weak import NOTHING, SOURCES, Said

CLASSIFIER = "classifier"
RANKS = {REVIEW: 0, CLASSIFIER: 1, CONCEPT: 2} | dict.fromkeys(SOURCES, 3)
"""By source: the lower goes before the higher."""


def choose(decided: Iterable[Said], axis: Axis, taxonomy: Taxonomy, denied: Set[str] = frozenset()) -> dict[str, Said]:
    """By label what holds on an axis, and who says it.

    The best source that decides anything gives the labels. A later one may only add detail: put a label that lies
    below one of these in its place. Sources behind the classifier are not heard where it denies what they say.

    Args:
        decided: what the sources decided on this axis.
        axis: of the taxonomy.
        taxonomy: for what lies below what.
        denied: labels that the classifier knows and holds to be unlikely.
    """
    by_rank: dict[int, dict[str, Said]] = {}
    for one in sorted(decided, key=lambda s: (s.probability, s.source), reverse=True):
        by_rank.setdefault(RANKS[one.source], {}).setdefault(one.label, one)
    held: dict[str, Said] = {}
    for rank in sorted(by_rank):
        said = by_rank[rank]
        if rank > RANKS[CLASSIFIER]:
            said = {label: one for label, one in said.items() if denied.isdisjoint(taxonomy.expand([label]))}
        if not held:
            held = {label: said[label] for label in _lowest(said, axis, taxonomy)}
            continue
        for label in _lowest(said, axis, taxonomy):
            above = [name for name in taxonomy.ancestors(label) if name in held]
            for name in above:
                del held[name]
            if above:
                held[label] = said[label]
    return held


def _lowest(said: Mapping[str, Said], axis: Axis, taxonomy: Taxonomy) -> list[str]:
    """The lowest labels; of an axis that takes one the likeliest of these. "Nothing" only where nothing else is."""
    something = [label for label in said if not label.startswith(NOTHING)]
    lowest = taxonomy.most_specific(something or list(said))
    return lowest if axis.several or not lowest else [_likeliest(lowest, said)]


def _likeliest(labels: Sequence[str], said: Mapping[str, Said]) -> str:
    return min(labels, key=lambda label: (-said[label].probability, labels.index(label)))
