"""Features of paragraphs: hashed words, pairs of words and facts, as numbers of columns; no vocabulary is kept.

Hashes are polynomials over a batch's bytes modulo 2^64, from sums up to each byte: exact integers, so the same text
gives the same columns on every machine, and a whole batch is hashed by a few array operations.
What does not belong here: what columns weigh (`classifier`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from biomedica_assets.quality.paragraphs import Context, Paragraph

FEATURES_VERSION = "1"
"""Raised when the same paragraph would get other columns; models of another version are refused."""
BITS = 16
COLUMNS = 1 << BITS
MAX_CHARACTERS = 20_000
"""Of a text; what stands behind it says no more about what kind of text it is."""

_BASE = 0x9E3779B97F4A7C15  # odd, so it has an inverse modulo 2^64
_INVERSE = pow(_BASE, -1, 1 << 64)
_WORD, _BEGINNING, _ENDING, _PAIR = (np.uint64(seed) for seed in (0x51, 0xB3, 0xE7, 0x1D))
_STEM, _TAIL = 6, 4
_ONE_PERSON = [
    re.compile(r"\d[- ](?:year|month|week|day)s?[- ]old\b"),
    re.compile(r"\b(?:[Hh](?:is|er|e (?:was|had))|[Ss]he (?:was|had))\b"),
    re.compile(r"\b(?:[Tt]he|[Tt]his|[Oo]ur) (?:patient|case)\b"),
]
"""Case reports are too rare for the words alone to be learnt."""
_TITLE_WORD = re.compile(r"[^\W\d_]{2,}")


def _byte_classes() -> tuple[np.ndarray, np.ndarray]:
    """What each byte is read as (digits all alike), and its class: 0 between words, 1 in a word, 2 a word by itself."""
    read, kind = np.arange(256, dtype=np.uint8), np.zeros(256, np.uint8)
    for byte in range(256):
        if chr(byte).isascii() and chr(byte).isdigit():
            read[byte], kind[byte] = ord("0"), 1
        elif byte >= 0x80 or chr(byte).isalpha():
            kind[byte] = 1
    kind[list(b"%=<>(;:?")] = 2
    return read, kind


_READ, _KIND = _byte_classes()


@dataclass(frozen=True)
class Columns:
    """Columns that are there, by paragraph: those of paragraph ``i`` are ``of[starts[i]:starts[i + 1]]``, sorted."""

    of: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def sizes(self) -> np.ndarray:
        return np.diff(self.starts)


def text_columns(texts: Sequence[str]) -> Columns:
    """Columns of the words of each text: whole words, beginnings and endings of long ones, neighbours."""
    encoded = [text[:MAX_CHARACTERS].lower().encode("utf-8", "replace") for text in texts]
    data = np.frombuffer(b"\n".join([*encoded, b""]), np.uint8)
    lengths = np.array([len(one) + 1 for one in encoded], np.int64)
    bytes_, kinds = _READ[data], _KIND[data]
    powers, inverses = _powers(1 << max(len(data) - 1, 1).bit_length())
    sums = np.zeros(len(data) + 1, np.uint64)
    np.cumsum((bytes_.astype(np.uint64) + np.uint64(1)) * powers[: len(data)], out=sums[1:])

    def hashes(starts: np.ndarray, ends: np.ndarray, seed: np.uint64) -> np.ndarray:
        return _mixed((sums[ends] - sums[starts]) * inverses[starts] ^ seed)

    inside = np.concatenate([[0], kinds, [0]])
    starts = np.flatnonzero((kinds == 2) | ((kinds == 1) & (inside[:-2] != 1)))
    ends = np.flatnonzero((kinds == 2) | ((kinds == 1) & (inside[2:] != 1))) + 1
    paragraphs = np.repeat(np.arange(len(texts)), lengths)[starts] if len(starts) else starts
    words = hashes(starts, ends, _WORD)
    long = ends - starts > _STEM
    neighbours = paragraphs[1:] == paragraphs[:-1]
    pairs = _mixed((words[:-1] * np.uint64(_BASE) + words[1:])[neighbours] ^ _PAIR)
    found = np.concatenate(
        [
            words,
            hashes(starts[long], starts[long] + _STEM, _BEGINNING),
            hashes(ends[long] - _TAIL, ends[long], _ENDING),
            pairs,
        ]
    )
    owners = np.concatenate([paragraphs, paragraphs[long], paragraphs[long], paragraphs[1:][neighbours]])
    keys = owners.astype(np.int64) << BITS | (found >> np.uint64(64 - BITS)).astype(np.int64)
    keys.sort()  # several times quicker than np.unique
    keys = keys[np.diff(keys, prepend=-1) > 0]
    return Columns(keys & (COLUMNS - 1), np.searchsorted(keys >> BITS, np.arange(len(texts) + 1)))


@lru_cache(maxsize=2)
def _powers(length: int) -> tuple[np.ndarray, np.ndarray]:
    powers = np.full((2, length), np.uint64(_BASE), np.uint64)
    powers[1] = np.uint64(_INVERSE)
    powers[:, 0] = 1
    return tuple(np.cumprod(powers, axis=1, dtype=np.uint64))


def _mixed(hashes: np.ndarray) -> np.ndarray:
    """Spread over all 64 bits (the finalizer of splitmix64, public domain)."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def fact_columns(paragraphs: Sequence[Paragraph], *, context: bool = True) -> Columns:
    """Columns of what is known besides the words: length and numbers of the text, sections, article, citations.

    Args:
        paragraphs: any.
        context: false leaves out all but what the text shows.
    """
    found = [_facts(paragraph, context) for paragraph in paragraphs]
    starts = np.cumsum([0, *map(len, found)])
    return Columns(np.array([column for columns in found for column in columns], np.int64), starts)


def _facts(paragraph: Paragraph, context: bool) -> list[int]:
    text = paragraph.text
    digits = sum(map(text.count, "0123456789")) * 40 // max(len(text), 1)
    one = sum(pattern.search(text) is not None for pattern in _ONE_PERSON)
    columns = {_named(f"length {len(text).bit_length()}"), _named(f"digits {min(digits, 10)}"), _named(f"person {one}")}
    if context and paragraph.context is not None:
        density = min(paragraph.citations * 1000 // max(len(text), 1), 12)
        columns.add(_named(f"citations {min(paragraph.citations, 4)}"))
        columns.add(_named(f"citations per thousand {density}"))
        columns.update(_context(paragraph.context))
    return sorted(columns)


@lru_cache(maxsize=4096)
def _context(context: Context) -> tuple[int, ...]:
    """Of where the paragraph stands; neighbours have the same."""
    inner, outer = (_words(context.sections[place]) if context.sections else [] for place in (-1, 0))
    article = context.article_type or "none"
    section = context.section_type or "none"
    names = [f"kind {context.kind}", f"article {article}", f"section {section}", f"both {article} {' '.join(outer)}"]
    names += [f"inner {' '.join(inner)}", f"outer {' '.join(outer)}", f"depth {min(len(context.sections), 3)}"]
    names += [f"inner word {word}" for word in inner] + [f"outer word {word}" for word in outer]
    names += [f"title {word}" for word in _words(context.title or "")]
    names += [f"published as {name}" for name in context.publication_types]
    return tuple(sorted({_named(name) for name in names}))


def _words(title: str) -> list[str]:
    return [word.lower() for word in _TITLE_WORD.findall(title)]


@lru_cache(maxsize=1 << 16)
def _named(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> (64 - BITS)
