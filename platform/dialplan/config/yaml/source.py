"""YAML text → a tree in which every value knows its place.

YAML 1.2's core rules (`no` is a word, `17:30` is a text), duplicate keys refused, and no text whatever, however deep or
self-referring, that raises. What the values mean is not known here.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import yaml

from dialplan.config.problems import Place, Problem, lines_of
from dialplan.config.yaml.syntax import braces_problem, character_problem, syntax_problem

#: An agent file of ordinary size has a depth of 8 and some hundred values.
MAX_DEPTH = 40
MAX_VALUES = 50_000
MAX_BYTES = 1_000_000

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """One value with its place: a scalar, a tuple of nodes, or a mapping from key to `Entry`."""

    value: "Scalar | tuple[Node, ...] | Mapping[str, Entry]"
    place: Place
    raw: str = ""
    """A scalar as it was written, without quotes."""
    style: str = ""
    """How a scalar was written: a quote, `|`, `>`, nothing for a plain one; `file` for the text of a whole file."""
    size: int = 1
    """How many values it holds, itself included and every alias counted in full."""

    def plain(self) -> Any:
        """The value as dict, list and scalar, for the JSON Schema."""
        match self.value:
            case tuple() as items:
                return [item.plain() for item in items]
            case Mapping() as entries:
                return {key: entry.node.plain() for key, entry in entries.items()}
            case scalar:
                return scalar

    def get(self, key: str | int) -> "Node | None":
        """The value under a key or index, where there is one."""
        if isinstance(self.value, Mapping) and isinstance(key, str) and key in self.value:
            return self.value[key].node
        if isinstance(self.value, tuple) and isinstance(key, int) and key < len(self.value):
            return self.value[key]
        return None

    def at(self, *path: str | int) -> "Node":
        """The value at a path; where the path leads nowhere, the last value on the way."""
        node = self
        for key in path:
            deeper = node.get(key)
            if deeper is None:
                break
            node = deeper
        return node

    def key_place(self, key: str) -> Place:
        """The place of the key itself; of the mapping where it has no such key."""
        if isinstance(self.value, Mapping) and key in self.value:
            return self.value[key].key
        return self.place

    def without(self, paths: Collection[tuple[str | int, ...]]) -> "Node":
        """The same tree without the values at some paths."""
        gone = {path[0] for path in paths if len(path) == 1}
        deeper: dict[str | int, list[tuple[str | int, ...]]] = {}
        for path in paths:
            if len(path) > 1:
                deeper.setdefault(path[0], []).append(path[1:])
        kept: tuple[Node, ...] | dict[str, Entry]
        if isinstance(self.value, Mapping):
            kept = {
                key: Entry(entry.key, entry.node.without(deeper[key])) if key in deeper else entry
                for key, entry in self.value.items()
                if key not in gone
            }
            return replace(self, value=kept)
        kept = tuple(
            item.without(deeper[index]) if index in deeper else item
            for index, item in enumerate(self.items())
            if index not in gone
        )
        return replace(self, value=kept)

    def children(self) -> "Iterator[tuple[str | int, Node]]":
        """The values of a mapping or list, each with its key or index."""
        if isinstance(self.value, Mapping):
            for key, entry in self.value.items():
                yield key, entry.node
        yield from enumerate(self.items())

    def walk(self, path: tuple[str | int, ...] = ()) -> "Iterator[tuple[tuple[str | int, ...], Node]]":
        """This value and every one in it, each with the keys that lead to it; a mapping before what it holds."""
        yield path, self
        for key, child in self.children():
            yield from child.walk((*path, key))

    def items(self) -> "tuple[Node, ...]":
        """The nodes of a list; none for anything else."""
        return self.value if isinstance(self.value, tuple) else ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping, with the key's own place."""

    key: Place
    node: Node


def read(file: str, text: str) -> tuple[Node | None, list[Problem]]:
    """The tree of a YAML text; None with at least one problem where it has none.

    An empty file is an empty mapping. Duplicate keys are problems beside a tree that holds the first of each.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_BYTES:
        return None, [Problem("E004", Place(file), f"the file is larger than {MAX_BYTES // 1_000_000} MB")]
    composer = _Composer(file, text)
    try:
        return composer.document(), composer.problems
    except _Unreadable as exc:
        return None, [*composer.problems, exc.problem]
    except UnicodeEncodeError as exc:  # Half a surrogate pair, which no file in UTF-8 can hold.
        return None, [character_problem(file, text, exc.start)]
    except yaml.YAMLError as exc:
        # What already is known to be wrong in a line explains better why the line cannot be understood.
        problem = syntax_problem(file, text, exc)
        known = {found.place.line for found in composer.problems}
        return None, [*composer.problems, *([] if problem.place.line in known else [problem])]


def repeats_of(text: str, line: int) -> list[tuple[str, int]]:
    """Every `*name` that brings in what stands in a line, with its own line."""
    return [(f"*{name}", at) for name, first, last, at in _repeats(text) if first <= line <= last]


@lru_cache(maxsize=16)
def _repeats(text: str) -> list[tuple[str, int, int, int]]:
    """Of every alias its name, the first and the last line of what it repeats, and its own line."""
    extents: dict[str, tuple[int, int]] = {}
    opened: list[tuple[str, int]] = []
    found = []
    events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
    try:
        for event in events:
            line, end = event.start_mark.line + 1, event.end_mark
            if isinstance(event, yaml.AliasEvent) and event.anchor in extents:
                found.append((event.anchor, *extents[event.anchor], line))
            elif isinstance(event, yaml.ScalarEvent) and event.anchor:
                extents[event.anchor] = line, end.line + 1
            elif isinstance(event, yaml.CollectionStartEvent):
                opened.append((event.anchor or "", line))
            elif isinstance(event, yaml.CollectionEndEvent):
                name, first = opened.pop()
                # A block ends where the next line begins.
                extents[name] = first, max(first, line - (end.column == 0))
    except yaml.YAMLError:
        pass
    return found


def merge(under: Node, over: Node) -> Node:
    """Two trees as one: mappings merge, everything else is replaced by what lies over it."""
    if not isinstance(under.value, Mapping) or not isinstance(over.value, Mapping):
        return over
    entries = dict(under.value)
    for key, entry in over.value.items():
        below = entries.get(key)
        entries[key] = Entry(entry.key, merge(below.node, entry.node)) if below else entry
    return Node(entries, over.place, size=under.size + over.size)


class _Unreadable(Exception):
    """There is no sense in reading on."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


# libyaml where PyYAML was built with it: 20 times faster, the same events.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Composer:
    """Builds the tree from the parser's events; the composer of PyYAML itself recurses without a limit."""

    def __init__(self, file: str, text: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._text = text
        self._lines = lines_of(text)
        self._anchors: dict[str, Node] = {}
        self._events: Iterator[Any] = yaml.parse(text, Loader=_Loader)

    def document(self) -> Node:
        event = next(self._events)
        while isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
            event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return Node({}, Place(self._file))
        node = self._node(event, depth=0)
        next(self._events)  # The document's end.
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise self._unreadable("E002", following, "a second document begins here (---); one file holds one agent")
        return node

    def _node(self, event: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._unreadable("E004", event, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        node = self._fresh(event, depth)
        if node.size > MAX_VALUES:
            raise self._unreadable("E004", event, f"more than {MAX_VALUES:,} values, counting what * repeats")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _fresh(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        self._refuse_tag(event, (None, "!"))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, depth)
        return self._mapping(event, depth)

    def _alias(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            message = f"*{event.anchor} repeats something named &{event.anchor}, and there is no such thing above"
            raise self._unreadable("E002", event, message, "put quotes around a text that begins with *")
        return self._anchors[event.anchor]

    def _scalar(self, event: Any) -> Node:
        self._refuse_tag(event, (None, "tag:yaml.org,2002:str"))
        plain = event.implicit[0] and event.tag is None
        value = _resolve(event.value) if plain else event.value
        return Node(value, self._scalar_place(event), event.value, event.style or "")

    def _refuse_tag(self, event: Any, allowed: Collection[str | None]) -> None:
        if event.tag not in allowed:
            message = "a word that begins with ! means something special to YAML"
            raise self._unreadable("E002", event, message, "put quotes around the text")

    def _sequence(self, start: Any, depth: int) -> Node:
        items = []
        event = next(self._events)
        while not isinstance(event, yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
            event = next(self._events)
        place = self._collection_place(start, event, items)
        return Node(tuple(items), place, size=1 + sum(item.size for item in items))

    def _mapping(self, start: Any, depth: int) -> Node:
        entries: dict[str, Entry] = {}
        merged: list[Node] = []
        event = next(self._events)
        while not isinstance(event, yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if isinstance(key.value, Mapping) and start.flow_style:
                return self._braces(start, depth)
            value = self._node(next(self._events), depth + 1)
            if key.raw == "<<" and not key.style:
                merged += value.items() or (value,)
            else:
                self._add(entries, key, value)
            event = next(self._events)
        inside = [entry.node for entry in entries.values()]
        place = self._collection_place(start, event, inside)
        node = Node(entries, place, size=1 + sum(value.size for value in inside))
        return self._with_merged(node, merged)

    def _braces(self, start: Any, depth: int) -> Node:
        """`{{ store }}` without quotes, which to YAML is a mapping in a mapping: noted, and read as the text it is."""
        event = next(self._events)
        while not isinstance(event, yaml.MappingEndEvent):
            self._node(event, depth + 1)
            event = next(self._events)
        place, end = self._place(start, event), event.end_mark
        self.problems.append(braces_problem(place, self._text))
        written = self._text[start.start_mark.index : end.index if end else None]
        return Node(written, place, written)

    def _add(self, entries: dict[str, Entry], key: Node, value: Node) -> None:
        if isinstance(key.value, tuple | Mapping) or not key.raw:
            self.problems.append(Problem("E005", key.place, "a key must be a word", "as in voice: aura-2-thalia-en"))
        elif key.raw in entries:
            first = entries[key.raw].key
            message = f'the key "{key.raw}" stands twice; the first is in line {first.line} ({first})'
            self.problems.append(Problem("E003", key.place, message, "remove one of the two"))
        else:
            entries[key.raw] = Entry(key.place, value)

    def _with_merged(self, node: Node, merged: Sequence[Node]) -> Node:
        """`<<` brings in the keys of other mappings; keys written out win, earlier mappings win over later ones."""
        entries: dict[str, Entry] = {}
        for below in merged:
            if not isinstance(below.value, Mapping):
                self.problems.append(
                    Problem("E103", below.place, "after << stands something that has keys, such as *base")
                )
                continue
            entries = {**below.value, **entries}
        if not entries:
            return node
        assert isinstance(node.value, Mapping)
        return Node({**entries, **node.value}, node.place, size=node.size + sum(e.node.size for e in entries.values()))

    def _place(self, first: Any, last: Any = None) -> Place:
        return Place(self._file, *self._position(first.start_mark), *self._position((last or first).end_mark))

    def _position(self, mark: Any) -> tuple[int, int]:
        """Line and column from 1. What is open when the file ends, ends there: libyaml counts one line more."""
        if mark.line >= len(self._lines):
            return len(self._lines), len(self._lines[-1]) + 1
        return mark.line + 1, mark.column + 1

    def _collection_place(self, start: Any, end: Any, inside: Sequence[Node]) -> Place:
        """To the end of its last value: the parser sees the end of a block only where the next one begins."""
        place = self._place(start, end)
        last = inside[-1].place if inside else place
        if start.flow_style or not place.holds(last):  # An alias stands elsewhere.
            return place
        return replace(place, end_line=last.end_line, end_column=last.end_column)

    def _scalar_place(self, event: Any) -> Place:
        """Of the text itself: without the `&name` or `!!str` in front of it, and the empty lines behind a block."""
        place = self._place(event)
        if event.anchor is not None or event.tag is not None:
            before = _PROPERTIES.match(self._text, event.start_mark.index, event.end_mark.index)
            line, column = self._after(event.start_mark, before[0] if before else "")
            place = replace(place, line=line, column=column)
        if event.style in ("|", ">"):
            written = self._text[event.start_mark.index : event.end_mark.index].rstrip()
            line, column = self._after(event.start_mark, written)
            place = replace(place, end_line=line, end_column=column)
        return place

    def _after(self, mark: Any, written: str) -> tuple[int, int]:
        """Line and column behind a text that begins at a mark."""
        lines = lines_of(written)
        column = len(lines[-1]) + 1
        return mark.line + len(lines), column + (mark.column if len(lines) == 1 else 0)

    def _unreadable(self, code: str, event: Any, message: str, help_text: str = "") -> _Unreadable:
        return _Unreadable(Problem(code, self._place(event), message, help_text))


#: `&name`, `!` and `!!str` before a value, with what separates them from it.
_PROPERTIES = re.compile(r"(?:[&!]\S*(?:[ \t]*(?:#[^\r\n]*)?[\r\n]+[ \t]*|[ \t]+|$))*")

_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    "-.inf": float("-inf"),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


def _resolve(text: str) -> Scalar:
    """A plain scalar by YAML 1.2's core schema (yaml.org/spec/1.2.2 §10.3.2)."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) and len(text) < 1000:
        return int(text)
    if _OCTAL_HEX.fullmatch(text) and len(text) < 1000:
        return int(text, 0)
    if _FLOAT.fullmatch(text) and len(text) < 1000:
        return float(text)
    return text
