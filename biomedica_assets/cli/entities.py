"""`biomedica entities`: the entities of texts, as the asset finds them."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from typing import TextIO

import click

from biomedica_assets.cli.common import explained

BATCH = 256
"""Lines annotated at a time."""


@click.command()
@click.argument("file", type=click.File(encoding="utf-8", errors="replace"), default="-")
@click.option("--annotator", default="", help="Instead of BIOMEDICA_ENTITIES: offline or gliner:<folder>.")
def entities(file: TextIO, annotator: str) -> None:
    """Biomedical entities in FILE or standard input: one JSON line for each of its lines.

    Bytes that are no UTF-8 count as U+FFFD; offsets are those of the text printed.
    """
    from biomedica_assets.entities.annotators import AnnotatorError, load_annotator
    from biomedica_assets.settings import Settings

    with explained(AnnotatorError):
        found = load_annotator(annotator or Settings().entities)
        lines = (line.rstrip("\n") for line in file)
        while some := list(islice(lines, BATCH)):
            for text, one in zip(some, found.annotate_many(some), strict=True):
                click.echo(json.dumps({"text": text, "entities": [asdict(e) for e in one]}, ensure_ascii=False))
