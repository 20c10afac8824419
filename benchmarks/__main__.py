"""All benchmarks, one Markdown document with a table each: ``python -m benchmarks [--quick] [NAME ...]``.

A table's ratios are against a floor measured in the same run, so that they hold on other machines. Everything
measured is made here, or read from ../shared/corpus where that is present.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module

from benchmarks.measure import ROOT, arguments_of

BENCHMARKS = {
    "jats": "tables:jats",
    "chunk_pass": "chunk_pass:benchmark",
    "memory": "memory:benchmark",
    "inventory_diff": "tables:inventory",
    "change_cost": "change_cost:benchmark",
    "many_chunks": "many_chunks:benchmark",
    "partition_page": "partition_page:benchmark",
    "near_duplicates": "near_duplicates:benchmark",
    "subset_read": "subset_read:benchmark",
    "item_costs": "item_costs:benchmark",
    "streaming": "streaming:benchmark",
    "encoders": "encoders:benchmark",
    "concepts": "concepts:benchmark",
    "labels_quality": "labels_quality:quality",
    "panels_quality": "panels_quality:quality",
    "labels_speed": "labels_speed:benchmark",
    "subcaptions_quality": "subcaptions_quality:benchmark",
    "entities_quality": "entities_quality:benchmark",
    "paragraph_quality": "paragraph_quality:benchmark",
    "load": "load:benchmark",
    "search_scale": "search_scale:benchmark",
    "search_engines": "search_engines:benchmark",
    "retrieval_quality": "retrieval_quality:benchmark",
}
"""Module and function of each."""


def show(name: str, quick: bool) -> None:
    """Print the tables of one benchmark."""
    module, _, function = BENCHMARKS[name].partition(":")
    for table in getattr(import_module(f"benchmarks.{module}"), function)(quick):
        print(table.markdown(), flush=True)


def main() -> None:
    """Print the tables of the benchmarks named, or of all; a failure of one does not stop the others."""
    parser = arguments_of(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    arguments = parser.parse_args()
    if arguments.step:
        show(arguments.step[0], arguments.quick)
        return
    unknown = set(arguments.names) - BENCHMARKS.keys()
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}")
    print(f"Measured on {os.cpu_count()} cores, {_memory()}.\n", flush=True)
    failed = []
    for name in arguments.names or BENCHMARKS:
        # In a process of its own: what one imports must not count as memory of the steps that another starts.
        quick = ["--quick"] if arguments.quick else []
        command = [sys.executable, "-m", "benchmarks", *quick, "--step", name]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB"


if __name__ == "__main__":
    main()
