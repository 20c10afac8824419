"""Table `panels` of a chunk: the panels of every image, with their letters and their own parts of the caption.

Belongs here: which images, what is known of them, when a partition is still valid. Does not belong here: how panels are
found (`finding`), which of the rows are current (`store.catalogue`).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from biomedica_assets import schemas
from biomedica_assets.dataset.reading import Span, read_images, stored_images
from biomedica_assets.images.probe import ImageError
from biomedica_assets.panels.alignment import Named, named_panels
from biomedica_assets.panels.detectors import Detector, DetectorError, detector_named
from biomedica_assets.panels.finding import Panel, find_panels
from biomedica_assets.schemas import Row
from biomedica_assets.settings import Settings
from biomedica_assets.store.derived import (
    DerivedManifest,
    Making,
    commit_derived,
    read_derived,
    read_derived_manifest,
    still_valid,
)
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest, committed_chunk, read_chunk_manifests
from biomedica_assets.store.tables import iter_rows

PANELS_VERSION = "1"
"""Raised when cuts, letters or their alignment change; all is then found anew."""

READERS = 4
"""Reads of archive shards at the same time, up to 8 MB each; looking at a picture is far slower than they are."""
_SOURCES = ("images", "captions", "figures", "mentions")


@dataclass
class _Work(Making):
    rows: list[Row] = field(default_factory=list)


def build_panels(
    files: Files, chunk: str, settings: Settings, *, scratch: str | None = None
) -> tuple[DerivedManifest, bool]:
    """Find the panels of a committed chunk's images; the manifest, and whether what was committed is still valid.

    Images that cannot be decoded have no row; they are counted by error class and listed in the manifest's ``run``.
    Images of which no more or less is known than before keep the rows that the chunk has already.

    Args:
        files: the store.
        chunk: key of the chunk.
        settings: ``panels`` names the detector.
        scratch: local folder for the file being written.

    Raises:
        StoreError: the chunk is not committed.
        panels.detectors.DetectorError: there is no such detector, or its model cannot be run.
        FileNotFoundError, SpanError: the store does not hold what it should.
    """
    if find_spec("scipy") is None:
        raise DetectorError("finding panels needs SciPy: install biomedica_assets[panels]")
    manifest = committed_chunk(files, chunk)
    detector = detector_named(settings.panels)
    name = detector.id if detector else f"{settings.panels} {PANELS_VERSION}"
    inputs = _inputs(manifest, name)
    own = read_derived_manifest(files, schemas.PANELS.name, chunk)
    if still_valid(own, files, inputs, settings.panels):
        return own, True
    work = _find(files, manifest, detector, name, _rows_before(files, own, name))
    work.counts.update(
        panels=len(work.rows),
        compound=sum(row["ordinal"] == 2 for row in work.rows),
        letters=sum(row["letter"] is not None for row in work.rows),
        captions=sum(row["caption"] is not None for row in work.rows),
    )
    run = {"asked": settings.panels}
    committed = commit_derived(
        files, schemas.PANELS, chunk, work.rows, inputs=inputs, run=run, making=work, scratch=scratch
    )
    return committed, False


def unfinished_panels(files: Files, settings: Settings) -> list[str]:
    """Committed chunks whose panels are missing, no longer valid or of another detector, in order; loads no model."""
    made = read_derived(files, schemas.PANELS.name)

    def valid(manifest: ChunkManifest) -> bool:
        own = made.get(manifest.chunk)
        if own is None or own.run.get("asked") != settings.panels:
            return False
        return own.made_of(_inputs(manifest, own.inputs["detector"]))

    return [manifest.chunk for manifest in read_chunk_manifests(files).values() if not valid(manifest)]


def _inputs(manifest: ChunkManifest, detector: str) -> dict[str, Any]:
    return {
        **{table: manifest.tables[table].sha256 for table in _SOURCES},
        "detector": detector,
        "panels": PANELS_VERSION,
        "schema": schemas.SCHEMA_VERSION,
    }


_Key = tuple[str, str, str]
"""Image, SHA-256 of its file, digest of what is known of it."""


def _rows_before(files: Files, own: DerivedManifest | None, detector: str) -> dict[_Key, list[Row]]:
    """What the chunk's rows so far say, where the same detector made them by the same rules."""
    rules = ("detector", "panels", "schema")
    before: dict[_Key, list[Row]] = {}
    if own is None or [own.inputs.get(name) for name in rules] != [detector, PANELS_VERSION, schemas.SCHEMA_VERSION]:
        return before
    if files.exists(own.file.path):
        for row in iter_rows(files, own.file.path):
            before.setdefault((row["image_id"], row["sha256"], row["known"]), []).append(row)
    return before


def _find(
    files: Files,
    manifest: ChunkManifest,
    detector: Detector | None,
    name: str,
    before: dict[_Key, list[Row]],
) -> _Work:
    work = _Work()
    known = known_images(files, manifest)
    found: dict[str, list[Row]] = {}
    anew: list[tuple[Row, Named, str]] = []
    for image, about in known:
        digest = hashlib.sha256(repr(about).encode()).hexdigest()[:16]
        if rows := before.get((image["image_id"], image["sha256"], digest)):
            found[image["image_id"]] = rows
        else:
            anew.append((image, about, digest))
    work.counts["reused"] = len(found)
    spans = [Span(image["shard"], image["image_offset"], image["bytes"]) for image, *_ in anew]
    for index, data in read_images(files, spans, READERS):
        image, about, digest = anew[index]
        try:
            panels = find_panels(data, about, detector)
        except ImageError as error:
            work.fail(image["image_id"], type(error).__name__, str(error))
        else:
            found[image["image_id"]] = _rows(image, about, panels, {"detector": name, "known": digest})
    work.counts["images"] = len(found)
    work.rows = [row for image, _ in known for row in found.get(image["image_id"], ())]
    return work


def _rows(image: Row, about: Named, panels: Sequence[Panel], made: Row) -> list[Row]:
    keys = {name: image[name] for name in ("chunk", "article_id", "figure_id", "image_id", "sha256")}
    rows = []
    for ordinal, panel in enumerate(panels, 1):
        x, y, width, height = panel.box
        part = about.parts.get(panel.letter) if panel.letter else None
        rows.append({
            **keys,
            "panel_id": f"{image['image_id']}/panel{ordinal}",
            **{"ordinal": ordinal, "n_panels": len(panels), "x": x, "y": y, "width": width, "height": height},
            **{"letter": panel.letter, "letter_source": panel.letter_source},
            **{"letter_probability": panel.letter_probability, "probability": panel.probability},
            **{"caption_start": part and part.start, "caption_end": part and part.end, "caption": part and part.text},
            **made,
        })  # fmt: skip
    return rows


_COLUMNS = ("chunk", "article_id", "figure_id", "image_id", "ordinal", "sha256", "shard", "image_offset", "bytes")
_BARE_LETTER = re.compile(r"[(\[]?([A-Za-z])[)\].]?")


def known_images(files: Files, manifest: ChunkManifest) -> list[tuple[Row, Named]]:
    """A chunk's stored images, and what caption and text say of each one's panels.

    Of the texts only those of figures that have images here are held in memory.
    """
    images = list(stored_images(files, manifest.tables["images"].path, _COLUMNS))
    wanted = {row["figure_id"] for row in images}
    of_figure: Counter[str] = Counter()
    for row in images:
        of_figure[row["figure_id"]] = max(of_figure[row["figure_id"]], row["ordinal"])
    captions = {
        row["figure_id"]: row
        for row in iter_rows(files, manifest.tables["captions"].path, ["figure_id", "text", "sub_captions"])
        if row["figure_id"] in wanted
    }
    mentioned: dict[str, set[str]] = {}
    for row in iter_rows(files, manifest.tables["mentions"].path, ["figure_id", "panels"]):
        if row["figure_id"] in wanted and row["panels"]:
            mentioned.setdefault(row["figure_id"], set()).update(row["panels"])
    labels = {  # members of a group whose label is their letter
        row["figure_id"]: match[1].upper()
        for row in iter_rows(files, manifest.tables["figures"].path, ["figure_id", "label"])
        if row["figure_id"] in wanted and (match := _BARE_LETTER.fullmatch(row["label"] or ""))
    }
    known = []
    for row in images:
        figure = row["figure_id"]
        caption = captions.get(figure, {})
        about = named_panels(
            caption.get("text"),
            caption.get("sub_captions"),
            mentioned.get(figure, ()),
            files=of_figure[figure],
            place=row["ordinal"],
            own_letter=labels.get(figure),
        )
        known.append((row, about))
    return known
