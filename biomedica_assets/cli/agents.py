"""`biomedica mcp`: the dataset as tools for a chat agent on this machine.

What does not belong here: the tools (`serve.tools`).
"""

from __future__ import annotations

import os

import click


@click.command()
@click.option("--store", default=None, metavar="URL", help="Store to answer from.  [default: BIOMEDICA_STORE]")
@click.option("--schema", is_flag=True, help="Print the tools as functions of chat completions instead.")
def mcp(store: str | None, schema: bool) -> None:
    """Serve tools to a chat agent by the Model Context Protocol over standard input and output.

    The agent's program starts this command itself (docs/agents.md); logs go to standard error.
    """
    try:
        from biomedica_assets.serve.openai_tools import tool_list

        if schema:
            click.echo(tool_list().model_dump_json(indent=1))
            return
        import anyio

        from biomedica_assets.serve import logs
        from biomedica_assets.serve.mcp_server import serve_stdio
        from biomedica_assets.serve.metrics import Metrics
        from biomedica_assets.serve.state import State
        from biomedica_assets.settings import Settings
    except ImportError as error:
        raise click.ClickException(f"{error.name} is missing: pip install 'biomedica_assets[serve,search]'") from error
    if store:
        os.environ["BIOMEDICA_STORE"] = store
    logs.configure()
    anyio.run(serve_stdio, State(Settings(), Metrics()))
