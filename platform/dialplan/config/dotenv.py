"""A project's `.env`: names with values, for whoever has not set them in the environment; and what is wrong with it.

A line may hold a secret: nothing that is said of one shows more than its name.
"""

import difflib
import io
import re
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from dotenv.parser import Binding, parse_stream
from dotenv.variables import parse_variables

from dialplan.errors import ConfigError

#: Characters of a file. How long one is read grows with its length by its length, and any has some thousand.
MOST_TEXT = 32_768

#: Characters of a value, with everything that it refers to. Linux gives no process a longer one.
MOST = 131_072


class Remark(NamedTuple):
    """What is wrong in a line."""

    line: int
    words: str


def values(text: str, given: Mapping[str, str]) -> dict[str, str]:
    """What it says, with `${OTHER}` filled in: by the environment first, since that wins, then by the lines above.

    Args:
        text: of the file.
        given: the environment without it.

    Raises:
        ConfigError: the text is too long, or a value would be.
    """
    found: dict[str, str] = {}
    known = ChainMap(dict(given), found)
    for line in _lines(text):
        if line.key is not None and line.value is not None and _is_name(line.key):
            found[line.key] = "".join(part.resolve(known) for part in parse_variables(line.value))
            if len(found[line.key]) > MOST:
                raise ConfigError(f".env:{_number(line)}: a value of more than {MOST:,} characters")
    return found


def _lines(text: str) -> list[Binding]:
    if len(text) > MOST_TEXT:
        raise ConfigError(f".env has more than {MOST_TEXT:,} characters")
    return list(parse_stream(io.StringIO(text)))


def _is_name(key: str) -> bool:
    """In quotes it may be what no environment takes."""
    return "=" not in key and "\0" not in key


def remarks(text: str, known: Collection[str]) -> list[Remark]:
    """Every line that sets nothing, or not what was meant.

    Args:
        text: of the file.
        known: names that mean something to Dialplan.

    Raises:
        ConfigError: the text is too long.
    """
    lines = _lines(text)
    missing = set(known) - {line.key for line in lines}
    return [Remark(_number(line), words) for line in lines for words in _words(line, missing)]


def _number(line: Binding) -> int:
    written = line.original.string
    return line.original.line + written[: len(written) - len(written.lstrip())].count("\n")


def _words(line: Binding, missing: Collection[str]) -> Iterator[str]:
    if line.error or not _is_name(line.key or ""):
        yield _not_understood(line.original.string.strip())
    elif line.key is not None and line.value is None:
        yield f"{_name(line.key)} has no value; write {_name(line.key)}=value"
    elif line.key is not None:
        if re.match("[“”„‟‘’‚‛«»]", line.value or ""):
            yield f'the quotes around the value of {_name(line.key)} are typographic, so a part of it; write " or none'
        if near := _near(line.key, missing):
            yield f'{line.key} means nothing to Dialplan; did you mean "{near}"?'


def _not_understood(written: str) -> str:
    if re.match(r"""(?:export\s+)?[^\s=#]+\s*=\s*["']""", written):
        return "a quote is opened here and not closed, or something follows it; close it at the end of the value"
    name = re.match(r"[A-Z][A-Z0-9_]*(?=\W)", written)
    return f"this line is not understood; write {name[0] if name else 'NAME'}=value"


def _name(key: str) -> str:
    """A name as it may be shown: what is written in another way may be a value that stands alone."""
    return key if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", key) and "_" in key else "NAME"


def _near(name: str, missing: Collection[str]) -> str:
    """The name that may be meant, of those that nobody sets. `DEEPGRAM_API_KEY_2` is one that somebody chose."""
    near = difflib.get_close_matches(name.upper()[:100], missing, n=1, cutoff=0.85)
    return near[0] if near and not name.startswith(f"{near[0]}_") else ""
