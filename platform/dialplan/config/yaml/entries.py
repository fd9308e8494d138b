"""A value → YAML text that reads back as that very value, in the form in which a person would have written it."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dialplan.config.yaml.source import Scalar

#: Columns of a line, where it can be helped.
WIDTH = 100

#: What may stand without quotes: begins with a letter, and has nothing that YAML could take for anything but text.
_PLAIN = re.compile(r"[A-Za-z](?:[\w.()/+;!?'-]|[:,](?=\S)|[ ,](?=[^ #]))*[\w.)!?/]|[A-Za-z]")
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
#: Words that YAML, or an older YAML, reads as something else.
_NO_TEXT = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


def scalar(value: Scalar, flow: bool = False) -> str:
    """A text, number, truth value or nothing, on one line.

    Args:
        value: which.
        flow: whether it stands inside of `{ }` or `[ ]`, where less goes without quotes.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {"inf": ".inf", "-inf": "-.inf"}.get(str(value), ".nan")
    if not isinstance(value, str):
        return json.dumps(value)
    plain = _PLAIN.fullmatch(value) and value.lower() not in _NO_TEXT and _is_visible(value)
    return value if plain and not (flow and re.search(r"[,:]", value)) else quoted(value)


def quoted(text: str) -> str:
    """The text in double quotes; what cannot be seen is written out."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in ('"', "\\"):
        return "\\" + character
    if character == "\n":
        return "\\n"
    if character == "\t":
        return "\\t"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_visible(text: str) -> bool:
    return all(character.isprintable() for character in text)


def fits_block(text: str) -> bool:
    """Whether a text can stand behind a `|`, line by line as it is, and show all that it has."""
    lines = text.split("\n")
    return (
        bool(lines[0].strip())
        and bool(lines[-1])
        and not lines[0].startswith(" ")
        and not any(line.endswith(" ") for line in lines)
        and all(_is_visible(line) for line in lines)
    )


def entry(key: str, value: Any, indent: int = 0) -> list[str]:
    """The lines of one key with its value, whatever JSON that is."""
    return [" " * indent + line for line in _entry(key, value, indent)]


def item(value: Any, indent: int) -> list[str]:
    """The lines of one item of a list."""
    return [" " * indent + line for line in _item(value, indent)]


def template(key: str, text: str) -> list[str]:
    """The lines of a key whose value is a template: as a block, whose last line break the template does not count."""
    if fits_block(text) and ("\n" in text or len(key) + len(text) > WIDTH):
        return [f"{key}: |", *(f"  {line}" if line else "" for line in text.split("\n"))]
    return entry(key, text)


def _entry(key: str, value: Any, indent: int) -> list[str]:
    head = key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _NO_TEXT else quoted(key)
    short = _short(value, WIDTH - indent - len(head) - 2)
    if short is not None:
        return [f"{head}: {short}"]
    if isinstance(value, str):
        return [f"{head}: |-", *(f"  {line}" if line else "" for line in value.split("\n"))]
    return [f"{head}:", *(f"  {line}" for line in _lines(value, indent + 2))]


def _lines(value: Any, indent: int) -> list[str]:
    """A mapping or list over several lines."""
    if isinstance(value, Mapping):
        return [line for key, inner in value.items() for line in _entry(str(key), inner, indent)]
    return [line for item in value for line in _item(item, indent)]


def _item(item: Any, indent: int) -> list[str]:
    short = _short(item, WIDTH - indent - 2)
    if short is not None:
        return [f"- {short}"]
    if isinstance(item, str):
        return [f"- {quoted(item)}"]
    first, *others = _lines(item, indent + 2)
    return [f"- {first}", *(f"  {line}" if line else "" for line in others)]


def _short(value: Any, room: int) -> str | None:
    """The value on the line of its key; None where it is better laid out."""
    if isinstance(value, Mapping | list | tuple):
        flow = _flow(value)
        return flow if not value or (len(flow) <= room and _depth(value) <= 2) else None
    if isinstance(value, str) and "\n" in value and fits_block(value):
        return None
    return scalar(value)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(_flow_entry(str(key), inner) for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return scalar(value, flow=True)


def _flow_entry(key: str, value: Any) -> str:
    head = key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _NO_TEXT else quoted(key)
    return f"{head}: {_flow(value)}"


def _depth(value: Any) -> int:
    inner: Sequence[Any] = ()
    if isinstance(value, Mapping):
        inner = list(value.values())
    elif isinstance(value, list | tuple):
        inner = value
    else:
        return 0
    return 1 + max((_depth(one) for one in inner), default=0)
