"""Files of quality models: the one that the package ships, and the one that a store has fitted on its own labels.

A model is ``<id>.npz`` (arrays) with a record in JSON (everything else), where the id begins the hash of both; no code
is in either. A store has them in ``models/quality/``, and ``models/quality/current.json`` is the record of the one in
use; without it the shipped one is used. What does not belong here: when a store fits one (`training`).
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from biomedica_assets.quality.classifier import FIT_VERSION, OUTPUT_NAMES, OUTPUTS, QualityModel
from biomedica_assets.quality.features import COLUMNS, FEATURES_VERSION
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile, JsonRecord, StoreError

FOLDER = "models/quality"
POINTER = f"{FOLDER}/current.json"
SHIPPED = Path(__file__).with_name("default.json")
DIGITS = 12


@dataclass(frozen=True)
class QualityRecord(JsonRecord):
    """What is said of a model: everything but its arrays. ``about`` is for people: examples, teachers, scores."""

    id: str
    file: DataFile
    features: str
    fit: str
    outputs: list[str]
    temperatures: list[float]
    cuts: list[float]
    made_of: str = ""
    about: dict[str, Any] = field(default_factory=dict)


def model_bytes(model: QualityModel) -> bytes:
    """The arrays as an npz file."""
    out = io.BytesIO()
    np.savez_compressed(out, allow_pickle=False, weights=model.weights, scales=model.scales, bias=model.bias)
    return out.getvalue()


def record_of(model: QualityModel, data: bytes, folder: str, made_of: str = "") -> QualityRecord:
    """The record of a model whose arrays are ``data``."""
    about: dict[str, Any] = {
        "features": FEATURES_VERSION,
        "fit": FIT_VERSION,
        "outputs": list(OUTPUT_NAMES),
        "temperatures": list(model.temperatures),
        "cuts": list(model.cuts),
    }
    digest = hashlib.sha256(data)
    sha256 = digest.hexdigest()
    digest.update(json.dumps(about, sort_keys=True).encode())
    model_id = digest.hexdigest()[:DIGITS]
    path = f"{folder}/{model_id}.npz" if folder else f"{SHIPPED.stem}.npz"
    return QualityRecord(
        model_id, DataFile(path, len(data), sha256, len(model.weights)), **about, made_of=made_of, about=model.about
    )


def save_model(files: Files, model: QualityModel, made_of: str) -> QualityRecord:
    """Commit a model and make it the store's. The same model has the same id."""
    data = model_bytes(model)
    record = record_of(model, data, FOLDER, made_of)
    files.write(record.file.path, data)
    files.write(f"{FOLDER}/{record.id}.json", record.to_json())
    files.write(POINTER, record.to_json())
    return record


def read_record(files: Files) -> QualityRecord:
    """The record of the model in use: the store's own, else the shipped one.

    Raises:
        StoreError: the store's is of other features than this software computes.
    """
    record = own_record(files)
    if record is None:
        return shipped_record()
    if record.features != FEATURES_VERSION:
        raise StoreError(
            f"{POINTER} is a model of features {record.features}; this software computes {FEATURES_VERSION}: "
            "materialize `quality_model` to fit it anew"
        )
    return record


def own_record(files: Files) -> QualityRecord | None:
    """The record of the store's own model, of whatever version; None where it uses the shipped one."""
    try:
        return QualityRecord.from_json(files.read(POINTER))
    except FileNotFoundError:
        return None


def load_model(files: Files, record: QualityRecord) -> QualityModel:
    """The model that a record is of.

    Raises:
        StoreError: its file is missing or not what was written.
    """
    if record.file.path == shipped_record().file.path:
        return shipped_model()
    try:
        return _opened(record, files.read(record.file.path), record.file.path)
    except FileNotFoundError as error:
        raise StoreError(
            f"{record.file.path} is missing: restore it, or materialize `quality_model` with refit"
        ) from error


@lru_cache(maxsize=1)
def shipped_record() -> QualityRecord:
    """The record of the model that the package has."""
    return QualityRecord.from_json(SHIPPED.read_bytes())


@lru_cache(maxsize=1)
def shipped_model() -> QualityModel:
    """The model that the package has, fitted on what the rules say of real articles; see docs/paragraph_quality.md.

    Raises:
        StoreError: its file is not the one that belongs to this version.
    """
    record = shipped_record()
    return _opened(record, SHIPPED.with_name(record.file.path).read_bytes(), record.file.path)


def _opened(record: QualityRecord, data: bytes, path: str) -> QualityModel:
    if hashlib.sha256(data).hexdigest() != record.file.sha256:
        raise StoreError(f"{path} is damaged: restore it, or fit the model anew")
    if record.features != FEATURES_VERSION or record.outputs != list(OUTPUT_NAMES):
        raise StoreError(f"{path} is a model of another version: fit it anew")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        model = QualityModel(
            arrays["weights"],
            arrays["scales"],
            arrays["bias"],
            (record.temperatures[0], record.temperatures[1]),
            tuple(record.cuts),
        )
    if model.weights.shape != (COLUMNS, OUTPUTS):
        raise StoreError(f"{path} has weights of shape {model.weights.shape}")
    return replace(model, id=record.id, about=record.about)


def write_shipped(model: QualityModel, folder: Path = SHIPPED.parent) -> QualityRecord:
    """Write the model that the package ships; for those who make releases of it."""
    data = model_bytes(model)
    record = record_of(model, data, "")
    (folder / record.file.path).write_bytes(data)
    (folder / SHIPPED.name).write_bytes(record.to_json() + b"\n")
    return record
