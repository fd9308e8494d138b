"""`serve`: answer calls."""

import os
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from socket import socket

import click

from dialplan import __version__, log
from dialplan.cli.project import database, project, read_dotenv, root_option, show_problems
from dialplan.config.dialplan import Dialplan
from dialplan.config.loading import Loader, Loading
from dialplan.journal.address import Database
from dialplan.metrics import Metrics
from dialplan.server import hangup, seats
from dialplan.server import serve as server
from dialplan.server import workers as processes
from dialplan.server.admission import Admission
from dialplan.server.app import answering
from dialplan.server.environment import Environment, environment
from dialplan.server.lateness import Lateness
from dialplan.server.ledger import Folder, Memory
from dialplan.server.live import Drain, Live
from dialplan.server.reload import Reload, reloading


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@root_option
@click.option("--offline", is_flag=True, help="A stand-in hears and speaks instead of Deepgram; no key is needed.")
@click.option("--insecure", is_flag=True, help="Do not check Twilio's signatures. Not where others can reach it.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes on the one port.")
@click.option("--no-reload", is_flag=True, help="Do not watch the files; a SIGHUP still reads them again.")
@click.option(
    "--drain",
    default="wait",
    show_default=True,
    type=click.Choice(["wait", "move"]),
    help="After SIGTERM: wait for the calls on the line, or hand them to another process that lives.",
)
@click.option(
    "--drain-seconds", type=click.FloatRange(0), help="No longer than that; as long as calls last, unless given."
)
@click.option("--log-level", default="INFO", show_default=True, type=click.Choice(["DEBUG", "INFO", "WARNING"]))
@click.option("--fd", type=int, hidden=True, help="A listening socket that the parent process hands over.")
@click.option("--lifeline", type=int, hidden=True, help="A pipe that closes when the parent process is gone.")
def serve(
    host: str,
    port: int,
    root: Path,
    offline: bool,
    insecure: bool,
    workers: int,
    no_reload: bool,
    drain: str,
    drain_seconds: float | None,
    log_level: str,
    fd: int | None,
    lifeline: int | None,
) -> None:
    """Answer calls.

    A file saved in agents/ or plugins/ is live within a second; calls on the line keep what they began with. After
    SIGTERM or Ctrl-C no new calls are taken, and those on the line come to their end; a second one ends at once.
    """
    hangup.hold()
    given = read_dotenv(root, tell=fd is None)
    log.configure(log_level)
    loader = Loader(project(root), given)
    loading = loader.first()
    told = environment(os.environ, insecure=insecure, offline=offline)
    records = database(root)
    listener = server.adopt(fd) if fd is not None else server.listen(host, port)
    if fd is None:
        show_problems(loading)
        _show_answering(loading.dialplan, server.address(listener), told.public_url, insecure)
        if offline:
            click.echo("--offline: a stand-in answers for Deepgram, and understands what rehearsals say.", err=True)
    if workers > 1:
        options = ["--root", str(root), "--log-level", log_level]
        options += ["--drain", drain] + (["--drain-seconds", str(drain_seconds)] if drain_seconds is not None else [])
        options += ["--offline"] * offline + ["--insecure"] * insecure + ["--no-reload"] * no_reload
        sys.exit(processes.supervise(options, listener, workers, {**given, "DIALPLAN_SECRET": told.secret}))
    reload = Reload(root, loader, loading)
    way = Drain(drain == "move", drain_seconds)
    server.run(_serve(reload, listener, lifeline, told, records, way, offline=offline, watch=not no_reload))


async def _serve(
    reload: Reload,
    listener: socket,
    lifeline: int | None,
    told: Environment,
    records: Database,
    drain: Drain,
    *,
    offline: bool,
    watch: bool,
) -> None:
    from dialplan.journal.journal import Journal  # The other commands start sooner without it.

    shared = os.environ.get(processes.LEDGER_VARIABLE)
    async with AsyncExitStack() as stack:
        if offline:
            from dialplan.rehearsal.service import offline as stand_in  # Its packages come with an extra.

            service = await stack.enter_async_context(stand_in(reload.loading.dialplan.agents))
            reload.told.append(lambda loading: service.know(loading.dialplan.agents))
            told = replace(told, deepgram_url=service.url)
        ledger = Folder(Path(shared) / "ledger") if shared else Memory()
        places = seats.Folder(Path(shared) / "seats") if shared else seats.Memory()
        metrics = Metrics()
        admission = Admission(places, told.deepgram_sessions, stack.enter_context(Lateness(metrics)))
        journal = Journal(records, metrics)
        journal.keep(_kept_days(reload.loading))
        await stack.enter_async_context(journal)
        reload.told.append(lambda loading: journal.keep(_kept_days(loading)))
        live: Live = await stack.enter_async_context(
            answering(reload.loading, told, ledger=ledger, records=journal, metrics=metrics, admission=admission)
        )
        reload.told.append(live.take)
        reload.failed = metrics.not_loaded
        await stack.enter_async_context(reloading(reload, watch=watch))
        await server.serve(live, listener, lifeline, drain)


def _kept_days(loading: Loading) -> dict[str, int | None]:
    return {name: agent.records.keep_days for name, agent in loading.dialplan.agents.items()}


def _show_answering(dialplan: Dialplan, address: str, public_url: str, insecure: bool) -> None:
    click.echo(f"Dialplan {__version__} answers on {address}")
    for agent in dialplan.agents.values():
        reached = [route for route, _ in (*agent.numbers, *agent.streams)]
        click.echo(f"  {agent.name:<16} {', '.join(reached)}")
    if public_url:
        click.echo(f"Twilio's webhook: {public_url}/twilio/voice")
    elif not insecure:
        click.echo("PUBLIC_URL is not set: signatures are checked against the address that a request names.", err=True)
    if insecure:
        click.echo("--insecure: whoever reaches this port can place calls.", err=True)
    sys.stdout.flush()
