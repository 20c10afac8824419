"""Which vectors a concept space is fitted on, and when it is fitted anew.

The sample is of distinct pictures of current articles: those whose hash, of SHA-256 and seed, is smallest. It depends
neither on chunks and their order nor on how many runs made them. Its vectors are gathered in a scratch file, in the
order of their hashes. What does not belong here: the model (`space`), whether a space has had its day (`drift`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.dataset.queries import from_parquet
from biomedica_assets.labels.space import SpaceRecord, default_clusters, fit_space, read_space_record, save_space
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import connect, parquet_relation, refresh_generation, schema_versions
from biomedica_assets.store.derived import DerivedManifest, read_derived
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError

FEWEST = 4
"""Pictures from which a space is fitted."""
BATCH = 4096
"""Rows of vectors read at a time."""


class TooFewPicturesError(StoreError):
    """There is not enough to fit a concept space on; the message says what to do."""


def made_by(manifest: DerivedManifest) -> str:
    """What made the vectors of a chunk: encoder and version of the features. Only equal ones may be compared."""
    return f"{manifest.inputs['encoder']}/{manifest.inputs['features']}"


def asked_for(settings: Settings) -> dict[str, int]:
    """What the settings ask a space to be fitted with."""
    return {
        "components": settings.concept_components,
        "clusters": settings.concept_clusters,
        "sample": settings.concept_sample,
        "seed": settings.concept_seed,
    }


def ensure_space(
    files: Files,
    settings: Settings,
    *,
    refit: bool = False,
    scratch: str | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> tuple[SpaceRecord, bool]:
    """The concept space in use, fitted when there is none or ``refit`` is set; and whether it was fitted now.

    A space that exists is kept whatever the settings say: votes and labels refer to its concepts.

    Raises:
        TooFewPicturesError: no vectors, or of fewer than `FEWEST` pictures.
    """
    kept = None if refit else read_space_record(files)
    if kept is not None:
        return kept, False
    features = chosen_features(read_derived(files, schemas.IMAGE_FEATURES.name))
    if not features:
        raise TooFewPicturesError(f"{files.url} has no vectors of images: materialize `image_features` first")
    asked = asked_for(settings)
    with tempfile.TemporaryDirectory(prefix="concepts-", dir=scratch) as folder:
        pictures, sample = _sample(files, features, Path(folder), asked["sample"], asked["seed"])
        if len(sample) < FEWEST:
            raise TooFewPicturesError(
                f"{files.url} has vectors of {pictures} current pictures, a concept space needs {FEWEST}: "
                "ingest and encode more chunks first"
            )
        log(f"{pictures} pictures are current, {len(sample)} of them are taken")
        vectors = _gather(files, features, sample, Path(folder) / "vectors")
        clusters = min(asked["clusters"] or default_clusters(pictures), len(sample))
        fit = fit_space(vectors, components=asked["components"], clusters=clusters, seed=asked["seed"])
    [encoder, version] = made_by(next(iter(features.values()))).rsplit("/", 1)
    record = save_space(
        files,
        fit,
        encoder=encoder,
        features=version,
        settings=asked,
        pictures=pictures,
        sampled=len(sample),
        chunks={chunk: manifest.file.path for chunk, manifest in features.items()},
    )
    log(f"fitted the concept space {record.id}: {record.concepts} concepts on {record.components} axes")
    return record, True


def chosen_features(made: Mapping[str, DerivedManifest]) -> dict[str, DerivedManifest]:
    """The chunks whose vectors come from one encoder: the one with most vectors while another takes over."""
    sizes: dict[str, int] = {}
    for manifest in made.values():
        sizes[made_by(manifest)] = sizes.get(made_by(manifest), 0) + manifest.file.rows
    if not any(sizes.values()):
        return {}
    chosen = min(sizes, key=lambda name: (-sizes[name], name))
    return {chunk: manifest for chunk, manifest in made.items() if made_by(manifest) == chosen}


def derived_relation(files: Files, table: schemas.Table, manifests: Iterable[DerivedManifest]) -> str:
    """A FROM item over all rows of these partitions of a derived table."""
    made = list(manifests)
    return parquet_relation(files, [manifest.file.path for manifest in made], table, schema_versions(made))


def current_rows(
    files: Files, connection: duckdb.DuckDBPyConnection, table: schemas.Table, manifests: Iterable[DerivedManifest]
) -> str:
    """A FROM item over the rows of a derived table that belong to current articles of today's file lists."""
    current = from_parquet(files, refresh_generation(files).files["current"].path)
    connection.execute(f"CREATE VIEW current AS SELECT chunk, article_id FROM {current}")
    rows = derived_relation(files, table, manifests)
    return f"(SELECT t.* FROM {rows} t SEMI JOIN current USING (chunk, article_id))"


def _sample(
    files: Files, features: Mapping[str, DerivedManifest], folder: Path, most: int, seed: int
) -> tuple[int, list[str]]:
    """How many pictures are current, and the SHA-256s of the sample in the order of their hashes."""
    with connect(files, folder) as connection:
        rows = current_rows(files, connection, schemas.IMAGE_FEATURES, features.values())
        connection.execute(f"CREATE TABLE pictures AS SELECT DISTINCT sha256 FROM {rows}")
        [pictures] = connection.execute("SELECT count(*) FROM pictures").fetchone() or (0,)
        order = "md5(concat(sha256, '/', ?::VARCHAR)), sha256"
        chosen = connection.execute(f"SELECT sha256 FROM pictures ORDER BY {order} LIMIT ?", [str(seed), most])
        return pictures, [sha256 for [sha256] in chosen.fetchall()]


def _gather(files: Files, features: Mapping[str, DerivedManifest], sample: list[str], path: Path) -> StoredVectors:
    """The vectors of the sample, in its order, in a file of their own."""
    wanted = pa.array(sample)
    missing = np.ones(len(sample), bool)
    wide = 0
    path.touch()
    for manifest in features.values():
        for rows, matrix in iter_vectors(files, manifest.file.path, ["sha256"]):
            wide = matrix.shape[1]
            places = pc.index_in(rows.column("sha256"), value_set=wanted).fill_null(-1).to_numpy()
            chosen = np.flatnonzero((places >= 0) & missing[places])
            if len(chosen):  # mapped anew for each batch: what was written before is not held in memory
                vectors = np.memmap(path, np.float16, "r+", shape=(len(sample), wide))
                vectors[places[chosen]] = matrix[chosen]
                missing[places[chosen]] = False
                del vectors
        if not missing.any():
            break
    assert not missing.any()
    return StoredVectors(path, len(sample), wide)


class StoredVectors:
    """Half floats [n, wide] in a file, of which a slice of rows is read at a time."""

    def __init__(self, path: Path, count: int, wide: int) -> None:
        self._path, self.shape = path, (count, wide)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        first, last, _ = rows.indices(len(self))
        wide = self.shape[1]
        read = np.fromfile(self._path, np.float16, (last - first) * wide, offset=first * wide * 2)
        return read.reshape(-1, wide)


def iter_vectors(files: Files, path: str, columns: Sequence[str]) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """A file of features in batches: these columns, and the vectors as half floats [n, wide]."""
    with files.open_seekable(path) as stream:
        for batch in pq.ParquetFile(stream).iter_batches(BATCH, columns=[*columns, "vector"]):
            matrix = batch.column("vector").flatten().to_numpy(zero_copy_only=False).reshape(len(batch), -1)
            yield batch.select(list(columns)), matrix
