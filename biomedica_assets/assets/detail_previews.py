"""A partition of panels, entities or paragraph quality at a glance, small enough to be stored with its event.

What does not belong here: counts and failures, which every partition has (`details`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, TypeVar

import dagster as dg
import pyarrow.compute as pc

from biomedica_assets.assets.previews import markdown_image, markdown_table
from biomedica_assets.dataset.plots import png
from biomedica_assets.panels.finding import Panel
from biomedica_assets.panels.sheets import panel_sheet
from biomedica_assets.schemas import Row
from biomedica_assets.settings import Settings
from biomedica_assets.store.derived import DerivedManifest
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest, read_chunk_manifest
from biomedica_assets.store.shards import read_image
from biomedica_assets.store.tables import read_table

PICTURES, SIDE, LARGEST = 8, 150, 5_000_000
SHOWN, CELL = 5, 220

_Metadata = dict[str, dg.MetadataValue]
_T = TypeVar("_T")


def panels_preview(files: Files, manifest: DerivedManifest, _: Settings) -> _Metadata:
    """Evenly spread compound figures with the boxes of their panels, and how many panels images have."""
    columns = ["image_id", "letter", "letter_source", "probability", "x", "y", "width", "height"]
    table = read_table(files, manifest.file.path, columns)
    by_image: dict[str, list[Row]] = {}
    for row in table.to_pylist():
        by_image.setdefault(row["image_id"], []).append(row)
    counts = Counter(len(rows) for rows in by_image.values())
    series = [[str(n), counts[n]] for n in range(1, 8)]
    series.append(["8+", sum(count for n, count in counts.items() if n >= 8)])
    found: _Metadata = {}
    if by_image:
        found["panels_per_image"] = dg.MetadataValue.md(markdown_image(png(series, upright=True), "panels per image"))
    chunk = read_chunk_manifest(files, manifest.partition)
    chosen = _spread([rows for rows in by_image.values() if len(rows) > 1])
    if chunk and chosen:
        sheet = _panel_sheet(files, chunk, chosen)
        if sheet:
            found["sheet"] = dg.MetadataValue.md(markdown_image(sheet, "panels found"))
    return found


def _panel_sheet(files: Files, chunk: ChunkManifest, chosen: Sequence[list[Row]]) -> bytes | None:
    columns = ["image_id", "width", "height", "shard", "image_offset", "bytes", "md5"]
    known = [("image_id", "in", [rows[0]["image_id"] for rows in chosen])]
    images = {r["image_id"]: r for r in read_table(files, chunk.tables["images"].path, columns, known).to_pylist()}
    shown = []
    for rows in chosen:
        image = images[rows[0]["image_id"]]
        if image["shard"] is not None and image["bytes"] < LARGEST:
            panels = [
                Panel((row["x"], row["y"], row["width"], row["height"]), row["probability"], row["letter"],
                      row["letter_source"]) for row in rows
            ]  # fmt: skip
            size = (image["width"], image["height"])
            shown.append((read_image(files, image), panels, size, f"{len(rows)} {image['image_id']}"))
    return panel_sheet(shown, side=SIDE, columns=4) if shown else None


def entities_preview(files: Files, manifest: DerivedManifest, _: Settings) -> _Metadata:
    """A few captions with their entities marked, entities by type, and the names met most."""
    table = read_table(files, manifest.file.path, ["text_id", "field", "start", "end", "type", "text", "name"])
    if not len(table):
        return {}
    types = sorted(_counts(table["type"]), key=lambda item: -item[1])
    names = Counter(
        (row["type"], row["name"] or row["text"]) for row in table.select(["type", "name", "text"]).to_pylist()
    )
    found: _Metadata = {
        "by_type": dg.MetadataValue.md(markdown_table(["type", "mentions"], types)),
        "names": dg.MetadataValue.md(
            markdown_table(["type", "name", "mentions"], [[*key, count] for key, count in names.most_common(2 * SHOWN)])
        ),
    }
    spans: dict[str, list[Row]] = {}
    for row in table.filter(pc.equal(table["field"], "caption")).to_pylist():
        spans.setdefault(row["text_id"], []).append(row)
    chunk = read_chunk_manifest(files, manifest.partition)
    if chunk and spans:
        chosen = _spread(sorted(spans), SHOWN)
        known = [("figure_id", "in", chosen)]
        captions = read_table(files, chunk.tables["captions"].path, ["figure_id", "text"], known).to_pylist()
        shown = [f"**{row['figure_id']}** {_marked(row['text'], spans[row['figure_id']])}" for row in captions]
        found["captions"] = dg.MetadataValue.md("\n\n".join(shown))
    return found


def _marked(text: str, spans: Iterable[Row]) -> str:
    """The beginning of a text as Markdown, entities bold with their type behind them."""
    done, pieces = 0, []
    for span in sorted(spans, key=lambda row: (row["start"], -row["end"])):
        if done <= span["start"] and span["end"] <= CELL:
            pieces += [_plain(text[done : span["start"]]), f"**{_plain(text[span['start'] : span['end']])}**"]
            pieces.append(f" `{span['type']}`")
            done = span["end"]
    return "".join([*pieces, _plain(text[done : max(done, CELL)]), "…" if len(text) > CELL else ""])


def _plain(text: str) -> str:
    """Text that Markdown takes for nothing else."""
    return escape(text, quote=False).replace("*", "\\*").replace("_", "\\_").replace("`", "\\`").replace("[", "\\[")


def quality_preview(files: Files, manifest: DerivedManifest, _: Settings) -> _Metadata:
    """Types, domains and scores of the paragraphs, and the best and worst of them."""
    table = read_table(files, manifest.file.path, ["paragraph_id", "type", "domain", "score"])
    if not len(table):
        return {}
    rows = sorted(table.to_pylist(), key=lambda row: (-row["score"], row["paragraph_id"]))
    scores = Counter(min(4.5, int(row["score"] * 2) / 2) for row in rows)
    series = [[f"{half / 2:g}", scores[half / 2]] for half in range(2, 10)]
    classes = Counter((row["type"], row["domain"]) for row in rows)
    found: _Metadata = {
        "scores": dg.MetadataValue.md(markdown_image(png(series, upright=True), "paragraphs by score, halves")),
        "classes": dg.MetadataValue.md(
            markdown_table(["type", "domain", "paragraphs"], [[*key, count] for key, count in classes.most_common()])
        ),
    }
    chunk = read_chunk_manifest(files, manifest.partition)
    if chunk:
        ends = rows[:SHOWN] + rows[-SHOWN:] if len(rows) > 2 * SHOWN else rows
        known = [("paragraph_id", "in", [row["paragraph_id"] for row in ends])]
        read = read_table(files, chunk.tables["paragraphs"].path, ["paragraph_id", "text"], known).to_pylist()
        texts = {row["paragraph_id"]: row["text"] for row in read}
        cells = [
            [round(row["score"], 1), row["type"], row["domain"], texts.get(row["paragraph_id"], "")] for row in ends
        ]
        found["best_and_worst"] = dg.MetadataValue.md(markdown_table(["score", "type", "domain", "text"], cells))
    return found


def _counts(column: Any) -> list[tuple[str, int]]:
    return [(row["values"], row["counts"]) for row in pc.value_counts(column).to_pylist()]


def _spread(items: Sequence[_T], most: int = PICTURES) -> list[_T]:
    step = max(1, len(items) // most)
    return list(items[::step][:most])
