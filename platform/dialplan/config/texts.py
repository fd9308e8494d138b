"""Every text of an agent file: may a `${NAME}` stand in it and is it set, and are its `{{ }}` filled in at all?"""

import re
from collections.abc import Iterator

from dialplan.config import secret
from dialplan.config.reading import Reading
from dialplan.config.source import Node

_Path = tuple[str | int, ...]

#: Keys whose texts are templates.
_TEMPLATES = ("prompt", "greeting", "notice")
#: Keys of Deepgram's Settings whose texts reach the model or the caller.
_HEARD_IN_SETTINGS = ("prompt", "greeting", "context", "description", "message", "content")


def check(reading: Reading) -> None:
    """Note every secret that is not set or would be heard, and every `{{ }}` that would be read out as it is."""
    for path, node in _scalars(reading.tree, ()):
        text = node.raw
        _check_secrets(reading, path, node)
        if re.search(r"\{\{.*\}\}|\{%.*%\}", text, re.DOTALL) and not _is_template(path):
            reading.problem("W202", node.place, "{{ }} is not filled in here, and is taken as it stands", _WHERE)
    key = reading.tree.at("deepgram").get("api_key")
    if key is not None and not secret.REFERENCE.search(key.raw):
        message = "whoever reads this file can use the key"
        reading.problem("W601", key.place, message, "put it into .env, and write ${NAME} here")


_WHERE = "it is in prompt, greeting, notice, http, and in what an agent says in a rehearsal"


def _check_secrets(reading: Reading, path: _Path, node: Node) -> None:
    environment = reading.project.environment
    if not secret.REFERENCE.search(node.raw):
        return
    for match, place in reading.secrets_in(node):
        if not _may_hold_secrets(path):
            reading.problem("E204", place, _heard(path, match[0]), secret.NOT_HERE)
        elif environment is not None and secret.is_unset(match, environment):
            state = "is empty" if match[1] in environment else "is not set"
            reading.problem("E601", place, f"{match[1]} {state}", "set it in the environment or in .env")


def _heard(path: _Path, name: str) -> str:
    if path[0] in ("prompt", "greeting", "notice", "variables", "functions", "rehearsals", "settings"):
        return f"{name} cannot stand in {path[0]}: the model or the caller would get it"
    return f"{name} cannot stand in {path[0]}"


def _may_hold_secrets(path: _Path) -> bool:
    """What goes to Deepgram or to a server in a header or an address, and to no model and no caller."""
    match path:
        case ("functions", _, "http" | "endpoint", *_):
            return True
        case ("settings", *keys):
            return not any(key in _HEARD_IN_SETTINGS for key in keys)
    return path[0] in ("deepgram", "think", "voice")


def _is_template(path: _Path) -> bool:
    match path:
        case (key, *_) if key in _TEMPLATES:
            return True
        case ("functions", _, "http", *_) | ("rehearsals", _, "turns", _, "agent", *_):
            return True
    return False


def _scalars(node: Node, path: _Path) -> Iterator[tuple[_Path, Node]]:
    """Every text with the keys that lead to it. What stands under x-… is nobody's business."""
    if isinstance(node.value, str):
        yield path, node
    for key, child in node.children():
        if path or not str(key).startswith("x-"):
            yield from _scalars(child, (*path, key))
