"""Train the reader of panel letters: `python -m benchmarks.panel_glyphs FONTS... ` writes `panels/glyphs.npz`.

FONTS are font files or folders of them; those of the shipped file: Liberation, URW base 35, Lato, Carlito (Debian
packages) and matplotlib's DejaVu. Letters are drawn in many sizes, colours and grounds, compressed as JPEG, and found
again by the very code that finds them in figures. All else that the code finds - digits, signs, pieces of words, marks
in drawn pictures - is the class of what is no letter.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from biomedica_assets.panels import glyphs
from biomedica_assets.sample.pictures import DRAWINGS, canvas

CELL = 76
MARKS = ("{}", "{}", "{}", "{}", "({})", "{})", "{}.", "[{}]")
OTHERS = [
    *"0123456789+*#%&=<>?!/|~@$αβγδεμσχ→←↑↓×•■●▲△○□◆★†‡§°",
    "12",
    "Fig",
    "rn",
    "li",
    "TM",
    "IV",
    "ns",
    "**",
    "AB",
    "th",
]
HIDDEN = 112


def font_files(paths: list[str]) -> list[str]:
    """Upright and slanted text fonts; those for symbols are left out."""
    files = [f for path in map(Path, paths) for f in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    skip = ("D050000L", "StandardSymbols", "Z003", "Hairline", "Thin", "Display", "Chancery", "MathTeX", "ExtraLight")
    return [str(f) for f in files if f.suffix in (".ttf", ".otf") and not any(word in f.name for word in skip)]


Truth = list[tuple[int, bool, tuple[float, float, float, float]]]
"""Class, whether light on dark, and box of each text of a page."""
_DOTLESS = {"i": "ı", "j": "ȷ"}
"""The dots of i and j are marks of their own."""


def drawn_page(rng: np.random.Generator, fonts: list[str]) -> tuple[np.ndarray, Truth]:
    """A page of lone texts, and what they are."""
    side = CELL * 13
    light = bool(rng.random() < 0.35)
    ground = int(rng.integers(0, 70) if light else rng.integers(200, 256))
    image = Image.new("L", (side, side), ground)
    draw = ImageDraw.Draw(image)
    truth: Truth = []
    for column in range(13):
        for row in range(13):
            letter = rng.random() < 0.8
            text = str(rng.choice(list(glyphs.CLASSES))) if letter else str(rng.choice(OTHERS))
            size = int(np.exp(rng.uniform(np.log(10), np.log(46))))
            face = ImageFont.truetype(str(rng.choice(fonts)), size)
            ink = int(rng.integers(200, 256) if light else rng.integers(0, 75))
            shown = str(rng.choice(MARKS)) if letter else "{}"
            x, y = column * CELL + 10 + rng.random() * 3, row * CELL + 6 + rng.random() * 3
            draw.text((x, y), shown.format(text), ink, face, stroke_width=int(rng.random() < 0.08))
            box = face.getbbox(_DOTLESS.get(text, text))
            x += face.getlength(shown[: shown.index("{")])
            kind = glyphs.CLASSES.index(text) if letter else len(glyphs.CLASSES)
            truth.append((kind, light, (x + box[0], y + box[1], x + box[2], y + box[3])))
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 0.9))))
    if rng.random() < 0.5:
        small = (round(side * float(rng.uniform(0.6, 1))),) * 2
        image = image.resize(small, Image.Resampling.BICUBIC).resize((side, side), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(50, 96)))
    return np.asarray(Image.open(buffer)), truth


def examples(rng: np.random.Generator, fonts: list[str], pages: int) -> tuple[np.ndarray, np.ndarray]:
    """What the classifier sees, and the classes."""
    inputs, classes = [], []
    other = len(glyphs.CLASSES)
    for _ in range(pages):
        grey, truth = drawn_page(rng, fonts)
        boxes = np.array([box for *_, box in truth])
        levels = glyphs.LEVELS if rng.random() < 0.75 else glyphs.SHARP_LEVELS
        for mark, look in zip(*glyphs.lone_marks(grey, levels), strict=True):
            low, high = np.maximum(boxes[:, :2], mark[:2]), np.minimum(boxes[:, 2:], mark[2:4])
            common = np.clip(high - low, 0, None).prod(axis=1)
            own = (mark.x1 - mark.x0) * mark.height
            share = common / (own + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - common)
            best = int(share.argmax())
            kind, light, _ = truth[best]
            if share[best] > 0.55 and light == mark.light:
                classes.append(kind)
            elif light != mark.light or share[best] < 0.25:  # holes of letters, dots, brackets
                classes.append(other)
            else:
                continue
            inputs.append(look)
    kinds = sorted(DRAWINGS)
    for number in range(pages // 3):
        kind = kinds[number % len(kinds)]
        width, height = (int(v) for v in rng.integers(200, 700, 2))
        grey = np.asarray(DRAWINGS[kind][1](canvas.generator("glyphs", number), width, height).convert("L"))
        _, seen = glyphs.lone_marks(grey, glyphs.SHARP_LEVELS if number % 3 else glyphs.LEVELS)
        inputs += list(seen[:40])
        classes += [other] * min(40, len(seen))
    return np.array(inputs), np.array(classes)


def heights(fonts: list[str]) -> np.ndarray:
    """Height of each class's largest connected part as a share of a capital's, median of the fonts."""
    found = []
    for path in fonts:
        face = ImageFont.truetype(path, 100)
        tall = face.getbbox("H")[3] - face.getbbox("H")[1]
        own = []
        for letter in glyphs.CLASSES:
            box = face.getbbox(_DOTLESS.get(letter, letter))
            own.append((box[3] - box[1]) / tall)
        found.append(own)
    return np.median(np.array(found), axis=0)


def train(inputs: np.ndarray, classes: np.ndarray, seed: int) -> glyphs.Weights:
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier((HIDDEN,), alpha=1e-5, batch_size=256, max_iter=22, random_state=seed, early_stopping=False)
    model.fit(inputs, classes)
    assert list(model.classes_) == list(range(len(glyphs.CLASSES) + 1))
    return glyphs.Weights(model.coefs_[0], model.intercepts_[0], model.coefs_[1], model.intercepts_[1], np.array([]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fonts", nargs="+")
    parser.add_argument("--held-out", nargs="*", default=[])
    parser.add_argument("--pages", type=int, default=900)
    parser.add_argument("--out", default=str(Path(glyphs.__file__).with_name(glyphs.WEIGHTS)))
    options = parser.parse_args()
    fonts = font_files(options.fonts)
    inputs, classes = examples(np.random.default_rng(7), fonts, options.pages)
    print(
        f"{len(fonts)} fonts, {len(inputs)} examples, {np.mean(classes == len(glyphs.CLASSES)):.2f} of them no letters"
    )
    trained = train(inputs, classes, seed=7)._replace(heights=heights(fonts))
    halves = {name: value.astype(np.float16) for name, value in trained._asdict().items()}
    buffer = io.BytesIO()
    np.savez(buffer, **halves)
    Path(options.out).write_bytes(buffer.getvalue())
    print(f"{len(buffer.getvalue())} bytes, SHA-256 {hashlib.sha256(buffer.getvalue()).hexdigest()}")
    if options.held_out:
        inputs, classes = examples(np.random.default_rng(8), font_files(options.held_out), 40)
        used = glyphs.Weights(*(value.astype(np.float64) for value in halves.values()))
        said = glyphs.classify(inputs, used).argmax(axis=1)
        names = np.array([*glyphs.CLASSES.upper(), "other"])
        letters = classes < len(glyphs.CLASSES)
        right = names[said] == names[classes]
        print(f"held-out fonts: letters {right[letters].mean():.4f} (either case), others {right[~letters].mean():.4f}")


if __name__ == "__main__":
    main()
