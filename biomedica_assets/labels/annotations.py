"""Tables `annotations` and `image_labels`: what every source says of a chunk's images, and what holds of each.

Belongs here: the rows of a chunk and when they are still valid. They depend on tables of the chunk, on the label model,
rules and taxonomy, on votes for concepts, and on votes for pictures of this chunk only. What does not belong here: what
the sources say (`propagate`, `classifier`, `weak`), which wins (`decisions`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from biomedica_assets import schemas
from biomedica_assets.dataset.reading import stored_images
from biomedica_assets.labels.classifier import decided as classifier_decides
from biomedica_assets.labels.decisions import CLASSIFIER, RANKS, choose
from biomedica_assets.labels.examples import Verdicts, iter_inputs, panels_of
from biomedica_assets.labels.label_model import LabelModel
from biomedica_assets.labels.propagate import CONCEPT, DECIDES, REVIEW, of_verdict, propagate
from biomedica_assets.labels.space import SpaceRecord
from biomedica_assets.labels.taxonomy import Taxonomy
from biomedica_assets.labels.weak import MESH, Said, WeakLabeller
from biomedica_assets.schemas import Row
from biomedica_assets.store.derived import (
    DerivedManifest,
    Making,
    commit_derived,
    read_derived,
    read_derived_manifest,
    still_valid,
)
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import (
    ChunkManifest,
    committed_chunk,
    read_chunk_manifests,
)
from biomedica_assets.store.tables import iter_rows

ANNOTATIONS_VERSION = "1"
"""Raised when the same sources would give other rows."""

TABLES = (schemas.ANNOTATIONS, schemas.IMAGE_LABELS)
PANEL_AXIS = "panel_type"
LEAST = 0.1
"""Probability from which the classifier's labels are written though it does not decide for them."""
MOST = 5
"""Such labels per image and axis."""
DENIED = 0.2
"""A label that the classifier knows and gives less than this is not held to be there by a later source."""

_CHUNK_INPUTS = ("articles", "figures", "captions", "images")
_DERIVED_INPUTS = ("image_features", "caption_features", "concepts", "metadata")


@dataclass(frozen=True)
class Sources:
    """Everything that labels come from, besides the chunk's own tables. What there is not yet is None or empty.

    ``consensus`` is the id of the votes' consensus that ``verdicts`` are of; ``reviewed`` has, by chunk, the SHA-256s
    of its pictures that there are verdicts on.
    """

    taxonomy: Taxonomy
    weak: WeakLabeller
    model: LabelModel | None = None
    space: SpaceRecord | None = None
    verdicts: Verdicts = field(default_factory=dict)
    consensus: str = ""
    reviewed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def concept_verdicts(self) -> str:
        """Digest of what votes on concepts say."""
        return _digest({t: said for t, said in self.verdicts.items() if t.startswith("concept:")})

    @property
    def concept_articles(self) -> Sequence[int]:
        """Of each concept, how many articles its members are from; before a model was fitted, its pictures."""
        assert self.space is not None
        if self.model is not None and self.model.space == self.space.id:
            return self.model.concept_articles
        return self.space.sizes

    def reviews(self, chunk: str) -> dict[str, Any]:
        """What votes on pictures of a chunk say, by target."""
        targets = (f"image:{sha256}" for sha256 in self.reviewed.get(chunk, ()))
        return {target: self.verdicts[target] for target in targets if target in self.verdicts}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def build_annotations(
    files: Files, chunk: str, sources: Sources, *, scratch: str | None = None
) -> tuple[dict[str, DerivedManifest], bool]:
    """Label the images of a committed chunk; the manifests by table, and whether what was committed is still valid.

    Raises:
        StoreError: the chunk is not committed.
    """
    manifest = committed_chunk(files, chunk)
    derived = {name: read_derived_manifest(files, name, chunk) for name in _DERIVED_INPUTS}
    inputs = _inputs(manifest, derived, sources)
    own = {table.name: read_derived_manifest(files, table.name, chunk) for table in TABLES}
    if all(still_valid(m, files, inputs) for m in own.values()):
        return {name: m for name, m in own.items() if m}, True
    making = Making()
    work = _Chunk(files, manifest, derived, sources)
    committed: dict[str, DerivedManifest] = {}
    run: dict[str, Any] = {}

    def rows() -> Iterator[Row]:
        yield from work.annotations()
        run.update(making.spent())

    # What holds is known once all is said: image_labels comes second, and readers that see it see both.
    for table, produced in ((schemas.ANNOTATIONS, rows()), (schemas.IMAGE_LABELS, iter(work.held))):
        committed[table.name] = commit_derived(
            files,
            table,
            chunk,
            produced,
            inputs=inputs,
            counts=work.counts,
            run=run,
            scratch=scratch,
        )
    return committed, False


def unfinished_annotations(files: Files, sources: Sources) -> list[str]:
    """Committed chunks whose annotations are missing or of other tables, votes, model, rules or taxonomy; in order."""
    derived = {name: read_derived(files, name) for name in _DERIVED_INPUTS}
    made = {table.name: read_derived(files, table.name) for table in TABLES}

    def valid(manifest: ChunkManifest) -> bool:
        parts = {name: manifests.get(manifest.chunk) for name, manifests in derived.items()}
        inputs = _inputs(manifest, parts, sources)
        return all((own := made[t.name].get(manifest.chunk)) and own.made_of(inputs) for t in TABLES)

    return [manifest.chunk for manifest in read_chunk_manifests(files).values() if not valid(manifest)]


def _inputs(manifest: ChunkManifest, derived: Mapping[str, DerivedManifest | None], sources: Sources) -> dict[str, Any]:
    return {
        **{name: manifest.tables[name].sha256 for name in _CHUNK_INPUTS},
        **{name: made.file.sha256 if made else None for name, made in derived.items()},
        "model": sources.model.id if sources.model else None,
        "space": sources.space.id if sources.space else None,
        "rules": sources.weak.id,
        "taxonomy": sources.taxonomy.id,
        "concept_verdicts": sources.concept_verdicts,
        "reviews": _digest(sources.reviews(manifest.chunk)),
        "annotations": ANNOTATIONS_VERSION,
        "schema": schemas.SCHEMA_VERSION,
    }


@dataclass(frozen=True)
class _Figure:
    caption: str | None
    panels: int
    kind: str | None
    images: int
    mesh: frozenset[str]


class _Chunk:
    """One chunk while it is labelled."""

    def __init__(
        self, files: Files, manifest: ChunkManifest, derived: Mapping[str, DerivedManifest | None], sources: Sources
    ) -> None:
        self.files, self.manifest, self.derived, self.sources = files, manifest, derived, sources
        self.held: list[Row] = []
        self.counts: dict[str, int] = {}
        self._reviews = sources.reviews(manifest.chunk)
        self._weak: dict[str, list[Said]] = {}
        self._axes = {axis.id: number for number, axis in enumerate(sources.taxonomy.axes)}
        self._labels = {label: number for number, label in enumerate(sources.taxonomy.labels)}
        self._models = {CLASSIFIER: sources.model.id if sources.model else "", CONCEPT: sources.consensus}
        self._models[REVIEW] = sources.consensus

    def annotations(self) -> Iterator[Row]:
        """Rows of `annotations`; fills ``held`` and ``counts``."""
        counts: Counter[str] = Counter()
        classified = self._classified()
        concepts = self._concepts()
        figures = self._figures()
        for row in self._images():
            counts["images"] += 1
            said = self._weak_of(row["figure_id"], figures)
            decided = [one for one in said if one.source != MESH and one.probability >= self.sources.weak.rules.decides]
            abstained: list[Said] = []
            denied: set[str] = set()
            review = list(of_verdict(self._reviews.get(f"image:{row['sha256']}", {}), REVIEW))
            said, decided = [*said, *review], [*decided, *review]
            concept, copied = concepts.get(row["image_id"], (None, []))
            said, decided = [*said, *copied], [*decided, *(one for one in copied if one.probability >= DECIDES)]
            if row["image_id"] in classified:
                counts["classified"] += 1
                likely, sure, abstained, denied = classified[row["image_id"]]
                said, decided = [*said, *likely], [*decided, *sure]
            chosen = self._chosen(decided, denied)
            for one in chosen.values():
                counts[f"chosen_{one.source}"] += 1
            counts["abstained"] += len(abstained)
            yield from self._rows(row, said, set(decided), set(chosen.values()), abstained)
            self.held.append(self._holds(row, chosen, concept))
        self.counts.update({name: count for name, count in sorted(counts.items()) if count})

    def _rows(
        self, row: Row, said: list[Said], decided: set[Said], chosen: set[Said], abstained: Iterable[Said]
    ) -> Iterator[Row]:
        order, models = self._axes, self._models
        every = [(one, one.label) for one in said] + [(one, None) for one in abstained]
        for one, label in sorted(
            every, key=lambda e: (order[e[0].axis], RANKS[e[0].source], -e[0].probability, e[1] or "", e[0].source)
        ):
            yield {
                **row,
                "axis": one.axis,
                "label": label,
                "probability": one.probability,
                "decision": label is not None and one in decided,
                "chosen": label is not None and one in chosen,
                "source": one.source,
                "model": models.get(one.source, self.sources.weak.id),
                "taxonomy": self.sources.taxonomy.id,
            }

    def _chosen(self, decided: list[Said], denied: set[str]) -> dict[str, Said]:
        found: dict[str, Said] = {}
        for axis in self.sources.taxonomy.axes:
            found |= choose((one for one in decided if one.axis == axis.id), axis, self.sources.taxonomy, denied)
        return found

    def _holds(self, row: Row, chosen: Mapping[str, Said], concept: int | None) -> Row:
        taxonomy = self.sources.taxonomy
        labels = sorted(taxonomy.expand(chosen), key=self._labels.__getitem__)
        published = taxonomy.published(list(chosen))
        return {
            **row,
            "labels": labels,
            "panel_types": [label for label in labels if taxonomy.axis_of(label).id == PANEL_AXIS],
            "primary_labels": published.global_names,
            "secondary_labels": published.local_names,
            "biomedica_panel_type": published.panel_type,
            "biomedica_panel_subtype": published.panel_subtype,
            "space": self.sources.space.id if self.sources.space and concept is not None else None,
            "concept": concept,
            "taxonomy": taxonomy.id,
        }

    def _images(self) -> Iterator[Row]:
        columns = ["chunk", "article_id", "figure_id", "image_id", "sha256"]
        for row in stored_images(self.files, self.manifest.tables["images"].path, columns):
            del row["shard"]
            yield row

    def _classified(self) -> dict[str, tuple[list[Said], list[Said], list[Said], set[str]]]:
        """By image_id: likely labels, those that are sure enough, axes that are abstained on, labels denied."""
        model, taxonomy = self.sources.model, self.sources.taxonomy
        features, captions = self.derived["image_features"], self.derived["caption_features"]
        if model is None or features is None or features.inputs["encoder"] != model.image_encoder:
            return {}
        if captions is not None and captions.inputs["encoder"] != model.text_encoder:
            captions = None
        found: dict[str, tuple[list[Said], list[Said], list[Said], set[str]]] = {}
        for rows, inputs in iter_inputs(self.files, self.manifest, features, captions):
            each: list[tuple[list[Said], list[Said], list[Said], set[str]]] = [([], [], [], set()) for _ in rows]
            for axis_id, p in model.probabilities(inputs, taxonomy).items():
                axis, fitted = taxonomy.axis(axis_id), model.axes[axis_id]
                lowest = classifier_decides(p, fitted.thresholds, fitted.labels, axis, taxonomy)
                for index, (likely, sure, abstained, denied) in enumerate(each):
                    there = taxonomy.expand(lowest[index])
                    every = [
                        Said(axis_id, label, round(float(value), 4), CLASSIFIER)
                        for label, value in zip(fitted.labels, p[index], strict=True)
                        if value >= LEAST or label in there
                    ]
                    every.sort(key=lambda one: -one.probability)
                    sure += [one for one in every if one.label in there]
                    likely += [one for one in every[:MOST] if one.label not in there]
                    likely += [one for one in every if one.label in there]
                    denied.update(fitted.labels[i] for i in np.flatnonzero(p[index] < DENIED))
                    if not lowest[index]:
                        best = int(p[index].argmax())
                        abstained.append(
                            Said(axis_id, fitted.labels[best], round(float(p[index][best]), 4), CLASSIFIER)
                        )
            found.update(zip((row["image_id"] for row in rows), each, strict=True))
        return found

    def _concepts(self) -> dict[str, tuple[int, list[Said]]]:
        """By image_id: its concept, what that one's votes say."""
        made, space = self.derived["concepts"], self.sources.space
        if made is None or space is None or made.inputs["space"] != space.id:
            return {}
        rows = list(iter_rows(self.files, made.file.path, ["image_id", "concept", "distance"]))
        copied = propagate(rows, self.sources.verdicts, space, self.sources.concept_articles)
        return {image_id: (row["concept"], said) for row, (image_id, said) in zip(rows, copied, strict=True)}

    def _figures(self) -> dict[str, _Figure]:
        tables = {name: file.path for name, file in self.manifest.tables.items()}
        pmids = {r["article_id"]: r["pmid"] for r in iter_rows(self.files, tables["articles"], ["article_id", "pmid"])}
        mesh: dict[int, frozenset[str]] = {}
        if metadata := self.derived["metadata"]:
            for row in iter_rows(self.files, metadata.file.path, ["pmid", "mesh"]):
                mesh[row["pmid"]] = frozenset(h["descriptor_ui"] for h in row["mesh"] or [] if h["descriptor_ui"])
        texts = {
            row["figure_id"]: row["text"] or row["group_caption"]
            for row in iter_rows(self.files, tables["captions"], ["figure_id", "text", "group_caption"])
        }
        panels = panels_of(self.files, self.manifest)
        shown = Counter(row["figure_id"] for row in iter_rows(self.files, tables["images"], ["figure_id"]))
        columns = ["article_id", "figure_id", "kind"]
        return {
            row["figure_id"]: _Figure(
                caption=texts.get(row["figure_id"]),
                panels=panels.get(row["figure_id"], 0),
                kind=row["kind"],
                images=shown[row["figure_id"]],
                mesh=mesh.get(pmids.get(row["article_id"]) or 0, frozenset()),
            )
            for row in iter_rows(self.files, tables["figures"], columns)
            if row["figure_id"] in shown
        }

    def _weak_of(self, figure_id: str, figures: Mapping[str, _Figure]) -> list[Said]:
        if figure_id not in self._weak:
            figure = figures[figure_id]
            self._weak[figure_id] = self.sources.weak.label(
                figure.caption, panels=figure.panels, kind=figure.kind, images=figure.images, mesh=figure.mesh
            )
        return self._weak[figure_id]
