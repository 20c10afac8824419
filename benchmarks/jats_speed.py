"""CPU time of `jats.parse_article` (all records) against bare `lxml.etree.parse`, on a folder of real articles.

    python benchmarks/jats_speed.py ../shared/corpus [--runs 7]

Every variant runs in processes of its own: read all files into memory, then parse every article once, in order. What
is counted is user + system CPU of that loop (not start-up, not reading), so other work on the machine disturbs it
less than it would wall time. Variants alternate, and the table gives medians and the median of the ratios of
neighbouring runs. XML files, .nxml files and the XML members of tar archives below the folder are all taken.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

VARIANTS = ("lxml", "jats")


def xml_files(folder: Path) -> Iterator[bytes]:
    """Bytes of every article below a folder, in order of path."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".xml", ".nxml"):
            data = path.read_bytes()
            if b"<article" in data[:20000]:
                yield data
        elif path.name.endswith((".tar.gz", ".tgz", ".tar")):
            with tarfile.open(path) as archive:
                for member in archive:
                    if member.isfile() and member.name.endswith((".xml", ".nxml")):
                        stream = archive.extractfile(member)
                        if stream is not None:
                            yield stream.read()


def measure(variant: str, folder: Path) -> dict[str, float]:
    """One pass in this process: CPU seconds, articles, bytes, articles that the variant refuses."""
    from lxml import etree

    from biomedica_assets.jats import NotAnArticle, parse_article

    def bare(data: bytes) -> None:
        etree.parse(io.BytesIO(data))

    parse = {"lxml": bare, "jats": parse_article}[variant]
    articles = list(xml_files(folder))
    for data in articles[:20]:
        _try(parse, data, (etree.XMLSyntaxError, NotAnArticle))  # imports, caches of patterns
    start = time.process_time()
    refused = sum(not _try(parse, data, (etree.XMLSyntaxError, NotAnArticle)) for data in articles)
    seconds = time.process_time() - start
    return {"seconds": seconds, "articles": len(articles), "bytes": sum(map(len, articles)), "refused": refused}


def _try(parse, data: bytes, errors: tuple[type[Exception], ...]) -> bool:  # type: ignore[no-untyped-def]
    try:
        parse(data)
    except errors:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=7, help="alternating runs of each variant")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.variant:
        print(json.dumps(measure(arguments.variant, arguments.folder)))
        return
    runs: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for _ in range(arguments.runs):
        for variant in VARIANTS:
            command = [sys.executable, __file__, str(arguments.folder), "--variant", variant]
            runs[variant].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    first = runs["lxml"][0]
    ratios = sorted(b["seconds"] / a["seconds"] for a, b in zip(runs["lxml"], runs["jats"], strict=True))
    print(f"{first['articles']:.0f} articles, {first['bytes'] / 1e6:.1f} MB, median of {arguments.runs} runs")
    print(f"{'variant':8} {'CPU ms/article':>15} {'articles/s':>11} {'MB/s':>7} {'refused':>8}")
    for variant in VARIANTS:
        seconds = statistics.median(run["seconds"] for run in runs[variant])
        print(
            f"{variant:8} {seconds / first['articles'] * 1000:15.3f} {first['articles'] / seconds:11.0f} "
            f"{first['bytes'] / seconds / 1e6:7.1f} {runs[variant][0]['refused']:8.0f}"
        )
    print(f"ratio    {statistics.median(ratios):.2f}   (range {ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
