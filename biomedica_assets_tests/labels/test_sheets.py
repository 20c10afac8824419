"""Contact sheets: who is chosen, worked out by hand, and what is drawn."""

from __future__ import annotations

import hashlib
import io

import duckdb
import pyarrow as pa
import pytest
from PIL import Image

from biomedica_assets.labels.fitting import ensure_space
from biomedica_assets.labels.sheets import (
    choose_members,
    draw_sheets,
    members_of,
    publish_sheets,
    read_member_table,
    read_sheets,
)
from biomedica_assets.labels.space import load_space
from biomedica_assets.store.manifests import StoreError
from biomedica_assets_tests.ingest.releases import DAYS, World, art, picture
from biomedica_assets_tests.labels.test_concepts import CHUNK, assign, encode, many, rows, settings

pytestmark = pytest.mark.usefixtures("no_local_database")


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def hashed(sha256: str, seed: int) -> str:
    return hashlib.md5(f"{sha256}/{seed}".encode()).hexdigest()


def chosen(members: dict[int, dict[str, float]], per_role: int, seed: int = 7) -> dict[tuple[int, str], list[str]]:
    """Ids by concept and role; a picture's SHA-256 is "sha-" and its id."""
    connection = duckdb.connect()
    listed = [
        {"concept": concept, "sha256": f"sha-{image}", "image_id": image, "distance": distance}
        for concept, images in members.items()
        for image, distance in images.items()
    ]
    connection.register("member", pa.Table.from_pylist(listed))
    found: dict[tuple[int, str], list[str]] = {}
    for row in choose_members(connection, per_role, seed):
        of_role = found.setdefault((row["concept"], row["role"]), [])
        assert row["position"] == len(of_role)
        assert row["distance"] == members[row["concept"]][row["image_id"]]
        assert row["sha256"] == f"sha-{row['image_id']}"
        of_role.append(row["image_id"])
    return found


def test_nearest_farthest_and_random_ones():
    # From a, the nearest, to j; e and f are equally near: by id.
    images = {name: n / 10 for n, name in enumerate("abcdefghij")} | {"f": 0.4}
    others = sorted("cdefgh", key=lambda name: hashed(f"sha-{name}", 7))
    assert chosen({3: images}, 2) == {
        (3, "nearest"): ["a", "b"],
        (3, "farthest"): ["j", "i"],
        (3, "random"): others[:2],
    }
    others = sorted("gh", key=lambda name: hashed(f"sha-{name}", 7))
    assert chosen({3: images}, 4) == {
        (3, "nearest"): ["a", "b", "c", "d"],
        (3, "farthest"): ["j", "i", "h", "g"],
        (3, "random"): sorted("ef", key=lambda name: hashed(f"sha-{name}", 7)),
    }


def test_small_concepts_show_everything_once():
    assert chosen({0: {"x": 0.1}, 5: {"b": 0.3, "a": 0.3, "c": 0.2}}, 2) == {
        (0, "nearest"): ["x"],
        (5, "nearest"): ["c", "a"],
        (5, "farthest"): ["b"],
    }


def test_another_seed_shows_other_random_ones():
    images = {str(n): n / 1000 for n in range(500)}
    first, second = (chosen({0: images}, 12, seed)[0, "random"] for seed in (1, 2))
    assert first != second
    assert first == sorted(map(str, range(12, 488)), key=lambda name: hashed(f"sha-{name}", 1))[:12]


def test_lists_are_of_current_pictures_and_each_is_there_once(world):
    same = art(2, pictures=2).with_file("f1.png", picture(11))  # the first picture of article 1
    world.build(DAYS[0], *many(1, 3, 4, 5), same)
    encode(world)
    record, _ = ensure_space(world.files, settings(world))
    with pytest.raises(StoreError, match="materialize `concepts`"):
        publish_sheets(world.files, record)
    assert read_sheets(world.files) is None
    assign(world)
    sheets = publish_sheets(world.files, record, per_role=3)
    assert read_sheets(world.files) == sheets
    by_concept: dict[int, set[str]] = {}
    for row in rows(world, CHUNK):
        by_concept.setdefault(row["concept"], set()).add(row["sha256"])
    assert sheets.pictures == [len(by_concept.get(concept, ())) for concept in range(4)]
    assert (sum(sheets.pictures), sum(sheets.images)) == (13, 14)
    table = read_member_table(world.files, sheets)
    listed = {row["image_id"]: row for row in rows(world, CHUNK)}
    for concept in range(4):
        members = members_of(table, concept)
        assert len({row["sha256"] for row in members}) == len(members) == min(9, sheets.pictures[concept])
        for row in members:
            names = ("chunk", "article_id", "figure_id", "sha256", "concept", "distance", "space")
            assert [row[name] for name in names] == [listed[row["image_id"]][name] for name in names]
    assert "PMC2.1/f1/1" not in table["image_id"].to_pylist()  # PMC1.1/f1/1 shows the same

    assert publish_sheets(world.files, record, per_role=3) == sheets
    world.build(DAYS[1], *many(1, 3), same)  # 4 and 5 are withdrawn
    after = publish_sheets(world.files, record, per_role=3)
    assert {row["article_id"] for row in read_member_table(world.files, after).to_pylist()} == {
        "PMC1.1",
        "PMC2.1",
        "PMC3.1",
    }


def test_what_is_drawn(world):
    red = b"".join(_png((200, 0, 0), seed) for seed in (0,))
    files = [(f"f{n}.png", _png((0, 0, 10 * n), n)) for n in range(1, 8)]
    world.build(DAYS[0], art(1).but(files=(*files, ("f8.png", red))))
    listed = [
        {"image_id": f"PMC1.1/f{n}/1", "role": role, "position": position, "distance": n / 10}
        for role, numbers in (("nearest", [8, 1, 2]), ("farthest", [7, 6, 5]), ("random", [3, 4]))
        for position, n in enumerate(numbers)
    ]
    [sheet, again] = draw_sheets(world.files, [listed, listed], per_role=2, side=50, max_bytes=100_000)
    assert sheet == again
    image = Image.open(io.BytesIO(sheet)).convert("RGB")
    # Two columns of 50; a row for each role, of 50 and 12 for the words.
    assert image.size == (100, 3 * 62)
    assert _near(image.getpixel((25, 25)), (200, 0, 0))
    assert _near(image.getpixel((75, 25)), (0, 0, 10))
    assert _near(image.getpixel((25, 62 + 25)), (0, 0, 70))
    assert _near(image.getpixel((75, 124 + 25)), (0, 0, 40))

    few = [row for row in listed if row["role"] == "nearest"]
    [sheet] = draw_sheets(world.files, [few], per_role=2, side=50)
    assert Image.open(io.BytesIO(sheet)).size == (100, 2 * 62), "all of a small concept, in as many rows as it takes"

    gone = {**few[0], "image_id": "PMC9.1/f1/1"}
    [sheet] = draw_sheets(world.files, [[gone, few[1]]], per_role=2, side=50, max_bytes=100_000)
    image = Image.open(io.BytesIO(sheet)).convert("RGB")
    assert _near(image.getpixel((25, 25)), (255, 255, 255))
    assert _near(image.getpixel((75, 25)), (0, 0, 10))


def _png(colour: tuple[int, int, int], seed: int) -> bytes:
    image = Image.new("RGB", (60, 60), colour)
    image.putpixel((0, 0), (seed, 255, 255))  # no two files are the same
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _near(found, wanted) -> bool:
    return all(abs(a - b) < 25 for a, b in zip(found, wanted, strict=True))


def test_the_space_that_lists_are_of_is_named(world):
    world.build(DAYS[0], *many(1, 2, 3))
    encode(world)
    ensure_space(world.files, settings(world))
    assign(world)
    record, _ = load_space(world.files)
    assert publish_sheets(world.files, record).space == record.id
    anew, _ = ensure_space(world.files, settings(world, concept_clusters=2), refit=True)
    assert read_sheets(world.files).space != anew.id, "nobody votes on concepts whose images are not assigned yet"
