"""The label model: one classifier per axis over image vector, caption vector and lettered panels, and its files.

It is kept as ``models/labels/<id>.npz`` (arrays) with the record ``models/labels/<id>.json`` (everything else), where
the id begins the hash of both; ``models/labels/current.json`` is the record of the one in use. No code is in either.
What does not belong here: the classifiers (`classifier`), what they are fitted on (`examples`).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np

from biomedica_assets.labels.classifier import AxisModel, AxisScores, LabelScores, fit_axis
from biomedica_assets.labels.space import one_thread
from biomedica_assets.labels.taxonomy import Taxonomy
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile, JsonRecord, StoreError

FOLDER = "models/labels"
POINTER = f"{FOLDER}/current.json"
MODEL_VERSION = "1"
"""Raised when preparation or fitting change."""

CAPTION_SHARE = 0.5
"""Length of a caption's part of a prepared vector, where the image's is 1 on average: see docs/labels.md."""
COMPONENTS = 512
"""Axes of most variance on which the regressions are fitted; all there are, where there are fewer."""
_FACTS = 2


@dataclass(frozen=True)
class Inputs:
    """What is known of images, rows side by side.

    ``images`` float [n, wide] of the image encoder; ``captions`` float [n, narrow] of the text encoder, zeros where
    there is no caption; ``panels`` int [n]: how many panels the caption letters, 0 where a figure has several files,
    each of which may be one of them.
    """

    images: np.ndarray
    captions: np.ndarray
    panels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Preparation:
    """Centres and lengths that turn `Inputs` into one vector each: image, caption, two numbers for its panels."""

    image_mean: np.ndarray
    caption_mean: np.ndarray
    image_scale: float
    caption_scale: float

    @classmethod
    def fit(cls, inputs: Inputs) -> Self:
        """Means and mean lengths of what is there."""
        with_caption = inputs.captions[np.any(inputs.captions, axis=1)]
        image_mean = inputs.images.mean(axis=0, dtype=np.float64)
        caption_mean = (
            with_caption.mean(axis=0, dtype=np.float64) if len(with_caption) else np.zeros(with_caption.shape[1])
        )
        return cls(
            image_mean.astype(np.float32),
            caption_mean.astype(np.float32),
            _length(inputs.images - image_mean),
            _length(with_caption - caption_mean) / CAPTION_SHARE,
        )

    @property
    def wide(self) -> int:
        return len(self.image_mean) + len(self.caption_mean) + _FACTS

    def apply(self, inputs: Inputs) -> np.ndarray:
        """float32 [n, wide]."""
        prepared = np.zeros((len(inputs), self.wide), np.float32)
        wide, narrow = len(self.image_mean), len(self.caption_mean)
        prepared[:, :wide] = (inputs.images.astype(np.float32) - self.image_mean) / self.image_scale
        there = np.any(inputs.captions, axis=1)
        captions = inputs.captions[there].astype(np.float32)
        prepared[there, wide : wide + narrow] = (captions - self.caption_mean) / self.caption_scale
        prepared[:, -2] = np.where(inputs.panels > 1, 0.5, -0.5)
        prepared[:, -1] = np.log1p(inputs.panels) / 2
        return prepared


def _length(rows: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.sum(np.square(rows, dtype=np.float64), axis=1)))) or 1.0 if len(rows) else 1.0


@dataclass(frozen=True)
class LabelModel:
    """Classifiers by axis. ``refused`` says why an axis has none, ``examples`` counts what was learnt from.

    ``taxonomy``, ``image_encoder`` and ``text_encoder`` are ids: a model is applied to vectors of these only.
    ``made_of`` is the hash of what it was fitted on; ``concept_articles`` says, for each concept of ``space``, how many
    articles its members were from then.
    """

    taxonomy: str
    image_encoder: str
    text_encoder: str
    preparation: Preparation
    axes: dict[str, AxisModel]
    refused: dict[str, str] = field(default_factory=dict)
    examples: dict[str, int] = field(default_factory=dict)
    made_of: str = ""
    id: str = ""
    space: str = ""
    concept_articles: tuple[int, ...] = ()

    def probabilities(self, inputs: Inputs, taxonomy: Taxonomy) -> dict[str, np.ndarray]:
        """By axis float64 [n, labels]."""
        prepared = self.preparation.apply(inputs)
        return {axis: model.probabilities(prepared, taxonomy) for axis, model in self.axes.items()}


@dataclass(frozen=True)
class ModelRecord(JsonRecord):
    """What the store says of a label model: everything but its arrays."""

    id: str
    file: DataFile
    version: str
    taxonomy: str
    image_encoder: str
    text_encoder: str
    scales: list[float]
    axes: dict[str, dict[str, Any]]
    refused: dict[str, str]
    examples: dict[str, int]
    made_of: str
    space: str
    concept_articles: list[int]


def fit_model(
    inputs: Inputs,
    answers: Mapping[str, Sequence[frozenset[str] | None]],
    weights: Mapping[str, np.ndarray],
    articles: Sequence[str],
    taxonomy: Taxonomy,
    *,
    image_encoder: str,
    text_encoder: str,
    precision: float = 0.85,
    seed: int = 0,
    examples: Mapping[str, int] | None = None,
    made_of: str = "",
) -> LabelModel:
    """Fit every axis that has answers; arguments as for `classifier.fit_axis`, by axis where there is one for each."""
    preparation = Preparation.fit(inputs)
    prepared = preparation.apply(inputs)
    mean, axes_of_variance = _axes(prepared)
    points = (prepared - mean) @ axes_of_variance
    fitted: dict[str, AxisModel] = {}
    refused: dict[str, str] = {}
    for axis in taxonomy.axes:
        if axis.id not in answers:
            refused[axis.id] = "no examples"
            continue
        model = fit_axis(
            points, answers[axis.id], weights[axis.id], articles, axis, taxonomy, precision=precision, seed=seed
        )
        if isinstance(model, str):
            refused[axis.id] = model
            continue
        whole = axes_of_variance @ model.weights.astype(np.float64)
        fitted[axis.id] = replace(
            model, weights=whole.astype(np.float32), bias=(model.bias - mean @ whole).astype(np.float32)
        )
    return LabelModel(
        taxonomy.id, image_encoder, text_encoder, preparation, fitted, refused, dict(examples or {}), made_of
    )


def _axes(prepared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [wide], and orthonormal axes [wide, narrow] of most variance: `COMPONENTS`, or as many as there are.

    A penalised regression lies in the span of its examples: while all axes are kept nothing is lost by turning to
    them, and the cost no longer depends on the width of the vectors.
    """
    with one_thread():
        mean = prepared.mean(axis=0, dtype=np.float64)
        few = len(prepared) < prepared.shape[1]
        if few:
            centred = prepared.astype(np.float64) - mean
            gram = centred @ centred.T
        else:
            gram = np.zeros((prepared.shape[1],) * 2)
            for start in range(0, len(prepared), 4096):
                block = prepared[start : start + 4096].astype(np.float64) - mean
                gram += block.T @ block
        values, vectors = np.linalg.eigh(gram)
        kept = np.flatnonzero(values > 1e-9 * max(values[-1], 1e-300))[::-1][:COMPONENTS]
        vectors = vectors[:, kept]
        return mean, centred.T @ vectors / np.sqrt(values[kept]) if few else vectors


def save_model(files: Files, model: LabelModel) -> ModelRecord:
    """Commit a model and make it the one in use. The same model has the same id and bytes."""
    data = _arrays(model)
    digest = hashlib.sha256(data).hexdigest()
    axes = {name: _about(axis) for name, axis in model.axes.items()}
    preparation = model.preparation
    about: dict[str, Any] = {
        "version": MODEL_VERSION,
        "taxonomy": model.taxonomy,
        "image_encoder": model.image_encoder,
        "text_encoder": model.text_encoder,
        "scales": [preparation.image_scale, preparation.caption_scale],
        "axes": axes,
        "refused": model.refused,
        "examples": model.examples,
        "made_of": model.made_of,
        "space": model.space,
        "concept_articles": list(model.concept_articles),
    }
    model_id = hashlib.sha256(digest.encode() + json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    labels = sum(len(axis.labels) for axis in model.axes.values())
    record = ModelRecord(id=model_id, file=DataFile(f"{FOLDER}/{model_id}.npz", len(data), digest, labels), **about)
    files.write(record.file.path, data)
    files.write(f"{FOLDER}/{model_id}.json", record.to_json())
    files.write(POINTER, record.to_json())
    return record


def read_model_record(files: Files, model_id: str | None = None) -> ModelRecord | None:
    """The record of the model in use, or of another one; None when there is none."""
    try:
        return ModelRecord.from_json(files.read(f"{FOLDER}/{model_id}.json" if model_id else POINTER))
    except FileNotFoundError:
        return None


def load_model(files: Files, record: ModelRecord) -> LabelModel:
    """The model of a record.

    Raises:
        StoreError: its file is not the one that was committed.
    """
    data = files.read(record.file.path)
    if hashlib.sha256(data).hexdigest() != record.file.sha256:
        raise StoreError(f"{record.file.path} is damaged: restore it, or materialize `label_model` with refit")
    axes = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        preparation = Preparation(arrays["image_mean"], arrays["caption_mean"], *record.scales)
        for name, about in record.axes.items():
            axes[name] = AxisModel(
                axis=name,
                labels=tuple(about["labels"]),
                weights=arrays[f"{name}.weights"],
                bias=arrays[f"{name}.bias"],
                temperature=about["temperature"],
                shift=about["shift"],
                thresholds=np.array(about["thresholds"], np.float32),
                scores=AxisScores(**about["scores"]),
                label_scores=tuple(LabelScores(**one) for one in about["label_scores"]),
                left_out=about["left_out"],
            )
    return LabelModel(
        record.taxonomy,
        record.image_encoder,
        record.text_encoder,
        preparation,
        axes,
        record.refused,
        record.examples,
        record.made_of,
        record.id,
        record.space,
        tuple(record.concept_articles),
    )


def _arrays(model: LabelModel) -> bytes:
    found = {"image_mean": model.preparation.image_mean, "caption_mean": model.preparation.caption_mean}
    for name, axis in sorted(model.axes.items()):
        found |= {f"{name}.weights": axis.weights, f"{name}.bias": axis.bias}
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **found)
    return out.getvalue()


def _about(axis: AxisModel) -> dict[str, Any]:
    return {
        "labels": list(axis.labels),
        "temperature": axis.temperature,
        "shift": axis.shift,
        "thresholds": [round(float(value), 4) for value in axis.thresholds],
        "scores": asdict(axis.scores) if axis.scores else None,
        "label_scores": [asdict(one) for one in axis.label_scores],
        "left_out": axis.left_out,
    }
