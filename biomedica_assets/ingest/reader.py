"""Reading an article version's objects: from the store what is held, from the source the rest.

Also the form in which sources are kept, so that a later pass can read them back. What is held is found by `prior`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from biomedica_assets.ingest.prior import Held
from biomedica_assets.pmc.articles import (
    AbsentError,
    ArticleMetadata,
    Articles,
    FetchError,
    ObjectRef,
    Opened,
    Problem,
    parse_metadata,
)
from biomedica_assets.pmc.file_list import FileListRow
from biomedica_assets.pmc.keys import metadata_key
from biomedica_assets.schemas import Row


class HeldReader:
    """`Articles` for one row that answers from what is held, and remembers what it answered.

    Metadata are held when they were fetched with the change token that the row states, or by the chunk's own former
    pass; XML when its MD5 is unchanged. A second `open` (objects changed under us) asks the source; when that has
    nothing better, what is held stays good.
    """

    def __init__(self, source: Articles, row: FileListRow, held: Held | None, chunk: str) -> None:
        self._source = source
        self.traffic = source.traffic
        self.opened: Opened | None = None
        self.xml_bytes: bytes | None = None
        self.xml_md5: str | None = None
        self.from_held = False
        """Whether the metadata in use are the held ones: then so are the files of the same state, by name."""
        sources = held.sources if held else {}
        same = held is not None and (held.chunk == chunk or (row.etag is not None and held.version["etag"] == row.etag))
        self._json = sources.get("json") if same else None
        self._xml = sources.get("xml")
        self._refused: FetchError | None = None

    def open(self, row: FileListRow) -> Opened:
        before, self.opened = self.opened, None
        if before is None and self._json is not None:
            self.opened, self.from_held = read_metadata(self._json, row), True
            return self.opened
        try:
            opened = self._source.open(row)
        except FetchError as error:
            if before is None or not self.from_held:
                raise
            self._refused, self.opened = error, before
            return before
        self.opened, self.from_held = opened, False
        return opened

    def xml(self, opened: Opened) -> bytes:
        stated = opened.metadata.xml.md5
        if self._xml is not None and (self.from_held or (stated and stated == self._xml["md5"])):
            self.xml_bytes, self.xml_md5 = self._xml["data"], self._xml["md5"]
        elif _without_package(opened):
            raise self._not_held(opened.metadata.xml)
        else:
            self.xml_bytes = self._source.xml(opened)  # checked against the MD5 that is stated, if any
            self.xml_md5 = stated or hashlib.md5(self.xml_bytes).hexdigest()
        return self.xml_bytes

    def media(self, opened: Opened, references: Iterable[ObjectRef]) -> Iterator[tuple[ObjectRef, bytes | FetchError]]:
        references = list(references)
        if _without_package(opened):
            return iter([(reference, self._not_held(reference)) for reference in references])
        return self._source.media(opened, references) if references else iter(())

    def _not_held(self, reference: ObjectRef) -> FetchError:
        """A package has to be read again as a whole: `collect` opens the source when it sees an `AbsentError`."""
        return self._refused or AbsentError(reference.key, "not held")


def _without_package(opened: Opened) -> bool:
    return opened.data is None and opened.members is None


def source_rows(row: FileListRow, opened: Opened, xml: bytes | None, xml_md5: str | None) -> list[Row]:
    """Rows of `sources`: what a later pass reads instead of the network."""
    common = {"listed_id": row.listed_id, "pmcid": row.pmcid, "version": row.version, "etag": opened.etag}
    metadata = opened.data if opened.data is not None else write_metadata(opened.metadata)
    key = metadata_key(row.listed_id) if opened.data is not None else row.location or row.listed_id
    rows = [{**common, "name": "json", "key": key, "md5": hashlib.md5(metadata).hexdigest(), "data": metadata}]
    if xml is not None:
        rows.append({**common, "name": "xml", "key": opened.metadata.xml.key, "md5": xml_md5, "data": xml})
    return rows


def write_metadata(metadata: ArticleMetadata) -> bytes:
    """Metadata of a package, which has no JSON of its own, in a form that `read_metadata` reads back."""
    return json.dumps(asdict(metadata), sort_keys=True, ensure_ascii=False).encode()


def read_metadata(source: Row, row: FileListRow) -> Opened:
    """A held ``json`` source, opened; ``data`` is null for a package. Raises BadMetadataError."""
    data: bytes = source["data"]
    if source["key"] == metadata_key(row.listed_id):
        return Opened(data, source["etag"], parse_metadata(data, row.listed_id, row.pmcid, row.version))
    record = json.loads(data)
    record["xml"] = ObjectRef(*record["xml"])
    record["media"] = tuple(ObjectRef(*each) for each in record["media"])
    record["problems"] = tuple(Problem(*each) for each in record["problems"])
    return Opened(None, source["etag"], ArticleMetadata(**record))
