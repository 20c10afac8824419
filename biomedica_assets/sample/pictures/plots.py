"""Plots: what statistics software would draw. Each function: (generator, width, height) -> RGB picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from biomedica_assets.sample.pictures.canvas import PALETTES, Array, Canvas, Colour, colourise

Generator = np.random.Generator
WORDS_X = ("Time (weeks)", "Dose (mg/kg)", "Age (years)", "Concentration (uM)", "Day", "Cycle", "Distance (mm)")
WORDS_Y = ("Fold change", "Relative expression", "Score", "Volume (mL)", "Cells (%)", "Intensity (a.u.)", "OD 600 nm")
GROUPS = ("Control", "Vehicle", "Low", "High", "KO", "WT", "siRNA", "Treated", "Sham", "Day 7", "Day 14")


class Axes:
    """Plot area with axes, ticks and titles; turns data values into pixels."""

    def __init__(
        self, rng: Generator, width: int, height: int, xlim: tuple[float, float], ylim: tuple[float, float],
        xlabel: str | None = None, ylabel: str | None = None, xticks: bool = True, framed: bool | None = None,
    ) -> None:  # fmt: skip
        self.canvas = Canvas(width, height)
        self.size = max(8.0, min(width, height) / 26)
        self.left, self.right = width * 0.08 + 2.2 * self.size, width * 0.97
        self.top, self.bottom = height * 0.06, height - height * 0.05 - 2.6 * self.size
        self.xlim, self.ylim = xlim, ylim
        self.palette = PALETTES[rng.integers(len(PALETTES))]
        self._axes(rng, xlabel, ylabel, xticks, bool(rng.random() < 0.4) if framed is None else framed)

    def x(self, value: float) -> float:
        return self.left + (value - self.xlim[0]) / (self.xlim[1] - self.xlim[0]) * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - (value - self.ylim[0]) / (self.ylim[1] - self.ylim[0]) * (self.bottom - self.top)

    def points(self, xs: Array, ys: Array) -> list[tuple[float, float]]:
        return [(self.x(a), self.y(b)) for a, b in zip(xs, ys, strict=True)]

    def legend(self, names: list[str], colours: tuple[Colour, ...], rng: Generator) -> None:
        x = self.left + (self.right - self.left) * (0.05 if rng.random() < 0.5 else 0.66)
        for i, name in enumerate(names):
            y = self.top + self.size * (0.9 + 1.5 * i)
            self.canvas.box(x, y - self.size * 0.3, x + self.size * 1.3, y + self.size * 0.3, colours[i], None)
            self.canvas.text(x + self.size * 1.8, y, name, self.size, anchor="lm")

    def _axes(self, rng: Generator, xlabel: str | None, ylabel: str | None, xticks: bool, framed: bool) -> None:
        c, s = self.canvas, self.size
        if framed:
            c.box(self.left, self.top, self.right, self.bottom, None, (0, 0, 0), 1)
        else:
            corner = (self.left, self.bottom)
            c.line([(self.left, self.top), corner, (self.right, self.bottom)], (0, 0, 0), 1.2)
        faint = bool(rng.random() < 0.3)
        for value in _ticks(*self.ylim):
            y = self.y(value)
            if faint:
                c.line([(self.left, y), (self.right, y)], (225, 225, 225), 0.7)
            c.line([(self.left - s * 0.35, y), (self.left, y)], (0, 0, 0), 1)
            c.text(self.left - s * 0.5, y, f"{value:g}", s * 0.9, anchor="rm")
        for value in _ticks(*self.xlim) if xticks else ():
            x = self.x(value)
            c.line([(x, self.bottom), (x, self.bottom + s * 0.35)], (0, 0, 0), 1)
            c.text(x, self.bottom + s * 0.5, f"{value:g}", s * 0.9, anchor="ma")
        if xlabel != "":
            label = xlabel or str(rng.choice(WORDS_X))
            c.text((self.left + self.right) / 2, c.height - c.height * 0.02, label, s, anchor="md")
        if ylabel != "":
            c.text_up(c.width * 0.015 + s * 0.6, (self.top + self.bottom) / 2, ylabel or str(rng.choice(WORDS_Y)), s)


def _ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw)
    first = np.ceil(low / step - 1e-9)
    return [float(round(v * step, 10)) for v in range(int(first), int(np.floor(high / step + 1e-9)) + 1)]


def line_plot(rng: Generator, width: int, height: int) -> Image.Image:
    """Two to four curves with error bars and markers."""
    n, count = int(rng.integers(6, 12)), int(rng.integers(2, 5))
    xs = np.arange(n, dtype=float)
    axes = Axes(rng, width, height, (0, n - 1 + 0.3), (0, 10))
    names = list(rng.choice(GROUPS, count, replace=False))
    for i in range(count):
        ys = np.clip(3 + i + np.cumsum(rng.normal(0.25 * (i - 1), 0.35, n)), 0.6, 9.4)
        points = axes.points(xs, ys)
        axes.canvas.line(points, axes.palette[i], 1.8)
        for x, y in points:
            e = rng.uniform(3, 11)
            axes.canvas.line([(x, y - e), (x, y + e)], axes.palette[i], 1)
            axes.canvas.line([(x - 3, y - e), (x + 3, y - e)], axes.palette[i], 1)
            axes.canvas.line([(x - 3, y + e), (x + 3, y + e)], axes.palette[i], 1)
            axes.canvas.disc(x, y, 3.4, axes.palette[i] if i % 2 else (255, 255, 255), axes.palette[i], 1.2)
    axes.legend(names, axes.palette, rng)
    return axes.canvas.done()


def bar_plot(rng: Generator, width: int, height: int) -> Image.Image:
    """Grouped bars with error bars, asterisks over some."""
    groups, series = int(rng.integers(3, 6)), int(rng.integers(1, 4))
    axes = Axes(rng, width, height, (0, groups), (0, 100), "", None, xticks=False, framed=False)
    names = list(rng.choice(GROUPS, groups, replace=False))
    for g in range(groups):
        for s in range(series):
            value, error = rng.uniform(15, 78), rng.uniform(2, 9)
            x0, x1 = g + 0.15 + 0.7 * s / series, g + 0.15 + 0.7 * (s + 0.9) / series
            colour = axes.palette[(s if series > 1 else g) % 5]
            axes.canvas.box(axes.x(x0), axes.y(value), axes.x(x1), axes.bottom, colour, (0, 0, 0), 0.8)
            middle = (axes.x(x0) + axes.x(x1)) / 2
            axes.canvas.line([(middle, axes.y(value)), (middle, axes.y(value + error))], (0, 0, 0), 1)
            axes.canvas.line([(middle - 4, axes.y(value + error)), (middle + 4, axes.y(value + error))], (0, 0, 0), 1)
            if rng.random() < 0.3:
                axes.canvas.text(
                    middle, axes.y(value + error) - 5, "*" * int(rng.integers(1, 4)), axes.size * 1.1, anchor="ms"
                )
        axes.canvas.text(axes.x(g + 0.5), axes.bottom + axes.size * 0.7, names[g], axes.size * 0.9, anchor="ma")
    return axes.canvas.done()


def scatter_plot(rng: Generator, width: int, height: int) -> Image.Image:
    """Points with a regression line and r."""
    n, slope = int(rng.integers(40, 160)), rng.uniform(-0.8, 0.9)
    xs = np.clip(rng.normal(5, 1.9, n), 0.2, 9.8)
    ys = np.clip(5 + slope * (xs - 5) + rng.normal(0, 1.1, n), 0.1, 9.9)
    axes = Axes(rng, width, height, (0, 10), (0, 10))
    for x, y in axes.points(xs, ys):
        axes.canvas.disc(x, y, 2.8, axes.palette[0], (255, 255, 255), 0.5)
    ends = np.array([0.5, 9.5])
    axes.canvas.line(axes.points(ends, 5 + slope * (ends - 5)), axes.palette[1], 2)
    r = float(np.corrcoef(xs, ys)[0, 1])
    axes.canvas.text(axes.right - 6, axes.top + axes.size, f"r = {r:.2f}, n = {n}", axes.size, anchor="rm")
    return axes.canvas.done()


def box_plot(rng: Generator, width: int, height: int) -> Image.Image:
    """Box and whisker plots with outlying points."""
    groups = int(rng.integers(3, 7))
    axes = Axes(rng, width, height, (0, groups), (0, 10), "", None, xticks=False)
    names = list(rng.choice(GROUPS, groups, replace=False))
    for g in range(groups):
        values = np.sort(np.clip(rng.normal(rng.uniform(3, 7), 1.1, 40), 0.2, 9.8))
        q1, q2, q3 = np.quantile(values, (0.25, 0.5, 0.75))
        low, high = values[2], values[-3]
        x0, x1, m = axes.x(g + 0.22), axes.x(g + 0.78), axes.x(g + 0.5)
        for a, b in ((low, q1), (q3, high)):
            axes.canvas.line([(m, axes.y(a)), (m, axes.y(b))])
        for v in (low, high):
            axes.canvas.line([(m - 6, axes.y(v)), (m + 6, axes.y(v))])
        axes.canvas.box(x0, axes.y(q3), x1, axes.y(q1), axes.palette[g % 5], (0, 0, 0), 1)
        axes.canvas.line([(x0, axes.y(q2)), (x1, axes.y(q2))], (0, 0, 0), 2)
        for v in (*values[:2], *values[-2:]):
            axes.canvas.disc(m, axes.y(v), 2.2, None, (0, 0, 0), 0.8)
        axes.canvas.text(m, axes.bottom + axes.size * 0.7, names[g], axes.size * 0.9, anchor="ma")
    return axes.canvas.done()


def violin_plot(rng: Generator, width: int, height: int) -> Image.Image:
    """Violin plots with jittered points."""
    groups = int(rng.integers(2, 5))
    axes = Axes(rng, width, height, (0, groups), (0, 10), "", None, xticks=False)
    names = list(rng.choice(GROUPS, groups, replace=False))
    t = np.linspace(0.3, 9.7, 80)
    for g in range(groups):
        a, b = rng.uniform(2.5, 7.5, 2)
        density = np.exp(-((t - a) ** 2) / 1.4) + rng.uniform(0.2, 0.8) * np.exp(-((t - b) ** 2) / 0.8)
        half = 0.38 * density / density.max()
        outline = axes.points(g + 0.5 + half, t) + axes.points(g + 0.5 - half, t)[::-1]
        axes.canvas.polygon(outline, axes.palette[g % 5], (0, 0, 0), 0.8)
        axes.canvas.line([(axes.x(g + 0.4), axes.y(a)), (axes.x(g + 0.6), axes.y(a))], (255, 255, 255), 2)
        axes.canvas.text(axes.x(g + 0.5), axes.bottom + axes.size * 0.7, names[g], axes.size * 0.9, anchor="ma")
    return axes.canvas.done()


def histogram(rng: Generator, width: int, height: int) -> Image.Image:
    """Histogram with a fitted curve."""
    values = rng.gamma(rng.uniform(2, 9), 1.0, 900)
    counts, edges = np.histogram(values, 30)
    axes = Axes(rng, width, height, (0, float(edges[-1])), (0, float(counts.max() * 1.15)), None, "Frequency")
    for n, a, b in zip(counts, edges[:-1], edges[1:], strict=True):
        axes.canvas.box(axes.x(a), axes.y(n), axes.x(b), axes.bottom, axes.palette[0], (255, 255, 255), 0.6)
    soft = np.convolve(counts, np.ones(5) / 5, "same")
    axes.canvas.line(axes.points((edges[:-1] + edges[1:]) / 2, soft), axes.palette[3], 2)
    return axes.canvas.done()


def survival_plot(rng: Generator, width: int, height: int) -> Image.Image:
    """Kaplan-Meier steps with censoring marks."""
    axes = Axes(rng, width, height, (0, 60), (0, 1), "Time (months)", "Survival probability", framed=False)
    for i in range(2 + int(rng.random() < 0.3)):
        t, s, points = 0.0, 1.0, [(axes.x(0), axes.y(1))]
        while t < 58:
            nxt = min(t + rng.exponential(2.5), 60)
            points.append((axes.x(nxt), axes.y(s)))
            if rng.random() < 0.35:
                axes.canvas.line([(axes.x(nxt), axes.y(s) - 4), (axes.x(nxt), axes.y(s) + 4)], axes.palette[i], 1)
            s *= 1 - rng.uniform(0.005, 0.06 + 0.05 * i)
            points.append((axes.x(nxt), axes.y(s)))
            t = nxt
        axes.canvas.line(points, axes.palette[i], 2)
    axes.canvas.text(
        axes.left + 10, axes.bottom - axes.size, f"log-rank P = 0.0{rng.integers(1, 49):02d}", axes.size, anchor="lm"
    )
    return axes.canvas.done()


def roc_curve(rng: Generator, width: int, height: int) -> Image.Image:
    """ROC curves with the diagonal."""
    axes = Axes(rng, width, height, (0, 1), (0, 1), "1 - specificity", "Sensitivity", framed=True)
    axes.canvas.dashed((axes.x(0), axes.y(0)), (axes.x(1), axes.y(1)), (140, 140, 140))
    for i in range(int(rng.integers(1, 4))):
        power = rng.uniform(0.12, 0.5)
        xs = np.sort(np.concatenate([[0, 1], rng.random(35)]))
        ys = np.maximum.accumulate(np.clip(xs**power + rng.normal(0, 0.012, len(xs)), 0, 1))
        ys[0] = 0
        axes.canvas.line(axes.points(xs, ys), axes.palette[i], 2)
        y = axes.bottom - axes.size * (1.2 + 1.5 * i)
        axes.canvas.text(axes.right - 6, y, f"AUC {1 / (1 + power):.2f}", axes.size, axes.palette[i], "rm")
    return axes.canvas.done()


def forest_plot(rng: Generator, width: int, height: int) -> Image.Image:
    """Forest plot: study names, estimates with intervals, a summary diamond."""
    c, n = Canvas(width, height), int(rng.integers(6, 11))
    size = min(height / (n + 4) * 0.55, width / 34)
    row, zero = height / (n + 3), width * 0.62
    c.text(width * 0.04, row * 0.7, "Study", size, anchor="lm")
    c.text(width * 0.96, row * 0.7, "RR (95% CI)", size, anchor="rm")
    c.line([(width * 0.03, row * 1.2), (width * 0.97, row * 1.2)])
    c.line([(zero, row * 1.2), (zero, row * (n + 2.2))], (120, 120, 120))
    names = (
        "Aldane",
        "Brinkov",
        "Castelo",
        "Dreyford",
        "Eskola-Tan",
        "Fennimore",
        "Gadhia",
        "Holmqvist",
        "Ibarro",
        "Jurek",
    )
    for i in range(n):
        y, centre, half = row * (1.8 + i), zero + rng.normal(-0.05, 0.05) * width, rng.uniform(0.03, 0.13) * width
        c.text(width * 0.04, y, f"{names[i]} {rng.integers(1999, 2026)}", size, anchor="lm")
        c.line([(centre - half, y), (centre + half, y)], (0, 0, 0), 1.2)
        box = 0.9 * size * (1 - half / width * 4)
        c.box(centre - box / 2, y - box / 2, centre + box / 2, y + box / 2, (40, 40, 90), None)
        low, mid, high = (1 + (v - zero) / width * 5 for v in (centre - half, centre, centre + half))
        c.text(width * 0.96, y, f"{max(mid, 0.1):.2f} ({max(low, 0.1):.2f}-{high:.2f})", size * 0.9, anchor="rm")
    y = row * (n + 1.9)
    c.polygon(
        [
            (zero - width * 0.06, y),
            (zero - width * 0.03, y - size * 0.6),
            (zero, y),
            (zero - width * 0.03, y + size * 0.6),
        ],
        (180, 30, 30),
    )
    c.text(width * 0.04, y, "Pooled", size, anchor="lm")
    return c.done()


def heat_map(rng: Generator, width: int, height: int) -> Image.Image:
    """Clustered expression matrix with a tree and a colour bar."""
    c, rows, columns = Canvas(width, height), int(rng.integers(14, 30)), int(rng.integers(8, 18))
    values = rng.normal(0, 0.16, (rows, columns)) + 0.5
    values[: rows // 2, : columns // 2] += rng.uniform(0.2, 0.35)
    values[rows // 2 :, columns // 2 :] -= rng.uniform(0.15, 0.3)
    left, top, right, bottom = width * 0.14, height * 0.14, width * 0.82, height * 0.93
    colours = str(rng.choice(["diverging", "viridis", "hot"]))
    cells = colourise(values, colours)
    c.paste(cells.resize((columns * 12, rows * 12), Image.Resampling.NEAREST), left, top, right - left, bottom - top)
    step = (right - left) / columns
    heights = np.full(columns, top - 3)
    xs = left + step * (np.arange(columns) + 0.5)
    while len(xs) > 1:
        i = int(rng.integers(len(xs) - 1))
        y = min(heights[i], heights[i + 1]) - (top * 0.75) / columns
        c.line([(xs[i], heights[i]), (xs[i], y), (xs[i + 1], y), (xs[i + 1], heights[i + 1])], (60, 60, 60), 1)
        xs, heights = np.delete(xs, i + 1), np.delete(heights, i + 1)
        heights[i], xs[i] = y, xs[i] + step / 2
    bar = colourise(np.linspace(1, 0, 64)[:, None] * np.ones((1, 8)), colours)
    c.paste(bar, width * 0.88, height * 0.3, width * 0.03, height * 0.35)
    for i, word in enumerate(("2", "0", "-2")):
        c.text(width * 0.925, height * (0.3 + 0.175 * i), word, max(8, height / 34), anchor="lm")
    return c.done()


def pie_chart(rng: Generator, width: int, height: int) -> Image.Image:
    """Pie with percentages and a legend."""
    c, palette = Canvas(width, height), PALETTES[rng.integers(4)]
    shares = rng.dirichlet(np.full(int(rng.integers(3, 6)), 2.0))
    r, cx, cy, start = min(width * 0.3, height * 0.42), width * 0.36, height * 0.5, rng.random() * 6.3
    for i, share in enumerate(shares):
        t = np.linspace(start, start + share * 2 * np.pi, 60)
        c.polygon(
            [(cx, cy), *zip(cx + r * np.cos(t), cy + r * np.sin(t), strict=True)], palette[i], (255, 255, 255), 1.5
        )
        if share > 0.06:
            m = start + share * np.pi
            c.text(cx + 0.65 * r * np.cos(m), cy + 0.65 * r * np.sin(m), f"{share:.0%}", height / 22, (255, 255, 255))
        y = height * (0.28 + 0.1 * i)
        c.box(width * 0.74, y - 5, width * 0.77, y + 5, palette[i], None)
        c.text(width * 0.79, y, f"Type {'I' * (i % 3 + 1)}{'ab'[i // 3]}", height / 24, anchor="lm")
        start += share * 2 * np.pi
    return c.done()


def volcano_plot(rng: Generator, width: int, height: int) -> Image.Image:
    """Volcano plot with thresholds; strongly changed features in colour."""
    axes = Axes(rng, width, height, (-5, 5), (0, 8), "log2 fold change", "-log10 P", framed=True)
    xs = rng.normal(0, 1.3, 700)
    ys = np.clip(np.abs(xs) * rng.exponential(0.9, 700), 0.02, 7.8)
    for x, y in zip(xs, ys, strict=True):
        if abs(x) < 4.9:
            colour = ((200, 50, 50) if x > 0 else (50, 80, 190)) if abs(x) > 1 and y > 1.3 else (170, 170, 170)
            axes.canvas.disc(axes.x(x), axes.y(y), 1.8, colour)
    for x in (-1, 1):
        axes.canvas.dashed((axes.x(x), axes.bottom), (axes.x(x), axes.top), (90, 90, 90), 0.8)
    axes.canvas.dashed((axes.left, axes.y(1.3)), (axes.right, axes.y(1.3)), (90, 90, 90), 0.8)
    return axes.canvas.done()


def cluster_plot(rng: Generator, width: int, height: int) -> Image.Image:
    """Embedding of single cells or samples: coloured clouds."""
    axes = Axes(rng, width, height, (-10, 10), (-10, 10), "Dimension 1", "Dimension 2", framed=False)
    for i in range(int(rng.integers(3, 6))):
        cx, cy = rng.uniform(-7, 7, 2)
        turn = rng.normal(0, 1, (2, 2))
        cloud = np.clip(rng.normal(0, 1, (130, 2)) @ turn + (cx, cy), -9.6, 9.6)
        for x, y in cloud:
            axes.canvas.disc(axes.x(x), axes.y(y), 1.9, axes.palette[i % 5])
    return axes.canvas.done()


def flow_cytometry(rng: Generator, width: int, height: int) -> Image.Image:
    """Density dot plot with quadrant gates and percentages."""
    axes = Axes(rng, width, height, (0, 5), (0, 5), "CD4x-FITC (log)", "CD8y-PE (log)", framed=True)
    w, h = int(axes.right - axes.left), int(axes.bottom - axes.top)
    points = np.concatenate([rng.normal(rng.uniform(1, 4, 2), rng.uniform(0.25, 0.5), (2600, 2)) for _ in range(3)])
    density, _, _ = np.histogram2d(5 - points[:, 1], points[:, 0], (h // 3, w // 3), ((0, 5), (0, 5)))
    level = np.log1p(density) / np.log1p(density).max()
    cells = np.asarray(colourise(level, "jet")).copy()
    cells[density == 0] = 255
    axes.canvas.paste(Image.fromarray(cells), axes.left + 1, axes.top + 1, w - 2, h - 2)
    gx, gy = axes.x(2.5), axes.y(2.5)
    axes.canvas.line([(gx, axes.top), (gx, axes.bottom)])
    axes.canvas.line([(axes.left, gy), (axes.right, gy)])
    for (x, y), share in zip(
        ((0.1, 0.06), (0.9, 0.06), (0.1, 0.95), (0.9, 0.95)), rng.dirichlet(np.ones(4)), strict=True
    ):
        axes.canvas.text(axes.left + x * w, axes.top + y * h, f"{100 * share:.1f}", axes.size)
    return axes.canvas.done()


def spectrum(rng: Generator, width: int, height: int) -> Image.Image:
    """Chromatogram or mass spectrum: peaks on a baseline."""
    axes = Axes(rng, width, height, (0, 30), (0, 105), "Retention time (min)", "Abundance (%)", framed=False)
    xs = np.linspace(0, 30, 900)
    ys = 2 + rng.random(900)
    for _ in range(int(rng.integers(5, 14))):
        ys += rng.uniform(8, 80) * np.exp(-((xs - rng.uniform(2, 28)) ** 2) / rng.uniform(0.01, 0.09))
    ys *= 96 / ys.max()
    axes.canvas.line(axes.points(xs, ys), axes.palette[0], 1.2)
    for i in np.argsort(ys)[-1:]:
        axes.canvas.text(axes.x(xs[i]), axes.y(ys[i]) - 4, f"{xs[i]:.2f}", axes.size * 0.9, anchor="ms")
    return axes.canvas.done()


def signal_trace(rng: Generator, width: int, height: int) -> Image.Image:
    """Electrocardiogram-like traces on millimetre paper, or electrophysiology on white."""
    paper = bool(rng.random() < 0.6)
    c = Canvas(width, height, (255, 246, 244) if paper else (255, 255, 255))
    if paper:
        for i in range(0, max(width, height), 6):
            strong = (236, 170, 165) if i % 30 == 0 else (248, 218, 214)
            c.line([(i, 0), (i, height)], strong, 0.6)
            c.line([(0, i), (width, i)], strong, 0.6)
    leads = int(rng.integers(2, 5))
    t = np.arange(width, dtype=float)
    for k in range(leads):
        beat, base = rng.uniform(60, 100), height * (k + 0.6) / leads
        phase = (t + rng.uniform(0, beat)) % beat / beat
        wave = 0.12 * np.exp(-((phase - 0.2) ** 2) / 0.001) - 0.15 * np.exp(-((phase - 0.36) ** 2) / 0.0001)
        wave += np.exp(-((phase - 0.4) ** 2) / 0.00016) - 0.25 * np.exp(-((phase - 0.44) ** 2) / 0.0002)
        wave += 0.22 * np.exp(-((phase - 0.68) ** 2) / 0.003) + rng.normal(0, 0.012, width)
        c.line(list(zip(t, base - wave * height / leads * 0.5, strict=True)), (10, 10, 30), 1.2)
        c.text(8, base - height / leads * 0.4, ("I", "II", "V1", "V5")[k], 11, anchor="lm")
    return c.done()


def dose_response(rng: Generator, width: int, height: int) -> Image.Image:
    """Sigmoid curves on a logarithmic axis."""
    axes = Axes(rng, width, height, (-9, -4), (0, 120), "log [compound] (M)", "Response (%)", framed=False)
    xs = np.linspace(-9, -4, 100)
    for i in range(int(rng.integers(2, 4))):
        ec50, top = rng.uniform(-7.5, -5.5), rng.uniform(70, 105)
        axes.canvas.line(axes.points(xs, top / (1 + 10 ** (ec50 - xs))), axes.palette[i], 2)
        for x in np.linspace(-8.7, -4.3, 9):
            y = top / (1 + 10 ** (ec50 - x)) + rng.normal(0, 3)
            axes.canvas.disc(axes.x(x), axes.y(max(y, 1)), 3.2, axes.palette[i])
    return axes.canvas.done()


KINDS = {
    f.__name__: f
    for f in (
        line_plot, bar_plot, scatter_plot, box_plot, violin_plot, histogram, survival_plot, roc_curve, forest_plot,
        heat_map, pie_chart, volcano_plot, cluster_plot, flow_cytometry, spectrum, signal_trace, dose_response,
    )
}  # fmt: skip
"""Plot kinds by name; their modality is "plot", signal traces are "signal"."""
