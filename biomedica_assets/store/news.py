"""What is withdrawn behind a catalogue generation: by rows that newer file lists remove, and by newer chunks.

A reader of a generation leaves it out at once, before the next one is made. What does not belong here: the list that
is made with a generation (`catalogue`, `withdrawals`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest, file_list_path, list_releases, read_all
from biomedica_assets.store.tables import table_path

if TYPE_CHECKING:
    from biomedica_assets.store.catalogue import Generation

_VERSIONS = re.compile(r"(.+-\d{5,})\.([0-9a-f]{16})")
"""Name of a chunk's table `versions`; other names of `news_since` are releases."""


def withdrawn_since(files: Files, generation: Generation) -> dict[str, str]:
    """Why each version is withdrawn that the generation does not know of yet, by listed and by own id."""
    return withdrawn_by(files, news_since(files, generation))


def news_since(files: Files, generation: Generation) -> tuple[str, ...]:
    """Names of the files that withdraw something behind a generation: they never change, and `withdrawn_by` reads them.

    They are releases that it does not know, and tables `versions` of chunks that it does not know. A chunk that is made
    again under its old key is heard with the next generation.

    Raises:
        NotListableError: a plain HTTP server.
    """
    releases = [release for release in list_releases(files) if release not in generation.releases]
    chunks = [listed for listed in list_chunks(files) if PurePosixPath(listed[0]).stem not in generation.chunks]
    return (*releases, *_withdrawing(files, tuple(chunks)))


def withdrawn_by(files: Files, names: Iterable[str]) -> dict[str, str]:
    """Why each version is withdrawn by the files of these names, by listed and by own id.

    A version that is retracted takes the earlier ones of its article with it, as long as the catalogue has not said
    which of them may stay.

    Raises:
        FileNotFoundError: one of them is not kept any more.
    """
    found: dict[str, str] = {}
    for name in names:
        if (match := _VERSIONS.fullmatch(name)) is None:
            with files.open_seekable(file_list_path(name)) as file:
                table = pq.read_table(file, columns=["listed_id"], filters=[("action", "=", "remove")])
            found |= dict.fromkeys(table.column("listed_id").to_pylist(), "removed")
            continue
        with files.open_seekable(table_path(schemas.VERSIONS.name, *match.groups())) as file:
            columns = ["listed_id", "article_id", "pmcid", "version", "outcome"]
            rows = pq.read_table(file, columns=columns).to_pylist()
        for row in rows:
            if _withdraws(row["outcome"]):
                found |= dict.fromkeys((row["listed_id"], row["article_id"]), row["outcome"])
            if row["outcome"] == "retracted":
                found |= {f"PMC{row['pmcid']}.{earlier}": "retracted" for earlier in range(1, row["version"])}
    return found


def _withdraws(outcome: str) -> bool:
    return outcome in ("removed", "absent", "retracted") or outcome.startswith("gated:")


def list_chunks(files: Files) -> list[tuple[str, int]]:
    """Path and size of every chunk's manifest, in order of chunks."""
    return sorted((path, size) for path, size in files.list("chunks") if path.endswith(".json"))


@lru_cache(maxsize=4)
def _withdrawing(files: Files, chunks: tuple[tuple[str, int], ...]) -> tuple[str, ...]:
    """Names of the tables `versions` of chunks that withdraw something; asked for every few seconds."""
    manifests = (ChunkManifest.from_json(data) for _, data in read_all(files, [path for path, _ in chunks]))
    return tuple(
        f"{manifest.chunk}.{manifest.tables[schemas.VERSIONS.name].sha256[:16]}"
        for manifest in manifests
        if any(_withdraws(outcome) for outcome in manifest.outcomes)
    )
