"""An agent file's tree held against agent.schema.json: every value of the wrong shape, in words, with its place."""

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import resources
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import SchemaError

from dialplan.config.problems import Place, Problem, did_you_mean, lines_of, listed
from dialplan.config.source import Node

# jsonschema's ValidationError; its type stubs allow "not set" for every field, which none of a raised one is.
_Error = Any


@functools.cache
def schema() -> dict[str, Any]:
    """The JSON Schema of an agent file, draft-07. Do not change what it returns."""
    text = resources.files("dialplan.config").joinpath("agent.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@functools.cache
def _validator() -> Draft7Validator:
    return Draft7Validator(schema())


def shape_problems(tree: Node, texts: Mapping[str, str]) -> list[Problem]:
    """Everything in the tree that the schema refuses, in the order of the file.

    Args:
        tree: one agent, all that it builds on merged in.
        texts: the content of the files that its places name.
    """
    found = [problem for error in _validator().iter_errors(tree.plain()) for problem in _problems(error, tree)]
    corrected = [_with_corrected_line(p, texts[p.place.file]) if p.code == "E006" else p for p in found]
    return sorted(dict.fromkeys(corrected), key=lambda problem: problem.place)


def without_refused(tree: Node) -> Node | None:
    """The tree without what the schema refuses, so that the rest can be looked at in the same run.

    Of the whole file only a missing key is passed over. None where the file does not hold keys at all.
    """
    if not isinstance(tree.value, Mapping):
        return None
    # Taking out one value can leave its mapping without a key that it must have.
    while refused := {path for error in _validator().iter_errors(tree.plain()) for path in _refused(error) if path}:
        tree = tree.without(refused)
    return tree


def _refused(error: _Error) -> Iterator[tuple[str | int, ...]]:
    path = tuple(error.absolute_path)
    if error.validator != "additionalProperties":
        yield path
    else:
        known, patterns = error.schema.get("properties", {}), error.schema.get("patternProperties", {})
        yield from ((*path, key) for key in _unknown(error.instance, known, patterns))


def _unknown(keys: Iterable[str], known: Mapping[str, Any], patterns: Mapping[str, Any]) -> list[str]:
    return [key for key in keys if key not in known and not any(re.search(p, key) for p in patterns)]


def parameters_problem(parameters: Node) -> Problem | None:
    """Why a function's `parameters` are no JSON Schema of an object, where they are none."""
    try:
        Draft7Validator.check_schema(parameters.plain())
    except SchemaError as exc:
        node = parameters.at(*exc.absolute_path)
        return Problem("E109", node.place, f"this is no JSON Schema: {exc.message}", "see docs/agent-file.md#functions")
    kind = parameters.get("type")
    if kind is None or kind.value != "object":
        return Problem(
            "E109", (kind or parameters).place, "parameters describe an object", 'write "type: object" first'
        )
    return None


def _problems(error: _Error, tree: Node) -> Iterator[Problem]:
    node = tree.at(*error.absolute_path)
    words = _WORDS.get(str(error.validator), _in_general)
    yield from words(error, node)


def _unknown_keys(error: _Error, node: Node) -> Iterator[Problem]:
    known = error.schema.get("properties", {})
    for key in _unknown(error.instance, known, error.schema.get("patternProperties", {})):
        suggestion = did_you_mean(key, known) or f"known here: {listed(known, most=20)}"
        yield Problem("E104", node.key_place(key), f'unknown key "{key}"', suggestion)


def _missing_keys(error: _Error, node: Node) -> Iterator[Problem]:
    if isinstance(error.instance, dict):
        for key in error.validator_value:
            if key not in error.instance:
                yield Problem(
                    "E102", _beginning(node.place), f'the key "{key}" is missing', _example(error.schema, key)
                )


def _wrong_kind(error: _Error, node: Node) -> Iterator[Problem]:
    wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    if not error.absolute_path:
        yield Problem("E101", _beginning(node.place), "an agent file holds keys and values, such as prompt: …")
        return
    if "string" in wanted and node.raw and error.absolute_path[0] == "numbers":
        message = f"the phone number {node.raw} needs quotes, or YAML takes it for a number and drops the plus"
        yield Problem("E006", node.place, message)
        return
    help_text = f'put quotes around it: "{node.raw}"' if "string" in wanted and node.raw else ""
    kinds = " or ".join(_KINDS[kind] for kind in wanted)
    yield Problem("E103", node.place, f"this must be {kinds}, not {_kind_of(node)}", help_text)


def _with_corrected_line(problem: Problem, text: str) -> Problem:
    line, place = lines_of(text)[problem.place.line - 1], problem.place
    before, number, after = (
        line[: place.column - 1],
        line[place.column - 1 : place.end_column - 1],
        line[place.end_column - 1 :],
    )
    return replace(problem, help=f'write: {before.lstrip()}"+{number.lstrip("+")}"{after}')


def _not_one_of(error: _Error, node: Node) -> Iterator[Problem]:
    choices = [str(choice) for choice in error.validator_value]
    suggestion = did_you_mean(str(error.instance), choices) or f"possible: {', '.join(choices)}"
    yield Problem("E105", node.place, f'"{error.instance}" is not possible here', suggestion)


def _out_of_range(error: _Error, node: Node) -> Iterator[Problem]:
    bound = error.validator_value
    relation = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than"}[str(error.validator)]
    yield Problem("E106", node.place, f"{node.raw or error.instance} is out of range", f"{relation} {bound}")


def _wrong_form(error: _Error, node: Node) -> Iterator[Problem]:
    # Of a refused key (propertyNames) the instance is the key and the path leads to its mapping.
    place = node.key_place(error.instance) if isinstance(node.value, Mapping) else node.place
    yield Problem("E107", place, f'"{error.instance}" cannot stand here', error.schema.get("x-form", ""))


def _wrong_size(error: _Error, node: Node) -> Iterator[Problem]:
    if error.instance == "":
        yield Problem("E108", node.place, "a text is missing here")
    elif not error.instance:
        yield Problem("E108", node.place, "nothing stands in here", _example(error.schema, ""))
    else:
        yield Problem("E108", node.place, "too much stands in here", "one function with its arguments, or a list")


def _in_general(error: _Error, node: Node) -> Iterator[Problem]:
    yield Problem("E108", node.place, error.message)


_WORDS: Mapping[str, Callable[[_Error, Node], Iterator[Problem]]] = {
    "additionalProperties": _unknown_keys,
    "required": _missing_keys,
    "type": _wrong_kind,
    "enum": _not_one_of,
    "minimum": _out_of_range,
    "maximum": _out_of_range,
    "exclusiveMinimum": _out_of_range,
    "pattern": _wrong_form,
    "not": _wrong_form,
    "minItems": _wrong_size,
    "minLength": _wrong_size,
    "minProperties": _wrong_size,
    "maxProperties": _wrong_size,
}

_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping of keys and values",
    "null": "nothing",
}


def _kind_of(node: Node) -> str:
    match node.value:
        case None:
            return "nothing"
        case bool():
            return f"the word {node.raw}"
        case int() | float():
            return f"the number {node.raw}"
        case str():
            return "text"
        case tuple():
            return "a list"
    return "a mapping of keys and values"


def _example(schema: Mapping[str, Any], key: str) -> str:
    part = schema.get("properties", {}).get(key, {}) if key else schema
    examples = part.get("examples")
    if not examples or not isinstance(examples[0], str):
        return ""
    return f"for example {key}: {examples[0]}" if key else f"for example {examples[0]}"


def _beginning(place: Place) -> Place:
    """Of a whole mapping only its first character: a caret under fifty lines shows nothing."""
    return Place(place.file, place.line, place.column, place.line, place.column + 1)
