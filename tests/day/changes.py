"""What an operator does meanwhile: saves files, breaks one and heals it, sends SIGHUP, and deploys another process."""

import asyncio
import itertools
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass

from tests.day.callers import GUESTS, GUESTS_GONE, Ended, Town, call
from tests.day.files import Files
from tests.day.samples import Watch, looking
from tests.faults.proxies import Proxy
from tests.server.test_process import Process

#: Seconds in which a change must be live; far more than it takes.
LIVE_SECONDS = 15.0

#: And in which a process must have handed its calls over and ended: what speaks without a pause is cut after ten.
DRAIN_SECONDS = 30.0

#: The tone of the callers who try what was changed.
TONE = 0x60


@dataclass
class Changes:
    """Changes files, one after the other, and waits until the process that is looked at answers by them."""

    files: Files
    town: Town
    watch: Watch
    process: Process
    chance: random.Random
    done: Counter[str]
    """How many there were, by what was done."""
    ended: list[Ended]
    """Gets the calls that try them."""

    async def run(self, every: float, over: asyncio.Event) -> None:
        """In an order of their own, until the day is over; nothing is left broken.

        Args:
            every: seconds from one to the next.
            over: the end of the day.
        """
        for number in itertools.count(1):
            for change in self.chance.sample(self._all(), len(self._all())):
                if await happens(over, within=every):
                    return
                await change(number)

    def _all(self) -> list[Callable[[int], Awaitable[None]]]:
        return [self.agent, self.plugin, self.word, self.broken, self.guest, self.hangup]

    async def agent(self, number: int) -> None:
        """An agent's file gets another prompt."""
        await self._live("an agent changed", lambda: self.files.desk(number))
        self.town.plans.live.agent = number

    async def plugin(self, number: int) -> None:
        """Functions answer otherwise."""
        await self._live("a plugin changed", lambda: self.files.plugin(number))
        self.town.plans.live.plugin = number

    async def word(self, number: int) -> None:
        """A variable that an agent's file asks for has another value."""
        await self._live(".env changed", lambda: self.files.word(number))
        self.town.plans.live.word = number

    async def broken(self, number: int) -> None:
        """A file has a mistake for a while; its last good version answers."""
        async with self.files.whole:
            await self._live("a file broken", lambda: self.files.steady(broken=True), broken=1)
            await asyncio.sleep(self.chance.uniform(0.5, 3.0))
            await self._live("a file healed", lambda: self.files.steady(broken=False))

    async def guest(self, number: int) -> None:
        """An agent is added and answers; it is removed, and its number is nobody's."""
        await self._live("an agent added", lambda: self.files.guest(there=True))
        self.ended.append(await call(self.town, GUESTS, TONE, self.chance))
        await self._live("an agent removed", lambda: self.files.guest(there=False))
        self.ended.append(await call(self.town, GUESTS_GONE, TONE, self.chance))

    async def hangup(self, number: int) -> None:
        """SIGHUP."""
        await self._live("SIGHUP", lambda: self.process.process.send_signal(signal.SIGHUP))

    async def _live(self, what: str, change: Callable[[], None], broken: int = 0) -> None:
        """Do it, and wait until the files have been read since, with so many that have a mistake."""
        before = (await self.watch.metrics())["dialplan_last_reload_timestamp_seconds"][""]
        change()
        try:
            async with asyncio.timeout(LIVE_SECONDS):
                while not _has_read(await self.watch.metrics(), before, broken):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            self.done[what] += 1
        except TimeoutError:
            self.ended.append(Ended(what, wrong=[f"was not live after {LIVE_SECONDS:g} s"]))


def _has_read(metrics: Mapping[str, Mapping[str, float]], before: float, broken: int) -> bool:
    read = metrics["dialplan_last_reload_timestamp_seconds"][""] > before
    return read and sum(metrics["dialplan_agent_broken"].values()) == broken


@dataclass
class Deploys:
    """A process behind a balancer, deployed again and again. Its calls, and those that come while there is none, go to
    the one that lives for the whole day."""

    start: Callable[[], AbstractAsyncContextManager[Process]]
    balancer: Proxy
    note: Callable[[Mapping[str, Mapping[str, float]]], None]
    """Is given the metrics of each process when it is told to end."""
    done: Counter[str]
    ended: list[Ended]
    """Gets what goes wrong."""

    async def run(self, every: float, over: asyncio.Event) -> None:
        """Until the day is over, and the last process has ended.

        Args:
            every: seconds from one to the next.
            over: the end of the day.
        """
        while not over.is_set():
            async with self.start() as process, looking() as client:
                self.balancer.servers.insert(0, process.url)
                await happens(over, within=every)
                self.note(await Watch(client, process.url, process.process.pid).metrics())
                process.process.send_signal(signal.SIGTERM)
                await self._end(process)
                self.balancer.servers.remove(process.url)

    async def _end(self, process: Process) -> None:
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                code = await process.process.wait()
        except TimeoutError:
            self.ended.append(Ended("deploy", wrong=[f"the process lives {DRAIN_SECONDS:g} s after SIGTERM"]))
            return
        self.done["deploy"] += 1
        if code:
            self.ended.append(Ended("deploy", wrong=[f"the process ended with {code}"]))


async def happens(event: asyncio.Event, within: float) -> bool:
    """Wait for an event, for so many seconds at most: whether it has come."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()
    return event.is_set()
