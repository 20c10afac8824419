"""What one sample of a subset is: an image, a panel of one, or a paragraph; and what recipes and exports say of each.

Every unit is a relation ``s`` with a row per sample that has the columns of ``sample_index`` and ``sample_id``; tables
of articles, figures and images join it alike. What does not belong here: carrying a recipe out (`subsets`, `exports`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from biomedica_assets import schemas
from biomedica_assets.dataset.fields import ALWAYS, DEFAULT_FIELDS, FIELDS, Field, attribution
from biomedica_assets.dataset.predicates import COLUMNS, SOURCES

UnitName = Literal["image", "panel", "paragraph"]


@dataclass(frozen=True)
class Unit:
    """One kind of sample.

    ``source`` is the FROM item ``s``, ``columns`` what recipes may name (table, SQL), ``fields`` what exports may say
    (tables, SQL), ``always`` those never left out. ``text`` is the SQL of a sample's text over ``s`` and the captions
    ``c``; ``needs`` the table without which there are none; ``same`` what else two samples share that are one picture.
    ``pictured``: samples have a picture; ``cut``: which is a part of an image.
    """

    source: str
    columns: Mapping[str, tuple[str, str]]
    fields: Mapping[str, Field]
    always: tuple[str, ...]
    default_fields: tuple[str, ...]
    text: str
    needs: str | None = None
    same: tuple[str, ...] = ()
    pictured: bool = True
    cut: bool = False

    def from_clause(self, columns: Iterable[str]) -> str:
        """FROM clause that joins what these columns need, and nothing else."""
        return " ".join([self.source, *_joins({self.columns[name][0] for name in columns})])

    def select_list(self, columns: Iterable[str]) -> str:
        """The columns under their names."""
        return ", ".join(f'{self.columns[name][1]} AS "{name}"' for name in columns)


def _joins(needed: set[str]) -> list[str]:
    return [join for table, (join, _) in SOURCES.items() if table in needed and table != "sample_index"]


def _own(*names: str) -> dict[str, tuple[str, str]]:
    return {name: ("sample_index", f's."{name}"') for name in names}


_PANEL_COLUMNS = (
    *("panel_id", "panel", "panel_ordinal", "panel_x", "panel_y", "panel_width", "panel_height", "panel_text"),
    *("panel_probability", "panel_letter_source", "panel_whole_caption"),
)
# A crop takes about its share of the image's bytes; only the cutting into shards hangs on it.
_PANELS = """(
    SELECT i.* REPLACE (
               least(i.length, 2048 + i.length * p.width * p.height // greatest(i.width * i.height, 1)) AS length
           ), p.panel_id AS sample_id, p.panel_id, p.letter AS panel, p.ordinal AS panel_ordinal,
           p.x AS panel_x, p.y AS panel_y, p.width AS panel_width, p.height AS panel_height, p."text" AS panel_text,
           p.probability::DOUBLE AS panel_probability, p.letter_source AS panel_letter_source,
           p.whole_caption AS panel_whole_caption
    FROM sample_index i
    JOIN panel_pairs p ON p.chunk = i.chunk AND p.image_id = i.image_id AND p.sha256 = i.sha256
) s"""
_PARAGRAPH_COLUMNS = (
    *("paragraph_id", "paragraph", "paragraph_kind", "section_path", "section_type", "paragraph_type"),
    *("paragraph_type_probability", "paragraph_domain", "paragraph_domain_probability", "paragraph_score"),
)
_ARTICLE_COLUMNS = (
    *("chunk", "pmcid", "article_id", "licence_group", "licence_code", "publication_year", "journal", "article_type"),
)
_EMPTY = ", ".join(
    f'NULL AS "{name}"'
    for name in schemas.SAMPLE_INDEX.names
    if name not in (*_ARTICLE_COLUMNS, "sha256", "bytes", "length")
)
_PARAGRAPHS = f"""(
    SELECT r.chunk, a.pmcid, r.article_id, a.licence_group, a.licence_code, a.publication_year, a.journal,
           a.article_type, sha256(r."text") AS sha256, strlen(r."text") AS bytes, strlen(r."text") + 2048 AS length,
           {_EMPTY}, r.paragraph_id AS sample_id, r.paragraph_id, r."text" AS paragraph, r.kind AS paragraph_kind,
           r.section_path, r.section_type, r.type AS paragraph_type,
           r.type_probability::DOUBLE AS paragraph_type_probability, r.domain AS paragraph_domain,
           r.domain_probability::DOUBLE AS paragraph_domain_probability, r.score::DOUBLE AS paragraph_score
    FROM paragraphs_rated r JOIN articles a ON a.chunk = r.chunk AND a.article_id = r.article_id
) s"""
_of_articles = {name: field for name, field in FIELDS.items() if field[0] and set(field[0]) <= {"articles", "metadata"}}

UNITS: dict[UnitName, Unit] = {
    "image": Unit(
        source="(SELECT *, image_id AS sample_id FROM sample_index) s",
        columns=COLUMNS | _own("sample_id"),
        fields=FIELDS,
        always=ALWAYS,
        default_fields=DEFAULT_FIELDS,
        text="coalesce(c.text, c.group_caption)",
    ),
    "panel": Unit(
        source=_PANELS,
        columns=COLUMNS | _own("sample_id", *_PANEL_COLUMNS),
        fields=FIELDS | {name: ((), f's."{name}"') for name in _PANEL_COLUMNS},
        always=("panel_id", *ALWAYS),
        default_fields=(
            *(name for name in _PANEL_COLUMNS if name != "panel_text"),
            *(name for name in DEFAULT_FIELDS if name not in ("group_caption", "sub_captions", "mentions")),
        ),
        text="s.panel_text",
        needs="panels",
        same=("panel_ordinal",),
        cut=True,
    ),
    "paragraph": Unit(
        source=_PARAGRAPHS,
        columns={
            **{name: COLUMNS[name] for name in _ARTICLE_COLUMNS},
            **{name: column for name, column in COLUMNS.items() if column[0] in ("articles", "metadata")},
            **_own("sample_id", "sha256", "bytes", "length", *_PARAGRAPH_COLUMNS),
        },
        fields={
            **{name: FIELDS[name] for name in ("article_id", "pmcid", "licence_group", "licence_code", "sha256")},
            **_of_articles,
            **{name: ((), f's."{name}"') for name in _PARAGRAPH_COLUMNS},
            "attribution": (("articles",), attribution("a", "a.copyright")),
        },
        always=("paragraph_id", "sha256", "licence_code", "licence_group", "attribution"),
        default_fields=(
            *(name for name in _PARAGRAPH_COLUMNS if name != "paragraph"),
            *("article_id", "pmcid", "pmid", "doi", "title", "journal", "publication_date", "article_type", "authors"),
            *("keywords", "mesh"),
        ),
        text="s.paragraph",
        needs="paragraph_quality",
        pictured=False,
    ),
}
