import csv
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import fsspec
import pytest
from PIL import Image

from biomedica_assets import sample
from biomedica_assets.pmc import keys
from biomedica_assets.sample.articles import CHANGES, release_articles, shapes

INVENTORY = "inventory-reports/pmc-oa-opendata/metadata"


def digests(root: Path) -> dict[str, str]:
    files = (p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): hashlib.md5(p.read_bytes()).hexdigest() for p in files}


def inventory(root: Path, day) -> dict[str, tuple[str, str]]:
    """(ETag, LastModified) by key."""
    manifest = json.loads((root / INVENTORY / f"{day}T01-00Z" / "manifest.json").read_bytes())
    rows = []
    for shard in manifest["files"]:
        data = (root / shard["key"]).read_bytes()
        assert hashlib.md5(data).hexdigest() == shard["MD5checksum"]
        rows += csv.reader(io.StringIO(gzip.decompress(data).decode()))
    return {key: (etag, modified) for _, key, modified, etag in rows}


def test_every_listed_object_is_there_with_its_md5(release_root):
    articles = sample.expected()
    listed = inventory(release_root, sample.RELEASES[1])
    assert listed.keys() == {keys.metadata_key(article_id) for article_id in articles}
    for article_id, article in articles.items():
        path = release_root / keys.metadata_key(article_id)
        if article.absent:
            assert not path.exists()
            assert not (release_root / article_id).exists()
            continue
        assert hashlib.md5(path.read_bytes()).hexdigest() == listed[keys.metadata_key(article_id)][0]
        record = json.loads(path.read_bytes())
        for url in [
            record["xml_url"],
            record["text_url"],
            *record["media_urls"],
            *filter(None, [record.get("pdf_url")]),
        ]:
            _, key, md5 = keys.parse_object_url(url)
            name = keys.safe_member(article_id, key)
            if name in article.missing:
                assert not (release_root / key).exists()
            else:
                assert hashlib.md5((release_root / key).read_bytes()).hexdigest() == md5


def test_size_and_variety(release_root):
    articles = sample.expected()
    assert 55 <= len(articles) <= 65
    assert sum(p.stat().st_size for p in release_root.rglob("*") if p.is_file()) < 10_000_000
    assert {a.licence for a in articles.values()} == {
        "CC0", "CC BY", "CC BY-SA", "CC BY-ND", "CC BY-NC", "CC BY-NC-SA", "CC BY-NC-ND", "TDM", None,
    }  # fmt: skip
    assert {a.journal for a in articles.values()} == set(range(12))
    years = {a.date[0] for a in articles.values()}
    assert (min(years), max(years)) == (1998, 2026)
    assert {p.rsplit(".", 1)[-1] for p in digests(release_root)} >= {
        "jpg",
        "jpeg",
        "png",
        "gif",
        "tif",
        "webp",
        "pdf",
        "mp4",
    }


def test_shapes_of_the_issue_are_covered():
    """The list of point 3 of the ingest issue, in our words."""
    assert {
        "pmc_articleset", "oai_pmh", "namespaced", "nlm23", "nlm30", "no_doctype", "named_entities", "byte_order_mark",
        "not_well_formed", "fig_in_p", "floats_group", "floats_wrap", "fig_in_back", "fig_in_app", "fig_in_boxed_text",
        "graphical_abstract", "sub_article", "response", "supplementary_figure", "fig_group_caption", "nested_fig",
        "fig_group_supplements", "several_graphics", "alternatives", "colour_and_print", "graphic_in_p",
        "graphic_in_media", "video", "table_graphic", "scheme", "chem_struct", "formula_graphic", "inline_graphic",
        "href_without_extension", "href_with_path", "href_info_doi", "href_other_case", "href_percent_encoded",
        "caption_title_and_paragraphs", "caption_list", "caption_math_once", "caption_sub_sup", "xref_in_caption",
        "doi_boilerplate", "caption_source_data", "title_markup", "keyword_groups", "trans_abstract",
        "structured_abstract", "date_without_day", "link_in_markup", "several_rids", "odd_ref_type", "missing_ref_type",
        "panels_inside_link", "panels_behind_link", "range_inside_link", "range_across_links", "supplement_range",
        "link_in_title", "link_in_table_cell", "named_without_link", "no_caption", "no_label", "no_graphic", "no_id",
        "repeated_id", "uncited_figure", "dangling_rid", "label_words", "label_range", "figure_permissions",
        "third_party_notice", "manuscript_and_published", "tdm_manuscript", "retracted", "historical_ocr",
        "listed_but_absent", "listed_file_missing", "unreferenced_image", "duplicate_image", "near_duplicate_image",
    } <= shapes().keys()  # fmt: skip


def test_truth_boxes_lie_in_the_pictures(release_root):
    seen = set()
    for picture in sample.truth():
        path = release_root / picture["article_id"] / picture["file_name"]
        seen |= {panel["modality"] for panel in picture["panels"]}
        if path.exists():
            with Image.open(path) as image:
                assert image.size == (picture["width"], picture["height"])
        for panel in picture["panels"]:
            x0, y0, x1, y1 = panel["box"]
            assert 0 <= x0 < x1 <= picture["width"]
            assert 0 <= y0 < y1 <= picture["height"]
    assert seen == {
        "plot", "signal", "diagram", "chemistry", "map", "table", "radiology", "ophthalmology", "microscopy",
        "histology", "gel", "photograph", "dermatology", "endoscopy", "surgery",
    }  # fmt: skip


def test_same_bytes_in_another_process(release_root, tmp_path):
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    command = [sys.executable, "-m", "biomedica_assets.sample", str(tmp_path / "again"), "--release", "1"]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    assert digests(tmp_path / "again") == digests(release_root)


def test_later_releases_change_what_they_say(release_root, tmp_path):
    root = tmp_path / "sample"
    shutil.copytree(release_root, root)
    before = digests(root)
    assert sample.ensure(str(root), 2)
    after = digests(root)
    one, two = (inventory(root, sample.RELEASES[n]) for n in (1, 2))
    added = {f"metadata/PMC900000{n}.1.json" for n in (60, 61, 62)}
    assert two.keys() - one.keys() == added
    assert one.keys() - two.keys() == {"metadata/PMC90000056.1.json"}
    changed = {key for key in one.keys() & two.keys() if one[key] != two[key]}
    assert changed == {f"metadata/PMC900000{n}.1.json" for n in (45, 51, 53, 54)}
    assert {modified for key, (_, modified) in two.items() if key in changed | added} == {"2026-11-19T00:00:00.000Z"}
    # Which objects of the four were written anew: all their JSON; XML and text where words changed; one figure.
    differing = {name for name in before if name in after and before[name] != after[name] and "/" in name}
    media = {n for n in differing if n.endswith((".jpg", ".png"))}
    assert media == {"PMC90000045.1/bas-000045-g001.jpg"}
    xml = {n for n in differing if n.endswith(".xml")}
    assert xml == {f"PMC900000{n}.1/PMC900000{n}.1.xml" for n in (51, 53, 54)}
    assert digests(root / "PMC90000056.1") == {}
    # The third: the removed one is back with the bytes it had, a letter is gone.
    assert sample.ensure(str(root), 3)
    three = inventory(root, sample.RELEASES[3])
    assert three["metadata/PMC90000056.1.json"][0] == one["metadata/PMC90000056.1.json"][0]
    assert two.keys() - three.keys() == {"metadata/PMC90000044.1.json"}
    assert {key for key in two.keys() & three.keys() if two[key] != three[key]} == {"metadata/PMC90000062.1.json"}
    assert digests(root / "PMC90000056.1") == digests(release_root / "PMC90000056.1")


def test_changes_name_articles_that_exist():
    for number, changes in CHANGES.items():
        assert changes.keys() <= {a.article_id for a in release_articles(number - 1)} | {
            a.article_id for a in release_articles(number)
        }


def test_ensure_writes_once_and_tells_a_stale_sample(monkeypatch):
    few = release_articles(1)[:2]
    monkeypatch.setattr("biomedica_assets.sample.release.release_articles", lambda number: few)
    memory = fsspec.filesystem("memory")
    assert sample.ensure("memory://ensure")
    assert not sample.ensure("memory://ensure")
    assert sample.ensure("memory://ensure", 2)
    assert not sample.ensure("memory://ensure", 1)
    monkeypatch.setattr("biomedica_assets.sample.release._code_digest", lambda: "other code")
    assert sample.ensure("memory://ensure", 1)
    assert memory.cat_file("/ensure/.sample-cloud-2") == b"sample other code release 2026-11-19\n"
    memory.rm("/ensure", recursive=True)


def test_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="layout"):
        sample.ensure("memory://x", layout="tape")


def test_package_layout(tmp_path):
    sample.write_packages(str(tmp_path))
    rows = list(csv.DictReader((tmp_path / "oa_file_list.csv").read_text().splitlines()))
    articles = [a for a in release_articles(1) if not a.absent and a.licence != "TDM"]
    assert [row["Accession ID"] for row in rows] == [f"PMC{n}" for n in sorted({a.pmcid for a in articles})]
    licences = {row["Accession ID"]: row["License"] for row in rows}
    assert licences["PMC90000038"] == "NO-CC CODE"
    (row,) = [r for r in rows if r["Accession ID"] == "PMC90000039"]
    with tarfile.open(tmp_path / row["File"]) as tar:
        names = tar.getnames()
        (nxml,) = [n for n in names if n.endswith(".nxml")]
        xml = tar.extractfile(nxml).read()
    assert b"PMC90000039.2" in xml  # of manuscript and published version the published one
    assert b'xlink:href="bas-000039-g001"' in xml
    assert {"PMC90000039/bas-000039-g001.jpg", "PMC90000039/bas-000039-g001.gif"} <= set(names)
