"""Which plugin file has a function of some name, read off the source: nothing that no agent lists is ever run."""

import ast
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from dialplan.config.files import Stamp, stamp_of

#: A file that is larger is no plugin that somebody wrote.
_LARGEST = 500_000


def public_functions(root: Path) -> Mapping[str, str]:
    """Every function of the folder plugins/ with its module."""
    return {name: module for module, names in _modules(root) for name in names}


def _modules(root: Path) -> Iterator[tuple[str, frozenset[str]]]:
    for file in sorted((root / "plugins").rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        if not any(part.startswith(("_", ".")) for part in parts):
            yield ".".join(parts), _functions(file, stamp_of(file))


@lru_cache(maxsize=256)
def _functions(file: Path, stamp: Stamp | None) -> frozenset[str]:
    """The public functions of a file as it was at a moment; none where it cannot be read or understood."""
    if stamp is None or stamp.size > _LARGEST:
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
