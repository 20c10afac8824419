"""The line to be printed with an image, as exports and search cards carry it."""

import duckdb
import pytest

from biomedica_assets.dataset.fields import ATTRIBUTION


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        (("CC BY", "4.0", "https://creativecommons.org/licenses/by/4.0/"), "Licence: CC BY 4.0 https://creativecommons.org/licenses/by/4.0/."),
        (("custom", None, None), "Licence: custom."),
        ((None, None, None), "No licence that allows reuse is known."),
    ],
)  # fmt: skip
def test_a_licence_or_that_there_is_none(licence, said):
    query = f"""
        SELECT {ATTRIBUTION} FROM
        (SELECT [{{'name': 'A Bee'}}] AS authors, 'On cells.' AS title, 'J Cell' AS journal, 2020 AS publication_year,
                '10.1/x' AS doi, 7 AS pmcid, NULL AS copyright) a,
        (SELECT 'Fig. 1.' AS label, NULL AS copyright, NULL AS attribution) f,
        (SELECT ?::VARCHAR AS licence_code, ?::VARCHAR AS licence_version, ?::VARCHAR AS licence_url,
                NULL AS third_party_notice) i
    """
    ((line,),) = duckdb.execute(query, licence).fetchall()
    links = "https://doi.org/10.1/x https://pmc.ncbi.nlm.nih.gov/articles/PMC7/"
    assert line == f"A Bee. On cells. J Cell (2020). {links} Fig. 1. {said}"
