"""A generation's files on this machine: hard links to a local store's files, else copies, fetched once and checked.

Belongs here: the cache folder (safe to delete, shared by processes). Not here: what the files mean.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from biomedica_assets.search.manifest import BUILD_ONLY, IndexManifest
from biomedica_assets.search.requests import IndexMissingError
from biomedica_assets.settings import Settings, project_root
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile

_GENERATIONS, _FILES = "generations", "files"
_KEEP_SECONDS = 3600


class DamagedFileError(OSError):
    """A file of the index is not what its manifest says, in the store or on the way from it."""


def cache_folder(settings: Settings) -> Path:
    """Where this store's rebuildable copies lie on this machine; made when it is not there."""
    name = hashlib.sha256(settings.store.encode()).hexdigest()[:12]
    root = project_root() / settings.cache if settings.cache else Path(tempfile.gettempdir()) / "biomedica-cache"
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def index_folder(settings: Settings) -> Path:
    """Where servers and commands of this machine share their copies of this store's index."""
    return cache_folder(settings) / "index"


def local_copy(files: Files, manifest: IndexManifest, cache: Path, *, building: bool = False) -> Path:
    """The folder with a generation's files; what the cache lacks is fetched, sizes are checked every time.

    Args:
        files: the store.
        manifest: of the generation.
        cache: local folder, made when it is not there.
        building: include what only the next build reads.

    Raises:
        IndexMissingError: a file is gone from the store: the generation is older than the grace period.
        DamagedFileError: size or checksum is wrong.
    """
    wanted = {name: file for name, file in manifest.files.items() if building or not name.startswith(BUILD_ONLY)}
    folder = cache / _GENERATIONS / (manifest.id + ("-build" if building else ""))
    if _complete(folder, wanted):
        os.utime(folder)
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    arriving = Path(tempfile.mkdtemp(prefix=".arriving-", dir=folder.parent))
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: _place(files, item[1], cache, arriving / item[0]), wanted.items()))
        try:
            arriving.rename(folder)
        except OSError:  # another process was quicker
            if not _complete(folder, wanted):
                raise
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    return folder


def _complete(folder: Path, wanted: dict[str, DataFile]) -> bool:
    try:
        return all((folder / name).stat().st_size == file.bytes for name, file in wanted.items())
    except FileNotFoundError:
        return False


def _place(files: Files, file: DataFile, cache: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    stored = files.local_path(file.path)
    if stored is not None:
        try:
            os.link(stored, target)
        except FileNotFoundError as error:
            raise _missing(files, file) from error
        except OSError:  # another file system, or one without hard links
            stored = None
    if stored is None:
        os.link(_fetched(files, file, cache), target)
    if target.stat().st_size != file.bytes:
        raise DamagedFileError(f"{file.path} has {target.stat().st_size} bytes, its manifest says {file.bytes}")


def _fetched(files: Files, file: DataFile, cache: Path) -> Path:
    """The file in the cache, by its content's hash."""
    held = cache / _FILES / file.sha256
    if held.exists() and held.stat().st_size == file.bytes:
        return held
    held.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".arriving-", dir=held.parent)
    try:
        digest = hashlib.sha256()
        with os.fdopen(handle, "wb") as out:
            for block in files.stream(file.path):
                digest.update(block)
                out.write(block)
        if digest.hexdigest() != file.sha256:
            raise DamagedFileError(f"{file.path} does not have the checksum of its manifest")
        Path(name).replace(held)
    except FileNotFoundError as error:
        raise _missing(files, file) from error
    finally:
        Path(name).unlink(missing_ok=True)
    return held


def _missing(files: Files, file: DataFile) -> IndexMissingError:
    return IndexMissingError(f"{file.path} is no longer in {files.url}: the generation is too old")


def prune(cache: Path, keep: Iterable[IndexManifest]) -> None:
    """Remove what these generations do not need and no process can have begun to use within the last hour."""
    keep = list(keep)
    names = {manifest.id for manifest in keep}
    hashes = {file.sha256 for manifest in keep for file in manifest.files.values()}
    before = time.time() - _KEEP_SECONDS
    for folder, kept in ((_GENERATIONS, names), (_FILES, hashes)):
        for path in list((cache / folder).glob("*")) if (cache / folder).is_dir() else []:
            try:
                stale = path.name.removesuffix("-build") not in kept and path.stat().st_mtime < before
            except FileNotFoundError:  # another process prunes too
                continue
            if stale:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
