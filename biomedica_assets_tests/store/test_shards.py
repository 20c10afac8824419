"""Archive shards: valid WebDatasets whose samples are byte ranges, the same bytes from the same samples."""

from __future__ import annotations

import hashlib
import io
import json
import string
import tarfile
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.store.files import Files
from biomedica_assets.store.shards import (
    END,
    ShardWriter,
    Span,
    SpanError,
    WrittenShard,
    commit_shard,
    iter_samples,
    parse_sample_key,
    read_image,
    read_span,
    sample_key,
)

CHUNK = "2026-11-20-00042"
SAFE = set(string.ascii_letters + string.digits + "-")
# name in the article, canonical extension, image bytes (of lengths around the block size), caption
SAMPLES = [
    ("gr1.jpg", "jpg", b"\xff\xd8\xff" + b"a" * 509, "Figure one."),
    ("pone.0000010.g001.TIF", "tif", b"II*\0" + b"b" * 700, "Grün, 10⁻⁵ µm"),
    ("a figure (2) final.PNG", "png", b"\x89PNG", ""),
    ("Übersicht_図1.JPEG", "jpg", b"\xff\xd8\xff" + b"c" * 5000, "line\nbreak"),
    ("x" * 140 + ".gif", "gif", b"GIF89a" + b"d" * 1018, "long name"),
    ("folder/fig.webp", "webp", b"RIFF", "with a slash"),
]


def write(scratch: Path, max_bytes: int = 10**9) -> tuple[list[Span], list[WrittenShard]]:
    scratch.mkdir(exist_ok=True)
    writer = ShardWriter(scratch, CHUNK, max_bytes)
    spans = [
        writer.add(sample_key("PMC11370360.1", name), extension, image, caption, {"n": n, "file_name": name})
        for n, (name, extension, image, caption) in enumerate(SAMPLES)
    ]
    return spans, writer.close()


@pytest.mark.parametrize(
    ("article_id", "name", "key"),
    [
        ("PMC11370360.1", "gr1.jpg", "PMC11370360-1-gr1_2Ejpg"),
        ("PMC1.12", "a_b-c.d.PNG", "PMC1-12-a_5Fb-c_2Ed_2EPNG"),
        ("PMC1.1", "é /%.gif", "PMC1-1-_C3_A9_20_2F_25_2Egif"),
    ],
)
def test_sample_key(article_id: str, name: str, key: str) -> None:
    assert sample_key(article_id, name) == key
    assert parse_sample_key(key) == (article_id, name)


@given(st.integers(1, 10**9), st.integers(1, 99), st.text(min_size=1))
def test_sample_keys_are_reversible_and_dot_free(pmcid: int, version: int, name: str) -> None:
    key = sample_key(f"PMC{pmcid}.{version}", name)
    assert set(key) <= SAFE | {"_"}
    assert parse_sample_key(key) == (f"PMC{pmcid}.{version}", name)


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_names_have_different_keys(one: str, other: str) -> None:
    assert (sample_key("PMC1.1", one) == sample_key("PMC1.1", other)) == (one == other)


@pytest.mark.parametrize("article_id", ["PMC1", "PMC1.1.1", "1.1", "PMC1.1\n", "../PMC1.1", "PMC١.1", ""])
def test_sample_key_wants_an_article_id(article_id: str) -> None:
    with pytest.raises(ValueError, match="no sample key"):
        sample_key(article_id, "x.jpg")


@pytest.mark.parametrize("key", ["", "PMC1-1-", "PMC1-1-a.b", "PMC1-1-a_2e", "PMC1-1-_FG", "x-1-a", "PMC1-1-a\n"])
def test_what_is_no_sample_key(key: str) -> None:
    with pytest.raises(ValueError, match="not a sample key"):
        parse_sample_key(key)


def test_webdataset_reads_what_was_written(tmp_path: Path) -> None:
    import webdataset as wds

    _, (shard,) = write(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = list(wds.WebDataset(str(shard.path), shardshuffle=False, empty_check=False))
    assert [s["__key__"] for s in read] == [sample_key("PMC11370360.1", name) for name, *_ in SAMPLES]
    for n, (sample, (name, extension, image, caption)) in enumerate(zip(read, SAMPLES, strict=True)):
        assert sample[extension] == image
        assert sample["txt"].decode() == caption
        assert json.loads(sample["json"]) == {"n": n, "file_name": name}
        assert parse_sample_key(sample["__key__"]) == ("PMC11370360.1", name)


def test_webdataset_decodes_images_by_extension(tmp_path: Path) -> None:
    import webdataset as wds
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (5, 3), "red").save(out, "PNG")
    writer = ShardWriter(tmp_path, CHUNK, 10**9)
    writer.add(sample_key("PMC1.1", "A.B.PNG"), "png", out.getvalue(), "red", {})
    (shard,) = writer.close()
    (sample,) = wds.WebDataset(str(shard.path), shardshuffle=False, empty_check=False).decode("pil")
    assert sample["png"].size == (5, 3)
    assert sample["txt"] == "red"


def test_spans_follow_each_other_on_block_boundaries(tmp_path: Path) -> None:
    spans, (shard,) = write(tmp_path)
    ends = [0] + [span.offset + span.length for span in spans]
    assert [span.offset for span in spans] == ends[:-1]
    assert all(end % 512 == 0 for end in ends)
    assert shard.bytes == ends[-1] + len(END) == shard.path.stat().st_size
    # header 512 + image 512, header 512 + json 512, header 512 + txt 512
    assert spans[0] == Span(0, 0, 3072, 512)


def test_stored_images_are_the_published_bytes(tmp_path: Path) -> None:
    spans, (shard,) = write(tmp_path / "scratch")
    files = Files(tmp_path / "store")
    stored = commit_shard(files, CHUNK, shard)
    assert stored.path == f"shards/{CHUNK}-0000-{shard.sha256[:16]}.tar"
    assert (stored.bytes, stored.rows) == (shard.bytes, len(SAMPLES))
    assert hashlib.sha256(files.read(stored.path)).hexdigest() == stored.sha256 == shard.sha256
    assert not shard.path.exists()
    for span, (name, extension, image, caption) in zip(spans, SAMPLES, strict=True):
        row = {"shard": stored.path, "image_offset": span.image_offset, "bytes": len(image)}
        row["md5"] = hashlib.md5(image).hexdigest()
        assert read_image(files, row) == image
        (sample,) = iter_samples(read_span(files, stored.path, span.offset, span.length))
        assert sample.key == sample_key("PMC11370360.1", name)
        assert set(sample.parts) == {extension, "txt", "json"}
        assert sample.parts[extension] == image
        assert sample.parts["txt"] == caption.encode()


def test_a_selection_of_spans_is_a_tar_of_its_own(tmp_path: Path) -> None:
    spans, (shard,) = write(tmp_path)
    whole = shard.path.read_bytes()
    chosen = [4, 1, 3]
    copied = b"".join(whole[s.offset : s.offset + s.length] for s in (spans[n] for n in chosen)) + END
    with tarfile.open(fileobj=io.BytesIO(copied)) as archive:
        assert len(archive.getmembers()) == 9
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in archive} == {(0, 0, 0, "", "", 0o644)}
    assert [parse_sample_key(s.key)[1] for s in iter_samples(copied)] == [SAMPLES[n][0] for n in chosen]


def test_short_names_are_plain_ustar(tmp_path: Path) -> None:
    spans, (shard,) = write(tmp_path)
    whole = shard.path.read_bytes()
    assert whole[257:265] == b"ustar\x0000"
    assert whole[156:157] == b"0"
    assert whole[spans[4].offset + 156 : spans[4].offset + 157] == b"x"  # the name of 140 letters needs PAX


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    _, (one,) = write(tmp_path / "a")
    _, (other,) = write(tmp_path / "b")
    assert one.path.read_bytes() == other.path.read_bytes()
    assert one.sha256 == hashlib.sha256(one.path.read_bytes()).hexdigest()


def test_a_new_shard_when_the_next_sample_would_be_too_long(tmp_path: Path) -> None:
    # The third has no caption; the fourth alone exceeds the limit; the fifth has PAX headers of three blocks.
    spans, shards = write(tmp_path, max_bytes=3584 + 2560 + len(END))
    assert [span.length for span in spans] == [3072, 3584, 2560, 7680, 6656, 3072]
    assert [shard.samples for shard in shards] == [1, 2, 1, 1, 1]
    assert [shard.index for shard in shards] == [0, 1, 2, 3, 4]
    assert [span.shard_index for span in spans] == [0, 1, 1, 2, 3, 4]
    assert sum(s.samples for s in shards) == len(SAMPLES)
    for shard in shards:
        assert shard.path.stat().st_size == shard.bytes
        with tarfile.open(shard.path) as archive:
            assert len(archive.getmembers()) == 3 * shard.samples


def test_offsets_are_those_of_the_shard_they_name(tmp_path: Path) -> None:
    spans, shards = write(tmp_path, max_bytes=8000)
    assert len(shards) > 2
    for span, (_, _, image, _) in zip(spans, SAMPLES, strict=True):
        data = shards[span.shard_index].path.read_bytes()
        assert data[span.image_offset : span.image_offset + len(image)] == image


def test_finished_shards_can_go_before_the_end(tmp_path: Path) -> None:
    files = Files(tmp_path / "store")
    writer = ShardWriter(tmp_path, CHUNK, 3000)
    for n in range(3):
        writer.add(sample_key("PMC1.1", f"{n}.jpg"), "jpg", b"x" * n, "", {})
        for shard in writer.finished:
            if shard.path.exists():
                commit_shard(files, CHUNK, shard)
    assert len(list(tmp_path.glob("*.tar"))) == 1
    assert [shard.index for shard in writer.close()] == [0, 1, 2]


def test_no_samples_no_shard(tmp_path: Path) -> None:
    assert ShardWriter(tmp_path, CHUNK, 10**9).close() == []
    assert list(tmp_path.iterdir()) == []


def test_committing_twice_uploads_once(tmp_path: Path) -> None:
    files = Files(tmp_path / "store")
    _, (shard,) = write(tmp_path / "a")
    stored = commit_shard(files, CHUNK, shard)
    before = files.local_path(stored.path).stat()  # type: ignore[union-attr]
    _, (again,) = write(tmp_path / "b")
    assert commit_shard(files, CHUNK, again) == stored
    after = files.local_path(stored.path).stat()  # type: ignore[union-attr]
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert not again.path.exists()


def test_spans_that_the_shard_does_not_hold(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write("shards/x.tar", b"0" * 1000)
    with pytest.raises(SpanError, match="holds 100 of 200 bytes at 900"):
        read_span(files, "shards/x.tar", 900, 200)
    with pytest.raises(SpanError, match="other bytes"):
        read_image(files, {"shard": "shards/x.tar", "image_offset": 0, "bytes": 10, "md5": "0" * 32})
    with pytest.raises(FileNotFoundError):
        read_span(files, "shards/y.tar", 0, 512)


def test_samples_of_cut_bytes(tmp_path: Path) -> None:
    spans, (shard,) = write(tmp_path)
    with pytest.raises(tarfile.ReadError):
        list(iter_samples(shard.path.read_bytes()[: spans[0].length + 700]))


@given(st.lists(st.tuples(st.binary(max_size=1200), st.text(max_size=200)), max_size=6))
def test_any_bytes_and_captions_come_back(tmp_path_factory: pytest.TempPathFactory, samples: list) -> None:
    writer = ShardWriter(tmp_path_factory.mktemp("shard"), CHUNK, 4000)
    for n, (image, caption) in enumerate(samples):
        writer.add(sample_key("PMC1.1", f"{n}.jpg"), "jpg", image, caption, {})
    read = [sample for shard in writer.close() for sample in iter_samples(shard.path.read_bytes())]
    assert [(s.parts["jpg"], s.parts["txt"].decode()) for s in read] == samples
