"""Photograph-like pictures: skin, endoscopy, surgery, specimens, scenes, devices, leaves."""

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
    smooth,
    to_array,
)

Generator = np.random.Generator
SKIN = ((0.93, 0.76, 0.67), (0.84, 0.64, 0.52), (0.62, 0.43, 0.33), (0.4, 0.27, 0.21))


def _mix(channels: list[Array], cover: Array, tone: tuple[float, float, float], shade: Array | float = 1.0) -> None:
    for i in range(3):
        channels[i] = channels[i] * (1 - cover) + cover * tone[i] * shade


def _camera(rng: Generator, channels: list[Array]) -> Image.Image:
    """Uneven light and sensor noise, as a camera adds them."""
    h, w = channels[0].shape
    light = 0.9 + 0.2 * smooth(rng, h, w, min(h, w) / 1.5)
    return blurred(from_channels(*(c * light + rng.normal(0, 0.012, (h, w)) for c in channels)), 0.7)


def skin_lesion(rng: Generator, width: int, height: int) -> Image.Image:
    """Skin of several tones with a pigmented spot, red plaques with scale, or small papules; some hairs."""
    h, w, side = height, width, min(height, width)
    tone = SKIN[rng.integers(4)]
    pores = 0.93 + 0.09 * fractal(rng, h, w, side / 50, 3) + 0.06 * fractal(rng, h, w, side / 3)
    channels = [t * pores for t in tone]
    form = int(rng.integers(3))
    if form == 0:
        for scale, dark in ((1.0, 0.62), (0.75, 0.42), (0.4, 0.28)):
            spot = mask(h, w, side / 60, blob(rng, w / 2, h / 2, side * 0.24 * scale, side * 0.2 * scale, 0.22))
            _mix(
                channels,
                spot * (0.6 + 0.4 * fractal(rng, h, w, side / 22)),
                (tone[0] * dark, tone[1] * dark * 0.8, tone[2] * dark * 0.75),
            )
    elif form == 1:
        for _ in range(int(rng.integers(2, 6))):
            x, y, r = rng.uniform(0.15, 0.85) * w, rng.uniform(0.15, 0.85) * h, side * rng.uniform(0.08, 0.22)
            outline = blob(rng, x, y, r, r * 0.8, 0.25)
            _mix(channels, 0.75 * mask(h, w, side / 70, outline), (0.78, 0.32, 0.3), pores)
            scale_ = mask(h, w, side / 60, outline) * np.clip((fractal(rng, h, w, side / 28) - 0.52) * 6, 0, 0.85)
            _mix(channels, scale_, (0.93, 0.9, 0.86))
    else:
        for _ in range(int(rng.integers(25, 70))):
            x, y, r = rng.uniform(0, w), rng.uniform(0, h), side * rng.uniform(0.01, 0.028)
            _mix(channels, 0.6 * mask(h, w, r / 2, ("ellipse", (x - r, y - r, x + r, y + r))), (0.82, 0.36, 0.34))
            _mix(
                channels, 0.4 * mask(h, w, 1, ("ellipse", (x - r * 0.6, y - r * 0.7, x, y - r * 0.1))), (1, 0.92, 0.88)
            )
    image = _camera(rng, channels)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 26))):
        x, y, a = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.3, 1.2)
        points = [
            (x + side * 0.02 * k * np.cos(a + 0.09 * k), y + side * 0.02 * k * np.sin(a + 0.09 * k)) for k in range(8)
        ]
        draw.line(points, fill=(50, 34, 26), width=1)
    return blurred(image, 0.5)


def endoscopy(rng: Generator, width: int, height: int) -> Image.Image:
    """Round or clipped view into a pink lumen with folds, wet highlights and a lesion; text at the side."""
    h, w, side = height, width, min(height, width)
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    cx, cy = w / 2 + side * rng.uniform(-0.12, 0.12), h / 2 + side * rng.uniform(-0.12, 0.12)
    r = np.hypot(x - cx, y - cy) / side
    angle = np.arctan2(y - cy, x - cx)
    wave = fractal(rng, h, w, side / 3, 3)
    folds = 0.5 + 0.5 * np.sin(r * 34 + 2.2 * np.sin(angle * 3 + 3 * wave) + 4 * wave)
    light = np.clip(0.25 + 1.6 * r, 0, 1.05) * (0.75 + 0.3 * folds)
    channels = [0.95 * light, (0.48 + 0.1 * wave) * light, (0.42 + 0.1 * wave) * light]
    vessels = np.abs(fractal(rng, h, w, side / 8, 4) - 0.5) < 0.012
    _mix(channels, 0.4 * vessels * (r > 0.18), (0.7, 0.14, 0.16))
    px, py = cx + side * 0.24 * np.cos(1.1), cy + side * 0.24 * np.sin(1.1)
    if rng.random() < 0.7:
        lesion = blob(rng, px, py, side * 0.1, side * 0.08, 0.15)
        _mix(channels, mask(h, w, 4, lesion), (0.85, 0.36, 0.34), 0.8 + 0.4 * fractal(rng, h, w, side / 26))
    for _ in range(int(rng.integers(10, 30))):
        a, d = rng.random() * 6.3, side * rng.uniform(0.18, 0.45)
        gx, gy, g = cx + d * np.cos(a), cy + d * np.sin(a), side * rng.uniform(0.004, 0.015)
        _mix(channels, 0.9 * mask(h, w, 1.5, blob(rng, gx, gy, g * 2, g, 0.3, 14)), (1, 1, 1))
    view = np.hypot(x - w / 2, y - h / 2) / side
    frame = 1 / (1 + np.exp((view - 0.485) * 200))
    image = from_channels(*(c * frame for c in channels))
    draw = ImageDraw.Draw(image)
    for k, line in enumerate(
        (f"{rng.integers(10, 29)}/0{rng.integers(1, 9)}", f"{rng.integers(8, 18)}:{rng.integers(10, 59)}")
    ):
        draw.text((6, 8 + k * h / 20), line, (210, 210, 210), font(max(9, h // 26)))
    return blurred(image, 0.7)


def surgery(rng: Generator, width: int, height: int) -> Image.Image:
    """Open wound: red tissue and yellow fat between green drapes, steel instruments, highlights."""
    h, w, side = height, width, min(height, width)
    weave = 0.9 + 0.1 * fractal(rng, h, w, 5, 2)
    drape = ((0.16, 0.42, 0.4), (0.15, 0.32, 0.5))[rng.integers(2)]
    shade = 0.7 + 0.5 * fractal(rng, h, w, side / 3)
    channels = [d * weave * shade for d in drape]
    skin = blob(rng, w / 2, h / 2, w * 0.4, h * 0.36, 0.08)
    _mix(channels, mask(h, w, 4, skin), (0.86, 0.62, 0.45), 0.8 + 0.3 * shade)
    for scale, tone in ((0.78, (0.92, 0.76, 0.4)), (0.66, (0.68, 0.14, 0.13)), (0.36, (0.5, 0.06, 0.08))):
        texture = 0.65 + 0.6 * fractal(rng, h, w, side / 12, 4)
        _mix(channels, mask(h, w, 3, blob(rng, w / 2, h / 2, w * 0.4 * scale, h * 0.33 * scale, 0.14)), tone, texture)
    organ = mask(h, w, 3, blob(rng, w * 0.5, h * 0.52, side * 0.15, side * 0.12, 0.12))
    _mix(channels, organ, (0.82, 0.4, 0.36), 0.75 + 0.4 * fractal(rng, h, w, side / 9))
    for _ in range(26):
        x, y = w / 2 + rng.normal(0, 0.12) * w, h / 2 + rng.normal(0, 0.1) * h
        _mix(channels, 0.85 * mask(h, w, 1.2, blob(rng, x, y, side * 0.014, side * 0.006, 0.3, 12)), (1, 0.96, 0.94))
    image = from_channels(*channels)
    c = Canvas(w, h, image)
    for _ in range(int(rng.integers(1, 4))):
        x0, y0 = rng.choice([0, w]), rng.uniform(0, h)
        x1, y1 = w / 2 + rng.normal(0, 0.07) * w, h / 2 + rng.normal(0, 0.08) * h
        c.line([(x0, y0), (x1, y1)], (120, 126, 132), side / 38)
        c.line([(x0, y0 - 2), (x1, y1 - 2)], (225, 230, 234), side / 120)
        c.disc(x1, y1, side / 60, (150, 155, 160))
    return blurred(c.done(), 0.8)


def specimen(rng: Generator, width: int, height: int) -> Image.Image:
    """An excised piece on blue cloth with a ruler."""
    h, w, side = height, width, min(height, width)
    weave = 0.85 + 0.2 * fractal(rng, h, w, 6, 2)
    channels = [t * weave for t in ((0.2, 0.38, 0.62), (0.18, 0.45, 0.4))[rng.integers(2)]]
    outline = blob(rng, w / 2, h * 0.43, side * 0.33, side * 0.24, 0.2, 70)
    shadow = mask(h, w, 10, [(x + 7, y + 9) for x, y in outline])
    _mix(channels, 0.6 * shadow, (0.04, 0.06, 0.1))
    body = mask(h, w, 2, outline)
    _mix(channels, body, (0.72, 0.36, 0.3), 0.6 + 0.7 * fractal(rng, h, w, side / 9, 5))
    _mix(channels, body * (fractal(rng, h, w, side / 6) > 0.62), (0.9, 0.75, 0.5))
    _mix(channels, mask(h, w, 2, blob(rng, w * 0.52, h * 0.43, side * 0.1, side * 0.08, 0.3)), (0.42, 0.12, 0.14))
    c = Canvas(w, h, _camera(rng, channels))
    c.box(w * 0.15, h * 0.82, w * 0.85, h * 0.93, (245, 243, 230), (90, 90, 90), 1)
    for k in range(71):
        x = w * (0.15 + 0.7 * k / 70)
        c.line([(x, h * 0.82), (x, h * (0.86 if k % 10 else 0.885))], (20, 20, 20), 0.8)
        if k % 10 == 0 and k < 70:
            c.text(x + 3, h * 0.905, str(k // 10), h / 30, anchor="lm")
    return blurred(c.done(), 0.5)


def landscape(rng: Generator, width: int, height: int) -> Image.Image:
    """Sky, hills, a field with rows or water, some trees."""
    h, w = height, width
    y, _ = np.mgrid[0:h, 0:w] / h
    clouds = np.clip((fractal(rng, h, w, h / 2.2, 5) - 0.48) * 2.4, 0, 1)
    channels = [0.45 + 0.3 * y + 0.3 * clouds, 0.62 + 0.2 * y + 0.2 * clouds, 0.86 + 0.06 * y + 0.06 * clouds]
    for k, tone in enumerate(((0.5, 0.58, 0.66), (0.36, 0.48, 0.42), (0.3, 0.44, 0.24))):
        ridge = 0.42 + 0.09 * k + 0.14 * (fractal(rng, 2, w, w / (2.5 + k), 4)[0] - 0.5)
        _mix(channels, 1 / (1 + np.exp(-(y - ridge[None, :]) * h)), tone, 0.8 + 0.35 * fractal(rng, h, w, h / 25))
    edge = 0.66 + 0.02 * (fractal(rng, 2, w, w / 3)[0] - 0.5)
    near = 1 / (1 + np.exp(-(y - edge[None, :]) * h))
    x = np.mgrid[0:h, 0:w][1] / w - 0.5
    rows = 0.5 + 0.5 * np.sin(x / np.clip(y - 0.6, 0.04, None) * 34)
    _mix(
        channels,
        near,
        ((0.5, 0.52, 0.22), (0.66, 0.55, 0.28), (0.3, 0.42, 0.5))[rng.integers(3)],
        0.7 + 0.3 * rows * rng.uniform(0.2, 1) + 0.2 * fractal(rng, h, w, 8),
    )
    for _ in range(int(rng.integers(1, 7))):
        tx, ty, r = rng.uniform(0, w), h * rng.uniform(0.6, 0.72), h * rng.uniform(0.04, 0.12)
        _mix(
            channels,
            mask(h, w, 1, ("ellipse", (tx - r * 0.08, ty - r, tx + r * 0.08, ty + r * 0.4))),
            (0.25, 0.17, 0.1),
        )
        _mix(
            channels,
            mask(h, w, 2, blob(rng, tx, ty - r, r * 0.8, r, 0.25)),
            (0.16, 0.32, 0.12),
            0.6 + 0.8 * fractal(rng, h, w, h / 40),
        )
    return _camera(rng, channels)


def leaf(rng: Generator, width: int, height: int) -> Image.Image:
    """A leaf on a pale or dark ground, with veins and spots."""
    h, w, side = height, width, min(height, width)
    tone = (0.92, 0.92, 0.9) if rng.random() < 0.6 else (0.12, 0.12, 0.13)
    channels = [np.full((h, w), t) * (0.96 + 0.06 * fractal(rng, h, w, side / 2)) for t in tone]
    t = np.linspace(0, 1, 60)
    half = np.sin(t * np.pi) ** 0.75 * side * rng.uniform(0.16, 0.27) * (1 + 0.06 * np.sin(t * 60))
    px = w * (0.12 + 0.76 * t)
    bend = h * (0.5 + 0.07 * np.sin(t * 3))
    outline = [*zip(px, bend - half, strict=True), *zip(px[::-1], (bend + half)[::-1], strict=True)]
    body = mask(h, w, 1.5, outline)
    _mix(channels, 0.5 * mask(h, w, 9, [(x + 6, y + 8) for x, y in outline]), (0.3, 0.3, 0.3))
    _mix(channels, body, (0.3, 0.52, 0.18), 0.75 + 0.45 * fractal(rng, h, w, side / 16))
    for _ in range(int(rng.integers(6, 60))):
        k = int(rng.integers(5, 55))
        x, y = px[k], bend[k] + rng.uniform(-0.85, 0.85) * half[k]
        r = side * rng.uniform(0.008, 0.03)
        _mix(
            channels,
            0.8 * body * mask(h, w, r / 2, ("ellipse", (x - r * 1.5, y - r * 1.5, x + r * 1.5, y + r * 1.5))),
            (0.8, 0.72, 0.25),
        )
        _mix(channels, body * mask(h, w, 1, blob(rng, x, y, r, r * 0.8, 0.25, 16)), (0.5, 0.24, 0.08))
    c = Canvas(w, h, _camera(rng, channels))
    c.line(list(zip(px, bend, strict=True)), (170, 190, 110), side / 90)
    for k in range(6, 56, 5):
        for s in (-1, 1):
            end = min(int(k) + 6, 59)
            c.line([(px[k], bend[k]), (px[end], bend[end] + s * half[end] * 0.85)], (150, 175, 95), side / 260)
    return c.done()


def device(rng: Generator, width: int, height: int) -> Image.Image:
    """A bench instrument or vial on a table against a wall."""
    h, w = height, width
    y = np.mgrid[0:h, 0:w][0] / h
    wall = 0.8 - 0.15 * y + 0.03 * fractal(rng, h, w, h / 2)
    channels = [wall * t for t in ((1, 0.99, 0.95), (0.92, 0.97, 1))[rng.integers(2)]]
    _mix(channels, (y > 0.74).astype(float), (0.5, 0.38, 0.28), 0.8 + 0.3 * fractal(rng, h, w, 60, 2))
    c = Canvas(w, h, _camera(rng, channels))
    body = ((236, 238, 240), (200, 208, 216), (60, 66, 74))[rng.integers(3)]
    c.disc(w * 0.47, h * 0.82, w * 0.33, (90, 70, 55), None, 1, h * 0.035)
    c.box(w * 0.18, h * 0.3, w * 0.7, h * 0.82, body, (90, 95, 100), 1.5, 14)
    c.box(w * 0.23, h * 0.37, w * 0.47, h * 0.56, (18, 44, 50), (30, 30, 30), 2, 4)
    xs = np.linspace(w * 0.24, w * 0.46, 60)
    c.line(
        list(zip(xs, h * (0.47 - 0.06 * np.sin(np.arange(60) / 4) * rng.random(60)), strict=True)), (90, 240, 140), 1.4
    )
    for k in range(6):
        c.disc(
            w * (0.52 + 0.055 * (k % 3)),
            h * (0.42 + 0.09 * (k // 3)),
            h * 0.022,
            ((190, 50, 45), (60, 130, 70), (70, 80, 150))[k % 3],
            (50, 50, 50),
            1,
        )
    for k in range(int(rng.integers(1, 4))):
        x = w * (0.77 + 0.07 * k)
        c.box(x - w * 0.022, h * 0.55, x + w * 0.022, h * 0.84, (226, 236, 240), (120, 130, 140), 1.2, 6)
        c.box(
            x - w * 0.02,
            h * 0.68,
            x + w * 0.02,
            h * 0.832,
            ((210, 120, 40), (190, 40, 60), (60, 110, 190))[k % 3],
            None,
            1,
            5,
        )
        c.box(x - w * 0.024, h * 0.52, x + w * 0.024, h * 0.56, (60, 62, 66), None, 1, 2)
    return blurred(c.done(), 0.8)


def street(rng: Generator, width: int, height: int) -> Image.Image:
    """Buildings along a road under a grey sky."""
    h, w = height, width
    c = Canvas(w, h, (198, 208, 218))
    x = -w * 0.05
    while x < w:
        bw, bh = w * rng.uniform(0.1, 0.2), h * rng.uniform(0.3, 0.62)
        tone = rng.uniform(120, 220)
        wall = tuple(int(np.clip(tone * t, 0, 255)) for t in rng.uniform(0.8, 1.1, 3))
        c.box(x, h * 0.72 - bh, x + bw, h * 0.72, wall, (90, 90, 95), 1)  # type: ignore[arg-type]
        rows, columns = int(bh / (h * 0.085)), int(bw / (w * 0.035))
        for i in range(rows):
            for k in range(columns):
                wx, wy = x + bw * (k + 0.3) / columns, h * 0.72 - bh + bh * (i + 0.3) / rows
                pane = (250, 232, 160) if rng.random() < 0.15 else (84, 104, 124)
                c.box(wx, wy, wx + bw * 0.42 / columns, wy + bh * 0.45 / rows, pane, None)
        x += bw * 1.02
    c.polygon([(0, h * 0.72), (w, h * 0.72), (w, h), (0, h)], (112, 114, 116))
    c.polygon([(w * 0.48, h * 0.72), (w * 0.52, h * 0.72), (w * 0.75, h), (w * 0.25, h)], (76, 78, 82))
    for k in range(5):
        y = h * (0.76 + 0.05 * k)
        c.line([(w / 2, y), (w / 2, y + h * 0.025)], (235, 235, 220), 2 + k)
    picture = to_array(blurred(c.done(), 0.9))
    shade = 0.9 + 0.15 * fractal(rng, h, w, h / 8)
    return _camera(rng, [picture[..., i] * shade for i in range(3)])


KINDS = {
    "skin_lesion": ("dermatology", skin_lesion),
    "endoscopy": ("endoscopy", endoscopy),
    "surgery": ("surgery", surgery),
    "specimen": ("photograph", specimen),
    "landscape": ("photograph", landscape),
    "leaf": ("photograph", leaf),
    "device": ("photograph", device),
    "street": ("photograph", street),
}
