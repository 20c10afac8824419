"""Finding, checking and listing inventories of the cloud layout."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from biomedica_assets.pmc.cloud import CloudSource
from biomedica_assets.pmc.releases import Listing, ListingError, NoReleaseError, open_source
from biomedica_assets.store.files import ClientOptions, Files
from biomedica_assets_tests.pmc.layouts import BASE, md5, put_article, put_inventory
from biomedica_assets_tests.servers import FakeS3, FolderObjects, moto_server

IMPATIENT = ClientOptions(max_retries=2, first_backoff=0.01, max_backoff=0.02, request_timeout=5)


def rows(listing: Listing) -> list[tuple[Any, ...]]:
    columns = "pmcid, version, etag, last_modified, location"
    return sorted(duckdb.connect().execute(f"SELECT {columns} FROM ({listing.relation})").fetchall())


@pytest.fixture
def mirror(tmp_path: Path) -> FolderObjects:
    """Two articles and the inventories of two days, in a local folder."""
    objects = FolderObjects(tmp_path / "mirror")
    put_article(objects, "PMC13901.1")
    put_inventory(objects, "2026-11-19")
    put_article(objects, "PMC11370360.2")
    put_inventory(objects, "2026-11-20")
    return objects


def source(mirror: FolderObjects) -> CloudSource:
    return CloudSource(Files(mirror.root))


def test_newest_complete_release(mirror: FolderObjects) -> None:
    release = source(mirror).latest()
    assert release is not None
    assert (release.name, release.layout) == ("2026-11-20", "cloud")
    assert release.checksum == md5(mirror[f"{BASE}/2026-11-20T01-00Z/manifest.json"])
    assert [r.name for r in source(mirror).releases()] == ["2026-11-19", "2026-11-20"]


@pytest.mark.parametrize("what", ["no manifest", "no checksum", "wrong checksum", "half a manifest"])
def test_falls_back_while_a_run_is_being_written(mirror: FolderObjects, what: str) -> None:
    run = f"{BASE}/2026-11-20T01-00Z"
    if what == "no manifest":
        del mirror[f"{run}/manifest.json"]
    elif what == "no checksum":
        del mirror[f"{run}/manifest.checksum"]
    elif what == "wrong checksum":
        mirror[f"{run}/manifest.checksum"] = b"0" * 32
    else:
        mirror[f"{run}/manifest.json"] = mirror[f"{run}/manifest.json"][:100]
    release = source(mirror).latest()
    assert release is not None and release.name == "2026-11-19"
    assert [r.name for r in source(mirror).releases()] == ["2026-11-19"]


def test_checksum_file_may_have_line_end_and_capitals(mirror: FolderObjects) -> None:
    path = f"{BASE}/2026-11-20T01-00Z/manifest.checksum"
    mirror[path] = mirror[path].upper() + b"\n"
    release = source(mirror).latest()
    assert release is not None and release.name == "2026-11-20"


def test_two_runs_of_a_day(mirror: FolderObjects) -> None:
    for name in ("manifest.json", "manifest.checksum"):
        mirror[f"{BASE}/2026-11-20T13-00Z/{name}"] = mirror[f"{BASE}/2026-11-19T01-00Z/{name}"]
    releases = source(mirror).releases()
    assert [r.path for r in releases] == [
        f"{BASE}/2026-11-19T01-00Z/manifest.json",
        f"{BASE}/2026-11-20T13-00Z/manifest.json",
    ]
    assert source(mirror).latest() == releases[-1]


def test_listing(mirror: FolderObjects) -> None:
    release = source(mirror).latest()
    assert release is not None
    with source(mirror).listing(release) as listing:
        assert rows(listing) == [
            ("11370360", "2", md5(mirror["metadata/PMC11370360.2.json"]), "2026-11-01T00:00:00.000Z", None),
            ("13901", "1", md5(mirror["metadata/PMC13901.1.json"]), "2026-11-01T00:00:00.000Z", None),
        ]


def test_column_order_is_the_manifests(mirror: FolderObjects) -> None:
    put_inventory(
        mirror,
        "2026-11-21",
        [
            ("e1", "10", "metadata/PMC1.1.json", "b", "2026-01-01", "true", "false"),
            ("e2", "10", "metadata/PMC2.1.json", "b", "2026-01-01", "false", "false"),  # an old version
            ("e3", "10", "metadata/PMC3.1.json", "b", "2026-01-01", "true", "true"),  # a delete marker
        ],
        schema="ETag, Size, Key, Bucket, LastModifiedDate, IsLatest, IsDeleteMarker",
    )
    release = source(mirror).latest()
    assert release is not None
    with source(mirror).listing(release) as listing:
        assert rows(listing) == [("1", "1", "e1", "2026-01-01", None)]


@pytest.mark.parametrize(
    "manifest",
    [{"fileFormat": "ORC"}, {"schema": "Bucket, Key, Size"}, {"files": "x"}],
)
def test_unusable_manifests_say_why(mirror: FolderObjects, manifest: dict[str, Any]) -> None:
    path = put_inventory(mirror, "2026-11-21", [], **manifest)
    release = source(mirror).latest()
    assert release is not None
    with pytest.raises(ListingError, match=path):
        source(mirror).listing(release)


def test_manifest_that_is_not_json(mirror: FolderObjects) -> None:
    path = put_inventory(mirror, "2026-11-21", [])
    mirror[path] = b"<html>"
    mirror[path.replace(".json", ".checksum")] = md5(b"<html>").encode()
    with pytest.raises(ListingError, match="not JSON"):
        source(mirror).latest()


def test_wrong_shard_names_both_checksums(mirror: FolderObjects, tmp_path: Path) -> None:
    shard = f"{BASE}/data/2026-11-20-0.csv.gz"
    right = md5(mirror[shard])
    mirror[shard] = b"other"
    release = source(mirror).latest()
    assert release is not None
    with pytest.raises(ListingError, match=f"MD5 is {md5(b'other')}, the manifest states {right}"):
        source(mirror).listing(release, tmp_path / "scratch")
    del mirror[shard]
    with pytest.raises(ListingError, match="2026-11-20-0"):
        source(mirror).listing(release, tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_manifest_replaced_after_it_was_found(mirror: FolderObjects) -> None:
    release = source(mirror).latest()
    put_inventory(mirror, "2026-11-20", [])
    assert release is not None
    with pytest.raises(ListingError, match="changed since"):
        source(mirror).listing(release)


def test_no_release_yet(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    with pytest.raises(NoReleaseError):
        open_source(str(tmp_path))
    put_inventory(objects, "2026-11-20", [], complete=False)
    waiting = open_source(str(tmp_path))
    assert waiting.latest() is None and waiting.releases() == []
    with pytest.raises(NoReleaseError):
        _ = waiting.identity


def test_the_same_over_s3_https_and_file(mirror: FolderObjects, tmp_path: Path) -> None:
    """Anonymous S3, a web server that lists and one that does not: the same release, listing and identity."""
    objects = {key: mirror[key] for key in mirror}
    expected = source(mirror)
    release = expected.latest()
    assert release is not None
    with expected.listing(release) as listing:
        expected_rows = rows(listing)
    with (
        FakeS3(objects, latency=0.001) as server,
        FakeS3(objects, listable=False) as web,
        FakeS3(objects, listable=False, missing=403) as closed,
        moto_server(objects) as moto,
    ):
        today = date(2026, 11, 25)
        sources = [
            open_source(str(mirror.root)),
            open_source(server.url, endpoint=server.endpoint),
            open_source("s3://bucket", endpoint=moto),
            open_source(server.http_url),
            open_source(web.http_url, today=today),
            open_source(closed.url, endpoint=closed.endpoint, today=today),
        ]
        for other in sources:
            assert other.latest() == release
            assert other.identity == "cloud:pmc-oa-opendata"
            scratch = tmp_path / "scratch"
            with other.listing(release, scratch) as listing:
                assert rows(listing) == expected_rows
            assert list(scratch.iterdir()) == []
        assert server.signed == 0
        # an unlistable source is asked for one day after the other, back from tomorrow
        assert web.keys()[0] == f"{BASE}/2026-11-26T01-00Z/manifest.json"
        with pytest.raises(NoReleaseError):
            open_source(web.http_url, today=date(2027, 1, 25))
        with pytest.raises(NoReleaseError, match="other-bucket"):
            open_source("s3://other-bucket", endpoint=server.endpoint)


def test_a_shard_is_read_again_when_it_arrives_damaged(mirror: FolderObjects) -> None:
    with FakeS3({key: mirror[key] for key in mirror}) as server:
        cloud = CloudSource(Files(server.url, anonymous=True, endpoint=server.endpoint, options=IMPATIENT))
        release = cloud.latest()
        assert release is not None
        server.fail("data/2026-11-20-1", "wrong", times=1)
        server.fail("data/2026-11-20-0", 503, times=2)
        with cloud.listing(release) as listing:
            assert len(rows(listing)) == 2
        server.fail("data/2026-11-20-1", "wrong")
        with pytest.raises(ListingError):
            cloud.listing(release)


def test_requests_are_counted(mirror: FolderObjects) -> None:
    cloud = source(mirror)
    assert cloud.latest() is not None
    assert cloud.traffic.requests == 3  # list the runs, manifest, checksum
