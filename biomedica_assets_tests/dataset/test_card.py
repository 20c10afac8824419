"""Audit, statistics, card and report: every number counted by hand, the same bytes twice, readable by the tools."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from biomedica_assets import schemas
from biomedica_assets.dataset.card import publish_card, size_category
from biomedica_assets.dataset.documents import read_document
from biomedica_assets.dataset.licence_audit import publish_audit
from biomedica_assets.dataset.plots import _compact, png, svg
from biomedica_assets.dataset.report import _share, _size
from biomedica_assets.dataset.statistics import _labels, publish_statistics
from biomedica_assets.store import catalogue
from biomedica_assets.store.garbage import collect_garbage
from biomedica_assets_tests.ingest.releases import DAYS, World, art, picture


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Five articles: 1 CC BY, two figures; 2 CC BY-NC; 3 with a notice; 4 no figure; 5 a picture that is missing."""
    root = tmp_path_factory.mktemp("card")
    (root / "release").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "write_local_database", lambda *_: None)
        world = World(root)
        world.build(
            DAYS[0],
            art(1).with_file("f1.png", picture(1, "PNG", (300, 200))),
            art(2, pictures=1, licence="CC BY-NC", year=2022),
            art(3, pictures=1, caption="Reproduced with permission from Elsevier."),
            art(4, pictures=0),
            art(5).with_file("f2.png", None),
            art(6, licence="TDM"),
        )
        yield world


def test_statistics_are_counted_by_hand(made: World) -> None:
    found, documents = publish_statistics(made.files)
    totals, series = found["totals"], found["series"]
    assert {name: totals[name] for name in ("articles", "figures", "captions", "mentions", "images")} == {
        "articles": 5,
        "figures": 6,
        "captions": 6,
        "mentions": 6,
        "images": 5,
    }
    assert (totals["listed_versions"], totals["articles_without_figures"], totals["open_failures"]) == (6, 1, 1)
    assert (totals["first_year"], totals["last_year"], totals["journals"]) == (2020, 2022, 1)
    assert (totals["images_commercial"], totals["images_with_notice"]) == (3, 1)
    assert series["articles_per_year"] == [["2020", 4], ["2021", 0], ["2022", 1]]
    assert series["articles_by_licence"] == [["CC BY", 4], ["CC BY-NC", 1]]
    assert series["images_by_group"] == [["commercial", 3], ["noncommercial", 1], ["other", 1]]
    assert series["figures_per_article"][:4] == [["0", 1], ["1", 2], ["2", 2], ["3", 0]]
    assert dict(map(tuple, series["caption_words"]))["0-9"] == 6
    assert dict(map(tuple, series["image_long_side"]))["256-511"] == 1
    assert dict(map(tuple, series["outcomes"])) == {"collected": 5, "gated:tdm": 1}
    assert found["spread"]["figures_per_article"]["quantiles"] == [0, 0, 1, 1, 2, 2, 2]
    assert series["mesh"] == []
    assert json.loads(read_document(made.files, "statistics", "statistics.json")) == found
    assert publish_statistics(made.files)[1] == documents


def test_audit_counts_rules_and_lists_what_is_not_plain(made: World) -> None:
    audit, documents = publish_audit(made.files)
    assert {row["name"]: row["n"] for row in audit.by_rule() if row["n"]} == {
        "one_source": 5,
        "article": 4,
        "notice": 1,
    }
    [row] = audit.decisions.to_pylist()
    assert (row["kind"], row["id"], row["rule"], row["group"]) == ("image", "PMC3.1/f1/1", "notice", "other")
    assert row["notice"] == "Reproduced with permission from Elsevier. 1"
    assert publish_audit(made.files)[1] == documents


def test_the_card_is_complete_and_the_same_twice(made: World) -> None:
    documents, markdown = publish_card(made.files)
    assert publish_card(made.files) == (documents, markdown)
    readme = made.files.read("README.md").decode()
    assert made.files.read(documents.paths["README.md"]).decode() == readme
    front = yaml.safe_load(readme.split("---\n")[1])
    assert front["size_categories"] == ["n<1K"]
    assert front["language"] == ["und"]
    assert "| articles | 5 |" in readme and "| CC BY-NC | 1 |" in readme
    assert "{{" not in readme and "None" not in readme
    assert len(markdown.encode()) < 20_000
    schema = json.loads(made.files.read(documents.paths["schema/images.json"]))
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema)
    for chunk in made.rows("images"):
        jsonschema.validate(chunk, schema)
    assert {f"schema/{table.name}.json" for table in schemas.ALL_TABLES} < documents.paths.keys()


class Page(HTMLParser):
    """What a report refers to, and the ids in it."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.ids: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src", "xlink:href") and value and not value.startswith("data:"):
                (self.inside if value.startswith("#") else self.outside).append(value)
            if name == "id" and value:
                self.ids.append(value)


def test_the_report_needs_no_other_file(made: World) -> None:
    documents, _ = publish_card(made.files)
    page, text = Page(), made.files.read(documents.paths["report.html"]).decode()
    page.feed(text)
    assert page.outside == []
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.inside} <= set(page.ids)
    assert all(f"url(#{name})" in text for name in re.findall(r"url\(#([^)]+)\)", text))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(page.ids)
    assert text.count("<img ") == 1  # one article with a picture that is large enough and free
    assert "prefers-color-scheme" in text


def test_croissant_is_valid_and_reads_the_store(made: World) -> None:
    croissant = pytest.importorskip("mlcroissant")
    publish_card(made.files)
    path = made.files.local_path("croissant.json")
    dataset = croissant.Dataset(jsonld=str(path))
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    for table, rows in (("current", 5), ("sample_index", 5), ("articles", 5), ("captions", 6), ("images", 5)):
        assert sum(1 for _ in dataset.records(table)) == rows


def test_old_documents_are_garbage(made: World) -> None:
    publish_card(made.files)
    before = {path for path, _ in made.files.list("card")}
    made.build(DAYS[1], art(1, title="Other"), art(2, pictures=1), art(4, pictures=0), art(7))
    publish_card(made.files)
    for now in (0, 4000):
        collect_garbage(made.files, now=now, grace_seconds=3600)
    after = {path for path, _ in made.files.list("card")}
    pointers = {f"card/{name}.json" for name in ("card", "statistics", "licence_audit")}
    schema = {path for path in before & after if "/schema/" in path}
    assert before & after == pointers | schema
    statistics = json.loads(read_document(made.files, "statistics", "statistics.json"))
    assert statistics["state"]["release"] == DAYS[1]
    assert statistics["series"]["withdrawals"] == [["removed", 2]]


def test_an_empty_store_has_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "write_local_database", lambda *_: None)
    (tmp_path / "release").mkdir()
    world = World(tmp_path)
    with pytest.raises(FileNotFoundError, match="no catalogue yet"):
        publish_card(world.files)
    world.build(DAYS[0], art(1, licence="TDM"))
    documents, _ = publish_card(world.files)
    assert "| articles | 0 |" in world.files.read(documents.paths["README.md"]).decode()


def test_charts_are_the_same_bytes_and_bring_no_colours() -> None:
    series: list[list[Any]] = [["a <b>", 3], ["& c", 1234567]]
    for upright in (True, False):
        chart = svg(series, upright=upright, name="x")
        assert chart == svg(series, upright=upright, name="x")
        assert "var(--bar)" in chart and "#2a6f97" not in chart
        assert "a &lt;b&gt;" in chart
        assert png(series, upright=upright) == png(series, upright=upright)


@pytest.mark.parametrize(("value", "text"), [(999, "999"), (1234, "1,234"), (25_000, "25k"), (24_000_000, "24M")])
def test_compact(value: int, text: str) -> None:
    assert _compact(value) == text


def test_words_for_numbers() -> None:
    assert [_share(*pair) for pair in ((0, 0), (0, 5), (1, 3), (1, 10**6), (10**6 - 1, 10**6), (5, 5))] == [
        "none",
        "0.0 %",
        "33.3 %",
        "< 0.1 %",
        "> 99.9 %",
        "100.0 %",
    ]
    assert [_size(n) for n in (5, 1500, 2 * 10**6, 3 * 10**12)] == ["5 bytes", "1.5 kB", "2.0 MB", "3.0 TB"]
    assert _labels([0, 1, 2, 5]) == ["0", "1", "2-4", "5+"]
    assert [size_category(n) for n in (5, 5000, 24_000_000)] == ["n<1K", "1K<n<10K", "10M<n<100M"]
