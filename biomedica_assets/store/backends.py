"""How each kind of root is reached: local files, object stores and web servers (obstore), the rest (fsspec).

Belongs here: one small class per kind, all with the methods of `Backend`, and the errors they share. Not here: what
callers use, `biomedica_assets.store.files.Files`, which checks the paths first.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import HTTPStore, S3Store, from_url

TEMPORARY = ".tmp-"
"""How names of files that are still being written start; they are never listed."""

_OBJECT_SCHEMES = {"s3", "s3a", "gs", "az", "azure", "abfs", "abfss"}
_AMAZON = re.compile(
    r"https://(?:(?P<host>[a-z0-9.-]+)\.)?s3(?:[.-](?P<region>[a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com(?P<path>/.*)?$"
)
_STATUS = re.compile(r"non-2xx status code: (\d{3})")

_Listing = Iterator[tuple[str, int]]
_Names = list[str]


class TransientIOError(OSError):
    """The store did not answer properly (5xx, timeouts, cut connections) and retries are used up: try later."""


class TooLargeError(OSError):
    """The object is larger than the caller's limit; its bytes were not read."""


class NotListableError(OSError):
    """The root cannot list its contents (a plain HTTP server)."""


class InvalidPathError(ValueError):
    """A path that could leave the root or differs between stores: absolute, '..', '.', backslash, empty part."""


class Fetched(NamedTuple):
    """An object's bytes and its ETag without quotes (null where the backend has none)."""

    data: bytes
    etag: str | None


@dataclass(frozen=True)
class ClientOptions:
    """How patient the network client is. Times in seconds."""

    max_retries: int = 6
    first_backoff: float = 0.2
    max_backoff: float = 10.0
    retry_for: float = 120.0
    request_timeout: float = 120.0
    connect_timeout: float = 10.0


class Backend(Protocol):
    """What a kind of root must do; paths are checked by `Files`."""

    url: str
    root: Path | None

    def fetch(self, path: str, max_bytes: int | None) -> Fetched: ...
    def read_range(self, path: str, offset: int, length: int) -> bytes: ...
    def stream(self, path: str, block: int) -> Iterator[bytes]: ...
    def write(self, path: str, data: bytes) -> None: ...
    def create(self, path: str, data: bytes) -> None: ...
    def put_file(self, local_path: Path, path: str, move: bool) -> None: ...
    def size(self, path: str) -> int: ...
    def stamp(self, path: str) -> str: ...
    def list(self, prefix: str) -> _Listing: ...
    def folders(self, prefix: str) -> _Names: ...
    def remove(self, path: str) -> None: ...


def open_backend(url: str, anonymous: bool, endpoint: str | None, options: ClientOptions) -> Backend:
    """The backend for a root URL; opens no connection."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower() if "://" in url else ""
    if scheme in ("", "file"):
        return _Local(unquote(parts.path) if scheme else url)
    if amazon := _AMAZON.match(url):
        region, path = amazon["region"] or "us-east-1", (amazon["path"] or "").strip("/")
        bucket = amazon["host"] or path.split("/")[0]
        below = path if amazon["host"] else path.partition("/")[2]
        return _Objects(f"s3://{bucket}/{below}", True, f"https://s3.{region}.amazonaws.com", options, region=region)
    if scheme in ("http", "https"):
        return _Http(url, options)
    if scheme in _OBJECT_SCHEMES:
        return _Objects(url, anonymous, endpoint, options)
    return _Fsspec(url)


def _too_large(path: str, size: int, limit: int | None) -> None:
    if limit is not None and size > limit:
        raise TooLargeError(f"{path}: {size} bytes, limit {limit}")


@contextlib.contextmanager
def local_errors(path: str) -> Iterator[None]:
    """Local oddities as an object store would say it: a folder is not a file, nothing lies below a file."""
    try:
        yield
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        raise FileNotFoundError(f"no such file: {path}") from error


class _Local:
    def __init__(self, path: str) -> None:
        self.root: Path | None = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - keep symbolic links
        self._root = self.root
        self.url = self._root.as_uri()

    def fetch(self, path: str, max_bytes: int | None) -> Fetched:
        with local_errors(path), (self._root / path).open("rb") as file:
            _too_large(path, os.fstat(file.fileno()).st_size, max_bytes)
            return Fetched(file.read(), None)

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        with local_errors(path), (self._root / path).open("rb") as file:
            return os.pread(file.fileno(), length, offset)

    def stream(self, path: str, block: int) -> Iterator[bytes]:
        with local_errors(path), (self._root / path).open("rb") as file:
            while data := file.read(block):
                yield data

    def write(self, path: str, data: bytes) -> None:
        with self._replacing(path) as temporary, temporary.open("xb") as file:
            file.write(data)
            _flush(file)

    def create(self, path: str, data: bytes) -> None:
        with self._beside(path) as temporary:
            with temporary.open("xb") as file:
                file.write(data)
                _flush(file)
            (self._root / path).hardlink_to(temporary)  # unlike a rename, it fails where there is a file already

    def put_file(self, local_path: Path, path: str, move: bool) -> None:
        with self._replacing(path) as temporary:
            if move:
                with contextlib.suppress(OSError):  # another filesystem: copy below
                    local_path.rename(temporary)
            if not temporary.exists():
                shutil.copyfile(local_path, temporary)
            with temporary.open("rb+") as file:
                _flush(file)

    @contextlib.contextmanager
    def _replacing(self, path: str) -> Iterator[Path]:
        """A temporary name beside ``path``, renamed to it at the end."""
        with self._beside(path) as temporary:
            yield temporary
            temporary.replace(self._root / path)

    @contextlib.contextmanager
    def _beside(self, path: str) -> Iterator[Path]:
        """A temporary name beside ``path``, gone at the end; what was done to the folder is then on the disk."""
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(target.parent, os.O_RDONLY)  # the new name must outlive a power cut too
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def size(self, path: str) -> int:
        with local_errors(path):
            full = self._root / path
            status = full.stat()
        if not full.is_file():
            raise FileNotFoundError(f"no such file: {path}")
        return status.st_size

    def stamp(self, path: str) -> str:
        with local_errors(path):
            status = (self._root / path).stat()
        return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"

    def list(self, prefix: str) -> _Listing:
        for folder, _, names in os.walk(self._root / prefix, followlinks=True):
            for name in names:
                if not name.startswith(TEMPORARY):
                    full = Path(folder, name)
                    with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                        yield full.relative_to(self._root).as_posix(), full.stat().st_size

    def folders(self, prefix: str) -> _Names:
        try:
            return [entry.name for entry in os.scandir(self._root / prefix) if entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def remove(self, path: str) -> None:
        with local_errors(path):
            (self._root / path).unlink()


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def _object_errors(path: str) -> Iterator[None]:
    """obstore's errors as Python's. Its generic error is transient unless the server refused the request (4xx)."""
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise PermissionError(f"{path}: {_first_line(error)}") from error
    except AlreadyExistsError as error:
        raise FileExistsError(f"{path}: there is a file already") from error
    except BaseError as error:
        found = _STATUS.search(str(error))
        status = int(found[1]) if found else None
        raise _kind_of(status)(f"{path}: {_first_line(error)}") from error


def _kind_of(status: int | None) -> type[OSError]:
    """What an HTTP status means. Listings report 403 and 404 through obstore's generic error."""
    if status in (401, 403):
        return PermissionError
    if status == 404:
        return FileNotFoundError
    refused = status is not None and 400 <= status < 500 and status not in (408, 425, 429)
    return OSError if refused else TransientIOError


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0].strip()


class _Objects:
    """An object store through obstore."""

    root: Path | None = None

    def __init__(
        self, url: str, anonymous: bool, endpoint: str | None, options: ClientOptions, region: str | None = None
    ) -> None:
        self.url = url.rstrip("/")
        config: Any = {}
        if url.startswith("s3"):
            endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
            region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
            # single deletes: not every S3-compatible server knows the bulk request
            config |= {"region": region, "disable_bulk_delete": True} | ({"endpoint": endpoint} if endpoint else {})
        if anonymous:
            config["skip_signature"] = True
        client, retry = _client(options, allow_http=(endpoint or "").startswith("http://"))
        self._store = from_url(self.url, config=config, client_options=client, retry_config=retry)

    def fetch(self, path: str, max_bytes: int | None) -> Fetched:
        with _object_errors(path):
            result = obstore.get(self._store, path)
            _too_large(path, result.meta["size"], max_bytes)
            return Fetched(bytes(result.bytes()), (result.meta["e_tag"] or "").strip('"') or None)

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        with _object_errors(path):
            return bytes(obstore.get_range(self._store, path, start=offset, length=length))

    def stream(self, path: str, block: int) -> Iterator[bytes]:
        with _object_errors(path):
            for data in obstore.get(self._store, path).stream(min_chunk_size=block):
                yield bytes(data)

    def write(self, path: str, data: bytes) -> None:
        with _object_errors(path):
            obstore.put(self._store, path, data, use_multipart=False)

    def create(self, path: str, data: bytes) -> None:
        with _object_errors(path):
            obstore.put(self._store, path, data, use_multipart=False, mode="create")

    def put_file(self, local_path: Path, path: str, move: bool) -> None:
        with _object_errors(path):
            obstore.put(self._store, path, local_path, chunk_size=16 << 20, max_concurrency=4)

    def size(self, path: str) -> int:
        with _object_errors(path):
            return obstore.head(self._store, path)["size"]

    def stamp(self, path: str) -> str:
        with _object_errors(path):
            found = obstore.head(self._store, path)
        return f"{found['size']}-{found['last_modified']}-{found['e_tag']}"

    def list(self, prefix: str) -> _Listing:
        with _object_errors(prefix):
            for page in obstore.list(self._store, prefix or None, chunk_size=1000):
                for item in page:
                    yield item["path"], item["size"]

    def folders(self, prefix: str) -> _Names:
        with _object_errors(prefix):
            found = obstore.list_with_delimiter(self._store, prefix or None)["common_prefixes"]
        return [name.rstrip("/").rsplit("/", 1)[-1] for name in found]

    def remove(self, path: str) -> None:
        with _object_errors(path):
            obstore.delete(self._store, path)


class _Http(_Objects):
    """A web server: reads are plain GETs; listing is tried as S3's ListObjectsV2 with the root as the bucket."""

    def __init__(self, url: str, options: ClientOptions) -> None:
        self.url = url.rstrip("/")
        client, retry = _client(options, allow_http=url.startswith("http://"))
        self._store = HTTPStore.from_url(self.url, client_options=client, retry_config=retry)
        self._lister = S3Store(
            "root",
            config={"endpoint": self.url, "virtual_hosted_style_request": True, "skip_signature": True},
            region="us-east-1",
            client_options=client,
            retry_config=retry,
        )

    def list(self, prefix: str) -> _Listing:
        with self._listing(prefix):
            for page in obstore.list(self._lister, prefix or None, chunk_size=1000):
                for item in page:
                    yield item["path"], item["size"]

    def folders(self, prefix: str) -> _Names:
        with self._listing(prefix):
            found = obstore.list_with_delimiter(self._lister, prefix or None)["common_prefixes"]
        return [name.rstrip("/").rsplit("/", 1)[-1] for name in found]

    @contextlib.contextmanager
    def _listing(self, prefix: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise NotListableError(f"{self.url} does not list {prefix!r}: {_first_line(error)}") from error


def _client(options: ClientOptions, *, allow_http: bool) -> tuple[Any, Any]:
    """Client and retry configuration for obstore."""
    client = {
        "allow_http": allow_http,
        "timeout": timedelta(seconds=options.request_timeout),
        "connect_timeout": timedelta(seconds=options.connect_timeout),
        "pool_idle_timeout": timedelta(seconds=60),
        "user_agent": "biomedica_assets",
    }
    retry = {
        "max_retries": options.max_retries,
        "retry_timeout": timedelta(seconds=options.retry_for),
        "backoff": {
            "init_backoff": timedelta(seconds=options.first_backoff),
            "max_backoff": timedelta(seconds=options.max_backoff),
            "base": 2,
        },
    }
    return client, retry


class _Fsspec:
    root: Path | None = None

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self.url = url.rstrip("/")
        self._fs, base = url_to_fs(url)
        self._base = base.rstrip("/")

    def _full(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

    def _below(self, full: str) -> str:
        return full.removeprefix(self._base.lstrip("/") if not full.startswith("/") else self._base).lstrip("/")

    def fetch(self, path: str, max_bytes: int | None) -> Fetched:
        info = self._fs.info(self._full(path))
        if info["type"] != "file":
            raise FileNotFoundError(f"no such file: {path}")
        _too_large(path, info["size"] or 0, max_bytes)
        etag = info.get("ETag") or info.get("etag")
        return Fetched(self._fs.cat_file(self._full(path)), etag.strip('"') if etag else None)

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        with local_errors(path):
            return self._fs.cat_file(self._full(path), start=offset, end=offset + length)

    def stream(self, path: str, block: int) -> Iterator[bytes]:
        with local_errors(path), self._fs.open(self._full(path), "rb") as file:
            while data := file.read(block):
                yield data

    def write(self, path: str, data: bytes) -> None:
        self._fs.makedirs(self._full(path).rpartition("/")[0], exist_ok=True)
        self._fs.pipe_file(self._full(path), data)

    def create(self, path: str, data: bytes) -> None:
        self._fs.makedirs(self._full(path).rpartition("/")[0], exist_ok=True)
        self._fs.pipe_file(self._full(path), data, mode="create")

    def put_file(self, local_path: Path, path: str, move: bool) -> None:
        self._fs.makedirs(self._full(path).rpartition("/")[0], exist_ok=True)
        self._fs.put_file(str(local_path), self._full(path))

    def size(self, path: str) -> int:
        info = self._fs.info(self._full(path))
        if info["type"] != "file":
            raise FileNotFoundError(f"no such file: {path}")
        return int(info["size"])

    def stamp(self, path: str) -> str:
        return str(self._fs.ukey(self._full(path)))

    def list(self, prefix: str) -> _Listing:
        for full, info in self._fs.find(self._full(prefix), detail=True).items():
            yield self._below(full), info["size"]

    def folders(self, prefix: str) -> _Names:
        try:
            entries = self._fs.ls(self._full(prefix), detail=True)
        except FileNotFoundError:
            return []
        return [entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in entries if entry["type"] == "directory"]

    def remove(self, path: str) -> None:
        self._fs.rm_file(self._full(path))
