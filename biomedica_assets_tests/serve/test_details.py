"""Panels, entities and paragraph quality as served: records, crops, the figure's page, facets of the search page."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from biomedica_assets.search.generation import build_index
from biomedica_assets.serve.vocabularies import page
from biomedica_assets_tests.details import commit_entities, commit_panels, commit_quality
from biomedica_assets_tests.ingest.releases import DAYS, Art, World, picture
from biomedica_assets_tests.serve.conftest import serving, tiff

FIGURE = """<article xmlns:xlink="http://www.w3.org/1999/xlink" article-type="case-report"><front>
<journal-meta><journal-title>J</journal-title></journal-meta><article-meta>
<article-id pub-id-type="pmcid">PMC11</article-id><article-id pub-id-type="pmcid-ver">PMC11.1</article-id>
<title-group><article-title>Two halves</article-title></title-group>
<pub-date pub-type="epub"><year>2020</year></pub-date></article-meta></front><body><sec><title>Case</title>
<p>A man with <i>lupus</i>, see <xref ref-type="fig" rid="f1">Figure 1</xref>.</p>
<fig id="f1"><label>Figure 1</label><caption>
<p>Kidney &lt;b&gt; of a mouse. (A) <italic>TP53</italic> in lupus nephritis.
(B) Aspirin given.</p></caption><graphic xlink:href="a.png"/></fig></sec></body></article>"""


def halves() -> bytes:
    """100 x 40 pixels: red on the left, blue on the right."""
    image = Image.new("RGB", (100, 40), (255, 0, 0))
    image.paste((0, 0, 255), (50, 0, 100, 40))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("details")
    world = World(root, chunk_size=4)
    world.build(
        DAYS[0],
        Art(11, files=(("a.png", halves()),), xml=FIGURE.encode()),
        Art(12, files=(("b.jpg", picture(3, "JPEG", (64, 48))),)),
        Art(14, files=(("e.tif", tiff()),)),
        Art(15, files=(("c.png", picture(5)),), licence="custom"),
    )
    commit_panels(
        world,
        {
            "PMC11.1/f1/1": [
                ((0, 0, 50, 40), "A", "TP53 in lupus nephritis."),
                ((50, 0, 50, 40), "B", "Aspirin given."),
            ],
            "PMC14.1/f1/1": [((0, 0, 50, 50), None, None), ((50, 0, 50, 50), None, None)],
        },
    )
    [(paragraph_id,)] = world.sql("SELECT paragraph_id FROM paragraphs WHERE text LIKE 'A man%'")
    commit_entities(
        world,
        {
            "PMC11.1/f1": [
                ("mouse", "species", "NCBITaxon:10090", "Mus musculus"),
                ("TP53", "gene", "HGNC:11998", "TP53"),
                ("lupus nephritis", "disease", "MESH:D008181", "Lupus Nephritis"),
                ("lupus", "disease", "MESH:D008180", "Lupus"),
                ("Aspirin", "chemical", None, None),
            ],
            paragraph_id: [("lupus", "disease", "MESH:D008180", "Lupus")],
        },
    )
    commit_quality(world, {paragraph_id: ("clinical_case", "clinical", 4.25)})
    build_index(world.files)
    with serving(world) as served:
        yield served


@pytest.fixture
def client(server):
    with server.client() as found:
        yield found


def test_a_figure_with_panels_entities_and_quality(client):
    found = client.get("/v1/figures/PMC11.1/f1").json()
    first, second = found["panels"]
    assert (first["letter"], first["x"], first["width"], first["caption"]) == ("A", 0, 50, "TP53 in lupus nephritis.")
    assert second["url"].startswith("/v1/images/PMC11.1/f1/1?panel=2&v=")
    assert [(e["text"], e["type"], e["vocabulary"]) for e in found["entities"]] == [
        ("mouse", "species", "NCBI Taxonomy"),
        ("TP53", "gene", "HGNC"),
        ("lupus nephritis", "disease", "MeSH"),
        ("lupus", "disease", "MeSH"),
        ("Aspirin", "chemical", None),
    ]
    assert all(found["caption"][e["start"] : e["end"]] == e["text"] for e in found["entities"])
    [mention] = found["mentions"]
    assert mention["paragraph"][slice(*(mention["entities"][0][end] for end in ("start", "end")))] == "lupus"
    assert (mention["quality"]["type"], mention["quality"]["score"]) == ("clinical_case", 4.25)


def test_a_panel_is_cut_from_its_image(client):
    url = client.get("/v1/figures/PMC11.1/f1").json()["panels"][1]["url"]
    reply = client.get(url)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
    image = Image.open(io.BytesIO(reply.content))
    assert (image.size, image.convert("RGB").getcolors()) == ((50, 40), [(2000, (0, 0, 255))])
    assert reply.headers["cache-control"] == "public, max-age=86400, immutable"
    assert client.get(url, headers={"If-None-Match": reply.headers["etag"]}).status_code == 304
    stale = client.get(url.rpartition("=")[0] + "=0123")
    assert stale.headers["cache-control"] == "public, no-cache"
    small = client.get(url.replace("?", "/thumbnail?") + "&size=160")
    assert (small.headers["content-type"], Image.open(io.BytesIO(small.content)).size) == ("image/webp", (50, 40))
    assert small.headers["etag"] != client.get("/v1/images/PMC11.1/f1/1/thumbnail?size=160").headers["etag"]


@pytest.mark.parametrize(("address", "media_type"), [("PMC12.1/f1/1", "image/jpeg"), ("PMC14.1/f1/1", "image/png")])
def test_crops_are_jpeg_or_png(client, address, media_type):
    assert client.get(f"/v1/images/{address}?panel=1").headers["content-type"] == media_type


@pytest.mark.parametrize(
    ("path", "status"),
    [("PMC11.1/f1/1?panel=3", 404), ("PMC11.1/f1/1?panel=0", 422), ("PMC15.1/f1/1?panel=1", 404)],
)
def test_panels_that_are_not_there_or_not_served(client, path, status):
    assert client.get(f"/v1/images/{path}").status_code == status
    assert client.get(f"/v1/images/{path.replace('?', '/thumbnail?')}").status_code == status


def test_the_figures_page(client):
    page = client.get("/figures/PMC11.1/f1").text
    assert page.count("data-box=") == 2
    assert 'viewBox="0 0 100 40"' in page
    assert (
        '<a class="entity e-gene" href="https://www.genenames.org/data/gene-symbol-report/#!/hgnc_id/HGNC:11998"'
        in page
    )
    assert '<span class="entity e-chemical" title="chemical">Aspirin</span>' in page
    # the longer of two that overlap is marked, and what articles hold is never markup
    assert page.count('title="disease: Lupus Nephritis (MESH:D008181)"') == 1
    assert "Kidney &lt;b&gt; of a " in page
    assert "educational 4.2 of 5" in page
    assert ">clinical case</span>" in page
    assert "?panel=2&amp;v=" in page
    plain = client.get("/figures/PMC12.1/f1").text
    assert "data-box" not in plain
    assert "marks-on" not in plain


def test_panels_without_a_text_are_shown_too(client):
    page = client.get("/figures/PMC14.1/f1").text
    assert "Panels without a text of their own" in page
    assert page.count('class="crop zoom"') == 2


def test_the_search_page_filters_by_them(client):
    page = client.get("/").text
    assert "Named in the caption" in page
    assert 'name="entity" value="Lupus Nephritis"' in page
    assert "2 panels</span>" in page
    found = client.get("/", params={"entity": "MESH:D008181", "n_panels_min": 2, "paragraph_score_min": "4"}).text
    assert "PMC11.1/f1" in found
    assert 'value="MESH:D008181" checked' in found
    assert client.get("/v1/search", params={"paragraph_score_min": "4.5"}).json()["total"] == 0
    hit = client.get("/v1/search", params={"entity": "lupus"}).json()["hits"][0]
    assert hit["images"][0]["n_panels"] == 2
    assert {"type": "gene", "name": "TP53", "id": "HGNC:11998"} in hit["entities"]


@pytest.mark.parametrize(
    ("identifier", "address"),
    [
        ("MESH:C537538", "https://meshb.nlm.nih.gov/record/ui?ui=C537538"),
        ("CHEBI:15365", "https://www.ebi.ac.uk/chebi/CHEBI:15365"),
        ("MONDO:0005061", "https://www.ebi.ac.uk/ols4/ontologies/mondo/classes?obo_id=MONDO:0005061"),
        ("NCBITaxon:9606", "https://www.ncbi.nlm.nih.gov/Taxonomy/Browser/wwwtax.cgi?id=9606"),
        ("CVCL_0030", "https://www.cellosaurus.org/CVCL_0030"),
        ("CVCL:0030", "https://www.cellosaurus.org/CVCL_0030"),
    ],
)
def test_ids_lead_to_their_vocabularies(identifier, address):
    found = page(identifier)
    assert found is not None
    assert found[1] == address


def test_what_is_no_id_leads_nowhere():
    assert page("javascript:alert(1)") is None


def test_agents_are_told_what_a_caption_names(client):
    told = client.post("/v1/tools/get_figure", json={"figure_id": "PMC11.1/f1"}).json()["result"]
    assert told["entities"]["disease"] == ["Lupus (MESH:D008180)", "Lupus Nephritis (MESH:D008181)"]
    assert told["entities"]["chemical"] == ["Aspirin"]
    found = client.post("/v1/tools/search_figures", json={"filters": {"entity": "MESH:D008181"}}).json()["result"]
    assert [one["figure_id"] for one in found["figures"]] == ["PMC11.1/f1"]
