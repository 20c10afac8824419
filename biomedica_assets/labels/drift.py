"""Whether a concept space still suits what arrived since it was fitted.

Two measures of new pictures (those of chunks that the fit did not see): how many lie farther from their centre than
99 % of the sample did, and how differently they spread over the concepts (Kullback-Leibler divergence of the two
histograms). Both are compared with what chance alone would give for so few pictures. Belongs here: measuring. Not
here: fitting anew (`fitting`), which a person asks for, since votes are bound to concepts.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from biomedica_assets import schemas
from biomedica_assets.labels.concepts import concepts_of
from biomedica_assets.labels.fitting import asked_for, derived_relation, made_by
from biomedica_assets.labels.space import FAR_QUANTILE, SpaceRecord, default_clusters
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import connect
from biomedica_assets.store.derived import read_derived
from biomedica_assets.store.files import Files

FEWEST = 100
"""New pictures below which nothing is said about them."""
OUTGROWN = 4
"""A space whose sample held all pictures there were is outgrown once there are so many times as many."""
_SMOOTHED = 0.5
"""Added to every count: a concept that nobody was seen in may still get somebody."""
_DRAWS = 200


@dataclass(frozen=True)
class Spread:
    """Divergence in nats of new from old; ``expected`` and ``limit`` are mean and 99th percentile of pure chance."""

    divergence: float
    expected: float
    limit: float

    @property
    def excess(self) -> float:
        """What chance does not explain; 0 where it may explain all."""
        return self.divergence - self.expected if self.divergence > self.limit else 0.0


@dataclass(frozen=True)
class Drift:
    """What `measure_drift` found; ``reasons`` say in words why the space no longer suits, if it does not."""

    pictures: int
    far: int
    spread: Spread | None
    reasons: tuple[str, ...]

    @property
    def far_share(self) -> float:
        return self.far / self.pictures if self.pictures else 0.0


def measure_drift(files: Files, settings: Settings, record: SpaceRecord, *, scratch: str | None = None) -> Drift:
    """Compare what arrived since a space was fitted with what it was fitted on."""
    features = read_derived(files, schemas.IMAGE_FEATURES.name)
    other = sorted({made_by(manifest) for manifest in features.values()} - {record.made_by})
    reasons = []
    if other:
        chunks = sum(made_by(manifest) in other for manifest in features.values())
        reasons.append(
            f"{chunks} of {len(features)} chunks have vectors of {', '.join(other)}, not of {record.made_by}"
        )
    if asked_for(settings) != record.settings:
        reasons.append(f"the settings ask for {asked_for(settings)}, it was fitted with {record.settings}")
    pictures, far, counts = _new_pictures(files, record, scratch)
    spread = None
    if pictures >= FEWEST:
        spread = compare_spread(np.array(record.sizes), counts)
        if far / pictures > max(settings.concept_drift_far, far_by_chance(record.sampled, pictures)):
            reasons.append(f"{far} of {pictures} new pictures lie farther from their centre than 99 % did")
        if spread.excess > settings.concept_drift_spread:
            reasons.append(f"new pictures spread over the concepts otherwise: {spread.excess:.2f} nats beyond chance")
    # What is shared with old chunks is counted twice: the sum is an upper bound, good enough for a factor of four.
    grown = record.pictures + pictures
    if record.sampled == record.pictures and not record.settings["clusters"] and grown >= OUTGROWN * record.pictures:
        reasons.append(
            f"{record.concepts} concepts for {record.pictures} pictures; now {default_clusters(grown)} are due"
        )
    return Drift(pictures, far, spread, tuple(reasons))


def compare_spread(old: np.ndarray, new: np.ndarray, *, seed: int = 0) -> Spread:
    """Divergence of the histogram ``new`` from ``old`` (counts by concept), beside that of samples of their sum.

    Chance: both drawn, in their sizes, from the two histograms taken together.
    """
    random = np.random.default_rng(seed)
    together = (old + new) / (old.sum() + new.sum())
    chance = [
        divergence(random.multinomial(old.sum(), together), random.multinomial(new.sum(), together))
        for _ in range(_DRAWS)
    ]
    return Spread(divergence(old, new), float(np.mean(chance)), float(np.quantile(chance, 0.99)))


def far_by_chance(sampled: int, pictures: int, *, seed: int = 0) -> float:
    """The share of far ones that chance stays below in 99 of 100 cases, when ``pictures`` are like ``sampled``.

    What share of all lies beyond the k-th largest of n is distributed as Beta(k, n + 1 - k), whatever the distances.
    """
    random = np.random.default_rng(seed)
    rank = int(sampled * (1 - FAR_QUANTILE)) + 1
    shares = random.beta(rank, sampled + 1 - rank, _DRAWS * 50)
    return float(np.quantile(random.binomial(pictures, shares) / pictures, 0.99))


def divergence(old: np.ndarray, new: np.ndarray) -> float:
    """Kullback-Leibler divergence of ``new`` from ``old`` in nats, half a picture added to each count."""
    p, q = new + _SMOOTHED, old + _SMOOTHED
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def _new_pictures(files: Files, record: SpaceRecord, scratch: str | None) -> tuple[int, int, np.ndarray]:
    """Distinct pictures of chunks that the fit did not see: how many, how many are far, how many by concept."""
    made = [manifest for chunk, manifest in concepts_of(files, record).items() if chunk not in record.chunks]
    counts = np.zeros(record.concepts, np.int64)
    if not made:
        return 0, 0, counts
    with (
        tempfile.TemporaryDirectory(prefix="drift-", dir=scratch) as folder,
        connect(files, Path(folder)) as connection,
    ):
        rows = derived_relation(files, schemas.CONCEPTS, made)
        query = f"""
            SELECT concept, count(*), count(*) FILTER (distance > ?::FLOAT)
            FROM (SELECT sha256, min(concept) AS concept, min(distance) AS distance FROM {rows} GROUP BY sha256)
            GROUP BY concept
        """
        found = connection.execute(query, [record.far]).fetchall()
    for concept, pictures, _ in found:
        counts[concept] = pictures
    return int(counts.sum()), sum(far for *_, far in found), counts
