"""A chunk at a glance: a few of its images, captions, mentions and failures, small enough for the UI."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import pyarrow.compute as pc

from biomedica_assets.images import contact_sheet
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest
from biomedica_assets.store.shards import read_image
from biomedica_assets.store.tables import iter_rows, read_table

PICTURES = 8
LARGEST = 5_000_000  # bytes of an image worth reading for a thumbnail
ROWS = 8


@dataclass(frozen=True)
class ChunkPreview:
    """``sheet`` is a small JPEG or None; the rest are rows of cells for a table."""

    sheet: bytes | None
    captions: list[tuple[str | None, ...]]
    mentions: list[tuple[str | None, ...]]
    failures: list[tuple[str | None, ...]]


def chunk_preview(files: Files, manifest: ChunkManifest) -> ChunkPreview:
    """Evenly spread images of a committed chunk with their captions, and the first mentions and failures."""
    paths = {name: data_file.path for name, data_file in manifest.tables.items()}
    columns = ["figure_id", "image_id", "shard", "image_offset", "bytes", "md5"]
    images = read_table(files, paths["images"], columns=columns)
    images = images.filter(pc.and_(pc.less(images["bytes"], LARGEST), pc.is_valid(images["shard"])))
    step = max(1, len(images) // PICTURES)
    chosen = images.to_pylist()[::step][:PICTURES]
    wanted = [image["figure_id"] for image in chosen]
    known = [("figure_id", "in", wanted or [""])]
    labels = {r["figure_id"]: r["label"] for r in iter_rows(files, paths["figures"], filters=known)}
    texts = {r["figure_id"]: r["text"] for r in iter_rows(files, paths["captions"], filters=known)}
    pictures = [read_image(files, image) for image in chosen]
    return ChunkPreview(
        sheet=contact_sheet(pictures, [labels.get(figure_id) or "" for figure_id in wanted]) if pictures else None,
        captions=[(f, labels.get(f), texts.get(f)) for f in dict.fromkeys(wanted)],
        mentions=[
            (row["figure_id"], ", ".join(row["panels"] or []), row["text"])
            for row in islice(iter_rows(files, paths["mentions"]), ROWS)
        ],
        failures=[
            (row["article_id"], row["object"], row["stage"], row["error"], row["message"])
            for row in islice(iter_rows(files, paths["failures"]), ROWS)
        ],
    )
