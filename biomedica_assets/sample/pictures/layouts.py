"""Compound figures whose panels are known: many layouts, letters, fonts, gutters, insets, shared axes, several files.

Here belongs how panels are put together; what a panel shows is drawn by the other modules of this room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from biomedica_assets.sample.pictures import DRAWINGS, Drawn, canvas, encode, micro, photos, plots, scans

STRUCTURES = ("grid", "ragged", "columns", "nested", "strip", "pinwheel", "single")
GUTTERS = ("wide", "narrow", "dark", "grey", "line", "touching")
LETTERS = ("above", "beside", "inside", "below", "undrawn", "none")
"""Where letters stand; ``undrawn``: only the caption has them."""
MARKS = ("A", "a", "(a)", "(A)", "A)", "a.", "[A]")

PLOTS = tuple(sorted(plots.KINDS))
PICTURES = tuple(
    sorted({*scans.KINDS, *scans.EYE_KINDS, *photos.KINDS, *micro.KINDS} - {"street", "device", "agarose_gel"})
)
_WORDS = (
    "control",
    "treated",
    "wild type",
    "knock-out",
    "day 7",
    "day 28",
    "merge",
    "baseline",
    "n = 12",
    "left",
    "right",
)
_SAID = (
    "Survival of both groups", "Section of the tissue, stained", "Mean of three runs", "Axial view at baseline",
    "Distribution of the scores", "Representative image at day 7", "Change from baseline", "Signal by dose",
    "Expression in all samples", "The same view after treatment", "Levels in serum", "Detail of the lesion",
)  # fmt: skip


class Box(NamedTuple):
    """Half-open, in pixels."""

    x0: int
    y0: int
    x1: int
    y1: int

    def inner(self, left: int = 0, top: int = 0, right: int = 0, bottom: int = 0) -> Box:
        return Box(self.x0 + left, self.y0 + top, self.x1 - right, self.y1 - bottom)

    @property
    def size(self) -> tuple[int, int]:
        return self.x1 - self.x0, self.y1 - self.y0


@dataclass(frozen=True)
class Layout:
    """How one compound figure looks; see the constants of this module for the words.

    Attributes:
        count: panels; a grid has as many of them as fill whole rows.
        fonts: files of fonts to choose from; empty: Pillow's own.
        files: one file for each panel instead of one for all.
        shared: a row of plots has its axis titles once, at the rim of the figure.
        inset: the first panel has a small picture in its corner.
        inner: share of lettered panels that are rows of pictures, or a picture and its plot.
        headings: words over the columns and along the rows.
    """

    structure: str
    count: int
    gutter: str = "wide"
    letters: str = "above"
    mark: str = "A"
    fonts: tuple[str, ...] = ()
    size: tuple[int, int] = (900, 700)
    shared: bool = False
    inset: bool = False
    inner: float = 0.0
    headings: bool = False
    files: bool = False
    format: str = "jpg"


@dataclass(frozen=True)
class CompoundFigure:
    """One figure: its files with their truth (as `Drawn`), its caption, and the letters the caption names."""

    layout: Layout
    files: tuple[Drawn, ...]
    caption: str
    letters: tuple[str, ...]
    sub_captions: dict[str, str] = field(default_factory=dict)


def random_layout(seed: str, fonts: Sequence[str] = ()) -> Layout:
    """One of the many layouts; the same seed gives the same one."""
    rng = canvas.generator("layout", seed)
    structure = str(rng.choice(STRUCTURES, p=(0.3, 0.22, 0.1, 0.16, 0.12, 0.02, 0.08)))
    count = {"single": 1, "pinwheel": 5, "strip": int(rng.integers(2, 5))}.get(structure) or int(rng.integers(2, 11))
    letters = str(rng.choice(LETTERS, p=(0.38, 0.15, 0.2, 0.08, 0.04, 0.15))) if count > 1 else "none"
    gutter = str(rng.choice(GUTTERS, p=(0.42, 0.24, 0.12, 0.06, 0.08, 0.08)))
    if gutter in ("line", "touching") and letters != "none":
        letters = "inside"
    mark = "(a)" if letters == "below" else str(rng.choice(MARKS, p=(0.42, 0.28, 0.1, 0.06, 0.06, 0.04, 0.04)))
    files = count > 1 and letters not in ("none", "below") and rng.random() < 0.06
    scale = float(rng.choice((0.7, 1, 1, 1.5, 2)))
    width, height = int(rng.integers(620, 1000) * scale), int(rng.integers(480, 1000) * scale)
    return Layout(
        structure, count, gutter, letters, mark, tuple(fonts), (width, height),
        shared=structure == "grid" and gutter == "wide" and rng.random() < 0.25, inset=rng.random() < 0.2,
        inner=0.25 if letters in ("above", "beside") and gutter in ("wide", "narrow") else 0.0,
        headings=gutter == "wide" and rng.random() < 0.25, files=bool(files),
        format=str(rng.choice(("jpg", "jpg", "png"))),
    )  # fmt: skip


def compound(layout: Layout, seed: str) -> CompoundFigure:
    """Draw a figure. The truth of each file has the form of `pictures.render`'s; boxes hold letter and axis titles."""
    rng = canvas.generator("compound", seed)
    boxes = _cells(rng, layout)
    lettered = layout.letters != "none" and len(boxes) > 1
    letters = tuple(chr(ord("A") + i) for i in range(len(boxes))) if lettered else ()
    said = {letter: f"{rng.choice(_SAID)}, n = {rng.integers(3, 60)}" for letter in letters}
    caption = _caption(rng, layout, said) if lettered else f"{rng.choice(_SAID)}. {rng.choice(_SAID)}."
    image, panels = _paint(rng, layout, seed, boxes, letters)
    parts = [(f"g.{layout.format}", image, panels)]
    if layout.files:
        parts = [
            (f"g{i}.{layout.format}", image.crop(panel["box"]), [panel | {"box": [0, 0, *Box(*panel["box"]).size]}])
            for i, panel in enumerate(panels)
        ]
    drawn = tuple(
        Drawn(encode(part, name), {"file_name": name, "width": part.width, "height": part.height, "panels": truth})
        for name, part, truth in parts
    )
    return CompoundFigure(layout, drawn, caption, letters, said)


def _caption(rng: np.random.Generator, layout: Layout, said: dict[str, str]) -> str:
    form = str(rng.choice(("({}) {}.", "{}, {}.", "({}) {};", "{}: {}.")))
    lower = layout.mark.strip("()[].").islower()
    pieces = (form.format(letter.lower() if lower else letter, text) for letter, text in said.items())
    return "Summary of the findings. " + " ".join(pieces)


def _cells(rng: np.random.Generator, layout: Layout) -> list[Box]:
    """Cells that fill the figure, in the order of their letters."""
    width, height = layout.size
    whole, n = Box(0, 0, width, height), layout.count
    if layout.structure == "grid":
        columns = min(n, int(np.ceil(np.sqrt(n * width / height))))
        rows = max(1, n // columns)
        shape = [columns] * rows
    elif layout.structure == "strip":
        shape = [n] if rng.random() < 0.6 else [1] * n
    elif layout.structure in ("ragged", "columns"):
        shape = _ragged(rng, n)
    elif layout.structure == "pinwheel":
        x, y = width // 3, height // 3
        return [Box(0, 0, 2 * x, y), Box(2 * x, 0, width, 2 * y), Box(0, y, x, height), Box(x, y, 2 * x, 2 * y),
                Box(x, 2 * y, width, height)]  # fmt: skip
    else:
        return _nested(rng, whole, n)
    turned = layout.structure == "columns"
    even = layout.structure == "grid"
    cells = []
    for low, high, across in zip(*_spread(rng, len(shape), width if turned else height, even), shape, strict=True):
        for start, stop in zip(*_spread(rng, across, height if turned else width, even), strict=True):
            cells.append(Box(low, start, high, stop) if turned else Box(start, low, stop, high))
    return cells


def _ragged(rng: np.random.Generator, n: int) -> list[int]:
    shape: list[int] = []
    while (left := n - sum(shape)) > 0:
        shape.append(int(rng.integers(1, min(4, left) + 1)))
    return shape


def _spread(rng: np.random.Generator, n: int, length: int, even: bool) -> tuple[list[int], list[int]]:
    shares = np.cumsum(np.ones(n) if even else rng.uniform(0.7, 1.3, n))
    edges = [0, *(round(float(v)) for v in shares / shares[-1] * length)]
    return edges[:-1], edges[1:]


def _nested(rng: np.random.Generator, box: Box, n: int) -> list[Box]:
    if n == 1:
        return [box]
    width, height = box.size
    first = int(rng.integers(1, n))
    share = np.clip(first / n + rng.uniform(-0.1, 0.1), 0.25, 0.75)
    if width * rng.uniform(0.7, 1.4) > height:
        middle = box.x0 + round(width * share)
        parts = box._replace(x1=middle), box._replace(x0=middle)
    else:
        middle = box.y0 + round(height * share)
        parts = box._replace(y1=middle), box._replace(y0=middle)
    return _nested(rng, parts[0], first) + _nested(rng, parts[1], n - first)


_PAPER = {"dark": (0, 0, 0), "grey": (216, 216, 216)}


def _paint(
    rng: np.random.Generator, layout: Layout, seed: str, boxes: list[Box], letters: tuple[str, ...]
) -> tuple[Image.Image, list[dict[str, Any]]]:
    width, height = layout.size
    unit = max(6, round(min(width, height) ** 0.5))  # about 25 to 45 pixels
    gap = {"narrow": max(2, unit // 9), "line": 0, "touching": 0}.get(layout.gutter, round(unit * rng.uniform(0.35, 1)))
    paper = _PAPER.get(layout.gutter, (255, 255, 255))
    ink = (255, 255, 255) if layout.gutter == "dark" else (0, 0, 0)
    left, bottom = (unit, unit) if layout.shared else (0, 0)
    image = Image.new("RGB", (width + left, height + bottom), paper)
    draw = ImageDraw.Draw(image)
    face = _face(rng, layout, max(13, round(unit * rng.uniform(0.6, 1.0))))
    small = _face(rng, layout, max(9, round(unit * 0.4)))
    only_pictures = layout.gutter in ("dark", "line", "touching") or layout.letters == "inside" or rng.random() < 0.25
    only_plots = layout.shared or (not only_pictures and rng.random() < 0.25)
    panels = []
    for i, cell in enumerate(boxes):
        cell = Box(cell.x0 + left, cell.y0, cell.x1 + left, cell.y1).inner(
            gap // 2, gap // 2, gap - gap // 2, gap - gap // 2
        )
        letter = letters[i] if letters else None
        drawn = letter is not None and layout.letters != "undrawn"
        strip = round(face.getbbox("Ag")[3] * 1.25)
        room = {"above": (0, strip, 0, 0), "beside": (round(strip * 1.3), 0, 0, 0), "below": (0, 0, 0, strip)}
        content = cell.inner(*room.get(layout.letters, (0, 0, 0, 0))) if drawn else cell
        plot = only_plots or not (only_pictures or rng.random() < 0.5)
        inner = bool(letter) and rng.random() < layout.inner
        kinds = _fill(rng, image, content, seed, i, plot, inner)
        panels.append({"letter": letter, "kind": kinds[0], "modality": DRAWINGS[kinds[0]][0], "inset": False,
                       "box": list(cell)})  # fmt: skip
        if i == 0 and layout.inset and not inner:
            _inset(rng, image, content, seed)
        if layout.headings and layout.letters in ("above", "none") and drawn and i < 4:
            x = (cell.x0 + cell.x1) / 2
            draw.text((x, content.y0 - 2), str(rng.choice(_WORDS)), ink, small, anchor="mb")
        if layout.gutter == "line":
            draw.rectangle((cell.x0, cell.y0, cell.x1 - 1, cell.y1 - 1), outline=ink, width=1)
        if drawn and letter:
            _letter(rng, draw, image, layout, letter, cell, content, face, ink)
    if layout.shared:
        draw.text((left + width / 2, height + bottom * 0.75), "Time after treatment (days)", ink, small, anchor="ms")
        words = Image.new("RGB", (height, left), paper)
        ImageDraw.Draw(words).text((height / 2, left / 2), "Mean response (% of control)", ink, small, anchor="mm")
        image.paste(words.rotate(90, expand=True), (0, 0))
    return image, panels


def _face(rng: np.random.Generator, layout: Layout, size: int) -> Any:
    return ImageFont.truetype(str(rng.choice(layout.fonts)), size) if layout.fonts else canvas.font(size)


def _panel(rng: np.random.Generator, image: Image.Image, box: Box, seed: str, index: object, plot: bool) -> str:
    kind = str(rng.choice(PLOTS if plot else PICTURES))
    width, height = (max(24, side) for side in box.size)
    image.paste(DRAWINGS[kind][1](canvas.generator(seed, index, kind), width, height).convert("RGB"), box[:2])
    return kind


def _fill(
    rng: np.random.Generator, image: Image.Image, box: Box, seed: str, index: int, plot: bool, inner: bool
) -> list[str]:
    """One drawing; or, as ``inner``, a row of pictures, perhaps the last of them a plot."""
    if not inner:
        return [_panel(rng, image, box, seed, index, plot)]
    width, height = box.size
    n = int(rng.integers(2, 4))
    along = width >= height
    gap = max(2, min(width, height) // 50)
    kinds = []
    for k in range(n):
        side = (width if along else height) // n
        part = (
            Box(box.x0 + k * side, box.y0, box.x0 + (k + 1) * side - gap, box.y1)
            if along
            else Box(box.x0, box.y0 + k * side, box.x1, box.y0 + (k + 1) * side - gap)
        )
        kinds.append(_panel(rng, image, part, seed, f"{index}.{k}", plot=k == n - 1 and plot))
    return kinds


def _inset(rng: np.random.Generator, image: Image.Image, box: Box, seed: str) -> None:
    width, height = box.size
    w, h = round(width * 0.32), round(height * 0.34)
    x, y = box.x1 - w - max(4, width // 40), box.y0 + max(4, height // 40)
    _panel(rng, image, Box(x, y, x + w, y + h), seed, "inset", plot=bool(rng.random() < 0.5))
    ImageDraw.Draw(image).rectangle((x - 1, y - 1, x + max(24, w), y + max(24, h)), outline=(20, 20, 20), width=2)


def _letter(
    rng: np.random.Generator, draw: ImageDraw.ImageDraw, image: Image.Image, layout: Layout, letter: str, cell: Box,
    content: Box, face: Any, ink: tuple[int, int, int],
) -> None:  # fmt: skip
    text = layout.mark.replace("A", letter).replace("a", letter.lower())
    if layout.letters == "below":
        draw.text(((cell.x0 + cell.x1) / 2, content.y1 + 2), text, ink, face, anchor="ma")
    elif layout.letters != "inside":
        draw.text((cell.x0 + 1, cell.y0 + 1), text, ink, face)
    else:
        x, y = content.x0 + 5, content.y0 + 4
        box = draw.textbbox((x, y), text, face)
        area = np.asarray(image.crop(box).convert("L"), dtype=np.float64)
        plain = area.size and area.std() < 30
        if plain and area.mean() < 110:
            draw.text((x, y), text, (255, 255, 255), face)
        elif plain and area.mean() > 190:
            draw.text((x, y), text, (0, 0, 0), face)
        else:
            dark = layout.count % 2
            draw.rectangle(
                (box[0] - 4, box[1] - 4, box[2] + 3, box[3] + 3), fill=(0, 0, 0) if dark else (255, 255, 255)
            )
            draw.text((x, y), text, (255, 255, 255) if dark else (0, 0, 0), face)
