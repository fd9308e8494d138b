"""An agent's functions: what the file says of each, held against the code that runs it."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft7Validator

from dialplan import hosts
from dialplan.config.model import Builtin, Endpoint, Function, Http, Json, OnInterrupt
from dialplan.config.plugins import sources as plugin_sources
from dialplan.config.plugins.loader import Plugin, PluginFunction
from dialplan.config.problems import Problem, did_you_mean, listed, shown
from dialplan.config.reading import Reading, entries
from dialplan.config.rules.parameters import parameters_problems
from dialplan.config.yaml.source import Node
from dialplan.errors import ConfigError
from dialplan.words import listed as listed_in

_NO_PARAMETERS: Json = {"type": "object", "properties": {}}

#: What the model is told of a function that needs no plugin.
_BUILTINS: Mapping[Builtin, tuple[str, Json]] = {
    Builtin.END_CALL: (
        "End the phone call. Use it when the caller says goodbye or wants nothing more. Say a short goodbye as well.",
        {"type": "object", "properties": {"reason": {"type": "string", "description": "Why the call ends."}}},
    )
}

_Runs = PluginFunction | Http | Endpoint | Builtin


def functions(reading: Reading) -> dict[str, Function]:
    """The agent's functions by name, with a problem noted for each that cannot work."""
    plugins, all_known = _plugins(reading)
    found: dict[str, Function] = {}
    seen: set[str] = set()
    for node in reading.tree.at("functions").items():
        name = name_of(node)
        if name.raw in seen:
            reading.problem("E307", name.place, f"the function {name.raw} stands twice", "remove one of the two")
            continue
        seen.add(name.raw)
        runs = _runs(reading, node, plugins, all_known)
        function = _function(reading, node, name.raw, runs) if runs is not None else None
        if function is not None:
            found[name.raw] = function
    return found


def name_of(node: Node) -> Node:
    """The name of a function, which may be all that the file says of it."""
    return node.get("name") or node


def _plugins(reading: Reading) -> tuple[list[Plugin], bool]:
    """The agent's plugins, and whether every one is known."""
    loaded: dict[str, Plugin] = {}
    all_known = reading.sure_of("plugins")
    for node in reading.tree.at("plugins").items():
        plugin = reading.project.plugins.load(node.raw, node.place)
        if isinstance(plugin, Problem):
            reading.problems.append(plugin)
            all_known = False
        else:
            loaded[node.raw] = plugin
    return list(loaded.values()), all_known


def _runs(reading: Reading, node: Node, plugins: list[Plugin], all_known: bool) -> _Runs | None:
    """What happens when the function is called; None, and a problem, where nothing can."""
    http, endpoint = node.get("http"), node.get("endpoint")
    if http and endpoint:
        reading.problem("E309", node.key_place("endpoint"), "a function has http or endpoint, not both", "remove one")
        return None
    if http:
        return _http(reading, node, http)
    if endpoint:
        return _endpoint(reading, endpoint)
    return _named(reading, node, plugins, all_known)


def _named(reading: Reading, node: Node, plugins: list[Plugin], all_known: bool) -> PluginFunction | Builtin | None:
    """The function that has the name: one of ours, or a plugin's."""
    name = name_of(node)
    builtin = name.raw in list(Builtin)
    owners = [plugin for plugin in plugins if name.raw in plugin.functions]
    if len(owners) + builtin > 1:
        modules = " and ".join([*["Dialplan itself"] * builtin, *(plugin.module for plugin in owners)])
        reading.problem("E306", name.place, f"{modules} both have a function {name.raw}", "rename one of them")
    if builtin:
        return Builtin(name.raw)
    if owners:
        return owners[0].functions[name.raw]
    if all_known and not _lost_its_way_to_run(reading, node):
        _note_unknown_function(reading, name, plugins)
    return None


def _lost_its_way_to_run(reading: Reading, node: Node) -> bool:
    """Whether the schema refused what may have been its `http` or `endpoint`."""
    whole = next((item for item in reading.whole.at("functions").items() if item.place == node.place), node)
    return any(isinstance(value.value, Mapping) and node.get(key) is None for key, value in entries(whole))


def _note_unknown_function(reading: Reading, name: Node, plugins: list[Plugin]) -> None:
    elsewhere = _elsewhere(reading, name.raw)
    if not plugins:
        usual = "name its module under plugins:, or give it http: or endpoint:"
        help_text = did_you_mean(name.raw, Builtin) or elsewhere or usual
        reading.problem("E303", name.place, f"no plugin has a function {name.raw}", help_text)
        return
    known = {function for plugin in plugins for function in plugin.functions}
    near = did_you_mean(name.raw, [*known, *Builtin])
    help_text = near or elsewhere or f"it has: {listed(known) or 'no public function'}"
    modules = ", ".join(plugin.module for plugin in plugins)
    reading.problem("E303", name.place, f"there is no function {name.raw} in {modules}", help_text)


def _elsewhere(reading: Reading, name: str) -> str:
    """Which plugin has the function, or one of nearly this name, that the agent does not list."""
    in_files = plugin_sources.public_functions(reading.project.layers.root)
    if name not in in_files:
        near = difflib.get_close_matches(name[:100], in_files, n=1, cutoff=0.8)
        return f"{in_files[near[0]]} has {near[0]}" if near else ""
    listed_already = [node.raw for node in reading.tree.at("plugins").items()]
    return f"{in_files[name]} has it: write plugins: [{', '.join([*listed_already, in_files[name]])}]"


def _http(reading: Reading, node: Node, http: Node) -> Http | None:
    url = http.at("url")
    base = _base(url.raw)
    if not _is_fixed(url.raw[:base]):
        message = "the host of an address is written out, never filled in by the model"
        reading.problem("E310", url.place, message, "as in https://api.example.com/{{ name }}")
        return None
    _note_ambiguous(reading, node)
    _note_unreachable_host(reading, url, url.raw[:base])
    names = _names(reading, node)
    return Http(
        method=http.at("method").raw if http.get("method") else "GET",
        url=reading.wire_template(url, names, base=base),
        headers={key: reading.wire_template(value, names) for key, value in entries(http.get("headers"))},
        query={key: reading.wire_template(value, names) for key, value in entries(http.get("query"))},
        json=_json_templates(reading, body, names) if (body := http.get("json")) else None,
    )


def _note_ambiguous(reading: Reading, node: Node) -> None:
    """A parameter named like the facts: the model could put itself into the place of the caller's number."""
    properties = node.at("parameters").get("properties")
    for name in ("call", "now"):
        if properties is not None and properties.get(name) is not None:
            help_text = "give the parameter another name; to a template, call and now are the facts of the call"
            reading.problem("E107", properties.key_place(name), f"{shown(name)} cannot stand here", help_text)


def _note_unreachable_host(reading: Reading, url: Node, base: str) -> None:
    """A host that is not on the internet, and that the operator does not list either."""
    environment = reading.project.environment
    if environment is None or "${" in base:  # Nobody knows what is listed there, or which host it is.
        return
    given, host = environment.get(hosts.VARIABLE, ""), urlsplit(base).hostname or ""
    try:
        private = hosts.private_hosts(given)
    except ConfigError:  # The commands say so.
        private = hosts.NONE
    if not private.may_allow(host):
        line = f"{hosts.VARIABLE}={', '.join([*listed_in(given), host])}"
        message = f"{shown(host)} is not on the internet, and so is never asked"
        reading.problem("W303", url.place, message, f"if it is meant to be, write into .env: {line}")


def _base(url: str) -> int:
    """Where the host of an address ends."""
    match = re.match(r"(?:https?://|\$\{[^}]*\})[^/?#]*", url)
    return match.end() if match else 0


def _is_fixed(base: str) -> bool:
    """Whether scheme and host are there, and none of it is a template. An environment variable may be all of it."""
    if any(mark in base for mark in ("{{", "{%", "{#")):
        return False
    try:
        return "${" in base or bool(urlsplit(base).hostname)
    except ValueError:
        return False


def _names(reading: Reading, node: Node) -> list[str] | None:
    """What an address may use: the agent's variables and the function's arguments."""
    variables = reading.names()
    if variables is None or (node.get("parameters") is None and reading.refused_in(node)):
        return None
    return [*variables, *(name for name, _ in entries(node.at("parameters").get("properties")))]


def _json_templates(reading: Reading, node: Node, names: Collection[str] | None) -> Any:
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


def _function(reading: Reading, node: Node, name: str, runs: _Runs) -> Function | None:
    declared = node.get("parameters")
    if declared is not None:
        wrong = parameters_problems(declared)
        reading.problems += wrong
        if wrong:
            return None
        if isinstance(runs, PluginFunction):
            reading.problems += _contradictions(declared, runs)
    description, parameters = _contract(reading, node, runs)
    if parameters is None:
        return None
    if isinstance(runs, PluginFunction) and not description.strip() and not reading.refused_in(node):
        _note_undescribed(reading, name_of(node), runs)
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


def _note_undescribed(reading: Reading, name: Node, function: PluginFunction) -> None:
    message = f"the model is not told what {name.raw} is for"
    help_text = f'begin {name.raw} in {function.module} with """What it does.""", or write description: here'
    reading.problem("W302", name.place, message, help_text)


def _contract(reading: Reading, node: Node, runs: _Runs) -> tuple[str, Json | None]:
    """Description and parameters: the file's own, else the code's."""
    declared = node.get("parameters")
    description, parameters = "", _NO_PARAMETERS
    match runs:
        case PluginFunction():
            description, parameters = runs.description, runs.parameters or {}
            if declared is None and runs.parameters is None:
                name = name_of(node)
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
    properties = declared.get("properties")
    required = {node.raw: node for node in declared.at("required").items()}
    described = {name: declared.at("properties").key_place(name) for name, _ in entries(properties)}
    for name, place in ({name: node.place for name, node in required.items()} | described).items():
        if name not in function.takes and not function.takes_anything:
            takes = ", ".join(sorted(function.takes)) or "nothing"
            help_text = did_you_mean(name, function.takes) or f"it takes: {takes}"
            yield Problem("E304", place, f"{function.name} does not take {shown(name)}", help_text)
    for name in sorted(function.needs - set(required)):
        place = described.get(name) or (declared.key_place("required") if required else declared.place.beginning())
        message = f"{function.name} needs {name}, so it must be among the required parameters"
        yield Problem("E305", place, message, f"required: [{', '.join([*required, name])}]")
    for name in sorted(set(required) & function.takes - function.needs):
        message = f"{name} is required here, but {function.name} has a default for it"
        yield Problem("W301", required[name].place, message, "remove it here, or remove the default there")


def _changes_something(runs: _Runs) -> bool:
    match runs:
        case Builtin():
            return True
        case Http():
            return runs.method != "GET"
    return False


def _number(node: Node, key: str, default: float) -> float:
    value = node.get(key)
    return float(value.value) if value is not None and isinstance(value.value, int | float) else default
