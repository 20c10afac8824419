"""Subsets: a recipe carried out on one catalogue generation; image ids with counts before and after every step.

``subsets/<name>/<hash>.parquet`` holds the ids, ``subsets/<name>/<hash>.json`` says what they come from and
``subsets/<name>/current.json`` points at the newest. All three are a function of generation, recipe and lists. Reading
a subset gives what of it is current now: whatever was withdrawn, changed its picture or left the licence groups since
is masked, and the rows say where bytes lie today. What does not belong here: recipes' syntax (`recipes`), `exports`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
import fsspec
import numpy as np
import pyarrow as pa

from biomedica_assets import schemas
from biomedica_assets.dataset.duplicates import add_duplicates_view, read_duplicates
from biomedica_assets.dataset.near import near_any
from biomedica_assets.dataset.predicates import referenced
from biomedica_assets.dataset.queries import (
    bounded_catalogue,
    count_rows,
    from_parquet,
    load,
    lock,
)
from biomedica_assets.dataset.recipes import Recipe, RecipeError
from biomedica_assets.dataset.units import UNITS, Unit
from biomedica_assets.schemas import Row
from biomedica_assets.store.catalogue import Generation, read_generation
from biomedica_assets.store.duck import sql_text, write_query
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile, JsonRecord

SUBSETS_VERSION = 2
"""Raised when the rules below change."""

_HEX = set("0123456789abcdef")


class InactiveError(Exception):
    """The recipe needs a table that the store does not have yet; the message says which."""


@dataclass(frozen=True)
class Subset(JsonRecord):
    """What a subset is and comes from.

    ``recipe`` is the recipe as JSON values, ``inputs`` the generation's files and everything else the ids depend on;
    ``steps`` have name, before and after (samples); ``counts`` are samples and bytes by licence group.
    """

    version: int
    name: str
    recipe: dict[str, Any]
    recipe_hash: str
    input_hash: str
    inputs: dict[str, Any]
    file: DataFile
    steps: list[dict[str, Any]]
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def unit(self) -> Unit:
        """What a sample of it is."""
        return UNITS[self.recipe.get("unit", "image")]

    @property
    def key(self) -> str:
        """Column of its file that names a sample: states made before there were other units than images lack it."""
        return "sample_id" if self.version >= 2 else "image_id"

    @property
    def samples(self) -> int:
        """Images, panels or paragraphs that were picked."""
        return self.file.rows

    @property
    def amount(self) -> str:
        """How much it is, for people: ``1,200 panels``."""
        return f"{self.samples:,} {self.recipe.get('unit', 'image')}s"

    @property
    def id(self) -> str:
        """16 hex digits that name this state of the subset."""
        return self.input_hash[:16]


def pointer_path(name: str) -> str:
    """Path below the store of the file that names the newest state of a subset."""
    return f"subsets/{name}/current.json"


def read_subset(files: Files, name: str, subset_id: str | None = None) -> Subset:
    """A subset's manifest, the newest or the one of this id.

    Raises:
        FileNotFoundError: there is none.
    """
    subset_id = subset_id or json.loads(files.read(pointer_path(name)))["id"]
    return Subset.from_json(files.read(f"subsets/{name}/{subset_id}.json"))


def available_tables(files: Files) -> set[str]:
    """Tables that a recipe may need and that have data now."""
    generation = read_generation(files)
    found = {name for name, paths in generation.paths.items() if paths} if generation else set()
    return found | ({"duplicates"} if read_duplicates(files) else set())


def build_subset(files: Files, recipe: Recipe, *, scratch: str | None = None) -> Subset:
    """Carry a recipe out and commit the result; what stands is returned when nothing it depends on has changed.

    Raises:
        InactiveError: the recipe needs what is not there yet.
        RecipeError: its predicate or a list cannot be used after all.
        FileNotFoundError: no catalogue has been built yet.
    """
    generation = read_generation(files)
    if generation is None:
        raise FileNotFoundError(f"{files.url} has no catalogue yet: materialize the asset `catalogue`")
    reason = recipe.inactive_reason(available_tables(files))
    if reason:
        raise InactiveError(f"{recipe.name}: {reason}")
    lists = [_read_list(entry.list) for entry in recipe.decontaminate]
    inputs = _inputs(files, generation, recipe, lists)
    input_hash = hashlib.sha256(json.dumps([SUBSETS_VERSION, inputs], sort_keys=True).encode()).hexdigest()
    try:
        before = read_subset(files, recipe.name)
    except FileNotFoundError:
        before = None
    if before and before.input_hash == input_hash:
        return before
    with bounded_catalogue(files, scratch) as (connection, folder):
        add_duplicates_view(files, connection)
        add_metadata_view(connection)
        lock(files, connection)
        try:
            steps = list(_steps(connection, recipe, lists))
        except duckdb.Error as error:
            raise RecipeError(f"{recipe.name}: {error}") from error
        query = "SELECT * FROM picked ORDER BY pmcid, sample_id"
        data_file = write_query(files, connection, folder, schemas.SUBSET, query, f"subsets/{recipe.name}/")
        counts = {f"{recipe.unit}s": data_file.rows}
        totals = "SELECT licence_group, count(*), sum(bytes)::BIGINT FROM picked GROUP BY 1 ORDER BY 1"
        for group, samples, size in connection.execute(totals).fetchall():
            counts |= {f"{group}_{recipe.unit}s": samples, f"{group}_bytes": size}
        if recipe.upsample:
            counts["copies"] = int(connection.execute("SELECT coalesce(sum(copies), 0) FROM picked").fetchall()[0][0])
    subset = Subset(
        version=SUBSETS_VERSION,
        name=recipe.name,
        recipe=recipe.canonical() | {"description": recipe.description},
        recipe_hash=recipe.digest,
        input_hash=input_hash,
        inputs=inputs,
        file=data_file,
        steps=steps,
        counts=counts,
    )
    files.write(f"subsets/{recipe.name}/{subset.id}.json", subset.to_json())
    files.write(pointer_path(recipe.name), json.dumps({"id": subset.id, "file": data_file.path}).encode())
    return subset


def _inputs(files: Files, generation: Generation, recipe: Recipe, lists: list[_HashList]) -> dict[str, Any]:
    """Everything the ids depend on. Paths bear their content's hash, so naming them is enough."""
    duplicates = read_duplicates(files)
    state = {"files": {n: f.sha256 for n, f in generation.files.items()}, "paths": generation.paths}
    return {
        "generation": hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest(),
        "releases": generation.releases[-1:],
        "duplicates": duplicates.file.sha256 if duplicates else None,
        "recipe": recipe.digest,
        "lists": [entry.sha256 for entry in lists],
    }


def add_metadata_view(connection: duckdb.DuckDBPyConnection) -> None:
    """View ``metadata`` without rows, where the generation is older than PubMed's part of the catalogue."""
    views = connection.execute("SELECT view_name FROM duckdb_views() WHERE view_name = 'metadata'").fetchall()
    if not views:
        connection.execute("""
            CREATE VIEW metadata AS
            SELECT c.chunk, c.article_id, m.* FROM current c JOIN all_metadata m ON false
        """)


def _steps(connection: duckdb.DuckDBPyConnection, recipe: Recipe, lists: list[_HashList]) -> Iterator[dict[str, Any]]:
    """Fill the table ``picked``; yields each step with the samples before and after it."""
    unit = recipe.kind
    by_looks = unit.pictured
    count = count_rows(connection, unit.source)
    # Columns that only a later step reads travel along with the ids.
    columns = (set(schemas.SUBSET.names) - {"copies", *({"image_id"} if not by_looks else ())}) | {
        *(cap.by for cap in recipe.balance),
        *unit.same,
    }
    for one in recipe.upsample:
        columns |= referenced(one.where, unit.columns)
    if recipe.decontaminate and by_looks:
        columns.add("perceptual_hash")
    if recipe.dedup != "none":
        columns |= {"publication_date", *({"cluster"} if by_looks else ())}
    groups = ", ".join(sql_text(group) for group in recipe.licence_groups)
    licensed = f"s.licence_group IN ({groups}) AND s.sha256 IS NOT NULL"
    after = count_rows(connection, f"{unit.source} WHERE {licensed}")
    yield {"step": "licence_groups", "detail": list(recipe.licence_groups), "before": count, "after": after}
    count = after
    asked = columns | (recipe.columns if recipe.where else set())
    source = f"SELECT {unit.select_list(sorted(asked))} FROM {unit.from_clause(asked)} WHERE {licensed}"
    kept = ", ".join(f'"{name}"' for name in sorted(columns)) + ("" if by_looks else ", NULL AS image_id")
    predicate = recipe.where or "true"
    for each in (predicate, *(one.where for one in recipe.upsample)):
        _boolean(connection, source, each)
    connection.execute(f"CREATE TABLE picked AS SELECT {kept}, 1 AS copies FROM ({source}) WHERE (\n{predicate}\n)")
    if recipe.where:
        after = count_rows(connection, "picked")
        yield {"step": "where", "detail": recipe.where, "before": count, "after": after}
        count = after
    order = "publication_date NULLS LAST, pmcid, sample_id"
    chance = f"md5(concat({recipe.seed}, ':', sample_id)), sample_id"
    same = ", ".join(["", *unit.same])
    cuts: list[tuple[str, Any, str]] = []
    for number, (entry, found) in enumerate(zip(recipe.decontaminate, lists, strict=True)):
        _load_list(connection, f"list{number}", found, entry.distance)
        looks = f" AND coalesce(perceptual_hash NOT IN (SELECT hash FROM list{number}), true)" if by_looks else ""
        condition = f"sha256 NOT IN (SELECT hash FROM list{number}){looks}"
        cuts.append(("decontaminate", entry.list.rpartition("/")[2], condition))
    if recipe.dedup != "none":
        alike = f"PARTITION BY sha256{same} ORDER BY {order}"
        cuts.append(("dedup", "exact", f"true QUALIFY row_number() OVER ({alike}) = 1"))
    if recipe.dedup == "near":
        alike = f"PARTITION BY coalesce(cluster, image_id){same} ORDER BY {order}"
        cuts.append(("dedup", "near", f"true QUALIFY row_number() OVER ({alike}) = 1"))
    for cap in recipe.balance:
        ranked = f'row_number() OVER (PARTITION BY "{cap.by}" ORDER BY {chance})'
        cuts.append(("balance", {"by": cap.by, "max": cap.max}, f"true QUALIFY {ranked} <= {cap.max}"))
    if recipe.limit:
        cuts.append(("limit", recipe.limit, f"true ORDER BY {chance} LIMIT {recipe.limit}"))
    for step, detail, condition in cuts:
        connection.execute(f"CREATE OR REPLACE TABLE kept AS SELECT * FROM picked WHERE {condition}")
        connection.execute("DROP TABLE picked")
        connection.execute("ALTER TABLE kept RENAME TO picked")
        after = count_rows(connection, "picked")
        yield {"step": step, "detail": detail, "before": count, "after": after}
        count = after
    for one in recipe.upsample:
        connection.execute(f"UPDATE picked SET copies = greatest(copies, {one.times}) WHERE (\n{one.where}\n)")
        after = int(connection.execute("SELECT coalesce(sum(copies), 0) FROM picked").fetchall()[0][0])
        yield {"step": "upsample", "detail": one.model_dump(), "before": count, "after": after}
        count = after


def _boolean(connection: duckdb.DuckDBPyConnection, source: str, predicate: str) -> None:
    kind = connection.execute(f"DESCRIBE SELECT (\n{predicate}\n) FROM ({source})").fetchall()[0][1]
    if kind != "BOOLEAN":
        raise RecipeError(f"`where` gives a {kind}, not true or false: {predicate}")


@dataclass(frozen=True)
class _HashList:
    """A list of hashes to leave out."""

    sha256: str
    files: list[str]
    perceptual: list[str]


def _read_list(url: str) -> _HashList:
    """Raises RecipeError when it is not there or a line is no hash."""
    try:
        with fsspec.open(url, "rb") as file:
            data = file.read()
    except (OSError, ValueError, ImportError) as error:
        raise RecipeError(f"the list {url} cannot be read: {error}") from error
    found: dict[int, list[str]] = {64: [], 16: []}
    for number, raw in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        line = raw.partition("#")[0].strip().lower()
        if not line:
            continue
        if len(line) not in found or not set(line) <= _HEX:
            raise RecipeError(f"{url}, line {number}: neither 64 nor 16 hex digits: {line[:80]!r}")
        found[len(line)].append(line)
    return _HashList(hashlib.sha256(data).hexdigest(), found[64], found[16])


def _load_list(connection: duckdb.DuckDBPyConnection, name: str, found: _HashList, distance: int) -> None:
    """Table of the hashes that the list excludes; perceptual ones widened to those in ``picked`` that are near."""
    near: list[str] = []
    if found.perceptual:
        query = "SELECT DISTINCT perceptual_hash FROM picked WHERE perceptual_hash IS NOT NULL ORDER BY 1"
        ours = connection.sql(query).to_arrow_table().column(0).to_pylist()
        hashes, listed = (np.array([int(h, 16) for h in part], dtype=np.uint64) for part in (ours, found.perceptual))
        near = [ours[index] for index in np.flatnonzero(near_any(hashes, listed, distance))]
    load(connection, name, pa.table({"hash": pa.array([*found.files, *near], pa.string())}))


def current_rows(files: Files, subset: Subset) -> str:
    """A FROM item: the rows of the subset's unit of what is still to be served, in the subset's order of keys.

    For connections of the catalogue. A sample stays while its id shows the same bytes under a licence group of the
    recipe.
    """
    groups = ", ".join(sql_text(group) for group in subset.recipe["licence_groups"])
    picked = f"(SELECT {subset.key} AS sample_id, sha256 FROM {from_parquet(files, subset.file.path)})"
    return (
        f"(SELECT s.* FROM {subset.unit.source} SEMI JOIN {picked} p "
        f"ON p.sample_id = s.sample_id AND p.sha256 = s.sha256 WHERE s.licence_group IN ({groups}))"
    )


def iter_subset(files: Files, subset: Subset, batch: int = 10_000) -> Iterator[Row]:
    """Rows of a subset's unit, by PMCID and sample_id, without what is no longer current.

    Raises:
        FileNotFoundError: the store has no catalogue.
    """
    with bounded_catalogue(files) as (connection, _):
        query = f"SELECT * FROM {current_rows(files, subset)} ORDER BY pmcid, sample_id"
        for part in connection.sql(query).to_arrow_reader(batch):
            yield from part.to_pylist()


def withheld(files: Files, subset: Subset) -> list[str]:
    """Sample ids of a subset that are no longer served, sorted."""
    with bounded_catalogue(files) as (connection, _):
        rows = connection.execute(f"""
            SELECT sample_id FROM (SELECT {subset.key} AS sample_id FROM {from_parquet(files, subset.file.path)})
            ANTI JOIN {current_rows(files, subset)} c USING (sample_id) ORDER BY 1
        """)
        return [sample_id for (sample_id,) in rows.fetchall()]
