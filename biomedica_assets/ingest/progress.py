"""Progress of long work, without the work knowing who watches: a command's bar, or nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_watcher: ContextVar[Callable[[int], object] | None] = ContextVar("watcher", default=None)


@contextmanager
def reporting(watcher: Callable[[int], object]) -> Iterator[None]:
    """Within the block, `advance` calls ``watcher`` with the number of file-list rows done."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def advance(rows: int) -> None:
    """Tell whoever watches that so many rows are done."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher(rows)
