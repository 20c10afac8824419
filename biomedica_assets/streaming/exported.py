"""Finished exports as a server may give them out: which of their shards hold nothing that is withdrawn.

What does not belong here: writing exports and taking out what is withdrawn (`dataset.exports`, `export_upkeep`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from biomedica_assets.dataset.export_manifest import Export, ExportShard, list_exports, read_export
from biomedica_assets.dataset.queries import from_parquet
from biomedica_assets.store.catalogue import read_generation
from biomedica_assets.store.duck import register
from biomedica_assets.store.files import Files
from biomedica_assets.streaming.withdrawn import ListId, listed_ids, newest_list

_KEPT = 64


class Exports:
    """The exports at a place. Safe to use from many threads.

    Args:
        files: the store, which knows what is withdrawn.
        target: where the exports are.
        groups: licence groups that may be given out.
    """

    def __init__(self, files: Files, target: Files, groups: Sequence[str]) -> None:
        self._files, self._target, self._groups = files, target, frozenset(groups)
        self._dirty: OrderedDict[tuple[str, str, ListId], dict[int, int]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def target(self) -> Files:
        """Where they are."""
        return self._target

    def served(self, record: Export) -> bool:
        """Whether all licence groups of an export may be given out."""
        return set(record.recipe["licence_groups"]) <= self._groups

    def list(self) -> list[Export]:
        """Finished exports that may be given out."""
        return [record for record in list_exports(self._target) if self.served(record)]

    def read(self, name: str, folder: str) -> Export:
        """A finished export. Raises FileNotFoundError."""
        return read_export(self._target, f"exports/{name}/{folder}")

    def withdrawn(self, record: Export) -> dict[int, int]:
        """Images that are withdrawn now and still in a shard, by the shard's number; clean shards are left out."""
        listed = newest_list(self._files)
        key = (record.folder, "".join(shard.sha256[:16] for shard in record.shards), listed)
        with self._lock:
            if key in self._dirty:
                self._dirty.move_to_end(key)
                return self._dirty[key]
        found = self._find(record, listed)
        with self._lock:
            self._dirty[key] = found
            if len(self._dirty) > _KEPT:
                self._dirty.popitem(last=False)
        return found

    def _find(self, record: Export, listed: ListId) -> dict[int, int]:
        ids = listed_ids(self._files, listed)
        generation = read_generation(self._files)
        if not ids or generation is None:
            return {}
        current = from_parquet(self._files, generation.files["current"].path)
        with duckdb.connect() as names:
            register(self._files, names)
            names.register("ids", pa.table({"id": pa.array(sorted(ids), pa.string())}))
            # A removal just listed is known by its listed id alone; images by the version in their XML.
            other = names.execute(
                f"SELECT article_id FROM {current} WHERE concat('PMC', pmcid, '.', version) IN (FROM ids)"
            ).fetchall()
        articles = pa.array(sorted({*ids, *(article_id for (article_id,) in other)}), pa.string())
        with duckdb.connect() as connection:
            register(self._target, connection)
            connection.register("articles", pa.table({"id": articles}))
            connection.register("taken", pa.table({"id": pa.array(record.tombstones, pa.string())}))
            index = from_parquet(self._target, f"{record.folder}/index.pq")
            rows = connection.execute(f"""
                SELECT shard, count(*) FROM {index}
                WHERE split_part(image_id, '/', 1) IN (FROM articles) AND image_id NOT IN (FROM taken) GROUP BY 1
            """).fetchall()
        return {int(shard): int(count) for shard, count in rows}


def shard_of(record: Export, file: str) -> ExportShard | None:
    """The shard that the manifest lists under this name, e.g. ``000000.tar``."""
    return next((shard for shard in record.shards if shard.path == f"data/{file}"), None)
