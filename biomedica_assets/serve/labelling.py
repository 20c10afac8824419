"""The desk at which annotators work: what is to be looked at, what one has said of it, and the keeping of new votes.

Annotators are blind to each other: everything here answers about one annotator, of the others only how far they are.
What does not belong here: HTML (`labelling_pages`), REST (`labelling_api`), what votes are (`labels.votes`).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa
from fastapi import Request
from pydantic import TypeAdapter, ValidationError

from biomedica_assets import schemas
from biomedica_assets.labels.review import ToReview, chosen_chunks, review_queue
from biomedica_assets.labels.sheets import SheetsRecord, members_of, read_member_table, read_sheets
from biomedica_assets.labels.taxonomy import Taxonomy, load_taxonomy
from biomedica_assets.labels.vote_log import VoteLog
from biomedica_assets.labels.votes import Annotator, NewVote, Vote, VoteError, cast_vote
from biomedica_assets.schemas import Row
from biomedica_assets.serve.ids import IMAGE_ID, parse_article
from biomedica_assets.serve.limits import KEY_NAME, is_loopback, listed
from biomedica_assets.serve.problems import ProblemError
from biomedica_assets.serve.records import Recent
from biomedica_assets.serve.state import State
from biomedica_assets.settings import Settings
from biomedica_assets.store.derived import read_derived

NO_CONCEPTS = "this store has no contact sheets yet: run `biomedica build`, or materialize `contact_sheets`"
_ANNOTATOR: TypeAdapter[str] = TypeAdapter(Annotator)
OFF = "labelling is off here; its operator sets BIOMEDICA_SERVE_LABELLING=true"


def labelling_on(settings: Settings) -> bool:
    """Whether callers may vote: as set, else only where nobody but this machine can call, not even by a proxy."""
    if settings.serve_labelling is not None:
        return settings.serve_labelling
    others = settings.serve_names or settings.serve_proxies or settings.serve_open
    return is_loopback(settings.serve_host) and not others


def annotator_of(name: str | None) -> str | None:
    """The name, if an annotator may have it."""
    try:
        return _ANNOTATOR.validate_python(name)
    except ValidationError:
        return None


class Picture(NamedTuple):
    """An image as pages show it; without addresses and with a reason where it may not be shown."""

    image_id: str
    figure_id: str
    sha256: str
    url: str | None
    thumbnail_url: str | None
    not_served: str | None


class Desk:
    """See the module's docstring. Safe to use from many threads and in many processes over one store."""

    def __init__(self, state: State) -> None:
        self._state, self.files = state, state.files
        self._log = VoteLog(state.files)
        self._indexed = -1
        self._index: dict[str, dict[str, Vote]] = {}
        self._lock = threading.Lock()
        self._queueing = threading.Lock()
        self._tables: Recent[pa.Table] = Recent(2)
        self._queues: Recent[list[ToReview]] = Recent(1)

    @property
    def on(self) -> bool:
        """Whether callers may vote."""
        return labelling_on(self._state.settings)

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The taxonomy that votes are in. Raises TaxonomyError."""
        return load_taxonomy(self._state.settings.taxonomy_file)

    # Who ------------------------------------------------------------------------------------------------------

    def admit(self, request: Request) -> str | None:
        """The annotator whom the caller's key names, if there is one.

        Raises:
            ProblemError: 403 where labelling is off, the key's name is not an annotator's, or another site's page
                makes the caller's browser write.
        """
        if not self.on:
            raise ProblemError(403, "off", OFF)
        if request.method not in ("GET", "HEAD"):
            check_same_origin(request, self._state.settings)
        key: str | None = request.scope.get(KEY_NAME)
        if key and not annotator_of(key):
            detail = f"the key {key} names no annotator: small letters, digits, _ and - do"
            raise ProblemError(403, "annotator", detail)
        return key

    # What -----------------------------------------------------------------------------------------------------

    def sheets(self) -> SheetsRecord:
        """The contact sheets in use. Raises ProblemError 503 before the first."""
        sheets = read_sheets(self.files)
        if sheets is None:
            raise ProblemError(503, "no-concepts", NO_CONCEPTS, {"Retry-After": "60"})
        return sheets

    def concepts(self, sheets: SheetsRecord) -> list[int]:
        """Concepts that have pictures, the largest first: each vote then speaks for as many images as it can."""
        return sorted((n for n, size in enumerate(sheets.pictures) if size), key=lambda n: (-sheets.images[n], n))

    def members(self, sheets: SheetsRecord, concept: int) -> list[tuple[Row, Picture]]:
        """What people look at, as listed; withdrawn pictures are left out. Raises ProblemError 404."""
        _check_concept(sheets, concept)
        table = self._tables.get(sheets.file.path, lambda: read_member_table(self.files, sheets))
        found = ((row, self.picture(row["image_id"], row["sha256"])) for row in members_of(table, concept))
        return [(row, picture) for row, picture in found if picture is not None]

    def picture(self, image_id: str, sha256: str | None = None) -> Picture | None:
        """An image; null when it is not current any more. Raises ProblemError 503 without a catalogue."""
        match = IMAGE_ID.fullmatch(image_id)
        if not match:
            return None
        article, part, ordinal = match.groups()
        figure_id = f"{article}/{part}"
        try:
            row = self._state.image(parse_article(article), part, int(ordinal))
        except ProblemError as error:
            if error.reason not in ("licence", "not-held"):
                if error.status == 503:
                    raise
                return None
            return Picture(image_id, figure_id, sha256 or "", None, None, error.detail)
        if sha256 and row["sha256"] != sha256:
            return None
        url, small = self._state.site.addresses(image_id, row["sha256"], row["width"])
        return Picture(image_id, figure_id, row["sha256"], url, small, None if small else "no preview")

    def queue(self) -> list[ToReview]:
        """Images to review, the most doubtful first; empty until there are annotations."""
        made = chosen_chunks(read_derived(self.files, schemas.ANNOTATIONS.name))
        generation = self._state.generation()
        stamp = (generation.id, *sorted(manifest.file.path for manifest in made.values()))
        with self._queueing:  # many ask at once when there is news: one of them works it out
            return self._queues.get(stamp, lambda: review_queue(self.files, generation, made, self.taxonomy))

    # Votes ----------------------------------------------------------------------------------------------------

    def votes_of(self, annotator: str) -> Mapping[str, Vote]:
        """What an annotator says as of now, by target."""
        return self._current().get(annotator, {})

    def log_of(self, annotator: str) -> list[Vote]:
        """All votes of an annotator, those that count no more included, by time."""
        self._log.refresh()
        return [vote for vote in self._log.votes if vote.annotator == annotator]

    def progress(self, space: str | None) -> dict[str, tuple[int, int]]:
        """By annotator how many concepts of the space and how many images have an answer."""
        found = {}
        for annotator, votes in sorted(self._current().items()):
            kinds = Counter(v.target_kind for v in votes.values() if v.target_kind == "image" or v.space == space)
            found[annotator] = (kinds["concept"], kinds["image"])
        return found

    def _current(self) -> Mapping[str, dict[str, Vote]]:
        with self._lock:
            self._log.refresh()
            if len(self._log) != self._indexed:  # votes are never fewer
                index: dict[str, dict[str, Vote]] = {}
                current = self._log.current()
                for vote in current:
                    index.setdefault(vote.annotator, {})[vote.target] = vote
                self._index, self._indexed = index, len(self._log)
            return self._index

    def cast(self, new: NewVote) -> Vote:
        """Keep a vote; when this returns it is in the store.

        Raises:
            ProblemError: 404 or 409 when the target is not there (any more), 422 for what the taxonomy forbids.
        """
        if new.target_kind == "concept":
            sheets = self.sheets()
            if new.space != sheets.space:
                detail = f"concepts of the space {new.space} are not looked at any more; it is {sheets.space} now"
                raise ProblemError(409, "space", detail)
            _check_concept(sheets, new.concept)
        else:
            self._check_image(new)
        try:
            return cast_vote(self.files, new, self.taxonomy)
        except VoteError as error:
            raise ProblemError(422, "vote", str(error)[:1000]) from error

    def _check_image(self, new: NewVote) -> None:
        picture = self.picture(new.image_id or "")
        if picture is None or picture.url is None:
            raise ProblemError(404, "unknown", f"there is no image {new.image_id} to vote on")
        if picture.sha256 != new.sha256:
            raise ProblemError(409, "changed", f"{new.image_id} is another picture now")

    def undo(self, annotator: str, vote_id: str) -> Vote:
        """Say again what was said before a vote: a new one, that replaces it. Raises ProblemError 404, 409."""
        votes = {vote.vote_id: vote for vote in self.log_of(annotator)}
        vote = votes.get(vote_id)
        if vote is None:
            raise ProblemError(404, "unknown", f"{annotator} has no vote {vote_id}")
        if any(other.supersedes == vote_id for other in votes.values()):
            raise ProblemError(409, "superseded", f"the vote {vote_id} has been replaced already")
        before = votes.get(vote.supersedes or "")
        named = {name: getattr(vote, name) for name in ("target_kind", "space", "concept", "image_id", "sha256")}
        said = {name: getattr(before, name) for name in ("answers", "mixed", "unsure", "comment")} if before else {}
        return self.cast(NewVote(annotator=annotator, shown=vote.shown, supersedes=vote_id, **named, **said))


def _check_concept(sheets: SheetsRecord, concept: int | None) -> None:
    """Raises ProblemError 404 when there is nothing of the concept to look at."""
    if concept is None or not (0 <= concept < len(sheets.pictures) and sheets.pictures[concept]):
        raise ProblemError(404, "unknown", f"there is no concept {concept} with pictures in {sheets.space}")


def following(order: Sequence[str], done: Mapping[str, Vote], here: str | None) -> str | None:
    """The first open target behind ``here``, from the beginning again after the last; null when all are done."""
    at = order.index(here) + 1 if here in order else 0
    return next((target for target in (*order[at:], *order[:at]) if target not in done and target != here), None)


def check_same_origin(request: Request, settings: Settings) -> None:
    """Refuse what another site's page makes a browser send. Programs that are no browsers say neither header.

    Raises:
        ProblemError: 403.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if site == "same-origin":
        return
    path = request.url.path.removeprefix(settings.serve_root.rstrip("/"))
    if origin in listed(settings.serve_origins) and path.startswith("/v1/"):
        return
    if site is None and (origin is None or urlsplit(origin).netloc == request.headers.get("host")):
        return
    raise ProblemError(403, "cross-site", "votes are taken from this server's own pages only")
