"""Group `annotations`: the concept space, the concepts of images, and sheets of their members to look at."""

import dagster as dg
from pydantic import Field

from biomedica_assets import schemas
from biomedica_assets.assets.dataset import REFRESH
from biomedica_assets.assets.failures import explained
from biomedica_assets.assets.features import GROUP
from biomedica_assets.assets.previews import column_schema, derived_metadata, markdown_image, markdown_table
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.partitions import backfill_policy, pmc_chunks
from biomedica_assets.settings import Settings
from biomedica_assets.store.derived import DerivedManifest
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError

CATALOGUE_POOL = "catalogue"
"""What asks for current rows brings the catalogue up to date first."""
SHOWN, SHEET_BYTES = 5, 9_000
"""Sheets in the event of a materialization, and how large each may be: there is one such event, not one per chunk."""


class ConceptSpaceConfig(dg.Config):
    """Launchpad options of `concept_space`."""

    refit: bool = Field(False, description="fit a new space on what is current now; concepts get new numbers")


@dg.asset(
    group_name=GROUP,
    kinds={"faiss", "numpy"},
    owners=["team:data-engineering"],
    deps=["image_features"],
    pool=CATALOGUE_POOL,
)
def concept_space(
    context: dg.AssetExecutionContext, config: ConceptSpaceConfig, biomedica: BiomedicaResource
) -> dg.MaterializeResult:
    """Axes of variance of the image vectors, and the centres of many small clusters among them: the concepts.

    Fitted once, on a seeded sample of current pictures, and kept: votes and labels refer to its concepts. Set `refit`
    to fit it anew, e.g. when the check `concept_space_suits` of `concepts` says that it no longer suits what arrives.
    """
    workspace = biomedica.open()
    with explained(StoreError, ImportError):
        from biomedica_assets.labels.fitting import ensure_space

        record, fitted = ensure_space(
            workspace.files,
            workspace.settings,
            refit=config.refit,
            scratch=workspace.settings.scratch or None,
            log=context.log.info,
        )
    integers = ("concepts", "components", "pictures", "sampled")
    largest = sorted(enumerate(record.sizes), key=lambda item: -item[1])[:20]
    return dg.MaterializeResult(
        metadata={
            "space": dg.MetadataValue.text(record.id),
            "fitted_now": dg.MetadataValue.bool(fitted),
            "encoder": dg.MetadataValue.text(record.encoder),
            **{name: dg.MetadataValue.int(getattr(record, name)) for name in integers},
            "variance_kept": dg.MetadataValue.float(record.kept),
            "distance_median": dg.MetadataValue.float(record.distance_median),
            "distance_99_percent": dg.MetadataValue.float(record.far),
            "largest": dg.MetadataValue.md(markdown_table(["concept", "pictures of the sample"], largest)),
            "dagster/uri": dg.MetadataValue.text(f"{workspace.files.url}/{record.file.path}"),
        }
    )


def concept_metadata(files: Files, manifest: DerivedManifest) -> dict[str, dg.MetadataValue]:
    """What the UI shows of one partition of `concepts`, from its manifest."""
    return {
        **derived_metadata(files, manifest),
        "space": dg.MetadataValue.text(manifest.inputs["space"]),
        "far": dg.MetadataValue.int(manifest.counts.get("far", 0)),
        "cpu_seconds": dg.MetadataValue.float(float(manifest.run.get("cpu_seconds", 0))),
    }


def build_label_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets; only the number of chunks per run is a setting."""

    @dg.asset(
        description=schemas.CONCEPTS.meaning,
        group_name=GROUP,
        kinds={"faiss", "parquet"},
        owners=["team:data-engineering"],
        deps=["image_features", concept_space],
        partitions_def=pmc_chunks,
        backfill_policy=backfill_policy(settings.chunks_per_run),
        metadata=column_schema(schemas.CONCEPTS),
    )
    def concepts(context: dg.AssetExecutionContext, biomedica: BiomedicaResource) -> dg.MaterializeResult:
        workspace = biomedica.open()
        with explained(StoreError, ImportError):
            from biomedica_assets.labels.concepts import build_concepts
            from biomedica_assets.labels.space import load_space

            record, space = load_space(workspace.files)
            for chunk in context.partition_keys:
                scratch = workspace.settings.scratch or None
                manifest, skipped = build_concepts(workspace.files, chunk, record, space, scratch=scratch)
                context.log.info(f"{chunk}: {'already valid' if skipped else 'committed'}, {manifest.counts}")
                shown = concept_metadata(workspace.files, manifest)
                context.add_asset_metadata(shown, asset_key="concepts", partition_key=chunk)
        return dg.MaterializeResult()

    return [concept_space, concepts, contact_sheets]


@dg.asset(
    group_name=GROUP,
    kinds={"duckdb", "pillow"},
    owners=["team:data-engineering"],
    deps=["concepts"],
    pool=CATALOGUE_POOL,
    automation_condition=REFRESH,
    metadata=column_schema(schemas.CONTACT_SHEETS),
)
def contact_sheets(biomedica: BiomedicaResource) -> dg.MaterializeResult:
    """Which members of every concept people look at: the nearest to its centre, the farthest and random others.

    Chosen over all current images, no picture twice in a concept. The labelling pages show them; some are shown here.
    """
    workspace = biomedica.open()
    files, settings = workspace.files, workspace.settings
    with explained(StoreError, ImportError):
        from biomedica_assets.labels.sheets import draw_sheets, members_of, publish_sheets, read_member_table
        from biomedica_assets.labels.space import load_space

        record, _ = load_space(files)
        sheets = publish_sheets(files, record, scratch=settings.scratch or None)
    members = read_member_table(files, sheets)
    ordered = sorted(range(record.concepts), key=lambda concept: (-sheets.pictures[concept], concept))
    # Large, middling and small ones; the sheets of all are what the labelling pages are for.
    shown = sorted({ordered[len(ordered) * part // SHOWN] for part in range(SHOWN)}, key=ordered.index)
    shown = [concept for concept in shown if sheets.pictures[concept]]
    drawn = draw_sheets(
        files,
        [members_of(members, concept) for concept in shown],
        side=80,
        max_bytes=SHEET_BYTES,
        max_pixels=settings.max_pixels,
    )
    pictures = [
        f"concept {concept}, {sheets.pictures[concept]} pictures\n\n{markdown_image(jpeg, f'concept {concept}')}"
        for concept, jpeg in zip(shown, drawn, strict=True)
    ]
    return dg.MaterializeResult(
        metadata={
            "space": dg.MetadataValue.text(sheets.space),
            "concepts": dg.MetadataValue.int(record.concepts),
            "empty_concepts": dg.MetadataValue.int(sheets.pictures.count(0)),
            "images": dg.MetadataValue.int(sum(sheets.images)),
            "pictures": dg.MetadataValue.int(sum(sheets.pictures)),
            "dagster/row_count": dg.MetadataValue.int(sheets.file.rows),
            "dagster/uri": dg.MetadataValue.text(f"{files.url}/{sheets.file.path}"),
            "sheets": dg.MetadataValue.md("\n\n".join(pictures)),
        }
    )
