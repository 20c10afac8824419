"""Panels: how right boxes, letters and their parts of the caption are, and what looking at a figure costs.

    python -m benchmarks.panels_quality [--quick]

* drawn: compound figures of `sample.pictures.layouts` under seeds and fonts that nothing was fitted on (Pillow's own
  font and matplotlib's STIX and Computer Modern; the letter reader is trained on others);
* real: the files of `data/corpus_panels.jsonl`, boxes drawn by hand; dev is the half that was looked at while rules
  were made, test the other (by the hash of the article, see `data/README.md`).

Ways: `panels` (what the table holds), `grid` (as many equal cells as the caption names letters), `xy-cut` (every blank
line of 1 % of the figure, no count, no letters). Letters of the last two are told by order.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.gold import gold_rows, half_of
from benchmarks.measure import SHARED, Table, main, run
from biomedica_assets.jats.subcaptions import sub_captions
from biomedica_assets.models.pictures import shrunk
from biomedica_assets.panels.alignment import Named, named_panels
from biomedica_assets.panels.finding import SIDE, Panel, find_panels, in_order
from biomedica_assets.panels.page import Page

DRAWN, QUICK_DRAWN = 200, 24
FIGURES = 24_000_000
"""Figures of all of PMC OA, for projections."""


class Truth(NamedTuple):
    """One panel as it is: box (left, top, width, height), letter, and its part of the caption."""

    box: tuple[int, ...]
    letter: str | None
    words: str | None


class File(NamedTuple):
    """One image file: its bytes, what its caption says, its panels, and words by which it is counted."""

    data: bytes
    named: Named
    panels: list[Truth]
    groups: tuple[str, ...]


def shared(a: Sequence[int], b: Sequence[int]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def matches(truth: Sequence[Truth], found: Sequence[Panel]) -> dict[int, int]:
    """Which found panel each true one is: pairs of an IoU of 0.5 and more, best first, each used once."""
    pairs = sorted(
        ((shared(t.box, f.box), i, j) for i, t in enumerate(truth) for j, f in enumerate(found)), reverse=True
    )
    own: dict[int, int] = {}
    for value, i, j in pairs:
        if value >= 0.5 and i not in own and j not in own.values():
            own[i] = j
    return own


def judge(file: File, found: Sequence[Panel]) -> Counter[str]:
    """Counts of one file: panels, those found and right, letters and parts of the caption likewise."""
    parts = file.named.parts
    words = [parts[p.letter].text.rstrip(".;,") if p.letter in parts else None for p in found]
    own = matches(file.panels, found)
    return Counter(
        files=1,
        panels=len(file.panels),
        found=len(found),
        right=len(own),
        count=len(found) == len(file.panels),
        letters=sum(t.letter is not None for t in file.panels),
        found_letters=sum(p.letter is not None for p in found),
        right_letters=sum(
            file.panels[i].letter is not None and found[j].letter == file.panels[i].letter for i, j in own.items()
        ),
        words=sum(t.words is not None for t in file.panels),
        found_words=sum(w is not None for w in words),
        right_words=sum(file.panels[i].words is not None and words[j] == file.panels[i].words for i, j in own.items()),
        boxed_words=sum(file.panels[i].words is not None for i in own),
    )


def panels(file: File) -> list[Panel]:
    return find_panels(file.data, file.named)


def grid(file: File) -> list[Panel]:
    """As many equal cells as the caption names letters."""
    _, (width, height) = shrunk(file.data, 64)
    names = file.named.letters if file.named.files == 1 else ()
    count = max(len(names), 1)
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    cells = [
        (width * (i % columns) // columns, height * (i // columns) // rows, width // columns, height // rows)
        for i in range(count)
    ]
    return _named([Panel(cell, 1.0) for cell in cells], names)


def xy_cut(file: File) -> list[Panel]:
    """Every blank line of at least 1 % of the figure is cut, and what is left of 1 % of its area is a panel."""
    small, (width, _) = shrunk(file.data, SIDE)
    page = Page(np.asarray(small.convert("RGB")))
    done, left = [], [page.trim(page.whole)]
    while left:
        region = left.pop()
        gaps = [gap for gap in page.gaps(region) if gap.width >= 0.01 * page.longest]
        if not gaps:
            done.append(region)
            continue
        widest = max(gaps, key=lambda gap: gap.width)
        left += [page.trim(side) for side in region.cut(widest.axis, widest.middle)]
    large = [r for r in done if r.width * r.height >= 0.01 * page.width * page.height] or [page.whole]
    scale = width / page.width
    cells = in_order([Panel(_scaled(r.box, scale), 1.0) for r in large])
    return _named(cells, file.named.letters)


def _scaled(box: tuple[int, int, int, int], scale: float) -> tuple[int, int, int, int]:
    x, y, width, height = (round(value * scale) for value in box)
    return x, y, width, height


def _named(cells: list[Panel], names: Sequence[str]) -> list[Panel]:
    if len(cells) != len(names):
        return cells
    return [cell._replace(letter=name) for cell, name in zip(cells, names, strict=True)]


WAYS: dict[str, Callable[[File], list[Panel]]] = {"panels": panels, "grid": grid, "xy-cut": xy_cut}


def drawn_files(count: int, seed: str, fonts: Sequence[str]) -> Iterator[File]:
    """Figures of the generator; every fourth in Pillow's own font."""
    from biomedica_assets.sample.pictures.layouts import compound, random_layout

    for number in range(count):
        figure = compound(random_layout(f"{seed}/{number}", fonts if number % 4 else ()), f"{seed}/{number}")
        look = figure.layout
        rows = sub_captions(figure.caption, [], [])
        for place, drawn in enumerate(figure.files, 1):
            named = named_panels(figure.caption, rows, files=len(figure.files), place=place)
            truth = [
                Truth((x0, y0, x1 - x0, y1 - y0), panel["letter"], figure.sub_captions.get(panel["letter"]))
                for panel in drawn.truth["panels"]
                for x0, y0, x1, y1 in [panel["box"]]
            ]
            groups = [f"structure: {look.structure}", f"gutter: {look.gutter}", f"letters: {look.letters}"]
            groups += [f"with {word}" for word in ("inset", "shared", "files", "headings") if getattr(look, word)]
            yield File(drawn.data, named, truth, tuple(groups))


def held_out_fonts() -> list[str]:
    """Fonts that the letter reader was not trained on."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return [str(folder / f"{name}.ttf") for name in ("STIXGeneral", "STIXGeneralBol", "cmr10", "cmss10", "cmb10")]


def real_files(half: str = "") -> Iterator[File]:
    """The gold list's files with what the product knows of them, through the chunk pass."""
    from benchmarks.corpus import write_base
    from biomedica_assets.ingest.chunk import ingest_chunk
    from biomedica_assets.ingest.listing import list_release
    from biomedica_assets.ingest.status import store_status
    from biomedica_assets.ingest.workspace import open_workspace
    from biomedica_assets.panels.tables import known_images
    from biomedica_assets.settings import Settings
    from biomedica_assets.store.manifests import read_chunk_manifest
    from biomedica_assets.store.shards import read_span

    gold = {(row["figure"], row["sha256"]): row for row in gold_rows("panels")}
    with tempfile.TemporaryDirectory() as folder:
        release, store = Path(folder) / "release", Path(folder) / "store"
        write_base(release, with_images=True)
        workspace = open_workspace(Settings(source=str(release), store=str(store), chunk_size=1000))
        list_release(workspace)
        for chunk in store_status(workspace.files, workspace.settings).unfinished:
            ingest_chunk(workspace, chunk)
            manifest = read_chunk_manifest(workspace.files, chunk)
            assert manifest is not None
            for image, named in known_images(workspace.files, manifest):
                row = gold.pop((image["figure_id"].partition("/")[2], image["sha256"]), None)
                if row is None or (half and half_of(row["article"]) != half):
                    continue
                truth = [
                    Truth(
                        tuple(panel["box"]),
                        panel["letter"],
                        part.text.rstrip(".;,") if (part := named.parts.get(panel["letter"])) else None,
                    )
                    for panel in row["panels"]
                ]
                doubtful = "doubtful" if row.get("note", "").startswith("doubtful") else "clear"
                groups = (
                    half_of(row["article"]),
                    f"{half_of(row['article'])}, {doubtful}",
                    "several panels" if len(truth) > 1 else "one panel",
                )
                yield File(
                    read_span(workspace.files, image["shard"], image["image_offset"], image["bytes"]),
                    named,
                    truth,
                    groups,
                )


def scores(files: Iterator[File]) -> dict[str, Any]:
    """Counts by way and group, and CPU seconds by way."""
    counts: dict[str, dict[str, Counter[str]]] = {way: defaultdict(Counter) for way in WAYS}
    for file in files:
        for way, find in WAYS.items():
            started = time.process_time()
            found = find(file)
            cpu = time.process_time() - started
            judged = judge(file, found)
            for group in ("all", *file.groups):
                counts[way][group] += judged
            counts[way]["all"]["cpu_ms"] += round(cpu * 1000)
    return {way: {group: dict(count) for group, count in groups.items()} for way, groups in counts.items()}


def drawn(count: str, seed: str = "held-out") -> dict[str, Any]:
    """Step: the generator's figures."""
    return scores(drawn_files(int(count), seed, held_out_fonts()))


def real() -> dict[str, Any] | None:
    """Step: the corpus; null without it."""
    if not (SHARED / "corpus").exists():
        return None
    return scores(real_files())


def memory(count: str) -> dict[str, float]:
    """Step: memory that looking at drawn figures adds, and CPU per figure, decoding included."""
    files = list(drawn_files(int(count), "memory", ()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    for file in files:
        panels(file)
    cpu = (time.process_time() - started) / len(files)
    return {"cpu_ms": cpu * 1000, "grown_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def _line(way: str, group: str, c: dict[str, int]) -> tuple[str, ...]:
    def f1(name: str, kind: str) -> str:
        right, there, found = c.get(f"right{name}", 0), c.get(kind, 0), c.get(f"found{name}", 0)
        if not there:
            return ""
        return f"{right / max(found, 1):.3f} / {right / there:.3f} / {2 * right / (there + found):.3f}"

    count = f"{c.get('count', 0) / c['files']:.2f}"
    return (
        group,
        way,
        str(c["files"]),
        str(c["panels"]),
        f1("", "panels"),
        f1("_letters", "letters"),
        f1("_words", "words"),
        f"{c.get('right_words', 0) / boxed:.3f}" if (boxed := c.get("boxed_words", 0)) else "",
        count,
    )


def quality(quick: bool) -> Iterator[Table]:
    """Precision / recall / F1 of boxes at IoU 0.5, of letters on right boxes, and of parts of the caption.

    ``aligned`` is the share of right boxes with words of their own that got these words.
    """
    header = ("figures", "way", "files", "panels", "boxes", "letters", "captions", "aligned", "count right")
    steps = {"drawn": ("drawn", QUICK_DRAWN if quick else DRAWN), "real": ("real",)}
    for name, step in steps.items():
        answer = run("benchmarks.panels_quality", "--step", *step).answer
        if answer is None:
            continue
        table = Table(f"Panels of {name} figures: precision / recall / F1", header)
        for way, groups in answer.items():
            for group in (
                ["all", *sorted(set(groups) - {"all"})]
                if way == "panels"
                else ["all", *sorted(set(groups) & {"dev", "test"})]
            ):
                table.rows.append(_line(way, group, groups[group]))
        yield table
    cost = run("benchmarks.panels_quality", "--step", "memory", 12 if quick else 60).answer
    table = Table("Panels: cost", ("what", "CPU ms", "figures per core and second", "24M figures on one core"))
    ms = cost["cpu_ms"]
    table.rows.append(
        ("one figure, decoding included", f"{ms:.0f}", f"{1000 / ms:.0f}", f"{ms * FIGURES / 3.6e6:,.0f} hours")
    )
    yield table


if __name__ == "__main__":
    main(quality, {"drawn": drawn, "real": real, "memory": memory}, __doc__)
