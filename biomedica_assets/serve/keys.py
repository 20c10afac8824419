"""API keys: random, shown once, stored as SHA-256 in a text file; compared in constant time.

A line of the file is ``name sha256 [rate]``: the key's name for logs and limits, the hash in 64 hex digits, and
requests a second when the key has a rate of its own. Lines may be added or removed while the server runs. A plain hash
does, since keys are 256 random bits, not words of people. What does not belong here: what a key allows (`limits`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import time
from pathlib import Path
from typing import NamedTuple

_LINE = re.compile(r"(?P<name>[\w.@-]{1,64})\s+(?P<digest>[0-9a-f]{64})(?:\s+(?P<rate>\d+(?:\.\d+)?))?", re.ASCII)
_LOOK_SECONDS = 5.0


class KeysError(ValueError):
    """The file of keys cannot be used; the message names the line."""


class Key(NamedTuple):
    """A key's name, the SHA-256 of it, and its own rate in requests a second, if any."""

    name: str
    digest: bytes
    rate: float | None


def new_key(name: str) -> tuple[str, str]:
    """A new key, and the line for the file."""
    key = f"bma_{secrets.token_urlsafe(32)}"
    return key, f"{name} {hashlib.sha256(key.encode()).hexdigest()}"


def read_keys(path: Path) -> list[Key]:
    """The keys of a file. Raises `KeysError`, OSError."""
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if not match:
            raise KeysError(f"{path}, line {number}: not `name sha256 [rate]`; make one with `biomedica key NAME`")
        rate = float(match["rate"]) if match["rate"] else None
        found.append(Key(match["name"], bytes.fromhex(match["digest"]), rate))
    return found


class Keys:
    """The keys of a file, read again when it changes.

    Raises:
        KeysError, OSError: when made. Later a file that cannot be read leaves the keys as they were.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = read_keys(path)
        self._stamp = path.stat().st_mtime_ns
        self._looked = time.monotonic()

    def find(self, presented: str) -> Key | None:
        """The key that was presented, or null. Takes the same time whichever it is."""
        self._look()
        digest = hashlib.sha256(presented.encode()).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found

    def _look(self) -> None:
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        try:
            stamp = self._path.stat().st_mtime_ns
            if stamp != self._stamp:
                self._keys, self._stamp = read_keys(self._path), stamp
        except (OSError, KeysError):
            return


def presented_key(authorization: str | None, header: str | None) -> str | None:
    """The key in X-API-Key, ``Authorization: Bearer``, or as password of ``Basic``, which browsers ask for."""
    if header:
        return header
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return None
