"""Automation conditions, evaluated tick by tick; the live tests look at the runs that the real daemon makes of them."""

from __future__ import annotations

import dagster as dg

from biomedica_assets.assets.dataset import catalogue
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.assets.subsets import build_dataset_assets
from biomedica_assets.dataset.recipes import load_recipes
from biomedica_assets.settings import Settings

RECIPES = set(load_recipes())


def test_subsets_follow_duplicates_once_inactive_ones_included() -> None:
    """What was requested is not requested again, whether or not it was materialized."""
    assets = [catalogue, *build_dataset_assets(Settings())]
    definitions = dg.Definitions(assets, resources={"biomedica": BiomedicaResource()})
    cursor = None
    with dg.DagsterInstance.ephemeral() as instance:

        def tick() -> dict[str, set[str] | int]:
            nonlocal cursor
            found = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)
            cursor = found.cursor
            requested = {name: found.get_requested_partitions(dg.AssetKey(name)) for name in ("subsets", "duplicates")}
            return {name: keys - {None} or len(keys) for name, keys in requested.items() if keys}

        def materialized(name: str, partition: str | None = None) -> None:
            instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=partition))

        assert tick() == {}
        for _ in range(2):
            materialized("catalogue")
            assert tick() == {"duplicates": 1}, "the subsets wait for the duplicates"
            assert tick() == {}
            materialized("duplicates")
            assert tick() == {"subsets": RECIPES}
            for name in RECIPES - {"concept_balanced", "concept_filtered", "single_panel_pairs", "domain_upsampled"}:
                materialized("subsets", name)
            assert tick() == {}
            assert tick() == {}
