"""The assets of subsets and exports over the small store, in Dagster's own process."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.assets.subsets import build_dataset_assets
from biomedica_assets.dataset.export_manifest import list_exports
from biomedica_assets.dataset.recipes import load_recipes
from biomedica_assets.dataset.subsets import read_subset
from biomedica_assets.settings import Settings
from biomedica_assets_tests.ingest.releases import World


def materialize(
    world: World,
    assets: list,
    names: list[str],
    partition: str | None = None,
    tags: dict | None = None,
    **config: object,
):
    return dg.materialize(
        [*assets, dg.AssetSpec("catalogue")],
        selection=names,
        partition_key=partition,
        tags=tags,
        resources={"biomedica": BiomedicaResource(source=world.given["source"], store=world.given["store"])},
        run_config={"ops": {"exports": {"config": config}}} if config else None,
    )


def metadata(result: dg.ExecuteInProcessResult, name: str) -> dict:
    return {key: value.value for key, value in result.asset_materializations_for_node(name)[0].metadata.items()}


def test_from_catalogue_to_export(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "small.yaml").write_text("name: small\ndescription: few\ndedup: near\nlimit: 5\n")
    monkeypatch.setenv("BIOMEDICA_RECIPES", str(tmp_path / "recipes"))
    assets = build_dataset_assets(Settings())
    found = metadata(materialize(world, assets, ["duplicates"]), "duplicates")
    assert (found["exact"], found["near"], found["across_articles"]) == (3, 1, 2)
    found = metadata(materialize(world, assets, ["subsets"], "small"), "subsets")
    assert found["dagster/row_count"] == 5
    assert "| limit | 5 | 11 | 5 |" in found["steps"]
    result = materialize(world, assets, ["exports"], "small", formats=["webdataset", "parquet", "biomedica"])
    found = metadata(result, "exports")
    assert found["dagster/row_count"] == 5, "the same samples in three formats"
    assert found["dagster/uri"] == f"{world.files.url}/exports/small"
    assert found["exports"].count("| 5 |") == 3
    assert "withdrawn_from_earlier_exports" not in found
    assert [e.options["format"] for e in list_exports(world.files)] == ["biomedica", "parquet", "webdataset"]


def test_an_inactive_recipe_is_not_materialized(world: World) -> None:
    assets = build_dataset_assets(Settings())
    for name in ("subsets", "exports"):
        result = materialize(world, assets, [name], "concept_balanced")
        assert result.success
        assert result.asset_materializations_for_node(name) == []


def test_one_run_of_all_recipes_materializes_the_active_ones(world: World) -> None:
    assets = build_dataset_assets(Settings())
    materialize(world, assets, ["duplicates"])
    recipes = load_recipes()
    first, *_, last = recipes
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    result = materialize(world, assets, ["subsets"], tags=tags)
    found = {event.partition: event.metadata for event in result.asset_materializations_for_node("subsets")}
    assert list(found) == [name for name, recipe in recipes.items() if set(recipe.needs) <= {"duplicates"}]
    assert len(found) == len(recipes) - 5
    for name, metadata in found.items():
        subset = read_subset(world.files, name)
        assert metadata["dagster/row_count"].value == subset.file.rows
        assert metadata["recipe"].value == recipes[name].description
        size = sum(len(str(value.value)) for value in metadata.values())
        assert size < 40_000, "events are stored for every materialization: keep them small"
    commercial = found["commercial"]
    assert "| licence_groups | commercial |" in commercial["steps"].value
    assert "data:image/jpeg;base64," in commercial["preview"].value
    assert "| PMC12.1/f1/1 | CC BY | Dermoscopy of the lesion 1 |" in commercial["preview"].value


def test_a_broken_recipe_fails_the_run_after_the_others(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "a.yaml").write_text("name: a\ndescription: a\ndecontaminate: [{list: nowhere.txt}]\n")
    monkeypatch.setenv("BIOMEDICA_RECIPES", str(tmp_path / "recipes"))
    assets = build_dataset_assets(Settings())
    tags = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "commercial"}
    with pytest.raises(dg.Failure, match=r"nowhere\.txt cannot be read"):
        materialize(world, assets, ["subsets"], tags=tags)
    assert read_subset(world.files, "commercial").counts["images"] > 0


def test_upload_without_token(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assets = build_dataset_assets(Settings())
    materialize(world, assets, ["subsets"], "commercial")
    with pytest.raises(dg.Failure, match="HF_TOKEN"):
        materialize(world, assets, ["exports"], "commercial", formats=["webdataset"], upload=True)
