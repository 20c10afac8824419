"""`biomedica serve` and `biomedica key`: the web server from the command line, safe unless told otherwise.

What does not belong here: the app (`app`), settings' meanings (`settings`).
"""

from __future__ import annotations

import os
import re
import tempfile
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from biomedica_assets.settings import Settings

APP = "biomedica_assets.serve.app:create_app"
_GRACE_SECONDS = 30
"""That requests and streams under way get at the end."""


@click.command()
@click.option("--host", default=None, help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", default=None, type=click.IntRange(0, 65535), help="Port.  [default: 8000]")
@click.option("--workers", default=None, type=click.IntRange(1, 64), help="Processes; one a core.  [default: 1]")
@click.option("--store", default=None, metavar="URL", help="Store to serve.  [default: BIOMEDICA_STORE]")
@click.option("--open", "open_", is_flag=True, help="Serve anyone who can reach the address, without keys.")
def serve(host: str | None, port: int | None, workers: int | None, store: str | None, open_: bool) -> None:
    """Serve the store: gallery, REST API, streams. Ctrl-C ends it.

    Everything else is settings (docs/settings.md, docs/server.md). On an address that others can reach, callers need
    keys (`biomedica key NAME`), unless --open.
    """
    try:
        import uvicorn

        from biomedica_assets.serve.limits import is_loopback
        from biomedica_assets.settings import Settings
    except ImportError as error:
        raise click.ClickException(f"{error.name} is missing: pip install 'biomedica_assets[serve,search]'") from error

    # The processes of the server read settings from the environment, like everything else.
    given = {"host": host, "port": port, "workers": workers, "open": "true" if open_ else None}
    os.environ |= {f"BIOMEDICA_SERVE_{name.upper()}": str(value) for name, value in given.items() if value is not None}
    if store:
        os.environ["BIOMEDICA_STORE"] = store
    settings = Settings()
    if not (is_loopback(settings.serve_host) or settings.serve_keys or settings.serve_open):
        raise click.ClickException(
            f"{settings.serve_host} can be reached by others. Make keys (`biomedica key NAME`) and name their file in "
            "BIOMEDICA_SERVE_KEYS, or say --open to serve anyone; behind a proxy, listen on 127.0.0.1"
        )
    _check(settings)
    shown = "127.0.0.1" if settings.serve_host in ("0.0.0.0", "::") else settings.serve_host  # noqa: S104
    if ":" in shown:
        shown = f"[{shown}]"
    click.echo(f"store   {settings.store}")
    click.echo(f"gallery http://{shown}:{settings.serve_port}{settings.serve_root}/")
    click.echo(f"API     http://{shown}:{settings.serve_port}{settings.serve_root}/api")
    with tempfile.TemporaryDirectory(prefix="biomedica-metrics-") as folder:
        if settings.serve_workers > 1:  # processes add up their metrics in files
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
        uvicorn.run(
            APP,
            factory=True,
            host=settings.serve_host,
            port=settings.serve_port,
            workers=settings.serve_workers,
            proxy_headers=bool(settings.serve_proxies),
            forwarded_allow_ips=settings.serve_proxies or None,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            # A backstop behind the gate's own cap: connections, idle ones and downloads included.
            limit_concurrency=20 * settings.serve_concurrency,
            server_header=False,
            access_log=False,
            log_config=None,
        )


def _check(settings: Settings) -> None:
    """Say beforehand what would only show as errors: nothing to serve, keys that cannot be read."""
    from biomedica_assets.search.manifest import POINTER as INDEX
    from biomedica_assets.serve.keys import KeysError, read_keys
    from biomedica_assets.serve.state import NO_CATALOGUE, NO_INDEX
    from biomedica_assets.settings import project_root
    from biomedica_assets.store.catalogue import POINTER
    from biomedica_assets.store.files import Files

    try:
        if settings.serve_keys and not read_keys(project_root() / settings.serve_keys):
            raise click.ClickException(f"{settings.serve_keys} holds no key: `biomedica key NAME` makes one")
    except (KeysError, OSError) as error:
        raise click.ClickException(str(error)) from error
    try:
        files = Files(settings.store)
        missing = [words for path, words in ((POINTER, NO_CATALOGUE), (INDEX, NO_INDEX))
                   if not files.exists(path)]  # fmt: skip
    except OSError as error:
        raise click.ClickException(f"the store {settings.store} cannot be read: {error}") from error
    for words in missing[:1]:
        click.echo(f"note    {words}. The server starts all the same and takes it up when it is there", err=True)


@click.command()
@click.argument("name")
def key(name: str) -> None:
    """Make an API key: printed once, for its user; the line that follows goes into the file of BIOMEDICA_SERVE_KEYS."""
    from biomedica_assets.serve.keys import new_key

    if not re.fullmatch(r"[\w.@-]{1,64}", name, re.ASCII):
        raise click.ClickException("a name has 1 to 64 letters, digits and _ . @ -")
    made, line = new_key(name)
    click.echo(f"key, for {name} alone: {made}", err=True)
    click.echo(line)
