"""What was not as a rehearsal says, in words: where its turn stands, and what may have been meant. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import nodes

from dialplan.config.jinja.templates import ENVIRONMENT
from dialplan.config.model import Turn
from dialplan.config.problems import listed, shown


def failed(turn: Turn, function: str, result: str) -> str:
    """Of a function that failed where it should work."""
    advice = "where that is meant, write fails: error into the turn"
    return f"{_where(turn)}{function} was to work, and failed: {result}; {advice}"


def worked(turn: Turn, function: str, result: str) -> str:
    """Of a function that worked where it should fail."""
    return f"{_where(turn)}{function} was to fail, and worked: {result}"


def not_filled_in(turn: Turn, result: object, reason: Exception) -> str:
    """Of an agent's line that cannot be filled in with what the functions have given."""
    assert turn.agent is not None
    missing = next(_missing(turn.agent.source, result), "")
    return f"{_where(turn)}{missing or f'what the agent was to say cannot be filled in: {reason}'}"


def _where(turn: Turn) -> str:
    return f"{turn.place.file}:{turn.place.line}: " if turn.place else ""


def _missing(source: str, result: object) -> Iterator[str]:
    """Every part of the result that the line names and the result does not have."""
    for node in ENVIRONMENT.parse(source).find_all((nodes.Getattr, nodes.Getitem)):
        path = _path(node)
        if path and path[0] == "result":
            value: Any = result
            key: Any
            for index, key in enumerate(path[1:], start=1):
                if not _has(value, key):
                    yield f"{'.'.join(map(str, path[:index]))} has no {shown(str(key))}; {_what_it_has(value)}"
                    break
                value = value[key] if isinstance(value, dict | list) else getattr(value, str(key), None)


def _path(node: nodes.Node) -> list[str | int]:
    """The name and the keys of `result.a["b"][0]`; nothing where one of them is only known when it is filled in."""
    match node:
        case nodes.Name(name=name):
            return [name]
        case nodes.Getattr(node=inner, attr=key) | nodes.Getitem(node=inner, arg=nodes.Const(value=key)):
            before = _path(inner)
            return [*before, key] if before else []
    return []


def _has(value: Any, key: str | int) -> bool:
    if isinstance(value, list) and isinstance(key, int):
        return -len(value) <= key < len(value)
    return (isinstance(value, Mapping) and key in value) or (isinstance(key, str) and hasattr(value, key))


def _what_it_has(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"it has: {listed(map(str, value)) or 'nothing'}"
    return f"it is a list of {len(value)}" if isinstance(value, list) else f"it is {shown(str(value))}"
