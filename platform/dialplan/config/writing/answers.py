"""What may be answered when a new agent is begun: name, description, numbers and voice; and what is wrong with it."""

import difflib
import itertools
import re
from collections.abc import Mapping
from pathlib import Path

from dialplan.config import secret
from dialplan.config.dialplan import canonical
from dialplan.config.files import Files
from dialplan.config.layers import Layers
from dialplan.config.problems import Place, shown
from dialplan.config.rules import shape
from dialplan.config.rules.catalogue import catalogue
from dialplan.config.rules.phone_numbers import as_dialled
from dialplan.errors import ConfigError

#: Of Deepgram's voices, those that its page names first; every other one is fine as well.
VOICES = (
    "aura-2-thalia-en",
    "aura-2-andromeda-en",
    "aura-2-helena-en",
    "aura-2-apollo-en",
    "aura-2-arcas-en",
    "aura-2-aries-en",
)

_LONGEST_NAME = 100


def checked_name(name: str) -> str:
    """The name of an agent, as it may be the path of its file.

    Raises:
        ConfigError: it cannot; the text says how it could be.
    """
    corrected = _corrected(name)
    if name and name == corrected:
        return name
    message = f"{shown(name)} cannot be the name of an agent"
    if not corrected:
        raise ConfigError(f"{message}; a name is a word such as clinic, or acme/clinic in a folder of its own")
    raise ConfigError(f"{message}; take: {corrected}")


def _corrected(name: str) -> str:
    parts = [_corrected_part(part) for part in re.split(r"[/\\]", name)]
    parts = [part for part in parts if part]
    return "/".join(parts[1:] if len(parts) > 1 and parts[0] == "agents" else parts)


def _corrected_part(part: str) -> str:
    part = re.sub(r"(?i)\.ya?ml$", "", part.strip())
    part = re.sub(r"[^\w.-]+", "-", part)
    return re.sub(r"^[^A-Za-z0-9\u00c0-\U0010ffff]+|[-.]+$", "", part)[:_LONGEST_NAME]


def checked_description(text: str) -> str:
    """A description.

    Raises:
        ConfigError: it has a secret in it, which nobody could read.
    """
    found = secret.REFERENCE.search(text)
    if found:
        raise ConfigError(f"{found[0]} cannot stand in a description; {secret.NOT_HERE}")
    if text.encode("utf-8", "replace").decode() != text:
        raise ConfigError("the description is not text in UTF-8")
    return text


def checked_number(text: str, taken: Mapping[str, tuple[str, Place]]) -> str:
    """A number or address, without the spaces and brackets that people write into it.

    Args:
        text: as somebody wrote it.
        taken: who has which number, as `claims` says.

    Raises:
        ConfigError: it is none, or another agent has it.
    """
    form = shape.schema()["properties"]["numbers"]["items"]
    number = text.strip() if re.search(form["pattern"], text.strip()) else as_dialled(text)
    if not re.fullmatch(form["pattern"], number):
        raise ConfigError(f"{shown(text)} is no number: {form['x-form']}")
    if canonical(number) in taken:
        agent, place = taken[canonical(number)]
        raise ConfigError(f"{number} is answered by {agent} already ({place}); one number, one agent")
    return number


def claims(root: Path) -> dict[str, tuple[str, Place]]:
    """Which numbers the agents of a project claim, and where; those with a mistake elsewhere as well."""
    layers = Layers(root, Files())
    found: dict[str, tuple[str, Place]] = {}
    for file in layers.agent_files():
        tree = layers.resolved(file).tree
        for node in tree.at("numbers").items() if tree is not None else ():
            found.setdefault(canonical(node.raw), (layers.agent_name(file), node.place))
    return found


def invented_number(taken: Mapping[str, object]) -> str:
    """A number that nobody has: +1 555 01… is kept free for examples, and so for agents that have none yet."""
    return next(number for count in itertools.count(1) if (number := f"+15550{100000 + count}") not in taken)


def checked_voice(text: str) -> str:
    """The name of a voice of Deepgram's; new ones come, so the form counts, with the language at its end.

    Raises:
        ConfigError: it is none.
    """
    voice = text.strip()
    if re.fullmatch(r"(aura|flux)(-[a-z0-9]+)+-[a-z]{2}", voice) and voice not in catalogue()["listen"]["models"]:
        return voice
    raise ConfigError(f"{shown(text)} is no voice of Deepgram's; {_meant_voice(voice)}")


def _meant_voice(voice: str) -> str:
    """The voice of this name, or of nearly this one."""
    known = (*VOICES, *sorted(catalogue()["voices"]["models"]))
    voice = re.sub(r"[\s_]+", "-", voice.lower())[:100]
    word = voice.rpartition("-")[2]
    named = [name for name in known if word and f"-{word}-" in name]
    # Half of every voice's name is the same, so that most are somewhat alike.
    near = named or difflib.get_close_matches(voice, known, n=1, cutoff=0.85)
    return f'did you mean "{near[0]}"?' if near else f"a voice ends with its language, as in {VOICES[0]}"


def language_of(voice: str) -> str:
    """What a voice speaks, which stands at the end of its name."""
    return voice.rpartition("-")[2]
