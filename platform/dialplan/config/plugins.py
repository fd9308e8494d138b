"""Plugin files → functions with their contracts.

One of two walls against strangers' code: this one imports it (call/functions.py calls it). A module of the project is
loaded by its path under a private name, since `plugins` may be the name of an installed package, and without `.pyc`
files, since Python's cache serves stale code after a quick edit of the same size (docs/decisions/0003).
"""

import importlib
import importlib.machinery
import importlib.util
import inspect
import itertools
import sys
import traceback
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dialplan.config.problems import Place, Problem
from dialplan.facts import Call


@dataclass(frozen=True, slots=True)
class PluginFunction:
    """A plugin's function and what can be read off it."""

    name: str
    module: str
    """As the agent file names it: `plugins.pharmacy`."""
    call: Callable[..., Any]
    description: str
    parameters: Mapping[str, Any] | None
    """JSON Schema of the arguments; None where a hint cannot be described."""
    undescribed: str
    """Why there is no schema; empty where there is one."""
    takes: frozenset[str]
    """The names of its arguments, without those that receive the `Call`."""
    needs: frozenset[str]
    """Those that have no default."""
    takes_anything: bool
    """It has `**kwargs`."""
    call_arguments: frozenset[str]
    """The arguments that receive the `Call`."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A module's functions, by name."""

    module: str
    functions: Mapping[str, PluginFunction]


class PluginLoader:
    """Loads each plugin of one generation once. A new generation means new code; older calls keep theirs."""

    _generations = itertools.count(1)

    def __init__(self, root: Path) -> None:
        self._root = root
        self._package = f"_dialplan_plugins_{next(self._generations)}"
        self._loaded: dict[str, Plugin | _Failure] = {}
        _FINDER.roots[self._package] = root

    def load(self, module: str, place: Place) -> Plugin | Problem:
        """A plugin by its name in an agent file; a problem where it is missing or raises.

        Args:
            module: dotted, such as `plugins.pharmacy`.
            place: of the name in the agent file, for what is wrong with the name itself.
        """
        if module not in self._loaded:
            self._loaded[module] = self._import(module)
        loaded = self._loaded[module]
        return loaded.problem(place) if isinstance(loaded, _Failure) else loaded

    def _import(self, module: str) -> "Plugin | _Failure":
        file = _file_of(self._root, module)
        if file is None and not _is_installed(module):
            return _Missing(module)
        try:
            imported = importlib.import_module(f"{self._package}.{module}" if file else module)
        except (Exception, SystemExit) as exc:  # noqa: BLE001 -- a stranger's code may raise anything
            return _Raised(module, file, self._root, exc)
        return Plugin(module, {name: _function(name, module, call) for name, call in _public(imported).items()})


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


@dataclass(frozen=True, slots=True)
class _Missing:
    module: str

    def problem(self, place: Place) -> Problem:
        path = self.module.replace(".", "/") + ".py"
        return Problem("E301", place, f"there is no plugin {self.module}", f"neither {path} nor an installed package")


@dataclass(frozen=True, slots=True)
class _Raised:
    module: str
    file: Path | None
    root: Path
    exc: BaseException

    def problem(self, place: Place) -> Problem:
        line = _line_in(self.exc, self.file)
        if self.file is not None and line:
            place = Place(_relative(self.file, self.root), line, 1, line, 2)
        said = f"{type(self.exc).__name__}: {self.exc}".splitlines()[0]
        return Problem("E302", place, f"the plugin {self.module} cannot be imported: {said:.300}")


_Failure = _Missing | _Raised


def _line_in(exc: BaseException, file: Path | None) -> int:
    """The last line of the plugin's own file that the exception went through; 0 where none did."""
    if isinstance(exc, SyntaxError) and exc.filename == str(file):
        return exc.lineno or 1
    frames = traceback.extract_tb(exc.__traceback__)
    return next((frame.lineno or 1 for frame in reversed(frames) if frame.filename == str(file)), 0)


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def _file_of(root: Path, module: str) -> Path | None:
    """The project's file for a module name: a module's or a package's."""
    path = root.joinpath(*module.split("."))
    for candidate in (path.with_name(path.name + ".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Reads the source at every import and leaves no `.pyc` behind."""

    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        code: types.CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _Finder:
    """Finds `<package>.plugins.pharmacy` at `<root>/plugins/pharmacy.py`, so that plugins may import their siblings
    with `from . import …`."""

    def __init__(self) -> None:
        self.roots: dict[str, Path] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, module = fullname.partition(".")
        if package not in self.roots:
            return None
        root = self.roots[package]
        file = _file_of(root, module) if module else None
        if file is None:
            return _folder_spec(fullname, root.joinpath(*module.split(".")) if module else root)
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=_SourceLoader(fullname, str(file)),
            submodule_search_locations=[str(file.parent)] if file.name == "__init__.py" else None,
        )


def _folder_spec(fullname: str, folder: Path) -> importlib.machinery.ModuleSpec | None:
    """A folder without `__init__.py` is a package of nothing but its modules."""
    if not folder.is_dir():
        return None
    spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    return spec


_FINDER = _Finder()
sys.meta_path.insert(0, _FINDER)


def _public(module: types.ModuleType) -> dict[str, Callable[..., Any]]:
    """The module's `function_map` where it has one; else the functions that it defines itself without underscore."""
    listed = getattr(module, "function_map", None)
    if isinstance(listed, dict):
        return {str(name): call for name, call in listed.items() if callable(call)}
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and inspect.isfunction(value) and value.__module__ == module.__name__
    }


def _function(name: str, module: str, call: Callable[..., Any]) -> PluginFunction:
    parameters, hints, undescribed = _signature(call)
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    call_arguments = frozenset(p.name for p in named if _without_annotation(hints.get(p.name)) is Call)
    arguments = [p for p in named if p.name not in call_arguments]
    schema: dict[str, Any] | None = None
    if not undescribed:
        try:
            schema = _contract(arguments, hints)
        except _Undescribable as exc:
            undescribed = str(exc)
    return PluginFunction(
        name=name,
        module=module,
        call=call,
        description=(inspect.getdoc(call) or "").split("\n\n")[0].replace("\n", " ").strip(),
        parameters=schema,
        undescribed=undescribed,
        takes=frozenset(p.name for p in arguments),
        needs=frozenset(p.name for p in arguments if p.default is p.empty),
        takes_anything=any(p.kind is p.VAR_KEYWORD for p in parameters),
        call_arguments=call_arguments,
    )


def _signature(call: Callable[..., Any]) -> tuple[list[inspect.Parameter], dict[str, Any], str]:
    """Parameters, hints, and why there are none."""
    try:
        return list(inspect.signature(call).parameters.values()), typing.get_type_hints(call, include_extras=True), ""
    except (TypeError, ValueError, NameError, AttributeError) as exc:
        return [], {}, f"its signature cannot be read: {exc}"


class _Undescribable(Exception):
    pass


def _contract(arguments: Sequence[inspect.Parameter], hints: Mapping[str, Any]) -> dict[str, Any]:
    properties = {}
    for argument in arguments:
        if argument.name not in hints:
            raise _Undescribable(f"{argument.name} has no type hint")
        properties[argument.name] = _described(argument, hints[argument.name])
    required = [argument.name for argument in arguments if argument.default is argument.empty]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _described(argument: inspect.Parameter, hint: Any) -> dict[str, Any]:
    description = next((extra for extra in _extras(hint) if isinstance(extra, str)), "")
    schema = _schema_of(_without_annotation(hint), argument.name)
    if description:
        schema["description"] = description
    if isinstance(argument.default, str | int | float | bool):
        schema["default"] = argument.default
    return schema


def _extras(hint: Any) -> tuple[Any, ...]:
    return tuple(getattr(hint, "__metadata__", ()))


def _without_annotation(hint: Any) -> Any:
    return hint.__origin__ if _extras(hint) else hint


_SCALARS: Mapping[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _schema_of(hint: Any, name: str) -> dict[str, Any]:
    """A type hint as JSON Schema: str, int, float, bool, Literal, X | None, list[X], dict[str, X]."""
    if hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema_of(a, name) for a in arguments if a is not type(None)] + _null(arguments)}
    if hint is list or origin in (list, Sequence):
        return {
            "type": "array",
            **({"items": _schema_of(_without_annotation(arguments[0]), name)} if arguments else {}),
        }
    if hint is dict or origin in (dict, Mapping):
        return {"type": "object"}
    shown = getattr(hint, "__name__", str(hint))
    raise _Undescribable(f"{name} has the type {shown}, which has no place in JSON")


def _null(arguments: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"type": "null"}] if type(None) in arguments else []
