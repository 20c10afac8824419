"""Small pictures of images, made once and kept on the local disk up to a number of bytes.

They are WebP, whatever the original is (browsers show no TIFF), white where it is transparent, in 8 bits a channel.
Named by the original's SHA-256: pictures that stand in several articles are made once, and none goes stale. What does
not belong here: which images may be served.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from PIL import Image
from pydantic import BeforeValidator

from biomedica_assets.images.probe import UNREADABLE, ImageError, open_image
from biomedica_assets.serve.metrics import Metrics

_Sizes = Literal[160, 320, 640, 1280, 2048]
SIZES: tuple[int, ...] = get_args(_Sizes)
"""Longest sides in pixels. Few, so that few files are made of an image."""


def _number(value: Any) -> Any:
    """Parameters of addresses are texts."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6 else value


Size = Annotated[_Sizes, BeforeValidator(_number)]
MEDIA_TYPE = "image/webp"
_QUALITY = 82
_AT_ONCE = 2  # decoded images in memory per process: 50 million pixels are 150 MB


class NoThumbnail(Exception):  # noqa: N818 - says what it is
    """The image cannot be decoded; the message says why."""


class Thumbnails:
    """Thumbnails in a folder that several processes may share. Safe to use from many threads.

    Args:
        folder: made when it is not there.
        max_bytes: when files pass it, those used longest ago are deleted until a tenth is free.
        max_pixels: larger images are not decoded.
        metrics: to be counted in.
    """

    def __init__(self, folder: Path, max_bytes: int, max_pixels: int, metrics: Metrics) -> None:
        self._folder, self._max_bytes, self._max_pixels, self._metrics = folder, max_bytes, max_pixels, metrics
        self._decoding = threading.Semaphore(_AT_ONCE)
        self._lock = threading.Lock()
        self._added = max_bytes  # count what is there at the first chance

    def get(self, sha256: str, size: int, read: Callable[[], bytes]) -> bytes:
        """WebP of the image whose bytes ``read`` gives, its longest side at most ``size`` pixels.

        Raises:
            NoThumbnail: the image cannot be decoded, or is too large to try.
        """
        path = self._folder / sha256[:2] / f"{sha256[:32]}-{size}.webp"
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            pass
        else:
            self._metrics.thumbnails.labels("cache").inc()
            return data
        with self._decoding:
            data = shrink(read(), size, self._max_pixels)
        self._metrics.thumbnails.labels("made").inc()
        self._keep(path, data)
        return data

    def _keep(self, path: Path, data: bytes) -> None:
        """Write the file whole or not at all. A full or read-only disk only costs the cache."""
        if not self._max_bytes:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
                file.write(data)
            Path(file.name).replace(path)
        except OSError:
            return
        with self._lock:
            self._added += len(data)
            if self._added < self._max_bytes / 10:
                return
            self._added = 0
        self._forget()

    def _forget(self) -> None:
        """Delete the files used longest ago, once all together are too many bytes."""
        found = []
        for path in self._folder.rglob("*"):
            try:
                status = path.stat()
            except OSError:
                continue  # another process deleted it
            if path.is_file():
                found.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in found)
        if total <= self._max_bytes:
            return
        for _, size, path in sorted(found):
            path.unlink(missing_ok=True)
            total -= size
            if total <= self._max_bytes * 0.9:
                return


def shrink(data: bytes, size: int, max_pixels: int) -> bytes:
    """WebP of an image, longest side at most ``size`` pixels; smaller images keep their size.

    Raises:
        NoThumbnail: as `Thumbnails.get`.
    """
    try:
        image, _ = open_image(data, max_pixels=max_pixels)
        image.draft("RGB", (2 * size, 2 * size))  # JPEG is decoded near the size wanted
        small = _eight_bits(image)
        small.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
        out = BytesIO()
        small.save(out, "WEBP", quality=_QUALITY, method=2)
    except (ImageError, *UNREADABLE) as error:
        raise NoThumbnail(str(error) or type(error).__name__) from error
    return out.getvalue()


def _eight_bits(image: Image.Image) -> Image.Image:
    """RGB on white; 16 and 32 bits a sample, as microscopes write them, are stretched to 8."""
    if image.mode[0] in "IF":
        deep = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
        low, high = float(deep.min()), float(deep.max())
        return Image.fromarray(((deep - low) * (255 / ((high - low) or 1))).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
