"""What lies under an agent file: `_defaults.yaml` of its folders, and the files that it extends.

Reads files; knows nothing of what the keys mean.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dialplan.config.files import Files
from dialplan.config.problems import Place, Problem, did_you_mean, undecodable
from dialplan.config.yaml import source
from dialplan.config.yaml.source import Node

#: An agent may build on a file that builds on another one. Beyond that nobody can tell where a value comes from.
MAX_EXTENDS = 2

DEFAULTS = "_defaults"

#: How people end the names of files that hold YAML.
_ENDING = re.compile(r"(?i)\.(yml|yaml|yml\.txt|yaml\.txt)$")


@dataclass(frozen=True, slots=True)
class Resolved:
    """An agent's own file with all that lies under it."""

    tree: Node | None
    """None where the agent's own file cannot be read."""
    problems: tuple[Problem, ...]
    complete: bool
    """False where something that lies under it could not be read: a key that is missing may stand there."""


class Layers:
    """The YAML files of one project at one moment."""

    def __init__(self, root: Path, files: Files) -> None:
        self.root = root
        self.folder = root / "agents"
        self.files = files
        self.texts: dict[str, str] = {}
        """Contents by name, as problems name files."""
        self._trees: dict[Path, tuple[Node | None, list[Problem]]] = {}
        self._below, self._unlisted = files.below(self.folder)

    def agent_files(self) -> list[Path]:
        """Every agent's file, in the order of their names; `_x.yaml` and what begins with a dot are none."""
        found = (path for path in self._below if path.suffix == ".yaml" and not self._set_apart(path))
        return [path for path in found if not self.files.is_folder(path)]

    def may_hold(self, agent: str) -> bool:
        """Whether this agent's file may be there though it was not found: its folder is gone or cannot be listed."""
        file = self.folder / f"{agent}.yaml"
        return not self.files.is_folder(self.folder) or any(map(file.is_relative_to, self._unlisted))

    def overlooked(self) -> list[Problem]:
        """What keeps somebody's agents from being found: a folder that is not there, files with another ending."""
        if not self.files.is_folder(self.folder):
            help_text = "go to your project, or name it with --root"
            return [Problem("E007", Place("agents"), "there is no folder agents/ here", help_text)]
        unlisted = [
            Problem("E001", Place(self.name(folder)), f"the folder cannot be read: {reason(exc)}")
            for folder, exc in self._unlisted.items()
        ]
        if not unlisted and not self.agent_files():
            return [*self._other_endings(), Problem("W503", Place("agents"), "no agent stands in the folder agents/")]
        return [*unlisted, *self._other_endings()]

    def _other_endings(self) -> Iterator[Problem]:
        for path in self._below:
            ending = _ENDING.search(path.name)
            if ending and self.files.is_folder(path):
                message, help_text = "this is a folder; an agent is a file", f"name it {path.name[: ending.start()]}"
                yield Problem("W502", Place(self.name(path)), message, help_text)
            elif ending and path.suffix != ".yaml":
                help_text = f"name it {path.name[: ending.start()]}.yaml"
                yield Problem("W502", Place(self.name(path)), "this file is not read", help_text)

    def name(self, file: Path) -> str:
        """The file as problems name it."""
        name = file.relative_to(self.root).as_posix() if file.is_relative_to(self.root) else file.as_posix()
        # A file system may hold names that are no text; they could not be printed.
        return name.encode(errors="surrogateescape").decode(errors="backslashreplace")

    def agent_name(self, file: Path) -> str:
        """The file's stem, with its folder: `acme/pharmacy`."""
        return self.name(file).removeprefix("agents/").removesuffix(".yaml")

    def text(self, file: Path) -> str:
        """A file's content.

        Raises:
            OSError: it cannot be read.
            UnicodeDecodeError: it is not UTF-8.
        """
        text = self.texts[self.name(file)] = self.files.text(file)
        return text

    def resolved(self, file: Path) -> Resolved:
        """An agent's tree with all that lies under it, as far as that can be read."""
        layers, problems = self._with_extended(file)
        below = [self._read_defaults(path) for path in self._defaults(file) if self.files.is_file(path)]
        problems = [problem for _, found in below for problem in found] + problems
        if layers[0] is None:
            return Resolved(None, tuple(problems), False)
        trees = [tree for tree, _ in below] + list(reversed(layers))
        readable = [tree for tree in trees if tree is not None]
        merged = readable[0]
        for tree in readable[1:]:
            merged = source.merge(merged, tree)
        return Resolved(merged, tuple(problems), len(readable) == len(trees))

    def _defaults(self, file: Path) -> list[Path]:
        """The `_defaults.yaml` of every folder from agents/ down to the file's own."""
        folders = [folder for folder in file.parents if folder.is_relative_to(self.folder)]
        return [folder / f"{DEFAULTS}.yaml" for folder in reversed(folders)]

    def _read_defaults(self, file: Path) -> tuple[Node | None, list[Problem]]:
        tree, problems = self._read(file)
        extends = tree.get("extends") if tree else None
        if tree is None or extends is None:
            return tree, problems
        message = f"{DEFAULTS}.yaml lies under every agent and builds on no other file"
        problem = Problem("E504", tree.key_place("extends"), message, "write what it needs into the file itself")
        return tree.without([("extends",)]), [*problems, problem]

    def _with_extended(self, file: Path) -> tuple[list[Node | None], list[Problem]]:
        """The file's own tree, then those that it extends, nearest first; None for one that cannot be had."""
        tree, problems = self._read(file)
        layers, problems, seen = [tree], list(problems), [file]
        while tree is not None and (extends := tree.get("extends")) is not None:
            if not re.fullmatch(r"_[^/\\]*", extends.raw):
                return [*layers, None], problems  # The schema says what is wrong with it.
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
            return Problem("E504", extends.place, f"{extends.raw} is extended in a circle", "remove one extends:")
        if len(seen) > MAX_EXTENDS:
            message = f"{extends.raw} would be the third file under this agent; two are the most"
            return Problem("E504", extends.place, message, "move what it holds into one of the two")
        if not self.files.is_file(base):
            beside = sorted(path.stem for path in base.parent.glob("_*.yaml"))
            suggestion = did_you_mean(base.stem, beside)
            help_text = suggestion or (f"there are: {', '.join(beside)}" if beside else "create it")
            return Problem("E503", extends.place, f"there is no file {self.name(base):.100}", help_text)
        return None

    def _read(self, file: Path) -> tuple[Node | None, list[Problem]]:
        name = self.name(file)
        try:
            text = self.text(file)
        except OSError as exc:
            return None, [Problem("E001", Place(name), f"the file cannot be read: {reason(exc)}")]
        except UnicodeDecodeError as exc:
            return None, [_not_utf8(name, exc)]
        if not file.name.startswith("_"):
            return source.read(name, text)
        if file not in self._trees:  # It may lie under a thousand agents.
            self._trees[file] = source.read(name, text)
        return self._trees[file]

    def _set_apart(self, file: Path) -> bool:
        return any(part.startswith(("_", ".")) for part in file.relative_to(self.folder).parts)


def reason(exc: OSError) -> str:
    """Why the file system said no, in its own words."""
    return (exc.strerror or "the system gives no reason").lower()


def _not_utf8(name: str, exc: UnicodeDecodeError) -> Problem:
    line, column = undecodable(exc)
    place = Place(name, line, column, line, column + 1)
    return Problem("E001", place, "the file is not text in UTF-8", "save it as UTF-8")
