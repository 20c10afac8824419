"""Group `search`: the index that web server, tools and command line search."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import Field

from biomedica_assets import schemas
from biomedica_assets.assets.dataset import REFRESH
from biomedica_assets.assets.previews import markdown_table
from biomedica_assets.assets.resources import BiomedicaResource

GROUP = "search"
CHECK = "index_finds_known_captions"


class SearchIndexConfig(dg.Config):
    """Launchpad options of `search_index`."""

    rebuild: bool = Field(False, description="start from nothing instead of applying what changed")


@dg.asset(
    group_name=GROUP,
    kinds={"tantivy", "faiss"},
    owners=["team:search"],
    deps=["catalogue", schemas.CAPTION_FEATURES.name, schemas.IMAGE_FEATURES.name],
    pool="search",
    automation_condition=REFRESH,
    check_specs=[dg.AssetCheckSpec(CHECK, asset="search_index", description="Captions are found by their words.")],
)
def search_index(
    context: dg.AssetExecutionContext, config: SearchIndexConfig, biomedica: BiomedicaResource
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Keyword and vector index of all current figures and articles: an immutable generation of the store.

    What changed in the catalogue since the generation before is applied to a copy of it; servers swap to the new one
    without a restart. Figures whose vectors are not there yet are found by words until the next run.
    """
    workspace = biomedica.open()
    files, settings = workspace.files, workspace.settings
    with _explained():
        from biomedica_assets.search.canary import check_index
        from biomedica_assets.search.generation import build_index

        built = build_index(
            files,
            article_text=settings.search_article_text,
            rebuild=config.rebuild,
            scratch=settings.scratch or None,
            log=context.log.info,
        )
    counts = built.counts()
    yield dg.MaterializeResult(
        metadata={
            "dagster/row_count": dg.MetadataValue.int(counts["figures"]),
            "dagster/uri": dg.MetadataValue.text(f"{files.url}/index/{built.manifest.id}.json"),
            "generation": dg.MetadataValue.text(built.manifest.id),
            **{name: dg.MetadataValue.int(count) for name, count in counts.items()},
            "added": dg.MetadataValue.int(built.added),
            "deleted": dg.MetadataValue.int(built.deleted),
            "articles_looked_at": dg.MetadataValue.int(built.looked_at),
            "bytes": dg.MetadataValue.int(built.manifest.bytes),
            "bytes_written": dg.MetadataValue.int(built.bytes_written),
            "seconds": dg.MetadataValue.float(built.seconds),
            "built_anew": dg.MetadataValue.text(built.rebuilt or "no"),
            **_bridge(built.manifest.spaces),
        }
    )
    canaries = check_index(files, settings)
    rows = [[canary.figure_id, canary.words, canary.place or "not found"] for canary in canaries]
    yield dg.AssetCheckResult(
        check_name=CHECK,
        passed=all(canary.place is not None and canary.place <= 10 for canary in canaries),
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"captions": dg.MetadataValue.md(markdown_table(["figure", "words", "place"], rows))},
    )


def _bridge(spaces: dict[str, Any]) -> dict[str, dg.MetadataValue]:
    """How well texts find pictures by their looks, and whether that is good enough to be used."""
    images = spaces.get("images", {})
    if images.get("bridge_recall") is None:
        return {}
    return {
        "text_to_image_recall_at_10": dg.MetadataValue.float(images["bridge_recall"]),
        "text_to_image_used": dg.MetadataValue.bool(images["bridge"] is not None),
    }


@contextmanager
def _explained() -> Iterator[None]:
    """What a person can act on, as the step's failure."""
    try:
        yield
    except (ImportError, FileNotFoundError) as error:
        raise dg.Failure(description=str(error)) from error
