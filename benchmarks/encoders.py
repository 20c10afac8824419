"""Encoders: captions and images per CPU-second, peak memory, and what the image vectors are good for.

    python -m benchmarks.encoders [--quick]

Captions and pictures are those of the embedded sample, the pictures enlarged to 1,400 x 1,000 pixels as figures have
them. The floor of images is opening, decoding and fitting them alone. Quality: cells cut out of the blood smears of
BCCD beside the checkout (../shared/data/bccd), told apart by ridge regression over five folds of whole smears,
and by their ten nearest neighbours, with raw pixels and the most frequent class beside them.
"""

from __future__ import annotations

import io
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.measure import SHARED, Row, Table, main, mib, run
from biomedica_assets.models.encoders import find_encoder, load_encoder
from biomedica_assets.models.lite0_graph import SIDE
from biomedica_assets.models.pictures import square
from biomedica_assets.sample.articles import release_articles
from biomedica_assets.sample.pictures import render

CAPTIONS, QUICK_CAPTIONS = {"wordllama": 20_000, "minilm": 400}, 50
PICTURES, QUICK_PICTURES = 200, 20
FIGURE = (1400, 1000)
CELLS, QUICK_CELLS = 360, 60
"""Cells of each of the three classes at most."""
FOLDS, NEIGHBOURS, RIDGE = 5, 10, 1.0
BCCD = SHARED / "data" / "bccd" / "BCCD"


def captions(count: int) -> list[str]:
    """Captions of the sample, five in one for the length of PMC's, with a number so that no two are alike."""
    own = [figure.caption for article in release_articles(1) for figure in article.figures if figure.caption]
    return [" ".join([*(own[(n + step) % len(own)] for step in range(5)), f"({n})"]) for n in range(count)]


def pictures(count: int, kind: str) -> list[bytes]:
    """Pictures of the sample enlarged to `FIGURE`, as files of a format, repeated as often as needed."""
    drawn = [(p, a.article_id) for a in release_articles(1) for p in a.pictures][:40]
    made = []
    for picture, owner in drawn[:count]:
        image = Image.open(io.BytesIO(render(picture, owner).data)).convert("RGB").resize(FIGURE)
        file = io.BytesIO()
        image.save(file, kind, quality=85)
        made.append(file.getvalue())
    return [made[n % len(made)] for n in range(count)]


def encode_captions(name: str, count: str) -> dict[str, float]:
    """Step: CPU seconds of encoding so many captions, loading left out; mean words of one."""
    texts, encoder = captions(int(count)), load_encoder(name)
    cpu = time.process_time()
    encoder.encode_texts(texts)
    return {"cpu": time.process_time() - cpu, "words": float(np.mean([len(text.split()) for text in texts]))}


def encode_pictures(name: str, count: str, kind: str) -> dict[str, float]:
    """Step: CPU seconds of encoding so many pictures, loading left out; of ``decode`` without any network."""
    images = pictures(int(count), kind)
    if name == "decode":
        cpu = time.process_time()
        for data in images:
            square(data, SIDE)
        return {"cpu": time.process_time() - cpu}
    encoder = load_encoder(name)
    cpu = time.process_time()
    encoder.encode_images(images)
    return {"cpu": time.process_time() - cpu}


def cells(per_class: int) -> tuple[list[bytes], np.ndarray, np.ndarray]:
    """Cut-out cells as files, their classes and the number of the smear each is from; classes of equal size."""
    found: dict[str, list[tuple[int, bytes]]] = {}
    random = np.random.default_rng(7)
    for number, path in enumerate(sorted((BCCD / "Annotations").glob("*.xml"))):
        smear = Image.open(BCCD / "JPEGImages" / f"{path.stem}.jpg").convert("RGB")
        objects = ET.parse(path).getroot().findall("object")
        seen: set[str] = set()
        for index in random.permutation(len(objects)).tolist():
            name = objects[index].findtext("name") or ""
            box = [int(objects[index].findtext(f"bndbox/{side}") or 0) for side in ("xmin", "ymin", "xmax", "ymax")]
            if name in seen or min(box[2] - box[0], box[3] - box[1]) < 10:
                continue  # one cell of a class of each smear: red cells are a hundred times as many
            seen.add(name)
            file = io.BytesIO()
            smear.crop((box[0], box[1], box[2], box[3])).save(file, "PNG")
            found.setdefault(name, []).append((number, file.getvalue()))
    chosen = [(name, smear, data) for name, each in sorted(found.items()) for smear, data in each[:per_class]]
    classes = np.unique([name for name, *_ in chosen], return_inverse=True)[1]
    return [data for *_, data in chosen], classes, np.array([smear for _, smear, _ in chosen])


def probe(vectors: np.ndarray, classes: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Accuracy of ridge regression on one-hot classes over folds of whole groups, and precision among neighbours."""
    fold = np.random.default_rng(1).permutation(groups.max() + 1)[groups] % FOLDS
    right = np.zeros(len(classes), bool)
    for number in range(FOLDS):
        train, test = fold != number, fold == number
        mean, scale = vectors[train].mean(axis=0), vectors[train].std(axis=0).mean() or 1
        x = np.c_[(vectors[train] - mean) / scale, np.ones(train.sum())]
        wanted = np.eye(classes.max() + 1)[classes[train]]
        # The dual form: fewer cells than dimensions.
        weights = x.T @ np.linalg.solve(x @ x.T + RIDGE * x.shape[1] * np.eye(len(x)), wanted)
        shown = np.c_[(vectors[test] - mean) / scale, np.ones(test.sum())]
        right[test] = (shown @ weights).argmax(axis=1) == classes[test]
    centred = vectors - vectors.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    near = centred @ centred.T
    np.fill_diagonal(near, -2)
    nearest = near.argsort(axis=1)[:, ::-1][:, :NEIGHBOURS]
    return float(right.mean()), float((classes[nearest] == classes[:, None]).mean())


def judge(name: str, per_class: str) -> dict[str, Any]:
    """Step: quality of an encoder, of ``pixels`` (24 x 24) or of ``chance`` on the cells."""
    images, classes, groups = cells(int(per_class))
    if name == "pixels":
        vectors = np.stack([square(data, 24).astype(np.float64).ravel() / 255 for data in images])
    elif name == "chance":
        share = np.bincount(classes) / len(classes)
        return {"accuracy": float(share.max()), "precision": float((share**2).sum()), "cells": len(classes)}
    else:
        vectors = load_encoder(name).encode_images(images)[0].astype(np.float16).astype(np.float64)
    accuracy, precision = probe(vectors, classes, groups)
    return {"accuracy": accuracy, "precision": precision, "cells": len(classes)}


def benchmark(quick: bool) -> Iterator[Table]:
    """Speed and memory of captions, of images, and the quality of images where BCCD is beside the checkout."""
    table = Table("Captions encoded, of one core")
    for name, count in CAPTIONS.items():
        if not find_encoder(name).installed:
            continue
        count = QUICK_CAPTIONS if quick else count
        used = run("benchmarks.encoders", "--step", "captions", name, count)
        speed = count / used.answer["cpu"]
        notes = f"{used.answer['words']:.0f} words each, peak {mib(used.memory)}; 24 M: {24e6 / speed / 3600:.1f} h"
        table.add(Row(name, f"{speed:,.0f} a CPU-second", notes=notes))
    yield table

    table = Table("Images encoded, of one core; the floor decodes and fits them only")
    count = QUICK_PICTURES if quick else PICTURES
    for kind in ("JPEG", "PNG"):
        floor, used = (
            run("benchmarks.encoders", "--step", "pictures", name, count, kind)
            for name in ("decode", "efficientnet-lite0")
        )
        speed, bare = count / used.answer["cpu"], count / floor.answer["cpu"]
        notes = f"peak {mib(used.memory)} against {mib(floor.memory)}; 24 M: {24e6 / speed / 3600:.0f} h"
        what = f"efficientnet-lite0, {kind} of {FIGURE[0]} x {FIGURE[1]}"
        table.add(Row(what, f"{speed:.0f} a CPU-second", f"{bare:.0f}", bare / speed, notes=notes))
    yield table

    if not BCCD.is_dir():
        return
    table = Table("Blood cells told apart (BCCD, three classes)", ("vectors", "accuracy", "precision at 10", "cells"))
    for name in ("efficientnet-lite0", "pixels", "chance"):
        answer = run("benchmarks.encoders", "--step", "judge", name, QUICK_CELLS if quick else CELLS).answer
        table.rows.append((name, f"{answer['accuracy']:.3f}", f"{answer['precision']:.3f}", f"{answer['cells']:,}"))
    yield table


if __name__ == "__main__":
    main(benchmark, {"captions": encode_captions, "pictures": encode_pictures, "judge": judge}, __doc__)
