"""Corpora of annotated sentences: IOB files in folders or archives, read into texts, tokens and spans.

Belongs here: the format and which corpus says what about which types. Does not belong here: training (`train`).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_CLOSE_BEFORE = frozenset(".,;:)]}%?!'’”")
_CLOSE_BEHIND = frozenset("([{“")
_CLOSE_BOTH = frozenset("-/‐‑–+")


@dataclass(frozen=True, slots=True)
class Span:
    """An entity of a sentence by offsets in its text."""

    start: int
    end: int
    type: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: its text as it probably stood, and what is annotated."""

    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Corpus:
    """A public corpus and what its labels are called here. What it does not annotate is unknown, not absent."""

    name: str
    labels: Mapping[str, str]

    @property
    def types(self) -> frozenset[str]:
        return frozenset(self.labels.values())


CORPORA = (
    Corpus("NCBI-disease", {"Disease": "disease"}),
    Corpus("BC5CDR-disease", {"Disease": "disease"}),
    Corpus("BC5CDR-chem", {"Chemical": "chemical"}),
    Corpus("BC2GM", {"GENE": "gene"}),
    Corpus("linnaeus", {"Species": "species"}),
    Corpus("CRAFT-species", {"NCBITaxon": "species"}),
    Corpus("CRAFT-cell", {"CL": "cell"}),
    Corpus("AnatEM", {"Anatomy": "anatomy"}),
    Corpus(
        "BioNLP13CG",
        {
            "Gene_or_gene_product": "gene",
            "Simple_chemical": "chemical",
            "Amino_acid": "chemical",
            "Organism": "species",
            "Cell": "cell",
            "Cancer": "cancer",
            "Organ": "tissue",
            "Tissue": "tissue",
            "Multi-tissue_structure": "tissue",
            "Organism_subdivision": "tissue",
            "Organism_substance": "tissue",
            "Anatomical_system": "tissue",
            "Developing_anatomical_structure": "tissue",
            "Immaterial_anatomical_entity": "tissue",
        },
    ),
)
"""Crichton et al. 2017 (CC BY 4.0). ``cell`` is a type or line, ``anatomy`` whatever is of a body."""


def read_iob(lines: Iterator[str], labels: Mapping[str, str] | None = None) -> Iterator[Sentence]:
    """Sentences of an IOB, IOB2, IOBES or CoNLL file: a token first and its label last on a line, by tab or space.

    Args:
        lines: of the file; an empty one ends a sentence.
        labels: our type for each of theirs, others are dropped; null: theirs are kept. A label without a type ("B")
            stands for the only type there is.
    """
    tokens: list[tuple[str, str]] = []
    for line in lines:
        parts = line.split()
        if len(parts) >= 2 and not line.startswith("-DOCSTART-"):
            tokens.append((parts[0], parts[-1]))
        elif tokens and not parts:
            yield sentence_of(tokens, labels)
            tokens = []
    if tokens:
        yield sentence_of(tokens, labels)


def sentence_of(tokens: list[tuple[str, str]], labels: Mapping[str, str] | None) -> Sentence:
    """A sentence of tokens and labels; spaces are put where text has them."""
    parts: list[str] = []
    spans: list[Span] = []
    at, glued, quoted = 0, True, False
    kind, begin, end = "", 0, 0
    for word, label in [*tokens, ("", "O")]:
        mark, _, name = label.partition("-")
        if mark != "O" and labels is not None:
            name = labels.get(name, "") if name else next(iter(labels.values()))
        own = "" if mark == "O" else name or ("" if labels else "entity")
        quote = word == '"'
        if word and not (glued or word in _CLOSE_BEFORE or word in _CLOSE_BOTH or (quote and quoted)):
            parts.append(" ")
            at += 1
        begins = bool(own) and (mark in "BSU" or own != kind)
        if kind and (begins or not own):
            spans.append(Span(begin, end, kind))
            kind = ""
        if begins:
            kind, begin = own, at
        parts.append(word)
        at += len(word)
        end = at
        glued = word in _CLOSE_BEHIND or word in _CLOSE_BOTH or (quote and not quoted)
        quoted ^= quote
    return Sentence("".join(parts), tuple(spans))


def read_corpus(path: Path, split: str, labels: Mapping[str, str] | None = None) -> Iterator[Sentence]:
    """Sentences of one split (train, devel, test) of a folder or tar archive of IOB files; all files without a split.

    Raises:
        FileNotFoundError: there is no such file.
    """
    found = False
    for name, text in _files(path):
        stem = name.rsplit("/", 1)[-1].partition(".")[0].lower()
        if not split or stem == split or (split == "devel" and stem in ("dev", "valid", "development")):
            found = True
            yield from read_iob(iter(text.splitlines()), labels)
    if not found:
        raise FileNotFoundError(f"{path} has no file {split or 'with labelled tokens'}.tsv")


def _files(path: Path) -> Iterator[tuple[str, str]]:
    suffixes = (".tsv", ".iob", ".iob2", ".conll", ".bio", ".txt")
    if path.is_file() and ".tar" in path.name:
        with tarfile.open(path) as archive:
            for member in sorted(archive.getmembers(), key=lambda m: m.name):
                file = archive.extractfile(member) if member.name.endswith(suffixes) else None
                if file is not None:
                    yield member.name, io.TextIOWrapper(file, "utf-8", "replace").read()
    elif path.is_file():
        yield path.name, path.read_text("utf-8", "replace")
    else:
        for file_path in sorted(p for p in path.rglob("*") if p.suffix in suffixes):
            yield file_path.relative_to(path).as_posix(), file_path.read_text("utf-8", "replace")
