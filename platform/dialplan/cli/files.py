"""What agent files say: `check`, `settings`, `routes`, `show`, `schema`."""

import json
import os
import sys
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import click

from dialplan.call import settings as rendering
from dialplan.cli.project import (
    agent_of,
    known_agent,
    loaded,
    name_meant,
    number_meant,
    painted,
    project,
    read_dotenv,
    root_option,
    show_unread,
)
from dialplan.config import problems
from dialplan.config.dialplan import Dialplan, Route
from dialplan.config.loading import Loading
from dialplan.config.problems import Ink, Problem, Severity
from dialplan.config.rules import shape
from dialplan.config.writing import editor, resolved
from dialplan.facts import Call
from dialplan.server.environment import private_hosts
from dialplan.words import counted


@click.command()
@root_option
@click.argument("agents", nargs=-1, metavar="[AGENT]...")
@click.option("--format", "format_", type=click.Choice(["text", "json", "github"]), default="text", show_default=True)
@click.option("--no-env", is_flag=True, help="Do not ask for the values of ${NAME}; for CI, which has no secrets.")
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
def check(root: Path, agents: Sequence[str], format_: str, no_env: bool, strict: bool) -> None:
    """Find every mistake in every agent file; or in those of some agents, and in all that they build on."""
    read_dotenv(root)
    if not no_env:
        private_hosts(os.environ)  # What cannot be read is told before what it would allow.
    loading = loaded(root, demand_secrets=not no_env)
    chosen = [known_agent(loading, name_meant(root, agent)) for agent in agents]
    found = _problems_of(loading, chosen) if chosen else loading.problems
    match format_:
        case "json":
            click.echo(problems.as_json(found))
        case "github":
            click.echo(problems.as_github(found), nl=bool(found))
        case _:
            if found:
                click.echo(problems.as_text(found, loading.texts, painted(sys.stdout)) + "\n")
            click.echo(
                _summary(found, [name for name in chosen or loading.dialplan.agents if name in loading.dialplan.agents])
            )
    sys.exit(1 if problems.has_errors(found) or (strict and found) else 0)


def _problems_of(loading: Loading, agents: Sequence[str]) -> tuple[Problem, ...]:
    wanted = {problem for agent in agents for problem in loading.by_agent[agent]}
    return tuple(problem for problem in loading.problems if problem in wanted)


def _summary(found: Sequence[Problem], answering: Collection[str]) -> str:
    errors = sum(problem.severity is Severity.ERROR for problem in found)
    sums = [(errors, "error"), (len(found) - errors, "warning")]
    agents = counted(len(answering), "agent")
    return f"{agents} can answer; " + (", ".join(counted(*one) for one in sums if one[0]) or "no mistakes")


@click.command()
@root_option
@click.argument("agent")
@click.option("--from", "from_", default="", metavar="NUMBER", help="Who calls.")
@click.option("--to", default="", metavar="NUMBER", help="The number that is called; the agent's first, unless given.")
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="A parameter of the stream; may be repeated.")
def settings(root: Path, agent: str, from_: str, to: str, param: Sequence[str]) -> None:
    """Print the Settings that a call would get, as JSON; secrets as ${NAME}."""
    found = agent_of(loaded(root, demand_secrets=False), name_meant(root, agent))
    if any("=" not in pair for pair in param):
        raise click.UsageError("--param is written NAME=VALUE")
    call = Call(
        id="CA" + "0" * 32,
        from_=from_,
        to=to or next((number for number, _ in found.numbers), ""),
        started=datetime.now(found.timezone),
        params=MappingProxyType(dict(pair.split("=", 1) for pair in param)),
    )
    click.echo(rendering.shown(rendering.settings(found, call)))


@click.command()
@root_option
@click.argument("address", required=False, metavar="[NUMBER|PATH]")
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def routes(root: Path, address: str | None, as_json: bool) -> None:
    """Who answers what; or who answers this number or path, and why."""
    loading = loaded(root, demand_secrets=False)
    dialplan = loading.dialplan
    for name in loading.set_aside:
        click.echo(f"{name} has mistakes and answers nothing; see: dialplan check", err=True)
    show_unread(loading)
    if address is None:
        _show_routes(_all_routes(dialplan), as_json)
        return
    if address.startswith("/"):
        found = list(dialplan.streams.get(address, ()))
    else:
        address = number_meant(address)
        found = dialplan.matching(address)
    if as_json:
        _show_routes(found, as_json)
    elif found:
        click.echo(f"{address} is answered by {found[0].agent.name}, because of {found[0].place}: {found[0].pattern}")
        for other in found[1:]:
            click.echo(f"  also fits: {other.agent.name}, {other.place}: {other.pattern}")
    else:
        click.echo(f"nobody answers {address}", err=True)
    sys.exit(0 if found else 1)


def _all_routes(dialplan: Dialplan) -> list[Route]:
    return [*dialplan.numbers.values(), *(route for sharing in dialplan.streams.values() for route in sharing)]


def _show_routes(routes: Sequence[Route], as_json: bool) -> None:
    if as_json:
        rows = [{"route": r.pattern, "agent": r.agent.name, "file": r.place.file, "line": r.place.line} for r in routes]
        click.echo(json.dumps(rows, indent=2))
        return
    width = max((len(route.pattern) for route in routes), default=0)
    agents = max((len(route.agent.name) for route in routes), default=0)
    for route in routes:
        click.echo(f"{route.pattern:<{width}}  {route.agent.name:<{agents}}  {route.place}")


@click.command()
@root_option
@click.argument("agent")
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def show(root: Path, agent: str, as_json: bool) -> None:
    """Print an agent's file with all that it builds on, and where each value comes from.

    Values of ${NAME} are not looked up. A file with mistakes can be shown as long as it is YAML.
    """
    agent = name_meant(root, agent)
    tree = resolved.resolved(project(root), agent)
    if tree is None:
        agent_of(loaded(root, demand_secrets=False), agent)  # Says why.
        return
    if as_json:
        click.echo(resolved.as_json(tree))
    else:
        click.echo(resolved.as_yaml(tree, lambda text: painted(sys.stdout)(text, Ink.GUTTER)), nl=False)


@click.command()
@root_option
@click.option("--write", is_flag=True, help="Put it beside the agents, and tell editors of it.")
def schema(root: Path, write: bool) -> None:
    """Print the JSON Schema of an agent file, for editors.

    --write puts it beside the agents, a first line into each of them that tells editors, and VS Code's settings. From
    then on mistakes are underlined while you type, and every key explains itself.
    """
    if not write:
        click.echo(json.dumps(shape.schema(), indent=2, ensure_ascii=False))
        return
    for written in editor.write(project(root)):
        click.echo(f"{written.file.relative_to(root)}: {written.done}")
    click.echo("VS Code needs the extension redhat.vscode-yaml; other editors, yaml-language-server.", err=True)
