"""How well each mode of search finds the right figures among the real captions of the corpus: MRR and recall@10.

    python -m benchmarks.retrieval_quality [--quick]

Three tasks, whose answers the articles themselves give:

* mention: a sentence that cites figures, their labels and numbers taken out -> those figures;
* title: an article's title -> its figures; keywords: an article's keywords (short, as people ask) -> its figures.

Only captions are searched, by words and by vectors: neither the citing sentences nor titles and keywords are in what is
searched, so that no query finds itself. What leaks all the same: authors repeat words, which helps keywords. All is
chosen on the articles of even PMCIDs and shown on the odd ones. The index, the ranking by words and `hybrid, as served`
are the real ones; vectors of other encoders are ranked exactly, other fusions computed from the same rankings. Without
the corpus, the embedded sample release shows that it runs, and nothing else.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Table, main
from benchmarks.search_captions import real_parsed
from benchmarks.search_store import FIRST_DAY, add_release, commit, version_row

ARTICLES_AT_MOST = 5_000
DEPTH, SEEN = 100, 20
"""How deep rankings are fused here (the most that one page gives), and looked at for the first right figure."""
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Of the vectors in a fusion; the rest is the words'."""
RRF = (10, 60)
TASKS = ("mention", "title", "keywords")
_CITED = re.compile(
    r"\(?\b(?:(?:supplementary|supplemental|extended data)\s+)?(?:figs?|figures?|schemes?|plates?|panels?)\b\.?\s*"
    r"[SA]?\d+\w*(?:\s*(?:[-–,;&]|and|to)\s*[SA]?\d*[A-Za-z]?\b(?!\w))*\)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Query:
    """``wanted`` holds figure ids; ``tuning`` is true on the side where choices are made."""

    task: str
    text: str
    wanted: frozenset[str]
    tuning: bool


def queries(quick: bool) -> list[Query]:
    """All labelled queries; a tenth of them when quick."""
    found = [query for article in real_parsed() for query in _of_article(article)]
    return found[::10] if quick else found


def _of_article(article: Any) -> Iterator[Query]:
    from biomedica_assets.search.documents import sentence_around

    captioned = {row["figure_id"] for row in article.captions if row.get("text")}
    tuning = article.article["pmcid"] % 2 == 0
    if not captioned:
        return
    paragraphs = {row["paragraph_id"]: row for row in article.paragraphs}
    cited: dict[tuple[str, int, int], set[str]] = {}
    for mention in article.mentions:
        paragraph = paragraphs[mention["paragraph_id"]]
        if mention["figure_id"] in captioned and paragraph["kind"] == "p":
            start, end = sentence_around(paragraph["text"], mention["start"], mention["end"])
            cited.setdefault((mention["paragraph_id"], start, end), set()).add(mention["figure_id"])
    asked: set[str] = set()
    for (paragraph_id, start, end), figures in cited.items():
        text = " ".join(_CITED.sub(" ", paragraphs[paragraph_id]["text"][start:end]).split())
        # One sentence a figure, so that no figure counts more than another.
        if len(text.split()) >= 6 and not figures <= asked:
            asked |= figures
            yield Query("mention", text, frozenset(figures), tuning)
    title, keywords = article.article.get("title"), _keywords(article.article)
    if title:
        yield Query("title", title, frozenset(captioned), tuning)
    if keywords:
        yield Query("keywords", keywords, frozenset(captioned), tuning)


def _keywords(article: dict[str, Any]) -> str:
    return " ".join(entry["keyword"] for entry in article.get("keywords") or [] if entry.get("keyword"))[:200]


def make_index(folder: Path) -> None:
    """A store of the corpus' articles as the parser gives them, its catalogue, vectors and index."""
    from biomedica_assets import schemas
    from biomedica_assets.models.encoders import load_encoder
    from biomedica_assets.models.features import build_caption_features
    from biomedica_assets.search.generation import build_index
    from biomedica_assets.store.catalogue import build_generation
    from biomedica_assets.store.files import Files

    files = Files(folder / "store")
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in schemas.CHUNK_TABLES}
    known = {name: set(table.names) for name, table in schemas.CHUNK_TABLES.items()}
    facts = {"source_key": "x", "source_md5": "0" * 32, "licence_group": "commercial"}
    pmcids = {}
    for article in real_parsed():
        pmcid = article.article["pmcid"]
        if pmcids.setdefault(pmcid, article) is not article:
            continue
        rows["versions"].append(version_row(pmcid, "add", "collected") | {"article_id": article.article_id})
        for name, found in article.tables().items():
            if name in ("articles", "paragraphs", "figures", "captions", "mentions"):
                extra = facts if name == "articles" else {}
                rows[name] += [{k: v for k, v in row.items() if k in known[name]} | extra for row in found]
    add_release(files, FIRST_DAY, [(pmcid, "add") for pmcid in sorted(pmcids)], ARTICLES_AT_MOST)
    chunk = commit(files, FIRST_DAY, 0, rows)
    build_generation(files)
    build_caption_features(files, chunk, load_encoder("wordllama"))
    build_index(files)


Ranking = list[tuple[str, float]]
"""Figures and their scores, best first."""


def by_words_and_as_served(folder: Path, asked: Sequence[Query]) -> tuple[list[Ranking], list[Ranking]]:
    """Rankings of the real searcher over captions: keywords, and hybrid."""
    from biomedica_assets.search.searcher import Searcher, SearchRequest
    from biomedica_assets.settings import Settings
    from biomedica_assets.store.files import Files

    searcher = Searcher(Files(folder / "store"), folder / "cache", Settings(text_encoder="wordllama"))
    found: tuple[list[Ranking], list[Ranking]] = ([], [])
    for query in asked:
        for rankings, mode, limit in zip(found, ("keyword", "hybrid"), (DEPTH, SEEN), strict=True):
            request = SearchRequest(text=query.text[:2000], mode=mode, fields=("caption",), limit=limit)
            rankings.append([(hit.figure_id, hit.score) for hit in searcher.search(request).hits])
    return found


def by_vectors(encoder: str, asked: Sequence[Query]) -> list[Ranking]:
    """Exact rankings of all captions by an encoder's vectors."""
    from biomedica_assets.models.encoders import load_encoder

    captions: dict[str, str] = {}
    for article in real_parsed():
        for row in article.captions:
            text = " ".join(filter(None, [row.get("text"), row.get("group_caption")]))
            if text:
                captions.setdefault(row["figure_id"], text)
    model, ids, found = load_encoder(encoder), list(captions), []
    matrix = model.encode_texts(list(captions.values()))
    for vector in model.encode_texts([query.text for query in asked]):
        scores = matrix @ vector
        best = np.argsort(-scores, kind="stable")[:DEPTH]
        found.append([(ids[place], float(scores[place])) for place in best] if vector.any() else [])
    return found


def blended(words: Sequence[Ranking], vectors: Sequence[Ranking], share: float) -> list[Ranking]:
    """As `search.fusion.blend` does it, with this share for the vectors."""
    from biomedica_assets.search.fusion import blend

    def part(weight: float, ranking: Ranking) -> tuple[float, list[str], list[float]]:
        return weight, [figure for figure, _ in ranking], [score for _, score in ranking]

    pairs = zip(words, vectors, strict=True)
    return [blend([part(1 - share, word), part(share, vector)], DEPTH) for word, vector in pairs]


def by_ranks(words: Sequence[Ranking], vectors: Sequence[Ranking], constant: int) -> list[Ranking]:
    """Reciprocal-rank fusion, both alike."""
    found = []
    for pair in zip(words, vectors, strict=True):
        sums: dict[str, float] = {}
        for ranking in pair:
            for rank, (figure, _) in enumerate(ranking, 1):
                sums[figure] = sums.get(figure, 0.0) + 1 / (constant + rank)
        found.append(sorted(sums.items(), key=lambda entry: -entry[1]))
    return found


def judged(asked: Sequence[Query], rankings: Sequence[Ranking], tuning: bool) -> dict[str, tuple[float, float]]:
    """By task: mean reciprocal rank of the first right figure, and the share of the right ones among the first ten."""
    found = {}
    for task in TASKS:
        ranks, shares = [], []
        for query, ranking in zip(asked, rankings, strict=True):
            if (query.task, query.tuning) != (task, tuning):
                continue
            figures = [figure for figure, _ in ranking[:SEEN]]
            first = next((n for n, figure in enumerate(figures, 1) if figure in query.wanted), None)
            ranks.append(1 / first if first else 0.0)
            shares.append(len(query.wanted.intersection(figures[:10])) / min(10, len(query.wanted)))
        found[task] = (float(np.mean(ranks or [0])), float(np.mean(shares or [0])))
    return found


def _mean(values: dict[str, tuple[float, float]]) -> float:
    return float(np.mean([mrr for mrr, _ in values.values()]))


def benchmark(quick: bool) -> Iterator[Table]:
    """What was chosen on one half of the articles, and how it does on the other."""
    from biomedica_assets.models.encoders import known_encoders

    asked = queries(quick)
    with tempfile.TemporaryDirectory() as name:
        make_index(Path(name))
        words, served = by_words_and_as_served(Path(name), asked)
    installed = [one.name for one in known_encoders() if one.name in ("wordllama", "minilm") and one.installed]
    tuned = Table("Mean reciprocal rank by the vectors' share in the fusion (articles of even PMCIDs)")
    tuned.header = ("encoder", "words alone", *(f"{share}" for share in (*SHARES, "vectors alone")))
    shown: list[tuple[str, list[Ranking]]] = [("keyword", words)]
    for encoder in installed:
        vectors = by_vectors(encoder, asked)
        scores = {share: _mean(judged(asked, blended(words, vectors, share), True)) for share in SHARES}
        ends = [_mean(judged(asked, rankings, True)) for rankings in (words, vectors)]
        tuned.rows.append((encoder, *(f"{score:.3f}" for score in (ends[0], *scores.values(), ends[1]))))
        best = max(scores, key=lambda share: scores[share])
        shown.append((f"vector, {encoder}", vectors))
        shown += [(f"hybrid, {encoder}, ranks (k = {k})", by_ranks(words, vectors, k)) for k in RRF]
        shown.append((f"hybrid, {encoder}, scores, {best} vectors", blended(words, vectors, best)))
    shown.append(("hybrid, wordllama, as served", served))
    yield tuned
    sizes = [sum(query.task == task and not query.tuning for query in asked) for task in TASKS]
    table = Table("Finding figures by captions: MRR / recall@10 (articles of odd PMCIDs)")
    table.header = ("ranking", *(f"{task} ({size})" for task, size in zip(TASKS, sizes, strict=True)), "mean MRR")
    for name, rankings in shown:
        values = judged(asked, rankings, False)
        cells = (f"{mrr:.3f} / {recall:.3f}" for mrr, recall in values.values())
        table.rows.append((name, *cells, f"{_mean(values):.3f}"))
    yield table


if __name__ == "__main__":
    main(benchmark, {}, __doc__)
