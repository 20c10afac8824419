"""The old layout: variants of the file list, and packages read in one pass."""

from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path
from typing import Any

import duckdb
import pytest

from biomedica_assets.pmc import package_articles
from biomedica_assets.pmc.articles import (
    AbsentError,
    BadPackageError,
    CollectedArticle,
    ForbiddenError,
    OversizeError,
    UnavailableError,
    collect,
    gate,
)
from biomedica_assets.pmc.file_list import FileListRow
from biomedica_assets.pmc.package_articles import (
    Location,
    PackageArticles,
    PackageLimits,
    format_location,
    parse_location,
)
from biomedica_assets.pmc.packages import PackageSource
from biomedica_assets.pmc.prefetch import ByteBudget, prefetch
from biomedica_assets.pmc.releases import ListingError, open_source
from biomedica_assets.store.files import ClientOptions, Files
from biomedica_assets_tests.pmc.layouts import md5, package
from biomedica_assets_tests.servers import FakeS3

IMPATIENT = ClientOptions(max_retries=2, first_backoff=0.01, max_backoff=0.02, request_timeout=5)
PATH = "oa_package/08/e0/PMC13900.tar.gz"

CSV = """\
File,Article Citation,Accession ID,Last Updated (YYYY-MM-DD HH:MM:SS),PMID,License
oa_package/08/e0/PMC13900.tar.gz,"Breast Cancer Res. 2001, Nov 2; 3(1):55-60",PMC13900,2019-11-05 11:56:12,7,NO-CC CODE
oa_package/f6/9d/PMC12904753.tar.gz,"J ""quoted""
Surg",PMC12904753,2026-02-14 01:02:03,,CC BY
"""
TEXT = """\
2017-01-17 15:07:51
oa_package/08/e0/PMC13900.tar.gz\tBreast Cancer "Res. 2001\tPMC13900\tPMID:11250746\tNO-CC CODE
oa_package/f6/9d/PMC12904753.tar.gz\tJ Surg\tPMC12904753\t\tCC BY
"""
OTHER_HEADER = """\
\ufeffArticle File,Article Citation,AccessionID,LastUpdated (YYYY-MM-DD HH:MM:SS),PMID,License,Retracted\r
oa_package/08/e0/PMC13900.tar.gz,"x",PMC13900,"2024-02-07 23:35:31",1,"CC BY",no\r
oa_package/f6/9d/PMC2.tar.gz,"x",PMC2,"2024-02-07 23:35:32",1,"",yes\r
PMC006xxxxxx/PMC3.xml,"x",PMC3,"2024-02-07 23:35:32",1,"CC BY",no\r
oa_package/f6/9d/PMC4.tar.gz,"x",,"2024-02-07 23:35:32",1,"CC BY",no\r
oa_package/f6/9d/PMC5.tar.gz\r
"""


def listed(files: dict[str, str], tmp_path: Path) -> tuple[str, list[tuple[Any, ...]]]:
    """Name of the latest release of a mirror with these lists, and its rows."""
    root = Files(tmp_path / "mirror")
    for name, text in files.items():
        root.write(name, text.encode())
    source = open_source(str(tmp_path / "mirror"))
    assert isinstance(source, PackageSource)
    release = source.latest()
    assert release is not None and source.releases() == [release]
    with source.listing(release, tmp_path / "scratch") as listing:
        query = f"SELECT pmcid, version, etag, last_modified, location FROM ({listing.relation})"
        rows = duckdb.connect().execute(query).fetchall()
    assert list((tmp_path / "scratch").iterdir()) == []
    return release.name, rows


def test_csv(tmp_path: Path) -> None:
    second = "oa_package/f6/9d/PMC12904753.tar.gz"
    assert listed({"oa_file_list.csv": CSV, "oa_file_list.txt": TEXT}, tmp_path) == (
        "2026-02-14",
        [
            ("13900", "1", f"{PATH}@2019-11-05 11:56:12", "2019-11-05 11:56:12", f"{PATH}?license=NO-CC+CODE"),
            ("12904753", "1", f"{second}@2026-02-14 01:02:03", "2026-02-14 01:02:03", f"{second}?license=CC+BY"),
        ],
    )


def test_text_with_a_date_line(tmp_path: Path) -> None:
    second = "oa_package/f6/9d/PMC12904753.tar.gz"
    assert listed({"oa_file_list.txt": TEXT}, tmp_path) == (
        "2017-01-17",
        [
            ("13900", "1", f"{PATH}@", None, f"{PATH}?license=NO-CC+CODE"),
            ("12904753", "1", f"{second}@", None, f"{second}?license=CC+BY"),
        ],
    )


def test_other_header_and_odd_rows(tmp_path: Path) -> None:
    name, rows = listed({"oa_file_list.csv": OTHER_HEADER}, tmp_path)
    assert name == "2024-02-07"
    assert [row[0] for row in rows] == ["13900", "2", None, None, None]  # the last three name no package
    assert [row[4] for row in rows[:2]] == [
        f"{PATH}?license=CC+BY&retracted=no",
        "oa_package/f6/9d/PMC2.tar.gz?retracted=yes",
    ]


def test_lists_of_parts_are_read_together(tmp_path: Path) -> None:
    head, first, *rest = CSV.splitlines(keepends=True)
    lists = {
        "oa_comm_use_file_list.csv": head + "".join(rest),
        "oa_comm_use_file_list.txt": TEXT,
        "oa_non_comm_use_file_list.csv": head + first,
    }
    name, rows = listed(lists, tmp_path)
    assert (name, sorted(row[0] for row in rows)) == ("2026-02-14", ["12904753", "13900"])


@pytest.mark.parametrize(
    "text", ["", "no header at all\n1,2,3\n", CSV.splitlines()[0], CSV.replace("2019-", "").replace("2026-", "")]
)
def test_lists_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    Files(tmp_path).write("oa_file_list.csv", text.encode())
    with pytest.raises(ListingError, match="oa_file_list"):
        PackageSource(Files(tmp_path)).latest()


def test_list_replaced_after_it_was_found(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write("oa_file_list.csv", CSV.encode())
    source = PackageSource(files)
    release = source.latest()
    files.write("oa_file_list.csv", CSV.replace("2026-02-14", "2026-02-15").encode())
    assert release is not None
    with pytest.raises(ListingError, match="changed since"):
        source.listing(release)
    newer = source.latest()
    assert newer is not None and newer.name == "2026-02-15"


def test_a_large_list_is_not_read_again_by_every_look(tmp_path: Path) -> None:
    with FakeS3({"oa_file_list.csv": CSV.encode()}) as server:
        for _ in range(3):
            source = PackageSource(Files(server.url, anonymous=True, endpoint=server.endpoint))
            release = source.latest()
            assert release is not None and release.name == "2026-02-14"
        assert server.keys() == ["oa_file_list.csv"]


@pytest.mark.parametrize(("licence", "retracted"), [("CC BY-NC", "no"), ("", ""), ("CC BY", "yes")])
def test_locations(licence: str, retracted: str) -> None:
    assert parse_location(format_location("a/b c.tar.gz", licence, retracted)) == Location(
        "a/b c.tar.gz", licence or None, {"no": False, "yes": True, "": None}[retracted]
    )


XML = b'<article><article-id pub-id-type="pmc">13900</article-id></article>'
MEMBERS = [
    ("PMC13900/fig1.gif", b"thumbnail"),
    ("PMC13900/fig1.jpg", b"picture"),
    ("PMC13900/BCR.nxml", XML),
    ("PMC13900/BCR.pdf", b"%PDF"),
    ("PMC13900/supplement.xlsx", b"table"),
]


def row(location: str | None = f"{PATH}?license=CC+BY-NC") -> FileListRow:
    return FileListRow("2026-11-20-00000", "add", "PMC13900.1", 13900, 1, "token", None, location, None, 0)


def fetch(articles: PackageArticles, location: str = f"{PATH}?license=CC+BY-NC") -> CollectedArticle:
    return collect(articles, row(location), lambda m, _: m.media, gated=lambda m: gate(m, historical_ocr=False))


def unpack(tmp_path: Path, data: bytes, **options: Any) -> CollectedArticle:
    Files(tmp_path).write(PATH, data)
    return fetch(PackageArticles(Files(tmp_path), **options))


@pytest.mark.parametrize("remote", [False, True])
def test_package(tmp_path: Path, remote: bool) -> None:
    data = package(MEMBERS)
    if remote:
        with FakeS3({PATH: data}) as server:
            collected = fetch(PackageArticles(Files(server.url, anonymous=True, endpoint=server.endpoint)))
            assert server.keys() == [PATH]
    else:
        collected = unpack(tmp_path, data)
    metadata = collected.opened.metadata
    assert (collected.opened.data, collected.opened.etag) == (None, "token")
    assert (metadata.article_id, metadata.licence_code, metadata.is_open_access) == ("PMC13900.1", "CC BY-NC", True)
    assert metadata.is_retracted is None
    assert collected.xml == XML
    assert (metadata.xml.key, metadata.xml.name, metadata.xml.md5) == ("PMC13900/BCR.nxml", "BCR.nxml", md5(XML))
    assert [(r.name, r.md5) for r in metadata.media] == [
        ("fig1.gif", md5(b"thumbnail")),
        ("fig1.jpg", md5(b"picture")),
        ("BCR.pdf", md5(b"%PDF")),
        ("supplement.xlsx", md5(b"table")),
    ]
    held = {key: value for key, value in collected.media.items() if isinstance(value, bytes)}
    assert held == {"PMC13900/fig1.gif": b"thumbnail", "PMC13900/fig1.jpg": b"picture"}
    assert "not an image" in str(collected.media["PMC13900/BCR.pdf"])


def test_retracted_by_the_list_is_not_even_read(tmp_path: Path) -> None:
    files = Files(tmp_path)
    collected = fetch(PackageArticles(files), f"{PATH}?license=CC+BY&retracted=yes")
    assert (collected.gated, files.traffic.requests) == ("retracted", 0)


@pytest.mark.parametrize(
    ("texts", "chosen"),
    [
        ({"b.nxml": b"<b/>", "a.nxml": b"<a/>"}, "a.nxml"),
        ({"a.nxml": b"<a/>", "b.nxml": XML}, "b.nxml"),
        ({"a.nxml": b"<a/>", "b.nxml": XML.replace(b'"pmc">', b'"pmcid" x="1"> PMC')}, "b.nxml"),
        ({"a.xml": XML, "b.nxml": b"<b/>"}, "b.nxml"),
        ({"b.xml": b"<b/>", "a.xml": b"<a/>"}, "a.xml"),
        ({"a.nxml": XML.replace(b"13900", b"139001"), "0.nxml": b"<x/>"}, "0.nxml"),
    ],
)
def test_which_xml_is_the_article(tmp_path: Path, texts: dict[str, bytes], chosen: str) -> None:
    collected = unpack(tmp_path, package((f"PMC13900/{name}", data) for name, data in texts.items()))
    assert (collected.opened.metadata.xml.name, collected.xml) == (chosen, texts[chosen])


def test_hostile_members_are_listed_not_used(tmp_path: Path) -> None:
    link, device, folder = (
        tarfile.TarInfo("PMC13900/link.jpg"),
        tarfile.TarInfo("PMC13900/null"),
        tarfile.TarInfo("PMC13900"),
    )
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type, folder.type = tarfile.CHRTYPE, tarfile.DIRTYPE
    names = ["../../etc/x.jpg", "PMC13900/../../x.jpg", "/etc/x.jpg", "PMC13900/a\\b.jpg", "PMC13900/C:/x.jpg"]
    hostile: list[tuple[str | tarfile.TarInfo, bytes]] = [(folder, b""), (link, b""), (device, b"")]
    again = [("PMC13900/fig1.jpg", b"other"), ("fig1.gif", b"other")]
    collected = unpack(tmp_path, package([*hostile, *((name, b"x") for name in names), *MEMBERS, *again]))
    metadata = collected.opened.metadata
    refused = ["PMC13900/link.jpg", "PMC13900/null", *names, "PMC13900/fig1.jpg", "fig1.gif"]
    assert [p.entry for p in metadata.problems] == refused
    assert collected.media["PMC13900/fig1.jpg"] == b"picture"
    assert [r.name for r in metadata.media] == ["fig1.gif", "fig1.jpg", "BCR.pdf", "supplement.xlsx"]
    assert [p.name for p in tmp_path.rglob("*.jpg")] == []


def damaged() -> list[tuple[str, bytes]]:
    data = package([*MEMBERS, ("PMC13900/noise.jpg", os.urandom(50_000))])
    header_bomb = tarfile.TarInfo("PMC13900/x.jpg")
    header_bomb.pax_headers = {"comment": "0" * (8 << 20)}
    return [
        ("truncated", data[: len(data) // 2]),
        ("last byte gone", data[:-1]),
        ("damaged", data[:30_000] + b"\0" * 100 + data[30_100:]),
        ("not gzip", b"PK\x03\x04" + data),
        ("no tar", gzip.compress(b"x" * 5000)),
        ("empty", b""),
        ("no XML", package(MEMBERS[:2])),
        ("header of 8 MB", package([(header_bomb, b""), *MEMBERS])),
    ]


@pytest.mark.parametrize(("what", "data"), damaged(), ids=lambda value: value if isinstance(value, str) else "")
def test_damaged_packages(tmp_path: Path, what: str, data: bytes) -> None:
    with pytest.raises(BadPackageError) as caught:
        unpack(tmp_path, data)
    assert (caught.value.object, caught.value.problem, caught.value.transient) == (PATH, "BadPackage", False)


def test_limits(tmp_path: Path) -> None:
    data = package(MEMBERS)
    for limits in (PackageLimits(members=4), PackageLimits(unpacked_bytes=80)):
        with pytest.raises(BadPackageError, match="over"):
            unpack(tmp_path, data, limits=limits)
    media = unpack(tmp_path, package([*MEMBERS, ("big.jpg", b"x" * 100)]), max_object_bytes=99).media
    assert isinstance(media["big.jpg"], OversizeError)
    assert media["PMC13900/fig1.jpg"] == b"picture"
    media = unpack(tmp_path, data, limits=PackageLimits(held_bytes=len(XML))).media
    assert media["PMC13900/fig1.gif"] == b"thumbnail"  # the XML has room of its own
    noise = ("PMC13900/noise.jpg", os.urandom(len(XML) - 15))
    media = unpack(tmp_path, package([*MEMBERS, noise]), limits=PackageLimits(held_bytes=len(XML))).media
    assert isinstance(media["PMC13900/noise.jpg"], OversizeError)
    with pytest.raises(OversizeError, match=r"BCR\.nxml"):
        unpack(tmp_path, data, max_object_bytes=20)


def test_missing_forbidden_and_failing_packages() -> None:
    data = package([*MEMBERS, ("PMC13900/noise.jpg", os.urandom(300_000))])
    with FakeS3({PATH: data}) as server:
        articles = PackageArticles(Files(server.url, anonymous=True, endpoint=server.endpoint, options=IMPATIENT))
        with pytest.raises(AbsentError):
            fetch(articles, "oa_package/00/00/PMC13900.tar.gz")
        for kind, error in ((403, ForbiddenError), (503, UnavailableError), ("cut", UnavailableError)):
            server.heal()
            server.fail(PATH, kind)
            with pytest.raises(error):
                fetch(articles)
        server.heal()
        server.fail(PATH, "cut", times=1)
        assert fetch(articles).xml == XML
        with pytest.raises(BadPackageError):
            fetch(articles, "../../etc/passwd")
        with pytest.raises(BadPackageError):
            articles.open(row(None))


def test_packages_count_towards_the_budget(tmp_path: Path) -> None:
    Files(tmp_path).write(PATH, package(MEMBERS))
    articles, budget = PackageArticles(Files(tmp_path)), ByteBudget(10**6)
    results = [result for _, result in prefetch([row()] * 3, articles.open, concurrency=2, budget=budget)]
    assert len(results) == 3 and not any(isinstance(result, Exception) for result in results)
    assert budget.peak >= len(XML) + len(b"thumbnail") + len(b"picture")


def test_real_package(corpus: Path) -> None:
    """A package as PMC made it: everything in it is listed, images are held, nothing is written."""
    path = corpus / "packages" / "PMC12419688.tar.gz"
    articles = PackageArticles(Files(path.parent))
    opened = articles.open(row(path.name)._replace(listed_id="PMC12419688.1", pmcid=12419688))
    with tarfile.open(path) as archive:
        names = [m.name for m in archive.getmembers() if m.isfile()]
    assert sorted([r.key for r in opened.metadata.media] + [opened.metadata.xml.key]) == sorted(names)
    assert articles.xml(opened).lstrip().startswith(b"<")


@pytest.fixture
def corpus() -> Path:
    shared = Path(os.environ.get("BIOMEDICA_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
    if not (shared / "corpus").is_dir():
        pytest.skip("no shared corpus here")
    return shared / "corpus"


def test_no_member_ever_gets_a_path() -> None:
    """Members are read, never extracted."""
    source = Path(package_articles.__file__).read_text()
    assert ".extract(" not in source and ".extractall(" not in source
