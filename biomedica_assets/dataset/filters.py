"""The one filter language of search, streams, web pages and tools: named fields with values, never SQL from outside.

A filter keeps an image when every field given keeps it; a field keeps it when one of its values does. `Filters.sql`
speaks of the columns of `dataset.predicates` by name, with every value bound. What does not belong here: recipes'
own SQL (`predicates`), licence groups that a server may show (its settings), how the filter is run.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from biomedica_assets.dataset.predicates import COLUMNS, LATER


class FilterError(ValueError):
    """The filter cannot be used; the message says why and what could be done."""


_MAX_VALUES, _MAX_LENGTH = 200, 300
_LARGEST = 2**53  # what JSON carries exactly, and far below what a column holds
_MESH_UI = re.compile(r"[dcq]\d{6,9}")
_DATE = re.compile(r"(\d{4})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01]))?)?")
_SHAPE = r"^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?$"  # of dates, as JSON Schema says it
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

_Value = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=_MAX_LENGTH)]
_Values = Annotated[tuple[_Value, ...], Field(max_length=_MAX_VALUES)]
_Number = Annotated[int, Field(ge=0, le=_LARGEST)]
_Score = Annotated[float, Field(ge=1, le=5)]


def _some(meaning: str) -> Any:
    return Field((), description=meaning)


def _bound(meaning: str, **schema: Any) -> Any:
    return Field(None, description=meaning, json_schema_extra=schema or None)


class Filters(BaseModel):
    """What a search or stream is restricted to; empty fields restrict nothing. Texts match whole, whatever their case.

    Dates are ISO 8601, cut to year or month if need be, both ends included; an article whose own date is as coarse
    counts when its period overlaps the one asked for. A figure passes when one of its images does; sizes are in
    pixels and bytes of the image file.

    Raises:
        pydantic.ValidationError: unknown fields, values of the wrong form, ends before beginnings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    licence_group: _Values = _some("commercial, noncommercial, other")
    licence: _Values = _some("licence code of the image, e.g. CC BY")
    journal: _Values = _some("journal: full title or abbreviation")
    publisher: _Values = _some("publisher")
    article_type: _Values = _some("e.g. research-article")
    publication_type: _Values = _some("PubMed's publication type, e.g. Case Reports")
    mesh: _Values = _some("MeSH descriptor: name or UI (D001943)")
    keyword: _Values = _some("author keyword")
    subject: _Values = _some("subject by the journal")
    language: _Values = _some("language of the article, e.g. en")
    kind: _Values = _some("kind of the figure: fig, table, scheme ...")
    media_type: _Values = _some("media type of the image, e.g. image/jpeg")
    label: _Values = _some("label of the image by its id, e.g. computed_tomography: what lies below it counts too")
    panel_type: _Values = _some("single, multiple, or a kind of multiple: multiple_images, multiple_plots ...")
    entity: _Values = _some("entity in the caption: name, words or id, e.g. MESH:D009369")
    entity_type: _Values = _some("disease, chemical, gene, species, cell_line, cell_type, tissue")
    paragraph_type: _Values = _some("of a paragraph that mentions the figure: study, review, clinical_case, other")
    paragraph_domain: _Values = _some("of a paragraph that mentions the figure: clinical, biomedical, other")
    pmcid: _Values = _some("PMCID, with or without PMC")
    published_from: str | None = _bound("first date: 2020, 2020-05 or 2020-05-17", pattern=_SHAPE)
    published_to: str | None = _bound("last date: 2020, 2020-05 or 2020-05-17", pattern=_SHAPE)
    width_min: _Number | None = _bound("least width in pixels")
    width_max: _Number | None = _bound("greatest width in pixels")
    height_min: _Number | None = _bound("least height in pixels")
    height_max: _Number | None = _bound("greatest height in pixels")
    bytes_min: _Number | None = _bound("least size in bytes")
    bytes_max: _Number | None = _bound("greatest size in bytes")
    n_panels_min: _Number | None = _bound("fewest panels found in the image")
    n_panels_max: _Number | None = _bound("most panels found in the image")
    paragraph_score_min: _Score | None = _bound("least score, 1 to 5, of the best paragraph that mentions the figure")

    @field_validator("*", mode="before")
    @classmethod
    def _one_is_many(cls, value: Any, info: ValidationInfo) -> Any:
        """A single text stands for a list of one; control characters are nobody's value."""
        if isinstance(value, bool):  # which Python takes for a number
            raise ValueError("true and false are no values of a filter")
        several = info.field_name in MANY
        values = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple | set) else []
        for text in values:
            if isinstance(text, str) and _CONTROL.search(text):
                raise ValueError("holds a control character")
        return (value,) if several and isinstance(value, str) else value

    @field_validator("*")
    @classmethod
    def _canonical(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name == "pmcid":
            value = tuple(_pmcid(text) for text in value)
        if info.field_name in MANY:
            return tuple(sorted({text.lower() for text in value}))
        if info.field_name in ("published_from", "published_to") and value is not None and not _DATE.fullmatch(value):
            raise ValueError(f"{value!r} is no date: write 2020, 2020-05 or 2020-05-17")
        return value

    @model_validator(mode="after")
    def _ends_behind_beginnings(self) -> Filters:
        for name in _BOUNDED:
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if low is not None and high is not None and low > high:
                raise ValueError(f"{name}_min {low} is more than {name}_max {high}")
        first, last = self.published_from, self.published_to
        if first and last and first[: len(last)] > last[: len(first)]:
            raise ValueError(f"published_from {first} is after published_to {last}")
        return self

    def __bool__(self) -> bool:
        return bool(self.active())

    def active(self) -> dict[str, Any]:
        """The fields that restrict anything, by name, in canonical form (sorted, lower case): what caches may key by.

        >>> Filters(licence_group="commercial", width_min=100).active()
        {'licence_group': ('commercial',), 'width_min': 100}
        """
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) not in ((), None)}

    def check(self, available: Collection[str]) -> None:
        """Refuse a field that needs a table which a store does not have yet, rather than find nothing.

        Args:
            available: those of the tables in `NEEDS` that the store has.

        Raises:
            FilterError: naming field and table.
        """
        for name in self.active():
            table = NEEDS.get(name)
            if table and table not in available:
                raise FilterError(f"{name}: this store does not have the table {table!r} yet")

    def conditions(self) -> list[tuple[str, str, list[Any]]]:
        """(field, SQL, values) of each field that restricts anything; a row passes when all hold."""
        return [(name, *_condition(name, value)) for name, value in self.active().items()]

    def sql(self) -> tuple[str, list[Any]]:
        """A boolean SQL expression over columns of `predicates.COLUMNS` by name, and the values to bind, in order.

        >>> Filters(width_min=100, kind=["fig", "table"]).sql()
        ('(lower("kind") IN (?, ?)) AND ("width" >= ?)', ['fig', 'table', 100])
        >>> Filters().sql()
        ('true', [])
        """
        conditions = self.conditions()
        return (
            " AND ".join(f"({sql})" for _, sql, _ in conditions) or "true",
            [value for _, _, values in conditions for value in values],
        )

    def columns(self) -> set[str]:
        """The columns that `sql` names.

        >>> sorted(Filters(published_from="2020", mesh="Neoplasms").columns())
        ['mesh', 'mesh_uis', 'publication_date']
        """
        return {column for name in self.active() for column in _COLUMNS_OF[name]}


_BOUNDED = ("width", "height", "bytes", "n_panels")
_COLUMNS_OF: dict[str, tuple[str, ...]] = {
    "licence_group": ("licence_group",),
    "licence": ("licence_code",),
    "journal": ("journal", "journal_abbreviation"),
    "publisher": ("publisher",),
    "article_type": ("article_type",),
    "publication_type": ("publication_types",),
    "mesh": ("mesh", "mesh_uis"),
    "keyword": ("keywords",),
    "subject": ("subjects",),
    "language": ("language",),
    "kind": ("kind",),
    "media_type": ("media_type",),
    "label": ("labels",),
    "panel_type": ("panel_types",),
    "entity": ("entity_terms",),
    "entity_type": ("entity_types",),
    "paragraph_type": ("paragraph_types",),
    "paragraph_domain": ("paragraph_domains",),
    "pmcid": ("pmcid",),
    "published_from": ("publication_date",),
    "published_to": ("publication_date",),
    **{f"{name}_{end}": (name,) for name in _BOUNDED for end in ("min", "max")},
    "paragraph_score_min": ("paragraph_score",),
}
NEEDS = {name: COLUMNS[columns[0]][0] for name, columns in _COLUMNS_OF.items() if COLUMNS[columns[0]][0] in LATER}
"""By field, a table that a store may not have yet."""
ENTITY_TYPES = ("disease", "chemical", "gene", "species", "cell_line", "cell_type", "tissue")
_LISTS = (
    *("publication_type", "keyword", "subject", "label", "panel_type", "entity", "entity_type"),
    *("paragraph_type", "paragraph_domain"),
)
MANY = frozenset(name for name, field in Filters.model_fields.items() if field.default == ())
"""The fields that take several values."""


def bounded(name: str) -> str:
    """What a field is about: of a bound, what it bounds.

    >>> bounded("width_min"), bounded("width_max"), bounded("kind")
    ('width', 'width', 'kind')
    """
    return name.removesuffix("_min").removesuffix("_max")


def _condition(name: str, value: Any) -> tuple[str, list[Any]]:
    columns = [f'"{column}"' for column in _COLUMNS_OF[name]]
    first = columns[0]
    if name == "mesh":
        uis = [text.upper() for text in value if _MESH_UI.fullmatch(text)]
        names = [text for text in value if not _MESH_UI.fullmatch(text)]
        either = [(_overlap(columns[0]), names), (f"list_has_any({columns[1]}, ?)", uis)]
        return " OR ".join(sql for sql, wanted in either if wanted), [wanted for _, wanted in either if wanted]
    if name in _LISTS:
        return _overlap(first), [list(value)]
    if name == "pmcid":
        return f"{first} IN ({_marks(value)})", [int(text) for text in value]
    if name in MANY:
        return " OR ".join(f"lower({column}) IN ({_marks(value)})" for column in columns), list(value) * len(columns)
    if name == "published_from":  # each compared at the coarser precision of the two
        return f"left({first}, length(?)) >= left(?, length({first}))", [value, value]
    if name == "published_to":
        return f"left({first}, length(?)) <= left(?, length({first}))", [value, value]
    return f"{first} {'>=' if name.endswith('_min') else '<='} ?", [value]


def _overlap(column: str) -> str:
    return f"list_has_any(list_transform({column}, lambda v: lower(v)), ?)"


def _marks(values: tuple[str, ...]) -> str:
    return ", ".join("?" * len(values))


def _pmcid(text: str) -> str:
    match = re.fullmatch(r"(?:PMC)?(\d{1,15})(?:\.\d+)?", text, re.IGNORECASE | re.ASCII)
    if not match:
        raise ValueError(f"{text!r} is no PMCID: write PMC13901 or 13901")
    return match[1]
