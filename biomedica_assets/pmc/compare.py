"""Comparing a release with all file lists before it: DuckDB, bounded memory, spilling to a temporary folder.

Belongs here: the SQL. Not here: the rows' form, guards and chunks (`file_list`), reading inventories (`cloud`).

The comparison is with the newest row of every version in all earlier file lists:

=========================================  ==================================================================
the release lists the version, and         action
=========================================  ==================================================================
it was never listed, or last removed       ``add``
its change token differs                   ``change``
the token is the same, a retry is due      ``retry``, with one attempt more
the token is the same                      none
=========================================  ==================================================================

A version that is listed no more gives ``remove``. A scope limits the first three; a removal always counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import duckdb
import pyarrow as pa

from biomedica_assets.pmc.keys import parse_article_id
from biomedica_assets.pmc.releases import Listing, ListingError
from biomedica_assets.store.duck import sql_text

_KEY = 1_000_000  # pmcid * 10^6 + version: one integer instead of two in every join


class Retry(NamedTuple):
    """A version to list again although the release has not changed it.

    It counts only while ``etag`` is the version's change token, and ``chunk`` holds the version's newest row: whatever
    was listed later has superseded it.

    Attributes:
        attempts: of the row that failed; -1 for one that never failed but is now wanted (a wider scope).
    """

    listed_id: str
    etag: str | None
    attempts: int
    chunk: str


class Comparison:
    """One comparison. A context manager; call the ``load_`` methods, then `compare`, then read the results.

    Args:
        folder: for the database and what it spills; the caller removes it.
        memory_limit: of DuckDB, e.g. "1.2GB".
    """

    def __init__(self, folder: Path, *, memory_limit: str, threads: int) -> None:
        self._database = duckdb.connect(
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
        self.skipped = 0
        """Listed names that are no article version."""
        self.duplicates = 0
        """Rows beside the newest one of a version."""
        self.given_up = 0
        """Retries that had all their attempts."""
        self.out_of_scope = 0
        """Rows that the scope left out."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def _run(self, query: str) -> None:
        self._database.execute(query)

    def _count(self, what: str) -> int:
        return int(self._database.execute(f"SELECT count(*) FROM {what}").fetchall()[0][0])

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._database.register("given", rows)
        self._run(f"INSERT INTO {table} SELECT * FROM given")
        self._database.unregister("given")

    def load_listing(self, listing: Listing) -> None:
        """Table ``listed``: one row per version that the release lists, the last modified one.

        Raises:
            ListingError: DuckDB cannot read the files.
        """
        try:
            self._run(
                f"""
                CREATE TABLE listed AS
                SELECT TRY_CAST(pmcid AS BIGINT) * {_KEY} + TRY_CAST(version AS BIGINT) AS key,
                       etag, last_modified, location
                FROM ({listing.relation})
                """
            )
        except duckdb.Error as error:
            raise ListingError(f"{listing.release.path}: {error}") from error
        self.skipped = self._count("listed WHERE key IS NULL")
        self._run("DELETE FROM listed WHERE key IS NULL")
        self._run("CREATE TABLE repeated AS SELECT key FROM listed GROUP BY key HAVING count(*) > 1")
        if not self._count("repeated"):
            return
        before = self._count("listed")
        self._run(
            """
            CREATE TABLE newest AS SELECT * FROM listed SEMI JOIN repeated USING (key)
            QUALIFY row_number() OVER (PARTITION BY key ORDER BY last_modified DESC NULLS LAST, etag DESC) = 1
            """
        )
        self._run("DELETE FROM listed WHERE key IN (SELECT key FROM repeated)")
        self._run("INSERT INTO listed SELECT * FROM newest")
        self.duplicates = before - self._count("listed")

    def load_state(self, file_lists: Sequence[Path]) -> None:
        """View ``state``: the newest row of every version in the earlier file lists."""
        if not file_lists:
            self._run(
                """
                CREATE VIEW state AS SELECT NULL::BIGINT AS key, NULL::VARCHAR AS etag, NULL::VARCHAR AS chunk,
                                            NULL::BOOLEAN AS present WHERE false
                """
            )
            return
        # The largest list, usually the first load, is scanned in place; years of small ones are opened only once.
        largest = max(file_lists, key=lambda path: path.stat().st_size)
        rows = f"SELECT pmcid * {_KEY} + version AS key, etag, chunk, action <> 'remove' AS present FROM read_parquet"
        view = f"CREATE VIEW rows_before AS {rows}({sql_text(str(largest))})"
        if small := ", ".join(sql_text(str(path)) for path in file_lists if path != largest):
            self._run(f"CREATE TABLE small_lists AS {rows}([{small}])")
            view += " UNION ALL SELECT * FROM small_lists"
        self._run(view)
        # Most versions were listed once; only the others are sorted. Chunk keys begin with the release's date, so
        # the greatest chunk of a version is that of its newest row.
        self._run("CREATE TABLE listed_again AS SELECT key FROM rows_before GROUP BY key HAVING count(*) > 1")
        self._run(
            """
            CREATE TABLE newest_row AS SELECT * FROM rows_before SEMI JOIN listed_again USING (key)
            QUALIFY row_number() OVER (PARTITION BY key ORDER BY chunk DESC) = 1
            """
        )
        self._run(
            """
            CREATE VIEW state AS
            SELECT * FROM rows_before ANTI JOIN listed_again USING (key) UNION ALL SELECT * FROM newest_row
            """
        )

    def load_requests(self, retries: Iterable[Retry], scope: Sequence[tuple[int, int]]) -> None:
        """Tables ``retries`` and ``scope`` (inclusive ranges of PMCID numbers; none means all).

        Raises:
            InvalidArticleIdError: a retry is of no article version.
        """
        self._run("CREATE TABLE retries (key BIGINT, etag VARCHAR, attempts BIGINT, chunk VARCHAR)")
        given = list(retries)
        ids = [parse_article_id(retry.listed_id) for retry in given]
        columns = {
            "key": pa.array([pmcid * _KEY + version for pmcid, version in ids], pa.int64()),
            "etag": pa.array([retry.etag for retry in given], pa.string()),
            "attempts": pa.array([retry.attempts for retry in given], pa.int64()),
            "chunk": pa.array([retry.chunk for retry in given], pa.string()),
        }
        self._insert("retries", pa.table(columns))
        self._run("CREATE TABLE scope (first BIGINT, last BIGINT)")
        ranges = _merged(scope)
        first = pa.array([first * _KEY for first, _ in ranges], pa.int64())
        last = pa.array([last * _KEY + _KEY - 1 for _, last in ranges], pa.int64())
        self._insert("scope", pa.table({"first": first, "last": last}))

    def compare(self, *, max_attempts: int) -> None:
        """Table ``delta`` (key, attempts, action).

        Tokens are compared by their 64-bit hash, which keeps the join of two whole states small: that a changed token
        goes unseen has a chance of 1 in 10^19.
        """
        self._run(
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
        self._run(
            """
            CREATE TABLE due AS SELECT key, max(attempts) + 1 AS attempts, 'retry' AS action
            FROM retries JOIN state USING (key, chunk) JOIN listed USING (key)
            WHERE state.present AND retries.etag IS NOT DISTINCT FROM state.etag
              AND listed.etag IS NOT DISTINCT FROM state.etag
            GROUP BY key
            """
        )
        self.given_up = self._count(f"due WHERE attempts > {max_attempts}")
        self._run(f"INSERT INTO delta SELECT * FROM due WHERE attempts <= {max_attempts}")
        if self._count("scope"):
            before = self._count("delta")
            self._run(
                """
                DELETE FROM delta WHERE action <> 'remove' AND key NOT IN (
                    SELECT key FROM delta ASOF JOIN scope ON delta.key >= scope.first WHERE delta.key <= scope.last)
                """
            )
            self.out_of_scope = before - self._count("delta")

    def actions(self) -> Counter[str]:
        """Rows of the delta by action."""
        return Counter(dict(self._database.execute("SELECT action, count(*) FROM delta GROUP BY action").fetchall()))

    def listed(self) -> int:
        """Versions that the release lists, within scope or not."""
        return self._count("listed")

    def listed_before(self) -> int:
        """Versions that were listed before and not removed."""
        return self._count("state WHERE present")

    def rows(self, batch_rows: int) -> Iterable[pa.RecordBatch]:
        """The delta in (PMCID, version) order, without the columns ``chunk`` and ``listed_id``."""
        relation: Any = self._database.sql(
            f"""
            SELECT delta.action AS action, delta.key // {_KEY} AS pmcid, delta.key % {_KEY} AS version,
                   listed.etag AS etag, listed.last_modified AS last_modified, listed.location AS location,
                   state.chunk AS prior_chunk, delta.attempts AS attempts
            FROM delta LEFT JOIN listed USING (key) LEFT JOIN state USING (key)
            ORDER BY delta.key
            """
        )
        return relation.to_arrow_reader(batch_rows)


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted ranges that do not overlap."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
