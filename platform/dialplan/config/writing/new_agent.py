"""A new agent's files in a project: the commented one to start from, or one that means what Deepgram's Settings say."""

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import available_timezones

from dialplan.config.layers import DEFAULTS
from dialplan.config.plugins.loader import PluginLoader
from dialplan.config.problems import Place, Problem
from dialplan.config.writing import drafting, editor, from_settings, new_files, settings_file, starting, stubs
from dialplan.config.writing.from_settings import Draft, wants_code
from dialplan.config.writing.starting import Beginning
from dialplan.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Begun:
    """What was written, and what there is to say of it."""

    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    """Variables that must be set."""
    without_code: tuple[str, ...] = ()
    """Functions that stand in remarks, since no plugin has them."""


def refuse_taken(root: Path, name: str, with_plugin: bool) -> None:
    """Look whether the agent's files would be new, before anybody is asked anything.

    Raises:
        ConfigError: one of them is there already.
    """
    new_files.refuse_taken(root, agent_file(root, name))
    if with_plugin:
        new_files.refuse_taken(root, _file_of(root, module_of(name)))


def agent_file(root: Path, name: str) -> Path:
    """Where an agent stands."""
    return root / "agents" / f"{name}.yaml"


def module_of(name: str) -> str:
    """The module of an agent's plugin: `acme/main-street` is plugins.acme.main_street."""
    return ".".join(["plugins", *map(_identifier, name.split("/"))])


def _identifier(part: str) -> str:
    plain = unicodedata.normalize("NFKD", part).encode("ascii", "ignore").decode()
    word = re.sub(r"\W+", "_", plain).strip("_").lower() or "agent"
    return f"_{word}" if word[0].isdigit() else word


def schema_for(root: Path, name: str) -> str:
    """The way from the agent's file to the schema for editors; empty where the project has none."""
    has_one = (root / "agents" / editor.AGENT_SCHEMA).is_file()
    return editor.schema_of(root, agent_file(root, name)) if has_one else ""


def local_timezone() -> str:
    """The time zone that this machine is in, as far as it says so."""
    zone = os.environ.get("TZ", "") or Path("/etc/localtime").resolve().as_posix().partition("zoneinfo/")[2]
    return zone if "/" in zone and zone in available_timezones() and not zone.startswith("Etc/") else "UTC"


def begin(root: Path, beginning: Beginning) -> Begun:
    """Write the commented file to start from, and its plugin where it has one."""
    files = [(agent_file(root, beginning.name), starting.agent_text(beginning))]
    if beginning.plugin:
        files.insert(0, (_file_of(root, beginning.plugin), starting.plugin_text(beginning.name)))
    return _written(root, files)


def begin_from(root: Path, beginning: Beginning, file: Path, with_plugin: bool) -> Begun:
    """Write the agent file that means what a file with Deepgram's Settings says.

    Functions that the program of old ran itself need a plugin: the one that is there under the agent's name, or one
    that is written with it. Those that have none stand in remarks, so that the file has no mistake and nothing is lost.

    Raises:
        ConfigError: the file has no Settings in it, or something cannot be written.
    """
    try:
        draft = drafting.settled(from_settings.draft(settings_file.read(file)))
    except ConfigError as exc:
        raise ConfigError(str(exc) if str(exc).startswith(f"{file}") else f"{file}: {exc}") from exc
    wanting = set(draft.wanting)
    if with_plugin and not wanting:
        raise ConfigError(f"{file} has no function that needs Python; leave --plugin out")
    provided = wanting if with_plugin else wanting & _provided(root, beginning.plugin)
    files = [(agent_file(root, beginning.name), drafting.agent_text(beginning, draft, file.name, provided))]
    if with_plugin:
        files.insert(0, (_file_of(root, beginning.plugin), _stubs(beginning.name, draft)))
    begun = _written(root, files)
    without_code = tuple(name for name in draft.wanting if name not in provided)
    return Begun(begun.files, begun.folders, draft.notes, draft.secrets, without_code)


def lying_under(root: Path, name: str) -> list[Path]:
    """The files whose keys hold for the agent too."""
    folders = [folder for folder in agent_file(root, name).parents if folder.is_relative_to(root / "agents")]
    return [file for folder in folders if (file := folder / f"{DEFAULTS}.yaml").is_file()]


def _stubs(name: str, draft: Draft) -> str:
    return stubs.plugin_text(name, [function for function in draft.keys["functions"] if wants_code(function)])


def _provided(root: Path, module: str) -> set[str]:
    """The functions of a plugin that is there already."""
    if not _file_of(root, module).is_file():
        return set()
    plugin = PluginLoader(root).load(module, Place("plugins"))
    return set() if isinstance(plugin, Problem) else set(plugin.functions)


def _file_of(root: Path, module: str) -> Path:
    return root.joinpath(*module.split(".")).with_suffix(".py")


def _written(root: Path, files: list[tuple[Path, str]]) -> Begun:
    folders = new_files.write(root, files)
    return Begun(tuple(file for file, _ in files), tuple(folders))
