"""Pictures of agreement: coefficients by axis, outcomes by axis, annotators against each other, labels confused.

Deterministic: the same numbers give the same bytes. What does not belong here: the numbers (`agreement`), the page
around them (`agreement_report`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biomedica_assets.dataset.plots import BAR, GRID, INK, as_png
from biomedica_assets.labels.agreement import AxisAgreement
from biomedica_assets.labels.consensus import AGREED, MIXED, SINGLE, TIE, UNSURE

RELIABLE, TENTATIVE = 0.8, 0.667
"""From these alphas on, Krippendorff draws conclusions, and tentative ones."""
_COLOURS = {AGREED: "#2a6f97", SINGLE: "#89b4cc", TIE: "#e0a458", MIXED: "#b5838d", UNSURE: "#c9ccd1"}
_KAPPA = "#e0a458"
_STYLE: Any = {"font.size": 8.5, "font.family": "sans-serif"}
_MOST_CONFUSED, _MOST_LABELS = 9, 24

Draw = Callable[[Axes], None]


def coefficients(measured: Sequence[AxisAgreement]) -> bytes:
    """PNG: alpha with its interval and kappa of each axis, and the lines that alpha should pass."""

    def draw(axes: Axes) -> None:
        for place, one in enumerate(measured):
            if one.interval:
                axes.plot(one.interval, [place, place], color=BAR, linewidth=4, alpha=0.3, solid_capstyle="butt")
            if one.alpha is not None:
                axes.plot(one.alpha, place, "o", color=BAR, label="Krippendorff's alpha, 95 %")
            if one.kappa is not None:
                axes.plot(one.kappa, place + 0.22, "D", color=_KAPPA, markersize=4, label="Fleiss' kappa")
        for line, words in ((TENTATIVE, "tentative"), (RELIABLE, "reliable")):
            axes.axvline(line, color=GRID, zorder=0)
            axes.annotate(words, (line, -0.7), ha="center", color=INK, fontsize=7)
        axes.set_yticks(range(len(measured)), [f"{one.axis} ({one.units})" for one in measured])
        axes.set_ylim(len(measured) - 0.4, -0.9)
        low = min([0.0, *(c for one in measured for c in (one.kappa, *(one.interval or ())) if c is not None)])
        axes.set_xlim(max(low, -1) - 0.03, 1.03)
        handles, labels = axes.get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
        if named:
            axes.legend(list(named.values()), list(named), loc="upper left", bbox_to_anchor=(0, -0.1), frameon=False)

    return _png(draw, 5.2, 1.1 + 0.42 * len(measured))


def outcomes(counts: Mapping[str, Mapping[str, int]]) -> bytes:
    """PNG: how many targets ended in which status, a bar per axis."""

    def draw(axes: Axes) -> None:
        left = np.zeros(len(counts))
        for status, colour in _COLOURS.items():
            width = np.array([by_status.get(status, 0) for by_status in counts.values()], float)
            if width.any():
                axes.barh(range(len(counts)), width, left=left, color=colour, height=0.66, label=status)
            left += width
        axes.set_yticks(range(len(counts)), list(counts))
        axes.invert_yaxis()
        axes.set_xlabel("concepts and images")
        if left.any():
            axes.legend(loc="upper left", bbox_to_anchor=(0, -0.22), frameon=False, ncols=5, handlelength=1)

    return _png(draw, 5.2, 1.3 + 0.34 * len(counts))


def annotators(measured: Sequence[AxisAgreement], names: Sequence[str]) -> bytes:
    """PNG: likeness of the answers of every two annotators, over all axes and what both answered."""
    sums, times = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)))
    place = {name: index for index, name in enumerate(names)}
    for one in measured:
        for (a, b), (likeness, count) in one.pairs.items():
            for x, y in ((place[a], place[b]), (place[b], place[a])):
                sums[x, y] += likeness * count
                times[x, y] += count
    shares = np.divide(sums, times, out=np.full_like(sums, np.nan), where=times > 0)
    side = 1.6 + 0.5 * len(names)
    return _png(lambda axes: _grid(axes, shares, list(names), list(names), "{:.2f}"), side + 0.6, side)


def confusions(one: AxisAgreement) -> bytes:
    """PNG: how often two annotators gave two different labels for the same target, for those most often confused."""
    ranked: dict[str, int] = {}
    for found in one.confusions:
        for label in (found.one, found.other):
            ranked[label] = ranked.get(label, 0) + found.times
    labels = sorted(sorted(ranked, key=lambda label: (-ranked[label], label))[:_MOST_CONFUSED])
    place = {label: index for index, label in enumerate(labels)}
    times = np.full((len(labels), len(labels)), np.nan)
    for found in one.confusions:
        if found.one in place and found.other in place:
            times[place[found.one], place[found.other]] = times[place[found.other], place[found.one]] = found.times
    side = 1.8 + 0.34 * len(labels)
    return _png(lambda axes: _grid(axes, times, labels, labels, "{:.0f}"), side + 0.6, side)


def labels(one: AxisAgreement) -> bytes:
    """PNG: alpha of each label of an axis, those given most often."""
    shown = sorted(one.labels, key=lambda label: (-label.given, label.label))[:_MOST_LABELS]

    def draw(axes: Axes) -> None:
        values = [0.0 if label.alpha is None else max(0.0, label.alpha) for label in shown]
        axes.barh(range(len(shown)), values, color=BAR, height=0.68)
        axes.set_yticks(range(len(shown)), [f"{label.label} ({label.given})" for label in shown])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        for line in (TENTATIVE, RELIABLE):
            axes.axvline(line, color=INK, linewidth=0.5, linestyle=":")
        axes.set_xlabel("alpha")

    return _png(draw, 4.4, 0.8 + 0.19 * max(1, len(shown)))


def _grid(axes: Axes, values: np.ndarray, rows: list[str], columns: list[str], form: str) -> None:
    most = np.nanmax(values, initial=0) or 1
    axes.imshow(np.nan_to_num(values), cmap="Blues", vmin=0, vmax=most * 1.8, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            axes.annotate(form.format(value), (column, row), ha="center", va="center", color=INK)


def _png(draw: Draw, width: float, height: float) -> bytes:
    """The drawing, in a few colours: it is stored with an event."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        draw(axes)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0, colors=INK)
        return as_png(figure, colours=32)
