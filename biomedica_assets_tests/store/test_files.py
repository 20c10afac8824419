"""`Files`: the same behaviour for every kind of root."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from biomedica_assets.store.files import (
    ClientOptions,
    Files,
    InvalidPathError,
    NotListableError,
    TooLargeError,
    TransientIOError,
    check_path,
)
from biomedica_assets_tests.servers import FakeS3, moto_server

IMPATIENT = ClientOptions(max_retries=3, first_backoff=0.01, max_backoff=0.05, request_timeout=2)
ODD_NAMES = ["PMC1.1/a b+c%20d#é&.jpg", "PMC1.1/sub/x=1;2'(3).png", "PMC1.1/[x]~@$!,.gif"]


def of(server: FakeS3) -> Files:
    return Files(server.url, anonymous=True, endpoint=server.endpoint, options=IMPATIENT)


@pytest.fixture(params=["path", "file", "memory", "fake-s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Files]:
    if request.param == "path":
        yield Files(tmp_path / "with space")
    elif request.param == "file":
        yield Files((tmp_path / "ü % x").as_uri())
    elif request.param == "memory":
        yield Files(f"memory://{tmp_path.name}/below")
    else:
        with FakeS3() as server:
            yield Files(server.url + "/be/low", anonymous=True, endpoint=server.endpoint, options=IMPATIENT)


def test_write_read_list_remove(files: Files) -> None:
    files.write("a/b.txt", b"123456")
    files.write("a/c/d", b"")
    files.write("top", b"x")
    files.write("top", b"yz")
    assert files.read("a/b.txt") == b"123456"
    assert files.read("top") == b"yz"
    assert sorted(files.list()) == [("a/b.txt", 6), ("a/c/d", 0), ("top", 2)]
    assert sorted(files.list("a/")) == [("a/b.txt", 6), ("a/c/d", 0)]
    assert list(files.list("none")) == []
    assert files.folders() == ["a"]
    assert files.folders("a") == ["c"]
    assert files.folders("none") == []
    assert files.size("a/b.txt") == 6
    assert files.exists("top") and not files.exists("nope") and not files.exists("a")
    files.remove("top")
    files.remove("top")
    assert not files.exists("top")


def test_create_never_replaces(files: Files) -> None:
    files.create("a/b.txt", b"first")
    with pytest.raises(FileExistsError):
        files.create("a/b.txt", b"second")
    assert files.read("a/b.txt") == b"first"
    assert list(files.list()) == [("a/b.txt", 5)]


def test_of_many_creators_one_wins(files: Files) -> None:
    def create(number: int) -> bool:
        try:
            files.create("contested", b"%d" % number)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(16)))
    assert won.count(True) == 1
    assert files.read("contested") == b"%d" % won.index(True)


def test_ranges_and_streams(files: Files) -> None:
    data = bytes(range(256)) * 40
    files.write("f", data)
    assert files.read_range("f", 10, 5) == data[10:15]
    assert files.read_range("f", len(data) - 3, 100) == data[-3:]
    assert files.read_range("f", 0, 0) == b""
    assert b"".join(files.stream("f", 1000)) == data
    with files.open_seekable("f") as file:
        file.seek(-4, os.SEEK_END)
        assert file.read() == data[-4:]
        file.seek(100)
        assert file.read(3) == data[100:103]
        assert file.tell() == 103


def test_missing_is_one_error_everywhere(files: Files) -> None:
    files.write("a/b", b"x")
    for path in ("nope", "a", "a/b/c"):
        for call in (files.read, files.size, files.open_seekable, lambda p: list(files.stream(p))):
            with pytest.raises(FileNotFoundError):
                call(path)
        with pytest.raises(FileNotFoundError):
            files.read_range(path, 0, 1)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(files: Files, name: str) -> None:
    files.write(name, b"odd")
    assert files.read(name) == b"odd"
    assert list(files.list()) == [(name, 3)]


@pytest.mark.parametrize("path", ["", "/etc/passwd", "a/../b", "..", "./a", "a//b", "a/", "a\\b", "a\0b"])
def test_paths_that_could_leave_the_root_are_refused(files: Files, path: str) -> None:
    with pytest.raises(InvalidPathError):
        check_path(path)
    for call in (files.read, files.size, files.remove, lambda p: files.write(p, b"")):
        with pytest.raises(InvalidPathError):
            call(path)


def test_put_file_keeps_or_moves(files: Files, tmp_path: Path) -> None:
    local = tmp_path / "big"
    data = os.urandom(1 << 20) * 20  # several parts of a multipart upload
    local.write_bytes(data)
    files.put_file(local, "x/big")
    assert local.exists() and files.read("x/big") == data
    files.put_file(local, "x/moved", move=True)
    assert not local.exists() and files.read("x/moved") == data


def test_limit_is_checked_before_reading(files: Files) -> None:
    files.write("f", b"12345")
    assert files.fetch("f", max_bytes=5).data == b"12345"
    with pytest.raises(TooLargeError):
        files.fetch("f", max_bytes=4)


def test_parquet_through_open_seekable(files: Files) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"x": list(range(1000))}), buffer)
    files.write("t.parquet", buffer.getvalue())
    with files.open_seekable("t.parquet") as file:
        assert pq.read_table(file)["x"].to_pylist() == list(range(1000))


def test_pickle_and_threads(files: Files) -> None:
    files.write("f", b"data")
    again = pickle.loads(pickle.dumps(files))
    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(lambda _: again.read("f"), range(100))) == {b"data"}
    assert (again.traffic.requests, again.traffic.bytes) == (100, 400)


def test_local_temporaries_are_not_listed_and_can_be_removed(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write("a/b", b"")
    (tmp_path / "a/.tmp-123").write_bytes(b"half")
    assert list(files.list()) == [("a/b", 0)]
    assert files.remove_abandoned(before=0) == 0
    assert files.remove_abandoned(before=1e11) == 1
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b"]


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with pytest.raises(FileNotFoundError):
        files.put_file(tmp_path / "missing", "a/b")
    assert list((tmp_path / "a").iterdir()) == []


def test_local_path(tmp_path: Path) -> None:
    assert Files(tmp_path).local_path("a/b") == tmp_path / "a/b"
    assert Files("memory://x").local_path("a") is None


def test_etag_without_quotes() -> None:
    with FakeS3({"f": b"data"}) as server:
        assert of(server).fetch("f").etag == "8d777f385d3dfec8815d20f7496026dc"  # md5 of b"data"


@pytest.mark.parametrize("status", [500, 503, 429])
def test_server_errors_are_retried_then_transient(status: int) -> None:
    with FakeS3({"f": b"data"}) as server:
        server.fail("f", status, times=3)
        assert of(server).read("f") == b"data"
        assert server.requests == 4
        server.fail("f", status)
        with pytest.raises(TransientIOError):
            of(server).read("f")


def test_cut_bodies_are_resumed_then_transient() -> None:
    data = os.urandom(300_000)
    with FakeS3({"f": data}) as server:
        server.fail("f", "cut", times=2)
        assert of(server).read("f") == data
        server.fail("f", "cut")
        with pytest.raises(TransientIOError):
            of(server).read("f")


def test_timeouts_and_dead_servers_are_transient() -> None:
    patience = ClientOptions(max_retries=1, first_backoff=0.01, request_timeout=0.3, connect_timeout=0.3)
    with FakeS3({"f": b"x"}) as server:
        server.fail("f", "hang")
        with pytest.raises(TransientIOError):
            Files(server.url, anonymous=True, endpoint=server.endpoint, options=patience).read("f")
        dead = of(server)
    with pytest.raises(TransientIOError):
        dead.read("f")


def test_refusals() -> None:
    with FakeS3({"f": b"x"}) as server:
        server.fail("f", 403, times=1)
        with pytest.raises(PermissionError):
            of(server).read("f")
        server.fail("f", 400, times=1)
        with pytest.raises(OSError) as caught:
            of(server).read("f")
        assert not isinstance(caught.value, TransientIOError)
        assert server.requests == 2  # no retries
        server.listable = False
        with pytest.raises(PermissionError):
            of(server).folders()
        with pytest.raises(PermissionError):
            list(of(server).list())
        with pytest.raises(FileNotFoundError):
            Files("s3://other-bucket", anonymous=True, endpoint=server.endpoint).folders()


def test_anonymous_requests_are_not_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with FakeS3({"f": b"x"}) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        assert Files(server.url, anonymous=True).read("f") == b"x"
        assert server.signed == 0
        assert Files(server.url).read("f") == b"x"
        assert server.signed == 1


def test_http_root_lists_where_the_server_speaks_s3() -> None:
    with FakeS3({f"r/{n:04}/m": b"x" for n in range(1100)}) as server:
        files = Files(server.http_url, options=IMPATIENT)
        assert files.read("r/0007/m") == b"x"
        assert files.folders("r") == [f"{n:04}" for n in range(1100)]  # more than one page
        assert len(list(files.list("r"))) == 1100
        server.listable = False
        with pytest.raises(NotListableError):
            files.folders("r")
        with pytest.raises(NotListableError):
            list(files.list("r"))
        with pytest.raises(FileNotFoundError):
            files.read("nope")


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://pmc-oa-opendata.s3.amazonaws.com", "s3://pmc-oa-opendata"),
        ("https://pmc-oa-opendata.s3.us-east-1.amazonaws.com/x/y/", "s3://pmc-oa-opendata/x/y"),
        ("https://s3.eu-west-1.amazonaws.com/bucket/x", "s3://bucket/x"),
        ("https://s3.amazonaws.com/bucket", "s3://bucket"),
    ],
)
def test_amazon_urls_are_buckets(url: str, root: str) -> None:
    assert Files(url).url == root


def test_moto_agrees() -> None:
    objects = {"a/b.txt": b"123456", "a/c/d": b"x"}
    with moto_server(objects) as endpoint:
        files = Files("s3://bucket", anonymous=True, endpoint=endpoint, options=IMPATIENT)
        assert {path: files.read(path) for path, _ in files.list()} == objects
        assert files.fetch("a/b.txt").etag == "e10adc3949ba59abbe56e057f20f883e"
        assert files.read_range("a/b.txt", 2, 3) == b"345"
        assert files.folders("a") == ["c"]
        files.write("new", b"n")
        assert files.read("new") == b"n"
        files.create("newer", b"1")
        with pytest.raises(FileExistsError):
            files.create("newer", b"2")
        assert files.read("newer") == b"1"
        with pytest.raises(FileNotFoundError):
            files.read("nope")
