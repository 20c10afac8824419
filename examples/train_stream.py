"""Train on a stream: a linear model learns from thumbnails whether a figure was published as JPEG or as PNG.

    python examples/train_stream.py [STORE OR SERVER] [--checkpoint FILE] [--workers N]

The task is a toy; what is around it is what a real training has: an order of its own for every epoch, a share for every
rank (`torchrun` says which; name a --state then), a checkpoint that goes on in the middle of an epoch. With --workers,
a DataLoader of torch decodes in so many processes.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import biomedica_assets
from biomedica_assets.settings import Settings

SIDE, BATCH, EPOCHS, RATE = 16, 16, 5, 0.5


def decoded(sample: dict[str, Any]) -> tuple[np.ndarray, int]:
    """Pixels from -1 to 1, and the class."""
    kind = "png" if "png" in sample else "jpg"
    with Image.open(io.BytesIO(sample[kind])) as image:
        pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE)), np.float32)
    return pixels.ravel() / 127.5 - 1, int(kind == "png")


def examples(stream: Any, workers: int) -> Iterator[tuple[np.ndarray, int]]:
    """Decoded samples, by this process or by workers."""
    if not workers:
        return map(decoded, stream)
    import webdataset

    # Forked workers read folders and servers; for object stores, spawn them: multiprocessing_context="spawn".
    pipeline = webdataset.DataPipeline(stream, webdataset.map(decoded))
    return iter(webdataset.WebLoader(pipeline, batch_size=None, num_workers=workers))


def main() -> None:
    """Train, and say how well it goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", default=Settings().store, help="URL of a store, or address of a server")
    parser.add_argument("--state", help="id of the state to train on; with several ranks all must name the same")
    parser.add_argument("--checkpoint", type=Path, help="where the model and the place in the stream are kept")
    parser.add_argument("--workers", type=int, default=0, help="processes that decode (needs torch)")
    arguments = parser.parse_args()

    kinds = ["image/jpeg", "image/png"]
    stream = biomedica_assets.stream(arguments.source, seed=1, epochs=EPOCHS, state=arguments.state, media_type=kinds)
    print(f"{stream.samples} samples an epoch, of state {stream.state}")
    weights = np.zeros(3 * SIDE * SIDE + 1)
    if arguments.checkpoint and arguments.checkpoint.exists():
        saved = json.loads(arguments.checkpoint.read_text())
        weights = np.array(saved["weights"])
        stream.load_state_dict(saved["stream"])
    right = seen = 0
    samples, number = examples(stream, arguments.workers), 0
    while batch := list(islice(samples, BATCH)):
        number += 1
        inputs = np.array([[*pixels, 1.0] for pixels, _ in batch])
        labels = np.array([label for _, label in batch])
        guess = 1 / (1 + np.exp(-inputs @ weights))
        weights -= RATE * inputs.T @ (guess - labels) / inputs.size
        right, seen = right + int(((guess > 0.5) == labels).sum()), seen + len(batch)
        if number % 10 == 0:
            print(f"{right} of {seen} right")
            right = seen = 0
            if arguments.checkpoint and not arguments.workers:  # with workers, each has a place of its own
                kept = {"weights": weights.tolist(), "stream": stream.state_dict()}
                arguments.checkpoint.write_text(json.dumps(kept))


if __name__ == "__main__":
    main()
