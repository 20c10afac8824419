"""Drawn figures: flow charts, pathways, maps, formulas, tables as images, sequences."""

from __future__ import annotations

import numpy as np
from PIL import Image

from biomedica_assets.sample.pictures.canvas import (
    PALETTES,
    Canvas,
    Colour,
    blob,
    blurred,
    colourise,
    fractal,
    from_channels,
    to_array,
)

Generator = np.random.Generator


def _pale(colour: Colour, share: float = 0.75) -> Colour:
    r, g, b = (round(255 * share + v * (1 - share)) for v in colour)
    return r, g, b


def _box(
    c: Canvas, x: float, y: float, w: float, h: float, lines: list[str], size: float, fill: Colour, radius: float = 0
) -> None:
    c.box(x - w / 2, y - h / 2, x + w / 2, y + h / 2, fill, (50, 50, 60), 1.2, radius)
    for i, line in enumerate(lines):
        c.text(x, y + (i - (len(lines) - 1) / 2) * size * 1.3, line, size)


def flowchart(rng: Generator, width: int, height: int) -> Image.Image:
    """Participants through a trial: screened, excluded, randomised, two arms, analysed."""
    c, palette = Canvas(width, height), PALETTES[rng.integers(len(PALETTES))]
    fill = _pale(palette[0]) if rng.random() < 0.6 else (255, 255, 255)
    size, radius = max(7.0, min(width / 46, height / 32)), float(rng.choice([0, 6]))
    n = int(rng.integers(180, 900))
    out = int(n * rng.uniform(0.2, 0.5))
    left = n - out
    bw, bh = width * 0.34, height * 0.12
    _box(c, width * 0.4, height * 0.1, bw, bh, ["Assessed for eligibility", f"(n = {n})"], size, fill, radius)
    _box(
        c,
        width * 0.78,
        height * 0.28,
        bw,
        bh * 1.25,
        [f"Excluded (n = {out})", f"criteria not met ({out - out // 3})", f"declined ({out // 3})"],
        size,
        (255, 255, 255),
        radius,
    )
    _box(c, width * 0.4, height * 0.44, bw, bh, ["Randomised", f"(n = {left})"], size, fill, radius)
    c.arrow((width * 0.4, height * 0.16), (width * 0.4, height * 0.38))
    c.arrow((width * 0.4, height * 0.28), (width * 0.61, height * 0.28))
    for x, name, share in ((0.22, "Active", left // 2), (0.72, "Control", left - left // 2)):
        c.line([(width * 0.4, height * 0.5), (width * 0.4, height * 0.55), (width * x, height * 0.55)])
        c.arrow((width * x, height * 0.55), (width * x, height * 0.61))
        _box(c, width * x, height * 0.68, bw, bh, [name, f"(n = {share})"], size, _pale(palette[1]), radius)
        c.arrow((width * x, height * 0.74), (width * x, height * 0.84))
        _box(
            c,
            width * x,
            height * 0.91,
            bw,
            bh,
            ["Analysed", f"(n = {share - int(rng.integers(2, 20))})"],
            size,
            fill,
            radius,
        )
    return c.done()


def pathway(rng: Generator, width: int, height: int) -> Image.Image:
    """A cell membrane with receptors, a cascade of named proteins, a nucleus with DNA."""
    c, palette = Canvas(width, height, (252, 250, 244)), PALETTES[rng.choice([0, 1, 3])]
    size = max(8.0, min(width, height) / 27)
    top = height * 0.2
    step = max(7.0, width / 62)
    for x in np.arange(0, width + step, step):
        y = top + 6 * np.sin(x / width * 3)
        for sign in (-1, 1):
            c.disc(x, y + sign * step * 0.9, step * 0.36, (236, 178, 90), (170, 110, 40), 0.7)
            c.line([(x, y + sign * step * 0.6), (x, y)], (190, 140, 70), 0.8)
    c.disc(width * 0.55, height * 1.04, width * 0.34, (226, 226, 244), (110, 110, 170), 2, height * 0.3)
    for i in range(40):
        t = i / 39
        x, y = width * (0.38 + 0.34 * t), height * 0.92
        a, b = y + 9 * np.sin(t * 22), y - 9 * np.sin(t * 22)
        c.disc(x, a, 2.2, palette[3])
        c.disc(x, b, 2.2, palette[0])
    names = list(rng.permutation(["NPRX2", "MKR17", "OLGA4", "TNCL1", "RVX3", "SCLR8", "KRTA9", "LRX21"]))
    spots = [(0.3, 0.19), (0.72, 0.19), (0.3, 0.4), (0.72, 0.4), (0.5, 0.54), (0.26, 0.66), (0.55, 0.76)]
    for i, (x, y) in enumerate(spots):
        px, py = width * x, height * y
        if i < 2:
            c.box(px - 14, py - 26, px + 14, py + 26, palette[i], (40, 40, 40), 1, 9)
            c.text(px, py - 36, str(names[i]), size)
        else:
            c.disc(px, py, size * 2.7, _pale(palette[i % 5], 0.55), (60, 60, 60), 1, size * 1.25)
            c.text(px, py, str(names[i]), size)
    for a, b in ((0, 2), (1, 3), (2, 4), (3, 4), (2, 5), (4, 6)):
        (x0, y0), (x1, y1) = spots[a], spots[b]
        lead = 0.28
        start = (width * (x0 + (x1 - x0) * lead), height * (y0 + (y1 - y0) * lead))
        end = (width * (x0 + (x1 - x0) * 0.74), height * (y0 + (y1 - y0) * 0.74))
        if (a, b) == (2, 5):
            c.line([start, end], (180, 30, 30), 2)
            c.line([(end[0] - 8, end[1]), (end[0] + 8, end[1])], (180, 30, 30), 2)
        else:
            c.arrow(start, end, (60, 60, 60), 2, 9)
    c.text(width * 0.55, height * 0.985, "Nucleus", size * 0.9, (80, 80, 140), "ms")
    return c.done()


def network(rng: Generator, width: int, height: int) -> Image.Image:
    """Nodes and edges, size by degree."""
    c, palette, n = Canvas(width, height), PALETTES[rng.integers(len(PALETTES))], int(rng.integers(18, 40))
    side = min(width, height)
    spots = rng.normal(0.5, 0.19, (n, 2)).clip(0.07, 0.93) * (width, height)
    for _ in range(30):  # push nodes apart
        gaps = spots[:, None] - spots[None]
        far = np.hypot(gaps[..., 0], gaps[..., 1])[..., None] + 1e-6
        spots = (spots + (gaps / far**2 * side * 0.25).sum(1)).clip(
            (width * 0.06, height * 0.06), (width * 0.94, height * 0.94)
        )
    degree = np.zeros(n)
    for i in range(n):
        near = np.argsort(np.hypot(*(spots - spots[i]).T))[1 : 2 + int(rng.integers(1, 4))]
        for j in near:
            c.line([tuple(spots[i]), tuple(spots[j])], (170, 170, 175), rng.uniform(0.6, 2))
            degree[[i, j]] += 1
    for i in range(n):
        r = side * 0.012 + degree[i] * side * 0.004
        c.disc(spots[i][0], spots[i][1], r, palette[i % 5], (255, 255, 255), 1)
        if degree[i] > 3:
            c.text(spots[i][0], spots[i][1] - r - 5, f"G{i:02d}", max(8, side / 34))
    return c.done()


def tree(rng: Generator, width: int, height: int) -> Image.Image:
    """Phylogenetic tree with support values and a scale."""
    c, n = Canvas(width, height), int(rng.integers(9, 20))
    size = min(height / n * 0.62, width / 34)
    xs, ys = rng.uniform(0.62, 0.74, n) * width, (np.arange(n) + 0.7) * height * 0.93 / n
    genus = rng.choice(["Fictobacter", "Imaginovirus", "Mockella", "Utopia"])
    for x, y in zip(xs, ys, strict=True):
        c.text(
            x + 4,
            y,
            f"{str(genus)[:1]}. {rng.choice(['alba', 'nova', 'borealis', 'minor', 'rubra'])} {rng.integers(100, 999)}",
            size,
            anchor="lm",
        )
    px, py = list(xs), list(ys)
    while len(px) > 1:
        i = int(rng.integers(len(px) - 1))
        x = max(min(px[i], px[i + 1]) - rng.uniform(0.02, 1.2 / n) * width, width * 0.03)
        c.line([(px[i], py[i]), (x, py[i]), (x, py[i + 1]), (px[i + 1], py[i + 1])], (0, 0, 0), 1.3)
        if rng.random() < 0.6:
            c.text(
                x - 3,
                (py[i] + py[i + 1]) / 2 - size * 0.6,
                str(rng.integers(61, 100)),
                size * 0.75,
                (120, 40, 40),
                "rm",
            )
        px[i], py[i] = x, (py[i] + py[i + 1]) / 2
        del px[i + 1], py[i + 1]
    c.line([(width * 0.05, height * 0.97), (width * 0.17, height * 0.97)], (0, 0, 0), 1.5)
    c.text(width * 0.19, height * 0.97, "0.05", size, anchor="lm")
    return c.done()


def gene_map(rng: Generator, width: int, height: int) -> Image.Image:
    """Exons, domains and lollipop variants along a line."""
    c, palette = Canvas(width, height), PALETTES[rng.choice([0, 1, 3])]
    size = max(8.0, min(width, height) / 28)
    for row in range(int(rng.integers(2, 4))):
        y = height * (0.3 + 0.27 * row)
        c.text(
            width * 0.03,
            y - size * 2.6,
            f"{rng.choice(['NPRX2', 'MKR17', 'RPEX1'])} isoform {row + 1}",
            size,
            anchor="lm",
        )
        c.box(width * 0.05, y - 4, width * 0.95, y + 4, (200, 200, 205), None)
        x = 0.08
        for k in range(int(rng.integers(3, 6))):
            w = rng.uniform(0.07, 0.15)
            if x + w > 0.93:
                break
            c.box(width * x, y - size, width * (x + w), y + size, palette[k % 5], (60, 60, 60), 1, 5)
            c.text(width * (x + w / 2), y, ("SH2", "Kin", "PH", "LRR", "TM")[k % 5], size * 0.9, (255, 255, 255))
            x += w + rng.uniform(0.02, 0.08)
        for _ in range(int(rng.integers(3, 9))):
            px, tall = width * rng.uniform(0.08, 0.92), rng.uniform(1.7, 3.2) * size
            c.line([(px, y - 4), (px, y - tall)], (90, 90, 90), 1)
            c.disc(px, y - tall, size * 0.38, (200, 60, 50) if rng.random() < 0.5 else (60, 120, 60))
        c.text(width * 0.95, y + size * 1.8, f"{rng.integers(300, 1400)} aa", size * 0.85, anchor="rm")
    return c.done()


def chemical_structure(rng: Generator, width: int, height: int) -> Image.Image:
    """Skeletal formulas: fused rings with side chains and hetero atoms, sometimes a reaction."""
    c = Canvas(width, height)
    bond = min(width, height) / 11
    parts = 2 if width > height * 1.2 and rng.random() < 0.7 else 1
    for part in range(parts):
        _molecule(c, rng, width * (0.5 if parts == 1 else 0.26 + 0.5 * part), height * 0.48, bond)
        c.text(
            width * (0.5 if parts == 1 else 0.26 + 0.5 * part),
            height * 0.92,
            f"{rng.integers(1, 30)}{rng.choice(['a', 'b', 'c'])}",
            bond * 0.42,
        )
    if parts == 2:
        c.arrow((width * 0.46, height * 0.48), (width * 0.56, height * 0.48), (0, 0, 0), 1.6, 8)
        c.text(width * 0.51, height * 0.43, str(rng.choice(["NaBH4", "H2, Pd/C", "Et3N, 80 C", "hv"])), bond * 0.3)
    return c.done()


def _molecule(c: Canvas, rng: Generator, cx: float, cy: float, bond: float) -> None:
    centres = [(cx, cy)]
    if rng.random() < 0.8:
        centres.append((cx + bond * np.sqrt(3), cy))
    if rng.random() < 0.4:
        centres.append((cx + bond * np.sqrt(3) / 2, cy - bond * 1.5))
    shift = sum(x for x, _ in centres) / len(centres) - cx
    for k, (x, y) in enumerate(centres):
        x -= shift
        ring = [(x + bond * np.cos(a), y + bond * np.sin(a)) for a in np.pi / 6 + np.arange(6) * np.pi / 3]
        for i in range(6):
            c.line([ring[i], ring[(i + 1) % 6]], (0, 0, 0), 1.6)
            if (i + k) % 2 == 0:
                inner = [(x + (px - x) * 0.8, y + (py - y) * 0.8) for px, py in (ring[i], ring[(i + 1) % 6])]
                c.line(inner, (0, 0, 0), 1.4)
        for i in rng.choice(6, 2, replace=False):
            px, py = ring[i]
            angle = np.arctan2(py - y, px - x)
            qx, qy = px + bond * 0.8 * np.cos(angle), py + bond * 0.8 * np.sin(angle)
            c.line([(px, py), (qx, qy)], (0, 0, 0), 1.6)
            atom, colour = (
                ("OH", (190, 20, 20)),
                ("NH2", (30, 50, 190)),
                ("F", (30, 130, 40)),
                ("O", (190, 20, 20)),
                ("Cl", (30, 130, 40)),
            )[rng.integers(5)]
            if rng.random() < 0.7:
                c.box(qx - bond * 0.34, qy - bond * 0.25, qx + bond * 0.34, qy + bond * 0.25, (255, 255, 255), None)
                c.text(qx, qy, atom, bond * 0.42, colour)
            else:
                turn = angle + rng.choice([-1, 1]) * np.pi / 3
                c.line([(qx, qy), (qx + bond * 0.8 * np.cos(turn), qy + bond * 0.8 * np.sin(turn))], (0, 0, 0), 1.6)


def region_map(rng: Generator, width: int, height: int) -> Image.Image:
    """Coast line, regions shaded by value, sites as dots, compass and scale."""
    relief = fractal(rng, height, width, min(width, height) / 1.6, 6)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    land = relief - 0.35 * (x**2 + y**2) > 0.28
    cells = rng.uniform(0, 1, (14, 2)) * (width, height)
    yy, xx = np.mgrid[0:height, 0:width]
    wobble = 26 * (fractal(rng, height, width, 40) - 0.5)
    owner = np.argmin([(xx + wobble - px) ** 2 + (yy + wobble - py) ** 2 for px, py in cells], axis=0)
    ramp = rng.random(14)[owner]
    base = to_array(colourise(ramp, ((254, 240, 217), (253, 187, 132), (179, 60, 30))))
    edge = (owner != np.roll(owner, 1, 0)) | (owner != np.roll(owner, 1, 1))
    coast = (land != np.roll(land, 1, 0)) | (land != np.roll(land, 1, 1))
    base[edge] = 0.5
    base[~land] = (0.8, 0.89, 0.95)
    base[coast] = 0.25
    c = Canvas(width, height, blurred(from_channels(base[..., 0], base[..., 1], base[..., 2]), 0.5))
    size = max(8.0, min(width, height) / 26)
    for _ in range(int(rng.integers(5, 12))):
        px, py = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height
        c.disc(px, py, size * 0.4, (30, 40, 120), (255, 255, 255), 1)
    nx, ny = width * 0.93, height * 0.12
    c.polygon(
        [(nx, ny - size * 1.5), (nx - size * 0.6, ny + size), (nx, ny + size * 0.5), (nx + size * 0.6, ny + size)],
        (20, 20, 20),
    )
    c.text(nx, ny - size * 2.2, "N", size)
    c.box(width * 0.05, height * 0.93, width * 0.15, height * 0.945, (20, 20, 20), None)
    c.box(width * 0.15, height * 0.93, width * 0.25, height * 0.945, (255, 255, 255), (20, 20, 20), 0.8)
    c.text(width * 0.27, height * 0.937, "50 km", size * 0.9, anchor="lm")
    return c.done()


def table_image(rng: Generator, width: int, height: int) -> Image.Image:
    """A table as an image: header, ruled rows, numbers."""
    c, rows, columns = Canvas(width, height), int(rng.integers(6, 13)), int(rng.integers(3, 6))
    size = min(height / (rows + 2) * 0.45, width / (columns * 9))
    xs = np.concatenate([[width * 0.03], np.linspace(width * 0.36, width * 0.86, columns - 1)])
    step = height * 0.92 / (rows + 1)
    heads = ["Variable", "Active", "Control", "P value", "Total"][:columns]
    if rng.random() < 0.5:
        c.box(width * 0.02, height * 0.04, width * 0.98, height * 0.04 + step, (222, 230, 240), None)
    for k, x in enumerate(xs):
        c.text(x, height * 0.04 + step / 2, heads[k], size * 1.05, (10, 10, 60), "lm")
    labels = rng.permutation(
        [
            "Age, years",
            "Women, n (%)",
            "Body mass index",
            "Smokers, n (%)",
            "Diabetes",
            "Systolic pressure",
            "Haemoglobin",
            "Creatinine",
            "Follow-up, days",
            "Event, n (%)",
            "Statin use",
            "Score at entry",
        ]
    )
    for r in range(rows):
        y = height * 0.04 + step * (r + 1.5)
        c.text(xs[0], y, str(labels[r]), size, anchor="lm")
        for k in range(1, columns):
            value = (
                f"0.{rng.integers(1, 999):03d}"
                if heads[k] == "P value"
                else f"{rng.uniform(1, 90):.1f} ({rng.uniform(1, 20):.1f})"
            )
            c.text(xs[k], y, value, size, anchor="lm")
    for y in (0.04, 0.04 + step / height, 0.04 + step * (rows + 1) / height):
        c.line([(width * 0.02, height * y), (width * 0.98, height * y)], (0, 0, 0), 1.4)
    return c.done()


def alignment(rng: Generator, width: int, height: int) -> Image.Image:
    """Sequence alignment, conserved columns shaded."""
    c, rows = Canvas(width, height), int(rng.integers(5, 9))
    columns = max(12, width // 15)
    letters, step = "ACDEFGHIKLMNPQRSTVWY", width * 0.84 / columns
    blocks = max(1, int(height / (rows * 22 + 26)))
    for b in range(blocks):
        root = rng.integers(20, size=columns)
        kept = rng.random(columns) < 0.5
        tall = (height / blocks - 14) / (rows + 0.5)
        for r in range(rows):
            y = b * height / blocks + 8 + tall * (r + 0.6)
            c.text(width * 0.01, y, f"seq{r + 1:02d}", min(tall * 0.7, 11), anchor="lm")
            for k in range(columns):
                same = kept[k] or rng.random() < 0.4
                letter = letters[root[k] if same else rng.integers(20)]
                x = width * 0.13 + (k + 0.5) * step
                if kept[k]:
                    c.box(x - step / 2, y - tall / 2, x + step / 2, y + tall / 2, (52, 90, 160), None)
                c.text(x, y, letter, min(tall * 0.7, step * 0.95), (255, 255, 255) if kept[k] else (0, 0, 0))
    return c.done()


def timeline(rng: Generator, width: int, height: int) -> Image.Image:
    """Study design: an arrow of time with visits, coloured phases and icons of samples."""
    c, palette = Canvas(width, height), PALETTES[rng.integers(len(PALETTES))]
    size = max(8.0, min(width, height) / 24)
    y, visits = height * 0.52, int(rng.integers(5, 8))
    c.arrow((width * 0.04, y), (width * 0.97, y), (40, 40, 40), 4, 14)
    xs = np.linspace(0.09, 0.88, visits) * width
    every = int(rng.integers(2, 9))
    names = ("Run-in", "Treatment", "Follow-up")
    cuts = [0, int(rng.integers(1, 3)), visits - 2, visits - 1]
    for k in range(3):
        x0, x1 = xs[cuts[k]], xs[cuts[k + 1]]
        c.box(x0, y - height * 0.16, x1, y - height * 0.05, _pale(palette[k], 0.5), (70, 70, 70), 1, 6)
        c.text((x0 + x1) / 2, y - height * 0.105, names[k], size)
    for k, x in enumerate(xs):
        c.disc(x, y, size * 0.55, (255, 255, 255), (40, 40, 40), 2)
        c.text(x, y + size * 1.7, f"W{k * every}", size)
        if rng.random() < 0.6:
            c.polygon(
                [(x, y + size * 3.2), (x - size * 0.6, y + size * 4.6), (x + size * 0.6, y + size * 4.6)], (190, 40, 40)
            )
            c.disc(x, y + size * 4.7, size * 0.6, (190, 40, 40))
        else:
            c.box(x - size * 0.5, y + size * 3.2, x + size * 0.5, y + size * 5, palette[1], (60, 60, 60), 1, 2)
    c.text(width * 0.5, height * 0.1, "Visits and sampling", size * 1.2)
    return c.done()


def protein(rng: Generator, width: int, height: int) -> Image.Image:
    """Shaded spheres along a smooth chain: a molecular model on black or white."""
    dark = bool(rng.random() < 0.4)
    c = Canvas(width, height, (0, 0, 0) if dark else (255, 255, 255))
    n, side = 190, min(width, height)
    walk = np.cumsum(np.cumsum(rng.normal(0, 1, (n, 3)), axis=0) * 0.05 + rng.normal(0, 0.5, (n, 3)), axis=0)
    walk = (walk - walk.mean(0)) / np.abs(walk - walk.mean(0)).max() * 0.4
    palette = PALETTES[rng.choice([0, 1, 3])]
    for i in np.argsort(walk[:, 2]):
        x, y = width / 2 + walk[i, 0] * side * 1.2, height / 2 + walk[i, 1] * side
        r, near = side * 0.035, 0.6 + 0.4 * (walk[i, 2] + 0.4) / 0.8
        colour = palette[int(i * 4 / n)]
        for k in range(5):
            share = k / 5
            tone = tuple(int(min(255, v * near * (0.6 + 0.4 * share) + 120 * share**3)) for v in colour)
            c.disc(x - r * 0.28 * share, y - r * 0.28 * share, r * (1 - 0.75 * share), tone)  # type: ignore[arg-type]
    return c.done()


def anatomy(rng: Generator, width: int, height: int) -> Image.Image:
    """Schematic organ with leader lines and names."""
    c, side = Canvas(width, height, (255, 253, 250)), min(width, height)
    cx, cy = width * 0.45, height * 0.5
    tones = ((238, 190, 178), (214, 120, 110), (180, 70, 80), (250, 224, 190), (150, 170, 210))
    for k, (rx, ry) in enumerate(((0.36, 0.4), (0.27, 0.31), (0.17, 0.2))):
        c.polygon(blob(rng, cx + k * side * 0.02, cy, rx * side, ry * side, 0.1, 80), tones[k], (120, 50, 50), 1.6)
    for k in range(4):
        c.polygon(
            blob(
                rng,
                cx + rng.uniform(-0.2, 0.2) * side,
                cy + rng.uniform(-0.2, 0.2) * side,
                side * 0.05,
                side * 0.04,
                0.2,
            ),
            tones[3 + k % 2],
            (90, 70, 70),
            1.2,
        )
    names = rng.permutation(["capsule", "cortex", "medulla", "duct", "vessel", "septum"])
    for k in range(5):
        y = height * (0.14 + 0.18 * k)
        c.line([(width * 0.83, y), (cx + side * rng.uniform(0.02, 0.28), cy + (y - cy) * 0.6)], (60, 60, 60), 1)
        c.text(width * 0.84, y, str(names[k]), max(9, side / 24), anchor="lm")
    return c.done()


KINDS = {
    f.__name__: f
    for f in (
        flowchart, pathway, network, tree, gene_map, chemical_structure, region_map, table_image, alignment, timeline,
        protein, anatomy,
    )
}  # fmt: skip
