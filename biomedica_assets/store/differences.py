"""What changed between two snapshots: which articles, figures and images were added, changed, removed, retracted.

States are compared as they were made: content that is withdrawn by now is named by its id, never shown.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from biomedica_assets.store.catalogue import open_views
from biomedica_assets.store.files import Files
from biomedica_assets.store.snapshots import CONTENT_TABLES, Snapshot, content_columns, read_snapshot, row_hash

_PARTS = {
    "figure": ("figure_id", ("figures", "captions")),
    "image": ("image_id", ("images",)),
}
"""What is compared below the article: its id, and the tables with its rows."""


@dataclass(frozen=True)
class Difference:
    """``rows``: kind (article, figure, image), change (added, changed, removed, retracted), id, article_id, detail.

    The detail of a changed article names the tables that differ; that of a removed one says why. A version that
    another one replaces is removed, the other added.
    """

    before: str
    after: str
    rows: pa.Table

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Rows by kind and change."""
        found = Counter(zip(self.rows["kind"].to_pylist(), self.rows["change"].to_pylist(), strict=True))
        kinds: dict[str, dict[str, int]] = {}
        for (kind, change), count in sorted(found.items()):
            kinds.setdefault(kind, {})[change] = count
        return kinds

    def to_json(self) -> str:
        """The difference as one JSON object."""
        return json.dumps(
            {"before": self.before, "after": self.after, "counts": self.counts, "rows": self.rows.to_pylist()},
            ensure_ascii=False,
            indent=1,
        )


def diff_snapshots(files: Files, before: str, after: str) -> Difference:
    """Compare two snapshots. Only articles in chunks that differ are looked into.

    Raises:
        SnapshotError: there is none of that name.
    """
    states = {"a": read_snapshot(files, before), "b": read_snapshot(files, after)}
    with open_views(files, states["b"].catalogue) as main:
        for side, snapshot in states.items():
            main.register(f"arriving_{side}", _current(files, snapshot))
            main.execute(f"CREATE TABLE {side} AS FROM arriving_{side}")
        main.execute("""
            CREATE TABLE pairs AS SELECT pmcid, a.article_id AS a_id, b.article_id AS b_id, a.version AS a_version
            FROM a FULL JOIN b USING (pmcid)
            WHERE (a.article_id, a.chunk, a.digest) IS DISTINCT FROM (b.article_id, b.chunk, b.digest)
        """)
        for side, snapshot in states.items():
            wanted = main.sql(f"SELECT {side}_id AS article_id FROM pairs WHERE {side}_id IS NOT NULL").to_arrow_table()
            with open_views(files, snapshot.catalogue) as views:
                main.register(f"rows_{side}", _hashes(views, wanted))
        return Difference(before, after, main.sql(_CHANGES).to_arrow_table())


def _current(files: Files, snapshot: Snapshot) -> pa.Table:
    """Current versions with the digest of their chunk's data."""
    generation = snapshot.catalogue
    digests = pa.table({"chunk": list(generation.chunks), "digest": list(generation.chunks.values())})
    with open_views(files, generation) as views:
        views.register("digests", digests)
        return views.sql(
            "SELECT pmcid, version, article_id, chunk, digest FROM current JOIN digests USING (chunk)"
        ).to_arrow_table()


def _hashes(views: duckdb.DuckDBPyConnection, wanted: pa.Table) -> pa.Table:
    """(kind, id, article_id, part, hash): the content of each article by table, of each figure and image."""
    views.register("wanted", wanted)
    queries = [_grouped("article", "article_id", table) for table in CONTENT_TABLES]
    queries += [_grouped(kind, key, table) for kind, (key, tables) in _PARTS.items() for table in tables]
    return views.sql(" UNION ALL ".join(queries)).to_arrow_table()


def _grouped(kind: str, key: str, table: str) -> str:
    return f"""
        SELECT '{kind}' AS kind, t."{key}" AS id, any_value(t.article_id) AS article_id, '{table}' AS part,
               sha256(string_agg({row_hash("t")}, '' ORDER BY {row_hash("t")})) AS hash
        FROM (SELECT {content_columns(table)} FROM "{table}" SEMI JOIN wanted USING (article_id)) t GROUP BY t."{key}"
    """


_CHANGES = """
    WITH gone AS (
        SELECT a_id AS article_id,
               CASE WHEN reason LIKE '%retracted' THEN 'retracted' ELSE 'removed' END AS change,
               concat_ws('; ', CASE WHEN b_id IS NULL THEN coalesce(reason, 'no longer current') ELSE reason END,
                         'replaced by ' || b_id) AS detail
        FROM pairs LEFT JOIN withdrawals w ON w.pmcid = pairs.pmcid AND w.version = pairs.a_version
        WHERE a_id IS NOT NULL AND b_id IS DISTINCT FROM a_id
    ), come AS (
        SELECT b_id AS article_id, 'replaces ' || a_id AS detail FROM pairs
        WHERE b_id IS NOT NULL AND a_id IS DISTINCT FROM b_id
    ), compared AS (
        SELECT kind, id, coalesce(x.article_id, y.article_id) AS article_id,
               bool_and(x.hash IS NULL) AS is_new, bool_and(y.hash IS NULL) AS is_gone,
               string_agg(part, ', ' ORDER BY part) FILTER (x.hash IS DISTINCT FROM y.hash) AS parts
        FROM rows_a x FULL JOIN rows_b y USING (kind, id, part) GROUP BY ALL
    )
    SELECT kind, CASE WHEN is_new THEN 'added' WHEN is_gone THEN coalesce(gone.change, 'removed') ELSE 'changed' END
                 AS change,
           id, article_id,
           CASE WHEN is_new THEN come.detail WHEN is_gone THEN gone.detail ELSE parts END AS detail
    FROM compared LEFT JOIN gone USING (article_id) LEFT JOIN come USING (article_id)
    WHERE is_new OR is_gone OR parts IS NOT NULL
    ORDER BY kind, change, id
"""
