"""Where a part of a text stands in its file, however the text was written: quoted, folded, a block, a whole file."""

import bisect
import itertools
import re
import sys
from collections.abc import Iterator, Sequence

from dialplan.config.problems import Place, lines_of
from dialplan.config.yaml.source import Node


def whole_file(file: str, text: str) -> Node:
    """The text of a file, such as a prompt's, as one value."""
    lines = lines_of(text)
    return Node(text, Place(file, 1, 1, len(lines), len(lines[-1]) + 1), text, "file")


def places_inside(node: Node, text: str, parts: Sequence[tuple[int, int]]) -> list[Place]:
    """The places of parts of a text value, whatever way the text was written (quoted, folded, a block).

    Args:
        node: the text value.
        text: the file's content.
        parts: offset and length of each part in the value, in characters.
    """
    assert isinstance(node.value, str)
    # Indents, folds and escapes change nothing but spaces: the value's n-th visible character is the source's n-th.
    visible = list(itertools.accumulate((character not in _SPACE for character in node.value), initial=0))
    lines = _Lines(text)
    start = lines.offset(node.place.line, node.place.column)
    spots = list(itertools.islice(_spots(node.style, lines.text, start), visible[-1]))
    places = []
    for offset, length in parts:
        first, last = visible[min(offset, len(node.value))], visible[min(offset + length, len(node.value))] - 1
        if first <= last < len(spots):
            places.append(lines.place(node.place.file, spots[first][0], spots[last][1]))
        else:
            places.append(node.place)
    return places


_SPACE = " \t\n\r\x85\u2028\u2029"


_SINGLE_QUOTED = re.compile(r"''|.", re.DOTALL)
_DOUBLE_QUOTED = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)|.",
    re.DOTALL,
)
_ANY = re.compile(r".", re.DOTALL)


def _spots(style: str, text: str, start: int) -> Iterator[tuple[int, int]]:
    """Begin and end of everything in the source that stands for one visible character of the value."""
    pattern = {"'": _SINGLE_QUOTED, '"': _DOUBLE_QUOTED}.get(style, _ANY)
    if style in ("|", ">"):
        start = text.find("\n", start) + 1
    elif style in ("'", '"'):
        start += 1
    for match in pattern.finditer(text, start):
        if _stands_for(match[0]) not in _SPACE:
            yield match.span()


_SPACES_ESCAPED = dict.fromkeys("nrtNLP \t\n", " ")


def _stands_for(written: str) -> str:
    """The character that a piece of source stands for, as far as it matters whether it is a space."""
    if not written.startswith("\\") or len(written) == 1:
        return written[0]
    if len(written) == 2:
        return _SPACES_ESCAPED.get(written[1], written)
    return chr(min(int(written[2:], 16), sys.maxunicode))


class _Lines:
    """Offsets in a text ↔ lines and columns."""

    def __init__(self, text: str) -> None:
        lines = lines_of(text.removeprefix("\ufeff"))
        self.text = "\n".join(lines)
        self._starts = [0, *itertools.accumulate(len(line) + 1 for line in lines)]

    def offset(self, line: int, column: int) -> int:
        return self._starts[min(line, len(self._starts)) - 1] + column - 1

    def place(self, file: str, start: int, end: int) -> Place:
        return Place(file, *self._position(start), *self._position(end))

    def _position(self, offset: int) -> tuple[int, int]:
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1
