"""The JSON Schema of a function's arguments: is it one, and do the arguments of a rehearsal fit it?"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft7Validator

from dialplan.config.problems import Place, Problem, did_you_mean, listed, shown
from dialplan.config.rules.corrections import of_kind
from dialplan.config.rules.shape import KINDS, kind_of, relation
from dialplan.config.yaml.source import Node

# jsonschema's ValidationError; its type stubs allow "not set" for every field, which none of a raised one is.
_Error = Any

_META = Draft7Validator(Draft7Validator.META_SCHEMA, format_checker=Draft7Validator.FORMAT_CHECKER)
_TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")


def parameters_problems(parameters: Node) -> list[Problem]:
    """Why a function's `parameters` are no JSON Schema of an object; none where they are one."""
    found = [Problem("E109", *_wrong_schema(error, parameters)) for error in _META.iter_errors(parameters.plain())]
    if found:
        return list(dict.fromkeys(found))
    kind = parameters.get("type")
    if kind is None or kind.value != "object":
        place = kind.place if kind else parameters.place.beginning()
        return [Problem("E109", place, "parameters describe an object", 'write "type: object" first')]
    return [Problem("E109", *words) for words in _reference_problems(parameters)]


def argument_problems(function: str, validator: Draft7Validator, arguments: Node) -> list[Problem]:
    """What a function would refuse of its arguments."""
    given: Any = arguments.plain() or {}
    errors = list(validator.iter_errors(given))
    wrong_kind = [error.absolute_path for error in errors if error.validator == "type"]
    found = [
        words
        for error in errors
        if error.validator == "type" or error.absolute_path not in wrong_kind
        for words in _refused(error, arguments)
    ]
    found += _untaken(validator.schema, arguments)
    return [
        Problem("E703", place, f"{function} would refuse this: {message}", help_text)
        for place, message, help_text in dict.fromkeys(found)
    ]


_Words = tuple[Place, str, str]
"""A place, a message and its help."""


def _wrong_schema(error: _Error, parameters: Node) -> _Words:
    path = list(error.absolute_path)
    node = parameters.at(*path)
    written = shown(node.raw) if node.raw else kind_of(node)
    match [key for key in path if isinstance(key, str)][-1:]:
        case ["type"]:
            return node.place, f"{written} is no type", did_you_mean(node.raw, _TYPES) or f"possible: {listed(_TYPES)}"
        case ["required"]:
            return node.place, "required is a list of names, beside properties", "as in required: [drug_name]"
        case ["pattern"] if error.validator == "format":
            return node.place, f"{written} is no regular expression", ""
        case ["$ref"]:
            return node.place, f"{written} leads nowhere", _REFERENCE
    wanted = _as_list(error.validator_value) if error.validator == "type" else []
    if ("boolean" in wanted and "object" in wanted) or error.validator == "anyOf":
        return node.place, f"a parameter is described by keys and values, not by {kind_of(node)}", _DESCRIBED
    if wanted:
        return (
            node.place,
            f"this must be {' or '.join(KINDS[kind] for kind in wanted)}, not {kind_of(node)}",
            of_kind(wanted, node, {}),
        )
    return node.place, "this cannot stand in a JSON Schema", "see docs/agent-file.md#parameters"


_DESCRIBED = "as in {type: string, description: Name of the drug.}"
_REFERENCE = "as in $ref: '#/definitions/drug'"


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _reference_problems(parameters: Node) -> Iterator[_Words]:
    """`$ref` that leads nowhere, or back to where it stands: checking arguments against it would never end."""
    for reference in _references(parameters):
        target = _target(parameters, reference)
        if target is None:
            yield reference.place, f"{shown(reference.raw)} leads nowhere", _REFERENCE
        elif _leads_back(parameters, target, (target,)):
            yield reference.place, f"{shown(reference.raw)} leads back to itself", "write out what it stands for"


def _references(node: Node) -> Iterator[Node]:
    for key, child in node.children():
        if key == "$ref" and isinstance(child.value, str):
            yield child
        yield from _references(child)


def _target(root: Node, reference: Node) -> Node | None:
    if not reference.raw.startswith("#"):
        return None
    node: Node | None = root
    for part in reference.raw.split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        node = node.get(int(key) if key.isdecimal() and isinstance(node.value, tuple) else key) if node else None
    return node if reference.raw == "#" or "/" in reference.raw else None


def _leads_back(root: Node, node: Node, passed: tuple[Node, ...]) -> bool:
    targets = [target for reference in _references(node) if (target := _target(root, reference))]
    return any(
        any(target is earlier for earlier in passed) or _leads_back(root, target, (*passed, target))
        for target in targets
    )


def _refused(error: _Error, arguments: Node) -> Iterator[_Words]:
    node, wanted = arguments.at(*error.absolute_path), error.validator_value
    match error.validator:
        case "required":
            for name in [name for name in wanted if name not in error.instance]:
                yield node.place, f"{name} is missing", ""
        case "additionalProperties":
            return  # `_untaken` says so.
        case "type":
            help_text = of_kind(_as_list(wanted), node, {}) if set(_as_list(wanted)) <= KINDS.keys() else ""
            yield node.place, f"it must be {_kinds(_as_list(wanted))}, not {kind_of(node)}", help_text
        case "enum":
            choices = [str(choice) for choice in wanted]
            yield node.place, f"{shown(str(error.instance))} is not possible", f"possible: {', '.join(choices)}"
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            yield node.place, f"{node.raw} is out of range", relation(error)
        case "anyOf" | "oneOf" if all("type" in choice for choice in wanted):
            yield node.place, f"it must be {_kinds([choice['type'] for choice in wanted])}, not {kind_of(node)}", ""
        case _:
            yield node.place, "it does not fit what parameters: say of it", ""


def _kinds(kinds: list[Any]) -> str:
    return " or ".join(KINDS.get(str(kind), str(kind)) for kind in kinds)


def _untaken(schema: Any, arguments: Node) -> Iterator[_Words]:
    """Arguments that the function does not know. A JSON Schema lets them pass; here they are a slip of the pen."""
    known = schema.get("properties", {})
    if schema.get("additionalProperties") or schema.get("patternProperties") or not isinstance(known, Mapping):
        return
    for key, _ in arguments.children():
        if isinstance(key, str) and key not in known:
            help_text = did_you_mean(key, known) or f"it takes: {listed(known) or 'nothing'}"
            yield arguments.key_place(key), f"there is no {shown(key)}", help_text
