"""`${NAME}` in an agent file: a value from the environment that is never shown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Secret:
    """A text with `${NAME}` in it. Printed, logged or dumped it shows the names; only `reveal` gives the value."""

    shown: str
    _value: str = field(repr=False)

    def reveal(self) -> str:
        """The text with the values in place. For the wire only."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.shown!r})"

    def __str__(self) -> str:
        return self.shown


def reveal(text: "str | Secret") -> str:
    """The text to send, secret or not."""
    return text.reveal() if isinstance(text, Secret) else text


def resolve(text: str, environment: Mapping[str, str]) -> str | Secret:
    """The text with its references resolved; itself where it has none. A name that is not set becomes nothing."""

    def value(match: re.Match[str]) -> str:
        return environment.get(match[1]) or match[2] or ""

    return Secret(text, REFERENCE.sub(value, text)) if REFERENCE.search(text) else text


def unset(text: str, environment: Mapping[str, str]) -> list[re.Match[str]]:
    """The references that have neither a value nor a default."""
    return [m for m in REFERENCE.finditer(text) if m[1] not in environment and m[2] is None]
