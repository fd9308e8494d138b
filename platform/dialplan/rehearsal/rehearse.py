"""Rehearsals, played as calls: the phone network's stand-in dials the real server, which dials the speech service's.

What the agent's file says of a conversation is held against what happened in it, and against what the caller could
hear.
"""

import asyncio
import json
import logging
import os
import secrets
import tempfile
import time
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialplan import hosts
from dialplan.call.record import BargedIn, Entry, Ran, Said
from dialplan.call.settings import template_names
from dialplan.config.loading import Loading
from dialplan.config.model import Agent, Builtin, Endpoint, Rehearsal, Turn
from dialplan.errors import ConfigError
from dialplan.facts import Call
from dialplan.hosts import PrivateHosts
from dialplan.rehearsal import differences
from dialplan.rehearsal.ears import Ears
from dialplan.rehearsal.mulaw import decode
from dialplan.rehearsal.phone import SILENCE, Account, Caller, placed
from dialplan.rehearsal.service import SpeechService, speech_service
from dialplan.rehearsal.speech import CALLER_VOICE, speak
from dialplan.server.app import answering
from dialplan.server.environment import Environment
from dialplan.server.live import Live
from dialplan.server.serve import Server, address, listen
from dialplan.wire.deepgram import Role

logger = logging.getLogger(__name__)

#: Seconds for everything that one turn waits for, beyond what is being said.
TURN_SECONDS = 20.0

#: A caller thinks this long before answering, and listens this long before interrupting: 0.4 s and 1.5 s of the line.
PAUSE_FRAMES = 20
INTERRUPT_FRAMES = 75

CALLER_NUMBER = "+15550109999"


@dataclass(slots=True)
class Outcome:
    """What came of one rehearsal."""

    agent: str
    rehearsal: str
    seconds: float = 0.0
    turns: int = 0
    functions: int = 0
    barge_ins: int = 0
    wav: Path | None = None
    differences: list[str] = field(default_factory=list)
    """What was not as the file says; empty where all went well."""


#: Is told what happens, as it happens: agent, seconds since the call began, entry.
Observer = Callable[[str, float, Entry], None]


@dataclass(slots=True)
class Stage:
    """A running server between its two stand-ins."""

    account: Account
    service: SpeechService
    ears: Ears
    live: Live
    pace: float
    players: dict[str, "Player"] = field(default_factory=dict)


@asynccontextmanager
async def stage(
    loading: Loading, ears: Ears, pace: float = 1.0, private: PrivateHosts = hosts.NONE
) -> AsyncIterator[Stage]:
    """The server and the service, offline.

    Args:
        loading: the project.
        ears: understand the callers, and the agents.
        pace: how much faster than life everything is said and heard; functions take their time.
        private: hosts that `http` functions may reach beside those on the internet.
    """
    players: dict[str, Player] = {}

    def observe(call: Call, entry: Entry) -> None:
        if player := players.get(call.id):
            player.happened(entry)

    token = secrets.token_hex(16)
    async with speech_service(loading.dialplan.agents, ears, pace) as service:
        secret, public_url = secrets.token_hex(16), "https://rehearsal.invalid"
        environment = Environment(token, secret, "offline", service.url, public_url, private_hosts=private)
        listener = listen("127.0.0.1", 0)
        async with answering(loading, environment, observe=observe) as live:
            server = Server(live)
            serving = asyncio.create_task(server.run_on(listener))
            account = Account(address(listener), token, environment.public_url)
            yield Stage(account, service, ears, live, pace, players)
            server.should_exit = True
            await serving


@contextmanager
def _empty_var() -> Iterator[None]:
    """An empty folder for the files of plugins, so that no rehearsal finds what another one has left."""
    before = os.environ.get("DIALPLAN_VAR")
    with tempfile.TemporaryDirectory(prefix="dialplan-") as folder:
        os.environ["DIALPLAN_VAR"] = folder
        try:
            yield
        finally:
            os.environ.pop("DIALPLAN_VAR")
            if before is not None:
                os.environ["DIALPLAN_VAR"] = before


async def play(stage: Stage, agent: Agent, rehearsal: Rehearsal, observer: Observer, folder: Path | None) -> Outcome:
    """Place one call and play a rehearsal in it.

    Args:
        stage: where.
        agent: who is called.
        rehearsal: one of the agent's.
        observer: is told what happens.
        folder: where the call is saved as a WAV file; None for nowhere.
    """
    outcome = Outcome(agent.name, rehearsal.name)
    number = _number(agent)
    if number is None:
        outcome.differences.append("no number leads to this agent, so that it cannot be called")
        return outcome
    stage.service.cue(agent.name, rehearsal)
    player = Player(stage, agent, outcome, observer)
    with _empty_var():
        async with placed(stage.account, number, CALLER_NUMBER, player, pace=stage.pace) as caller:
            stage.players[caller.call_sid] = player
            try:
                await player.play(caller, rehearsal)
            except TimeoutError:
                outcome.differences.append(player.waiting_for)
            outcome.seconds = player.seconds
    del stage.players[caller.call_sid]
    outcome.differences += [f"Twilio would warn: {warning}" for warning in caller.warnings]
    if folder is not None:
        outcome.wav = _saved(caller, folder / f"{_slug(agent.name)}-{_slug(rehearsal.name)}.wav")
    return outcome


def _number(agent: Agent) -> str | None:
    """A number that leads to the agent; of a prefix, any one with it."""
    for number, _ in agent.numbers:
        return number.removesuffix("*") + "5550100" if number.endswith("*") else number
    return None


class Player:
    """The caller of one rehearsal: speaks the lines, and notes what happens and what is heard."""

    def __init__(self, stage: Stage, agent: Agent, outcome: Outcome, observer: Observer) -> None:
        self.waiting_for = "nobody answered"
        self._stage = stage
        self._agent = agent
        self._outcome = outcome
        self._observer = observer
        self._started = time.monotonic()
        self._entries: list[Entry] = []
        self._heard: list[bytes] = []
        self._beginnings = 0
        self._cuts = 0
        self._changed = asyncio.Event()

    @property
    def seconds(self) -> float:
        """Since the call was placed, by the clock of the line."""
        return (time.monotonic() - self._started) * self._stage.pace

    # What is noticed.

    def began(self) -> None:
        self._beginnings += 1
        self._changed.set()

    def heard(self, utterance: bytes) -> None:
        self._heard.append(utterance)
        self._changed.set()

    def cut_off(self, utterance: bytes) -> None:
        self._cuts += 1
        self._changed.set()

    def announced(self, text: str) -> None:
        """A notice is Twilio's voice: told, but nothing that the agent has said."""
        self._observer(self._agent.name, self.seconds, Said(Role.ASSISTANT, f"({text})"))

    def happened(self, entry: Entry) -> None:
        """An entry of the call's record."""
        self._entries.append(entry)
        self._outcome.functions += isinstance(entry, Ran)
        self._outcome.barge_ins += isinstance(entry, BargedIn)
        self._observer(self._agent.name, self.seconds, entry)
        self._changed.set()

    async def _until(self, condition: Callable[[], bool], waiting_for: str) -> None:
        self.waiting_for = waiting_for
        async with asyncio.timeout(TURN_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    # What is played.

    async def play(self, caller: Caller, rehearsal: Rehearsal) -> None:
        """The whole rehearsal.

        Raises:
            TimeoutError: something that should have happened did not; `waiting_for` says what.
        """
        lines = {t.caller: await asyncio.to_thread(speak, t.caller, CALLER_VOICE) for t in rehearsal.turns if t.caller}
        if self._agent.greeting is not None:
            await self._hear_greeting(rehearsal.turns[0])
        for turn, following in zip(rehearsal.turns, [*rehearsal.turns[1:], None], strict=True):
            if not turn.caller:
                continue
            self._outcome.turns += 1
            self._drill(caller, turn)
            await self._turn(caller, turn, lines[turn.caller], cut_short=following is not None and following.interrupts)
        if self._hangs_up(rehearsal.turns[-1]):
            self.waiting_for = "the agent did not hang up"
            async with asyncio.timeout(TURN_SECONDS):
                await caller.over.wait()

    async def _hear_greeting(self, first: Turn) -> None:
        """The greeting; it is what a first turn without a caller expects, and what a first turn may interrupt."""
        await self._until(lambda: bool(self._said(Role.ASSISTANT)), "the agent did not greet")
        if not first.caller and first.agent is not None:
            self._compare(first, self._said(Role.ASSISTANT)[0], {})
        if first.interrupts:
            await self._until(lambda: self._beginnings > 0, "the greeting was not to be heard")
        else:
            await self._hear_out(self._said(Role.ASSISTANT)[0], 0)

    async def _turn(self, caller: Caller, turn: Turn, audio: bytes, cut_short: bool) -> None:
        said, ran = len(self._said(Role.ASSISTANT)), len(self._ran())
        heard, beginnings, cuts = len(self._heard), self._beginnings, self._cuts
        understood = len(self._said(Role.USER))
        caller.speak(SILENCE * (INTERRUPT_FRAMES if turn.interrupts else PAUSE_FRAMES) + audio)
        await caller.spoken()
        await self._until(lambda: len(self._said(Role.USER)) > understood, f"nobody understood: {turn.caller}")
        if turn.interrupts:
            await self._until(lambda: self._cuts > cuts, "the agent went on speaking when it was interrupted")
        results = await self._functions(turn, ran)
        if turn.agent is None:
            return
        await self._until(lambda: len(self._said(Role.ASSISTANT)) > said, "the agent did not answer")
        self._compare(turn, self._said(Role.ASSISTANT)[said], results)
        if cut_short:
            await self._until(lambda: self._beginnings > beginnings, "the agent's answer was not to be heard")
        else:
            await self._hear_out(self._said(Role.ASSISTANT)[said], heard)

    def _drill(self, caller: Caller, turn: Turn) -> None:
        """Have the turn's functions fail where the file says so, and no others."""
        drills = self._stage.live.functions.drills
        for name in self._agent.functions:
            drills.pop((caller.call_sid, name), None)
        if turn.fails is not None:
            drills.update({(caller.call_sid, name): turn.fails for name, _ in turn.functions})

    async def _functions(self, turn: Turn, before: int) -> dict[str, Any]:
        """The results of the turn's functions, by name, when all have run."""
        expected = [name for name, _ in turn.functions if self._runs_here(name)]
        missing = f"not every function ran: {', '.join(expected)}"
        await self._until(lambda: len(self._ran()) >= before + len(expected), missing)
        results = {}
        for ran in self._ran()[before:]:
            result = json.loads(ran.result)
            results[ran.function] = result
            if _failed(result) != (turn.fails is not None):
                words = differences.failed if _failed(result) else differences.worked
                self._outcome.differences.append(words(turn, ran.function, ran.result))
        return results

    def _runs_here(self, name: str) -> bool:
        return name in self._agent.functions and not isinstance(self._agent.functions[name].runs, Endpoint)

    def _compare(self, turn: Turn, said: str, results: dict[str, Any]) -> None:
        assert turn.agent is not None
        result = results if len(turn.functions) > 1 else next(iter(results.values()), None)
        names = template_names(self._agent, Call(id="offline")) | {"result": result}
        try:
            expected = turn.agent.render(names)
        except ConfigError as exc:
            # Where a function has failed that should not, that is what is wrong.
            if turn.fails is not None or not any(map(_failed, results.values())):
                self._outcome.differences.append(differences.not_filled_in(turn, result, exc))
            return
        if said != expected:
            self._outcome.differences.append(f"the agent was to say: {expected}; it said: {said}")

    async def _hear_out(self, text: str, before: int) -> None:
        """Wait until the caller has heard an utterance whole, and see whether it can be understood."""
        await self._until(lambda: len(self._heard) > before, f"not to be heard to its end: {text}")
        if await self._stage.ears.hear(self._heard[before], [text]) is None:
            self._outcome.differences.append(f"the caller could not understand: {text}")

    def _hangs_up(self, turn: Turn) -> bool:
        return any(name == Builtin.END_CALL for name, _ in turn.functions)

    def _said(self, role: Role) -> list[str]:
        return [entry.text for entry in self._entries if isinstance(entry, Said) and entry.role is role]

    def _ran(self) -> list[Ran]:
        return [entry for entry in self._entries if isinstance(entry, Ran)]


def _failed(result: object) -> bool:
    return isinstance(result, dict) and "error" in result


def _saved(caller: Caller, path: Path) -> Path:
    """The call as a stereo WAV file: the caller left, the agent right."""
    import numpy as np  # With the rehearsal extra.

    path.parent.mkdir(parents=True, exist_ok=True)
    length = max(len(caller.recording.caller), len(caller.recording.agent))
    sides = [bytes(side).ljust(length, b"\xff") for side in (caller.recording.caller, caller.recording.agent)]
    samples = np.stack([decode(side) for side in sides], axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
