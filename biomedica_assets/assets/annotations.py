"""Group `annotations`: the label model, and labels of images chunk by chunk."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from biomedica_assets import schemas
from biomedica_assets.assets.dataset import REFRESH
from biomedica_assets.assets.failures import explained
from biomedica_assets.assets.features import GROUP
from biomedica_assets.assets.labels import CATALOGUE_POOL
from biomedica_assets.assets.previews import column_schema, derived_metadata, markdown_image, markdown_table
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.partitions import backfill_policy, pmc_chunks
from biomedica_assets.labels.annotations import ANNOTATIONS_VERSION, TABLES, build_annotations
from biomedica_assets.labels.label_model import MODEL_VERSION, ModelRecord
from biomedica_assets.labels.training import NoVotesError, ensure_model, open_sources
from biomedica_assets.settings import Settings
from biomedica_assets.store.derived import DerivedManifest
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError

ANNOTATION_ASSETS = tuple(table.name for table in TABLES)


class LabelModelConfig(dg.Config):
    """Launchpad options of `label_model`."""

    refit: bool = Field(False, description="fit it on the chunks that are there now, though no vote changed")


@dg.asset(
    group_name=GROUP,
    kinds={"scikitlearn", "numpy"},
    owners=["team:data-engineering"],
    deps=["concept_labels", "concepts", "image_features", "caption_features"],
    pool=CATALOGUE_POOL,
    automation_condition=REFRESH,
    code_version=MODEL_VERSION,
)
def label_model(
    context: dg.AssetExecutionContext, config: LabelModelConfig, biomedica: BiomedicaResource
) -> dg.MaterializeResult:
    """Classifiers by axis: image and caption vectors in, a calibrated probability for every label out.

    Fitted on what votes decide: members of concepts, weighted by how near they lie to the centre, and pictures that
    were voted on themselves. Scores are of held-out articles. Fitted anew when votes, concept space, encoders or
    taxonomy changed, or with `refit`. Without votes there is none, and images have weak labels only.
    """
    workspace = biomedica.open()
    with explained(StoreError, ImportError, ValueError):
        try:
            record, fitted = ensure_model(workspace.files, workspace.settings, refit=config.refit, log=context.log.info)
        except NoVotesError as error:
            context.log.warning(str(error))
            return dg.MaterializeResult(metadata={"model": "none yet", "reason": str(error)})
    return dg.MaterializeResult(metadata={"fitted_now": fitted, **model_metadata(workspace.files, record)})


def model_metadata(files: Files, record: ModelRecord) -> dict[str, dg.MetadataValue]:
    """What the UI shows of a label model, from its record."""
    from biomedica_assets.labels.model_plots import calibration_png, f1_png

    columns = ("examples", "articles", "accuracy", "decided", "decided_accuracy", "macro_f1", "ece_before", "ece")
    scores = [[axis, len(about["labels"]), *(about["scores"][name] for name in columns)]
              for axis, about in record.axes.items()]  # fmt: skip
    found: dict[str, dg.MetadataValue] = {
        "model": dg.MetadataValue.text(record.id),
        "taxonomy": dg.MetadataValue.text(record.taxonomy),
        "image_encoder": dg.MetadataValue.text(record.image_encoder),
        "text_encoder": dg.MetadataValue.text(record.text_encoder),
        **{f"examples_{name}": dg.MetadataValue.int(count) for name, count in record.examples.items()},
        "scores": dg.MetadataValue.md(markdown_table(["axis", "labels", *columns], scores)),
        "dagster/uri": dg.MetadataValue.text(f"{files.url}/{record.file.path}"),
    }
    if record.axes:
        found["calibration"] = dg.MetadataValue.md(markdown_image(calibration_png(record), "calibration"))
        found["f1"] = dg.MetadataValue.md(markdown_image(f1_png(record), "F1 by label"))
    left_out = [
        [axis, label, count] for axis, about in record.axes.items() for label, count in about["left_out"].items()
    ]
    if left_out:
        found["left_out_for_too_few_examples"] = dg.MetadataValue.md(
            markdown_table(["axis", "label", "images"], left_out)
        )
    if record.refused:
        found["axes_without_classifier"] = dg.MetadataValue.md(markdown_table(["axis", "why"], record.refused.items()))
    return found


def annotation_metadata(files: Files, manifest: DerivedManifest) -> dict[str, dg.MetadataValue]:
    """What the UI shows of one partition of `annotations` or `image_labels`, from its manifest."""
    inputs = manifest.inputs
    return {
        **derived_metadata(files, manifest),
        "model": dg.MetadataValue.text(inputs["model"] or "none"),
        "rules": dg.MetadataValue.text(inputs["rules"]),
        "taxonomy": dg.MetadataValue.text(inputs["taxonomy"]),
        **{name: dg.MetadataValue.int(count) for name, count in manifest.counts.items()},
        "cpu_seconds": dg.MetadataValue.float(float(manifest.run.get("cpu_seconds", 0))),
    }


def build_annotation_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets; only the number of chunks per run is a setting."""

    @dg.multi_asset(
        specs=[
            dg.AssetSpec(
                table.name,
                description=table.meaning,
                group_name=GROUP,
                kinds={"parquet"},
                owners=["team:data-engineering"],
                deps=deps,
                code_version=f"{ANNOTATIONS_VERSION}.{schemas.SCHEMA_VERSION}",
                metadata=column_schema(table),
            )
            for table, deps in (
                (schemas.ANNOTATIONS, ["captions", "images", "metadata", "concepts", "label_model"]),
                (schemas.IMAGE_LABELS, [schemas.ANNOTATIONS.name]),
            )
        ],
        name="label_images",
        partitions_def=pmc_chunks,
        backfill_policy=backfill_policy(settings.chunks_per_run),
    )
    def label_images(context: dg.AssetExecutionContext, biomedica: BiomedicaResource) -> Iterator[dg.MaterializeResult]:
        """Label the images of chunks by every source there is: votes, label model, concepts, words around them."""
        workspace = biomedica.open()
        with explained(StoreError, ImportError, ValueError):
            sources = open_sources(workspace.files, workspace.settings)
            for chunk in context.partition_keys:
                scratch = workspace.settings.scratch or None
                manifests, skipped = build_annotations(workspace.files, chunk, sources, scratch=scratch)
                counts = manifests[schemas.ANNOTATIONS.name].counts
                context.log.info(f"{chunk}: {'already valid' if skipped else 'committed'}, {counts}")
                for name, manifest in manifests.items():
                    shown = annotation_metadata(workspace.files, manifest)
                    context.add_asset_metadata(shown, asset_key=name, partition_key=chunk)
        for name in ANNOTATION_ASSETS:
            yield dg.MaterializeResult(asset_key=name)

    return [label_model, label_images]
