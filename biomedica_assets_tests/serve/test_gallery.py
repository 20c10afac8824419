"""Pages without a browser: what they hold, that texts of articles are never markup, that every link leads somewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.serve import models, words
from biomedica_assets.serve.gallery import year_chart
from biomedica_assets.serve.search_models import Count, Fragment, SearchAnswer
from biomedica_assets_tests.ingest.releases import picture
from biomedica_assets_tests.serve.conftest import serving

VOID = {"meta", "link", "img", "input", "br", "rect"}


class Outline(HTMLParser):
    """Elements of a page; fails on tags that do not nest."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, (tag, self.getpos())

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def page(client, path, status=200):
    reply = client.get(path)
    assert reply.status_code == status, reply.text[:500]
    assert reply.headers["content-type"].startswith("text/html")
    return Outline(reply.text), reply.text


@pytest.mark.parametrize(
    "path", ["/", "/?q=serial", "/?q=zzzzz&mode=keyword", "/?group=article", "/articles/PMC11", "/api"]
)
def test_pages_are_well_formed_and_can_be_read_aloud(client, path):
    outline, text = page(client, path)
    assert all("alt" in image for image in outline.all("img"))
    labelled = {label.get("for") for label in outline.all("label")}
    for field in outline.all("input"):
        inside_label = field.get("type") in ("checkbox", "radio", "hidden") or "published" in field.get("name", "")
        assert inside_label or field["id"] in labelled
    assert outline.all("html")[0]["lang"] == "en"
    assert len(outline.all("h1")) == 1
    assert not re.search(r"\son\w+=|style=|javascript:", text), "nothing that the policy forbids"
    assert not any("src" not in script for script in outline.all("script"))


def test_every_link_of_the_start_page_leads_somewhere(client):
    outline, _ = page(client, "/")
    paths = {attrs["href"] for attrs in outline.all("a") if attrs["href"].startswith("/")}
    paths |= {attrs["src"] for attrs in [*outline.all("img"), *outline.all("script")]}
    assert len(paths) > 10
    for path in sorted(paths):
        if path not in ("/numbers", "/label"):  # this store has neither statistics nor concepts
            assert client.get(path).status_code == 200, path


def test_texts_of_articles_are_shown_not_obeyed(client):
    _, text = page(client, "/?q=fundus")
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "<b>bold</b>" not in text
    nasty = '"><script>alert(1)</script>'
    _, text = page(client, "/?q=" + nasty.replace("<", "%3C").replace('"', "%22"))
    assert "<script>alert" not in text
    _, text = page(client, "/?licence=" + nasty.replace("<", "%3C").replace('"', "%22"))
    assert "<script>alert" not in text


def test_the_address_holds_the_question(client):
    outline, _ = page(client, "/?q=serial&licence=CC+BY&published_from=2001&mode=keyword&utm_source=mail")
    [box] = [field for field in outline.all("input") if field.get("name") == "q"]
    assert box["value"] == "serial"
    checked = {(field["name"], field["value"]) for field in outline.all("input") if "checked" in field}
    assert {("licence", "CC BY"), ("mode", "keyword")} <= checked
    chips = [link["href"] for link in outline.all("a") if link.get("title") == "remove this filter"]
    assert "/?q=serial&published_from=2001&mode=keyword" in chips


def test_words_typed_beside_a_likeness_are_a_new_question(client):
    _, text = page(client, "/?q=fundus&like=PMC11.1/F1")
    assert "Retinas of men" in text
    assert "Figures like" not in text


def test_pages_follow_each_other_without_scripts(client):
    seen, path = [], "/?q=serial&mode=keyword&limit=4"
    while path:
        outline, _ = page(client, path)
        seen += [link["href"] for link in outline.all("a") if link.get("class") == "open"]
        path = next((link["href"] for link in outline.all("a") if link.get("rel") == "next"), None)
    assert (len(seen), len(set(seen))) == (6, 6)


@pytest.mark.parametrize(
    "query", ["published_from=abc", "mode=magic", "cursor=%21", "limit=0", "label=x", "width_min=z"]
)
def test_a_broken_question_is_explained_on_its_page(client, query):
    reply = client.get(f"/?q=serial&{query}")
    assert reply.status_code in (400, 422)
    assert "This question cannot be answered" in reply.text
    assert 'value="serial"' in reply.text, "nothing that was typed is lost"


def test_problems_are_pages_for_browsers_and_json_for_programs(client):
    shown = client.get("/articles/PMC999", headers={"Accept": "text/html,*/*"})
    assert (shown.status_code, shown.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "Not here" in shown.text
    assert client.get("/articles/PMC999").headers["content-type"] == "application/problem+json"
    plain = client.get("/v1/articles/PMC999", headers={"Accept": "text/html"})
    assert plain.headers["content-type"] == "application/problem+json"


def test_a_figure_has_its_neighbours_licence_and_attribution(client):
    first, second = (one["figure_id"] for one in client.get("/v1/articles/PMC11").json()["figures"])
    outline, text = page(client, f"/figures/{first}")
    assert f"/figures/{second}" in [link["href"] for link in outline.all("a") if link.get("rel") == "next"]
    assert "https://pmc.ncbi.nlm.nih.gov/articles/PMC11/" in text
    assert "Kidneys of mice. " in text, "the attribution line"


def test_pictures_as_questions(client):
    reply = client.post("/by-image", files={"image": ("x.png", picture(1), "image/png")})
    assert reply.status_code in (200, 400), "400 while the store has no image vectors"
    assert "data:image/webp;base64," in reply.text
    broken = client.post("/by-image", files={"image": ("x.png", b"no picture", "image/png")})
    assert broken.status_code == 400
    assert "no picture that can be read" in broken.text
    assert client.post("/by-image").status_code == 422


def test_files_of_the_pages_may_be_kept_since_their_address_changes_with_them(client):
    outline, _ = page(client, "/")
    [style] = [link["href"] for link in outline.all("link") if link["rel"] == "stylesheet"]
    assert re.fullmatch(r"/static/style\.css\?v=[0-9a-f]{12}", style)
    assert "immutable" in client.get(style).headers["cache-control"]


def test_below_a_path_of_a_proxy(world):
    """The proxy strips the path; pages and answers name it, even where it is called like a page of ours."""
    with serving(world, serve_root="/figures/") as served, served.client() as client:
        _, text = page(client, "/?q=fundus")
        assert 'href="/figures/figures/PMC12.1/' in text
        found = client.get("/v1/articles/PMC12").json()["figures"][0]
        assert found["images"][0]["url"].startswith("/figures/v1/images/PMC12.1/")
        for path in (f"/figures/{found['figure_id']}", found["images"][0]["url"].removeprefix("/figures")):
            assert client.get(path).status_code == 200
        assert client.get("/static/style.css").status_code == 200
        missing = client.get("/figures/PMC999.1/F1", headers={"Accept": "text/html"})
        assert (missing.status_code, missing.headers["content-type"]) == (404, "text/html; charset=utf-8")
        plain = client.get("/v1/articles/PMC999", headers={"Accept": "text/html"})
        assert plain.headers["content-type"] == "application/problem+json"


SPANS = st.lists(st.tuples(st.integers(-5, 40), st.integers(-5, 40), st.sampled_from("ib")), max_size=6)


@given(st.text(max_size=30), SPANS)
def test_cutting_a_text_loses_nothing(text, spans):
    pieces = words.cut(text, spans)
    assert "".join(piece.text for piece in pieces) == text
    position = 0
    for piece in pieces:
        for offset in range(len(piece.text)):
            assert piece.marks == {name for start, end, name in spans if start <= position + offset < end}
        position += len(piece.text)


def figure(caption, *parts):
    """A figure whose panels are (panel, start, end)."""
    sub_captions = [models.SubCaption(panel=p, text=caption[s:e], start=s, end=e) for p, s, e in parts]
    return models.Figure.model_construct(
        caption=caption, styles=[], formulas=[], sub_captions=sub_captions, entities=[], panels=[]
    )


def plain(panels):
    return [(panel.panel, "".join(piece.text for piece in panel.pieces)) for panel in panels]


def test_panels_of_a_caption():
    found = words.caption(
        figure("Mice. (a) One. (b, c) Two. All at noon.", ("A", 10, 14), ("B", 22, 26), ("C", 22, 26))
    )
    assert plain(found) == [(None, "Mice."), ("A", "One."), ("B, C", "Two."), (None, " All at noon.")]
    assert plain(words.caption(figure("Mice."))) == [(None, "Mice.")]
    assert plain(words.caption(figure(""))) == []
    behind = words.caption(figure("Mice (A) and rats (B) at noon.", ("A", 0, 4), ("B", 13, 17)))
    assert plain(behind) == [("A", "Mice"), ("B", "rats"), (None, "at noon.")]
    places = words.caption(figure("Mice (upper), rats (lower).", ("TOP", 0, 4), ("BOTTOM", 14, 18)))
    assert plain(places) == [("TOP", "Mice"), ("BOTTOM", "rats")]
    kept = words.caption(figure("Vitamin C. a, One.", ("A", 14, 18)))
    assert plain(kept) == [(None, "Vitamin C."), ("A", "One.")]


def test_labels_are_not_said_twice():
    said = [Fragment(text="Figure 1 Mice and ", match=False), Fragment(text="men", match=True)]
    assert "".join(piece.text for piece in words.unlabelled(said, "Figure 1")) == "Mice and men"
    assert words.unlabelled(said, "Figure 2") == said


def test_years_without_results_have_a_place_in_the_chart():
    counts = [Count(value="2001", count=10), Count(value="2003", count=1), Count(value="unknown", count=3)]
    answer = SearchAnswer.model_construct(facets={"year": counts})
    assert [(bar["year"], bar["count"], bar["height"]) for bar in year_chart(answer)] == [
        *((2001, 10, 100), (2002, 0, 0), (2003, 1, 10)),
    ]
