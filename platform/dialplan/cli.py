"""The commands. Each parses, calls one function of the rooms below, and prints."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from socket import socket
from types import MappingProxyType
from typing import Any, TextIO, TypeVar

import click
from dotenv import load_dotenv

from dialplan import __version__, log
from dialplan.call import settings as rendering
from dialplan.calls import calls
from dialplan.config import problems
from dialplan.config.dialplan import Dialplan, Route
from dialplan.config.loading import Loader, Loading, load
from dialplan.config.model import Agent
from dialplan.config.problems import Ink, Place, Problem, Severity
from dialplan.config.rules import shape
from dialplan.config.writing import answers, editor, new_agent, resolved
from dialplan.config.writing.starting import Beginning, usual_description
from dialplan.errors import ConfigError, DialplanError
from dialplan.facts import Call
from dialplan.journal.address import Database
from dialplan.journal.address import database as database_of
from dialplan.metrics import Metrics
from dialplan.server import serve as server
from dialplan.server import workers as processes
from dialplan.server.app import answering
from dialplan.server.doctor import examination, findings
from dialplan.server.doctor.examination import Examination
from dialplan.server.doctor.findings import Finding
from dialplan.server.environment import Environment, environment
from dialplan.server.ledger import Folder, Memory
from dialplan.server.live import Live
from dialplan.server.reload import Reload, reloading

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Commands(click.Group):
    """Says what our own errors say, without a traceback: the command cannot do what was asked (exit code 2)."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DialplanError as exc:
            click.echo(f"dialplan: {exc}", err=True)
            ctx.exit(2)


def _root(command: _Command) -> _Command:
    return click.option(
        "--root",
        type=click.Path(path_type=Path, file_okay=False, exists=True, resolve_path=True),
        default=".",
        help="The project: the folder with agents/ and plugins/. This folder, unless given.",
    )(command)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="dialplan")
def main() -> None:
    """Many phone numbers, each answered by a voice agent, each agent one YAML file."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@_root
@click.option("--offline", is_flag=True, help="A stand-in hears and speaks instead of Deepgram; no key is needed.")
@click.option("--insecure", is_flag=True, help="Do not check Twilio's signatures. Not where others can reach it.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes on the one port.")
@click.option("--no-reload", is_flag=True, help="Do not watch the files; a SIGHUP still reads them again.")
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
    log_level: str,
    fd: int | None,
    lifeline: int | None,
) -> None:
    """Answer calls.

    A file saved in agents/ or plugins/ is live within a second; calls on the line keep what they began with. After
    SIGTERM or Ctrl-C no new calls are taken, and those on the line come to their end; a second one ends at once.
    """
    log.configure(log_level)
    given = _read_dotenv(root)
    loader = Loader(_project(root), given)
    loading = loader.first()
    told = environment(os.environ, insecure=insecure, offline=offline)
    database = _database(root)
    listener = server.adopt(fd) if fd is not None else server.listen(host, port)
    if fd is None:
        _show_problems(loading)
        _show_answering(loading.dialplan, server.address(listener), told.public_url, insecure)
        if offline:
            click.echo("--offline: a stand-in answers for Deepgram, and understands what rehearsals say.", err=True)
    if workers > 1:
        options = ["--root", str(root), "--log-level", log_level]
        options += ["--offline"] * offline + ["--insecure"] * insecure + ["--no-reload"] * no_reload
        sys.exit(processes.supervise(options, listener, workers, {**given, "DIALPLAN_SECRET": told.secret}))
    reload = Reload(root, loader, loading)
    server.run(_serve(reload, listener, lifeline, told, database, offline=offline, watch=not no_reload))


async def _serve(
    reload: Reload,
    listener: socket,
    lifeline: int | None,
    told: Environment,
    database: Database,
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
        metrics = Metrics()
        journal = Journal(database, metrics)
        journal.keep(_kept_days(reload.loading))
        reload.told.append(lambda loading: journal.keep(_kept_days(loading)))
        await stack.enter_async_context(journal)
        ledger = Folder(Path(shared)) if shared else Memory()
        live: Live = await stack.enter_async_context(
            answering(reload.loading, told, ledger=ledger, observe=journal.observe, metrics=metrics)
        )
        reload.told.append(live.take)
        await stack.enter_async_context(reloading(reload, watch=watch))
        await server.serve(live, listener, lifeline)


main.add_command(calls)


@main.command()
@_root
@click.option("--format", "format_", type=click.Choice(["text", "json", "github"]), default="text", show_default=True)
@click.option("--no-env", is_flag=True, help="Do not ask for the values of ${NAME}; for CI, which has no secrets.")
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
def check(root: Path, format_: str, no_env: bool, strict: bool) -> None:
    """Find every mistake in every agent file."""
    _read_dotenv(root)
    loading = _loaded(root, demand_secrets=not no_env)
    found = loading.problems
    match format_:
        case "json":
            click.echo(problems.as_json(found))
        case "github":
            click.echo(problems.as_github(found), nl=bool(found))
        case _:
            if found:
                click.echo(problems.as_text(found, loading.texts, _painted(sys.stdout)) + "\n")
            click.echo(_summary(loading))
    sys.exit(1 if problems.has_errors(found) or (strict and found) else 0)


@main.command()
@_root
@click.argument("agent")
@click.option("--from", "from_", default="", metavar="NUMBER", help="Who calls.")
@click.option("--to", default="", metavar="NUMBER", help="The number that is called; the agent's first, unless given.")
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="A parameter of the stream; may be repeated.")
def settings(root: Path, agent: str, from_: str, to: str, param: Sequence[str]) -> None:
    """Print the Settings that a call would get, as JSON; secrets as ${NAME}."""
    found = _agent(_loaded(root, demand_secrets=False), agent)
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


@main.command()
@_root
@click.argument("address", required=False, metavar="[NUMBER|PATH]")
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def routes(root: Path, address: str | None, as_json: bool) -> None:
    """Who answers what; or who answers this number or path, and why."""
    loading = _loaded(root, demand_secrets=False)
    dialplan = loading.dialplan
    for name in loading.set_aside:
        click.echo(f"{name} has mistakes and answers nothing; see: dialplan check", err=True)
    if address is None:
        _show_routes(_all_routes(dialplan), as_json)
        return
    found = list(dialplan.streams.get(address, ())) if address.startswith("/") else dialplan.matching(address)
    if as_json:
        _show_routes(found, as_json)
    elif found:
        click.echo(f"{address} is answered by {found[0].agent.name}, because of {found[0].place}: {found[0].pattern}")
        for other in found[1:]:
            click.echo(f"  also fits: {other.agent.name}, {other.place}: {other.pattern}")
    else:
        click.echo(f"nobody answers {address}", err=True)
    sys.exit(0 if found else 1)


@main.command()
@_root
@click.argument("agent")
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def show(root: Path, agent: str, as_json: bool) -> None:
    """Print an agent's file with all that it builds on, and where each value comes from.

    Values of ${NAME} are not looked up. A file with mistakes can be shown as long as it is YAML.
    """
    tree = resolved.resolved(_project(root), agent)
    if tree is None:
        _agent(_loaded(root, demand_secrets=False), agent)  # Says why.
        return
    click.echo(
        resolved.as_json(tree)
        if as_json
        else resolved.as_yaml(tree, lambda text: _painted(sys.stdout)(text, Ink.GUTTER))
    )


@main.command()
@_root
@click.option("--write", is_flag=True, help="Put it beside the agents, and tell editors of it.")
def schema(root: Path, write: bool) -> None:
    """Print the JSON Schema of an agent file, for editors.

    --write puts it beside the agents, a first line into each of them that tells editors, and VS Code's settings. From
    then on mistakes are underlined while you type, and every key explains itself.
    """
    if not write:
        click.echo(json.dumps(shape.schema(), indent=2, ensure_ascii=False))
        return
    for written in editor.write(_project(root)):
        click.echo(f"{written.file.relative_to(root)}: {written.done}")
    click.echo("VS Code needs the extension redhat.vscode-yaml; other editors, yaml-language-server.", err=True)


@main.command()
@_root
@click.argument("name")
@click.option("--description", help="What it is for, in one sentence.")
@click.option("--number", "numbers", multiple=True, help="A number that it answers, as +15550100001; may be repeated.")
@click.option("--voice", help=f"One of Deepgram's voices.  [default: {answers.VOICES[0]}]")
@click.option("--plugin", is_flag=True, help="Write plugins/NAME.py as well, with a function that the agent may call.")
@click.option(
    "--from",
    "settings_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Deepgram's Settings as JSON, or a tutorial's config.json: write the agent file that means the same.",
)
def new(
    root: Path,
    name: str,
    description: str | None,
    numbers: Sequence[str],
    voice: str | None,
    plugin: bool,
    settings_file: Path | None,
) -> None:
    """Write a commented agent file to start from: agents/NAME.yaml.

    On a terminal it asks for what is not given. Nothing that is there is overwritten.
    """
    if settings_file and voice:
        raise click.UsageError("--voice does not go with --from: the voice is in the file")
    new_agent.refuse_taken(root, answers.checked_name(name), plugin)
    taken = answers.claims(root)
    invented = answers.invented_number(taken)
    given = _Given(
        None if description is None else answers.checked_description(description),
        tuple(dict.fromkeys(answers.checked_number(number, taken) for number in numbers)),
        answers.VOICES[0] if settings_file else voice and answers.checked_voice(voice),
    )
    if sys.stdin.isatty() and sys.stdout.isatty():
        given = _asked(given, name, taken, invented)
    beginning = Beginning(
        name,
        given.description,
        given.numbers or (invented,),
        invented=given.numbers in ((), (invented,)),
        voice=given.voice or answers.VOICES[0],
        timezone=new_agent.local_timezone(),
        plugin=new_agent.module_of(name) if plugin or settings_file else "",
        schema=new_agent.schema_for(root, name),
    )
    if settings_file:
        begun = new_agent.begin_from(root, beginning, settings_file, plugin)
    else:
        begun = new_agent.begin(root, beginning)
    _show_begun(root, beginning, begun)


@main.command()
@_root
@click.argument("agents", nargs=-1, metavar="[AGENT]...")
def rehearse(root: Path, agents: Sequence[str]) -> None:
    """Play the rehearsals, each as a real call against the offline service."""
    from dialplan.rehearsal import theatre

    log.configure("WARNING")
    _read_dotenv(root)
    loading = _loaded(root)
    chosen = [_agent(loading, name) for name in agents]
    if not chosen:
        _show_problems(loading)
    played = chosen or list(loading.dialplan.agents.values())
    show = click.echo if sys.stdout.isatty() else _quietly
    outcomes = asyncio.run(theatre.rehearse(loading, played, None, show))
    click.echo(theatre.table(outcomes))
    sys.exit(theatre.exit_code(outcomes, () if chosen else loading.set_aside))


@main.command()
@_root
@click.option(
    "--wav", type=click.Path(path_type=Path, file_okay=False), help="Where calls are saved; var/demo, unless given."
)
def demo(root: Path, wav: Path | None) -> None:
    """Call every agent offline, and print what is said as it is said."""
    from dialplan.rehearsal import theatre

    log.configure("WARNING")
    _read_dotenv(root)
    loading = _loaded(root)
    _show_problems(loading)
    folder = wav or root / "var" / "demo"
    outcomes = asyncio.run(theatre.rehearse(loading, list(loading.dialplan.agents.values()), folder, click.echo))
    click.echo("\n" + theatre.table(outcomes))
    sys.exit(theatre.exit_code(outcomes, loading.set_aside))


@main.command()
@_root
@click.option("--fix", is_flag=True, help="Show what would be set at Twilio's numbers, ask, and set it.")
@click.option("--yes", is_flag=True, help="With --fix: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def doctor(root: Path, fix: bool, yes: bool, as_json: bool) -> None:
    """Find out why calls do not come in.

    Looks at Python and packages, the files, Deepgram's keys, the Twilio account, the public URL, and where each Twilio
    number points. Nothing is changed, unless --fix is given. Exit code 1 when something is wrong.
    """
    if fix and as_json:
        raise click.UsageError("--json only looks; it cannot be had with --fix")
    if yes and not fix:
        raise click.UsageError("--yes is for --fix")
    log.configure("WARNING")
    _read_dotenv(root)
    loading = _loaded(root)
    if sys.stderr.isatty():
        click.echo("Looking at keys, numbers and the public URL; this takes up to half a minute.", err=True)
    examined = examination.examine(loading, os.environ)
    found = examined.all_findings()
    click.echo(findings.as_json(found) if as_json else findings.as_text(found))
    if fix:
        found = [*examined.findings, *examined.judgement.findings, *_fixed(examined, yes)]
        click.echo(findings.summary(found))
    sys.exit(1 if findings.any_wrong(found) else 0)


def _fixed(examined: Examination, yes: bool) -> Sequence[Finding]:
    """Shows the plan, asks, and sets it: the findings on those numbers, by then."""
    if examined.judgement.unseen:
        raise ConfigError(f"nothing can be set: {examined.judgement.unseen}")
    if not examined.judgement.corrections:
        click.echo("\nThere is nothing to set.\n")
        return ()
    click.echo("\n" + examined.plan())
    if not yes and not sys.stdin.isatty():
        raise ConfigError("nothing was set: here is nobody to ask; --yes sets it without asking")
    if not yes and not click.confirm("Set it?"):
        return examined.judgement.all_findings()
    done = examination.fix(examined)
    click.echo(f"\n{findings.in_groups(done)}\n")
    return done


@dataclass(frozen=True, slots=True)
class _Given:
    """What was said of a new agent; None or nothing where it was not."""

    description: str | None
    numbers: tuple[str, ...]
    voice: str | None


def _asked(given: _Given, name: str, taken: Mapping[str, tuple[str, Place]], invented: str) -> _Given:
    """What was said, and the rest by asking, each question until its answer is a possible one."""
    description, numbers, voice = given.description, given.numbers, given.voice
    if description is None:
        question = "What is it for, in one sentence?"
        description = _answer(question, usual_description(name), answers.checked_description)
    if not numbers:
        question = "Which number does it answer? (Enter: an invented one, for now)"
        numbers = (_answer(question, invented, lambda text: answers.checked_number(text, taken)),)
    if voice is None:
        question = f"Which voice does it have? ({', '.join(answers.VOICES[1:4])}, …)"
        voice = _answer(question, answers.VOICES[0], answers.checked_voice)
    return _Given(description, numbers, voice)


def _answer(question: str, usual: str, checked: Callable[[str], str]) -> str:
    def value(text: str) -> str:
        try:
            return checked(text)
        except ConfigError as exc:
            raise click.BadParameter(str(exc)) from exc

    answer: str = click.prompt(question, default=usual, value_proc=value)
    return answer


def _show_begun(root: Path, beginning: Beginning, begun: new_agent.Begun) -> None:
    """What was written, what is left to do, and what comes next."""
    for path in begun.folders:
        click.echo(f"made the folder {_from_here(path)}/")
    for path in begun.files:
        click.echo(f"wrote {_from_here(path)}")
    for line in _left_to_do(root, beginning, begun):
        click.echo(line, err=True)
    options = "" if root == Path.cwd() else f" --root {_from_here(root)}"
    commands = {f"check{options}": "finds mistakes", f"rehearse {beginning.name}{options}": "calls it, without a phone"}
    commands |= {f"serve{options}": "answers its number, and says which keys it needs"}
    width = max(map(len, commands))
    if beginning.invented:
        click.echo(f"Its number, {beginning.numbers[0]}, is invented: put your own under numbers: in the file.")
    click.echo("Change the file as you like. Then:")
    for command, does in commands.items():
        click.echo(f"  dialplan {command:<{width}}  {does}")


def _left_to_do(root: Path, beginning: Beginning, begun: new_agent.Begun) -> Iterator[str]:
    yield from (f"note: {note}" for note in begun.notes)
    if begun.without_code:
        file = beginning.plugin.replace(".", "/") + ".py"
        yield f"note: there is no code for {problems.listed(begun.without_code)}, so it stands in remarks:"
        yield f"      put the code into {file} and take away the #; or begin anew with --plugin, for empty functions"
    for name in begun.secrets:
        yield f"note: a secret became ${{{name}}}: put {name}=… with its value into .env"
    for path in new_agent.lying_under(root, beginning.name):
        yield f"note: {_from_here(path)} lies under it; what comes of both: dialplan settings {beginning.name}"
    loading = load(root, None)
    found = [p for p in loading.problems if root / p.place.file in begun.files and p.severity is Severity.ERROR]
    if found:
        yield problems.as_text(found, loading.texts)


def _from_here(path: Path) -> Path:
    """As somebody in this folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _quietly(line: str) -> None:
    """Progress is for people; a pipe gets the result."""


def _read_dotenv(root: Path) -> dict[str, str]:
    """`.env` of the project, for plugins too; what the environment says already wins. Returns what it said."""
    given = dict(os.environ)
    load_dotenv(root / ".env")
    os.environ.setdefault("DIALPLAN_VAR", str(root / "var"))
    return given


def _database(root: Path) -> Database:
    return database_of(os.environ.get("DATABASE_URL", ""), root, Path(os.environ["DIALPLAN_VAR"]))


def _kept_days(loading: Loading) -> dict[str, int | None]:
    return {name: agent.records.keep_days for name, agent in loading.dialplan.agents.items()}


def _loaded(root: Path, demand_secrets: bool = True) -> Loading:
    return load(_project(root), os.environ if demand_secrets else None)


def _project(root: Path) -> Path:
    if not (root / "agents").is_dir():
        raise ConfigError(f"there is no folder agents/ in {root}; go to your project, or name it with --root")
    return root


def _agent(loading: Loading, name: str) -> Agent:
    agent = loading.dialplan.agents.get(name)
    if agent is not None:
        return agent
    if name in loading.set_aside:
        raise ConfigError(f"{name} has mistakes; see: dialplan check")
    suggestion = problems.did_you_mean(name, loading.dialplan.agents)
    raise ConfigError(
        f"there is no agent {name}; {suggestion or 'there are: ' + problems.listed(loading.dialplan.agents)}"
    )


_COLOURS: Mapping[Ink, dict[str, Any]] = {
    Ink.PLACE: {"bold": True},
    Ink.MESSAGE: {"bold": True},
    Ink.ERROR: {"fg": "red", "bold": True},
    Ink.WARNING: {"fg": "yellow", "bold": True},
    Ink.GUTTER: {"fg": "blue", "bold": True},
}


def _painted(stream: TextIO) -> problems.Paint:
    """Colours where a person looks at a terminal, and does without only if asked to (https://no-color.org)."""
    if not stream.isatty() or os.environ.get("NO_COLOR"):
        return lambda text, ink: text
    return lambda text, ink: click.style(text, **_COLOURS[ink])


def _show_problems(loading: Loading) -> None:
    if loading.problems:
        click.echo(problems.as_text(loading.problems, loading.texts, _painted(sys.stderr)) + "\n", err=True)
    for name in loading.set_aside:
        click.echo(f"dialplan: {name} is set aside until its file is corrected; the others answer", err=True)


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


def _summary(loading: Loading) -> str:
    found: Sequence[Problem] = loading.problems
    errors = sum(problem.severity is Severity.ERROR for problem in found)
    counted = [_count(errors, "error"), _count(len(found) - errors, "warning")]
    agents = _count(len(loading.dialplan.agents), "agent")
    return f"{agents} can answer; " + (", ".join(c for c in counted if c) or "no mistakes")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}" if number or word == "agent" else ""


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
