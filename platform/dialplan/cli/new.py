"""`new`: an agent file to start from."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from dialplan.cli.project import root_option
from dialplan.config import problems
from dialplan.config.loading import load
from dialplan.config.problems import Place, Severity
from dialplan.config.writing import answers, new_agent
from dialplan.config.writing.starting import Beginning, usual_description
from dialplan.errors import ConfigError
from dialplan.words import from_here


@click.command()
@root_option
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
        click.echo(f"made the folder {from_here(path)}/")
    for path in begun.files:
        click.echo(f"wrote {from_here(path)}")
    for line in _left_to_do(root, beginning, begun):
        click.echo(line, err=True)
    options = "" if root == Path.cwd() else f" --root {from_here(root)}"
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
        yield f"note: {from_here(path)} lies under it; what comes of both: dialplan settings {beginning.name}"
    loading = load(root, None)
    found = [p for p in loading.problems if root / p.place.file in begun.files and p.severity is Severity.ERROR]
    if found:
        yield problems.as_text(found, loading.texts)
