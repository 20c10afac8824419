"""Small releases for tests, written by hand into any mapping of keys to bytes (a dict, `FolderObjects`)."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

Objects = MutableMapping[str, bytes]
BASE = "inventory-reports/pmc-oa-opendata/metadata"
SCHEMA = "Bucket, Key, LastModifiedDate, ETag"


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def put_article(
    objects: Objects,
    article_id: str,
    xml: bytes = b"<article/>",
    media: Mapping[str, bytes] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Write a version's XML, media and metadata JSON; fields override the JSON's. Returns the record."""
    pmcid, version = article_id.split(".")
    bucket = "s3://pmc-oa-opendata"
    record = {
        "pmcid": pmcid,
        "version": int(version),
        "pmid": 123,
        "doi": "10.1/x",
        "mid": None,
        "title": "A title",
        "citation": "J. 2026; 1:1",
        "is_pmc_openaccess": True,
        "is_manuscript": False,
        "is_historical_ocr": False,
        "is_retracted": False,
        "license_code": "CC BY",
        "xml_url": f"{bucket}/{article_id}/{article_id}.xml?md5={md5(xml)}",
        "media_urls": [f"{bucket}/{article_id}/{name}?md5={md5(data)}" for name, data in (media or {}).items()],
    } | fields
    objects[f"{article_id}/{article_id}.xml"] = xml
    for name, data in (media or {}).items():
        objects[f"{article_id}/{name}"] = data
    objects[f"metadata/{article_id}.json"] = json.dumps(record).encode()
    return record


def inventory_rows(objects: Objects, modified: str = "2026-11-01T00:00:00.000Z") -> list[tuple[str, ...]]:
    """The rows that S3 would list for the metadata in ``objects``."""
    return [
        ("pmc-oa-opendata", key, modified, md5(objects[key])) for key in sorted(objects) if key.startswith("metadata/")
    ]


def put_inventory(
    objects: Objects,
    day: str,
    rows: Iterable[Sequence[str]] | None = None,
    *,
    schema: str = SCHEMA,
    shards: int = 2,
    bucket: str = "pmc-oa-opendata",
    complete: bool = True,
    **manifest: Any,
) -> str:
    """Write an inventory run; returns its manifest's key. ``complete=False`` leaves the manifest out."""
    rows = list(inventory_rows(objects) if rows is None else rows)
    files = []
    for number in range(shards):
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows[number::shards])
        data = gzip.compress(text.getvalue().encode(), mtime=0)
        key = f"{BASE}/data/{day}-{number}.csv.gz"
        objects[key] = data
        files.append({"key": key, "size": len(data), "MD5checksum": md5(data)})
    record = {
        "sourceBucket": bucket,
        "version": "2016-11-30",
        "fileFormat": "CSV",
        "fileSchema": schema,
        "files": files,
    } | manifest
    run = f"{BASE}/{day}T01-00Z"
    if complete:
        objects[f"{run}/manifest.json"] = json.dumps(record).encode()
        objects[f"{run}/manifest.checksum"] = md5(objects[f"{run}/manifest.json"]).encode()
    objects[f"{BASE}/hive/dt={day}-01-00/symlink.txt"] = b""
    return f"{run}/manifest.json"


def package(members: Iterable[tuple[str | tarfile.TarInfo, bytes]]) -> bytes:
    """A tar.gz of (name or header, bytes)."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for name, data in members:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if member.isreg():
                member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
