"""Metadata, gates, and collecting one version: checksums, restarts, refusals."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.pmc.articles import (
    AbsentError,
    ArticleMetadata,
    BadMetadataError,
    ChecksumMismatchError,
    CloudArticles,
    CollectedArticle,
    FetchError,
    ForbiddenError,
    ObjectRef,
    OversizeError,
    UnavailableError,
    collect,
    gate,
    parse_metadata,
)
from biomedica_assets.pmc.file_list import FileListRow
from biomedica_assets.pmc.releases import SourceUnusableError
from biomedica_assets.store.files import ClientOptions, Files
from biomedica_assets_tests.pmc.layouts import Objects, md5, put_article
from biomedica_assets_tests.servers import FakeS3, FolderObjects, moto_server

IMPATIENT = ClientOptions(max_retries=2, first_backoff=0.01, max_backoff=0.02, request_timeout=5)
ID = "PMC13901.1"
JSON_KEY, XML_KEY = f"metadata/{ID}.json", f"{ID}/{ID}.xml"
MEDIA = {"fig1.jpg": b"one", "fig2.jpg": b"two", "mmc1.pdf": b"pdf"}


def row(article_id: str = ID, location: str | None = None) -> FileListRow:
    pmcid, version = article_id[3:].split(".")
    return FileListRow("2026-11-20-00000", "add", article_id, int(pmcid), int(version), "etag", None, location, None, 0)


def parse(record: Any) -> ArticleMetadata:
    data = record if isinstance(record, bytes) else json.dumps(record).encode()
    return parse_metadata(data, ID, 13901, 1)


def on(server: FakeS3, **options: Any) -> CloudArticles:
    return CloudArticles(Files(server.url, anonymous=True, endpoint=server.endpoint, options=IMPATIENT), **options)


def pictures(metadata: ArticleMetadata, _: bytes) -> list[ObjectRef]:
    return [r for r in metadata.media if r.name.endswith(".jpg")]


def fetch(articles: CloudArticles, article_id: str = ID) -> CollectedArticle:
    return collect(articles, row(article_id), pictures, gated=lambda m: gate(m, historical_ocr=False))


def fetched(collected: CollectedArticle) -> dict[str, bytes | FetchError]:
    return {key.split("/", 1)[1]: value for key, value in collected.media.items()}


def test_a_whole_record() -> None:
    objects: Objects = {}
    record = put_article(objects, ID, b"<xml/>", MEDIA, mid="NIHMS1", license_code="cc by-nc", text_url="x", new=1)
    metadata = parse(record)
    assert metadata == ArticleMetadata(
        article_id=ID,
        pmcid=13901,
        version=1,
        xml=ObjectRef(XML_KEY, f"{ID}.xml", md5(b"<xml/>")),
        media=tuple(ObjectRef(f"{ID}/{name}", name, md5(data)) for name, data in MEDIA.items()),
        pmid=123,
        doi="10.1/x",
        mid="NIHMS1",
        title="A title",
        citation="J. 2026; 1:1",
        is_open_access=True,
        is_manuscript=False,
        is_historical_ocr=False,
        is_retracted=False,
        licence_code="CC BY-NC",
    )


def test_missing_and_null_are_null() -> None:
    nothing = parse({})
    assert nothing == parse(
        {
            "pmid": None, "doi": None, "mid": "", "title": "  ", "is_retracted": None, "license_code": None,
            "media_urls": None, "xml_url": None,
        }
    )  # fmt: skip
    assert (nothing.pmid, nothing.doi, nothing.mid, nothing.title, nothing.is_retracted) == (None,) * 5
    assert nothing.media == nothing.problems == ()
    assert nothing.xml == ObjectRef(XML_KEY, f"{ID}.xml", None)  # every version has one, under this key


@pytest.mark.parametrize("meant", [True, False, None])
def test_booleans(meant: bool | None) -> None:
    spellings = {
        True: [True, "true", "yes", 1, "1", "YES"],
        False: [False, "false", "no", 0, "0"],
        None: [None, "", " "],
    }
    for written in spellings[meant]:
        assert parse({"is_pmc_openaccess": written}).is_open_access is meant


@pytest.mark.parametrize(("written", "meant"), [("41623473", 41623473), (7, 7), (0, None), ("", None), ("x1", None)])
def test_pmids(written: object, meant: int | None) -> None:
    assert parse({"pmid": written}).pmid == meant


@pytest.mark.parametrize(
    "record",
    [
        b"", b"<html>", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000,
        {"pmcid": "PMC13902"}, {"version": 2}, {"is_retracted": "maybe"}, {"is_retracted": []},
        {"xml_url": "s3://pmc-oa-opendata/PMC13902.1/PMC13902.1.xml"},
        {"xml_url": "s3://pmc-oa-opendata/PMC13901.1/../x.xml"}, {"xml_url": ["x"]}, {"xml_url": "nonsense"},
    ],
)  # fmt: skip
def test_unusable_metadata(record: Any) -> None:
    with pytest.raises(BadMetadataError) as caught:
        parse(record)
    assert (caught.value.object, caught.value.problem, caught.value.stage) == (JSON_KEY, "BadMetadata", "verify")


def test_bad_media_entries_are_listed_not_fatal() -> None:
    good = f"s3://pmc-oa-opendata/{ID}/a b+c%20.jpg?md5={'0' * 32}"
    bad = [
        f"s3://b/{ID}/../../etc/passwd",
        "s3://b/PMC1.1/x.jpg",
        f"s3://b/{ID}/a\\b.jpg",
        7,
        None,
        f"s3://b/{ID}/x?md5=1",
    ]
    metadata = parse({"media_urls": [good, *bad, good]})
    assert [r.name for r in metadata.media] == ["a b+c%20.jpg"]
    assert [p.entry for p in metadata.problems] == [str(b) for b in bad]
    assert parse({"media_urls": "s3://x"}).problems[0].message == "media_urls is not a list"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["pmcid", "version", "pmid", "doi", "title", "is_retracted", "license_code", "xml_url", "media_urls"]


@given(st.dictionaries(st.sampled_from(FIELDS), json_values) | json_values)
def test_any_json_parses_or_is_bad_metadata(record: Any) -> None:
    try:
        metadata = parse(record)
    except BadMetadataError:
        return
    assert metadata.xml.key.startswith(f"{ID}/")


OPEN = {"is_pmc_openaccess": True, "license_code": "CC BY"}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (OPEN, None),
        ({"is_pmc_openaccess": True, "license_code": None}, None),  # group other: not the gate's business
        ({}, "not_open_access"),
        ({"is_pmc_openaccess": False, "license_code": "TDM", "is_manuscript": True}, "tdm"),
        (OPEN | {"license_code": "tdm"}, "tdm"),
        (OPEN | {"is_retracted": "yes"}, "retracted"),
        ({"is_retracted": True}, "retracted"),
        (OPEN | {"is_historical_ocr": True}, "historical_ocr"),
    ],
)
def test_gates(record: dict[str, Any], reason: str | None) -> None:
    assert gate(parse(record), historical_ocr=False) == reason
    assert gate(parse(record), historical_ocr=True) == (None if reason == "historical_ocr" else reason)


@pytest.mark.parametrize("kind", ["file", "fake-s3", "moto", "http"])
def test_collect_is_the_same_everywhere(tmp_path: Path, kind: str) -> None:
    objects: Objects = FolderObjects(tmp_path)
    put_article(objects, ID, b"<xml/>", MEDIA)
    if kind == "file":
        collected = fetch(CloudArticles(Files(tmp_path)))
    elif kind == "moto":
        with moto_server(objects) as endpoint:
            collected = fetch(CloudArticles(Files("s3://bucket", anonymous=True, endpoint=endpoint)))
    else:
        with FakeS3(objects) as server:
            collected = fetch(on(server) if kind == "fake-s3" else CloudArticles(Files(server.http_url)))
            assert server.keys() == [JSON_KEY, XML_KEY, f"{ID}/fig1.jpg", f"{ID}/fig2.jpg"]
    assert collected.opened.data == objects[JSON_KEY]
    assert collected.opened.etag == md5(objects[JSON_KEY])
    assert collected.xml == b"<xml/>"
    assert fetched(collected) == {"fig1.jpg": b"one", "fig2.jpg": b"two"}
    assert not collected.restarted


def test_a_gated_version_costs_one_request() -> None:
    objects: Objects = {}
    put_article(objects, ID, license_code="TDM", is_pmc_openaccess=False)
    with FakeS3(objects) as server:
        collected = fetch(on(server))
        assert (collected.gated, collected.xml, collected.media) == ("tdm", None, {})
        assert server.keys() == [JSON_KEY]


def test_keys_that_the_metadata_encode() -> None:
    """Whether media_urls are percent-encoded is not documented: as written first, then decoded."""
    objects: Objects = {f"{ID}/a b+c.jpg": b"x", f"{ID}/50%25.jpg": b"y"}
    urls = [f"s3://b/{ID}/a%20b%2Bc.jpg?md5={md5(b'x')}", f"s3://b/{ID}/50%25.jpg?md5={md5(b'y')}"]
    put_article(objects, ID, media_urls=urls)
    with FakeS3(objects) as server:
        assert fetched(fetch(on(server))) == {"a%20b%2Bc.jpg": b"x", "50%25.jpg": b"y"}


def test_absent_version() -> None:
    with FakeS3({}) as server:
        with pytest.raises(AbsentError) as caught:
            fetch(on(server))
        assert (caught.value.object, caught.value.transient) == (JSON_KEY, False)
        assert server.requests == 1


def changed(objects: Objects, **arguments: Any) -> dict[str, bytes | None]:
    """The objects of the version in another state, as `FakeS3.change_after` wants them."""
    other: Objects = {}
    put_article(other, ID, **arguments)
    return {key: other.get(key) for key in objects.keys() | other.keys()}


def test_objects_changing_under_us_restart_the_article() -> None:
    objects: Objects = {}
    put_article(objects, ID, b"<old/>", {"fig1.jpg": b"one", "fig2.jpg": b"two"})
    new = changed(objects, xml=b"<new/>", media={"fig1.jpg": b"one", "fig2.jpg": b"TWO", "fig3.jpg": b"three"})
    with FakeS3(objects) as server:
        server.change_after("fig1.jpg", new)
        collected = fetch(on(server))
        assert collected.restarted
        assert collected.opened.etag == md5(objects[JSON_KEY])
        assert collected.xml == b"<new/>"
        assert fetched(collected) == {"fig1.jpg": b"one", "fig2.jpg": b"TWO", "fig3.jpg": b"three"}
        assert server.keys().count(f"{ID}/fig1.jpg") == 1  # verified before, and not changed


def test_replaced_after_the_metadata_were_read() -> None:
    objects: Objects = {}
    put_article(objects, ID, b"<old/>")
    with FakeS3(objects) as server:
        server.change_after("metadata/", changed(objects, xml=b"<new/>", is_retracted=True))
        collected = fetch(on(server))
        assert (collected.gated, collected.restarted) == ("retracted", True)
        assert server.keys() == [JSON_KEY, XML_KEY, JSON_KEY]


def test_gone_between_metadata_and_xml() -> None:
    objects: Objects = {}
    put_article(objects, ID)
    with FakeS3(objects) as server:
        server.change_after("metadata/", dict.fromkeys(objects))
        with pytest.raises(AbsentError, match="metadata"):
            fetch(on(server))


def test_wrong_checksums_that_stay_wrong() -> None:
    objects: Objects = {}
    put_article(objects, ID, b"<xml/>", MEDIA)
    objects[f"{ID}/fig1.jpg"] = b"other"
    with FakeS3(objects) as server:
        collected = fetch(on(server))
        failure = fetched(collected)["fig1.jpg"]
        assert isinstance(failure, ChecksumMismatchError)
        assert (failure.problem, failure.stage, failure.transient) == ("ChecksumMismatch", "verify", True)
        assert f"MD5 is {md5(b'other')}, the metadata state {md5(b'one')}" in str(failure)
        assert fetched(collected)["fig2.jpg"] == b"two"
        assert server.keys().count(JSON_KEY) == 2 and server.keys().count(XML_KEY) == 1
        objects[XML_KEY] = b"<other/>"
        server.forget()
        with pytest.raises(ChecksumMismatchError):
            fetch(on(server))
        assert server.keys() == [JSON_KEY, XML_KEY] * 2


def test_an_object_damaged_on_its_way_is_read_again() -> None:
    objects: Objects = {}
    put_article(objects, ID, b"<xml/>", MEDIA)
    with FakeS3(objects) as server:
        server.fail("fig2", "wrong", times=1)
        assert fetched(fetch(on(server))) == {"fig1.jpg": b"one", "fig2.jpg": b"two"}


def test_missing_and_oversized_media_do_not_stop_the_article() -> None:
    objects: Objects = {}
    put_article(objects, ID, b"<xml/>", {"a.jpg": b"1", "b.jpg": b"12345678", "c.jpg": b"3"})
    del objects[f"{ID}/a.jpg"]
    with FakeS3(objects) as server:
        media = fetched(fetch(on(server, max_object_bytes=7)))
        assert isinstance(media["a.jpg"], AbsentError)
        assert isinstance(media["b.jpg"], OversizeError) and not media["b.jpg"].transient
        assert media["c.jpg"] == b"3"


def test_server_errors_are_recovered_or_transient() -> None:
    objects: Objects = {}
    put_article(objects, ID, b"<xml/>" * 10_000, {"a.jpg": os.urandom(200_000), "b.jpg": b"2"})
    with FakeS3(objects) as server:
        server.fail("metadata", 503, times=2)
        server.fail(r"\.xml", 500, times=1)
        server.fail("a.jpg", "cut", times=2)
        assert fetched(fetch(on(server))) == {"a.jpg": objects[f"{ID}/a.jpg"], "b.jpg": b"2"}
        server.fail("a.jpg", 503)
        failure = fetched(fetch(on(server)))["a.jpg"]
        assert isinstance(failure, UnavailableError) and failure.transient
        server.fail("metadata", 503)
        with pytest.raises(UnavailableError):
            fetch(on(server))


def test_one_refusal_is_about_the_object_many_are_about_the_source() -> None:
    objects: Objects = {}
    for n in range(1, 9):
        put_article(objects, f"PMC{n}.1")
    with FakeS3(objects) as server:
        articles = on(server, forbidden_limit=3)
        server.fail("metadata/PMC[12567]", 403)
        for n in (1, 2):
            with pytest.raises(ForbiddenError):
                fetch(articles, f"PMC{n}.1")
        assert fetch(articles, "PMC3.1").xml  # an answer: the count starts again
        for n in (5, 6):
            with pytest.raises(ForbiddenError):
                fetch(articles, f"PMC{n}.1")
        with pytest.raises(SourceUnusableError, match="3 times 403"):
            fetch(articles, "PMC7.1")


def test_etag_of_web_servers_is_not_a_change_token(tmp_path: Path) -> None:
    """nginx says "65ab-2f", which no inventory knows: the MD5, S3's own ETag for such objects, takes its place."""
    objects: Objects = FolderObjects(tmp_path)
    put_article(objects, ID)

    class WebFiles(Files):
        def fetch(self, path: str, *, max_bytes: int | None = None) -> Any:
            return super().fetch(path, max_bytes=max_bytes)._replace(etag="65ab1234-2f")

    assert CloudArticles(WebFiles(tmp_path)).open(row()).etag == md5(objects[JSON_KEY])
