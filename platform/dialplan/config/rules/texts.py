"""Every text of an agent file: may a `${NAME}` stand in it and is it set, does a key stand there in its place, and are
its `{{ }}` filled in at all?"""

import re

from dialplan.config import keys, secret
from dialplan.config.keys import WrittenOut
from dialplan.config.reading import Reading
from dialplan.config.rules import shape
from dialplan.config.yaml.source import Node

_Path = tuple[str | int, ...]

#: Keys whose texts are templates.
_TEMPLATES = ("prompt", "greeting", "notice", "busy", "resumed")
#: Keys of Deepgram's Settings whose texts reach the model or the caller.
_HEARD_IN_SETTINGS = ("prompt", "greeting", "context", "description", "message", "content")


def check(reading: Reading) -> None:
    """Note every secret that is not set or would be heard, and every `{{ }}` that would be read out as it is."""
    for path, node in shape.own_values(reading.tree):
        if not isinstance(node.value, str):
            continue
        text = node.raw
        _check_secrets(reading, path, node)
        _check_keys(reading, path, node)
        if re.search(r"\{\{.*\}\}|\{%.*%\}", text, re.DOTALL) and not _is_template(path):
            reading.problem("W202", node.place, "{{ }} is not filled in here, and is taken as it stands", _WHERE)


_WHERE = "it is in prompt, greeting, notice, busy, resumed, fallback, http, and in what an agent says in a rehearsal"


def _check_secrets(reading: Reading, path: _Path, node: Node) -> None:
    environment = reading.project.environment
    if not secret.REFERENCE.search(node.raw):
        return
    for match, place in reading.secrets_in(node):
        if not _may_hold_secrets(path):
            is_variable = reading.tree.at("variables").get(match[1]) is not None
            help_text = f"write {{{{ {match[1]} }}}}" if is_variable else secret.NOT_HERE
            reading.problem("E204", place, _heard(path, match[0]), help_text)
        elif environment is not None and secret.is_unset(match, environment):
            state = "is empty" if match[1] in environment else "is not set"
            reading.problem("E601", place, f"{match[1]} {state}", "set it in the environment or in .env")


def _check_keys(reading: Reading, path: _Path, node: Node) -> None:
    """Note every key that is written out. `${NAME}` is shown in its place, itself never."""
    found = keys.written_out(str(path[-1]) if _holds_keys(path) else "", node.raw)
    if not found and path == ("deepgram", "api_key") and not secret.REFERENCE.search(node.raw):
        found = [WrittenOut(0, len(node.raw))]
    if not found:
        return
    for one, place in zip(
        found, reading.places(node, [(one.start, one.end - one.start) for one in found]), strict=True
    ):
        name = f"${{{one.name or _fitting_name(reading, path)}}}"
        if _may_hold_secrets(path):
            help_text = f'put it into .env, and write "{_with_name(node.raw, one, name) if len(found) == 1 else name}"'
            reading.problem("W601", place, "a key is written out here: whoever reads the file can use it", help_text)
        else:
            reading.problem("W601", place, keys.HEARD, f"take it out; a server gets it by {name} in headers: or http:")


def _with_name(text: str, one: WrittenOut, name: str) -> str:
    """The text as it must be; the name alone where the text is long."""
    written = f"{text[: one.start]}{name}{text[one.end :]}"
    return written if len(written) < 100 and "\n" not in written else name


def _holds_keys(path: _Path) -> bool:
    """Whether a text goes to a server, so that what is called a password there is one."""
    return _may_hold_secrets(path) and "description" not in path


def _fitting_name(reading: Reading, path: _Path) -> str:
    """A name for the environment variable: by whom the key opens."""
    if path[0] == "deepgram":
        return f"{_upper(reading.file.stem)}_DEEPGRAM_KEY"
    key = _upper(str(path[-1]))
    if path[-2:-1] == ("credentials",):
        return f"AWS_{key}"
    around = (_owner(reading.tree.at(*path[:end])) for end in range(len(path), 0, -1))
    owner = next((owner for owner in around if owner), "")
    kind = next((kind for kind in ("PASSWORD", "TOKEN", "SECRET") if key.endswith(kind)), "API_KEY")
    return f"{owner}_{kind}" if owner else kind


def _owner(node: Node) -> str:
    """Whom the address or the provider in a mapping belongs to: `https://api.openai.com` is OPENAI's."""
    host = re.match(r"\w+://(?:[^/?#@]*@)?([\w.-]+)", node.at("url").raw or node.raw)
    if host:
        labels = host[1].split(".")
        return _upper(labels[-2] if len(labels) > 1 else labels[0])
    provider = node.get("provider")
    return _upper(provider.raw).replace("OPEN_AI", "OPENAI") if provider else ""


def _upper(text: str) -> str:
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").upper()
    return name if name[:1].isalpha() else f"KEY_{name}".rstrip("_")


def _heard(path: _Path, name: str) -> str:
    if path[0] in (*_TEMPLATES, "fallback", "variables", "functions", "rehearsals", "settings"):
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
        case ("fallback", "say", *_) | ("functions", _, "http", *_) | ("rehearsals", _, "turns", _, "agent", *_):
            return True
    return False
