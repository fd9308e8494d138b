"""An ordinary day on the phone, compressed: mixed calls, saved files and deploys go on without a pause, and one process
that lives through all of it is looked at again and again. Seeded: `python -m tests.day --hours 2 --seed 7`.

Every caller knows what it must hear. At the end nothing may be left over of the day.
"""

import asyncio
import contextlib
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from websockets.asyncio.server import ServerConnection

from dialplan.words import columns
from tests.day.callers import CALLERS, EARLY, LAST, STRANGERS, Ended, Kind, Town, call, stranger
from tests.day.changes import Changes, Deploys, happens
from tests.day.files import Files
from tests.day.plans import Plans
from tests.day.samples import Sample, Watch, held, looking, slope, table
from tests.day.speech import asked, hosts
from tests.faults.proxies import Proxy, standing
from tests.server.test_process import Process, serving

#: How often a stranger comes in the place of a caller.
STRANGE = 0.05

#: The lowest of the callers' tones; each of those who call at once has one of its own.
TONES = 0x20

#: Reasons for which the day's calls may be turned away, and ends that none of them may have.
REFUSALS = {"signature", "stream", "unknown number", "full", "late"}
FAULTS = {"fault", "speech_refused", "speech_lost", "limit", "shutdown"}

#: Seconds in which a server must be as it was before the first call, once all are gone. Threads that have no work are
#: kept for half a minute.
IDLE_SECONDS = 45.0

#: To the database that a process keeps (journal/engines.py).
CONNECTIONS = 2

#: What the log may say at ERROR: of the function that fails, and of the file that is broken.
LOGGED = re.compile(r"the function fails failed|there are mistakes:|steady is set aside")


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a day."""

    seconds: float
    at_once: int = 10
    every: float = 10.0
    """Seconds from one sample to the next."""
    change_every: float = 7.0
    deploy_every: float = 45.0
    """Seconds from one deploy to the next; 0 for none."""
    kinds: Sequence[Kind] = CALLERS
    threads: bool = True
    """Idle ones must be gone too at the end."""


@dataclass
class Tally:
    """What became of all of it."""

    ended: list[Ended] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    left_over: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    """Lines of the log that nobody expects."""

    def note(self, metrics: Mapping[str, Mapping[str, float]]) -> None:
        """What a process has counted in its life."""
        self.refused.update({reason: int(n) for reason, n in metrics["dialplan_calls_refused_total"].items()})
        self.ends.update({end: int(n) for end, n in metrics["dialplan_calls_ended_total"].items()})

    @property
    def wrong(self) -> list[str]:
        """Everything that was not as it should be."""
        found = [f"{ended.kind}: {what}" for ended in self.ended for what in ended.wrong]
        early = sum(ended.outcome == EARLY for ended in self.ended)
        if early > self.refused["late"]:
            found.append(f"{early} calls were turned away for nothing; {self.refused['late']} times there was a reason")
        found += [f"calls were refused: {reason}" for reason in self.refused.keys() - REFUSALS]
        found += [f"calls ended: {end}" for end in self.ends.keys() & FAULTS]
        found += [f"left over: {number} {what}" for what, number in self.left_over.items() if number > 0]
        return found + [f"in the log: {line}" for line in self.errors]

    def report(self) -> str:
        """For people."""
        outcomes = Counter(
            (ended.kind, ended.outcome or "wrong") for ended in self.ended if ended.outcome or ended.wrong
        )
        rows = [(kind, outcome, str(count)) for (kind, outcome), count in sorted(outcomes.items())]
        done = [("", what, str(count)) for what, count in sorted(self.changes.items())]
        turned_away = [("turned away", reason, str(count)) for reason, count in sorted(self.refused.items())]
        left = [("left over", what, str(count)) for what, count in self.left_over.items()]
        parts = [table(self.samples), self._growth(), columns([*rows, *turned_away, *done, *left]), self._verdict()]
        return "\n\n".join("\n".join(part) for part in parts)

    def _growth(self) -> list[str]:
        found = slope(self.samples)
        if found is None:
            return ["memory: too short a time to say how it grows"]
        told = f"{found.mb_per_hour:+.1f} MB in an hour, {found.mb_per_1000_calls:+.2f} MB in 1,000 calls"
        return [f"memory over the second half: {told}"]

    def _verdict(self) -> list[str]:
        return [f"wrong: {what}" for what in self.wrong] or [f"{len(self.ended)} calls, each as it should be"]


async def day(root: Path, seed: int, shape: Shape, seen: Callable[[Sequence[Sample]], None] = lambda _: None) -> Tally:
    """Live through it.

    Args:
        root: an empty folder.
        seed: of all that is done at random.
        shape: how long, how much, how often.
        seen: called with all samples so far after each.
    """
    tally, chance = Tally(), random.Random(seed)
    async with AsyncExitStack() as stack:
        crm = await stack.enter_async_context(asked())
        files = Files(root / "project", crm.url)
        plans = Plans()
        speech_url, sessions = await stack.enter_async_context(hosts(plans))
        log = stack.enter_context((root / "log").open("wb"))
        process = await stack.enter_async_context(serving(files.root, speech_url, log=log))
        balancer = Proxy(process.url)
        town = Town(plans, process.url, await stack.enter_async_context(standing(balancer)))
        client = await stack.enter_async_context(looking(max_connections=1))
        watch = Watch(client, process.url, process.process.pid)
        deploys = Deploys(
            lambda: _deployed(files, speech_url, log),
            balancer,
            tally.note,
            tally.changes,
            tally.ended,
        )
        changes = Changes(files, town, watch, process, random.Random(chance.random()), tally.changes, tally.ended)
        await _one_of_each(town, shape, tally, chance)
        before = _Idle(await _quiet(watch), held(watch.pid))
        await _busy(town, shape, tally, chance, watch, changes, deploys, seen)
        # What the client of `http` functions has kept open it closes with its next request.
        await crm.hang_up()
        await _one(town, LAST, TONES, chance, tally)
        await _look_at_what_is_left(watch, before, sessions, shape, tally)
        tally.note(await watch.metrics())
    tally.errors = unexpected((root / "log").read_text())
    return tally


@asynccontextmanager
async def _deployed(files: Files, speech_url: str, log: IO[bytes]) -> AsyncIterator[Process]:
    """Another process, which begins while every file is whole: a broken one has no last good version for it."""
    async with AsyncExitStack() as stack:
        async with files.whole:
            process = await stack.enter_async_context(serving(files.root, speech_url, "--drain", "move", log=log))
        yield process


async def _one_of_each(town: Town, shape: Shape, tally: Tally, chance: random.Random) -> None:
    """What a process opens once, with its first call of a kind, it has open after this."""
    async with asyncio.TaskGroup() as group:
        for number, kind in enumerate((*shape.kinds, LAST)):
            group.create_task(_one(town, kind, TONES + number, random.Random(chance.random()), tally))


async def _one(town: Town, kind: Kind, tone: int, chance: random.Random, tally: Tally) -> None:
    try:
        ended = await call(town, kind, tone, chance)
    except Exception as exc:  # noqa: BLE001 -- whatever it is, hours of others shall not be lost for it
        ended = Ended(kind.name, wrong=[repr(exc)])
    tally.ended.append(ended)


async def _busy(
    town: Town,
    shape: Shape,
    tally: Tally,
    chance: random.Random,
    watch: Watch,
    changes: Changes,
    deploys: Deploys,
    seen: Callable[[Sequence[Sample]], None],
) -> None:
    """The day itself."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_looking(watch, shape.every, over, tally.samples, seen))
        group.create_task(changes.run(shape.change_every, over))
        if shape.deploy_every:
            group.create_task(deploys.run(shape.deploy_every, over))
        async with asyncio.TaskGroup() as calling:
            for number in range(shape.at_once):
                own = random.Random(chance.random())
                calling.create_task(_one_after_the_other(town, shape, TONES + number, own, tally))
        over.set()


async def _one_after_the_other(town: Town, shape: Shape, tone: int, chance: random.Random, tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + shape.seconds
    often = [kind.often for kind in shape.kinds]
    while loop.time() < until:
        if chance.random() < STRANGE:
            tally.ended.append(await stranger(town, chance.choice(list(STRANGERS))))
        else:
            await _one(town, chance.choices(shape.kinds, often)[0], tone, chance, tally)
        await asyncio.sleep(chance.uniform(0.0, 0.5))


async def _looking(
    watch: Watch,
    every: float,
    over: asyncio.Event,
    samples: list[Sample],
    seen: Callable[[Sequence[Sample]], None],
) -> None:
    loop = asyncio.get_running_loop()
    since = loop.time()
    while True:
        samples.append(await watch.sample((loop.time() - since) / 60))
        seen(samples)
        due = since + every * len(samples)
        if await happens(over, within=due - loop.time()):
            return


async def _quiet(watch: Watch) -> Sample:
    """Wait until no call is on the line and nothing changes for a second; the server then."""
    seen: list[Sample] = []
    async with asyncio.timeout(IDLE_SECONDS):
        while True:
            seen = [*seen, await watch.sample(0.0)][-6:]
            if len(seen) == 6 and not seen[-1].live and len({(one.tasks, one.descriptors) for one in seen}) == 1:
                return seen[-1]
            await asyncio.sleep(0.2)


@dataclass(frozen=True, slots=True)
class _Idle:
    """A server without a call on the line."""

    sample: Sample
    held: Counter[str]

    def since(self, now: "_Idle") -> dict[str, int]:
        """What there is more of."""
        return {
            "tasks": now.sample.tasks - self.sample.tasks,
            "descriptors": sum((now.held - self._may_hold()).values()),
            "threads": now.sample.threads - self.sample.threads,
        }

    def _may_hold(self) -> Counter[str]:
        """A second connection to the database is made when two want one for the first time, and kept."""
        return self.held | Counter({name: CONNECTIONS for name in self.held if name.startswith("dialplan.db")})


async def _look_at_what_is_left(
    watch: Watch, before: _Idle, sessions: set[ServerConnection], shape: Shape, tally: Tally
) -> None:
    """Wait until the server is as it was before the day, if it ever is."""

    async def left() -> dict[str, int]:
        now = _Idle(await watch.sample(0.0), held(watch.pid))
        found = {"calls": now.sample.live, "sessions of the speech service": len(sessions), **before.since(now)}
        return found if shape.threads else {what: number for what, number in found.items() if what != "threads"}

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(IDLE_SECONDS):
            while max((await left()).values()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    tally.left_over = {what: max(0, number) for what, number in (await left()).items()}


def unexpected(log: str) -> list[str]:
    """Lines of a log that say ERROR of something that the day does not do on purpose."""
    return [
        line for line in log.splitlines() if re.match(r"\S+ \S+ (ERROR|CRITICAL)", line) and not LOGGED.search(line)
    ]
