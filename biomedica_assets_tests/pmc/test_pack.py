import csv
import gzip
import hashlib
import io
import json
import os
import tarfile
from datetime import date, datetime
from pathlib import Path

import fsspec
import pytest

from biomedica_assets.pmc.pack import describe, pack
from biomedica_assets.pmc.pack_sources import sidecar_fields
from biomedica_assets.pmc.writer import INVENTORY, CloudWriter, Package, pack_packages

DAY = date(2026, 11, 20)
SHARED = Path(os.environ.get("BIOMEDICA_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))


def article(pmcid="PMC123", version="", doi="10.5555/x", licence="by", graphic="g1.jpg", extra="", title="A title"):
    ids = f'<article-id pub-id-type="pmcid">{pmcid}</article-id>' if pmcid else ""
    ids += f'<article-id pub-id-type="pmcid-ver">{pmcid}.{version}</article-id>' if version else ""
    ids += f'<article-id pub-id-type="doi">{doi}</article-id>' if doi else ""
    permissions = (
        f'<permissions><license xmlns:l="http://www.w3.org/1999/xlink" '
        f'l:href="https://creativecommons.org/licenses/{licence}/4.0/"/></permissions>'
        if licence
        else ""
    )
    return (
        '<article xmlns:xlink="http://www.w3.org/1999/xlink" article-type="research-article"><front><journal-meta/>'
        f"<article-meta>{ids}<title-group><article-title>{title}</article-title></title-group>{permissions}{extra}"
        f'</article-meta></front><body><p>Text.</p><fig id="F1">'
        f'<graphic xlink:href="{graphic}"/></fig></body></article>'
    ).encode()


def write(folder: Path, **files: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)


def targz(path: Path, members: dict[str, bytes], keep: int | None = None) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue()[:keep])


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


class Release:
    """A packed release, read back by hand."""

    def __init__(self, root: Path):
        self.root = root

    def json(self, article_id):
        return json.loads((self.root / "metadata" / f"{article_id}.json").read_bytes())

    def names(self, article_id):
        return sorted(
            str(p.relative_to(self.root / article_id)) for p in (self.root / article_id).rglob("*") if p.is_file()
        )

    def manifest(self, day=DAY):
        return json.loads((self.root / INVENTORY / f"{day}T01-00Z" / "manifest.json").read_bytes())

    def rows(self, day=DAY):
        shards = [(self.root / shard["key"]).read_bytes() for shard in self.manifest(day)["files"]]
        return [row for data in shards for row in csv.reader(io.StringIO(gzip.decompress(data).decode()))]


@pytest.fixture
def source(tmp_path):
    return tmp_path / "source"


@pytest.fixture
def release(tmp_path):
    return Release(tmp_path / "release")


def run(source, release, day=DAY, **options):
    return pack(str(source), str(release.root), release=day, **options)


def test_an_article_folder_becomes_a_version_with_every_object(source, release):
    xml = article(version="2")
    write(source / "PMC123", a__nxml=xml, g1__jpg=b"jpeg", s1__xlsx=b"sheet", a__pdf=b"%PDF")
    (source / "PMC123" / "package_files.tsv").write_bytes(b"-")
    (source / "PMC123" / ".hidden").write_bytes(b"-")
    report = run(source, release)
    assert report.problems == []
    assert report.versions == 1
    assert release.names("PMC123.2") == [
        "PMC123.2.json",
        "PMC123.2.pdf",
        "PMC123.2.txt",
        "PMC123.2.xml",
        "g1.jpg",
        "s1.xlsx",
    ]
    assert (release.root / "PMC123.2/PMC123.2.xml").read_bytes() == xml
    assert (release.root / "PMC123.2/PMC123.2.json").read_bytes() == (
        release.root / "metadata/PMC123.2.json"
    ).read_bytes()
    text = (release.root / "PMC123.2/PMC123.2.txt").read_bytes()
    assert b"A title" in text
    url = "s3://pmc-oa-opendata/PMC123.2/"
    assert release.json("PMC123.2") == {
        "pmcid": "PMC123",
        "version": 2,
        "pmid": None,
        "doi": "10.5555/x",
        "mid": None,
        "title": "A title",
        "citation": None,
        "is_pmc_openaccess": True,
        "is_manuscript": False,
        "is_historical_ocr": False,
        "is_retracted": False,
        "license_code": "CC BY",
        "xml_url": f"{url}PMC123.2.xml?md5={md5(xml)}",
        "pdf_url": f"{url}PMC123.2.pdf?md5={md5(b'%PDF')}",
        "text_url": f"{url}PMC123.2.txt?md5={md5(text)}",
        "media_urls": [f"{url}g1.jpg?md5={md5(b'jpeg')}", f"{url}s1.xlsx?md5={md5(b'sheet')}"],
    }


def test_inventory_lists_etags_and_checksums(source, release):
    write(source / "a", a__xml=article("PMC2"))
    write(source / "b", b__xml=article("PMC1", doi="10.5555/b"))
    write(source / "c", c__xml=article("PMC3", doi="10.5555/c"))
    run(source, release, rows_per_shard=2, bucket="mine")
    manifest = release.manifest()
    assert manifest["fileSchema"] == "Bucket, Key, LastModifiedDate, ETag"
    assert manifest["creationTimestamp"] == "1795136400000"  # 2026-11-20 01:00 UTC in ms
    assert len(manifest["files"]) == 2
    for shard in manifest["files"]:
        data = (release.root / shard["key"]).read_bytes()
        assert (len(data), md5(data)) == (shard["size"], shard["MD5checksum"])
    folder = release.root / INVENTORY / "2026-11-20T01-00Z"
    assert (folder / "manifest.checksum").read_text() == md5((folder / "manifest.json").read_bytes())
    assert release.rows() == [
        [
            "mine",
            f"metadata/PMC{n}.1.json",
            "2026-11-20T00:00:00.000Z",
            md5((release.root / f"metadata/PMC{n}.1.json").read_bytes()),
        ]
        for n in (1, 2, 3)
    ]


def test_articles_without_pmcid_get_stable_private_ids(source, release):
    write(source / "publisher", m__xml=article(pmcid=None), fig1__jpg=b"1")
    run(source, release)
    (row,) = release.rows()
    number = int(row[1].removeprefix("metadata/PMC").removesuffix(".1.json"))
    assert 900_000_000_000 <= number <= 999_999_999_999
    # DESIGN: private ids come from the DOI, so another copy of the article gets the same one.
    assert next(describe(article(pmcid=None, title="Edited"))).article_id == f"PMC{number}.1"


def test_packages_and_bulk_archives_are_streamed(source, release):
    targz(
        source / "packages/PMC7.tar.gz",
        {"PMC7/x.nxml": article("PMC7"), "PMC7/g1.jpg": b"j", "PMC7/g1.gif": b"g", "PMC7/x.pdf": b"p"},
    )
    targz(source / "bulk/more.tar.gz", {f"PMC000xxxxxx/PMC{n}.xml": article(f"PMC{n}") for n in (8, 9)})
    report = run(source, release)
    assert report.problems == []
    assert release.names("PMC7.1") == ["PMC7.1.json", "PMC7.1.pdf", "PMC7.1.txt", "PMC7.1.xml", "g1.gif", "g1.jpg"]
    assert [row[1] for row in release.rows()] == [f"metadata/PMC{n}.1.json" for n in (7, 8, 9)]


def test_an_article_set_becomes_one_version_each(source, release):
    both = (
        b"<pmc-articleset>"
        + article("PMC1", graphic="one.jpg")
        + article("PMC2", graphic="two.jpg")
        + b"</pmc-articleset>"
    )
    write(source, both__xml=both, one__jpg=b"1", two__jpg=b"2")
    assert run(source, release).versions == 2
    xml = (release.root / "PMC2.1/PMC2.1.xml").read_bytes()
    assert b"PMC1<" not in xml
    assert b"articleset" not in xml
    assert "two.jpg" in release.names("PMC2.1")
    assert "one.jpg" not in release.names("PMC2.1")


def test_several_xml_files_share_a_folder(source, release):
    write(
        source,
        a__xml=article("PMC1", graphic="a1.jpg"),
        b__xml=article("PMC2", graphic="b1"),
        a1__jpg=b"1",
        b1__jpg=b"2",
        c1__jpg=b"3",
    )
    report = run(source, release)
    assert "a1.jpg" in release.names("PMC1.1")
    assert "b1.jpg" in release.names("PMC2.1")
    assert [(p.file, p.error) for p in report.problems] == [("c1.jpg", "NotPacked")]


def test_folders_below_an_article_hold_its_media(source, release):
    write(source / "art", a__xml=article("PMC1"))
    write(source / "art/images", g1__jpg=b"1")
    write(source / "art/PMC2", b__xml=article("PMC2", doi="10.5555/2"))
    assert run(source, release).versions == 2
    assert "images/g1.jpg" in release.names("PMC1.1")


def test_what_cannot_be_packed_is_reported(source, release):
    write(source / "a", page__xml=b"<html><body/></html>", list__xml=b"<eSearchResult/>")
    write(source / "b", notes__txt=b"text")
    targz(
        source / "broken.tar.gz",
        {"PMC5/a.nxml": article("PMC5"), "PMC5/z.bin": os.urandom(50_000)},
        keep=9000,
    )
    targz(
        source / "evil.tar.gz",
        {"PMC6/a.nxml": article("PMC6"), "PMC6/../../up.jpg": b"x", "PMC6/a\\b.jpg": b"y", "PMC6/ok.jpg": b"z"},
    )
    report = run(source, release)
    problems = {(p.file, p.error) for p in report.problems}
    assert {("a/page.xml", "NotAnArticle"), ("a/list.xml", "NotAnArticle"), ("b/notes.txt", "NotPacked")} <= problems
    assert ("broken.tar.gz", "UnreadableArchive") in problems
    assert {error for file, error in problems if file.startswith("evil")} == {"UnsafeKeyError"}
    assert "ok.jpg" in release.names("PMC6.1")
    assert release.names("PMC5.1") == ["PMC5.1.json", "PMC5.1.txt", "PMC5.1.xml"]
    assert not list(release.root.parent.rglob("up.jpg"))


def test_damaged_articles_are_packed_so_that_a_build_records_them(source, release):
    deep = b"<article><sec>" + b"<sec>" * 400_000
    write(source / "a", deep__xml=deep)
    write(source / "b", cut__xml=article("PMC44")[:-300])
    report = run(source, release)
    assert report.versions == 2
    assert "metadata/PMC44.1.json" in [row[1] for row in release.rows()]


def test_of_duplicates_the_richer_one_is_packed(source, release):
    write(source / "a", a__xml=article("PMC1"), g1__jpg=b"1", g2__jpg=b"2")
    write(source / "b", b__xml=article("PMC1"), g1__jpg=b"other")
    write(source / "c", c__xml=article("PMC1"), g1__jpg=b"1", g2__jpg=b"2", g3__jpg=b"3")
    report = run(source, release)
    assert [(p.file, p.error, p.article_id) for p in report.problems] == [
        ("b/b.xml", "DuplicateArticle", "PMC1.1"),
        ("a/a.xml", "DuplicateArticle", "PMC1.1"),
    ]
    assert "g3.jpg" in release.names("PMC1.1")


META = "<custom-meta><meta-name>{}</meta-name><meta-value>yes</meta-value></custom-meta>"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (article(licence="by-nc"), {"license_code": "CC BY-NC", "is_pmc_openaccess": True}),
        (article(licence=None), {"license_code": None, "is_pmc_openaccess": False}),
        (
            article(licence=None, extra=META.format("pmc-prop-manuscript")),
            {"license_code": "TDM", "is_pmc_openaccess": False, "is_manuscript": True},
        ),
        (
            article(licence=None, extra=META.format("pmc-prop-open-access")),
            {"license_code": None, "is_pmc_openaccess": True},
        ),
        (article(extra=META.format("pmc-prop-is-scanned-article")), {"is_historical_ocr": True}),
        (
            article(extra='<related-article related-article-type="retraction-forward" xlink:href="10.5555/r"/>'),
            {"is_retracted": True},
        ),
        (article(title="RETRACTED: A title"), {"is_retracted": True}),
    ],
)
def test_flags_come_from_the_xml(data, expected):
    fields = next(describe(data)).fields
    assert {name: fields[name] for name in expected} == expected


def test_sidecars_override_the_xml(source, release):
    write(
        source,
        release__json=json.dumps({"is_manuscript": True, "PMC2.1": {"is_retracted": True}, "nonsense": 1}).encode(),
    )
    write(source / "a", a__xml=article("PMC1"), release__json=b'{"license_code": "CC0", "is_manuscript": false}')
    write(source / "b", b__xml=article("PMC2"))
    write(source / "c", c__xml=article("PMC3"), release__json=b"[1]")
    report = run(source, release)
    one, two = release.json("PMC1.1"), release.json("PMC2.1")
    assert (one["license_code"], one["is_manuscript"], one["is_retracted"]) == ("CC0", False, False)
    assert (two["license_code"], two["is_manuscript"], two["is_retracted"]) == ("CC BY", True, True)
    assert {p.error for p in report.problems} == {"InvalidSidecar"}


def test_sidecar_fields_named_article_wins():
    sidecars = ({"10.5555/X": {"title": "named"}}, {"title": "near"})
    assert sidecar_fields(sidecars, ("title",), ("PMC1.1", "10.5555/x")) == ({"title": "named"}, [])


def test_a_second_release_writes_only_what_changed(source, release):
    write(source / "a", a__xml=article("PMC1"), g1__jpg=b"1", g2__jpg=b"2")
    write(source / "b", b__xml=article("PMC2"), g1__jpg=b"1")
    write(source / "c", c__xml=article("PMC3"))
    run(source, release)
    before = {row[1]: row for row in release.rows()}
    (source / "a" / "g1.jpg").write_bytes(b"changed")
    (source / "a" / "g2.jpg").unlink()
    (source / "c" / "c.xml").unlink()
    later = date(2026, 11, 21)
    report = run(source, release, later, delete_unlisted=True)
    # PMC1: g1.jpg and both JSON copies; two inventory files and one shard.
    assert (report.counts.objects, report.counts.removed) == (3 + 3, 1 + 4)
    after = {row[1]: row for row in release.rows(later)}
    assert after.keys() == {"metadata/PMC1.1.json", "metadata/PMC2.1.json"}
    assert after["metadata/PMC2.1.json"] == before["metadata/PMC2.1.json"]
    assert after["metadata/PMC1.1.json"][2] == "2026-11-21T00:00:00.000Z"
    assert "g2.jpg" not in release.names("PMC1.1")
    assert not (release.root / "metadata/PMC3.1.json").exists()
    assert len(release.rows()) == 3  # the earlier inventory stays


def test_packing_is_deterministic_and_works_on_any_file_system(source, release, tmp_path):
    write(source / "a", a__xml=article("PMC1"), g1__jpg=b"1")
    run(source, release)
    memory = fsspec.filesystem("memory")
    pack(str(source), "memory://packed", release=DAY)
    for path in (p for p in release.root.rglob("*") if p.is_file()):
        assert memory.cat_file(f"/packed/{path.relative_to(release.root)}") == path.read_bytes()
    memory.rm("/packed", recursive=True)


def test_repacking_a_release_changes_nothing(source, release, tmp_path):
    write(source / "a", a__xml=article("PMC1"), g1__jpg=b"1")
    run(source, release)
    again = Release(tmp_path / "again")
    pack(str(release.root / "PMC1.1"), str(again.root), release=DAY)
    assert again.rows() == release.rows()


def test_missing_source_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        pack(str(tmp_path / "nowhere"), "memory://x", release=DAY)


def test_writer_lists_versions_without_objects():
    writer = CloudWriter("memory://listed", DAY)
    writer.list_only("PMC1.1", {"pmcid": "PMC1"})
    writer.finish()
    memory = fsspec.filesystem("memory")
    assert not memory.exists("/listed/metadata/PMC1.1.json")
    assert memory.exists("/listed/inventory-reports")
    memory.rm("/listed", recursive=True)


def test_package_layout(tmp_path):
    updated = datetime(2019, 11, 5, 11, 56, 12)  # noqa: DTZ001 - the list states no zone
    packages = [
        Package(20, (("b.nxml", b"<b/>"),), "B J. 2020; 1", updated, None, "NO-CC CODE"),
        Package(3, (("a.nxml", b"<a/>"), ("a1.jpg", b"j")), "A, J. 2019 Nov 2; 3(1):55", updated, 7, "CC BY"),
    ]
    pack_packages(str(tmp_path), packages)
    first, second = list(csv.DictReader((tmp_path / "oa_file_list.csv").read_text().splitlines()))
    assert list(first) == [
        "File",
        "Article Citation",
        "Accession ID",
        "Last Updated (YYYY-MM-DD HH:MM:SS)",
        "PMID",
        "License",
    ]
    assert (first["Accession ID"], first["PMID"], first["License"]) == ("PMC3", "7", "CC BY")
    assert first["Last Updated (YYYY-MM-DD HH:MM:SS)"] == "2019-11-05 11:56:12"
    assert (second["Accession ID"], second["PMID"]) == ("PMC20", "")
    with tarfile.open(tmp_path / first["File"]) as tar:
        assert tar.getnames() == ["PMC3", "PMC3/a.nxml", "PMC3/a1.jpg"]
        assert tar.extractfile("PMC3/a1.jpg").read() == b"j"
    before = {p.name: p.read_bytes() for p in tmp_path.rglob("*.gz")}
    pack_packages(str(tmp_path), packages)
    assert before == {p.name: p.read_bytes() for p in tmp_path.rglob("*.gz")}


@pytest.mark.skipif(not (SHARED / "corpus").exists(), reason="the shared corpus is not here")
def test_the_corpus_is_packed_whole():
    """532 articles in the corpus's manifest, 19 of them without PMCID; one package repeats a folder."""
    sources = [str(SHARED / "corpus" / name) for name in ("articles", "publisher", "bulk", "packages")]
    report = pack(sources, "memory://corpus", release=DAY)
    memory = fsspec.filesystem("memory")
    records = [json.loads(memory.cat_file(f)) for f in memory.ls("/corpus/metadata", detail=False)]
    memory.rm("/corpus", recursive=True)
    assert report.versions == len(records) == 532
    assert [(p.error, p.article_id) for p in report.problems] == [("DuplicateArticle", "PMC12419688.1")]
    assert sum(len(record["pmcid"]) == 15 for record in records) == 19
    codes = [record["license_code"] for record in records]
    assert {code: codes.count(code) for code in set(codes)} == {
        "CC BY": 310, "CC BY-NC-ND": 113, "CC BY-NC": 79, "CC BY-NC-SA": 20, "CC0": 5, "CC BY-SA": 3, "CC BY-ND": 2,
    }  # fmt: skip
