"""The catalogue: which rows are current, as immutable generations, and the DuckDB views every reader goes through.

A generation is a few Parquet files (`version_log`, `current`, `sample_index` ...) and a JSON file that
names them with the chunks they were made from; ``catalogue/generation.json`` points at the newest. It is built from
the one before and the chunks that changed since, so a day costs what it changed plus one copy of narrow tables.
What does not belong here: how chunks come about (`ingest`), search indexes.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from biomedica_assets import schemas
from biomedica_assets.store import pubmed_log
from biomedica_assets.store.derived import DerivedManifest, read_derived
from biomedica_assets.store.detail_views import DETAIL_VIEWS
from biomedica_assets.store.duck import duck_url, register, sql_text, write_query
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import (
    ChunkManifest,
    DataFile,
    JsonRecord,
    file_list_path,
    list_releases,
    read_chunk_manifests,
)
from biomedica_assets.store.news import withdrawn_since

POINTER = "catalogue/generation.json"
WITHDRAWALS = "withdrawals.parquet"
"""The newest generation's withdrawal list, under a path that restoring an older state leaves alone."""
CATALOGUE_VERSION = 3
"""Raised when the rules below change: the next build starts from nothing instead of the generation before."""

MEMORY_LIMIT = "2GB"


@dataclass(frozen=True)
class Generation(JsonRecord):
    """One state of the catalogue. ``files`` by table; ``chunks`` maps each chunk to the digest of its data.

    ``paths`` lists, per chunk table, the live Parquet files: opening the catalogue costs one small read.
    ``schemas`` are the schema versions that they were written with.
    """

    version: int
    files: dict[str, DataFile]
    chunks: dict[str, str]
    releases: list[str]
    paths: dict[str, list[str]]
    counts: dict[str, int]
    schemas: list[str] = field(default_factory=list)
    honour_pubmed_retractions: bool = True

    @property
    def id(self) -> str:
        """16 hex digits that name this generation."""
        return hashlib.sha256(self.to_json()).hexdigest()[:16]


def read_generation(files: Files) -> Generation | None:
    """The newest generation, or None before the first was built."""
    try:
        return Generation.from_json(files.read(POINTER))
    except FileNotFoundError:
        return None


def catalogue_stem(table: schemas.Table) -> str:
    """Where the files of a table of the catalogue lie, up to their hash."""
    return f"catalogue/{table.name}-"


def find_generation(files: Files, generation_id: str) -> Generation | None:
    """The generation of this id, while it is the newest or has not been collected as garbage since; else None."""
    newest = read_generation(files)
    if newest and newest.id == generation_id:
        return newest
    try:
        return Generation.from_json(files.read(_kept_path(generation_id)))
    except FileNotFoundError:
        return None


def keep_generation(files: Files, generation: Generation) -> None:
    """Let `find_generation` go on finding a generation that no record names any more, until garbage collection."""
    files.write(_kept_path(generation.id), generation.to_json())


def _kept_path(generation_id: str) -> str:
    return f"catalogue/generations/{generation_id}.json"


def data_digest(manifest: ChunkManifest) -> str:
    """Hash of a chunk's live data files: two commits of the same data have the same digest."""
    named = sorted((f.path, f.sha256) for f in [*manifest.tables.values(), *manifest.shards])
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16]


def build_generation(files: Files, *, honour_pubmed_retractions: bool = True) -> Generation:
    """Build and publish the generation for what is committed now; the old one is returned when nothing changed.

    Unless PubMed's retractions are honoured, they only show in ``current.pubmed_status``; PMC's own always count.
    """
    manifests = read_chunk_manifests(files)
    releases = list_releases(files)
    before = replaced = read_generation(files)
    chunks = {chunk: data_digest(manifest) for chunk, manifest in manifests.items()}
    derived = {name: read_derived(files, name) for name in schemas.DERIVED_TABLES}
    paths = _live_paths(manifests, derived)
    written_with = schema_versions([*manifests.values(), *(m for each in derived.values() for m in each.values())])
    generation = Generation(CATALOGUE_VERSION, {}, chunks, releases, paths, {}, written_with, honour_pubmed_retractions)
    if before and replace(before, files={}, counts={}) == generation:
        return before
    if before and (before.version != CATALOGUE_VERSION or not set(before.releases) <= set(releases)):
        before = None
    with tempfile.TemporaryDirectory() as scratch, connect(files, Path(scratch)) as connection:
        written = _build_tables(files, connection, Path(scratch), before, manifests, generation)
    counts = {name: data_file.rows for name, data_file in written.items()}
    generation = replace(generation, files=written, counts=counts)
    files.write(WITHDRAWALS, files.read(written["withdrawals"].path))
    if replaced:  # streams that began with it go on until garbage collection takes it, a grace period from now
        keep_generation(files, replaced)
    files.write(POINTER, generation.to_json())
    write_local_database(files, generation)
    return generation


def _live_paths(
    manifests: Mapping[str, ChunkManifest], derived: Mapping[str, Mapping[str, DerivedManifest]]
) -> dict[str, list[str]]:
    """Live Parquet files by table, in partition order."""
    paths = {
        name: [m.tables[name].path for m in manifests.values() if name in m.tables] for name in schemas.CHUNK_TABLES
    }
    return paths | {name: [each.file.path for each in partitions.values()] for name, partitions in derived.items()}


def schema_versions(manifests: Iterable[ChunkManifest | DerivedManifest]) -> list[str]:
    """Schema versions that the tables were written with."""
    return sorted({str(manifest.inputs.get("schema")) for manifest in manifests})


def _build_tables(
    files: Files,
    connection: duckdb.DuckDBPyConnection,
    scratch: Path,
    before: Generation | None,
    manifests: Mapping[str, ChunkManifest],
    now: Generation,
) -> dict[str, DataFile]:
    chunks, releases = now.chunks, now.releases
    old_chunks = before.chunks if before else {}
    changed = [chunk for chunk, digest in chunks.items() if old_chunks.get(chunk) != digest]
    gone = [chunk for chunk in old_chunks if chunk not in chunks]
    connection.execute("CREATE TABLE touched (chunk VARCHAR)")
    if changed or gone:
        connection.executemany("INSERT INTO touched VALUES (?)", [[chunk] for chunk in [*changed, *gone]])

    def url(path: str) -> str:
        return sql_text(duck_url(files, path))

    def old(table: str, schema: schemas.Table) -> str:
        if before is None:
            return _empty(schema)
        return f"SELECT * FROM read_parquet({url(before.files[table].path)})"

    written = now.schemas

    def of_chunks(table: str, chunks: Iterable[str]) -> str:
        paths = [manifests[chunk].tables[table].path for chunk in chunks]
        return parquet_relation(files, paths, schemas.CHUNK_TABLES[table], written)

    # A removal counts as soon as its file list exists, whether or not its chunk is committed.
    unseen = [file_list_path(name) for name in releases if not before or name not in before.releases]
    log_columns = ", ".join(schemas.VERSION_LOG.names)
    connection.execute(f"""
        CREATE TABLE log AS
        SELECT {log_columns} FROM ({old("version_log", schemas.VERSION_LOG)})
        WHERE outcome = 'removed' OR chunk NOT IN (SELECT chunk FROM touched)
        UNION ALL
        SELECT v.chunk, v.article_id, v.pmcid, v.version, v.outcome, coalesce(v.is_manuscript, false), v.licence_group,
               coalesce(a.pmid, v.pmid)
        FROM {of_chunks("versions", changed)} v
        LEFT JOIN {of_chunks("articles", changed)} a USING (chunk, article_id)
        WHERE v.outcome NOT IN ('failed', 'superseded', 'removed')
        UNION ALL
        SELECT chunk, listed_id, pmcid, version, 'removed', false, NULL, NULL
        FROM {parquet_relation(files, unseen, schemas.FILE_LIST, [])} WHERE action = 'remove'
    """)
    connection.execute("""
        CREATE TABLE newest AS SELECT * FROM log
        QUALIFY row_number() OVER (PARTITION BY pmcid, version ORDER BY chunk DESC) = 1
    """)
    touched, metadata = pubmed_log.touched_partitions(before.paths["metadata"] if before else [], now.paths["metadata"])
    new_rows = pubmed_log.NEW_ROWS.format(metadata=parquet_relation(files, metadata, schemas.METADATA, written))
    connection.execute(pubmed_log.create_log(old("pubmed_log", schemas.PUBMED_LOG), new_rows, touched))
    connection.execute(pubmed_log.create_retracted(now.honour_pubmed_retractions))
    connection.execute(_standing(files, now.honour_pubmed_retractions))
    connection.execute("""
        CREATE TABLE live AS
        SELECT chunk, article_id, pmcid, version, is_manuscript, licence_group, pmid, pubmed_status FROM newest
        LEFT JOIN (SELECT pmid, pubmed_status FROM pubmed WHERE is_newest) USING (pmid)
        WHERE outcome = 'collected'
          AND pmcid NOT IN (SELECT pmcid FROM pubmed_retracted)
          AND pmcid NOT IN (SELECT pmcid FROM newest WHERE outcome = 'retracted' AND NOT is_manuscript)
          AND (pmcid, version) NOT IN (SELECT (pmcid, version) FROM standing)
        QUALIFY row_number() OVER (PARTITION BY pmcid ORDER BY is_manuscript, version DESC) = 1
    """)
    connection.execute(f"""
        CREATE TABLE fresh AS SELECT live.chunk, live.article_id FROM live
        ANTI JOIN (SELECT chunk, article_id FROM ({old("current", schemas.CURRENT)})
                   WHERE chunk NOT IN (SELECT chunk FROM touched)) USING (chunk, article_id)
    """)
    needed = [row[0] for row in connection.execute("SELECT DISTINCT chunk FROM fresh ORDER BY 1").fetchall()]

    columns = ", ".join(f'"{name}"' for name in schemas.SAMPLE_INDEX.names)
    index = f"""
        SELECT {columns} FROM ({old("sample_index", schemas.SAMPLE_INDEX)})
        SEMI JOIN (SELECT chunk, article_id FROM live ANTI JOIN fresh USING (chunk, article_id))
        USING (chunk, article_id)
        UNION ALL
        SELECT i.chunk, a.pmcid, i.article_id, i.figure_id, i.image_id, f.kind, i.licence_group, i.licence_code,
               a.publication_year, a.journal, a.article_type, i.media_type, i.width, i.height, i.bytes, i.sha256,
               i.shard, i."offset", i.length, i.image_offset
        FROM {of_chunks("images", needed)} i
        SEMI JOIN fresh USING (chunk, article_id)
        JOIN {of_chunks("articles", needed)} a USING (chunk, article_id)
        JOIN {of_chunks("figures", needed)} f USING (chunk, figure_id)
    """
    queries = {
        schemas.VERSION_LOG: "SELECT * FROM log ORDER BY pmcid, version, chunk",
        schemas.CURRENT: "SELECT * FROM live ORDER BY pmcid",
        schemas.SAMPLE_INDEX: f"SELECT * FROM ({index}) ORDER BY pmcid, image_id",
        schemas.WITHDRAWALS: _WITHDRAWN,
        schemas.PUBMED_LOG: "SELECT * FROM pubmed ORDER BY pmid, partition",
    }
    return {
        t.name: write_query(files, connection, scratch, t, query, catalogue_stem(t)) for t, query in queries.items()
    }


def _standing(files: Files, honour_pubmed: bool) -> str:
    """Entries of the list so far that the log knows nothing newer about: it has gone back to an earlier state."""
    url = duck_url(files, WITHDRAWALS)
    known = f"SELECT * FROM read_parquet({sql_text(url)})" if files.exists(WITHDRAWALS) else _empty(schemas.WITHDRAWALS)
    return f"""
        CREATE TABLE standing AS SELECT * FROM ({known}) w
        WHERE CASE WHEN w.reason = 'pubmed_retracted'
                   THEN {honour_pubmed}
                        AND NOT EXISTS (FROM log JOIN pubmed USING (pmid) WHERE log.pmcid = w.pmcid
                                        AND pubmed.is_newest AND pubmed.partition >= w.since_chunk)
                   ELSE NOT EXISTS (FROM log WHERE log.pmcid = w.pmcid AND log.chunk >= w.since_chunk
                                    AND (log.version = w.version OR w.reason = 'pmcid_retracted')) END
    """


# What was never collected need not be withheld, and what the store's own settings gate is no withdrawal.
_WITHDRAWN = """
    SELECT concat('PMC', pmcid, '.', version) AS listed_id, article_id, pmcid, version, reason, since_chunk,
           regexp_replace(since_chunk, '-[0-9]{5,}$', '') AS since_release
    FROM (
        SELECT c.article_id, pmcid, version,
               CASE WHEN n.outcome <> 'collected' THEN n.outcome WHEN r.chunk IS NOT NULL THEN 'pmcid_retracted'
                    ELSE 'pubmed_retracted' END AS reason,
               CASE WHEN n.outcome <> 'collected' THEN n.chunk ELSE coalesce(r.chunk, p.partition) END AS since_chunk
        FROM (SELECT pmcid, version, max_by(article_id, chunk) AS article_id
              FROM log WHERE outcome = 'collected' GROUP BY ALL) c
        JOIN newest n USING (pmcid, version)
        LEFT JOIN (SELECT pmcid, max(chunk) AS chunk FROM newest
                   WHERE outcome = 'retracted' AND NOT is_manuscript GROUP BY 1) r USING (pmcid)
        LEFT JOIN pubmed_retracted p USING (pmcid)
        WHERE n.outcome NOT IN ('out_of_scope', 'gated:historical_ocr')
          AND (n.outcome <> 'collected' OR r.chunk IS NOT NULL OR p.partition IS NOT NULL)
        UNION ALL
        SELECT article_id, pmcid, version, reason, since_chunk FROM standing
    )
    ORDER BY pmcid, version
"""


def refresh_generation(files: Files) -> Generation:
    """`build_generation` by the rules of the generation before: for upkeep, which does not know the settings."""
    before = read_generation(files)
    return build_generation(files, honour_pubmed_retractions=before is None or before.honour_pubmed_retractions)


def open_catalogue(url: str | Files) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with the store's views.

    ``current``, ``sample_index`` and, restricted to current article versions, one view per chunk table
    (``articles``, ``figures``, ``captions`` ...) and ``metadata``, PubMed's newest record; ``samples`` joins what one
    image's row needs, ``labels`` has the labels that hold of it, by axis; ``panel_pairs``, ``paragraphs_rated`` and the
    like are described in `detail_views`; ``all_<table>`` are the tables of all committed chunks; ``open_failures`` the
    failures that no newer row of the version has mended.
    Removals of file lists newer than the generation are already masked.

    Raises:
        FileNotFoundError: no catalogue has been built yet.
    """
    files = url if isinstance(url, Files) else Files(url)
    generation = read_generation(files)
    if generation is None:
        raise FileNotFoundError(f"{files.url} has no catalogue yet: materialize the asset `catalogue`")
    return open_views(files, generation, set(withdrawn_since(files, generation)))


def open_views(files: Files, generation: Generation, withheld: Iterable[str] = ()) -> duckdb.DuckDBPyConnection:
    """A connection with the views of this generation; the listed ids ``withheld`` are masked."""
    connection = duckdb.connect()
    register(files, connection)
    masked = pa.table({"listed_id": pa.array(sorted(withheld), pa.string())})
    if len(masked):
        connection.register("arriving", masked)
        connection.execute("CREATE TABLE withheld AS SELECT * FROM arriving")
        connection.unregister("arriving")
    for statement in view_statements(files, generation, masked=len(masked) > 0):
        connection.execute(statement)
    return connection


def view_statements(files: Files, generation: Generation, *, masked: bool = False) -> Iterator[str]:
    """The CREATE VIEW statements of `open_catalogue`; if ``masked``, without the ids of a table ``withheld``."""
    current, index = (sql_text(duck_url(files, generation.files[name].path)) for name in ("current", "sample_index"))
    where = " WHERE concat('PMC', pmcid, '.', version) NOT IN (FROM withheld)" if masked else ""
    yield f"CREATE OR REPLACE VIEW current AS SELECT * FROM read_parquet({current}){where}"
    if "withdrawals" in generation.files:
        list_url = sql_text(duck_url(files, generation.files["withdrawals"].path))
        yield f"CREATE OR REPLACE VIEW withdrawals AS SELECT * FROM read_parquet({list_url})"
    where = " SEMI JOIN current USING (chunk, article_id)" if masked else ""
    yield f"CREATE OR REPLACE VIEW sample_index AS SELECT * FROM read_parquet({index}){where}"
    for name, table in {**schemas.CHUNK_TABLES, **schemas.DERIVED_TABLES}.items():
        listed = generation.paths.get(name, [])  # a generation of an older version knows fewer tables
        tables = parquet_relation(files, listed, table, generation.schemas)
        yield f"CREATE OR REPLACE VIEW all_{name} AS SELECT * FROM {tables}"
        if {"chunk", "article_id"} <= set(table.names) and name not in ("versions", "failures"):
            yield (
                f"CREATE OR REPLACE VIEW {name} AS "
                f"SELECT t.* FROM all_{name} t SEMI JOIN current USING (chunk, article_id)"
            )
    # One row per image and axis: the labels that hold, most likely first.
    yield """
        CREATE OR REPLACE VIEW labels AS
        SELECT chunk, article_id, figure_id, image_id, sha256, axis,
               first(label ORDER BY probability DESC, label) AS label,
               list(label ORDER BY probability DESC, label) AS labels, max(probability) AS probability,
               first(source ORDER BY probability DESC, label) AS source,
               first(model ORDER BY probability DESC, label) AS model, taxonomy
        FROM annotations WHERE chosen GROUP BY chunk, article_id, figure_id, image_id, sha256, axis, taxonomy
    """
    yield from DETAIL_VIEWS
    if "pubmed_log" in generation.files:
        log_url = sql_text(duck_url(files, generation.files["pubmed_log"].path))
        yield f"CREATE OR REPLACE VIEW pubmed_log AS SELECT * FROM read_parquet({log_url})"
        yield pubmed_log.METADATA_VIEW
    yield """
        CREATE OR REPLACE VIEW versions AS SELECT * FROM all_versions
        QUALIFY row_number() OVER (PARTITION BY listed_id ORDER BY chunk DESC) = 1
    """
    # A package that failed is known by its listed id, one that succeeded by the version in its XML as well.
    yield """
        CREATE OR REPLACE VIEW open_failures AS SELECT f.* FROM all_failures f
        LEFT JOIN (SELECT id AS article_id, max(chunk) AS good
                   FROM (SELECT unnest([listed_id, article_id]) AS id, chunk
                         FROM all_versions WHERE outcome <> 'failed')
                   GROUP BY id) v USING (article_id)
        WHERE v.good IS NULL OR f.chunk >= v.good
    """
    yield """
        CREATE OR REPLACE VIEW samples AS
        SELECT i.*, f.label, f.kind, f.alt_text, c.title AS caption_title, c.text AS caption, c.group_caption,
               a.pmcid, a.pmid, a.doi, a.title, a.journal, a.publication_date, a.publication_year, a.article_type,
               a.language
        FROM images i
        JOIN figures f USING (chunk, figure_id)
        LEFT JOIN captions c USING (chunk, figure_id)
        JOIN articles a ON a.chunk = i.chunk AND a.article_id = i.article_id
    """


def write_local_database(files: Files, generation: Generation) -> Path | None:
    """``catalogue.duckdb`` with the views, for people with a DuckDB client; only where the store is a local folder."""
    target = files.local_path("catalogue.duckdb")
    if target is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "catalogue.duckdb"
        with duckdb.connect(str(path)) as connection:
            connection.execute("BEGIN")  # one write to disk instead of one per view
            for statement in view_statements(files, generation):
                connection.execute(statement)
            connection.execute("COMMIT")
        files.put_file(path, "catalogue.duckdb")
    return target


@contextmanager
def connect(files: Files, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for heavy queries over a store: bounded memory, the rest spilt to the scratch folder."""
    with duckdb.connect(str(scratch / "build.duckdb")) as connection:
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        connection.execute(f"SET temp_directory = {sql_text(str(scratch / 'spill'))}")
        connection.execute("SET TimeZone = 'UTC'")
        register(files, connection)
        yield connection


def parquet_relation(files: Files, paths: list[str], table: schemas.Table, written: list[str]) -> str:
    """A FROM item over these files: the table's columns, null where a file of an older schema lacks one.

    Files of today's schema alone, the usual case, are taken as they are: looking into each costs a read per file.
    """
    if not paths:
        return f"({_empty(table)})"
    listed = ", ".join(sql_text(duck_url(files, path)) for path in paths)
    if set(written) <= {str(schemas.SCHEMA_VERSION)}:
        return f"read_parquet([{listed}])"
    names = ", ".join(f'"{name}"' for name in table.names)
    read = f"SELECT * FROM read_parquet([{listed}], union_by_name = true)"
    return f"(SELECT {names} FROM ({_empty(table)} UNION ALL BY NAME {read}))"


def _empty(table: schemas.Table) -> str:
    columns = ", ".join(f'NULL::{_duck_type(c.type)} AS "{c.name}"' for c in table.columns)
    return f"SELECT {columns} WHERE false"


def _duck_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_duck_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        inner = ", ".join(f'"{kind.field(i).name}" {_duck_type(kind.field(i).type)}' for i in range(kind.num_fields))
        return f"STRUCT({inner})"
    if pa.types.is_integer(kind):
        return "BIGINT"
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    if pa.types.is_floating(kind):
        return "DOUBLE"
    return "BLOB" if pa.types.is_large_binary(kind) else "VARCHAR"
