"""Hostile and faulty input: each fault is a row that names article, object and reason, and touches nothing else."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable

import pytest

from biomedica_assets.ingest.chunk import TooManyFailuresError
from biomedica_assets.pmc.releases import SourceUnusableError
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets.store.shards import read_image
from biomedica_assets_tests.ingest.releases import DAYS, Art, World, art, content, md5, picture

FIRST, SECOND = f"{DAYS[0]}-00000", f"{DAYS[1]}-00000"
CLEAN = [art(1), art(3)]
VICTIM = "PMC2.1"
KEY = f"{VICTIM}/{VICTIM}.xml"

XXE = b"""<!DOCTYPE article [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY y SYSTEM "http://127.0.0.1:9/">]>
<article xmlns:xlink="http://www.w3.org/1999/xlink"><front><article-meta><title-group>
<article-title>Before &x;&y; after</article-title></title-group></article-meta></front>
<body><fig id="f1"><caption><p>c</p></caption><graphic xlink:href="f1.png"/></fig></body></article>"""

LAUGHS = (
    b'<!DOCTYPE article [<!ENTITY a0 "ha">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
    + b"]><article><front><article-meta><title-group><article-title>&a9;</article-title></title-group>"
    + b"</article-meta></front><body><p>&a9;</p></body></article>"
)


def png_header(width: int, height: int) -> bytes:
    """A PNG that states a size and holds no pixels."""

    def block(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = block(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + block(b"IDAT", zlib.compress(b"")) + block(b"IEND", b"")


@pytest.fixture
def untouched(local: Callable[..., World]) -> dict[str, list]:
    """Rows of the other articles in a build without the victim."""
    clean = local("clean")
    clean.build(DAYS[0], *CLEAN)
    return content(clean)


def others(world: World) -> dict[str, list]:
    return {name: [row for row in rows if VICTIM not in map(str, row)] for name, rows in content(world).items()}


def test_external_entities_are_not_loaded(world: World, untouched: dict[str, list]) -> None:
    world.build(DAYS[0], *CLEAN, art(2, pictures=1, xml=XXE))
    assert others(world) == untouched
    assert world.outcomes()[VICTIM] == "collected"
    [(title,)] = world.sql(f"SELECT title FROM articles WHERE article_id = '{VICTIM}'")
    assert "root:" not in title
    assert title.startswith("Before")


def test_billion_laughs_end_soon(world: World, untouched: dict[str, list]) -> None:
    world.build(DAYS[0], *CLEAN, art(2, pictures=0, xml=LAUGHS))
    assert others(world) == untouched
    text = json.dumps([row for row in world.rows("paragraphs") if row["article_id"] == VICTIM])
    assert len(text) < 100_000
    assert any(row[0] == VICTIM for row in world.failures())


@pytest.mark.parametrize(
    ("xml", "error"),
    [
        (b"", "NotAnArticle"),
        (b"\x00\x01\x02 no XML at all", "NotAnArticle"),
        (b"<html><body><p>Service unavailable</p></body></html>", "NotAnArticle"),
    ],
)
def test_no_article_at_all(world: World, untouched: dict[str, list], xml: bytes, error: str) -> None:
    world.build(DAYS[0], *CLEAN, art(2, xml=xml))
    assert others(world) == untouched
    assert world.outcomes() == {"PMC1.1": "collected", VICTIM: "failed", "PMC3.1": "collected"}
    [(article, name, stage, kind)] = world.failures()
    assert (article, name, stage) == (VICTIM, KEY, "parse")
    assert kind in (error, "MalformedXML")
    [version] = [row for row in world.rows("versions") if row["listed_id"] == VICTIM]
    assert version["reason"]
    assert version["licence_code"] == "CC BY"
    assert world.sql("SELECT article_id, fatal FROM open_failures") == [(VICTIM, True)]


def test_truncated_xml_is_recovered_or_listed(world: World, untouched: dict[str, list]) -> None:
    whole = art(2)
    cut = whole.document()[: whole.document().index(b"</fig>") + 20]
    world.build(DAYS[0], *CLEAN, whole.but(xml=cut))
    assert others(world) == untouched
    assert any((article, stage) == (VICTIM, "parse") for article, _, stage, _ in world.failures())


@pytest.mark.parametrize(
    ("data", "error", "kept"),
    [
        (picture(5, "JPEG", (400, 300))[:900], None, True),
        (png_header(50_000, 50_000), "TooManyPixels", True),
        (b"<html><body>404</body></html>", "NotAnImage", False),
        (b"", "NotAnImage", False),
    ],
    ids=["truncated JPEG", "header of 50,000 px", "HTML", "empty"],
)
def test_bad_pictures(world: World, untouched: dict[str, list], data: bytes, error: str | None, kept: bool) -> None:
    world.build(DAYS[0], *CLEAN, art(2).with_file("f2.png", data))
    assert others(world) == untouched
    assert world.outcomes()[VICTIM] == "collected"
    [(article, name, stage, kind)] = world.failures()
    assert (article, name, stage) == (VICTIM, f"{VICTIM}/f2.png", "image")
    assert error is None or kind == error
    images = {row["file_name"]: row for row in world.rows("images") if row["article_id"] == VICTIM}
    objects = {row["file_name"]: row for row in world.rows("objects") if row["article_id"] == VICTIM}
    assert objects["f2.png"]["collected"] is kept
    assert set(images) == ({"f1.png", "f2.png"} if kept else {"f1.png"})
    if kept:  # published bytes are kept as they are, whatever their pixels
        assert read_image(world.files, images["f2.png"]) == data
        assert images["f2.png"]["perceptual_hash"] is None
    else:
        assert objects["f2.png"]["reason"] == "could not be had, see failures"


def test_wrong_md5_is_asked_for_again_once_and_then_listed(world: World, untouched: dict[str, list]) -> None:
    world.release(DAYS[0], *CLEAN, art(2))
    (world.folder / VICTIM / "f2.png").write_bytes(picture(77))
    asked = world.build()
    assert others(world) == untouched
    assert (asked[f"metadata/{VICTIM}.json"], asked[f"{VICTIM}/f2.png"]) == (2, 2)
    assert (asked[KEY], asked[f"{VICTIM}/f1.png"]) == (1, 1)  # what was verified is not fetched again
    assert world.failures() == {(VICTIM, f"{VICTIM}/f2.png", "verify", "ChecksumMismatch")}
    assert [row["listed_id"] for row in world.manifest(FIRST).retry] == [VICTIM]


def test_wrong_md5_of_the_xml_fails_the_version(world: World, untouched: dict[str, list]) -> None:
    world.release(DAYS[0], *CLEAN, art(2))
    (world.folder / KEY).write_bytes(b"<article/>")
    world.build()
    assert others(world) == untouched
    assert world.outcomes()[VICTIM] == "failed"
    assert world.failures() == {(VICTIM, KEY, "verify", "ChecksumMismatch")}


def test_names_outside_the_article_are_listed_and_not_asked_for(world: World, untouched: dict[str, list]) -> None:
    urls = (
        "s3://pmc-oa-opendata/PMC2.1/../../etc/passwd?md5=" + md5(b""),
        "s3://pmc-oa-opendata/PMC1.1/f1.png?md5=" + md5(b""),
        "s3://pmc-oa-opendata/PMC2.1/%2e%2e/x.png?md5=" + md5(b""),
        "file:///etc/passwd",
    )
    asked = world.build(DAYS[0], *CLEAN, art(2, urls=urls))
    assert others(world) == untouched
    assert world.outcomes()[VICTIM] == "collected"
    assert {name for article, name, *_ in world.failures() if article == VICTIM} == set(urls)
    assert {(stage, kind) for _, _, stage, kind in world.failures()} == {("list", "UnusableEntry")}
    assert asked.total() == 12
    assert asked["PMC1.1/f1.png"] == 1


def test_missing_objects(world: World, untouched: dict[str, list]) -> None:
    world.build(DAYS[0], *CLEAN, art(2).with_file("f1.png", None), art(4, absent=True))
    assert others(world) == untouched
    assert world.outcomes() == {f"PMC{n}.1": "collected" for n in (1, 2, 3)} | {"PMC4.1": "absent"}
    assert world.failures() == {(VICTIM, f"{VICTIM}/f1.png", "fetch", "Absent")}
    assert world.sql(f"SELECT file_name FROM images WHERE article_id = '{VICTIM}'") == [("f2.png",)]
    assert world.sql(f"SELECT count(*) FROM captions WHERE article_id = '{VICTIM}'") == [(2,)]
    assert world.manifest(FIRST).retry == []


def test_version_that_vanishes_while_it_is_read_is_absent(world: World) -> None:
    assert world.server
    world.release(DAYS[0], art(1), art(2))
    gone = dict.fromkeys([f"metadata/{VICTIM}.json", KEY, f"{VICTIM}/f1.png", f"{VICTIM}/f2.png"])
    world.server.change_after(rf"metadata/{VICTIM}", gone)  # type: ignore[arg-type]
    world.build()
    assert world.outcomes() == {"PMC1.1": "collected", VICTIM: "absent"}
    assert world.failures() == set()


def test_passing_faults_leave_no_trace(world: World, untouched: dict[str, list]) -> None:
    assert world.server
    world.release(DAYS[0], *CLEAN, art(2))
    world.server.fail(r"PMC2\.1/f1\.png", 503, times=1)
    world.server.fail(r"PMC2\.1/PMC2", "cut", times=1)
    world.server.fail(r"metadata/PMC3", 500, times=2)
    world.build()
    assert others(world) == untouched
    assert world.manifest(FIRST).outcomes == {"collected": 3}
    assert world.failures() == set()


def test_lasting_503_comes_back_in_later_releases_until_given_up(world: World) -> None:
    assert world.server
    world.release(DAYS[0], *CLEAN, art(2))
    world.server.fail(rf"metadata/{VICTIM}", 503)
    world.build()
    assert world.outcomes()[VICTIM] == "failed"
    assert world.failures() == {(VICTIM, f"metadata/{VICTIM}.json", "fetch", "Unavailable")}
    assert world.rows("failures")[0]["transient"]
    assert [(row["listed_id"], row["attempts"]) for row in world.manifest(FIRST).retry] == [(VICTIM, 0)]
    for day in DAYS[1:3]:  # attempts 1 and 2, then it is given up
        world.build(day, *CLEAN, art(2), max_attempts=2)
        assert world.outcomes(f"{day}-00000") == {VICTIM: "failed"}
    world.release(DAYS[3], *CLEAN, art(2))
    summary = world.list(max_attempts=2)
    assert (summary.rows, summary.given_up) == (0, 1)
    world.server.heal()
    asked = world.build(DAYS[4], *CLEAN, art(2), max_attempts=5)  # more patience: it is due again
    assert asked == {f"metadata/{VICTIM}.json": 1, KEY: 1, f"{VICTIM}/f1.png": 1, f"{VICTIM}/f2.png": 1}
    assert world.outcomes(f"{DAYS[4]}-00000") == {VICTIM: "collected"}
    assert world.sql("SELECT count(*) FROM open_failures") == [(0,)]
    assert world.sql("SELECT count(*) FROM current") == [(3,)]


def test_lasting_503_of_one_picture_is_mended_by_one_request(world: World) -> None:
    assert world.server
    world.release(DAYS[0], art(2))
    world.server.fail(rf"{VICTIM}/f2\.png", 503)
    world.build()
    assert world.outcomes() == {VICTIM: "collected"}
    assert world.sql("SELECT file_name FROM samples") == [("f1.png",)]
    world.server.heal()
    assert world.build(DAYS[1], art(2)) == {f"{VICTIM}/f2.png": 1}
    assert world.sql("SELECT file_name FROM samples ORDER BY 1") == [("f1.png",), ("f2.png",)]
    assert world.sql("SELECT count(*) FROM open_failures") == [(0,)]
    assert world.build(DAYS[2], art(2)) == {}


def test_a_failed_change_leaves_the_old_row_serving(world: World) -> None:
    assert world.server
    world.build(DAYS[0], art(2, caption="old"))
    world.server.fail(KEY, 503)
    world.build(DAYS[1], art(2, caption="new"))
    assert world.outcomes(SECOND) == {VICTIM: "failed"}
    assert world.sql("SELECT text FROM captions ORDER BY 1") == [("old 1",), ("old 2",)]
    assert world.sql("SELECT chunk, article_id FROM open_failures") == [(SECOND, VICTIM)]
    world.server.heal()
    assert world.build(DAYS[2], art(2, caption="new")) == {KEY: 1}  # the metadata are held since the second
    assert world.sql("SELECT text FROM captions ORDER BY 1") == [("new 1",), ("new 2",)]


def test_objects_changing_under_us_are_read_once_more(world: World, untouched: dict[str, list]) -> None:
    assert world.server
    world.release(DAYS[0], *CLEAN, art(2))
    later = World(world.root / "later")
    later.release(DAYS[0], art(2, caption="changed").with_file("f1.png", picture(300)))
    changes = {key: (later.folder / key).read_bytes() for key in (f"metadata/{VICTIM}.json", KEY, f"{VICTIM}/f1.png")}
    world.server.change_after(f"metadata/{VICTIM}", changes)  # type: ignore[arg-type]
    asked = world.build()
    assert others(world) == untouched
    assert asked[f"metadata/{VICTIM}.json"] == 2
    assert world.sql(f"SELECT text FROM captions WHERE article_id = '{VICTIM}' ORDER BY 1") == [
        ("changed 1",),
        ("changed 2",),
    ]
    images = {row["file_name"]: row for row in world.rows("images") if row["article_id"] == VICTIM}
    assert read_image(world.files, images["f1.png"]) == picture(300)
    [version] = [row for row in world.rows("versions") if row["listed_id"] == VICTIM]
    assert version["etag"] == md5(changes[f"metadata/{VICTIM}.json"]) != version["listed_etag"]


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'"text"', b"null", b"\xff\xfe{}", b"[" * 100_000, b'{"pmcid": "PMC1", "version": 1}'],
    ids=["empty", "cut", "list", "text", "null", "not UTF-8", "deep", "another article's"],
)
def test_garbage_for_metadata(world: World, untouched: dict[str, list], data: bytes) -> None:
    world.release(DAYS[0], *CLEAN, art(2))
    (world.folder / "metadata" / f"{VICTIM}.json").write_bytes(data)
    world.build()
    assert others(world) == untouched
    assert world.outcomes()[VICTIM] == "failed"
    assert world.failures() == {(VICTIM, f"metadata/{VICTIM}.json", "verify", "BadMetadata")}


def test_metadata_that_look_like_our_own_notes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A title cannot make a later pass take held metadata for something else."""
    from biomedica_assets.ingest import inputs

    world.build(DAYS[0], art(2, title="biomedica package metadata", fields={"format": "biomedica package metadata"}))
    monkeypatch.setattr(inputs, "PARSER_VERSION", "changed")
    assert world.build() == {}
    assert world.outcomes() == {VICTIM: "collected"}


def test_oversized_object(world: World, untouched: dict[str, list]) -> None:
    big = picture(8, "BMP", (60, 60))
    world.build(DAYS[0], *CLEAN, art(2).with_file("f1.png", big), max_object_bytes=5000)
    assert others(world) == untouched
    assert world.failures() == {(VICTIM, f"{VICTIM}/f1.png", "fetch", "Oversize")}


def test_repeated_403_stops_the_run_with_nothing_committed(world: World) -> None:
    assert world.server
    world.release(DAYS[0], *[art(n) for n in range(1, 9)])
    world.list()
    world.server.fail(r"^(metadata|PMC)", 403)
    with pytest.raises(SourceUnusableError, match="403 in a row"):
        world.ingest()
    assert sorted(path for path, _ in world.files.list()) == [f"releases/{DAYS[0]}.parquet", "store.json"]
    world.server.heal()
    world.ingest()
    assert world.manifest(FIRST).outcomes == {"collected": 8}


def test_a_single_403_is_a_failure_of_its_row(world: World, untouched: dict[str, list]) -> None:
    assert world.server
    world.release(DAYS[0], *CLEAN, art(2))
    world.server.fail(rf"{VICTIM}/f1\.png", 403)
    world.build()
    assert others(world) == untouched
    assert world.failures() == {(VICTIM, f"{VICTIM}/f1.png", "fetch", "Forbidden")}


def test_too_many_failures_commit_nothing(world: World) -> None:
    assert world.server
    world.release(DAYS[0], *[art(n, pictures=0) for n in range(1, 10)])
    world.list()
    world.server.fail(r"PMC[1-4]\.1/", 500)
    with pytest.raises(TooManyFailuresError, match=r"3 of the first \d versions failed \(3 x Unavailable\)"):
        world.ingest(failed_floor=2, max_failed_share=0.25)
    assert not list(world.files.list("chunks"))
    assert not list(world.files.list("tables"))
    assert set(world.ingest(failed_floor=4, max_failed_share=0.25)) == {FIRST}  # four are tolerated
    build_generation(world.files)
    assert world.sql("SELECT count(*) FROM current") == [(5,)]


def test_everything_at_once(world: World, untouched: dict[str, list]) -> None:
    """All faults in one chunk: the sound articles are as in a clean build."""
    bad = [
        Art(10, xml=XXE),
        Art(11, xml=LAUGHS),
        Art(12, xml=b"<article><body><fig>"),
        art(13).with_file("f1.png", picture(5, "JPEG", (400, 300))[:900]),
        art(14).with_file("f1.png", None),
        art(15, absent=True),
        art(16, urls=("s3://pmc-oa-opendata/PMC16.1/..?md5=" + md5(b""),)),
        art(17, xml=b"\x1f\x8b not xml"),
    ]
    world.build(DAYS[0], *CLEAN, *bad)
    sound = {
        name: [row for row in rows if any(id in map(str, row) for id in ("PMC1.1", "PMC3.1"))]
        for name, rows in content(world).items()
    }
    assert sound == untouched
