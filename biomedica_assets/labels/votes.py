"""Votes: what an annotator said of a concept or an image. Append-only; nothing that was said is changed or deleted.

A vote is one JSON file, ``votes/<annotator>/<vote_id>.json``, made by one atomic put that never replaces another: it is
there whole or not at all, and annotators at work at the same time cannot get in each other's way. Ids sort by time. Of
an annotator's votes for one target the newest counts (`current_votes`); an empty one takes back what was said before.

What does not belong here: reading many votes quickly (`vote_log`), CSV (`vote_csv`), what follows from votes
(`consensus`), who may vote (`serve`).
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from biomedica_assets.labels.taxonomy import Taxonomy
from biomedica_assets.store.files import Files

FOLDER = "votes"
MAX_BYTES = 1 << 18
"""No vote is larger; what is, is not one."""

Annotator = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
"""Lower case, so that no two are one folder on a file system that ignores case."""
VoteId = Annotated[str, Field(pattern=r"^\d{8}T\d{12}Z-[0-9a-f]{16}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
_ImageId = Annotated[str, Field(min_length=1, max_length=600)]


class VoteError(ValueError):
    """A vote cannot be taken; ``faults`` says everything that is wrong with it."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class NewVote(BaseModel):
    """What an annotator says, before it is a vote. Raises pydantic's ValidationError.

    Either (``space``, ``concept``) or (``image_id``, ``sha256``) is the target. ``answers`` are labels by axis; an axis
    that is left out was not answered. ``mixed``: on the axes left out, the concept's pictures have no label in common.
    ``unsure``: the annotator looked and could not tell. ``shown``: the images looked at. ``seconds``: how long it took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    annotator: Annotator
    target_kind: Literal["concept", "image"]
    space: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,80}$")] | None = None
    concept: Annotated[int, Field(ge=0, lt=10_000_000)] | None = None
    image_id: _ImageId | None = None
    sha256: Sha256 | None = None
    answers: dict[_Name, Annotated[tuple[_Name, ...], Field(max_length=50)]] = Field(default={}, max_length=20)
    mixed: bool = False
    unsure: bool = False
    comment: Annotated[str, Field(min_length=1, max_length=4000)] | None = None
    shown: Annotated[tuple[_ImageId, ...], Field(max_length=500)] = ()
    seconds: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    supersedes: VoteId | None = None
    source: Literal["web", "csv", "simulated"] = "web"

    @field_validator("comment", mode="before")
    @classmethod
    def _no_empty_text(cls, value: Any) -> Any:
        return (value.strip() or None) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        concept, image = (self.space, self.concept), (self.image_id, self.sha256)
        wanted, other = (concept, image) if self.target_kind == "concept" else (image, concept)
        if None in wanted or other != (None, None):
            raise ValueError("a concept is named by space and concept, an image by image_id and sha256, not by both")
        return self

    @property
    def target(self) -> str:
        """What it is about: ``concept:<space>/<number>`` or ``image:<sha256>``; equal pictures are one target."""
        if self.target_kind == "concept":
            return f"concept:{self.space}/{self.concept}"
        return f"image:{self.sha256}"

    @property
    def empty(self) -> bool:
        """Says nothing of the target: takes back what the annotator said before."""
        return not (self.answers or self.mixed or self.unsure)


class Vote(NewVote):
    """A vote as it is kept. ``taxonomy`` is `Taxonomy.id` of then; keys of newer writers are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    vote_id: VoteId
    created_at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")]
    taxonomy: Annotated[str, Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if self.vote_id[:22] != re.sub("[-:.]", "", self.created_at):
            raise ValueError(f"vote_id and created_at name different times: {self.vote_id}, {self.created_at}")
        return self

    @property
    def path(self) -> str:
        """Its file below the store."""
        return f"{FOLDER}/{self.annotator}/{self.vote_id}.json"

    def to_json(self) -> bytes:
        """The file's bytes."""
        return self.model_dump_json(indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Raises VoteError."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise VoteError(faults_of(error)) from error


def faults_of(error: ValidationError) -> list[str]:
    """What pydantic found, one line each, for people."""
    return [f"{'.'.join(map(str, e['loc'])) or 'vote'}: {e['msg']}" for e in error.errors()]


def cast_vote(files: Files, new: NewVote, taxonomy: Taxonomy) -> Vote:
    """Keep a vote; when this returns it is on the disk. Safe to repeat: of equal votes the newest counts, as of others.

    Raises:
        VoteError: the taxonomy has no such answers, or ``supersedes`` names no vote of this annotator for this target.
        OSError: the store cannot be written; the vote is then not there, or there whole.
    """
    faults = taxonomy.faults_of(new.answers)
    if new.supersedes and not faults:
        faults = _faults_of_superseded(files, new)
    if faults:
        raise VoteError(faults)
    while True:
        moment = _clock.now()
        vote_id = f"{moment:%Y%m%dT%H%M%S%f}Z-{secrets.token_hex(8)}"
        created = f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
        vote = Vote(**new.model_dump(), vote_id=vote_id, created_at=created, taxonomy=taxonomy.id)
        if keep_vote(files, vote):
            return vote


def keep_vote(files: Files, vote: Vote) -> bool:
    """Write a vote that has its id; false when another vote has that id. A vote that is there already is fine."""
    try:
        files.create(vote.path, vote.to_json())
    except FileExistsError:
        return Vote.from_json(files.read(vote.path)) == vote  # ours, if only the store's answer was lost
    return True


def _faults_of_superseded(files: Files, new: NewVote) -> list[str]:
    from biomedica_assets.labels.vote_log import find_vote

    assert new.supersedes
    before = find_vote(files, new.annotator, new.supersedes)
    if before is None:
        return [f"supersedes: {new.annotator} has no vote {new.supersedes}"]
    return [] if before.target == new.target else [f"supersedes: {new.supersedes} is about {before.target}"]


class _Clock:
    """UTC in microseconds, later at every call in this process though the system's clock may stand or step back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        with self._lock:
            self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
            return self._last


_clock = _Clock()


def current_votes(votes: Iterable[Vote]) -> list[Vote]:
    """The votes that count: of each annotator and target the newest, unless it is empty. By target and annotator.

    Newest is what no other one supersedes, then by time: a vote from a machine whose clock is behind still wins over
    the one it was cast to replace.
    """
    held: dict[tuple[str, str], list[Vote]] = {}
    for vote in votes:
        held.setdefault((vote.target, vote.annotator), []).append(vote)
    newest = (_newest(held[key]) for key in sorted(held))
    return [vote for vote in newest if not vote.empty]


def _newest(votes: list[Vote]) -> Vote:
    replaced = {vote.supersedes for vote in votes}
    heads = [vote for vote in votes if vote.vote_id not in replaced]
    return max(heads or votes, key=lambda vote: vote.vote_id)  # no heads: a circle, which only an edited file can make


_PATH = re.compile(rf"{FOLDER}/([a-z0-9][a-z0-9_-]*)/(\d{{8}}T\d{{12}}Z-[0-9a-f]{{16}})\.json")


def loose_votes(files: Files) -> Iterator[tuple[str, str, str]]:
    """(vote_id, annotator, path) of every vote that is a file of its own; other files are passed over."""
    for path, _ in files.list(FOLDER):
        if found := _PATH.fullmatch(path):
            yield found[2], found[1], path
