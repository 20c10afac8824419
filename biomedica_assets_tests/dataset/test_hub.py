"""Uploads to a stand-in for the hub: what is sent, what is not sent twice, what is deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from biomedica_assets.dataset.export_manifest import Export, Options
from biomedica_assets.dataset.export_upkeep import rebuild
from biomedica_assets.dataset.exports import export
from biomedica_assets.dataset.recipes import Recipe
from biomedica_assets.dataset.subsets import Subset, build_subset
from biomedica_assets.store.files import Files
from biomedica_assets_tests.dataset.conftest import articles
from biomedica_assets_tests.dataset.hub_server import FakeHub
from biomedica_assets_tests.ingest.releases import DAYS, World

huggingface_hub = pytest.importorskip("huggingface_hub", reason="the extra `datasets` is not installed")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    from huggingface_hub import _commit_api

    # The stand-in speaks Git LFS, which the client uses when its Xet library is not there.
    monkeypatch.setattr(_commit_api, "is_xet_available", lambda: False)
    with FakeHub() as server:
        yield server


def exported(world: World, **keys: object) -> tuple[Subset, Export]:
    subset = build_subset(world.files, Recipe(name="trial", description="a trial", **keys))
    record = export(world.files, subset, Options("parquet", shard_bytes=60_000))
    assert record is not None
    return subset, record


def upload(files: Files, record: Export, hub: FakeHub, **keys: str):
    from biomedica_assets.dataset.hub import upload_export

    return upload_export(files, record, "owner/name", **({"token": "secret", "endpoint": hub.endpoint} | keys))


def test_upload(world: World, hub: FakeHub) -> None:
    _, record = exported(world)
    assert len(record.shards) > 2
    done = upload(world.files, record, hub)
    assert (done.sent, done.present, done.deleted) == (len(record.shards), 0, 0)
    held = hub.repositories["owner/name"]
    assert set(held) == {"README.md", "index.pq", "manifest.json", *(shard.path for shard in record.shards)}
    for shard in record.shards:
        assert held[shard.path] == world.files.read(f"{record.folder}/{shard.path}")
    assert json.loads(held["manifest.json"])["id"] == record.id
    assert b"path: data/*.parquet" in held["README.md"]
    # Again: nothing but the manifest's commit.
    puts = hub.puts
    again = upload(world.files, record, hub)
    assert (again.sent, again.present) == (0, len(record.shards))
    assert hub.puts == puts


def test_only_touched_shards_are_sent_after_a_withdrawal(world: World, hub: FakeHub) -> None:
    subset, record = exported(world)
    upload(world.files, record, hub)
    world.release(DAYS[1], *(a for a in articles() if a.pmcid != 13))
    world.list()
    rebuilt = rebuild(world.files, subset, record)
    before = {shard.sha256 for shard in record.shards}
    changed = [shard for shard in rebuilt.shards if shard.sha256 not in before]
    done = upload(world.files, rebuilt, hub)
    assert 0 < done.sent == len(changed) < len(record.shards)
    assert json.loads(hub.repositories["owner/name"]["manifest.json"])["tombstones"] == ["PMC13.1/f1/1", "PMC13.1/f2/1"]


def test_shards_of_an_earlier_export_are_deleted(world: World, hub: FakeHub) -> None:
    _, record = exported(world)
    upload(world.files, record, hub)
    _, smaller = exported(world, limit=2)
    done = upload(world.files, smaller, hub)
    assert done.deleted == len(record.shards) - len(smaller.shards)
    assert {p for p in hub.repositories["owner/name"] if p.startswith("data/")} == {s.path for s in smaller.shards}


def test_an_interrupted_upload_goes_on(world: World, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from biomedica_assets.dataset import hub as module

    monkeypatch.setattr(module, "BATCH_FILES", 1)
    _, record = exported(world)
    hub.refuse_puts_after = 2
    with pytest.raises(module.HubError, match="owner/name"):
        upload(world.files, record, hub)
    assert "manifest.json" not in hub.repositories["owner/name"]
    hub.refuse_puts_after = None
    done = upload(world.files, record, hub)
    assert done.present == 2


def test_a_wrong_token(world: World, hub: FakeHub) -> None:
    from biomedica_assets.dataset.hub import HubError

    _, record = exported(world)
    with pytest.raises(HubError, match="401"):
        upload(world.files, record, hub, token="wrong")


def test_from_a_store_that_is_not_local(world: World, hub: FakeHub) -> None:
    files = Files(f"memory://hub-{world.root.name}")
    subset = build_subset(world.files, Recipe(name="trial", description="a trial"))
    record = export(world.files, subset, Options("webdataset"), target=files)
    assert record is not None
    upload(files, record, hub)
    assert b"path: data/*.tar" in hub.repositories["owner/name"]["README.md"]
