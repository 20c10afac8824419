"""`biomedica subset` and `biomedica export`, run as people run them, on a store built from the sample release."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import webdataset

from biomedica_assets import sample
from biomedica_assets.cli.dataset import _part, write
from biomedica_assets.dataset.duplicates import build_duplicates
from biomedica_assets.dataset.export_manifest import list_exports
from biomedica_assets.dataset.recipes import load_recipes
from biomedica_assets.dataset.subsets import build_subset
from biomedica_assets.ingest.chunk import ingest_chunk
from biomedica_assets.ingest.listing import list_release
from biomedica_assets.ingest.status import store_status
from biomedica_assets.ingest.workspace import open_workspace
from biomedica_assets.quality.tables import build_paragraph_quality, unfinished_paragraph_quality
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets.store.files import Files
from biomedica_assets_tests.dataset.hub_server import FakeHub


def build(root: Path) -> None:
    """The newest release below the root that the store lacks: tables, catalogue, duplicates."""
    settings = Settings(source=str(root / "source"), store=str(root / "store"), chunk_size=100, _env_file=None)
    workspace = open_workspace(settings)
    list_release(workspace)
    for chunk in store_status(workspace.files, settings).unfinished:
        ingest_chunk(workspace, chunk)
    build_generation(workspace.files)
    build_duplicates(workspace.files)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sample")
    sample.write_release(str(root / "source"), 1)
    build(root)
    build_subset(Files(root / "store"), load_recipes()["commercial"])
    return root


class Command:
    """`biomedica` with the environment of a store."""

    def __init__(self, root: Path) -> None:
        self.root, self.files = root, Files(root / "store")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BIOMEDICA_", "HF_"))}
        self.environment = kept | {
            "BIOMEDICA_STORE": str(root / "store"),
            "BIOMEDICA_SOURCE": str(root / "source"),
            "BIOMEDICA_EXPORT_SHARD_BYTES": "200000",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(root / "hf"),
        }

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "biomedica_assets.cli", *arguments],
            env=self.environment | environment,
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def ok(self, *arguments: str, **environment: str) -> str:
        done = self(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str, **environment: str) -> str:
        done = self(*arguments, **environment)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        return " ".join(done.stderr.split())


@pytest.fixture
def biomedica(built: Path, tmp_path: Path) -> Command:
    shutil.copytree(built, tmp_path / "here")
    return Command(tmp_path / "here")


def test_help_names_the_commands(biomedica: Command) -> None:
    text = biomedica.ok("--help")
    for command in ("build", "compact", "doctor", "export", "extract", "migrate", "release", "snapshot", "subset"):
        assert f"  {command} " in text
    assert "upload" in biomedica.ok("export", "--help")
    assert "--jpeg-quality" in biomedica.ok("export", "write", "--help")


def test_list_build_list(biomedica: Command) -> None:
    lines = {line.split()[0]: line for line in biomedica.ok("subset", "list").splitlines()}
    assert list(lines) == list(load_recipes())
    assert "not built" in lines["single_image"]
    assert " images  " in lines["commercial"]
    assert "inactive: needs the table annotations" in lines["concept_balanced"]
    assert load_recipes()["surgery"].description in lines["surgery"]
    text = biomedica.ok("subset", "build", "single_image")
    images = int(text.splitlines()[-1].split()[1].replace(",", ""))
    assert images > 10
    assert "licence_groups" in text
    assert f"{images} images" in biomedica.ok("subset", "list")


def test_what_cannot_be_done_says_what_to_do(biomedica: Command, tmp_path: Path) -> None:
    known = ", ".join(load_recipes())
    for command in (("subset", "build", "radiolgy"), ("export", "radiolgy", "--format", "parquet")):
        assert f"there is no recipe 'radiolgy'; there are: {known}" in biomedica.refused(*command)
    message = biomedica.refused("export", "surgery", "--format", "parquet")
    assert "there is no subset surgery yet: run `biomedica subset build surgery`" in message
    for command in (("subset", "build", "concept_filtered"), ("export", "concept_filtered", "--format", "parquet")):
        assert "needs the table annotations, which this store does not have yet" in biomedica.refused(*command)
    empty = str(tmp_path / "empty")
    assert "no catalogue yet" in biomedica.refused("subset", "build", "commercial", BIOMEDICA_STORE=empty)
    assert "Missing option '--format'" in biomedica.refused("export", "commercial")
    assert "'0/2' is not like 1/4" in biomedica.refused("export", "surgery", "--format", "parquet", "--part", "0/2")
    message = biomedica.refused("export", "commercial", "--format", "parquet", "--jpeg-quality", "90")
    assert "parquet exports hold the original files" in message


TWICE = """
name: twice
description: Paragraphs of abstracts, two times over.
unit: paragraph
where: paragraph_kind = 'abstract'
upsample: [{where: 'true', times: 2}]
"""


def test_paragraphs_that_come_twice(biomedica: Command, tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "twice.yaml").write_text(TWICE)
    mine = {"BIOMEDICA_RECIPES": str(tmp_path / "recipes")}
    settings = Settings(store=str(biomedica.root / "store"), _env_file=None)
    for chunk in unfinished_paragraph_quality(biomedica.files, settings):
        build_paragraph_quality(biomedica.files, chunk, settings)
    build_generation(biomedica.files)
    picked = int(biomedica.ok("subset", "build", "twice", **mine).splitlines()[-1].split()[1].replace(",", ""))
    assert picked > 0
    done = biomedica("export", "twice", "--format", "webdataset", **mine)
    assert f"{2 * picked} samples" in done.stdout
    assert f"100%|██████████| {2 * picked}/{2 * picked} " in done.stderr
    assert "paragraph/s" in done.stderr
    message = biomedica.refused("export", "twice", "--format", "biomedica", **mine)
    assert "BIOMEDICA's format has whole images; twice is made of paragraphs" in message


def test_export_in_parts_to_another_place(biomedica: Command, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    common = ("--format", "webdataset", "--to", str(target))
    assert "part 2/2" in biomedica.ok("export", "commercial", *common, "--part", "2/2")
    assert list_exports(Files(target)) == []
    text = biomedica.ok("export", *common, "commercial", "--part", "1/2")
    [record] = list_exports(Files(target))
    assert f"{target}/{record.folder}: {record.counts['samples']} samples" in text
    assert len(record.shards) > 2
    urls = [str(target / record.folder / shard.path) for shard in record.shards]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))
    assert len(samples) == record.counts["samples"]
    whole = biomedica("export", "write", "commercial", "--format", "webdataset")
    assert whole.returncode == 0
    assert "100%" in whole.stderr, "a bar that ends full"
    [here] = list_exports(biomedica.files)
    assert here == record


def test_jpeg_quality_and_what_was_withdrawn_since(biomedica: Command) -> None:
    biomedica.ok("export", "commercial", "--format", "webdataset", "--jpeg-quality", "80")
    [before] = list_exports(biomedica.files)
    assert before.options["jpeg_quality"] == 80
    sample.write_release(str(biomedica.root / "source"), 2)
    build(biomedica.root)
    done = biomedica("export", "commercial", "--format", "webdataset", "--jpeg-quality", "80")
    assert done.returncode == 0
    [after] = list_exports(biomedica.files)
    assert len(after.tombstones) > len(before.tombstones)
    assert f"{after.folder}: {len(after.tombstones)} withdrawn samples taken out" in done.stderr


def test_upload(biomedica: Command) -> None:
    upload = ("export", "upload", "commercial", "--format", "parquet")
    assert "HF_TOKEN is not set" in biomedica.refused(*upload)
    assert "--repository OWNER/NAME, or BIOMEDICA_HUB_REPOSITORY" in biomedica.refused(*upload, HF_TOKEN="secret")
    given = {"HF_TOKEN": "secret", "BIOMEDICA_HUB_REPOSITORY": "owner/figures"}
    assert "run `biomedica export commercial --format parquet`" in biomedica.refused(*upload, **given)
    biomedica.ok("export", "commercial", "--format", "parquet")
    [record] = list_exports(biomedica.files)
    with FakeHub() as hub:
        given["BIOMEDICA_HUB_ENDPOINT"] = hub.endpoint
        text = biomedica.ok(*upload, **given)
        held = hub.repositories["owner/figures-commercial-parquet"]
        assert f"{len(record.shards)} shards sent, 0 were there" in text
        assert json.loads(held["manifest.json"])["id"] == record.id
        assert f"0 shards sent, {len(record.shards)} were there" in biomedica.ok(*upload, **given)
        message = biomedica.refused(*upload, **given | {"HF_TOKEN": "of-somebody-else"})
        assert "401" in message
        assert "of-somebody-else" not in message
        # Two exports of one format: which one is meant has to be said.
        biomedica.ok("export", "commercial", "--format", "parquet", BIOMEDICA_EXPORT_SHARD_BYTES="100000")
        message = biomedica.refused(*upload, **given)
        assert "there are several parquet exports of commercial, choose with --id" in message
        assert "0 shards sent" in biomedica.ok(*upload, "--id", record.id, **given)


@pytest.mark.parametrize(
    ("text", "part"), [("1/1", (1, 1)), ("3/4", (3, 4)), ("3/2", None), ("half", None), ("1", None)]
)
def test_parts(text: str, part: tuple[int, int] | None) -> None:
    context = click.Context(write)
    if part is None:
        with pytest.raises(click.BadParameter):
            _part(context, write.params[0], text)
    else:
        assert _part(context, write.params[0], text) == part
