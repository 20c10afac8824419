"""Learn the tagger from the public corpora and write its file.

    python -m biomedica_assets.entities.train FOLDER [--out FILE]

FOLDER holds the archives or folders named in `corpora.CORPORA`. Needs python-crfsuite (extra ``entities``); tagging
does not. Belongs here: which corpora teach which model, the settings of learning, the export. The same corpora,
vocabulary and settings give the same file: sentences are in file order and the optimizer (OWL-QN) draws nothing.
"""

from __future__ import annotations

import argparse
import itertools
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from biomedica_assets.entities.batch import CODES, Reader
from biomedica_assets.entities.corpora import CORPORA, Corpus, Sentence, Span, read_corpus
from biomedica_assets.entities.features import BEGIN, END, NAME_OFFSETS, OFFSETS, attributes, seen_at
from biomedica_assets.entities.tagger import LABELS, SCALE, SHIPPED
from biomedica_assets.entities.vocabulary import TYPES, Vocabulary, shipped
from biomedica_assets.entities.vocabulary_build import write
from biomedica_assets.entities.words import fold, read

MODELS = ("disease", "chemical", "gene", "species", "cell", "tissue")
"""``cell`` finds types and lines, which the vocabulary and the spelling tell apart."""
SETTINGS = {"c1": 0.3, "c2": 0.02, "max_iterations": 80, "feature.minfreq": 2, "feature.possible_transitions": True}
_PIECE = 500
"""Sentences read together."""


def sources_of(model: str, corpora: Iterable[Corpus] = CORPORA) -> list[Corpus]:
    """The corpora that annotate what a model finds."""
    return [c for c in corpora if model in c.types or (model == "tissue" and "anatomy" in c.types)]


@cache
def sentences_of(folder: Path, name: str, split: str) -> tuple[Sentence, ...]:
    """One split of a corpus with our types; of AnatEM, what the rule below makes of its one type."""
    corpus = next(c for c in CORPORA if c.name == name)
    return tuple(read_corpus(place_of(folder, name), split, corpus.labels))


def place_of(folder: Path, name: str) -> Path:
    """Archive or folder of a corpus.

    Raises:
        FileNotFoundError: there is neither.
    """
    found = sorted(folder.glob(f"{name}-IOB*")) or sorted(folder.glob(f"{name}*"))
    if not found:
        raise FileNotFoundError(f"{folder} has no archive or folder {name}-IOB")
    return found[0]


def training_sentences(folder: Path, model: str, left_out: Collection[str] = ()) -> Iterator[Sentence]:
    """Training and development sentences of all corpora that annotate a model's type.

    AnatEM holds every sentence of BioNLP13CG under one type for all anatomy; there the finer types are used. Its other
    spans get the type that BioNLP13CG mostly gives to spans with the same last word. Sentences of a corpus that is
    left out are left out wherever they stand (but BioNLP13CG, which lies within AnatEM, stays when that one is left
    out and only the rest of it is the test), and so are those of any corpus's test part.
    """
    parts = ("train", "devel", "test")
    finer_texts = {s.text for split in parts for s in sentences_of(folder, "BioNLP13CG", split)}
    hidden = {s.text for name in left_out for split in parts for s in sentences_of(folder, name, split)}
    if "AnatEM" in left_out:
        hidden -= finer_texts
    kept_for_test = {s.text for c in CORPORA for s in sentences_of(folder, c.name, "test")}
    for corpus in sources_of(model):
        if corpus.name in left_out:
            continue
        finer = corpus.name == "AnatEM"
        for split in ("train", "devel"):
            for sentence in sentences_of(folder, corpus.name, split):
                if sentence.text in hidden or sentence.text in kept_for_test:
                    continue
                if finer and sentence.text in finer_texts:
                    continue
                yield with_tissues(sentence, anatomy_words(folder)) if finer else sentence


@cache
def anatomy_words(folder: Path) -> dict[str, str]:
    """By last word: the label that BioNLP13CG gives most often to spans of anatomy."""
    kinds = (
        *("Organ", "Tissue", "Multi-tissue_structure", "Organism_subdivision", "Organism_substance"),
        *("Anatomical_system", "Developing_anatomical_structure", "Immaterial_anatomical_entity"),
    )
    labels = dict.fromkeys(kinds, "tissue") | {
        "Cell": "cell",
        "Cancer": "other",
        "Cellular_component": "other",
        "Pathological_formation": "other",
    }
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in read_corpus(place_of(folder, "BioNLP13CG"), "train", labels):
        for span in sentence.spans:
            counts[fold(read(sentence.text[span.start : span.end]).words[-1])][span.type] += 1
    return {word: count.most_common(1)[0][0] for word, count in counts.items()}


_OTHER = re.compile(
    r"(?:cell|cyte|blast|clast|phage|neuron|line|tumou?r|cancer|oma|metastas[ei]s|leuk(?:a?)emia|membrane|nucle(?:us|i)|"
    r"mitochondri\w*|chromosome|cytoplasm|granule|vesicle|lysosome|somes?|lesion|adenoma|polyp|cytosol|matrix|plaque|"
    r"microtubule|actin|cilia|filament|reticulum|golgi|ribosome|synapse|axon|dendrite|neoplasm|malignanc(?:y|ies))s?$",
    re.IGNORECASE,
)


def with_tissues(sentence: Sentence, words: dict[str, str]) -> Sentence:
    """A sentence of AnatEM with those of its spans that are tissues, organs, fluids or parts of a body."""
    spans = []
    for span in sentence.spans:
        last = read(sentence.text[span.start : span.end]).words[-1]
        kind = words.get(fold(last)) or ("other" if _OTHER.search(last) or not last.islower() else "tissue")
        if kind == "tissue":
            spans.append(Span(span.start, span.end, "tissue"))
    return Sentence(sentence.text, tuple(spans))


def labelled(sentences: Sequence[Sentence], kind: str, reader: Reader) -> Iterator[tuple[list[list[str]], list[str]]]:
    """Attributes and labels of every sentence."""
    for begin in range(0, len(sentences), _PIECE):
        some = sentences[begin : begin + _PIECE]
        batch, _ = reader.read([s.text for s in some])
        codes = batch.codes
        for number, sentence in enumerate(some):
            first = int(batch.first[number])
            own = batch.tokens[number]
            labels = ["O"] * len(own.words)
            for span in sentence.spans:
                if span.type != kind:
                    continue
                inside = [
                    i
                    for i, (s, e) in enumerate(zip(own.starts, own.ends, strict=True))
                    if s < span.end and e > span.start
                ]
                for position, i in enumerate(inside):
                    labels[i] = "I" if position else "B"
            cuts = [*own.breaks, len(own.words)]
            for a, b in itertools.pairwise(cuts):
                yield items(own.words[a:b], codes[first + a : first + b]), labels[a:b]


@cache
def _of(word: str) -> tuple[str, ...]:
    return tuple(attributes(word))


def items(words: Sequence[str], codes: np.ndarray) -> list[list[str]]:
    """Attributes of every token of a sentence, as python-crfsuite takes them: ``offset:attribute``."""
    out = []
    last = len(words) - 1
    for i in range(len(words)):
        seen = []
        for offset in OFFSETS:
            if 0 <= i + offset <= last:
                seen += [f"{offset}:{a}" for a in _of(words[i + offset]) if seen_at(a, offset)]
                if offset in NAME_OFFSETS:
                    seen += [f"{offset}#{t}:{codes[i + offset, t]}" for t in np.flatnonzero(codes[i + offset])]
        if i == 0:
            seen.append(f"0:{BEGIN}")
        if i == last:
            seen.append(f"0:{END}")
        out.append(seen)
    return out


def learn(
    examples: Iterable[tuple[list[list[str]], list[str]]], settings: dict | None = None
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], float]]:
    """Weights of (attribute, label) and of (label, next label)."""
    import pycrfsuite

    trainer = pycrfsuite.Trainer(verbose=False)
    trainer.select("lbfgs")
    trainer.set_params(settings or SETTINGS)
    for seen, labels in examples:
        trainer.append(seen, labels)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model")
        trainer.train(path)
        tagger = pycrfsuite.Tagger()
        tagger.open(path)
        info = tagger.info()
        tagger.close()
    return dict(info.state_features), dict(info.transitions)


def exported(
    models: dict[str, tuple[dict[tuple[str, str], float], dict[tuple[str, str], float]]],
) -> dict[str, np.ndarray]:
    """The arrays of a tagger's file from the weights of its models."""
    number_of = {"B": 0, "I": 1, "O": 2}
    width = len(models) * LABELS
    cells: dict[str, dict[int, int]] = defaultdict(dict)
    names = np.zeros((len(NAME_OFFSETS), len(TYPES), CODES, width), np.int16)
    transitions = np.zeros((len(models), LABELS, LABELS), np.int32)
    for number, (states, moves) in enumerate(models.values()):
        for (seen, label), weight in states.items():
            value = round(weight * SCALE)
            column = number * LABELS + number_of[label]
            mark = re.match(r"(-?\d)([:#])(.*)$", seen, re.DOTALL)
            if not mark or not value:
                continue
            offset = int(mark[1])
            if mark[2] == "#":
                kind, code = mark[3].split(":")
                names[NAME_OFFSETS.index(offset), int(kind), int(code), column] = value
            else:
                cells[mark[3]][OFFSETS.index(offset) * width + column] = value
        for (before, label), weight in moves.items():
            transitions[number, number_of[before], number_of[label]] = round(weight * SCALE)
        transitions[number, number_of["O"], number_of["I"]] = -100 * SCALE
    order = sorted(cells)
    return {
        "models": np.frombuffer(" ".join(models).encode(), np.uint8),
        "attributes": np.frombuffer("\n".join(order).encode(), np.uint8),
        "counts": np.array([len(cells[a]) for a in order], np.uint8),
        "columns": np.array([c for a in order for c in sorted(cells[a])], np.uint8),
        "weights": np.array([cells[a][c] for a in order for c in sorted(cells[a])], np.int16),
        "names": names,
        "transitions": transitions,
    }


def train(
    folder: Path,
    models: Sequence[str] = MODELS,
    *,
    left_out: Collection[str] = (),
    vocabulary: Vocabulary | None = None,
) -> dict[str, np.ndarray]:
    """Learn models; the arrays of a tagger's file."""
    reader = Reader(vocabulary or shipped())
    learned = {}
    for model in models:
        sentences = list(training_sentences(folder, model, left_out))
        learned[model] = learn(labelled(sentences, model, reader))
    return exported(learned)


def main() -> None:
    """Learn all models and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    arrays = train(arguments.folder)
    write(arrays, arguments.out)
    size = arguments.out.stat().st_size
    print(f"{len(arrays['counts']):,} attributes, {len(arrays['weights']):,} weights, {size:,} bytes")


if __name__ == "__main__":
    main()
