"""Labelling without a browser: forms and REST, what is refused, that annotators are blind, that nothing is lost."""

from __future__ import annotations

import re
import threading

import pytest

from biomedica_assets.labels.review import review_queue
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.vote_log import VoteLog
from biomedica_assets.serve.keys import new_key
from biomedica_assets.serve.labelling import following, labelling_on
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import read_generation
from biomedica_assets.store.derived import read_derived
from biomedica_assets_tests.serve.conftest import make_world, serving
from biomedica_assets_tests.serve.sheets import SPACE, annotate, images_of, write_sheets
from biomedica_assets_tests.serve.test_gallery import page


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Concepts 0 (2 images), 1 (none), 2 (4 images), 3 (one that is not served): order 2, 0, 3."""
    world = make_world(tmp_path_factory.mktemp("desk") / "world")
    rows = {row["image_id"]: row for row in images_of(world)}
    serial = [row for image_id, row in rows.items() if image_id.startswith("PMC2")]
    closed = [row for image_id, row in rows.items() if image_id.startswith("PMC13.")]
    write_sheets(world, [serial[:2], [], serial[2:6], closed])
    annotate(
        world,
        {
            # The sources name different things; the classifier is nearly sure.
            serial[0]["image_id"]: [
                ("figure_kind", "classifier", "micrograph", 0.95, True),
                ("figure_kind", "caption_rule", "bar_plot", 0.9, True),
            ],
            # One names what lies below the other: no disagreement. 1 - |2 * 0.6 - 1| = 0.8.
            serial[1]["image_id"]: [
                ("figure_kind", "classifier", "plot", 0.6, True),
                ("figure_kind", "caption_rule", "bar_plot", 0.9, True),
            ],
            serial[2]["image_id"]: [("figure_kind", "classifier", None, 0.5, False)],  # a toss-up: 1
            serial[3]["image_id"]: [("figure_kind", "review", "micrograph", 1.0, True)],  # has been looked at
        },
    )
    with serving(world) as served:
        served.serial = serial
        yield served


def of(desk, name):
    client = desk.client(follow_redirects=True)
    reply = client.post("/label", data={"annotator": name})
    assert reply.status_code == 200
    assert client.cookies["annotator"] == name
    return client


def fields(text):
    """Hidden fields of the form for votes."""
    form = text[text.index('<form id="vote"') :]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))


def votes(desk, annotator):
    log = VoteLog(desk.world.files)
    log.refresh()
    return [vote for vote in log.votes if vote.annotator == annotator]


def test_first_comes_the_name(desk):
    with desk.client(follow_redirects=True) as client:
        assert "Who is labelling?" in client.get("/label/concepts/2").text
        reply = client.post("/label", data={"annotator": "no spaces"})
        assert reply.status_code == 422
        assert "small letters" in reply.text
        assert 'value="bob"' in client.get("/label?annotator=bob").text, "a link may suggest a name, not choose it"
        assert not client.cookies


@pytest.mark.parametrize("path", ["/label", "/label/concepts/2", "/label/concepts/3"])
def test_pages_are_well_formed(desk, path):
    outline, text = page(of(desk, "reader"), path)
    assert all("alt" in image for image in outline.all("img"))
    assert len(outline.all("h1")) == 1
    assert not re.search(r"\son\w+=|style=|javascript:", text)


def test_a_licence_that_is_not_served_is_told_and_not_shown(desk):
    text = of(desk, "reader").get("/label/concepts/3").text
    assert "/v1/images/PMC13.1/" not in text
    assert "Not shown" in text
    assert fields(text)["shown"] == ""


def test_save_next_resume_undo_without_scripts(desk):
    client = of(desk, "ada")
    first = client.get("/label/concepts")
    assert first.url.path == "/label/concepts/2", "the largest comes first"
    given = fields(first.text)
    assert given["space"] == SPACE
    assert len(given["shown"].split("|")) == 4

    reply = client.post("/label/concepts/2", data=given)
    assert reply.status_code == 422
    assert "Nothing is chosen" in reply.text

    reply = client.post("/label/concepts/2", data=given | {"axis.figure_kind": ["bar_plot", "micrograph"],
        "axis.panel_type": "", "comment": "<b>odd</b>"})  # fmt: skip
    assert reply.url.path == "/label/concepts/0", "saving goes to the next"
    [vote] = votes(desk, "ada")
    assert vote.answers == {"figure_kind": ("bar_plot", "micrograph")}
    assert (vote.concept, vote.space, vote.comment, vote.source) == (2, SPACE, "<b>odd</b>", "web")
    assert 0 <= vote.seconds < 60
    assert of(desk, "ada").get("/label/concepts").url.path == "/label/concepts/0", "goes on where it stopped"

    again = client.get("/label/concepts/2").text
    assert "&lt;b&gt;odd" in again
    assert 'value="bar_plot" checked' in again
    assert fields(again)["supersedes"] == vote.vote_id
    reply = client.post("/label/concepts/2", data=fields(again) | {"mixed": "on"})
    assert "Saved" in reply.text
    undo = re.search(r'name="vote_id" value="([^"]+)"', reply.text)[1]
    reply = client.post("/label/undo", data={"vote_id": undo})
    assert reply.url.path == "/label/concepts/2"
    assert 'value="bar_plot" checked' in reply.text
    first_vote, second, third = votes(desk, "ada")
    assert (second.mixed, second.supersedes, third.supersedes) == (True, first_vote.vote_id, second.vote_id)
    assert third.answers == first_vote.answers
    assert client.post("/label/undo", data={"vote_id": undo}).status_code == 409, "once"
    client.post("/label/undo", data={"vote_id": third.vote_id})
    assert len(votes(desk, "ada")) == 4, "nothing is deleted"


def test_undo_of_a_first_vote_leaves_no_answer(desk):
    client = of(desk, "una")
    client.post("/label/concepts/2", data=fields(client.get("/label/concepts/2").text) | {"unsure": "on"})
    [vote] = votes(desk, "una")
    client.post("/label/undo", data={"vote_id": vote.vote_id})
    assert client.get("/label/concepts").url.path == "/label/concepts/2"
    assert VoteLog(desk.world.files).refresh()
    assert votes(desk, "una")[1].empty


def test_nobody_sees_what_others_say(desk):
    one, other = of(desk, "eve"), of(desk, "fay")
    given = fields(one.get("/label/concepts/0").text)
    one.post("/label/concepts/0", data=given | {"axis.figure_kind": "table", "comment": "secret of eve"})
    for path in ("/label", "/label/concepts/0", "/v1/labelling", "/v1/labelling/votes?annotator=fay"):
        text = other.get(path).text
        assert "secret" not in text
        assert 'value="table" checked' not in text
    assert "open" in re.search(r'concepts/0">.*?</a>', other.get("/label").text, re.DOTALL)[0]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ],
)
def test_other_sites_pages_cannot_vote(desk, headers):
    client = of(desk, "gil")
    for path in ("/label/concepts/2", "/label/undo", "/label"):
        assert client.post(path, data={"unsure": "on", "space": SPACE}, headers=headers).status_code == 403
    body = {"annotator": "gil", "target_kind": "concept", "space": SPACE, "concept": 2, "unsure": True}
    assert client.post("/v1/labelling/votes", json=body, headers=headers).status_code == 403
    assert votes(desk, "gil") == []


def test_pages_let_browsers_say_where_a_form_comes_from(desk):
    assert of(desk, "gil").get("/label").headers["referrer-policy"] == "same-origin"


def test_what_cannot_be_kept_is_refused(desk):
    client = of(desk, "hal")
    given = fields(client.get("/label/concepts/2").text)
    reply = client.post("/label/concepts/2", data=given | {"axis.figure_kind": "fundus_photography"})
    assert reply.status_code == 422
    assert "figure_kind has no label" in reply.text
    assert client.post("/label/concepts/2", data=given | {"comment": "x" * 4001, "mixed": "on"}).status_code == 422
    assert client.post("/label/concepts/2", data=given | {"comment": "x" * 300_000}).status_code == 413
    assert client.post("/label/concepts/2", data=given | {"space": "older", "unsure": "on"}).status_code == 409
    assert client.post("/label/concepts/1", data=given | {"unsure": "on"}).status_code == 404, "no pictures"
    body = {"annotator": "hal", "target_kind": "image", "image_id": desk.serial[0]["image_id"], "unsure": True}
    assert client.post("/v1/labelling/votes", json=body | {"sha256": "0" * 64}).status_code == 409
    assert client.post("/v1/labelling/votes", json=body).status_code == 422
    assert votes(desk, "hal") == []


def test_review_queue_has_the_doubtful_first(desk):
    files = desk.world.files
    queue = review_queue(files, read_generation(files), read_derived(files, "annotations"), load_taxonomy())
    serial = [row["image_id"] for row in desk.serial]
    assert [(one.image_id, one.disagreements) for one in queue] == [(serial[0], 1), (serial[2], 0), (serial[1], 0)]
    assert [one.uncertainty for one in queue] == pytest.approx([0.1, 1.0, 0.8], abs=1e-6)


def test_review_of_images(desk):
    client = of(desk, "ida")
    first = client.get("/label/images")
    assert first.url.path == f"/label/images/{desk.serial[0]['image_id']}"
    assert "What the machine says" in first.text
    reply = client.post(first.url.path, data=fields(first.text) | {"axis.figure_kind": "micrograph"})
    assert reply.url.path == f"/label/images/{desk.serial[2]['image_id']}"
    [vote] = votes(desk, "ida")
    assert vote.target == f"image:{desk.serial[0]['sha256']}"


def test_rest(desk):
    with desk.client() as client:
        overview = client.get("/v1/labelling").json()
        assert (overview["space"], overview["concepts"], overview["images"]) == (SPACE, 3, 3)
        axes = client.get("/v1/labelling/taxonomy").json()
        assert [axis["axis"] for axis in axes] == ["figure_kind", "modality", "specimen", "panel_type"]
        found = client.get("/v1/labelling/concepts", params={"annotator": "jo"}).json()
        assert [(one["concept"], one["state"]) for one in found["concepts"]] == [(2, "open"), (0, "open"), (3, "open")]
        assert len(client.get("/v1/labelling/concepts/2").json()["members"]) == 4
        assert client.get("/v1/labelling/concepts/1").status_code == 404
        body = {"annotator": "jo", "target_kind": "concept", "space": SPACE, "concept": 2,
                "answers": {"panel_type": ["single"]}}  # fmt: skip
        reply = client.post("/v1/labelling/votes", json=body)
        assert reply.status_code == 201
        assert reply.json()["target"] == f"concept:{SPACE}/2"
        assert client.get("/v1/labelling/votes?annotator=jo").json()["votes"] == [reply.json()]
        images = client.get("/v1/labelling/images?annotator=jo").json()["images"]
        assert images[0]["said"][0] == {"axis": "figure_kind", "source": "caption_rule", "label": "bar_plot",
                                        "probability": pytest.approx(0.9), "decision": True}  # fmt: skip

        table = client.get("/v1/labelling/votes.csv?annotator=jo")
        assert table.headers["content-type"].startswith("text/csv")
        reply = client.post("/v1/labelling/votes.csv?annotator=jo", content=table.content)
        assert reply.json() == {"kept": 0, "present": 1, "errors": []}
        reply = client.post("/v1/labelling/votes.csv?annotator=kim", content=table.content)
        assert reply.json()["errors"][0]["line"] == 2, "one's own votes only"
        assert client.post("/v1/labelling/votes.csv?annotator=kim", content=b"a,b\n").status_code == 400
    reply = of(desk, "jo").post("/label/import", files={"file": ("votes.csv", table.content)})
    assert "0 votes kept, 1 were there already" in reply.text


def test_a_key_is_an_annotator(desk, tmp_path):
    key, line = new_key("lea")
    (tmp_path / "keys.txt").write_text(line)
    with (
        serving(desk.world, serve_keys=str(tmp_path / "keys.txt")) as served,
        served.client(auth=("x", key), follow_redirects=True, cookies={"annotator": "mia"}) as client,
    ):
        given = fields(client.get("/label/concepts/2").text)
        client.post("/label/concepts/2", data=given | {"unsure": "on"})
        assert client.get("/v1/labelling/votes?annotator=mia").status_code == 403
    assert len(votes(desk, "lea")) == 1
    assert votes(desk, "mia") == []


@pytest.mark.parametrize(
    ("settings", "on"),
    [
        ({}, True),
        ({"serve_host": "0.0.0.0"}, False),
        ({"serve_names": "figures.example.org"}, False),
        ({"serve_proxies": "127.0.0.1"}, False),
        ({"serve_open": True}, False),
        ({"serve_host": "0.0.0.0", "serve_labelling": True}, True),
        ({"serve_labelling": False}, False),
    ],
)
def test_who_may_vote(settings, on):
    assert labelling_on(Settings(**settings, _env_file=None)) is on


def test_where_labelling_is_off_nothing_of_it_answers(desk):
    with serving(desk.world, serve_labelling=False) as served, served.client() as client:
        assert 'href="/label"' not in client.get("/").text
        for path in ("/label", "/label/concepts/2", "/v1/labelling", "/v1/labelling/votes?annotator=ada"):
            assert client.get(path).status_code == 403
        assert client.post("/label", data={"annotator": "ada"}).status_code == 403


def test_two_at_once_lose_nothing(desk):
    def work(name, failures):
        try:
            client = of(desk, name)
            for n in (2, 0, 3) * 5:
                given = fields(client.get(f"/label/concepts/{n}").text)
                reply = client.post(f"/label/concepts/{n}", data=given | {"axis.figure_kind": "plot"})
                assert reply.status_code == 200
        except BaseException as error:
            failures.append(error)

    failures = []
    threads = [threading.Thread(target=work, args=(name, failures)) for name in ("nia", "oto")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [len(votes(desk, name)) for name in ("nia", "oto")] == [15, 15]


def test_following():
    assert following(["a", "b", "c"], {}, None) == "a"
    assert following(["a", "b", "c"], {"b": None}, "a") == "c"
    assert following(["a", "b", "c"], {"c": None}, "c") == "a", "from the beginning again"
    assert following(["a"], {"a": None}, "a") is None
    assert following(["a"], {}, "gone") == "a"
