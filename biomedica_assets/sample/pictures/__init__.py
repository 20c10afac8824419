"""Pictures of the sample articles: procedural, seeded, with ground truth of kind, modality and panels.

Here belongs everything about pixels; which article shows which picture is written in `articles`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from biomedica_assets.sample.pictures import canvas, diagrams, micro, photos, plots, scans

Drawing = Callable[[np.random.Generator, int, int], Image.Image]

DRAWINGS: dict[str, tuple[str, Drawing]] = {
    **{name: ("signal" if name == "signal_trace" else "plot", draw) for name, draw in plots.KINDS.items()},
    **{name: ("diagram", draw) for name, draw in diagrams.KINDS.items()},
    **{name: ("radiology", draw) for name, draw in scans.KINDS.items()},
    **{name: ("ophthalmology", draw) for name, draw in scans.EYE_KINDS.items()},
    **micro.KINDS,
    **photos.KINDS,
}
DRAWINGS["chemical_structure"] = ("chemistry", diagrams.chemical_structure)
DRAWINGS["region_map"] = ("map", diagrams.region_map)
DRAWINGS["table_image"] = ("table", diagrams.table_image)
"""(modality, drawing) by kind."""


@dataclass(frozen=True)
class Picture:
    """One image file of an article.

    Attributes:
        name: file name with extension; the extension decides the format.
        kinds: drawing of each panel, row by row.
        letters: panel letters in the same order ("ABC", "abc"); empty: panels are not lettered.
        columns: panels in a row; 0 means a near-square layout.
        size: width and height in pixels.
        seed: pictures with the same seed, kinds and size have the same pixels; "" means the article and name.
        scale: the finished picture is resized by this factor (a near duplicate of the one at 1.0).
        inset: drawing shown small in the corner of the first panel.
        grey: stored with one channel.
        letter_style: "plain" (bold look on white margin), "inside" (over the picture, in a corner) or "(a)".
    """

    name: str
    kinds: tuple[str, ...]
    letters: str = ""
    columns: int = 0
    size: tuple[int, int] = (640, 460)
    seed: str = ""
    scale: float = 1.0
    inset: str = ""
    letter_style: str = "plain"
    grey: bool = False


@dataclass(frozen=True)
class Drawn:
    """A finished picture: file bytes and what it shows."""

    data: bytes
    truth: dict[str, Any]


_FORMATS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "gif": "GIF", "tif": "TIFF", "tiff": "TIFF", "webp": "WEBP"}


def render(picture: Picture, owner: str) -> Drawn:
    """Draw a picture; ``owner`` seeds it when it has no seed of its own.

    ``truth`` holds file_name, width, height, kind, modality (of the whole: "multi" when panels differ) and panels:
    letter (null when not lettered), kind, modality, inset flag and box (x0, y0, x1, y1) in pixels, half-open.
    """
    image, panels = _compose(picture, picture.seed or f"{owner}/{picture.name}")
    if picture.scale != 1.0:
        size = (round(image.width * picture.scale), round(image.height * picture.scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
        for panel in panels:
            panel["box"] = [round(v * picture.scale) for v in panel["box"]]
    if picture.grey:
        image = image.convert("L")
    modalities = sorted({panel["modality"] for panel in panels})
    truth = {
        "file_name": picture.name,
        "width": image.width,
        "height": image.height,
        "kind": picture.kinds[0] if len(picture.kinds) == 1 else "multi",
        "modality": modalities[0] if len(modalities) == 1 else "multi",
        "panels": panels,
    }
    return Drawn(encode(image, picture.name), truth)


def encode(image: Image.Image, name: str) -> bytes:
    """The picture in the format that the file name's extension says."""
    kind = _FORMATS[name.rsplit(".", 1)[-1].lower()]
    buffer = io.BytesIO()
    if kind == "JPEG":
        image.save(buffer, kind, quality=82)
    elif kind == "GIF":
        image.quantize(128).save(buffer, kind)
    elif kind == "TIFF":
        image.save(buffer, kind, compression="tiff_lzw")
    elif kind == "WEBP":
        image.save(buffer, kind, quality=80, method=2)
    else:
        image.save(buffer, kind)
    return buffer.getvalue()


def thumbnail(data: bytes, width: int = 100) -> bytes:
    """The small GIF that old packages carry beside every JPEG."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    small = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.BILINEAR)
    return encode(small, "x.gif")


def _compose(picture: Picture, seed: str) -> tuple[Image.Image, list[dict[str, Any]]]:
    width, height = picture.size
    count = len(picture.kinds)
    if count == 1 and not picture.letters:
        image = _panel(picture.kinds[0], seed, 0, width, height)
        panels = [_truth(None, picture.kinds[0], (0, 0, width, height))]
        _inset(picture, seed, image, panels, 0, 0, width, height)
        return image, panels
    columns = picture.columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    letter = max(12, min(width, height) // (9 + 3 * rows))
    margin = letter + 6 if picture.letters and picture.letter_style != "inside" else 6
    image, panels = Image.new("RGB", (width, height), (255, 255, 255)), []
    draw = ImageDraw.Draw(image)
    for i, kind in enumerate(picture.kinds):
        row, column = divmod(i, columns)
        in_row = min(columns, count - row * columns)  # a last, shorter row is stretched
        x0, x1 = round(width * column / in_row), round(width * (column + 1) / in_row)
        y0, y1 = round(height * row / rows), round(height * (row + 1) / rows)
        top = y0 + (margin if picture.letters and picture.letter_style != "inside" else 3)
        w, h = x1 - x0 - 8, y1 - top - 4
        image.paste(_panel(kind, seed, i, w, h), (x0 + 4, top))
        mark = picture.letters[i] if i < len(picture.letters) else None
        box = (x0 + 4, (y0 if mark and picture.letter_style != "inside" else top), x0 + 4 + w, top + h)
        panels.append(_truth(mark, kind, box))
        if mark:
            _letter(draw, picture.letter_style, mark, x0, y0, top, letter)
        if i == 0:
            _inset(picture, seed, image, panels, x0 + 4, top, w, h)
    return image, panels


def _panel(kind: str, seed: str, index: int, width: int, height: int) -> Image.Image:
    return DRAWINGS[kind][1](canvas.generator(seed, index, kind), width, height)


def _truth(letter: str | None, kind: str, box: tuple[int, int, int, int], inset: bool = False) -> dict[str, Any]:
    return {"letter": letter, "kind": kind, "modality": DRAWINGS[kind][0], "inset": inset, "box": list(box)}


def _inset(
    picture: Picture, seed: str, image: Image.Image, panels: list[dict[str, Any]], x: int, y: int, w: int, h: int
) -> None:
    if not picture.inset:
        return
    iw, ih = round(w * 0.32), round(h * 0.34)
    x0, y0 = x + w - iw - max(4, w // 40), y + max(4, h // 40)
    image.paste(_panel(picture.inset, seed, 100, iw, ih), (x0, y0))
    ImageDraw.Draw(image).rectangle((x0 - 1, y0 - 1, x0 + iw, y0 + ih), outline=(20, 20, 20), width=2)
    panels.append(_truth(None, picture.inset, (x0, y0, x0 + iw, y0 + ih), inset=True))


def _letter(draw: ImageDraw.ImageDraw, style: str, mark: str, x: int, y: int, top: int, size: int) -> None:
    face = canvas.font(size)
    if style == "inside":
        box = (x + 4, top, x + 4 + round(size * 1.4), top + round(size * 1.5))
        draw.rectangle(box, fill=(255, 255, 255))
        draw.text(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), mark, (0, 0, 0), face, anchor="mm", stroke_width=1)
    else:
        text = f"({mark})" if style == "(a)" else mark
        draw.text((x + 5, y + 2), text, (0, 0, 0), face, stroke_width=0 if style == "(a)" else 1)
