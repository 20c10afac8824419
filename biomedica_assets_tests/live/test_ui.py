"""The Dagster UI in headless Chromium: lineage, a backfill launched by clicking, a chunk's preview.

Set BIOMEDICA_SCREENSHOTS to a folder to keep what the browser saw.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from biomedica_assets import sample
from biomedica_assets_tests.live.dagster_dev import DagsterDev

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ui")
    sample.write_release(str(folder / "source"), 1)
    environment = {"BIOMEDICA_SOURCE": str(folder / "source"), "BIOMEDICA_STORE": str(folder / "store")}
    with DagsterDev(folder / "home", environment | {"BIOMEDICA_CHUNK_SIZE": "20"}) as dev:
        yield dev


@pytest.fixture
def page(dev):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 950}, base_url=dev.url)
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def keep(page, name: str) -> None:
    """Save a screenshot where the caller of the tests wants them, if anywhere."""
    if folder := os.environ.get("BIOMEDICA_SCREENSHOTS"):
        page.wait_for_timeout(1500)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def launch_file_list(dev) -> None:
    dev.launch_job("list_release")
    dev.wait(lambda: dev.partition_stats("captions")["numPartitions"] == 3, 180, "three partitions")


def test_a_backfill_launched_by_clicking_fills_the_partitions(dev, page):
    launch_file_list(dev)
    page.goto("/locations/biomedica_assets/asset-groups/articles/lineage")
    for table in ("sources", "captions", "images"):
        page.get_by_text(table, exact=True).first.wait_for()
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("3 partitions selected").or_(dialog.get_by_text("Partition selection")).first.wait_for()
    keep(page, "backfill_dialog")
    dialog.get_by_role("button", name="All", exact=True).first.click()
    dialog.get_by_role("button", name="Launch").last.click()
    dev.wait(lambda: dev.partition_stats("images")["numMaterialized"] == 3, 300, "the backfill")
    assert dev.partition_stats("failures")["numFailed"] == 0
    backfilled = [run for run in dev.runs() if run["tags"].get("dagster/backfill")]
    assert len(backfilled) == 1, "three neighbouring chunks of ten tables are one run"

    page.goto("/locations/biomedica_assets/asset-groups/articles/lineage")
    page.get_by_text("captions", exact=True).first.wait_for()
    page.wait_for_timeout(4000)
    keep(page, "lineage")
    page.goto("/assets/captions?view=partitions")
    page.get_by_text("Materialized (3)").wait_for()
    keep(page, "partitions")


def test_a_chunk_shows_its_images_and_captions(dev, page):
    chunk = f"{sample.RELEASES[1]}-00000"
    page.goto(f"/assets/images?view=partitions&partition={chunk}")
    page.get_by_text("Show Markdown").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("caption", exact=True).wait_for()
    widths = dialog.locator("img").evaluate_all("pictures => pictures.map(p => p.naturalWidth)")
    assert widths, "the preview shows a contact sheet"
    assert min(widths) > 100, "and the browser could decode it"
    keep(page, "preview")


def test_checks_are_shown_per_partition(dev, page):
    page.goto("/assets/images?view=checks")
    page.get_by_text("images_join").first.wait_for()
    page.get_by_text("Passed").first.wait_for()
    keep(page, "checks")
