"""Corpora of annotated sentences: IOB files in folders or archives, read into texts, tokens and spans.

Belongs here: the format and which corpus says what about which types. Does not belong here: training (`train`).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from biomedica_assets.entities.words import read

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
"""Crichton, Pyysalo, Chiu and Korhonen 2017 (CC BY 4.0); ``cell`` is type or line, ``anatomy`` whatever is of a body."""


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
    at, glue, previous, odd_quote = 0, True, "", False
    open_type, begin, end = "", 0, 0
    for token, label in [*tokens, ("", "O")]:
        mark, _, kind = label.partition("-")
        if labels is not None:
            kind = labels.get(kind, "") if kind else next(iter(labels.values()), "") if mark != "O" else ""
        elif not kind and mark != "O":
            kind = "entity"
        if not kind:
            mark = "O"
        spaced = not (
            glue or (token and token in _CLOSE_BEFORE) or token in _CLOSE_BOTH or (token == '"' and odd_quote)
        )
        if spaced and token:
            parts.append(" ")
            at += 1
        starts = mark in ("B", "S", "U") or (mark in ("I", "E", "L", "M") and (kind != open_type))
        if open_type and (mark == "O" or starts):
            spans.append(Span(begin, end, open_type))
            open_type = ""
        if starts:
            open_type, begin = kind, at
        parts.append(token)
        at += len(token)
        end = at
        glue = token in _CLOSE_BEHIND or token in _CLOSE_BOTH or (token == '"' and not odd_quote)
        odd_quote ^= token == '"'
        previous = token
    del previous
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


def token_labels(sentence: Sentence, kind: str) -> tuple[list[str], list[str]]:
    """Our tokens of a sentence and the label (B, I, O) of each for one type."""
    tokens = read(sentence.text)
    out = ["O"] * len(tokens.words)
    for span in sentence.spans:
        if span.type == kind:
            inside = [
                i
                for i, (s, e) in enumerate(zip(tokens.starts, tokens.ends, strict=True))
                if s < span.end and e > span.start
            ]
            for position, i in enumerate(inside):
                out[i] = "I" if position else "B"
    return tokens.words, out
