"""Find articles to pack: folders, publisher folders, oa_packages and bulk tars, in any mix, one article at a time.

What belongs here: which files make up one article. What an article is called and what is written of it is in `pack`.
Archives are streamed and never unpacked to disk; a name inside an archive is never used as a path.

How files are grouped
---------------------
* A folder with one XML file (``.xml``, ``.nxml``) is an article; every other file in it, and in folders below it
  that hold neither XML nor archives, is its media, under its path relative to the folder.
* A folder with several XML files is several articles; another file belongs to the one XML that names its stem.
* An archive (``.tar.gz``, ``.tgz``, ``.tar``) is treated the same way, folder by folder of its members.
* Hidden files, ``package_files.tsv`` and ``release.json`` (see `pack`) are no media.
* Files that belong to no article are reported, not packed.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import fsspec

SIDECAR = "release.json"
MAX_XML_BYTES = 256 * 1024 * 1024
"""An XML file above this is reported, not read: the largest real articles have some tens of megabytes."""

_NO_MEDIA = {SIDECAR, "package_files.tsv"}
_ARCHIVES = (".tar.gz", ".tgz", ".tar")
_XML = (".xml", ".nxml")
_BROKEN_ARCHIVE = (tarfile.TarError, EOFError, OSError, zlib.error)

Media = Iterator[tuple[str, bytes]]


@dataclass(frozen=True)
class Problem:
    """Something that was not packed, or not as found: the file, the class of the problem, words for a person."""

    file: str
    error: str
    message: str
    article_id: str | None = None


@dataclass(frozen=True)
class Found:
    """One XML file and what lies beside it.

    Attributes:
        name: path of the XML, ``archive!member`` when it lies in an archive.
        stem: name of the XML without folder and extension.
        media: reads (name, bytes) of the other files, one at a time; may be called more than once.
        n_files: number of other files.
        sidecars: contents of the ``release.json`` files above it, outermost first.
    """

    name: str
    stem: str
    xml: bytes
    media: Callable[[], Media]
    n_files: int
    sidecars: tuple[Mapping[str, Any], ...] = ()


@dataclass
class Sources:
    """Articles below an fsspec URL (a folder, an archive or one XML file), in order of path."""

    url: str
    problems: list[Problem] = field(default_factory=list)

    def __iter__(self) -> Iterator[Found]:
        fs, root = fsspec.core.url_to_fs(self.url)
        self._fs: fsspec.AbstractFileSystem = fs
        if not fs.exists(root):
            raise FileNotFoundError(self.url)
        self._skip = len(root.rstrip("/")) + 1 if fs.isdir(root) else len(root.rstrip("/").rpartition("/")[0]) + 1
        if fs.isdir(root):
            yield from self._folder(root.rstrip("/"), ())
        elif root.endswith(_ARCHIVES):
            yield from self._archive(root, ())
        else:
            yield from self._articles(root.rpartition("/")[0], [root], [], ())

    def _problem(self, path: str, error: str, message: str) -> None:
        self.problems.append(Problem(path[self._skip :], error, message))

    def _folder(self, path: str, sidecars: tuple[Mapping[str, Any], ...]) -> Iterator[Found]:
        folders, files = self._list(path)
        if f"{path}/{SIDECAR}" in files:
            sidecars += self._sidecar(f"{path}/{SIDECAR}")
        xmls = [f for f in files if f.lower().endswith(_XML)]
        archives = [f for f in files if f.lower().endswith(_ARCHIVES)]
        others = [f for f in files if f not in xmls and f not in archives and _name(f) not in _NO_MEDIA]
        nested = []
        for folder in folders:
            inner = self._media_only(folder) if xmls else None
            if inner is None:
                nested.append(folder)
            else:
                others += inner
        if xmls:
            yield from self._articles(path, xmls, others, sidecars)
        else:
            for other in others:
                self._problem(other, "NotPacked", "belongs to no article: no XML in its folder")
        for archive in archives:
            yield from self._archive(archive, sidecars)
        for folder in nested:
            yield from self._folder(folder, sidecars)

    def _list(self, path: str) -> tuple[list[str], list[str]]:
        """Folders and files directly below a path, sorted, without hidden ones."""
        entries = sorted((str(e["name"]).rstrip("/"), e["type"]) for e in self._fs.ls(path, detail=True))
        shown = [(name, kind) for name, kind in entries if not _name(name).startswith(".") and name != path]
        return [n for n, kind in shown if kind == "directory"], [n for n, kind in shown if kind != "directory"]

    def _media_only(self, path: str) -> list[str] | None:
        """Every file below a folder that holds no article; None when it holds XML or archives."""
        folders, files = self._list(path)
        if any(f.lower().endswith((*_XML, *_ARCHIVES)) for f in files):
            return None
        found = [f for f in files if _name(f) not in _NO_MEDIA]
        for folder in folders:
            inner = self._media_only(folder)
            if inner is None:
                return None
            found += inner
        return found

    def _sidecar(self, path: str) -> tuple[Mapping[str, Any], ...]:
        try:
            content = json.loads(self._fs.cat_file(path))
        except ValueError as error:
            self._problem(path, "InvalidSidecar", str(error))
            return ()
        if not isinstance(content, dict):
            self._problem(path, "InvalidSidecar", "not a JSON object")
            return ()
        return (content,)

    def _articles(
        self, path: str, xmls: list[str], others: list[str], sidecars: tuple[Mapping[str, Any], ...]
    ) -> Iterator[Found]:
        several = len(xmls) > 1
        taken: set[str] = set()
        for xml in xmls:
            if self._fs.size(xml) > MAX_XML_BYTES:
                self._problem(xml, "TooLarge", f"XML of over {MAX_XML_BYTES} bytes")
                continue
            data = self._fs.cat_file(xml)
            mine = [f for f in others if f not in taken and names(data, f)] if several else others
            taken.update(mine)
            yield Found(xml[self._skip :], _stem(xml), data, self._reader(path, mine), len(mine), sidecars)
        for other in others:
            if several and other not in taken:
                self._problem(other, "NotPacked", "none of the XML files beside it names it")

    def _reader(self, path: str, files: list[str]) -> Callable[[], Media]:
        return lambda: ((f[len(path) + 1 :], self._fs.cat_file(f)) for f in files)

    def _archive(self, path: str, sidecars: tuple[Mapping[str, Any], ...]) -> Iterator[Found]:
        """Articles of an archive: one pass for its table of contents, one for the XML, one for each one's media."""
        groups: dict[str, list[str]] = defaultdict(list)  # media by folder
        xmls: dict[str, list[str]] = defaultdict(list)
        for member, _ in self._members(path, set()):
            folder, _, name = member.rpartition("/")
            if name.lower().endswith(_XML):
                xmls[folder].append(member)
            elif not name.startswith(".") and name not in _NO_MEDIA:
                groups[folder].append(member)
        single = {folder for folder, members in xmls.items() if len(members) == 1}
        for folder in sorted(groups.keys() - xmls.keys()):
            owner = next((f for f in single if folder.startswith(f + "/") or not f), None)
            if owner is None:
                for member in groups[folder]:
                    self._problem(f"{path}!{member}", "NotPacked", "belongs to no article: no XML in its folder")
            else:
                groups[owner] += groups[folder]
        wanted = {member for members in xmls.values() for member in members}
        taken: set[str] = set()
        for member, data in self._members(path, wanted, MAX_XML_BYTES):
            if member not in wanted:
                continue
            folder = member.rpartition("/")[0]
            if len(data) > MAX_XML_BYTES:
                self._problem(f"{path}!{member}", "TooLarge", f"XML of over {MAX_XML_BYTES} bytes")
                continue
            others = groups.get(folder, [])
            mine = others if folder in single else [f for f in others if f not in taken and names(data, f)]
            taken.update(mine)
            reader = self._member_reader(path, folder, set(mine))
            yield Found(f"{path}!{member}"[self._skip :], _stem(member), data, reader, len(mine), sidecars)
        for folder in xmls.keys() - single:
            for member in groups.get(folder, []):
                if member not in taken:
                    self._problem(f"{path}!{member}", "NotPacked", "none of the XML files beside it names it")

    def _member_reader(self, path: str, folder: str, wanted: set[str]) -> Callable[[], Media]:
        start = len(folder) + 1 if folder else 0
        if not wanted:
            return lambda: iter(())
        return lambda: ((m[start:], data) for m, data in self._members(path, wanted) if m in wanted)

    def _members(self, path: str, wanted: set[str], limit: int = -1) -> Media:
        """(name, bytes) of regular files of an archive, read as a stream; of others than ``wanted`` only the name.

        At most ``limit`` + 1 bytes of each. Where the archive breaks off, what came before still counts.
        """
        try:
            with self._fs.open(path, "rb") as raw, tarfile.open(fileobj=raw, mode="r|*") as tar:
                for member in tar:
                    name = member.name.removeprefix("./")
                    stream = tar.extractfile(member) if member.isfile() and name in wanted else None
                    if stream is not None:
                        yield name, stream.read(limit + 1) if limit >= 0 else stream.read()
                    elif member.isfile():
                        yield name, b""
        except _BROKEN_ARCHIVE as error:
            problem = Problem(path[self._skip :], "UnreadableArchive", f"{type(error).__name__}: {error}")
            if problem not in self.problems:
                self.problems.append(problem)


def names(xml: bytes, path: str) -> bool:
    """True when the XML mentions the file by its stem."""
    return _stem(path).encode() in xml


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _stem(path: str) -> str:
    return _name(path).rpartition(".")[0] or _name(path)


def sidecar_fields(
    sidecars: Iterable[Mapping[str, Any]], known: Iterable[str], ids: Iterable[str | None]
) -> tuple[dict[str, Any], list[str]]:
    """Fields that sidecars set for an article, and the keys they should not have.

    A key is a field of the metadata JSON, for every article in and below the folder, or the id of one article
    (``PMC1.1``, ``PMC1``, a DOI) with an object of fields. The nearer sidecar wins, and the named article over all.
    """
    allowed, mine = set(known), {i.lower() for i in ids if i}
    general: dict[str, Any] = {}
    own: dict[str, Any] = {}
    unknown: list[str] = []
    for sidecar in sidecars:
        for key, value in sidecar.items():
            if key in allowed:
                general[key] = value
            elif isinstance(value, dict):
                unknown += [f"{key}.{name}" for name in value if name not in allowed]
                if key.lower() in mine:
                    own |= {name: v for name, v in value.items() if name in allowed}
            else:
                unknown.append(key)
    return general | own, unknown
