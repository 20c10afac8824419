"""Group `dataset`: what is current, and the views every reader goes through."""

from datetime import timedelta
from typing import Any

import dagster as dg

from biomedica_assets import schemas
from biomedica_assets.assets.previews import column_schema
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.store.catalogue import build_generation, write_local_database

GROUP = "dataset"

_Condition: Any = dg.AutomationCondition  # the generic types of its operators do not fit each other for mypy


def refresh(ignore: dg.AssetSelection | None = None) -> Any:
    """Once after a burst of updates, not once per chunk; and every hour while a long backfill keeps the chunks busy.

    Args:
        ignore: dependencies whose updates and runs do not count.
    """
    updated, busy = _Condition.any_deps_updated(), _Condition.any_deps_in_progress()
    if ignore is not None:
        updated, busy = updated.ignore(ignore), busy.ignore(ignore)
    hourly = _Condition.cron_tick_passed("0 * * * *").since_last_handled()
    return updated.since_last_handled() & ~_Condition.in_progress() & (~busy | hourly)


REFRESH = refresh()

# PMC publishes daily: two silent days are worth a look, three mean that something stands still.
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=3), warn_window=timedelta(days=2))


@dg.asset(
    group_name=GROUP,
    kinds={"duckdb", "parquet"},
    owners=["team:data-engineering"],
    deps=["file_list", *schemas.CHUNK_TABLES, "metadata_refresh", *schemas.DERIVED_TABLES],
    pool="catalogue",
    automation_condition=REFRESH,
    freshness_policy=FRESH,
    metadata=column_schema(schemas.SAMPLE_INDEX),
)
def catalogue(context: dg.AssetExecutionContext, biomedica: BiomedicaResource) -> dg.MaterializeResult:
    """Which article versions are current, and where every image's bytes lie: an immutable generation of the store.

    Built from the generation before and the chunks that changed since. Readers open it with
    `biomedica_assets.store.catalogue.open_catalogue(url)`; a local store also gets `catalogue.duckdb`.
    """
    workspace = biomedica.open()
    files, honour = workspace.files, workspace.settings.honour_pubmed_retractions
    generation = build_generation(files, honour_pubmed_retractions=honour)
    write_local_database(files, generation)
    return dg.MaterializeResult(
        metadata={
            "chunks": dg.MetadataValue.int(len(generation.chunks)),
            "current_articles": dg.MetadataValue.int(generation.counts["current"]),
            "current_images": dg.MetadataValue.int(generation.counts["sample_index"]),
            "dagster/row_count": dg.MetadataValue.int(generation.counts["sample_index"]),
            "dagster/uri": dg.MetadataValue.text(f"{files.url}/{generation.files['sample_index'].path}"),
            "bytes": dg.MetadataValue.int(sum(f.bytes for f in generation.files.values())),
        }
    )
