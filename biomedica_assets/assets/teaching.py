"""Group `annotations`: teachers' labels of paragraphs, and the classifier that a store learns from them.

What does not belong here: table `paragraph_quality` (`details`), how teachers are asked and the model is fitted (room
`quality`).
"""

import dagster as dg
from pydantic import Field

from biomedica_assets import schemas
from biomedica_assets.assets.dataset import REFRESH
from biomedica_assets.assets.failures import explained
from biomedica_assets.assets.features import GROUP, SHOWN_FAILURES
from biomedica_assets.assets.labels import CATALOGUE_POOL
from biomedica_assets.assets.previews import column_schema, markdown_table
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.store.manifests import StoreError

NAME = schemas.TEACHER_LABELS.name


class TeacherConfig(dg.Config):
    """Launchpad options of `teacher_labels`."""

    again: bool = Field(False, description="ask once more about paragraphs whose answers could not be used")


class QualityModelConfig(dg.Config):
    """Launchpad options of `quality_model`."""

    refit: bool = Field(False, description="fit it anew, though no label changed")


@dg.asset(
    name=NAME,
    group_name=GROUP,
    kinds={"openai", "parquet"},
    owners=["team:annotators"],
    deps=["paragraphs", "metadata"],
    pool=CATALOGUE_POOL,
    metadata=column_schema(schemas.TEACHER_LABELS),
)
def teacher_labels(
    context: dg.AssetExecutionContext, config: TeacherConfig, biomedica: BiomedicaResource
) -> dg.MaterializeResult:
    """Labels that teachers gave to paragraphs: a language model asked about a seeded sample, and a file of labels.

    On request only, since asking costs money: BIOMEDICA_TEACHER_URL and _MODEL name the model, BIOMEDICA_TEACHER_LABELS
    the file. Every answer is kept at once; nothing is asked twice. Without either there is nothing to do: the shipped
    classifier, which rules taught, labels all paragraphs.
    """
    workspace = biomedica.open()
    with explained(StoreError, ValueError, OSError):
        from biomedica_assets.quality.collect import collect_teacher_labels

        done = collect_teacher_labels(
            workspace.files,
            workspace.settings,
            again=config.again,
            scratch=workspace.settings.scratch or None,
            log=context.log.info,
        )
    if done.stopped:
        context.log.warning(done.stopped)
    counts = ("sample", "held", "asked", "failed", "unanswered", "unresolved", "tokens")
    shown: dict[str, dg.MetadataValue] = {name: dg.MetadataValue.int(getattr(done, name)) for name in counts}
    shown["changed"] = dg.MetadataValue.bool(done.changed)
    if done.stopped:
        shown["stopped"] = dg.MetadataValue.text(done.stopped)
    if done.failures:
        header = ("object", "error", "message")
        rows = [[failure[name] for name in header] for failure in done.failures[:SHOWN_FAILURES]]
        shown["failures"] = dg.MetadataValue.md(markdown_table(header, rows))
    if done.record is None:
        return dg.MaterializeResult(metadata=shown)
    shown["teachers"] = dg.MetadataValue.md(markdown_table(["teacher", "labels"], done.record.teachers.items()))
    shown["dagster/row_count"] = dg.MetadataValue.int(done.record.file.rows)
    shown["dagster/uri"] = dg.MetadataValue.text(f"{workspace.files.url}/{done.record.file.path}")
    return dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(done.record.id))


@dg.asset(
    group_name=GROUP,
    kinds={"scikitlearn", "numpy"},
    owners=["team:data-engineering"],
    deps=[NAME],
    pool=CATALOGUE_POOL,
    automation_condition=REFRESH,
)
def quality_model(
    context: dg.AssetExecutionContext, config: QualityModelConfig, biomedica: BiomedicaResource
) -> dg.MaterializeResult:
    """The classifier that labels every paragraph: the shipped one, corrected by teachers' labels once there are 200.

    Fitted anew when labels changed, or with `refit`; paragraphs are then labelled anew, chunk by chunk.
    """
    workspace = biomedica.open()
    with explained(StoreError, ImportError, ValueError):
        from biomedica_assets.quality.training import ensure_quality_model

        record, changed = ensure_quality_model(workspace.files, refit=config.refit, log=context.log.info)
    agreement = record.about.get("left_out", {})
    return dg.MaterializeResult(
        metadata={
            "model": dg.MetadataValue.text(record.id),
            "own": dg.MetadataValue.bool(bool(record.made_of)),
            "changed": dg.MetadataValue.bool(changed),
            "teachers": dg.MetadataValue.md(
                markdown_table(["teacher", "labels"], record.about.get("teachers", {}).items())
            ),
            **{f"left_out_{name}": dg.MetadataValue.float(float(value)) for name, value in agreement.items()},
        },
        data_version=dg.DataVersion(record.id),
    )
