"""What lies under an agent file: `_defaults.yaml` of its folders, and the files that it extends.

Reads files; knows nothing of what the keys mean.
"""

import re
from pathlib import Path

from dialplan.config import source
from dialplan.config.problems import Place, Problem, did_you_mean
from dialplan.config.source import Node

#: An agent may build on a file that builds on another one. Beyond that nobody can tell where a value comes from.
MAX_EXTENDS = 2

DEFAULTS = "_defaults"


class Layers:
    """The YAML files of one project, each read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "agents"
        self.texts: dict[str, str] = {}
        """Contents by name, as problems name files."""
        self._trees: dict[Path, tuple[Node | None, list[Problem]]] = {}

    def agent_files(self) -> list[Path]:
        """Every agent's file, in the order of their names; `_x.yaml` and what begins with a dot are none."""
        found = (path for path in self.folder.rglob("*.yaml") if path.is_file())
        return sorted(path for path in found if not _set_apart(path.relative_to(self.folder)))

    def overlooked(self) -> list[Problem]:
        """Files that somebody may well take for agents."""
        return [
            Problem("W502", Place(self.name(path)), "this file is not read", f"name it {path.stem}.yaml")
            for path in sorted(self.folder.rglob("*.yml"))
            if not _set_apart(path.relative_to(self.folder))
        ]

    def name(self, file: Path) -> str:
        """The file as problems name it."""
        return file.relative_to(self.root).as_posix() if file.is_relative_to(self.root) else file.as_posix()

    def text(self, file: Path) -> str:
        """A file's content.

        Raises:
            OSError: it cannot be read.
            UnicodeDecodeError: it is not UTF-8.
        """
        name = self.name(file)
        if name not in self.texts:
            self.texts[name] = file.read_text("utf-8")
        return self.texts[name]

    def resolved(self, file: Path) -> tuple[Node | None, list[Problem]]:
        """An agent's tree with all that lies under it; None where any of these cannot be read."""
        below = [path for path in self._defaults(file) if path.is_file()]
        layers, problems = self._with_extended(file)
        defaults = [self._read(path) for path in below]
        problems = [problem for _, found in defaults for problem in found] + problems
        trees = [tree for tree, _ in defaults] + list(reversed(layers))
        merged: Node | None = None
        for tree in trees:
            if tree is None:
                return None, problems
            merged = source.merge(merged, tree) if merged else tree
        return merged, problems

    def _defaults(self, file: Path) -> list[Path]:
        """The `_defaults.yaml` of every folder from agents/ down to the file's own."""
        folders = [folder for folder in file.parents if folder.is_relative_to(self.folder)]
        return [folder / f"{DEFAULTS}.yaml" for folder in reversed(folders)]

    def _with_extended(self, file: Path) -> tuple[list[Node | None], list[Problem]]:
        """The file's own tree, then those that it extends, nearest first."""
        tree, problems = self._read(file)
        layers, problems, seen = [tree], list(problems), [file]
        while tree is not None and (extends := tree.get("extends")) is not None:
            if not re.fullmatch(r"_[^/\\]*", extends.raw):
                break  # The schema says what is wrong with it.
            base = seen[-1].parent / f"{extends.raw}.yaml"
            problem = self._extends_problem(extends, base, seen)
            if problem:
                return [*layers, None], [*problems, problem]
            tree, found = self._read(base)
            layers.append(tree)
            problems += found
            seen.append(base)
        return layers, problems

    def _extends_problem(self, extends: Node, base: Path, seen: list[Path]) -> Problem | None:
        if base in seen:
            return Problem("E504", extends.place, f"{self.name(base)} is extended in a circle")
        if len(seen) > MAX_EXTENDS:
            return Problem("E504", extends.place, f"at most {MAX_EXTENDS} files can lie under an agent")
        if not base.is_file():
            beside = [path.stem for path in base.parent.glob("_*.yaml")]
            return Problem("E503", extends.place, f"there is no {self.name(base)}", did_you_mean(base.stem, beside))
        return None

    def _read(self, file: Path) -> tuple[Node | None, list[Problem]]:
        if file not in self._trees:
            self._trees[file] = self._parsed(file)
        return self._trees[file]

    def _parsed(self, file: Path) -> tuple[Node | None, list[Problem]]:
        name = self.name(file)
        try:
            text = self.text(file)
        except OSError as exc:
            return None, [Problem("E001", Place(name), f"the file cannot be read: {exc.strerror}")]
        except UnicodeDecodeError:
            return None, [Problem("E001", Place(name), "the file is not text in UTF-8", "save it as UTF-8")]
        return source.read(name, text)


def _set_apart(path: Path) -> bool:
    return any(part.startswith(("_", ".")) for part in path.parts)
