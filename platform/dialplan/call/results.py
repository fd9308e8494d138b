"""What the model is told of a function: its result as JSON text, or why there is none."""

import dataclasses
import datetime
import decimal
import json
import uuid
from collections.abc import Mapping
from typing import Any

FAILED = "This did not work because of a technical problem. Say that you are sorry, and offer to help otherwise."
TOOK_TOO_LONG = "This took too long and was given up. Say that you are sorry, and offer to try again."
BUSY = "Too much is going on at the moment. Ask the caller to try again in a minute."

#: Characters that a result may have. Beyond that it is no answer for a telephone, and costs the model its memory.
MAX_RESULT = 64_000

#: Deeper than any result; what refers to itself comes here.
MAX_DEPTH = 60


def as_json(result: object) -> str:
    """A function's result as JSON text.

    Raises:
        TypeError: it holds something that has no place in JSON.
        ValueError: it is too long, too deep, refers to itself, or holds a NaN.
    """
    # Measured before it is encoded: the encoder is written in C and lets no audio pass until it is done.
    content = json.dumps(_Plain().value(result), ensure_ascii=False, allow_nan=False)
    content.encode()  # Half a surrogate pair would be refused by the socket.
    return content


class _Plain:
    """Copies a result as what JSON knows, and stops when it has become too large."""

    def __init__(self) -> None:
        self._room = MAX_RESULT

    def value(self, value: Any, depth: int = 0) -> Any:
        self._take(1)
        if depth > MAX_DEPTH:
            raise ValueError("the result is nested too deeply, or refers to itself")
        match value:
            case str():
                return self._text(value)
            case int():
                self._take(int.bit_length(value) // 4)
                return value
            case None | float():
                return value
            case Mapping():
                return {self.value(key, depth + 1): self.value(item, depth + 1) for key, item in value.items()}
            case list() | tuple():
                return [self.value(item, depth + 1) for item in value]
        return self.value(self._converted(value), depth + 1)

    def _converted(self, value: object) -> object:
        """What plugins return and JSON does not know."""
        if isinstance(value, datetime.datetime | datetime.date | datetime.time):
            return value.isoformat()
        if isinstance(value, decimal.Decimal):
            return float(value)
        if isinstance(value, uuid.UUID):
            return str(value)
        if isinstance(value, set | frozenset):
            self._take(len(value))
            return sorted(value, key=str)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        raise TypeError(f"a plugin returned {type(value).__name__}, which has no place in JSON")

    def _text(self, text: str) -> str:
        self._take(str.__len__(text))  # Whatever a subclass says of itself; the encoder asks none either.
        return text

    def _take(self, characters: int) -> None:
        self._room -= characters
        if self._room < 0:
            raise ValueError(f"the result is longer than {MAX_RESULT} characters")
