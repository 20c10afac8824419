"""What votes on concepts say of their members: the label of a cluster, copied to each of its images.

This is how BIOMEDICA labelled all of its images, however far from the centre. Here a copied label is the less probable
the farther the image lies from the centre, and the fewer articles the concept's pictures are from (one article's
pictures are alike for many reasons); what is improbable is kept beside the label model's answers for comparison, and
decides nothing. What does not belong here: which source wins
(`decisions`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from biomedica_assets.labels.examples import Verdict, Verdicts
from biomedica_assets.labels.space import SpaceRecord
from biomedica_assets.labels.weak import Said
from biomedica_assets.schemas import Row

CONCEPT, REVIEW = "concept", "review"
DECIDES = 0.7
"""Probability from which a copied label is held to be there."""
REACH, STEEPNESS, SHRINKAGE = 1.6, 4, 0.5
"""Of `reliability`; fitted by eye to pictures of held-out articles, see docs/labels.md."""


def reliability(distance: float, median: float, articles: int) -> float:
    """How often a concept's label is right for a member, if it is right for the concept.

    Args:
        distance: of the member to the centre.
        median: of such distances, of pictures that the space was not fitted on.
        articles: that the concept's members are from.

    >>> [round(reliability(r, 1.0, 100), 2) for r in (0.5, 1.0, 1.5, 2.0)]
    [0.99, 0.86, 0.56, 0.29]
    >>> [round(reliability(0.0, 1.0, articles), 2) for articles in (1, 2, 10)]
    [0.67, 0.8, 0.95]
    """
    ratio = distance / median if median else 0.0
    return articles / (articles + SHRINKAGE) / (1 + (ratio / REACH) ** STEEPNESS)


def of_verdict(said: Mapping[str, Verdict], source: str, share: float = 1.0) -> Iterator[Said]:
    """One `Said` for each label of each axis, with ``share`` of the verdict's probability."""
    for axis, verdict in said.items():
        for label in verdict.labels:
            yield Said(axis, label, round(verdict.probability * share, 4), source)


def propagate(
    rows: Iterable[Row], verdicts: Verdicts, space: SpaceRecord, articles: Sequence[int]
) -> Iterator[tuple[str, list[Said]]]:
    """(image_id, what its concept's votes say of it).

    Args:
        rows: of table `concepts`, of this space.
        verdicts: by target.
        space: the space.
        articles: of each concept, how many its members are from.
    """
    for row in rows:
        said = verdicts.get(f"concept:{space.id}/{row['concept']}", {})
        share = reliability(row["distance"], space.distance_median, articles[row["concept"]])
        yield row["image_id"], list(of_verdict(said, CONCEPT, share))
