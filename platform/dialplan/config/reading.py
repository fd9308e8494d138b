"""One agent file being read: its tree, what may be looked up for it, and the problems found so far."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialplan.config import secret, templates
from dialplan.config.layers import Layers
from dialplan.config.plugins import PluginLoader
from dialplan.config.problems import Place, Problem
from dialplan.config.secret import Secret
from dialplan.config.source import Node, place_inside
from dialplan.config.templates import Template


@dataclass(frozen=True, slots=True)
class Project:
    """What is shared by all agent files of one load."""

    layers: Layers
    plugins: PluginLoader
    environment: Mapping[str, str] | None
    """For `${NAME}`; None where a check runs without one."""


@dataclass(slots=True)
class Reading:
    """One agent file being read."""

    project: Project
    file: Path
    tree: Node
    problems: list[Problem] = field(default_factory=list)

    def problem(self, code: str, place: Place, message: str, help_text: str = "") -> None:
        """Note a mistake and go on."""
        self.problems.append(Problem(code, place, message, help_text))

    def text(self, node: Node | None) -> str | Secret:
        """A text with its `${NAME}` resolved; empty where there is none."""
        value = node.value if node else ""
        return secret.resolve(value, self.project.environment or {}) if isinstance(value, str) else ""

    def texts(self, node: Node | None) -> dict[str, str | Secret]:
        """A mapping of texts, such as headers."""
        return {key: self.text(child) for key, child in entries(node)}

    def json(self, node: Node) -> Any:
        """A value as JSON, with secrets in place of texts that hold `${NAME}`."""
        if isinstance(node.value, tuple):
            return [self.json(item) for item in node.value]
        if isinstance(node.value, Mapping):
            return {key: self.json(child) for key, child in entries(node)}
        return self.text(node) if isinstance(node.value, str) else node.value

    def template(self, node: Node | None, names: Iterable[str]) -> Template | None:
        """A text or `{file: …}` as a checked template; None where there is none or it is wrong."""
        if node is None:
            return None
        if isinstance(node.value, Mapping):
            return self._template_file(node.at("file"), names)
        assert isinstance(node.value, str)
        self._note_mistakes(node, self.project.layers.texts[node.place.file], names)
        return Template(node.value)

    def wire_template(self, node: Node, names: Iterable[str]) -> Template:
        """A template that goes to a server, not to a model or caller: it may hold secrets."""
        source = node.raw
        environment = self.project.environment or {}
        references = {f"secret_{m[1]}": m[0] for m in secret.REFERENCE.finditer(source)}
        values = {name: secret.reveal(secret.resolve(text, environment)) for name, text in references.items()}
        if isinstance(node.value, str) and templates.is_template(source):
            self._note_mistakes(node, self.project.layers.texts[node.place.file], names)
        return Template(secret.REFERENCE.sub(r"{{ secret_\1 }}", source), values)

    def _template_file(self, node: Node, names: Iterable[str]) -> Template | None:
        layers = self.project.layers
        path = self._find(str(node.value))
        if path is None:
            message = f"there is no file {node.value}, neither beside the agent file nor in the project's root"
            self.problem("E205", node.place, message)
            return None
        try:
            text = layers.text(path)
        except (OSError, UnicodeDecodeError) as exc:
            self.problem("E205", node.place, f"{node.value} cannot be read: {exc}")
            return None
        lines = text.split("\n")
        whole = Place(layers.name(path), 1, 1, len(lines), len(lines[-1]) + 1)
        self._note_mistakes(Node(text, whole), text, names)
        return Template(text)

    def _find(self, relative: str) -> Path | None:
        """A file beside the agent file or in the project's root, never outside the project."""
        root = self.project.layers.root
        for folder in (self.file.parent, root):
            path = (folder / relative).resolve()
            if path.is_relative_to(root.resolve()) and path.is_file():
                return folder / relative
        return None

    def _note_mistakes(self, node: Node, text: str, names: Iterable[str]) -> None:
        assert isinstance(node.value, str)
        for mistake in templates.mistakes(node.value, names):
            place = place_inside(node, text, mistake.offset, mistake.length)
            self.problem(mistake.code, place, mistake.message, mistake.help)


def entries(node: Node | None) -> Iterator[tuple[str, Node]]:
    """The keys and values of a mapping; none for anything else."""
    if node is not None and isinstance(node.value, Mapping):
        for key, entry in node.value.items():
            yield key, entry.node
