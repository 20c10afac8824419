"""Releases to measure with: the corpus of real articles in the cloud layout, repeated under new ids.

Belongs here: making input. Without the corpus the embedded sample release takes its place.
"""

from __future__ import annotations

import csv
import json
import os
import tarfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.measure import SHARED

STEP = 10**8
"""What is added to a PMCID per copy: real ones are smaller, and the sum stays below the private range."""
_IMAGES = {".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".webp", ".bmp"}


def real_articles(
    corpus: Path, *, with_images: bool = False
) -> Iterator[tuple[int, dict[str, Any], bytes, list[Path]]]:
    """(PMCID number, metadata fields, XML, image files) of articles of the corpus, each PMCID once.

    Args:
        with_images: only those that have image files here.
    """
    archives: dict[str, tarfile.TarFile] = {}
    with (corpus / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    seen = set()
    for number, row in enumerate(rows, 1):
        pmcid = int(row["pmcid"].removeprefix("PMC") or 90_000_000 + number)
        if pmcid in seen or (with_images and row["n_image_files"] == "0"):
            continue
        seen.add(pmcid)
        container, _, member = row["xml_file"].partition("!")
        images: list[Path] = []
        if member:
            if container not in archives:
                archives[container] = tarfile.open(corpus / container)  # noqa: SIM115 - read to the end of the process
            archive = archives[container]
            body = archive.extractfile(member)
            assert body is not None
            xml = body.read()
        else:
            path = corpus / container
            xml = path.read_bytes()
            images = sorted(p for p in path.parent.iterdir() if p.suffix.lower() in _IMAGES)
        fields = {
            "pmid": row["pmid"] or None,
            "doi": row["doi"] or None,
            "is_pmc_openaccess": True,
            "is_manuscript": False,
            "is_historical_ocr": False,
            "is_retracted": False,
            "license_code": row["licence"].rsplit(" ", 1)[0] or None,
        }
        yield pmcid, fields, xml, images


def write_base(folder: Path, *, with_images: bool = False) -> int:
    """Write the corpus, or the sample release, in the cloud layout; the number of versions.

    Args:
        with_images: only the articles that have image files here.
    """
    from biomedica_assets.pmc.writer import CloudWriter

    corpus = SHARED / "corpus"
    if not corpus.exists():
        from biomedica_assets.sample.release import write_release

        write_release(str(folder))
        return len(list((folder / "metadata").iterdir()))
    writer = CloudWriter(str(folder), date(2026, 11, 20))
    versions = 0
    for pmcid, fields, xml, images in real_articles(corpus, with_images=with_images):
        media = ((path.name, path.read_bytes()) for path in images)
        writer.add(f"PMC{pmcid}.1", fields, xml, "", media)
        versions += 1
    writer.finish()
    return versions


def write_release(base: Path, folder: Path, versions: int) -> int:
    """The first ``versions`` of the base under new ids: hard links and new metadata; their number."""
    from biomedica_assets.pmc.writer import CloudWriter

    writer = CloudWriter(str(folder), date(2026, 11, 20))
    listed = sorted(path.stem for path in (base / "metadata").iterdir())
    for number in range(versions):
        copy, place = divmod(number, len(listed))
        old = listed[place]
        record = json.loads((base / "metadata" / f"{old}.json").read_text())
        pmcid, version = old.removeprefix("PMC").split(".")
        new = f"PMC{int(pmcid) + copy * STEP}.{version}"
        (folder / new).mkdir(parents=True)
        for path in (base / old).iterdir() if (base / old).is_dir() else ():
            if path.suffix != ".json":
                os.link(path, folder / new / path.name.replace(old, new))
        text = json.dumps(record).replace(f"/{old}", f"/{new}")
        writer.put_json(new, json.loads(text) | {"pmcid": new.partition(".")[0]})
    writer.finish()
    return versions
