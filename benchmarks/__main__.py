"""All benchmarks, one Markdown document with a table each: ``python -m benchmarks [--quick] [NAME ...]``.

A table's ratios are against a floor measured in the same run, so that they hold on other machines. Everything
measured is made here, or read from ../shared/corpus where that is present.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from benchmarks import (
    change_cost,
    chunk_pass,
    item_costs,
    many_chunks,
    memory,
    near_duplicates,
    partition_page,
    subset_read,
    tables,
)
from benchmarks.measure import Table, arguments_of

BENCHMARKS: dict[str, Callable[[bool], Iterator[Table]]] = {
    "jats": tables.jats,
    "chunk_pass": chunk_pass.benchmark,
    "memory": memory.benchmark,
    "inventory_diff": tables.inventory,
    "change_cost": change_cost.benchmark,
    "many_chunks": many_chunks.benchmark,
    "partition_page": partition_page.benchmark,
    "near_duplicates": near_duplicates.benchmark,
    "subset_read": subset_read.benchmark,
    "item_costs": item_costs.benchmark,
}


def main() -> None:
    """Print the tables of the benchmarks named, or of all."""
    parser = arguments_of(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - BENCHMARKS.keys()
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}")
    print(f"Measured on {os.cpu_count()} cores, {_memory()}.\n")
    for name in arguments.names or BENCHMARKS:
        for table in BENCHMARKS[name](arguments.quick):
            print(table.markdown(), flush=True)


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB"


if __name__ == "__main__":
    main()
