"""Which images people should look at first: those that sources disagree about, and those the classifier is unsure of.

What does not belong here: who has voted on what (`votes`), pages (`serve`), what the sources say (`annotations`).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from biomedica_assets import schemas
from biomedica_assets.dataset.queries import from_parquet
from biomedica_assets.labels.fitting import derived_relation
from biomedica_assets.labels.taxonomy import Taxonomy
from biomedica_assets.store.catalogue import Generation, connect
from biomedica_assets.store.derived import DerivedManifest
from biomedica_assets.store.files import Files

CHUNKS = 20
"""So many chunks are looked through at most: a fixed choice by hash, so that the cost does not grow with the store."""
MOST = 500


@dataclass(frozen=True)
class ToReview:
    """An image to look at. ``said`` are rows of what the sources say: axis, source, label, probability, decision.

    ``uncertainty``: of the classifier's least sure probability p, 1 - |2p - 1|: 1 is a toss-up, 0 certain.
    ``disagreements``: pairs of sources that decided on one axis and have no labels in common, nor above one another.
    """

    image_id: str
    sha256: str
    uncertainty: float
    disagreements: int
    said: tuple[dict[str, Any], ...]


def chosen_chunks(made: Mapping[str, DerivedManifest], most: int = CHUNKS) -> dict[str, DerivedManifest]:
    """The partitions that are looked through: those whose names have the smallest hashes."""
    names = sorted(made, key=lambda chunk: hashlib.sha256(chunk.encode()).digest())
    return {chunk: made[chunk] for chunk in names[:most]}


def review_queue(
    files: Files,
    generation: Generation,
    made: Mapping[str, DerivedManifest],
    taxonomy: Taxonomy,
    *,
    most: int = MOST,
    scratch: str | None = None,
) -> list[ToReview]:
    """Images of current articles without a review, the most doubtful first; equal pictures once.

    Args:
        files: the store.
        generation: of the catalogue, says what is current.
        made: partitions of table `annotations`, by chunk.
        taxonomy: which labels lie above which.
        most: length of the list at most.
        scratch: folder for temporary files.
    """
    if not made:
        return []
    kin = {(label, label) for label in taxonomy.labels}
    kin |= {(label, above) for label in taxonomy.labels for above in taxonomy.ancestors(label)}
    kin |= {(above, label) for label, above in kin}
    with tempfile.TemporaryDirectory(prefix="review-", dir=scratch) as folder, connect(files, Path(folder)) as found:
        pairs = sorted(kin)
        found.register("kin", pa.table({"one": [a for a, _ in pairs], "other": [b for _, b in pairs]}))
        current = from_parquet(files, generation.files["current"].path)
        source = derived_relation(files, schemas.ANNOTATIONS, made.values())
        found.execute(f"CREATE VIEW said AS SELECT s.* FROM {source} s SEMI JOIN {current} c USING (chunk, article_id)")
        rows = found.execute(_QUERY, [most]).fetchall()
    return [
        ToReview(image_id, sha256, uncertainty, disagreements, tuple(said))
        for image_id, sha256, uncertainty, disagreements, said in rows
    ]


_QUERY = """
WITH decided AS (
    SELECT DISTINCT image_id, axis, source, label FROM said WHERE decision AND label IS NOT NULL
), pair AS (
    SELECT one.image_id, bool_or(kin.one IS NOT NULL) AS related
    FROM decided one JOIN decided two
        ON one.image_id = two.image_id AND one.axis = two.axis AND one.source < two.source
    LEFT JOIN kin ON kin.one = one.label AND kin.other = two.label
    GROUP BY one.image_id, one.axis, one.source, two.source
), apart AS (
    SELECT image_id, count(*) AS disagreements FROM pair WHERE NOT related GROUP BY 1
), image AS (
    SELECT image_id, any_value(sha256) AS sha256,
           coalesce(max(1 - abs(2 * probability - 1)) FILTER (source = 'classifier'), 0) AS uncertainty,
           bool_or(source = 'review') AS reviewed
    FROM said GROUP BY 1
), picture AS (
    SELECT min(image_id) AS image_id, sha256, arg_min(uncertainty, image_id) AS uncertainty
    FROM image GROUP BY sha256 HAVING NOT bool_or(reviewed)
), first AS (
    SELECT image_id, sha256, uncertainty, coalesce(disagreements, 0) AS disagreements
    FROM picture LEFT JOIN apart USING (image_id)
    ORDER BY disagreements + uncertainty DESC, image_id LIMIT ?
)
SELECT image_id, any_value(first.sha256), any_value(uncertainty)::DOUBLE, any_value(disagreements)::BIGINT,
       list(struct_pack(axis, source, label, probability, decision)
            ORDER BY axis, source, probability DESC, label)
FROM first JOIN said USING (image_id) GROUP BY image_id
ORDER BY any_value(disagreements + uncertainty) DESC, image_id
"""
