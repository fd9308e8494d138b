"""A plugin's function → its contract: what it takes, and the JSON Schema of it, from type hints and defaults."""

import collections.abc
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from dialplan import facts
from dialplan.facts import Call, IdempotencyKey


@dataclass(frozen=True, slots=True)
class Signature:
    """What can be read off a function; the fields are those of `PluginFunction`."""

    parameters: Mapping[str, Any] | None
    undescribed: str
    takes: frozenset[str]
    needs: frozenset[str]
    takes_anything: bool
    call_arguments: frozenset[str]
    key_arguments: frozenset[str]
    idempotent: bool


def read(call: Callable[..., Any]) -> Signature:
    """The contract of a function. One that cannot be described is no error yet: the agent file may describe it."""
    parameters, undescribed = _parameters(call)
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    call_arguments = frozenset(p.name for p in named if Call in _alternatives(p.annotation))
    key_arguments = frozenset(p.name for p in named if IdempotencyKey in _alternatives(p.annotation))
    arguments = [p for p in named if p.name not in call_arguments | key_arguments]
    schema: dict[str, Any] | None = None
    if not undescribed:
        try:
            schema = _contract(arguments, [p for p in parameters if p.kind is p.POSITIONAL_ONLY])
        except _Undescribable as exc:
            undescribed = str(exc)
    return Signature(
        schema,
        undescribed,
        takes=frozenset(p.name for p in arguments),
        needs=frozenset(p.name for p in arguments if p.default is p.empty),
        takes_anything=_unreadable(parameters, undescribed) or any(p.kind is p.VAR_KEYWORD for p in parameters),
        call_arguments=call_arguments,
        key_arguments=key_arguments,
        idempotent=bool(key_arguments) or facts.is_idempotent(call),
    )


def _unreadable(parameters: Sequence[inspect.Parameter], undescribed: str) -> bool:
    """Nothing is known of it, as of functions written in C; so nothing can contradict the agent file."""
    return bool(undescribed) and not parameters


class _Undescribable(Exception):
    pass


#: A hint in quotes is evaluated. What else it may raise is caught where plugins are imported.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, NameError, SyntaxError, TypeError, ValueError)


def _parameters(call: Callable[..., Any]) -> tuple[list[inspect.Parameter], str]:
    """The parameters with their hints as types, and why they are none."""
    try:
        return list(inspect.signature(call, eval_str=True).parameters.values()), ""
    except _UNREADABLE as exc:
        undescribed = f"its type hints cannot be read: {exc}"
    try:
        return list(inspect.signature(call).parameters.values()), undescribed
    except (TypeError, ValueError):
        return [], undescribed


def _contract(arguments: Sequence[inspect.Parameter], unnamed: Sequence[inspect.Parameter]) -> dict[str, Any]:
    if unnamed:
        raise _Undescribable(f"{unnamed[0].name} stands before a /, and arguments are given by name")
    properties = {argument.name: _described(argument) for argument in arguments}
    required = [argument.name for argument in arguments if argument.default is argument.empty]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _described(argument: inspect.Parameter) -> dict[str, Any]:
    if argument.annotation is argument.empty:
        raise _Undescribable(f"{argument.name} has no type hint")
    schema = _schema_of(argument.annotation, argument.name)
    if isinstance(argument.default, str | int | float | bool) and _is_json(argument.default):
        schema["default"] = argument.default
    return schema


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


_SCALARS = ((str, "string"), (int, "integer"), (float, "number"), (bool, "boolean"), (types.NoneType, "null"))


def _schema_of(hint: Any, name: str) -> dict[str, Any]:
    """A type hint as JSON Schema: str, int, float, bool, Literal, X | None, list[X], dict[str, X]; each Annotated."""
    scalar = next((word for kind, word in _SCALARS if hint is kind or (hint is None and word == "null")), "")
    if scalar:
        return {"type": scalar}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _annotated(arguments, name)
    if origin is Literal and _is_json(arguments):
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return _union(arguments, name)
    if hint is list or origin in (list, collections.abc.Sequence):
        return {"type": "array", **({"items": _schema_of(arguments[0], name)} if arguments else {})}
    if hint is dict or origin in (dict, collections.abc.Mapping):
        return {"type": "object", **_values(arguments, name)}
    shown = getattr(hint, "__name__", None) or str(hint)
    raise _Undescribable(f"{name} has the type {shown}, which has no place in JSON")


def _annotated(arguments: tuple[Any, ...], name: str) -> dict[str, Any]:
    description = next((extra for extra in arguments[1:] if isinstance(extra, str)), "")
    return _schema_of(arguments[0], name) | ({"description": description} if description else {})


def _union(arguments: tuple[Any, ...], name: str) -> dict[str, Any]:
    """`X | None` and the like; a description inside of it is lifted to where a model looks for it."""
    choices = [_schema_of(argument, name) for argument in arguments]
    description = next((d for choice in choices if (d := choice.pop("description", ""))), "")
    return {"anyOf": choices} | ({"description": description} if description else {})


def _values(arguments: tuple[Any, ...], name: str) -> dict[str, Any]:
    """Of a mapping with declared values."""
    if len(arguments) < 2 or arguments[1] in (Any, object):
        return {}
    return {"additionalProperties": _schema_of(arguments[1], name)}


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The types that a hint allows."""
    if typing.get_origin(hint) is Annotated:
        return _alternatives(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)
