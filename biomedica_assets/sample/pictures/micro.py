"""Microscopy, histology and gels."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from biomedica_assets.sample.pictures.canvas import (
    Array,
    Canvas,
    blob,
    blurred,
    font,
    fractal,
    from_channels,
    mask,
    scale_bar,
    smooth,
    to_array,
)

Generator = np.random.Generator
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def _scatter(rng: Generator, width: int, height: int, gap: float, tries: int) -> list[tuple[float, float]]:
    """Points that keep a distance, found by trying."""
    candidates = rng.uniform((0, 0), (width, height), (tries, 2))
    kept = np.empty((0, 2))
    for point in candidates:
        if not len(kept) or ((kept - point) ** 2).sum(axis=1).min() > gap * gap:
            kept = np.vstack([kept, point])
    return [(float(x), float(y)) for x, y in kept]


def _cells(
    rng: Generator, h: int, w: int, points: list[tuple[float, float]], radius: float, rough: float, blur: float
) -> Array:
    shapes = [
        blob(rng, x, y, radius * rng.uniform(0.75, 1.2), radius * rng.uniform(0.6, 1.0), rough, 18) for x, y in points
    ]
    return mask(h, w, blur, *shapes)


def fluorescence(rng: Generator, width: int, height: int) -> Image.Image:
    """Blue nuclei, a green or red marker around them, black ground."""
    h, w, side = height, width, min(height, width)
    points = _scatter(rng, w, h, side * 0.085, 420)
    nuclei = _cells(rng, h, w, points, side * 0.03, 0.12, side / 260)
    nuclei *= 0.55 + 0.6 * fractal(rng, h, w, side / 40)
    positive = [p for p in points if rng.random() < 0.55]
    bodies = _cells(rng, h, w, positive, side * 0.06, 0.35, side / 130)
    fibres = np.abs(np.sin((fractal(rng, h, w, side / 5, 3)) * 22)) ** 2
    green = bodies * (0.25 + 0.75 * fibres) + 0.05 * fractal(rng, h, w, side / 3)
    red = _cells(
        rng, h, w, [(x + rng.normal(0, 8), y + rng.normal(0, 8)) for x, y in positive[::2]], side * 0.012, 0.1, 1.2
    )
    if rng.random() < 0.4:
        green, red = 0.1 * green, green
    noise = np.abs(rng.normal(0, 0.02, (h, w)))
    image = from_channels(red * 0.95 + noise, green * 0.9 + noise, nuclei * 0.95 + noise)
    return scale_bar(blurred(image, 0.6), rng, WHITE, f"{rng.choice([10, 20, 50])} um")


def phase_contrast(rng: Generator, width: int, height: int) -> Image.Image:
    """Grey culture with bright halos around spindle-shaped or round cells."""
    h, w, side = height, width, min(height, width)
    ground = 0.55 + 0.06 * (fractal(rng, h, w, side / 3) - 0.5) + rng.normal(0, 0.012, (h, w))
    points = _scatter(rng, w, h, side * rng.uniform(0.07, 0.12), 350)
    shapes = []
    stretch = rng.uniform(1, 2.6)
    for x, y in points:
        shapes.append(blob(rng, x, y, side * 0.035 * stretch, side * 0.028 / stretch**0.5, 0.25, 24))
    body = mask(h, w, side / 300, *shapes)
    halo = np.clip(mask(h, w, side / 70, *shapes) * 1.6 - body, 0, 1)
    inner = fractal(rng, h, w, side / 60)
    values = ground + 0.38 * halo * (1 - body) - body * (0.12 - 0.16 * inner)
    image = from_channels(values, values, values)
    return scale_bar(blurred(image, 0.5), rng, BLACK, f"{rng.choice([50, 100])} um")


def electron(rng: Generator, width: int, height: int) -> Image.Image:
    """Transmission electron micrograph: membranes, organelles with cristae, granules."""
    h, w, side = height, width, min(height, width)
    values = 0.62 + 0.2 * (fractal(rng, h, w, side / 12, 5) - 0.5)
    for x, y in _scatter(rng, w, h, side * 0.2, 60):
        rx, ry = side * rng.uniform(0.05, 0.12), side * rng.uniform(0.04, 0.07)
        outline = blob(rng, x, y, rx, ry, 0.15)
        inside = mask(h, w, 1, outline)
        edge = np.clip(mask(h, w, side / 170, outline) * (1 - mask(h, w, side / 170, outline)) * 4, 0, 1)
        angle = rng.random() * 6.3
        yy, xx = np.mgrid[0:h, 0:w]
        ridges = np.sin(
            (xx * np.cos(angle) + yy * np.sin(angle)) * 0.9 * 460 / side + 6 * fractal(rng, h, w, side / 10)
        )
        values = values * (1 - inside) + inside * (0.5 + 0.13 * ridges) - 0.35 * edge
    for x, y in _scatter(rng, w, h, side * 0.12, 30):
        values -= 0.4 * mask(h, w, 1.2, blob(rng, x, y, side * 0.014, side * 0.014, 0.05))
    membrane = np.abs(fractal(rng, h, w, side / 2, 2) - 0.5)
    values = np.where(membrane < 0.008, 0.2, values) + rng.normal(0, 0.05, (h, w))
    image = blurred(from_channels(values, values, values), 0.7)
    return scale_bar(image, rng, BLACK, f"{rng.choice(['0.5', '1', '2'])} um")


def _tissue(rng: Generator, h: int, w: int, stain: tuple[float, float, float]) -> tuple[Array, Array, Array, Array]:
    """Stained ground with fibres and glands; channels and the gland mask."""
    side = min(h, w)
    texture = fractal(rng, h, w, side / 6, 5)
    fibres = np.abs(np.sin(fractal(rng, h, w, side / 3, 4) * 40))
    depth = 0.55 + 0.35 * texture + 0.12 * fibres
    channels = [1 - depth * (1 - c) for c in stain]
    glands = [
        blob(rng, x, y, side * rng.uniform(0.07, 0.13), side * rng.uniform(0.05, 0.1), 0.22)
        for x, y in _scatter(rng, w, h, side * 0.28, 40)
    ]
    gland = mask(h, w, 2, *glands) if glands else np.zeros((h, w))
    lumen = (
        mask(
            h,
            w,
            2,
            *[
                [(x + (px - x) * 0.45, y + (py - y) * 0.45) for px, py in g]
                for g in glands
                for x, y in [np.mean(g, axis=0)]
            ],
        )
        if glands
        else gland
    )
    for i, tone in enumerate((0.8, 0.55, 0.78)):
        channels[i] = channels[i] * (1 - 0.7 * gland) + 0.7 * gland * tone
        channels[i] = channels[i] * (1 - lumen) + lumen * 0.96
    return channels[0], channels[1], channels[2], np.clip(gland - lumen, 0, 1)


def histology(rng: Generator, width: int, height: int) -> Image.Image:
    """Haematoxylin and eosin: pink ground, purple nuclei, denser around glands."""
    h, w, side = height, width, min(height, width)
    red, green, blue, gland = _tissue(rng, h, w, (0.92, 0.62, 0.78))
    points = [
        p
        for p in _scatter(rng, w, h, side * 0.032, 1500)
        if rng.random() < 0.35 + 0.65 * gland[int(p[1]) % h, int(p[0]) % w]
    ]
    nuclei = _cells(rng, h, w, points, side * 0.0135, 0.15, 0.7) * (0.75 + 0.3 * fractal(rng, h, w, 8))
    red, green, blue = red - 0.5 * nuclei, green - 0.45 * nuclei, blue - 0.27 * nuclei
    image = blurred(from_channels(red, green, blue), 0.6)
    return scale_bar(image, rng, BLACK, f"{rng.choice([50, 100, 200])} um" if rng.random() < 0.7 else None)


def immunohistochemistry(rng: Generator, width: int, height: int) -> Image.Image:
    """Blue counterstain with brown-stained cells."""
    h, w, side = height, width, min(height, width)
    red, green, blue, gland = _tissue(rng, h, w, (0.88, 0.88, 0.93))
    points = _scatter(rng, w, h, side * 0.036, 1200)
    nuclei = _cells(rng, h, w, points, side * 0.013, 0.15, 0.7)
    stained = [p for p in points if rng.random() < 0.15 + 0.5 * gland[int(p[1]) % h, int(p[0]) % w]]
    brown = _cells(rng, h, w, stained, side * 0.024, 0.25, 1.5) * (0.6 + 0.5 * fractal(rng, h, w, 14))
    red, green, blue = red - 0.42 * nuclei, green - 0.36 * nuclei, blue - 0.16 * nuclei
    red, green, blue = red - 0.3 * brown, green - 0.48 * brown, blue - 0.66 * brown
    return scale_bar(blurred(from_channels(red, green, blue), 0.6), rng, BLACK, "100 um")


def blood_smear(rng: Generator, width: int, height: int) -> Image.Image:
    """Red cells with pale centres, one or two white cells with violet nuclei, platelets."""
    h, w, side = height, width, min(height, width)
    tint = 0.02 * (smooth(rng, h, w, side / 2) - 0.5)
    red, green, blue = 0.96 + tint, 0.92 + tint, 0.9 + tint
    points = _scatter(rng, w, h, side * 0.098, 600)
    white = points[: int(rng.integers(1, 4))]
    cells = [p for p in points if p not in white]
    body = _cells(rng, h, w, cells, side * 0.047, 0.05, 1)
    pale = _cells(rng, h, w, cells, side * 0.019, 0.05, 3)
    red, green, blue = (
        red - 0.12 * body + 0.06 * pale,
        green - 0.42 * body + 0.26 * pale,
        blue - 0.36 * body + 0.24 * pale,
    )
    for x, y in white:
        cell = mask(h, w, 1, blob(rng, x, y, side * 0.085, side * 0.08, 0.06))
        lobes = [
            blob(rng, x + rng.normal(0, side * 0.025), y + rng.normal(0, side * 0.025), side * 0.034, side * 0.03, 0.15)
            for _ in range(4)
        ]
        nucleus = mask(h, w, 1, *lobes)
        for channel, plasma, core in ((red, 0.84, 0.36), (green, 0.76, 0.2), (blue, 0.88, 0.55)):
            channel[:] = channel * (1 - cell) + cell * plasma
            channel[:] = channel * (1 - nucleus) + nucleus * (core + 0.12 * fractal(rng, h, w, 9))
    dots = _cells(rng, h, w, [(float(a), float(b)) for a, b in rng.uniform(0, (w, h), (12, 2))], side * 0.01, 0.2, 0.8)
    red, green, blue = red - 0.4 * dots, green - 0.5 * dots, blue - 0.25 * dots
    return blurred(from_channels(red, green, blue), 0.7)


def western_blot(rng: Generator, width: int, height: int) -> Image.Image:
    """Strips of dark bands on grey film, protein names on the left, kDa on the right."""
    strips, lanes = int(rng.integers(2, 5)), int(rng.integers(4, 9))
    c = Canvas(width, height)
    left, right, gap = width * 0.17, width * 0.88, height * 0.03
    tall = (height * 0.84) / strips
    size = max(8, min(height, width) / 26)
    names = rng.permutation(["NPRX2", "p-TNCL1", "TNCL1", "MKR17", "OLGA4", "KRTA9"])
    for s in range(strips):
        w, h = round(right - left), round(tall - gap)
        film = 0.8 + 0.08 * (fractal(rng, h, w, 30) - 0.5) + rng.normal(0, 0.012, (h, w))
        strength = np.full(lanes, 0.75) if s == strips - 1 else np.clip(rng.normal(0.5, 0.35, lanes), 0.03, 0.95)
        for lane in range(lanes):
            x = (lane + 0.5) * w / lanes
            yy, xx = np.mgrid[0:h, 0:w]
            bend = h / 2 + h * 0.06 * ((xx - x) / (w / lanes)) ** 2 * 4 + rng.normal(0, h * 0.02)
            band = np.exp(-(((xx - x) / (w / lanes * 0.36)) ** 6)) * np.exp(-(((yy - bend) / (h * 0.16)) ** 2))
            film -= 0.85 * strength[lane] * band
        y = height * 0.12 + s * tall
        c.paste(blurred(from_channels(film, film, film), 0.8), left, y, w, h)
        c.box(left, y, right, y + h, None, (60, 60, 60), 0.8)
        c.text(left - 6, y + h / 2, "Actin" if s == strips - 1 else str(names[s]), size, anchor="rm")
        c.text(right + 5, y + h / 2, f"{(42 if s == strips - 1 else int(rng.integers(25, 180)))}", size, anchor="lm")
    for lane in range(lanes):
        c.text(
            left + (lane + 0.5) * (right - left) / lanes, height * 0.08, "+" if rng.random() < 0.5 else "-", size * 1.2
        )
    return c.done()


def agarose_gel(rng: Generator, width: int, height: int) -> Image.Image:
    """Dark gel with bright bands, a marker ladder on the left."""
    h, w, lanes = height, width, int(rng.integers(6, 13))
    values = 0.12 + 0.06 * fractal(rng, h, w, 60) + rng.normal(0, 0.012, (h, w))
    yy, xx = np.mgrid[0:h, 0:w]
    pitch = w / (lanes + 0.6)
    for lane in range(lanes):
        x = (lane + 0.8) * pitch
        across = np.exp(-(((xx - x) / (pitch * 0.34)) ** 8))
        values += 0.5 * across * np.exp(-(((yy - h * 0.07) / (h * 0.012)) ** 4)) * 0.5
        levels = (
            np.linspace(0.16, 0.9, 10) ** 1.2
            if lane == 0
            else rng.choice([0.3, 0.42, 0.55, 0.68], int(rng.integers(1, 3)), replace=False)
        )
        for level in levels:
            bright = rng.uniform(0.35, 0.6) if lane == 0 else rng.uniform(0.3, 0.95)
            smear = np.exp(-(((yy - h * level) / (h * 0.012)) ** 2)) + 0.1 * np.exp(
                -(np.abs(yy - h * level) / (h * 0.06))
            )
            values += bright * across * smear
    image = blurred(from_channels(values, values, values), 0.9)
    draw, face = ImageDraw.Draw(image), font(max(10, h // 24))
    for lane in range(lanes):
        draw.text(((lane + 0.8) * pitch, h * 0.02), "M" if lane == 0 else str(lane), (235, 235, 235), face, anchor="ma")
    return image


def culture_plate(rng: Generator, width: int, height: int) -> Image.Image:
    """A round plate with colonies and inhibition zones, or a 96-well plate."""
    if rng.random() < 0.4:
        c = Canvas(width, height, (236, 238, 240))
        pitch = min(width / 13, height / 9)
        x0, y0 = (width - 12 * pitch) / 2, (height - 8 * pitch) / 2
        c.box(
            x0 - pitch * 0.3,
            y0 - pitch * 0.3,
            x0 + 12.3 * pitch,
            y0 + 8.3 * pitch,
            (250, 250, 250),
            (120, 120, 130),
            1.5,
            pitch * 0.3,
        )
        for row in range(8):
            for column in range(12):
                v = float(np.clip(column / 11 + rng.normal(0, 0.12), 0, 1))
                colour = (int(250 - 130 * v), int(230 - 190 * v), int(120 + 60 * v))
                c.disc(x0 + (column + 0.5) * pitch, y0 + (row + 0.5) * pitch, pitch * 0.4, colour, (150, 150, 160), 0.8)
        return c.done()
    h, w, side = height, width, min(height, width)
    c = Canvas(w, h, (38, 40, 44))
    c.disc(w / 2, h / 2, side * 0.46, (222, 196, 150), (240, 240, 240), 3)
    c.disc(w / 2, h / 2, side * 0.43, (226, 203, 160), (200, 175, 130), 1)
    for _ in range(int(rng.integers(80, 220))):
        r, a = side * 0.41 * np.sqrt(rng.random()), rng.random() * 6.3
        c.disc(
            w / 2 + r * np.cos(a),
            h / 2 + r * np.sin(a),
            rng.uniform(1.5, 4.5) * side / 460,
            (248, 244, 226),
            (190, 170, 130),
            0.6,
        )
    for _ in range(int(rng.integers(2, 5))):
        r, a = side * 0.28, rng.random() * 6.3
        x, y = w / 2 + r * np.cos(a), h / 2 + r * np.sin(a)
        c.disc(x, y, side * rng.uniform(0.05, 0.1), (214, 188, 140))
        c.disc(x, y, side * 0.025, (250, 250, 250), (170, 170, 170), 0.8)
    return blurred(c.done(), 0.8)


def confocal_stack(rng: Generator, width: int, height: int) -> Image.Image:
    """Neurite-like bright branches in one colour on black."""
    h, w = height, width
    lines = Image.new("L", (w * 2, h * 2))
    draw = ImageDraw.Draw(lines)
    for x, y in _scatter(rng, w * 2, h * 2, min(h, w) * 0.5, 14):
        draw.ellipse((x - 16, y - 16, x + 16, y + 16), fill=255)
        for _ in range(int(rng.integers(3, 7))):
            px, py, angle, thick = x, y, rng.random() * 6.3, 7.0
            for _ in range(30):
                angle += rng.normal(0, 0.25)
                qx, qy = px + np.cos(angle) * 16, py + np.sin(angle) * 16
                draw.line((px, py, qx, qy), fill=int(rng.integers(120, 230)), width=max(1, round(thick)))
                px, py, thick = qx, qy, thick * 0.94
    signal = to_array(blurred(lines.resize((w, h), Image.Resampling.BOX), 0.9)) + np.abs(rng.normal(0, 0.025, (h, w)))
    tint = ((0.2, 1, 0.3), (1, 0.25, 0.9), (1, 0.85, 0.2))[rng.integers(3)]
    return scale_bar(from_channels(*(signal * t for t in tint)), rng, WHITE)


KINDS = {
    f.__name__: (modality, f)
    for modality, group in {
        "microscopy": (fluorescence, phase_contrast, electron, blood_smear, confocal_stack),
        "histology": (histology, immunohistochemistry),
        "gel": (western_blot, agarose_gel),
        "photograph": (culture_plate,),
    }.items()
    for f in group
}
"""(modality, drawing) by kind."""
