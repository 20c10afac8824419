"""Work on many articles at a time, delivered in order, with bounded look-ahead.

Belongs here: threads, order, and the byte budget. Not here: what the work is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from typing import Generic, TypeVar

Row = TypeVar("Row")
Result = TypeVar("Result")


class CancelledError(Exception):
    """The consumer went away; raised inside the work to end it."""


class ByteBudget:
    """How many bytes may be held ahead of the consumer. One budget serves one `prefetch`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.peak = 0


_current = threading.local()


def charge(size: int) -> None:
    """Count bytes that the current thread's work holds; a no-op outside `prefetch`.

    Waits while the budget is used up, unless the item is the one that the consumer waits for: that one never waits,
    so there is always progress. An object counts once it is here: the limit is passed by one object per thread
    at most.
    """
    if (ticket := getattr(_current, "ticket", None)) is not None:
        ticket(size)


def prefetch(
    rows: Iterable[Row],
    work: Callable[[Row], Result],
    *,
    concurrency: int,
    budget: ByteBudget,
    ahead: int | None = None,
) -> Generator[tuple[Row, Result | Exception], None, None]:
    """Each row with its result, or the exception that its work raised, in the order of the rows.

    Args:
        work: called in ``concurrency`` threads; what it fetches is counted by `charge`.
        ahead: how many rows may be begun before the one that the consumer gets next; default 4 * concurrency.

    Closing the generator ends the threads: work that waits is cancelled, work under way is finished and thrown away.
    """
    state = _State(iter(rows), work, budget, ahead or 4 * concurrency)
    threads = [threading.Thread(target=state.run, name=f"prefetch-{n}", daemon=True) for n in range(concurrency)]
    for thread in threads:
        thread.start()
    try:
        yield from state.results()
    finally:
        state.stop()
        for thread in threads:
            thread.join()


class _State(Generic[Row, Result]):
    def __init__(self, rows: Iterable[Row], work: Callable[[Row], Result], budget: ByteBudget, ahead: int) -> None:
        self._rows, self._work, self._budget, self._ahead = iter(rows), work, budget, ahead
        self._changed = threading.Condition()
        self._head = 0  # index of the row that the consumer gets next, or holds
        self._next = 0  # index of the row that is begun next
        self._ended = self._stopped = False
        self._done: dict[int, tuple[Row, Result | Exception]] = {}
        self._held: dict[int, int] = {}  # bytes by index
        self._broken: BaseException | None = None  # the rows themselves failed

    def run(self) -> None:
        while (begun := self._begin()) is not None:
            index, row = begun
            _current.ticket = lambda size, index=index: self._charge(index, size)
            result: Result | Exception
            try:
                result = self._work(row)
            except Exception as error:
                result = error
            finally:
                _current.ticket = None
            with self._changed:
                self._done[index] = (row, result)
                self._changed.notify_all()

    def results(self) -> Generator[tuple[Row, Result | Exception], None, None]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._head in self._done or self._finished())
                if self._head not in self._done:
                    if self._broken is not None:
                        raise self._broken
                    return
                item = self._done.pop(self._head)
            yield item
            del item  # or its bytes would outlive their place in the budget
            with self._changed:
                self._budget.used -= self._held.pop(self._head, 0)
                self._head += 1
                self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _finished(self) -> bool:
        return self._ended and self._head >= self._next

    def _begin(self) -> tuple[int, Row] | None:
        """The next row, once there is room for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._ended or self._has_room())
            if self._stopped or self._ended:
                return None
            try:
                row = next(self._rows)
            except BaseException as error:
                self._ended = True
                self._broken = None if isinstance(error, StopIteration) else error
                self._changed.notify_all()
                return None
            index, self._next = self._next, self._next + 1
            return index, row

    def _has_room(self) -> bool:
        if self._next <= self._head:
            return True
        return self._next - self._head < self._ahead and self._budget.used < self._budget.limit

    def _charge(self, index: int, size: int) -> None:
        with self._changed:
            self._held[index] = self._held.get(index, 0) + size
            self._budget.used += size
            self._budget.peak = max(self._budget.peak, self._budget.used)
            self._changed.wait_for(
                lambda: self._stopped or index <= self._head or self._budget.used <= self._budget.limit
            )
            if self._stopped:
                raise CancelledError
