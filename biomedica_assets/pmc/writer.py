"""Write a release as PMC would serve it: the cloud layout, one article version at a time, and the package layout.

Here belongs the shape of both layouts on the writing side: keys, metadata JSON, inventory, packages and file list.
Not here: where articles come from (`pack`, `biomedica_assets.sample`) and how releases are read.

Source of the layouts: https://pmc-oa-opendata.s3.amazonaws.com/README.txt, the S3 Inventory format
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html) and the file lists that
PMC's FTP site carried until 2026. Everything written is a pure function of what is handed in: no clock.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

from biomedica_assets.pmc import keys
from biomedica_assets.store.files import Files

INVENTORY = "inventory-reports/pmc-oa-opendata/metadata"
"""Where inventories lie below the root of a release. PMC's own path, also when the bucket has another name."""

Fields = dict[str, Any]
"""Fields of a metadata JSON, without the URLs (see `JSON_FIELDS`)."""

JSON_FIELDS = (
    "pmcid",
    "version",
    "pmid",
    "doi",
    "mid",
    "title",
    "citation",
    "is_pmc_openaccess",
    "is_manuscript",
    "is_historical_ocr",
    "is_retracted",
    "license_code",
    "xml_url",
    "pdf_url",
    "text_url",
    "media_urls",
)
"""Fields of the metadata JSON, in the order of the live service."""


def md5_hex(data: bytes) -> str:
    """MD5 as 32 lower-case hex digits."""
    return hashlib.md5(data).hexdigest()


@dataclass(frozen=True)
class Counts:
    """What writing did: objects written (not those that were already there with the same bytes), and their bytes."""

    objects: int = 0
    bytes: int = 0
    unchanged: int = 0
    removed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self._values(), other._values(), strict=True)))

    def _values(self) -> tuple[int, ...]:
        return (self.objects, self.bytes, self.unchanged, self.removed)


@dataclass
class CloudWriter:
    """A release in the cloud layout below a root, one inventory per release date.

    Call `add` once per article version, then `finish` once: the inventory is written last, and its manifest last of
    all, so a reader never meets a release that is half there. A second release goes to the same URL with a later
    date: objects are replaced in place where bytes differ, versions not added again are left out of the inventory.

    Args:
        url: root of the release: any URL that `store.files.Files` can write.
        release: date of the release; the inventory is written under ``<release>T01-00Z/``.
        bucket: bucket named in object URLs and inventory rows.
        rows_per_shard: rows of one inventory shard.
    """

    url: str
    release: date
    bucket: str = keys.BUCKET
    rows_per_shard: int = 1_000_000
    counts: Counts = field(default_factory=Counts, init=False)

    def __post_init__(self) -> None:
        self.files = Files(self.url)
        self._before = read_inventory(self.files, before=self.release)
        self._listed: dict[str, str] = {}

    def add(
        self,
        article_id: str,
        fields: Fields,
        xml: bytes,
        text: str,
        media: Iterable[tuple[str, bytes]] = (),
        missing: Iterable[str] = (),
    ) -> Fields:
        """Write one article version; its metadata JSON is returned.

        Media are taken one at a time. A file named ``V.pdf`` becomes ``pdf_url``. Objects of an earlier state of the
        version that this one no longer names are deleted. ``missing`` are object URLs to list without an object.

        Raises:
            UnsafeKeyError: a media name cannot be a key.
        """
        prefix = f"{article_id}/"
        there = self._sizes(article_id)
        known = self._known_md5(article_id)
        named: dict[str, str] = {}

        def put(key: str, data: bytes) -> None:
            named[key] = md5_hex(data)
            if there.get(key) == len(data) and known.get(key) == named[key]:
                self.counts += Counts(unchanged=1)
            else:
                self._write(key, data)

        put(f"{prefix}{article_id}.xml", xml)
        put(f"{prefix}{article_id}.txt", text.encode())
        for name, data in media:
            put(prefix + keys.safe_member(article_id, prefix + name), data)
        own = [f"{prefix}{article_id}.{ending}" for ending in ("xml", "pdf", "txt")]
        urls = {key: keys.format_object_url(self.bucket, key, md5) for key, md5 in named.items()}
        pmcid, version = keys.parse_article_id(article_id)
        record = {"pmcid": f"PMC{pmcid}", "version": version, **fields}
        for name, key in zip(("xml_url", "pdf_url", "text_url"), own, strict=True):
            if key in urls:
                record[name] = urls[key]
        record["media_urls"] = sorted([urls[key] for key in urls if key not in own] + list(missing))
        record = {name: record.get(name) for name in JSON_FIELDS if name != "pdf_url" or name in record}
        self.put_json(article_id, record, extra=there.keys() - named.keys())
        return record

    def put_json(self, article_id: str, record: Fields, extra: Iterable[str] = ()) -> None:
        """Write both copies of a metadata JSON and list the version; delete the keys in ``extra``."""
        data = json.dumps(record, ensure_ascii=False).encode()
        copy, key = f"{article_id}/{article_id}.json", keys.metadata_key(article_id)
        for gone in sorted(set(extra) - {copy}):
            self.files.remove(gone)
            self.counts += Counts(removed=1)
        for name in (copy, key):
            if self._read(name) == data:
                self.counts += Counts(unchanged=1)
            else:
                self._write(name, data)
        self._listed[key] = md5_hex(data)

    def list_only(self, article_id: str, record: Fields) -> None:
        """List a version none of whose objects exist, as the live inventory does for a while after a removal."""
        self._listed[keys.metadata_key(article_id)] = md5_hex(json.dumps(record, ensure_ascii=False).encode())

    def remove_unlisted(self) -> None:
        """Delete every object of versions that the release before lists and this one does not."""
        for key in sorted(self._before.keys() - self._listed.keys()):
            if not keys.METADATA_KEY.fullmatch(key):
                continue
            article_id = key.removeprefix("metadata/").removesuffix(".json")
            for name in sorted({*self._sizes(article_id), key}):
                if self.files.exists(name):
                    self.files.remove(name)
                    self.counts += Counts(removed=1)

    def finish(self) -> str:
        """Write the inventory of everything added; the key of its manifest."""
        moment = datetime.combine(self.release, time(1), UTC)
        shards = []
        rows = list(self._rows())
        for start in range(0, max(len(rows), 1), self.rows_per_shard):
            data = _csv_gz(rows[start : start + self.rows_per_shard])
            digest = hashlib.sha256(data).hexdigest()
            name = "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
            key = f"{INVENTORY}/data/{name}.csv.gz"
            self._write(key, data)
            shards.append({"key": key, "size": len(data), "MD5checksum": md5_hex(data)})
        manifest = {
            "sourceBucket": self.bucket,
            "destinationBucket": f"arn:aws:s3:::{self.bucket}",
            "version": "2016-11-30",
            "creationTimestamp": str(int(moment.timestamp() * 1000)),
            "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, LastModifiedDate, ETag",
            "files": shards,
        }
        data = json.dumps(manifest, indent=2).encode()
        folder = f"{INVENTORY}/{moment:%Y-%m-%dT%H-%MZ}"
        self._write(f"{folder}/manifest.checksum", md5_hex(data).encode())
        self._write(f"{folder}/manifest.json", data)
        return f"{folder}/manifest.json"

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Inventory rows by key; a state that the release before lists keeps its LastModified."""
        fresh = f"{self.release}T00:00:00.000Z"
        for key, etag in sorted(self._listed.items()):
            old_etag, old_modified = self._before.get(key, ("", fresh))
            yield self.bucket, key, old_modified if old_etag == etag else fresh, etag

    def _sizes(self, article_id: str) -> dict[str, int]:
        """Size of every object below the version's prefix, by key."""
        return dict(self.files.list(article_id))

    def _known_md5(self, article_id: str) -> dict[str, str | None]:
        """MD5 of the version's objects by key, as its present metadata JSON states them."""
        data = self._read(f"{article_id}/{article_id}.json")
        record = json.loads(data) if data else {}
        urls = [record.get(name) for name in ("xml_url", "pdf_url", "text_url")] + (record.get("media_urls") or [])
        return {url.key: url.md5 for url in map(keys.parse_object_url, filter(None, urls))}

    def _read(self, key: str) -> bytes | None:
        try:
            return self.files.read(key)
        except FileNotFoundError:
            return None

    def _write(self, key: str, data: bytes) -> None:
        self.files.write(key, data)
        self.counts += Counts(objects=1, bytes=len(data))


def read_inventory(files: Files, before: date | None = None) -> dict[str, tuple[str, str]]:
    """(ETag, LastModified) by key of the newest inventory of a release, only of dates before ``before`` if given.

    For the small releases that are packed here; the reader of the live service streams and diffs instead.
    """
    folders = files.folders(INVENTORY)
    dated = [name for name in folders if name[:1].isdigit() and (before is None or name[:10] < before.isoformat())]
    for name in reversed(dated):
        if files.exists(f"{INVENTORY}/{name}/manifest.json"):
            manifest = json.loads(files.read(f"{INVENTORY}/{name}/manifest.json"))
            rows = (row for shard in manifest["files"] for row in _read_csv_gz(files.read(shard["key"])))
            return {key: (etag, modified) for _, key, modified, etag in rows}
    return {}


def _csv_gz(rows: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return gzip.compress(text.getvalue().encode(), mtime=0)


def _read_csv_gz(data: bytes) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(gzip.decompress(data).decode()))


@dataclass(frozen=True)
class Package:
    """One article of the package layout. ``files`` are (name, bytes), the ``.nxml`` among them."""

    pmcid: int
    files: tuple[tuple[str, bytes], ...]
    citation: str
    updated: datetime
    pmid: int | None
    licence: str


FILE_LIST_HEADER = (
    "File",
    "Article Citation",
    "Accession ID",
    "Last Updated (YYYY-MM-DD HH:MM:SS)",
    "PMID",
    "License",
)


def package_path(pmcid: int) -> str:
    """``oa_package/xx/yy/PMC<id>.tar.gz``; PMC's two folders are random, ours are drawn from the id's MD5."""
    digest = md5_hex(f"PMC{pmcid}".encode())
    return f"oa_package/{digest[:2]}/{digest[2:4]}/PMC{pmcid}.tar.gz"


def pack_packages(url: str, packages: Iterable[Package]) -> Counts:
    """Write packages and, last, the ``oa_file_list.csv`` that lists them (in order of PMCID)."""
    files = Files(url)
    counts, rows = Counts(), []
    for package in packages:
        data = _targz(package)
        path = package_path(package.pmcid)
        files.write(path, data)
        counts += Counts(objects=1, bytes=len(data))
        updated = f"{package.updated:%Y-%m-%d %H:%M:%S}"
        pmid = "" if package.pmid is None else str(package.pmid)
        rows.append((package.pmcid, path, package.citation, f"PMC{package.pmcid}", updated, pmid, package.licence))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FILE_LIST_HEADER)
    writer.writerows(row[1:] for row in sorted(rows))
    data = text.getvalue().encode()
    files.write("oa_file_list.csv", data)
    return counts + Counts(objects=1, bytes=len(data))


def _targz(package: Package) -> bytes:
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        folder = tarfile.TarInfo(f"PMC{package.pmcid}/")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        folder.mtime = int(package.updated.replace(tzinfo=UTC).timestamp())
        tar.addfile(folder)
        for name, data in package.files:
            member = tarfile.TarInfo(f"PMC{package.pmcid}/{name}")
            member.size, member.mode, member.mtime = len(data), 0o644, folder.mtime
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
