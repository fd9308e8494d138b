"""A project's files → its dialplan, again and again: each time only what has changed is read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dialplan.config import dotenv
from dialplan.config.agent_file import read_agent
from dialplan.config.dialplan import Dialplan, connect
from dialplan.config.files import Files, Stamp
from dialplan.config.layers import Layers, reason
from dialplan.config.model import Agent
from dialplan.config.plugins.loader import PluginLoader
from dialplan.config.problems import Place, Problem
from dialplan.config.reading import Project
from dialplan.errors import ConfigError

#: How often files are read again that change while they are being read.
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Loading:
    """What came of reading a project's files."""

    dialplan: Dialplan
    problems: tuple[Problem, ...]
    texts: Mapping[str, str]
    """Contents of the files that have problems."""
    set_aside: tuple[str, ...]
    """Names of agents whose file has an error: those that answered before still do, as they were."""
    by_agent: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    """The problems that concern an agent: of its own file, and of all that it builds on."""


def load(root: Path, environment: Mapping[str, str] | None) -> Loading:
    """Read every agent file of a project. A file with an error is set aside and hurts no other.

    Args:
        root: the folder with agents/ and plugins/.
        environment: values for `${NAME}`; those in the project's `.env` count where it has none. None checks without.
    """
    return Loader(root, environment).first()


@dataclass(frozen=True, slots=True)
class _Read:
    """A file that was read without an error, and what that depends on."""

    agent: Agent
    warnings: list[Problem]
    texts: Mapping[str, str]
    files: Mapping[str, Stamp | None]
    plugins: PluginLoader


class Loader:
    """Reads one project's files whenever it is asked to."""

    def __init__(self, root: Path, environment: Mapping[str, str] | None) -> None:
        self._root = root
        self._given = environment
        self._environment = environment
        self._files = Files()
        self._plugins = PluginLoader(root)
        self._read: dict[Path, _Read] = {}

    def another(self) -> "Loader":
        """One for the same project that knows nothing yet."""
        return Loader(self._root, self._given)

    @property
    def importing(self) -> str:
        """The plugin that is being imported; empty where none is."""
        return self._plugins.importing

    def changed(self) -> bool:
        """Whether anything that the last loading has looked at stands differently by now."""
        return self._files.moment.changed() or self._plugins.changed()

    def healed(self) -> bool:
        """Whether anything that the last loading could not read may be readable by now."""
        return self._files.moment.healed() or self._plugins.healed()

    def first(self) -> Loading:
        """Read everything, and once more where it changes meanwhile."""
        loading = self.load()
        for _ in range(_ATTEMPTS):
            if not self.changed():
                break
            loading = self.load()
        return loading

    def load(self, before: Dialplan | None = None) -> Loading:
        """Read what has changed since the last time.

        Args:
            before: who answered what until now, and goes on where a file has an error.
        """
        unread = self._renew()
        layers = Layers(self._root, self._files)
        project = Project(layers, self._plugins, self._environment)
        problems, refused = [*unread, *layers.overlooked()], []
        agents: dict[str, Agent] = {}
        read: dict[Path, _Read] = {}
        by_agent: dict[str, list[Problem]] = {}
        for file in layers.agent_files():
            name, found = layers.agent_name(file), self._again(file) or self._afresh(project, file)
            if isinstance(found, _Read):
                read[file], agents[name] = found, found.agent
                by_agent[name] = list(found.warnings)
            else:
                refused.append(name)
                by_agent[name] = found
            problems += by_agent[name]
        self._plugins.seal()
        self._read = read
        for name, agent in before.agents.items() if before else ():
            if name not in agents and (name in refused or layers.may_hold(name)):
                agents[name] = agent
                refused += [name] if name not in refused else []
        dialplan, conflicts = connect(agents.values(), before)
        refused += [name for name, agent in agents.items() if dialplan.agents.get(name) is not agent]
        texts = layers.texts | self._plugins.texts
        for one in read.values():
            texts.update(one.texts)
        for name, agent in agents.items():
            by_agent.setdefault(name, []).extend(one for one in conflicts if _concerns(one, agent))
        return Loading(
            dialplan,
            _in_order([*problems, *conflicts]),
            texts,
            tuple(refused),
            {name: _in_order(found) for name, found in by_agent.items()},
        )

    def _renew(self) -> list[Problem]:
        """Let a new moment begin, and forget what does not count any more."""
        self._files.begin()
        if self._plugins.changed():
            self._plugins = PluginLoader(self._root)
        self._plugins.forget_failures()
        if self._given is None:
            return []
        try:
            environment = {**self._dotenv(), **self._given}
        except (OSError, UnicodeDecodeError, ConfigError) as exc:
            return [Problem("E001", Place(".env"), f"the file cannot be read: {_why(exc)}")]
        if environment != self._environment:
            self._environment = environment
            self._read.clear()
        return []

    def _dotenv(self) -> dict[str, str]:
        try:
            return dotenv.values(self._files.text(self._root / ".env"), self._given or {})
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def _again(self, file: Path) -> _Read | None:
        """What was read of a file before, where nothing that it depends on has changed."""
        read = self._read.get(file)
        if read is None or not self._files.stand_as(read.files):
            return None
        return read if read.plugins is self._plugins or not read.agent.plugins else None

    def _afresh(self, project: Project, file: Path) -> _Read | list[Problem]:
        with self._files.noting() as noted:
            agent, problems = read_agent(project, file)
        if agent is None:
            return problems
        texts = {problem.place.file: project.layers.texts[problem.place.file] for problem in problems}
        return _Read(agent, problems, texts, noted, self._plugins)


def _why(exc: OSError | UnicodeDecodeError | ConfigError) -> str:
    if isinstance(exc, UnicodeDecodeError):
        return "it is not text in UTF-8"
    return reason(exc) if isinstance(exc, OSError) else str(exc)


def _in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.place))


def _concerns(conflict: Problem, agent: Agent) -> bool:
    """Whether an agent claims what another one has, by a line of its own or of a file below it."""
    return any(place == conflict.place for _, place in (*agent.numbers, *agent.streams))
