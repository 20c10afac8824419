"""The keyword index: how figures and articles stand in tantivy, how they are written, filtered, counted, highlighted.

Two indexes, one document per figure and one per article. Text is split at what is no letter or digit, folded to ASCII,
lower-cased and stemmed (English); what filters name is kept whole, in lower case; facets count the values as they are
written. What does not belong here: what people may write as a query (`query`), several lists in one (`fusion`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biomedica_assets.dataset.filters import ENTITY_TYPES, Filters
from biomedica_assets.search.documents import ArticleDocument, FigureDocument, pack
from biomedica_assets.search.requests import Fragment

try:
    import tantivy
except ImportError as error:  # pragma: no cover - depends on the installation
    raise ImportError("search needs tantivy: pip install 'biomedica_assets[search]'") from error

KEYWORD_VERSION = 3
"""Raised when fields or analysis change: the index is then built anew."""
HEAP_BYTES = 128 << 20
MAX_TOKEN = 60
SNIPPET_CHARACTERS = 240

TEXTS = {"figures": ("caption", "mention", "article"), "articles": ("title", "abstract", "terms", "body")}
STORED = {"figures": ("caption", "mention"), "articles": ("title", "abstract")}
FACETS = (
    *("licence_group", "licence", "journal", "publisher", "article_type", "publication_type", "mesh", "keyword"),
    *("subject", "language", "kind", "media_type", "label", "panel_type", "entity_type", *ENTITY_TYPES),
    *("paragraph_type", "paragraph_domain"),
)
"""Fields whose values are counted; those of journals, MeSH and each type of entity are filtered by another field."""
_WHOLE = (*FACETS, "journal_name", "mesh_name", "entity", "groups")
"""``groups`` is one word for the licence groups of the article and of all its images: see `_groups`."""
_NUMBERS = ("year", "first_day", "last_day", "width", "height", "bytes", "n_panels", "figures")
_SIZES = ("width", "height", "bytes", "n_panels")
IMAGE_FIELDS = ("licence_group", "licence", "media_type", *_SIZES, "label", "panel_type")
"""Fields of an image: a figure has the values of all its images, so two of them may hold by different images."""
OF_FIGURE = ("kind", "entity", "entity_type", "paragraph_type", "paragraph_domain", "paragraph_score")
"""Fields of a figure: an article has the values of all its figures."""


def _schema(kind: str) -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    for name in ("row", "pmcid"):
        builder.add_unsigned_field(name, indexed=True, fast=True)
    for name in ("figure_id", "article_id"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in TEXTS[kind]:
        builder.add_text_field(name, stored=name in STORED[kind], tokenizer_name="english")
    for name in _WHOLE:
        builder.add_text_field(name, fast=name in FACETS, tokenizer_name="whole", index_option="basic")
    for name in _NUMBERS:
        builder.add_unsigned_field(name, fast=True)
    builder.add_float_field("paragraph_score", indexed=True)
    builder.add_bytes_field("card", stored=True)
    return builder.build()


def _english() -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in (
        tantivy.Filter.remove_long(MAX_TOKEN),
        tantivy.Filter.lowercase(),
        tantivy.Filter.ascii_fold(),
        tantivy.Filter.stemmer("English"),
    ):
        builder = builder.filter(step)
    return builder.build()


def _analysed(index: tantivy.Index) -> tantivy.Index:
    """The index with its analyzers, which are not stored with it."""
    whole = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw())
    index.register_tokenizer("english", _english())
    index.register_tokenizer("whole", whole.filter(tantivy.Filter.lowercase()).build())
    index.register_fast_field_tokenizer("whole", tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw()).build())
    return index


class KeywordWriter:
    """Adds and deletes documents of one index in a local folder; nothing shows before `commit`.

    Args:
        folder: of the index; made when it is not there. Its files may be hard links: none is ever written again.
        kind: ``figures`` or ``articles``.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._index = _analysed(tantivy.Index(_schema(kind), str(folder)))
        # One thread: documents keep the order they are given in, which decides between equal scores.
        self._writer = self._index.writer(HEAP_BYTES, 1)

    def delete(self, article_ids: Iterable[str]) -> None:
        """Delete all documents of these articles that were added so far."""
        for article_id in article_ids:
            self._writer.delete_documents_by_term("article_id", article_id)

    def add_figure(self, row: int, figure: FigureDocument, article: ArticleDocument) -> None:
        document = _document(article, [figure])
        document.add_unsigned("row", row)
        document.add_text("figure_id", figure.figure_id)
        document.add_text("caption", figure.caption)
        document.add_text("mention", figure.mentions)
        document.add_text("article", f"{article.title}\n{article.terms}")
        if figure.kind:
            document.add_text("kind", figure.kind)
        document.add_bytes("card", pack(figure.card))
        self._writer.add_document(document)

    def add_article(self, article: ArticleDocument) -> None:
        document = _document(article, article.figures)
        for name, text in zip(
            TEXTS["articles"], (article.title, article.abstract, article.terms, article.body), strict=True
        ):
            document.add_text(name, text)
        for kind in sorted({figure.kind for figure in article.figures if figure.kind}):
            document.add_text("kind", kind)
        document.add_unsigned("figures", len(article.figures))
        document.add_bytes("card", pack(article.card))
        self._writer.add_document(document)

    def commit(self) -> None:
        """Make it durable and wait for merges; the writer is closed."""
        self._writer.commit()
        self._writer.wait_merging_threads()


def _document(article: ArticleDocument, figures: Sequence[FigureDocument]) -> tantivy.Document:
    """What figures and articles have in common: ids and everything that filters and facets name."""
    document, filters = tantivy.Document(), article.filters
    images = [image for figure in figures for image in figure.images]

    def listed(name: str) -> Iterable[str]:
        return dict.fromkeys(value for image in images for value in image[name])

    document.add_text("article_id", article.article_id)
    document.add_unsigned("pmcid", article.pmcid)
    names = [filters["journal"], filters["journal_abbreviation"]]
    values: dict[str, Iterable[str | None]] = {
        "journal": [filters["journal"]],
        "journal_name": dict.fromkeys(names),
        "publisher": [filters["publisher"]],
        "article_type": [filters["article_type"]],
        "publication_type": filters["publication_types"],
        "mesh": filters["mesh"],
        "mesh_name": [*filters["mesh"], *filters["mesh_uis"]],
        "keyword": filters["keywords"],
        "subject": filters["subjects"],
        "language": [filters["language"]],
        "groups": [_groups(filters["article_group"], images)],
        "licence_group": dict.fromkeys(image["licence_group"] for image in images),
        "licence": dict.fromkeys(image["licence_code"] for image in images),
        "media_type": dict.fromkeys(image["media_type"] for image in images),
        "label": listed("labels"),
        "panel_type": listed("panel_types"),
        "entity": listed("entity_terms"),
        "entity_type": listed("entity_types"),
        "paragraph_type": listed("paragraph_types"),
        "paragraph_domain": listed("paragraph_domains"),
    }
    for kind in ENTITY_TYPES:
        values[kind] = dict.fromkeys(e["name"] for figure in figures for e in figure.entities if e["type"] == kind)
    for name, texts in values.items():
        for text in texts:
            if text:
                document.add_text(name, text)
    if filters["publication_year"] is not None:
        document.add_unsigned("year", filters["publication_year"])
    if filters["publication_date"]:
        first, last = days(filters["publication_date"])
        document.add_unsigned("first_day", first)
        document.add_unsigned("last_day", last)
    for score in dict.fromkeys(image["paragraph_score"] for image in images):
        if score is not None:
            document.add_float("paragraph_score", score)
    for name in _SIZES:
        for number in dict.fromkeys(image[name] for image in images):
            if number is not None:
                document.add_unsigned(name, number)
    return document


def _groups(article: str | None, images: Sequence[dict[str, Any]]) -> str:
    """``commercial|commercial,other``: the group of an article, those of its images, ``-`` where none is known."""
    return f"{article or '-'}|{','.join(sorted({image['licence_group'] or '-' for image in images}))}"


def days(date: str) -> tuple[int, int]:
    """First and last day of an ISO date cut to its precision, as numbers that sort like dates.

    >>> days("2020"), days("2020-05"), days("2020-05-17")
    ((20200000, 20209999), (20200500, 20200599), (20200517, 20200517))
    """
    digits = date[:10].replace("-", "")
    return int(digits.ljust(8, "0")), int(digits.ljust(8, "9"))


@dataclass(frozen=True)
class Ranked:
    """Documents found, best first: addresses and scores; ``count`` is all that match."""

    addresses: list[Any]
    scores: list[float]
    count: int


class KeywordIndex:
    """One opened index. Immutable; safe for many threads.

    Raises:
        ValueError, OSError: the folder holds no index of this version of tantivy.
    """

    def __init__(self, folder: Path) -> None:
        self._index = _analysed(tantivy.Index.open(str(folder)))
        self._index.config_reader("manual")  # no thread that watches the folder
        self.schema = self._index.schema
        self._searcher = self._index.searcher()
        self._english = _english()

    def tokens(self, text: str) -> list[str]:
        """The text as it is indexed."""
        return list(self._english.analyze(text))

    def search(self, query: tantivy.Query, limit: int, offset: int = 0, *, newest: bool = False) -> Ranked:
        """The best documents, or the newest publications when nothing ranks them."""
        field = "first_day" if newest else None
        result: Any = self._searcher.search(query, max(limit, 1), True, field, offset)
        hits = result.hits[:limit]
        return Ranked([address for _, address in hits], [float(score or 0) for score, _ in hits], int(result.count))

    def spread(self, token: str, fields: Iterable[str]) -> int:
        """In how many documents a token is, of the field where it is in most."""
        return max(int(self._searcher.doc_freq(field, token)) for field in fields)

    def count(self, query: tantivy.Query) -> int:
        """How many documents it finds."""
        result: Any = self._searcher.search(query, 1, True)  # the stubs do not know `count`
        return int(result.count)

    def numbers(self, field: str, addresses: list[Any]) -> list[int]:
        """The number of each document in a fast field."""
        return [int(value or 0) for value in self._searcher.fast_field_values(field, addresses)]

    def card(self, address: Any) -> dict[str, Any]:
        """What is stored of a document: its card."""
        stored: Any = self._searcher.doc(address).get_first("card")
        card: dict[str, Any] = json.loads(bytes(stored))
        return card

    def facets(self, query: tantivy.Query, fields: Iterable[str], size: int) -> dict[str, list[tuple[str, int]]]:
        """By field, the most frequent values among what the query finds, and how many documents have each."""
        asked = {field: {"terms": {"field": field, "size": size}} for field in fields}
        answer = self._searcher.aggregate(query, asked) if asked else {}
        return {
            field: [(_shown(bucket["key"]), int(bucket["doc_count"])) for bucket in answer[field]["buckets"]]
            for field in asked
        }

    def snippets(self, query: tantivy.Query, fields: Iterable[str]) -> Snippets:
        """Cuts out what the query found in these fields."""
        return Snippets(self._searcher, self.schema, query, fields)

    def like(self, address: Any) -> tantivy.Query:
        """Documents that share the telling words of a document's stored text."""
        return tantivy.Query.more_like_this_query(address, min_doc_frequency=1, min_term_frequency=1)

    # Queries --------------------------------------------------------------------------------------------------

    def term(self, field: str, value: Any) -> tantivy.Query:
        return tantivy.Query.term_query(self.schema, field, value, "basic")

    def terms(self, field: str, values: Sequence[Any]) -> tantivy.Query:
        """Documents with one of the values; all count the same."""
        query = (
            self.term(field, values[0])
            if len(values) == 1
            else tantivy.Query.term_set_query(self.schema, field, list(values))
        )
        return tantivy.Query.const_score_query(query, 0.0)

    def between(self, field: str, low: int | None, high: int | None) -> tantivy.Query:
        """Documents with a number within the bounds, ends included."""
        number = tantivy.FieldType.Unsigned
        return tantivy.Query.const_score_query(
            tantivy.Query.range_query(self.schema, field, number, low or 0, 2**63 if high is None else high), 0.0
        )

    def at_least(self, field: str, low: float) -> tantivy.Query:
        """Documents with a value of a field of floats that is no less."""
        kind = tantivy.FieldType.Float
        return tantivy.Query.const_score_query(tantivy.Query.range_query(self.schema, field, kind, low, math.inf), 0.0)

    def licensed(self, served: Sequence[str], *, text_only: bool) -> tuple[list[tantivy.Query], list[tantivy.Query]]:
        """Queries that must and must not hold of what may be shown: the article and one of its images are served.

        Said by whichever of the two is shorter: usually little is not served. ``text_only``: images do not matter.
        """
        sides: dict[bool, list[str]] = {True: [], False: []}
        sizes = {True: 0, False: 0}
        for word, count in self._searcher.terms_with_prefix("groups", ""):
            article, _, images = word.partition("|")
            good = article in served and (text_only or not set(served).isdisjoint(images.split(",")))
            sides[good].append(word)
            sizes[good] += count
        if not sides[False]:
            return [], []
        if not sides[True]:
            return [tantivy.Query.empty_query()], []
        if sizes[False] <= sizes[True]:
            return [], [self.terms("groups", sides[False])]
        return [self.terms("groups", sides[True])], []

    def filter_queries(self, filters: Filters, served: Sequence[str]) -> dict[str, tantivy.Query]:
        """One query per field that restricts what is found; a figure of several images may pass by different ones."""
        found = {}
        active = filters.active()
        if filters.licence_group:
            groups = [group for group in filters.licence_group if group in served]
            found["licence_group"] = self.terms("licence_group", groups) if groups else tantivy.Query.empty_query()
        for name, value in active.items():
            if name in ("licence_group", "published_from", "published_to") or name.endswith(("_min", "_max")):
                continue
            if name == "pmcid":
                found[name] = self.terms(name, [int(text) for text in value])
            else:
                found[name] = self.terms({"journal": "journal_name", "mesh": "mesh_name"}.get(name, name), value)
        if filters.published_from:
            found["published_from"] = self.between("last_day", days(filters.published_from)[0], None)
        if filters.published_to:
            found["published_to"] = self.between("first_day", None, days(filters.published_to)[1])
        if filters.paragraph_score_min is not None:
            found["paragraph_score"] = self.at_least("paragraph_score", filters.paragraph_score_min)
        for name in _SIZES:
            low, high = active.get(f"{name}_min"), active.get(f"{name}_max")
            if low is not None or high is not None:
                found[name] = self.between(name, low, high)
        return found


def all_of(queries: Iterable[tantivy.Query], none_of: Iterable[tantivy.Query] = ()) -> tantivy.Query:
    """What all of these find, without what one of the others finds."""
    must = [(tantivy.Occur.Must, query) for query in queries]
    must = must or [(tantivy.Occur.Must, tantivy.Query.all_query())]
    return tantivy.Query.boolean_query([*must, *((tantivy.Occur.MustNot, query) for query in none_of)])


def _shown(key: Any) -> str:
    return str(int(key)) if isinstance(key, float) else str(key)


class Snippets:
    """Pieces of stored text with what was found in them."""

    def __init__(
        self, searcher: tantivy.Searcher, schema: tantivy.Schema, query: tantivy.Query, fields: Iterable[str]
    ) -> None:
        self._searcher = searcher
        self._generators = {}
        for field in fields:
            self._generators[field] = tantivy.SnippetGenerator.create(searcher, query, schema, field)
            self._generators[field].set_max_num_chars(SNIPPET_CHARACTERS)

    def of(self, address: Any) -> dict[str, list[Fragment]]:
        """By field, what was found in a document; fields without any are left out."""
        document = self._searcher.doc(address)
        found = {}
        for field, generator in self._generators.items():
            snippet = generator.snippet_from_doc(document)
            ranges = [(part.start, part.end) for part in snippet.highlighted()]
            if ranges:
                found[field] = fragments(snippet.fragment(), ranges)
        return found


def fragments(text: str, ranges: Sequence[tuple[int, int]]) -> list[Fragment]:
    """A text cut at ranges given in UTF-8 bytes; overlapping ones are joined.

    >>> fragments("été rouge", [(0, 5), (6, 11)])
    [('été', True), (' ', False), ('rouge', True)]
    """
    data, end, pieces = text.encode(), 0, []
    for start, stop in sorted(ranges):
        start = max(start, end)
        if stop <= start:
            continue
        pieces += [(data[end:start], False), (data[start:stop], True)]
        end = stop
    pieces.append((data[end:], False))
    return [(piece.decode("utf-8", "replace"), match) for piece, match in pieces if piece]
