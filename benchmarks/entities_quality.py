"""Entities: how right spans and types are, per type, on public corpora and on captions marked by hand; speed, memory.

    python -m benchmarks.entities_quality [--quick] [--leave-out]
    python -m benchmarks.entities_quality --corpus PATH --types Disease=disease [--split test]

Needs ../shared/data/ner for the corpora and ../shared/corpus for the captions. `--corpus` scores any folder, file or
tar archive of IOB or CoNLL files (token first, label last, by tab or space); `--types` maps its labels to ours, several
as `Anatomy=tissue+cell_type`.

exact: span and type as annotated; overlap: a mention of the type shares a character with an annotated one. Ways:
`vocabulary` (the longest names), `tagger` (spans of the CRF), `both` (what the annotator says). Mentions that the hand
annotation calls optional count neither as right nor as wrong. Where a corpus says `cell`, our cell types and lines
count; of AnatEM the spans that are tissues by the rule of `train.with_tissues`; `BC2GM bare` is BC2GM with its
annotations brought to bare names by the rules of `boundaries`, as ours are.
"""

from __future__ import annotations

import hashlib
import json
import resource
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.corpus import real_articles
from benchmarks.gold import gold_rows, half_of
from benchmarks.measure import SHARED, Table, arguments_of, mib, run
from biomedica_assets.entities.annotators import Entity
from biomedica_assets.entities.boundaries import parts
from biomedica_assets.entities.corpora import CORPORA, Sentence, Span, read_corpus
from biomedica_assets.entities.offline import OfflineAnnotator
from biomedica_assets.entities.tagger import Tagger
from biomedica_assets.entities.vocabulary import TYPES, Vocabulary
from biomedica_assets.entities.words import read

CORPORA_FOLDER = SHARED / "data" / "ner"
CAPTIONS_24M, PIECE = 24_000_000, 256
WAYS = ("vocabulary", "tagger", "both")


@dataclass
class Counts:
    """Mentions found and annotated, and those of each that agree, exactly and by overlap."""

    found: int = 0
    gold: int = 0
    exact: int = 0
    found_over: int = 0
    gold_over: int = 0

    def f1(self, *, exact: bool) -> float:
        """Harmonic mean of precision and recall."""
        right = (self.exact, self.exact) if exact else (self.found_over, self.gold_over)
        precision, recall = right[0] / max(self.found, 1), right[1] / max(self.gold, 1)
        return 2 * precision * recall / max(precision + recall, 1e-9)

    def cells(self) -> list[str]:
        precision, recall = self.exact / max(self.found, 1), self.exact / max(self.gold, 1)
        return [
            f"{self.f1(exact=True):.3f}",
            f"{self.f1(exact=False):.3f}",
            f"{precision:.3f}",
            f"{recall:.3f}",
            f"{self.gold:,}",
        ]


def count(
    counts: Counts,
    found: Sequence[tuple[int, int]],
    gold: Sequence[tuple[int, int]],
    free: Sequence[tuple[int, int]] = (),
) -> None:
    """Add one text; mentions that touch only ``free`` spans are left out."""

    def over(span: tuple[int, int], others: Iterable[tuple[int, int]]) -> bool:
        return any(span[0] < b and a < span[1] for a, b in others)

    kept = [s for s in dict.fromkeys(found) if over(s, gold) or not over(s, free)]
    counts.found += len(kept)
    counts.gold += len(gold)
    counts.exact += len(set(kept) & set(gold))
    counts.found_over += sum(over(s, gold) for s in kept)
    counts.gold_over += sum(over(s, kept) for s in gold)


BARE = "BC2GM bare"


def _bare(sentence: Sentence) -> Sentence:
    """The spans of a sentence as our rules leave them, without knowing the vocabulary."""
    tokens = read(sentence.text)
    spans = []
    for span in sentence.spans:
        inside = [i for i, start in enumerate(tokens.starts) if span.start <= start < span.end]
        for first, behind in parts(tokens.words, inside[0], inside[-1] + 1, span.type, lambda *_: False, {}):
            spans.append(Span(tokens.starts[first], tokens.ends[behind - 1], span.type))
    return Sentence(sentence.text, tuple(spans))


OURS = {"cell": ("cell_type", "cell_line")}
"""Types of ours that a type of the corpora stands for."""


def way_of(entities: Iterable[Entity], way: str) -> list[Entity]:
    return [e for e in entities if way != "tagger" or e.source != "dictionary"]


def annotators(tagger: Tagger | None = None) -> dict[str, OfflineAnnotator]:
    """The annotator of each way."""
    vocabulary = _vocabulary()
    both = OfflineAnnotator(vocabulary, tagger or Tagger.load())
    return {"vocabulary": OfflineAnnotator(vocabulary, None), "tagger": both, "both": both}


@cache
def _vocabulary() -> Vocabulary:
    return Vocabulary.load()


def judge(
    sentences: Sequence[Sentence], types: Mapping[str, Sequence[str]], tagger: Tagger | None = None
) -> dict[str, dict[str, Counts]]:
    """Counts by way and annotated type.

    Args:
        sentences: annotated.
        types: ours for every annotated one.
        tagger: null: the shipped one.
    """
    result: dict[str, dict[str, Counts]] = {way: defaultdict(Counts) for way in WAYS}
    texts = [s.text for s in sentences]
    done: dict[int, list[list[Entity]]] = {}
    for way, annotator in annotators(tagger).items():
        if id(annotator) not in done:
            done[id(annotator)] = [
                e for i in range(0, len(texts), PIECE) for e in annotator.annotate_many(texts[i : i + PIECE])
            ]
        for sentence, entities in zip(sentences, done[id(annotator)], strict=True):
            for kind, ours in types.items():
                found = [(e.start, e.end) for e in way_of(entities, way) if e.type in ours]
                count(result[way][kind], found, [(s.start, s.end) for s in sentence.spans if s.type == kind])
    return result


def corpus_test(name: str, folder: Path = CORPORA_FOLDER) -> tuple[list[Sentence], dict[str, tuple[str, ...]]]:
    """Test sentences of a corpus and our types for its own."""
    from biomedica_assets.entities.train import anatomy_words, sentences_of, with_tissues

    sentences = [] if name == BARE else list(sentences_of(folder, name, "test"))
    if name == "AnatEM":
        known = {s.text for split in ("train", "devel", "test") for s in sentences_of(folder, "BioNLP13CG", split)}
        sentences = [with_tissues(s, anatomy_words(folder)) for s in sentences if s.text not in known]
    if name == BARE:
        sentences = [_bare(s) for s in sentences_of(folder, "BC2GM", "test")]
    kinds = {s.type for one in sentences for s in one.spans} - {"cancer"}
    return sentences, {kind: OURS.get(kind, (kind,)) for kind in sorted(kinds)}


def in_domain(name: str) -> dict[str, dict[str, list[str]]]:
    """Step: the shipped tagger, which knows the corpus's training part, on its test part."""
    return _shown(judge(*corpus_test(name)))


def left_out(name: str) -> dict[str, dict[str, list[str]]]:
    """Step: a tagger taught without a corpus, on that one's test part."""
    from biomedica_assets.entities.train import MODELS, train

    sentences, types = corpus_test(name)
    models = [m for m in MODELS if m in types]
    tagger = Tagger(train(CORPORA_FOLDER, models, left_out=[name], vocabulary=_vocabulary()), "")
    return _shown(judge(sentences, types, tagger))


def _shown(result: dict[str, dict[str, Counts]]) -> dict[str, dict[str, list[str]]]:
    return {way: {kind: counts.cells() for kind, counts in sorted(kinds.items())} for way, kinds in result.items()}


@dataclass(frozen=True)
class Gold:
    """A caption marked by hand."""

    article: str
    text: str
    entities: list[dict[str, Any]] = field(default_factory=list)

    @property
    def half(self) -> str:
        return half_of(self.article)


@cache
def caption_texts() -> dict[str, str]:
    """Text of every caption of the shared corpus by its SHA-256."""
    from biomedica_assets.jats.article import parse_articles

    found = {}
    for _, _, xml, _ in real_articles(SHARED / "corpus"):
        for article in parse_articles(xml):
            found.update({_sha256(row["text"]): row["text"] for row in article.captions if row["text"]})
    return found


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@cache
def marked() -> list[Gold]:
    """Captions marked by hand whose text is still that which was read."""
    texts = caption_texts()
    rows = [row for row in gold_rows("entities") if row["text_sha256"] in texts]
    return [Gold(row["article"], texts[row["text_sha256"]], row["entities"]) for row in rows]


def judge_captions(gold: Sequence[Gold], annotators_: Mapping[str, OfflineAnnotator]) -> dict[str, dict[str, Counts]]:
    """Counts by way and type, over captions marked by hand; a mention of another type than marked is wrong."""
    result: dict[str, dict[str, Counts]] = {way: defaultdict(Counts) for way in WAYS}
    for way, annotator in annotators_.items():
        answers = annotator.annotate_many([g.text for g in gold])
        for one, entities in zip(gold, answers, strict=True):
            free = [(e["start"], e["end"]) for e in one.entities if e.get("optional")]
            for kind in TYPES:
                found = [(e.start, e.end) for e in way_of(entities, way) if e.type == kind]
                wanted = [(e["start"], e["end"]) for e in one.entities if e["type"] == kind and not e.get("optional")]
                for counts in (result[way][kind], result[way]["all"]):
                    count(counts, found, wanted, free)
    return result


def hand_marked(half: str) -> dict[str, dict[str, list[str]]] | None:
    """Step: the captions marked by hand; null where the corpus is absent."""
    if not (SHARED / "corpus").exists():
        return None
    return _shown(judge_captions([g for g in marked() if g.half == half], annotators()))


def speed(copies: str) -> dict[str, float]:
    """Step: CPU seconds and memory of annotating the corpus's captions, loading apart."""
    texts = list(caption_texts().values())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    started = time.process_time()
    annotator = OfflineAnnotator.shipped()
    annotator.annotate("mice")
    loaded = time.process_time()
    with_files = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = with_ids = 0
    for _ in range(int(copies)):
        for begin in range(0, len(texts), PIECE):
            for entities in annotator.annotate_many(texts[begin : begin + PIECE]):
                found += len(entities)
                with_ids += sum(bool(e.ids) for e in entities)
    cpu = time.process_time() - loaded
    return {
        "texts": len(texts) * int(copies),
        "characters": sum(map(len, texts)) * int(copies),
        "load": loaded - started,
        "cpu": cpu,
        "files": with_files - before,
        "found": found,
        "with_ids": with_ids,
    }


def _scores(title: str, answer: dict[str, dict[str, list[str]]], table: Table) -> None:
    for way, kinds in answer.items():
        for kind, cells in kinds.items():
            table.rows.append((title, kind, way, *cells))


HEADER = ("texts", "type", "way", "exact F1", "overlap F1", "precision", "recall", "mentions")


def benchmark(quick: bool, *, leave_out: bool = False) -> Iterator[Table]:
    """Tables of quality on each corpus that is there, then speed."""
    names = [c.name for c in CORPORA][: 2 if quick else None]
    if CORPORA_FOLDER.exists():
        table = Table("Entities: test part of each corpus, the shipped tagger", HEADER)
        for name in [*names, BARE]:
            _scores(name, run("benchmarks.entities_quality", "--step", "in_domain", name).answer, table)
        yield table
        if leave_out:
            table = Table("Entities: test part of each corpus, taught by the other corpora alone", HEADER)
            for name in names:
                _scores(name, run("benchmarks.entities_quality", "--step", "left_out", name).answer, table)
            yield table
    for half in ("dev", "test"):
        answer = run("benchmarks.entities_quality", "--step", "hand_marked", half).answer
        if answer:
            table = Table(f"Entities: real captions marked by hand, {half} half", HEADER)
            _scores("captions", answer, table)
            yield table
    if (SHARED / "corpus").exists():
        used = run("benchmarks.entities_quality", "--step", "speed", 1 if quick else 4)
        one = used.answer
        table = Table("Entities: cost of annotating captions", ("what", "value"))
        table.rows += [
            ("captions", f"{one['texts']:,} of {one['characters'] / one['texts']:.0f} characters"),
            ("CPU s per 1,000 captions", f"{1000 * one['cpu'] / one['texts']:.2f}"),
            ("CPU s to load", f"{one['load']:.2f}"),
            ("memory of the files when loaded", mib(one["files"])),
            ("peak memory of the process, corpus included", mib(used.memory)),
            ("CPU h for 24 million captions", f"{CAPTIONS_24M * one['cpu'] / one['texts'] / 3600:.1f}"),
            ("entities per caption", f"{one['found'] / one['texts']:.2f}"),
            ("share with ids", f"{one['with_ids'] / max(one['found'], 1):.3f}"),
        ]
        yield table


def types_of(text: str) -> dict[str, str]:
    """``Disease=disease,CL=cell_type+cell_line`` as {their label: our types joined by +}."""
    pairs = dict(part.split("=", 1) for part in text.split(","))
    unknown = {kind for kinds in pairs.values() for kind in kinds.split("+")} - set(TYPES)
    if unknown:
        raise SystemExit(f"no types {', '.join(sorted(unknown))}; ours: {', '.join(TYPES)}")
    return pairs


def other_corpus(path: Path, types: str, split: str) -> Table:
    """Scores on any corpus of IOB files."""
    labels = types_of(types)
    sentences = list(read_corpus(path, split, labels))
    table = Table(f"Entities: {path.name}, {len(sentences):,} sentences", HEADER)
    _scores(path.name, _shown(judge(sentences, {kind: kind.split("+") for kind in set(labels.values())})), table)
    return table


def _main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--leave-out", action="store_true", help="teach taggers without each corpus too (30 CPU min)")
    parser.add_argument("--corpus", type=Path, help="score this folder, file or tar archive alone")
    parser.add_argument("--types", help="LABEL=type[+type],... of --corpus")
    parser.add_argument("--split", default="", help="train, devel or test of --corpus; else all its files")
    arguments = parser.parse_args()
    if arguments.step:
        steps = {"in_domain": in_domain, "left_out": left_out, "hand_marked": hand_marked, "speed": speed}
        print(json.dumps(steps[arguments.step[0]](*arguments.step[1:])))
    elif arguments.corpus:
        if not arguments.types:
            parser.error("--corpus needs --types, for instance Disease=disease")
        print(other_corpus(arguments.corpus, arguments.types, arguments.split).markdown())
    else:
        for table in benchmark(arguments.quick, leave_out=arguments.leave_out):
            print(table.markdown(), flush=True)


if __name__ == "__main__":
    _main()
