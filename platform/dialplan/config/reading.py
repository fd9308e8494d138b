"""One agent file being read: its tree, what may be looked up for it, and the problems found so far."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialplan.config import keys, secret
from dialplan.config.jinja import mistakes as template_mistakes
from dialplan.config.jinja import templates
from dialplan.config.jinja.mistakes import TemplateMistake
from dialplan.config.jinja.templates import Template
from dialplan.config.layers import Layers, reason
from dialplan.config.plugins.loader import PluginLoader
from dialplan.config.problems import Place, Problem, did_you_mean, shown
from dialplan.config.secret import Secret
from dialplan.config.yaml.places import places_inside, whole_file
from dialplan.config.yaml.source import Node


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
    """All that the schema accepts."""
    whole: Node
    """The same with what it refuses."""
    complete: bool = True
    """False where something that lies under the file could not be read."""
    problems: list[Problem] = field(default_factory=list)

    def problem(self, code: str, place: Place, message: str, help_text: str = "") -> None:
        """Note a mistake and go on."""
        self.problems.append(Problem(code, place, message, help_text))

    def sure_of(self, key: str) -> bool:
        """Whether all is known that the file says under a key: nothing of it was refused, nothing below unreadable.

        Where it is not, what seems to be missing may stand in there, and saying so would be a second error for one.
        """
        whole, accepted = self.whole.get(key), self.tree.get(key)
        if not self.complete or whole is None:
            return self.complete
        return accepted is not None and len(accepted.items()) == len(whole.items())

    def refused_in(self, node: Node) -> bool:
        """Whether anything inside a value was refused already."""
        return any(problem.code < "E2" and node.place.holds(problem.place) for problem in self.problems)

    def names(self) -> list[str] | None:
        """The agent's variables; None where they are not all known."""
        return [name for name, _ in entries(self.tree.get("variables"))] if self.sure_of("variables") else None

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

    def template(
        self, node: Node | None, names: Collection[str] | None, values: Mapping[str, object] | None = None
    ) -> Template | None:
        """A text or `{file: …}` as a checked template; None where there is none or its file is missing.

        Args:
            node: the text.
            names: what it may use beside `call` and `now`; None where that is not known.
            values: of all the names, to fill the template in for a test.
        """
        if node is None:
            return None
        if isinstance(node.value, Mapping):
            node = self._file(node.at("file"))
            if node is None:
                return None
            self._note_secrets(node)
            self._note_keys(node)
        assert isinstance(node.value, str)
        found = template_mistakes.mistakes(node.value, names)
        if not found and values is not None and names is not None:
            found = tuple(template_mistakes.filling_mistakes(node.value, values))
        if values is not None:
            found = [*found, *template_mistakes.single_braces(node.value, names or ())]
        self._note_mistakes(node, found)
        return Template(node.value)

    def wire_template(self, node: Node, names: Collection[str] | None, *, base: int = 0) -> Template:
        """A template that goes to a server, not to a model or caller: it may hold secrets.

        Args:
            node: the text.
            names: what it may use beside `call` and `now`; None where that is not known.
            base: where the host of an address ends; a `${NAME}` before that is not quoted.
        """
        written = node.raw
        if isinstance(node.value, str) and templates.is_template(written):
            self._note_mistakes(node, template_mistakes.mistakes(written, names))
        secrets: dict[str, str] = {}
        parts, end = [], 0
        for number, match in enumerate(secret.REFERENCE.finditer(written)):
            value = secret.reveal(secret.resolve(match[0], self.project.environment or {}))
            secrets[f"secret_{number}"] = templates.Verbatim(value) if match.start() < base else value
            parts += [written[end : match.start()], f"{{{{ secret_{number} }}}}"]
            end = match.end()
        return Template("".join([*parts, written[end:]]), secrets)

    def _file(self, node: Node) -> Node | None:
        """The text of a prompt's file."""
        layers, written = self.project.layers, str(node.value)
        path = self._find(written)
        if path is None:
            message = f"there is no file {shown(written)}, neither beside the agent file nor in the project's folder"
            self.problem("E205", node.place, message, self._meant_file(written))
            return None
        try:
            return whole_file(layers.name(path), layers.text(path))
        except OSError as exc:
            self.problem("E205", node.place, f"the file {shown(written)} cannot be read: {reason(exc)}")
        except UnicodeDecodeError:
            self.problem("E205", node.place, f"the file {shown(written)} is not text in UTF-8", "save it as UTF-8")
        return None

    def _find(self, relative: str) -> Path | None:
        """A file beside the agent file or in the project's root, never outside the project."""
        root = self.project.layers.root
        for folder in (self.file.parent, root):
            written = folder / relative
            try:
                path = written.resolve()
            except (OSError, ValueError):  # No file can have such a name.
                return None
            if path.is_relative_to(root.resolve()) and self.project.layers.files.is_file(written):
                return root / path.relative_to(root.resolve())
        return None

    def _meant_file(self, written: str) -> str:
        """A file of nearly this name; backslashes turned round."""
        path = written.replace("\\", "/")
        if re.match(r"[A-Za-z]:/|/|~", path):
            return "write where it lies in the project, as in prompts/bakery.md"
        if path != written:
            return f"write it with forward slashes: {path}"
        for folder in dict.fromkeys((self.file.parent, self.project.layers.root)):
            beside = _names_in(folder, path.rpartition("/")[0])
            if near := did_you_mean(path, beside):
                return near
        return ""

    def _note_secrets(self, node: Node) -> None:
        for match, place in self.secrets_in(node):
            self.problem("E204", place, f"{match[0]} cannot stand in here: the model would get it", secret.NOT_HERE)

    def _note_keys(self, node: Node) -> None:
        found = keys.written_out("", node.raw)
        for place in self.places(node, [(one.start, one.end - one.start) for one in found]):
            self.problem("W601", place, keys.HEARD, "take it out")

    def secrets_in(self, node: Node) -> list[tuple[re.Match[str], Place]]:
        """Every `${NAME}` of a text, with its place."""
        found = list(secret.REFERENCE.finditer(node.raw))
        return list(zip(found, self.places(node, [(m.start(), len(m[0])) for m in found]), strict=True))

    def places(self, node: Node, parts: list[tuple[int, int]]) -> list[Place]:
        """The places of parts of a text: offset and length of each."""
        text = self.project.layers.texts[node.place.file]
        return places_inside(node, text, parts) if parts else []

    def _note_mistakes(self, node: Node, found: Sequence[TemplateMistake]) -> None:
        places = self.places(node, [(mistake.offset, mistake.length) for mistake in found])
        for mistake, place in zip(found, places, strict=True):
            self.problem(mistake.code, place, mistake.message, mistake.help)


def _names_in(root: Path, folder: str) -> list[str]:
    """The files in a folder, by their paths from the root; none where it cannot be looked into."""
    if ".." in folder.split("/"):
        return []
    try:
        return sorted(path.relative_to(root).as_posix() for path in (root / folder).iterdir() if path.is_file())
    except (OSError, ValueError):
        return []


def entries(node: Node | None) -> Iterator[tuple[str, Node]]:
    """The keys and values of a mapping; none for anything else."""
    if node is not None and isinstance(node.value, Mapping):
        for key, entry in node.value.items():
            yield key, entry.node
