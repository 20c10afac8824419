"""Releases in PMC's cloud layout: the daily S3 inventory of article metadata.

Belongs here: finding the newest complete inventory, checking its manifest and shards. Layout and field names:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html and the bucket's README
(https://pmc-oa-opendata.s3.amazonaws.com/README.txt). Not here: comparing it with earlier ones (`file_list`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from biomedica_assets.pmc.articles import Articles, CloudArticles
from biomedica_assets.pmc.keys import BUCKET
from biomedica_assets.pmc.releases import Listing, ListingError, NoReleaseError, Release, scratch_folder
from biomedica_assets.store.duck import sql_text
from biomedica_assets.store.files import Files, InvalidPathError, NotListableError, Traffic

INVENTORY = f"inventory-reports/{BUCKET}/metadata"
"""Where inventories lie below the root of a release."""
_RUN = re.compile(r"(\d{4}-\d{2}-\d{2})T\d{2}-\d{2}Z")
_MD5 = re.compile(r"\b[0-9a-fA-F]{32}\b")
_KEPT_DAYS = 35  # inventories are kept for 30 days; a mirror may lag
_NEEDED = {"key", "lastmodifieddate", "etag"}
# Key of the metadata JSON. Numbers with leading zeros or too many digits name no version: such rows are skipped.
_KEY_PATTERN = r"^metadata/PMC([1-9][0-9]{0,11})\.(0|[1-9][0-9]{0,5})\.json$"


class CloudSource:
    """Releases of a bucket, or of a mirror of it, in the cloud layout (see `ReleaseSource`)."""

    layout = "cloud"

    def __init__(self, files: Files, *, today: date | None = None) -> None:
        self.files = files
        self._today = today
        self._bucket: str | None = None

    @property
    def traffic(self) -> Traffic:
        return self.files.traffic

    @property
    def identity(self) -> str:
        if self._bucket is None and self.latest() is None:
            raise NoReleaseError(f"{self.files.url}: no complete inventory")
        return f"cloud:{self._bucket}"

    def latest(self) -> Release | None:
        return next((release for run in self._runs() if (release := self._complete(run))), None)

    def releases(self) -> list[Release]:
        # one per day: of two runs of a day the later one counts
        found: dict[str, Release] = {}
        for run in self._runs():
            if _RUN.fullmatch(run)[1] not in found and (release := self._complete(run)):  # type: ignore[index]
                found[release.name] = release
        return sorted(found.values())

    def listing(self, release: Release, scratch: str | Path | None = None) -> Listing:
        manifest = self._manifest(release)
        columns = [name.strip() for name in str(manifest.get("fileSchema", "")).split(",")]
        if manifest.get("fileFormat") != "CSV" or not {c.lower() for c in columns} >= _NEEDED:
            raise ListingError(
                f"{release.path}: needs CSV with Key, LastModifiedDate and ETag; it states "
                f"{manifest.get('fileFormat')!r} with {manifest.get('fileSchema')!r}"
            )
        folder = scratch_folder(scratch)
        listing = Listing(release, "", folder)
        try:
            shards = [self._shard(entry, folder, number) for number, entry in enumerate(manifest["files"])]
        except BaseException:
            listing.__exit__()
            raise
        listing.relation = _relation(columns, shards)
        return listing

    def articles(self, *, max_object_bytes: int | None = None, forbidden_limit: int = 5) -> Articles:
        return CloudArticles(self.files, max_object_bytes=max_object_bytes, forbidden_limit=forbidden_limit)

    def _runs(self) -> Iterator[str]:
        """Names of dated folders, newest first."""
        try:
            runs = [name for name in self.files.folders(INVENTORY) if _RUN.fullmatch(name)]
            yield from sorted(runs, reverse=True)
        except (NotListableError, PermissionError):
            # a plain web server, or a bucket that may not be listed: ask for the days that an inventory may be from;
            # they are made at 01:00 UTC
            today = self._today or datetime.now(UTC).date()
            for days in range(-1, _KEPT_DAYS):
                yield f"{today - timedelta(days=days)}T01-00Z"

    def _complete(self, run: str) -> Release | None:
        """The run's release; null while (or because) manifest or checksum are missing or do not fit."""
        path = f"{INVENTORY}/{run}/manifest.json"
        try:
            data = self.files.read(path)
            stated = _MD5.search(self.files.read(f"{INVENTORY}/{run}/manifest.checksum").decode("utf-8", "replace"))
        except (FileNotFoundError, PermissionError):  # a bucket that may not be listed says 403 for missing objects
            return None
        checksum = hashlib.md5(data).hexdigest()
        if stated is None or stated[0].lower() != checksum:
            return None
        self._bucket = self._bucket or str(_parsed(path, data).get("sourceBucket"))
        return Release(run[:10], self.layout, checksum, path)

    def _manifest(self, release: Release) -> dict[str, Any]:
        data = self.files.read(release.path)
        if hashlib.md5(data).hexdigest() != release.checksum:
            raise ListingError(f"{release.path} changed since it was found: its MD5 is not {release.checksum}")
        manifest = _parsed(release.path, data)
        if not isinstance(manifest.get("files"), list):
            raise ListingError(f"{release.path}: names no files")
        return manifest

    def _shard(self, entry: dict[str, Any], folder: Path, number: int) -> Path:
        """The shard as a local file, its MD5 checked; a wrong one is read once more. Local mirrors are not copied."""
        key, stated = str(entry.get("key")), str(entry.get("MD5checksum", "")).lower()
        try:
            local = self.files.local_path(key)
            target = local or folder / f"{number:05}.csv.gz"
            for _ in range(2):
                digest = self._read_through(key, None if local else target)
                if digest == stated:
                    return target
        except (FileNotFoundError, PermissionError, InvalidPathError) as error:
            raise ListingError(f"inventory shard {key}: {error}") from error
        raise ListingError(f"inventory shard {key}: MD5 is {digest}, the manifest states {stated}")

    def _read_through(self, key: str, target: Path | None) -> str:
        """MD5 of the object, which is written to ``target`` on the way."""
        digest = hashlib.md5()
        with target.open("wb") if target else nullcontext() as file:
            for block in self.files.stream(key):
                digest.update(block)
                if file:
                    file.write(block)
        return digest.hexdigest()


def _parsed(path: str, data: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(data)
    except ValueError as error:
        raise ListingError(f"{path}: not JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise ListingError(f"{path}: not a JSON object")
    return manifest


def _relation(columns: list[str], shards: list[Path]) -> str:
    """SQL over the shards. Column order is the manifest's; old versions and delete markers are not versions of ours."""
    if not shards:
        return "SELECT NULL pmcid, NULL version, NULL etag, NULL last_modified, NULL location WHERE false"
    names = [column.lower() for column in columns]
    types = ", ".join(f"{sql_text(name)}: 'VARCHAR'" for name in names)
    paths = ", ".join(sql_text(str(path)) for path in shards)
    conditions = []
    if "islatest" in names:
        conditions.append("lower(islatest) <> 'false'")
    if "isdeletemarker" in names:
        conditions.append("lower(isdeletemarker) <> 'true'")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"""
        SELECT name.pmcid AS pmcid, name.version AS version, etag, lastmodifieddate AS last_modified, NULL AS location
        FROM (
            SELECT regexp_extract(key, {sql_text(_KEY_PATTERN)}, ['pmcid', 'version']) AS name, etag, lastmodifieddate
            FROM read_csv([{paths}], columns = {{{types}}}, auto_detect = false, header = false, delim = ',',
                          quote = '"', escape = '"', compression = 'gzip'){where}
        )"""
