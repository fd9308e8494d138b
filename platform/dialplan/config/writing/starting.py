"""A new agent: the commented text of its file, and of a plugin for it. Nothing is read or written here."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from dialplan.config.jinja.templates import literal
from dialplan.config.writing import answers, editor
from dialplan.config.yaml import entries


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is known of a new agent."""

    name: str
    """As the agent is called: `acme/pharmacy`."""
    description: str | None
    """None for the one that fits every agent."""
    numbers: tuple[str, ...]
    invented: bool = False
    """Whether its number is nobody's, and stands there until there is a real one."""
    voice: str = answers.VOICES[0]
    timezone: str = "UTC"
    plugin: str = ""
    """Its plugin's module; empty for none."""
    schema: str = ""
    """The JSON Schema for editors, seen from the file; empty where the project has none."""


def spoken_name(name: str) -> str:
    """An agent's name as a caller may hear it: `acme/main-street-bakery` is Main Street Bakery."""
    words = re.split(r"[-_.\s]+", name.rpartition("/")[2])
    return " ".join(word[:1].upper() + word[1:] for word in words if word)


def usual_description(name: str) -> str:
    """A description that fits every agent."""
    return f"Answers the phone of {spoken_name(name)}."


def agent_text(beginning: Beginning) -> str:
    """The agent file."""
    language = answers.language_of(beginning.voice)
    parts = {
        "agent": [beginning.name],
        "editors": [] if beginning.schema else ["# With `dialplan schema --write`, your editor knows them too."],
        "description": description_lines(beginning),
        "numbers": numbers_lines(beginning),
        "timezone": entries.entry("timezone", beginning.timezone),
        "voice": entries.entry("voice", beginning.voice),
        "language": ["# language: en"] if language == "en" else entries.entry("language", language),
        "name": entries.entry("name", spoken_name(beginning.name)),
        "job": _job(beginning),
        "functions": _functions(beginning.plugin),
        "rehearsals": _rehearsals(bool(beginning.plugin)),
    }
    return modeline(beginning) + _filled_in("new_agent.yaml", parts)


def plugin_text(name: str) -> str:
    """A plugin for it, with one function."""
    return _filled_in("new_plugin.txt", {"agent": [name]})


def modeline(beginning: Beginning) -> str:
    """The first line, by which editors know every key."""
    return f"{editor.modeline(beginning.schema)}\n" if beginning.schema else ""


def description_lines(beginning: Beginning) -> list[str]:
    """The key `description`."""
    given = beginning.description
    return entries.entry("description", usual_description(beginning.name) if given is None else given)


def numbers_lines(beginning: Beginning) -> list[str]:
    """The key `numbers`."""
    first, *others = entries.entry("numbers", list(beginning.numbers))
    return [first + "  # invented, and nobody's: put your own number here" * beginning.invented, *others]


def _filled_in(file: str, parts: Mapping[str, Sequence[str]]) -> str:
    """The text of a file beside this one; a part that stands alone in its line may have several lines, or none."""
    text = resources.files("dialplan.config.writing").joinpath(file).read_text("utf-8")

    def lines(match: re.Match[str]) -> str:
        if match[3]:
            return parts[match[3]][0]
        return "".join(f"{match[1]}{line}\n" for line in parts[match[2]])

    # In one go: what is filled in may hold «words» itself.
    return re.sub(r"(?m)^( *)«(\w+)»\n|«(\w+)»", lines, text)


def _job(beginning: Beginning) -> list[str]:
    """The description as the prompt's own words; left out where it says nothing, or what a line cannot show."""
    line = " ".join((beginning.description or "").split())
    says_something = line and line != usual_description(beginning.name)
    return [f"  Your job: {literal(line)}"] if says_something and line.isprintable() else []


def _functions(plugin: str) -> list[str]:
    """What it may do."""
    if plugin:
        file = plugin.replace(".", "/") + ".py"
        return [
            f"# What it may do: the functions of {file}, and end_call, which is built in.",
            f"plugins: [{plugin}]",
            "functions: [opening_hours, end_call]",
        ]
    return [
        "# What it may do. end_call is built in; others are Python functions or HTTP requests, see docs/plugins.md.",
        "functions: [end_call]",
    ]


_CLOSING = """
    - caller: Thank you, goodbye.
      function: {end_call: {reason: the caller said goodbye}}
      agent: Goodbye.
"""

_PLAIN_REHEARSAL = f"""\
- name: opening hours
  turns:
    - caller: When are you open?
      agent: We are open {{{{ hours }}}}.{_CLOSING}"""

_PLUGIN_REHEARSALS = f"""\
- name: opening hours
  turns:
    - caller: Are you open on Monday?
      function: {{opening_hours: {{day: monday}}}}
      agent: "On {{{{ result.day }}}} we are open from {{{{ result.hours }}}}."{_CLOSING}
- name: the hours cannot be had
  turns:
    - caller: Are you open on Friday?
      function: {{opening_hours: {{day: friday}}}}
      fails: error
      agent: I am sorry, I cannot look that up.
"""


def _rehearsals(with_plugin: bool) -> list[str]:
    lines = (_PLUGIN_REHEARSALS if with_plugin else _PLAIN_REHEARSAL).splitlines()
    return [f"  {line}" if line else "" for line in lines]
