"""Assets of votes: what they commit, show and check; simulated votes count for the sample alone."""

from __future__ import annotations

import dagster as dg
import pytest

from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.definitions import build_definitions
from biomedica_assets.labels.agreement_report import read_numbers
from biomedica_assets.labels.outcomes import read_consensus, read_consensus_record
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.votes import cast_vote
from biomedica_assets.store.files import Files
from biomedica_assets_tests.labels.test_votes import concept

TAXONOMY = load_taxonomy()
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class World:
    def __init__(self, tmp_path, instance, **settings):
        self.files, self.instance = Files(tmp_path / "store"), instance
        resource = BiomedicaResource(store=str(tmp_path / "store"), sample=str(tmp_path / "sample"), **settings)
        self.definitions = build_definitions(resource)

    def run(self, *assets):
        return self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance, asset_selection=[dg.AssetKey(name) for name in assets], run_config=QUIET
        )

    def observe(self):
        [event] = self.run("votes").get_asset_observation_events()
        return event.event_specific_data.asset_observation.data_version

    def vote(self, annotator, number, *labels, axis="figure_kind", **more):
        return cast_vote(self.files, concept(annotator, number, answers={axis: labels}, **more), TAXONOMY)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def shown(result, asset):
    [event] = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


def checks(result):
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def test_votes_become_a_consensus_and_a_report(tmp_path, instance):
    world = World(tmp_path, instance)
    before = world.observe()
    assert world.observe() == before
    for number in range(6):
        world.vote("ada", number, "table")
        world.vote("bob", number, "table" if number < 5 else "map")
    assert world.observe() != before
    result = world.run("concept_labels", "agreement")
    made = shown(result, "concept_labels")
    assert (made["votes"], made["annotators"], made["concepts"], made["agreed"], made["tie"]) == (12, 2, 6, 5, 1)
    assert checks(result)["votes_are_readable"].passed
    record = read_consensus_record(world.files)
    assert made["consensus"] == record.id
    assert [one.labels for one in read_consensus(world.files, record)] == [("table",)] * 5 + [()]
    told = shown(result, "agreement")
    # Twelve values, eleven table and one map: observed 2/12, expected 2 * 11 * 1 / (12 * 11) = 1/6, so alpha is 0.
    numbers = read_numbers(world.files)["axes"]["figure_kind"]
    assert (numbers["alpha"], numbers["outcomes"]) == (pytest.approx(0), {"agreed": 5, "tie": 1})
    assert not checks(result)["annotators_agree"].passed
    assert checks(result)["annotators_agree"].severity == dg.AssetCheckSeverity.WARN
    assert "concept:s1/5 | figure_kind | tie" in told["disputed"]
    pictures = [value for value in told.values() if "data:image/png" in str(value)]
    assert len(pictures) == 3
    assert sum(map(len, pictures)) < 40_000  # they are stored with every event
    page = world.files.read(read_numbers(world.files)["page"]["path"]).decode()
    assert "concept:s1/5" in page and "Simulated annotators are among them" in page
    again = shown(world.run("concept_labels"), "concept_labels")
    assert (again["changed"], again["consensus"]) == (False, record.id)


def test_without_votes_there_is_nothing_to_disagree_on(tmp_path, instance):
    result = World(tmp_path, instance).run("concept_labels", "agreement")
    assert shown(result, "concept_labels")["votes"] == 0
    assert checks(result)["annotators_agree"].passed


def test_simulated_votes_count_for_the_sample_alone(tmp_path, instance):
    World(tmp_path, instance).vote("sim-ada", 1, "table", source="simulated")
    assert shown(World(tmp_path, instance).run("concept_labels"), "concept_labels")["votes"] == 1
    elsewhere = World(tmp_path, instance, source=str(tmp_path / "release"))
    (tmp_path / "release").mkdir()
    assert shown(elsewhere.run("concept_labels"), "concept_labels")["votes"] == 0


def test_a_damaged_vote_is_shown(tmp_path, instance):
    world = World(tmp_path, instance)
    world.files.write("votes/ada/20261122T000001000000Z-0000000000000001.json", b"{")
    result = world.run("concept_labels")
    check = checks(result)["votes_are_readable"]
    assert not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    assert "20261122T000001000000Z" in check.metadata["damaged"].value
