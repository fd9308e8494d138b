"""The log: the standard library's, with the call's id on every line that a call caused.

Words said appear at DEBUG only. Whatever a line is made of, a stranger cannot forge one of ours with it, a phone number
in it is shortened, and a secret is named instead of shown: see `fit`.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar

from dialplan.words import printable

#: The id of the call that the current task works for.
call_id: ContextVar[str] = ContextVar("call_id", default="")

#: A variable with one of these words in its name holds a secret, or several behind each other.
_SECRET_WORDS = re.compile("(?i)(^|_)(api)?(key|token|secret|password|passwd|credential)s?(_|$)")

#: A value that is shorter could be any word.
_SHORTEST_SECRET = 6

#: E.164, as text or in a URL.
_NUMBER = re.compile(r"(\+|%2B)([1-9]\d{6,14})(?!\d)", re.IGNORECASE)

#: What stands before the @ of an address.
_PASSWORD = re.compile(r"(://[^/@\s:]*):[^/@\s]+@")


def configure(level: str = "INFO", variables: Mapping[str, str] = os.environ) -> None:
    """Write to stderr: time, level, room, call, message.

    Args:
        level: lines below it are left out.
        variables: of the environment; the values of those that are secret by their names never appear.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(name)s%(call)s %(message)s", secrets(variables)))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # At DEBUG, websockets writes request headers out, and with them Deepgram's key; the others tell of themselves only.
    for name in ("websockets", "picows", "httpx", "httpcore", "uvicorn", "alembic", "sqlalchemy", "watchfiles"):
        logging.getLogger(name).setLevel(logging.WARNING)


def secrets(variables: Mapping[str, str]) -> dict[str, str]:
    """Values that nobody may read, each with what is shown instead: longer ones first, since one may hold another."""
    found = {
        value: f"${{{name}}}"
        for name, listed in variables.items()
        if _SECRET_WORDS.search(name)
        for value in (listed, *re.split(r"[,\s]+", listed))
        if len(value) >= _SHORTEST_SECRET
    }
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def fit(text: str, hidden: Mapping[str, str]) -> str:
    """A text as it may stand in the log.

    Args:
        text: of one or more lines. Those after the first are set in: none can be taken for a message of its own.
        hidden: what is shown in the place of which value.
    """
    for value, name in hidden.items():
        text = text.replace(value, name)
    text = _NUMBER.sub(lambda found: found[1] + shortened(found[2]), _PASSWORD.sub(r"\1:…@", text))
    return "\n    ".join(printable(line.replace("\t", "    "), "�") for line in text.split("\n"))


def shortened(digits: str) -> str:
    """A number that who knows it recognises: `1555•••0001`."""
    shown = 4 if len(digits) > 10 else 2
    return f"{digits[:shown]}•••{digits[-shown:]}"


class _Formatter(logging.Formatter):
    def __init__(self, form: str, hidden: Mapping[str, str]) -> None:
        super().__init__(form)
        self._hidden = hidden

    def format(self, record: logging.LogRecord) -> str:
        record.call = f" [{call_id.get()}]" if call_id.get() else ""
        return fit(super().format(record), self._hidden)
