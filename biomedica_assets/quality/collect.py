"""Gathering teachers' labels: a seeded sample of current paragraphs, asked about, with those of a file, as one table.

Belongs here: which paragraphs a language model is asked about, budget and order, whose label counts, where in the store
a labelled text is. What does not belong here: one question (`llm`), what is kept of it (`answers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import duckdb
import pyarrow as pa

from biomedica_assets.dataset.queries import bounded_catalogue
from biomedica_assets.quality.answers import Answer, Answers, keep_answer, pack_answers
from biomedica_assets.quality.labels import Label, text_sha256
from biomedica_assets.quality.labels_file import FileLabels, read_labels_file
from biomedica_assets.quality.llm import (
    SHOWN,
    LanguageModel,
    TeacherBusyError,
    TeacherUnusableError,
    prompt,
    teacher_id,
)
from biomedica_assets.quality.paragraphs import KINDS, Paragraph, iter_paragraphs
from biomedica_assets.quality.teacher_labels import LabelsRecord, publish_labels, read_labels_record
from biomedica_assets.schemas import Row
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import refresh_generation
from biomedica_assets.store.derived import LISTED_FAILURES, read_derived_manifest
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError, read_chunk_manifest

SLICE = 2000
"""Paragraphs of the sample whose texts are read at a time, in the sample's order: a budget that ends early leaves a
smaller sample, not the first chunks."""
PATIENCE = 5
"""So many paragraphs in a row without any answer end the run: the endpoint is down."""
SUSPICIOUS = 20
"""So many unusable answers without a single good one end the run: the model cannot do this."""

_KINDS = ", ".join(f"'{kind}'" for kind in KINDS)


@dataclass
class Collected:
    """What one gathering did. ``stopped`` says why it ended before the sample did, where it did.

    ``asked`` answers came, ``failed`` of them unusable; ``unanswered`` paragraphs got none, and will be asked about
    again; ``held`` answers were there before; ``unresolved`` labels are of texts that no current paragraph has.
    ``tokens``: what this teacher's answers have cost so far.
    """

    record: LabelsRecord | None = None
    changed: bool = False
    sample: int = 0
    held: int = 0
    asked: int = 0
    failed: int = 0
    unanswered: int = 0
    unresolved: int = 0
    tokens: int = 0
    stopped: str = ""
    failures: list[dict[str, str]] = field(default_factory=list)


def collect_teacher_labels(
    files: Files,
    settings: Settings,
    *,
    again: bool = False,
    scratch: str | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Collected:
    """Ask the teacher that the settings name about what it has not answered yet, and publish all labels there are.

    Every answer is kept at once: a run that is killed goes on where it was. A paragraph's label is the file's, else
    that of the language model in use, else that of the model that has most answers. Without a model, a file and
    answers from before there is nothing to publish: the shipped classifier, which rules taught, is used.

    Args:
        files: the store.
        settings: those that begin with ``teacher_``.
        again: ask once more where the answer was unusable.
        scratch: local folder.
        log: for progress.

    Raises:
        TeacherUnusableError: endpoint, key or model are wrong, or the model's answers are all unusable.
        LabelsFileError, OSError: the file of labels cannot be read.
        StoreError: the store has no chunk, or answers are damaged.
    """
    named = read_labels_file(settings.teacher_labels_file) if settings.teacher_labels else None
    result = Collected()
    refresh_generation(files)
    with bounded_catalogue(files, scratch) as (connection, _):
        if settings.teacher_url:
            model = LanguageModel(settings)
            try:
                _ask(files, connection, settings, model, result, again, log)
            finally:
                model.close()
                pack_answers(files, model.id)
        answers = Answers(files)
        teacher = teacher_id(settings.teacher_model) if settings.teacher_url else ""
        result.tokens = answers.tokens.get(teacher, 0)
        if named is None and not answers.last and read_labels_record(files) is None:
            return result
        rows = _resolved(connection, named, _ranked(answers, teacher), result)
    result.record, result.changed = publish_labels(files, rows, scratch=scratch)
    log(f"{result.record.file.rows} labels of {result.record.teachers}")
    return result


# Asking --------------------------------------------------------------------------------------------------------------


def _ask(
    files: Files,
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    model: LanguageModel,
    result: Collected,
    again: bool,
    log: Callable[[str], None],
) -> None:
    before = Answers(files)
    spent = before.tokens.get(model.id, 0)
    known = {text: answer for (teacher, text), answer in before.last.items() if teacher == model.id}
    sample = _sample(connection, settings.teacher_sample, settings.teacher_seed)
    result.sample = len(sample)
    waiting = _unanswered(files, sample, known, again, result)
    flying: dict[Future[Answer], int] = {}
    busy, good, unusable = 0, 0, 0
    with ThreadPoolExecutor(settings.teacher_concurrency) as pool:
        try:
            while True:
                while len(flying) < settings.teacher_concurrency and not result.stopped:
                    if (found := next(waiting, None)) is None:
                        break
                    paragraph_id, paragraph, number = found
                    # Until the answer is there, what it may cost at most is taken as spent.
                    asked = len(prompt()[0]) + min(len(paragraph.text), SHOWN)
                    reserved = asked // 3 + settings.teacher_answer_tokens
                    if 0 < settings.teacher_tokens < spent + sum(flying.values()) + reserved:
                        result.stopped = f"the budget of {settings.teacher_tokens} tokens is spent"
                        break
                    flying[pool.submit(_kept, files, model, paragraph_id, paragraph, number)] = reserved
                if not flying:
                    return
                done, _ = wait(flying, return_when=FIRST_COMPLETED)
                for future in done:
                    del flying[future]
                    try:
                        answer = future.result()
                    except TeacherBusyError as error:
                        busy += 1
                        result.unanswered += 1
                        if busy >= PATIENCE:
                            result.stopped = f"the endpoint does not answer: {error}"
                        continue
                    busy = 0
                    spent += answer.tokens
                    result.asked += 1
                    if answer.label is not None:
                        good += 1
                    else:
                        unusable += 1
                        _failed(result, answer)
                        if unusable >= SUSPICIOUS and not good:
                            raise TeacherUnusableError(
                                f"the first {unusable} answers of {model.model!r} were unusable, the last one "
                                f"{answer.error}: {answer.message}"
                            )
                    if result.asked % 100 == 0:
                        log(f"{result.asked} answers, {result.failed} unusable, {spent} tokens so far")
                        pack_answers(files, model.id)
        finally:
            for future in flying:
                future.cancel()


def _kept(files: Files, model: LanguageModel, paragraph_id: str, paragraph: Paragraph, number: int) -> Answer:
    answer = model.ask(paragraph_id, paragraph, number)
    keep_answer(files, answer)
    return answer


def _failed(result: Collected, answer: Answer) -> None:
    result.failed += 1
    if len(result.failures) < LISTED_FAILURES:
        fault = {"object": answer.paragraph_id, "error": answer.error or "", "message": answer.message or ""}
        result.failures.append(fault)


def _sample(connection: duckdb.DuckDBPyConnection, size: int, seed: int) -> list[tuple[str, str]]:
    """(chunk, paragraph_id) of the current paragraphs of running text that come first by seeded hash."""
    query = f"""
        SELECT chunk, paragraph_id FROM paragraphs WHERE kind IN ({_KINDS})
        ORDER BY md5(concat(paragraph_id, '/', ?::VARCHAR)), paragraph_id LIMIT ?
    """
    return connection.execute(query, [str(seed), size]).fetchall()


def _unanswered(
    files: Files, sample: list[tuple[str, str]], known: Mapping[str, Answer], again: bool, result: Collected
) -> Iterator[tuple[str, Paragraph, int]]:
    """(paragraph_id, paragraph, number of the answer) of what the teacher is to be asked about, in the sample's order;
    counts what it is not asked about."""
    asked: set[str] = set()
    listed = iter(sample)
    while some := list(islice(listed, SLICE)):
        texts = _read(files, some)
        for _, paragraph_id in some:
            paragraph = texts[paragraph_id]
            digest = text_sha256(paragraph.text)
            answer = known.get(digest)
            if digest in asked or (answer is not None and (answer.label is not None or not again)):
                result.held += 1
                continue
            asked.add(digest)
            yield paragraph_id, paragraph, answer.number + 1 if answer else 0


def _read(files: Files, some: Iterable[tuple[str, str]]) -> dict[str, Paragraph]:
    by_chunk: dict[str, set[str]] = {}
    for chunk, paragraph_id in some:
        by_chunk.setdefault(chunk, set()).add(paragraph_id)
    found: dict[str, Paragraph] = {}
    for chunk, ids in sorted(by_chunk.items()):
        manifest = read_chunk_manifest(files, chunk)
        if manifest is None:
            raise StoreError(f"the chunk {chunk} is not committed any more: try again")
        metadata = read_derived_manifest(files, "metadata", chunk)
        found.update({row["paragraph_id"]: one for row, one in iter_paragraphs(files, manifest, metadata, ids)})
    return found


# Whose label counts --------------------------------------------------------------------------------------------------


def _ranked(answers: Answers, teacher: str) -> list[Answer]:
    """The usable answers, one per text: of the teacher in use first, then of those that gave most."""
    usable = [answer for answer in answers.last.values() if answer.label is not None]
    given: dict[str, int] = {}
    for answer in usable:
        given[answer.teacher] = given.get(answer.teacher, 0) + 1
    usable.sort(key=lambda one: (one.teacher != teacher, -given[one.teacher], one.teacher, one.text_sha256))
    first: dict[str, Answer] = {}
    for answer in usable:
        first.setdefault(answer.text_sha256, answer)
    return list(first.values())


def _resolved(
    connection: duckdb.DuckDBPyConnection, named: FileLabels | None, answers: list[Answer], result: Collected
) -> list[Row]:
    """Rows of `teacher_labels`: where in the store the labelled paragraphs are."""
    by_id: dict[str, tuple[Label, str]] = {}
    by_text: dict[str, tuple[Label, str]] = {}
    for answer in answers:
        assert answer.label is not None
        by_text[answer.text_sha256] = (answer.label, answer.teacher)
    if named is not None:
        by_text |= {text: (label, named.teacher) for text, label in named.by_text.items()}
        by_id = {paragraph_id: (label, named.teacher) for paragraph_id, label in named.by_id.items()}
    rows: dict[str, Row] = {}
    used: set[str] = set()

    def take(found: list[tuple[str, str, str, str]]) -> None:
        for chunk, article_id, paragraph_id, digest in found:
            said = by_id.get(paragraph_id) or by_text.get(digest)
            if said is None:
                continue
            used.update((paragraph_id, digest))
            keys = {"chunk": chunk, "article_id": article_id, "paragraph_id": paragraph_id, "text_sha256": digest}
            rows[paragraph_id] = {**keys, **said[0].model_dump(), "teacher": said[1]}

    take(_find(connection, "paragraph_id", [*by_id, *(answer.paragraph_id for answer in answers)]))
    # Texts under another id than when they were labelled: that reads all texts, so only what is left is looked for.
    take(_find(connection, "sha256(text)", [text for text in by_text if text not in used]))
    result.unresolved = sum(key not in used for key in (*by_id, *by_text))
    return list(rows.values())


def _find(connection: duckdb.DuckDBPyConnection, what: str, keys: list[str]) -> list[tuple[Any, ...]]:
    if not keys:
        return []
    connection.register("wanted", pa.table({"key": pa.array(sorted(set(keys)), pa.string())}))
    query = f"""
        SELECT chunk, article_id, paragraph_id, sha256(text)
        FROM paragraphs WHERE kind IN ({_KINDS}) AND {what} IN (SELECT key FROM wanted)
    """
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.unregister("wanted")
