"""All agents and routes of one moment, and who answers a number or a path.

A `Dialplan` never changes: a reload makes another one and swaps it in one assignment; a call keeps the one it started
with.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dialplan.config.agent_file import read_agent
from dialplan.config.layers import Layers
from dialplan.config.model import Agent
from dialplan.config.plugins import PluginLoader
from dialplan.config.problems import Place, Problem
from dialplan.config.reading import Project

#: Characters of a route that count; an address has 255 at most.
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Route:
    """One line of an agent file that says what the agent answers."""

    pattern: str
    agent: Agent
    place: Place


@dataclass(frozen=True, slots=True)
class Dialplan:
    """Agents by name, and their routes."""

    agents: Mapping[str, Agent] = field(default_factory=dict)
    numbers: Mapping[str, Route] = field(default_factory=dict)
    """Exact numbers and addresses, and prefixes with their star."""
    streams: Mapping[str, tuple[Route, ...]] = field(default_factory=dict)

    def answer(self, to: str) -> Route | None:
        """Who answers a number: the exact one, else the longest prefix; nobody where nothing fits."""
        return next(iter(self.matching(to)), None)

    def matching(self, to: str) -> list[Route]:
        """Every route that fits a number, the most specific first."""
        address = canonical(to)
        # Whoever calls chooses the address; what is longer than any route has no more prefixes to offer.
        prefixes = (address[:length] + "*" for length in range(min(len(address), _LONGEST), -1, -1))
        return [self.numbers[pattern] for pattern in (address, *prefixes) if pattern in self.numbers]

    def answer_stream(self, path: str, to: str) -> Route | None:
        """Who answers a stream on a path; where agents share the path, `to` decides among them."""
        sharing = self.streams.get(path, ())
        if len(sharing) == 1:
            return sharing[0]
        names = {route.agent.name: route for route in sharing}
        return next((names[r.agent.name] for r in self.matching(to) if r.agent.name in names), None) if to else None


@dataclass(frozen=True, slots=True)
class Loading:
    """What came of reading a project's files."""

    dialplan: Dialplan
    problems: tuple[Problem, ...]
    texts: Mapping[str, str]
    """The files' contents, for showing problems."""
    set_aside: tuple[str, ...]
    """Names of agents that have an error and do not answer."""


def load(root: Path, environment: Mapping[str, str] | None) -> Loading:
    """Read every agent file of a project. A file with an error is set aside and hurts no other.

    Args:
        root: the folder with agents/ and plugins/.
        environment: values for `${NAME}`; None checks without them.
    """
    layers = Layers(root)
    plugins = PluginLoader(root)
    project = Project(layers, plugins, environment)
    agents: list[Agent] = []
    set_aside: list[str] = []
    problems = layers.overlooked()
    for file in layers.agent_files():
        agent, found = read_agent(project, file)
        problems += found
        if agent is None:
            set_aside.append(layers.agent_name(file))
        else:
            agents.append(agent)
    dialplan, conflicts = connect(agents)
    set_aside += [agent.name for agent in agents if agent.name not in dialplan.agents]
    unique = tuple(dict.fromkeys([*problems, *conflicts]))
    texts = layers.texts | plugins.texts
    return Loading(dialplan, tuple(sorted(unique, key=lambda p: p.place)), texts, tuple(set_aside))


def connect(agents: Iterable[Agent]) -> tuple[Dialplan, list[Problem]]:
    """Agents with their routes. One that claims what an earlier one has is left out, with a problem that names both."""
    answering: dict[str, Agent] = {}
    numbers: dict[str, Route] = {}
    streams: dict[str, tuple[Route, ...]] = {}
    problems: list[Problem] = []
    for agent in agents:
        conflicts = [*_number_conflicts(agent, numbers), *_stream_conflicts(agent, streams)]
        problems += conflicts
        if conflicts:
            continue
        answering[agent.name] = agent
        numbers |= {canonical(number): Route(number, agent, place) for number, place in agent.numbers}
        for path, place in agent.streams:
            streams[path] = (*streams.get(path, ()), Route(path, agent, place))
    return Dialplan(answering, numbers, streams), problems


def canonical(address: str) -> str:
    """A number or address as routes compare it: a SIP address without its parameters, in lower case."""
    address = address.strip()
    return address if address.startswith("+") else address.partition(";")[0].casefold()


def _number_conflicts(agent: Agent, taken: Mapping[str, Route]) -> Iterable[Problem]:
    seen: dict[str, Place] = {}
    for number, place in agent.numbers:
        other = taken.get(canonical(number))
        if other is not None:
            message = f"{number} is answered by {other.agent.name} already ({other.place})"
            yield Problem("E501", place, message, "one number, one agent: remove it from one of the two")
        elif canonical(number) in seen:
            message = f"{number} stands twice; the first is in {seen[canonical(number)]}"
            yield Problem("E501", place, message, "remove one of the two")
        seen.setdefault(canonical(number), place)


def _stream_conflicts(agent: Agent, taken: Mapping[str, tuple[Route, ...]]) -> Iterable[Problem]:
    seen: dict[str, Place] = {}
    for path, place in agent.streams:
        if path in seen:
            message = f"{path} stands twice; the first is in {seen[path]}"
            yield Problem("E502", place, message, "remove one of the two")
        seen.setdefault(path, place)
        for other in taken.get(path, ()):
            if not agent.numbers or not other.agent.numbers:
                message = f"{path} is answered by {other.agent.name} already ({other.place})"
                help_text = 'agents share a path when each has numbers and the stream a <Parameter name="to">'
                yield Problem("E502", place, message, help_text)
                break
