"""Plugin files → functions with their contracts.

One of two walls against strangers' code: this one imports it (call/functions.py calls it). A module of the project is
loaded by its path under a private name, since `plugins` may be the name of an installed package, and without `.pyc`
files, since Python's cache serves stale code after a quick edit of the same size (docs/decisions/0003). What can be
read off a function is in signatures.py.
"""

import contextlib
import importlib
import importlib.machinery
import importlib.util
import inspect
import itertools
import re
import sys
import threading
import traceback
import types
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialplan.config.plugins import missing, signatures
from dialplan.config.plugins.sources import Sources
from dialplan.config.problems import Place, Problem, lines_of


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
    key_arguments: frozenset[str] = frozenset()
    """The arguments that receive the `IdempotencyKey`."""
    idempotent: bool = False
    """It may be run again where nobody knows what came of it."""
    generation: object = field(default=None, repr=False, compare=False)
    """Keeps the modules of its generation alive, for imports inside of functions."""


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
        self._sources = Sources(root)
        self._package = f"_dialplan_plugins_{next(self._generations)}"
        self._generation = _Generation()
        self._loaded: dict[str, Plugin | _Failure] = {}
        self.importing = ""
        """The module that is being imported; empty where none is."""
        self.texts: dict[str, str] = {}
        """Contents of files that failed, as problems name them."""
        _FINDER.projects[self._package] = self._sources
        weakref.finalize(self._generation, _forget, self._package).atexit = False

    def load(self, module: str, place: Place) -> Plugin | Problem:
        """A plugin by its name in an agent file; a problem where it is missing or raises.

        Args:
            module: dotted, such as `plugins.pharmacy`.
            place: of the name in the agent file, for what is wrong with the name itself.
        """
        if module not in self._loaded:
            self.importing = module
            self._loaded[module] = self._import(module)
            self.importing = ""
        loaded = self._loaded[module]
        if isinstance(loaded, Plugin):
            return loaded
        try:
            return loaded.problem(place)
        except Exception:  # noqa: BLE001 -- it looks at what a stranger has raised, and at the file as it is by now
            return Problem("E302", place, f"the plugin {module} cannot be imported")

    def changed(self) -> bool:
        """Whether the files that were loaded are others by now: time for a new generation."""
        return self._sources.changed()

    def healed(self) -> bool:
        """Whether a file that could not be read may be readable by now."""
        return self._sources.healed()

    def seal(self) -> None:
        """Everything is loaded that is wanted now: what is imported later is taken as it is now."""
        self._sources.keep()

    def forget_failures(self) -> None:
        """Try again what could not be loaded: a package that it needs may have been installed."""
        self._loaded = {module: loaded for module, loaded in self._loaded.items() if isinstance(loaded, Plugin)}

    def _import(self, module: str) -> "Plugin | _Failure":
        file = self._sources.file_of(module)
        try:
            # What a plugin prints must not come into what `check --format json` prints.
            with contextlib.redirect_stdout(sys.stderr):
                imported = importlib.import_module(f"{self._package}.{module}" if file else module)
                return self._plugin(module, imported)
        except BaseException as exc:
            if isinstance(exc, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # Somebody wants to stop a command.
            if file is None and isinstance(exc, ModuleNotFoundError) and _is_part(str(exc.name), module):
                return _Missing(module, self._root)
            return _Raised(module, file, self._root, exc, self.texts)

    def _plugin(self, module: str, imported: types.ModuleType) -> Plugin:
        functions = {name: self._function(name, module, call) for name, call in _public(imported).items()}
        return Plugin(module, functions)

    def _function(self, name: str, module: str, call: Callable[..., Any]) -> PluginFunction:
        read = signatures.read(call)
        return PluginFunction(
            name=name,
            module=module,
            call=call,
            description=(inspect.getdoc(call) or "").split("\n\n")[0].replace("\n", " ").strip(),
            parameters=read.parameters,
            undescribed=read.undescribed,
            takes=read.takes,
            needs=read.needs,
            takes_anything=read.takes_anything,
            call_arguments=read.call_arguments,
            key_arguments=read.key_arguments,
            idempotent=read.idempotent,
            generation=self._generation,
        )


class _Generation:
    """As long as somebody holds it, the modules of one loading stay."""


def _forget(package: str) -> None:
    _FINDER.projects.pop(package, None)
    for name in list(sys.modules):
        if _is_part(package, name):
            sys.modules.pop(name, None)


def _is_part(package: str, module: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@dataclass(frozen=True, slots=True)
class _Missing:
    module: str
    root: Path

    def problem(self, place: Place) -> Problem:
        help_text = missing.help_for(self.module, self.root)
        return Problem("E301", place, f"there is no plugin {self.module:.100}", help_text)


@dataclass(frozen=True, slots=True)
class _Raised:
    module: str
    file: Path | None
    root: Path
    exc: BaseException
    texts: dict[str, str]

    def problem(self, place: Place) -> Problem:
        line = _line_in(self.exc, self.file)
        if self.file is not None and line:
            place = self._own_place(self.file, line)
        return Problem("E302", place, f"the plugin {self.module} cannot be imported: {_said(self.exc)}", self._help())

    def _own_place(self, file: Path, line: int) -> Place:
        name = file.relative_to(self.root).as_posix() if file.is_relative_to(self.root) else str(file)
        self.texts[name] = file.read_bytes().decode("utf-8", errors="replace")
        lines = lines_of(self.texts[name])
        line = min(line, len(lines))
        written = lines[line - 1]
        begin = len(written) - len(written.lstrip()) + 1
        return Place(name, line, begin, line, max(begin + 1, len(written.rstrip()) + 1))

    def _help(self) -> str:
        """What helps where an import in it fails."""
        if not isinstance(self.exc, ModuleNotFoundError) or not isinstance(self.exc.name, str) or not self.exc.name:
            return ""
        sibling = self.exc.name.rpartition(".")[2]
        if _PRIVATE.match(self.exc.name):
            return f"there is no file {sibling}.py beside it"
        if self.file is not None and (
            self.file.with_name(f"{sibling}.py").is_file() or sibling == self.file.parent.name
        ):
            return "import a file beside it with: from . import …"
        return f"install it: pip install {self.exc.name.partition('.')[0]}"


_Failure = _Missing | _Raised


_PRIVATE = re.compile(r"_dialplan_plugins_\d+\.")


def _said(exc: BaseException) -> str:
    try:
        text = str(exc.msg if isinstance(exc, SyntaxError) else exc)
    except BaseException:  # noqa: BLE001 -- a stranger's exception may have a __str__ of its own
        text = ""
    said = _PRIVATE.sub("", f"{type(exc).__name__}: {text}").splitlines()[0]
    return said[:300].rstrip(": ")


def _line_in(exc: BaseException, file: Path | None) -> int:
    """The last line of the plugin's own file that the exception went through; 0 where none did."""
    if isinstance(exc, SyntaxError) and exc.filename == str(file):
        return max(1, exc.lineno or 1)
    frames = traceback.extract_tb(exc.__traceback__)
    return next((frame.lineno or 1 for frame in reversed(frames) if frame.filename == str(file)), 0)


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Takes the source as its generation has it, and leaves no `.pyc` behind."""

    def __init__(self, fullname: str, path: str, sources: Sources) -> None:
        super().__init__(fullname, path)
        self._sources = sources

    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        code: types.CodeType = self.source_to_code(self._sources.read(path), path)
        return code


class _Finder:
    """Finds `<package>.plugins.pharmacy` at `<root>/plugins/pharmacy.py`, so that plugins may import their siblings
    with `from . import …`."""

    def __init__(self) -> None:
        self.projects: dict[str, Sources] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, module = fullname.partition(".")
        if package not in self.projects:
            return None
        sources = self.projects[package]
        file = sources.file_of(module) if module else None
        if file is None:
            return _folder_spec(fullname, sources.root.joinpath(*module.split(".")) if module else sources.root)
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=_SourceLoader(fullname, str(file), sources),
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
        if not name.startswith("_")
        and inspect.isroutine(value)
        and getattr(value, "__module__", None) == module.__name__
    }
