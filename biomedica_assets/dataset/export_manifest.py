"""What an export is: its options, the manifest that commits it, the small record that commits each shard.

What does not belong here: writing one (`exports`), keeping one free of what was withdrawn (`export_upkeep`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from biomedica_assets.dataset import formats
from biomedica_assets.dataset.subsets import Subset
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import JsonRecord

EXPORTS_VERSION = 1
"""Raised when the same options give other bytes than before."""

Format = Literal["webdataset", "parquet", "biomedica"]
FORMATS: tuple[Format, ...] = ("webdataset", "parquet", "biomedica")


@dataclass(frozen=True)
class Options:
    """How an export is written.

    ``shard_bytes`` is about the size of a shard. ``jpeg_quality`` converts what is not JPEG (null: originals; the
    format biomedica always has JPEGs, at 95 unless said otherwise; parquet never converts).
    """

    format: Format = "webdataset"
    shard_bytes: int = 500_000_000
    jpeg_quality: int | None = None


@dataclass(frozen=True)
class ExportShard(JsonRecord):
    """Commits one shard. ``withheld``: planned for it, but no longer served; ``skipped``: image_id, error, message."""

    number: int
    path: str
    bytes: int
    sha256: str
    samples: int
    withheld: list[str] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Export(JsonRecord):
    """What an export holds: ``manifest.json``.

    ``subset`` is the id of the subset's state and ``recipe`` the recipe as JSON values; ``shards`` as `ExportShard`;
    ``tombstones`` are image ids that the subset picked and that must not be used: whoever copied an earlier state of
    the export has to drop them.
    """

    version: int
    name: str
    id: str
    options: dict[str, Any]
    subset: str
    recipe: dict[str, Any]
    inputs: dict[str, Any]
    shards: list[ExportShard]
    counts: dict[str, int]
    tombstones: list[str]

    @property
    def folder(self) -> str:
        return export_folder(self.name, Options(**self.options), self.id)


def export_folder(name: str, options: Options, export_id: str) -> str:
    """Folder of an export below the root it is written to."""
    return f"exports/{name}/{options.format}-{export_id}"


def export_id(subset: Subset, options: Options) -> str:
    """16 hex digits: the same ids, said in the same fields with the same options."""
    said = {name: subset.recipe[name] for name in ("fields", "seed", "licence_groups")}
    text = json.dumps([EXPORTS_VERSION, subset.file.sha256, said, asdict(options)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_export(target: Files, folder: str) -> Export:
    """A finished export's manifest. Raises FileNotFoundError while it is not finished."""
    return Export.from_json(target.read(f"{folder}/manifest.json"))


def list_exports(target: Files, name: str = "") -> list[Export]:
    """Every finished export below a root, or those of one recipe, by folder in order."""
    found = [path for path, _ in target.list(f"exports/{name}") if path.endswith("/manifest.json")]
    return [read_export(target, path.removesuffix("/manifest.json")) for path in sorted(found)]


def suffix(options: Options) -> str:
    """File extension of the shards."""
    return "parquet" if options.format == "parquet" else "tar"


def put_shard(
    target: Files,
    folder: str,
    number: int,
    packed: formats.Packed,
    withheld: list[str],
    skipped: list[dict[str, str]],
) -> ExportShard:
    """Put a packed shard in its place and commit it."""
    name = f"data/{packed.path.name}"
    target.put_file(packed.path, f"{folder}/{name}", move=True)
    shard = ExportShard(number, name, packed.bytes, packed.sha256, packed.samples, withheld, skipped)
    target.write(f"{folder}/shards/{packed.path.stem}.json", shard.to_json())
    return shard


def finish(
    target: Files, folder: str, subset: Subset, options: Options, identity: str, shards: list[ExportShard]
) -> Export:
    """Write the manifest of an export whose shards are all there, unless it says so already."""
    record = Export(
        version=EXPORTS_VERSION,
        name=subset.name,
        id=identity,
        options=asdict(options),
        subset=subset.id,
        recipe=subset.recipe,
        inputs=subset.inputs,
        shards=shards,
        counts=_counts(shards),
        tombstones=sorted(image_id for shard in shards for image_id in shard.withheld),
    )
    data = record.to_json()
    try:
        unchanged = target.read(f"{folder}/manifest.json") == data
    except FileNotFoundError:
        unchanged = False
    if not unchanged:
        target.write(f"{folder}/manifest.json", data)
    return record


def _counts(shards: list[ExportShard]) -> dict[str, int]:
    return {
        "shards": len(shards),
        "samples": sum(shard.samples for shard in shards),
        "bytes": sum(shard.bytes for shard in shards),
        "withheld": sum(len(shard.withheld) for shard in shards),
        "skipped": sum(len(shard.skipped) for shard in shards),
    }
