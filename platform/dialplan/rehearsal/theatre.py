"""Many rehearsals, one after the other: each finds the world as it was. Told live, and as a table."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from dialplan import hosts
from dialplan.call.record import BargedIn, Entry, Ran, Said
from dialplan.config.loading import Loading
from dialplan.config.model import Agent
from dialplan.hosts import PrivateHosts
from dialplan.rehearsal.ears import Ears
from dialplan.rehearsal.rehearse import Outcome, play, stage
from dialplan.wire.deepgram import Role
from dialplan.words import columns, from_here


async def rehearse(
    loading: Loading,
    agents: Sequence[Agent],
    folder: Path | None,
    show: Callable[[str], None],
    pace: float = 1.0,
    private: PrivateHosts = hosts.NONE,
) -> list[Outcome]:
    """Play every rehearsal of these agents.

    Args:
        loading: the project.
        agents: whose rehearsals.
        folder: where calls are saved as WAV files; None for nowhere.
        show: is given a line for everything that is said and done.
        pace: how much faster than life it is played.
        private: hosts that `http` functions may reach beside those on the internet.
    """

    def observe(agent: str, seconds: float, entry: Entry) -> None:
        if told := _told(entry):
            show(f"{seconds:6.1f}  {told}")

    outcomes = []
    async with Ears() as ears, stage(loading, ears, pace, private) as stage_:
        for agent in agents:
            for rehearsal in agent.rehearsals:
                show(f"\n{agent.name}: {rehearsal.name}")
                outcomes.append(await play(stage_, agent, rehearsal, observe, folder))
    return outcomes


def _told(entry: Entry) -> str:
    """What somebody who listens would notice; empty where that is nothing."""
    match entry:
        case Said(role=Role.USER, text=text):
            return f"caller    {text}"
        case Said(text=text):
            return f"agent     {text}"
        case BargedIn():
            return "          (the caller interrupts)"
        case Ran(function=function, arguments=arguments, result=result, seconds=seconds):
            given = ", ".join(f"{name}={value!r}" for name, value in json.loads(arguments or "{}").items())
            return f"function  {function}({given}) → {_cut(result)}  [{seconds * 1000:.0f} ms]"
        case _:
            return ""


def _cut(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def table(outcomes: Sequence[Outcome]) -> str:
    """A row for every rehearsal, what was not as it should be, and where the calls were saved."""
    head = ("agent", "rehearsal", "turns", "functions", "barge-ins", "seconds", "")
    rows = [head, *(_row(outcome) for outcome in outcomes)]
    lines = columns(rows)
    lines += [f"  {o.agent}, {o.rehearsal}: {difference}" for o in outcomes for difference in o.differences]
    saved = [f"  {from_here(outcome.wav)}" for outcome in outcomes if outcome.wav]
    if saved:
        lines += ["", "Listen to the calls (left the caller, right the agent):", *saved]
    return "\n".join(lines if outcomes else ["there is no rehearsal"])


def _row(outcome: Outcome) -> tuple[str, ...]:
    verdict = "as the file says" if not outcome.differences else "DIFFERENT"
    counts = (outcome.turns, outcome.functions, outcome.barge_ins)
    return (outcome.agent, outcome.rehearsal, *map(str, counts), f"{outcome.seconds:.1f}", verdict)


def exit_code(outcomes: Sequence[Outcome], set_aside: Sequence[str]) -> int:
    """0 where every agent could be called and all was as the files say."""
    return 1 if set_aside or any(outcome.differences for outcome in outcomes) else 0
