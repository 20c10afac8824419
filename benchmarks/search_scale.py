"""Search over a million varied captions: latency by mode and filter, recall, memory, index time, a day's delta, 24 M.

    python -m benchmarks.search_scale [--quick]
    BIOMEDICA_BENCH_CAPTIONS=200000 BIOMEDICA_BENCH_FOLDER=/big/disk python -m benchmarks.search_scale

The store is made by the store's functions, the index by `search.generation`, the searches are `Searcher.search` with
hits, cards and snippets, one after the other in a process of its own. Filters are journals that 1, 10 and 50 % of the
articles are in. A folder that is named is kept, and used again when it holds a store of that size.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row, Table, main, mib, run
from benchmarks.search_captions import BLOCK, caption_block, real_parsed
from benchmarks.search_store import JOURNALS, add_delta, make_store

CAPTIONS, QUICK_CAPTIONS = int(os.environ.get("BIOMEDICA_BENCH_CAPTIONS", "1000000")), 20_000
REMOVED = 100
"""Articles that the next day removes."""
QUERIES, QUICK_QUERIES = 120, 30
"""Of each mode and filter; a third each are phrases of 2 to 6 words, titles, and sentences of real articles."""
UNSEEN = 1_000_000
"""A block of captions that no store here has: phrases are cut from it."""
MODES = ("keyword", "vector", "hybrid")
P95_AIM, MEMORY_AIM, RECALL_AIM, WHOLE, WHOLE_AIM = 60.0, 2e9, 0.95, 24_000_000, 32e9


def texts(count: int) -> list[str]:
    """Queries, in turns a phrase, a title, a sentence."""
    dice = random.Random(7)
    phrases = []
    for caption in caption_block(UNSEEN):
        words = caption.split()
        start = dice.randrange(max(1, len(words) - 6))
        phrases.append(" ".join(words[start : start + dice.randint(2, 6)]))
    articles = list(real_parsed())
    dice.shuffle(articles)
    titles = [article.article["title"] for article in articles if article.article.get("title")]
    sentences = [row["text"].split(". ")[0] for article in articles for row in article.paragraphs if row["kind"] == "p"]
    dice.shuffle(sentences)
    sentences = [text for text in sentences if 40 < len(text) < 400]
    turns = zip(phrases, titles * 9, sentences, strict=False)
    return [text for turn in turns for text in turn][:count]


def index(folder: str) -> dict[str, Any]:
    """Bring the index up to the catalogue."""
    from biomedica_assets.search.generation import build_index
    from biomedica_assets.store.files import Files

    cpu = time.process_time()
    built = build_index(Files(Path(folder, "store")), scratch=folder)
    sizes = dict.fromkeys(("figures", "articles", "cards", "rows", "vectors"), 0)
    for name, file in built.manifest.files.items():
        # What tantivy stores of a document is read for the 20 that are shown, from disk.
        part = "cards" if name.endswith(".store") else name.partition("/")[0]
        if part in sizes:
            sizes[part] += file.bytes
    return {
        "cpu": time.process_time() - cpu,
        "wall": built.seconds,
        "added": built.added,
        "deleted": built.deleted,
        "written": built.bytes_written,
        "sizes": sizes,
    }


def _searcher(folder: str) -> Any:
    from biomedica_assets.search.searcher import Searcher
    from biomedica_assets.settings import Settings
    from biomedica_assets.store.files import Files

    return Searcher(Files(Path(folder, "store")), Path(folder, "cache"), Settings())


def resident() -> dict[str, int]:
    """Resident bytes of this process: all, and those that are not files of the index."""
    status = Path("/proc/self/status").read_text()
    return {
        name: int(status.split(f"{key}:")[1].split()[0]) * 1024 for name, key in (("all", "VmRSS"), ("own", "RssAnon"))
    }


def search(folder: str, count: str) -> dict[str, Any]:
    """Latency of every mode and filter, in milliseconds, and memory behind it all."""
    from biomedica_assets.dataset.filters import Filters
    from biomedica_assets.search.searcher import SearchRequest

    asked = texts(int(count))
    before = resident()
    started = time.monotonic()
    searcher = _searcher(folder)
    opened = time.monotonic() - started
    cells = {}
    for mode in MODES:
        for share in (0, *JOURNALS):
            filters = Filters(journal=(JOURNALS[share],)) if share else Filters()
            wall, cpu = [], []
            for text in [*asked[:10], *asked]:  # the first ten warm up
                start, spent = time.perf_counter(), time.process_time()
                searcher.search(SearchRequest(text=text, mode=mode, filters=filters))
                wall.append(1e3 * (time.perf_counter() - start))
                cpu.append(1e3 * (time.process_time() - spent))
            p50, p95 = np.percentile(wall[10:], [50, 95])
            cells[f"{mode} {share}"] = [p50, p95, *np.percentile(cpu[10:], [50, 95])]
    memory = resident()
    memory["own"] -= before["own"]  # without the corpus that the queries are cut from
    memory["all"] -= before["all"]
    return {"opened": opened, "cells": cells, "memory": memory}


def recall(folder: str, count: str) -> dict[str, list[float]]:
    """Recall@10 and CPU of the vectors' part by share of the mask, against a scan of everything, in milliseconds."""
    from biomedica_assets.models.encoders import load_encoder
    from biomedica_assets.search.local import local_copy
    from biomedica_assets.search.manifest import read_newest
    from biomedica_assets.search.spaces import Space, space_folder
    from biomedica_assets.search.vectors import VectorIndex
    from biomedica_assets.store.files import Files

    files = Files(Path(folder, "store"))
    manifest = read_newest(files)
    assert manifest is not None
    place = local_copy(files, manifest, Path(folder, "cache"))
    vectors = VectorIndex(place / space_folder("captions"), Space.from_json(manifest.spaces["captions"]).records)
    queries = load_encoder("wordllama").encode_texts(texts(int(count)))
    found = {}
    for share in (0, *JOURNALS):
        mask = np.random.default_rng(share).random(manifest.rows) < share / 100 if share else None
        hits, cpu, exact = [], [], []
        for query in queries:
            start = time.process_time()
            right = vectors.search(query, 10, mask, exact=True)[1]
            between = time.process_time()
            got = vectors.search(query, 10, mask)[1]
            cpu.append(time.process_time() - between)
            exact.append(between - start)
            # By similarity: of equal captions, any will do.
            hits.append(float((got >= right[-1] - 1e-4).sum()) / len(right))
        found[str(share)] = [float(np.mean(hits)), float(min(hits)), 1e3 * np.mean(cpu), 1e3 * np.mean(exact)]
    return found


def swap(folder: str, told: str) -> dict[str, float | int]:
    """A searcher that has the generation before open takes up the new one."""
    from biomedica_assets.search.searcher import SearchRequest

    facts, searcher = json.loads(told), _searcher(folder)
    old = searcher.manifest.id
    index_cost = run("benchmarks.search_scale", "--step", "index", folder)
    started = time.monotonic()
    swapped = searcher.refresh()
    seconds = time.monotonic() - started
    assert swapped
    assert searcher.manifest.id != old
    alive = sum(searcher.figure(f"{article}/f0") is not None for article in facts["removed"])
    hits = searcher.search(SearchRequest(text=facts["caption"], limit=1)).hits
    return {
        "refresh": seconds,
        "alive": alive,
        "found": int(bool(hits) and hits[0].card["caption"] == facts["caption"]),
        "memory": index_cost.memory,
        **index_cost.answer,
    }


def delta(folder: str, captions: str) -> dict[str, Any]:
    """Commit the next day's chunk and removals, then measure how the index and a server follow."""
    return add_delta(folder, str(int(captions) // BLOCK), str(REMOVED))


def benchmark(quick: bool) -> Iterator[Table]:
    """Latency; recall; costs."""
    captions, count = (QUICK_CAPTIONS, QUICK_QUERIES) if quick else (CAPTIONS, QUERIES)
    kept = os.environ.get("BIOMEDICA_BENCH_FOLDER")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(kept or scratch, f"search-{captions}")
        made = None
        if not (folder / "store" / "catalogue").exists():
            made = run("benchmarks.search_scale", "--step", "make", folder, captions)
        built = run("benchmarks.search_scale", "--step", "index", folder)
        searched = run("benchmarks.search_scale", "--step", "search", folder, count).answer
        yield _latency(searched, captions)
        yield _recall(run("benchmarks.search_scale", "--step", "recall", folder, count).answer)
        facts = run("benchmarks.search_scale", "--step", "delta", folder, captions).answer
        swapped = run("benchmarks.search_scale", "--step", "swap", folder, json.dumps(facts)).answer
        yield _costs(captions, made, built, searched, swapped)


def _latency(searched: dict[str, Any], captions: int) -> Table:
    header = ("mode", "filter keeps", "p50 ms", "p95 ms", "CPU p50 ms", "CPU p95 ms", "held")
    table = Table(f"Search among {captions:,} captions: whole requests, one after the other", header)
    for name, (p50, p95, cpu50, cpu95) in searched["cells"].items():
        mode, share = name.split()
        held = ("yes" if p95 <= P95_AIM else "**no**") if mode == "hybrid" else ""
        numbers = (f"{number:.1f}" for number in (p50, p95, cpu50, cpu95))
        table.rows.append((mode, f"{share} %" if share != "0" else "all", *numbers, held))
    return table


def _recall(found: dict[str, list[float]]) -> Table:
    header = ("mask keeps", "recall@10", "worst query", "CPU ms", "CPU ms of a full scan", "held")
    table = Table("Vectors: recall against brute force", header)
    for share, (mean, worst, cpu, exact) in found.items():
        held = "yes" if mean >= RECALL_AIM else "**no**"
        numbers = (f"{mean:.3f}", f"{worst:.1f}", f"{cpu:.1f}", f"{exact:.1f}")
        table.rows.append((f"{share} %" if share != "0" else "all", *numbers, held))
    return table


def _costs(captions: int, made: Any, built: Any, searched: dict[str, Any], swapped: dict[str, Any]) -> Table:
    table = Table(f"Search among {captions:,} captions: what it takes")
    answer, memory = built.answer, searched["memory"]
    sizes = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in answer["sizes"].items())
    if made is not None:
        table.add(Row("making the vectors (wordllama)", f"{made.answer['vectors']:.0f} s CPU"))
    if answer["added"]:
        notes = f"{answer['wall']:.0f} s wall; {sizes}"
        table.add(Row("index, from nothing", f"{answer['cpu']:.0f} s CPU", notes=notes))
        table.add(Row("peak memory of the build", mib(built.memory)))
    ratio = memory["all"] / MEMORY_AIM
    notes = f"{mib(memory['own'])} its own, the rest mapped files; opened in {searched['opened']:.1f} s"
    table.add(Row("resident memory after all searches", mib(memory["all"]), mib(MEMORY_AIM), ratio, 1.0, notes))
    notes = (
        f"{swapped['wall']:.1f} s wall, {swapped['written'] / 1e6:.0f} MB written, peak {mib(swapped['memory'])}; "
        f"{swapped['added']:,} figures added, {swapped['deleted']:,} deleted"
    )
    table.add(Row(f"a day's delta: one chunk, {REMOVED} articles removed", f"{swapped['cpu']:.1f} s CPU", notes=notes))
    notes = f"{swapped['alive']} of {REMOVED} removed articles still found; new caption found first: {swapped['found']}"
    table.add(Row("a server takes it up", f"{1e3 * swapped['refresh']:.0f} ms", notes=notes))
    # Pessimistic: all that the process holds, and all files that rankings read, grow with the number of captions.
    times = WHOLE / captions
    files = sum(answer["sizes"][name] for name in ("figures", "articles", "vectors")) * times
    own = memory["own"] * times
    notes = f"{times:.0f} x ({mib(memory['own'])} own + {mib(files / times)} mapped files, all resident but the cards)"
    table.add(
        Row(
            f"projected to {WHOLE / 1e6:.0f}M captions",
            mib(files + own),
            mib(WHOLE_AIM),
            (files + own) / WHOLE_AIM,
            1.0,
            notes,
        )
    )
    return table


STEPS = {"make": make_store, "index": index, "search": search, "recall": recall, "delta": delta, "swap": swap}

if __name__ == "__main__":
    main(benchmark, STEPS, __doc__)
