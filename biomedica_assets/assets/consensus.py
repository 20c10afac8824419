"""Group `annotations`: votes, what they amount to, and how far annotators agree."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from biomedica_assets import schemas
from biomedica_assets.assets.dataset import REFRESH
from biomedica_assets.assets.failures import explained
from biomedica_assets.assets.features import GROUP
from biomedica_assets.assets.previews import column_schema, markdown_image, markdown_table
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.store.manifests import StoreError

POOL = "consensus"
READABLE, AGREE = "votes_are_readable", "annotators_agree"
LEAST_ALPHA = 0.667
"""Below it, Krippendorff draws not even tentative conclusions."""
SHOWN = 20
_Condition: Any = dg.AutomationCondition  # the generic types of its operators do not fit each other for mypy
_LOOK = _Condition.cron_tick_passed("*/15 * * * *").since_last_handled()


def build_votes() -> dg.AssetsDefinition:
    """The asset `votes`: not made here, but looked at."""

    @dg.multi_observable_source_asset(
        name="look_at_votes",
        specs=[
            dg.AssetSpec(
                schemas.VOTES.name,
                description=f"{schemas.VOTES.meaning} They come from the labelling pages and imports, not from a run.",
                group_name=GROUP,
                kinds={"json", "parquet"},
                owners=["team:annotators"],
                automation_condition=_LOOK,
                metadata=column_schema(schemas.VOTES),
            )
        ],
    )
    def look_at_votes(biomedica: BiomedicaResource) -> dg.ObserveResult:
        """Whether there are new votes: the names of their files tell."""
        from biomedica_assets.labels.vote_log import votes_digest

        return dg.ObserveResult(data_version=dg.DataVersion(votes_digest(biomedica.open().files)))

    return look_at_votes


@dg.asset(
    group_name=GROUP,
    kinds={"numpy", "parquet"},
    owners=["team:data-engineering"],
    deps=[schemas.VOTES.name, "contact_sheets"],
    pool=POOL,
    automation_condition=REFRESH,
    metadata=column_schema(schemas.CONSENSUS),
    check_specs=[
        dg.AssetCheckSpec(READABLE, asset="concept_labels", description="Every file below votes/ is a whole vote.")
    ],
)
def concept_labels(
    context: dg.AssetExecutionContext, biomedica: BiomedicaResource
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """What the votes for concepts and images amount to, by majority and weighted by who is how often right.

    Ties, mixed concepts and targets that nobody is sure of are outcomes of their own and give no label. The votes that
    were counted are kept beside. Simulated annotators count only while the source is the embedded sample.
    """
    workspace = biomedica.open()
    files, settings = workspace.files, workspace.settings
    with explained(StoreError, ImportError, ValueError):
        from biomedica_assets.labels.outcomes import publish_consensus
        from biomedica_assets.labels.taxonomy import load_taxonomy
        from biomedica_assets.labels.vote_log import VoteLog, pack_votes

        taxonomy = load_taxonomy(settings.taxonomy_file)
        scratch = settings.scratch or None
        packed = pack_votes(files, scratch=scratch)
        log = VoteLog(files)
        log.refresh()
        record, _, changed = publish_consensus(
            files, log.votes, taxonomy, simulated=settings.uses_sample, scratch=scratch
        )
    context.log.info(f"{len(log)} votes, {packed} of them packed now; {record.counts}")
    yield dg.MaterializeResult(
        metadata={
            "consensus": dg.MetadataValue.text(record.id),
            "changed": dg.MetadataValue.bool(changed),
            "taxonomy": dg.MetadataValue.text(record.taxonomy),
            "simulated_votes_count": dg.MetadataValue.bool(record.simulated),
            "all_votes": dg.MetadataValue.int(len(log)),
            **{name: dg.MetadataValue.int(count) for name, count in record.counts.items()},
            "dagster/row_count": dg.MetadataValue.int(record.labels.rows),
            "dagster/uri": dg.MetadataValue.text(f"{files.url}/{record.labels.path}"),
        },
        data_version=dg.DataVersion(record.id),
    )
    yield dg.AssetCheckResult(
        check_name=READABLE,
        passed=not log.damaged,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"damaged": dg.MetadataValue.md(markdown_table(["file", "why"], list(log.damaged.items())[:SHOWN]))},
    )


@dg.asset(
    group_name=GROUP,
    kinds={"matplotlib"},
    owners=["team:data-engineering"],
    deps=[concept_labels],
    pool=POOL,
    automation_condition=REFRESH,
    check_specs=[
        dg.AssetCheckSpec(AGREE, asset="agreement", description=f"Alpha is at least {LEAST_ALPHA} on every axis.")
    ],
)
def agreement(biomedica: BiomedicaResource) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Krippendorff's alpha and Fleiss' kappa by axis and label, what is taken for what, where annotators disagree."""
    workspace = biomedica.open()
    files = workspace.files
    with explained(StoreError, ImportError, ValueError):
        from biomedica_assets.labels.agreement_report import measure, publish_report, worst
        from biomedica_assets.labels.outcomes import read_consensus_record
        from biomedica_assets.labels.taxonomy import load_taxonomy

        record = read_consensus_record(files)
        if record is None:
            raise StoreError(f"{files.url} has no consensus yet: materialize `concept_labels`")
        found = measure(files, record, load_taxonomy(workspace.settings.taxonomy_file))
        page = publish_report(files, found)
    columns = ("units", "answers", "annotators", "alpha", "kappa", "likeness")
    rows = [[axis, *(numbers[name] for name in columns)] for axis, numbers in found.numbers().items()]
    disputed = [
        [one.target, one.axis, one.status, ", ".join(f"{x.label} {x.votes}" for x in one.counts)]
        for one in found.disputed[:SHOWN]
    ]
    pictures = {"coefficients": found.plots.coefficients, "outcomes": found.plots.outcomes}
    if found.plots.annotators:
        pictures["likeness_of_annotators"] = found.plots.annotators
    yield dg.MaterializeResult(
        metadata={
            "consensus": dg.MetadataValue.text(record.id),
            "agreement": dg.MetadataValue.md(markdown_table(["axis", *columns], rows)),
            **{name: dg.MetadataValue.md(markdown_image(png, name)) for name, png in pictures.items()},
            "disputed": dg.MetadataValue.md(markdown_table(["target", "axis", "outcome", "labels given"], disputed)),
            "dagster/uri": dg.MetadataValue.text(f"{files.url}/{page.path}"),
        }
    )
    alpha = worst(found.measured)
    yield dg.AssetCheckResult(
        check_name=AGREE,
        passed=alpha is None or alpha >= LEAST_ALPHA,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"lowest_alpha": dg.MetadataValue.text("none yet" if alpha is None else f"{alpha:.3f}")},
    )
