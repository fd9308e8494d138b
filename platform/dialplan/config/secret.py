"""`${NAME}` in an agent file: a value from the environment that is never shown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

#: What to do with a secret that stands where it may not.
NOT_HERE = "secrets go into deepgram:, into headers and into addresses"


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


def is_unset(reference: re.Match[str], environment: Mapping[str, str]) -> bool:
    """Whether a reference has neither a value nor a default. An empty value is none: `NAME=` in .env was left open."""
    return not environment.get(reference[1]) and reference[2] is None
