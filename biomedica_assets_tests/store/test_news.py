"""What is withdrawn behind a catalogue generation: the day after, before the catalogue is made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from biomedica_assets import sample
from biomedica_assets.ingest.chunk import ingest_chunk
from biomedica_assets.ingest.listing import list_release
from biomedica_assets.ingest.status import store_status
from biomedica_assets.ingest.workspace import Workspace, open_workspace
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import build_generation, open_catalogue
from biomedica_assets.store.news import news_since, withdrawn_by, withdrawn_since
from biomedica_assets.store.withdrawals import withdrawal_stamps, withdrawn_ids

RETRACTED, REMOVED = "PMC90000054.1", "PMC90000056.1"
"""By the sample's second release."""


def ingest(workspace: Workspace) -> None:
    for chunk in store_status(workspace.files, workspace.settings).unfinished:
        ingest_chunk(workspace, chunk)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    sample.write_release(str(tmp_path / "source"), 1)
    settings = Settings(source=str(tmp_path / "source"), store=str(tmp_path / "store"), chunk_size=100, _env_file=None)
    workspace = open_workspace(settings)
    list_release(workspace)
    ingest(workspace)
    return workspace


def test_a_retraction_counts_as_soon_as_its_chunk_is_committed(workspace: Workspace, tmp_path: Path):
    files = workspace.files
    generation = build_generation(files)
    assert news_since(files, generation) == ()
    before = withdrawal_stamps(files)

    sample.write_release(str(tmp_path / "source"), 2)
    list_release(workspace)
    listed = withdrawal_stamps(files)
    assert listed != before
    assert withdrawn_since(files, generation) == {REMOVED: "removed"}

    ingest(workspace)
    assert withdrawal_stamps(files) != listed
    names = news_since(files, generation)
    assert len(names) == 2 and names[1].startswith(names[0] + "-00000.")
    assert withdrawn_by(files, names) == {REMOVED: "removed", RETRACTED: "retracted"}
    assert {REMOVED, RETRACTED} <= withdrawn_ids(files)
    with open_catalogue(files) as catalogue:
        shown = catalogue.execute(
            "SELECT DISTINCT article_id FROM sample_index WHERE article_id IN (?, ?)", [RETRACTED, REMOVED]
        )
        assert shown.fetchall() == []

    generation = build_generation(files)
    assert news_since(files, generation) == ()
    assert {REMOVED, RETRACTED} <= withdrawn_ids(files)
