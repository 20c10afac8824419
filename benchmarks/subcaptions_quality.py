"""Sub-captions: how right the split of captions by panels is, on real captions split by reading.

    python -m benchmarks.subcaptions_quality [--errors dev|test]

`data/corpus_subcaptions.jsonl` holds, for captions of the shared corpus, the pieces that a reader gave to each panel:
offsets into ``captions.text``, no text (`docs/subcaptions.md` says by which conventions). A piece is right *strictly*
when panel and offsets agree but for punctuation and joining words at the ends, *leniently* when the panel agrees and
the words' F1 is at least 0.8. Half of the articles, by hash of their id, served to improve the parser (dev).
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.corpus_counts import sources
from benchmarks.gold import gold_rows
from benchmarks.measure import SHARED, Table
from biomedica_assets.jats import parse_articles

LENIENT = 0.8
Piece = tuple[str, int, int]
"""A panel and the start and end of its text."""

_EDGE = re.compile(r"^(?:[\s.,;:)\]–—-]|(?:and|or|&)\s)+|(?:[\s.,;:(\[–—-]|[\s,;](?:and|or|&)(?=\s|$))+$")
_WORD = re.compile(r"\w+")
_FORMS = {
    "brackets": '"(A) ... (B) ..."',
    "stop": '"A. ...", "A: ...", "A, ...", "A) ..."',
    "bare": "bare letters, mostly bold",
    "behind": '"... (A), ... (B)": behind their words',
    "position": "left, right, top, bottom",
    "list": "lettered list",
    "none": "no panels named",
}


@dataclass
class Score:
    """Counts of one group of captions."""

    captions: int = 0
    exact: int = 0
    gold: int = 0
    found: int = 0
    strict: int = 0
    lenient: int = 0
    names: Counter[str] = field(default_factory=Counter)

    def add(self, text: str, gold: list[Piece], found: list[Piece]) -> None:
        gold = [_trimmed(text, piece) for piece in gold]
        found = [_trimmed(text, piece) for piece in found]
        by_panel = {panel: (start, end) for panel, start, end in gold}
        self.captions += 1
        self.exact += sorted(gold) == sorted(found)
        self.gold += len(gold)
        self.found += len(found)
        self.strict += len(set(gold) & set(found))
        for panel, start, end in found:
            a, b = by_panel.get(panel, (0, 0))
            self.lenient += _alike(text[a:b], text[start:end]) >= LENIENT
        named = {panel for panel, _, _ in gold}, {panel for panel, _, _ in found}
        self.names += Counter(gold=len(named[0]), found=len(named[1]), right=len(named[0] & named[1]))

    def cells(self) -> tuple[str, ...]:
        return (
            str(self.captions),
            f"{self.exact / max(1, self.captions):.3f}",
            f"{self.gold} / {self.found}",
            _prf(self.strict, self.found, self.gold),
            _prf(self.lenient, self.found, self.gold),
            _prf(self.names["right"], self.names["found"], self.names["gold"]),
        )


def half(article: str) -> str:
    """``dev`` or ``test`` by the bare id, whose first digit chose the corpus: `gold.half_of` would not halve it."""
    return "dev" if int(hashlib.sha256(article.encode()).hexdigest(), 16) % 2 == 0 else "test"


def parsed(corpus: Path, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Caption rows as the parser gives them, by article and ``id`` of the figure's element."""
    articles = {article for article, _ in wanted}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for source in sources(corpus):
        name = source.name
        article = Path(name.rpartition("!")[2]).stem if "!" in name else Path(name).parent.name
        if article in articles:
            record = parse_articles(source.data)[0]
            ids = {figure["figure_id"]: figure["xml_id"] for figure in record.figures}
            found |= {(article, ids[row["figure_id"]]): row for row in record.captions if ids[row["figure_id"]]}
    return {key: found[key] for key in wanted if key in found}


def compared(corpus: Path) -> Iterator[tuple[dict[str, Any], str, list[Piece], list[Piece]]]:
    """(gold row, text, gold pieces, found pieces) of each caption whose text is still the one that was read."""
    rows = gold_rows("subcaptions")
    captions = parsed(corpus, {(row["article"], row["figure"]) for row in rows})
    for row in rows:
        caption = captions.get((row["article"], row["figure"]))
        if caption is None or hashlib.sha256(caption["text"].encode()).hexdigest() != row["text_sha256"]:
            print(f"{row['article']} {row['figure']}: caption is gone or has other text")
            continue
        pieces = [
            [(piece["panel"], piece["start"], piece["end"]) for piece in listed]
            for listed in (row["panels"], caption["sub_captions"])
        ]
        yield row, caption["text"], pieces[0], pieces[1]


def benchmark(_: bool = False) -> Iterator[Table]:
    """Quality by half, and by form of marker."""
    header = (
        "captions",
        "exact",
        "pieces: read / found",
        "strict P / R / F1",
        "lenient P / R / F1",
        "names P / R / F1",
    )
    halves: dict[str, Score] = defaultdict(Score)
    forms: dict[tuple[str, str], Score] = defaultdict(Score)
    if (SHARED / "corpus").is_dir():
        for row, text, gold, found in compared(SHARED / "corpus"):
            part = half(row["article"])
            halves[part].add(text, gold, found)
            forms[part, row["form"]].add(text, gold, found)
    by_half = Table("Sub-captions against captions split by reading", ("half", *header))
    by_half.rows = [(name, *halves[name].cells()) for name in ("dev", "test")]
    yield by_half
    by_form = Table("The same by form of the markers", ("markers", "half", *header))
    by_form.rows = [
        (words, name, *forms[name, form].cells()) for form, words in _FORMS.items() for name in ("dev", "test")
    ]
    yield by_form


def show_errors(wanted: str) -> None:
    """Print the captions of one half that are not split as read."""
    for row, text, gold, found in compared(SHARED / "corpus"):
        gold, found = ([_trimmed(text, piece) for piece in pieces] for pieces in (gold, found))
        if half(row["article"]) == wanted and sorted(gold) != sorted(found):
            print(f"\n{row['article']} {row['figure']} ({row['form']}) {text}")
            for name, pieces, others in (("read", gold, found), ("found", found, gold)):
                for panel, start, end in pieces:
                    if (panel, start, end) not in others:
                        print(f"  {name:5} {panel}: {text[start:end][:60]!r} ... {text[start:end][-40:]!r}")


def _trimmed(text: str, piece: Piece) -> Piece:
    panel, start, end = piece
    while match := _EDGE.search(text[start:end]):
        start, end = (start + match.end(), end) if match.start() == 0 else (start, start + match.start())
    return panel, start, end


def _alike(a: str, b: str) -> float:
    words, others = Counter(_WORD.findall(a)), Counter(_WORD.findall(b))
    return 2 * (words & others).total() / max(1, words.total() + others.total())


def _prf(right: int, found: int, gold: int) -> str:
    if not gold:
        return f"{found} false" if found else "none false"
    precision, recall = right / max(1, found), right / gold
    return f"{precision:.3f} / {recall:.3f} / {2 * precision * recall / max(1e-9, precision + recall):.3f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--errors", choices=("dev", "test"), help="print what is split differently")
    if errors := parser.parse_args().errors:
        show_errors(errors)
    else:
        for table in benchmark():
            print(table.markdown())
