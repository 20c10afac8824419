"""Keys, rates, caps, sizes and times: what is refused, how, and that everything else goes on."""

from __future__ import annotations

import json
import logging
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.serve.keys import Keys, KeysError, new_key, presented_key, read_keys
from biomedica_assets.serve.limits import TokenBuckets
from biomedica_assets.serve.logs import JsonLines, new_request_id
from biomedica_assets.serve.observe import SECURITY_HEADERS
from biomedica_assets_tests.serve.conftest import serving

SEEN_ANYWAY = {"cache-control", "content-length", "content-type"}
"""Pages may read these of any answer that they may read at all (Fetch standard)."""
FOR_BROWSERS = {
    *(name.lower() for name in SECURITY_HEADERS),
    *("access-control-allow-origin", "access-control-expose-headers", "date", "server", "vary"),
}


@pytest.fixture
def keys(tmp_path):
    key, line = new_key("ada")
    slow, slow_line = new_key("slow")
    path = tmp_path / "keys"
    path.write_text(f"# people\n{line}\n{slow_line} 0.001  # a rate of its own\n\n")
    return path, key, slow


def test_keys_are_needed_once_there_are_any(world, keys):
    path, key, _ = keys
    with serving(world, serve_keys=str(path)) as served, served.client() as client:
        refused = client.get("/v1/articles/PMC11")
        assert (refused.status_code, refused.json()["reason"]) == (401, "key")
        assert "Bearer" in refused.headers["www-authenticate"]
        assert "Basic" in refused.headers["www-authenticate"], "browsers can ask for it"
        assert client.get("/").status_code == 401
        assert client.get("/v1/health/live").status_code == 200
        for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
            assert client.get("/v1/articles/PMC11", headers=headers).status_code == 200
        assert client.get("/", auth=("anybody", key)).status_code == 200
        for wrong in (key[:-1], key + "x", "x", "é"):
            headers = {"Authorization": f"Bearer {wrong}".encode()}
            assert client.get("/v1/articles/PMC11", headers=headers).status_code == 401


def test_an_open_server_refuses_only_wrong_keys(world, keys):
    path, key, slow = keys
    with serving(world, serve_keys=str(path), serve_open=True, serve_burst=2) as served, served.client() as client:
        assert client.get("/v1/labels").status_code == 200
        assert client.get("/v1/labels", headers={"X-API-Key": "wrong"}).status_code == 401
        assert client.get("/v1/labels", headers={"X-API-Key": key}).status_code == 200
        answers = [client.get("/v1/labels", headers={"X-API-Key": slow}) for _ in range(3)]
        assert [reply.status_code for reply in answers] == [200, 200, 429]
        assert int(answers[-1].headers["retry-after"]) > 100


def test_keys_may_be_taken_back_while_the_server_runs(keys, monkeypatch):
    path, key, _ = keys
    found = Keys(path)
    assert found.find(key).name == "ada"
    path.write_text("")
    monkeypatch.setattr("biomedica_assets.serve.keys._LOOK_SECONDS", -1)
    assert found.find(key) is None
    path.write_text("nonsense")
    assert found.find(key) is None, "a broken file changes nothing"
    with pytest.raises(KeysError, match="line 1"):
        read_keys(path)


def test_keys_are_stored_hashed():
    key, line = new_key("ada")
    assert key not in line
    assert len(line.split()[1]) == 64


@given(st.text(max_size=60))
def test_any_authorization_header_is_read(header):
    assert presented_key(header, None) is None or isinstance(presented_key(header, None), str)


def test_rates_by_caller():
    buckets = TokenBuckets(rate=2, burst=3)
    assert [buckets.take("a", 1, 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b", 1, 0.0) == 0, "others have their own"
    assert buckets.take("a", 1, 0.5) == 0
    assert [buckets.take("a", 1, 100.0) for _ in range(4)] == [0, 0, 0, 0.5], "never more than the burst"


def test_too_many_requests(world):
    with serving(world, serve_rate=0.01, serve_burst=3) as served, served.client() as client:
        answers = [client.get("/v1/labels") for _ in range(4)]
        assert [reply.status_code for reply in answers] == [200, 200, 200, 429]
        assert answers[-1].json()["reason"] == "rate"
        assert client.get("/v1/health/live").status_code == 200


def test_a_full_server_refuses_at_once_and_goes_on(world, monkeypatch):
    with serving(world, serve_concurrency=2) as served, served.client() as client:
        go, real = threading.Event(), served.state.subsets
        monkeypatch.setattr(served.state, "subsets", lambda: go.wait(120) and real())

        def hold() -> None:  # until it has a place: those that look whether the server is full take one too
            while served.client(timeout=150).get("/v1/subsets").status_code == 503:
                time.sleep(0.05)

        held = [threading.Thread(target=hold) for _ in range(2)]
        for thread in held:
            thread.start()
        served.wait(lambda: client.get("/v1/labels").status_code == 503)
        begun = time.monotonic()
        refused = client.get("/v1/labels")
        assert time.monotonic() - begun < 1
        assert (refused.json()["reason"], refused.headers["retry-after"]) == ("overload", "1")
        assert client.get("/v1/health/ready").status_code == 200, "health is answered all the same"
        go.set()
        for thread in held:
            thread.join()
        assert client.get("/v1/labels").status_code == 200


def test_what_takes_too_long_is_given_up_and_keeps_its_place(world, monkeypatch):
    with serving(world, serve_timeout=0.3, serve_concurrency=1) as served, served.client() as client:
        go = threading.Event()
        monkeypatch.setattr(served.state, "subsets", lambda: go.wait(120) and [])
        late = client.get("/v1/subsets")
        assert (late.status_code, late.json()["reason"]) == (504, "timeout")
        assert client.get("/v1/labels").status_code == 503, "its thread is still at work"
        go.set()
        served.wait(lambda: client.get("/v1/labels").status_code == 200)


def test_bodies_are_bounded_whether_or_not_they_state_their_length(world):
    with serving(world, serve_body_bytes=2048) as served, served.client() as client:
        assert client.post("/v1/search", content=b"x" * 3000).status_code == 413
        chunks = (b" " * 1000 for _ in range(10))
        assert (
            client.post("/v1/search", content=chunks, headers={"Content-Type": "application/json"}).status_code == 413
        )
        assert client.post("/v1/search", json={"text": "glomeruli"}).status_code == 200


def test_only_its_own_host_names_on_loopback(world, served, client):
    for host, status in {"127.0.0.1": 200, "localhost:80": 200, "evil.example": 421, "": 421}.items():
        assert client.get("/v1/health/live", headers={"Host": host}).status_code == status, host
    with serving(world, serve_names="figures.example") as other, other.client() as named:
        assert named.get("/v1/health/live", headers={"Host": "figures.example"}).status_code == 200
        assert named.get("/v1/health/live").status_code == 421


def test_other_sites_pages_only_when_named(world, client):
    origin = {"Origin": "https://site.example"}
    assert "access-control-allow-origin" not in client.get("/v1/labels", headers=origin).headers
    with serving(world, serve_origins="https://site.example") as served, served.client() as open_client:
        assert open_client.get("/v1/labels", headers=origin).headers["access-control-allow-origin"] == origin["Origin"]
        other = open_client.get("/v1/labels", headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


def test_pages_of_named_sites_read_the_headers_of_streams_and_go_on_with_a_cut_one(world):
    origin = {"Origin": "https://site.example"}
    with serving(world, serve_origins=origin["Origin"]) as served, served.client() as client:
        asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range,if-range,if-match"}
        assert client.options("/v1/stream", headers=origin | asked).status_code == 200
        whole = client.get("/v1/stream", headers=origin)
        part = client.get("/v1/stream", headers=origin | {"Range": "bytes=0-9", "If-Range": whole.headers["etag"]})
        moved = client.get("/v1/stream", headers=origin | {"If-Match": '"other"'})
        assert [reply.status_code for reply in (whole, part, moved)] == [200, 206, 412]
        for reply in (whole, part, moved):
            told = {name.strip().lower() for name in reply.headers["access-control-expose-headers"].split(",")}
            assert set(reply.headers) - told <= SEEN_ANYWAY | FOR_BROWSERS
        assert {"biomedica-cursor", "biomedica-state", "biomedica-samples", "accept-ranges", "etag"} <= told


def test_every_answer_carries_the_headers_that_keep_browsers_safe(client):
    for path in ("/", "/v1/labels", "/v1/nothing", "/static/style.css", "/numbers", "/api"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy, path
        assert "script-src 'self'" in policy, path
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"


def test_metrics_count_by_route_not_by_address(client):
    client.get("/v1/articles/PMC11")
    client.get("/v1/articles/PMC99999")
    text = client.get("/v1/metrics").text
    assert 'biomedica_http_requests_total{method="GET",route="/v1/articles/{article}",status="200"}' in text
    assert "PMC99999" not in text
    assert "biomedica_http_request_seconds_bucket" in text


def test_logs_are_json_with_the_request_and_without_secrets(served, caplog):
    logger = logging.getLogger("biomedica_assets.serve.access")
    logger.addHandler(caplog.handler)
    try:
        with served.client() as client:
            given = {"X-Request-ID": "a-given-id-123", "Authorization": "Bearer secret"}
            reply = client.get("/v1/search?q=secretquestion", headers=given)
            lines = served.wait(
                lambda: [
                    line
                    for one in list(caplog.records)
                    if one.name == logger.name and (line := json.loads(JsonLines().format(one)))["path"] == "/v1/search"
                ]
            )
    finally:
        logger.removeHandler(caplog.handler)
    assert reply.headers["x-request-id"] == "a-given-id-123"
    line = lines[0]
    assert (line["status"], line["method"]) == (200, "GET")
    assert "secret" not in json.dumps(line)


@given(st.text(max_size=80))
def test_request_ids_of_callers_are_harmless(given_id):
    found = new_request_id(given_id)
    assert found.isascii()
    assert 8 <= len(found) <= 64
