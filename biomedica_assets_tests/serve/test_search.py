"""Search over HTTP, and what a running server makes of news in its store."""

from __future__ import annotations

import base64

import pytest

from biomedica_assets.search.generation import build_index
from biomedica_assets_tests.ingest.releases import DAYS, picture
from biomedica_assets_tests.serve.conftest import ARTICLES, make_world, serving


def ids(reply):
    assert reply.status_code == 200, reply.text
    return {hit["article_id"] for hit in reply.json()["hits"]}


def search(client, **parameters):
    return client.get("/v1/search", params=parameters)


def test_words_are_found_and_marked(client):
    found = search(client, q="glomeruli", mode="keyword").json()
    assert {hit["article_id"] for hit in found["hits"]} == {"PMC11.1"}, "the same word of PMC13 is not served"
    pieces = found["hits"][0]["snippets"]["caption"]
    assert [piece["text"] for piece in pieces if piece["match"]] == ["Glomeruli"]
    assert found["hits"][0]["images"][0]["thumbnail_url"].startswith("/v1/images/PMC11.1/")


def test_get_and_post_answer_alike(client):
    body = {"text": "section", "mode": "keyword", "limit": 3, "filters": {"published_from": "2002"}}
    asked = {"q": "section", "mode": "keyword", "limit": 3, "published_from": "2002"}
    by_get, by_post = search(client, **asked).json(), client.post("/v1/search", json=body).json()
    assert by_get == by_post
    assert by_get["total"] == 4, "years 2002 to 2005"


def test_pages_by_cursor_hold_each_hit_once(client):
    seen, cursor, pages = [], None, 0
    while True:
        asked = {"q": "serial", "mode": "keyword", "limit": 4} | ({"cursor": cursor} if cursor else {})
        found = search(client, **asked).json()
        seen += [hit["figure_id"] for hit in found["hits"]]
        pages, cursor = pages + 1, found["next_cursor"]
        if cursor is None:
            break
    assert (len(seen), len(set(seen)), pages) == (6, 6, 2)


def test_filters_and_facets(client):
    assert ids(search(client, licence="CC BY-NC")) == {"PMC12.1"}
    assert ids(search(client, licence=["CC BY-NC", "CC BY"], published_from="2019", published_to="2020")) >= {"PMC12.1"}
    found = client.get("/v1/facets", params={"facet": ["licence", "year"]}).json()
    licences = {one["value"]: one["count"] for one in found["facets"]["licence"]}
    assert licences["CC BY-NC"] == 1
    assert sum(licences.values()) == found["total"]


@pytest.mark.parametrize(
    ("parameters", "status", "reason"),
    [
        ({"q": "x", "limit": 101}, 422, "invalid"),
        ({"q": "x", "limit": "many"}, 422, "invalid"),
        ({"qq": "x"}, 422, "invalid"),
        ({"cursor": "!!"}, 400, "cursor"),
        ({"mode": "magic"}, 422, "invalid"),
        ({"facet": "chunk"}, 422, "invalid"),
        ({"published_from": "2020' OR 1=1"}, 422, "invalid"),
        ({"q": "x" * 2001}, 422, "invalid"),
        ({"like": "PMC11.1/F1", "q": "x"}, 422, "invalid"),
        ({"width_min": 5, "width_max": 4}, 422, "invalid"),
        ({"label": "histology"}, 400, "query"),
    ],
)
def test_bad_questions_are_the_askers(client, parameters, status, reason):
    reply = search(client, **parameters)
    assert (reply.status_code, reply.json()["reason"]) == (status, reason), reply.text


def test_what_a_question_holds_never_reaches_the_store_as_code(client):
    for nasty in ("'; DROP TABLE current; --", '"', "caption:(", "\x00\t\n", "../../etc", "%00", "🫀" * 100):
        assert search(client, q=nasty).status_code in (200, 400), nasty
        assert search(client, journal=nasty).status_code in (200, 422), nasty


def test_a_picture_as_question(client):
    reply = client.post("/v1/search", json={"image": base64.b64encode(picture(3)).decode()})
    assert reply.status_code in (200, 400), "400 while the store has no image vectors"
    assert client.post("/v1/search", json={"image": "no base64!"}).status_code == 422
    large = client.post("/v1/search", json={"image": "A" * (13 << 20)})
    assert (large.status_code, large.json()["reason"]) == (413, "size")


def test_a_retracted_article_disappears_while_the_server_runs(tmp_path):
    world = make_world(tmp_path / "world")
    with serving(world) as served, served.client() as client:
        before = client.get("/v1/articles/PMC11").json()["figures"][0]
        picture_url, thumbnail = before["images"][0]["url"], before["images"][0]["thumbnail_url"]
        page = f"/figures/{before['figure_id']}"
        assert client.get(thumbnail).status_code == 200, "in the cache of thumbnails from now on"
        assert client.get(page).status_code == 200
        assert "PMC11.1" in ids(search(client, q="glomeruli", mode="keyword"))

        retracted = ARTICLES[0].but(fields={"is_retracted": True})
        world.build(DAYS[1], retracted, *ARTICLES[1:])
        served.wait(lambda: client.get("/v1/articles/PMC11").status_code == 410)
        served.wait(lambda: "PMC11.1" not in ids(search(client, q="glomeruli", mode="keyword")))

        problem = client.get("/v1/articles/PMC11").json()
        assert (problem["reason"], problem["status"]) == ("withdrawn", 410)
        assert "retracted" in problem["detail"]
        for path in (picture_url, thumbnail, f"/v1/figures/{before['figure_id']}", page, "/articles/PMC11"):
            assert client.get(path).status_code == 410, path
        shown = client.get(page, headers={"Accept": "text/html"})
        assert (shown.status_code, "Withdrawn" in shown.text) == (410, True)
        assert "Kidneys of mice" not in client.get("/", params={"q": "glomeruli"}).text
        assert ids(search(client, q="fundus")) == {"PMC12.1"}, "the others stay"

        # An index generation made afterwards is taken up without a restart too.
        build_index(world.files)
        world.build(DAYS[2], retracted, *ARTICLES[1:], ARTICLES[1].but(pmcid=77, title="New", caption="Brandnew"))
        build_index(world.files)
        served.wait(lambda: ids(search(client, q="brandnew", mode="keyword")) == {"PMC77.1"})


def test_a_store_without_anything_says_so(tmp_path):
    from biomedica_assets_tests.ingest.releases import World

    (tmp_path / "release").mkdir()
    world = World(tmp_path, chunk_size=4)
    with serving(world) as served, served.client() as client:
        assert client.get("/v1/health/live").status_code == 200
        for path, reason in {
            "/v1/health/ready": "no-catalogue",
            "/v1/articles/PMC1": "no-catalogue",
            "/v1/search?q=x": "no-index",
        }.items():
            reply = client.get(path)
            assert (reply.status_code, reply.json()["reason"]) == (503, reason)
            assert reply.headers["retry-after"] == "60"
        page = client.get("/")
        assert page.status_code == 503
        assert "Nothing to search yet" in page.text
        world.build(DAYS[0], *ARTICLES)
        build_index(world.files)
        served.wait(lambda: client.get("/").status_code == 200)
