"""Group `dataset`, second half: duplicates, subsets and exports; what they are, `biomedica_assets.dataset` knows."""

import os
from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from biomedica_assets import schemas
from biomedica_assets.assets.dataset import GROUP, REFRESH, refresh
from biomedica_assets.assets.previews import column_schema, markdown_image, markdown_table
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.dataset.duplicates import build_duplicates, report_reuse
from biomedica_assets.dataset.export_manifest import FORMATS, Export, Options
from biomedica_assets.dataset.export_upkeep import rebuild_all
from biomedica_assets.dataset.exports import export
from biomedica_assets.dataset.preview import subset_preview
from biomedica_assets.dataset.recipes import Recipe, RecipeError, load_recipes
from biomedica_assets.dataset.subsets import InactiveError, Subset, build_subset, read_subset
from biomedica_assets.settings import Settings
from biomedica_assets.store.files import Files

_OWNERS = ["team:data-engineering"]


class ExportConfig(dg.Config):
    """What a run of `exports` writes."""

    formats: list[str] = Field(["webdataset", "parquet"], description="of webdataset, parquet, biomedica")
    jpeg_quality: int | None = Field(None, description="convert what is not JPEG, 1 to 95; only in tars")
    upload: bool = Field(False, description="to the hub too; needs HF_TOKEN and BIOMEDICA_HUB_REPOSITORY")


@dg.asset(
    group_name=GROUP,
    kinds={"numpy", "parquet"},
    owners=_OWNERS,
    deps=["catalogue"],
    pool="dataset",
    automation_condition=REFRESH,
    metadata=column_schema(schemas.DUPLICATES),
)
def duplicates(context: dg.AssetExecutionContext, biomedica: BiomedicaResource) -> dg.MaterializeResult:
    """Images of current articles that are the same picture as another: by bytes, and by perceptual hash.

    Nothing is deleted: recipes say who drops what. Clusters never chain: each near duplicate is within the distance of
    its cluster's original.
    """
    workspace = biomedica.open()
    distance = workspace.settings.near_distance
    record = build_duplicates(workspace.files, distance=distance, scratch=workspace.settings.scratch or None)
    reuse = report_reuse(workspace.files, examples=10)
    rows = [
        (one["cluster"], one["articles"], one["images"], ", ".join(f"PMC{pmcid}" for pmcid in one["pmcids"]))
        for one in reuse.examples
    ]
    return dg.MaterializeResult(
        metadata={
            **{name: dg.MetadataValue.int(count) for name, count in record.counts.items()},
            "within_articles": dg.MetadataValue.int(reuse.within_articles),
            "across_versions": dg.MetadataValue.int(reuse.across_versions),
            "distance": dg.MetadataValue.int(record.distance),
            "dagster/row_count": dg.MetadataValue.int(record.file.rows),
            "dagster/uri": dg.MetadataValue.text(f"{workspace.files.url}/{record.file.path}"),
            "reused_most": dg.MetadataValue.md(markdown_table(("original", "articles", "images", "where"), rows)),
        }
    )


def build_dataset_assets(settings: Settings) -> list[Any]:
    """`duplicates`, and `subsets` and `exports` with a partition per recipe.

    Raises:
        RecipeError: a recipe of the settings' folder cannot be read.
    """
    recipes = load_recipes(settings.recipe_folder)
    partitions = dg.StaticPartitionsDefinition(list(recipes))
    return [duplicates, _subsets(recipes, partitions), _exports(partitions)]


# Duplicates follow every catalogue, so waiting for them alone makes one round of a release instead of two.
_AFTER_DUPLICATES = refresh(ignore=dg.AssetSelection.assets("catalogue"))


def _subsets(recipes: dict[str, Recipe], partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        group_name=GROUP,
        kinds={"duckdb", "parquet"},
        owners=_OWNERS,
        deps=["catalogue", "duplicates"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),  # a process costs more than most recipes
        pool="dataset",
        automation_condition=_AFTER_DUPLICATES,
        output_required=False,
        metadata=column_schema(schemas.SUBSET),
    )
    def subsets(context: dg.AssetExecutionContext, biomedica: BiomedicaResource) -> Iterator[dg.AssetMaterialization]:
        """What each recipe picks from the current catalogue: ids, and how many images each step left.

        A recipe that needs a table that does not exist yet is not materialized; the run's log says which. A recipe
        that cannot be carried out fails the run, after the others are done.
        """
        workspace, broken = biomedica.open(), []
        for name in context.partition_keys:
            try:
                subset = build_subset(workspace.files, recipes[name], scratch=workspace.settings.scratch or None)
            except InactiveError as reason:
                context.log.warning(f"inactive: {reason}")
            except RecipeError as error:
                broken.append(str(error))
            else:
                # A MaterializeResult would stand for every partition of the run, the inactive ones too.
                shown = _subset_metadata(workspace.files, subset)
                yield dg.AssetMaterialization(context.asset_key, partition=name, metadata=shown)
        if broken:
            raise dg.Failure("; ".join(broken), allow_retries=False)

    return subsets


def _subset_metadata(files: Files, subset: Subset) -> dict[str, dg.MetadataValue]:
    steps = [(s["step"], _words(s["detail"]), s["before"], s["after"]) for s in subset.steps]
    preview = subset_preview(files, subset)
    captions = markdown_table(("image", "licence", "caption"), preview.rows)
    sheet = f"{markdown_image(preview.sheet, 'some images of the subset')}\n\n" if preview.sheet else ""
    return {
        "preview": dg.MetadataValue.md(sheet + captions),
        "recipe": dg.MetadataValue.text(subset.recipe["description"]),
        "recipe_hash": dg.MetadataValue.text(subset.recipe_hash),
        "steps": dg.MetadataValue.md(markdown_table(("step", "detail", "before", "after"), steps)),
        **{name: dg.MetadataValue.int(count) for name, count in subset.counts.items()},
        "dagster/row_count": dg.MetadataValue.int(subset.file.rows),
        "dagster/uri": dg.MetadataValue.text(f"{files.url}/{subset.file.path}"),
    }


def _words(detail: Any) -> str:
    """What a step did, as in the recipe: values of lists and mappings without Python's brackets and quotes."""
    if isinstance(detail, dict):
        return ", ".join(f"{name}: {value}" for name, value in detail.items())
    return ", ".join(map(str, detail)) if isinstance(detail, list) else str(detail)


def _exports(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        group_name=GROUP,
        kinds={"webdataset", "parquet"},
        owners=_OWNERS,
        deps=["subsets"],
        partitions_def=partitions,
        pool="dataset",
        output_required=False,
    )
    def exports(
        context: dg.AssetExecutionContext, biomedica: BiomedicaResource, config: ExportConfig
    ) -> Iterator[dg.MaterializeResult]:
        """A subset as globally shuffled shards for `webdataset` and `datasets`; older exports lose what was withdrawn.

        Killed runs go on where they stopped. Asked for by a person: an export costs its size.
        """
        workspace, name, given = biomedica.open(), context.partition_key, biomedica.settings()
        files, scratch = workspace.files, workspace.settings.scratch or None
        target = Files(given.exports) if given.exports else files
        try:
            subset = read_subset(files, name)
        except FileNotFoundError:
            context.log.warning(f"there is no subset {name} yet: materialize it first; an inactive recipe has none")
            return
        unknown = set(config.formats) - set(FORMATS)
        if unknown:
            raise dg.Failure(f"unknown formats {sorted(unknown)}; known: {', '.join(FORMATS)}", allow_retries=False)
        touched = rebuild_all(files, target, name)
        done = []
        for kind in config.formats:
            options = Options(kind, given.export_shard_bytes, None if kind == "parquet" else config.jpeg_quality)  # type: ignore[arg-type]
            record = export(files, subset, options, target=target, scratch=scratch)
            assert record is not None  # all parts are ours
            done.append(record)
            if config.upload:
                context.log.info(f"uploaded: {_upload(target, record, given)}")
        header = ("format", "folder", "samples", "shards", "bytes")
        rows = [(r.options["format"], r.folder, *(r.counts[c] for c in ("samples", "shards", "bytes"))) for r in done]
        yield dg.MaterializeResult(
            metadata={
                "exports": dg.MetadataValue.md(markdown_table(header, rows)),
                "subset": dg.MetadataValue.text(f"{name}, state {subset.id}, {subset.amount}"),
                "dagster/uri": dg.MetadataValue.text(f"{target.url}/exports/{name}"),
                # Each format holds the same samples: their sum would count them twice.
                "dagster/row_count": dg.MetadataValue.int(max((r.counts["samples"] for r in done), default=0)),
                "bytes": dg.MetadataValue.int(sum(record.counts["bytes"] for record in done)),
                **({"withdrawn_from_earlier_exports": dg.MetadataValue.json(touched)} if touched else {}),
            }
        )

    return exports


def _upload(target: Files, record: Export, given: Settings) -> str:
    from biomedica_assets.dataset.hub import repository_name, upload_export

    token = os.environ.get("HF_TOKEN")
    if not token or not given.hub_repository:
        raise dg.Failure("an upload needs HF_TOKEN and BIOMEDICA_HUB_REPOSITORY", allow_retries=False)
    repository = repository_name(given.hub_repository, record)
    done = upload_export(target, record, repository, token=token, endpoint=given.hub_endpoint or None)
    return f"{done.sent} sent, {done.present} present, {done.deleted} deleted: {done.url}"
