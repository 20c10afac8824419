"""Every table's columns: name, type, unit, meaning, source. The one authority on what a table holds.

Parquet files, asset column schemas, DuckDB views, JSON Schema and the generated part of `docs/tables.md`
all come from here. What does not belong here: how rows are made (`jats/`, `pmc/`, `images/`, `ingest/`)
and where they are stored (`store/`).

Conventions
-----------
* A row is a plain ``dict`` keyed by column name; a missing key is null. `rows_to_table` refuses unknown keys.
* Text offsets are 0-based, half-open, in Unicode code points of the text they refer to.
* Ids: ``article_id`` = ``PMC11370360.1`` (PMCID + version); ``figure_id`` = ``<article_id>/<xml id>``;
  ``image_id`` = ``<figure_id>/<n>``; ``paragraph_id`` = ``<article_id>/p<ordinal>``.
* Null is null: never an empty string, never the text "None".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 2
"""Raised whenever a column is added, removed or changes meaning; recorded in every chunk manifest."""

Row = dict[str, Any]
"""One row of a table, keyed by column name (see the tables below)."""

_TEXT = pa.string()
_INT = pa.int64()
_BOOL = pa.bool_()
_TEXTS = pa.list_(pa.string())
_FLOAT = pa.float32()
_VECTOR = pa.list_(pa.float16())


def _structs(**fields: pa.DataType) -> pa.DataType:
    return pa.list_(pa.struct([pa.field(name, kind) for name, kind in fields.items()]))


@dataclass(frozen=True)
class Column:
    """One column. ``unit`` is e.g. "bytes" or "pixels"; ``source`` names the element or field it comes from."""

    name: str
    type: pa.DataType
    meaning: str
    source: str = ""
    unit: str = ""
    required: bool = False


@dataclass(frozen=True)
class Table:
    """One table: its columns and the columns that identify a row within a chunk."""

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema, meanings as field metadata."""
        return pa.schema(
            [
                pa.field(c.name, c.type, nullable=not c.required, metadata={"description": c.meaning})
                for c in self.columns
            ]
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)


_CHUNK = Column("chunk", _TEXT, "chunk that holds the row; joins are on (chunk, id)", "file list", required=True)
_ARTICLE_ID = Column(
    "article_id", _TEXT, "article version: PMCID, a dot, version number", "article-id[@pub-id-type='pmcid-ver']"
)
_ARTICLE_KEY = (_CHUNK, Column(_ARTICLE_ID.name, _TEXT, _ARTICLE_ID.meaning, _ARTICLE_ID.source, required=True))
_FIGURE_ID = Column("figure_id", _TEXT, "figure: article_id, a slash, the escaped XML id", "fig/@id", required=True)
_LICENCE_COLUMNS = (
    Column("licence_code", _TEXT, "licence as PMC spells it, e.g. 'CC BY-NC'", "licence URL or text"),
    Column("licence_version", _TEXT, "Creative Commons version, e.g. '4.0'", "licence URL"),
    Column("licence_url", _TEXT, "licence URL as written", "license/@xlink:href, ali:license_ref"),
)

FILE_LIST = Table(
    "file_list",
    "What one release adds, changes, removes or retries against all releases before it, cut into chunks.",
    ("chunk", "listed_id"),
    (
        _CHUNK,
        Column("action", _TEXT, "add, change, remove or retry", required=True),
        Column("listed_id", _TEXT, "article version as the release lists it", "inventory key", required=True),
        Column("pmcid", _INT, "number of the PMCID", required=True),
        Column("version", _INT, "version number", required=True),
        Column("etag", _TEXT, "opaque change token of the release; null for remove", "inventory ETag"),
        Column("last_modified", _TEXT, "as the release writes it, ISO 8601", "inventory LastModifiedDate"),
        Column("location", _TEXT, "path of the package; null in the cloud layout", "oa_file_list File"),
        Column("prior_chunk", _TEXT, "chunk of the newest earlier row of this version; null when there is none"),
        Column("attempts", _INT, "how often this state was tried before (retry rows)", required=True),
    ),
)

VERSIONS = Table(
    "versions",
    "What became of every row of the file list.",
    ("listed_id",),
    (
        _CHUNK,
        Column("listed_id", _TEXT, "article version as the release lists it", "file list", required=True),
        Column(
            "article_id", _TEXT, "article version by its own XML; equals listed_id but in old packages", required=True
        ),
        Column("pmcid", _INT, "number of the PMCID", required=True),
        Column("version", _INT, "version number", required=True),
        Column("action", _TEXT, "add, change, remove or retry", "file list", required=True),
        Column(
            "outcome",
            _TEXT,
            "collected, gated:<reason>, retracted, removed, absent, out_of_scope, superseded or failed",
            required=True,
        ),
        Column("reason", _TEXT, "why, in words, when not collected"),
        Column("listed_etag", _TEXT, "change token in the file list", "inventory ETag"),
        Column("etag", _TEXT, "change token of what was actually fetched", "HTTP ETag of the metadata JSON"),
        Column("pmid", _INT, "PubMed id", "metadata JSON pmid"),
        Column("doi", _TEXT, "DOI", "metadata JSON doi"),
        Column("licence_code", _TEXT, "licence code as PMC serves it", "metadata JSON license_code"),
        Column("licence_group", _TEXT, "commercial, noncommercial or other (NLM's grouping)", "licence_code"),
        Column("is_open_access", _BOOL, "belongs to the OA Subset", "metadata JSON is_pmc_openaccess"),
        Column("is_manuscript", _BOOL, "author manuscript", "metadata JSON is_manuscript"),
        Column("is_historical_ocr", _BOOL, "scanned back issue", "metadata JSON is_historical_ocr"),
        Column("is_retracted", _BOOL, "PMC marks the version as retracted", "metadata JSON is_retracted"),
        Column("citation", _TEXT, "NLM short citation", "metadata JSON citation"),
        Column("xml_md5", _TEXT, "MD5 of the XML, 32 hex digits", "md5 in xml_url"),
    ),
)

OBJECTS = Table(
    "objects",
    "Every media entry of every collected version, and every graphic its XML names.",
    ("article_id", "file_name"),
    (
        *_ARTICLE_KEY,
        Column("file_name", _TEXT, "name within the article version", "media_urls, graphic/@xlink:href", required=True),
        Column("key", _TEXT, "object key or archive member; null when the release has no such file"),
        Column("md5", _TEXT, "MD5 as the release states it, else of the bytes read", "md5 in media_urls"),
        Column("bytes", _INT, "size; null when not fetched", unit="bytes"),
        Column(
            "object_class",
            _TEXT,
            "figure, rendition, thumbnail, formula, table, inline, supplement, media or unreferenced",
            "element that names the file",
            required=True,
        ),
        Column("collected", _BOOL, "true when its bytes are in a shard", required=True),
        Column("reason", _TEXT, "why not collected; null when collected"),
    ),
)

ARTICLES = Table(
    "articles",
    "One row per collected article version.",
    ("article_id",),
    (
        *_ARTICLE_KEY,
        Column("pmcid", _INT, "number of the PMCID", "article-id pmcid, pmc", required=True),
        Column("version", _INT, "version number", "article-id pmcid-ver", required=True),
        Column("pmid", _INT, "PubMed id", "article-id pmid"),
        Column("doi", _TEXT, "DOI", "article-id doi"),
        Column("publisher_id", _TEXT, "publisher's id", "article-id publisher-id"),
        Column("manuscript_id", _TEXT, "manuscript id, e.g. NIHMS123", "article-id manuscript"),
        *_LICENCE_COLUMNS,
        Column("licence_group", _TEXT, "commercial, noncommercial or other", "licence_code"),
        Column("licence_rule", _TEXT, "rule that decided, see docs/licences.md"),
        Column("licence_reason", _TEXT, "how licence_code and licence_group were decided"),
        Column("licence_text", _TEXT, "licence statement in words", "license-p"),
        Column("copyright", _TEXT, "copyright statement", "copyright-statement"),
        Column("article_type", _TEXT, "e.g. research-article", "article/@article-type"),
        Column("language", _TEXT, "main language, as written, e.g. 'en'", "article/@xml:lang"),
        Column("title", _TEXT, "plain text", "article-title"),
        Column("subtitle", _TEXT, "plain text", "subtitle"),
        Column("translated_titles", _structs(language=_TEXT, title=_TEXT), "titles in other languages", "trans-title"),
        Column("abstract", _TEXT, "main abstract, plain text, parts joined by blank lines", "abstract"),
        Column(
            "abstract_parts",
            _structs(kind=_TEXT, language=_TEXT, title=_TEXT, text=_TEXT),
            "all abstracts, section by section; kind is 'main' or @abstract-type",
            "abstract, trans-abstract",
        ),
        Column("journal", _TEXT, "full title", "journal-title"),
        Column("journal_abbreviation", _TEXT, "NLM or ISO abbreviation", "journal-id nlm-ta, iso-abbrev"),
        Column("issns", _structs(type=_TEXT, issn=_TEXT), "ISSNs with type (ppub, epub, linking)", "issn"),
        Column("publisher", _TEXT, "publisher name", "publisher-name"),
        Column("volume", _TEXT, "volume", "volume"),
        Column("issue", _TEXT, "issue", "issue"),
        Column("first_page", _TEXT, "first page", "fpage"),
        Column("last_page", _TEXT, "last page", "lpage"),
        Column("elocation_id", _TEXT, "electronic location", "elocation-id"),
        Column(
            "authors",
            _structs(name=_TEXT, surname=_TEXT, given_names=_TEXT, orcid=_TEXT, collective=_BOOL, affiliations=_TEXTS),
            "authors in order; collective is true for a group's name",
            "contrib[@contrib-type='author']",
        ),
        Column(
            "dates",
            _structs(type=_TEXT, date=_TEXT, precision=_TEXT),
            "every date: ISO 8601 cut to its precision (year, month, day); seasons kept as month precision null",
            "pub-date, history/date",
        ),
        Column("publication_date", _TEXT, "earliest publication date, ISO 8601 cut to its precision", "pub-date"),
        Column("publication_year", _INT, "year of publication_date", "pub-date"),
        Column("keywords", _structs(group=_TEXT, language=_TEXT, keyword=_TEXT), "all keyword groups", "kwd-group"),
        Column("subjects", _structs(group=_TEXT, subject=_TEXT), "subjects; nested ones after ' / '", "subj-group"),
        Column("funding", _structs(funder=_TEXT, funder_id=_TEXT, award_ids=_TEXTS), "funding sources", "award-group"),
        Column(
            "related_articles", _structs(type=_TEXT, id_type=_TEXT, id=_TEXT), "related articles", "related-article"
        ),
        Column("citation", _TEXT, "NLM short citation; from the XML's parts when PMC gives none", "metadata JSON"),
        Column("n_figures", _INT, "rows in figures"),
        Column("n_paragraphs", _INT, "rows in paragraphs"),
        Column("n_mentions", _INT, "rows in mentions"),
        Column("n_tables", _INT, "table-wrap elements", "table-wrap"),
        Column("n_references", _INT, "reference list entries", "ref"),
        Column("n_characters", _INT, "characters of all paragraphs", unit="code points"),
        Column("root", _TEXT, "element the article was found in: article, pmc-articleset, OAI-PMH ..."),
        Column("dtd_version", _TEXT, "JATS or NLM version as written", "article/@dtd-version"),
        Column("source_key", _TEXT, "object key or package member of the XML"),
        Column("source_md5", _TEXT, "MD5 of the XML bytes parsed"),
        Column("source_etag", _TEXT, "change token of the state parsed"),
        Column("parser_version", _TEXT, "version of jats/ that made the article's rows"),
    ),
)

PARAGRAPHS = Table(
    "paragraphs",
    "Text blocks in document order: every paragraph, and any other block that mentions a figure.",
    ("paragraph_id",),
    (
        *_ARTICLE_KEY,
        Column("paragraph_id", _TEXT, "article_id, '/p', ordinal", required=True),
        Column("ordinal", _INT, "0-based position in the article", required=True),
        Column(
            "kind",
            _TEXT,
            "p, title, caption, table_cell, footnote, list_item, abstract or other",
            "element that holds the text",
            required=True,
        ),
        Column("section_path", _TEXTS, "titles of the enclosing sections, outermost first", "sec/title"),
        Column("section_type", _TEXT, "type of the innermost typed section, e.g. 'methods'", "sec/@sec-type"),
        Column("text", _TEXT, "plain text, white space collapsed", required=True),
        Column(
            "citations",
            _structs(start=_INT, end=_INT, rids=_TEXTS),
            "bibliography citation markers by offset into text",
            "xref[@ref-type='bibr']",
        ),
    ),
)

FIGURES = Table(
    "figures",
    "Every <fig>, and every other captioned holder of a graphic.",
    ("figure_id",),
    (
        *_ARTICLE_KEY,
        _FIGURE_ID,
        Column("element", _TEXT, "JATS element that is the figure: fig, fig-group, table-wrap ..."),
        Column("xml_id", _TEXT, "id as written; null when missing", "fig/@id"),
        Column(
            "kind",
            _TEXT,
            "fig, fig_group, group_member, nested, table, scheme, chemical, box, supplementary, "
            "graphical_abstract, video or other",
            "element and place",
            required=True,
        ),
        Column("ordinal", _INT, "0-based position among the article's figures, document order", required=True),
        Column("label", _TEXT, "e.g. 'Figure 2'", "fig/label"),
        Column("group_id", _TEXT, "figure_id of the enclosing fig-group", "fig-group"),
        Column("parent_id", _TEXT, "figure_id of the figure that encloses this one", "fig/fig"),
        Column("sub_article", _TEXT, "type of the enclosing sub-article or response", "sub-article/@article-type"),
        Column("place", _TEXT, "front, abstract, body, back, appendix, floats or sub_article", required=True),
        Column("section_path", _TEXTS, "titles of the enclosing sections", "sec/title"),
        Column("doi", _TEXT, "the figure's own DOI", "fig/object-id[@pub-id-type='doi']"),
        Column("alt_text", _TEXT, "alternative text", "alt-text"),
        Column("long_description", _TEXT, "long description", "long-desc"),
        Column("attribution", _TEXT, "credit line", "attrib"),
        Column("permissions", _TEXT, "the figure's own permissions in words", "fig/permissions, caption credit"),
        Column("copyright", _TEXT, "the figure's own copyright statement", "fig/permissions/copyright-statement"),
        *_LICENCE_COLUMNS,
        Column("third_party_notice", _TEXT, "words that say the figure comes from or belongs to somebody else"),
        Column("n_graphics", _INT, "distinct graphics, renditions of one graphic counted once", required=True),
    ),
)

CAPTIONS = Table(
    "captions",
    "One row per figure that has a caption of its own or of its group.",
    ("figure_id",),
    (
        *_ARTICLE_KEY,
        _FIGURE_ID,
        Column("title", _TEXT, "caption title, plain text", "caption/title"),
        Column("paragraphs", _TEXTS, "caption paragraphs and list items, plain text", "caption/p"),
        Column("text", _TEXT, "title and paragraphs joined by one space: what a careful reader would type"),
        Column("group_caption", _TEXT, "text of the enclosing fig-group's caption", "fig-group/caption"),
        Column("language", _TEXT, "language when the caption states one", "caption/@xml:lang"),
        Column(
            "rich",
            _structs(start=_INT, end=_INT, style=_TEXT),
            "markup by offset into text: italic, bold, sup, sub, sc, underline ...",
        ),
        Column("math", _structs(start=_INT, end=_INT, tex=_TEXT), "formulas by offset into text", "tex-math, mml:math"),
        Column(
            "sub_captions",
            _structs(panel=_TEXT, text=_TEXT, start=_INT, end=_INT),
            "text of each panel by offset into text; letters, or places (LEFT, TOP ...)",
        ),
    ),
)

MENTIONS = Table(
    "mentions",
    "One row per figure per citation of it in the text.",
    ("figure_id", "paragraph_id", "start", "ordinal"),
    (
        *_ARTICLE_KEY,
        _FIGURE_ID,
        Column("paragraph_id", _TEXT, "paragraph that holds the citation", required=True),
        Column("ordinal", _INT, "0-based position among the article's mentions, document order", required=True),
        Column("start", _INT, "offset of the surface text in the paragraph", required=True),
        Column("end", _INT, "offset behind the surface text", required=True),
        Column("text", _TEXT, "surface text: the xref's, with panel letters that follow it", required=True),
        Column("panels", _TEXTS, "panels named, upper case, ranges expanded: B, C, D; empty when none"),
        Column("expanded", _BOOL, "true when the figure stands inside a written range", required=True),
        Column("kind", _TEXT, "xref, or text when the figure is named without a link", required=True),
        Column("rid", _TEXT, "id the link points at; null for kind text", "xref/@rid"),
    ),
)

IMAGES = Table(
    "images",
    "One row per collected graphic file of a figure; its bytes are in an archive shard.",
    ("image_id",),
    (
        *_ARTICLE_KEY,
        _FIGURE_ID,
        Column("image_id", _TEXT, "figure_id, a slash, 1-based position within the figure", required=True),
        Column("ordinal", _INT, "1-based position within the figure", required=True),
        Column("href", _TEXT, "name as the XML writes it", "graphic/@xlink:href", required=True),
        Column("file_name", _TEXT, "name within the article version", "media_urls"),
        Column("key", _TEXT, "object key or package member"),
        Column("media_type", _TEXT, "by magic bytes, e.g. image/jpeg"),
        Column("width", _INT, "width", unit="pixels"),
        Column("height", _INT, "height", unit="pixels"),
        Column("mode", _TEXT, "colour mode: 1, L, P, RGB, CMYK ..."),
        Column("frames", _INT, "pages or animation frames; null when not counted"),
        Column("bytes", _INT, "size of the file", unit="bytes"),
        Column("md5", _TEXT, "MD5 of the file, 32 hex digits"),
        Column("sha256", _TEXT, "SHA-256 of the file, 64 hex digits"),
        Column("perceptual_hash", _TEXT, "64-bit DCT hash, 16 hex digits; null when not decodable"),
        *_LICENCE_COLUMNS,
        Column("licence_group", _TEXT, "commercial, noncommercial or other"),
        Column("licence_rule", _TEXT, "rule that decided, see docs/licences.md"),
        Column("licence_reason", _TEXT, "how the licence was decided"),
        Column("third_party_notice", _TEXT, "words that say the image belongs to somebody else"),
        Column("shard", _TEXT, "archive shard below the store; null once compaction has dropped withdrawn bytes"),
        Column("offset", _INT, "first byte of the sample in the shard", unit="bytes"),
        Column("length", _INT, "length of the sample (all members with headers and padding)", unit="bytes"),
        Column("image_offset", _INT, "first byte of the image file in the shard", unit="bytes"),
        Column("sample_key", _TEXT, "WebDataset key of the sample"),
    ),
)

FAILURES = Table(
    "failures",
    "Bad input, one row per problem; the rest of the article or chunk goes on.",
    ("article_id", "object", "stage"),
    (
        *_ARTICLE_KEY,
        Column("object", _TEXT, "object key, member or file the problem is about"),
        Column("stage", _TEXT, "list, fetch, verify, parse, match, image or write", required=True),
        Column("error", _TEXT, "class of the problem, e.g. ChecksumMismatch", required=True),
        Column("message", _TEXT, "what happened, for a person"),
        Column("transient", _BOOL, "true when another try may succeed", required=True),
        Column("fatal", _BOOL, "true when the whole version failed because of it", required=True),
    ),
)

SOURCES = Table(
    "sources",
    "XML and metadata JSON bytes as fetched: what a re-parse reads instead of the network.",
    ("listed_id", "name"),
    (
        _CHUNK,
        Column("listed_id", _TEXT, "article version as the release lists it", required=True),
        Column("pmcid", _INT, "number of the PMCID", required=True),
        Column("version", _INT, "version number", required=True),
        Column("name", _TEXT, "json or xml", required=True),
        Column("key", _TEXT, "object key or package member", required=True),
        Column("etag", _TEXT, "change token served with it"),
        Column("md5", _TEXT, "MD5 of the bytes"),
        Column("data", pa.large_binary(), "the bytes", required=True),
    ),
)

METADATA = Table(
    "metadata",
    "What PubMed says of an article's PMID: an append log by chunk (first sight) and by day (PubMed's changes). "
    "The newest row per PMID counts, see pubmed_log.",
    ("partition", "pmid"),
    (
        Column("partition", _TEXT, "chunk that holds articles with this PMID, or day of the refresh", required=True),
        Column("pmid", _INT, "PMID as the articles state it: what was asked for", required=True),
        Column(
            "outcome",
            _TEXT,
            "found, merged (PubMed answers with another PMID), deleted, missing or unreadable",
            required=True,
        ),
        Column("reason", _TEXT, "why, in words, when not found"),
        Column("record_pmid", _INT, "PMID in the record", "PMID"),
        Column("record_version", _INT, "version of the record", "PMID/@Version"),
        Column("record_type", _TEXT, "article or book", "PubmedArticle, PubmedBookArticle"),
        Column("record_pmcid", _INT, "number of the PMCID by PubMed", "ArticleId[@IdType='pmc']"),
        Column("record_doi", _TEXT, "DOI by PubMed", "ArticleId[@IdType='doi'], ELocationID"),
        Column("pii", _TEXT, "publisher's id", "ArticleId[@IdType='pii'], ELocationID"),
        Column("title", _TEXT, "title, English; of a translated one in brackets", "ArticleTitle, BookTitle"),
        Column("vernacular_title", _TEXT, "title in its own language", "VernacularTitle"),
        Column("abstract", _structs(label=_TEXT, category=_TEXT, text=_TEXT), "abstract by parts", "AbstractText"),
        Column(
            "other_abstracts",
            _structs(type=_TEXT, language=_TEXT, label=_TEXT, category=_TEXT, text=_TEXT),
            "plain-language, publisher's and foreign-language abstracts",
            "OtherAbstract",
        ),
        Column("languages", _TEXTS, "languages of the text, ISO 639-2", "Language"),
        Column("publication_types", _structs(name=_TEXT, ui=_TEXT), "publication types", "PublicationType"),
        Column(
            "mesh",
            _structs(
                descriptor=_TEXT,
                descriptor_ui=_TEXT,
                type=_TEXT,
                major=_BOOL,
                qualifiers=_structs(name=_TEXT, ui=_TEXT, major=_BOOL),
            ),
            "MeSH headings, none until the record is indexed; major: descriptor or qualifier is a main topic",
            "MeshHeading",
        ),
        Column(
            "supplementary_mesh", _structs(name=_TEXT, ui=_TEXT, type=_TEXT), "supplementary concepts", "SupplMeshName"
        ),
        Column("keywords", _structs(keyword=_TEXT, major=_BOOL, owner=_TEXT), "keywords", "Keyword"),
        Column("chemicals", _structs(name=_TEXT, ui=_TEXT, registry_number=_TEXT), "substances", "Chemical"),
        Column("grants", _structs(id=_TEXT, acronym=_TEXT, agency=_TEXT, country=_TEXT), "grants", "Grant"),
        Column("databanks", _structs(name=_TEXT, accession_numbers=_TEXTS), "data sets and trials", "DataBank"),
        Column(
            "references",
            _structs(citation=_TEXT, pmid=_INT, pmcid=_INT, doi=_TEXT),
            "references in order; null ids where PubMed knows none",
            "Reference; CommentsCorrections[@RefType='Cites'] in old records",
        ),
        Column(
            "comments_corrections",
            _structs(kind=_TEXT, source=_TEXT, pmid=_INT, note=_TEXT),
            "errata, comments, retractions, expressions of concern, updates ... in both directions",
            "CommentsCorrections",
        ),
        Column(
            "pubmed_status",
            _TEXT,
            "retracted, concern (expression of concern, partial retraction) or null",
            "PublicationType, CommentsCorrections/@RefType",
        ),
        Column("indexing_status", _TEXT, "MEDLINE, In-Process, PubMed-not-MEDLINE ...", "MedlineCitation/@Status"),
        Column("indexing_method", _TEXT, "Manual, Curated or Automated", "MedlineCitation/@IndexingMethod"),
        Column("citation_subsets", _TEXTS, "subsets, e.g. IM", "CitationSubset"),
        Column("date_completed", _TEXT, "day indexing was completed, ISO 8601", "DateCompleted"),
        Column("date_revised", _TEXT, "day of the last revision, ISO 8601", "DateRevised"),
        Column("publication_status", _TEXT, "ppublish, epublish, aheadofprint ...", "PublicationStatus"),
        Column(
            "history", _structs(event=_TEXT, date=_TEXT), "received, accepted, entrez, medline ...", "PubMedPubDate"
        ),
        Column("journal_nlm_id", _TEXT, "NLM's id of the journal", "NlmUniqueID"),
        Column("journal_abbreviation", _TEXT, "NLM's abbreviation of the journal", "MedlineTA"),
        Column("journal_issn", _TEXT, "linking ISSN", "ISSNLinking"),
        Column("journal_country", _TEXT, "country of publication", "MedlineJournalInfo/Country"),
    ),
)

_ENCODER = Column("encoder", _TEXT, "model, dimensions and the first digits of its weights' SHA-256", required=True)

CAPTION_FEATURES = Table(
    "caption_features",
    "A vector for every caption (of the figure and of its group) by the text encoder; none for what has no words.",
    ("figure_id",),
    (
        *_ARTICLE_KEY,
        _FIGURE_ID,
        Column("sha256", _TEXT, "SHA-256 of the encoded text in UTF-8, 64 hex digits", required=True),
        _ENCODER,
        Column("vector", _VECTOR, "the caption's vector, of length 1", "captions.text, group_caption", required=True),
    ),
)

IMAGE_FEATURES = Table(
    "image_features",
    "A vector for every image by the image encoder; none for what cannot be decoded.",
    ("image_id",),
    (
        *_ARTICLE_KEY,
        _FIGURE_ID,
        Column("image_id", _TEXT, "image", required=True),
        Column("sha256", _TEXT, "SHA-256 of the image file", required=True),
        _ENCODER,
        Column("vector", _VECTOR, "the image's vector, of length 1", "archive shard", required=True),
    ),
)

_SPACE = Column("space", _TEXT, "concept space, by the first digits of its file's SHA-256", required=True)

CONCEPTS = Table(
    "concepts",
    "The concept of every image that has a vector: the nearest centre of the concept space.",
    ("image_id",),
    (
        *_ARTICLE_KEY,
        _FIGURE_ID,
        Column("image_id", _TEXT, "image", required=True),
        Column("sha256", _TEXT, "SHA-256 of the image file", required=True),
        _SPACE,
        Column("concept", _INT, "0-based number of the centre in its space", "image_features.vector", required=True),
        Column("distance", _FLOAT, "Euclidean distance to the centre, among vectors of length 1", required=True),
        Column("margin", _FLOAT, "distance to the second nearest centre minus distance; null with a single centre"),
    ),
)

CONTACT_SHEETS = Table(
    "contact_sheets",
    "Members of every concept to look at, among current images, no picture twice in a concept.",
    ("space", "concept", "role", "position"),
    (
        _SPACE,
        Column("concept", _INT, "number of the centre in its space", required=True),
        Column("role", _TEXT, "nearest (to the centre), farthest, or random among the others", required=True),
        Column("position", _INT, "0-based place within the role", required=True),
        *_ARTICLE_KEY,
        _FIGURE_ID,
        Column("image_id", _TEXT, "image", required=True),
        Column("sha256", _TEXT, "SHA-256 of the image file", required=True),
        Column("distance", _FLOAT, "as in concepts", required=True),
    ),
)

VOTES = Table(
    "votes",
    "What annotators said of concepts and images, one row per vote; the newest of an annotator for a target counts.",
    ("annotator", "vote_id"),
    (
        Column("vote_id", _TEXT, "time of the vote in UTC to the microsecond, and random digits", required=True),
        Column("annotator", _TEXT, "name of the annotator", required=True),
        Column("created_at", _TEXT, "time of the vote, ISO 8601", required=True),
        Column("target_kind", _TEXT, "concept or image", required=True),
        Column("space", _TEXT, "concept space of the concept; null for an image"),
        Column("concept", _INT, "number of the concept within its space; null for an image"),
        Column("image_id", _TEXT, "image; null for a concept"),
        Column("sha256", _TEXT, "SHA-256 of the image file, which the vote binds to; null for a concept"),
        Column("taxonomy", _TEXT, "name, version and digest of the taxonomy of then", required=True),
        Column(
            "answers",
            pa.list_(pa.struct([pa.field("axis", _TEXT), pa.field("labels", _TEXTS)])),
            "labels by axis; an axis that was not answered is left out",
            required=True,
        ),
        Column("mixed", _BOOL, "the pictures have no label in common on the axes left out", required=True),
        Column("unsure", _BOOL, "the annotator looked and could not tell", required=True),
        Column("comment", _TEXT, "what else the annotator wrote"),
        Column("shown", _TEXTS, "image_ids that were looked at", required=True),
        Column("seconds", pa.float64(), "time taken", unit="seconds"),
        Column("supersedes", _TEXT, "vote_id of an earlier vote of the annotator that it replaces"),
        Column("source", _TEXT, "web, csv or simulated", required=True),
    ),
)

ANNOTATIONS = Table(
    "annotations",
    "Labels of images, as every source says them: votes on the image (review), the label model (classifier), votes on "
    "the image's concept (concept), words around it (caption_rule, mesh_rule, figure_kind).",
    ("image_id", "axis", "source", "label"),
    (
        *_ARTICLE_KEY,
        _FIGURE_ID,
        Column("image_id", _TEXT, "image", required=True),
        Column("sha256", _TEXT, "SHA-256 of the image file", required=True),
        Column("axis", _TEXT, "axis of the taxonomy", required=True),
        Column("label", _TEXT, "label of the axis; null where the classifier abstains: no label is sure enough"),
        Column(
            "probability", _FLOAT, "how likely the label is, by this source; of an abstention the likeliest label's"
        ),
        Column("decision", _BOOL, "whether that is enough for this source to say it", required=True),
        Column("chosen", _BOOL, "whether it is what holds for the image: what view labels shows", required=True),
        Column("source", _TEXT, "review, classifier, concept, caption_rule, mesh_rule or figure_kind", required=True),
        Column("model", _TEXT, "label model, consensus of votes or version of the rules", required=True),
        Column("taxonomy", _TEXT, "taxonomy that the label is of", required=True),
    ),
)

IMAGE_LABELS = Table(
    "image_labels",
    "What holds of each image, in one row: the chosen annotations with all labels above them, and BIOMEDICA's names.",
    ("image_id",),
    (
        *_ARTICLE_KEY,
        _FIGURE_ID,
        Column("image_id", _TEXT, "image", required=True),
        Column("sha256", _TEXT, "SHA-256 of the image file", required=True),
        Column("labels", _TEXTS, "chosen labels of all axes and the labels above them", "annotations", required=True),
        Column("panel_types", _TEXTS, "those of them that are of the axis panel_type", "annotations", required=True),
        Column("primary_labels", _TEXTS, "BIOMEDICA's global concepts", "taxonomy.yaml", required=True),
        Column("secondary_labels", _TEXTS, "BIOMEDICA's local concepts", "taxonomy.yaml", required=True),
        Column("biomedica_panel_type", _TEXT, "BIOMEDICA's panel type", "taxonomy.yaml"),
        Column("biomedica_panel_subtype", _TEXT, "BIOMEDICA's panel subtype", "taxonomy.yaml"),
        Column("space", _TEXT, "concept space", "concepts"),
        Column("concept", _INT, "concept of the image in it", "concepts"),
        Column("taxonomy", _TEXT, "taxonomy that the labels are of", required=True),
    ),
)

PANELS = Table(
    "panels",
    "Panels of every image, in reading order: where each lies in it, its letter, its own part of the caption. An image "
    "without inner borders has one panel, the whole of it.",
    ("image_id", "ordinal"),
    (
        *_ARTICLE_KEY,
        _FIGURE_ID,
        Column("image_id", _TEXT, "image", required=True),
        Column("sha256", _TEXT, "SHA-256 of the image file", required=True),
        Column("panel_id", _TEXT, "image_id, '/panel', ordinal", required=True),
        Column("ordinal", _INT, "1-based, by letter where letters are known, else row by row", required=True),
        Column("n_panels", _INT, "panels of the image", required=True),
        Column("x", _INT, "left edge in the image as stored", unit="pixels", required=True),
        Column("y", _INT, "upper edge in the image as stored", unit="pixels", required=True),
        Column("width", _INT, "width", unit="pixels", required=True),
        Column("height", _INT, "height", unit="pixels", required=True),
        Column("letter", _TEXT, "panel's name, upper case as in captions.sub_captions; null when unknown"),
        Column(
            "letter_source",
            _TEXT,
            "glyph (read in the picture), order (by place among the caption's letters), file (the file's own); null "
            "without a letter",
        ),
        Column("letter_probability", _FLOAT, "of the letter being right; null without one"),
        Column("probability", _FLOAT, "of the box being a panel", required=True),
        Column("caption_start", _INT, "start of the panel's text in captions.text; null when it has none of its own"),
        Column("caption_end", _INT, "end of it"),
        Column("caption", _TEXT, "the panel's own part of the caption", "captions.sub_captions"),
        Column("detector", _TEXT, "what found the boxes: name and version, or digits of its weights", required=True),
        Column(
            "known",
            _TEXT,
            "digest of what caption and text say of the panels: with it, the image and the detector they stay the same",
            required=True,
        ),
    ),
)

ENTITIES = Table(
    "entities",
    "Biomedical entities named in captions and in paragraphs that mention figures.",
    ("text_id", "start", "type"),
    (
        *_ARTICLE_KEY,
        Column("text_id", _TEXT, "figure_id of a caption or paragraph_id", required=True),
        Column("field", _TEXT, "caption or paragraph", required=True),
        Column("start", _INT, "offset in captions.text or paragraphs.text", required=True),
        Column("end", _INT, "offset behind it", required=True),
        Column("text", _TEXT, "surface text", required=True),
        Column(
            "type", _TEXT, "disease, chemical, gene, species, cell_line, cell_type or tissue (anatomy)", required=True
        ),
        Column("ids", _TEXTS, "what it means, best first, e.g. MESH:D001943; empty when unknown", required=True),
        Column("name", _TEXT, "preferred name of the first id"),
        Column("source", _TEXT, "dictionary, model or both", required=True),
        Column("probability", _FLOAT, "of span and type being right", required=True),
        Column("annotator", _TEXT, "annotator and the first digits of its files' SHA-256", required=True),
    ),
)

PARAGRAPH_QUALITY = Table(
    "paragraph_quality",
    "What every paragraph of running text is worth for training: its type, domain and educational score.",
    ("paragraph_id",),
    (
        *_ARTICLE_KEY,
        Column("paragraph_id", _TEXT, "paragraph of kind p or abstract", required=True),
        Column("type", _TEXT, "study, review, clinical_case or other", required=True),
        Column("type_probability", _FLOAT, "of the type", required=True),
        Column("domain", _TEXT, "clinical, biomedical or other", required=True),
        Column("domain_probability", _FLOAT, "of the domain", required=True),
        Column("score", _FLOAT, "educational score, 1 (useless) to 5 (fit for a textbook)", required=True),
        Column("source", _TEXT, "teacher (its own label) or model (the distilled classifier)", required=True),
        Column("model", _TEXT, "teacher or classifier and the first digits of its file's SHA-256", required=True),
    ),
)

TEACHER_LABELS = Table(
    "teacher_labels",
    "Labels that teachers gave to current paragraphs, one teacher's each: what `paragraph_quality` is learnt from.",
    ("paragraph_id",),
    (
        *_ARTICLE_KEY,
        Column("paragraph_id", _TEXT, "paragraph", required=True),
        Column("text_sha256", _TEXT, "SHA-256 of the text that was labelled, UTF-8", required=True),
        Column("type", _TEXT, "as in paragraph_quality", required=True),
        Column("domain", _TEXT, "as in paragraph_quality", required=True),
        Column("score", _FLOAT, "as in paragraph_quality", required=True),
        Column("teacher", _TEXT, "model and version of the question, or file and beginning of its hash", required=True),
    ),
)

CONSENSUS = Table(
    "consensus",
    "What the votes for a concept or an image amount to on an axis; the rules are in `labels.consensus`.",
    ("target", "axis"),
    (
        Column("target", _TEXT, "concept:<space>/<number> or image:<SHA-256>", required=True),
        Column("target_kind", _TEXT, "concept or image", required=True),
        Column("space", _TEXT, "concept space of the concept; null for an image"),
        Column("concept", _INT, "number of the concept within its space; null for an image"),
        Column("image_id", _TEXT, "an image with these bytes; null for a concept"),
        Column("sha256", _TEXT, "SHA-256 of the image file; null for a concept"),
        Column("axis", _TEXT, "axis of the taxonomy", required=True),
        Column("status", _TEXT, "agreed, single (one annotator), tie, mixed or unsure", required=True),
        Column("labels", _TEXTS, "what more than half give; empty unless agreed or single", required=True),
        Column("weighted", _TEXTS, "labels more probable than not, given who said them", required=True),
        Column("coarse", _BOOL, "a label that nobody gave itself: several gave different ones below it", required=True),
        Column("share", pa.float64(), "annotators for the least sure of the labels, or for the best without any"),
        Column("probability", pa.float64(), "of the least sure of the labels; null without any"),
        Column("n_votes", _INT, "annotators who made a statement", required=True),
        Column("n_mixed", _INT, "annotators who found nothing in common", required=True),
        Column("n_unsure", _INT, "annotators who could not tell", required=True),
        Column("annotators", _TEXTS, "their names", required=True),
        Column(
            "counts",
            _structs(label=_TEXT, votes=_INT, share=pa.float64(), probability=pa.float64()),
            "every label that somebody gave, and those above it",
            required=True,
        ),
    ),
)

VERSION_LOG = Table(
    "version_log",
    "Catalogue: the outcome of every file-list row of every committed chunk that states something, and all removals.",
    ("chunk", "pmcid", "version"),
    (
        _CHUNK,
        Column("article_id", _TEXT, "article version by its own XML", required=True),
        Column("pmcid", _INT, "number of the PMCID as listed", required=True),
        Column("version", _INT, "version number as listed", required=True),
        Column("outcome", _TEXT, "as in versions; failed and superseded rows are left out", required=True),
        Column("is_manuscript", _BOOL, "author manuscript", required=True),
        Column("licence_group", _TEXT, "commercial, noncommercial or other"),
        Column("pmid", _INT, "PubMed id of a collected version's XML, else by PMC"),
    ),
)

CURRENT = Table(
    "current",
    "Catalogue: the one row per PMCID that readers see, and the chunk that holds its records.",
    ("pmcid",),
    (
        _CHUNK,
        Column("article_id", _TEXT, "article version", required=True),
        Column("pmcid", _INT, "number of the PMCID", required=True),
        Column("version", _INT, "version number", required=True),
        Column("is_manuscript", _BOOL, "author manuscript", required=True),
        Column("licence_group", _TEXT, "commercial, noncommercial or other, by PMC's code"),
        Column("pmid", _INT, "PubMed id"),
        Column("pubmed_status", _TEXT, "retracted or concern by PubMed's newest record, else null", "metadata"),
    ),
)

PUBMED_LOG = Table(
    "pubmed_log",
    "Catalogue: the narrow part of every row of metadata, and which row counts for a PMID.",
    ("partition", "pmid"),
    (
        Column("partition", _TEXT, "as in metadata", required=True),
        Column("pmid", _INT, "as in metadata", required=True),
        Column("outcome", _TEXT, "as in metadata", required=True),
        Column("date_revised", _TEXT, "as in metadata"),
        Column("pubmed_status", _TEXT, "as in metadata"),
        Column("is_newest", _BOOL, "no other row of the PMID is newer", required=True),
    ),
)

SAMPLE_INDEX = Table(
    "sample_index",
    "Catalogue: one narrow row per image of a current article: what a filter needs, and where the bytes lie.",
    ("image_id",),
    (
        _CHUNK,
        Column("pmcid", _INT, "number of the PMCID", required=True),
        Column("article_id", _TEXT, "article version", required=True),
        Column("figure_id", _TEXT, "figure", required=True),
        Column("image_id", _TEXT, "image", required=True),
        Column("kind", _TEXT, "kind of the figure"),
        Column("licence_group", _TEXT, "the image's licence group"),
        Column("licence_code", _TEXT, "the image's licence"),
        Column("publication_year", _INT, "year of publication"),
        Column("journal", _TEXT, "journal title"),
        Column("article_type", _TEXT, "article type"),
        Column("media_type", _TEXT, "media type"),
        Column("width", _INT, "width", unit="pixels"),
        Column("height", _INT, "height", unit="pixels"),
        Column("bytes", _INT, "size of the image file", unit="bytes"),
        Column("sha256", _TEXT, "SHA-256 of the image file"),
        Column("shard", _TEXT, "archive shard below the store"),
        Column("offset", _INT, "first byte of the sample in the shard", unit="bytes"),
        Column("length", _INT, "length of the sample", unit="bytes"),
        Column("image_offset", _INT, "first byte of the image file in the shard", unit="bytes"),
    ),
)

WITHDRAWALS = Table(
    "withdrawals",
    "Catalogue: versions that were collected once and must not be served, whatever snapshot or export names them.",
    ("pmcid", "version"),
    (
        Column("listed_id", _TEXT, "article version as the release lists it", required=True),
        Column("article_id", _TEXT, "article version by its own XML", required=True),
        Column("pmcid", _INT, "number of the PMCID", required=True),
        Column("version", _INT, "version number as listed", required=True),
        Column(
            "reason",
            _TEXT,
            "removed, absent, retracted, gated:<reason>, pmcid_retracted (its published version) or pubmed_retracted",
            "outcome in version_log",
            required=True,
        ),
        Column(
            "since_chunk",
            _TEXT,
            "chunk whose row withdraws it; of pubmed_retracted the partition of metadata",
            required=True,
        ),
        Column("since_release", _TEXT, "release of that chunk", required=True),
    ),
)

DUPLICATES = Table(
    "duplicates",
    "Images of current articles that are the same picture as another one, cluster by cluster; all others are unique.",
    ("image_id",),
    (
        *_ARTICLE_KEY,
        Column("pmcid", _INT, "number of the PMCID", required=True),
        Column("image_id", _TEXT, "image", required=True),
        Column("sha256", _TEXT, "SHA-256 of the image file", required=True),
        Column("perceptual_hash", _TEXT, "64-bit DCT hash, 16 hex digits; null when not decodable"),
        Column(
            "kind",
            _TEXT,
            "original (first of its cluster by publication date, PMCID, image_id), exact (same bytes as duplicate_of) "
            "or near (perceptual hash within the distance)",
            required=True,
        ),
        Column("duplicate_of", _TEXT, "earliest image with the same bytes, else the cluster's original; null for it"),
        Column("distance", _INT, "differing bits of the perceptual hashes, to duplicate_of", unit="bits"),
        Column("cluster", _TEXT, "image_id of the cluster's original", required=True),
        Column("cluster_size", _INT, "images in the cluster", required=True),
    ),
)

SUBSET = Table(
    "subset",
    "Samples that a recipe picks from one catalogue generation, by PMCID and sample_id; read with what is current now.",
    ("sample_id",),
    (
        *_ARTICLE_KEY,
        Column("pmcid", _INT, "number of the PMCID", required=True),
        Column("sample_id", _TEXT, "what is picked: image_id, panel_id or paragraph_id", required=True),
        Column("image_id", _TEXT, "image, or that of the panel; null for paragraphs"),
        Column("sha256", _TEXT, "SHA-256 of the image file, or of a paragraph's text", required=True),
        Column("licence_group", _TEXT, "licence group of image or article when it was picked", required=True),
        Column("bytes", _INT, "size of the image file, or of the text", required=True, unit="bytes"),
        Column("length", _INT, "about the length of the sample in an export", required=True, unit="bytes"),
        Column("copies", _INT, "how often it comes in exports", required=True),
    ),
)

EXPORT_INDEX = Table(
    "export_index",
    "Which shard of an export holds an image: the seeded order over all shards, fixed before anything is written.",
    ("image_id",),
    (
        Column("shard", _INT, "number of the shard", required=True),
        Column("position", _INT, "0-based place in the export's order", required=True),
        Column("image_id", _TEXT, "sample: image_id, panel_id or paragraph_id; as often as it comes", required=True),
        Column("sha256", _TEXT, "SHA-256 of the image file, or of a paragraph's text", required=True),
    ),
)

CHUNK_TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        SOURCES,
        VERSIONS,
        ARTICLES,
        PARAGRAPHS,
        FIGURES,
        CAPTIONS,
        MENTIONS,
        OBJECTS,
        IMAGES,
        FAILURES,
    )
}
"""The tables that the chunk pass writes, in lineage order."""

DERIVED_TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        *(METADATA, CAPTION_FEATURES, IMAGE_FEATURES, CONCEPTS, ANNOTATIONS, IMAGE_LABELS),
        *(PANELS, ENTITIES, PARAGRAPH_QUALITY),
    )
}
"""Tables made from committed chunks later on, partition by partition (see `store.derived`)."""

RECORD_TABLES = ("articles", "paragraphs", "figures", "captions", "mentions", "images", "objects", "failures")
"""The tables to which one article's XML contributes rows (what `biomedica extract` prints)."""


def rows_to_table(table: Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Turn rows into an Arrow table of the table's schema; a missing key is null.

    Raises:
        KeyError: a row has a key that the table does not know.
        pyarrow.ArrowInvalid: a value does not fit its column, or a required one is null.
    """
    names = set(table.names)
    for row in rows:
        if not row.keys() <= names:
            raise KeyError(f"{table.name} has no column {sorted(row.keys() - names)}")
    arrays = []
    for column in table.columns:
        array = pa.array([row.get(column.name) for row in rows], type=column.type)
        if column.required and array.null_count:
            raise pa.ArrowInvalid(f"{table.name}.{column.name} is required, but {array.null_count} rows have none")
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=table.arrow)


def json_schema(table: Table) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one row of the table."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": table.name,
        "description": table.meaning,
        "type": "object",
        "additionalProperties": False,
        "required": [c.name for c in table.columns if c.required],
        "properties": {c.name: _json_type(c) for c in table.columns},
    }


def _json_type(column: Column) -> dict[str, Any]:
    described: dict[str, Any] = {"description": column.meaning + (f" ({column.unit})" if column.unit else "")}
    kind = _json_of(column.type)
    if not column.required:
        kind = {"anyOf": [kind, {"type": "null"}]}
    return {**described, **kind}


def _json_of(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        return {"type": "array", "items": {"anyOf": [_json_of(kind.value_type), {"type": "null"}]}}
    if pa.types.is_struct(kind):
        fields: Iterable[pa.Field] = (kind.field(i) for i in range(kind.num_fields))
        return {
            "type": "object",
            "properties": {f.name: {"anyOf": [_json_of(f.type), {"type": "null"}]} for f in fields},
        }
    if pa.types.is_integer(kind):
        return {"type": "integer"}
    if pa.types.is_floating(kind):
        return {"type": "number"}
    if pa.types.is_boolean(kind):
        return {"type": "boolean"}
    return {"type": "string"}


ALL_TABLES = (
    *(FILE_LIST, *CHUNK_TABLES.values(), *DERIVED_TABLES.values()),
    *(VERSION_LOG, CURRENT, SAMPLE_INDEX, WITHDRAWALS, PUBMED_LOG),
    *(VOTES, CONSENSUS, TEACHER_LABELS, DUPLICATES, SUBSET, EXPORT_INDEX, CONTACT_SHEETS),
)


def to_markdown() -> str:
    """`docs/tables.md`: every table and column in words."""
    lines = [
        "# Tables",
        "",
        "Made from `biomedica_assets/schemas.py` by `python -m biomedica_assets.schemas > docs/tables.md`.",
        "",
        'Offsets count Unicode code points from 0, the end is exclusive. Null is null, never the text "None".',
    ]
    for table in ALL_TABLES:
        lines += ["", f"## {table.name}", "", f"{table.meaning} Key: {', '.join(f'`{k}`' for k in table.key)}.", ""]
        lines += ["| column | type | meaning | source |", "|---|---|---|---|"]
        for column in table.columns:
            kind = str(column.type).replace("|", "\\|") + ("" if column.required else "?")
            unit = f" ({column.unit})" if column.unit else ""
            lines.append(f"| `{column.name}` | {kind} | {column.meaning}{unit} | {column.source} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(to_markdown(), end="")
