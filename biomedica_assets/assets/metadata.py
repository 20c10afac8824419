"""Group `metadata`: PubMed's records of the articles, by chunk at first sight and by day as PubMed changes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import dagster as dg

from biomedica_assets import schemas
from biomedica_assets.assets.failures import explained
from biomedica_assets.assets.previews import column_schema, derived_metadata, markdown_table
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.partitions import backfill_policy, pmc_chunks
from biomedica_assets.ingest.metadata import (
    EntrezNotConfiguredError,
    fetch_chunk_metadata,
    open_entrez,
    refresh_metadata,
)
from biomedica_assets.pmc.entrez import EntrezRefused, EntrezUnavailable
from biomedica_assets.pmc.pubmed import PUBMED_PARSER_VERSION, UnreadableReply
from biomedica_assets.settings import Settings
from biomedica_assets.store.derived import DerivedManifest
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError
from biomedica_assets.store.tables import iter_rows

GROUP = "metadata"
POOL = "entrez"
"""A pool of one: NCBI counts the requests of all runs together."""
DAYS_PER_RUN = 30
PREVIEW_ROWS = 8

pubmed_days = dg.DailyPartitionsDefinition(start_date="2026-11-18", timezone="UTC")
"""Days of PubMed's modification date. Only those since the store's first chunk are of use."""

_COMMON: dict[str, Any] = {
    "group_name": GROUP,
    "kinds": {"biopython", "parquet"},
    "owners": ["team:data-engineering"],
    "pool": POOL,
    "code_version": f"{PUBMED_PARSER_VERSION}.{schemas.SCHEMA_VERSION}",
    "metadata": column_schema(schemas.METADATA),
}


def partition_metadata(files: Files, manifest: DerivedManifest) -> dict[str, dg.MetadataValue]:
    """What the UI shows of one partition, from its manifest."""
    found: dict[str, dg.MetadataValue] = {
        **derived_metadata(files, manifest),
        "counts": dg.MetadataValue.md(markdown_table(["records", "number"], sorted(manifest.counts.items()))),
    }
    for name in ("requests", "bytes_fetched", "seconds"):
        if name in manifest.run:
            found[name] = dg.MetadataValue.float(float(manifest.run[name]))
    return found


def preview_metadata(files: Files, manifest: DerivedManifest) -> dict[str, dg.MetadataValue]:
    """The first records of a partition, to look at."""
    columns = ["pmid", "outcome", "pubmed_status", "title", "mesh", "publication_types"]
    rows = [
        (
            row["pmid"],
            row["pubmed_status"] or row["outcome"],
            row["title"],
            "; ".join(heading["descriptor"] or "" for heading in row["mesh"] or []),
            "; ".join(kind["name"] or "" for kind in row["publication_types"] or []),
        )
        for row in islice(iter_rows(files, manifest.file.path, columns=columns), PREVIEW_ROWS)
    ]
    header = ["PMID", "status", "title", "MeSH", "publication types"]
    return {"preview": dg.MetadataValue.md(markdown_table(header, rows))} if rows else {}


def build_metadata_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Both assets; only the number of chunks per run is a setting."""

    @dg.asset(
        **_COMMON,
        deps=["articles"],
        partitions_def=pmc_chunks,
        backfill_policy=backfill_policy(settings.chunks_per_run),
    )
    def metadata(context: dg.AssetExecutionContext, biomedica: BiomedicaResource) -> dg.MaterializeResult:
        """PubMed's record of every PMID of a chunk's articles: MeSH, publication types, grants, references, status.

        Joined by the PMID in the record. Without NCBI_EMAIL the partitions stay missing, and nothing else needs them.
        """
        workspace = biomedica.open()
        with _explained():
            client = open_entrez(workspace.settings)
            for chunk in context.partition_keys:
                manifest, skipped = fetch_chunk_metadata(workspace, chunk, client)
                context.log.info(f"{chunk}: {'already valid' if skipped else 'committed'}, {manifest.counts}")
                shown = partition_metadata(workspace.files, manifest) | preview_metadata(workspace.files, manifest)
                context.add_asset_metadata(shown, asset_key="metadata", partition_key=chunk)
        return dg.MaterializeResult()

    @dg.asset(
        **_COMMON,
        deps=[dg.AssetDep("metadata", partition_mapping=dg.AllPartitionMapping())],
        partitions_def=pubmed_days,
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=DAYS_PER_RUN),
    )
    def metadata_refresh(context: dg.AssetExecutionContext, biomedica: BiomedicaResource) -> dg.MaterializeResult:
        """What PubMed modified on a day, of the PMIDs asked for before: MeSH that came late, errata, retractions.

        The rows go to the same table `metadata`; the newest row of a PMID counts.
        """
        workspace = biomedica.open()
        with _explained():
            for day in context.partition_keys:
                manifest = refresh_metadata(workspace, day, open_entrez(workspace.settings, day=day))
                context.log.info(f"{day}: {manifest.counts or 'nothing modified'}")
                shown = partition_metadata(workspace.files, manifest) | preview_metadata(workspace.files, manifest)
                context.add_asset_metadata(shown, asset_key="metadata_refresh", partition_key=day)
        return dg.MaterializeResult()

    return [metadata, metadata_refresh]


@contextmanager
def _explained() -> Iterator[None]:
    """Outages are tried again later; what a person must mend fails with the reason alone."""
    try:
        with explained(EntrezNotConfiguredError, EntrezRefused, StoreError):
            yield
    except (EntrezUnavailable, UnreadableReply) as error:
        # The client has tried for minutes; what this run has committed stays.
        raise dg.RetryRequested(max_retries=2, seconds_to_wait=120) from error
