"""Models of the API for labelling. What does not belong here: what they are filled with (`labelling_api`)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from biomedica_assets.labels.votes import Annotator, NewVote, Sha256, Vote, VoteId

State = Literal["open", "answered", "mixed", "unsure"]
_Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Progress(BaseModel):
    """How far an annotator is."""

    annotator: Annotator
    concepts: int = Field(description="concepts of today's space with an answer")
    images: int = Field(description="images with an answer")


class Labelling(BaseModel):
    """What there is to do."""

    taxonomy: str = Field(description="id of the taxonomy that answers are in")
    space: str = Field(description="id of the concept space")
    concepts: int = Field(description="concepts with pictures")
    images: int = Field(description="images on the list for review")
    progress: list[Progress]


class AxisModel(BaseModel):
    """One question and its answers."""

    axis: str
    question: str
    several: bool = Field(description="whether several labels may be given")
    labels: list[LabelModel]


class LabelModel(BaseModel):
    """One label; what has it has its parent too."""

    label: str
    name: str
    definition: str
    parent: str | None


class ConceptSummary(BaseModel):
    """A concept, and what the annotator has said of it."""

    concept: int
    images: int
    pictures: int = Field(description="images, equal bytes counted once")
    state: State


class Concepts(BaseModel):
    """Concepts, the largest first."""

    space: str
    total: int
    concepts: list[ConceptSummary]


class Member(BaseModel):
    """A picture of a contact sheet."""

    image_id: str
    role: Literal["nearest", "farthest", "random"]
    distance: float
    url: str | None
    thumbnail_url: str | None
    not_served: str | None


class Sheet(BaseModel):
    """The contact sheet of a concept."""

    space: str
    concept: int
    images: int
    members: list[Member]


class Said(BaseModel):
    """What a source says of an image."""

    axis: str
    source: str
    label: str | None = Field(description="null: it abstains")
    probability: float | None
    decision: bool


class ReviewImage(BaseModel):
    """An image to look at."""

    image_id: str
    sha256: str
    uncertainty: float = Field(description="1: the classifier's least sure label is a toss-up, 0: certain")
    disagreements: int = Field(description="pairs of sources that contradict each other")
    state: State
    said: list[Said]


class ReviewImages(BaseModel):
    """Images to look at, the most doubtful first."""

    images: list[ReviewImage]


class VoteIn(BaseModel):
    """A vote to be cast: on a concept (`space`, `concept`) or an image (`image_id`, `sha256`)."""

    model_config = ConfigDict(extra="forbid")

    annotator: Annotator
    target_kind: Literal["concept", "image"]
    space: str | None = Field(None, max_length=80)
    concept: int | None = Field(None, ge=0, lt=10_000_000)
    image_id: str | None = Field(None, max_length=600)
    sha256: Sha256 | None = None
    answers: dict[_Label, Annotated[list[_Label], Field(max_length=50)]] = Field({}, max_length=20)
    mixed: bool = Field(False, description="the concept's pictures have no label in common")
    unsure: bool = Field(False, description="looked, and could not tell")
    comment: str | None = Field(None, max_length=4000)
    shown: list[Annotated[str, Field(min_length=1, max_length=600)]] = Field([], max_length=500)
    seconds: float | None = Field(None, ge=0, le=1e6)
    supersedes: VoteId | None = Field(None, description="the annotator's vote that this one replaces")

    def vote(self) -> NewVote:
        """Raises pydantic's ValidationError when it names no target, or two."""
        return NewVote(**self.model_dump(exclude_none=True), source="web")


class VoteOut(BaseModel):
    """A vote as it is kept."""

    vote_id: str
    annotator: str
    created_at: str
    target: str = Field(description="concept:<space>/<number> or image:<SHA-256>")
    taxonomy: str
    answers: dict[str, list[str]]
    mixed: bool
    unsure: bool
    comment: str | None
    supersedes: str | None
    source: str

    @classmethod
    def of(cls, vote: Vote) -> Self:
        """The same vote."""
        names = [name for name in cls.model_fields if name not in ("target", "answers")]
        answers = {axis: list(labels) for axis, labels in vote.answers.items()}
        return cls(target=vote.target, answers=answers, **{name: getattr(vote, name) for name in names})


class Votes(BaseModel):
    """What an annotator says as of now."""

    annotator: str
    votes: list[VoteOut]


class RowProblem(BaseModel):
    """A row of a CSV file that was not taken."""

    line: int
    message: str


class ImportResult(BaseModel):
    """What an import did."""

    kept: int = Field(description="votes kept now")
    present: int = Field(description="votes that were there already")
    errors: list[RowProblem] = Field(description="rows refused, 1000 at most")


def state_of(vote: Vote | None) -> State:
    """What has been said, in a word."""
    if vote is None:
        return "open"
    return "unsure" if vote.unsure else "mixed" if vote.mixed else "answered"
