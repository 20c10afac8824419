"""The E-utilities client against a local server that speaks their protocol, faults included."""

from __future__ import annotations

import itertools
import random
import time

import numpy as np
import pytest

from biomedica_assets.pmc import entrez
from biomedica_assets.pmc.entrez import (
    EntrezClient,
    EntrezRefused,
    EntrezUnavailable,
    Patience,
    fetch_records,
    modified_pmids,
)
from biomedica_assets_tests.entrez_server import EntrezServer, Fault, article

RATE_LIMIT = b'{"error":"API rate limit exceeded","api-key":"secret-key","count":"4","limit":"3"}'
QUICK = Patience(tries=4, timeout=5, first_wait=0.01, longest_wait=0.02, longest_retry_after=1, between=0)


@pytest.fixture
def server():
    with EntrezServer({pmid: article(pmid) for pmid in range(1, 1000)}) as running:
        yield running


def client(server, patience=QUICK, **more):
    return EntrezClient("a@example.org", url=server.url, patience=patience, **more)


def test_batches_of_200_go_by_post_with_who_asks(server):
    rows = list(fetch_records(client(server, api_key="secret-key"), range(1, 451)))
    assert [row["pmid"] for row in rows] == list(range(1, 451))
    assert [len(pmids) for pmids in server.fetched] == [200, 200, 50]
    utility, method, asked = server.log[0]
    assert (utility, method) == ("efetch", "POST")
    assert {name: asked[name] for name in ("db", "retmode", "tool", "email", "api_key")} == {
        "db": "pubmed",
        "retmode": "xml",
        "tool": "biomedica_assets",
        "email": "a@example.org",
        "api_key": "secret-key",
    }


def test_records_are_joined_by_the_pmid_in_the_record_in_any_order(server):
    shuffler = random.Random(1)
    server.order = lambda pmids: shuffler.sample(pmids, len(pmids))
    for row in fetch_records(client(server), range(1, 301)):
        assert row["record_pmid"] == row["pmid"]
        assert row["title"] == f"Title of {row['pmid']}"


def test_a_missing_record_shifts_no_other(server):
    del server.records[2]
    rows = {row["pmid"]: row for row in fetch_records(client(server), [1, 2, 3])}
    assert [rows[n]["outcome"] for n in (1, 2, 3)] == ["found", "missing", "found"]
    assert rows[3]["title"] == "Title of 3"
    assert "title" not in rows[2]
    assert server.fetched == [[1, 2, 3], [2]]  # asked once more, alone


def test_a_partial_batch_is_completed(server):
    server.leave_out.append(set(range(10, 60)))
    rows = list(fetch_records(client(server), range(1, 101)))
    assert {row["outcome"] for row in rows} == {"found"}
    assert [len(pmids) for pmids in server.fetched] == [100, 50]


def test_merged_records_are_known_by_asking_alone(server):
    server.records = {1: article(1), 77: article(77), 88: article(88)}
    server.merged = {2: 77, 3: 88}
    rows = {row["pmid"]: row for row in fetch_records(client(server), [1, 2, 3, 4])}
    assert (rows[2]["outcome"], rows[2]["record_pmid"], rows[2]["title"]) == ("merged", 77, "Title of 77")
    assert (rows[3]["outcome"], rows[3]["record_pmid"]) == ("merged", 88)
    assert (rows[1]["outcome"], rows[4]["outcome"]) == ("found", "missing")


def test_a_pmid_merged_into_another_that_was_asked_for_too(server):
    server.merged = {2: 3}
    rows = {row["pmid"]: row for row in fetch_records(client(server), [1, 2, 3])}
    assert rows[3]["outcome"] == "found"
    assert rows[2]["outcome"] in ("merged", "missing")
    assert rows[2].get("record_pmid") in (None, 3)


def test_of_a_repeated_record_the_highest_version_then_the_newest_revision_counts(server):
    server.records[5] = (
        article(5, "second", version=2, revised="2020-01-01")
        + article(5, "second, revised", version=2, revised="2021-01-01")
        + article(5, "first", version=1, revised="2023-01-01")
    )
    (row,) = fetch_records(client(server), [5])
    assert row["title"] == "second, revised"


def test_deleted_records_are_named(server):
    del server.records[2]
    server.deleted = {2}
    rows = [(row["pmid"], row["outcome"]) for row in fetch_records(client(server), [1, 2])]
    assert rows == [(1, "found"), (2, "deleted")]
    assert server.fetched == [[1, 2]]


def test_no_id_that_could_be_a_pmid(server):
    (row,) = fetch_records(client(server), [0])
    assert row["outcome"] == "missing"


def test_429_waits_as_long_as_it_is_told(server):
    server.faults = [Fault(429, 1, RATE_LIMIT, {"Retry-After": "1"})]
    started = time.monotonic()
    (row,) = fetch_records(client(server), [1])
    assert row["outcome"] == "found"
    assert time.monotonic() - started >= 1
    assert len(server.log) == 2


def test_429_without_a_time_and_for_ever_gives_up(server):
    server.faults = [Fault(429, 99, RATE_LIMIT)]
    with pytest.raises(EntrezUnavailable, match="API rate limit exceeded") as caught:
        list(fetch_records(client(server, api_key="secret-key"), [1]))
    assert len(server.log) == QUICK.tries
    assert "secret-key" not in str(caught.value)


def test_a_longer_pause_than_we_wait_ends_the_run(server):
    server.faults = [Fault(429, 99, RATE_LIMIT, {"Retry-After": "3600"})]
    with pytest.raises(EntrezUnavailable, match="asks to wait 3600 s"):
        list(fetch_records(client(server), [1]))
    assert len(server.log) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, 2, b"<html><body>oops</body></html>"),
        Fault(503, 2),
        Fault("drop", 2),
        Fault("cut", 2),
        Fault("cut_chunks", 2),
        Fault(200, 2, b"<html><head><title>NCBI - WWW Error 500</title></head><body>Diagnostic</body></html>"),
        Fault(200, 2, b""),
        Fault(400, 2, b"<eFetchResult><ERROR>proxy_stream(): 502 Bad Gateway</ERROR></eFetchResult>"),
        Fault(200, 2, b"<eFetchResult><ERROR>Failed to connect to PubOne service</ERROR></eFetchResult>"),
    ],
    ids=["500", "503", "drop", "cut", "cut_chunks", "html", "empty", "proxy_400", "backend_200"],
)
def test_passing_faults_are_sat_out(server, fault):
    server.faults = [fault]
    rows = list(fetch_records(client(server), [1, 2, 3]))
    assert [row["outcome"] for row in rows] == ["found"] * 3
    assert len(server.log) == 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(400, 9, b'{"error":"API key invalid","api-key":"secret-key","type":"ip"}'), "API key invalid"),
        (Fault(301, 9, b"", {"Location": "http://127.0.0.1:9/"}), "HTTP 301"),
        (
            Fault(200, 9, b"<eFetchResult><ERROR>Invalid db name specified: nothing</ERROR></eFetchResult>"),
            "Invalid db",
        ),
    ],
    ids=["key", "moved", "db"],
)
def test_a_refusal_is_not_repeated(server, fault, message):
    server.faults = [fault]
    with pytest.raises(EntrezRefused, match=message) as caught:
        list(fetch_records(client(server, api_key="secret-key"), [1]))
    assert len(server.log) == 1
    assert "secret-key" not in str(caught.value)


def test_one_record_that_cannot_be_served_takes_no_other_with_it(server):
    server.records[7] = "<PubmedArticle><MedlineCitation><PMID>7</PMID>"  # never closed
    rows = {row["pmid"]: row for row in fetch_records(client(server), range(1, 9))}
    assert {pmid for pmid, row in rows.items() if row["outcome"] == "found"} == {1, 2, 3, 4, 5, 6, 8}
    assert rows[7]["outcome"] == "unreadable"
    assert "not well-formed" in rows[7]["reason"]


def test_a_server_that_is_not_there():
    nowhere = EntrezClient("a@example.org", url="http://127.0.0.1:9/", patience=QUICK)
    with pytest.raises(EntrezUnavailable, match="refused"):
        nowhere.fetch([1])


def test_a_silent_server_is_given_up(server):
    quick = Patience(tries=1, timeout=0.2, between=0)
    with server._lock, pytest.raises(EntrezUnavailable, match="timed out"):
        client(server, quick).fetch([1])


def test_requests_start_no_faster_than_allowed(server, monkeypatch):
    starts = []
    paced = client(server, Patience(between=0.05))
    send = paced._transport
    monkeypatch.setattr(paced, "_transport", lambda *a: (starts.append(time.monotonic()), send(*a))[1])
    for pmid in (1, 2, 3):
        paced.fetch([pmid])
    assert all(later - earlier >= 0.049 for earlier, later in itertools.pairwise(starts))


def test_the_rate_follows_the_key():
    assert EntrezClient("a@example.org")._between == 0.37
    assert EntrezClient("a@example.org", api_key="k")._between == 0.11


def test_only_http_addresses():
    with pytest.raises(ValueError, match="no http"):
        EntrezClient("a@example.org", url="file:///etc/passwd")


def test_search_pages_through_history(server, monkeypatch):
    monkeypatch.setattr(entrez, "SEARCH_PAGE", 40)
    server.modified = dict.fromkeys(range(1, 101), "2026-11-20") | {200: "2026-11-19"}
    found = list(modified_pmids(client(server), "2026-11-20", [5, 50, 99, 150, 200]))
    assert found == [5, 50, 99]
    searches = [q for utility, _, q in server.log if utility == "esearch"]
    assert [(q["retstart"], q.get("WebEnv")) for q in searches] == [
        ("0", None),
        ("40", "MCID_test"),
        ("80", "MCID_test"),
    ]
    assert searches[0]["term"] == '("2026/11/20"[mdat] : "2026/11/20"[mdat]) AND 5:200[uid]'
    assert searches[1]["term"] == "#1"


def test_more_results_than_pubmed_shows_are_halved_by_pmid(server, monkeypatch):
    monkeypatch.setattr(entrez, "SEARCH_LIMIT", 300)
    monkeypatch.setattr(entrez, "BATCH", 10)
    server.limit = 300
    server.modified = dict.fromkeys(range(1, 1001), "2026-11-20")
    held = np.arange(1, 1000, 3)
    assert list(modified_pmids(client(server), "2026-11-20", held)) == held.tolist()
    assert len(server.log) == 7  # 1000, then two halves of 500, then four quarters of about 250


def test_a_range_with_no_more_pmids_than_one_request_is_read_without_searching_on(server, monkeypatch):
    monkeypatch.setattr(entrez, "SEARCH_LIMIT", 300)
    server.modified = dict.fromkeys(range(1, 1001), "2026-11-20")
    assert list(modified_pmids(client(server), "2026-11-20", [1, 500, 1000])) == [1, 500, 1000]
    assert len(server.log) == 1


def test_nothing_held_asks_nothing(server):
    assert list(modified_pmids(client(server), "2026-11-20", [])) == []
    assert server.log == []


def test_a_search_field_that_pubmed_does_not_know_is_refused(server):
    with pytest.raises(EntrezRefused, match="field is unknown"):
        client(server).search("cancer[nonsense]")


def test_pages_that_do_not_add_up_are_not_believed(server):
    count = b"<eSearchResult><Count>3</Count><IdList><Id>1</Id></IdList></eSearchResult>"
    server.faults = [Fault(200, 9, count)]
    assert client(server).search("anything") is None
    assert list(modified_pmids(client(server), "2026-11-20", [1, 2, 9])) == [1, 2, 9]
