"""A file of JSON with Deepgram's Settings in it: read, or why it cannot be."""

import json
from pathlib import Path
from typing import Any

from dialplan.config.layers import reason
from dialplan.config.problems import undecodable
from dialplan.config.yaml.source import MAX_BYTES
from dialplan.errors import ConfigError

#: An agent file is 40 levels deep at most, and the message does not begin at its top.
_DEEPEST = 30


def read(file: Path) -> Any:
    """The JSON in a file.

    Raises:
        ConfigError: it cannot be read; the text says where and why.
    """
    text = _text(file)
    try:
        found = json.loads(text, parse_constant=_refused)
        depth = _depth(found)
        # Numbers that JSON does not have, and halves of characters, which no file can hold.
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except json.JSONDecodeError as exc:
        raise ConfigError(f"{file}:{exc.lineno}:{exc.colno}: this is no JSON: {_words(exc)}") from exc
    except RecursionError as exc:
        raise ConfigError(_TOO_DEEP.format(file)) from exc
    except ValueError as exc:
        raise ConfigError(f"{file}: there is a number or character in it that no file can hold: {exc}") from exc
    if depth > _DEEPEST:
        raise ConfigError(_TOO_DEEP.format(file))
    return found


_TOO_DEEP = f"{{}}: nested more than {_DEEPEST} levels deep"


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"{file} cannot be read: {reason(exc)}") from exc
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{file} is larger than {MAX_BYTES // 1_000_000} MB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line, column = undecodable(exc)
        raise ConfigError(f"{file}:{line}:{column}: the file is not text in UTF-8; save it as UTF-8") from exc


def _words(exc: json.JSONDecodeError) -> str:
    """Python's words, and what it usually is."""
    before = exc.doc[: exc.pos].rstrip()
    if exc.doc[exc.pos :].lstrip()[:1] in ("}", "]") and before.endswith(","):
        return "after the last item stands no comma"
    if exc.doc[exc.pos : exc.pos + 2] in ("//", "/*"):
        return "JSON has no remarks; remove them"
    return exc.msg[:1].lower() + exc.msg[1:]


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON's")


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0
