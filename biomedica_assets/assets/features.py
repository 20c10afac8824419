"""Group `annotations`: vectors of captions and images, chunk by chunk."""

from collections.abc import Callable

import dagster as dg

from biomedica_assets import schemas
from biomedica_assets.assets.failures import explained
from biomedica_assets.assets.previews import column_schema, derived_metadata, markdown_table
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.partitions import backfill_policy, pmc_chunks
from biomedica_assets.models.encoders import EncoderError, configured_encoder
from biomedica_assets.models.features import (
    FEATURES_VERSION,
    MODALITIES,
    asked_for,
    build_caption_features,
    build_image_features,
)
from biomedica_assets.settings import Settings
from biomedica_assets.store.derived import DerivedManifest
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError

GROUP = "annotations"
SHOWN_FAILURES = 20

_Build = Callable[..., tuple[DerivedManifest, bool]]


def feature_metadata(files: Files, manifest: DerivedManifest) -> dict[str, dg.MetadataValue]:
    """What the UI shows of one partition, from its manifest."""
    found: dict[str, dg.MetadataValue] = {
        **derived_metadata(files, manifest),
        "encoder": dg.MetadataValue.text(manifest.inputs["encoder"]),
        "reused": dg.MetadataValue.int(manifest.counts.get("reused", 0)),
    }
    for name in ("seconds", "cpu_seconds"):
        if name in manifest.run:
            found[name] = dg.MetadataValue.float(float(manifest.run[name]))
    failed = sum(count for name, count in manifest.counts.items() if name not in ("vectors", "reused"))
    found["failed"] = dg.MetadataValue.int(failed)
    failures = manifest.run.get("failures", [])
    if failures:
        rows = [[failure[name] for name in ("object", "error", "message")] for failure in failures[:SHOWN_FAILURES]]
        found["failures"] = dg.MetadataValue.md(markdown_table(["object", "error", "message"], rows))
    return found


def build_feature_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """An asset for each table of features; only the number of chunks per run is a setting."""
    parts: list[tuple[schemas.Table, str, _Build]] = [
        (schemas.CAPTION_FEATURES, "captions", build_caption_features),
        (schemas.IMAGE_FEATURES, "images", build_image_features),
    ]
    return [_feature_asset(table, source, build, settings) for table, source, build in parts]


def _feature_asset(table: schemas.Table, source: str, build: _Build, settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        name=table.name,
        description=f"{table.meaning} What was encoded before is taken over.",
        group_name=GROUP,
        kinds={"onnx", "parquet"},
        owners=["team:data-engineering"],
        deps=[source],
        partitions_def=pmc_chunks,
        backfill_policy=backfill_policy(settings.chunks_per_run),
        code_version=f"{FEATURES_VERSION}.{schemas.SCHEMA_VERSION}",
        metadata=column_schema(table),
    )
    def features(context: dg.AssetExecutionContext, biomedica: BiomedicaResource) -> dg.MaterializeResult:
        workspace = biomedica.open()
        with explained(EncoderError, StoreError):
            encoder = configured_encoder(workspace.settings, MODALITIES[table.name])
            asked, scratch = asked_for(workspace.settings, table.name), workspace.settings.scratch or None
            for chunk in context.partition_keys:
                manifest, skipped = build(workspace.files, chunk, encoder, asked=asked, scratch=scratch)
                context.log.info(f"{chunk}: {'already valid' if skipped else 'committed'}, {manifest.counts}")
                shown = feature_metadata(workspace.files, manifest)
                context.add_asset_metadata(shown, asset_key=table.name, partition_key=chunk)
        return dg.MaterializeResult()

    return features
