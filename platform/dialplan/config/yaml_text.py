"""Values as YAML text that is read back as those very values, by YAML 1.1 and 1.2 alike."""

import json
import re

from dialplan.config.source import Scalar

_PLAIN = re.compile(r"[A-Za-z/_][A-Za-z0-9 _./+-]*(?<! )")

#: What YAML 1.1 or 1.2 takes for something else than a text.
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


def inline(value: Scalar) -> str:
    """A value in one line: a text as it is where that is safe, else in quotes."""
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else _quoted(value)
    if isinstance(value, float):
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(value), repr(value))
    return json.dumps(value)


def _quoted(text: str) -> str:
    # JSON's escapes are YAML's too, but YAML counts more characters among line breaks and control characters.
    return "".join(c if c.isprintable() else _escaped(c) for c in json.dumps(text, ensure_ascii=False))


def _escaped(character: str) -> str:
    return f"\\U{ord(character):08x}"


def block(text: str) -> list[str] | None:
    """The lines of a text of several lines, the first one with its `|`; None for what that cannot hold as it is."""
    lines = text.split("\n")
    if len(lines) < 2 or not lines[0].strip() or lines[0].startswith((" ", "\t")):
        return None
    body = lines[:-1] if lines[-1] == "" else lines
    if not body[-1].strip() or not all(c.isprintable() or c == "\t" for line in lines for c in line):
        return None
    return ["|" if lines[-1] == "" else "|-", *(f"  {line}" if line else "" for line in body)]
