"""Upload of a finished export to a dataset repository of the Hugging Face hub, or of a server that speaks its protocol.

Needs `huggingface_hub` (extra ``hub``). What does not belong here: copies to other fsspec URLs
(`export_upkeep.copy_export`), the words of a dataset card.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biomedica_assets.dataset.export_manifest import Export
from biomedica_assets.store.files import Files

if TYPE_CHECKING:
    from huggingface_hub import HfApi

BATCH_FILES = 16
"""Shards in one commit: what an interrupted upload may have to send again."""


class HubError(Exception):
    """The hub refuses, or cannot be reached; the message says what it answered."""


@dataclass(frozen=True)
class Uploaded:
    """What an upload did: files sent, files that were there already, files deleted; address of the repository."""

    sent: int
    present: int
    deleted: int
    url: str


def upload_export(
    source: Files,
    record: Export,
    repository: str,
    *,
    token: str,
    endpoint: str | None = None,
    card: str | None = None,
    private: bool = True,
) -> Uploaded:
    """Make a dataset repository hold this export: what it lacks is sent, shards of other exports are deleted.

    The repository then has ``data/``, ``index.pq``, ``manifest.json`` (last, with the deletions) and ``README.md``.
    An interrupted upload goes on where it stopped.

    Args:
        source: where the export lies.
        record: its manifest.
        repository: "owner/name"; created when it is not there.
        token: access token with the right to write.
        endpoint: address of the hub; default huggingface.co.
        card: text of README.md; default one that says which files are the data.
        private: whether a repository that is created is private.

    Raises:
        HubError: see there.
        ImportError: huggingface_hub is not installed.
    """
    from huggingface_hub import CommitOperationDelete, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(endpoint=endpoint, token=token)
    try:
        address = str(api.create_repo(repository, repo_type="dataset", exist_ok=True, private=private))
        held = _held(api, repository)
        missing = [shard for shard in record.shards if held.get(shard.path) != shard.sha256]
        for start in range(0, len(missing), BATCH_FILES):
            paths = [shard.path for shard in missing[start : start + BATCH_FILES]]
            _commit(api, repository, source, record, paths, f"{record.name}: {len(paths)} shards")
        ours = {shard.path for shard in record.shards}
        stale = sorted(path for path in held if path.startswith("data/") and path not in ours)
        extra: list[Any] = [CommitOperationDelete(path) for path in stale]
        extra.append(_addition("README.md", (card or default_card(record)).encode()))
        words = f"{record.name}: {record.counts['samples']} samples, {len(record.tombstones)} tombstones"
        _commit(api, repository, source, record, ["index.pq", "manifest.json"], words, extra)
    except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        raise HubError(f"{repository}: {type(error).__name__}: {error}") from error
    return Uploaded(len(missing), len(record.shards) - len(missing), len(stale), address)


def repository_name(prefix: str, record: Export) -> str:
    """The repository of an export: ``owner/prefix`` of the settings, recipe and format; hubs like no underscores."""
    owner, _, start = prefix.partition("/")
    return f"{owner}/" + f"{start}-{record.name}-{record.options['format']}".replace("_", "-")


def default_card(record: Export) -> str:
    """README.md of a data repository: which files are the data, what they hold, and that tombstones count."""
    suffix = "parquet" if record.options["format"] == "parquet" else "tar"
    groups = ", ".join(record.recipe["licence_groups"])
    return (
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n"
        f"    path: data/*.{suffix}\n---\n"
        f"# {record.name}\n\n{record.recipe.get('description', '')}\n\n"
        f"{record.counts['samples']} images of PubMed Central's Open Access articles, licence groups: {groups}. "
        "Every image has its own licence and attribution; both travel with it.\n\n"
        "`manifest.json` names every file with its SHA-256, the state of the dataset it was made from and the ids that "
        "were withdrawn since (`tombstones`): drop them from any copy.\n"
    )


def _held(api: HfApi, repository: str) -> dict[str, str | None]:
    """SHA-256 by path of the repository's files; null for small ones that are not stored by hash."""
    from huggingface_hub.hf_api import RepoFile

    tree = api.list_repo_tree(repository, repo_type="dataset", recursive=True)
    return {entry.path: entry.lfs.sha256 if entry.lfs else None for entry in tree if isinstance(entry, RepoFile)}


def _commit(
    api: HfApi,
    repository: str,
    source: Files,
    record: Export,
    paths: list[str],
    message: str,
    extra: list[Any] | None = None,
) -> None:
    with contextlib.ExitStack() as stack:
        operations = [_addition(path, stack.enter_context(_local(source, f"{record.folder}/{path}"))) for path in paths]
        api.create_commit(
            repository, operations=[*operations, *(extra or [])], commit_message=message, repo_type="dataset"
        )


def _addition(path: str, content: str | bytes) -> Any:
    from huggingface_hub import CommitOperationAdd

    return CommitOperationAdd(path_in_repo=path, path_or_fileobj=content)


@contextlib.contextmanager
def _local(source: Files, path: str) -> Iterator[str]:
    """The file on this machine: itself, or a copy for as long as it is needed."""
    local = source.local_path(path)
    if local is not None:
        yield str(local)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        with copy.open("wb") as file:
            for block in source.stream(path):
                file.write(block)
        yield str(copy)
