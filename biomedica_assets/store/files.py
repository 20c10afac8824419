"""Bytes by URL: the one way the project reads and writes files, wherever they lie.

Belongs here: local paths, object stores (through obstore), HTTP mirrors and any other fsspec filesystem behind
one small class, with the same errors for all. Not here: what the bytes mean, which paths exist, retries of
whole articles.

Roots and how they are reached:

* a path or ``file://``: plain operating system calls;
* ``s3://``, ``gs://``, ``az://``: obstore, configured by the usual environment variables (``AWS_ENDPOINT_URL``,
  ``AWS_ACCESS_KEY_ID`` ...). ``https://<bucket>.s3.amazonaws.com`` is the same bucket, read without signature and
  always at Amazon, whatever endpoint the environment names for other buckets;
* ``http://``, ``https://``: obstore; listing works where the server answers S3's ListObjectsV2, else
  `NotListableError`;
* ``memory://`` and everything else: fsspec (a write is as atomic as that filesystem's ``pipe_file``).

Every request is retried by the client, a bounded number of times, with exponential backoff and jitter, on 5xx, 429,
SlowDown, dropped connections and timeouts; a body cut off in the middle is resumed.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from biomedica_assets.store.backends import (
    TEMPORARY,
    ClientOptions,
    Fetched,
    InvalidPathError,
    NotListableError,
    TooLargeError,
    TransientIOError,
    local_errors,
    open_backend,
)

__all__ = [
    "ClientOptions",
    "Fetched",
    "Files",
    "InvalidPathError",
    "NotListableError",
    "TooLargeError",
    "Traffic",
    "TransientIOError",
    "check_path",
]

_Listing = Iterator[tuple[str, int]]
_Names = list[str]


class Traffic:
    """Requests and bytes read through one `Files`, counted across threads. The client's own retries are not counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        self.bytes = 0

    def add(self, requests: int, size: int) -> None:
        with self._lock:
            self.requests += requests
            self.bytes += size


def check_path(path: str) -> str:
    """Return ``path`` if it is a plain relative posix path.

    Raises:
        InvalidPathError: it is empty, absolute, has a backslash, NUL, or an empty, '.' or '..' part.
    """
    if "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise InvalidPathError(f"not a plain relative path: {path!r}")
    return path


class Files:
    """Files below one root URL; paths are relative posix paths. Picklable, safe to use from many threads.

    Every method may raise `InvalidPathError`, PermissionError (401, 403), `TransientIOError` or another OSError.

    Args:
        url: root, see the module's docstring.
        anonymous: do not sign requests (public buckets).
        endpoint: address of an S3-compatible server; default ``AWS_ENDPOINT_URL``, else Amazon's.
        options: patience of the network client.
    """

    def __init__(
        self,
        url: str | Path,
        *,
        anonymous: bool = False,
        endpoint: str | None = None,
        options: ClientOptions | None = None,
    ) -> None:
        options = options or ClientOptions()
        self._arguments = (str(url), anonymous, endpoint, options)
        self._backend = open_backend(str(url), anonymous, endpoint, options)
        self.url: str = self._backend.url
        self.traffic = Traffic()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, self._arguments

    def __repr__(self) -> str:
        return f"Files({self.url!r})"

    def read(self, path: str) -> bytes:
        """The file's bytes. Raises FileNotFoundError when it is not there."""
        return self.fetch(path).data

    def fetch(self, path: str, *, max_bytes: int | None = None) -> Fetched:
        """Bytes and ETag. Raises FileNotFoundError, or `TooLargeError` before reading more than ``max_bytes``."""
        fetched = self._counted(self._backend.fetch, check_path(path), max_bytes)
        self.traffic.add(0, len(fetched.data))
        return fetched

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``; fewer at the end of the file. Raises FileNotFoundError."""
        check_path(path)
        if length <= 0:
            return b""
        data = self._counted(self._backend.read_range, path, offset, length)
        self.traffic.add(0, len(data))
        return data

    def stream(self, path: str, block: int = 1 << 20) -> Iterator[bytes]:
        """The file's bytes in order, in blocks of about ``block``, by one request. Raises FileNotFoundError."""
        check_path(path)
        self.traffic.add(1, 0)
        for data in self._backend.stream(path, block):
            self.traffic.add(0, len(data))
            yield data

    def write(self, path: str, data: bytes) -> None:
        """Create or replace the file: a reader sees all of the old or all of the new bytes."""
        self._backend.write(check_path(path), data)

    def create(self, path: str, data: bytes) -> None:
        """Create the file: of several writers of one path exactly one succeeds, the others get FileExistsError.

        A client that repeats a request whose answer was lost gets FileExistsError for its own file: compare the bytes.
        """
        self._backend.create(check_path(path), data)

    def put_file(self, local_path: str | Path, path: str, *, move: bool = False) -> None:
        """Like `write`, streamed from a local file; ``move`` lets the local file go (a rename where possible)."""
        self._backend.put_file(Path(local_path), check_path(path), move)
        if move:
            Path(local_path).unlink(missing_ok=True)

    def size(self, path: str) -> int:
        """Bytes of the file. Raises FileNotFoundError."""
        return self._counted(self._backend.size, check_path(path))

    def stamp(self, path: str) -> str:
        """A cheap mark that differs when the file was replaced: ETag or times and size. Only for caches.

        Raises FileNotFoundError.
        """
        return self._counted(self._backend.stamp, check_path(path))

    def exists(self, path: str) -> bool:
        """Whether there is a file (not a folder) at ``path``."""
        try:
            self.size(path)
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str = "") -> _Listing:
        """(path, bytes) of every file below the folder ``prefix``, in no order; nothing when there is none.

        Raises:
            NotListableError: a plain HTTP server.
        """
        self.traffic.add(1, 0)
        return self._backend.list(_folder(prefix))

    def folders(self, prefix: str = "") -> _Names:
        """Sorted names of the folders directly below ``prefix``. Raises `NotListableError`."""
        return sorted(self._counted(self._backend.folders, _folder(prefix)))

    def remove(self, path: str) -> None:
        """Remove the file; a missing one is fine."""
        with contextlib.suppress(FileNotFoundError):
            self._backend.remove(check_path(path))

    def remove_abandoned(self, before: float) -> int:
        """Remove temporary files of killed writers, last written before this time (seconds since 1970); their count.

        Only local roots ever hold any. Choose a time by which every writer of then has ended.
        """
        root = self._backend.root
        abandoned = [p for p in root.rglob(f"{TEMPORARY}*") if p.stat().st_mtime < before] if root else []
        for path in abandoned:
            path.unlink(missing_ok=True)
        return len(abandoned)

    def local_path(self, path: str = "") -> Path | None:
        """Where the file lies on this machine, for local roots; else null."""
        root = self._backend.root
        return None if root is None else root / (check_path(path) if path else "")

    def open_seekable(self, path: str) -> BinaryIO:
        """A random-access binary file object, e.g. for pyarrow. Raises FileNotFoundError."""
        local = self.local_path(check_path(path))
        if local is not None:
            with local_errors(path):
                return local.open("rb")
        return io.BufferedReader(_Ranges(self, path), 1 << 17)

    def _counted(self, call: Any, *arguments: Any) -> Any:
        self.traffic.add(1, 0)
        return call(*arguments)


def _reopen(url: str, anonymous: bool, endpoint: str | None, options: ClientOptions) -> Files:
    return Files(url, anonymous=anonymous, endpoint=endpoint, options=options)


def _folder(prefix: str) -> str:
    prefix = prefix.removesuffix("/")
    return check_path(prefix) if prefix else ""


class _Ranges(io.RawIOBase):
    """A remote file as a seekable raw stream: one range request per read."""

    def __init__(self, files: Files, path: str) -> None:
        self._files, self._path = files, path
        self._position, self._size = 0, files.size(path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self._size - self._position)
        data = self._files.read_range(self._path, self._position, length)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
