"""Exports of the small store, read with the libraries that others use; kills, withdrawals, determinism."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import webdataset
from PIL import Image

from biomedica_assets.dataset import exports, formats
from biomedica_assets.dataset.duplicates import build_duplicates
from biomedica_assets.dataset.export_manifest import FORMATS, Export, Options, export_id, read_export
from biomedica_assets.dataset.export_upkeep import copy_export, rebuild, rebuild_all, rebuild_needed
from biomedica_assets.dataset.exports import export
from biomedica_assets.dataset.recipes import Recipe
from biomedica_assets.dataset.subsets import Subset, build_subset
from biomedica_assets.store.files import Files
from biomedica_assets.store.shards import SpanError
from biomedica_assets_tests.dataset.conftest import articles
from biomedica_assets_tests.ingest.releases import DAYS, World

SHARD = 60_000  # three or four samples


def subset_of(world: World, **keys: Any) -> Subset:
    return build_subset(world.files, Recipe(**({"name": "trial", "description": "a trial"} | keys)))


def export_all(world: World, subset: Subset, options: Options, **keys: Any) -> Export:
    record = export(world.files, subset, options, **keys)
    assert record is not None
    return record


def content(files: Files, folder: str) -> dict[str, str]:
    return {path: hashlib.sha256(files.read(path)).hexdigest() for path, _ in files.list(folder)}


def read_tars(files: Files, record: Export) -> list[dict[str, Any]]:
    urls = [str(files.local_path(f"{record.folder}/{shard.path}")) for shard in record.shards]
    return list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))


def test_webdataset(world: World) -> None:
    record = export_all(world, subset_of(world), Options("webdataset", SHARD))
    samples = read_tars(world.files, record)
    images = {row["image_id"]: row for row in world.rows("images")}
    said = [json.loads(sample["json"]) for sample in samples]
    assert {one["image_id"] for one in said} == set(images) - {"PMC16.1/f1/1"}
    assert [one["image_id"] for one in said] != sorted(one["image_id"] for one in said)
    for sample, one in zip(samples, said, strict=True):
        data = sample.get("png") or sample.get("jpg")
        assert hashlib.sha256(data).hexdigest() == images[one["image_id"]]["sha256"]
        assert sample["__key__"] == formats.image_key(one["image_id"])
    first = next(i for i, one in enumerate(said) if one["image_id"] == "PMC11.1/f2/1")
    assert samples[first]["txt"] == b"Chest radiograph 2"
    assert said[first]["mentions"] == [
        {"text": "Figure 2", "panels": [], "expanded": False, "kind": "xref", "paragraph": "See Figure 2.",
         "sections": ["Results"]}
    ]  # fmt: skip
    assert said[first]["attribution"] == (
        "A title. J (2019). https://doi.org/10.1/11 https://pmc.ncbi.nlm.nih.gov/articles/PMC11/ Figure 2. "
        "Licence: CC BY."
    )


def test_manifest_and_checksums(world: World) -> None:
    record = export_all(world, subset_of(world), Options("webdataset", SHARD))
    assert record == read_export(world.files, record.folder)
    assert record.counts == {"shards": len(record.shards), "samples": 14, "withheld": 0, "skipped": 0,
                             "bytes": sum(s.bytes for s in record.shards)}  # fmt: skip
    assert len(record.shards) >= 4
    for shard in record.shards:
        data = world.files.read(f"{record.folder}/{shard.path}")
        assert (len(data), hashlib.sha256(data).hexdigest()) == (shard.bytes, shard.sha256)
        assert shard.samples >= 1


def test_fields_are_the_recipes(world: World) -> None:
    subset = subset_of(world, fields=["label", "width"])
    record = export_all(world, subset, Options())
    keys = {"image_id", "sha256", "licence_code", "licence_group", "attribution", "label", "width"}
    assert {frozenset(json.loads(sample["json"])) for sample in read_tars(world.files, record)} == {frozenset(keys)}


def test_parquet_has_an_image_column(world: World, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra `datasets` is not installed")
    record = export_all(world, subset_of(world), Options("parquet", SHARD))
    folder = world.files.local_path(record.folder)
    loaded = datasets.load_dataset(str(folder / "data"), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == 14
    assert isinstance(loaded.features["image"], datasets.Image)
    images = {row["image_id"]: row for row in world.rows("images")}
    for row in loaded:
        assert row["image"].size == (images[row["image_id"]]["width"], images[row["image_id"]]["height"])
    streamed = datasets.load_dataset(str(folder / "data"), split="train", streaming=True)
    plain = streamed.cast_column("image", datasets.Image(decode=False))
    for row in plain:
        assert hashlib.sha256(row["image"]["bytes"]).hexdigest() == row["sha256"]
    one = next(row for row in loaded if row["image_id"] == "PMC11.1/f1/1")
    assert (one["text"], one["caption"], one["mesh"], one["pmid"]) == ("Chest radiograph 1",) * 2 + (None, 11)


@pytest.mark.parametrize("kind", FORMATS)
def test_same_bytes_whatever_the_workers_batches_and_places(world: World, kind: Any, tmp_path: Path) -> None:
    subset = subset_of(world)
    options = Options(kind, SHARD)
    record = export_all(world, subset, options, workers=1)
    other = Files(tmp_path / "elsewhere")
    export(world.files, subset, options, target=other, workers=4, batch_bytes=1)
    assert content(other, record.folder) == content(world.files, record.folder)


def test_parts_make_the_whole(world: World, tmp_path: Path) -> None:
    subset, options = subset_of(world), Options("webdataset", SHARD)
    whole = export_all(world, subset, options)
    other = Files(tmp_path / "parts")
    assert export(world.files, subset, options, target=other, part=(1, 3)) is None
    assert export(world.files, subset, options, target=other, part=(0, 3)) is None
    assert export(world.files, subset, options, target=other, part=(2, 3)) == whole
    assert content(other, whole.folder) == content(world.files, whole.folder)


def _killed(store: str, target: str, shard: int) -> None:
    """Export, and die just before the shard's commit."""
    files = Files(store)
    subset = exports_subset(files)
    put = exports.put_shard

    def die(*arguments: Any) -> Any:
        if arguments[2] == shard:
            os.kill(os.getpid(), signal.SIGKILL)
        return put(*arguments)

    exports.put_shard = die
    export(files, subset, Options("webdataset", SHARD), target=Files(target), workers=1, batch_bytes=1)


def exports_subset(files: Files) -> Subset:
    from biomedica_assets.dataset.subsets import read_subset

    return read_subset(files, "trial")


def test_killed_and_gone_on(world: World, tmp_path: Path) -> None:
    subset, options = subset_of(world), Options("webdataset", SHARD)
    whole = export_all(world, subset, options)
    target = Files(tmp_path / "killed")
    for shard in (2, 3):
        process = multiprocessing.get_context("spawn").Process(
            target=_killed, args=(world.given["store"], str(tmp_path / "killed"), shard)
        )
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        assert not target.exists(f"{whole.folder}/manifest.json")
    written: list[int] = []
    export(world.files, subset, options, target=target, progress=written.append)
    assert len(written) == len(whole.shards) - 3
    assert content(target, whole.folder) == content(world.files, whole.folder)
    again: list[int] = []
    assert export(world.files, subset, options, target=target, progress=again.append) == whole
    assert again == []


@pytest.mark.parametrize("kind", FORMATS)
def test_withdrawals_touch_only_their_shards(world: World, kind: Any) -> None:
    subset = subset_of(world)
    record = export_all(world, subset, Options(kind, SHARD))
    before = content(world.files, record.folder)
    assert rebuild_needed(world.files, subset, record) == {}
    world.release(DAYS[1], *(a for a in articles() if a.pmcid != 13))
    world.list()
    needed = rebuild_needed(world.files, subset, record)
    assert sorted(i for ids in needed.values() for i in ids) == ["PMC13.1/f1/1", "PMC13.1/f2/1"]
    rebuilt = rebuild(world.files, subset, record)
    assert rebuilt.tombstones == ["PMC13.1/f1/1", "PMC13.1/f2/1"]
    assert rebuilt.counts["samples"] == 12
    after = content(world.files, record.folder)
    changed = {path.rpartition("/")[2] for path in before if before[path] != after[path] and "/data/" in path}
    assert changed == {Path(record.shards[number].path).name for number in needed}
    assert rebuild_needed(world.files, subset, rebuilt) == {}
    assert read_export(world.files, record.folder) == rebuilt
    if kind == "webdataset":
        assert "PMC13" not in str(sorted(sample["__key__"] for sample in read_tars(world.files, rebuilt)))
        assert len(read_tars(world.files, rebuilt)) == 12


def test_a_rebuild_is_the_export_without_the_withdrawn(world: World, tmp_path: Path) -> None:
    subset = subset_of(world)
    record = export_all(world, subset, Options("webdataset", SHARD))
    world.release(DAYS[1], *(a for a in articles() if a.pmcid != 17))
    world.list()
    rebuilt = rebuild(world.files, subset, record)
    fresh = Files(tmp_path / "fresh")
    export(world.files, subset, Options("webdataset", SHARD), target=fresh)
    assert content(fresh, record.folder) == content(world.files, record.folder)
    assert rebuilt.counts["withheld"] == 6


def test_all_exports_are_rebuilt(world: World) -> None:
    subset = subset_of(world)
    folders = {export_all(world, subset, Options(kind, SHARD)).folder for kind in FORMATS}
    assert rebuild_all(world.files) == {}
    world.release(DAYS[1], *(a for a in articles() if a.pmcid != 12))
    world.list()
    assert rebuild_all(world.files) == {folder: ["PMC12.1/f1/1"] for folder in sorted(folders)}
    assert rebuild_all(world.files) == {}


def test_a_shard_of_nothing_left(world: World) -> None:
    subset = subset_of(world, where="pmcid = 12")
    record = export_all(world, subset, Options("webdataset"))
    world.release(DAYS[1], *(a for a in articles() if a.pmcid != 12))
    world.list()
    assert read_tars(world.files, rebuild(world.files, subset, record)) == []


def test_an_empty_subset(world: World) -> None:
    record = export_all(world, subset_of(world, where="width > 100000"), Options("webdataset"))
    assert (record.shards, record.counts["samples"]) == ([], 0)


def test_what_the_export_is_depends_on_what_it_says(world: World) -> None:
    subset = subset_of(world)
    assert export_id(subset, Options()) != export_id(subset, Options(shard_bytes=1))
    assert export_id(subset, Options()) != export_id(subset_of(world, seed=3), Options())
    # A catalogue that changed without changing the ids leaves the export as it is.
    build_duplicates(world.files)
    again = subset_of(world)
    assert again.id != subset.id
    assert export_id(again, Options()) == export_id(subset, Options())


def test_jpeg_on_demand(world: World) -> None:
    record = export_all(world, subset_of(world), Options("webdataset", jpeg_quality=80))
    for sample in read_tars(world.files, record):
        assert Image.open(io.BytesIO(sample["jpg"])).format == "JPEG"
    with pytest.raises(ValueError, match="original files"):
        export(world.files, subset_of(world), Options("parquet", jpeg_quality=80))


def test_wrong_bytes_in_the_archive(world: World) -> None:
    subset = subset_of(world)
    for path, _ in world.files.list("shards"):
        world.files.write(path, bytes(len(world.files.read(path))))
    with pytest.raises(SpanError, match="other bytes"):
        export(world.files, subset)


def test_copy(world: World, tmp_path: Path) -> None:
    record = export_all(world, subset_of(world), Options("parquet", SHARD))
    target = Files(f"memory://copy-{tmp_path.name}")
    assert copy_export(world.files, record, target) == 2 * len(record.shards) + 2
    assert content(target, record.folder) == content(world.files, record.folder)
    assert copy_export(world.files, record, target) == len(record.shards) + 2
