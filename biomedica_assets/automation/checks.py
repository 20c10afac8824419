"""Standing checks over the whole store: what is unfinished, what failed, where sources disagree."""

import dagster as dg

from biomedica_assets.assets.details import DETAILS
from biomedica_assets.assets.previews import markdown_table
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.dataset.conflicts import pmcid_conflicts
from biomedica_assets.dataset.misfits import find_misfits
from biomedica_assets.ingest.status import store_status
from biomedica_assets.labels.drift import measure_drift
from biomedica_assets.labels.space import read_space_record


@dg.asset_check(asset="catalogue", description="Every chunk of every file list is committed, and few rows failed.")
def unfinished_chunks(biomedica: BiomedicaResource) -> dg.AssetCheckResult:
    """Warn about chunks that lack a valid manifest: nothing else reports one that failed quietly last week."""
    workspace = biomedica.open()
    status = store_status(workspace.files, workspace.settings)
    worst = sorted(status.failed_by_chunk.items(), key=lambda item: -item[1])[:20]
    return dg.AssetCheckResult(
        passed=not status.unfinished,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(status.unfinished)} of {len(status.chunks)} chunks unfinished, "
        f"{status.failed_rows} rows failed",
        metadata={
            "unfinished": dg.MetadataValue.int(len(status.unfinished)),
            "first_unfinished": dg.MetadataValue.text(", ".join(status.unfinished[:20]) or "none"),
            "failed_rows": dg.MetadataValue.int(status.failed_rows),
            "chunks_with_most_failures": dg.MetadataValue.json(dict(worst)),
        },
    )


@dg.asset_check(asset="catalogue", description="PubMed's records state the PMCID that their articles are listed under.")
def pmcids_agree(biomedica: BiomedicaResource) -> dg.AssetCheckResult:
    """Warn about articles whose PubMed record is that of another article: their MeSH and status are not theirs."""
    found = pmcid_conflicts(biomedica.open().files)
    rows = [(row["article_id"], row["pmid"], f"PMC{row['record_pmcid']}") for row in found.examples]
    header = ("article", "PMID", "PMCID by PubMed")
    return dg.AssetCheckResult(
        passed=not found.differing,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{found.differing} of {found.compared} articles have another PMCID in PubMed's record",
        metadata={
            "compared": dg.MetadataValue.int(found.compared),
            "differing": dg.MetadataValue.int(found.differing),
            **({"examples": dg.MetadataValue.md(markdown_table(header, rows))} if rows else {}),
        },
    )


def build_detail_checks() -> list[dg.AssetChecksDefinition]:
    """A check for each table of details that there is: its newest rows fit the images and texts they speak of."""
    return [_rows_fit(detail.name) for detail in DETAILS]


def _rows_fit(table: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=table,
        name=f"{table}_fit",
        description="Boxes lie in their images, offsets give the words they stand for.",
    )
    def rows_fit(biomedica: BiomedicaResource) -> dg.AssetCheckResult:
        found = find_misfits(biomedica.open().files, table)
        return dg.AssetCheckResult(
            passed=not found.wrong,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{found.wrong} of {found.rows} rows of the newest chunks do not fit",
            metadata={
                "chunks": dg.MetadataValue.text(", ".join(found.chunks)),
                "rows": dg.MetadataValue.int(found.rows),
                "wrong": dg.MetadataValue.int(found.wrong),
                **(
                    {"examples": dg.MetadataValue.md(markdown_table(("row", "what is wrong"), found.examples))}
                    if found.examples
                    else {}
                ),
            },
        )

    return rows_fit


@dg.asset_check(asset="concepts", description="New pictures lie and spread as those did that the space was fitted on.")
def concept_space_suits(biomedica: BiomedicaResource) -> dg.AssetCheckResult:
    """Warn when the concept space should be fitted anew: drift, another encoder, other settings, growth."""
    workspace = biomedica.open()
    record = read_space_record(workspace.files)
    if record is None:
        return dg.AssetCheckResult(passed=True, description="there is no concept space yet")
    drift = measure_drift(workspace.files, workspace.settings, record, scratch=workspace.settings.scratch or None)
    metadata: dict[str, dg.MetadataValue] = {
        "space": dg.MetadataValue.text(record.id),
        "new_pictures": dg.MetadataValue.int(drift.pictures),
        "far": dg.MetadataValue.int(drift.far),
        "far_share": dg.MetadataValue.float(round(drift.far_share, 4)),
    }
    if drift.spread is not None:
        metadata["spread_nats"] = dg.MetadataValue.float(round(drift.spread.divergence, 4))
        metadata["spread_nats_by_chance"] = dg.MetadataValue.float(round(drift.spread.expected, 4))
    return dg.AssetCheckResult(
        passed=not drift.reasons,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(drift.reasons) or "the concept space suits what arrived since it was fitted",
        metadata=metadata,
    )
