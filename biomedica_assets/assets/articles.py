"""Group `articles`: the chunk pass, one multi-asset whose specs declare how its tables depend on each other."""

from collections.abc import Iterator

import dagster as dg

from biomedica_assets import schemas
from biomedica_assets.assets.previews import column_schema, markdown_image, markdown_table
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.partitions import backfill_policy, pmc_chunks
from biomedica_assets.ingest.checks import CHECKS, CheckResult, check_chunk
from biomedica_assets.ingest.chunk import ingest_chunk
from biomedica_assets.ingest.inputs import INGEST_VERSION
from biomedica_assets.ingest.preview import ChunkPreview, chunk_preview
from biomedica_assets.jats import PARSER_VERSION
from biomedica_assets.settings import Settings
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest

GROUP = "articles"

_Event = dg.MaterializeResult | dg.AssetCheckEvaluation | dg.Output[None]

DEPENDENCIES = {
    "sources": ["file_list"],
    "versions": ["sources"],
    "articles": ["sources", "versions"],
    "paragraphs": ["articles"],
    "figures": ["articles"],
    "captions": ["figures"],
    "mentions": ["figures", "paragraphs"],
    "objects": ["figures"],
    "images": ["figures", "objects"],
    "failures": ["versions"],
}
"""How the tables depend on each other within the one pass."""

_KINDS = {"sources": {"parquet"}, "images": {"parquet", "webdataset"}}


def table_metadata(files: Files, manifest: ChunkManifest, table: str) -> dict[str, dg.MetadataValue]:
    """What the UI shows of one table of one chunk, from its manifest."""
    data_file = manifest.tables[table]
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(data_file.rows),
        "dagster/uri": dg.MetadataValue.text(f"{files.url}/{data_file.path}"),
        "bytes": dg.MetadataValue.int(data_file.bytes),
        "sha256": dg.MetadataValue.text(data_file.sha256),
    }
    if table == "versions":
        outcomes = sorted(manifest.outcomes.items())
        metadata["outcomes"] = dg.MetadataValue.md(markdown_table(["outcome", "rows"], outcomes))
        metadata["failed"] = dg.MetadataValue.int(manifest.outcomes.get("failed", 0))
    if table == "sources":
        for name in ("requests", "bytes_fetched", "seconds"):
            if name in manifest.run:
                metadata[name] = dg.MetadataValue.float(float(manifest.run[name]))
        metadata["input_hash"] = dg.MetadataValue.text(manifest.input_hash)
    if table == "images":
        metadata["shards"] = dg.MetadataValue.int(len(manifest.own_shards))
        metadata["shard_bytes"] = dg.MetadataValue.int(sum(shard.bytes for shard in manifest.own_shards))
    return metadata


def preview_metadata(preview: ChunkPreview) -> dict[str, dict[str, dg.MetadataValue]]:
    """Pictures and texts to look at, by table; each below `PREVIEW_BYTES`."""
    captions = markdown_table(["figure", "label", "caption"], preview.captions)
    previews: dict[str, dict[str, dg.MetadataValue]] = {"captions": {"preview": dg.MetadataValue.md(captions)}}
    if preview.sheet:
        picture = markdown_image(preview.sheet, "some images of the chunk")
        previews["images"] = {"preview": dg.MetadataValue.md(f"{picture}\n\n{captions}")}
    if preview.mentions:
        header = ["figure", "panels", "text"]
        previews["mentions"] = {"preview": dg.MetadataValue.md(markdown_table(header, preview.mentions))}
    if preview.failures:
        header = ["article", "object", "stage", "error", "message"]
        previews["failures"] = {"preview": dg.MetadataValue.md(markdown_table(header, preview.failures))}
    return previews


def build_chunk_assets(settings: Settings) -> dg.AssetsDefinition:
    """The multi-asset of the chunk pass; only the number of chunks per run is a setting."""

    @dg.multi_asset(
        name="chunk_pass",
        specs=[
            dg.AssetSpec(
                name,
                deps=DEPENDENCIES[name],
                group_name=GROUP,
                description=table.meaning,
                kinds=_KINDS.get(name, {"parquet", "lxml"}),
                owners=["team:data-engineering"],
                code_version=f"{PARSER_VERSION}.{INGEST_VERSION}.{schemas.SCHEMA_VERSION}",
                metadata=column_schema(table),
            )
            for name, table in schemas.CHUNK_TABLES.items()
        ],
        check_specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=check.table,
                description=check.meaning,
                blocking=check.blocking,
                partitions_def=pmc_chunks,
            )
            for check in CHECKS
        ],
        partitions_def=pmc_chunks,
        backfill_policy=backfill_policy(settings.chunks_per_run),
    )
    def chunk_pass(context: dg.AssetExecutionContext, biomedica: BiomedicaResource) -> Iterator[_Event]:
        """One pass over a chunk's articles: fetch what is not held, parse, store images once, commit a manifest."""
        workspace = biomedica.open()
        workspace.bind()
        for chunk in context.partition_keys:
            manifest, skipped = ingest_chunk(workspace, chunk, log=context.log.info)
            context.log.info(f"{chunk}: {'already valid' if skipped else 'committed'}, outcomes {manifest.outcomes}")
            previews = preview_metadata(chunk_preview(workspace.files, manifest))
            for table in schemas.CHUNK_TABLES:
                metadata = {**table_metadata(workspace.files, manifest, table), **previews.get(table, {})}
                context.add_asset_metadata(metadata, asset_key=table, partition_key=chunk)
            results = list(check_chunk(workspace.files, manifest))
            yield from (_evaluation(result, chunk) for result in results)
            broken = [f"{r.check.name}: {r.message}" for r in results if r.check.blocking and not r.passed]
            if broken:
                raise dg.Failure(f"{chunk} is not sound: {'; '.join(broken)}", allow_retries=False)
        for check in CHECKS:
            # An AssetCheckResult can't name one partition of a range run, so the evaluations above are yielded as
            # they are stored; the step still has to see the output that each check declares.
            yield dg.Output(None, output_name=f"{check.table}_{check.name}")
        for table in schemas.CHUNK_TABLES:
            yield dg.MaterializeResult(asset_key=table)

    return chunk_pass


def _evaluation(result: CheckResult, chunk: str) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(result.check.table),
        check_name=result.check.name,
        passed=result.passed,
        description=result.message,
        metadata={name: dg.MetadataValue.int(count) for name, count in result.numbers.items()},
        severity=dg.AssetCheckSeverity.ERROR if result.check.blocking else dg.AssetCheckSeverity.WARN,
        blocking=result.check.blocking,
        partition=chunk,
    )
