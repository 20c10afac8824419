"""The store's own quality model, fitted when its teachers' labels have changed; while there are few, the shipped one.

It rests on labels, not on which chunks are there: a chunk that arrives is labelled by the model that stands.
What does not belong here: how it is fitted (`classifier`), how a chunk is labelled (`tables`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable

from biomedica_assets.quality.classifier import FIT_VERSION, FOLDS, fit_model
from biomedica_assets.quality.features import FEATURES_VERSION
from biomedica_assets.quality.labels import Label, text_sha256
from biomedica_assets.quality.model_files import (
    POINTER,
    QualityRecord,
    own_record,
    save_model,
    shipped_model,
    shipped_record,
)
from biomedica_assets.quality.paragraphs import Paragraph, iter_paragraphs
from biomedica_assets.quality.teacher_labels import read_labels, read_labels_record
from biomedica_assets.store.derived import read_derived_manifest
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import read_chunk_manifest

LEAST = 200
"""Labels below which a model of one's own says less than the shipped one."""


def ensure_quality_model(
    files: Files, *, refit: bool = False, log: Callable[[str], None] = lambda _: None
) -> tuple[QualityRecord, bool]:
    """The quality model for the labels in use, and whether it is another than before.

    With fewer labels than `LEAST`, of fewer than `FOLDS` articles, of one type or of one domain it is the shipped one.

    Raises:
        ImportError: scikit-learn is not installed.
        StoreError: the labels' file is missing.
    """
    labels, before = read_labels_record(files), own_record(files)
    parts = [labels.id if labels else "", FIT_VERSION, FEATURES_VERSION, shipped_record().id]
    made_of = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    if before and before.made_of == made_of and not refit and files.exists(before.file.path):
        return before, False
    paragraphs, answers, articles, teachers = _examples(files)
    known = [len({getattr(label, name) for label in answers}) for name in ("type", "domain")]
    if len(answers) < LEAST or len(set(articles)) < FOLDS or min(known) < 2:
        log(f"{len(answers)} labels of {len(set(articles))} articles are too few or too alike: the shipped model it is")
        files.remove(POINTER)
        return shipped_record(), before is not None
    log(f"learning from {len(answers)} labels of {teachers}")
    model = fit_model(paragraphs, answers, articles, prior=shipped_model(), about={"teachers": teachers})
    record = save_model(files, model, made_of)
    return record, before is None or record.id != before.id


def _examples(files: Files) -> tuple[list[Paragraph], list[Label], list[str], dict[str, int]]:
    """Labelled paragraphs that still have the text that was labelled: paragraphs, labels, articles, who labelled."""
    paragraphs: list[Paragraph] = []
    answers: list[Label] = []
    articles: list[str] = []
    teachers: Counter[str] = Counter()
    for chunk, rows in sorted(read_labels(files).items()):
        manifest = read_chunk_manifest(files, chunk)
        if manifest is None:
            continue
        wanted = {row["paragraph_id"]: row for row in rows}
        for keys, paragraph in iter_paragraphs(
            files, manifest, read_derived_manifest(files, "metadata", chunk), wanted
        ):
            row = wanted[keys["paragraph_id"]]
            if text_sha256(paragraph.text) == row["text_sha256"]:
                paragraphs.append(paragraph)
                answers.append(Label(type=row["type"], domain=row["domain"], score=row["score"]))
                articles.append(row["article_id"])
                teachers[row["teacher"]] += 1
    return paragraphs, answers, articles, dict(sorted(teachers.items()))
