"""Pages for annotators: contact sheets of concepts, single images, one form for both. They work without scripts.

Everything is a link or a form; keys (``static/label.js``) only press them. What does not belong here: what there is to
look at and who said what (`labelling`), REST (`labelling_api`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Query, Request, UploadFile
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from biomedica_assets.labels.review import ToReview
from biomedica_assets.labels.sheets import SheetsRecord
from biomedica_assets.labels.taxonomy import Axis, Label
from biomedica_assets.labels.vote_csv import CsvError, import_csv
from biomedica_assets.labels.votes import NewVote, Vote, faults_of
from biomedica_assets.serve.gallery import Gallery
from biomedica_assets.serve.ids import ArticleId, FigurePart, Ordinal, figure_path
from biomedica_assets.serve.labelling import Desk, annotator_of, following
from biomedica_assets.serve.problems import ProblemError
from biomedica_assets.serve.state import State

COOKIE = "annotator"
PAGE = 100
_FORM_BYTES = 1 << 18
_LONGEST = 86_400.0
"""Seconds: a page left open overnight says nothing of how long the answer took."""
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
"""With no-referrer browsers hide where a form was sent from, and no form could be told from another site's."""


class LabellingPages:
    """The pages over a desk, rendered as the gallery's."""

    def __init__(self, state: State, desk: Desk, gallery: Gallery) -> None:
        self._state, self._desk, self._gallery = state, desk, gallery
        self._base = f"{state.site.root}/label"

    def _render(self, template: str, status: int = 200, **context: Any) -> Response:
        return self._gallery.render(template, status, _HEADERS, taxonomy=self._desk.taxonomy, **context)

    def _to(self, path: str) -> Response:
        return RedirectResponse(self._base + path, 303, headers=_HEADERS)

    def _annotator(self, request: Request) -> str:
        """Who it is: the key's name, else what the browser was told. Raises ProblemError 403, and `_Nobody`."""
        annotator = self._desk.admit(request) or annotator_of(request.cookies.get(COOKIE))
        if annotator is None:
            raise _NobodyError
        return annotator

    # Pages ----------------------------------------------------------------------------------------------------

    def start(self, request: Request, page: int, **told: Any) -> Response:
        """Concepts with one's own answers, and how far everybody is."""
        key = self._desk.admit(request)
        sheets = self._desk.sheets()
        annotator = key or annotator_of(request.cookies.get(COOKIE))
        if annotator is None:
            suggested = request.query_params.get(COOKIE, "")[:40]
            return self._render("label_start.html", annotator=None, suggested=suggested)
        votes = self._desk.votes_of(annotator)
        order = self._desk.concepts(sheets)
        rows = [
            {
                "concept": n,
                "images": sheets.images[n],
                "vote": votes.get(f"concept:{sheets.space}/{n}"),
            }
            for n in order[(page - 1) * PAGE : page * PAGE]
        ]
        return self._render(
            "label_start.html",
            annotator=annotator,
            named_by_key=key is not None,
            sheets=sheets,
            rows=rows,
            total=len(order),
            page=page,
            pages=-(-len(order) // PAGE),
            progress={annotator: (0, 0)} | self._desk.progress(sheets.space),
            open_images=sum(1 for one in self._desk.queue() if f"image:{one.sha256}" not in votes),
            **told,
        )

    def concept(self, request: Request, number: int, **again: Any) -> Response:
        """One concept: its contact sheet and the form."""
        annotator, sheets = self._annotator(request), self._desk.sheets()
        members = self._desk.members(sheets, number)
        return self._form(
            request,
            annotator,
            self._desk.votes_of(annotator),
            f"concept:{sheets.space}/{number}",
            self._pages_of_concepts(sheets),
            title=f"Concept {number}",
            roles=[
                (role, [(row, one) for row, one in members if row["role"] == role])
                for role in ("nearest", "farthest", "random")
            ],
            image=None,
            said=[],
            facts=f"{sheets.images[number]} images",
            hidden={"space": sheets.space},
            shown=[one.image_id for _, one in members if one.thumbnail_url],
            **again,
        )

    def image(self, request: Request, image_id: str, **again: Any) -> Response:
        """One image and the form."""
        annotator = self._annotator(request)
        picture = self._desk.picture(image_id)
        if picture is None:
            raise ProblemError(404, "unknown", f"there is no image {image_id}")
        queue = self._desk.queue()
        target = f"image:{picture.sha256}"
        listed = next((one for one in queue if one.sha256 == picture.sha256), None)
        facts = f"{listed.disagreements} disagreements, uncertainty {listed.uncertainty:.2f}" if listed else ""
        return self._form(
            request,
            annotator,
            self._desk.votes_of(annotator),
            target,
            _pages_of_images(queue),
            title=f"Image {picture.image_id}",
            roles=[],
            image=picture,
            said=listed.said if listed else [],
            facts=facts,
            hidden={"sha256": picture.sha256},
            shown=[picture.image_id] if picture.url else [],
            **again,
        )

    def _form(
        self,
        request: Request,
        annotator: str,
        votes: Mapping[str, Vote],
        target: str,
        pages: Mapping[str, str],
        faults: str = "",
        given: Mapping[str, Any] | None = None,
        **context: Any,
    ) -> Response:
        vote, order = votes.get(target), list(pages)
        at = order.index(target) if target in order else -1
        saved = request.query_params.get("saved", "")
        return self._render(
            "label_form.html",
            422 if faults else 200,
            annotator=annotator,
            vote=vote,
            given=given if given is not None else _given(vote),
            faults=faults,
            before=pages[order[at - 1]] if at > 0 else None,
            after=pages[order[at + 1]] if 0 <= at < len(order) - 1 else None,
            place=at + 1,
            done=sum(1 for one in order if one in votes),
            total=len(order),
            saved=saved if re.fullmatch(r"\d{8}T\d{12}Z-[0-9a-f]{16}", saved) else None,
            begun=round(time.time(), 1),
            tree=_tree,
            **context,
        )

    def _pages_of_concepts(self, sheets: SheetsRecord) -> dict[str, str]:
        """Concepts in their order as votes name them, each with its page below ``/label``."""
        return {f"concept:{sheets.space}/{n}": f"/concepts/{n}" for n in self._desk.concepts(sheets)}

    def next(self, request: Request, kind: str, here: str | None = None, saved: str = "") -> Response:
        """To the first target that has no answer yet, behind the one given."""
        annotator = self._annotator(request)
        sheets = self._desk.sheets()
        votes = self._desk.votes_of(annotator)
        pages = self._pages_of_concepts(sheets) if kind == "concept" else _pages_of_images(self._desk.queue())
        target = following(list(pages), votes, here)
        suffix = f"?saved={saved}" if saved else ""
        return self._to(pages[target] + suffix if target else f"?done={kind}")

    # Votes ----------------------------------------------------------------------------------------------------

    def save(self, request: Request, form: FormData, named: dict[str, Any]) -> Response:
        """Keep what a form says and go on; the form again where it cannot be kept."""
        annotator = self._annotator(request)
        given = _read(form, [axis.id for axis in self._desk.taxonomy.axes])
        replaced = str(form.get("supersedes") or "") or None
        try:
            new = NewVote(
                annotator=annotator,
                seconds=_seconds(form.get("begun")),
                shown=tuple(str(form.get("shown") or "").split("|")) if form.get("shown") else (),
                supersedes=replaced,
                **given,
                **named,
            )
            if new.empty and not replaced:
                return self._again(request, named, given, "Nothing is chosen: pick a label, or say mixed or unsure.")
            vote = self._desk.cast(new)
        except ValidationError as error:
            return self._again(request, named, given, "; ".join(faults_of(error))[:500])
        except ProblemError as error:
            if error.status != 422:
                raise
            return self._again(request, named, given, error.detail)
        return self.next(request, new.target_kind, new.target, vote.vote_id)

    def _again(self, request: Request, named: dict[str, Any], given: dict[str, Any], faults: str) -> Response:
        if named["target_kind"] == "concept":
            return self.concept(request, named["concept"], faults=faults, given=given)
        return self.image(request, named["image_id"], faults=faults, given=given)

    def undo(self, request: Request, vote_id: str) -> Response:
        """Take a vote back and show its target again."""
        vote = self._desk.undo(self._annotator(request), vote_id)
        if vote.target_kind == "concept":
            return self._to(f"/concepts/{vote.concept}")
        return self._to(f"/images/{figure_path(vote.image_id or '')}")

    def take(self, request: Request, data: bytes) -> Response:
        """Keep one's own votes of a CSV file, and say what became of them."""
        annotator = self._annotator(request)
        try:
            done = import_csv(self._desk.files, data, self._desk.taxonomy, annotator=annotator)
        except CsvError as error:
            return self.start(request, 1, import_fault=str(error)[:500])
        return self.start(request, 1, imported=done)

    def begin(self, request: Request, name: str) -> Response:
        """Remember who the annotator is, in a cookie of these pages."""
        self._desk.admit(request)
        annotator = annotator_of(name.strip().lower())
        if annotator is None:
            detail = "a name is made of small letters, digits, _ and -, 40 at most"
            return self._render("label_start.html", 422, annotator=None, suggested=name[:40], faults=detail)
        answer = self._to("")
        answer.set_cookie(
            COOKIE, annotator, max_age=365 * 86_400, path=self._base, httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    # Routes ---------------------------------------------------------------------------------------------------

    def router(self) -> APIRouter:
        """The routes of the pages: not part of the API's description."""
        routes = APIRouter(prefix="/label", include_in_schema=False, default_response_class=HTMLResponse)

        def known(make: Any, *args: Any, **more: Any) -> Response:
            try:
                answer: Response = make(*args, **more)
            except _NobodyError:
                return self._to("")
            return answer

        @routes.get("")
        def start(request: Request, page: int = Query(1, ge=1, le=1_000_000)) -> Response:
            return self.start(request, page)

        @routes.post("")
        async def begin(request: Request) -> Response:
            form = await _form_of(request)
            return await run_in_threadpool(self.begin, request, str(form.get(COOKIE) or ""))

        @routes.get("/concepts")
        def next_concept(request: Request) -> Response:
            return known(self.next, request, "concept")

        @routes.get("/images")
        def next_image(request: Request) -> Response:
            return known(self.next, request, "image")

        @routes.get("/concepts/{number}")
        def concept(request: Request, number: int) -> Response:
            return known(self.concept, request, number)

        @routes.post("/concepts/{number}")
        async def save_concept(request: Request, number: int) -> Response:
            form = await _form_of(request)
            named = {"target_kind": "concept", "space": str(form.get("space") or ""), "concept": number}
            return await run_in_threadpool(known, self.save, request, form, named)

        @routes.get("/images/{article_id}/{figure}/{ordinal}")
        def image(request: Request, article_id: ArticleId, figure: FigurePart, ordinal: Ordinal) -> Response:
            return known(self.image, request, f"{article_id}/{figure}/{ordinal}")

        @routes.post("/images/{article_id}/{figure}/{ordinal}")
        async def save_image(request: Request, article_id: ArticleId, figure: FigurePart, ordinal: Ordinal) -> Response:
            form = await _form_of(request)
            image_id = f"{article_id}/{figure}/{ordinal}"
            named = {"target_kind": "image", "image_id": image_id, "sha256": str(form.get("sha256") or "")}
            return await run_in_threadpool(known, self.save, request, form, named)

        @routes.post("/import")
        async def take(request: Request, file: UploadFile) -> Response:
            data = await file.read()
            return await run_in_threadpool(known, self.take, request, data)

        @routes.post("/undo")
        async def undo(request: Request) -> Response:
            form = await _form_of(request)
            return await run_in_threadpool(known, self.undo, request, str(form.get("vote_id") or ""))

        return routes


class _NobodyError(Exception):
    """The caller has not said who it is."""


async def _form_of(request: Request) -> FormData:
    """A small form. Raises ProblemError 413."""
    body = await request.body()
    if len(body) > _FORM_BYTES:
        raise ProblemError(413, "size", f"this form may have {_FORM_BYTES} bytes")
    return await request.form(max_files=0, max_fields=1000)


def _pages_of_images(queue: Sequence[ToReview]) -> dict[str, str]:
    """Images of the list in their order as votes name them, each with its page below ``/label``."""
    return {f"image:{one.sha256}": f"/images/{figure_path(one.image_id)}" for one in queue}


def _read(form: FormData, axes: Sequence[str]) -> dict[str, Any]:
    """What a form says, as fields of a vote. Labels are checked later."""
    chosen = {axis: tuple(filter(None, dict.fromkeys(map(str, form.getlist(f"axis.{axis}"))))) for axis in axes}
    return {
        "answers": {axis: labels for axis, labels in chosen.items() if labels},
        "mixed": "mixed" in form,
        "unsure": "unsure" in form,
        "comment": str(form.get("comment") or ""),
    }


def _given(vote: Vote | None) -> dict[str, Any]:
    names = ("answers", "mixed", "unsure", "comment")
    return {name: getattr(vote, name) for name in names} if vote else dict.fromkeys(names, None) | {"answers": {}}


def _seconds(begun: Any) -> float | None:
    try:
        passed = round(time.time() - float(str(begun)), 1)
    except ValueError:
        return None
    return passed if 0 <= passed <= _LONGEST else None


def _tree(axis: Axis) -> list[tuple[Label, list[Label]]]:
    """Labels without one above them, each with all below it, in the taxonomy's order."""
    above = {label.id: label.parent for label in axis.labels}

    def root(label: str) -> str:
        while parent := above[label]:
            label = parent
        return label

    tops = [label for label in axis.labels if not label.parent]
    return [(top, [one for one in axis.labels if one.parent and root(one.id) == top.id]) for top in tops]
