"""Annotators at the labelling pages in headless Chromium, with the keyboard: three through 50 concepts, and a crash.

Set BIOMEDICA_SCREENSHOTS to a folder to keep what the browser saw, at desktop and phone size.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from biomedica_assets import sample
from biomedica_assets.labels.agreement import measure_agreement
from biomedica_assets.labels.consensus import reach_consensus
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.vote_log import VoteLog
from biomedica_assets_tests.ingest.releases import World
from biomedica_assets_tests.live.test_ui import CHROMIUM, FLAGS
from biomedica_assets_tests.serve.conftest import serving
from biomedica_assets_tests.serve.sheets import SPACE, annotate, images_of, write_sheets
from biomedica_assets_tests.serve.test_browser import SIZES, keep

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
]
CONCEPTS = 50


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The sample in 50 concepts of the same size, so that they come in the order of their numbers."""
    root = tmp_path_factory.mktemp("desk")
    (root / "release").mkdir()
    sample.write_release(str(root / "release"), 1)
    world = World(root, chunk_size=20)
    world.build()
    images = images_of(world)
    size = min(18, len(images) // CONCEPTS)
    write_sheets(world, [images[n::CONCEPTS][:size] for n in range(CONCEPTS)])
    annotate(world, {row["image_id"]: [("figure_kind", "classifier", "plot", 0.5 + n / 100, True)]
                     for n, row in enumerate(images[:20])})  # fmt: skip
    with serving(world) as served:
        yield served


@pytest.fixture
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def begin(browser, url, name, size="desktop", scripts=True):
    width, height = SIZES[size]
    page = browser.new_context(
        base_url=url, viewport={"width": width, "height": height}, java_script_enabled=scripts
    ).new_page()
    page.set_default_timeout(20_000)
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("console", lambda told: page.troubles.append(told.text) if "Content Security" in told.text else None)
    page.goto("/label")
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("heading", name=f"Labelling as {name}").wait_for()
    return page


def votes(world):
    log = VoteLog(world.files)
    log.refresh()
    return log.current()


def test_three_annotators_through_fifty_concepts(desk, chromium):
    """Even concepts are bar plots, odd ones micrographs; cho takes concepts 0 to 9 for the other kind, two are unsure
    of concept 49."""

    def annotator(browser, name):
        page = begin(browser, desk.url, name)
        # Thumbnails are another test's matter: 5,000 of them would take this one's time.
        page.route("**/thumbnail*", lambda route: route.abort())
        page.get_by_role("link", name="Begin with concepts").click()
        for n in range(CONCEPTS):
            page.wait_for_url(f"**/label/concepts/{n}*")
            if n == 20 and name == "ben":  # goes away, and comes back another day
                page.goto("/label")
                page.get_by_role("link", name="Go on with concepts").click()
                page.wait_for_url(f"**/label/concepts/{n}")
            wrong = name == "cho" and n < 10
            if n == 49 and name != "cho":
                page.keyboard.press("u")
            else:
                page.keyboard.press("1")
                page.keyboard.type("bar plot" if (n % 2 == 0) != wrong else "microg")
                page.keyboard.press("Enter")
            page.keyboard.press("Enter")
        page.get_by_text("All concepts have your answer").wait_for()
        assert page.troubles == []
        page.context.close()

    for name in ("ada", "ben", "cho"):
        annotator(chromium, name)

    taxonomy = load_taxonomy()
    found = [vote for vote in votes(desk.world) if vote.annotator in ("ada", "ben", "cho")]
    assert len(found) == 3 * CONCEPTS
    outcomes, _ = reach_consensus(found, taxonomy)
    decided = {one.concept: (one.status, one.labels) for one in outcomes if one.axis == "figure_kind"}
    # Two of three are always right; of concept 49 two of three are unsure.
    right = {n: ("agreed", (("bar_plot",), ("micrograph",))[n % 2]) for n in range(CONCEPTS)}
    assert decided == right | {49: ("unsure", ())}
    # 49 units with three values each (one value alone says nothing of agreement), 147 in all; in ten of them one
    # differs. Bar plots: 25 + 25 + (25 - 5 + 5) = 75, micrographs 24 + 24 + (24 - 5 + 5) = 72.
    # Observed disagreement: 10 units x 4 ordered pairs / (3 - 1) / 147 = 20 / 147; expected 2 x 75 x 72 / (147 x 146).
    [agreement] = [one for one in measure_agreement(found, taxonomy) if one.axis == "figure_kind"]
    assert agreement.units == 49
    assert agreement.alpha == pytest.approx(1 - (20 / 147) / (2 * 75 * 72 / (147 * 146)))
    assert agreement.alpha == pytest.approx(0.729630, abs=1e-6)
    # Fleiss: P = (39 + 10 / 3) / 49, by chance (75 / 147)^2 + (72 / 147)^2.
    chance = (75 / 147) ** 2 + (72 / 147) ** 2
    assert agreement.kappa == pytest.approx(((39 + 10 / 3) / 49 - chance) / (1 - chance))


@pytest.mark.parametrize("size", SIZES)
def test_pages_look_and_keys_work(desk, chromium, size):
    name = f"looker-{size}"
    page = begin(chromium, desk.url, name, size)
    keep(page, f"label_start_{size}")
    page.goto("/label/concepts/7")
    page.wait_for_load_state("networkidle")
    widths = page.locator(".member img").evaluate_all("found => found.map(one => one.naturalWidth)")
    assert widths
    assert min(widths) > 0
    keep(page, f"label_concept_{size}")
    page.keyboard.press("c")
    page.locator(".told").first.wait_for()
    page.keyboard.press("1")
    page.keyboard.type("curve")
    page.locator(".pick [data-digit='1']").wait_for()
    keep(page, f"label_narrowed_{size}")
    page.keyboard.press("2")
    page.keyboard.press("4")
    page.keyboard.press("1")
    assert page.locator(".axis input:checked + span").all_inner_texts() == ["ROC curve", "single"]
    page.keyboard.press("m")
    assert page.locator("#mixed").is_checked()
    page.keyboard.press("m")
    keep(page, f"label_chosen_{size}")
    page.keyboard.press("Enter")
    page.wait_for_url("**/label/concepts/8?saved=*")
    keep(page, f"label_saved_{size}")
    page.keyboard.press("z")
    page.wait_for_url("**/label/concepts/7")
    assert page.locator(".axis[data-axis='1'] input:checked").count() == 0
    page.keyboard.press("j")
    page.wait_for_url("**/label/concepts/8")
    page.keyboard.press("k")
    page.wait_for_url("**/label/concepts/7")
    page.locator("a.zoom").first.click()
    page.locator("dialog.big img").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog.big").wait_for(state="detached")
    page.goto("/label/images")
    page.wait_for_load_state("networkidle")
    page.get_by_text("What the machine says").click()
    keep(page, f"label_image_{size}")
    page.keyboard.press("u")
    page.keyboard.press("Enter")
    page.wait_for_url("**/label/images/**saved=*")
    assert page.troubles == []
    mine = [vote for vote in votes(desk.world) if vote.annotator == name]
    assert [(vote.target_kind, vote.unsure) for vote in mine] == [("image", True)], "the undone one counts no more"


def test_without_scripts(desk, chromium):
    page = begin(chromium, desk.url, "plain", scripts=False)
    page.get_by_role("link", name="Begin with concepts").click()
    page.get_by_role("checkbox", name="bar plot", exact=True).check(force=True)
    page.get_by_role("button", name="Save, next").click()
    page.wait_for_url("**/label/concepts/1?saved=*")
    [vote] = [vote for vote in votes(desk.world) if vote.annotator == "plain"]
    assert (vote.concept, vote.answers) == (0, {"figure_kind": ("bar_plot",)})


def test_a_vote_survives_a_killed_server(desk, chromium):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    world, url = desk.world, f"http://127.0.0.1:{port}"
    given = {"BIOMEDICA_STORE": world.given["store"], "BIOMEDICA_CACHE": str(world.root / "other")}
    command = [sys.executable, "-m", "biomedica_assets.cli", "serve", "--port", str(port)]

    def start():
        server = subprocess.Popen(command, env=os.environ | given, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        limit = threading.Timer(120, server.kill)
        limit.daemon = True
        limit.start()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if httpx.get(f"{url}/v1/health/live").status_code == 200:
                    return server
            except httpx.TransportError:
                time.sleep(0.1)
        server.kill()
        raise AssertionError("the server did not start")

    server = start()
    try:
        page = begin(chromium, url, "zoe")
        page.goto("/label/concepts")
        page.keyboard.press("m")
        page.keyboard.press("Enter")
        page.wait_for_url("**/label/concepts/1?saved=*")
        server.send_signal(signal.SIGKILL)  # as soon as the page says that it is saved
        server.wait(10)
        server = start()
        page.goto("/label/concepts")
        assert page.url.endswith("/label/concepts/1"), "goes on behind the vote"
    finally:
        server.kill()
        server.wait(10)
    [vote] = [vote for vote in votes(world) if vote.annotator == "zoe"]
    assert (vote.space, vote.concept, vote.mixed) == (SPACE, 0, True)


def test_two_annotators_at_once_lose_nothing(desk, chromium):
    """Pages of two, turn by turn on the same concepts, each form loaded before the other's is saved."""
    pages = {name: begin(chromium, desk.url, name) for name in ("left", "right")}
    for n in range(5):
        for page in pages.values():
            page.goto(f"/label/concepts/{n}", wait_until="domcontentloaded")
        for name, page in pages.items():
            page.keyboard.press("u" if name == "left" else "m")
        for page in pages.values():
            page.evaluate("document.querySelector('#vote').requestSubmit()")  # both are under way at once
        for page in pages.values():
            page.wait_for_url("**saved=*")
    found = votes(desk.world)
    assert [vote.unsure for vote in found if vote.annotator == "left"] == [True] * 5
    assert [vote.mixed for vote in found if vote.annotator == "right"] == [True] * 5
