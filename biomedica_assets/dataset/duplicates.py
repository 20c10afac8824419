"""Which images of the dataset are the same picture: by their bytes, and by their perceptual hash. Nothing is deleted.

The first of a cluster is its original: earliest publication date (as far as it is precise), lowest PMCID, image_id.
Near duplicates follow an original at most ``distance`` bits away (`near.star_clusters`), never a chain of likenesses.
What does not belong here: who drops duplicates (`subsets`), the search itself (`near`).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from biomedica_assets import schemas
from biomedica_assets.dataset.near import near_pairs, star_clusters
from biomedica_assets.dataset.queries import bounded_catalogue, count_rows, from_parquet, load
from biomedica_assets.store.catalogue import open_catalogue, read_generation
from biomedica_assets.store.duck import write_query
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile, JsonRecord

POINTER = "duplicates/generation.json"
DUPLICATES_VERSION = 1
"""Raised when the rules here or in `near` change."""

DISTANCE = 6
"""Bits. Of 111 pictures of real articles, saved again as JPEG at quality 30 to 75, halved, brightened, made grey or
PNG, 97 to 100 % stay within 6 bits (95 % at a third of the size); of their 6,105 pairs 13 lie within 6 bits, none at
8."""

STRUCTURED = (24, 40)
"""Set bits of a hash that tells something. It has a bit for each of 64 frequencies above their median, so 32 are set
unless many are equal: blank, one-coloured or perfectly symmetric pictures. Those are compared by their bytes alone."""


@dataclass(frozen=True)
class Duplicates(JsonRecord):
    """Commits the duplicates of one state of the catalogue. ``counts``: see `build_duplicates`."""

    version: int
    input_hash: str
    distance: int
    file: DataFile
    counts: dict[str, int] = field(default_factory=dict)


def read_duplicates(files: Files) -> Duplicates | None:
    """The newest table of duplicates, or None before the first."""
    try:
        return Duplicates.from_json(files.read(POINTER))
    except FileNotFoundError:
        return None


def build_duplicates(files: Files, *, distance: int = DISTANCE, scratch: str | None = None) -> Duplicates:
    """Find and commit the duplicates among all current images; what stands is returned when nothing changed.

    ``counts`` of the result: images, files (distinct bytes), hashed (distinct hashes that were compared), pairs (of
    hashes, near), cut (see `near.near_pairs`), exact, near, clusters, across_articles (clusters in several articles).
    Memory is about 60 bytes per distinct hash beside DuckDB's bound; pairs go to scratch.

    Raises:
        FileNotFoundError: no catalogue has been built yet.
        ValueError: a distance that is not searched, see `near.near_pairs`.
    """
    generation = read_generation(files)
    if generation is None:
        raise FileNotFoundError(f"{files.url} has no catalogue yet: materialize the asset `catalogue`")
    state = [DUPLICATES_VERSION, distance, generation.files["current"].sha256, generation.paths["images"]]
    input_hash = sha256(json.dumps([*state, generation.paths["articles"]]).encode()).hexdigest()
    before = read_duplicates(files)
    if before and before.input_hash == input_hash:
        return before
    with bounded_catalogue(files, scratch) as (connection, folder):
        counts = _order(connection)
        stats = _cluster(connection, folder, distance)
        counts |= {name: stats[name] for name in ("hashed", "pairs", "cut")}
        data_file = write_query(files, connection, folder, schemas.DUPLICATES, _RESULT, "duplicates/")
        result = f"(SELECT * FROM {from_parquet(files, data_file.path)})"
        counts |= _counts(connection, result)
    record = Duplicates(DUPLICATES_VERSION, input_hash, distance, data_file, counts)
    files.write(POINTER, record.to_json())
    return record


def _order(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Table ``ordered``: every image, its row id being its place in the order; ``files``: the first of each file."""
    connection.execute("""
        CREATE TABLE ordered AS
        SELECT i.chunk, i.article_id, a.pmcid, i.image_id, i.sha256, i.perceptual_hash,
               TRY_CAST('0x' || i.perceptual_hash AS UBIGINT) AS hash
        FROM images i JOIN articles a USING (chunk, article_id)
        WHERE i.sha256 IS NOT NULL
        ORDER BY a.publication_date NULLS LAST, a.pmcid, i.image_id
    """)
    connection.execute("CREATE TABLE files AS SELECT sha256, min(rowid) AS first FROM ordered GROUP BY sha256")
    images, files = (count_rows(connection, table) for table in ("ordered", "files"))
    return {"images": images, "files": files}


def _cluster(connection: duckdb.DuckDBPyConnection, folder: Path, distance: int) -> Counter[str]:
    """Table ``roots``: for each hash the place and the hash of its cluster's original."""
    nodes = connection.execute(f"""
        SELECT hash, min(rowid) AS first FROM ordered
        WHERE bit_count(hash) BETWEEN {STRUCTURED[0]} AND {STRUCTURED[1]} GROUP BY hash ORDER BY hash
    """).fetchnumpy()
    hashes, first = np.asarray(nodes["hash"], dtype=np.uint64), np.asarray(nodes["first"], dtype=np.int64)
    by_place = np.argsort(first)
    place = np.empty(len(first), dtype=np.int32)
    place[by_place] = np.arange(len(first), dtype=np.int32)
    stats: Counter[str] = Counter(hashed=len(hashes))
    paths = (folder / "low", folder / "high")
    with paths[0].open("wb") as low_file, paths[1].open("wb") as high_file:
        for left, right in near_pairs(hashes, distance, stats=stats) if len(hashes) else ():
            one, other = place[left], place[right]
            np.minimum(one, other).tofile(low_file)
            np.maximum(one, other).tofile(high_file)
    low, high = (_mapped(path) for path in paths)
    leader = by_place[star_clusters(len(hashes), low, high)]  # by place, then as a position among the hashes
    ordered = hashes[by_place]
    load(
        connection,
        "roots",
        pa.table({"hash": ordered, "root": first[leader], "root_hash": hashes[leader]}),
    )
    return stats


def _mapped(path: Path) -> Any:
    return np.memmap(path, dtype=np.int32, mode="r") if path.stat().st_size else np.empty(0, dtype=np.int32)


# A file's hash is that of its first image, so that all its images share one cluster whatever versions of code made
# their rows. An exact twin points at the first of its bytes, everything else at its cluster's original.
_RESULT = """
    WITH placed AS (
        SELECT f.sha256, f.first, coalesce(r.root, f.first) AS root,
               CASE WHEN r.root IS NULL THEN 0 ELSE bit_count(xor(r.root_hash, o.hash)) END AS distance
        FROM files f JOIN ordered o ON o.rowid = f.first LEFT JOIN roots r ON r.hash = o.hash
    ), members AS (
        SELECT o.*, o.rowid AS place, p.first, p.root, p.distance, count(*) OVER (PARTITION BY p.root) AS cluster_size
        FROM ordered o JOIN placed p USING (sha256)
    )
    SELECT m.chunk, m.article_id, m.pmcid, m.image_id, m.sha256, m.perceptual_hash,
           CASE WHEN place <> first THEN 'exact' WHEN place <> root THEN 'near' ELSE 'original' END AS kind,
           CASE WHEN place <> first THEN t.image_id WHEN place <> root THEN r.image_id END AS duplicate_of,
           CASE WHEN place <> first THEN 0 WHEN place <> root THEN distance END::BIGINT AS distance,
           r.image_id AS cluster, cluster_size
    FROM (SELECT * FROM members WHERE cluster_size > 1) m
    JOIN ordered t ON t.rowid = m.first JOIN ordered r ON r.rowid = m.root
    ORDER BY m.root, m.place
"""


def _counts(connection: duckdb.DuckDBPyConnection, result: str) -> dict[str, int]:
    several = f"(SELECT 1 FROM {result} GROUP BY cluster HAVING count(DISTINCT pmcid) > 1)"
    return {
        "exact": count_rows(connection, f"{result} WHERE kind = 'exact'"),
        "near": count_rows(connection, f"{result} WHERE kind = 'near'"),
        "clusters": count_rows(connection, f"{result} WHERE kind = 'original'"),
        "across_articles": count_rows(connection, several),
    }


def add_duplicates_view(files: Files, connection: duckdb.DuckDBPyConnection) -> bool:
    """View ``duplicates`` of a catalogue connection, restricted to current images; whether there is a table at all."""
    record = read_duplicates(files)
    source = f"SELECT * FROM {from_parquet(files, record.file.path)}" if record else _NOTHING
    connection.execute(
        f"CREATE OR REPLACE VIEW duplicates AS SELECT d.* FROM ({source}) d SEMI JOIN current USING (chunk, article_id)"
    )
    return record is not None


_NOTHING = (
    "SELECT "
    + ", ".join(
        f'NULL::{"BIGINT" if pa.types.is_integer(c.type) else "VARCHAR"} AS "{c.name}"'
        for c in schemas.DUPLICATES.columns
    )
    + " WHERE false"
)


@dataclass(frozen=True)
class Reuse:
    """Pictures that stand in several places.

    ``across_articles`` and ``within_articles`` count clusters by whether several articles show them,
    ``across_versions`` current images whose bytes another version of the same article holds too. ``examples`` are the
    clusters in most articles: dicts with cluster, articles (count), images (count), kinds, pmcids, image_ids.
    """

    across_articles: int
    within_articles: int
    across_versions: int
    examples: list[dict[str, Any]]


def report_reuse(files: Files, *, examples: int = 20) -> Reuse:
    """Count and show pictures that are used again.

    Raises:
        FileNotFoundError: no catalogue has been built yet.
    """
    with open_catalogue(files) as connection:
        add_duplicates_view(files, connection)
        across, within = (
            count_rows(connection, f"(SELECT 1 FROM duplicates GROUP BY cluster HAVING count(DISTINCT pmcid) {test})")
            for test in ("> 1", "= 1")
        )
        versions = count_rows(
            connection,
            """
            (SELECT DISTINCT i.image_id FROM images i JOIN all_images o
             ON o.sha256 = i.sha256 AND split_part(o.article_id, '.', 1) = split_part(i.article_id, '.', 1)
                AND o.article_id <> i.article_id)
            """,
        )
        shown = connection.execute(f"""
            SELECT cluster, count(DISTINCT pmcid) AS articles, count(*) AS images,
                   list_sort(list(DISTINCT kind)) AS kinds, list_sort(list(DISTINCT pmcid)) AS pmcids,
                   list(image_id ORDER BY image_id) AS image_ids
            FROM duplicates GROUP BY cluster ORDER BY articles DESC, images DESC, cluster LIMIT {int(examples)}
        """)
        names = [column[0] for column in shown.description or ()]
        return Reuse(across, within, versions, [dict(zip(names, row, strict=True)) for row in shown.fetchall()])
