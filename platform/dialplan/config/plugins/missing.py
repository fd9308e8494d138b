"""Which file may be meant by a plugin that is not there. Looks at names only."""

import difflib
import re
from pathlib import Path, PurePath

from dialplan.config.plugins.sources import plugin_files


def help_for(module: str, root: Path) -> str:
    """What to do about a plugin that is neither a file of the project nor an installed package."""
    wanted = _in_plugins(module)
    by_module = {_module_of(file): file for file in (path.relative_to(root) for path in plugin_files(root))}
    there = by_module.get(wanted)
    if there and _has_name_of(there, wanted):
        return f"write {wanted}"
    if there:
        return f"rename {there.as_posix()} to {_file_of(wanted)}" + _and_write(wanted, module)
    if elsewhere := _outside(wanted, root):
        return f"move {elsewhere} to {_file_of(wanted)}" + _and_write(wanted, module)
    by_name = {_short(one): one for one in by_module}
    near = difflib.get_close_matches(_short(wanted), by_name, n=1, cutoff=0.75)
    if near:
        meant = by_name[near[0]]
        rename = f" rename {by_module[meant].as_posix()} to {_file_of(meant)}, and"
        return f'did you mean "{meant}"?' + ("" if _has_name_of(by_module[meant], meant) else f"{rename} write {meant}")
    return f"create {_file_of(wanted)}{_and_write(wanted, module)}, or install a package of this name"


def _in_plugins(module: str) -> str:
    """As it is written where it is a file in plugins/."""
    module = module[:100].removesuffix(".py")
    return module if module.startswith("plugins.") else f"plugins.{re.sub('^(plugin|agents)[.]', '', module)}"


def _module_of(file: PurePath) -> str:
    """The module that a file is, or would be under a name that a module can have."""
    return ".".join(re.sub(r"\W+", "_", part) for part in file.with_suffix("").parts)


def _has_name_of(file: PurePath, module: str) -> bool:
    """Whether a file is called as its module, and not only nearly so."""
    return ".".join(file.with_suffix("").parts) == module


def _file_of(module: str) -> str:
    return module.replace(".", "/") + ".py"


def _short(module: str) -> str:
    return module.removeprefix("plugins.").lower()


def _and_write(wanted: str, module: str) -> str:
    return "" if wanted == module else f" and write {wanted}"


def _outside(wanted: str, root: Path) -> str:
    """The file of this name that lies among the agents, or beside the folders."""
    name = wanted.rpartition(".")[2]
    places = (path for folder in (root / "agents", root) for path in sorted(folder.glob("*.py")))
    found = next((path for path in places if _module_of(PurePath(path.name)) == name), None)
    return found.relative_to(root).as_posix() if found else ""
