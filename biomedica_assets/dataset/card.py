"""The dataset card: README for a data hub, Croissant JSON-LD, JSON Schema of the tables, the report.

Published under its content's hash and, so that the store is a dataset by itself, as ``README.md`` and
``croissant.json`` at its root. What does not belong here: the numbers (`statistics`), how they are drawn (`report`).
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from biomedica_assets import __version__, schemas
from biomedica_assets.dataset.documents import Documents, publish, read_document, state_of
from biomedica_assets.dataset.licence_audit import publish_audit
from biomedica_assets.dataset.queries import bounded_catalogue
from biomedica_assets.dataset.report import choose_pictures, environment, render_html, render_markdown
from biomedica_assets.dataset.statistics import Statistics, publish_statistics
from biomedica_assets.schemas import Table
from biomedica_assets.store.catalogue import Generation, read_generation
from biomedica_assets.store.files import Files

NAME = "biomedica_assets"
DESCRIPTION = (
    "Figures of PubMed Central's Open Access articles with captions, in-text mentions, panels, licences and article "
    "metadata; image bytes as published, in tar shards that are addressed by byte offset."
)
CITATION = "biomedica_assets: PubMed Central's Open Access articles as a living multimodal dataset."
_PMC = "https://pmc.ncbi.nlm.nih.gov/tools/openftlist/"
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_DESCRIBED = ("articles", "paragraphs", "figures", "captions", "mentions", "images", "objects")
"""Tables that users of the dataset read; the others are for upkeep."""
_LATER = {"panels": "panels", "entities": "entities", "paragraph_quality": "rated_paragraphs"}
"""Further ones that a store may not have yet, and the total that says so."""


def render_readme(statistics: Statistics, rules: list[dict[str, Any]], *, pretty_name: str = NAME) -> str:
    """The card in Markdown with the YAML front matter that data hubs read. Every number comes from the arguments.

    Args:
        statistics: of `compute_statistics`, with ``state``.
        rules: `LicenceAudit.by_rule`.
        pretty_name: name shown by the hub.
    """
    languages = sorted({label[:2] for label, _ in statistics["series"]["languages"] if _is_language(label)})
    template = environment().get_template("card.md")
    tables = _described(statistics)
    return template.render(
        **statistics,
        rules=rules,
        languages=languages,
        pretty_name=pretty_name,
        description=DESCRIPTION,
        citation=CITATION,
        size=size_category(statistics["totals"]["images"]),
        tables=tables,
        version=__version__,
    )


def _described(statistics: Statistics) -> list[schemas.Table]:
    held = [name for name, total in _LATER.items() if statistics["totals"][total]]
    return [*(schemas.CHUNK_TABLES[name] for name in _DESCRIBED), *(schemas.DERIVED_TABLES[name] for name in held)]


def size_category(rows: int) -> str:
    """The hub's name for so many rows, e.g. '10M<n<100M'."""
    for limit, name in (*_SIZES, (10**8, "10M<n<100M"), (10**9, "100M<n<1B")):
        if rows < limit:
            return name
    return "n>1B"


def _is_language(label: str) -> bool:
    return len(label.partition("-")[0]) == 2 and label[:2].isalpha()


def croissant(generation: Generation, statistics: Statistics) -> dict[str, Any]:
    """Croissant 1.0 JSON-LD of the store: the catalogue's files with checksums, the tables as sets of files.

    File names are relative to the store's root.
    """
    distribution: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    for table in (schemas.CURRENT, schemas.SAMPLE_INDEX):
        data_file = generation.files[table.name]
        distribution.append(
            {
                "@type": "cr:FileObject",
                "@id": f"{table.name}-file",
                "name": f"{table.name}-file",
                "description": table.meaning,
                "contentUrl": data_file.path,
                "contentSize": f"{data_file.bytes} B",
                "encodingFormat": "application/x-parquet",
                "sha256": data_file.sha256,
            }
        )
        records.append(_record_set(table, {"fileObject": {"@id": f"{table.name}-file"}}))
    for table in _described(statistics):
        name = table.name
        distribution.append(
            {
                "@type": "cr:FileSet",
                "@id": f"{name}-files",
                "name": f"{name}-files",
                "description": f"{table.meaning} All committed chunks: join `current` on chunk and article_id.",
                "encodingFormat": "application/x-parquet",
                "includes": f"tables/{name}/*.parquet",
            }
        )
        records.append(_record_set(table, {"fileSet": {"@id": f"{name}-files"}}))
    distribution.append(
        {
            "@type": "cr:FileSet",
            "@id": "shards",
            "name": "shards",
            "description": "Archive shards: per sample the image as published, its caption and source facts; "
            "`sample_index` says where each begins.",
            "encodingFormat": "application/x-tar",
            "includes": "shards/*.tar",
        }
    )
    codes = [label for label, _ in statistics["series"]["articles_by_licence"] if label.startswith("CC")]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": NAME,
        "description": DESCRIPTION,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": [_licence_url(code) for code in codes] or _PMC,
        "url": _PMC,
        "version": f"1.0.0+{state_of(generation)['catalogue']}",
        "datePublished": state_of(generation)["release"] or "1970-01-01",
        "citeAs": CITATION,
        "keywords": ["biomedicine", "figures", "captions", "PubMed Central", "image-text"],
        "distribution": distribution,
        "recordSet": records,
    }


def _licence_url(code: str) -> str:
    terms = code.removeprefix("CC ").lower()
    if code == "CC0":
        return "https://creativecommons.org/publicdomain/zero/1.0/"
    return f"https://creativecommons.org/licenses/{terms}/4.0/"


def _record_set(table: Table, source: dict[str, Any]) -> dict[str, Any]:
    fields, structs = [], []
    for column in table.columns:
        if pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type):
            structs.append(column.name)  # readers of Croissant cannot read lists of structs yet
            continue
        field: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": f"{table.name}/{column.name}",
            "name": f"{table.name}/{column.name}",
            "description": column.meaning + (f" ({column.unit})" if column.unit else ""),
            "dataType": _data_type(column.type),
            "source": {**source, "extract": {"column": column.name}},
        }
        if pa.types.is_list(column.type):
            field["repeated"] = True
        fields.append(field)
    key = [{"@id": f"{table.name}/{name}"} for name in table.key]
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": table.meaning + (f" Described in schema/ only: {', '.join(structs)}." if structs else ""),
        "key": key[0] if len(key) == 1 else key,
        "field": fields,
    }


def _data_type(kind: pa.DataType) -> str:
    """Of lists the type of their items."""
    if pa.types.is_list(kind):
        return _data_type(kind.value_type)
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Boolean" if pa.types.is_boolean(kind) else "sc:Text"


def publish_card(files: Files, *, pretty_name: str = NAME) -> tuple[Documents, str]:
    """Render and store card and report of the newest generation; returns them and the report in Markdown.

    Statistics and audit are taken as published if they are of this generation, else made first.

    Raises:
        FileNotFoundError: no catalogue has been built yet.
    """
    generation = read_generation(files)
    if generation is None:
        raise FileNotFoundError(f"{files.url} has no catalogue yet: materialize the asset `catalogue`")
    statistics = _published(files, "statistics", "statistics.json", generation) or publish_statistics(files)[0]
    audit = _published(files, "licence_audit", "audit.json", generation)
    rules = audit["rules"] if audit else publish_audit(files)[0].by_rule()
    with bounded_catalogue(files) as (catalogue, _):
        pictures = choose_pictures(files, catalogue)
    report = render_markdown(statistics)
    contents = {
        "README.md": render_readme(statistics, rules, pretty_name=pretty_name),
        "croissant.json": json.dumps(croissant(generation, statistics), indent=1, ensure_ascii=False),
        "report.html": render_html(statistics, rules, pictures),
        "report.md": report,
    }
    contents |= {f"schema/{t.name}.json": json.dumps(schemas.json_schema(t), indent=1) for t in schemas.ALL_TABLES}
    documents = publish(files, "card", {name: text.encode() for name, text in contents.items()})
    for name in ("README.md", "croissant.json"):
        files.write(name, contents[name].encode())
    return documents, report


def _published(files: Files, name: str, file: str, generation: Generation) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(read_document(files, name, file))
    except FileNotFoundError:
        return None
    return found if found["state"] == state_of(generation) else None


_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The names that Croissant 1.0 prescribes, https://docs.mlcommons.org/croissant/docs/croissant-spec.html."""
