"""One row of a file list: what becomes of it, and the rows and samples it contributes.

Everything here runs in the threads of `prefetch` and returns plain data; writing it is the business of `chunk`.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from biomedica_assets.images import EXTENSIONS, ImageError, ImageFacts, Matching, NotAnImage, match_graphics, probe
from biomedica_assets.ingest.bounds import AT_WORK
from biomedica_assets.ingest.prior import HELD_IMAGE_COLUMNS, Held
from biomedica_assets.ingest.reader import HeldReader, source_rows
from biomedica_assets.jats import PARSER_VERSION, Article, NotAnArticle, parse_article
from biomedica_assets.licences import Decision, article_licence, image_licence, licence_group
from biomedica_assets.pmc.articles import (
    AbsentError,
    ArticleMetadata,
    Articles,
    CollectedArticle,
    FetchError,
    ObjectRef,
    Opened,
    collect,
    gate,
)
from biomedica_assets.pmc.file_list import FileListRow
from biomedica_assets.pmc.prefetch import CancelledError
from biomedica_assets.pmc.releases import SourceUnusableError
from biomedica_assets.schemas import Row
from biomedica_assets.settings import Settings
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile, StoreError
from biomedica_assets.store.shards import read_image, sample_key


class NewSample(NamedTuple):
    """An image to be written to a shard, arguments of `ShardWriter.add`."""

    key: str
    extension: str
    image: bytes
    caption: str
    facts: dict[str, Any]


@dataclass(slots=True)
class ArticleResult:
    """What one file-list row contributes.

    ``tables`` holds rows without ``chunk``; rows of ``images`` whose file is in ``samples`` (by file name) still lack
    their span. ``shards`` are earlier shards that other images point into. ``retry`` is true when a transient
    problem lost something that another try may bring.
    """

    row: FileListRow
    outcome: str
    tables: dict[str, list[Row]]
    samples: dict[str, NewSample] = field(default_factory=dict)
    shards: dict[str, DataFile] = field(default_factory=dict)
    retry: bool = False


class _OutOfScopeError(Exception):
    """The XML shows that the store does not want the article."""


class ArticlePass:
    """Turns file-list rows of one chunk into `ArticleResult`s. Safe to call from many threads.

    Args:
        chunk: key of the chunk.
        source: reader of the release.
        settings: scope, gates and limits.
        store: where held images lie.
    """

    def __init__(self, chunk: str, source: Articles, settings: Settings, store: Files) -> None:
        self._chunk, self._source, self._settings, self._store = chunk, source, settings, store

    def run(self, row: FileListRow, held: Held | None) -> ArticleResult:
        """Fetch what is not held, parse, match, probe.

        Raises:
            SourceUnusableError: the source refuses everything; no row is to be blamed.
        """
        if row.action == "remove":
            return self._finished(row, None, "removed", "no longer listed by the release")
        if held is not None:
            if held.version["outcome"] == "absent":
                return self._finished(row, None, "absent", held.version["reason"])
            if self._already_held(row, held):
                return self._finished(row, None, "superseded", f"{held.chunk} holds this state already")
        reader = HeldReader(self._source, row, held, self._chunk)
        work = _Work(row, held, reader, self._settings, self._store)
        try:
            return self._collect(row, reader, work)
        except (OSError, MemoryError, SourceUnusableError, StoreError, CancelledError):
            raise
        except Exception as error:
            # A fault of our code that an input brought out. It costs the version, not the chunk; but never a version
            # that the chunk holds already: then the chunk stays as it was.
            if held is not None and held.chunk == self._chunk and held.version["outcome"] == "collected":
                raise
            frame = traceback.extract_tb(error.__traceback__)[-1]
            message = f"{error} ({Path(frame.filename).name}, line {frame.lineno})"
            return self._failed_parse(row, reader, error, message)

    def _collect(self, row: FileListRow, reader: HeldReader, work: _Work) -> ArticleResult:
        try:
            collected = collect(reader, row, work.want, gated=self._gate)
        except AbsentError as error:
            if reader.opened is None:
                return self._finished(row, reader, "absent", str(error))
            return self._failed(row, reader, error.stage, error.problem, error.message, error.object, error.transient)
        except FetchError as error:
            return self._failed(row, reader, error.stage, error.problem, error.message, error.object, error.transient)
        except _OutOfScopeError as error:
            return self._finished(row, reader, "out_of_scope", str(error))
        except NotAnArticle as error:
            return self._failed_parse(row, reader, error, str(error))
        if collected.gated == "retracted":
            return self._finished(row, reader, "retracted", "PMC marks this version as retracted")
        if collected.gated and collected.gated.startswith(_SCOPE):
            return self._finished(row, reader, "out_of_scope", collected.gated.removeprefix(_SCOPE))
        if collected.gated:
            return self._finished(row, reader, f"gated:{collected.gated}", _GATES.get(collected.gated))
        reader.opened = collected.opened = work.identified(collected.opened)
        result = self._finished(row, reader, "collected", None)
        work.fill(result, collected)
        return result

    def _already_held(self, row: FileListRow, held: Held) -> bool:
        return (
            row.action in ("add", "change")
            and held.chunk == row.prior_chunk
            and held.version["outcome"] == "collected"
            and held.complete
            and row.etag is not None
            and held.version["etag"] == row.etag
        )

    def _gate(self, metadata: ArticleMetadata) -> str | None:
        reason = gate(metadata, historical_ocr=self._settings.historical_ocr)
        groups = self._settings.scope.licence_groups
        if reason is None and groups and licence_group(metadata.licence_code) not in groups:
            return f"{_SCOPE}licence {metadata.licence_code or 'none'} is in none of {', '.join(groups)}"
        return reason

    def _finished(self, row: FileListRow, reader: HeldReader | None, outcome: str, reason: str | None) -> ArticleResult:
        opened = reader.opened if reader else None
        metadata = opened.metadata if opened else None
        version: Row = {
            "listed_id": row.listed_id,
            "article_id": metadata.article_id if metadata else row.listed_id,
            "pmcid": row.pmcid,
            "version": row.version,
            "action": row.action,
            "outcome": outcome,
            "reason": reason,
            "listed_etag": row.etag,
        }
        tables: dict[str, list[Row]] = {"versions": [version]}
        if reader is not None and opened is not None and metadata is not None:
            version |= {
                "etag": opened.etag,
                "pmid": metadata.pmid,
                "doi": metadata.doi,
                "licence_code": metadata.licence_code,
                "licence_group": licence_group(metadata.licence_code),
                "is_open_access": metadata.is_open_access,
                "is_manuscript": metadata.is_manuscript,
                "is_historical_ocr": metadata.is_historical_ocr,
                "is_retracted": metadata.is_retracted,
                "citation": metadata.citation,
                "xml_md5": metadata.xml.md5,
            }
            tables["sources"] = source_rows(row, opened, reader.xml_bytes, reader.xml_md5)
        return ArticleResult(row, outcome, tables)

    def _failed_parse(self, row: FileListRow, reader: HeldReader, error: Exception, message: str) -> ArticleResult:
        name = reader.opened.metadata.xml.key if reader.opened else row.listed_id
        return self._failed(row, reader, "parse", type(error).__name__, message, name, False)

    def _failed(
        self, row: FileListRow, reader: HeldReader, stage: str, error: str, message: str, name: str, transient: bool
    ) -> ArticleResult:
        result = self._finished(row, reader, "failed", f"{error}: {message}")
        failure = {"object": name, "stage": stage, "error": error, "message": message}
        result.tables["failures"] = [
            {"article_id": row.listed_id, **failure, "transient": transient, "fatal": True},
        ]
        result.retry = transient
        return result


_SCOPE = "scope:"
_GATES = {
    "tdm": "text mining only: no licence to redistribute",
    "not_open_access": "not in the OA Subset",
    "historical_ocr": "scanned back issue; BIOMEDICA_HISTORICAL_OCR collects them",
}


class _Work:
    """The parsed article of one row, and what is done with it. One per row; not shared between threads."""

    def __init__(
        self, row: FileListRow, held: Held | None, reader: HeldReader, settings: Settings, store: Files
    ) -> None:
        self._row, self._held, self._reader, self._settings, self._store = row, held, reader, settings, store
        self.article: Article | None = None
        self.matching = Matching({}, [])
        self._parsed: bytes | None = None

    def want(self, metadata: ArticleMetadata, xml: bytes) -> Sequence[ObjectRef]:
        """Parse, and name the media to fetch. Raises `NotAnArticle`, `_OutOfScopeError`."""
        if self.article is None or xml is not self._parsed:
            self.article, self._parsed = self._parse(metadata, xml), xml
            self._check_scope(self.article.article)
        self.matching = match_graphics(self.article, [reference.name for reference in metadata.media])
        if self._settings.scope.tables_only:
            return []
        chosen = set(self.matching.files.values())
        return [
            r for r in metadata.media if r.name in chosen and r.key not in self._lost and self._held_image(r) is None
        ]

    @property
    def _lost(self) -> dict[str, Row]:
        return self._held.lost if self._held and self._reader.from_held else {}

    def _parse(self, metadata: ArticleMetadata, xml: bytes) -> Article:
        """In the package layout only the XML knows the version; the cloud layout's key says it."""
        with AT_WORK:
            if self._row.location is not None:
                article = parse_article(xml)
                if article.article["pmcid"] == metadata.pmcid:
                    return article
            return parse_article(xml, article_id=metadata.article_id)

    def identified(self, opened: Opened) -> Opened:
        """The metadata with the id that the parsed article has."""
        assert self.article is not None
        return opened._replace(metadata=replace(opened.metadata, article_id=self.article.article_id))

    def _check_scope(self, article: Row) -> None:
        scope, year = self._settings.scope, article.get("publication_year")
        if scope.years and (year is None or not scope.years[0] <= year <= scope.years[1]):
            raise _OutOfScopeError(
                f"published in {year or 'an unknown year'}, wanted {scope.years[0]}-{scope.years[1]}"
            )
        if scope.article_types and article.get("article_type") not in scope.article_types:
            raise _OutOfScopeError(f"article type {article.get('article_type')!r} is not wanted")

    @property
    def _same_state(self) -> bool:
        return self._held is not None and self._reader.from_held and self._held.same_state

    def _held_image(self, reference: ObjectRef) -> Row | None:
        held = self._held.images.get(reference.name) if self._held else None
        if held is None or not (self._same_state or (reference.md5 and reference.md5 == held["md5"])):
            return None
        # Compaction has dropped the bytes: enough for the rows that this chunk wrote itself, and for no others.
        own = self._held is not None and self._held.same_state and self._held.chunk == self._row.chunk
        return held if held["shard"] is not None or own else None

    def fill(self, result: ArticleResult, collected: CollectedArticle) -> None:
        """Add the rows of the parsed article, its media and its failures to the result."""
        article, opened = self.article, collected.opened
        assert article is not None
        metadata, failures = opened.metadata, [*article.failures]
        failures += [_failure(p.entry, "list", "UnusableEntry", p.message, False) for p in metadata.problems]
        licence = article_licence(metadata.licence_code, article.article)
        references = {reference.name: reference for reference in metadata.media}
        files = self._collect_files(references, collected, failures, result)
        tables = article.tables()
        result.tables |= {name: tables[name] for name in ("paragraphs", "figures", "captions", "mentions")}
        result.tables["articles"] = [self._article_row(article, opened, licence)]
        result.tables["images"] = self._image_rows(article, files, licence, result)
        result.tables["objects"] = self._object_rows(references, files)
        result.tables["failures"] = [{"article_id": metadata.article_id, **failure} for failure in failures]

    def _collect_files(
        self,
        references: dict[str, ObjectRef],
        collected: CollectedArticle,
        failures: list[Row],
        result: ArticleResult,
    ) -> dict[str, Row]:
        """Facts of every chosen file that is had, by name; new ones are noted as samples, without caption yet."""
        files: dict[str, Row] = {}
        for name in dict.fromkeys(self.matching.files.values()):
            reference = references[name]
            if held := self._held_image(reference):
                files[name] = self._held_facts(reference, held, failures)
                self._use_held(held, result)
                continue
            if lost := self._lost.get(reference.key):
                failures.append(_failure(reference.key, lost["stage"], lost["error"], lost["message"], False))
                continue
            data = collected.media.get(reference.key)
            if isinstance(data, FetchError):
                failures.append(_failure(reference.key, data.stage, data.problem, data.message, data.transient))
                result.retry |= data.transient
            elif data is not None and (facts := self._facts(reference, data, failures)) is not None:
                files[name] = facts
                self._add_sample(collected.opened.metadata, name, data, facts, result)
        return files

    def _held_facts(self, reference: ObjectRef, held: Row, failures: list[Row]) -> Row:
        """Columns of a held image. One of which something is not known is looked at again, in its shard.

        It may be damaged, which this pass has to say too; or other limits or columns hold now than then.
        """
        row = {column: held[column] for column in HELD_IMAGE_COLUMNS}
        if held["shard"] is None or all(held[column] is not None for column in _FACTS):
            return row
        return row | (self._facts(reference, read_image(self._store, held), failures) or {})

    def _use_held(self, held: Row, result: ArticleResult) -> None:
        assert self._held is not None
        if held["shard"] is not None:
            result.shards[held["shard"]] = self._held.shards[held["shard"]]

    def _add_sample(self, metadata: ArticleMetadata, name: str, data: bytes, facts: Row, result: ArticleResult) -> None:
        held = self._held.images.get(name) if self._held else None
        if held is not None and held["shard"] is not None and held["md5"] == facts["md5"]:
            facts.update({column: held[column] for column in HELD_IMAGE_COLUMNS if column not in facts})
            self._use_held(held, result)
            return
        key = facts["sample_key"] = sample_key(metadata.article_id, name)
        result.samples[name] = NewSample(key, EXTENSIONS[facts["media_type"]], data, "", {})

    def _facts(self, reference: ObjectRef, data: bytes, failures: list[Row]) -> Row | None:
        """Columns of `images` that the bytes tell; null when they are no image."""
        try:
            with AT_WORK:
                facts = probe(data, max_pixels=self._settings.max_pixels, md5=reference.md5)
        except ImageError as error:
            failures.append(_failure(reference.key, "image", type(error).__name__, str(error), False))
            if isinstance(error, NotAnImage):
                return None
            facts = error.facts
        return {"file_name": reference.name, "key": reference.key, **asdict(facts)}

    def _article_row(self, article: Article, opened: Opened, licence: Decision) -> Row:
        metadata, row = opened.metadata, dict(article.article)
        return row | {
            "pmid": row.get("pmid") or metadata.pmid,
            "doi": row.get("doi") or metadata.doi,
            "manuscript_id": row.get("manuscript_id") or metadata.mid,
            "licence_code": licence.code,
            "licence_version": row.get("licence_version") if row.get("licence_code") == licence.code else None,
            "licence_group": licence.group,
            "licence_rule": licence.rule,
            "licence_reason": licence.reason,
            "citation": metadata.citation or row.get("citation"),
            "source_key": metadata.xml.key,
            "source_md5": self._reader.xml_md5,
            "source_etag": opened.etag,
            "parser_version": PARSER_VERSION,
        }

    def _image_rows(
        self, article: Article, files: dict[str, Row], licence: Decision, result: ArticleResult
    ) -> list[Row]:
        figures = {figure["figure_id"]: figure for figure in article.figures}
        captions = {caption["figure_id"]: caption.get("text") for caption in article.captions}
        rows, described = [], set()
        for image in article.images:
            name = self.matching.files.get(image["image_id"])
            if name not in files:
                continue
            figure = figures[image["figure_id"]]
            row = image | files[name] | image_licence(figure, article.article, licence)
            rows.append(row)
            if name in result.samples and name not in described:
                described.add(name)
                # The first figure that shows the file describes the sample; tables are the truth for all else.
                facts = {column: row.get(column) for column in _SAMPLE_FACTS} | {"label": figure.get("label")}
                caption = captions.get(image["figure_id"]) or ""
                result.samples[name] = result.samples[name]._replace(caption=caption, facts=facts)
        return rows

    def _object_rows(self, references: dict[str, ObjectRef], files: dict[str, Row]) -> list[Row]:
        rows = []
        for row in self.matching.objects:
            name = row["file_name"]
            reference, facts = references.get(name), files.get(name)
            row = row | {
                "article_id": self._row.listed_id if self.article is None else self.article.article["article_id"],
                "key": reference.key if reference else None,
                "md5": facts["md5"] if facts else reference.md5 if reference else None,
                "bytes": facts["bytes"] if facts else None,
            }
            if row["collected"] and facts is None:
                tables_only = self._settings.scope.tables_only
                row |= {
                    "collected": False,
                    "reason": "the scope wants tables only" if tables_only else "could not be had, see failures",
                }
            rows.append(row)
        return rows


_FACTS = tuple(f.name for f in fields(ImageFacts))
_SAMPLE_FACTS = (
    *("article_id", "figure_id", "image_id", "file_name", "key", "media_type", "width", "height"),
    *("md5", "sha256", "licence_code", "licence_group"),
)


def _failure(name: str, stage: str, error: str, message: str, transient: bool) -> Row:
    failure = {"object": name, "stage": stage, "error": error, "message": message}
    return {**failure, "transient": transient, "fatal": False}
