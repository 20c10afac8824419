"""Paragraph quality: how right type, domain and score are, how fast a chunk is labelled, what all of PMC would take.

    python -m benchmarks.paragraph_quality [--quick]
    python -m benchmarks.paragraph_quality --step ship     fit the model that the package ships, and write it there

The shipped classifier is fitted on what the rules say of articles of the shared corpus. The articles of the test half
of `data/corpus_paragraphs.jsonl` are held out: nothing of them was learnt from, and rules and features were made on the
dev half alone. Measured, apart: how well the classifier does on held-out articles what the rules would, and how right
it and they are by hand labels. `keywords` is what a few words would do, `majority` the commonest answer.
"""

from __future__ import annotations

import re
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.corpus import real_articles
from benchmarks.gold import gold_rows, half_of
from benchmarks.measure import SHARED, Table, main, mib, run
from biomedica_assets.quality.classifier import QualityModel, fit_model
from biomedica_assets.quality.labels import DOMAINS, TYPES, Label, text_sha256
from biomedica_assets.quality.model_files import shipped_model, write_shipped
from biomedica_assets.quality.paragraphs import KINDS, Context, Paragraph
from biomedica_assets.quality.rules import shipped_rules

PER_ARTICLE, ALL_ARTICLES = 40, 8_000_000
"""Paragraphs of an article, and articles that have the 24 million figures."""
HEADER = ("labels by", "type", "type F1", "domain", "domain F1", "score MAE", "within 1", "Spearman", "F1 at 4")

Answers = list[Label]


class Held(NamedTuple):
    """A paragraph of the corpus."""

    article: str
    paragraph_id: str
    paragraph: Paragraph


class Gold(NamedTuple):
    """Hand labels: by paragraph_id, of the articles of one half."""

    dev: dict[str, Label]
    test: dict[str, Label]
    hashes: dict[str, str]


@lru_cache(maxsize=1)
def corpus() -> list[Held]:
    """Every paragraph of running text of the shared corpus; none where that is absent."""
    from biomedica_assets.jats.article import parse_articles

    found: list[Held] = []
    for _, _, xml, _ in real_articles(SHARED / "corpus") if (SHARED / "corpus").is_dir() else ():
        for article in parse_articles(xml):
            tables = article.tables()
            about = tables["articles"][0]
            for row in tables["paragraphs"]:
                if row["kind"] in KINDS:
                    context = Context(
                        row["kind"],
                        tuple(row.get("section_path") or ()),
                        row.get("section_type"),
                        about.get("article_type"),
                        about.get("title"),
                    )
                    paragraph = Paragraph(row["text"], context, len(row.get("citations") or ()))
                    found.append(Held(about["article_id"], row["paragraph_id"], paragraph))
    return found


@lru_cache(maxsize=1)
def gold() -> Gold:
    """The hand labels."""
    found = Gold({}, {}, {})
    for row in gold_rows("paragraphs"):
        half = found.dev if half_of(row["article"]) == "dev" else found.test
        half[row["paragraph"]] = Label(type=row["type"], domain=row["domain"], score=float(row["score"]))
        found.hashes[row["paragraph"]] = row["text_sha256"]
    return found


def _articles(labels: Sequence[str] | dict[str, Label]) -> set[str]:
    return {paragraph_id.partition("/")[0] for paragraph_id in labels}


def _of(labels: dict[str, Label]) -> tuple[list[Paragraph], Answers]:
    """The paragraphs that have these labels and still the text that was labelled."""
    hashes = gold().hashes
    found = [
        one for one in corpus() if one.paragraph_id in labels and text_sha256(one.paragraph.text) == hashes[one[1]]
    ]
    return [one.paragraph for one in found], [labels[one.paragraph_id] for one in found]


# Ways of labelling ---------------------------------------------------------------------------------------------------


def by_rules(paragraphs: Sequence[Paragraph]) -> Answers:
    return [shipped_rules().label(one) for one in paragraphs]


_NOTES = re.compile(r"\b(funding|grant|conflicts?|competing|author|ethic\w*|acknowledg\w*|available|supplementary)\b")
_CASE = re.compile(r"\b(year-old|the patient|he was|she was)\b")
_STUDY = re.compile(r"\b(we|our|were|was|table|fig(ure)?|significant\w*)\b")
_CLINICAL = re.compile(r"\b(patients?|clinical|treatment|therapy|disease|hospital|surgery|trial|diagnos\w+)\b")
_BIOMEDICAL = re.compile(r"\b(cells?|genes?|proteins?|mice|dna|rna|expression|species|bacteria\w*|molecular)\b")


def by_keywords(paragraphs: Sequence[Paragraph]) -> Answers:
    """A few words each, as one would write them first; the score by length."""
    found = []
    for one in paragraphs:
        text = one.text.lower()
        clinical, biomedical = len(_CLINICAL.findall(text)), len(_BIOMEDICAL.findall(text))
        kind = "other" if _NOTES.search(text) and len(text) < 500 else "study" if _STUDY.search(text) else "review"
        kind = "clinical_case" if _CASE.search(text) else kind
        domain = "other" if clinical + biomedical == 0 else "clinical" if clinical > biomedical else "biomedical"
        score = 1.0 if kind == "other" else float(min(1 + len(text) // 400, 4))
        found.append(Label(type=kind, domain=domain, score=score))  # type: ignore[arg-type]
    return found


def by_majority(labels: Answers) -> Callable[[Sequence[Paragraph]], Answers]:
    one = [Counter(getattr(label, name) for label in labels).most_common(1)[0][0] for name in Label.model_fields]
    return lambda paragraphs: [Label(type=one[0], domain=one[1], score=one[2])] * len(paragraphs)


def by_model(model: QualityModel, *, context: bool) -> Callable[[Sequence[Paragraph]], tuple[Answers, np.ndarray]]:
    def label(paragraphs: Sequence[Paragraph]) -> tuple[Answers, np.ndarray]:
        found = model.predict(paragraphs, context=context)
        columns = zip(found.types, found.domains, found.levels, strict=True)
        answers = [Label(type=TYPES[t], domain=DOMAINS[d], score=float(level)) for t, d, level in columns]  # type: ignore[arg-type]
        return answers, found.expected

    return label


def _scores(name: str, wanted: Answers, found: Answers, raw: np.ndarray | None = None) -> tuple[str, ...]:
    from scipy.stats import spearmanr
    from sklearn.metrics import f1_score

    cells = [name]
    for part, all_of_them in (("type", TYPES), ("domain", DOMAINS)):
        right, said = [getattr(one, part) for one in wanted], [getattr(one, part) for one in found]
        macro = f1_score(right, said, labels=all_of_them, average="macro", zero_division=0)
        cells += [f"{np.mean([a == b for a, b in zip(right, said, strict=True)]):.3f}", f"{macro:.3f}"]
    right, said = (np.array([one.score for one in some]) for some in (wanted, found))
    cells += [f"{np.abs(right - said).mean():.3f}", f"{(np.abs(right - said) <= 1).mean():.3f}"]
    order = said if raw is None else raw
    cells.append(f"{spearmanr(right, order)[0]:.3f}" if len(set(order.tolist())) > 1 else "-")
    cells.append(f"{f1_score(right >= 4, said >= 4, zero_division=0):.3f}")
    return tuple(cells)


def _table(title: str, paragraphs: list[Paragraph], wanted: Answers, learnt: Answers, *, rules: bool) -> Table:
    table = Table(title, HEADER)
    table.rows.append(_scores("majority", wanted, by_majority(learnt)(paragraphs)))
    table.rows.append(_scores("keywords", wanted, by_keywords(paragraphs)))
    if rules:
        table.rows.append(_scores("rules (the teacher)", wanted, by_rules(paragraphs)))
    for name, context in (("classifier, text alone", False), ("classifier", True)):
        table.rows.append(_scores(name, wanted, *by_model(shipped_model(), context=context)(paragraphs)))
    return table


# Fitting and speed ---------------------------------------------------------------------------------------------------


def ship() -> dict[str, Any]:
    """Step: fit the shipped model on what the rules say of all but the held-out articles; write it into the package."""
    if not corpus():
        raise SystemExit("the shipped model is fitted on the shared corpus, which is not here")
    seen = [one for one in corpus() if one.article not in _articles(gold().test)]
    paragraphs, articles = [one.paragraph for one in seen], [one.article for one in seen]
    about = {"teachers": {shipped_rules().id: len(seen)}, "articles": len(set(articles))}
    record = write_shipped(fit_model(paragraphs, by_rules(paragraphs), articles, about=about))
    return {"id": record.id, "bytes": record.file.bytes, **record.about}


def speed(count: str) -> dict[str, float]:
    """Step: CPU seconds for so many paragraphs of the corpus, or of the sample: reading, labels, writing; memory."""
    from biomedica_assets import schemas
    from biomedica_assets.quality.tables import build_paragraph_quality
    from biomedica_assets.settings import Settings
    from biomedica_assets.store.files import Files
    from biomedica_assets.store.manifests import ChunkManifest, write_chunk_manifest
    from biomedica_assets.store.tables import TableWriter, commit_table

    paragraphs = corpus()
    chunk = "2026-11-20-00000"
    with tempfile.TemporaryDirectory() as folder:
        files = Files(f"{folder}/store")
        rows: dict[str, list[dict[str, Any]]] = {"articles": [], "paragraphs": []}
        for number in range(int(count)):
            copy, place = divmod(number, len(paragraphs))
            one = paragraphs[place]
            article = f"{one.article}{copy}"
            assert one.paragraph.context is not None
            if not rows["articles"] or rows["articles"][-1]["article_id"] != article:
                keys = {"chunk": chunk, "article_id": article, "pmcid": number, "version": 1}
                about = {"title": one.paragraph.context.title, "article_type": one.paragraph.context.article_type}
                rows["articles"].append(keys | about)
            rows["paragraphs"].append(
                {
                    "chunk": chunk,
                    "article_id": article,
                    "paragraph_id": f"{article}/p{number}",
                    "ordinal": number,
                    "kind": one.paragraph.context.kind,
                    "section_path": list(one.paragraph.context.sections),
                    "section_type": one.paragraph.context.section_type,
                    "text": one.paragraph.text,
                    "citations": [{"start": 0, "end": 1, "rids": []}] * one.paragraph.citations,
                }
            )
        tables = {}
        for name, some in rows.items():
            writer = TableWriter(schemas.CHUNK_TABLES[name], Path(folder) / name)
            writer.add(some)
            tables[name] = commit_table(files, name, chunk, writer.close())
        write_chunk_manifest(files, ChunkManifest(chunk, chunk[:10], "", {}, tables, [], {}, []))
        texts = [one.paragraph for one in paragraphs[: int(count)]]
        before = time.process_time()
        by_rules(texts[:2000])
        rules = (time.process_time() - before) / min(len(texts), 2000)
        rows.clear()
        shipped_model().predict(texts[:100])
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before = time.process_time()
        made, _ = build_paragraph_quality(files, chunk, Settings(store=f"{folder}/store"))
        cpu = time.process_time() - before
        return {
            "cpu": cpu,
            "rules": rules,
            "rows": made.file.rows,
            "bytes": made.file.bytes,
            "before": held * 1024,
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }


def benchmark(quick: bool) -> Iterator[Table]:
    if not corpus():
        raise SystemExit("this is measured on the shared corpus, which is not here")
    test = _articles(gold().test)
    held = [one for one in corpus() if one.article in test]
    learnt = by_rules([one.paragraph for one in corpus() if one.article not in test])
    paragraphs = [one.paragraph for one in held]
    yield _table(
        f"Held-out articles, labels made by the rules ({len(paragraphs)} paragraphs of {len(test)} articles)",
        paragraphs,
        by_rules(paragraphs),
        learnt,
        rules=False,
    )
    halves = {"test half, never seen": gold().test, "dev half, on which the rules were made": gold().dev}
    for name, half in halves.items():
        paragraphs, wanted = _of(half)
        title = f"Hand labels, {name} ({len(paragraphs)} paragraphs of {len(_articles(half))} articles)"
        table = _table(title, paragraphs, wanted, learnt, rules=True)
        if half is gold().test:
            examples, labels = _of(gold().dev)
            articles = [one.article for one in corpus() if one.paragraph_id in gold().dev]
            for way, prior in (("alone", None), ("on top of the shipped model", shipped_model())):
                model = fit_model(examples, labels, articles, prior=prior)
                name = f"learnt from {len(labels)} hand labels {way}"
                table.rows.append(_scores(name, wanted, *by_model(model, context=True)(paragraphs)))
        yield table
    yield _speed_table(2_000 if quick else 100_000)


def _speed_table(rows: int) -> Table:
    used = run("benchmarks.paragraph_quality", "--step", "speed", rows).answer
    each = used["cpu"] / used["rows"]
    total = PER_ARTICLE * ALL_ARTICLES
    table = Table(f"Speed: a chunk of {used['rows']:,} paragraphs, one core", ("what", "cost", "all of PMC", "notes"))
    notes = f"{PER_ARTICLE} paragraphs each of {ALL_ARTICLES:,} articles"
    table.rows = [
        ("labelling", f"{each * 1e6:.0f} µs a paragraph", f"{each * total / 3600:.0f} CPU hours", notes),
        ("the rules", f"{used['rules'] * 1e6:.0f} µs a paragraph", f"{used['rules'] * total / 3600:.0f} CPU hours", ""),
        (
            "table",
            f"{used['bytes'] / used['rows']:.1f} bytes a paragraph",
            f"{used['bytes'] / used['rows'] * total / 2**30:.1f} GiB",
            "",
        ),
        ("memory", mib(used["memory"]), mib(used["memory"]), f"{mib(used['before'])} before, the corpus included"),
    ]
    return table


if __name__ == "__main__":
    main(benchmark, {"ship": ship, "speed": speed}, __doc__)
