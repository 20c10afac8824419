"""The withdrawal list as readers see it now: what must not be served, whatever snapshot, export or stream names it.

The list is made with every catalogue generation (see `catalogue`); what is withdrawn behind the generation (`news`) is
added here. What does not belong here: masking inside one reader (`catalogue`, `snapshots`).
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.store.catalogue import POINTER, WITHDRAWALS, read_generation
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import list_releases
from biomedica_assets.store.news import list_chunks, withdrawn_since


def read_withdrawals(files: Files) -> pa.Table:
    """The withdrawal list of the newest generation, columns of `schemas.WITHDRAWALS`; no rows before the first."""
    try:
        with files.open_seekable(WITHDRAWALS) as file:
            return pq.read_table(file, schema=schemas.WITHDRAWALS.arrow)
    except FileNotFoundError:
        return schemas.WITHDRAWALS.arrow.empty_table()


def withdrawal_stamps(files: Files) -> tuple[object, ...]:
    """Marks that differ when what must not be served may: cheap enough to be asked for every few seconds."""

    def stamp(path: str) -> str | None:
        try:
            return files.stamp(path)
        except FileNotFoundError:
            return None

    return (stamp(POINTER), stamp(WITHDRAWALS), *list_releases(files), *list_chunks(files))


def withdrawn_ids(files: Files) -> frozenset[str]:
    """Ids that must not be served now, as the release lists them and as the XML of their package calls them.

    >>> withdrawn_ids(Files("memory://a-store-without-catalogue"))
    frozenset()
    """
    table = read_withdrawals(files)
    ids = {*table.column("listed_id").to_pylist(), *table.column("article_id").to_pylist()}
    generation = read_generation(files)
    return frozenset(ids.union(withdrawn_since(files, generation)) if generation else ids)
