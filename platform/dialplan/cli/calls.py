"""`dialplan calls`: what is on record of calls. Each command parses, asks journal/, and prints."""

import asyncio
import json
import re
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dialplan.cli.project import database, number_meant, read_dotenv, root_option
from dialplan.config.files import Files
from dialplan.config.layers import Layers
from dialplan.config.problems import did_you_mean, listed
from dialplan.config.rules.phone_numbers import is_dialled
from dialplan.errors import ConfigError, JournalError
from dialplan.journal.address import Database
from dialplan.words import counted

if TYPE_CHECKING:
    from dialplan.journal.reading import Question

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Answer = TypeVar("_Answer")


class _Since(click.ParamType[datetime]):
    """A moment, or how long ago."""

    name = "WHEN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        units = {"d": "days", "h": "hours", "m": "minutes"}
        try:
            if ago := re.fullmatch(r"(\d+)([dhm])", value):
                return datetime.now(UTC) - timedelta(**{units[ago[2]]: int(ago[1])})
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no moment; write 2026-11-25, 2026-11-25T10:00, 7d, 12h or 30m", param, ctx)


def _which(command: _Command) -> _Command:
    """The options that choose calls."""
    command = click.option("--agent", default="", help="Of this agent.")(command)
    command = click.option("--number", default="", help="With this number on either side.")(command)
    return click.option("--since", type=_Since(), help="From then on: 2026-11-25, 7d, 12h, 30m.")(command)


def _records(root: Path) -> Database:
    read_dotenv(root)
    return database(root)


def _known_agent(root: Path, records: Database, agent: str) -> str:
    """An agent that has a file or a record. Raises ConfigError: it has neither."""
    from dialplan.journal import archive

    if not agent or (root / "agents" / f"{agent}.yaml").is_file():
        return agent
    layers = Layers(root, Files())
    known = {*map(layers.agent_name, layers.agent_files()), *_asked(archive.agents(records))}
    if agent in known:
        return agent
    there_are = f"there are: {listed(known)}" if known else "there are none"
    raise ConfigError(f"there is no agent {agent}, and no record of one; {did_you_mean(agent, known) or there_are}")


def _number_of(text: str, on_record: Callable[[str], Coroutine[Any, Any, object]]) -> str:
    """A number as records have it; what stands there exactly so is that, though nobody could dial it.

    Raises:
        ConfigError: it is written so that nobody can tell which one is meant.
    """
    if not text or is_dialled(text.strip()):
        return text
    return text if _asked(on_record(text)) else number_meant(text)


def _question(root: Path, records: Database, agent: str, number: str, since: datetime | None) -> "Question":
    from dialplan.journal import archive
    from dialplan.journal.reading import Question

    known = _number_of(number, lambda text: archive.listed(records, Question(number=text), 1))
    return Question(_known_agent(root, records, agent), known, since)


def _asked(question: Coroutine[Any, Any, _Answer]) -> _Answer:
    return asyncio.run(question)


@click.group("calls")
def calls() -> None:
    """What is on record of calls: list, show, compare, export, delete."""


@calls.command("list")
@root_option
@_which
@click.option("--last", default=50, show_default=True, type=click.IntRange(1), help="Not more than the last so many.")
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def list_(root: Path, agent: str, number: str, since: datetime | None, last: int, as_json: bool) -> None:
    """The calls, the newest first."""
    from dialplan.journal import archive, printing

    records = _records(root)
    found = _asked(archive.listed(records, _question(root, records, agent, number, since), last))
    if as_json:
        click.echo(json.dumps([printing.as_object(call) for call in found], indent=2, ensure_ascii=False))
    elif found:
        click.echo(printing.table(found))
    else:
        click.echo("no call is on record", err=True)


@calls.command()
@root_option
@click.argument("call", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="For a program; with the Settings.")
def show(root: Path, call: str, as_json: bool) -> None:
    """A call from its beginning to its end. ID may be a unique beginning."""
    from dialplan.journal import archive, printing

    [found] = _asked(archive.calls(_records(root), [call]))
    click.echo(printing.as_line(found) if as_json else printing.conversation(found))


@calls.command()
@root_option
@_which
def export(root: Path, agent: str, number: str, since: datetime | None) -> None:
    """Whole calls, the oldest first: a line of JSON for each."""
    from dialplan.journal import archive, printing

    records = _records(root)
    question = _question(root, records, agent, number, since)

    async def export_all() -> None:
        async for call in archive.whole(records, question):
            click.echo(printing.as_line(call))

    _asked(export_all())


@calls.command()
@root_option
@click.option("--number", required=True, help="The caller's number; for calls that we placed, who was called.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(root: Path, number: str, yes: bool) -> None:
    """Delete every call of a person's number for good, also what is still being written."""
    from dialplan.journal import archive

    if not number.strip():
        raise click.UsageError("--number is empty: calls without a number are nobody's")
    records = _records(root)
    number = _number_of(number, lambda text: archive.count(records, text))
    if not yes:
        _confirm(number, _asked(archive.count(records, number)))
    deleted = _asked(archive.delete(records, number))
    click.echo(f"{counted(deleted, 'call')} deleted")


def _confirm(number: str, count: int) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here; say --yes")
    click.confirm(f"Delete {counted(count, 'call')} of {number} for good?", abort=True, err=True)


@calls.command()
@root_option
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
def diff(root: Path, one: str, other: str) -> None:
    """How the Settings of two calls differ; exit 1 where they do."""
    from dialplan.journal import archive, printing

    pair = _asked(archive.calls(_records(root), [one, other]))
    for call in pair:
        if call.settings is None:
            raise JournalError(f"{call.id} has no Settings on record: it ended before they were sent")
    if difference := printing.difference(*pair):
        click.echo(difference)
        sys.exit(1)
    click.echo("the Settings are the same")
