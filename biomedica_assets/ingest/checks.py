"""Checks of a committed chunk: counts across its tables, and that its files are there.

Cheap on purpose: key columns of the tables and the sizes of the files; never the images' bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest
from biomedica_assets.store.tables import read_table


@dataclass(frozen=True)
class Check:
    """One kind of check: the table it speaks of, and whether failing it means that the chunk must not be used."""

    name: str
    table: str
    meaning: str
    blocking: bool


FILES_PRESENT = Check("files_present", "sources", "every file the manifest names is there with its size", True)
OUTCOMES_COMPLETE = Check("outcomes_complete", "versions", "every file-list row has exactly one outcome", True)
ARTICLES_MATCH = Check("articles_match_versions", "articles", "one article per collected version and no other", True)
CAPTIONS_JOIN = Check("captions_join_figures", "captions", "every caption belongs to a figure of the chunk", True)
MENTIONS_JOIN = Check(
    "mentions_join", "mentions", "every mention belongs to a figure and a paragraph of the chunk", True
)
IMAGES_JOIN = Check("images_join", "images", "image ids are unique, belong to a figure, lie within a named shard", True)
FAILURES_FEW = Check("failures_few", "failures", "no version failed", False)

CHECKS = (FILES_PRESENT, OUTCOMES_COMPLETE, ARTICLES_MATCH, CAPTIONS_JOIN, MENTIONS_JOIN, IMAGES_JOIN, FAILURES_FEW)


@dataclass(frozen=True)
class CheckResult:
    """Whether a check passed, in words and in numbers."""

    check: Check
    passed: bool
    message: str
    numbers: dict[str, int] = field(default_factory=dict)


def check_chunk(files: Files, manifest: ChunkManifest) -> Iterator[CheckResult]:
    """Run every check of `CHECKS` on a committed chunk."""

    def column(table: str, name: str) -> pa.ChunkedArray:
        return read_table(files, manifest.tables[table].path, columns=[name]).column(name)

    yield _files_present(files, manifest)
    versions = read_table(files, manifest.tables["versions"].path, columns=["listed_id", "article_id", "outcome"])
    rows, distinct = len(versions), len(pc.unique(versions["listed_id"]))
    expected = sum(manifest.outcomes.values())
    yield CheckResult(
        OUTCOMES_COMPLETE,
        rows == distinct == expected,
        f"{rows} rows of {distinct} versions; the manifest counts {expected}",
        {"rows": rows},
    )
    collected = versions.filter(pc.equal(versions["outcome"], "collected"))["article_id"]
    articles = column("articles", "article_id")
    yield CheckResult(
        ARTICLES_MATCH,
        sorted(collected.to_pylist()) == sorted(articles.to_pylist()),
        f"{len(articles)} articles, {len(collected)} collected versions",
        {"articles": len(articles)},
    )
    figures = pc.unique(column("figures", "figure_id"))
    captions = column("captions", "figure_id")
    stray = _outside(captions, figures)
    yield CheckResult(
        CAPTIONS_JOIN, not stray, f"{stray} of {len(captions)} captions without a figure", {"stray": stray}
    )
    mentions = column("mentions", "figure_id")
    stray = _outside(mentions, figures)
    stray += _outside(column("mentions", "paragraph_id"), pc.unique(column("paragraphs", "paragraph_id")))
    yield CheckResult(MENTIONS_JOIN, not stray, f"{stray} of {len(mentions)} mentions do not join", {"stray": stray})
    yield _images_join(files, manifest, figures)
    failed = manifest.outcomes.get("failed", 0)
    yield CheckResult(FAILURES_FEW, not failed, f"{failed} of {rows} versions failed", {"failed": failed})


def _files_present(files: Files, manifest: ChunkManifest) -> CheckResult:
    wrong = []
    for data_file in [*manifest.tables.values(), *manifest.shards]:
        try:
            size = files.size(data_file.path)
        except FileNotFoundError:
            size = -1
        if size != data_file.bytes:
            wrong.append(data_file.path)
    named = len(manifest.tables) + len(manifest.shards)
    message = f"missing or of another size: {', '.join(wrong[:5])}" if wrong else f"{named} files"
    return CheckResult(FILES_PRESENT, not wrong, message, {"wrong": len(wrong)})


def _images_join(files: Files, manifest: ChunkManifest, figures: pa.Array) -> CheckResult:
    columns = ["image_id", "figure_id", "shard", "offset", "length"]
    images = read_table(files, manifest.tables["images"].path, columns=columns)
    repeated = len(images) - len(pc.unique(images["image_id"]))
    stray = _outside(images["figure_id"], figures)
    sizes = {shard.path: shard.bytes for shard in manifest.shards}
    beyond = sum(
        offset + length > sizes.get(shard, 0)
        for shard, offset, length in zip(*(images[c].to_pylist() for c in columns[2:]), strict=True)
        if shard is not None  # else compaction has dropped the bytes
    )
    message = f"{len(images)} images; {repeated} repeated ids, {stray} without a figure, {beyond} outside their shard"
    return CheckResult(IMAGES_JOIN, not (repeated or stray or beyond), message, {"images": len(images)})


def _outside(values: pa.ChunkedArray, known: pa.Array) -> int:
    """How many of the values are not among the known ones."""
    inside = pc.sum(pc.is_in(values, value_set=known)).as_py() or 0
    return len(values) - int(inside)
