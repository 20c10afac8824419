"""Bar charts as SVG that takes its colours and letters from the page around it, and as PNG for elsewhere.

Deterministic: the same numbers give the same bytes. What does not belong here: which numbers (`statistics`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

Series = Sequence[Sequence[Any]]
"""[[label, count], ...]"""

# Each stands for a colour of the page's style sheet; see `svg`.
BAR, INK, GRID = "#2a6f97", "#33373d", "#d9dce1"
_VARIABLES = {BAR: "var(--bar)", INK: "var(--ink)", GRID: "var(--grid)"}
_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "biomedica", "font.size": 10.5, "font.family": "sans-serif"}
_WIDTH = 4.6  # inches, 72 units each: small enough that letters stay legible on a phone
_LABEL = 30


def svg(series: Series, *, upright: bool, name: str) -> str:
    """An ``<svg>`` element; colours are the CSS variables --bar, --ink and --grid, letters the page's font.

    Args:
        series: labels and counts.
        upright: bars stand (ordered bins, years) or lie (named categories).
        name: unlike any other of the page; ids in the element begin with it.
    """
    with rc_context(_STYLE):
        out = BytesIO()
        FigureCanvasSVG(_draw(series, upright)).print_svg(out, metadata={"Date": None, "Creator": None})
    text = out.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    text = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px", text)
    text = re.sub(r'(\bid="|#)(?=[A-Za-z])', rf"\g<1>{name}-", text)  # several charts stand in one page
    text = re.sub(
        r'<svg [^>]*viewBox="([^"]+)"[^>]*>', r'<svg viewBox="\1" role="img" aria-hidden="true">', text, count=1
    )
    return re.sub(r"\n\s*", "\n", text)


def png(series: Series, *, upright: bool) -> bytes:
    """The chart as a small PNG."""
    with rc_context(_STYLE):
        figure = _draw(series, upright)
        figure.set_dpi(90)
        return as_png(figure)


def as_png(figure: Figure, colours: int | None = None) -> bytes:
    """A figure's PNG, the same bytes every time; in so few ``colours`` if given, for what is stored with an event."""
    out = BytesIO()
    FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    if colours is None:
        return out.getvalue()
    small = BytesIO()
    Image.open(out).convert("RGB").quantize(colours).save(small, "PNG", optimize=True)
    return small.getvalue()


def _draw(series: Series, upright: bool) -> Figure:
    labels = [_short(str(label)) for label, _ in series]
    counts = [int(count) for _, count in series]
    height = 2.7 if upright else 0.35 + 0.25 * len(series)
    figure = Figure(figsize=(_WIDTH, height), facecolor="none", layout="constrained")
    axes = figure.add_subplot(facecolor="none")
    places = range(len(series))
    if upright:
        axes.bar(places, counts, color=BAR, width=0.85)
        axes.set_xticks(*_ticks(labels))
        axes.yaxis.grid(True, color=GRID, linewidth=0.6)
        axes.yaxis.set_major_formatter(lambda value, _: _compact(value))
        axes.locator_params(axis="y", integer=True, nbins=5)
    else:
        axes.barh(places, counts, color=BAR, height=0.72)
        axes.set_yticks(list(places), labels)
        axes.invert_yaxis()
        axes.set_xticks([])
        axes.set_xlim(0, max([*counts, 1]) * 1.2)
        for place, count in zip(places, counts, strict=True):
            axes.annotate(_compact(count), (count, place), (3, 0), textcoords="offset points", va="center", color=INK)
    _plain(axes)
    return figure


def _plain(axes: Axes) -> None:
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, colors=INK)


def _ticks(labels: list[str]) -> tuple[list[int], list[str]]:
    """As many labels as fit beside each other, the last one among them where it fits."""
    widest = max((len(label) for label in labels), default=1)
    step = max(1, -(-len(labels) * (widest + 1.5) // 58))
    places = list(range(0, len(labels), int(step)))
    return places, [labels[place] for place in places]


def _short(label: str) -> str:
    return label if len(label) <= _LABEL else label[: _LABEL - 1].rstrip(" .,") + "…"


def _compact(value: float) -> str:
    """1234 -> '1,234', 25000 -> '25k', 24000000 -> '24M'."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{value:,.0f}"
