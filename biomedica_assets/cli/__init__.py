"""The commands that are not Dagster's: build everything in one process, extract one article, pack a release, doctor.

Those over a store that stands are in `upkeep` and `dataset`. Heavy imports happen inside the commands, so that
`biomedica --help` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from biomedica_assets import __version__
from biomedica_assets.cli.agents import mcp
from biomedica_assets.cli.dataset import export, subset
from biomedica_assets.cli.entities import entities
from biomedica_assets.cli.quality import teach
from biomedica_assets.cli.search import search
from biomedica_assets.cli.serve import key, serve
from biomedica_assets.cli.upkeep import compact, migrate, snapshot
from biomedica_assets.cli.votes import votes

if TYPE_CHECKING:
    import dagster as dg


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """PubMed Central Open Access as a living dataset. The Dagster UI (`make dev`) is the main surface."""


@main.command()
@click.option("--approve", default="", metavar="RELEASE", help="List a release that was held (YYYY-MM-DD).")
@click.option("--adopt", is_flag=True, help="Accept another source than the one the store was built from.")
@click.option("--export", "exports", multiple=True, metavar="RECIPE", help="Export this recipe's subset too.")
@click.option("--snapshot", default="", metavar="NAME", help="Keep the result under this name, unless it is taken.")
def build(approve: str, adopt: bool, exports: tuple[str, ...], snapshot: str) -> None:
    """Materialize everything for the newest release in this process, recorded in the Dagster instance.

    Chunks that are already valid are not done again: run it after a crash, or every day.
    """
    from biomedica_assets.build import BuildFailedError, Wishes, build_all
    from biomedica_assets.pmc.releases import SourceUnusableError
    from biomedica_assets.store.manifests import StoreError

    with _instance() as instance:
        try:
            click.echo(build_all(instance, Wishes(approve, adopt, exports, snapshot)))
        except (BuildFailedError, StoreError, SourceUnusableError) as error:
            raise click.ClickException(str(error)) from error


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
def extract(paths: tuple[Path, ...]) -> None:
    """Print the records of articles as JSON lines: one object per file, one list of rows per table.

    Each object has the keys `file`, `failures` and one per table. A file that cannot be read gives an object with
    empty lists and its failure; the exit status is 1 only when no file could be read.
    """
    from biomedica_assets.jats.extract import extract_file

    readable = 0
    for path in paths:
        record = extract_file(path)
        readable += any(record["articles"])
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
    if not readable:
        sys.exit(1)


@main.group()
def release() -> None:
    """Releases of one's own."""


@release.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("url")
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="Date of the release; default: today.")
@click.option("--bucket", default=None, help="Bucket name written into the release; default: PMC's own.")
@click.option("--delete-unlisted", is_flag=True, help="Delete objects of versions that SOURCE no longer holds.")
def pack(sources: tuple[str, ...], url: str, day: datetime | None, bucket: str | None, delete_unlisted: bool) -> None:
    """Write the articles below SOURCE as a release in PMC's cloud layout at URL.

    SOURCE (any fsspec URL) may hold article folders, oa_package archives, bulk XML tars and publishers' folders, in
    any mix. Then build from it with BIOMEDICA_SOURCE=URL.
    """
    from tqdm import tqdm

    from biomedica_assets.pmc.keys import BUCKET
    from biomedica_assets.pmc.pack import pack as pack_release

    release_day = (day or datetime.now(UTC)).date()
    try:
        with tqdm(unit="version", desc="packed") as bar:
            report = pack_release(
                list(sources),
                url,
                release=release_day,
                bucket=bucket or BUCKET,
                delete_unlisted=delete_unlisted,
                progress=lambda _: bar.update(),
            )
    except OSError as error:
        raise click.ClickException(f"{type(error).__name__}: {error}") from error
    for problem in report.problems:
        click.echo(f"{problem.file}: {problem.error}: {problem.message}", err=True)
    click.echo(f"{report.versions} versions, {len(report.problems)} problems, inventory {report.manifest}")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Say what is configured, reachable and installed, what the work would cost, and what to do about problems."""
    from biomedica_assets.ingest.doctor import diagnose
    from biomedica_assets.models.doctor import diagnose_encoders

    findings = [*diagnose(), *diagnose_encoders()]
    if as_json:
        click.echo(json.dumps([finding.__dict__ for finding in findings], indent=1))
    else:
        for finding in findings:
            mark = click.style("ok  " if finding.ok else "FIX ", fg="green" if finding.ok else "red")
            click.echo(f"{mark}{finding.topic:<12} {finding.message}")
            if finding.advice and not finding.ok:
                click.echo(f"{'':<16} -> {finding.advice}")
    if not all(finding.ok for finding in findings):
        sys.exit(1)


for command in (snapshot, compact, migrate, subset, export, entities, search, serve, key, mcp, votes, teach):
    main.add_command(command)


@contextmanager
def _instance() -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of $DAGSTER_HOME, else of .dagster_home/ in the checkout (what `make dev` shows)."""
    from biomedica_assets.settings import project_root

    home = Path(os.environ.get("DAGSTER_HOME") or project_root() / ".dagster_home")
    home.mkdir(parents=True, exist_ok=True)
    config, shipped = home / "dagster.yaml", project_root() / "dagster.yaml"
    if not config.exists() and shipped.exists():
        config.symlink_to(shipped)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")

    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        yield instance
