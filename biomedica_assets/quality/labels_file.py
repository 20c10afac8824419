"""Labels that people or programs made elsewhere, read from a file: CSV with a heading, or JSON Lines.

Each line has ``type``, ``domain``, ``score`` and says whose they are by ``paragraph_id``, ``text_sha256`` or ``text``.
What does not belong here: finding the paragraphs in the store (`collect`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from biomedica_assets.quality.labels import Label, text_sha256

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LISTED = 20


class LabelsFileError(ValueError):
    """The file cannot be read as labels; the message names the lines that are wrong."""


@dataclass(frozen=True)
class FileLabels:
    """Labels by paragraph_id and by SHA-256 of the text; ``teacher`` names the file and begins its hash."""

    teacher: str
    by_id: dict[str, Label]
    by_text: dict[str, Label]


def read_labels_file(path: str | Path) -> FileLabels:
    """Read all labels of a file whose name ends in ``.csv`` or ``.jsonl``.

    Raises:
        LabelsFileError: it is neither, a line is no label, or two lines disagree on the same paragraph.
        OSError: it cannot be read.
    """
    path = Path(path)
    data = path.read_bytes()
    by_id: dict[str, Label] = {}
    by_text: dict[str, Label] = {}
    faults: list[str] = []
    for number, row in _rows(path, data):
        try:
            labels, key, label = _label(row, by_id, by_text)
            if labels.setdefault(key, label) != label:
                faults.append(f"line {number}: another label than before for {key}")
        except ValidationError as error:
            faults.append(
                f"line {number}: " + "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            )
        except (ValueError, TypeError) as error:
            faults.append(f"line {number}: {error}")
    if faults:
        more = f" ... and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
        raise LabelsFileError(f"{path}: {'; '.join(faults[:_LISTED])}{more}")
    return FileLabels(f"file:{path.name}@{hashlib.sha256(data).hexdigest()[:8]}", by_id, by_text)


def _rows(path: Path, data: bytes) -> Iterator[tuple[int, Any]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelsFileError(f"{path} is not UTF-8: {error}") from error
    if path.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""))
        for row in reader:
            yield reader.line_num, row
    elif path.suffix == ".jsonl":
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except json.JSONDecodeError as error:
                    raise LabelsFileError(f"{path}: line {number} is no JSON: {error}") from error
    else:
        raise LabelsFileError(f"{path}: labels are read from .csv and .jsonl")


def _label(row: Any, by_id: dict[str, Label], by_text: dict[str, Label]) -> tuple[dict[str, Label], str, Label]:
    if not isinstance(row, dict):
        raise ValueError("not an object with named values")
    label = Label(type=row.get("type"), domain=row.get("domain"), score=float(row.get("score") or "nan"))
    if row.get("paragraph_id"):
        return by_id, str(row["paragraph_id"]), label
    digest = row.get("text_sha256") or (text_sha256(row["text"]) if row.get("text") else "")
    if not _SHA256.fullmatch(digest):
        raise ValueError("neither paragraph_id nor text_sha256 (64 hex digits) nor text")
    return by_text, digest, label
