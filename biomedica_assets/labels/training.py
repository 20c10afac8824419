"""The label model in use, fitted anew when what it rests on has changed; and everything that labels come from.

It rests on the consensus of votes, the concept space, the encoders, the taxonomy and settings, not on which chunks are
there: a chunk that arrives is labelled by the model that stands. What does not belong here: how a model is fitted
(`label_model`), how a chunk is labelled (`annotations`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import duckdb

from biomedica_assets import schemas
from biomedica_assets.dataset.queries import from_parquet
from biomedica_assets.labels.annotations import Sources
from biomedica_assets.labels.consensus import DECIDED, Consensus
from biomedica_assets.labels.examples import Verdict, Verdicts, gather_examples
from biomedica_assets.labels.fitting import chosen_features, made_by
from biomedica_assets.labels.label_model import (
    MODEL_VERSION,
    ModelRecord,
    fit_model,
    load_model,
    read_model_record,
    save_model,
)
from biomedica_assets.labels.outcomes import read_consensus, read_consensus_record
from biomedica_assets.labels.space import SpaceRecord, read_space_record
from biomedica_assets.labels.taxonomy import Taxonomy, load_taxonomy
from biomedica_assets.labels.weak import WeakLabeller, load_rules
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import read_generation
from biomedica_assets.store.derived import read_derived
from biomedica_assets.store.duck import register
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError


class NoVotesError(StoreError):
    """There is nothing to learn from yet; the message says what to do."""


@dataclass(frozen=True)
class Votes:
    """What votes amount to: verdicts, and the id of the consensus they are of, empty before the first."""

    verdicts: Verdicts
    consensus: str = ""


def read_verdicts(files: Files, taxonomy: Taxonomy) -> Votes:
    """What the consensus in use says; nothing while there is none, or while it is of another taxonomy."""
    record = read_consensus_record(files)
    if record is None or record.taxonomy != taxonomy.id:
        return Votes({})
    return Votes(verdicts_of(read_consensus(files, record)), record.id)


def verdicts_of(outcomes: Iterable[Consensus]) -> Verdicts:
    """The outcomes that are decided, by target and axis."""
    verdicts: dict[str, dict[str, Verdict]] = {}
    for one in outcomes:
        if one.status in DECIDED and one.labels:
            verdict = Verdict(one.labels, 1.0 if one.probability is None else one.probability)
            verdicts.setdefault(one.target, {})[one.axis] = verdict
    return verdicts


def ensure_model(
    files: Files,
    settings: Settings,
    *,
    refit: bool = False,
    log: Callable[[str], None] = lambda _: None,
) -> tuple[ModelRecord, bool]:
    """The label model for the votes, space, encoders and taxonomy in use, and whether it was fitted now.

    Raises:
        NoVotesError: votes decide nothing yet.
        StoreError: no chunk has vectors.
    """
    taxonomy = load_taxonomy(settings.taxonomy_file)
    votes, space = read_verdicts(files, taxonomy), read_space_record(files)
    if not votes.verdicts:
        raise NoVotesError(
            f"{files.url} has no votes that decide anything under the taxonomy {taxonomy.id}: vote on the labelling "
            "pages, then materialize `concept_labels`"
        )
    made_of = _made_of(files, settings, taxonomy, votes, space)
    before = read_model_record(files)
    if before is not None and before.made_of == made_of and not refit and files.exists(before.file.path):
        return before, False
    examples = gather_examples(
        files, votes.verdicts, space, most=settings.label_examples, scratch=settings.scratch or None
    )
    log(f"learning from {examples.counts}")
    if not len(examples.inputs):
        raise NoVotesError(f"{files.url}: no current picture with a vector is in a concept that votes decide on")
    model = fit_model(
        examples.inputs,
        examples.answers,
        examples.weights,
        examples.articles,
        taxonomy,
        image_encoder=examples.image_encoder,
        text_encoder=examples.text_encoder,
        precision=settings.label_precision,
        examples=examples.counts,
        made_of=made_of,
    )
    model = replace(model, space=space.id if space else "", concept_articles=examples.concept_articles)
    return save_model(files, model), True


def _made_of(files: Files, settings: Settings, taxonomy: Taxonomy, votes: Votes, space: SpaceRecord | None) -> str:
    features = chosen_features(read_derived(files, schemas.IMAGE_FEATURES.name))
    captions = {m.inputs["encoder"] for m in read_derived(files, schemas.CAPTION_FEATURES.name).values()}
    parts = {
        "version": MODEL_VERSION,
        "taxonomy": taxonomy.id,
        "consensus": votes.consensus,
        "space": space.id if space else None,
        "images": made_by(next(iter(features.values()))) if features else None,
        "captions": sorted(captions),
        "precision": settings.label_precision,
        "examples": settings.label_examples,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def open_sources(files: Files, settings: Settings) -> Sources:
    """Everything that labels come from now. A model of another taxonomy is not used."""
    taxonomy = load_taxonomy(settings.taxonomy_file)
    votes, record = read_verdicts(files, taxonomy), read_model_record(files)
    return Sources(
        taxonomy,
        WeakLabeller(load_rules(settings.label_rules), taxonomy),
        load_model(files, record) if record is not None and record.taxonomy == taxonomy.id else None,
        read_space_record(files),
        votes.verdicts,
        votes.consensus,
        _reviewed(files, votes.verdicts),
    )


def _reviewed(files: Files, verdicts: Verdicts) -> dict[str, tuple[str, ...]]:
    """By chunk, the pictures with a verdict of their own among the current ones."""
    hashes = sorted(target.removeprefix("image:") for target in verdicts if target.startswith("image:"))
    generation = read_generation(files) if hashes else None
    if generation is None:
        return {}
    found: dict[str, set[str]] = {}
    with duckdb.connect() as connection:
        register(files, connection)
        index = from_parquet(files, generation.files["sample_index"].path)
        query = f"SELECT DISTINCT chunk, sha256 FROM {index} WHERE sha256 IN (SELECT unnest(?::VARCHAR[]))"
        for chunk, sha256 in connection.execute(query, [hashes]).fetchall():
            found.setdefault(chunk, set()).add(sha256)
    return {chunk: tuple(sorted(several)) for chunk, several in sorted(found.items())}
