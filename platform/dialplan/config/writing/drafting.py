"""A draft of an agent file: what `check` would refuse in it is taken out, in check's own words; then its text. Pure."""

from collections.abc import Collection, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from dialplan.config.agent_file import read_agent
from dialplan.config.files import Files
from dialplan.config.layers import Layers
from dialplan.config.plugins.loader import PluginLoader
from dialplan.config.problems import Problem, Severity
from dialplan.config.reading import Project
from dialplan.config.writing import starting
from dialplan.config.writing.from_settings import Draft, wants_code
from dialplan.config.writing.starting import Beginning
from dialplan.config.yaml import entries, source
from dialplan.config.yaml.source import Node
from dialplan.errors import ConfigError
from dialplan.words import printable

_Path = tuple[str | int, ...]

_TEMPLATES = ("prompt", "greeting")
#: Mistakes of one message; beyond that it is none.
_MOST = 500


def settled(draft: Draft) -> Draft:
    """The draft without what an agent file cannot hold, each with a note.

    Raises:
        ConfigError: it cannot be written at all.
    """
    keys, notes = deepcopy(dict(draft.keys)), list(draft.notes)
    for _ in range(_MOST):
        tree, problem = _first_problem(keys)
        if problem is None:
            return Draft(keys, tuple(dict.fromkeys(notes)), draft.secrets)
        path = _whole(_path_of(problem, tree)) if tree is not None else ()
        told = _told(keys, path)
        if not path or path[0] in _TEMPLATES or not _take_out(keys, path):
            raise ConfigError(f"an agent file cannot say this: {problem.message}")
        notes.append(f"{told} is left out: {problem.message}" + (f"; {problem.help}" if problem.code == "E107" else ""))
    raise ConfigError("there is too much in it that an agent file cannot say")


def _first_problem(keys: Mapping[str, Any]) -> tuple[Node | None, Problem | None]:
    """The first mistake in a file with these keys; where code is missing, the file may be right all the same."""
    functions = [_with_some_code(function) for function in keys.get("functions", ())]
    text = _text({**keys, "functions": functions} if functions else keys)
    files = Files()
    layers = Layers(Path("/nowhere"), files)
    file = layers.folder / "draft.yaml"
    files.put(file, text)
    _, problems = read_agent(Project(layers, PluginLoader(layers.root), None), file)
    tree, _ = source.read(layers.name(file), text)
    return tree, next((problem for problem in problems if problem.severity is Severity.ERROR), None)


def _with_some_code(function: Any) -> Any:
    return {**function, "endpoint": {"url": "https://example.com"}} if wants_code(function) else function


def _text(keys: Mapping[str, Any]) -> str:
    return "\n".join(line for key, value in keys.items() for line in _lines(key, value)) + "\n"


def _lines(key: str, value: Any) -> list[str]:
    return entries.template(key, value) if key in _TEMPLATES else entries.entry(key, value)


def _path_of(problem: Problem, tree: Node) -> _Path:
    """The keys that lead to a mistake: to what it points at exactly, or begins with, or stands in."""
    _, *nodes = tree.walk()
    exact = [path for path, node in nodes if problem.place in (node.place, _key_place(tree, path))]
    begun = [path for path, node in nodes if node.place.beginning() == problem.place]
    around = [path for path, node in nodes if node.place.holds(problem.place)]
    if problem.code == "E102":
        return next(iter([*begun, *reversed(around)]), ())
    return next(iter([*reversed(exact), *begun, *reversed(around)]), ())


def _key_place(tree: Node, path: _Path) -> object:
    return tree.at(*path[:-1]).key_place(path[-1]) if isinstance(path[-1], str) else None


def _whole(path: _Path) -> _Path:
    """A function without its name is none."""
    return path[:2] if path[:1] == ("functions",) and path[2:] == ("name",) else path


def _told(keys: Any, path: _Path) -> str:
    """The path in words: functions by their names."""
    if path[:1] == ("functions",) and len(path) > 1:
        path = (f"the function {_name(keys['functions'][path[1]])}", *path[2:])
    return " → ".join(map(str, path))


def _take_out(keys: Any, path: _Path) -> bool:
    """Whether there was something at the path."""
    for key in path[:-1]:
        keys = keys[key]
    there = path[-1] in keys if isinstance(keys, dict) else isinstance(path[-1], int) and path[-1] < len(keys)
    if there:
        del keys[path[-1]]
    return there


def agent_text(beginning: Beginning, draft: Draft, origin: str, provided: Collection[str]) -> str:
    """The agent file.

    Args:
        beginning: what the message does not say.
        draft: what it says, settled.
        origin: the file that it was made from.
        provided: the functions that the plugin has; the others stand in remarks.
    """
    file = _comment(origin)
    lines = [
        f"# The voice agent {beginning.name}, made from {file} by: dialplan new. It means the same{_except(draft)}",
        "# Every key is explained in docs/agent-file.md of Dialplan. After every change: dialplan check",
        *_noted(draft),
        "",
        "# One sentence for lists; callers never hear it.",
        *starting.description_lines(beginning),
        "",
        "# The numbers that it answers, those that you have at Twilio.",
        *starting.numbers_lines(beginning),
        "# With a TwiML Bin, also the path of its <Stream url>:",
        f"# streams: [/twilio/{beginning.name.rpartition('/')[2]}]",
    ]
    for key, value in draft.keys.items():
        lines += ["", *(_function_lines(beginning, value, provided) if key == "functions" else _lines(key, value))]
    return starting.modeline(beginning) + "\n".join([*lines, *_rehearsal(beginning.name)]) + "\n"


def _noted(draft: Draft) -> list[str]:
    lines = [f"#   {_comment(note)}" for note in draft.notes]
    return ["#", *lines] if lines else []


def _except(draft: Draft) -> str:
    return ", except for what is listed below." if draft.notes else "."


def _comment(text: str) -> str:
    """A text inside of a remark, which ends with its line."""
    return printable(text, " ")


def _function_lines(beginning: Beginning, functions: list[Any], provided: Collection[str]) -> list[str]:
    there = [one for one in functions if not wants_code(one) or one["name"] in provided]
    missing = [one for one in functions if one not in there]
    file, plugins = beginning.plugin.replace(".", "/") + ".py", f"plugins: [{beginning.plugin}]"
    has_plugin = bool(set(provided) & {_name(one) for one in there})
    return [
        *([f"# What stands in remarks has no code yet. When {file} has it, take away the #."] if missing else []),
        *([plugins] if has_plugin else [f"# {plugins}"] if missing else []),
        *(_under("functions", there) if there else ["# functions:"]),
        *(f"# {line}" for function in missing for line in entries.item(function, 2)),
    ]


def _under(key: str, items: list[Any]) -> list[str]:
    """A list with an item on every line, so that others can follow."""
    return [f"{key}:", *(line for item in items for line in entries.item(item, 2))]


def _name(function: Any) -> str:
    return str(function["name"]) if isinstance(function, Mapping) else str(function)


def _rehearsal(agent: str) -> list[str]:
    return f"""
# An example conversation, played as a real call by: dialplan rehearse {agent}
rehearsals:
  - name: hello
    turns:
      - caller: Hello, can you hear me?
        agent: Yes, I can hear you. How can I help?""".split("\n")
