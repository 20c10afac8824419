"""Bytes read for a subset of 5 % that is spread over all archive shards, against reading everything.

    python -m benchmarks.subset_read [--quick]

Synthetic samples of a log-normal size (median 150 kB, as PMC's figures have about) in shards of 100 MB; the subset is
drawn at random, or in articles (all six images of one in twenty). The bound is 1.3 times the subset's own bytes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, Table, main
from biomedica_assets.dataset.reading import Span, plan_reads, read_images
from biomedica_assets.store.files import Files
from biomedica_assets.store.shards import ShardWriter, commit_shard

SAMPLES, QUICK_SAMPLES = 20_000, 1_000
SHARE, BOUND, IMAGES_PER_ARTICLE = 20, 1.3, 6
SHARD_BYTES, QUICK_SHARD_BYTES = 100_000_000, 5_000_000


def archive(folder: Path, samples: int, shard_bytes: int) -> tuple[Files, list[Span], list[Span]]:
    """A store of shards; spans of every image, and of every whole sample."""
    random = np.random.default_rng(3)
    noise = random.bytes(4_000_000)
    sizes = np.clip(random.lognormal(np.log(150_000), 0.9, samples), 2_000, 4_000_000).astype(int)
    files, scratch = Files(folder / "store"), folder / "scratch"
    scratch.mkdir()
    writer = ShardWriter(scratch, "2026-11-20-00000", shard_bytes)
    placed, paths = [], {}
    for number, size in enumerate(sizes.tolist()):
        key, facts = f"PMC{number // IMAGES_PER_ARTICLE}-1-{number}", {"image_id": number, "width": 800, "height": 600}
        placed.append((writer.add(key, "jpg", noise[:size], "A caption of usual length. " * 20, facts), size))
    for shard in writer.close():
        paths[shard.index] = commit_shard(files, "2026-11-20-00000", shard).path
    images = [Span(paths[span.shard_index], span.image_offset, size) for span, size in placed]
    whole = [Span(paths[span.shard_index], span.offset, span.length) for span, _ in placed]
    return files, images, whole


def benchmark(quick: bool) -> Iterator[Table]:
    """One row per kind of subset and of span."""
    table = Table("A subset of 5 % out of all shards: bytes read")
    samples = QUICK_SAMPLES if quick else SAMPLES
    with tempfile.TemporaryDirectory() as folder:
        files, images, whole = archive(Path(folder), samples, QUICK_SHARD_BYTES if quick else SHARD_BYTES)
        everything = sum(span.length for span in whole)
        shards = len({span.shard for span in whole})
        random = np.random.default_rng(9)
        alone = sorted(random.choice(samples, samples // SHARE, replace=False).tolist())
        articles = random.choice(samples // IMAGES_PER_ARTICLE, samples // IMAGES_PER_ARTICLE // SHARE, replace=False)
        together = [number * IMAGES_PER_ARTICLE + n for number in articles.tolist() for n in range(IMAGES_PER_ARTICLE)]
        for name, chosen in (("images at random", alone), ("whole articles", together)):
            for what, spans in (("images", images), ("samples with caption and facts", whole)):
                wanted = [spans[number] for number in chosen]
                own = sum(span.length for span in wanted)
                before, cpu = files.traffic.bytes, time.process_time()
                got = sum(len(data) for _, data in read_images(files, wanted))
                read, cpu = files.traffic.bytes - before, time.process_time() - cpu
                assert got == own
                notes = (
                    f"{len(wanted):,} of {samples:,} in {len({span.shard for span in wanted})} of {shards} shards, "
                    f"{len(plan_reads(wanted)):,} requests, {cpu:.2f} s CPU; all is {everything / 1e6:.0f} MB, "
                    f"{everything / own:.1f} times"
                )
                cost, floor = (f"{size / 1e6:.1f} MB" for size in (read, own))
                table.add(Row(f"{name}: {what}", cost, floor, read / own, BOUND, notes))
    yield table


if __name__ == "__main__":
    main(benchmark, {}, __doc__)
