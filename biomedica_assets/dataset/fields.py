"""What an export can say of an image: the fields a recipe chooses from, each as SQL over the catalogue's views.

What does not belong here: which images (`subsets`), how records are packed (`formats`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from biomedica_assets.dataset.predicates import SOURCES

AUTHORS = "list_transform(a.authors, lambda p: p.name)"


def attribution(licence: str, rights: str, place: str = "NULL") -> str:
    """SQL of the line that cites articles ``a`` or what is in them.

    Args:
        licence: alias of the table whose licence columns hold.
        rights: further statements, by commas.
        place: within the article.
    """
    return f"""
    concat_ws(' ',
        CASE WHEN len({AUTHORS}) > 3 THEN array_to_string({AUTHORS}[1:3], ', ') || ' et al.'
             WHEN len({AUTHORS}) > 0 THEN array_to_string({AUTHORS}, ', ') || '.' END,
        rtrim(a.title, '.') || '.', a.journal || coalesce(' (' || a.publication_year || ')', '') || '.',
        'https://doi.org/' || a.doi, 'https://pmc.ncbi.nlm.nih.gov/articles/PMC' || a.pmcid || '/', {place},
        coalesce('Licence: ' || nullif(concat_ws(' ', {licence}.licence_code, {licence}.licence_version,
                                                 {licence}.licence_url), '') || '.',
                 'No licence that allows reuse is known.'),
        {rights})
"""


ATTRIBUTION = attribution(
    "i", "coalesce(f.copyright, a.copyright), f.attribution, i.third_party_notice", "rtrim(f.label, '.') || '.'"
)
_MENTIONS = """LEFT JOIN (
    SELECT t.chunk, t.figure_id,
           list(struct_pack("text" := t."text", panels := t.panels, expanded := t.expanded, kind := t.kind,
                            paragraph := p."text", sections := p.section_path) ORDER BY t.ordinal, t.start) AS list
    FROM mentions t JOIN paragraphs p ON p.chunk = t.chunk AND p.paragraph_id = t.paragraph_id
    SEMI JOIN (SELECT DISTINCT chunk, figure_id FROM wanted) w ON w.chunk = t.chunk AND w.figure_id = t.figure_id
    GROUP BY ALL
) t ON t.chunk = s.chunk AND t.figure_id = s.figure_id"""

_JOINS = {**{source: join for source, (join, _) in SOURCES.items()}, "mentions": _MENTIONS}

Field = tuple[tuple[str, ...], str]
FIELDS: dict[str, Field] = {
    **{name: ((), f's."{name}"') for name in ("image_id", "figure_id", "article_id", "kind", "licence_group")},
    "pmcid": ((), "'PMC' || s.pmcid"),
    **{name: ((), f's."{name}"') for name in ("licence_code", "media_type", "width", "height", "bytes", "sha256")},
    **{name: (("images",), f"i.{name}") for name in ("file_name", "md5", "perceptual_hash", "licence_version")},
    **{name: (("images",), f"i.{name}") for name in ("licence_url", "licence_reason", "third_party_notice")},
    "source_key": (("images",), "i.key"),
    **{name: (("figures",), f"f.{name}") for name in ("label", "place", "section_path", "alt_text")},
    "caption": (("captions",), "c.text"),
    "caption_title": (("captions",), "c.title"),
    "group_caption": (("captions",), "c.group_caption"),
    "sub_captions": (
        ("captions",),
        'list_transform(c.sub_captions, lambda p: struct_pack(panel := p.panel, "text" := p."text"))',
    ),
    "mentions": (("mentions",), "t.list"),
    **{name: (("articles",), f"a.{name}") for name in ("pmid", "doi", "title", "abstract", "journal", "publisher")},
    **{name: (("articles",), f"a.{name}") for name in ("publication_date", "article_type", "language", "citation")},
    "authors": (("articles",), AUTHORS),
    "keywords": (("articles",), "list_transform(a.keywords, lambda k: k.keyword)"),
    "subjects": (("articles",), "list_transform(a.subjects, lambda k: k.subject)"),
    "mesh": (("metadata",), "list_transform(m.mesh, lambda h: h.descriptor)"),
    "cluster": (("duplicates",), "d.cluster"),
    **{
        name: (("annotations",), f"l.{name}")
        for name in ("labels", "panel_types", "primary_labels", "secondary_labels")
    },
    "n_panels": (("panels",), "n.n_panels"),
    "panels": (("panels",), "n.panels"),
    "entities": (("entities",), "e.mentions"),
    "entity_types": (("entities",), "e.types"),
    **{f"paragraph_{name}": (("paragraph_quality",), f"q.{name}") for name in ("types", "domains", "score")},
    "attribution": (("images", "figures", "articles"), ATTRIBUTION),
}
"""By name: tables it needs beside the index, and its SQL."""

ALWAYS = ("image_id", "sha256", "licence_code", "licence_group", "attribution")
"""Never left out: without them an image can be neither cited nor withdrawn."""

DEFAULT_FIELDS = (
    *("figure_id", "article_id", "pmcid", "pmid", "doi", "kind", "label", "caption", "group_caption", "sub_captions"),
    *("mentions", "title", "journal", "publication_date", "article_type", "authors", "keywords", "mesh"),
    *("licence_version", "licence_url", "third_party_notice", "file_name", "media_type", "width", "height", "bytes"),
)


def records_query(
    fields: Iterable[str], extra: str = "", known: Mapping[str, Field] = FIELDS, always: tuple[str, ...] = ALWAYS
) -> str:
    """SELECT of these of the fields ``known``, and of those that are never left out, for the rows of ``wanted``.

    That table has the columns of ``sample_index`` and whatever ``extra`` names beside them (SQL ending in a comma).
    """
    names = [*always, *(name for name in fields if name not in always)]
    needed = {source for name in names for source in known[name][0]}
    joins = " ".join(join for source, join in _JOINS.items() if source in needed)
    columns = ", ".join(f'{known[name][1]} AS "{name}"' for name in names)
    return f"SELECT {extra} {columns} FROM wanted s {joins}"
