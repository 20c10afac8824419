"""Order, bounds and ends of `prefetch`."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest

from biomedica_assets.pmc.prefetch import ByteBudget, CancelledError, charge, prefetch


def test_results_come_in_order_with_their_exceptions() -> None:
    def work(n: int) -> int:
        time.sleep(random.random() / 500)
        if n % 7 == 3:
            raise ValueError(n)
        return n * n

    found = list(prefetch(range(200), work, concurrency=16, budget=ByteBudget(10)))
    assert [n for n, _ in found] == list(range(200))
    for n, result in found:
        assert isinstance(result, ValueError) if n % 7 == 3 else result == n * n


def test_nothing() -> None:
    assert list(prefetch([], str, concurrency=4, budget=ByteBudget(1))) == []


def test_bytes_ahead_are_bounded_and_the_head_never_waits() -> None:
    budget = ByteBudget(1000)

    def work(n: int) -> int:
        for _ in range(5):
            time.sleep(0.0005 if n % 10 else 0.005)  # every tenth is slow: others pile up behind it
            charge(300 if n != 50 else 5000)  # one is larger than the whole budget
        return n

    results = []
    for n, _ in prefetch(range(100), work, concurrency=8, budget=budget):
        results.append(n)
    assert results == list(range(100))
    assert budget.used == 0
    assert budget.peak <= 1000 + 8 * 300 + 5 * 5000  # one object per thread past the limit, and the large item


def test_items_ahead_are_bounded() -> None:
    begun: list[int] = []
    results = prefetch(range(100), begun.append, concurrency=4, budget=ByteBudget(1), ahead=10)
    assert next(results)[0] == 0
    time.sleep(0.1)
    assert len(begun) <= 11
    assert len(list(results)) == 99


def test_slow_consumer_is_not_overrun() -> None:
    budget = ByteBudget(100)
    held = []
    for _ in prefetch(range(30), lambda _: charge(40), concurrency=8, budget=budget):
        time.sleep(0.002)
        held.append(budget.used)
    assert max(held) <= 100 + 8 * 40


def test_closing_ends_the_threads() -> None:
    before = threading.active_count()
    cancelled = []

    def work(n: int) -> None:
        try:
            charge(60)
        except CancelledError:
            cancelled.append(n)
            raise

    results = prefetch(iter(range(10**9)), work, concurrency=8, budget=ByteBudget(100))
    next(results)
    next(results)
    time.sleep(0.05)
    results.close()
    assert threading.active_count() == before
    assert cancelled  # some waited for room


def test_the_consumer_failing_ends_the_threads() -> None:
    before = threading.active_count()
    with pytest.raises(RuntimeError):
        for n, _ in prefetch(range(100), lambda n: n, concurrency=4, budget=ByteBudget(1)):
            if n == 5:
                raise RuntimeError
    assert threading.active_count() == before


def test_rows_that_fail() -> None:
    def rows() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("list is gone")

    seen = []
    with pytest.raises(OSError, match="list is gone"):
        for n, _ in prefetch(rows(), lambda n: n, concurrency=3, budget=ByteBudget(1)):
            seen.append(n)
    assert seen == [1, 2]


def test_charge_outside_prefetch_does_nothing() -> None:
    charge(10**12)
