"""Where the chunk pass spends its CPU: thread time by stage, from timers around the functions that do the work.

Belongs here: the timers, and which functions make up a stage. A stage's time is its own: what it calls of another
stage counts there. Threads that wait cost nothing. What the process used beside all stages is the row
`rest`: imports, the client's own threads, the interpreter's switching between threads.
"""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

STAGES = {
    "fetch": ["biomedica_assets.store.files:Files.fetch"],
    "jats": ["biomedica_assets.ingest.article:parse_article"],
    "match graphics": ["biomedica_assets.ingest.article:match_graphics"],
    "probe images": ["biomedica_assets.ingest.article:probe"],
    "article, the rest": ["biomedica_assets.ingest.article:ArticlePass.run"],
    "rows to Arrow": ["biomedica_assets.schemas:rows_to_table"],
    "Parquet": [
        "biomedica_assets.store.tables:TableWriter._flush",
        "biomedica_assets.store.tables:TableWriter.close",
    ],
    "tables, the rest": ["biomedica_assets.store.tables:TableWriter.add"],
    "shards": [
        "biomedica_assets.store.shards:ShardWriter.add",
        "biomedica_assets.store.shards:ShardWriter.close",
    ],
    "commit": ["biomedica_assets.ingest.chunk:commit_table", "biomedica_assets.ingest.chunk:commit_shard"],
    "chunk, the rest": ["biomedica_assets.ingest.chunk:ingest_chunk"],
}
"""Functions by stage, as ``module:name`` where the caller looks them up."""


class Stages:
    """CPU seconds by stage, own time only."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._lock = threading.Lock()
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with a timer around it."""

        @functools.wraps(function)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            stack = self._local.__dict__.setdefault("stack", [])
            stack.append(0.0)  # seconds of inner stages
            before = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                used = time.thread_time() - before
                inner = stack.pop()
                if stack:
                    stack[-1] += used
                with self._lock:
                    self.seconds[stage] += used - inner
                    self.calls[stage] += 1

        return wrapped

    def install(self) -> None:
        """Put timers around the functions of `STAGES`, and around hashing, for the rest of the process."""
        for stage, names in STAGES.items():
            for name in names:
                module, _, path = name.partition(":")
                holder: Any = import_module(module)
                *outer, last = path.split(".")
                for part in outer:
                    holder = getattr(holder, part)
                setattr(holder, last, self.timed(stage, getattr(holder, last)))
        for name in ("md5", "sha256"):
            setattr(hashlib, name, self._hash(name, getattr(hashlib, name)))

    def _hash(self, name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        """A hash whose work at creation and in ``update`` counts as the stage of its name."""
        timed = self.timed

        class Timed:
            def __init__(self, data: bytes = b"", **named: Any) -> None:
                self._hash = timed(name, make)(data, **named)
                self.update = timed(name, self._hash.update)
                self.digest, self.hexdigest = self._hash.digest, self._hash.hexdigest

        return Timed

    def shares(self, total: float) -> Iterator[tuple[str, float, int]]:
        """(stage, seconds, calls), most first; the rest of ``total`` last."""
        for stage, seconds in sorted(self.seconds.items(), key=lambda item: -item[1]):
            yield stage, seconds, self.calls[stage]
        yield "rest", total - sum(self.seconds.values()), 0
