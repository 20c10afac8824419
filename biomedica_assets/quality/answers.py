"""A teacher's answers as the store keeps them: append-only, one file each at once, so that a killed run loses none.

An answer is ``teacher/<teacher>/<SHA-256 of the text>-<n>.json``, where n counts the earlier ones for that text; the
last one counts. Many are packed into ``teacher_packed/<teacher>/<SHA-256>.jsonl``, written once and read back before
the files of its answers are deleted. What does not belong here: how a teacher is asked (`llm`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from biomedica_assets.quality.labels import Label
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError, read_all

FOLDER, PACKED = "teacher", "teacher_packed"
PACK_AT = 1000
"""So many single files are worth a pack."""
_TRIES = 5
_NAME = re.compile(r"([0-9a-f]{64})-(\d+)\.json")


class Answer(BaseModel):
    """What a teacher said of a text; either ``label``, or ``error`` and ``message``: why it is none.

    ``paragraph_id``: where the text was found. ``tokens``: what asking cost, all attempts together.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    text_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    paragraph_id: str
    teacher: str
    number: Annotated[int, Field(ge=0)] = 0
    label: Label | None = None
    error: str | None = None
    message: str | None = None
    tokens: Annotated[int, Field(ge=0)] = 0
    asked: Annotated[int, Field(ge=1)] = 1


def folder_of(teacher: str) -> str:
    """The teacher's folder: what is readable of its name, and the beginning of its hash."""
    digest = hashlib.sha256(teacher.encode()).hexdigest()[:8]
    return f"{re.sub('[^A-Za-z0-9_-]+', '-', teacher).strip('-')[:60]}-{digest}"


def keep_answer(files: Files, answer: Answer) -> None:
    """When this returns the answer is on the disk. Of two of the same text and number the first one stays."""
    path = f"{FOLDER}/{folder_of(answer.teacher)}/{answer.text_sha256}-{answer.number}.json"
    try:
        files.create(path, answer.model_dump_json(exclude_none=True).encode())
    except FileExistsError:
        return


class Answers:
    """All answers of a store's teachers. ``last`` has the one that counts, by teacher and text.

    ``tokens`` is what all answers of a teacher cost, those that do not count any more included.

    Raises:
        StoreError: a file is damaged.
    """

    def __init__(self, files: Files) -> None:
        for _ in range(_TRIES):
            try:
                self._read(files)
                return
            except FileNotFoundError:  # packed while it was read
                continue
        raise StoreError(f"{files.url}: answers of teachers vanish while they are read")

    def _read(self, files: Files) -> None:
        self.last: dict[tuple[str, str], Answer] = {}
        self.tokens: dict[str, int] = {}
        seen: set[tuple[str, str, int]] = set()
        for answer in _all(files):
            key = (answer.teacher, answer.text_sha256)
            if (*key, answer.number) in seen:  # packed twice, or packed but not yet deleted
                continue
            seen.add((*key, answer.number))
            self.tokens[answer.teacher] = self.tokens.get(answer.teacher, 0) + answer.tokens
            if key not in self.last or self.last[key].number < answer.number:
                self.last[key] = answer


def _loose(files: Files, folder: str) -> list[str]:
    return sorted(path for path, _ in files.list(folder) if _NAME.fullmatch(path.rpartition("/")[2]))


def _all(files: Files) -> Iterator[Answer]:
    # Single files are listed before packs, so that what is packed meanwhile is in one of the two.
    loose = _loose(files, FOLDER)
    for path in sorted(path for path, _ in files.list(PACKED) if path.endswith(".jsonl")):
        yield from _read_pack(files, path)
    for path, data in read_all(files, loose):
        yield _answer(data, path)


def _read_pack(files: Files, path: str) -> Iterator[Answer]:
    data = files.read(path)
    if hashlib.sha256(data).hexdigest() != path.rpartition("/")[2].removesuffix(".jsonl"):
        raise StoreError(f"{files.url}: {path} is damaged; take it from a copy of the store")
    for line in data.splitlines():
        yield _answer(line, path)


def _answer(data: bytes, path: str) -> Answer:
    try:
        return Answer.model_validate_json(data)
    except ValidationError as error:
        raise StoreError(f"{path} holds no answer of a teacher: restore or remove it") from error


def pack_answers(files: Files, teacher: str, *, at_least: int = PACK_AT) -> int:
    """Move a teacher's answers that are single files into one new pack, if they are many; how many were moved."""
    folder = folder_of(teacher)
    paths = _loose(files, f"{FOLDER}/{folder}")
    if len(paths) < at_least:
        return 0
    lines = [_answer(data, path).model_dump_json(exclude_none=True) for path, data in read_all(files, paths)]
    data = "".join(f"{line}\n" for line in lines).encode()
    pack = f"{PACKED}/{folder}/{hashlib.sha256(data).hexdigest()}.jsonl"
    files.write(pack, data)
    if [json.loads(line) for line in files.read(pack).splitlines()] != [json.loads(line) for line in lines]:
        raise StoreError(f"{files.url}: {pack} is not what was written; no answer was deleted")
    for path in paths:
        files.remove(path)
    return len(paths)
