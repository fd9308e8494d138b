"""What an editor needs to check agent files while they are written: the schema beside them, and word of it.

yaml-language-server (VS Code's YAML extension, Neovim, Emacs, Helix, …) reads draft-07. A file's first line tells it
where, or VS Code's settings (https://github.com/redhat-developer/yaml-language-server#using-inlined-schema).
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialplan.config.files import Files
from dialplan.config.layers import DEFAULTS
from dialplan.config.rules import shape
from dialplan.errors import ConfigError

AGENT_SCHEMA = "agent.schema.json"
LAYER_SCHEMA = "layer.schema.json"

#: Agents are checked as a whole, files below them as parts.
_VSCODE = {
    f"./agents/{AGENT_SCHEMA}": ["agents/**/*.yaml", "!agents/**/_*.yaml"],
    f"./agents/{LAYER_SCHEMA}": ["agents/**/_*.yaml"],
}

_MODELINE = "yaml-language-server:"


@dataclass(frozen=True, slots=True)
class Written:
    """A file, and what became of it."""

    file: Path
    done: str


def write(root: Path) -> Iterator[Written]:
    """Put the schemas beside a project's agents, and tell editors of them. A file that is right already is left alone.

    Raises:
        ConfigError: a file cannot be written.
    """
    below, _ = Files().below(root / "agents")
    files = [path for path in below if path.suffix == ".yaml" and path.is_file()]
    defaults = any(path.stem == DEFAULTS for path in files)
    for name, schema in ((AGENT_SCHEMA, agent_schema(defaults)), (LAYER_SCHEMA, layer_schema())):
        yield from _put(root / "agents" / name, json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
    for path in files:
        yield from _with_modeline(root, path)
    yield from _vscode(root / ".vscode" / "settings.json")


def agent_schema(defaults: bool) -> dict[str, Any]:
    """What an agent's own file must be: the prompt may also stand in a file that lies under it.

    Args:
        defaults: there is a `_defaults.yaml`.
    """
    schema = layer_schema()
    if not defaults:
        schema |= {"if": {"not": {"required": ["extends"]}}, "then": {"required": shape.schema()["required"]}}
    return schema


def layer_schema() -> dict[str, Any]:
    """What a file that lies under agents may hold: any part of an agent."""
    return {key: value for key, value in shape.schema().items() if key != "required"}


def _with_modeline(root: Path, path: Path) -> Iterator[Written]:
    """The first line tells the schema, unless a line of the file tells one already."""
    if path.is_symlink():
        yield Written(path, "is a link and stays as it is")
        return
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        yield Written(path, "cannot be read as text and stays as it is")
        return
    if _MODELINE not in text:
        mark, rest = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
        end = "\r\n" if "\r\n" in text else "\n"
        yield from _put(path, f"{mark}{modeline(schema_of(root, path))}{end}{rest}")


def schema_of(root: Path, path: Path) -> str:
    """The way from an agent's file, or one that lies under agents, to its schema."""
    name = LAYER_SCHEMA if path.name.startswith("_") else AGENT_SCHEMA
    return Path(os.path.relpath(root / "agents" / name, path.parent)).as_posix()


def modeline(schema: str) -> str:
    """The first line of a file, by which editors know every key."""
    return f"# {_MODELINE} $schema={schema}"


def _vscode(path: Path) -> Iterator[Written]:
    """VS Code's settings with the schemas in them; settings that are no plain JSON are their owner's."""
    try:
        settings = json.loads(path.read_bytes()) if path.exists() else {}
        known = settings.setdefault("yaml.schemas", {})
        if known | _VSCODE != known:
            settings["yaml.schemas"] = known | _VSCODE
            yield from _put(path, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    except (OSError, ValueError, AttributeError, TypeError):
        yield Written(path, f"stays as it is; put into it: {json.dumps({'yaml.schemas': _VSCODE})}")


def _put(path: Path, text: str) -> Iterator[Written]:
    """The whole text or nothing of it, in the place of what stands there."""
    content = text.encode()
    try:
        before = path.read_bytes() if path.exists() else None
        if before != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.draft")
            draft.write_bytes(content)
            if before is not None:
                shutil.copymode(path, draft)
            draft.replace(path)
            yield Written(path, "written" if before is None else "changed")
    except OSError as exc:
        raise ConfigError(f"{path} cannot be written: {exc.strerror}") from exc
