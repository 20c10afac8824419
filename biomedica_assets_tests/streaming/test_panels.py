"""Streams of panels: crops with their own texts, each once, the same bytes again; places kept, cuts mended."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import webdataset
from PIL import Image

import biomedica_assets
from biomedica_assets.dataset.filters import Filters
from biomedica_assets.dataset.recipes import Recipe
from biomedica_assets.dataset.subsets import build_subset
from biomedica_assets.streaming import panels
from biomedica_assets.streaming.panels import PanelTar
from biomedica_assets.streaming.plan import Part
from biomedica_assets.streaming.planner import Planner, WithdrawnError
from biomedica_assets.streaming.samples import Closing, Found, read_samples
from biomedica_assets.streaming.selection import StreamError
from biomedica_assets_tests.details import commit_panels
from biomedica_assets_tests.ingest.releases import World, picture
from biomedica_assets_tests.streaming.conftest import SERVED, _world, withdraw
from biomedica_assets_tests.streaming.loopback import CuttingProxy, served

HALVES = [((0, 0, 10, 16), "A", "cap"), ((10, 0, 14, 16), "B", "tion")]
"""Pictures are 24 x 16 pixels, captions "caption 1" to "caption 3"; the first figures of PMC1 to PMC24 are halved."""
SAMPLES = {f"{image}/panel{n}" for image in SERVED for n in ((1, 2) if "/f1/" in image else (1,))}


@pytest.fixture(scope="module")
def halved(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("halved")
    shutil.copytree(built, root, dirs_exist_ok=True)
    commit_panels(_world(root), {f"PMC{n}.1/f1/1": HALVES for n in range(1, 25)})
    return root


@pytest.fixture
def still(halved: Path) -> World:
    return _world(halved)


@pytest.fixture
def world(halved: Path, tmp_path: Path) -> World:
    shutil.copytree(halved, tmp_path, dirs_exist_ok=True)
    return _world(tmp_path)


def planner(world: World) -> Planner:
    return Planner(world.files, refresh_seconds=0)


def begin(world: World, part: Part | None = None, filters: Filters | None = None, **options: Any) -> PanelTar:
    tar = planner(world).begin(part, filters, unit="panel", **options)
    assert isinstance(tar, PanelTar)
    return tar


def whole(tar: PanelTar, first: int = 0) -> bytes:
    return b"".join(tar.read(None, first))


def ids(data: bytes) -> list[str]:
    return [json.loads(s.members["json"])["panel_id"] for s in read_samples([data]) if isinstance(s, Found)]


def test_each_panel_once_with_its_crop_and_its_text(still: World) -> None:
    data = whole(begin(still))
    found = {json.loads(s.members["json"])["panel_id"]: s for s in read_samples([data]) if isinstance(s, Found)}
    assert set(found) == SAMPLES
    second = found["PMC7.1/f1/1/panel2"]
    assert second.key == "PMC7-1-f1_2F1_2Fpanel2"
    assert set(second.members) == {"png", "txt", "json"}
    assert second.members["txt"] == b"tion"
    cut = Image.open(io.BytesIO(second.members["png"]))
    original = Image.open(io.BytesIO(picture(71)))
    assert (cut.size, cut.tobytes()) == ((14, 16), original.crop((10, 0, 24, 16)).tobytes())
    said = json.loads(second.members["json"])
    assert (said["letter"], said["x"], said["width"], said["n_panels"]) == ("B", 10, 14, 2)
    assert (said["image_id"], said["whole_caption"], said["licence_group"]) == ("PMC7.1/f1/1", False, "commercial")
    only = found["PMC7.1/f2/1/panel1"]
    assert only.members["png"] == picture(72), "an image that is one panel keeps its bytes"
    assert only.members["txt"] == b"caption 2"


def test_the_closing_member_counts_and_checks_what_came(still: World) -> None:
    tar = begin(still)
    *_, closing = read_samples([whole(tar)])
    assert isinstance(closing, Closing)
    assert closing.samples == len(tar.plan) == len(SAMPLES)
    *_, rest = read_samples([whole(tar, len(SAMPLES) - 3)])
    assert isinstance(rest, Closing)
    assert (rest.samples, rest.cursor) == (3, closing.cursor)


def test_the_same_bytes_again_whatever_is_read_together(still: World, monkeypatch: pytest.MonkeyPatch) -> None:
    data = whole(begin(still, Part(seed=3)))
    assert whole(begin(still, Part(seed=3))) == data
    monkeypatch.setattr(panels, "BATCH_SAMPLES", 5)
    assert whole(begin(still, Part(seed=3))) == data
    assert ids(whole(begin(still, Part(seed=4)))) != ids(data)


def test_parts_share_an_epoch_and_places_are_kept(still: World) -> None:
    state = begin(still).cursor.state
    parts = [ids(whole(begin(still, Part(seed=1, rank=rank, world=3), state=state))) for rank in range(3)]
    assert sorted(one for part in parts for one in part) == sorted(SAMPLES)
    tar = begin(still, Part(seed=1))
    order = ids(whole(tar))
    plans = planner(still)
    for place in (0, 17, len(order)):
        resumed = plans.resume(plans.cursor_at(tar, place).encode())
        assert isinstance(resumed, PanelTar)
        assert ids(whole(resumed)) == order[place:]


def test_filters_and_subsets(still: World) -> None:
    assert ids(whole(begin(still, Part(shuffle=False), Filters(n_panels_min=2, pmcid=["7"])))) == [
        "PMC7.1/f1/1/panel1", "PMC7.1/f1/1/panel2"
    ]  # fmt: skip
    build_subset(still.files, Recipe(name="bs", description="x", unit="panel", where="panel = 'B' AND pmcid < 4"))
    chosen = {f"PMC{n}.1/f1/1/panel2" for n in (1, 2, 3)}
    assert set(ids(whole(begin(still, subset="bs")))) == chosen
    assert len(planner(still).begin(subset="bs").plan) == 3, "as images: those that the panels are of"
    build_subset(still.files, Recipe(name="images", description="x", where="pmcid = 4"))
    assert set(ids(whole(begin(still, subset="images")))) == {one for one in SAMPLES if one.startswith("PMC4.1/")}


def test_without_panels_there_is_nothing_to_stream(built: Path) -> None:
    with pytest.raises(StreamError, match="'panels'"):
        begin(_world(built))


def test_what_is_withdrawn_drops_out(world: World) -> None:
    tar = begin(world, Part(seed=1))
    order = ids(whole(tar))
    gone = int(order[-1].partition(".")[0].removeprefix("PMC"))
    withdraw(world, gone)
    plans = planner(world)
    with pytest.raises(WithdrawnError) as caught:
        plans.check(tar, 10)
    rest = plans.resume(caught.value.cursor.encode())
    assert isinstance(rest, PanelTar)
    assert ids(whole(rest)) == [one for one in order[10:] if not one.startswith(f"PMC{gone}.1/")]


# Over HTTP ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(halved: Path) -> Iterator[str]:
    with served(_world(halved).given["store"]) as url:
        yield url


def test_a_stream_over_http_and_its_plan(server: str, still: World) -> None:
    with httpx.Client(base_url=server) as client:
        reply = client.get("/v1/stream", params={"unit": "panel", "seed": 1})
        assert reply.status_code == 200
        assert reply.content == whole(begin(still, Part(seed=1)))
        assert reply.headers["accept-ranges"] == "none"
        assert "content-length" not in reply.headers
        head = client.head("/v1/stream", params={"unit": "panel", "seed": 1})
        assert (head.status_code, "content-length" in head.headers) == (200, False), "nobody knows it, least of all 0"
        assert reply.headers["biomedica-samples"] == str(len(SAMPLES))
        plan = client.get("/v1/streams/plan", params={"unit": "panel", "seed": 1}).json()
        assert (plan["samples"], plan["bytes"], plan["etag"], plan["checksum"]) == (len(SAMPLES), None, None, None)
        later = client.get("/v1/streams/plan", params={"cursor": plan["cursor"], "offset": 40}).json()
        assert later["samples"] == len(SAMPLES), "the plan of the whole; its cursor goes on at sample 40"
        assert ids(client.get(later["url"]).content) == ids(reply.content)[40:]
        assert client.head("/v1/stream", params={"unit": "panel"}).status_code == 200
        assert client.get("/v1/stream", params={"unit": "paragraph"}).status_code == 422


@pytest.mark.parametrize("source", ["store", "server"])
def test_the_client_takes_them_and_keeps_its_place(source: str, server: str, still: World) -> None:
    address = server if source == "server" else still.given["store"]
    samples = biomedica_assets.stream(address, seed=1, unit="panel")
    assert samples.samples == len(SAMPLES)
    names = [json.loads(one["json"])["panel_id"] for one in samples]
    assert names == ids(whole(begin(still, Part(seed=1))))
    running = iter(samples)
    had = [json.loads(next(running)["json"])["panel_id"] for _ in range(20)]
    place = samples.state_dict()
    other = biomedica_assets.stream(address, seed=1, unit="panel")
    other.load_state_dict(place)
    assert had + [json.loads(one["json"])["panel_id"] for one in other] == names


def test_cuts_are_mended(server: str, still: World) -> None:
    with CuttingProxy(server, [300, 9000, 0, 20_000, 1]) as proxy:
        samples = biomedica_assets.stream(proxy.url, seed=1, unit="panel")
        names = [json.loads(one["json"])["panel_id"] for one in samples]
        assert proxy.made == 5
    assert names == ids(whole(begin(still, Part(seed=1))))


def test_webdataset_reads_the_address(server: str) -> None:
    dataset = webdataset.WebDataset(f"{server}/v1/stream?unit=panel", shardshuffle=False)
    assert {json.loads(one["json"])["panel_id"] for one in dataset} == SAMPLES
