"""What commands share: the project they are for, and colours."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from dialplan.config import dotenv, problems
from dialplan.config.layers import reason
from dialplan.config.loading import Loading, load
from dialplan.config.model import Agent
from dialplan.config.problems import Ink, Problem
from dialplan.config.rules.phone_numbers import as_dialled, is_dialled
from dialplan.errors import ConfigError
from dialplan.journal import address
from dialplan.journal.address import Database
from dialplan.server.environment import VARIABLES
from dialplan.words import printable

_Command = TypeVar("_Command", bound=Callable[..., Any])


def root_option(command: _Command) -> _Command:
    """`--root`."""
    return click.option(
        "--root",
        type=click.Path(path_type=Path, file_okay=False, exists=True, resolve_path=True),
        default=".",
        help="The project: the folder with agents/ and plugins/. This folder, unless given.",
    )(command)


def read_dotenv(root: Path, tell: bool = True) -> dict[str, str]:
    """`.env` of the project, for plugins too; what the environment says already wins. Returns what it said.

    Args:
        root: the project.
        tell: say what is wrong in it. What another process has said already, nobody needs to hear again.

    Raises:
        ConfigError: `.env` cannot be read.
    """
    given, text = dict(os.environ), _dotenv(root)
    for remark in dotenv.remarks(text, VARIABLES.keys() - given.keys()) if tell else ():
        click.echo(f".env:{remark.line}: {remark.words}", err=True)
    os.environ.update({**dotenv.values(text, given), **given})
    os.environ.setdefault("DIALPLAN_VAR", str(root / "var"))
    return given


def _dotenv(root: Path) -> str:
    try:
        text = (root / ".env").read_text("utf-8-sig")
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise ConfigError(f".env cannot be read: {reason(exc)}") from exc
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ConfigError(".env is not text in UTF-8; save it as UTF-8")
    return text


def database(root: Path) -> Database:
    """Where the project's records go, by the variables as they are. Raises ConfigError: DATABASE_URL is no database."""
    return address.database(os.environ.get("DATABASE_URL", ""), root, Path(os.environ["DIALPLAN_VAR"]))


def project(root: Path) -> Path:
    """The folder, if it is a project's. Raises ConfigError: it is not."""
    if not (root / "agents").is_dir():
        raise ConfigError(f"there is no folder agents/ in {root}; go to your project, or name it with --root")
    return root


def loaded(root: Path, demand_secrets: bool = True) -> Loading:
    """The project's files, read. Raises ConfigError: there is no project."""
    return load(project(root), os.environ if demand_secrets else None)


def agent_of(loading: Loading, name: str) -> Agent:
    """An agent by its name. Raises ConfigError: there is none that can answer; the text says which there are."""
    known_agent(loading, name)
    if name not in loading.dialplan.agents:
        raise ConfigError(f"{name} has mistakes; see: dialplan check")
    return loading.dialplan.agents[name]


def known_agent(loading: Loading, name: str) -> str:
    """The name of an agent that has a file, be it with mistakes. Raises ConfigError: it has none that is read."""
    agents = {*loading.dialplan.agents, *loading.set_aside}
    if name in agents:
        return name
    if name.rpartition("/")[2].startswith("_"):
        raise ConfigError(f"{name} is no agent but lies under others, and is read with them")
    for problem in unread(loading):
        if problem.place.file.casefold().startswith(f"agents/{name}.".casefold()):
            raise ConfigError(f"there is no agent {name}: {_in_a_line(problem)}")
    suggestion = problems.did_you_mean(name, agents)
    raise ConfigError(f"there is no agent {name}; {suggestion or 'there are: ' + (problems.listed(agents) or 'none')}")


def unread(loading: Loading) -> list[Problem]:
    """Files that somebody took for an agent's, and nobody reads."""
    return [problem for problem in loading.problems if problem.code == "W502"]


def _in_a_line(problem: Problem) -> str:
    return f"{problem.place.file}: {problem.message}; {problem.help}"


def show_unread(loading: Loading) -> None:
    """Say why an agent is not among those that are shown."""
    for problem in unread(loading):
        click.echo(_in_a_line(problem), err=True)


def name_meant(root: Path, text: str) -> str:
    """An agent's name, of what somebody typed: the name, or the path of its file."""
    if not re.search(r"(?i)\.ya?ml(\.txt)?$", text) and not text.startswith(("agents/", "./", "/")):
        return text
    path, folder = Path(text).resolve(), root / "agents"
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else text.removeprefix("agents/")
    return re.sub(r"(?i)\.ya?ml(\.txt)?$", "", name)


def number_meant(text: str) -> str:
    """A number or address as calls name it, of what somebody typed: `+1 555 …`, `0049 …`; says so where it is another.

    Raises:
        ConfigError: the country is not in it, or it is none at all.
    """
    written = text.strip()
    if is_dialled(written):
        return written
    number = as_dialled(written)
    if not is_dialled(number):
        message = f"{problems.shown(text)} is no number as it is dialled"
        raise ConfigError(f"{message}; write it with a plus and its country: +49…")
    click.echo(f"{printable(written, '')} is taken for {number}", err=True)
    return number


_COLOURS: Mapping[Ink, dict[str, Any]] = {
    Ink.PLACE: {"bold": True},
    Ink.MESSAGE: {"bold": True},
    Ink.ERROR: {"fg": "red", "bold": True},
    Ink.WARNING: {"fg": "yellow", "bold": True},
    Ink.GUTTER: {"fg": "blue", "bold": True},
}


def painted(stream: TextIO) -> problems.Paint:
    """Colours where a person looks at a terminal, and does without only if asked to (https://no-color.org)."""
    if not stream.isatty() or os.environ.get("NO_COLOR"):
        return lambda text, ink: text
    return lambda text, ink: click.style(text, **_COLOURS[ink])


def show_problems(loading: Loading) -> None:
    if loading.problems:
        click.echo(problems.as_text(loading.problems, loading.texts, painted(sys.stderr)) + "\n", err=True)
    for name in loading.set_aside:
        click.echo(f"dialplan: {name} is set aside until its file is corrected; the others answer", err=True)
