"""REST for labelling: what there is to look at, one's votes, CSV. All of it is about one annotator at a time.

What does not belong here: HTML (`labelling_pages`), who may call (`limits`, `labelling.Desk.admit`).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from biomedica_assets.labels.vote_csv import CsvError, axes_of, export_csv, import_csv
from biomedica_assets.labels.votes import Annotator
from biomedica_assets.serve import labelling_models as models
from biomedica_assets.serve.labelling import Desk
from biomedica_assets.serve.problems import ProblemError, documented, invalid_at

_ERRORS = 1000
_Who = Annotated[Annotator, Query(description="whose votes; with an API key, that key's name")]
_CSV: dict[int | str, dict[str, Any]] = {200: {"description": "the votes as CSV", "content": {"text/csv": {}}}}
_CSV_BODY = {"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}}


def _admitted(request: Request) -> str | None:
    desk: Desk = request.app.state.desk
    return desk.admit(request)


_Key = Annotated[str | None, Depends(_admitted)]


def router(desk: Desk) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/labelling", tags=["labelling"])

    @routes.get("", summary="What there is to label", responses=documented(403))
    def labelling(key: _Key) -> models.Labelling:
        """Numbers of concepts and images, and how far annotators are. What they say is told to nobody else."""
        sheets = desk.sheets()
        return models.Labelling(
            taxonomy=desk.taxonomy.id,
            space=sheets.space,
            concepts=len(desk.concepts(sheets)),
            images=len(desk.queue()),
            progress=[
                models.Progress(annotator=name, concepts=concepts, images=images)
                for name, (concepts, images) in desk.progress(sheets.space).items()
            ],
        )

    @routes.get("/taxonomy", summary="Questions and labels", responses=documented(403))
    def taxonomy(key: _Key) -> list[models.AxisModel]:
        """The axes of the taxonomy, each with its labels."""
        return [
            models.AxisModel(
                axis=axis.id,
                question=axis.question,
                several=axis.several,
                labels=[
                    models.LabelModel(label=one.id, name=one.name, definition=one.definition, parent=one.parent)
                    for one in axis.labels
                ],
            )
            for axis in desk.taxonomy.axes
        ]

    @routes.get("/concepts", summary="Concepts, the largest first", responses=documented(403))
    def concepts(
        key: _Key,
        annotator: _Who,
        offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> models.Concepts:
        """With what the annotator has said of each."""
        _same(key, annotator)
        sheets = desk.sheets()
        votes, order = desk.votes_of(annotator), desk.concepts(sheets)
        return models.Concepts(
            space=sheets.space,
            total=len(order),
            concepts=[
                models.ConceptSummary(
                    concept=n,
                    images=sheets.images[n],
                    pictures=sheets.pictures[n],
                    state=models.state_of(votes.get(f"concept:{sheets.space}/{n}")),
                )
                for n in order[offset : offset + limit]
            ],
        )

    @routes.get("/concepts/{concept}", summary="The contact sheet of a concept", responses=documented(403, 404))
    def sheet(key: _Key, concept: Annotated[int, Path(ge=0, lt=10_000_000)]) -> models.Sheet:
        """Its nearest, farthest and some random members."""
        sheets = desk.sheets()
        found = desk.members(sheets, concept)
        return models.Sheet(
            space=sheets.space,
            concept=concept,
            images=sheets.images[concept],
            members=[
                models.Member(
                    role=row["role"],
                    distance=row["distance"],
                    image_id=one.image_id,
                    url=one.url,
                    thumbnail_url=one.thumbnail_url,
                    not_served=one.not_served,
                )
                for row, one in found
            ],
        )

    @routes.get("/images", summary="Images to review, the most doubtful first", responses=documented(403))
    def images(key: _Key, annotator: _Who, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> models.ReviewImages:
        """Those that sources disagree about, then those the classifier is unsure of."""
        _same(key, annotator)
        votes = desk.votes_of(annotator)
        return models.ReviewImages(
            images=[
                models.ReviewImage(
                    image_id=one.image_id,
                    sha256=one.sha256,
                    uncertainty=one.uncertainty,
                    disagreements=one.disagreements,
                    state=models.state_of(votes.get(f"image:{one.sha256}")),
                    said=[models.Said(**said) for said in one.said],
                )
                for one in desk.queue()[:limit]
            ]
        )

    @routes.get("/votes", summary="What an annotator says", responses=documented(403))
    def votes(key: _Key, annotator: _Who) -> models.Votes:
        """Of each target the vote that counts."""
        _same(key, annotator)
        return models.Votes(
            annotator=annotator, votes=[models.VoteOut.of(vote) for vote in desk.votes_of(annotator).values()]
        )

    @routes.post("/votes", status_code=201, summary="Vote", responses=documented(400, 403, 404, 409, 413))
    def cast(key: _Key, vote: models.VoteIn) -> models.VoteOut:
        """Kept when this answers. The newest vote for a target counts; one without answers takes back."""
        _same(key, vote.annotator)
        try:
            return models.VoteOut.of(desk.cast(vote.vote()))
        except ValidationError as error:
            raise invalid_at("body", error) from error

    @routes.get(
        "/votes.csv", summary="An annotator's votes as CSV", response_class=Response, responses=documented(403) | _CSV
    )
    def export(key: _Key, annotator: _Who) -> Response:
        """All of them, also those that count no more."""
        _same(key, annotator)
        found = desk.log_of(annotator)
        text = "".join(export_csv(found, axes_of(found, desk.taxonomy)))
        headers = {"Content-Disposition": f'attachment; filename="votes-{annotator}.csv"', "Cache-Control": "no-store"}
        return Response(text, media_type="text/csv", headers=headers)

    @routes.post(
        "/votes.csv",
        summary="Take votes from CSV",
        responses=documented(400, 403, 413),
        openapi_extra=_CSV_BODY,
    )
    async def take(request: Request, key: _Key, annotator: _Who) -> models.ImportResult:
        """Rows of other annotators are refused; rows that are there already do no harm."""
        _same(key, annotator)
        data = await request.body()
        try:
            done = await run_in_threadpool(import_csv, desk.files, data, desk.taxonomy, annotator=annotator)
        except CsvError as error:
            raise ProblemError(400, "csv", str(error)[:1000]) from error
        errors = [models.RowProblem(line=one.line, message=one.message[:300]) for one in done.errors[:_ERRORS]]
        return models.ImportResult(kept=done.kept, present=done.present, errors=errors)

    return routes


def _same(key: str | None, annotator: str) -> None:
    """Who has a key is that annotator and no other. Raises ProblemError 403."""
    if key is not None and key != annotator:
        raise ProblemError(403, "annotator", f"with this key the annotator is {key}")
