"""The licence audit: which rule decided how often, and every decision that is not plain, with its reason.

What does not belong here: the rules (`biomedica_assets.licences`), which are applied when an article is read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets.dataset.documents import Documents, publish, state_of
from biomedica_assets.dataset.queries import bounded_catalogue
from biomedica_assets.licences import RULES
from biomedica_assets.store.catalogue import read_generation
from biomedica_assets.store.files import Files

PLAIN = ("agreed", "one_source", "article", "figure_agrees")
"""Rules whose decisions need no list: nothing contradicts them."""

_COUNTS = """
    SELECT '{kind}' AS kind, coalesce(licence_rule, 'unknown') AS rule, licence_code AS code, licence_group AS "group",
           count(*) AS n, count(DISTINCT article_id) AS articles
    FROM {table} GROUP BY ALL
"""
_DECISIONS = """
    SELECT '{kind}' AS kind, {id} AS id, article_id, licence_rule AS rule, licence_code AS code,
           licence_group AS "group", licence_reason AS reason, {notice} AS notice
    FROM {table} WHERE licence_rule IS NULL OR licence_rule NOT IN {plain}
"""


@dataclass(frozen=True)
class LicenceAudit:
    """``counts``: kind (article, image), rule, code, group, n, articles. ``decisions``: kind, id, article_id, rule,
    code, group, reason, notice of everything that is not plain: conflicts, notices, unstated licences."""

    counts: list[dict[str, Any]]
    decisions: pa.Table

    def by_rule(self) -> list[dict[str, Any]]:
        """Every rule in the table's order with how often it decided, zeros included."""
        rows = []
        for rule in RULES:
            n = sum(c["n"] for c in self.counts if (c["kind"], c["rule"]) == (rule.applies_to, rule.name))
            rows.append({**rule._asdict(), "n": n})
        return rows


def audit_licences(catalogue: duckdb.DuckDBPyConnection) -> LicenceAudit:
    """Count and list the decisions on current articles and images."""
    counts = [_COUNTS.format(kind=kind, table=table) for kind, table in (("article", "articles"), ("image", "images"))]
    listed = [
        _DECISIONS.format(kind="article", id="article_id", notice="NULL::VARCHAR", table="articles", plain=PLAIN),
        _DECISIONS.format(kind="image", id="image_id", notice="third_party_notice", table="images", plain=PLAIN),
    ]
    rows = catalogue.sql(f"{' UNION ALL '.join(counts)} ORDER BY kind, n DESC, rule, code NULLS LAST").to_arrow_table()
    decisions = catalogue.sql(f"{' UNION ALL '.join(listed)} ORDER BY kind, rule, id").to_arrow_table()
    return LicenceAudit(rows.to_pylist(), decisions)


def publish_audit(files: Files) -> tuple[LicenceAudit, Documents]:
    """Make the audit and store it: ``audit.json`` and ``decisions.parquet``."""
    generation = read_generation(files)
    with bounded_catalogue(files) as (catalogue, _):
        audit = audit_licences(catalogue)
    assert generation is not None
    table = BytesIO()
    pq.write_table(audit.decisions, table, compression="zstd")
    summary = {"state": state_of(generation), "rules": audit.by_rule(), "counts": audit.counts}
    contents = {"audit.json": json.dumps(summary, indent=1).encode(), "decisions.parquet": table.getvalue()}
    return audit, publish(files, "licence_audit", contents)
