"""An agent's functions: what the file says of each, held against the code that runs it."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft7Validator

from dialplan.config.model import Builtin, Endpoint, Function, Http, Json, OnInterrupt
from dialplan.config.plugins import Plugin, PluginFunction
from dialplan.config.problems import Problem, did_you_mean
from dialplan.config.reading import Reading, entries
from dialplan.config.shape import parameters_problem
from dialplan.config.source import Node

_NO_PARAMETERS: Json = {"type": "object", "properties": {}}

#: What the model is told of a function that needs no plugin.
_BUILTINS: Mapping[Builtin, tuple[str, Json]] = {
    Builtin.END_CALL: (
        "End the phone call. Use it when the caller says goodbye or wants nothing more. Say a short goodbye as well.",
        {"type": "object", "properties": {"reason": {"type": "string", "description": "Why the call ends."}}},
    )
}


def functions(reading: Reading) -> dict[str, Function]:
    """The agent's functions by name, with a problem noted for each that cannot work."""
    plugins, all_loaded = _plugins(reading)
    found: dict[str, Function] = {}
    for node in reading.tree.at("functions").items():
        name_node = node.get("name") or node
        name = name_node.raw
        if name in found:
            reading.problem("E307", name_node.place, f"the function {name} stands twice")
            continue
        runs = _runs(reading, node, plugins, all_loaded)
        function = _function(reading, node, name, runs) if runs is not None else None
        if function is not None:
            found[name] = function
    return found


def _plugins(reading: Reading) -> tuple[list[Plugin], bool]:
    """The agent's plugins, and whether every one could be loaded."""
    loaded = []
    nodes = reading.tree.at("plugins").items()
    for node in nodes:
        plugin = reading.project.plugins.load(node.raw, node.place)
        if isinstance(plugin, Problem):
            reading.problems.append(plugin)
        else:
            loaded.append(plugin)
    return loaded, len(loaded) == len(nodes)


def _runs(
    reading: Reading, node: Node, plugins: list[Plugin], all_loaded: bool
) -> PluginFunction | Http | Endpoint | Builtin | None:
    """What happens when the function is called; None, and a problem, where nothing can."""
    http, endpoint = node.get("http"), node.get("endpoint")
    name_node = node.get("name") or node
    if http and endpoint:
        reading.problem("E309", node.key_place("endpoint"), "a function has http or endpoint, not both")
        return None
    if http:
        return _http(reading, node, http)
    if endpoint:
        return _endpoint(reading, endpoint)
    if name_node.raw in list(Builtin):
        return Builtin(name_node.raw)
    return _plugin_function(reading, name_node, plugins, all_loaded)


def _plugin_function(reading: Reading, name: Node, plugins: list[Plugin], all_loaded: bool) -> PluginFunction | None:
    owners = [plugin for plugin in plugins if name.raw in plugin.functions]
    if len(owners) > 1:
        modules = " and ".join(plugin.module for plugin in owners)
        reading.problem("E306", name.place, f"{modules} both have a function {name.raw}", "rename one of them")
    if not owners:
        if all_loaded:  # Else it may well be in the one that could not be loaded.
            _note_unknown_function(reading, name, plugins)
        return None
    return owners[0].functions[name.raw]


def _note_unknown_function(reading: Reading, name: Node, plugins: list[Plugin]) -> None:
    if not plugins:
        help_text = "name its module under plugins:, or give it http: or endpoint:"
        reading.problem("E303", name.place, f"no plugin has a function {name.raw}", help_text)
        return
    owners = {function: plugin.module for plugin in plugins for function in plugin.functions}
    suggestion = did_you_mean(name.raw, [*owners, *Builtin])
    modules = ", ".join(plugin.module for plugin in plugins)
    help_text = suggestion or f"it has: {', '.join(sorted(owners)) or 'no public function'}"
    reading.problem("E303", name.place, f"there is no function {name.raw} in {modules}", help_text)


def _http(reading: Reading, node: Node, http: Node) -> Http | None:
    names = [*_names(reading), *(name for name, _ in entries(node.at("parameters").get("properties")))]
    url = http.at("url")
    fixed = urlsplit(str(url.value))
    if any(mark in fixed.netloc + fixed.scheme for mark in ("{{", "{%", "{#")) or not fixed.netloc:
        reading.problem("E310", url.place, "the host of an address is written out, never filled in by the model")
        return None
    return Http(
        method=http.at("method").raw if http.get("method") else "GET",
        url=reading.wire_template(url, names),
        headers={key: reading.wire_template(value, names) for key, value in entries(http.get("headers"))},
        query={key: reading.wire_template(value, names) for key, value in entries(http.get("query"))},
        json=_json_templates(reading, body, names) if (body := http.get("json")) else None,
    )


def _names(reading: Reading) -> list[str]:
    return [name for name, _ in entries(reading.tree.get("variables"))]


def _json_templates(reading: Reading, node: Node, names: list[str]) -> Any:
    if isinstance(node.value, tuple):
        return [_json_templates(reading, item, names) for item in node.value]
    if isinstance(node.value, Mapping):
        return {key: _json_templates(reading, child, names) for key, child in entries(node)}
    return reading.wire_template(node, names) if isinstance(node.value, str) else node.value


def _endpoint(reading: Reading, node: Node) -> Endpoint:
    return Endpoint(
        url=reading.text(node.get("url")),
        method=node.at("method").raw if node.get("method") else "post",
        headers=reading.texts(node.get("headers")),
    )


def _function(
    reading: Reading, node: Node, name: str, runs: PluginFunction | Http | Endpoint | Builtin
) -> Function | None:
    declared = node.get("parameters")
    if declared is not None:
        problem = parameters_problem(declared)
        if problem is not None:
            reading.problems.append(problem)
            return None
        if isinstance(runs, PluginFunction):
            reading.problems += _contradictions(declared, runs)
    description, parameters = _contract(reading, node, runs)
    if parameters is None:
        return None
    return Function(
        name=name,
        description=description,
        parameters=parameters,
        runs=runs,
        arguments=Draft7Validator(parameters),
        timeout=_number(node, "timeout", _number(node.at("http"), "timeout", 10.0)),
        filler=node.at("filler").raw if node.get("filler") else "",
        defer=node.at("defer").value is True if node.get("defer") else _changes_something(runs),
        on_interrupt=OnInterrupt(node.at("on_interrupt").raw) if node.get("on_interrupt") else OnInterrupt.FINISH,
    )


def _contract(
    reading: Reading, node: Node, runs: PluginFunction | Http | Endpoint | Builtin
) -> tuple[str, Json | None]:
    """Description and parameters: the file's own, else the code's."""
    declared = node.get("parameters")
    description, parameters = "", _NO_PARAMETERS
    match runs:
        case PluginFunction():
            description, parameters = runs.description, runs.parameters or {}
            if declared is None and runs.parameters is None:
                name = node.get("name") or node
                help_text = "add type hints to the plugin, or parameters: here"
                reading.problem("E308", name.place, f"{name.raw} cannot be described: {runs.undescribed}", help_text)
                return "", None
        case Builtin():
            description, parameters = _BUILTINS[runs]
    return (
        node.at("description").raw if node.get("description") else description,
        declared.plain() if declared is not None else parameters,
    )


def _contradictions(declared: Node, function: PluginFunction) -> Iterator[Problem]:
    """What the file promises the model and the code does not keep."""
    if function.undescribed.startswith("its signature"):
        return
    properties = dict(entries(declared.get("properties")))
    for name in properties:
        if name not in function.takes and not function.takes_anything:
            place = declared.at("properties").key_place(name)
            help_text = did_you_mean(name, function.takes) or f"it takes: {', '.join(sorted(function.takes))}"
            yield Problem("E304", place, f"{function.name} does not take {name}", help_text)
    required = {node.raw: node for node in declared.at("required").items()}
    for name in sorted(function.needs - set(required)):
        message = f"{function.name} needs {name}, so it must be among the required parameters"
        yield Problem("E305", declared.key_place("required"), message, f"required: [{', '.join([*required, name])}]")
    for name in sorted(set(required) & function.takes - function.needs):
        message = f"{name} is required here, but {function.name} has a default for it"
        yield Problem("W301", required[name].place, message)


def _changes_something(runs: PluginFunction | Http | Endpoint | Builtin) -> bool:
    match runs:
        case Builtin():
            return True
        case Http():
            return runs.method != "GET"
    return False


def _number(node: Node, key: str, default: float) -> float:
    value = node.get(key)
    return float(value.value) if value is not None and isinstance(value.value, int | float) else default
