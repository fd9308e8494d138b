"""Hundreds of short calls through a world where everything fails: connections to the speech service are delayed, cut,
frozen or filled with rubbish, lines break, and servers are killed. Seeded: `python -m tests.faults --seed 7`.

Each caller speaks in a tone of its own, and the speech service answers in the tone that it has heard: so a caller who
hears another one's audio is noticed, and so is one who is never answered.
"""

import asyncio
import contextlib
import json
import random
import signal
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import websockets
from websockets.asyncio.server import serve as serve_websockets

from dialplan.journal import engines, reading
from dialplan.journal.address import Database
from dialplan.journal.address import database as database_of
from dialplan.journal.reading import Question
from dialplan.rehearsal.phone import FRAME_BYTES, SILENCE, Account, Caller, placed
from dialplan.words import columns
from tests.config.files import write
from tests.faults.proxies import Fault, Proxy, Sabotage, descriptors, resident_mb, standing
from tests.postgres import Cluster
from tests.server.test_process import PUBLIC, Process, serving
from tests.world import AUTH_TOKEN, CALLER, NUMBER, Ear, ScriptedSession

AGENT = f'numbers: ["{NUMBER}"]\ngreeting: Hello.\nprompt: You are a parrot.\n'

#: The byte that the agent's own words are made of, and how many.
GREETING = 0x11
WORDS = 1600

#: Frames of a tone that make a word of the caller's, and of silence that end it.
SPOKEN_FRAMES, ENDING_FRAMES = 20, 3

#: What a caller says to be answered so often, and how often it is said again where nobody answers.
ROUNDS, PATIENCE = 3, 6

#: Seconds that a caller waits for an answer.
ANSWER_SECONDS = 6.0


# The speech service.


async def parrot(session: ScriptedSession, order: random.Random | None) -> None:
    """Greets where it shall, and answers each tone with the same.

    Args:
        session: with a server.
        order: in which it tells things, where that is not the usual one.
    """
    await session.open()
    if "greeting" in session.settings["agent"]:
        await _say(session, GREETING, order)
    said = [
        m["content"] for m in session.settings["agent"].get("context", {}).get("messages", ()) if m["role"] == "user"
    ]
    heard: Counter[int] = Counter()
    quiet = 0
    async for message in session.connection:
        if isinstance(message, str):
            fields = json.loads(message)
            if fields["type"] == "InjectUserMessage":
                content = fields["content"]
                await session.send("ConversationText", role="user", content=content)
                await _say(session, int(content if content.isdigit() else (said or [GREETING])[-1]), order)
            continue
        tones = Counter(message) - Counter({0xFF: len(message)})
        heard.update(tones)
        quiet = quiet + 1 if not tones else 0
        if heard and quiet >= ENDING_FRAMES:
            tone, length = heard.most_common(1)[0]
            heard.clear()
            if length >= SPOKEN_FRAMES * FRAME_BYTES // 2:
                said.append(str(tone))
                await session.send("UserStartedSpeaking")
                await session.send("ConversationText", role="user", content=str(tone))
                await _say(session, tone, order)


async def _say(session: ScriptedSession, tone: int, order: random.Random | None) -> None:
    text: dict[str, object] = {"type": "ConversationText", "role": "assistant", "content": f"({tone})"}
    done: dict[str, object] = {"type": "AgentAudioDone"}
    told: list[dict[str, object] | bytes] = [text, *[bytes([tone]) * (WORDS // 4)] * 4, done]
    if order is not None:
        told += order.choices([{"type": "SettingsApplied"}, {"type": "Welcome", "request_id": "again"}, done, text])
        order.shuffle(told)
    for message in told:
        await session.connection.send(message if isinstance(message, bytes) else json.dumps(message))


@asynccontextmanager
async def parrots(chance: random.Random, faults: Counter[str]) -> AsyncIterator[tuple[str, set[object]]]:
    """The service, and the sessions that are open. Every third one tells things in another order, and twice."""
    sessions: set[object] = set()

    async def handle(connection: websockets.asyncio.server.ServerConnection) -> None:
        sessions.add(connection)
        try:
            order = random.Random(chance.random()) if chance.random() < 1 / 3 else None
            faults["events out of order"] += order is not None
            await parrot(ScriptedSession(connection), order)
        except (websockets.ConnectionClosed, ValueError, KeyError):
            pass  # Rubbish has come this way too.
        finally:
            sessions.discard(connection)

    async with serve_websockets(handle, "127.0.0.1", 0, compression=None, logger=None) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/agent/converse", sessions


# The callers.


@dataclass
class Outcome:
    """What became of a call."""

    lost: str = ""
    """Why it was; empty where it was not."""
    foreign: int = 0
    """Frames that the caller heard and that were another one's."""
    gaps: list[float] = field(default_factory=list)
    """Seconds without a line, each."""
    answers: list[float] = field(default_factory=list)
    """Seconds from a caller's word to its answer, each; the word's own half second included."""


async def call(url: str, tone: int, outcome: Outcome) -> None:
    """A whole call: greeted, answered three times, ended by the caller."""
    async with placed(Account(url, AUTH_TOKEN, PUBLIC), NUMBER, CALLER, ear := Ear()) as caller:
        watching = asyncio.create_task(_watch(caller, outcome))
        try:
            for _ in range(ROUNDS):
                if not await _answered(caller, tone, outcome):
                    what = "was cut off" if caller.over.is_set() else "was not answered"
                    told = [*ear.announcements, *caller.warnings, *caller.documents[-1:]]
                    outcome.lost = f"{what} ({caller.call_sid}): {told}"
                    break
        finally:
            watching.cancel()
        outcome.foreign = _foreign(caller.recording.agent, tone)


def _foreign(heard: bytearray, tone: int) -> int:
    """Frames of another caller's tone. Rubbish that the saboteur puts into a message has no tone."""
    frames = (heard[start : start + FRAME_BYTES] for start in range(0, len(heard), FRAME_BYTES))
    return sum(frame.count(frame[0]) > FRAME_BYTES // 2 and frame[0] not in (0xFF, GREETING, tone) for frame in frames)


async def _answered(caller: Caller, tone: int, outcome: Outcome) -> bool:
    """Say something until it is answered, as people do."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    for _ in range(PATIENCE):
        before = caller.recording.agent.count(tone)
        caller.speak(bytes([tone]) * FRAME_BYTES * SPOKEN_FRAMES + SILENCE * 10)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                while caller.recording.agent.count(tone) < before + WORDS // 2:
                    if caller.over.is_set():
                        return False
                    await asyncio.sleep(0.02)
                outcome.answers.append(loop.time() - since)
                return True
    return False


async def _watch(caller: Caller, outcome: Outcome) -> None:
    """How long the caller is without a line."""
    loop = asyncio.get_running_loop()
    await caller.connected.wait()
    while True:
        while caller.connected.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        since = loop.time()
        await caller.connected.wait()
        outcome.gaps.append(loop.time() - since)


# The drill.


@dataclass
class Tally:
    """What became of all of it."""

    outcomes: list[Outcome] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    recoveries: list[float] = field(default_factory=list)
    """Seconds that the speech service was missing in a call, each."""
    left_over: dict[str, int] = field(default_factory=dict)
    """Descriptors and sessions that nobody has closed."""
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Of the processes that live at the end: after their start, and now; MB."""

    @property
    def lost(self) -> list[str]:
        """Why calls were lost."""
        return [outcome.lost for outcome in self.outcomes if outcome.lost]

    @property
    def foreign(self) -> int:
        """Frames that callers heard of another one's call."""
        return sum(outcome.foreign for outcome in self.outcomes)

    def table(self) -> str:
        """For people."""
        gaps = [gap for outcome in self.outcomes for gap in outcome.gaps]
        answers = [answer for outcome in self.outcomes for answer in outcome.answers]
        rows = [
            ("calls", str(len(self.outcomes))),
            *((f"fault: {name}", str(count)) for name, count in sorted(self.faults.items())),
            ("speech service lost and recovered", _spread(self.recoveries)),
            ("line lost and recovered", _spread(gaps)),
            ("word and answer", _spread(answers)),
            ("calls lost", str(len(self.lost))),
            ("frames heard of another call", str(self.foreign)),
            *((f"left over: {name}", str(count)) for name, count in self.left_over.items()),
            *(("memory of a process, MB", f"{before:.0f} → {after:.0f}") for before, after in self.memory),
        ]
        return "\n".join([*columns(rows), *(f"lost: {reason}" for reason in self.lost)])


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "0"
    return f"{len(seconds)}; median {statistics.median(seconds):.3f} s, worst {max(seconds):.3f} s"


async def drill(
    root: Path,
    seed: int,
    seconds: float,
    at_once: int = 10,
    share: float = 0.3,
    line_share: float = 0.03,
    without: Sequence[Fault] = (),
    cluster: Cluster | None = None,
) -> Tally:
    """Place calls for so many seconds, while everything fails.

    Args:
        root: an empty folder.
        seed: of all that is done at random.
        seconds: for which new calls are placed.
        at_once: callers at the same time.
        share: of the connections to the speech service that are spoiled.
        line_share: of those to the servers.
        without: faults that do not happen.
        cluster: a PostgreSQL for the records, which stops and starts meanwhile; a file unless given.
    """
    url = cluster.create("drill") if cluster else ""
    write(root, {"agents/a.yaml": AGENT, ".env": f"DATABASE_URL={url}\n"})
    tally, chance = Tally(), random.Random(seed)
    speech = Sabotage(seed + 1, share, *(fault for fault in Fault if fault not in (Fault.NONE, *without)))
    lines = Sabotage(seed + 2, line_share, Fault.LATENCY, Fault.LOSS, Fault.RESET, Fault.TRUNCATED, Fault.GARBAGE)
    async with AsyncExitStack() as stack:
        service_url, sessions = await stack.enter_async_context(parrots(random.Random(seed + 3), tally.faults))
        spoiled = await stack.enter_async_context(standing(Proxy(service_url, sabotage=speech)))
        balancer = Proxy(in_turn=True, sabotage=lines)
        address = await stack.enter_async_context(standing(balancer))
        servers = _Servers(root, spoiled.replace("http", "ws") + "/v1/agent/converse", balancer, stack)
        await asyncio.gather(*(servers.start() for _ in range(3)))
        harming = [asyncio.create_task(servers.kill_on(chance, tally.faults))]
        harming += [asyncio.create_task(_stop_on(cluster, chance, tally.faults))] if cluster else []
        await _calls(address, seconds, at_once, tally)
        for task in harming:
            task.cancel()
        await asyncio.gather(*harming, return_exceptions=True)
        await servers.settle(tally)
        await _until_none(sessions)
        tally.left_over["sessions of the speech service"] = len(sessions)
        tally.faults.update({f"{name} (speech)": n for name, n in speech.done.items()})
        tally.faults.update({f"{name} (line)": n for name, n in lines.done.items()})
    tally.recoveries = await _recoveries(database_of(url, root, root / "var"))
    return tally


async def _stop_on(cluster: Cluster, chance: random.Random, faults: Counter[str]) -> None:
    """The database is gone for two seconds, again and again."""
    while True:
        await asyncio.sleep(chance.uniform(4.0, 8.0))
        faults["PostgreSQL stopped"] += 1
        await asyncio.to_thread(cluster.stop)
        try:
            await asyncio.sleep(2.0)
        finally:
            await asyncio.to_thread(cluster.start)


async def _calls(url: str, seconds: float, at_once: int, tally: Tally) -> None:
    until = asyncio.get_running_loop().time() + seconds

    async def one_after_the_other(tone: int) -> None:
        while asyncio.get_running_loop().time() < until:
            tally.outcomes.append(outcome := Outcome())
            await call(url, tone, outcome)

    async with asyncio.TaskGroup() as group:
        for number in range(at_once):
            group.create_task(one_after_the_other(0x20 + number))


class _Servers:
    """Several, of which now and then one is killed and another one started."""

    def __init__(self, root: Path, speech_url: str, balancer: Proxy, stack: AsyncExitStack) -> None:
        self._root = root
        self._speech_url = speech_url
        self._balancer = balancer
        self._stack = stack
        self._living: list[tuple[Process, int, float]] = []

    async def start(self) -> None:
        process = await self._stack.enter_async_context(serving(self._root, self._speech_url, "--drain", "move"))
        pid = process.process.pid
        self._living.append((process, descriptors(pid), resident_mb(pid)))
        self._balancer.servers.append(process.url)

    async def kill_on(self, chance: random.Random, faults: Counter[str]) -> None:
        """Mostly without a warning."""
        while True:
            await asyncio.sleep(chance.uniform(2.0, 5.0))
            await self.start()
            process, _, _ = self._living.pop(chance.randrange(len(self._living) - 1))
            sig = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
            faults[f"{sig.name}"] += 1
            process.process.send_signal(sig)
            self._balancer.servers.remove(process.url)

    async def settle(self, tally: Tally) -> None:
        """Wait until no call is left; then see what is."""
        for process, files, memory in self._living:
            pid = process.process.pid
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(15):
                    while descriptors(pid) > files + SPARE:  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
            more = max(0, descriptors(pid) - files - SPARE)
            tally.left_over["descriptors"] = tally.left_over.get("descriptors", 0) + more
            tally.memory.append((memory, resident_mb(pid)))


#: Descriptors that a process opens once, with its first call: the database's, mostly.
SPARE = 8


async def _until_none(sessions: set[object]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while sessions:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def _recoveries(database: Database) -> list[float]:
    engine = engines.opened(database)
    async with engines.reading(engine).connect() as connection:
        ids = await reading.ids_of(connection, Question())
        found = await reading.on_record(connection, ids, reading.Kind.SPEECH_RECOVERED)
    await engine.dispose()
    return [float(entry.data["seconds"]) for one in found for entry in one.entries]


def main(root: Path, seed: int, minutes: float, at_once: int, cluster: Cluster | None) -> int:
    """For `make soak`: print the table; 1 where anything was lost."""
    tally = asyncio.run(drill(root, seed, minutes * 60, at_once, cluster=cluster))
    print(tally.table())
    return 1 if tally.lost or tally.foreign else 0
