"""The builder: what changed in the catalogue since the last index generation becomes the next one.

A build works on a copy of the generation before (hard links) in a scratch folder, deletes and adds what changed, puts
new files below ``index/files/``, and publishes by one atomic put. Killed at any instant it leaves the generation before
as it was. An article is looked at again when the files it comes from changed, and indexed again when what they say of
it did. What does not belong here: what is said of an article (`documents`), vectors (`spaces`), reading (`searcher`).
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets.dataset.predicates import held
from biomedica_assets.dataset.queries import count_rows, load, local_parquet
from biomedica_assets.search.delta import STATES_SCHEMA, plan_delta
from biomedica_assets.search.documents import ArticleDocument, fingerprint, iter_documents
from biomedica_assets.search.keyword import KEYWORD_VERSION, KeywordWriter
from biomedica_assets.search.local import local_copy
from biomedica_assets.search.manifest import (
    BUILD_ONLY,
    INDEX_VERSION,
    IndexManifest,
    publish,
    publish_file,
    read_newest,
)
from biomedica_assets.search.requests import IndexMissingError
from biomedica_assets.search.rows import ROWS_VERSION, RowWriter, merge_rows
from biomedica_assets.search.terms import TermWriter, sort_terms
from biomedica_assets.store.catalogue import Generation, connect, read_generation
from biomedica_assets.store.duck import sql_text
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile

DEAD_SHARE = 0.3
"""An index of which more than this share of rows is dead is built anew."""
STATES = BUILD_ONLY + "states.parquet"
DEAD = "dead.npy"
_MUTABLE = {"meta.json", ".managed.json"}  # all other files of tantivy are written once under names of their own
_WRITTEN_ONCE = ("figures/", "articles/", "rows/", "terms/", "vectors/")
_LOCKS = {".tantivy-writer.lock", ".tantivy-meta.lock"}


@dataclass(frozen=True)
class Built:
    """What a build did. ``rebuilt`` says why it started from nothing; null when it applied a delta."""

    manifest: IndexManifest
    added: int
    deleted: int
    looked_at: int
    bytes_written: int
    seconds: float
    rebuilt: str | None
    changed: bool

    def counts(self) -> dict[str, int]:
        """Figures, articles and so on of the generation, as published."""
        return dict(self.manifest.counts)


def build_index(
    files: Files,
    *,
    article_text: bool = True,
    rebuild: bool = False,
    scratch: str | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Built:
    """Bring the search index up to the catalogue; what stands is returned when nothing changed.

    Args:
        files: the store.
        article_text: index the articles' paragraphs too (most of the index's size).
        rebuild: start from nothing.
        scratch: local folder for the build.
        log: gets sentences for people.

    Raises:
        FileNotFoundError: the store has no catalogue yet.
    """
    started = time.monotonic()
    catalogue = read_generation(files)
    if catalogue is None:
        raise FileNotFoundError(f"{files.url} has no catalogue yet: materialize the asset `catalogue`")
    options = {"article_text": article_text, "keyword_version": KEYWORD_VERSION, "rows_version": ROWS_VERSION}
    before = read_newest(files)
    why = _reason(before, options, rebuild)
    with tempfile.TemporaryDirectory(prefix="search-index-", dir=scratch or None) as name:
        folder = Path(name) / "generation"
        if before is not None and why is None:
            try:
                _copy(local_copy(files, before, Path(name) / "copy", building=True), folder)
            except IndexMissingError as error:
                why = str(error)
        if why is not None:
            log(f"search index: built anew: {why}")
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        base = before if why is None else None
        build = _Build(files, catalogue, folder, base, article_text)
        with connect(files, Path(name)) as connection:
            build.apply(connection)
            build.follow_features(connection, log)
        manifest, written = build.publishable(options)
        changed = before is None or manifest.id != before.id
        if changed:
            publish(files, manifest)
    seconds = time.monotonic() - started
    return Built(manifest, build.added, build.deleted, build.looked_at, written, seconds, why, changed)


def _reason(before: IndexManifest | None, options: dict[str, Any], rebuild: bool) -> str | None:
    """Why to start from nothing."""
    if before is None:
        return "there is none yet"
    if rebuild:
        return "as asked for"
    if before.version != INDEX_VERSION or before.options != options:
        return "made by other rules"
    if before.rows and before.counts["dead"] > DEAD_SHARE * before.rows:
        return f"{before.counts['dead']:,} of {before.rows:,} rows are dead"
    return None


def _copy(source: Path, target: Path) -> None:
    """A folder of hard links; what is ever written in place is copied."""
    for path in source.rglob("*"):
        if path.is_file() and path.name not in _LOCKS:
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.name in _MUTABLE:
                shutil.copyfile(path, place)
            else:
                place.hardlink_to(path)


class _Build:
    """One build in its folder."""

    def __init__(
        self, files: Files, catalogue: Generation, folder: Path, before: IndexManifest | None, article_text: bool
    ) -> None:
        self.files, self.catalogue, self.folder, self.before = files, catalogue, folder, before
        self.article_text = article_text
        self.rows = self._first_new = before.rows if before else 0
        self.added = self.deleted = self.looked_at = 0
        self._dead = np.load(folder / DEAD) if (folder / DEAD).exists() else np.empty(0, np.uint32)
        self._row_files = sorted((folder / "rows").glob("*.parquet"))

    def apply(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Delete and add what changed; afterwards the folder holds the next generation."""
        plan_delta(connection, self.files, self.catalogue, self.folder / STATES)
        self.looked_at = count_rows(connection, "wanted")
        gone = [row[0] for row in connection.execute("SELECT article_id FROM gone ORDER BY 1").fetchall()]
        fresh_states = self._index(connection, gone)
        self._finish_rows(connection)
        self._write_states(connection, fresh_states)

    def _index(self, connection: duckdb.DuckDBPyConnection, gone: list[str]) -> Path | None:
        """Write the keyword indexes and the new rows; the path of the new states, null when none was looked at."""
        if not gone and not self.looked_at and self.before is not None:
            return None
        figures = KeywordWriter(self.folder / "figures", "figures")
        articles = KeywordWriter(self.folder / "articles", "articles")
        states = self.folder.parent / "fresh-states.parquet"
        changed: list[str] = []
        rows, unsorted = RowWriter(self._row_file()), self.folder.parent / "terms.parquet"
        terms = TermWriter(unsorted)
        with pq.ParquetWriter(states, STATES_SCHEMA) as writer:
            for batch in _batches(self._documents(connection), 500):
                for document, previous, state in batch:
                    if previous == state["content"]:
                        continue  # other files, but they say the same
                    if previous is not None:
                        changed.append(document.article_id)
                        figures.delete([document.article_id])
                        articles.delete([document.article_id])
                    articles.add_article(document)
                    if document.figures:
                        terms.add(document, self.rows, self.rows + len(document.figures) - 1)
                    for figure in document.figures:
                        figures.add_figure(self.rows, figure, document)
                        rows.add(self.rows, figure, document)
                        self.rows += 1
                        self.added += 1
                writer.write_table(pa.Table.from_pylist([state for *_, state in batch], STATES_SCHEMA))
        rows.close()
        terms.close()
        for writer_of in (figures, articles):
            writer_of.delete(gone)
            writer_of.commit()
        removed = pa.table({"article_id": pa.array([*gone, *changed], pa.string())})
        load(connection, "removed", removed)
        self._bury(connection)
        load(connection, "dead", pa.table({"row": pa.array(self._dead, pa.uint32())}))
        if rows.count:
            path = self._row_file()
            self._row_files.append(path)
            sort_terms(connection, [unsorted] if terms.count else [], _terms_of(path))
        return states

    def _documents(
        self, connection: duckdb.DuckDBPyConnection
    ) -> Iterator[tuple[ArticleDocument, str | None, dict[str, Any]]]:
        """Documents to look at, the hash of what the index says of each article now, and its new state."""
        inputs: dict[str, tuple[str, str | None]] = {}
        chunk = None
        for document in iter_documents(connection, self.files, self.catalogue, body=self.article_text):
            if document.chunk != chunk:
                chunk = document.chunk
                query = "SELECT article_id, inputs, content FROM wanted WHERE chunk = ?"
                inputs = {a: (i, c) for a, i, c in connection.execute(query, [chunk]).fetchall()}
            made_of, previous = inputs[document.article_id]
            state = {
                "article_id": document.article_id,
                "chunk": document.chunk,
                "inputs": made_of,
                "content": fingerprint(document),
                "figures": len(document.figures),
            }
            yield document, previous, state

    def _row_file(self) -> Path:
        """Where the next file of rows goes."""
        number = int(self._row_files[-1].stem) + 1 if self._row_files else 0
        return self.folder / "rows" / f"{number:06d}.parquet"

    def _bury(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Rows of what was removed become dead; only files of before can hold any."""
        if not self._row_files or not self._first_new:
            return
        found = connection.execute(f"""
            SELECT DISTINCT "row" FROM {local_parquet(*self._row_files)} SEMI JOIN removed USING (article_id)
            WHERE "row" < {self._first_new}
        """).fetchnumpy()["row"]
        fresh = np.setdiff1d(np.asarray(found, np.uint32), self._dead)
        self.deleted = len(fresh)
        self._dead = np.union1d(self._dead, fresh).astype(np.uint32)

    def _finish_rows(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Few files of rows and terms: one joins the one before while it is at least a quarter of its size."""
        files = self._row_files
        load(connection, "dead", pa.table({"row": pa.array(self._dead, pa.uint32())}))
        while len(files) > 1 and 4 * files[-1].stat().st_size >= files[-2].stat().st_size:
            joined = self._row_file()
            merge_rows(files[-2:], joined, self._dead)
            sort_terms(connection, [_terms_of(path) for path in files[-2:]], _terms_of(joined))
            for path in files[-2:]:
                path.unlink()
                _terms_of(path).unlink()
            files[-2:] = [joined]
        if self._dead.size:
            (self.folder / DEAD).unlink(missing_ok=True)  # a hard link: never written in place
            np.save(self.folder / DEAD, self._dead)
        living = 'media_type IS NOT NULL AND "row" NOT IN (FROM dead)'
        self.images = count_rows(connection, f"{local_parquet(*files)} WHERE {living}") if files else 0

    def _write_states(self, connection: duckdb.DuckDBPyConnection, fresh: Path | None) -> None:
        if fresh is None:
            self.articles = count_rows(connection, "before")
            return
        path = self.folder.parent / "states.parquet"
        connection.execute(f"""
            COPY (SELECT b.* FROM before b
                  ANTI JOIN (SELECT article_id FROM wanted UNION ALL FROM gone) USING (article_id)
                  UNION ALL BY NAME FROM {local_parquet(fresh)} ORDER BY article_id)
            TO {sql_text(path)} (FORMAT parquet, COMPRESSION zstd)
        """)
        target = self.folder / STATES
        target.parent.mkdir(exist_ok=True)
        path.replace(target)
        self.articles = count_rows(connection, local_parquet(target))

    def follow_features(self, connection: duckdb.DuckDBPyConnection, log: Callable[[str], None]) -> None:
        """Bring the vector spaces up to the rows and the features that are there; without faiss there are none."""
        self.spaces: dict[str, Any] = {}
        if not self._row_files:
            return
        try:
            from biomedica_assets.search.spaces import SPACES, Space, update_bridge, update_space
        except ImportError as error:
            log(f"search index: without vectors: {error}")
            return

        connection.execute(f"""
            CREATE TABLE live AS SELECT s.chunk, r.figure_id, r."row"
            FROM {local_parquet(*self._row_files)} r JOIN {local_parquet(self.folder / STATES)} s USING (article_id)
            WHERE r.image = 0 AND r."row" NOT IN (FROM dead)
        """)
        alive = np.ones(self.rows, bool)
        alive[self._dead] = False
        spaces: dict[str, Space] = {}
        for name in SPACES:
            old = self.before.spaces.get(name) if self.before else None
            before = Space.from_json(old) if old else None
            space = update_space(self.files, name, self.folder, before, connection, alive, self._first_new)
            if space is not None:
                spaces[name] = space
        if len(spaces) == len(SPACES):
            spaces["images"] = update_bridge(self.folder, spaces["captions"], spaces["images"], alive)
        self.spaces = {name: space.to_json() for name, space in spaces.items()}

    def publishable(self, options: dict[str, Any]) -> tuple[IndexManifest, int]:
        """Put the folder's new files into the store; the manifest that names all, and the bytes written."""
        old = self.before.files if self.before else {}
        known = {file.sha256: file for file in old.values()}
        listed: dict[str, DataFile] = {}
        written = 0
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file() and path.name not in _LOCKS):
            name = str(PurePosixPath(path.relative_to(self.folder)))
            if name in old and path.name not in _MUTABLE and name.startswith(_WRITTEN_ONCE):
                listed[name] = old[name]
                continue
            path.chmod(0o644)  # tantivy keeps some to their owner; a server may be another user
            listed[name] = publish_file(self.files, path, known)
            written += listed[name].bytes if listed[name].sha256 not in known else 0
        made_of = self.catalogue.files
        inputs: dict[str, Any] = {n: made_of[n].sha256 for n in made_of if n in ("current", "pubmed_log")}
        inputs["tables"] = held(self.catalogue.paths)
        counts = {
            "figures": self.rows - len(self._dead),
            "articles": self.articles,
            "images": self.images,
            "dead": len(self._dead),
        }
        for name, space in self.spaces.items():
            counts[f"figures_with_{name}_vectors"] = space["figures"]
            counts[f"figures_without_{name}_vectors"] = counts["figures"] - space["figures"]
        manifest = IndexManifest(INDEX_VERSION, inputs, options, listed, self.rows, counts, self.spaces)
        return manifest, written


def _terms_of(rows: Path) -> Path:
    """The file of terms that belongs to a file of rows."""
    return rows.parent.parent / "terms" / rows.name


def _batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    yield batch
