"""Captions to measure search with: real ones of the corpus, and as many varied ones as wanted.

Belongs here: making input. A varied caption is put together from sentences of real captions, with numbers drawn anew
and names and content words swapped for others of the same shape, so that a million of them differ in words and in
vectors. Without the corpus the embedded sample release gives the real ones.
"""

from __future__ import annotations

import random
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.corpus import real_articles
from benchmarks.measure import SHARED
from biomedica_assets.jats.article import Article, MalformedXML, parse_article

BLOCK = 5_000
"""Captions made from one seed: a chunk's worth, so that any chunk can be made alone."""
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_][\w-]*|\W|_")
_SENTENCE = re.compile(r"(?<=[.;])\s+(?=[A-Z(])")
_COMMON = 400
"""So many of the most frequent words are never swapped: they carry grammar and the form of a caption."""


@dataclass(frozen=True)
class _Piece:
    """A sentence as tokens; ``kinds`` has '#' for a number, a shape for a word that may be swapped, '' for the rest."""

    tokens: tuple[str, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class _Material:
    captions: list[list[_Piece]]
    articles: list[list[_Piece]]
    """All sentences of each article's captions."""
    article_of: list[int]
    words: dict[str, list[str]]
    """Words by shape."""


@cache
def real_parsed() -> tuple[Article, ...]:
    """Every article of the corpus, or of the sample release, as the parser gives it; unreadable ones left out."""
    found = []
    for xml in _documents():
        try:
            found.append(parse_article(xml))
        except MalformedXML:
            continue
    return tuple(found)


def _documents() -> Iterator[bytes]:
    corpus = SHARED / "corpus"
    if corpus.exists():
        yield from (xml for _, _, xml, _ in real_articles(corpus))
        return
    from biomedica_assets.sample.release import write_release

    with tempfile.TemporaryDirectory() as folder:
        write_release(folder)
        yield from (path.read_bytes() for path in sorted(Path(folder).rglob("*.xml")))


def caption_block(block: int, seed: int = 1) -> Iterator[str]:
    """The ``BLOCK`` captions of one block; the same ones for the same seed."""
    material = _material()
    dice = random.Random(seed * 1_000_003 + block)
    for _ in range(BLOCK):
        number = dice.randrange(len(material.captions))
        own = material.articles[material.article_of[number]]
        text = []
        for piece in material.captions[number]:
            throw = dice.random()
            if throw < 0.3:
                piece = dice.choice(own)
            elif throw < 0.5:
                piece = dice.choice(dice.choice(material.captions))
            text.append(_varied(piece, material.words, dice))
        yield " ".join(text)


def _varied(piece: _Piece, words: dict[str, list[str]], dice: random.Random) -> str:
    out = list(piece.tokens)
    for place, kind in enumerate(piece.kinds):
        if kind == "#":
            out[place] = _number(out[place], dice)
        elif kind and dice.random() < 0.35:
            out[place] = dice.choice(words[kind])
    return "".join(out)


def _number(text: str, dice: random.Random) -> str:
    """A number of as many digits in the same places."""
    return "".join(dice.choice("123456789") if sign.isdigit() else sign for sign in text)


def _shape(word: str, common: set[str]) -> str:
    """What a word may be swapped for: names by their pattern, other long words by their ending; '' for neither."""
    if any(sign.isdigit() for sign in word) or (len(word) > 1 and word[1:] != word[1:].lower()):
        return "name" if len(word) > 2 else ""
    if len(word) < 5 or word.lower() in common:
        return ""
    return f"{word[0].isupper():d}{word[-2:]}"


@cache
def _material() -> _Material:
    texts = [
        [row["text"] for row in article.captions if row.get("text") and len(row["text"]) > 30]
        for article in real_parsed()
    ]
    texts = [captions for captions in texts if captions]
    counts = Counter(word.lower() for captions in texts for text in captions for word in _TOKEN.findall(text))
    common = {word for word, _ in counts.most_common(_COMMON)}
    words: dict[str, list[str]] = defaultdict(list)
    captions, articles, article_of = [], [], []
    for number, of_article in enumerate(texts):
        sentences: list[_Piece] = []
        for text in of_article:
            pieces = []
            for sentence in _SENTENCE.split(text):
                tokens = tuple(_TOKEN.findall(sentence))
                kinds = tuple(
                    "#" if token[0].isdigit() else _shape(token, common) if token[0].isalpha() else ""
                    for token in tokens
                )
                pieces.append(_Piece(tokens, kinds))
                for token, kind in zip(tokens, kinds, strict=True):
                    if kind and kind != "#":
                        words[kind].append(token)
            captions.append(pieces)
            article_of.append(number)
            sentences += pieces
        articles.append(sentences)
    return _Material(captions, articles, article_of, dict(words))
