"""What of the catalogue is new to an index: which articles to look at, and which are gone.

An index remembers of each article the chunk, a hash of the files it came from (its chunk's tables, PubMed's record) and
a hash of what it says. Here the first two are compared; the third is compared when the article is looked at. What does
not belong here: documents (`documents`), the index's own files (`generation`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb
import pyarrow as pa

from biomedica_assets import schemas
from biomedica_assets.dataset.queries import from_parquet, load, local_parquet
from biomedica_assets.search.documents import TABLES, paths_by_partition
from biomedica_assets.store.catalogue import Generation
from biomedica_assets.store.files import Files
from biomedica_assets.store.news import withdrawn_since

STATES_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("article_id", "chunk", "inputs", "content")] + [("figures", pa.int64())]
)
"""What an index remembers of its articles."""


def plan_delta(connection: duckdb.DuckDBPyConnection, files: Files, generation: Generation, states: Path) -> None:
    """Make the tables ``before`` (states), ``wanted`` (to be looked at) and ``gone`` (article_id).

    ``wanted`` has chunk, article_id, pmid, partition of PubMed's record, inputs, and the content known before.

    Args:
        connection: to a catalogue's store.
        files: the store.
        generation: of its catalogue.
        states: Parquet file of the index before, which need not exist.
    """
    paths = paths_by_partition(generation)
    digests = [_digest([paths[name].get(chunk, "") for name in TABLES]) for chunk in generation.chunks]
    load(connection, "chunks", _texts(chunk=list(generation.chunks), digest=digests))
    load(connection, "pubmed_files", _texts(partition=list(paths["metadata"]), path=list(paths["metadata"].values())))
    load(connection, "withheld", _texts(id=sorted(withdrawn_since(files, generation))))
    log = "(SELECT NULL::BIGINT AS pmid, NULL::VARCHAR AS partition WHERE false)"
    if "pubmed_log" in generation.files:
        log = f"(FROM {from_parquet(files, generation.files['pubmed_log'].path)} WHERE is_newest)"
    connection.execute(f"""
        CREATE TABLE now AS
        SELECT c.chunk, c.article_id, c.pmid, l.partition, left(md5(concat_ws('|', k.digest, p.path)), 16) AS inputs
        FROM {from_parquet(files, generation.files["current"].path)} c JOIN chunks k USING (chunk)
        LEFT JOIN {log} l ON l.pmid = c.pmid
        LEFT JOIN pubmed_files p ON p.partition = l.partition
        WHERE concat('PMC', c.pmcid, '.', c.version) NOT IN (FROM withheld)
    """)
    if states.exists():
        connection.execute(f"CREATE TABLE before AS FROM {local_parquet(states)}")
    else:
        load(connection, "before", STATES_SCHEMA.empty_table())
    connection.execute("""
        CREATE TABLE wanted AS SELECT n.*, b.content FROM now n LEFT JOIN before b USING (article_id)
        WHERE b.article_id IS NULL OR b.chunk <> n.chunk OR b.inputs <> n.inputs
    """)
    connection.execute("CREATE TABLE gone AS SELECT article_id FROM before ANTI JOIN now USING (article_id)")


def _digest(paths: list[str]) -> str:
    """Paths bear their content's hash, so naming them is enough."""
    return hashlib.sha256("\n".join([str(schemas.SCHEMA_VERSION), *paths]).encode()).hexdigest()[:16]


def _texts(**columns: list[str]) -> pa.Table:
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
