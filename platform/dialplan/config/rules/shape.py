"""An agent file's tree held against agent.schema.json: every value of the wrong shape, in words, with its place."""

import functools
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import resources
from typing import Any

from jsonschema import Draft7Validator, ValidationError
from jsonschema.validators import extend

from dialplan.config.keys import is_secret_name
from dialplan.config.problems import Problem, did_you_mean, lines_of, shown
from dialplan.config.rules import corrections
from dialplan.config.yaml.source import Node

# jsonschema's ValidationError; its type stubs allow "not set" for every field, which none of a raised one is.
_Error = Any

_Path = tuple[str | int, ...]


@functools.cache
def schema() -> dict[str, Any]:
    """The JSON Schema of an agent file, draft-07. Do not change what it returns."""
    text = resources.files("dialplan.config.rules").joinpath("agent.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@functools.cache
def _validator() -> Any:
    validator: Any = extend(Draft7Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]
    return validator(schema())


def _pattern(validator: Any, pattern: str, instance: object, schema: object) -> Iterator[ValidationError]:
    # `$` also matches before a line break at the end, which no number, path or name may have.
    if isinstance(instance, str) and (not re.search(pattern, instance) or instance.endswith("\n")):
        yield ValidationError("")


def shape_problems(tree: Node, texts: Mapping[str, str]) -> list[Problem]:
    """Everything in the tree that the schema refuses, in the order of the file.

    Args:
        tree: one agent, all that it builds on merged in.
        texts: the content of the files that its places name.
    """
    found = [problem for error in _errors(tree) for problem in _problems(error, tree)]
    found += [
        Problem("E103", tree.at(*path).place, f"{tree.at(*path).raw} is no number that can be sent", "write a number")
        for path in _infinite(tree)
    ]
    # A value of the wrong kind has nothing else that could be wrong with it.
    wrong_kind = {problem.place for problem in found if problem.code in ("E006", "E103")}
    found = [p for p in found if p.code in ("E006", "E103") or p.place not in wrong_kind]
    return sorted(dict.fromkeys(_with_corrected_lines(found, texts)), key=lambda problem: problem.place)


def without_refused(tree: Node) -> Node | None:
    """The tree without what the schema refuses, so that the rest can be looked at in the same run.

    Of the whole file only a missing key is passed over. None where the file does not hold keys at all.
    """
    if not isinstance(tree.value, Mapping):
        return None
    tree = tree.without(set(_infinite(tree)))
    # Taking out one value can leave its mapping without a key that it must have.
    while refused := {path for error in _errors(tree) for path in _refused(error) if path}:
        tree = tree.without(refused)
    return tree


def _errors(tree: Node) -> Iterator[_Error]:
    yield from _validator().iter_errors(tree.plain())


def own_values(tree: Node) -> Iterator[tuple[_Path, Node]]:
    """Every value of an agent with the keys that lead to it. What stands under x-… is nobody's business."""
    for key, child in tree.children():
        if not str(key).startswith("x-"):
            yield from child.walk((key,))


def _infinite(tree: Node) -> Iterator[_Path]:
    """Numbers that JSON does not have."""
    for path, node in own_values(tree):
        if isinstance(node.value, float) and not math.isfinite(node.value):
            yield path


def _refused(error: _Error) -> Iterator[_Path]:
    path = tuple(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        yield (*path, error.instance)
    elif error.validator != "additionalProperties":
        yield path
    else:
        known, patterns = error.schema.get("properties", {}), error.schema.get("patternProperties", {})
        yield from ((*path, key) for key in _unknown(error.instance, known, patterns))


def _unknown(keys: Iterable[str], known: Mapping[str, Any], patterns: Mapping[str, Any]) -> list[str]:
    return [key for key in keys if key not in known and not any(re.search(p, key) for p in patterns)]


def _problems(error: _Error, tree: Node) -> Iterator[Problem]:
    node = tree.at(*error.absolute_path)
    yield from WORDS[str(error.validator)](error, node)


_MOST_SUGGESTIONS = 100


def _unknown_keys(error: _Error, node: Node) -> Iterator[Problem]:
    known = error.schema.get("properties", {})
    unknown = _unknown(error.instance, known, error.schema.get("patternProperties", {}))
    if corrections.is_text(unknown[0], known):  # Of a whole text, its first line.
        unknown = unknown[:1]
    for index, key in enumerate(unknown):
        # To look for a near word takes a moment, and a file that is none of ours has thousands of keys.
        near = corrections.of_key(key, known, schema()) if index < _MOST_SUGGESTIONS else ""
        if key.isdecimal() and node.at(key).value is None:
            near = "a decimal number is written with a point: 0.3"
        if _is_name_of_function(error):
            near = f"write - name: {key}, and what follows in lines of their own below it"
        message, keys = f"unknown key {shown(key)}", corrections.known_here(known)
        if not near and index < _MOST_SUGGESTIONS:
            near = _of_text_above(node, key)
        note = corrections.known_there(known, tuple(error.absolute_path)) if near else ""
        yield Problem("E104", node.key_place(key), message, near or keys, note)


def _of_text_above(node: Node, key: str) -> str:
    """Where a text ends right above an unknown key, the key may be one of its lines that is not indented."""
    assert isinstance(node.value, Mapping)
    place = node.key_place(key)
    above = [
        (entry.key, name, entry.node.style)
        for name, entry in node.value.items()
        if entry.key.file == place.file and entry.key < place and entry.key.column == place.column
    ]
    line, name, style = max(above, default=(place, "", ""))
    return f"if it belongs to the text of {name}: (line {line.line}), indent it as that" if style in ("|", ">") else ""


def _missing_keys(error: _Error, node: Node) -> Iterator[Problem]:
    if isinstance(error.instance, dict):
        for key in error.validator_value:
            if key not in error.instance and not _is_there(key, error):
                help_text = _example(error.schema, key)
                yield Problem("E102", node.place.beginning(), f'the key "{key}" is missing', help_text)


def _is_name_of_function(error: _Error) -> bool:
    """Whether the only key of a function is its name: `- get_price: {…}`."""
    known = error.schema.get("properties", {})
    return "on_interrupt" in known and len(error.instance) == 1 and not error.instance.keys() & known.keys()


def _is_there(key: str, error: _Error) -> bool:
    """Whether a key stands there that nobody knows and that may be the one that is missing."""
    if _is_name_of_function(error) or (key == "file" and any(" " in written for written in error.instance)):
        return True
    known, patterns = error.schema.get("properties", {}), error.schema.get("patternProperties", {})
    unknown = _unknown(error.instance, known, patterns)
    return any(corrections.may_be(written, key) for written in unknown[:_MOST_SUGGESTIONS])


def _wrong_kind(error: _Error, node: Node) -> Iterator[Problem]:
    wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    if not error.absolute_path:
        place = node.place.beginning()
        yield Problem("E101", place, "an agent file holds keys and values, such as prompt: …")
    elif "string" in wanted and _PHONE_NUMBER.fullmatch(node.raw) and error.absolute_path[0] == "numbers":
        message = f"the phone number {node.raw} needs quotes, or YAML takes it for a number and drops the plus"
        yield Problem("E006", node.place, message)
    else:
        kinds = " or ".join(KINDS[kind] for kind in wanted)
        message = f"this must be {kinds}, not {kind_of(node)}" if node.raw or node.value else f"here belongs {kinds}"
        if is_secret_name(str(error.absolute_path[-1])) and isinstance(node.value, int | float):
            yield Problem(
                "E103", node.place, f"this must be {kinds}, not a number", 'write "${NAME}", and NAME into .env'
            )
            return
        yield Problem("E103", node.place, message, corrections.of_kind(wanted, node, error.schema))


_PHONE_NUMBER = re.compile(r"\+?[0-9]+")


def _with_corrected_lines(problems: list[Problem], texts: Mapping[str, str]) -> Iterator[Problem]:
    """Phone numbers without quotes, each with its line as it must be."""
    unquoted: dict[tuple[str, int], set[tuple[int, int]]] = {}
    for problem in problems:
        if problem.code == "E006":
            place = problem.place
            unquoted.setdefault((place.file, place.line), set()).add((place.column - 1, place.end_column - 1))
    lines = {file: lines_of(texts[file]) for file in {file for file, _ in unquoted}}
    for problem in problems:
        where = (problem.place.file, problem.place.line)
        if problem.code == "E006" and "number 0" in problem.message:
            yield replace(problem, help='write it in quotes, in full, with a plus and the country: "+44…"')
        elif problem.code == "E006":
            corrected = _corrected(lines[where[0]][where[1] - 1], unquoted[where])
            yield replace(problem, help=f"write: {corrected}")
        else:
            yield problem


def _corrected(line: str, numbers: set[tuple[int, int]]) -> str:
    for begin, end in sorted(numbers, reverse=True):
        line = f'{line[:begin]}"+{line[begin:end].lstrip("+")}"{line[end:]}'
    return line.strip()


def _not_one_of(error: _Error, node: Node) -> Iterator[Problem]:
    choices = [str(choice) for choice in error.validator_value]
    suggestion = did_you_mean(node.raw.strip(corrections.CURLY), choices) or f"possible: {', '.join(choices)}"
    yield Problem("E105", node.place, f"{shown(node.raw)} is not possible here", suggestion)


def _out_of_range(error: _Error, node: Node) -> Iterator[Problem]:
    yield Problem("E106", node.place, f"{node.raw:.40} is out of range", relation(error))


def relation(error: _Error) -> str:
    """What a number must be: `at least 1`."""
    words = {
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "more than",
        "exclusiveMaximum": "less than",
    }
    return f"{words[str(error.validator)]} {error.validator_value}"


def _wrong_form(error: _Error, node: Node) -> Iterator[Problem]:
    # Of a refused key (propertyNames) the instance is the key and the path leads to its mapping.
    place = node.key_place(error.instance) if isinstance(node.value, Mapping) else node.place
    written = corrections.of_form(list(error.absolute_path), error.instance, str(error.validator_value))
    help_text = written or error.schema.get("x-form", "")
    yield Problem("E107", place, f"{shown(error.instance)} cannot stand here", help_text)


def _wrong_size(error: _Error, node: Node) -> Iterator[Problem]:
    if error.instance == "":
        indented = "indent the lines of the text below it" if node.style in ("|", ">") else ""
        yield Problem("E108", node.place, "a text is missing here", indented or _example(error.schema, ""))
    elif not error.instance:
        yield Problem("E108", node.place, "nothing stands in here", _example(error.schema, ""))
    else:
        yield Problem("E108", node.place.beginning(), "too much stands in here", error.schema.get("x-form", ""))


#: How each keyword of our schema is worded; a test keeps it complete.
WORDS: Mapping[str, Callable[[_Error, Node], Iterator[Problem]]] = {
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

#: What the types of JSON Schema are called.
KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys with values",
    "null": "nothing",
}


def kind_of(node: Node) -> str:
    """What a value is, in words."""
    match node.value:
        case None:
            return "nothing"
        case bool():
            return f"the word {node.raw}"
        case int() | float():
            return f"the number {node.raw:.40}"
        case str():
            return "text"
        case tuple():
            return "a list"
    return "keys with values"


def _example(schema: Mapping[str, Any], key: str) -> str:
    part = schema.get("properties", {}).get(key, {}) if key else schema
    examples = part.get("examples")
    if not examples or not isinstance(examples[0], str):
        return ""
    return f"for example {key}: {examples[0]}" if key else f"for example {examples[0]}"
