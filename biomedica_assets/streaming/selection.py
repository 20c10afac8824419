"""Which samples a stream is about: the images of one state that a filter keeps, as arrays in the archive's order.

A state is a catalogue generation: its files never change, so a selection of it is the same whenever and wherever it is
made. Nothing here holds a Python object per row: 24 million rows are 28 bytes each. What is withdrawn is still among
them: it is dropped when a stream is laid out (`plan`), so that a withdrawal moves nobody else's place.
What does not belong here: the order of an epoch (`order`), what is withdrawn (`withdrawn`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from biomedica_assets.dataset.filters import FilterError, Filters
from biomedica_assets.dataset.predicates import COLUMNS, from_clause, held, select_list
from biomedica_assets.dataset.queries import MEMORY_LIMIT, from_parquet
from biomedica_assets.dataset.subsets import Subset, add_metadata_view, read_subset
from biomedica_assets.store.catalogue import Generation, find_generation, open_views, read_generation
from biomedica_assets.store.duck import duck_url, register, sql_text
from biomedica_assets.store.files import Files
from biomedica_assets.store.snapshots import SnapshotError, read_snapshot

StreamUnit = Literal["image", "panel"]
SERVED_GROUPS = ("commercial", "noncommercial")
"""Licence groups of streams unless others are enabled."""
_BATCH = 200_000
_ID = re.compile(r"[0-9a-f]{16}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class StreamError(ValueError):
    """What was asked for cannot be streamed; the message says why and what to do."""


class StateGoneError(StreamError):
    """The state, or a file of it, is not in the store any more."""


@dataclass(frozen=True)
class Selection:
    """What is to be streamed.

    Args:
        state: id of a catalogue generation.
        filters: what an image must be.
        subset: name and id of a subset's state, or null.
        groups: licence groups, sorted.
        snapshot: name of the snapshot that keeps the state, or null.
        unit: whether a sample is an image or a panel.
    """

    state: str
    filters: Filters = field(default_factory=Filters)
    subset: tuple[str, str] | None = None
    groups: tuple[str, ...] = SERVED_GROUPS
    snapshot: str | None = None
    unit: StreamUnit = "image"


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of a selection, in the archive's order: row n of every array is sample n.

    ``row`` is the row of the generation's ``sample_index`` file, ``shard`` counts in ``shards``, offset and length
    are bytes, ``check`` is the beginning of the image file's SHA-256 as a number.
    """

    shards: tuple[str, ...]
    shard: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    check: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in (self.shard, self.offset, self.length, self.row, self.check))

    @cached_property
    def digest(self) -> str:
        """16 hex digits: the same samples in the same places."""
        digest = hashlib.sha256("\n".join(self.shards).encode())
        for array in (self.shard, self.offset, self.length):
            digest.update(array.data)
        return digest.hexdigest()[:16]


def newest_state(files: Files) -> Generation:
    """The newest catalogue generation. Raises `StreamError` before the first."""
    generation = read_generation(files)
    if generation is None:
        raise StreamError(f"{files.url} has no catalogue yet: materialize the asset `catalogue`")
    return generation


def find_state(files: Files, state: str | None, snapshot: str | None) -> Generation:
    """The generation of a snapshot, or of this id; without either, the newest.

    Raises:
        StreamError: there is no such snapshot, or no catalogue.
        StateGoneError: the state is not kept any more.
    """
    if state is not None and not _ID.fullmatch(state):
        raise StreamError(f"{state[:80]!r} is not the id of a state: 16 hex digits, as `/v1/streams/plan` gives them")
    if snapshot is not None:
        try:
            generation = read_snapshot(files, snapshot).catalogue
        except SnapshotError as error:
            raise StreamError(str(error)) from error
        if state in (None, generation.id):
            return generation
        # Compaction may have moved the snapshot's samples to other files; the ones before stay for a while.
    if state is None:
        return newest_state(files)
    found = find_generation(files, state)
    if found is None:
        raise StateGoneError(
            f"the state {state} is not in the store any more: begin a new epoch with the present state, "
            "and name a snapshot to keep one for long"
        )
    return found


def find_subset(files: Files, name: str, subset_id: str | None = None) -> Subset:
    """The newest state of a subset, or the one of this id. Raises `StreamError`."""
    if not _NAME.fullmatch(name) or (subset_id is not None and not _ID.fullmatch(subset_id)):
        raise StreamError(f"{name[:80]!r} is not the name of a subset")
    try:
        return read_subset(files, name, subset_id)
    except FileNotFoundError:
        raise StreamError(f"the store has no subset {name!r}") from None


def read_samples(files: Files, selection: Selection) -> Samples:
    """The samples of a selection.

    Raises:
        StreamError: the filter needs what the store does not have.
        StateGoneError: the state or a file of it is not kept any more.
    """
    generation = find_state(files, selection.state, selection.snapshot)
    shards, arrays = select(files, generation, selection)
    return Samples(shards, **arrays)


def select(
    files: Files, generation: Generation, selection: Selection, join: str = "", more: Mapping[str, tuple[str, Any]] = {}
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The shards and arrays of `Samples`, and of what else is wanted: (SQL over ``join``, type) by name.

    Raises:
        StreamError, StateGoneError: see `read_samples`.
    """
    try:
        selection.filters.check(held(generation.paths))
        predicate, values = selection.filters.sql()
    except FilterError as error:
        raise StreamError(str(error)) from error
    columns = selection.filters.columns()
    tables = {COLUMNS[name][0] for name in columns} - {"sample_index"}
    groups = set(selection.groups)
    picked = ""
    if selection.subset:
        subset = find_subset(files, *selection.subset)
        groups &= set(subset.recipe["licence_groups"])
        picked = _picked(files, subset, selection.unit)
    listed = ", ".join(sql_text(group) for group in sorted(groups)) or "NULL"
    named = f", {select_list(sorted(columns))}" if columns else ""
    place = ("row", "shard", "offset", "length", "check", *more)
    also = "".join(f", {sql} AS _{name}" for name, (sql, _) in more.items())
    query = f"""
        SELECT {", ".join(f"_{name}" for name in place)} FROM (
            SELECT s.file_row_number::INTEGER AS _row, s.shard AS _shard, s."offset" AS _offset,
                   s.length::INTEGER AS _length, ('0x' || left(s.sha256, 16))::UBIGINT AS _check{named}{also}
            FROM {from_clause(columns)} {join} {picked}
            WHERE s.licence_group IN ({listed}) AND s.shard IS NOT NULL AND s.sha256 IS NOT NULL)
        WHERE {predicate}
    """
    with _views(files, generation, everything=bool(tables or join)) as connection:
        try:
            reader = connection.sql(query, params=values).to_arrow_reader(_BATCH)
            return _sorted(reader, {name: kind for name, (_, kind) in more.items()})
        except (duckdb.IOException, FileNotFoundError) as error:
            raise StateGoneError(f"a file of the state {selection.state} is not in the store any more") from error
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise StreamError(f"this state cannot answer that filter: {error}") from error


def _picked(files: Files, subset: Subset, unit: StreamUnit) -> str:
    """What keeps the samples that a subset picked."""
    kind = subset.recipe.get("unit", "image")
    if kind not in ("image", unit) and not (kind == "panel" and unit == "image"):
        raise StreamError(f"the subset {subset.name!r} is made of {kind}s: export it; streams have images and panels")
    named = ("sample_id", "p.panel_id") if kind == unit == "panel" else ("image_id", "s.image_id")
    rows = f"(SELECT {named[0]} AS id, sha256 FROM {from_parquet(files, subset.file.path)})"
    return f"SEMI JOIN {rows} k ON k.id = {named[1]} AND k.sha256 = s.sha256"


def rows_of_articles(files: Files, generation: Generation, article_ids: frozenset[str]) -> npt.NDArray[np.int32]:
    """Rows of the generation's ``sample_index`` that are of these article versions, by either of their ids."""
    ids = pa.table({"id": pa.array(sorted(article_ids), pa.string())})
    current = from_parquet(files, generation.files["current"].path)
    with _views(files, generation) as connection:
        connection.register("ids", ids)
        found = connection.sql(f"""
            SELECT file_row_number::INTEGER AS row FROM sample_index s
            WHERE s.article_id IN (FROM ids) OR (s.chunk, s.article_id) IN (
                SELECT (chunk, article_id) FROM {current} WHERE concat('PMC', pmcid, '.', version) IN (FROM ids))
        """).to_arrow_table()
    return np.sort(found.column("row").to_numpy())


@contextmanager
def _views(files: Files, generation: Generation, *, everything: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the view ``sample_index``, its rows numbered, and if asked for all views of the catalogue."""
    if everything:
        connection = open_views(files, generation)
        add_metadata_view(connection)
    else:
        connection = duckdb.connect()
        register(files, connection)
    with connection:
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        path = sql_text(duck_url(files, generation.files["sample_index"].path))
        rows = f"SELECT * FROM read_parquet({path}, file_row_number = true)"
        connection.execute(f"CREATE OR REPLACE VIEW sample_index AS {rows}")
        yield connection


def _sorted(reader: Any, more: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Shards, and the rows by shard and offset; those of one place by ``ordinal``."""
    codes: dict[str, int] = {}
    kinds = {"shard": np.int32, "row": np.int32, "offset": np.int64, "length": np.int32, "check": np.uint64, **more}
    parts: dict[str, list[Any]] = {name: [] for name in kinds}
    for batch in reader:
        names = batch.column("_shard").dictionary_encode()
        code_of = np.array([codes.setdefault(name, len(codes)) for name in names.dictionary.to_pylist()], np.int32)
        parts["shard"].append(code_of[names.indices.to_numpy()])
        for name in kinds.keys() - {"shard"}:
            parts[name].append(batch.column(f"_{name}").to_numpy())
    arrays: dict[str, Any] = {}
    for name, kind in kinds.items():
        arrays[name] = np.concatenate([np.empty(0, kind), *parts.pop(name)]).astype(kind, copy=False)
    if "ordinal" in arrays:
        order = np.argsort(arrays["ordinal"], kind="stable")
        arrays = {name: array[order] for name, array in arrays.items()}
    shards = tuple(sorted(codes))
    rank = np.empty(len(shards), np.int64)
    for place, shard in enumerate(shards):
        rank[codes[shard]] = place
    keys = rank[arrays["shard"]]
    arrays["shard"] = keys.astype(np.int32)
    keys <<= 40  # a shard is shorter than 1 TB
    keys |= arrays["offset"]
    places = np.argsort(keys, kind="stable").astype(np.int32)
    del keys
    return shards, {name: arrays.pop(name)[places] for name in list(arrays)}


def selection_key(selection: Selection) -> str:
    """A text that two equal selections share."""
    values = [selection.state, selection.filters.active(), selection.subset, sorted(selection.groups), selection.unit]
    return json.dumps(values, sort_keys=True)
