"""Pictures of a label model's scores: how well its probabilities can be trusted, and its F1 label by label.

Deterministic: the same record gives the same bytes. What does not belong here: the scores (`classifier`).
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biomedica_assets.dataset.plots import BAR, GRID, INK, as_png
from biomedica_assets.labels.label_model import ModelRecord

MOST_LABELS = 30
_SIZE = 8  # points
_COLOURS = 16


def calibration_png(record: ModelRecord) -> bytes:
    """One panel per axis: share right against probability; dots as large as examples are many."""
    axes = list(record.axes)
    figure = Figure(figsize=(1.9 * max(1, len(axes)), 2.2), dpi=100, layout="constrained")
    for place, name in enumerate(axes, 1):
        panel = figure.add_subplot(1, len(axes), place)
        panel.plot([0, 1], [0, 1], color=GRID, linewidth=1)
        scores = record.axes[name]["scores"]
        mean, right, count = zip(*scores["curve"], strict=True)
        most = max(count)
        panel.plot(mean, right, color=BAR, linewidth=1)
        panel.scatter(mean, right, [10 + 60 * n / most for n in count], color=BAR)
        panel.set_title(f"{name}\nECE {scores['ece']:.3f}", fontsize=_SIZE, color=INK)
        panel.set_xlabel("probability")
        panel.set_xlim(0, 1.03)
        panel.set_ylim(0, 1.05)
        if place == 1:
            panel.set_ylabel("share right, held out")
        _plain(panel)
    return as_png(figure, _COLOURS)


def f1_png(record: ModelRecord) -> bytes:
    """F1 of each label on held-out articles at its threshold, most frequent first, with the number of images."""
    labels = [one for axis in record.axes.values() for one in axis["label_scores"]]
    labels = sorted(labels, key=lambda one: (-one["images"], one["label"]))[:MOST_LABELS]
    figure = Figure(figsize=(4.4, 0.7 + 0.16 * len(labels)), dpi=100, layout="constrained")
    panel = figure.add_subplot()
    panel.barh(range(len(labels)), [one["f1"] or 0 for one in labels], color=BAR, height=0.7)
    panel.set_yticks(range(len(labels)), [f"{one['label']} ({one['images']})" for one in labels])
    panel.invert_yaxis()
    panel.set_xlim(0, 1)
    panel.set_xlabel("F1 on held-out articles")
    _plain(panel)
    return as_png(figure, _COLOURS)


def _plain(panel: Axes) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(length=2, labelsize=_SIZE)
    for label in (panel.xaxis.label, panel.yaxis.label):
        label.set_fontsize(_SIZE)
