"""Subsets under the real daemon: a new generation of the catalogue makes one run of all recipes, and no second one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from biomedica_assets.dataset.recipes import load_recipes
from biomedica_assets_tests.dataset.conftest import articles
from biomedica_assets_tests.ingest.releases import DAYS, World
from biomedica_assets_tests.live.dagster_dev import DagsterDev

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
INACTIVE = {"concept_balanced", "concept_filtered"} | {
    name for name, recipe in load_recipes().items() if recipe.unit != "image"
}
"""Recipes of labels, panels and rated paragraphs, which this store does not have."""
SETTLED = 90
"""Seconds of three evaluations of the automation, and of as many rounds of the backfill daemon."""


@pytest.mark.timeout(900)
def test_a_catalogue_makes_one_run_of_all_recipes(tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    world = World(tmp_path)
    world.build(DAYS[0], *articles())
    environment = {"BIOMEDICA_SOURCE": world.given["source"], "BIOMEDICA_STORE": world.given["store"]}
    recipes = list(load_recipes())
    active = len(recipes) - len(INACTIVE)

    with DagsterDev(tmp_path / "home", environment) as dev:

        def runs_of(asset: str) -> list[dict]:
            query = "{ runsOrError { ... on Runs { results { status assetSelection { path } tags { key value } } } } }"
            found = []
            for run in dev.query(query)["runsOrError"]["results"]:
                if {"path": [asset]} in (run["assetSelection"] or []):
                    found.append({**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}})
            return found

        def ended(asset: str, count: int) -> bool:
            runs = runs_of(asset)
            return len(runs) >= count and all(run["status"] in ("SUCCESS", "FAILURE") for run in runs)

        dev.start_sensor("automation")
        time.sleep(45)  # what it has not evaluated before counts as handled
        for number in (1, 2):
            dev.launch_job("refresh_catalogue")
            dev.wait(lambda number=number: ended("subsets", number), 300, f"the subsets of generation {number}")
            time.sleep(SETTLED)
            assert [run["status"] for run in runs_of("duplicates")] == ["SUCCESS"] * number
            runs = runs_of("subsets")
            assert [run["status"] for run in runs] == ["SUCCESS"] * number, "one run per generation, inactive or not"
            assert runs[0]["tags"][RANGE_START] == recipes[0]
            assert runs[0]["tags"][RANGE_END] == recipes[-1]
            stats = dev.partition_stats("subsets")
            assert (stats["numMaterialized"], stats["numFailed"], stats["numMaterializing"]) == (active, 0, 0)
        query = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { id status } } } }"
        print(dev.query(query))
