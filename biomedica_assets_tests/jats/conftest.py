# ruff: noqa: E501 - lines of XML are easier to compare with a source when they are not broken
"""Helpers for the tests of jats/: small articles around the markup under test, and the corpus where it is at hand."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from biomedica_assets.jats import Article, parse_article

SHARED = Path(os.environ.get("BIOMEDICA_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")


def make(body: str = "", *, front: str = "", tail: str = "", meta: str = "", attributes: str = "") -> bytes:
    """Bytes of an article PMC1.1 with the given parts."""
    return (
        f'<article xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:mml="http://www.w3.org/1998/Math/MathML" '
        f'xmlns:ali="http://www.niso.org/schemas/ali/1.0/" {attributes}>'
        f'<front>{front}<article-meta><article-id pub-id-type="pmcid">PMC1</article-id>{meta}</article-meta></front>'
        f"<body>{body}</body>{tail}</article>"
    ).encode()


def parse(body: str = "", **parts: str) -> Article:
    return parse_article(make(body, **parts))


def figures(*numbers: str | int, word: str = "Figure") -> str:
    """Simple figures with ids F<number> and labels."""
    return "".join(
        f'<fig id="F{n}"><label>{word} {n}</label><caption><p>About {n}.</p></caption><graphic xlink:href="g{n}"/></fig>'
        for n in numbers
    )


def corpus_file(path: str) -> bytes:
    file = SHARED / "corpus" / path
    if not file.exists():
        pytest.skip(f"corpus file {path} is not at hand")
    return file.read_bytes()


def corpus_member(archive: str, name: str) -> bytes:
    file = SHARED / "corpus" / archive
    if not file.exists():
        pytest.skip(f"corpus archive {archive} is not at hand")
    with tarfile.open(file) as members:
        member = next(m for m in members if m.name.endswith("/" + name))
        stream = members.extractfile(member)
        assert stream is not None
        return stream.read()


def found(article: Article) -> list[tuple[str, str, list[str], bool, str]]:
    """Mentions as (XML id, surface text, panels, expanded, kind); checks that offsets fit the paragraph."""
    texts = {p["paragraph_id"]: p["text"] for p in article.paragraphs}
    for m in article.mentions:
        assert texts[m["paragraph_id"]][m["start"] : m["end"]] == m["text"]
    return [(m["figure_id"].split("/")[1], m["text"], m["panels"], m["expanded"], m["kind"]) for m in article.mentions]


def links(article: Article) -> list[tuple[str, str, list[str]]]:
    """Mentions as (XML id, surface text, panels)."""
    return [row[:3] for row in found(article)]
