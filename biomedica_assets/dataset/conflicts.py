"""Where sources disagree about what an article is: rows that a person should look at; nothing is changed by them.

What does not belong here: conflicts of licences (`licence_audit`), checks inside one chunk (`ingest.checks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from biomedica_assets.dataset.queries import bounded_catalogue
from biomedica_assets.dataset.subsets import add_metadata_view
from biomedica_assets.store.files import Files


@dataclass(frozen=True)
class PmcidConflicts:
    """Current articles whose PMCID in PubMed's record is another than the one PMC lists them under.

    ``compared`` are articles of which both are known; ``examples`` dicts with article_id, pmcid, pmid, record_pmcid.
    """

    compared: int
    differing: int
    examples: list[dict[str, Any]]


def pmcid_conflicts(files: Files, *, examples: int = 20) -> PmcidConflicts:
    """Compare ``metadata.record_pmcid`` with the listed PMCID: a difference means that a PMID is wrong.

    Raises:
        FileNotFoundError: no catalogue has been built yet.
    """
    with bounded_catalogue(files) as (connection, _):
        add_metadata_view(connection)
        compared, differing = connection.execute("""
            SELECT count(*), count(*) FILTER (m.record_pmcid <> c.pmcid)
            FROM metadata m JOIN current c USING (chunk, article_id) WHERE m.record_pmcid IS NOT NULL
        """).fetchall()[0]
        query = f"""
            SELECT article_id, c.pmcid, m.pmid, m.record_pmcid FROM metadata m JOIN current c USING (chunk, article_id)
            WHERE m.record_pmcid <> c.pmcid ORDER BY c.pmcid LIMIT {int(examples)}
        """
        return PmcidConflicts(compared, differing, connection.sql(query).to_arrow_table().to_pylist())
