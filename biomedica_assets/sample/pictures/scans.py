"""Radiology-like pictures: simple anatomy models rendered with the texture of the modality. No real patient."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from biomedica_assets.sample.pictures.canvas import (
    Array,
    blob,
    blurred,
    colourise,
    font,
    fractal,
    from_channels,
    grid,
    mask,
    smooth,
    to_array,
)

Generator = np.random.Generator


def _grey(values: Array) -> Image.Image:
    return Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8)).convert("RGB")


def _ellipse(height: int, width: int, x: float, y: float, rx: float, ry: float, blur: float = 1.5) -> Array:
    """Filled ellipse; centre and radii as shares of the picture's smaller side, measured from the middle."""
    side = min(width, height)
    cx, cy = width / 2 + x * side, height / 2 + y * side
    return mask(height, width, blur, ("ellipse", (cx - rx * side, cy - ry * side, cx + rx * side, cy + ry * side)))


def _organ(
    rng: Generator,
    height: int,
    width: int,
    x: float,
    y: float,
    rx: float,
    ry: float,
    rough: float = 0.1,
    turn: float | None = None,
) -> Array:
    side = min(width, height)
    return mask(
        height,
        width,
        1.5,
        blob(rng, width / 2 + x * side, height / 2 + y * side, rx * side, ry * side, rough, turn=turn),
    )


def _marks(image: Image.Image, rng: Generator, texts: tuple[str, ...] = ("R", "L")) -> Image.Image:
    """Side letters as on a viewing station, and sometimes an arrow."""
    draw = ImageDraw.Draw(image)
    width, height = image.size
    size = max(9, height // 22)
    draw.text((6, height / 2), texts[0], (235, 235, 235), font(size), anchor="lm")
    if rng.random() < 0.5:
        draw.text(
            (width - 6, height - 6),
            f"{rng.integers(2, 90)}/{rng.integers(90, 140)}",
            (210, 210, 210),
            font(size),
            anchor="rd",
        )
    if rng.random() < 0.45:
        x, y = width * rng.uniform(0.35, 0.65), height * rng.uniform(0.35, 0.65)
        n = max(10, height // 14)
        draw.line((x + n * 1.8, y + n * 1.8, x + 4, y + 4), fill=(255, 255, 255), width=max(2, n // 6))
        draw.polygon([(x, y), (x + n * 0.8, y + n * 0.3), (x + n * 0.3, y + n * 0.8)], fill=(255, 255, 255))
    return image


def ct(rng: Generator, width: int, height: int) -> Image.Image:
    """Axial slice of the abdomen or chest: skin, fat, muscle, spine, ribs, organs or lungs."""
    h, w = height, width
    body = _ellipse(h, w, 0, 0, 0.46, 0.34)
    picture = 0.22 * body
    inner = _ellipse(h, w, 0, 0.005, 0.42, 0.3)
    picture = picture * (1 - inner) + 0.5 * inner
    if rng.random() < 0.5:  # abdomen
        cavity = _ellipse(h, w, 0, -0.03, 0.37, 0.235)
        picture = picture * (1 - cavity) + (0.26 + 0.06 * fractal(rng, h, w, 30)) * cavity
        liver = np.clip(_organ(rng, h, w, -0.19, -0.05, 0.2, 0.16, 0.2), 0, 1) * cavity
        picture = picture * (1 - liver) + 0.6 * liver
        spleen = _organ(rng, h, w, 0.28, 0.05, 0.07, 0.11) * cavity
        picture = picture * (1 - spleen) + 0.63 * spleen
        for x in (-0.19, 0.19):
            kidney = _organ(rng, h, w, x, 0.13, 0.055, 0.075)
            picture = picture * (1 - kidney) + 0.74 * kidney
            pelvis = _organ(rng, h, w, x * 0.9, 0.13, 0.02, 0.03)
            picture = picture * (1 - pelvis) + 0.34 * pelvis
        for _ in range(7):
            bowel = _organ(rng, h, w, rng.uniform(-0.02, 0.26), rng.uniform(-0.2, 0.04), 0.045, 0.04)
            gas = _organ(rng, h, w, rng.uniform(0, 0.2), rng.uniform(-0.2, -0.1), 0.02, 0.012)
            picture = picture * (1 - bowel) + 0.5 * bowel
            picture *= 1 - 0.9 * gas
        aorta = _ellipse(h, w, 0.02, 0.09, 0.025, 0.025)
        picture = picture * (1 - aorta) + 0.85 * aorta
        lesion = _organ(rng, h, w, -0.2, rng.uniform(-0.1, 0.0), 0.035, 0.035)
        picture = picture * (1 - lesion) + 0.44 * lesion
    else:  # chest
        for x in (-0.2, 0.2):
            lung = _organ(rng, h, w, x, -0.02, 0.155, 0.21, 0.12)
            vessels = (fractal(rng, h, w, 26) > 0.66) * 0.3 + (fractal(rng, h, w, 9) > 0.75) * 0.15
            picture = picture * (1 - lung) + (0.07 + vessels) * lung
        heart = _organ(rng, h, w, 0.06, -0.03, 0.13, 0.12)
        picture = picture * (1 - heart) + 0.58 * heart
        nodule = _organ(rng, h, w, rng.choice([-1, 1]) * rng.uniform(0.2, 0.28), rng.uniform(-0.1, 0.1), 0.022, 0.022)
        picture = picture * (1 - nodule) + 0.62 * nodule
    spine = np.clip(_ellipse(h, w, 0, 0.19, 0.05, 0.045) + _organ(rng, h, w, 0, 0.255, 0.015, 0.05), 0, 1)
    picture = picture * (1 - spine) + 0.95 * spine
    canal = _ellipse(h, w, 0, 0.225, 0.018, 0.014)
    picture = picture * (1 - canal) + 0.4 * canal
    for angle in np.linspace(0.15, np.pi - 0.15, 8):
        for side in (-1, 1):
            x, y = 0.405 * np.cos(angle) * side, 0.285 * np.sin(angle) * rng.choice([-1, 1])
            rib = _organ(rng, h, w, x, y, 0.028, 0.011)
            picture = picture * (1 - rib) + 0.95 * rib
    picture += rng.normal(0, 0.035, (h, w)) * (0.3 + body)
    return _marks(blurred(_grey(picture), 0.6), rng)


def mri(rng: Generator, width: int, height: int) -> Image.Image:
    """Axial slice of a brain, T1-, T2- or FLAIR-like, sometimes with lesions."""
    h, w = height, width
    weighting = str(rng.choice(["t1", "t2", "flair"]))
    white, grey, fluid = {"t1": (0.72, 0.5, 0.1), "t2": (0.38, 0.55, 0.98), "flair": (0.45, 0.58, 0.06)}[weighting]
    head = _ellipse(h, w, 0, 0, 0.36, 0.45)
    skull = _ellipse(h, w, 0, 0, 0.335, 0.425)
    brain = _ellipse(h, w, 0, 0, 0.31, 0.395, 2)
    picture = 0.8 * head * (1 - skull) + 0.06 * skull * (1 - brain)
    y, x = grid(h, w)
    folds = fractal(rng, h, w, min(h, w) / 16, 3)
    folds = (folds + folds[:, ::-1]) / 2  # the halves resemble one another
    depth = np.clip(blurred_array(brain, min(h, w) / 14) * 2 - 1, 0, 1)
    matter = np.where(folds - 0.5 + 0.7 * depth > 0.24, white, grey)
    sulci = (np.abs(folds - 0.5) < 0.035) * (depth < 0.72)
    matter = np.where(sulci, fluid, matter)
    picture = picture * (1 - brain) + blurred_array(matter, 1.0) * brain
    for side in (-1, 1):
        for cy, ry in ((-0.07, 0.075), (0.09, 0.07)):
            ventricle = _organ(
                rng, h, w, side * (0.045 + 0.03 * (cy > 0)), cy, 0.026, ry, 0.06, side * 0.25 * np.sign(-cy)
            )
            picture = picture * (1 - ventricle) + fluid * ventricle
        nucleus = _organ(rng, h, w, side * 0.11, 0.01, 0.035, 0.06, 0.06, side * -0.3)
        picture = picture * (1 - nucleus) + grey * nucleus
    gap = np.exp(-((x * w / min(h, w) * 0.5) ** 2) / 0.000012) * brain * (np.abs(y) > 0.22)
    picture = picture * (1 - gap) + fluid * gap
    for _ in range(int(rng.integers(0, 6))):
        lesion = _organ(rng, h, w, rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), *rng.uniform(0.012, 0.035, 2))
        picture = picture * (1 - lesion) + (0.98 if weighting != "t1" else 0.3) * lesion
    picture *= 0.9 + 0.2 * smooth(rng, h, w, min(h, w) / 2)
    picture += np.abs(rng.normal(0, 0.02, (h, w)))
    return _marks(blurred(_grey(picture), 0.7), rng)


def blurred_array(values: Array, radius: float) -> Array:
    """Gaussian blur of values in 0..1."""
    return to_array(blurred(Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8)), radius))


_LUNG = (
    (0.05, -0.4), (0.16, -0.43), (0.27, -0.28), (0.34, 0.0), (0.36, 0.25), (0.3, 0.32), (0.16, 0.27), (0.07, 0.3),
    (0.06, 0.0),
)  # fmt: skip
"""Outline of one lung, as shares of the picture's smaller side from its middle."""


def xray(rng: Generator, width: int, height: int) -> Image.Image:
    """Frontal chest radiograph: lungs, ribs, heart, diaphragm, clavicles."""
    h, w = height, width
    y, x = grid(h, w)
    side = min(h, w)
    picture = 0.62 - 0.25 * np.abs(x) ** 2 - 0.08 * y
    for s in (-1, 1):
        outline = [
            (w / 2 + s * side * px, h / 2 + side * py)
            for px, py in _LUNG
        ]  # fmt: skip
        lung = mask(h, w, side / 40, outline)
        picture = picture * (1 - 0.62 * lung)
        picture += 0.1 * lung * (fractal(rng, h, w, side / 9, 4) - 0.4)
    bones = Image.new("L", (w, h))
    draw = ImageDraw.Draw(bones)
    for i in range(9):
        for s in (-1, 1):
            top = h / 2 + side * (-0.43 + 0.085 * i)
            t = np.linspace(0, 1, 30)
            reach = 0.2 + 0.17 * np.sin(min(i / 6, 1) * np.pi / 2)
            px = w / 2 + s * side * (0.03 + reach * np.sin(t * np.pi * 0.62) / np.sin(np.pi * 0.5))
            py = top + side * (0.16 * t**1.6 - 0.03 * np.sin(t * np.pi))
            draw.line(list(zip(px, py, strict=True)), fill=105, width=max(2, side // 55), joint="curve")
    for s in (-1, 1):
        ends = [
            (w / 2 + s * side * 0.03, h / 2 - side * 0.36),
            (w / 2 + s * side * 0.2, h / 2 - side * 0.41),
            (w / 2 + s * side * 0.4, h / 2 - side * 0.44),
        ]
        draw.line(ends, fill=150, width=max(3, side // 34), joint="curve")
    picture += 0.55 * to_array(blurred(bones, side / 220)) * (0.55 + 0.45 * np.abs(x))
    spine = np.exp(-((x * w / side / 0.14) ** 2)) * (0.24 + 0.03 * np.sin(y * 60))
    heart = mask(
        h, w, side / 60, blob(rng, w / 2 + side * 0.07, h / 2 + side * 0.13, side * 0.15, side * 0.12, 0.04, turn=0.5)
    )
    picture += np.maximum(spine, 0.36 * heart)
    for s in (-1, 1):
        dome = mask(
            h,
            w,
            side / 60,
            (
                "ellipse",
                (
                    w / 2 + s * side * 0.2 - side * 0.24,
                    h / 2 + side * 0.28,
                    w / 2 + s * side * 0.2 + side * 0.24,
                    h / 2 + side * 0.75,
                ),
            ),
        )
        picture = np.maximum(picture, dome * 0.78)
    if rng.random() < 0.6:
        shade = mask(
            h,
            w,
            side / 25,
            blob(rng, w / 2 - side * 0.2, h / 2 + side * rng.uniform(-0.1, 0.15), side * 0.07, side * 0.06, 0.2),
        )
        picture += 0.25 * shade * (0.5 + fractal(rng, h, w, side / 12))
    picture += rng.normal(0, 0.012, (h, w))
    return _marks(blurred(_grey(picture), 0.7), rng, ("R", ""))


def bone_xray(rng: Generator, width: int, height: int) -> Image.Image:
    """Radiograph of two long bones in soft tissue, with a fracture line now and then."""
    h, w = height, width
    side = min(h, w)
    lean = rng.uniform(-0.12, 0.12)
    y, x = grid(h, w)
    across = (x - lean * y) * w / side
    tissue = 1 / (1 + np.exp((np.abs(across) - 0.62 - 0.12 * y) * 30))
    picture = 0.04 + 0.26 * tissue * (1 - 0.4 * np.abs(across)) + 0.05 * fractal(rng, h, w, 40) * tissue
    for centre, thick in ((-0.2, 0.15), (0.22, 0.1)):
        radius = thick * (1 + 0.9 * np.exp(-((y - 1.05) ** 2) / 0.09) + 0.7 * np.exp(-((y + 1.1) ** 2) / 0.1))
        d = np.abs(across - centre - 0.05 * np.sin(2 * y + centre * 9)) / radius
        bone = 1 / (1 + np.exp((d - 1) * 25))
        cortex = np.exp(-((d - 0.82) ** 2) / 0.02)
        grain = fractal(rng, h, w, 7, 2)
        picture += bone * (0.3 + 0.1 * grain) + 0.3 * cortex
    if rng.random() < 0.7:
        crack = np.abs(y - rng.uniform(-0.3, 0.3) - 0.25 * (across + 0.2) - 0.04 * (fractal(rng, h, w, 8) - 0.5))
        picture -= 0.5 * np.exp(-(crack**2) / 0.0004) * (np.abs(across + 0.2) < 0.17)
    picture += rng.normal(0, 0.012, (h, w))
    return _marks(blurred(_grey(picture), 0.7), rng, ("L", ""))


def ultrasound(rng: Generator, width: int, height: int) -> Image.Image:
    """Sector scan: speckle inside a fan, a fluid-filled space with enhancement behind it, depth marks."""
    h, w = height, width
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    cx, cy = w / 2, -h * 0.12
    r, angle = np.hypot(x - cx, y - cy) / h, np.arctan2(x - cx, y - cy)
    fan = ((r > 0.2) & (r < 1.06) & (np.abs(angle) < 0.66)).astype(np.float64)
    speckle = rng.rayleigh(0.5, (h, w // 2 + 1))
    speckle = np.repeat(speckle, 2, axis=1)[:, :w]
    layers = 0.45 + 0.25 * np.sin(r * 26 + 3 * fractal(rng, h, w, h / 5)) + 0.5 * (fractal(rng, h, w, h / 6) - 0.4)
    bx, by = w * rng.uniform(0.4, 0.6), h * rng.uniform(0.4, 0.6)
    cyst = mask(h, w, 3, blob(rng, bx, by, h * rng.uniform(0.1, 0.2), h * rng.uniform(0.08, 0.14), 0.06))
    behind = mask(h, w, 12, [(bx - h * 0.1, by), (bx + h * 0.1, by), (bx + h * 0.17, h), (bx - h * 0.17, h)])
    echo = layers * (1 - 0.93 * cyst) + 0.22 * behind * (1 - cyst)
    picture = blurred_array(np.clip(echo * speckle * 0.9, 0, 1), 0.8) * fan * (1.15 - 0.4 * r)
    image = _grey(picture)
    draw = ImageDraw.Draw(image)
    for i in range(8):
        draw.line((w - 10, h * (0.1 + 0.11 * i), w - 4, h * (0.1 + 0.11 * i)), fill=(190, 190, 190))
    if rng.random() < 0.6:
        for px, py in ((bx - h * 0.13, by), (bx + h * 0.13, by)):
            draw.line((px - 4, py, px + 4, py), fill=(250, 240, 90))
            draw.line((px, py - 4, px, py + 4), fill=(250, 240, 90))
        draw.text((8, h - 8), f"D1 {rng.uniform(1, 5):.2f} cm", (230, 230, 230), font(max(10, h // 28)), anchor="ld")
    return image


def angiogram(rng: Generator, width: int, height: int) -> Image.Image:
    """Dark branching vessels on a soft grey field."""
    h, w = height, width
    tree = Image.new("L", (w * 2, h * 2))
    draw = ImageDraw.Draw(tree)

    def branch(px: float, py: float, angle: float, thick: float, depth: int) -> None:
        for _ in range(int(rng.integers(9, 16))):
            angle += rng.normal(0, 0.16)
            qx, qy = px + np.cos(angle) * h * 0.035, py + np.sin(angle) * h * 0.035
            draw.line((px, py, qx, qy), fill=255, width=max(1, round(thick)))
            draw.ellipse((qx - thick / 2, qy - thick / 2, qx + thick / 2, qy + thick / 2), fill=255)
            px, py, thick = qx, qy, thick * 0.985
            if depth and rng.random() < 0.28:
                branch(px, py, angle + rng.choice([-1, 1]) * rng.uniform(0.5, 1.1), thick * 0.65, depth - 1)
        if depth:
            for turn in (-0.5, 0.5):
                branch(px, py, angle + turn, thick * 0.7, depth - 1)

    branch(w * rng.uniform(0.7, 1.2), 0, np.pi / 2 + rng.normal(0, 0.2), h / 26, 3)
    vessels = to_array(blurred(tree.resize((w, h), Image.Resampling.BOX), 0.8))
    field = 0.62 + 0.2 * (fractal(rng, h, w, h / 2.5) - 0.5) + rng.normal(0, 0.018, (h, w))
    return _marks(_grey(field * (1 - 0.82 * vessels)), rng, ("", ""))


def pet(rng: Generator, width: int, height: int) -> Image.Image:
    """Coronal whole-body projection, black on white or in a hot map."""
    h, w = height, width
    side = h
    body = np.zeros((h, w))

    def spot(x: float, y: float, rx: float, ry: float, value: float) -> None:
        body[:] += value * mask(
            h, w, side / 60, blob(rng, w / 2 + x * side, h * y, rx * side, ry * side, 0.05, turn=0.0)
        )

    for x, y, rx, ry, v in (
        (0, 0.1, 0.055, 0.075, 0.3), (0, 0.38, 0.15, 0.2, 0.16), (0, 0.62, 0.12, 0.12, 0.16),
        (-0.07, 0.85, 0.04, 0.18, 0.12), (0.07, 0.85, 0.04, 0.18, 0.12), (-0.2, 0.45, 0.03, 0.2, 0.08),
        (0.2, 0.45, 0.03, 0.2, 0.08),
        (0, 0.08, 0.042, 0.055, 0.6), (0.03, 0.33, 0.03, 0.03, 0.35), (-0.05, 0.45, 0.07, 0.05, 0.2),
        (-0.06, 0.53, 0.02, 0.03, 0.45), (0.06, 0.53, 0.02, 0.03, 0.45), (0, 0.72, 0.03, 0.025, 0.9),
    ):  # fmt: skip
        spot(x, y, rx, ry, v)
    for _ in range(int(rng.integers(2, 6))):
        spot(rng.uniform(-0.1, 0.1), rng.uniform(0.25, 0.6), 0.012, 0.012, 0.8)
    values = np.clip(body + 0.03 * fractal(rng, h, w, 8), 0, 1)
    return colourise(values, "hot") if rng.random() < 0.5 else colourise(1 - values, "grey")


def oct_scan(rng: Generator, width: int, height: int) -> Image.Image:
    """Layers of the macula in an optical coherence tomogram, with speckle."""
    h, w = height, width
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    u = (x / w - 0.5) * 2
    pit = 0.09 * np.exp(-(u**2) / 0.05)
    drusen = 0.03 * np.clip(smooth(rng, 1 + 1, w, w / 12)[0] - 0.55, 0, 1)[None, :] * 4
    top = 0.32 + pit + 0.05 * u**2
    base = 0.62 + 0.05 * u**2 - drusen
    t = (y / h - top) / (base - top)
    picture = np.full((h, w), 0.06)
    for low, high, value in (
        (0, 0.14, 0.75),
        (0.14, 0.34, 0.45),
        (0.34, 0.48, 0.6),
        (0.48, 0.58, 0.3),
        (0.58, 0.8, 0.18),
        (0.8, 0.86, 0.6),
        (0.86, 1.0, 0.25),
        (1.0, 1.1, 0.95),
    ):
        picture = np.where((t >= low) & (t < high), value, picture)
    picture = np.where(t >= 1.1, 0.5 * np.exp(-(t - 1.1) / 0.5), picture)
    picture = blurred_array(picture, 1.2) * rng.gamma(4, 0.25, (h, w))
    return blurred(_grey(picture), 0.6)


def fundus(rng: Generator, width: int, height: int) -> Image.Image:
    """Round colour picture of a retina: disc, macula, vessels, sometimes bleeding."""
    h, w = height, width
    side = min(h, w)
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    u, v = (x - w / 2) / side * 2, (y - h / 2) / side * 2
    r = np.hypot(u, v)
    eye = rng.choice([-1, 1])
    shade = 1 - 0.35 * r**2 + 0.15 * (fractal(rng, h, w, side / 4) - 0.5)
    red, green, blue = 0.78 * shade, 0.36 * shade, 0.14 * shade
    macula = np.exp(-((u + 0.15 * eye) ** 2 + v**2) / 0.03)
    disc = 1 / (1 + np.exp((np.hypot((u - 0.5 * eye) / 0.95, v) - 0.15) * 60))
    red, green, blue = red - 0.2 * macula, green - 0.14 * macula, blue - 0.06 * macula
    vessels = Image.new("L", (w * 2, h * 2))
    draw = ImageDraw.Draw(vessels)
    for k in range(10):
        px, py = w + 0.5 * eye * side, float(h)
        angle = (-1 if k % 2 else 1) * rng.uniform(0.7, 1.9) if k < 8 else rng.uniform(-0.3, 0.3)
        heading, thick = angle if eye < 0 else np.pi - angle, rng.uniform(5, 9) * side / 460
        for _ in range(38):
            heading += rng.normal(0, 0.1) + (0.03 if np.sin(heading) < 0 else -0.03) * eye
            qx, qy = px + np.cos(heading) * side * 0.045, py + np.sin(heading) * side * 0.045
            draw.line((px, py, qx, qy), fill=230, width=max(1, round(thick)))
            px, py, thick = qx, qy, thick * 0.96
    line = to_array(blurred(vessels.resize((w, h), Image.Resampling.BOX), 0.7))
    red, green, blue = red * (1 - 0.35 * line), green * (1 - 0.65 * line), blue * (1 - 0.5 * line)
    red, green, blue = red + 0.2 * disc, green + 0.5 * disc, blue + 0.35 * disc
    for _ in range(int(rng.integers(0, 9))):
        spot = mask(
            h,
            w,
            1,
            blob(
                rng,
                w / 2 + rng.uniform(-0.3, 0.3) * side,
                h / 2 + rng.uniform(-0.3, 0.3) * side,
                side * 0.012,
                side * 0.01,
                0.3,
            ),
        )
        red, green, blue = red - 0.3 * spot, green - 0.22 * spot, blue - 0.08 * spot
    inside = 1 / (1 + np.exp((r - 0.96) * 90))
    return blurred(from_channels(red * inside, green * inside, blue * inside), 0.6)


KINDS = {f.__name__: f for f in (ct, mri, xray, bone_xray, ultrasound, angiogram, pet)}
EYE_KINDS = {"oct": oct_scan, "fundus": fundus}
