"""What votes on concepts say of their members: the label of a cluster, copied to each of its images.

This is how BIOMEDICA labelled all of its images. It is kept beside the label model's answers, for comparison and for
labels of which there are too few examples. What does not belong here: which source wins (`annotations`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from biomedica_assets.labels.examples import Verdict, Verdicts
from biomedica_assets.labels.space import SpaceRecord
from biomedica_assets.labels.weak import Said
from biomedica_assets.schemas import Row

CONCEPT, REVIEW = "concept", "review"


def of_verdict(said: Mapping[str, Verdict], source: str) -> Iterator[Said]:
    """One `Said` for each label of each axis."""
    for axis, verdict in said.items():
        for label in verdict.labels:
            yield Said(axis, label, verdict.probability, source)


def propagate(rows: Iterable[Row], verdicts: Verdicts, space: SpaceRecord) -> Iterator[tuple[str, list[Said], bool]]:
    """(image_id, what its concept's votes say of it, whether it lies near enough to be one of its pictures).

    An image that lies farther from its centre than nearly all that the space was fitted on is like nothing that
    anybody looked at: the concept is its nearest, and no more than that.

    Args:
        rows: of table `concepts`, of this space.
        verdicts: by target.
        space: the space.
    """
    for row in rows:
        said = verdicts.get(f"concept:{space.id}/{row['concept']}", {})
        yield row["image_id"], list(of_verdict(said, CONCEPT)), row["distance"] <= space.far
