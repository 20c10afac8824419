"""The asset, its check, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.assets.search import CHECK, search_index
from biomedica_assets.cli import main
from biomedica_assets.search.canary import check_index
from biomedica_assets.search.generation import build_index
from biomedica_assets.search.manifest import POINTER, read_newest
from biomedica_assets_tests.ingest.releases import DAYS, World
from biomedica_assets_tests.search.conftest import paper, papers, settings


def run(world: World, **config: object) -> dg.ExecuteInProcessResult:
    resource = BiomedicaResource(store=str(world.files.local_path()), source=str(world.folder))
    options = {"ops": {"search_index": {"config": config}}}
    return dg.materialize([search_index], resources={"biomedica": resource}, run_config=options)


def test_materialized_and_checked(world: World) -> None:
    world.build(DAYS[1], *papers(), paper(16, ["Yet another liver, of a mouse"], year=2024))
    result = run(world)
    metadata = result.asset_materializations_for_node("search_index")[0].metadata
    assert metadata["added"].value == 1
    assert metadata["figures"].value == 11
    assert metadata["images"].value == 12
    assert metadata["figures_with_captions_vectors"].value == 10
    assert metadata["built_anew"].value == "no"
    (check,) = result.get_asset_check_evaluations()
    assert check.check_name == CHECK
    assert check.passed
    again = run(world, rebuild=True).asset_materializations_for_node("search_index")[0].metadata
    assert again["built_anew"].value == "as asked for"


def test_the_check_fails_when_captions_are_not_found(world: World) -> None:
    newest = read_newest(world.files)
    assert newest is not None
    pointer = world.files.read(POINTER)
    world.build(DAYS[1], *papers(), paper(16, ["Yet another liver, of a mouse"], year=2024))
    build_index(world.files)
    assert all(canary.place == 1 for canary in check_index(world.files, settings(world)))
    world.files.write(POINTER, pointer)  # an index that does not know the newest chunk
    assert any(canary.place is None for canary in check_index(world.files, settings(world)))


def test_the_command(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOMEDICA_STORE", str(world.files.local_path()))
    monkeypatch.setenv("BIOMEDICA_CACHE", str(tmp_path / "cache"))

    def said(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["search", *words])
        return result.exit_code, result.output

    code, text = said("liver", "--mode", "keyword", "--filter", "pmcid=11")
    assert code == 0
    assert "PMC11.1/f1" in text
    assert "1 figures, by keyword" in text
    code, text = said("liver", "--json", "--limit", "1", "--mode", "keyword")
    assert json.loads(text.splitlines()[-1])["pmcid"] == "PMC12"
    assert said("--filter", "colour=red")[0] == 1
    assert "no figure" in said("--like", "PMC99.1/f1")[1]
    monkeypatch.setenv("BIOMEDICA_STORE", str(tmp_path / "nothing"))
    assert "materialize" in said("liver")[1]
