"""Reading the fields of a JSON message that a stranger sent."""

import json
from typing import Any

#: What reading a field of the wrong kind can raise. A parser that catches these has caught every malformed message.
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


def fields_of(message: str | bytes) -> dict[str, Any]:
    """The message's fields; bytes are UTF-8.

    Raises:
        ValueError: it is not JSON, is nested beyond reason, or is not an object.
    """
    try:
        fields = json.loads(message if isinstance(message, str) else message.decode())
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    if not isinstance(fields, dict):
        raise ValueError("not an object")  # noqa: TRY004 -- the sender's mistake, not the caller's
    return fields


def text(value: object) -> str:
    """The value, where it is text that can be written again.

    Raises:
        TypeError: it is not text.
        UnicodeEncodeError: it holds half of a surrogate pair, which no file, log or socket would take.
    """
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()
    return value


#: Characters of an identifier. Twilio's have 34, Deepgram's some forty. They are kept as long as a call is known,
#: stand before its lines in the log, and go out with every frame.
MOST_IDENTIFIER = 256


def is_identifier(text: str) -> bool:
    """Whether a text can be the name of a call, a stream or a request: short, and in one line."""
    return 0 < len(text) <= MOST_IDENTIFIER and text.isprintable()


def identifier(value: object) -> str:
    """The value, where it is one.

    Raises:
        TypeError: it is not text.
        ValueError: it is no identifier.
    """
    name = text(value)
    if not is_identifier(name):
        raise ValueError(f"{name[:20]!a} is no identifier")
    return name


def legible(value: object) -> str:
    """Whatever it is, as text that can be written again: for what people read and nothing depends on."""
    return str(value).encode("utf-8", "replace").decode()
