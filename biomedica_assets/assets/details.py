"""Group `annotations`: panels of images, entities in texts, what paragraphs are worth; chunk by chunk.

What does not belong here: how they are found (rooms `panels`, `entities`, `quality`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from biomedica_assets import schemas
from biomedica_assets.assets.detail_previews import entities_preview, panels_preview, quality_preview
from biomedica_assets.assets.failures import explained
from biomedica_assets.assets.features import GROUP, SHOWN_FAILURES
from biomedica_assets.assets.previews import column_schema, derived_metadata, markdown_table
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.partitions import backfill_policy, pmc_chunks
from biomedica_assets.entities.tables import ENTITIES_VERSION, build_entities, unfinished_entities
from biomedica_assets.panels.tables import PANELS_VERSION, build_panels, unfinished_panels
from biomedica_assets.quality.tables import (
    PARAGRAPH_QUALITY_VERSION,
    build_paragraph_quality,
    unfinished_paragraph_quality,
)
from biomedica_assets.settings import Settings
from biomedica_assets.store.derived import DerivedManifest
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError

UNUSABLE = (StoreError, ImportError, ValueError, OSError)
"""What a person must mend: a package, weights or a path that is missing, a setting that cannot be."""


@dataclass(frozen=True)
class Detail:
    """One table of details: its room's functions, what it is made of, what the UI shows of a partition.

    ``build`` makes a chunk's rows and says whether what was committed is still valid; ``unfinished`` lists committed
    chunks whose rows are missing or no longer valid. Both raise `UNUSABLE`.
    """

    table: schemas.Table
    version: str
    build: Callable[..., tuple[DerivedManifest, bool]]
    unfinished: Callable[[Files, Settings], list[str]]
    deps: tuple[str, ...]
    kinds: frozenset[str]
    preview: Callable[[Files, DerivedManifest, Settings], dict[str, dg.MetadataValue]]

    @property
    def name(self) -> str:
        return self.table.name


DETAILS = (
    Detail(
        table=schemas.PANELS,
        version=PANELS_VERSION,
        build=build_panels,
        unfinished=unfinished_panels,
        deps=("images", "captions", "mentions"),
        kinds=frozenset({"pillow", "parquet"}),
        preview=panels_preview,
    ),
    Detail(
        table=schemas.ENTITIES,
        version=ENTITIES_VERSION,
        build=build_entities,
        unfinished=unfinished_entities,
        deps=("captions", "paragraphs", "mentions"),
        kinds=frozenset({"numpy", "parquet"}),
        preview=entities_preview,
    ),
    Detail(
        table=schemas.PARAGRAPH_QUALITY,
        version=PARAGRAPH_QUALITY_VERSION,
        build=build_paragraph_quality,
        unfinished=unfinished_paragraph_quality,
        deps=("paragraphs", "articles", "metadata", "quality_model"),
        kinds=frozenset({"numpy", "parquet"}),
        preview=quality_preview,
    ),
)
"""In the order in which builds make them."""
DETAIL_ASSETS = tuple(detail.name for detail in DETAILS)


def detail_metadata(files: Files, manifest: DerivedManifest) -> dict[str, dg.MetadataValue]:
    """What the UI shows of one partition, from its manifest."""
    found: dict[str, dg.MetadataValue] = {
        **derived_metadata(files, manifest),
        **{name: dg.MetadataValue.int(count) for name, count in manifest.counts.items()},
    }
    for name in ("seconds", "cpu_seconds"):
        if name in manifest.run:
            found[name] = dg.MetadataValue.float(float(manifest.run[name]))
    if failures := manifest.run.get("failures"):
        header = ("object", "error", "message")
        rows = [[failure[name] for name in header] for failure in failures[:SHOWN_FAILURES]]
        found["failures"] = dg.MetadataValue.md(markdown_table(header, rows))
    return found


def build_detail_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """An asset for each table of details; only the number of chunks per run is a setting."""
    return [_detail_asset(detail, settings) for detail in DETAILS]


def _detail_asset(detail: Detail, settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        name=detail.name,
        description=detail.table.meaning,
        group_name=GROUP,
        kinds=set(detail.kinds),
        owners=["team:data-engineering"],
        deps=list(detail.deps),
        partitions_def=pmc_chunks,
        backfill_policy=backfill_policy(settings.chunks_per_run),
        code_version=f"{detail.version}.{schemas.SCHEMA_VERSION}",
        metadata=column_schema(detail.table),
    )
    def details(context: dg.AssetExecutionContext, biomedica: BiomedicaResource) -> dg.MaterializeResult:
        workspace = biomedica.open()
        files = workspace.files
        with explained(*UNUSABLE):
            for chunk in context.partition_keys:
                scratch = workspace.settings.scratch or None
                manifest, skipped = detail.build(files, chunk, workspace.settings, scratch=scratch)
                context.log.info(f"{chunk}: {'already valid' if skipped else 'committed'}, {manifest.counts}")
                shown = detail_metadata(files, manifest) | detail.preview(files, manifest, workspace.settings)
                context.add_asset_metadata(shown, asset_key=detail.name, partition_key=chunk)
        return dg.MaterializeResult()

    return details
