"""Streams of panels: crops cut while they are sent, each with its own text; nothing of them is stored.

A panel stream has the order, the parts, the cursors and the withdrawals of image streams. How long a crop is shows once
it has been cut: so such a stream has no length and no ranges, and where it was cut it goes on by cursor, sample by
sample. What does not belong here: where panels are (the room `panels`), cutting (`images.crops`).
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from biomedica_assets.dataset.formats import extension, image_key
from biomedica_assets.dataset.reading import Span, read_images
from biomedica_assets.images.crops import crop_media_type, crops
from biomedica_assets.images.probe import EXTENSIONS, ImageError
from biomedica_assets.schemas import Row
from biomedica_assets.store.duck import sql_text
from biomedica_assets.store.files import Files
from biomedica_assets.store.shards import SpanError, iter_samples, tar_sample
from biomedica_assets.store.tables import read_table
from biomedica_assets.streaming.cursor import Cursor
from biomedica_assets.streaming.plan import Plan
from biomedica_assets.streaming.selection import Samples, Selection, StreamError, find_state, select
from biomedica_assets.streaming.tar import closing_member

BATCH_SAMPLES, BATCH_BYTES = 512, 16 << 20
"""Panels whose images are read together: an image is decoded once for all of its panels among them."""
_READERS = 4
_DECODED = 1 << 40  # pixels: what has panels has been decoded before, within the limits of the settings
_COLUMNS = [
    *("panel_id", "image_id", "sha256", "ordinal", "n_panels", "x", "y", "width", "height", "letter", "letter_source"),
    *("caption", "detector"),
]
_MEDIA_TYPES = {name: media_type for media_type, name in EXTENSIONS.items()}


@dataclass(frozen=True, eq=False)
class PanelSamples(Samples):
    """Panels that have a text of their own, as `Samples`: the span is that of the whole image's sample.

    ``ordinal`` is the panel's within the image, ``chunk`` counts in ``paths``: the files of the table ``panels``.
    """

    paths: tuple[str, ...] = ()
    ordinal: npt.NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    chunk: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return super().nbytes + self.ordinal.nbytes + self.chunk.nbytes

    @cached_property
    def digest(self) -> str:
        """16 hex digits: the same panels of the same images in the same places, by the same tables."""
        digest = hashlib.sha256("\n".join([*self.shards, "", *self.paths]).encode())
        for array in (self.shard, self.offset, self.length, self.ordinal):
            digest.update(array.data)
        return digest.hexdigest()[:16]


def read_panels(files: Files, selection: Selection) -> PanelSamples:
    """The panels of a selection.

    Raises:
        StreamError: the state has no panels, or the filter needs what the store does not have.
        StateGoneError: the state or a file of it is not kept any more.
    """
    generation = find_state(files, selection.state, selection.snapshot)
    paths = generation.paths.get("panels", [])
    if not paths:
        raise StreamError("this store does not have the table 'panels' yet: images can be streamed")
    chunks = ", ".join(
        f"({sql_text(PurePosixPath(path).name.rpartition('-')[0])}, {n})" for n, path in enumerate(paths)
    )
    join = f"""
        JOIN panel_pairs p ON p.chunk = s.chunk AND p.image_id = s.image_id AND p.sha256 = s.sha256
        JOIN (VALUES {chunks}) t(chunk, number) ON t.chunk = p.chunk
    """
    more = {"ordinal": ("p.ordinal::SMALLINT", np.int16), "chunk": ("t.number::INTEGER", np.int32)}
    shards, arrays = select(files, generation, selection, join, more)
    return PanelSamples(shards, **arrays, paths=tuple(paths))


@dataclass(frozen=True, eq=False)
class PanelTar:
    """A stream of panels. ``cursor`` is its beginning; places in it are counted in samples, not in bytes."""

    cursor: Cursor
    plan: Plan
    files: Files

    size: None = None
    etag: None = None

    @property
    def samples(self) -> PanelSamples:
        """What it is about."""
        assert isinstance(self.plan.samples, PanelSamples)
        return self.plan.samples

    def number_at(self, place: int) -> int:
        """The number of the sample at a place."""
        return min(place, len(self.plan))

    def behind(self, place: int, _: Any) -> int:
        """The place behind a block that begins at this one: a block is a sample."""
        return place + 1

    def read(self, _: object, first: int = 0, last: int | None = None) -> Iterator[bytes]:
        """The samples from number ``first`` on, one a block; then the closing member. ``last`` must be null.

        Raises:
            FileNotFoundError, SpanError: the store does not hold what it should.
        """
        assert last is None
        digest, sent, size = hashlib.sha256(), 0, 0
        for begin, end in _batches(self.plan, first):
            for crop_digest, block in self._batch(begin, end):
                digest.update(crop_digest[:8])
                sent += 1
                size += len(block)
                yield block
        yield closing_member(
            {
                "samples": sent,
                "bytes": size,
                "checksum": digest.hexdigest(),
                "cursor": self.cursor.at(self.plan.end).encode(),
            }
        )

    def _batch(self, begin: int, end: int) -> Iterator[tuple[bytes, bytes]]:
        """The SHA-256 of each crop and its sample, in order; an image is cut when the first of its panels is due."""
        chosen, samples = self.plan.kept[begin:end], self.samples
        wanted: dict[Span, list[int]] = {}
        spans = []
        for index in chosen.tolist():
            span = Span(samples.shards[samples.shard[index]], int(samples.offset[index]), int(samples.length[index]))
            wanted.setdefault(span, []).append(index)
            spans.append(span)
        distinct = list(wanted)
        held = {distinct[n]: data for n, data in read_images(self.files, distinct, _READERS)}
        facts = {span: _facts(held[span]) for span in distinct}
        rows = self._rows([(int(samples.chunk[wanted[span][0]]), facts[span][0]["image_id"]) for span in distinct])
        made: dict[tuple[Span, int], tuple[bytes, bytes]] = {}
        for index, span in zip(chosen.tolist(), spans, strict=True):
            ordinal = int(samples.ordinal[index])
            if (span, ordinal) not in made:
                asked = [int(samples.ordinal[i]) for i in wanted[span]]
                image_id = facts[span][0]["image_id"]
                panels = [_known(rows, image_id, number) for number in asked]
                made |= {(span, n): one for n, one in zip(asked, self._cut(span, facts[span], panels), strict=True)}
            yield made.pop((span, ordinal))

    def _rows(self, images: list[tuple[int, str]]) -> dict[tuple[str, int], Row]:
        """The rows of these images' panels, by image_id and ordinal; each file is read once."""
        by_file: dict[int, list[str]] = {}
        for number, image_id in images:
            by_file.setdefault(number, []).append(image_id)
        found: dict[tuple[str, int], Row] = {}
        for number, image_ids in by_file.items():
            table = read_table(self.files, self.samples.paths[number], _COLUMNS, [("image_id", "in", image_ids)])
            found |= {(row["image_id"], row["ordinal"]): row for row in table.to_pylist()}
        return found

    def _cut(self, span: Span, sample: tuple[Row, str, bytes, str], panels: list[Row]) -> Iterator[tuple[bytes, bytes]]:
        """Digest and bytes of the sample of each of these panels of one image."""
        facts, name, image, text = sample
        boxes = [(row["x"], row["y"], row["width"], row["height"]) for row in panels]
        try:
            pictures = crops(image, boxes, max_pixels=_DECODED)
        except (ImageError, ValueError) as error:
            raise SpanError(f"{span.shard} holds an image at {span.offset} that cannot be cut: {error}") from error
        kind = extension(crop_media_type(_MEDIA_TYPES.get(name)))
        for row, picture in zip(panels, pictures, strict=True):
            said = {name: value for name, value in row.items() if name != "caption"}
            said["whole_caption"] = not row["caption"]
            key = image_key(row["panel_id"])
            yield (
                hashlib.sha256(picture).digest(),
                tar_sample(key, kind, picture, row["caption"] or text, facts | said)[0],
            )


def _batches(plan: Plan, first: int) -> Iterator[tuple[int, int]]:
    """Numbers of the samples that are read together, from ``first`` on."""
    lengths = plan.samples.length
    while first < len(plan):
        size, end = 0, first
        while end < len(plan) and end - first < BATCH_SAMPLES and (end == first or size < BATCH_BYTES):
            size += int(lengths[plan.kept[end]])
            end += 1
        yield first, end
        first = end


def _known(rows: dict[tuple[str, int], Row], image_id: str, ordinal: int) -> Row:
    try:
        return rows[image_id, ordinal]
    except KeyError:
        raise SpanError(f"the table of panels knows no panel {ordinal} of {image_id}") from None


def _facts(data: bytes) -> tuple[Row, str, bytes, str]:
    """Of an archived sample: its facts, the extension of its image, the image, its text."""
    try:
        [sample] = iter_samples(data)
    except (tarfile.TarError, ValueError) as error:
        raise SpanError(f"a sample of the archive cannot be read: {error}") from error
    members = dict(sample.parts)
    facts, text = json.loads(members.pop("json")), members.pop("txt").decode("utf-8", "replace")
    [(name, image)] = members.items()
    return facts, name, image, text
