"""From what is asked for to a stream: resolves state, subset and withdrawal list, keeps what was worked out.

Safe to use from many threads; holds nothing that cannot be worked out again, so that any process over the same store
can go on with another's cursor. What does not belong here: HTTP, reading images.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import numpy.typing as npt

from biomedica_assets.dataset.filters import Filters
from biomedica_assets.store.files import Files
from biomedica_assets.streaming.cursor import Cursor, CursorError, decode
from biomedica_assets.streaming.panels import PanelTar, read_panels
from biomedica_assets.streaming.plan import Part, Plan, part_order
from biomedica_assets.streaming.selection import (
    SERVED_GROUPS,
    Samples,
    Selection,
    StateGoneError,
    StreamError,
    StreamUnit,
    find_state,
    find_subset,
    newest_state,
    read_samples,
    rows_of_articles,
    selection_key,
)
from biomedica_assets.streaming.tar import Tar
from biomedica_assets.streaming.withdrawn import ListId, listed_ids, newest_list

Rows = npt.NDArray[np.int32]
AnyTar = Tar | PanelTar


class WithdrawnError(StreamError):
    """Something that the rest of the stream holds has been withdrawn; ``cursor`` goes on without it."""

    def __init__(self, cursor: Cursor) -> None:
        super().__init__(
            "something in the rest of this stream has been withdrawn since it began: go on with the cursor given here; "
            "it leaves that out and repeats nothing"
        )
        self.cursor = cursor


class Planner:
    """Streams of one store.

    Args:
        files: the store.
        groups: licence groups that may be streamed.
        cache_bytes: memory for what was worked out.
        refresh_seconds: how old the known state of the store may be.
    """

    def __init__(
        self,
        files: Files,
        groups: Sequence[str] = SERVED_GROUPS,
        *,
        cache_bytes: int = 1 << 30,
        refresh_seconds: float = 5.0,
    ) -> None:
        self.files, self.groups = files, tuple(sorted(groups))
        self._cache = _Cache(cache_bytes)
        self._refresh_seconds = refresh_seconds
        self._known: tuple[float, str, ListId] | None = None
        self._reading = threading.BoundedSemaphore(2)

    def begin(
        self,
        part: Part | None = None,
        filters: Filters | None = None,
        *,
        subset: str | None = None,
        snapshot: str | None = None,
        state: str | None = None,
        unit: StreamUnit = "image",
    ) -> AnyTar:
        """A stream from its start.

        Raises:
            StreamError: what is asked for is not there, is not served, or not said completely.
            StateGoneError: the state is not kept any more.
        """
        part, filters = part or Part(), filters or Filters()
        self._must_serve(filters.licence_group)
        newest, listed = self._now()
        if snapshot is None and state is None and not part.alone:
            raise StreamError(
                f"all parts of an epoch must be of one state: add state={newest} (the newest) or a snapshot's name"
            )
        if snapshot is not None:
            state = find_state(self.files, state, snapshot).id
        found = (subset, find_subset(self.files, subset).id) if subset else None
        selection = Selection(state or newest, filters, found, self.groups, snapshot, unit)
        cursor = Cursor(
            state=selection.state,
            snapshot=snapshot,
            filters=filters,
            subset=found,
            unit=unit,
            groups=self.groups,
            part=part,
            withdrawn=tuple(listed),
            digest=self._samples(selection).digest,
        )
        return self._tar(cursor)

    def resume(self, cursor: str) -> AnyTar:
        """The stream that a cursor names, from there on.

        Raises:
            CursorError: it is not one of ours.
            StateGoneError: what it names is not kept any more.
            StreamError: it names what is not served.
            WithdrawnError: the withdrawal list that it names is not kept any more.
        """
        found = decode(cursor)
        self._must_serve(found.groups)
        samples = self._samples(found.selection)
        if samples.digest != found.digest:
            raise StateGoneError("this state gives other samples now: begin a new epoch")
        return self._tar(found)

    def check(self, tar: AnyTar, offset: int = 0) -> None:
        """Raise `WithdrawnError` when what is withdrawn now is in the stream at this place or behind it."""
        _, listed = self._now()
        if listed == tar.cursor.list_id:
            return
        now = self._withdrawn(tar.cursor, listed)
        number = tar.number_at(offset)
        if tar.plan.holds(now, number):
            raise WithdrawnError(tar.cursor.at(tar.plan.position(number), listed))

    def cursor_at(self, tar: AnyTar, offset: int) -> Cursor:
        """A cursor to the sample at a place of the stream: a byte, of panels the number of a sample."""
        return tar.cursor.at(tar.plan.position(tar.number_at(offset)))

    def _must_serve(self, groups: Sequence[str]) -> None:
        if not_served := set(groups) - set(self.groups):
            served = ", ".join(self.groups) or "none"
            raise StreamError(f"licence group {', '.join(sorted(not_served))} is not served; served are: {served}")

    def _now(self) -> tuple[str, ListId]:
        """The newest state and withdrawal list, as known a few seconds ago at most."""
        known, now = self._known, time.monotonic()
        if known is None or now - known[0] > self._refresh_seconds:
            # The list first: it may then be older than the state, never newer than what the state leaves out.
            listed = newest_list(self.files)
            known = self._known = (now, newest_state(self.files).id, listed)
        return known[1], known[2]

    def _samples(self, selection: Selection) -> Samples:
        def make() -> Samples:
            with self._reading:
                read = read_panels if selection.unit == "panel" else read_samples
                return read(self.files, selection)

        found: Samples = self._cache.get(("samples", selection_key(selection)), make)
        return found

    def _withdrawn(self, cursor: Cursor, listed: ListId) -> Rows:
        """Rows of the cursor's state that a list withdraws."""

        def make() -> Rows:
            ids = listed_ids(self.files, listed)
            generation = find_state(self.files, cursor.state, cursor.snapshot)
            return rows_of_articles(self.files, generation, ids) if ids else np.empty(0, np.int32)

        found: Rows = self._cache.get(("withdrawn", cursor.state, listed), make)
        return found

    def _tar(self, cursor: Cursor) -> AnyTar:
        def make() -> AnyTar:
            samples = self._samples(cursor.selection)
            order_key = ("order", cursor.digest, cursor.part)
            places = self._cache.get(order_key, lambda: part_order(samples, cursor.part))
            if cursor.position > len(places):
                raise CursorError("this cursor lies behind the end of its stream; begin without one")
            try:
                withdrawn = self._withdrawn(cursor, cursor.list_id)
            except StateGoneError:
                # Bytes behind the cursor cannot be told any more, but the place of the cursor itself can.
                raise WithdrawnError(cursor.at(cursor.position, self._now()[1])) from None
            plan = Plan(samples, places, withdrawn, cursor.position)
            return PanelTar(cursor, plan, self.files) if cursor.unit == "panel" else Tar(cursor, plan)

        found: AnyTar = self._cache.get(("tar", cursor), make)
        return found


class _Cache:
    """What was used last, up to a number of bytes; made once even when several threads ask at the same time."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, made if need be. Raises what ``make`` raises, and forgets it."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            else:
                mine = self._entries[key] = Future()
        if entry is not None:
            return entry.result()
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                self._entries.pop(key, None)
            mine.set_exception(error)
            raise
        mine.set_result(value)
        with self._lock:
            self._bytes += _size(value)
            while self._bytes > self._most and len(self._entries) > 1:
                oldest, dropped = next(iter(self._entries.items()))
                if not dropped.done() or oldest == key:
                    break
                del self._entries[oldest]
                self._bytes -= _size(dropped.result())
        return value


def _size(value: Any) -> int:
    return int(value.plan.nbytes if isinstance(value, Tar | PanelTar) else value.nbytes) + 1000
