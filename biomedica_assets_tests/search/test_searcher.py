"""The searcher over time: withdrawals, swaps under load, cursors, whatever clients send."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from biomedica_assets.dataset.filters import FilterError
from biomedica_assets.search import cursors, opened
from biomedica_assets.search.generation import build_index
from biomedica_assets.search.local import DamagedFileError, local_copy
from biomedica_assets.search.manifest import read_newest
from biomedica_assets.search.requests import CursorError, IndexMissingError, SearchError, SearchRequest
from biomedica_assets.search.searcher import Searcher
from biomedica_assets.store.files import Files
from biomedica_assets_tests.ingest.releases import DAYS, World
from biomedica_assets_tests.search.conftest import add_features, encoders, found, paper, papers, settings


def test_what_is_withdrawn_disappears_without_a_build(world: World, searcher: Searcher) -> None:
    assert "11/f1" in found(searcher, "liver")
    world.release(DAYS[1], *papers()[1:])
    world.list()  # the file list alone: neither chunk nor catalogue nor index know of it
    assert "11/f1" in found(searcher, "liver")  # not looked yet
    assert searcher.refresh() is False
    for question in ({"text": "liver"}, {"text": "liver", "mode": "vector"}, {}, {"text": "liver", "group": "article"}):
        assert not {one[:2] for one in found(searcher, **question)} & {"11"}  # type: ignore[arg-type]
    assert searcher.figure("PMC11.1/f1") is None
    assert searcher.facets(SearchRequest(facets=("year",)))["year"] == [("2021", 3), ("2019", 2), ("2020", 2)]
    with pytest.raises(SearchError, match="no figure"):
        found(searcher, like="PMC11.1/f1")
    world.ingest()
    build_index(world.files)
    assert searcher.refresh() is True
    assert "11/f1" not in found(searcher, "liver")


def test_the_store_is_looked_at_by_searches_too(world: World, tmp_path: Path) -> None:
    quick = settings(world).model_copy(update={"serve_refresh_seconds": 1e-9})
    searcher = Searcher(world.files, tmp_path / "cache", quick, encoders())
    world.release(DAYS[1], *papers()[1:])
    world.list()
    assert "11/f1" not in found(searcher, "liver")


def test_served_groups(world: World, tmp_path: Path) -> None:
    only = settings(world, served_groups=("noncommercial",))
    searcher = Searcher(world.files, tmp_path / "cache", only, encoders())
    assert set(found(searcher)) == {"12/f1", "12/f2"}
    assert set(found(searcher, "liver", mode="vector")) == {"12/f1", "12/f2"}
    everything = settings(world, served_groups=("commercial", "noncommercial", "other"))
    assert "14/f1" in found(Searcher(world.files, tmp_path / "cache", everything, encoders()), "liver")


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize(
    "question",
    [
        {},
        {"text": "liver", "mode": "keyword"},
        {"text": "section of kidney skin lesion", "mode": "keyword"},
        {"text": "liver", "mode": "vector"},
        {"text": "liver"},
        {"like": "PMC15.1/f2"},
        {"group": "article"},
        {"text": "liver kidney", "group": "article"},
    ],
)
def test_pages_neither_repeat_nor_lose(
    shared_searcher: Searcher, monkeypatch: pytest.MonkeyPatch, question: dict[str, Any], limit: int
) -> None:
    whole = shared_searcher.search(SearchRequest(**question, limit=100))
    assert whole.next_cursor is None
    # rankings that are cut short are followed by what else has the words
    for depth in (2, 300):
        monkeypatch.setattr(opened, "DEPTH", depth)
        ids = found(shared_searcher, **question, limit=limit)
        assert len(ids) == len(set(ids))
        if depth == 300 or question.get("mode") == "keyword":
            loose = limit == 1 and "skin" in question.get("text", "")  # one hit is enough for a page of one
            assert len(ids) == whole.total or loose


def test_pages_end_somewhere(shared_searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biomedica_assets.search.searcher.MAX_PLACE", 4)
    assert len(found(shared_searcher, limit=2)) == 6
    response = shared_searcher.search(SearchRequest(limit=5))
    assert response.next_cursor is None
    assert "pages end" in response.warnings[0]


def test_a_cursor_is_bound_to_its_search(shared_searcher: Searcher) -> None:
    cursor = shared_searcher.search(SearchRequest(text="liver", limit=1)).next_cursor
    assert cursor
    for other in (
        {"text": "kidney"},
        {"text": "liver", "mode": "keyword"},
        {"text": "liver", "filters": {"pmcid": "11"}},
        {"text": "liver", "group": "article"},
    ):
        with pytest.raises(CursorError, match="another search"):
            shared_searcher.search(SearchRequest(cursor=cursor, **other))  # type: ignore[arg-type]
    # the length of pages and what else is shown may change on the way
    assert shared_searcher.search(SearchRequest(text="liver", cursor=cursor, limit=3, facets=("year",))).hits


def test_cursors_outlive_one_swap(world: World, searcher: Searcher) -> None:
    first = searcher.search(SearchRequest(limit=2))
    for day, caption in ((1, "Spleen"), (2, "Pancreas")):
        world.build(DAYS[day], paper(11, [caption], year=2018), *papers()[1:])
        add_features(world)
        build_index(world.files)
        assert searcher.refresh()
        request = SearchRequest(limit=100, cursor=first.next_cursor)
        if day == 1:
            page = searcher.search(request)
            assert page.generation == first.generation
            assert len(page.hits) == 7
            # 11 is not withdrawn, only replaced: its old figures are shown to the end of the pages
            assert {hit.pmcid for hit in page.hits} == {"PMC11", "PMC12", "PMC13", "PMC15"}
        else:
            with pytest.raises(CursorError, match="renewed"):
                searcher.search(request)


def test_swaps_during_searches(world: World, tmp_path: Path) -> None:
    """Searches go on in threads while generations come: each answers wholly from one of them."""
    quick = settings(world).model_copy(update={"serve_refresh_seconds": 0.05})
    searcher = Searcher(world.files, tmp_path / "cache", quick, encoders())
    legal = {read_newest(world.files).id: 9}  # type: ignore[union-attr]
    end = threading.Event()
    problems: list[Any] = []
    answered: set[str] = set()

    def work() -> None:
        while not end.is_set():
            try:
                for question in ({}, {"text": "liver"}, {"text": "kidney", "mode": "vector"}, {"like": "PMC15.1/f1"}):
                    response = searcher.search(SearchRequest(**question, limit=100, facets=("year",)))  # type: ignore[arg-type]
                    answered.add(response.generation)
                    if not question and len(response.hits) != sum(n for _, n in response.facets["year"]):
                        problems.append(response)
            except Exception as error:
                problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        articles = papers()
        for day in (1, 2, 3):
            articles.append(paper(20 + day, ["Another liver"], year=2024))
            world.build(DAYS[day], *articles)
            add_features(world)
            legal[build_index(world.files).manifest.id] = 9 + day
            searcher.refresh()
    finally:
        end.set()
        for thread in threads:
            thread.join(30)
    assert problems == []
    assert answered <= set(legal)
    assert len(answered) > 1
    assert len(found(searcher)) == 12


def test_no_index(tmp_path: Path, world: World) -> None:
    with pytest.raises(IndexMissingError, match="materialize"):
        Searcher(Files(tmp_path / "empty"), tmp_path / "cache", settings(world))
    for path, _ in list(world.files.list("index")):
        world.files.remove(path)
    with pytest.raises(FileNotFoundError):
        Searcher(world.files, tmp_path / "cache", settings(world))


def test_a_remote_store_is_copied_once_and_checked(world: World, tmp_path: Path) -> None:
    remote = Files("memory://search-copy")
    for path, _ in world.files.list(""):
        remote.write(path, world.files.read(path))
    newest = read_newest(remote)
    assert newest is not None
    cache = tmp_path / "cache"
    folder = local_copy(remote, newest, cache)
    requests = remote.traffic.requests
    assert local_copy(remote, newest, cache) == folder
    assert remote.traffic.requests == requests
    # a file that was cut is fetched again
    shutil.rmtree(folder)
    victim = next(file for name, file in newest.files.items() if name.endswith(".store"))
    held = cache / "files" / victim.sha256
    held.write_bytes(held.read_bytes()[:10])
    searcher = Searcher(remote, cache, settings(world), encoders())
    assert "11/f1" in found(searcher, "liver")
    # one that is damaged in the store is not used
    remote.write(victim.path, b"x" * victim.bytes)
    with pytest.raises(DamagedFileError, match="checksum"):
        local_copy(remote, newest, tmp_path / "other")
    remote.remove(victim.path)
    with pytest.raises(IndexMissingError):
        local_copy(remote, newest, tmp_path / "other")


_ANYTHING = st.text(max_size=60) | st.text(st.sampled_from('ab "-:()*?\\+^~[]{}/éß染\0caption'), max_size=60)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=_ANYTHING, mode=st.sampled_from(["keyword", "vector", "hybrid"]), group=st.sampled_from(["figure", "article"])
)
def test_no_query_is_an_error(shared_searcher: Searcher, text: str, mode: Any, group: Any) -> None:
    response = shared_searcher.search(SearchRequest(text=text, mode=mode, group=group, facets=("year",)))
    assert response.total >= len(response.hits)
    for hit in response.hits:
        for pieces in hit.snippets.values():
            assert all(piece for piece, _ in pieces)


@hypothesis_settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cursor=st.text(max_size=80) | st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True))
def test_no_cursor_is_more_than_an_error(shared_searcher: Searcher, cursor: str) -> None:
    try:
        request = SearchRequest(cursor=cursor)
    except ValidationError:
        return
    if request.cursor is not None:
        with pytest.raises(CursorError):
            shared_searcher.search(request)


@given(
    offset=st.integers(0, cursors.MAX_PLACE),
    loose=st.booleans(),
    flip=st.integers(0, 60),
    generation=st.integers(0, 2**60),
)
def test_cursors_come_back_or_are_refused(offset: int, loose: bool, flip: int, generation: int) -> None:
    request = SearchRequest(text="x")
    place = cursors.Place(f"{generation:016x}", offset, loose)
    cursor = cursors.write_cursor(place, request)
    assert cursors.read_cursor(cursor, request) == place
    changed = cursor[:flip] + ("A" if cursor[flip : flip + 1] != "A" else "B") + cursor[flip + 1 :]
    if changed[: len(cursor)] != cursor:
        with pytest.raises(CursorError):
            cursors.read_cursor(changed, request)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "licence_group": st.sampled_from(["commercial", "noncommercial", "other", "x"]),
            "journal": st.sampled_from(["Journal 1", "j 0", "'; DROP TABLE rows; --"]),
            "media_type": st.sampled_from(["image/png", "image/jpeg"]),
            "kind": st.sampled_from(["fig", "table"]),
            "pmcid": st.lists(st.sampled_from(["11", "13", "99"]), min_size=1, max_size=2),
            "published_from": st.sampled_from(["2018", "2019-05", "2021-01-02"]),
            "published_to": st.sampled_from(["2021", "2021-05", "2021-12-31"]),
            "width_min": st.integers(0, 100),
            "height_max": st.integers(0, 100),
            "bytes_min": st.integers(0, 3000),
            "language": st.just("en"),
            "mesh": st.just("D000001"),
            "keyword": st.sampled_from(["imaging", "Ward", "none"]),
        },
    )
)
def test_masks_and_words_keep_the_same(shared_searcher: Searcher, filters: dict[str, Any]) -> None:
    """Two engines carry the filters out: DuckDB for vectors, tantivy for words."""
    try:
        request = SearchRequest(filters=filters, limit=100)
    except (ValidationError, FilterError):
        return
    rows = shared_searcher._now().newest.opened.rows  # type: ignore[attr-defined]
    by_words = shared_searcher.search(request)
    assert by_words.total == int(rows.mask(request.filters).sum())
    articles = shared_searcher.search(SearchRequest(filters=filters, limit=100, group="article"))
    assert {hit.pmcid for hit in articles.hits} == {hit.pmcid for hit in by_words.hits}
