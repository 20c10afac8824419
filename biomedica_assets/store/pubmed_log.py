"""SQL of the catalogue's `pubmed_log`: which row of `metadata` counts for a PMID, and which PMCIDs PubMed retracted.

What does not belong here: the rules of PMC's own versions and retractions (`catalogue`), PubMed's XML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

NEW_ROWS = "SELECT partition, pmid, outcome, date_revised, pubmed_status FROM {metadata}"
"""Rows of the log from files of `metadata`."""


def touched_partitions(before: Sequence[str], now: Sequence[str]) -> tuple[list[str], list[str]]:
    """Partitions whose file of `metadata` changed or went, and the paths of the new files."""
    partitions = {PurePosixPath(path).name.rpartition("-")[0] for path in set(before) ^ set(now)}
    return sorted(partitions), [path for path in now if path not in set(before)]


def create_log(old: str, new: str, touched: Iterable[str]) -> str:
    """CREATE TABLE pubmed: the old log without the touched partitions, the new rows, and which one counts per PMID.

    A record beats the news that there is none (replies lack records now and then); then the latest revision counts,
    then the later partition.

    Args:
        old: query of the log so far.
        new: query of the new rows, as `NEW_ROWS`.
        touched: partitions to be left out of the old log.
    """
    names = ", ".join(f"'{partition}'" for partition in touched) or "''"
    return f"""
        CREATE TABLE pubmed AS
        SELECT *, row_number() OVER (
            PARTITION BY pmid
            ORDER BY outcome IN ('found', 'merged') DESC, date_revised DESC NULLS LAST, partition DESC
        ) = 1 AS is_newest
        FROM (SELECT * EXCLUDE is_newest FROM ({old}) WHERE partition NOT IN ({names}) UNION ALL {new})
    """


def create_retracted(honour: bool) -> str:
    """CREATE TABLE pubmed_retracted (pmcid, partition): from tables ``newest`` and ``pubmed``; none unless honoured."""
    return f"""
        CREATE TABLE pubmed_retracted AS
        SELECT n.pmcid, max(p.partition) AS partition FROM newest n JOIN pubmed p USING (pmid)
        WHERE {honour} AND p.is_newest AND p.pubmed_status = 'retracted' GROUP BY 1
    """


METADATA_VIEW = """
    CREATE OR REPLACE VIEW metadata AS
    SELECT c.chunk, c.article_id, c.pmcid, m.* FROM current c
    JOIN pubmed_log p ON p.pmid = c.pmid AND p.is_newest
    JOIN all_metadata m ON m.partition = p.partition AND m.pmid = p.pmid
"""
"""Current articles with PubMed's newest record of their PMID; those without any are left out."""
