"""An agent's file with all that it builds on and every default, as one YAML text that says where each value stands."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dialplan.config.files import Files
from dialplan.config.layers import Layers
from dialplan.config.problems import Place
from dialplan.config.rules import shape
from dialplan.config.yaml import entries
from dialplan.config.yaml.source import Entry, Node, merge

#: Stands where others have a file.
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the text, and where the value in it comes from, where there is one."""

    text: str
    place: Place | None = None


def resolved(root: Path, name: str) -> Node | None:
    """An agent's tree, by its name; None where there is no such agent or its file cannot be read."""
    layers = Layers(root, Files())
    file = next((file for file in layers.agent_files() if layers.agent_name(file) == name), None)
    tree = layers.resolved(file).tree if file else None
    return None if tree is None else _in_order(merge(_defaults(tree), tree.without([("extends",)])))


def _in_order(tree: Node) -> Node:
    """The keys as the reference lists them; others after them."""
    if not isinstance(tree.value, Mapping):
        return tree
    known = [key for key in shape.schema()["properties"] if key in tree.value]
    return replace(tree, value={key: tree.value[key] for key in (*known, *tree.value)})


def _defaults(tree: Node) -> Node:
    """What counts where a file says nothing."""
    known = {key: value["default"] for key, value in shape.schema()["properties"].items() if "default" in value}
    mappings = ("limits", "records")
    for mapping in mappings:
        keys = shape.schema()["properties"][mapping]["properties"]
        known[mapping] = {key: value["default"] for key, value in keys.items() if "default" in value}
    if (tree.at("listen").get("model") or tree.at("listen")).raw.startswith("flux"):
        del known["language"]  # Flux hears no single language.
    return _node({key: value for key, value in known.items() if key in mappings or not tree.get(key)})


def _node(value: Any) -> Node:
    place = Place(DEFAULT)
    if isinstance(value, Mapping):
        return Node({key: Entry(place, _node(child)) for key, child in value.items()}, place)
    if isinstance(value, list):
        return Node(tuple(map(_node, value)), place)
    return Node(value, place, str(value))


#: Columns after which the places stand, where the values leave them room.
_COLUMN = 60


def as_yaml(tree: Node, paint: Callable[[str], str] = str) -> str:
    """The tree as the text of an agent file, with the place of each value behind it.

    Args:
        tree: what `resolved` gives.
        paint: makes a place stand back.
    """
    lines = list(_body(tree))
    column = min(_COLUMN, max((len(line.text) for line in lines if line.place), default=0))
    # To the end of the last line: a text behind a | would lose its own line break.
    told = (f"{line.text:<{column}}  {paint(_told(line.place))}" if line.place else line.text for line in lines)
    return "".join(f"{line}\n" for line in told)


def as_json(tree: Node) -> str:
    """Every value with its path and place, for a program."""
    rows = [
        {"path": ".".join(map(str, path)), "value": node.plain(), "file": node.place.file, "line": node.place.line}
        for path, node in tree.walk()
        if not any(node.children())
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def _told(place: Place) -> str:
    return f"# {place.file}" + (f":{place.line}" if place.file != DEFAULT else "")


def _body(node: Node) -> Iterator[Line]:
    if isinstance(node.value, Mapping):
        for key, entry in node.value.items():
            yield from _entry(f"{entries.scalar(key)}:", entry.node)
    for item in node.items():
        if any(item.children()):
            first, *rest = _body(item)
            yield replace(first, text=f"- {first.text}")
            yield from _indented(rest)
        else:
            yield from _entry("-", item)


def _entry(head: str, node: Node) -> Iterator[Line]:
    """`key: value`, or the key and its value below."""
    if any(node.children()):
        yield Line(head)
        yield from _indented(_body(node))
    elif isinstance(node.value, tuple | Mapping):
        yield Line(f"{head} {'[]' if isinstance(node.value, tuple) else '{}'}", node.place)
    elif isinstance(node.value, str) and "\n" in node.value and entries.fits_block(node.value.removesuffix("\n")):
        mark = "|" if node.value.endswith("\n") else "|-"
        yield Line(f"{head} {mark}", node.place)
        lines = node.value.removesuffix("\n").split("\n")
        yield from _indented([Line(line) for line in lines])
    else:
        yield Line(f"{head} {entries.scalar(node.value)}", node.place)


def _indented(lines: Iterator[Line] | list[Line]) -> Iterator[Line]:
    for line in lines:
        yield replace(line, text=f"  {line.text}" if line.text else "")
