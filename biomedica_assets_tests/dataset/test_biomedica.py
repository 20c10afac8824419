"""BIOMEDICA's 25 keys and types, as its users read them: through `webdataset` with decoding."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import webdataset
from PIL import Image

from biomedica_assets.dataset.biomedica_view import COLUMNS, ConversionError, to_jpeg
from biomedica_assets.dataset.export_manifest import Options
from biomedica_assets.dataset.exports import export
from biomedica_assets.dataset.recipes import Recipe
from biomedica_assets.dataset.subsets import build_subset
from biomedica_assets.dataset.views import open_dataset
from biomedica_assets_tests.ingest.releases import World

# Key by key from the description of BIOMEDICA's WebDataset; null stands where theirs would say "None".
TYPES: dict[str, Any] = {
    "image_file_name": str,
    "image_cluster_id": str,
    "image_hash": str,
    "image_label_id": (str, type(None)),
    "image_panel_type": (str, type(None)),
    "image_panel_subtype": (str, type(None)),
    "image_primary_label": (list, type(None)),
    "image_secondary_label": (list, type(None)),
    "image_size": list,
    "image_set": list,
    "image_context": dict,
    "article_accession_id": str,
    "article_title": str,
    "article_journal": str,
    "article_date": str,
    "article_abstract": (str, type(None)),
    "article_mesh_terms": (list, type(None)),
    "article_keywords": (list, type(None)),
    "article_reference_ids": (list, type(None)),
    "article_reference_count": int,
    "article_reference_list": list,
    "article_subject": (list, type(None)),
    "article_citation": str,
    "article_license": str,
    "article_text": str,
}


def samples(world: World) -> dict[str, dict[str, Any]]:
    subset = build_subset(world.files, Recipe(name="trial", description="a trial"))
    record = export(world.files, subset, Options("biomedica"))
    assert record is not None
    urls = [str(world.files.local_path(f"{record.folder}/{shard.path}")) for shard in record.shards]
    return {sample["__key__"]: sample for sample in webdataset.WebDataset(urls, shardshuffle=False).decode("pil")}


def test_keys_and_types(world: World) -> None:
    found = samples(world)
    assert len(found) == 14
    for sample in found.values():
        assert {"jpg", "txt", "json"} <= set(sample)
        assert isinstance(sample["jpg"], Image.Image)
        assert isinstance(sample["txt"], str)
        assert list(TYPES) == list(COLUMNS)
        assert set(sample["json"]) == set(TYPES)
        for key, kind in TYPES.items():
            assert isinstance(sample["json"][key], kind), key
        assert all(isinstance(side, int) for side in sample["json"]["image_size"])
        assert all(isinstance(t, str) for texts in sample["json"]["image_context"].values() for t in texts)
        assert "None" not in sample["json"].values()


def test_values(world: World) -> None:
    sample = samples(world)["PMC11-1-f2_2F1"]
    rows = {row["image_id"]: row for row in world.rows("images")}
    said = sample["json"]
    assert sample["txt"] == "Chest radiograph 2"
    assert said["image_file_name"] == "b.png"
    assert said["image_cluster_id"] == "b"
    assert said["image_hash"] == rows["PMC11.1/f2/1"]["sha256"]
    assert said["image_size"] == [96, 96]
    assert [(one["image_id"], one["caption"]) for one in said["image_set"]] == [
        ("a", "Chest radiograph 1"),
        ("b", "Chest radiograph 2"),
    ]
    assert set(said["image_set"][0]) == {"image_id", "image_file_name", "image_path", "caption", "hash"}
    assert said["image_context"] == {"a": ["See Figure 1."], "b": ["See Figure 2."]}
    assert said["article_accession_id"] == "PMC11"
    assert said["article_date"] == "1546300800"  # 2019-01-01T00:00:00Z: the XML states only the year
    assert (said["article_license"], said["article_citation"]) == ("CC BY", "J. 2019")
    assert said["article_reference_list"] == [""]
    assert "See Figure 1.\n\nSee Figure 2." in said["article_text"]


def test_view(world: World) -> None:
    with open_dataset(world.files) as catalogue:
        described = catalogue.execute("DESCRIBE biomedica").fetchall()
        rows = catalogue.execute("SELECT * FROM biomedica").fetchall()
    assert [row[0] for row in described] == list(TYPES)
    kinds = {row[0]: row[1] for row in described}
    assert kinds["image_size"] == "BIGINT[]"
    assert kinds["image_context"] == "MAP(VARCHAR, VARCHAR[])"
    assert kinds["article_reference_count"] == "BIGINT"
    assert len(rows) == 15


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_becomes_a_jpeg(mode: str) -> None:
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    if mode in ("I;16", "I", "F"):
        image = Image.fromarray(ramp.astype({"I;16": "uint16", "I": "int32", "F": "float32"}[mode]))
    else:
        image = Image.fromarray((ramp // 256).astype("uint8")).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF")
    found = Image.open(io.BytesIO(to_jpeg(buffer.getvalue(), quality=90)))
    assert (found.format, found.size) == ("JPEG", (8, 8))


def test_transparent_is_white() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(buffer, "PNG")
    assert Image.open(io.BytesIO(to_jpeg(buffer.getvalue(), quality=90))).getpixel((4, 4)) == (255, 255, 255)


def test_a_jpeg_keeps_its_bytes() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "JPEG", quality=20)
    assert to_jpeg(buffer.getvalue(), quality=95) == buffer.getvalue()


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n cut", b"no picture"])
def test_no_picture(data: bytes) -> None:
    with pytest.raises(ConversionError):
        to_jpeg(data, quality=90)
