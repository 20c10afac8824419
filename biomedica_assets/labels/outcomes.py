"""The consensus as the store keeps it: two Parquet files, what was agreed and the votes it rests on, and one record.

``concepts/labels.json`` is the record of the consensus in use; its files are named by their content and never change.
What does not belong here: how votes become a consensus (`consensus`).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.labels.consensus import Consensus, LabelShare, countable, reach_consensus
from biomedica_assets.labels.taxonomy import Taxonomy
from biomedica_assets.labels.vote_log import to_row
from biomedica_assets.labels.votes import Vote
from biomedica_assets.schemas import Row
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile, JsonRecord
from biomedica_assets.store.tables import TableWriter, put_table

POINTER = "concepts/labels.json"
CONSENSUS_VERSION = "1"
"""Raised when the same votes would give another outcome."""
_DECIMALS = 6
"""Of probabilities: fewer than what the order of additions may change."""


@dataclass(frozen=True)
class ConsensusRecord(JsonRecord):
    """One consensus. ``id`` begins the SHA-256 of its rows and their taxonomy.

    ``labels`` is a file of table `consensus`, ``votes`` one of table `votes`: those that were counted. ``rates`` holds
    sensitivity, specificity and answers by axis and annotator; ``counts`` targets, votes, and outcomes by status.
    """

    id: str
    version: str
    taxonomy: str
    simulated: bool
    labels: DataFile
    votes: DataFile
    rates: dict[str, dict[str, dict[str, float]]]
    counts: dict[str, int] = field(default_factory=dict)


def publish_consensus(
    files: Files, votes: Iterable[Vote], taxonomy: Taxonomy, *, simulated: bool, scratch: str | None = None
) -> tuple[ConsensusRecord, list[Consensus], bool]:
    """Reach the consensus of votes and make it the one in use; record, outcomes, and whether it is another than before.

    Args:
        files: the store.
        votes: all votes; which of them count is decided here.
        taxonomy: the one in use.
        simulated: count simulated annotators too. Only right for the embedded sample.
        scratch: local folder for files being written.
    """
    counted = countable(votes, simulated=simulated)
    outcomes, rates = reach_consensus(counted, taxonomy)
    with tempfile.TemporaryDirectory(prefix="consensus-", dir=scratch) as folder:
        labels = _put(files, schemas.CONSENSUS, (_row(one) for one in outcomes), Path(folder))
        kept = _put(files, schemas.VOTES, map(to_row, counted), Path(folder))
    record = ConsensusRecord(
        hashlib.sha256(f"{labels.sha256} {taxonomy.id} {CONSENSUS_VERSION}".encode()).hexdigest()[:16],
        CONSENSUS_VERSION,
        taxonomy.id,
        simulated,
        labels,
        kept,
        {axis: {name: _rounded(asdict(rate)) for name, rate in own.items()} for axis, own in rates.items()},
        {
            "votes": len(counted),
            "annotators": len({vote.annotator for vote in counted}),
            "concepts": len({vote.target for vote in counted if vote.target_kind == "concept"}),
            "images": len({vote.target for vote in counted if vote.target_kind == "image"}),
            **Counter(one.status for one in outcomes),
        },
    )
    changed = read_consensus_record(files) != record
    if changed:
        files.write(POINTER, record.to_json())
    return record, outcomes, changed


def read_consensus_record(files: Files) -> ConsensusRecord | None:
    """The record of the consensus in use; None before the first."""
    try:
        return ConsensusRecord.from_json(files.read(POINTER))
    except FileNotFoundError:
        return None


def read_consensus(files: Files, record: ConsensusRecord) -> list[Consensus]:
    """The outcomes, by target and axis. Raises FileNotFoundError when garbage collection was there before."""
    with files.open_seekable(record.labels.path) as stream:
        return [_outcome(row) for row in pq.read_table(stream).to_pylist()]


def _put(files: Files, table: schemas.Table, rows: Iterable[Row], folder: Path) -> DataFile:
    writer = TableWriter(table, folder / f"{table.name}.parquet")
    writer.add(rows)
    return put_table(files, writer.close(), f"concepts/files/{table.name}-")


def _row(one: Consensus) -> Row:
    row = _rounded(asdict(one))
    return {**row, "counts": [_rounded(count) for count in row["counts"]]}


def _rounded(record: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, _DECIMALS) if isinstance(value, float) else value for name, value in record.items()}


def _outcome(row: Row) -> Consensus:
    texts = {name: tuple(row[name]) for name in ("labels", "weighted", "annotators")}
    return Consensus(**{**row, **texts, "counts": tuple(LabelShare(**count) for count in row["counts"])})
