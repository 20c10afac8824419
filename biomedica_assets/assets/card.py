"""Group `dataset`: what the dataset holds, how its licences were decided, its card, and snapshots of it."""

from typing import Any

import dagster as dg

from biomedica_assets.assets.dataset import FRESH, GROUP, REFRESH
from biomedica_assets.assets.previews import markdown_table
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.dataset.card import publish_card
from biomedica_assets.dataset.documents import Documents
from biomedica_assets.dataset.licence_audit import publish_audit
from biomedica_assets.dataset.statistics import publish_statistics
from biomedica_assets.store.files import Files
from biomedica_assets.store.snapshots import create_snapshot

_COMMON: Any = {"group_name": GROUP, "owners": ["team:data-engineering"], "automation_condition": REFRESH}


def _where(files: Files, documents: Documents, file: str) -> dict[str, dg.MetadataValue]:
    return {
        "dagster/uri": dg.MetadataValue.text(f"{files.url}/{documents.paths[file]}"),
        "hash": dg.MetadataValue.text(documents.hash),
    }


@dg.asset(**_COMMON, deps=["catalogue"], kinds={"duckdb", "parquet"})
def licence_audit(biomedica: BiomedicaResource) -> dg.MaterializeResult:
    """Which rule decided the licence of how many articles and images, and every decision that is not plain.

    `decisions.parquet` lists conflicts, third-party notices and unstated licences with their reasons.
    """
    files = biomedica.open().files
    audit, documents = publish_audit(files)
    rows = [(row["name"], row["applies_to"], row["when"], row["then"], row["n"]) for row in audit.by_rule()]
    return dg.MaterializeResult(
        metadata={
            **_where(files, documents, "decisions.parquet"),
            "dagster/row_count": dg.MetadataValue.int(audit.decisions.num_rows),
            "rules": dg.MetadataValue.md(markdown_table(["rule", "of an", "when", "licence", "decided"], rows)),
        }
    )


@dg.asset(**_COMMON, deps=["catalogue"], kinds={"duckdb"})
def statistics(biomedica: BiomedicaResource) -> dg.MaterializeResult:
    """Every number that card and report show, computed from the current rows."""
    files = biomedica.open().files
    found, documents = publish_statistics(files)
    totals = {name: dg.MetadataValue.int(value) for name, value in found["totals"].items() if value is not None}
    return dg.MaterializeResult(metadata={**_where(files, documents, "statistics.json"), **totals})


@dg.asset(**_COMMON, deps=[statistics, licence_audit], kinds={"markdown"}, freshness_policy=FRESH)
def card(biomedica: BiomedicaResource) -> dg.MaterializeResult:
    """The dataset card: README for a data hub, Croissant, JSON Schema of the tables, and the report with its plots.

    README.md and croissant.json also stand at the root of the store.
    """
    files = biomedica.open().files
    documents, report = publish_card(files)
    return dg.MaterializeResult(
        metadata={**_where(files, documents, "report.html"), "report": dg.MetadataValue.md(report)}
    )


class SnapshotConfig(dg.Config):
    """Launchpad options of `snapshot`."""

    name: str = ""
    """Name of the snapshot; empty: the release and the first digits of the content's checksum."""


@dg.asset(group_name=GROUP, owners=["team:data-engineering"], deps=["catalogue"], kinds={"parquet"})
def snapshot(config: SnapshotConfig, biomedica: BiomedicaResource) -> dg.MaterializeResult:
    """The present state under a name, for as long as it is kept. Made on request only: it holds its files for good."""
    files = biomedica.open().files
    made = create_snapshot(files, config.name or None)
    counts = {name: dg.MetadataValue.int(count) for name, count in made.counts.items()}
    return dg.MaterializeResult(
        metadata={
            "name": dg.MetadataValue.text(made.name),
            "release": dg.MetadataValue.text(made.release or ""),
            "logical_checksum": dg.MetadataValue.text(made.logical_checksum),
            "files": dg.MetadataValue.int(len(made.files)),
            **counts,
        }
    )
