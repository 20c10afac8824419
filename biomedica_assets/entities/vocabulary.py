"""The vocabulary as it is used: which names stand in a text, what a name means, ids and preferred names.

Belongs here: the compiled file and its lookup. Does not belong here: where the names come from and which of them are
left out (`vocabulary_build`), what counts as found in the end (`offline`).

Names are kept as sorted 40-bit hashes, 5 bytes each instead of 30: two names of a million share one by chance with a
probability of one in a million. Concepts keep their preferred names as text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from biomedica_assets.entities.annotators import AnnotatorError
from biomedica_assets.entities.arrays import load_arrays
from biomedica_assets.entities.words import EXACT, WORD, WordTable, finish, hash_of, spelled

SHIPPED = Path(__file__).with_name("vocabulary.npz")

TYPES = ("disease", "chemical", "gene", "species", "cell_line", "cell_type", "tissue")
"""In the order of their numbers."""

ID_FORMS = (
    "MESH:D{:06d}",
    "MESH:D{:09d}",
    "MESH:C{:06d}",
    "MESH:C{:09d}",
    "HGNC:{}",
    "CHEBI:{}",
    "MONDO:{:07d}",
    "DOID:{}",
    "DOID:{:07d}",
    "NCBITaxon:{}",
    "CL:{:07d}",
    "UBERON:{:07d}",
    "MGI:{}",
    "CVCL:{}",
    "FPLX:{}",
)
"""How ids are written, by number of the namespace; the last two hold base 36 and the preferred name."""
_CVCL, _FPLX = 13, 14
LONGEST_FREE, LONGEST_SYMBOL = 14, 6
"""Tokens in one name."""
_FILTER_BITS = 24


class VocabularyError(AnnotatorError):
    """The vocabulary's file is missing or not what it should be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A name found: tokens ``first`` to before ``behind`` of the batch, the number of its hash."""

    first: int
    behind: int
    name: int


class Vocabulary:
    """Names of concepts, looked up by hash."""

    def __init__(self, arrays: dict[str, np.ndarray], sha256: str) -> None:
        self.sha256 = sha256
        deltas = arrays["delta_low"].astype(np.uint64)
        for part, shift in (("delta_middle", 8), ("delta_high", 16)):
            deltas |= arrays[part].astype(np.uint64) << np.uint64(shift)
        self._hashes = np.cumsum(deltas)
        self._first = np.concatenate([[0], np.cumsum(arrays["senses"], dtype=np.uint32)]).astype(np.uint32)
        self._concepts = arrays["concepts"]
        self.symbols = np.unpackbits(arrays["symbols"], count=len(self._hashes)).astype(bool)
        """Per name: whether its case counts."""
        self._types = arrays["types"]
        self._id_first = np.concatenate([[0], np.cumsum(arrays["id_counts"], dtype=np.uint32)]).astype(np.uint32)
        self._id_forms = arrays["id_forms"]
        self._id_numbers = arrays["id_numbers"]
        self._names = arrays["names"].tobytes()
        self._name_ends = np.cumsum(arrays["name_lengths"], dtype=np.uint32)
        self._filter = np.zeros(1 << _FILTER_BITS, bool)
        self._filter[(self._hashes & np.uint64((1 << _FILTER_BITS) - 1)).astype(np.int64)] = True

    @classmethod
    def load(cls, path: Path = SHIPPED) -> Vocabulary:
        """Read a compiled file.

        Raises:
            VocabularyError: it is missing or damaged.
        """
        return load_arrays(path, cls, "vocabulary", _MADE_BY, VocabularyError)

    def __len__(self) -> int:
        return len(self._hashes)

    @property
    def concepts(self) -> int:
        """Number of concepts."""
        return len(self._types)

    @cached_property
    def type_masks(self) -> np.ndarray:
        """uint8 per name: bit t is set when a concept of type number t has it."""
        bits = np.left_shift(1, self._types[self._concepts]).astype(np.uint8)
        return np.bitwise_or.reduceat(bits, self._first[:-1].astype(np.int64))

    def find(self, table: WordTable, rows: np.ndarray, free: np.ndarray, symbol: np.ndarray) -> np.ndarray:
        """Every name in a batch of tokens, overlapping ones too: int64 [n, 3] of first token, token behind, name.

        Args:
            table: knows the tokens.
            rows: of the tokens in ``table``.
            free, symbol: where names may go on, see `words.joins`.
        """
        found = [
            *self._find(table, rows, free, 0, np.uint64(0), LONGEST_FREE),
            *self._find(table, rows, symbol, 2, np.uint64(EXACT), LONGEST_SYMBOL),
        ]
        hits = np.concatenate(found) if found else np.zeros((0, 3), np.int64)
        return hits[np.lexsort((hits[:, 2], hits[:, 1], hits[:, 0]))]

    def _find(
        self, table: WordTable, rows: np.ndarray, goes_on: np.ndarray, column: int, mix: np.uint64, longest: int
    ) -> list[np.ndarray]:
        values, factors = table.hashes[rows, column], table.hashes[rows, column + 1]
        word = table.kind[rows] == WORD
        first = np.flatnonzero(word)
        last = first
        value = values[first]
        found = []
        for _ in range(longest):
            ends = np.flatnonzero(word[last])
            hashes = finish(value[ends] ^ mix)
            maybe = self._filter[(hashes & np.uint64((1 << _FILTER_BITS) - 1)).astype(np.int64)]
            ends, hashes = ends[maybe], hashes[maybe]
            names = np.searchsorted(self._hashes, hashes)
            names[names == len(self._hashes)] = 0
            there = self._hashes[names] == hashes
            if there.any():
                at = ends[there]
                found.append(np.stack([first[at], last[at] + 1, names[there]], axis=1))
            alive = goes_on[last]
            if not alive.any():
                break
            first, last = first[alive], last[alive] + 1
            value = value[alive] * factors[last] + values[last]
        return found

    def named(self, name: str) -> list[int]:
        """Concepts of one name, as it is or in free spelling, best first."""
        for free in (False, True):
            wanted = hash_of(spelled(name, free=free), free=free)
            at = int(np.searchsorted(self._hashes, np.uint64(wanted)))
            if at < len(self._hashes) and int(self._hashes[at]) == wanted:
                return self.senses(at)
        return []

    def senses(self, name: int) -> list[int]:
        """Concepts of a name, best first."""
        return [int(concept) for concept in self._concepts[self._first[name] : self._first[name + 1]]]

    def type_of(self, concept: int) -> str:
        """One of TYPES."""
        return TYPES[self._types[concept]]

    def ids(self, concept: int) -> list[str]:
        """Ids of a concept, the best first."""
        found = []
        for at in range(int(self._id_first[concept]), int(self._id_first[concept + 1])):
            form, number = int(self._id_forms[at]), int(self._id_numbers[at])
            value = _base36(number) if form == _CVCL else self.name(concept) if form == _FPLX else number
            found.append(ID_FORMS[form].format(value))
        return found

    def name(self, concept: int) -> str:
        """Preferred name of a concept."""
        begin = int(self._name_ends[concept - 1]) if concept else 0
        return self._names[begin : int(self._name_ends[concept])].decode()


_MADE_BY = "python -m biomedica_assets.entities.vocabulary_build"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _base36(number: int) -> str:
    out = ""
    for _ in range(4):
        number, digit = divmod(number, 36)
        out = _DIGITS[digit] + out
    return out


def compiled(
    names: Mapping[int, Sequence[int]],
    symbols: Collection[int],
    concepts: Sequence[tuple[str, Sequence[tuple[int, int]], str]],
) -> dict[str, np.ndarray]:
    """The arrays of a vocabulary's file.

    Args:
        names: concepts of every hash, best first.
        symbols: the hashes of spellings whose case counts.
        concepts: type, ids as (number of the form, number) best first, preferred name.
    """
    hashes = np.array(sorted(names), np.uint64)
    deltas = np.diff(hashes, prepend=np.uint64(0))
    if len(deltas) and int(deltas.max()) >> 40:
        raise VocabularyError("a hash is longer than it should be")
    texts = [name.encode() for _, _, name in concepts]
    return {
        "delta_low": deltas.astype(np.uint8),
        "delta_middle": (deltas >> np.uint64(8)).astype(np.uint8),
        "delta_high": (deltas >> np.uint64(16)).astype(np.uint32),
        "senses": np.array([len(names[int(h)]) for h in hashes], np.uint8),
        "symbols": np.packbits([int(h) in symbols for h in hashes]),
        "concepts": np.array([c for h in hashes for c in names[int(h)]], np.uint32),
        "types": np.array([TYPES.index(kind) for kind, _, _ in concepts], np.uint8),
        "id_counts": np.array([len(ids) for _, ids, _ in concepts], np.uint8),
        "id_forms": np.array([form for _, ids, _ in concepts for form, _ in ids], np.uint8),
        "id_numbers": np.array([number for _, ids, _ in concepts for _, number in ids], np.uint32),
        "names": np.frombuffer(b"".join(texts), np.uint8),
        "name_lengths": np.array([len(text) for text in texts], np.uint16),
    }


@lru_cache(maxsize=1)
def shipped() -> Vocabulary:
    """The vocabulary of the package, loaded once."""
    return Vocabulary.load()
