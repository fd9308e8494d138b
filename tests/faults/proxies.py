"""What stands between: a balancer before several servers, and a saboteur on the way to the speech service."""

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from urllib.parse import urlsplit

Pump = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Fault(StrEnum):
    """What becomes of a connection, some time after it was opened."""

    NONE = "none"
    LATENCY = "latency"
    """Every piece comes later, all in their order."""
    LOSS = "loss"
    """Nothing comes for a second, and then all at once: as lost packets look from above TCP."""
    HALF_OPEN = "half-open"
    """Nothing comes any more, and nobody says so."""
    RESET = "reset"
    TRUNCATED = "truncated"
    """It ends within a message."""
    GARBAGE = "garbage"
    """Bytes that are no WebSocket's."""


class Proxy:
    """Passes connections on, byte by byte, to a server that takes them: the first, or each in turn."""

    def __init__(self, *servers: str, in_turn: bool = False, sabotage: "Sabotage | None" = None) -> None:
        self.servers = list(servers)
        self.in_turn = in_turn
        self._sabotage = sabotage
        self._taken: set[asyncio.Task[None]] = set()

    async def end(self) -> None:
        """Close every connection."""
        for task in self._taken:
            task.cancel()
        await asyncio.gather(*self._taken)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end, or to that of the proxy."""
        task = asyncio.current_task()
        assert task is not None
        self._taken.add(task)
        task.add_done_callback(self._taken.discard)
        with contextlib.closing(writer), contextlib.suppress(asyncio.CancelledError):
            if self.in_turn:
                self.servers = [*self.servers[1:], self.servers[0]]
            for url in list(self.servers):
                try:
                    inner, outer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
                except OSError:
                    continue
                with contextlib.closing(outer):
                    await self._pass_on((reader, outer), (inner, writer))
                return

    async def _pass_on(self, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        """Both ways, until either has ended."""
        fault = self._sabotage.draw() if self._sabotage else None
        pumping = [asyncio.create_task(_pump(reader, writer, fault)) for reader, writer in ways]
        if fault is not None and fault.ends:
            pumping.append(asyncio.create_task(fault.end(*(writer for _, writer in ways))))
        await asyncio.wait(pumping, return_when=asyncio.FIRST_COMPLETED)
        for task in pumping:
            task.cancel()
        await asyncio.gather(*pumping, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: "Spoiled | None") -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            if fault is not None and not await fault.passes():
                continue
            writer.write(data)
            await writer.drain()


class Spoiled:
    """A connection that something is done to."""

    def __init__(self, fault: Fault, after: float, seed: int) -> None:
        self.fault = fault
        self._random = random.Random(seed)
        self._due = asyncio.get_running_loop().time() + after

    @property
    def ends(self) -> bool:
        """The connection does not survive it."""
        return self.fault in (Fault.RESET, Fault.TRUNCATED, Fault.GARBAGE)

    async def passes(self) -> bool:
        """Before a piece is passed on: whether it is. It may take its time."""
        now = asyncio.get_running_loop().time()
        if self.fault is Fault.LATENCY:
            await asyncio.sleep(self._random.uniform(0.0, 0.15))
        if self.fault is Fault.LOSS and now >= self._due:
            self._due = now + 5.0
            await asyncio.sleep(1.0)
        return self.fault is not Fault.HALF_OPEN or now < self._due

    async def end(self, *writers: asyncio.StreamWriter) -> None:
        """Do it."""
        await asyncio.sleep(self._due - asyncio.get_running_loop().time())
        for writer in writers:
            if self.fault is Fault.GARBAGE:
                writer.write(self._random.randbytes(300))
            if self.fault is Fault.TRUNCATED:  # A frame of a hundred bytes that has ten.
                writer.write(b"\x82\x64" + bytes(10))
            if self.fault is Fault.RESET:
                writer.transport.abort()
        await asyncio.sleep(0.05)


class Sabotage:
    """Which connections are spoiled, and how; the same for one seed."""

    def __init__(self, seed: int, share: float, *faults: Fault) -> None:
        self._random = random.Random(seed)
        self._share = share
        self._faults = faults
        self.done: Counter[str] = Counter()

    def draw(self) -> Spoiled | None:
        """For the next connection."""
        if self._random.random() >= self._share:
            return None
        fault = self._random.choice(self._faults)
        self.done[fault.value] += 1
        return Spoiled(fault, self._random.uniform(0.1, 3.0), self._random.getrandbits(32))


@asynccontextmanager
async def standing(proxy: Proxy) -> AsyncIterator[str]:
    """The proxy on a free port; where it listens."""
    async with await asyncio.start_server(proxy.take, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        await proxy.end()


def descriptors(pid: int) -> int:
    """How many a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_mb(pid: int) -> float:
    """The memory of a process."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
