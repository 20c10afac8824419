"""Training streams in Python: an iterable of samples for `webdataset` and `torch`, from a store or from a server.

A store (a folder, a bucket, a web folder) is planned here and read by range, without any server of ours; a server is
asked for the same bytes. Cut connections are mended, what is withdrawn meanwhile drops out, and at the end of an epoch
the number of samples and every image's hash have been checked. What does not belong here: the order of samples.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from biomedica_assets.dataset.filters import Filters
from biomedica_assets.store.catalogue import POINTER
from biomedica_assets.store.files import Files
from biomedica_assets.streaming.cursor import decode
from biomedica_assets.streaming.plan import Part
from biomedica_assets.streaming.planner import AnyTar, Planner, WithdrawnError
from biomedica_assets.streaming.reading import Block, open_source
from biomedica_assets.streaming.remote import MovedError, Server, ServerGoneError
from biomedica_assets.streaming.samples import Closing, CutError, read_samples
from biomedica_assets.streaming.selection import SERVED_GROUPS, StreamError, StreamUnit

if TYPE_CHECKING:
    _Base = object
else:
    try:  # DataLoader tells datasets that are iterated from others by their class
        from torch.utils.data import IterableDataset as _Base
    except ImportError:
        _Base = object

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 60.0  # how often a running stream asks whether something of its rest has been withdrawn
_TRIES = 8  # cuts in a row before a sample came, of streams that have no length
_TEXTS = ("json", "txt")

Sample = dict[str, Any]


@dataclass(frozen=True)
class Opening:
    """A stream from a cursor on: bytes and samples in all, and the state it is of.

    Without ``bytes`` (panels) its places are counted in samples.
    """

    cursor: str
    bytes: int | None
    samples: int
    state: str
    etag: str | None


class Origin(Protocol):
    """Where streams come from."""

    def begin(self, part: Part, options: Mapping[str, Any]) -> Opening: ...
    def resume(self, cursor: str, offset: int = 0) -> Opening: ...
    def blocks(self, opening: Opening, first: int) -> Iterator[Block]: ...


class StoreOrigin:
    """A store, planned and read by this process."""

    def __init__(self, files: Files, groups: Sequence[str]) -> None:
        self._planner, self._source = Planner(files, groups), open_source(files)

    def begin(self, part: Part, options: Mapping[str, Any]) -> Opening:
        """Raises StreamError."""
        names = ("subset", "snapshot", "state", "unit")
        filters = Filters(**{name: value for name, value in options.items() if name not in names})
        given = {name: options[name] for name in names if name in options}
        return self._opening(self._planner.begin(part, filters, **given))

    def resume(self, cursor: str, offset: int = 0) -> Opening:
        """Raises StreamError, MovedError."""
        try:
            tar = self._planner.resume(cursor)
        except WithdrawnError as error:
            raise MovedError(error.cursor.encode()) from error
        return self._opening(self._planner.resume(self._planner.cursor_at(tar, offset).encode()))

    def blocks(self, opening: Opening, first: int) -> Iterator[Block]:
        """Raises MovedError, StateGoneError, OSError."""
        tar = self._planner.resume(opening.cursor)
        looked = -_LOOK_SECONDS
        for block in tar.read(self._source, first):
            if time.monotonic() - looked > _LOOK_SECONDS:
                try:
                    self._planner.check(tar, first)
                except WithdrawnError as error:
                    raise MovedError(error.cursor.encode()) from error
                looked = time.monotonic()
            yield block
            first = tar.behind(first, block)

    def _opening(self, tar: AnyTar) -> Opening:
        return Opening(tar.cursor.encode(), tar.size, len(tar.plan), tar.cursor.state, tar.etag)


class ServerOrigin:
    """A server of ours."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def begin(self, part: Part, options: Mapping[str, Any]) -> Opening:
        """Raises StreamError, ServerGoneError."""
        parameters = {**part.model_dump(exclude_defaults=True), **options}
        return self._opening({name: _word(value) for name, value in parameters.items() if value is not None})

    def resume(self, cursor: str, offset: int = 0) -> Opening:
        """Raises StreamError, MovedError, ServerGoneError."""
        if offset:
            cursor = self._server.plan({"cursor": cursor, "offset": offset})["cursor"]
        return self._opening({"cursor": cursor})

    def blocks(self, opening: Opening, first: int) -> Iterator[Block]:
        """Raises MovedError, StreamError, ServerGoneError."""
        if opening.bytes is None:
            return self._server.unbounded((self.resume(opening.cursor, first) if first else opening).cursor)
        plan = {"cursor": opening.cursor, "bytes": opening.bytes, "etag": opening.etag}
        return self._server.blocks(plan, first)

    def _opening(self, parameters: Mapping[str, Any]) -> Opening:
        plan = self._server.plan(parameters)
        return Opening(*(plan[name] for name in ("cursor", "bytes", "samples", "state", "etag")))


class Stream(_Base):
    """Samples as `webdataset` has them: ``__key__``, ``__url__``, and bytes by extension. See `stream`.

    Iterating gives one epoch, or ``epochs`` of them; within a worker of a `torch` DataLoader that worker's share.
    """

    def __init__(
        self,
        source: str,
        part: Part,
        options: Mapping[str, Any],
        *,
        epochs: int = 1,
        verify: bool = True,
        groups: Sequence[str] = SERVED_GROUPS,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.source, self.part, self.epochs, self.verify = source, part, epochs, verify
        self._groups, self._headers = tuple(groups), dict(headers or {})
        self._origin: Origin | None = None
        self._process = 0
        self._is_server = _is_server(source, self._headers)
        self._options = {name: value for name, value in options.items() if value is not None}
        opening = self.origin.begin(part, self._options)
        self._options["state"] = self.state = opening.state
        self.samples = opening.samples
        self._saved: dict[str, Any] | None = None
        self._at: tuple[int, Opening | None, int] = (part.epoch, None, 0)

    @property
    def origin(self) -> Origin:
        """Where the samples come from; each process has its own. Raises StreamError in forks that cannot read it."""
        if self._origin is None or self._process != os.getpid():
            self._origin = self._open(forked=self._origin is not None)
            self._process = os.getpid()
        return self._origin

    def _open(self, forked: bool) -> Origin:
        if self._is_server:
            return ServerOrigin(Server(self.source, self._headers))
        files = Files(self.source)
        if forked and files.local_path() is None:  # the client's threads are not in the fork: it would wait for ever
            raise StreamError('a forked worker cannot read object stores: use multiprocessing_context="spawn"')
        return StoreOrigin(files, self._groups)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_origin": None, "_at": (self.part.epoch, None, 0)}

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration begins with."""
        self.part = self.part.model_copy(update={"epoch": epoch})
        self._saved = None

    def __iter__(self) -> Iterator[Sample]:
        """Samples, checked.

        Raises:
            CutError: the stream was not whole, or an image is not what its record says.
            StreamError, OSError: it cannot go on.
        """
        worker, workers = _worker()
        part = self.part.model_copy(update={"worker": worker, "workers": workers})
        saved, self._saved = self._saved, None
        first = saved["epoch"] if saved else part.epoch
        for epoch in range(first, part.epoch + self.epochs):
            this = part.model_copy(update={"epoch": epoch})
            resumed = self._resume(saved, this) if saved and saved["cursor"] else None
            opening = resumed or self.origin.begin(this, self._options)
            saved = None
            self._at = (epoch, opening, 0)
            yield from self._epoch(opening, epoch)
            self._at = (epoch + 1, None, 0)

    def _epoch(self, opening: Opening, epoch: int) -> Iterator[Sample]:
        done, seen, failures = 0, _Seen(self.verify), 0
        counted = opening.bytes is None
        while True:
            received = _Counted(self.origin.blocks(opening, done))
            closing = None
            try:
                for found in read_samples(received, done):
                    if isinstance(found, Closing):
                        closing = found
                        break
                    seen.add(found.key, found.members)
                    done = done + 1 if counted else found.end
                    self._at = (epoch, opening, done)
                    yield {"__key__": found.key, "__url__": self.source, **found.members}
            except MovedError as error:
                # Its cursor stands at the byte asked for; if some bytes had come, a sample may have begun before.
                if not received.bytes:
                    _log.info("something was withdrawn: going on without it")
                    opening = self.origin.resume(error.cursor)
                    done, seen = 0, _Seen(self.verify)
                    self._at = (epoch, opening, 0)
            except CutError:
                # Streams with a length are mended where their bytes come from.
                failures = 1 if done else failures + 1
                if not counted or failures > _TRIES:
                    raise
                time.sleep(0.1 * 2**failures)
                opening = self.origin.resume(opening.cursor, done)
                done, seen = 0, _Seen(self.verify)
                self._at = (epoch, opening, 0)
            if closing is not None:
                seen.compare(closing)
                return

    def __call__(self) -> Iterator[Sample]:
        """Without `torch`, `webdataset` takes as the source of a pipeline only what it can call."""
        return iter(self)

    def state_dict(self) -> dict[str, Any]:
        """Where this process's iteration is: what it has given out is not given again after `load_state_dict`."""
        if self._saved is not None:
            return dict(self._saved)
        epoch, opening, done = self._at
        if opening is None:
            return {"epoch": epoch, "cursor": None, "offset": 0}
        try:
            return {"epoch": epoch, "cursor": self.origin.resume(opening.cursor, done).cursor, "offset": 0}
        except ServerGoneError:
            return {"epoch": epoch, "cursor": opening.cursor, "offset": done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration go on where `state_dict` was. Rank, world and workers must be the same then."""
        self._saved = {name: state[name] for name in ("epoch", "cursor", "offset")}
        if not self.part.epoch <= state["epoch"] <= self.part.epoch + self.epochs:
            self.part = self.part.model_copy(update={"epoch": state["epoch"]})

    def _resume(self, saved: Mapping[str, Any], part: Part) -> Opening:
        kept = decode(saved["cursor"]).part
        if kept != part:
            raise StreamError(
                f"this place was saved by rank {kept.rank} of {kept.world}, worker {kept.worker} of {kept.workers}, "
                f"seed {kept.seed}; now it is {part.rank} of {part.world}, {part.worker} of {part.workers}, {part.seed}"
            )
        cursor, offset = saved["cursor"], saved["offset"]
        while True:
            try:
                return self.origin.resume(cursor, offset)
            except MovedError as error:
                cursor, offset = error.cursor, 0


class _Seen:
    """Counts and checks samples until the closing member can be compared."""

    def __init__(self, verify: bool) -> None:
        self._verify, self._samples, self._digest = verify, 0, hashlib.sha256()

    def add(self, key: str, members: Mapping[str, bytes]) -> None:
        """Raises CutError when there is no image, or several."""
        self._samples += 1
        if self._verify:
            images = [data for name, data in members.items() if name not in _TEXTS]
            if len(images) != 1:
                raise CutError(f"{key} has {len(images)} images")
            self._digest.update(hashlib.sha256(images[0]).digest()[:8])

    def compare(self, closing: Closing) -> None:
        """Raises CutError when it is not what came."""
        if self._samples != closing.samples:
            raise CutError(f"{self._samples} of {closing.samples} samples came")
        if self._verify and self._digest.hexdigest() != closing.checksum:
            raise CutError("an image came with other bytes than the dataset has")


class _Counted:
    """Passes blocks on and counts their bytes."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks, self.bytes = blocks, 0

    def __iter__(self) -> Iterator[Block]:
        for block in self._blocks:
            self.bytes += len(block)
            yield block


def stream(
    source: str,
    *,
    seed: int = 0,
    epoch: int = 0,
    epochs: int = 1,
    rank: int | None = None,
    world: int | None = None,
    shuffle: bool = True,
    limit: int | None = None,
    subset: str | None = None,
    snapshot: str | None = None,
    state: str | None = None,
    unit: StreamUnit = "image",
    groups: Sequence[str] = SERVED_GROUPS,
    verify: bool = True,
    headers: Mapping[str, str] | None = None,
    **filters: Any,
) -> Stream:
    """Samples of a dataset, filtered and shuffled, for training.

    Args:
        source: URL of a store, read by range, or address of a server.
        seed: of the shuffle.
        epoch: every epoch has an order of its own.
        epochs: so many, one after the other, each time it is iterated.
        rank: of this process among ``world``, which share an epoch; default: what torchrun says, else alone.
        world: see there. All must name the same ``snapshot`` or ``state``.
        shuffle: false gives the archive's order.
        limit: so many samples at most, of all ranks together.
        subset: only what this subset picked.
        snapshot: a named state instead of the newest.
        state: id of a state, as ``.state`` of a stream gives it.
        unit: ``panel``: crops of single panels, each with its own part of the caption, instead of whole images.
        groups: licence groups that may come, of a store; a server has its own.
        verify: compare every image's hash; without it, samples are only counted.
        headers: for a server, e.g. Authorization.
        filters: fields of `dataset.filters.Filters`, e.g. ``mesh="Skin Neoplasms"``, ``published_from="2015"``.

    Raises:
        StreamError: what is asked for is not there or not served.
        pydantic.ValidationError: a filter or number cannot be.
        OSError: store or server cannot be read.
    """
    rank = int(os.environ.get("RANK", "0")) if rank is None else rank
    world = int(os.environ.get("WORLD_SIZE", "1")) if world is None else world
    part = Part(seed=seed, epoch=epoch, rank=rank, world=world, shuffle=shuffle, limit=limit)
    options = {**Filters(**filters).active(), "subset": subset, "snapshot": snapshot, "state": state}
    if unit != "image":
        options["unit"] = unit
    return Stream(source, part, options, epochs=epochs, verify=verify, groups=groups, headers=headers)


def _is_server(source: str, headers: Mapping[str, str]) -> bool:
    """Whether an address is a server of ours; every other is the root of a store."""
    if not source.startswith(("http://", "https://")):
        return False
    if headers:
        return True
    try:
        return not Files(source).exists(POINTER)
    except PermissionError:
        return True


def _worker() -> tuple[int, int]:
    """Which worker of a `torch` DataLoader this process is, of how many."""
    data = sys.modules.get("torch.utils.data")
    info = data.get_worker_info() if data else None
    return (info.id, info.num_workers) if info else (0, 1)


def _word(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
