"""Votes as CSV (RFC 4180, UTF-8): for spreadsheets, for annotators elsewhere, from one store to another.

One column per field and one per axis, ``answers.<axis>``; labels, and images in ``shown``, are joined by ``|``. A cell
that a spreadsheet would take for a formula begins with an apostrophe, which is taken away again when read. Rows with
a vote_id are that vote; rows without one are cast now, with source csv. What does not belong here: who may import.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from biomedica_assets.labels.taxonomy import Taxonomy
from biomedica_assets.labels.vote_log import VoteLog
from biomedica_assets.labels.votes import NewVote, Vote, VoteError, cast_vote, faults_of, keep_vote
from biomedica_assets.store.files import Files

FIELDS = tuple(name for name in Vote.model_fields if name not in ("answers", "shown"))
_KEPT = ("vote_id", "created_at", "taxonomy")
_PREFIX = "answers."
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_AHEAD = timedelta(hours=24)
"""A vote from further ahead would count for ever: its clock was wrong, or it is meant to."""
MAX_BYTES = 256 << 20


class CsvError(ValueError):
    """The file as a whole cannot be read as votes; the message says why."""


@dataclass(frozen=True)
class RowError:
    """A row that is no vote; ``line`` is 1-based, where it begins in the file, ``message`` for people."""

    line: int
    message: str


@dataclass(frozen=True)
class Imported:
    """What an import did: votes kept now, votes that were there already, rows refused (all of them)."""

    kept: int
    present: int
    errors: tuple[RowError, ...]


def export_csv(votes: Iterable[Vote], axes: Sequence[str]) -> Iterator[str]:
    """CSV lines, the header first. Answers on axes that are not among ``axes`` raise KeyError: see `axes_of`."""
    names = [*FIELDS, "shown", *(_PREFIX + axis for axis in axes)]
    for record in ([names], *([_cells(vote, axes)] for vote in votes)):
        line = io.StringIO()
        csv.writer(line, lineterminator="\r\n").writerows(record)
        yield line.getvalue()


def axes_of(votes: Iterable[Vote], taxonomy: Taxonomy) -> list[str]:
    """The axes of the taxonomy, and behind them those that only these votes know."""
    own = [axis.id for axis in taxonomy.axes]
    return own + sorted({axis for vote in votes for axis in vote.answers} - set(own))


def _cells(vote: Vote, axes: Sequence[str]) -> list[str]:
    if unknown := vote.answers.keys() - set(axes):
        raise KeyError(f"no column for the axes {sorted(unknown)}")
    record = vote.model_dump(include=set(FIELDS))
    answers = ("|".join(vote.answers.get(axis, ())) for axis in axes)
    return [*(_quoted(record[name]) for name in FIELDS), _quoted("|".join(vote.shown)), *answers]


def _quoted(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value)
    return f"'{value}" if value.startswith(_FORMULA) else value


def read_csv(data: bytes, taxonomy: Taxonomy) -> Iterator[tuple[int, NewVote | Vote | RowError]]:
    """(line, vote or what is wrong) of every row. A row with a vote_id gives a `Vote`, else a `NewVote`.

    Raises:
        CsvError: not UTF-8, too large, or the header is not that of votes.
    """
    if len(data) > MAX_BYTES:
        raise CsvError(f"{len(data)} bytes are more than an import takes ({MAX_BYTES})")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CsvError(f"the file is not UTF-8: {error}") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = _header(rows)
    line = rows.line_num + 1
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:  # quotes do not match: where the next row begins is not known
            yield line, RowError(line, f"{error}; nothing behind this line was read")
            return
        if cells:
            yield line, _vote_of(line, header, cells, taxonomy)
        line = rows.line_num + 1


def _header(rows: Iterator[list[str]]) -> list[str]:
    try:
        header = next(rows)
    except (StopIteration, csv.Error) as error:
        raise CsvError(f"the file has no header: {error or 'it is empty'}") from error
    known = {*FIELDS, "shown"}
    faults = [f"unknown column {name!r}" for name in header if name not in known and not name.startswith(_PREFIX)]
    faults += [f"column {name!r} twice" for name in sorted({name for name in header if header.count(name) > 1})]
    faults += [f"no column {name!r}" for name in ("annotator", "target_kind") if name not in header]
    if faults:
        raise CsvError("; ".join(faults[:10]))
    return header


def _vote_of(line: int, header: list[str], cells: list[str], taxonomy: Taxonomy) -> NewVote | Vote | RowError:
    if len(cells) != len(header):
        return RowError(line, f"{len(cells)} cells, but {len(header)} columns")
    record: dict[str, Any] = {"answers": {}}
    for name, cell in zip(header, cells, strict=True):
        if not cell:
            continue
        if name.startswith(_PREFIX):
            record["answers"][name.removeprefix(_PREFIX)] = tuple(cell.split("|"))
        else:
            record[name] = cell.removeprefix("'")
    if "shown" in record:
        record["shown"] = tuple(record["shown"].split("|"))
    kept = [name for name in _KEPT if name in record]
    try:
        if not kept:
            new = NewVote.model_validate(record | {"source": "csv"})
            faults = taxonomy.faults_of(new.answers)
            return RowError(line, "; ".join(faults)) if faults else new
        if len(kept) < len(_KEPT):
            return RowError(line, f"{' and '.join(kept)} without the rest of {', '.join(_KEPT)}")
        vote = Vote.model_validate(record)
    except ValidationError as error:
        return RowError(line, "; ".join(faults_of(error)))
    # An earlier taxonomy may have had other labels, today's must have these.
    faults = taxonomy.faults_of(vote.answers) if vote.taxonomy == taxonomy.id else []
    if datetime.fromisoformat(vote.created_at) > datetime.now(UTC) + _AHEAD:
        faults.append(f"created_at lies ahead: {vote.created_at}")
    return RowError(line, "; ".join(faults)) if faults else vote


def import_csv(files: Files, data: bytes, taxonomy: Taxonomy, *, annotator: str | None = None) -> Imported:
    """Keep the votes of a file; rows that are none, or are not of ``annotator`` if one is given, are told.

    Safe to repeat for rows that have a vote_id; rows without one are cast again.

    Raises:
        CsvError: the file as a whole is not one of votes; nothing was kept.
    """
    log = VoteLog(files)
    log.refresh()
    known = {(vote.annotator, vote.vote_id): vote for vote in log.votes}
    kept = present = 0
    errors: list[RowError] = []
    for line, row in read_csv(data, taxonomy):
        if isinstance(row, RowError):
            errors.append(row)
        elif annotator and row.annotator != annotator:
            errors.append(RowError(line, f"a vote of {row.annotator}, but only those of {annotator} may be imported"))
        elif not isinstance(row, Vote):
            try:
                cast_vote(files, row, taxonomy)
                kept += 1
            except VoteError as error:
                errors.append(RowError(line, str(error)))
        elif known.get((row.annotator, row.vote_id)) == row:
            present += 1
        elif (row.annotator, row.vote_id) in known or not keep_vote(files, row):
            errors.append(RowError(line, f"another vote {row.vote_id} of {row.annotator} is there already"))
        else:
            known[row.annotator, row.vote_id] = row
            kept += 1
    return Imported(kept, present, tuple(errors))
