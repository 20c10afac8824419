"""The withdrawal list as a stream pins it: named by the immutable files that it consists of, and readable again.

The list is the newest generation's file and what newer file lists and chunks withdraw. A cursor names all of them, so
that the bytes before and behind it can be worked out again while the list goes on growing. What does not belong here:
what a list does to a stream (`plan`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import pyarrow.parquet as pq

from biomedica_assets.store.catalogue import read_generation
from biomedica_assets.store.files import Files, NotListableError
from biomedica_assets.store.news import news_since, withdrawn_by
from biomedica_assets.streaming.selection import StateGoneError, StreamError

_FILE = re.compile(r"catalogue/withdrawals-([0-9a-f]{16})\.parquet")
_HASH = re.compile(r"[0-9a-f]{16}")
_NEWS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


class ListId(NamedTuple):
    """Names one state of the withdrawal list: hash of the generation's file, and what comes on top (`news_since`)."""

    file: str = ""
    news: tuple[str, ...] = ()


NOTHING = ListId()


def newest_list(files: Files) -> ListId:
    """The list as it is now. A root that cannot be listed (plain HTTP) shows the generation's list alone."""
    generation = read_generation(files)
    if generation is None or "withdrawals" not in generation.files:
        return NOTHING
    match = _FILE.fullmatch(generation.files["withdrawals"].path)
    assert match, generation.files["withdrawals"].path
    try:
        return ListId(match[1], news_since(files, generation))
    except NotListableError:
        return ListId(match[1])


def listed_ids(files: Files, name: ListId) -> frozenset[str]:
    """Ids of article versions that this list withdraws.

    Raises:
        StreamError: not a name of a list.
        StateGoneError: the file is not kept any more.
    """
    if (name.file and not _HASH.fullmatch(name.file)) or not all(_NEWS.fullmatch(one) for one in name.news):
        raise StreamError("not the name of a withdrawal list")
    ids: set[str] = set()
    try:
        if name.file:
            with files.open_seekable(f"catalogue/withdrawals-{name.file}.parquet") as file:
                table = pq.read_table(file, columns=["listed_id", "article_id"])
            ids.update(table.column("listed_id").to_pylist(), table.column("article_id").to_pylist())
        ids.update(withdrawn_by(files, name.news))
    except FileNotFoundError as error:
        raise StateGoneError(
            "the withdrawal list that this stream began with is not in the store any more: begin a new epoch"
        ) from error
    return frozenset(ids)
