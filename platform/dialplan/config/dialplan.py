"""All agents and routes of one moment, and who answers a number or a path.

A `Dialplan` never changes: a reload makes another one and swaps it in one assignment; a call keeps the one it started
with.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dialplan.config.model import Agent
from dialplan.config.problems import Place, Problem
from dialplan.config.rules.unreachable import LONGEST


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
        prefixes = (address[:length] + "*" for length in range(min(len(address), LONGEST), -1, -1))
        return [self.numbers[pattern] for pattern in (address, *prefixes) if pattern in self.numbers]

    def answer_stream(self, path: str, to: str) -> Route | None:
        """Who answers a stream on a path; where agents share the path, `to` decides among them."""
        sharing = self.streams.get(path, ())
        if len(sharing) == 1:
            return sharing[0]
        names = {route.agent.name: route for route in sharing}
        return next((names[r.agent.name] for r in self.matching(to) if r.agent.name in names), None) if to else None


def connect(agents: Iterable[Agent], before: Dialplan | None = None) -> tuple[Dialplan, list[Problem]]:
    """Agents with their routes.

    Of two that claim one route, the one that had it before keeps it, else the first in the order given. The other one
    stays as it was before, where it was, and a problem names both.

    Args:
        agents: no two of one name.
        before: who answered what until now.
    """
    before = before or Dialplan()
    wanted = {agent.name: agent for agent in agents}
    chosen, staying = dict(wanted), set[str]()
    # Who stays as it was may be in the way of one that was let in, which then stays too.
    while back := (_refused(chosen, before, staying).keys() & before.agents.keys()) - staying:
        staying |= back
        chosen |= {name: before.agents[name] for name in back}
    refused = _refused(chosen, before, staying)
    chosen = {name: agent for name, agent in chosen.items() if name not in refused}
    # Or it was refused only because of one that stays as well.
    for name in staying:
        if not _refused(chosen | {name: wanted[name]}, before, staying):
            chosen[name] = wanted[name]
    routes = _Routes(chosen.values())
    refused |= {name: list(routes.conflicts(wanted[name])) for name in staying if chosen[name] is not wanted[name]}
    return Dialplan(chosen, routes.numbers, routes.streams), [one for found in refused.values() for one in found]


def _refused(agents: Mapping[str, Agent], before: Dialplan, staying: Collection[str]) -> dict[str, list[Problem]]:
    """Those that claim what one has that goes before them, by name."""
    routes, refused = _Routes(), {}
    for agent in sorted(agents.values(), key=lambda one: (one.name not in staying, not _had(one, before))):
        if conflicts := list(routes.conflicts(agent)):
            refused[agent.name] = conflicts
        else:
            routes.add(agent)
    return refused


def _had(agent: Agent, before: Dialplan) -> bool:
    """Whether all that an agent claims was its own before."""
    numbers = [before.numbers.get(canonical(number)) for number, _ in agent.numbers]
    paths = [before.streams.get(path, ()) for path, _ in agent.streams]
    held = [*((route,) if route else () for route in numbers), *paths]
    return all(any(route.agent.name == agent.name for route in routes) for routes in held)


class _Routes:
    """What some agents answer, gathered one after the other."""

    def __init__(self, agents: Iterable[Agent] = ()) -> None:
        self.numbers: dict[str, Route] = {}
        self.streams: dict[str, tuple[Route, ...]] = {}
        for agent in agents:
            self.add(agent)

    def add(self, agent: Agent) -> None:
        for number, place in agent.numbers:
            self.numbers[canonical(number)] = Route(number, agent, place)
        for path, place in agent.streams:
            self.streams[path] = (*self.streams.get(path, ()), Route(path, agent, place))

    def conflicts(self, agent: Agent) -> Iterator[Problem]:
        """What an agent claims that another one has, or itself a second time."""
        yield from self._numbers_taken(agent)
        yield from self._streams_taken(agent)

    def _numbers_taken(self, agent: Agent) -> Iterator[Problem]:
        seen: dict[str, Place] = {}
        for number, place in agent.numbers:
            other = self.numbers.get(canonical(number))
            if other is not None and other.agent.name != agent.name:
                message = f"{number} is answered by {other.agent.name} already ({other.place})"
                yield Problem("E501", place, message, "one number, one agent: remove it from one of the two")
            elif canonical(number) in seen:
                message = f"{number} stands twice; the first is in {seen[canonical(number)]}"
                yield Problem("E501", place, message, "remove one of the two")
            seen.setdefault(canonical(number), place)

    def _streams_taken(self, agent: Agent) -> Iterator[Problem]:
        seen: dict[str, Place] = {}
        for path, place in agent.streams:
            if path in seen:
                message = f"{path} stands twice; the first is in {seen[path]}"
                yield Problem("E502", place, message, "remove one of the two")
            seen.setdefault(path, place)
            other = next((r for r in self.streams.get(path, ()) if _share_no_path(r.agent, agent)), None)
            if other is not None:
                message = f"{path} is answered by {other.agent.name} already ({other.place})"
                help_text = 'agents share a path when each has numbers and the stream a <Parameter name="to">'
                yield Problem("E502", place, message, help_text)


def _share_no_path(one: Agent, other: Agent) -> bool:
    """Agents share a path where the number that is called can tell them apart."""
    return one.name != other.name and not (one.numbers and other.numbers)


def canonical(address: str) -> str:
    """A number or address as routes compare it: a SIP address without its parameters, in lower case."""
    address = address.strip()
    return address if address.startswith("+") else address.partition(";")[0].casefold()
