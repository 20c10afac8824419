"""Streams over HTTP by a real server on loopback, and the client that takes them, from server and store."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import random
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import webdataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import biomedica_assets
from biomedica_assets.dataset.export_manifest import Options
from biomedica_assets.dataset.export_upkeep import rebuild_all
from biomedica_assets.dataset.exports import export
from biomedica_assets.dataset.recipes import Recipe
from biomedica_assets.dataset.subsets import build_subset
from biomedica_assets.serve import streams as routes
from biomedica_assets.serve.app import create_app
from biomedica_assets.serve.metrics import Metrics
from biomedica_assets.settings import Settings
from biomedica_assets.store.files import Files
from biomedica_assets.streaming import client, reading
from biomedica_assets.streaming.cursor import Cursor, decode
from biomedica_assets.streaming.plan import Part
from biomedica_assets.streaming.samples import CutError
from biomedica_assets.streaming.selection import StreamError
from biomedica_assets_tests.ingest.releases import World
from biomedica_assets_tests.servers import FakeS3
from biomedica_assets_tests.streaming.conftest import SERVED, image_ids, withdraw
from biomedica_assets_tests.streaming.loopback import CuttingProxy, served


@pytest.fixture(scope="module")
def server(built: Any) -> Iterator[httpx.Client]:
    with served(str(built / "store")) as url, httpx.Client(base_url=url, timeout=30) as http:
        yield http


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biomedica_assets.streaming.remote._WAIT", 0.001)


def ids(samples: Any) -> list[str]:
    return [json.loads(sample["json"])["image_id"] for sample in samples]


def wait_for(what: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


# HTTP -----------------------------------------------------------------------------------------------------------------


def test_a_stream_and_its_plan(server: httpx.Client) -> None:
    plan = server.get("/v1/streams/plan", params={"seed": 3}).json()
    answer = server.get("/v1/stream", params={"seed": 3})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/x-tar"
    assert plan["samples"] == len(SERVED) == int(answer.headers["biomedica-samples"])
    assert plan["bytes"] == len(answer.content) == int(answer.headers["content-length"])
    assert answer.headers["etag"] == f'"{plan["etag"]}"'
    assert server.get(plan["url"]).content == answer.content, "the plan's address pins the same"
    head = server.head("/v1/stream", params={"seed": 3})
    assert not head.content and head.headers["content-length"] == answer.headers["content-length"]
    assert server.get("/v1/stream", params={"seed": 4}).content != answer.content


def test_ranges_are_parts_of_the_whole(server: httpx.Client) -> None:
    whole = server.get("/v1/stream")
    pinned = {"cursor": whole.headers["biomedica-cursor"]}
    numbers = random.Random(2)
    size = len(whole.content)
    for _ in range(40):
        first = numbers.randrange(size)
        last = numbers.randrange(first, size)
        answer = server.get("/v1/stream", params=pinned, headers={"Range": f"bytes={first}-{last}"})
        assert answer.status_code == 206 and answer.content == whole.content[first : last + 1]
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
    assert server.get("/v1/stream", params=pinned, headers={"Range": "bytes=-10"}).content == whole.content[-10:]
    assert server.get("/v1/stream", params=pinned, headers={"Range": f"bytes={size}-"}).status_code == 416
    # What is not pinned may be other bytes by now, so a bare range is no promise; with its tag it is.
    assert server.get("/v1/stream", headers={"Range": "bytes=5-"}).status_code == 200
    tagged = {"Range": "bytes=5-", "If-Range": whole.headers["etag"]}
    assert server.get("/v1/stream", headers=tagged).content == whole.content[5:]
    assert server.get("/v1/stream", headers={"Range": "bytes=5-", "If-Range": '"x"'}).status_code == 200
    assert server.get("/v1/stream", headers={"If-Match": '"x"'}).status_code == 412
    assert server.get("/v1/stream", headers={"If-None-Match": whole.headers["etag"]}).status_code == 304


@pytest.mark.parametrize(
    ("params", "status", "said"),
    [
        ({"rank": 1}, 422, "rank 1 is not below world 1"),
        ({"rank": 1, "world": 4}, 400, "state="),
        ({"cursor": "abc"}, 400, "not a cursor"),
        ({"subset": "nope"}, 400, "no subset"),
        ({"snapshot": "../../x"}, 400, "no name"),
        ({"licence_group": "other"}, 400, "not served"),
        ({"label": "x"}, 400, "annotations"),
        ({"state": "0" * 16}, 410, "new epoch"),
        ({"epoch": "-1"}, 422, "epoch"),
        ({"seed": "9" * 40}, 422, "seed"),
        ({"rang": 1}, 422, "no such parameter"),
    ],
)
def test_what_cannot_be_asked(server: httpx.Client, params: dict[str, Any], status: int, said: str) -> None:
    for path in ("/v1/stream", "/v1/streams/plan"):
        answer = server.get(path, params=params)
        assert answer.status_code == status and said in answer.json()["detail"]
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_cursor_says_all(server: httpx.Client) -> None:
    cursor = server.get("/v1/streams/plan").json()["cursor"]
    answer = server.get("/v1/stream", params={"cursor": cursor, "seed": 1})
    assert answer.status_code == 400 and "leave out seed" in answer.json()["detail"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_hostile_cursors_are_refused(server: httpx.Client, data: st.DataObject) -> None:
    true = decode(server.get("/v1/streams/plan").json()["cursor"])
    changes: dict[str, Any] = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "state": st.text("0123456789abcdef", min_size=16, max_size=16),
                "snapshot": st.sampled_from(["x", "..", "../x", "a/b"]),
                "subset": st.tuples(st.sampled_from(["x", "..", "a/b"]), st.just("0" * 16)),
                "groups": st.just(("other",)) | st.just(("x' OR 1=1 --",)),
                "withdrawn": st.tuples(st.text(max_size=16), st.tuples(st.text(max_size=20))),
                "digest": st.text("0123456789abcdef", min_size=16, max_size=16),
                "position": st.integers(100, 2**31),
            },
        ).filter(bool)
    )
    forged = Cursor.model_construct(**{**dict(true), **changes})
    try:
        text = forged.encode()
    except UnicodeError:
        return
    for path in ("/v1/stream", "/v1/streams/plan"):
        answer = server.get(path, params={"cursor": text})
        # The state says which samples; which snapshot keeps it, or which list of withdrawals, may be said wrongly.
        harmless = set(changes) <= {"withdrawn", "snapshot"} and answer.status_code == 200
        assert harmless or 400 <= answer.status_code < 500, (changes, answer.text)
    mangled = list(true.encode())
    place = data.draw(st.integers(0, len(mangled) - 1))
    mangled[place] = data.draw(st.sampled_from("abcXYZ019-_ %\n"))
    assert server.get("/v1/stream", params={"cursor": "".join(mangled)}).status_code in (200, 400, 410)


def test_withdrawn_meanwhile(world: World) -> None:
    with served(str(world.files.local_path())) as url, httpx.Client(base_url=url) as http:
        whole = http.get("/v1/stream", params={"seed": 6})
        pinned = {"cursor": whole.headers["biomedica-cursor"]}
        withdraw(world, 11)
        asked = {"params": pinned, "headers": {"Range": "bytes=10-"}}
        assert wait_for(lambda: http.get("/v1/stream", **asked).status_code == 412), "the server did not notice"
        answer = http.get("/v1/stream", **asked)
        problem = answer.json()
        assert problem["reason"] == "withdrawn" and problem["cursor"] == answer.headers["biomedica-cursor"]
        rest = http.get("/v1/stream", params={"cursor": problem["cursor"]})
        assert rest.status_code == 200 and b"PMC11-1-" not in rest.content
        assert int(rest.headers["biomedica-samples"]) == len(SERVED) - 3


def test_no_more_streams_than_the_cap(built: Any) -> None:
    with served(str(built / "store"), serve_streams=1) as url, httpx.Client(base_url=url) as http:
        store = str(built / "store")
        state: Any = SimpleNamespace(
            files=Files(store), settings=Settings(store=store, _env_file=None), metrics=Metrics()
        )
        streams = routes._Streams(state)
        streams._most = 0
        with pytest.raises(Exception, match="under way") as caught:
            asyncio.run(streams.answer(None, None))  # type: ignore[arg-type]
        assert caught.value.status == 503 and caught.value.headers["Retry-After"]  # type: ignore[attr-defined]
        for _ in range(3):  # a place is given back at the end of each
            assert wait_for(lambda: http.get("/v1/stream").status_code == 200)
            assert wait_for(lambda: http.head("/v1/stream").status_code == 200)
            assert wait_for(lambda: http.get("/v1/stream", params={"cursor": "x"}).status_code == 400)


def scope(query: bytes = b"") -> dict[str, Any]:
    """A request for a stream, as a server of ASGI apps makes it."""
    return {
        **{"type": "http", "method": "GET", "path": "/v1/stream", "raw_path": b"/v1/stream", "query_string": query},
        **{"headers": [(b"host", b"localhost")], "scheme": "http", "http_version": "1.1", "root_path": ""},
        **{"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "asgi": {"version": "3.0", "spec_version": "2.3"}},
    }


def test_a_slow_reader_holds_two_blocks(built: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", 4096)
    app = create_app(Settings(store=str(built / "store"), stream_stall_seconds=0.5, _env_file=None))
    taken: list[int] = []
    read = reading.LocalSource._blocks

    def counted(*arguments: Any) -> Iterator[Any]:
        for block in read(*arguments):
            taken.append(len(block))
            yield block

    monkeypatch.setattr(reading.LocalSource, "_blocks", counted)
    sent: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.append(len(message["body"]))
            await asyncio.sleep(3600)

    async def receive() -> Any:
        await asyncio.sleep(3600)

    asyncio.run(asyncio.wait_for(app(scope(), receive, send), 20))
    assert len(sent) == 1, "the reader never took the first block, and was cut"
    assert len(taken) <= 3


def test_a_running_stream_is_cut_when_something_of_its_rest_is_withdrawn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(routes, "_LOOK_SECONDS", 0.0)
    store = str(world.files.local_path())
    app = create_app(Settings(store=store, serve_refresh_seconds=0.001, _env_file=None))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 10:
            await asyncio.to_thread(withdraw, world, 20)

    async def receive() -> Any:
        await asyncio.sleep(3600)

    asyncio.run(asyncio.wait_for(app(scope(b"shuffle=false"), receive, send), 30))
    assert sent[0]["status"] == 200
    size = int(dict(sent[0]["headers"])[b"content-length"])
    got = sum(len(message["body"]) for message in sent[1:])
    assert got < size / 2 and sent[-1]["more_body"], "the server of the app sees too few bytes, and hangs up"


# The client -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["store", "server", "bucket"])
def source(request: pytest.FixtureRequest, built: Any, server: httpx.Client) -> Iterator[str]:
    """One after the other: a folder, our server, a plain web folder without any software of ours."""
    if request.param == "store":
        yield str(built / "store")
    elif request.param == "server":
        yield str(server.base_url)
    else:
        with FakeS3(built / "store", listable=False) as bucket:
            yield bucket.http_url


def test_an_epoch_from_anywhere_is_the_same(source: str, built: Any) -> None:
    found = biomedica_assets.stream(source, seed=8, epoch=1)
    samples = list(found)
    assert found.samples == len(SERVED)
    assert ids(samples) == ids(biomedica_assets.stream(str(built / "store"), seed=8, epoch=1))
    assert set(samples[0]) == {"__key__", "__url__", "png", "json", "txt"}
    filtered = biomedica_assets.stream(source, pmcid=["PMC7"], shuffle=False)
    assert ids(filtered) == sorted(image_ids([7]))


def test_state_is_kept_and_loaded(source: str) -> None:
    whole = ids(biomedica_assets.stream(source, seed=1, epochs=2))
    assert len(whole) == 2 * len(SERVED) and whole[: len(SERVED)] != whole[len(SERVED) :]
    for stop in (0, 1, 33, len(SERVED) - 1, len(SERVED), len(SERVED) + 5):
        first = biomedica_assets.stream(source, seed=1, epochs=2)
        taken = [sample for _, sample in zip(range(stop), first, strict=False)]
        saved = json.loads(json.dumps(first.state_dict()))
        second = biomedica_assets.stream(source, seed=1, epochs=2)
        second.load_state_dict(saved)
        assert second.state_dict() == saved
        assert ids(taken) + ids(second) == whole


def test_an_epoch_that_is_over_is_not_begun_again(source: str) -> None:
    found = biomedica_assets.stream(source)
    assert len(list(found)) == len(SERVED) and found.state_dict() == {"epoch": 1, "cursor": None, "offset": 0}
    again = biomedica_assets.stream(source)
    again.load_state_dict(found.state_dict())
    assert list(again) == []
    again.set_epoch(1)
    assert ids(again) == ids(biomedica_assets.stream(source, epoch=1))
    later = biomedica_assets.stream(source)
    later.load_state_dict({"epoch": 7, "cursor": None, "offset": 0})
    assert ids(later) == ids(biomedica_assets.stream(source, epoch=7))


def torch_data(worker: int, workers: int) -> Any:
    """What torch.utils.data is to a worker's process."""
    return SimpleNamespace(get_worker_info=lambda: SimpleNamespace(id=worker, num_workers=workers))


def test_workers_of_torch_share_a_rank(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    state = biomedica_assets.stream(source).state
    seen: list[str] = []
    for rank in range(4):
        found = biomedica_assets.stream(source, state=state, rank=rank, world=4)
        for worker in range(2):
            monkeypatch.setitem(sys.modules, "torch.utils.data", torch_data(worker, 2))
            seen += ids(pickle.loads(pickle.dumps(found)))
            monkeypatch.delitem(sys.modules, "torch.utils.data")
    assert len(seen) == len(SERVED) and set(seen) == SERVED
    with pytest.raises(StreamError, match="state="):
        biomedica_assets.stream(source, rank=0, world=2)
    alone, other = biomedica_assets.stream(source), biomedica_assets.stream(source, state=state, rank=1, world=2)
    next(iter(alone))
    other.load_state_dict(alone.state_dict())
    with pytest.raises(StreamError, match="rank 0 of 1"):
        next(iter(other))


def test_a_forked_worker_does_not_hang_on_an_object_store(built: Any) -> None:
    with FakeS3(built / "store", listable=False) as bucket:
        found = biomedica_assets.stream(bucket.http_url)
        found._process = -1  # as in a fork
        with pytest.raises(StreamError, match="spawn"):
            next(iter(found))
        assert len(ids(pickle.loads(pickle.dumps(found)))) == len(SERVED)


def test_torchrun_says_the_rank(built: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    state = biomedica_assets.stream(str(built / "store"), rank=0, world=1).state
    assert biomedica_assets.stream(str(built / "store"), state=state).samples == len(SERVED) // 2


@pytest.mark.parametrize("seed", range(6))
def test_cut_anywhere_nothing_is_lost_or_repeated(server: httpx.Client, seed: int) -> None:
    numbers = random.Random(seed)
    cuts = [numbers.randrange(1, 90_000) for _ in range(12)]
    with CuttingProxy(str(server.base_url), cuts) as proxy:
        found = ids(biomedica_assets.stream(proxy.url, seed=seed))
    assert proxy.made >= 2
    assert found == ids(biomedica_assets.stream(str(server.base_url), seed=seed))


def test_a_cut_at_every_sample_boundary(server: httpx.Client) -> None:
    url = str(server.base_url)
    whole = server.get("/v1/stream", params={"limit": 12})
    expected = ids(biomedica_assets.stream(url, limit=12))
    place = 0
    for boundary in range(3072, len(whole.content), 3072):
        with CuttingProxy(url, []) as proxy:
            plan = server.get("/v1/streams/plan", params={"limit": 12}).json()
            answer = server.get(
                "/v1/stream",
                params={"cursor": plan["cursor"]},
                headers={"Range": "bytes=0-", "If-Match": whole.headers["etag"]},
            )
            line = b"HTTP/1.1 206 Partial Content\r\n"
            length = len(line) + sum(len(k) + len(v) + 4 for k, v in answer.headers.raw) + 2
            proxy.cuts = [length + len("connection: close\r\n") + boundary]
            assert ids(biomedica_assets.stream(proxy.url, limit=12)) == expected
            place += proxy.made
    assert place >= 10


def test_withdrawn_under_the_clients_hands(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(world.files.local_path())
    monkeypatch.setattr(client, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(reading, "BLOCK_BYTES", 5000)
    expected = ids(biomedica_assets.stream(root, seed=2))
    found = biomedica_assets.stream(root, seed=2)
    monkeypatch.setattr(found.origin._planner, "_refresh_seconds", 0.0)  # type: ignore[union-attr]
    samples = iter(found)
    taken = [next(samples) for _ in range(25)]
    saved = copy.deepcopy(found.state_dict())
    gone = expected[-1].partition(".")[0]
    withdraw(world, int(gone.removeprefix("PMC")))
    rest = [name for name in expected[25:] if not name.startswith(f"{gone}.")]
    # Some samples had been read before; none of them is lost, and the withdrawn ones do not come.
    assert ids(taken) + ids(samples) == expected[:25] + rest
    again = biomedica_assets.stream(root, seed=2)
    again.load_state_dict(saved)
    assert ids(again) == rest
    with served(root) as url:
        remote = biomedica_assets.stream(url, seed=2)
        remote.load_state_dict(saved)
        assert ids(remote) == rest


def test_an_image_that_is_not_what_it_was(world: World) -> None:
    part = Part(shuffle=False)
    found = client.Stream(str(world.files.local_path()), part, {})
    tar = found.origin._planner.begin(part)  # type: ignore[union-attr]
    run = tar.plan.runs(3, 4)[0]
    path = world.files.local_path(run.shard)
    assert path is not None
    with path.open("rb+") as file:
        file.seek(run.offset + 600)
        file.write(b"X")
    with pytest.raises(CutError, match="other bytes"):
        list(found)
    assert len(list(client.Stream(str(world.files.local_path()), part, {}, verify=False))) == len(SERVED)


# webdataset -----------------------------------------------------------------------------------------------------------


def test_webdataset_reads_the_address_and_the_client(server: httpx.Client, built: Any) -> None:
    state = server.get("/v1/streams/plan").json()["state"]
    urls = [f"{server.base_url}/v1/stream?state={state}&seed=5&world=2&rank={rank}" for rank in (0, 1)]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"))
    assert {sample["json"]["image_id"] for sample in samples} == SERVED and len(samples) == len(SERVED)
    assert samples[0]["png"].size == (24, 16)
    pipeline = webdataset.DataPipeline(
        biomedica_assets.stream(str(built / "store")),
        webdataset.shuffle(20),
        webdataset.decode("pil"),
        webdataset.to_tuple("png", "txt"),
        webdataset.batched(8, partial=True),
    )
    assert sum(len(images) for images, _ in pipeline) == len(SERVED)


# Exports --------------------------------------------------------------------------------------------------------------


def test_exports_are_served_while_nothing_in_them_is_withdrawn(world: World) -> None:
    recipe = Recipe(name="all_of_it", description="all")
    for groups in (("commercial", "noncommercial"), ("other",)):
        subset = build_subset(world.files, recipe.model_copy(update={"licence_groups": groups, "name": groups[0]}))
        export(world.files, subset, Options(shard_bytes=100_000))
    with served(str(world.files.local_path())) as url, httpx.Client(base_url=url) as http:
        [found] = http.get("/v1/exports").json()["exports"]
        assert found["samples"] == len(SERVED) and found["name"] == "commercial", "other is not even listed"
        shards = http.get(found["url"]).json()["shards"]
        assert len(shards) >= 2 and not any(shard["withdrawn"] for shard in shards)
        seen = []
        for shard in shards:
            whole = http.get(shard["url"])
            assert len(whole.content) == shard["bytes"] and whole.headers["etag"] == f'"{shard["sha256"][:32]}"'
            part = http.get(shard["url"], headers={"Range": "bytes=100-299"})
            assert part.status_code == 206 and part.content == whole.content[100:300]
            tar = webdataset.WebDataset(f"{url}{shard['url']}", shardshuffle=False, empty_check=False)
            seen += [json.loads(sample["json"])["image_id"] for sample in tar]
        assert set(seen) == SERVED and len(seen) == len(SERVED)
        folder = found["url"]
        for path in ("000099.tar", "index.pq", "manifest.json", "..%2F..%2Fwithdrawals.parquet", "000000.json"):
            assert http.get(f"{folder}/{path}").status_code in (404, 422)
        assert http.get("/v1/exports/other/webdataset-0123456789abcdef").status_code == 404
        withdraw(world, 12)
        shards = http.get(folder).json()["shards"]
        held = [n for n, shard in enumerate(shards) if shard["withdrawn"]]
        assert held and sum(shard["withdrawn"] for shard in shards) == 3
        assert all((shard["url"] is None) == bool(shard["withdrawn"]) for shard in shards)
        refused = http.get(f"{folder}/{held[0]:06d}.tar")
        assert refused.status_code == 410 and "rebuilt" in refused.json()["detail"]
        rebuild_all(world.files)
        shards = http.get(folder).json()["shards"]
        assert not any(shard["withdrawn"] for shard in shards)
        assert b"PMC12-1-" not in http.get(shards[held[0]]["url"]).content
