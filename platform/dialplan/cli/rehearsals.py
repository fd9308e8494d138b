"""`rehearse` and `demo`: agents are called, offline."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from dialplan import log
from dialplan.cli.project import agent_of, loaded, name_meant, read_dotenv, root_option, show_problems
from dialplan.server.environment import private_hosts

#: How much faster than life rehearsals are played. The demo is for people to follow, and takes its time.
PACE = 4.0


@click.command()
@root_option
@click.argument("agents", nargs=-1, metavar="[AGENT]...")
def rehearse(root: Path, agents: Sequence[str]) -> None:
    """Play the rehearsals, each as a real call against the offline service."""
    from dialplan.rehearsal import theatre

    log.configure("WARNING")
    read_dotenv(root)
    private = private_hosts(os.environ)
    loading = loaded(root)
    chosen = [agent_of(loading, name_meant(root, name)) for name in agents]
    if not chosen:
        show_problems(loading)
    played = chosen or list(loading.dialplan.agents.values())
    show = click.echo if sys.stdout.isatty() else _quietly
    outcomes = asyncio.run(theatre.rehearse(loading, played, None, show, PACE, private))
    click.echo(theatre.table(outcomes))
    sys.exit(theatre.exit_code(outcomes, () if chosen else loading.set_aside))


@click.command()
@root_option
@click.option(
    "--wav", type=click.Path(path_type=Path, file_okay=False), help="Where calls are saved; var/demo, unless given."
)
def demo(root: Path, wav: Path | None) -> None:
    """Call every agent offline, and print what is said as it is said."""
    from dialplan.rehearsal import theatre

    log.configure("WARNING")
    read_dotenv(root)
    private = private_hosts(os.environ)
    loading = loaded(root)
    show_problems(loading)
    folder = wav or root / "var" / "demo"
    agents = list(loading.dialplan.agents.values())
    outcomes = asyncio.run(theatre.rehearse(loading, agents, folder, click.echo, private=private))
    click.echo("\n" + theatre.table(outcomes))
    sys.exit(theatre.exit_code(outcomes, loading.set_aside))


def _quietly(line: str) -> None:
    """Progress is for people; a pipe gets the result."""
