"""The default annotator: what tagger and vocabulary find together, with ids, without network.

Belongs here: which spans count, their types where finders disagree, ids, short forms that the text explains. Does not
belong here: the finders (`tagger`, `vocabulary`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from biomedica_assets.entities import latin
from biomedica_assets.entities.abbreviations import abbreviations
from biomedica_assets.entities.annotators import ID_DIGITS, Entity
from biomedica_assets.entities.batch import Batch, Reader
from biomedica_assets.entities.boundaries import parts
from biomedica_assets.entities.tagger import Marginals, Tagged, Tagger
from biomedica_assets.entities.vocabulary import Vocabulary

OFFLINE_VERSION = "1"
"""Raised when the same files would give other entities."""

MODEL_OF = {
    "disease": "disease",
    "chemical": "chemical",
    "gene": "gene",
    "species": "species",
    "cell_line": "cell",
    "cell_type": "cell",
    "tissue": "tissue",
}
"""The tagger's model for each type."""
LEAST = {
    "disease": (0.03, 0.4),
    "chemical": (0.05, 0.4),
    "gene": (0.05, 0.3),
    "species": (0.001, 0.05),
    "cell_line": (0.2, 0.04),
    "cell_type": (0.2, 0.2),
    "tissue": (0.02, 0.5),
}
"""From which probability on a name of the vocabulary is taken that the tagger does not choose: free names, symbols."""
LEAST_TAGGED = {"disease": 0.4, "chemical": 0.5, "gene": 0.5, "species": 0.4, "tissue": 0.35}
"""From which probability on a span of the tagger is taken that the vocabulary does not know."""
LINE = 0.8
"""Probability of a cell line's name that is long or has the word cells behind it."""
_CELL_WORDS = frozenset(("cell", "cells", "line", "lines", "xenograft", "xenografts"))
MOST_REPEATED = 200
"""Distinct words of one text that are looked for elsewhere in it."""
SURE = 0.6
"""From this probability on the same word is the same elsewhere in a text."""

_CELLS = re.compile(r"[\s-]+(?:cancer\s+)?(?:cells?|cell[\s-]lines?|lines?)$")
_MARKER = re.compile(r"(?:CD|O|T|B|NK|Th|Treg|iPS|ES|MS|HS)\d*[+-]?$", re.IGNORECASE)
_LINE = re.compile(r"(?=[^\s]*[A-Z])(?=[^\s]*(?:\d|[a-z][A-Z]|[A-Z]{3}))[\w./-]+$")
_TAIL = re.compile(
    r"[\s-]+(?:genes?|proteins?|mRNAs?|receptors?|promoters?|antibod(?:y|ies)|transcripts?)$", re.IGNORECASE
)
_MODIFIERS = frozenset(
    re.findall(
        r"[\w-]+",
        "left right bilateral upper lower anterior posterior acute chronic severe mild moderate primary "
        "secondary metastatic recurrent advanced early late human mouse murine rat bovine porcine adult "
        "fetal neonatal normal healthy invasive progressive suspected active total phospho recombinant "
        "endogenous wild-type mutant activated cultured primary isolated",
    )
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A span that may become an entity: tokens of the batch."""

    first: int
    behind: int
    type: str
    source: str
    probability: float


class OfflineAnnotator:
    """Tagger and vocabulary together; see `annotators.Annotator`."""

    def __init__(self, vocabulary: Vocabulary, tagger: Tagger | None) -> None:
        self.vocabulary, self.tagger = vocabulary, tagger
        self._reader = Reader(vocabulary)
        parts = [vocabulary.sha256] + ([tagger.sha256] if tagger else [])
        self.id = f"offline-{OFFLINE_VERSION}@{_digest(parts)}"
        self.link = lru_cache(maxsize=1 << 16)(self._link)
        """Ids and preferred name of a mention of a type, empty and null when no name of that type is like it."""

    @classmethod
    def shipped(cls) -> OfflineAnnotator:
        """With the files of this package, loaded once.

        Raises:
            AnnotatorError: a file is missing or damaged.
        """
        return _shipped()

    def annotate(self, text: str) -> list[Entity]:
        """Entities of a text in order; none overlap."""
        return self.annotate_many([text])[0]

    def annotate_many(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Entities of each text; what else is in the batch changes nothing."""
        anew = self._reader.forget()
        batch, new = self._reader.read(texts)
        tagged: dict[str, list[Tagged]] = {}
        marginals: Marginals | None = None
        if self.tagger:
            self.tagger.learn_words(new, anew=anew)
            tagged, marginals = self.tagger.tag(batch)
        found: list[list[_Found]] = [[] for _ in texts]
        owner = _Owner(batch)
        for one in self._spans(batch, tagged, marginals):
            found[owner.of(one.first)].append(one)
        return [self._entities(batch, number, _resolved(some)) for number, some in enumerate(found)]

    def _spans(self, batch: Batch, tagged: dict[str, list[Tagged]], marginals: Marginals | None) -> Iterable[_Found]:
        by_type = {
            kind: {(first, behind): name for first, behind, name in names} for kind, names in batch.names.items()
        }
        words = [word for one in batch.tokens for word in one.words]
        species, lines = by_type.get("species", {}), by_type.get("cell_line", {})
        behind_lines = {t: words[t].lower() in _CELL_WORDS for _, t in lines if t < len(words)}
        behind_lines |= dict.fromkeys(map(int, batch.breaks), False)
        named_lines = [
            (f, b, line) for f, b in lines if tagged and (line := _line(words[f:b], behind_lines.get(b, False)))
        ]
        yield from (_Found(f, f + line, "cell_line", "dictionary", LINE) for f, _, line in named_lines)
        in_lines = {t for f, b, _ in named_lines for t in range(f, b + behind_lines.get(b, False))}
        for model, spans in tagged.items():
            for span in spans:
                # Some corpora annotate only the word behind the name of a line.
                if model == "cell" and in_lines.issuperset(range(span.first, span.behind)):
                    continue
                kind = model

                def named(first: int, behind: int, kind: str = kind) -> bool:
                    return (first, behind) in by_type.get(kind, ())

                for first, behind in parts(words, span.first, span.behind, kind, named, species):
                    if model == "cell":
                        kind, behind = self._cell(batch, first, behind)
                    elif (first, behind) in lines and not named(first, behind):
                        kind = "cell_line"
                    if not kind or (
                        kind == model and span.probability < LEAST_TAGGED[kind] and not named(first, behind)
                    ):
                        continue
                    source = "both" if (first, behind) in by_type.get(kind, ()) else "model"
                    yield _Found(first, behind, kind, source, span.probability)
        if marginals is not None and "species" in tagged:
            yield from self._latin(batch, words, tagged["species"], marginals)
        for kind, names in batch.names.items():
            if marginals is None or self.tagger is None:
                for first, behind, _ in names:
                    yield _Found(first, behind, kind, "dictionary", 0.5)
                continue
            model = MODEL_OF[kind]
            if model not in tagged:  # a tagger of some types alone
                continue
            taken = {t for span in tagged[model] for t in range(span.first, span.behind)}
            number = self.tagger.models.index(model)
            for first, behind, name in names:
                if not taken.isdisjoint(range(first, behind)):
                    continue
                probability = marginals.of(number, first, behind)
                if probability >= LEAST[kind][int(self.vocabulary.symbols[name])]:
                    yield _Found(first, behind, kind, "dictionary", probability)

    def _latin(self, batch: Batch, words: list[str], tagged: list[Tagged], marginals: Marginals) -> Iterable[_Found]:
        taken = {(span.first, span.behind) for span in tagged}
        known = {(first, behind) for first, behind, _ in batch.names.get("species", ())}
        model = self.tagger.models.index("species") if self.tagger else 0
        for first, behind in latin.shortened(words, batch.starts, batch.ends):
            ending = latin.looks_latin(words[behind - 1])
            if (first, behind) not in known | taken and marginals.of(model, first, behind) >= latin.LEAST[not ending]:
                yield _Found(first, behind, "species", "model", latin.PROBABILITY)
        for first, behind in latin.extended(words, known, batch.starts, batch.ends):
            if (first, behind) not in known | taken:
                yield _Found(first, behind, "species", "model", latin.PROBABILITY)

    def _cell(self, batch: Batch, first: int, behind: int) -> tuple[str, int]:
        """Whether a cell is a line or a type, empty when it is neither; a line goes without the word for it."""
        text = self._text(batch, first, behind)
        core = _CELLS.sub("", text)
        if text.lower().endswith(("cell line", "cell lines")) and not _LINE.match(core.split()[-1]):
            return "", behind
        if (core and core != text) or _LINE.match(core):
            kinds = {self.vocabulary.type_of(c) for c in self.vocabulary.named(core)}
            line = "cell_line" in kinds or bool(_LINE.match(core) and not _MARKER.match(core))
            if line and "cell_type" not in kinds and not core.islower():
                length = len(core)
                at = batch.starts[first]
                while behind > first + 1 and batch.starts[behind - 1] - at >= length:
                    behind -= 1
                return "cell_line", behind
        return "cell_type", behind

    def _text(self, batch: Batch, first: int, behind: int) -> str:
        text = batch.texts[_Owner(batch).of(first)]
        return text[int(batch.starts[first]) : int(batch.ends[behind - 1])]

    def _entities(self, batch: Batch, number: int, found: list[_Found]) -> list[Entity]:
        text = batch.texts[number]
        out = []
        for one in found:
            start, end = int(batch.starts[one.first]), int(batch.ends[one.behind - 1])
            surface = text[start:end]
            ids, name = self.link(surface, one.type)
            out.append(Entity(start, end, surface, one.type, ids, name, one.source, round(one.probability, 2)))
        return _repeated(text, self._explained(batch, number, out))

    def _link(self, surface: str, kind: str) -> tuple[tuple[str, ...], str | None]:
        for candidate in _candidates(surface, kind):
            for concept in self.vocabulary.named(candidate):
                if self.vocabulary.type_of(concept) == kind:
                    return tuple(self.vocabulary.ids(concept)), self.vocabulary.name(concept)
        return (), None

    def _explained(self, batch: Batch, number: int, entities: list[Entity]) -> list[Entity]:
        """Give short forms the type and ids of the long form beside which the text explains them."""
        text = batch.texts[number]
        ends = {entity.end: entity for entity in entities}
        meant: dict[str, Entity] = {}
        for one in abbreviations(text):
            long = ends.get(one.end)
            # What stands before the name ("severe COPD") may be part of the long form, but not most of it.
            if long is not None and 2 * (long.end - long.start) >= one.end - one.start:
                meant.setdefault(one.short, long)
        if not meant:
            return entities
        starts = set(batch.tokens[number].starts)
        by_start = {entity.start: entity for entity in entities}
        taken = _taken(text, entities)
        for short, long in meant.items():
            for start, end in _places(text, short):
                over = [by_start[at] for at in range(start, end) if at in by_start]
                within_another = taken[start] and start not in by_start
                if start not in starts or within_another or any(e.end > end for e in over):
                    continue
                same = next((e for e in over if e.type == long.type), None)
                probability = max(long.probability, same.probability if same else 0)
                own = replace(long, start=start, end=end, text=short, probability=probability)
                if same and same.ids and not long.ids:
                    own = replace(own, ids=same.ids, name=same.name)
                for entity in over:
                    del by_start[entity.start]
                by_start[start] = own
                taken[start:end] = b"\1" * (end - start)
        return [by_start[start] for start in sorted(by_start)]


def _line(words: Sequence[str], followed: bool) -> int:
    """How many of its words are the name of a cell line, one that is long or of cells; 0 for other names.

    Args:
        words: a name of the vocabulary.
        followed: whether a word for cells comes behind it.
    """
    end = len(words)
    while end > 1 and words[end - 1].lower() in _CELL_WORDS:
        end -= 1
    letters = "".join(words[:end])
    long = len(letters) > 4 and any(c.isdigit() for c in letters) and sum(c.isalpha() for c in letters) > 1
    mixed = letters.isalpha() and not letters.isupper() and any(c.isupper() for c in letters[1:])
    sure = long or mixed or followed or end < len(words)
    return end if sure and not _MARKER.match(letters) and letters.lower() != "cell" else 0


def _taken(text: str, entities: Iterable[Entity]) -> bytearray:
    """1 for each character that is in an entity."""
    taken = bytearray(len(text))
    for entity in entities:
        taken[entity.start : entity.end] = b"\1" * (entity.end - entity.start)
    return taken


def _places(text: str, surface: str) -> Iterable[tuple[int, int]]:
    """Where a word or phrase stands by itself."""
    return (match.span() for match in re.finditer(rf"(?<![^\W_]){re.escape(surface)}(?![^\W_])", text))


def _repeated(text: str, entities: list[Entity]) -> list[Entity]:
    """Add further places of words that are surely entities somewhere in the text."""
    best: dict[str, Entity] = {}
    counts = Counter(entity.text for entity in entities)
    for one in entities:
        known = len(one.text) > 2 and (not one.text.islower() or len(one.text) > 5)
        if known and one.probability >= SURE and one.probability > getattr(best.get(one.text), "probability", 0):
            best[one.text] = one
    more = {surface: one for surface, one in best.items() if text.count(surface) > counts[surface]}
    if not more:
        return entities
    taken = _taken(text, entities)
    added: list[Entity] = []
    for surface, one in list(more.items())[:MOST_REPEATED]:
        for start, end in _places(text, surface):
            if taken.find(1, start, end) < 0:
                added.append(replace(one, start=start, end=end, probability=round(one.probability * 0.9, 2)))
                taken[start:end] = b"\1" * (end - start)
    return sorted([*entities, *added], key=lambda e: e.start)


class _Owner:
    """Which text a token is of."""

    def __init__(self, batch: Batch) -> None:
        self._first = batch.first

    def of(self, token: int) -> int:
        return int(self._first.searchsorted(token, side="right")) - 1


def _candidates(surface: str, kind: str) -> Iterable[str]:
    yield surface
    if kind == "gene":
        yield _TAIL.sub("", surface)
    elif kind == "cell_line":
        yield f"{surface} cells"
    words = surface.split()
    for dropped in (1, 2):
        if len(words) > dropped and words[dropped - 1].lower() in _MODIFIERS:
            yield " ".join(words[dropped:])
        else:
            break


def _resolved(found: list[_Found]) -> list[_Found]:
    """Of spans that overlap the most probable, a longer one before a shorter; of equal ones the tagger's."""
    kept: list[_Found] = []
    taken: set[int] = set()
    for one in sorted(
        found, key=lambda f: (-round(f.probability + 0.1 * min(f.behind - f.first, 5), 6), f.first, f.type)
    ):
        tokens = range(one.first, one.behind)
        if taken.isdisjoint(tokens):
            taken.update(tokens)
            kept.append(one)
    return sorted(kept, key=lambda f: f.first)


def _digest(parts: Sequence[str]) -> str:
    import hashlib

    return hashlib.sha256("".join(parts).encode()).hexdigest()[:ID_DIGITS]


@lru_cache(maxsize=1)
def _shipped() -> OfflineAnnotator:
    return OfflineAnnotator(Vocabulary.load(), Tagger.load())
