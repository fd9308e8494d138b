"""Numbers that lose a part of what was written: a zip code its zero, a price its last cent.

YAML takes what looks like a number for one, and a template writes it as Python does. Nobody sees that in the file.
"""

import re
from collections.abc import Collection, Iterator

from dialplan.config.problems import Place
from dialplan.config.reading import Reading
from dialplan.config.yaml.source import Node

_Path = tuple[str | int, ...]


def check(reading: Reading, templates: Collection[str]) -> None:
    """Note every number that comes out differently.

    Args:
        reading: the agent file.
        templates: the texts in which its variables are filled in.
    """
    for path, node in _numbers(reading.tree.get("variables")):
        if str(node.value) != node.raw and (_LOST.fullmatch(node.raw) or _is_read_out(path, templates)):
            _note(reading, node.place, node.raw, str(node.value))
    for node in _sent(reading.tree):
        if _LOST_AS_JSON.fullmatch(node.raw):
            _note(reading, node.place, node.raw, str(node.value))


def _note(reading: Reading, place: Place, raw: str, becomes: str) -> None:
    message = f"{raw:.40} without quotes is a number, and becomes {becomes:.40}"
    reading.problem("W101", place, message, f'put quotes around it: "{raw:.40}"')


#: A zero or a plus in front, which no number has; 1e3 and 0x1F, which are written out.
_LOST = re.compile(r"[-+]?0[0-9].*|\+[0-9].*|0[xo].*|[^.]*[eE].*")
#: In JSON a number stays a number; a zip code and a phone number are none.
_LOST_AS_JSON = re.compile(r"[-+]?0[0-9]+|\+[0-9]{7,}")


def _is_read_out(path: _Path, templates: Collection[str]) -> bool:
    """Whether a decimal such as 4.50 is filled in as it is, and not first rounded or calculated with."""
    name = r"\.".join(re.escape(str(key)) for key in path)
    return any(re.search(rf"\{{\{{-?\s*{name}\s*-?\}}\}}", text) for text in templates)


def _sent(tree: Node) -> Iterator[Node]:
    """Numbers that leave as they are: in a request, in Deepgram's settings, as one of a parameter's values."""
    for function in tree.at("functions").items():
        request = function.get("http")
        parts = [request.get("query"), request.get("json")] if request else []
        for part in [*parts, function.at("parameters").get("properties")]:
            yield from (node for _, node in _numbers(part))
    yield from (node for _, node in _numbers(tree.get("settings")))


def _numbers(node: Node | None) -> Iterator[tuple[_Path, Node]]:
    for path, value in node.walk() if node else ():
        if isinstance(value.value, int | float) and not isinstance(value.value, bool):
            yield path, value
