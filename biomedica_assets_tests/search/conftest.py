"""A small store with an index: figures whose captions, licences, sizes and dates are known."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from biomedica_assets import schemas
from biomedica_assets.models.encoders import ImageError
from biomedica_assets.search.generation import Built, build_index
from biomedica_assets.search.searcher import Searcher, SearchRequest
from biomedica_assets.search.vector_queries import Encoders
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import open_catalogue
from biomedica_assets.store.derived import commit_derived
from biomedica_assets_tests.ingest.releases import DAYS, Art, World

WORDS = ("liver", "kidney", "brain", "lung", "heart", "skin")


@lru_cache
def png(seed: int, width: int, height: int = 20) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@lru_cache
def jpeg(seed: int, width: int, height: int = 20) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)).save(
        buffer, "JPEG"
    )
    return buffer.getvalue()


def paper(
    pmcid: int, captions: Sequence[str], *, version: int = 1, year: int = 2020, licence: str = "CC BY", **changes: Any
) -> Art:
    """An article with one figure per caption, each cited in a sentence of its own; pictures are pmcid pixels wide.

    A caption that begins with "2x " gets two pictures: a narrow PNG (10 pixels) and a wide JPEG (90 pixels).
    """
    figures, text, files = "", "", []
    for n, caption in enumerate(captions, 1):
        if caption.startswith("2x "):
            names = [(f"g{n}a.png", png(pmcid * 10 + n, 10)), (f"g{n}b.jpg", jpeg(pmcid * 10 + n, 90))]
        else:
            names = [(f"g{n}.png", png(pmcid * 10 + n, pmcid))]
        files += names
        graphics = "".join(f'<graphic xlink:href="{name}"/>' for name, _ in names)
        figures += f'<fig id="f{n}"><label>Figure {n}</label><caption><p>{caption}</p></caption>{graphics}</fig>'
        text += f'<p>Nothing here. As <xref ref-type="fig" rid="f{n}">Figure {n}</xref> tells. Nothing there.</p>'
    title = changes.pop("title", f"Paper {pmcid}")
    words = "".join(f"<kwd>{word}</kwd>" for word in changes.pop("keywords", ()))
    keywords = f"<kwd-group>{words}</kwd-group>" if words else ""
    xml = f"""<article xmlns:xlink="http://www.w3.org/1999/xlink" xml:lang="en" article-type="research-article"><front>
<journal-meta><journal-id journal-id-type="iso-abbrev">J {pmcid % 2}</journal-id>
<journal-title>Journal {pmcid % 2}</journal-title></journal-meta><article-meta>
<article-id pub-id-type="pmcid">PMC{pmcid}</article-id>
<article-id pub-id-type="pmcid-ver">PMC{pmcid}.{version}</article-id>
<title-group><article-title>{title}</article-title></title-group>
<pub-date pub-type="epub"><year>{year}</year></pub-date>
{keywords}<abstract><p>{changes.pop("abstract", "An abstract.")}</p></abstract></article-meta></front>
<body><sec><title>Results</title>{text}{figures}</sec></body></article>"""
    return Art(pmcid, version, files=tuple(files), year=year, licence=licence, xml=xml.encode(), **changes)


def papers() -> list[Art]:
    """What the store is built from; pictures are as wide as the PMCID says."""
    return [
        paper(11, ["Section of the liver", "Section of the kidney, stained"], year=2018, keywords=["Ward", "Imaging"]),
        paper(12, ["Scan of the brain", "Liver enzymes"], year=2019, licence="CC BY-NC", keywords=["imaging"]),
        paper(13, ["2x Kidney and brain", "Lung"], year=2020),
        paper(14, ["Liver that must not be shown"], year=2020, licence="custom"),
        paper(15, ["Heart", "Skin lesion of the leg", "Skin lesion of the arm"], year=2021, title="Liver transplants"),
    ]


class FakeEncoder:
    """Texts: counts of `WORDS`. Images: the mean colour of nine fields. Both of length 1."""

    weights_sha256 = "0" * 64
    dimensions = 8

    def __init__(self, modality: str, name: str = "fake") -> None:
        self.id = f"{name}-{modality}@0"
        self.texts, self.images = modality == "text", modality == "image"

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        counts = [[text.lower().count(word) for word in WORDS] + [0, 0] for text in texts]
        return _unit(np.array(counts, np.float32).reshape(-1, 8))

    def encode_images(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[ImageError]]:
        vectors, errors = np.zeros((len(images), 8), np.float32), []
        for n, data in enumerate(images):
            try:
                with Image.open(io.BytesIO(data)) as image:
                    small = np.asarray(image.convert("L").resize((4, 2)), np.float32)
                vectors[n] = small.ravel() - 100
            except OSError as error:
                errors.append(ImageError(n, type(error).__name__, str(error)))
        return _unit(vectors), errors


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def add_features(world: World, chunks: Sequence[str] | None = None, name: str = "fake") -> None:
    """Tables of features of all chunks, or of these, as if an asset had made them."""
    text_encoder, encoder = FakeEncoder("text", name), FakeEncoder("image", name)
    with open_catalogue(world.files) as connection:
        captions = connection.sql("SELECT chunk, article_id, figure_id, text FROM all_captions ORDER BY ALL").fetchall()
        names = 'chunk, article_id, figure_id, image_id, sha256, shard, image_offset, "bytes"'
        images = connection.sql(f"SELECT {names} FROM all_images ORDER BY ALL").fetchall()
    for chunk in sorted({row[0] for row in captions}):
        if chunks is not None and chunk not in chunks:
            continue
        rows = []
        for _, article_id, figure_id, text in (row for row in captions if row[0] == chunk):
            vector = text_encoder.encode_texts([text])[0]
            if vector.any():
                ids = {"chunk": chunk, "article_id": article_id, "figure_id": figure_id, "sha256": "0"}
                rows.append({**ids, "encoder": text_encoder.id, "vector": vector.astype(np.float16)})
        given = {"inputs": {"encoder": text_encoder.id, "features": "1"}}
        commit_derived(world.files, schemas.CAPTION_FEATURES, chunk, rows, **given)
        given = {"inputs": {"encoder": encoder.id, "features": "1"}}
        rows = []
        for _, article_id, figure_id, image_id, sha256, shard, offset, size in (r for r in images if r[0] == chunk):
            vector = encoder.encode_images([world.files.read_range(shard, offset, size)])[0][0]
            ids = {"chunk": chunk, "article_id": article_id, "figure_id": figure_id, "image_id": image_id}
            rows.append({**ids, "sha256": sha256, "encoder": encoder.id, "vector": vector.astype(np.float16)})
        commit_derived(world.files, schemas.IMAGE_FEATURES, chunk, rows, **given)


def settings(world: World, **changes: Any) -> Settings:
    return Settings(store=str(world.files.local_path()), serve_refresh_seconds=3600, _env_file=None, **changes)


def encoders(load: Callable[[Settings, str], Any] = lambda _, modality: FakeEncoder(modality)) -> Encoders:
    return Encoders(Settings(_env_file=None), load)


def found(searcher: Searcher, text: str | None = None, **fields: Any) -> list[str]:
    """Ids of the hits of all pages, without "PMC" and version: "11/f1"."""
    ids: list[str] = []
    cursor = None
    while True:
        response = searcher.search(SearchRequest(text=text, cursor=cursor, **fields))
        ids += [short(hit.figure_id or hit.article_id) for hit in response.hits]
        cursor = response.next_cursor
        if cursor is None:
            return ids


def short(figure_id: str) -> str:
    """>>> short("PMC11.1/f1")
    '11/f1'
    """
    return figure_id.removeprefix("PMC").replace(".1/", "/").replace(".2/", "/")


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world with catalogue, features and index, built once."""
    root = tmp_path_factory.mktemp("indexed")
    world = World(root, chunk_size=3)
    world.build(DAYS[0], *papers())
    add_features(world)
    build_index(world.files)
    return root


@pytest.fixture(autouse=True)
def quick_builds(no_local_database: None) -> None:
    """Of every test here."""


@pytest.fixture
def world(indexed: Path, tmp_path: Path) -> World:
    """A store of `papers` of one's own, indexed."""
    shutil.copytree(indexed, tmp_path / "world")
    return World(tmp_path / "world", chunk_size=3)


@pytest.fixture
def searcher(world: World, tmp_path: Path) -> Iterator[Searcher]:
    opened = Searcher(world.files, tmp_path / "cache", settings(world), encoders())
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shared_searcher(indexed: Path, tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """A searcher over a store that no test changes."""
    world = World(indexed, chunk_size=3)
    return Searcher(world.files, tmp_path_factory.mktemp("cache"), settings(world), encoders())


def rebuild(world: World, **options: Any) -> Built:
    return build_index(world.files, **options)
