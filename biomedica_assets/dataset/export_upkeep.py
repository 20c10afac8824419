"""Exports after they were written: what was withdrawn is taken out, copies are made elsewhere.

What does not belong here: writing an export (`exports`), uploads to hubs (`hub`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from biomedica_assets.dataset import formats
from biomedica_assets.dataset.export_manifest import Export, ExportShard, Options, finish, list_exports, put_shard
from biomedica_assets.dataset.queries import bounded_catalogue
from biomedica_assets.dataset.subsets import Subset, current_rows, read_subset
from biomedica_assets.store.duck import sql_text
from biomedica_assets.store.files import Files


def rebuild_needed(files: Files, subset: Subset, record: Export, target: Files | None = None) -> dict[int, list[str]]:
    """Ids of what an export still holds and what is not served any more, by number of the shard; empty: none."""
    target = target or files
    with bounded_catalogue(files) as (connection, local):
        index = local / "index.pq"
        with index.open("wb") as copy:
            for block in target.stream(f"{record.folder}/index.pq"):
                copy.write(block)
        rows = connection.execute(f"""
            SELECT shard, image_id FROM read_parquet({sql_text(index)})
            WHERE image_id NOT IN (SELECT sample_id FROM {current_rows(files, subset)}) ORDER BY position
        """).fetchall()
    known = set(record.tombstones)
    needed: dict[int, list[str]] = {}
    for number, image_id in dict.fromkeys(rows):  # each once, however often it comes
        if image_id not in known:
            needed.setdefault(number, []).append(image_id)
    return needed


def rebuild(
    files: Files, subset: Subset, record: Export, *, target: Files | None = None, scratch: str | None = None
) -> Export:
    """Take what is withdrawn out of the shards that hold it; every other shard, and sample, stays as it is."""
    target = target or files
    shards = {shard.number: shard for shard in record.shards}
    for number, image_ids in rebuild_needed(files, subset, record, target).items():
        before = shards[number]
        with (
            tempfile.TemporaryDirectory(prefix="rebuild-", dir=scratch or None) as folder,
            target.open_seekable(f"{record.folder}/{before.path}") as source,
        ):
            packed = formats.without(source, Path(folder, Path(before.path).name), image_ids)
            withheld = [*before.withheld, *image_ids]
            shards[number] = put_shard(target, record.folder, number, packed, withheld, before.skipped)
    options = Options(**record.options)
    return finish(target, record.folder, subset, options, record.id, [shards[n] for n in sorted(shards)])


def rebuild_all(files: Files, target: Files | None = None, name: str = "") -> dict[str, list[str]]:
    """`rebuild` every finished export at a place; the image ids taken out, by folder of those that were touched."""
    target = target or files
    touched: dict[str, list[str]] = {}
    for record in list_exports(target, name):
        rebuilt = rebuild(files, read_subset(files, record.name, record.subset), record, target=target)
        taken = sorted(set(rebuilt.tombstones) - set(record.tombstones))
        if taken:
            touched[record.folder] = taken
    return touched


def copy_export(source: Files, record: Export, target: Files) -> int:
    """Copy a finished export to another place, the manifest last; files that are there already are skipped.

    Returns:
        How many files were copied.
    """
    copied = 0
    shards = {shard.path: shard for shard in record.shards}
    states = [f"shards/{Path(path).stem}.json" for path in shards]
    for name in [*shards, *states, "index.pq", "manifest.json"]:
        path = f"{record.folder}/{name}"
        if name in shards and _has(target, record.folder, shards[name]):
            continue
        with tempfile.NamedTemporaryFile() as local:
            for block in source.stream(path):
                local.write(block)
            local.flush()
            target.put_file(local.name, path)
        copied += 1
    return copied


def _has(target: Files, folder: str, shard: ExportShard) -> bool:
    """Whether the target holds the shard: its size, and a record of it, which is written after it."""
    try:
        record = ExportShard.from_json(target.read(f"{folder}/shards/{Path(shard.path).stem}.json"))
        return record == shard and target.size(f"{folder}/{shard.path}") == shard.bytes
    except FileNotFoundError:
        return False
