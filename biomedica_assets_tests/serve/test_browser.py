"""The gallery in headless Chromium over the embedded sample: search, filter, open, next page, broken question, keys.

Set BIOMEDICA_SCREENSHOTS to a folder to keep what the browser saw, at desktop and phone size.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from biomedica_assets import sample
from biomedica_assets.dataset.statistics import publish_statistics
from biomedica_assets.search.generation import build_index
from biomedica_assets_tests.details import commit_entities, commit_panels, commit_quality
from biomedica_assets_tests.ingest.releases import World
from biomedica_assets_tests.live.test_ui import CHROMIUM, FLAGS
from biomedica_assets_tests.serve.conftest import serving

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
]
COMPOUND = "PMC90000051.1/F1"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}


def annotate(world):
    """One figure of the sample, a row of three panels with letters above a row of three, as its rooms would have it."""
    boxes = [
        ((x, y, 250, 226), letter)
        for letter, (x, y) in zip("ABCDEF", [(n % 3 * 255, n // 3 * 230) for n in range(6)], strict=True)
    ]
    [(caption,)] = world.sql(f"SELECT text FROM captions WHERE figure_id = '{COMPOUND}'")
    own = "Clinical photograph of the lesion."
    assert caption.count(own) == 6
    commit_panels(world, {f"{COMPOUND}/1": [(box, letter, own) for box, letter in boxes]})
    [paragraph_id] = {row[0] for row in world.sql(f"SELECT paragraph_id FROM mentions WHERE figure_id = '{COMPOUND}'")}
    commit_entities(
        world,
        {
            COMPOUND: [("lesion", "disease", "MESH:D012871", "Skin Diseases"), ("findings", "gene", "HGNC:5", "A1BG")],
            paragraph_id: [("pattern", "tissue", "UBERON:0002097", "skin of body")],
        },
    )
    commit_quality(world, {paragraph_id: ("clinical_case", "clinical", 4.5)})


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    root = tmp_path_factory.mktemp("gallery")
    (root / "release").mkdir()
    sample.write_release(str(root / "release"), 1)
    world = World(root, chunk_size=20)
    world.build()
    annotate(world)
    publish_statistics(world.files)
    build_index(world.files)
    with serving(world) as served:
        yield served


@pytest.fixture(params=SIZES)
def page(request, gallery):
    from playwright.sync_api import sync_playwright

    width, height = SIZES[request.param]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height}, base_url=gallery.url)
        page.set_default_timeout(20_000)
        troubles = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda told: troubles.append(told.text) if "Content Security" in told.text else None)
        page.phone = request.param == "phone"
        page.keep = lambda name: keep(page, f"{name}_{request.param}")
        yield page
        browser.close()
    assert troubles == [], "no script failed, and nothing broke the policy"


def keep(page, name: str) -> None:
    """Save a screenshot where the caller of the tests wants them, if anywhere; no page scrolls sideways."""
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name
    if folder := os.environ.get("BIOMEDICA_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def open_filters(page) -> None:
    if page.phone and not page.locator("details.drawer").evaluate("drawer => drawer.open"):
        page.locator("details.drawer > summary").click()


def loaded(page) -> list[int]:
    """Widths of the pictures in view, once they are there."""
    page.wait_for_load_state("networkidle")
    return page.locator(".cover img").evaluate_all(
        "found => found.filter(one => one.getBoundingClientRect().top < innerHeight && one.checkVisibility())"
        ".map(one => one.naturalWidth)"
    )


def test_search_filter_open_and_back(page):
    page.goto("/")
    page.get_by_role("heading", level=1).get_by_text("Figures of open biomedical literature").wait_for()
    assert min(loaded(page)) > 0, "the browser could decode every picture in view"
    page.keep("start")

    page.get_by_role("searchbox").fill("glomeruli")
    page.keyboard.press("Enter")
    page.locator("mark", has_text="Glomeruli").first.wait_for()
    assert page.url.endswith("/?q=glomeruli"), "the question is in the address, and nothing empty"
    assert page.get_by_role("heading", name="Figures of open").count() == 0, "the welcome makes place"
    page.keep("search")

    page.get_by_role("searchbox").fill("")
    page.keyboard.press("Enter")
    page.locator(".total", has_text="newest first").wait_for()
    open_filters(page)
    page.get_by_role("checkbox", name="CC BY-NC-SA").check()
    page.locator(".chips", has_text="CC BY-NC-SA").wait_for()
    assert "licence=CC+BY-NC-SA" in page.url
    assert set(page.locator(".card .badge").all_inner_texts()) == {"CC BY-NC-SA"}
    if page.phone:
        assert page.locator("details.drawer").evaluate("drawer => drawer.open"), "more filters can be chosen"
    page.keep("filter")

    page.locator(".card .open").first.click()
    page.get_by_label("Attribution, ready to use").wait_for()
    assert "https://pmc.ncbi.nlm.nih.gov/articles/PMC" in page.get_by_label("Attribution").input_value()
    page.keep("figure")
    page.go_back()
    page.locator(".chips", has_text="CC BY-NC-SA").wait_for()
    page.locator(".chips a").first.click()
    page.locator(".total", has_text="newest first").wait_for()


def test_more_results_come_below_without_leaving_the_page(page):
    page.goto("/?mode=keyword")
    first = page.locator("#hits > li").count()
    assert first == 24
    page.get_by_role("link", name="More results").click()
    page.locator("#hits > li").nth(47).wait_for()
    addresses = page.locator("#hits .open").evaluate_all("found => found.map(one => one.href)")
    assert len(set(addresses)) == 48
    assert "cursor" not in page.url


def test_broken_and_empty_questions(page):
    page.goto("/?q=heart&published_from=soon")
    page.get_by_role("heading", name="This question cannot be answered").wait_for()
    assert page.get_by_role("searchbox").input_value() == "heart"
    page.keep("broken")
    page.goto("/?q=zxqvwy&mode=keyword")
    page.get_by_role("heading", name="No figures found").wait_for()
    page.keep("empty")
    page.goto("/figures/PMC1.1/F1")
    page.get_by_role("heading", name="Not here").wait_for()


def test_years_and_switches(page):
    page.goto("/?q=patients")
    open_filters(page)
    page.locator("svg.years a").last.click()
    page.locator(".chips", has_text="published from").wait_for()
    assert "published_from=20" in page.url
    page.goto("/?q=patients")
    page.get_by_text("Articles", exact=True).click()
    page.locator(".total", has_text="articles").wait_for()
    assert "group=article" in page.url


def test_keys(page):
    if page.phone:
        pytest.skip("no keyboard")
    page.goto("/")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("ArrowRight")
    second = page.locator(".card .open").nth(1).get_attribute("href")
    assert page.evaluate("document.activeElement.getAttribute('href')") == second
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getAttribute('href')") != second
    page.keyboard.press("Enter")
    page.wait_for_url("**/figures/**")


def test_zoom_and_copy(page):
    page.goto("/figures/PMC90000051.1/F1")
    page.locator("a.zoom:not(.crop)").click()
    page.locator("dialog.big img").wait_for()
    page.keep("zoom")
    page.keyboard.press("Escape")
    page.locator("dialog.big").wait_for(state="detached")
    assert page.locator("blockquote mark").count() >= 1, "mentions are marked in their paragraphs"


def test_a_picture_as_question(page):
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), (200, 120, 160)).save(buffer, "JPEG")
    page.goto("/")
    page.locator("#image").set_input_files({"name": "x.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()})
    page.wait_for_url("**/by-image")
    page.get_by_alt_text("the picture that was given").wait_for()


def test_without_scripts(gallery):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_context(java_script_enabled=False, base_url=gallery.url).new_page()
        page.goto("/")
        page.get_by_role("searchbox").fill("glomeruli")
        page.get_by_role("button", name="Search").click()
        page.locator("mark").first.wait_for()
        page.goto("/")
        page.get_by_role("checkbox", name="CC BY-ND").check()
        page.get_by_role("button", name="Apply filters").click()
        page.locator(".chips", has_text="CC BY-ND").wait_for()
        page.goto("/")
        page.get_by_role("link", name="More results").click()
        page.locator(".card").first.wait_for()
        browser.close()


def test_panels_and_entities_of_a_figure(page):
    page.goto("/")
    open_filters(page)
    page.get_by_text("Diseases", exact=True).click()
    page.get_by_role("checkbox", name="Skin Diseases").check()
    page.locator(".chips", has_text="Skin Diseases").wait_for()
    page.locator(".count", has_text="6 panels").wait_for()
    page.keep("entity_filter")
    page.locator(".card .open").first.click()
    page.locator(".boxes").wait_for()
    assert page.locator(".boxes text").all_text_contents() == list("ABCDEF")
    # the outlines lie on the picture, whatever its size on the screen
    picture, outlines = (page.locator(name).first.bounding_box() for name in (".frame img", ".boxes"))
    for edge in ("x", "y", "width", "height"):
        assert abs(picture[edge] - outlines[edge]) < 2, (picture, outlines)
    assert page.locator("a.entity.e-disease").first.get_attribute("href").endswith("ui=D012871")
    assert page.get_by_text("educational 4.5 of 5").count() == 1
    page.keep("panels")

    page.locator(".panel", has_text="Clinical photograph").first.hover()
    assert page.locator(".boxes .on").count() == 1
    page.keyboard.press("b")
    assert not page.locator(".boxes").is_visible()
    page.keyboard.press("b")
    assert page.locator(".boxes").is_visible()
    colour = page.locator(".caption a.entity").first.evaluate("one => getComputedStyle(one).borderBottomStyle")
    page.keyboard.press("e")
    assert page.locator(".caption a.entity").first.evaluate("one => getComputedStyle(one).borderBottomStyle") != colour
    page.keyboard.press("e")
    page.locator(".panel .crop").first.click()
    page.locator("dialog.big img").wait_for()
    page.wait_for_function("document.querySelector('dialog.big img').naturalWidth > 0")
    wide, high = page.locator("dialog.big img").evaluate("one => [one.naturalWidth, one.naturalHeight]")
    assert (wide, high) == (250, 226), "the panel alone"
    page.keyboard.press("Escape")
