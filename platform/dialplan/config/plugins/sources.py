"""The source of a project's plugins: as it stood when a generation began, and which functions it has."""

import ast
import contextlib
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from os.path import getsize, isfile
from pathlib import Path

from dialplan.config.files import Looks, Stamp, stamp_of

#: A file that is larger is no plugin that somebody wrote.
_LARGEST = 500_000


class Sources(Looks):
    """The files that one generation of plugins has imported or may still import: a function that a call has kept may
    import something for the first time when its file is another one already, or gone."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self._contents: dict[str, bytes] = {}

    def keep(self) -> None:
        """Read what nobody has imported so far, for whoever will."""
        for file in plugin_files(self.root):
            with contextlib.suppress(OSError):  # Whoever imports it is told.
                self.read(file)

    def read(self, path: str | Path) -> bytes:
        """A file's content, as it was when it was read first.

        Raises:
            OSError: it cannot be read.
        """
        name = str(path)
        if name not in self._contents:
            self._contents[name] = super().read(name)
        return self._contents[name]

    def file_of(self, module: str) -> Path | None:
        """The project's file for a module name: a module's or a package's."""
        path = self.root.joinpath(*module.split("."))
        for candidate in (path.with_name(path.name + ".py"), path / "__init__.py"):
            self.at(candidate)
            if str(candidate) in self._contents or isfile(candidate):
                return candidate
        return None


def public_functions(root: Path) -> Mapping[str, str]:
    """Every function of the folder plugins/ with its module."""
    return {name: module for module, names in _modules(root) for name in names}


def _modules(root: Path) -> Iterator[tuple[str, frozenset[str]]]:
    for file in plugin_files(root):
        parts = file.relative_to(root).with_suffix("").parts
        if not any(part.startswith("_") for part in parts):
            yield ".".join(parts), _functions(file, stamp_of(file))


def plugin_files(root: Path) -> list[Path]:
    """What somebody wrote below plugins/, behind links too."""
    found: list[Path] = []
    seen = set()
    for folder, folders, names in os.walk(root / "plugins", followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [name for name in folders if not name.startswith(".") and real not in seen]
        seen.add(real)
        found += [Path(folder, name) for name in names if name.endswith(".py") and not name.startswith(".")]
    return sorted(file for file in found if isfile(file) and getsize(file) <= _LARGEST)


@lru_cache(maxsize=256)
def _functions(file: Path, stamp: Stamp | None) -> frozenset[str]:
    """The public functions of a file as it was at a moment; none where it cannot be read or understood."""
    if stamp is None:
        return frozenset()
    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name("function_map")], value=ast.Dict(keys)):
                return frozenset(str(key.value) for key in keys if isinstance(key, ast.Constant))
    functions = (node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(name for name in functions if not name.startswith("_"))
