"""JSON Schemas of functions → a plugin with one typed function for each, which says that it is not there yet. Pure."""

import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Any

from dialplan.words import printable

#: Names that the plugin's own text needs.
_RESERVED = {
    *("Annotated", "FunctionError", "Literal", "annotations", "function_map"),
    *("bool", "dict", "float", "int", "list", "object", "str"),
}
_WIDTH = 120


def plugin_text(agent: str, functions: Iterable[Mapping[str, Any]]) -> str:
    """A plugin for these functions, each as the agent file has it: `name`, `description`, `parameters`."""
    functions = list(functions)
    names = _python_names([function["name"] for function in functions])
    stubs = [_stub(names[function["name"]], function) for function in functions]
    body = "\n\n".join(stubs)
    imports = [name for name in ("Annotated", "Literal") if re.search(rf"\b{name}\[", body)]
    head = f'"""What the agent {agent} can do. Each function says that it is not there yet, until you write it."""\n\n'
    head += f"from typing import {', '.join(imports)}\n\n" if imports else ""
    return head + "from dialplan import FunctionError\n\n\n" + body + _function_map(names)


def _python_names(names: Iterable[str]) -> dict[str, str]:
    """A name of Python's for every name of a function; mostly the same."""
    found: dict[str, str] = {}
    for name in names:
        python = re.sub(r"\W", "_", name)
        while keyword.iskeyword(python) or python in _RESERVED or python in found.values():
            python += "_"
        found[name] = python
    return found


def _function_map(names: Mapping[str, str]) -> str:
    """Needed where a function cannot have its own name in Python, or would not be public."""
    if all(name == python and not name.startswith("_") for name, python in names.items()):
        return ""
    entries = "".join(f"    {_text(name)}: {python},\n" for name, python in names.items())
    return f"\n\nfunction_map = {{\n{entries}}}\n"


def _stub(python: str, function: Mapping[str, Any]) -> str:
    parameters = _parameters(function.get("parameters"))
    line = f"def {python}({', '.join(parameters)}) -> dict[str, object]:"
    if len(line) > _WIDTH:
        line = f"def {python}(\n" + "".join(f"    {one},\n" for one in parameters) + ") -> dict[str, object]:"
    told = f"{function['name']} is not there yet."
    return f"{line}\n{_docstring(function)}    raise FunctionError({_text(told)})\n"


def _docstring(function: Mapping[str, Any]) -> str:
    """The description, over several lines where it is long; without what would end it."""
    text = " ".join(str(function.get("description") or "").split())
    if not text:
        return ""
    text = printable(text.replace("\\", "/").replace('"', "'"), " ")
    if len(text) + 10 <= _WIDTH:
        return f'    """{text}"""\n'
    return '    """' + "\n    ".join(_wrapped(text)) + '\n    """\n'


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + len(word) > _WIDTH - 12:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _parameters(schema: Any) -> list[str]:
    """What the function takes: first what is required."""
    given = schema if isinstance(schema, Mapping) else {}
    properties = given.get("properties", {})
    required = [str(name) for name in given.get("required", [])]
    described = {name: {} for name in required} | (dict(properties) if isinstance(properties, Mapping) else {})
    if not all(name.isidentifier() and name.isascii() and not keyword.iskeyword(name) for name in described):
        return ["**arguments: object"]
    optional = [name for name in described if name not in required]
    return [
        *(f"{name}: {_annotated(name, described[name], '')}" for name in dict.fromkeys(required)),
        *(f"{name}: {_annotated(name, described[name], ' | None')} = None" for name in optional),
    ]


def _annotated(name: str, schema: Any, or_none: str) -> str:
    """The hint with what the parameter is, where that has room on a line."""
    hint = _hint(schema) + or_none
    described = schema.get("description") if isinstance(schema, Mapping) else None
    annotated = f"Annotated[{hint}, {_text(described)}]" if isinstance(described, str) and described else hint
    return annotated if len(name) + len(annotated) < _WIDTH - 15 else hint


_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "object": "dict[str, object]"}


def _hint(schema: Any) -> str:
    """A type hint; `object` where the schema says more than one can."""
    if not isinstance(schema, Mapping):
        return "object"
    choices, kind = schema.get("enum"), schema.get("type")
    if isinstance(choices, list) and choices and all(isinstance(one, str) and one.isprintable() for one in choices):
        return f"Literal[{', '.join(_text(one) for one in dict.fromkeys(choices))}]"
    if kind == "array":
        return f"list[{_hint(schema.get('items', {}))}]"
    return _TYPES.get(kind, "object") if isinstance(kind, str) else "object"


def _text(text: str) -> str:
    """A text as Python and its formatters write it."""
    shown = "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in text.replace("\\", "\\\\"))
    quote = "'" if shown.count('"') > shown.count("'") else '"'
    return quote + shown.replace(quote, "\\" + quote) + quote
