"""Labels: how fast images are labelled and the label model is fitted, how much memory, what 24 million would take.

    python -m benchmarks.labels_speed [--quick]

The chunk is made here: captions of 60 words, vectors, concepts and a model for every label of the taxonomy with random
weights, so that nothing is cheaper than it will be.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row, Table, main, mib, run
from biomedica_assets.labels.annotations import Sources, build_annotations
from biomedica_assets.labels.classifier import AxisModel
from biomedica_assets.labels.examples import Verdict
from biomedica_assets.labels.label_model import Inputs, LabelModel, Preparation, fit_model
from biomedica_assets.labels.space import ConceptSpace, save_space
from biomedica_assets.labels.space import Fit as SpaceFit
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.weak import WeakLabeller, load_rules

ROWS, QUICK_ROWS = 15_000, 300
"""Images of the chunk whose labelling is timed: about what 5,000 articles have."""
EXAMPLES, QUICK_EXAMPLES = (2_000, 20_000), (400,)
ALL = 24_000_000


def speed(count: str) -> dict[str, float]:
    """Step: CPU seconds for a chunk of so many images: words, classifier, both tables whole; peak memory."""

    images = int(count)
    with tempfile.TemporaryDirectory() as folder:
        files, chunk, sources, inputs = _chunk(Path(folder), images)
        cpu = time.process_time()
        for caption in (f"{n}" + CAPTION for n in range(images)):
            sources.weak.label(caption, panels=2, kind="fig")
        words = time.process_time() - cpu
        cpu = time.process_time()
        for start in range(0, images, 4096):
            rows = slice(start, start + 4096)
            part = Inputs(inputs.images[rows], inputs.captions[rows], inputs.panels[rows])
            assert sources.model is not None
            sources.model.probabilities(part, sources.taxonomy)
        classified = time.process_time() - cpu
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        cpu = time.process_time()
        made, _ = build_annotations(files, chunk, sources)
        whole = time.process_time() - cpu
    return {
        "words": words,
        "classifier": classified,
        "whole": whole,
        "grown": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024,
        "rows": made["annotations"].file.rows,
        "bytes": sum(one.file.bytes for one in made.values()),
    }


CAPTION = (
    " Axial T2-weighted MR image of the brain before treatment. (A) Lesion in the left hemisphere (arrow). (B) Bar "
    "graph of volumes by group, means and standard deviations, n = 12 in each; asterisks: P < 0.05 by Student's t."
)

_PANELS = [{"panel": panel, "text": "x", "start": 0, "end": 1} for panel in "AB"]


def _chunk(folder: Path, images: int) -> tuple[Any, str, Any, Inputs]:
    """A committed chunk with vectors and concepts, and sources with a model of all labels with random weights."""
    from biomedica_assets import schemas
    from biomedica_assets.store.derived import commit_derived
    from biomedica_assets.store.files import Files
    from biomedica_assets.store.manifests import ChunkManifest, chunk_path
    from biomedica_assets.store.tables import TableWriter, commit_table

    random, taxonomy = np.random.default_rng(1), load_taxonomy()
    files, chunk = Files(str(folder / "store")), "2026-11-20-00000"

    def put(table: Any, rows: Iterator[dict[str, Any]]) -> Any:
        writer = TableWriter(table, folder / f"{table.name}.parquet")
        writer.add(rows)
        return commit_table(files, table.name, chunk, writer.close())

    ids = [
        (f"PMC{n // 3}.1", f"PMC{n // 3}.1/f{n % 3}", f"PMC{n // 3}.1/f{n % 3}/1", f"{n:064x}") for n in range(images)
    ]
    names = ("chunk", "article_id", "figure_id", "image_id", "sha256")
    own = [dict(zip(names, (chunk, *one), strict=True)) for one in ids]
    figure = {"kind": "fig", "place": "body", "ordinal": 0}
    articles = ({"chunk": chunk, "article_id": f"PMC{n}.1", "pmcid": n, "pmid": n} for n in range(images // 3 + 1))
    captions = ({**row, "text": f"{row['image_id']}{CAPTION}", "sub_captions": _PANELS} for row in own)
    made = {
        schemas.ARTICLES: articles,
        schemas.FIGURES: ({**row, **figure} for row in own),
        schemas.CAPTIONS: captions,
        schemas.IMAGES: ({**row, "shard": "s"} for row in own),
    }
    tables = {table.name: put(table, (_least(table, row) for row in rows)) for table, rows in made.items()}
    manifest = ChunkManifest(chunk, "2026-11-20", "0", {}, tables, [], {}, [])
    files.write(chunk_path(chunk), manifest.to_json())
    vectors = random.normal(0, 1 / 36, (images, 1280)).astype(np.float16)
    texts = random.normal(0, 1 / 16, (images, 256)).astype(np.float16)
    for table, matrix in ((schemas.IMAGE_FEATURES, vectors), (schemas.CAPTION_FEATURES, texts)):
        rows = ({**_only(row, table), "encoder": "e", "vector": v} for row, v in zip(own, matrix, strict=True))
        commit_derived(files, table, chunk, rows, inputs={"encoder": "e", "features": "1"})
    centres = np.eye(50, dtype=np.float32)[np.arange(2000) % 50]
    space = ConceptSpace(np.zeros(1280, np.float32), np.zeros((1280, 50), np.float32), centres)
    record = save_space(files, SpaceFit(space, 1.0, [1] * 2000, 0.5, 9.0), encoder="e", features="1",
                                     settings={}, pictures=1, sampled=1, chunks={})  # fmt: skip
    placed = ({**row, "space": record.id, "concept": n % 2000, "distance": 0.4} for n, row in enumerate(own))
    commit_derived(files, schemas.CONCEPTS, chunk, placed, inputs={"space": record.id})
    said = {axis.id: Verdict((axis.labels[0].id,), 0.9) for axis in taxonomy.axes}
    verdicts = {f"concept:{record.id}/{n}": said for n in range(2000)}
    preparation = Preparation(np.zeros(1280, np.float32), np.zeros(256, np.float32), 1.0, 2.0)
    axes = {}
    for axis in taxonomy.axes:
        labels = tuple(label.id for label in axis.labels)
        weights = random.normal(0, 0.5, (preparation.wide, len(labels))).astype(np.float32)
        bias, thresholds = np.full(len(labels), -2, np.float32), np.full(len(labels), 0.6, np.float32)
        axes[axis.id] = AxisModel(axis.id, labels, weights, bias, 1.0, 0.0, thresholds)
    model = LabelModel(taxonomy.id, "e", "e", preparation, axes, id="random")
    sources = Sources(taxonomy, WeakLabeller(load_rules(), taxonomy), model, record, verdicts, "votes")
    return files, chunk, sources, Inputs(vectors, texts, np.full(images, 2))


def _only(row: dict[str, Any], table: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name in table.names}


def _least(table: Any, row: dict[str, Any]) -> dict[str, Any]:
    """What of a row the table has, and something in every other column that must not be null."""
    import pyarrow as pa

    row = _only(row, table)
    for column in table.columns:
        if column.required and column.name not in row:
            integer, boolean = pa.types.is_integer(column.type), pa.types.is_boolean(column.type)
            listed = pa.types.is_list(column.type)
            row[column.name] = [] if listed else 0 if integer else False if boolean else "x"
    return row


def fitting(examples: str) -> dict[str, float]:
    """Step: CPU seconds of fitting a model on so many drawn-like examples of 40 labels; peak memory."""
    random, taxonomy = np.random.default_rng(3), load_taxonomy()
    count = int(examples)
    names = [label.id for label in taxonomy.axis("figure_kind").labels][:40]
    centres = random.normal(0, 1, (40, 1280))
    kinds = random.integers(0, 40, count)
    vectors = (centres[kinds] + random.normal(0, 4, (count, 1280))).astype(np.float16)
    answers = {"figure_kind": [frozenset([names[kind]]) for kind in kinds]}
    inputs = Inputs(vectors, np.zeros((count, 256), np.float16), np.zeros(count, int))
    cpu = time.process_time()
    fit_model(inputs, answers, {"figure_kind": np.ones(count)}, [str(n // 2) for n in range(count)], taxonomy,
              image_encoder="", text_encoder="")  # fmt: skip
    return {"cpu": time.process_time() - cpu}


def benchmark(quick: bool) -> Iterator[Table]:
    """A chunk labelled, a model fitted."""
    images = QUICK_ROWS if quick else ROWS
    table = Table(f"Labelling a chunk of {images:,} images on one core")
    used = run("benchmarks.labels_speed", "--step", "speed", images)
    for name, what in (("words", "rules of caption words"), ("classifier", "classifier, all labels of four axes"),
                       ("whole", "both tables, read, labelled by every source, written")):  # fmt: skip
        each = used.answer[name] / images
        notes = f"24 M: {each * ALL / 3600:.1f} h of one core"
        if name == "whole":
            per = used.answer["rows"] / images
            notes += f"; {per:.1f} rows and {used.answer['bytes'] / images:.0f} bytes an image; "
            notes += f"peak {mib(used.memory)}, {mib(used.answer['grown'])} of it for the chunk"
        table.add(Row(what, f"{each * 1e6:,.0f} µs an image", notes=notes))
    yield table
    table = Table("Fitting the label model: one axis, 40 labels, 1,538 numbers an example")
    for count in QUICK_EXAMPLES if quick else EXAMPLES:
        used = run("benchmarks.labels_speed", "--step", "fitting", count)
        table.add(Row(f"{count:,} examples", f"{used.answer['cpu']:.0f} CPU-s", notes=f"peak {mib(used.memory)}"))
    yield table


if __name__ == "__main__":
    main(benchmark, {"speed": speed, "fitting": fitting}, __doc__)
