"""Small releases in the cloud layout, and a store that is built from them step by step.

An `Art` says what one article version shows; `write_release` writes a dated state of them with the project's own
writer; `World` is a store with the object server its release lies on, so that every request can be counted.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image

from biomedica_assets import schemas
from biomedica_assets.ingest.chunk import ingest_chunk
from biomedica_assets.ingest.listing import list_release
from biomedica_assets.ingest.status import store_status
from biomedica_assets.ingest.workspace import Workspace, open_workspace
from biomedica_assets.pmc.writer import CloudWriter
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import build_generation, open_catalogue
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest, read_chunk_manifest, read_chunk_manifests
from biomedica_assets.store.tables import iter_rows
from biomedica_assets_tests.servers import FakeS3

DAYS = [f"2026-11-{day}" for day in range(10, 29)]
"""Dates of releases; the first is a first load."""


@lru_cache
def picture(seed: int, kind: str = "PNG", size: tuple[int, int] = (24, 16)) -> bytes:
    """A small picture; another seed gives other bytes."""
    image = Image.new("RGB", size, (seed * 37 % 256, seed * 91 % 256, seed * 13 % 256))
    image.putpixel((seed % size[0], seed // size[0] % size[1]), (255, 255, 255))
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@dataclass(frozen=True)
class Art:
    """One article version: figure n shows the n-th file. ``files`` are (name, bytes), null bytes: listed, not there.

    ``xml`` replaces the XML, ``fields`` those of the metadata JSON, ``urls`` are further entries of media_urls.
    """

    pmcid: int
    version: int = 1
    title: str = "A title"
    caption: str = "caption"
    files: tuple[tuple[str, bytes | None], ...] = ()
    year: int = 2020
    article_type: str = "research-article"
    licence: str = "CC BY"
    xml: bytes | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    urls: tuple[str, ...] = ()
    absent: bool = False

    @property
    def article_id(self) -> str:
        return f"PMC{self.pmcid}.{self.version}"

    def but(self, **changes: Any) -> Art:
        """The article with some things changed."""
        return replace(self, **changes)

    def with_file(self, name: str, data: bytes | None) -> Art:
        """The article with one file's bytes changed."""
        return replace(self, files=tuple((n, data if n == name else d) for n, d in self.files))

    def document(self) -> bytes:
        if self.xml is not None:
            return self.xml
        figures = "".join(
            f'<fig id="f{n}"><label>Figure {n}</label><caption><p>{escape(self.caption)} {n}</p></caption>'
            f'<graphic xlink:href="{escape(name)}"/></fig>'
            for n, (name, _) in enumerate(self.files, 1)
        )
        text = "".join(
            f'<p>See <xref ref-type="fig" rid="f{n}">Figure {n}</xref>.</p>' for n in range(1, len(self.files) + 1)
        )
        return f"""<article xmlns:xlink="http://www.w3.org/1999/xlink" article-type="{self.article_type}"><front>
<journal-meta><journal-title>J</journal-title></journal-meta><article-meta>
<article-id pub-id-type="pmcid">PMC{self.pmcid}</article-id>
<article-id pub-id-type="pmcid-ver">{self.article_id}</article-id>
<title-group><article-title>{escape(self.title)}</article-title></title-group>
<pub-date pub-type="epub"><year>{self.year}</year></pub-date></article-meta></front>
<body><sec><title>Results</title>{text}{figures}</sec></body></article>""".encode()


def art(pmcid: int, pictures: int = 2, **changes: Any) -> Art:
    """An article with so many pictures, named f1.png, f2.png ..."""
    files = tuple((f"f{n}.png", picture(pmcid * 10 + n)) for n in range(1, pictures + 1))
    return Art(pmcid, files=files).but(**changes)


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def write_release(url: str | Path, day: str, articles: Iterable[Art]) -> None:
    """Write a state of the release below the URL; versions left out are removed with their objects."""
    writer = CloudWriter(str(url), date.fromisoformat(day))
    for article in articles:
        fields = {
            "pmid": article.pmcid,
            "doi": f"10.1/{article.pmcid}",
            "title": article.title,
            "citation": f"J. {article.year}",
            "is_pmc_openaccess": True,
            "is_manuscript": False,
            "is_historical_ocr": False,
            "is_retracted": False,
            "license_code": article.licence,
            **article.fields,
        }
        if article.absent:
            writer.list_only(article.article_id, fields)
            continue
        missing = [
            f"s3://{writer.bucket}/{article.article_id}/{name}?md5={md5(name.encode())}"
            for name, data in article.files
            if data is None
        ]
        media = [(name, data) for name, data in article.files if data is not None]
        writer.add(article.article_id, fields, article.document(), "text", media, [*missing, *article.urls])
    writer.remove_unlisted()
    writer.finish()


class World:
    """A store and the release that it is built from, served from a folder by the fake S3 server."""

    def __init__(self, root: Path, server: FakeS3 | None = None, **settings: Any) -> None:
        self.root, self.server = root, server
        self.folder = server.objects.root if server else root / "release"  # type: ignore[attr-defined]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.given = {"source": server.url if server else str(self.folder), "store": str(root / "store")} | settings
        self.files = Files(self.given["store"])

    def workspace(self, **settings: Any) -> Workspace:
        given = {"chunk_size": 10, "concurrency": 4, "hold_floor": 1000} | self.given | settings
        return open_workspace(Settings(**given, _env_file=None))

    def release(self, day: str, *articles: Art) -> None:
        write_release(self.folder, day, articles)

    def list(self, *, approve: str = "", **settings: Any) -> Any:
        return list_release(self.workspace(**settings), approve=approve)

    def ingest(self, **settings: Any) -> dict[str, ChunkManifest]:
        """Make every unfinished chunk, in order; the manifests by chunk."""
        workspace = self.workspace(**settings)
        unfinished = store_status(workspace.files, workspace.settings).unfinished
        return {chunk: ingest_chunk(workspace, chunk)[0] for chunk in unfinished}

    def build(self, day: str | None = None, *articles: Art, **settings: Any) -> Counter[str]:
        """Write the release (if any), list, ingest, catalogue; requests per key that list and ingest made."""
        if day is not None:
            self.release(day, *articles)
        if self.server:
            self.server.forget()
        self.list(**settings)
        self.ingest(**settings)
        asked = self.asked()
        build_generation(self.files)
        return asked

    def asked(self) -> Counter[str]:
        """How often each object of an article was asked for since `forget`; inventories left out."""
        keys = self.server.keys() if self.server else []
        return Counter(key for key in keys if not key.startswith("inventory-reports/"))

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        with open_catalogue(self.files) as catalogue:
            return catalogue.execute(query).fetchall()

    def manifest(self, chunk: str) -> ChunkManifest:
        manifest = read_chunk_manifest(self.files, chunk)
        assert manifest is not None
        return manifest

    def rows(self, table: str, chunk: str | None = None) -> list[dict[str, Any]]:
        """Rows of a chunk's table, or of all chunks'."""
        manifests = read_chunk_manifests(self.files)
        chosen = [manifests[chunk]] if chunk else list(manifests.values())
        return [row for manifest in chosen for row in iter_rows(self.files, manifest.tables[table].path)]

    def outcomes(self, chunk: str | None = None) -> dict[str, str]:
        """Outcome by listed version; of several chunks the newest row's."""
        return {row["listed_id"]: row["outcome"] for row in self.rows("versions", chunk)}

    def failures(self, chunk: str | None = None) -> set[tuple[str, str, str, str]]:
        """(article, object, stage, error) of every recorded failure."""
        names = ("article_id", "object", "stage", "error")
        return {tuple(row[name] for name in names) for row in self.rows("failures", chunk)}  # type: ignore[misc]

    def shards(self) -> dict[str, int]:
        return {path.rpartition("/")[2]: size for path, size in self.files.list("shards")}


def data_files(files: Files) -> dict[str, str]:
    """MD5 of every data file of a store by path: what two builds of the same state must share."""
    folders = ("tables", "sources", "shards", "catalogue", "releases")
    return {path: md5(files.read(path)) for folder in folders for path, _ in files.list(folder)}


def content(world: World) -> dict[str, list[Any]]:
    """Rows of current articles without where they lie: what does not depend on the order of commits."""
    places = {"chunk", "shard", "offset", "length", "image_offset"}
    found = {}
    with open_catalogue(world.files) as catalogue:
        for name, table in schemas.CHUNK_TABLES.items():
            if name in ("sources", "versions", "failures"):
                continue
            columns = ", ".join(f'"{column}"' for column in table.names if column not in places)
            found[name] = sorted(catalogue.execute(f"SELECT {columns} FROM {name}").fetchall(), key=repr)
    return found
