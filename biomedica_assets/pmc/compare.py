"""Comparing a release with all file lists before it, in DuckDB, with bounded memory.

Belongs here: the comparison, the guard against releases that change too much, writing the new file list. Not here:
reading inventories (`cloud`, `packages`), deciding when to run.

The comparison is with the newest row of every version in all earlier file lists:

=========================================  ==================================================================
the release lists the version, and         row
=========================================  ==================================================================
it was never listed, or last removed       ``add``
its change token differs                   ``change``
the token is the same, a retry is due      ``retry``, with one attempt more
the token is the same                      none
=========================================  ==================================================================

A version that is listed no more gives ``remove``. A scope limits the first four; a removal always counts.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from biomedica_assets.pmc.file_list import (
    ACTIONS,
    METADATA,
    FileListSummary,
    chunk_key,
    file_list_path,
    list_releases,
)
from biomedica_assets.pmc.releases import Listing, ListingError, sql_text
from biomedica_assets.schemas import FILE_LIST
from biomedica_assets.store.files import Files

_ROW_GROUP = 100_000
_KEY = 1_000_000  # pmcid * 10^6 + version: one integer instead of two in every join


class ReleaseOrderError(ValueError):
    """A release that is not newer than the newest file list: its changes would be read in the wrong order."""


class Retry(NamedTuple):
    """A version to list again although the release has not changed it.

    ``attempts`` is that of the row that failed; -1 for one that never failed but is now wanted (a wider scope).
    It counts only while ``etag`` is still the version's change token.
    """

    listed_id: str
    etag: str | None
    attempts: int


@dataclass(frozen=True)
class Guard:
    """When a release is held: shares of the versions listed before, above a floor of rows."""

    removed_share: float = 0.001
    changed_share: float = 0.05
    floor: int = 100

    def reasons(self, listed_before: int, removed: int, changed: int) -> list[str]:
        """Why to hold the release; empty when it may pass."""
        found = []
        for word, count, share in (("removes", removed, self.removed_share), ("changes", changed, self.changed_share)):
            if listed_before and count > self.floor and count > share * listed_before:
                found.append(
                    f"{word} {count} of {listed_before} versions ({count / listed_before:.2%}); {share:.2%} may pass"
                )
        return found


def write_file_list(
    listing: Listing,
    store: Files,
    target: str | Path,
    *,
    chunk_size: int,
    retries: Iterable[Retry] = (),
    scope: Sequence[tuple[int, int]] = (),
    guard: Guard | None = None,
    approved: bool = False,
    max_attempts: int = 5,
    memory_limit: str = "1.2GB",
    threads: int = 2,
    scratch: str | Path | None = None,
) -> FileListSummary:
    """Compare a release with the store's file lists and write its own to the local file ``target``.

    The caller puts ``target`` into the store under `file_list_path`, whole. The same inputs give the same bytes.

    Args:
        listing: the release's versions.
        scope: inclusive ranges of PMCID numbers; empty means all.
        guard: when to hold the release; null never holds.
        approved: somebody has looked at the held release: write it.
        max_attempts: a version is listed again so often at most.
        memory_limit: of DuckDB, which spills to a temporary folder below ``scratch``.

    Raises:
        ReleaseOrderError: the store has a file list of this release or of a newer one.
        ListingError: the listing cannot be read.
    """
    release = listing.release
    earlier = list_releases(store)
    if earlier and release.name <= earlier[-1]:
        raise ReleaseOrderError(f"release {release.name} is not newer than the newest file list, {earlier[-1]}")
    if scratch is not None:
        Path(scratch).mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="file-list-", dir=scratch) as folder,
        _database(Path(folder), memory_limit, threads) as database,
    ):
        lists = [_local_copy(store, name, Path(folder)) for name in earlier]
        skipped, duplicates = _load_listing(database, listing)
        _load_state(database, lists)
        _load_requests(database, retries, scope)
        given_up, out_of_scope = _compare(database, max_attempts)
        actions = dict(database.execute("SELECT action, count(*) FROM delta GROUP BY action").fetchall())
        summary = FileListSummary(
            release=release.name,
            checksum=release.checksum,
            chunk_size=chunk_size,
            rows=sum(actions.values()),
            actions={action: actions.get(action, 0) for action in ACTIONS},
            listed=_count(database, "listed"),
            listed_before=_count(database, "state WHERE present"),
            out_of_scope=out_of_scope,
            skipped=skipped,
            duplicates=duplicates,
            given_up=given_up,
        )
        reasons = (
            guard.reasons(summary.listed_before, summary.actions["remove"], summary.actions["change"]) if guard else []
        )
        if reasons and not approved:
            return FileListSummary(**{**asdict(summary), "held": reasons})
        _write(database, Path(target), summary)
        return summary


@contextmanager
def _database(folder: Path, memory_limit: str, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    database = duckdb.connect(
        str(folder / "compare.duckdb"),
        config={
            "memory_limit": memory_limit,
            "threads": threads,
            "temp_directory": str(folder / "spill"),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    try:
        yield database
    finally:
        database.close()


def _count(database: duckdb.DuckDBPyConnection, what: str) -> int:
    return int((database.execute(f"SELECT count(*) FROM {what}").fetchone() or (0,))[0])


def _local_copy(store: Files, release: str, folder: Path) -> Path:
    """The file list as a local file."""
    path = file_list_path(release)
    if (local := store.local_path(path)) is not None:
        return local
    copy = folder / f"{release}.parquet"
    with copy.open("wb") as file:
        for block in store.stream(path):
            file.write(block)
    return copy


def _load_listing(database: duckdb.DuckDBPyConnection, listing: Listing) -> tuple[int, int]:
    """Table ``listed``: one row per version that the release lists. Returns rows skipped, and duplicates dropped."""
    try:
        database.execute(
            f"""
            CREATE TABLE listed AS
            SELECT TRY_CAST(pmcid AS BIGINT) * {_KEY} + TRY_CAST(version AS BIGINT) AS key,
                   etag, last_modified, location
            FROM ({listing.relation})
            """
        )
    except duckdb.Error as error:
        raise ListingError(f"{listing.release.path}: {error}") from error
    skipped = _count(database, "listed WHERE key IS NULL")
    if skipped:
        database.execute("DELETE FROM listed WHERE key IS NULL")
    before = _count(database, "listed")
    database.execute("CREATE TABLE repeated AS SELECT key FROM listed GROUP BY key HAVING count(*) > 1")
    if _count(database, "repeated"):
        database.execute(
            """
            CREATE TABLE newest AS
            SELECT * FROM listed SEMI JOIN repeated USING (key)
            QUALIFY row_number() OVER (PARTITION BY key ORDER BY last_modified DESC NULLS LAST, etag DESC) = 1
            """
        )
        database.execute("DELETE FROM listed WHERE key IN (SELECT key FROM repeated)")
        database.execute("INSERT INTO listed SELECT * FROM newest")
    return skipped, before - _count(database, "listed")


def _load_state(database: duckdb.DuckDBPyConnection, lists: Sequence[Path]) -> None:
    """View ``state``: the newest row of every version in the earlier file lists."""
    if not lists:
        database.execute(
            """
            CREATE VIEW state AS SELECT NULL::BIGINT AS key, NULL::VARCHAR AS etag, NULL::VARCHAR AS chunk,
                                        NULL::BOOLEAN AS present WHERE false
            """
        )
        return
    files = ", ".join(sql_text(str(path)) for path in lists)
    # chunk keys begin with the release's date: the greatest chunk is the newest row
    database.execute(
        f"""
        CREATE VIEW rows_before AS
        SELECT pmcid * {_KEY} + version AS key, etag, chunk, action <> 'remove' AS present FROM read_parquet([{files}])
        """
    )
    if len(lists) == 1:
        database.execute("CREATE VIEW state AS SELECT * FROM rows_before")
        return
    database.execute("CREATE TABLE listed_twice AS SELECT key FROM rows_before GROUP BY key HAVING count(*) > 1")
    database.execute(
        """
        CREATE TABLE newest_row AS SELECT * FROM rows_before SEMI JOIN listed_twice USING (key)
        QUALIFY row_number() OVER (PARTITION BY key ORDER BY chunk DESC) = 1
        """
    )
    database.execute(
        """
        CREATE VIEW state AS
        SELECT * FROM rows_before ANTI JOIN listed_twice USING (key) UNION ALL SELECT * FROM newest_row
        """
    )


def _load_requests(
    database: duckdb.DuckDBPyConnection, retries: Iterable[Retry], scope: Sequence[tuple[int, int]]
) -> None:
    """Tables ``retries`` (key, etag, attempts) and ``scope`` (first, last keys)."""
    database.execute("CREATE TABLE retries (key BIGINT, etag VARCHAR, attempts BIGINT)")
    newest: dict[tuple[int, str | None], int] = {}
    for retry in retries:
        pmcid, _, version = retry.listed_id.removeprefix("PMC").partition(".")
        where = (int(pmcid) * _KEY + int(version), retry.etag)
        newest[where] = max(retry.attempts, newest.get(where, -1))
    if newest:
        table = pa.table(
            {
                "key": [key for key, _ in newest],
                "etag": pa.array([etag for _, etag in newest], pa.string()),
                "attempts": list(newest.values()),
            }
        )
        database.register("given_retries", table)
        database.execute("INSERT INTO retries SELECT key, etag, attempts FROM given_retries")
        database.unregister("given_retries")
    ranges = [(first * _KEY, (last + 1) * _KEY - 1) for first, last in _merged(scope)]
    database.execute("CREATE TABLE scope (first BIGINT, last BIGINT)")
    database.register(
        "given_scope",
        pa.table(
            {
                "first": pa.array([f for f, _ in ranges], pa.int64()),
                "last": pa.array([n for _, n in ranges], pa.int64()),
            }
        ),
    )
    database.execute("INSERT INTO scope SELECT first, last FROM given_scope")
    database.unregister("given_scope")


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted ranges that do not overlap."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _compare(database: duckdb.DuckDBPyConnection, max_attempts: int) -> tuple[int, int]:
    """Table ``delta`` (key, action, attempts). Returns retries given up, and rows that the scope leaves out.

    Tokens are compared by their 64-bit hash, which keeps the join of two whole states in memory: that a changed
    token goes unseen has a chance of 1 in 10^19.
    """
    database.execute(
        """
        CREATE TABLE delta AS
        SELECT key, 0::BIGINT AS attempts,
               CASE WHEN now.listed IS NULL THEN 'remove' WHEN before.present THEN 'change' ELSE 'add' END AS action
        FROM (SELECT key, hash(etag) AS token, true AS listed FROM listed) AS now
        FULL JOIN (SELECT key, hash(etag) AS token, present FROM state) AS before USING (key)
        WHERE CASE WHEN now.listed IS NULL THEN before.present
                   WHEN before.present THEN now.token <> before.token
                   ELSE true END
        """
    )
    database.execute(
        """
        CREATE TABLE due AS
        SELECT key, attempts + 1 AS attempts, 'retry' AS action
        FROM retries JOIN listed USING (key) JOIN state USING (key)
        WHERE state.present AND retries.etag IS NOT DISTINCT FROM state.etag
          AND listed.etag IS NOT DISTINCT FROM state.etag
        """
    )
    given_up = _count(database, f"due WHERE attempts > {max_attempts}")
    database.execute(f"INSERT INTO delta SELECT * FROM due WHERE attempts <= {max_attempts}")
    if not _count(database, "scope"):
        return given_up, 0
    everything = _count(database, "delta")
    database.execute(
        """
        DELETE FROM delta WHERE action <> 'remove' AND key NOT IN (
            SELECT key FROM delta ASOF JOIN scope ON delta.key >= scope.first WHERE delta.key <= scope.last)
        """
    )
    return given_up, everything - _count(database, "delta")


def _write(database: duckdb.DuckDBPyConnection, target: Path, summary: FileListSummary) -> None:
    """Stream the rows in (PMCID, version) order into Parquet; a row's place decides its chunk."""
    reader: Any = database.sql(
        f"""
        SELECT delta.action AS action, delta.key // {_KEY} AS pmcid, delta.key % {_KEY} AS version,
               CASE WHEN delta.action <> 'remove' THEN listed.etag END AS etag,
               CASE WHEN delta.action <> 'remove' THEN listed.last_modified END AS last_modified,
               CASE WHEN delta.action <> 'remove' THEN listed.location END AS location,
               state.chunk AS prior_chunk, delta.attempts AS attempts
        FROM delta LEFT JOIN listed USING (key) LEFT JOIN state USING (key)
        ORDER BY delta.key
        """
    ).to_arrow_reader(_ROW_GROUP)
    facts = {k: v for k, v in asdict(summary).items() if k != "held"}
    schema = FILE_LIST.arrow.with_metadata({METADATA: json.dumps(facts, sort_keys=True)})
    written = 0
    with pq.ParquetWriter(target, schema, compression="zstd", write_statistics=True) as writer:
        for table in _regrouped(reader):
            writer.write_table(_with_chunks(table, written, summary, schema), row_group_size=_ROW_GROUP)
            written += table.num_rows


def _regrouped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of exactly one row group, the last one shorter: the file must not depend on the engine's batches."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        while rows >= _ROW_GROUP:
            table = pa.Table.from_batches(held)
            yield table.slice(0, _ROW_GROUP)
            rest = table.slice(_ROW_GROUP)
            held, rows = rest.to_batches(), rest.num_rows
    if rows:
        yield pa.Table.from_batches(held)


def _with_chunks(table: pa.Table, first: int, summary: FileListSummary, schema: pa.Schema) -> pa.Table:
    places = range(first, first + table.num_rows)
    size = summary.chunk_size
    keys = [chunk_key(summary.release, n) for n in range(places.start // size, (places.stop - 1) // size + 1)]
    numbers = pa.array([place // size - places.start // size for place in places], pa.int32())
    listed_id = pc.binary_join_element_wise(
        pc.binary_join_element_wise("PMC", table["pmcid"].cast(pa.string()), ""),
        table["version"].cast(pa.string()),
        ".",
    )
    columns: dict[str, Any] = {name: table[name] for name in table.column_names}
    columns["chunk"] = pa.array(keys, pa.string()).take(numbers)
    columns["listed_id"] = listed_id
    arrays = [columns[name] for name in schema.names]
    return pa.table(arrays, names=schema.names).cast(schema)
