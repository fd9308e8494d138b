"""One measurement: a fresh server, so many calls, a window of seconds. And the search for how many it can carry."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench import servers
from bench.calls import Service
from bench.load import Load, Result
from bench.servers import Bridge, Server

#: A caller notices more than this on top of what the networks add; in ms.
BEARABLE_MS = 20.0

#: A load that keeps its core this busy is slow to notice what has arrived, though it sends in time.
BUSY = 0.9

#: Sizes that a search tries: each 4 % above the one before.
SIZES = sorted({round(20 * 1.04**step) for step in range(107)})


@dataclass(frozen=True, slots=True)
class Observation:
    """A bridge under load."""

    bridge: str
    workers: int
    calls: int
    cores: float
    """Of the server: how many it kept busy."""
    cpu_ms: float
    """Of the server, for one call and second."""
    idle_mb: float
    """Held by the server before the first call."""
    loaded_mb: float
    """And with all of them on the line."""
    result: Result

    @property
    def sustained(self) -> bool:
        """The bridge carries this many calls well, and the load was not late itself."""
        return not self.flaw

    @property
    def flaw(self) -> str:
        """Why this many calls are not sustained; empty where they are."""
        result = self.result
        if result.saturated:
            return f" (the load was {result.lateness.p99:.1f} ms late)"
        if not result.intact:
            frames = f"{result.up.mistakes} + {result.down.mistakes} frames"
            return f" ({frames} lost, doubled or out of order; {result.hung_up} calls not there)"
        return " (slow)" if result.up.latency.p99 >= BEARABLE_MS else ""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The largest number of calls that a bridge sustains."""

    bridge: str
    workers: int
    calls: int
    cores: float
    """Kept busy by the server at this number."""
    load_cores: float
    """And by the load."""
    limited_by_load: bool
    """The next number failed because the load was late, not the bridge: it may carry more."""


@dataclass(slots=True)
class Bench:
    """What all measurements share."""

    service: Service
    seconds: float = 5.0
    """How long the window is open."""
    warm_up: float = 2.0
    pinned: bool = True
    """The load on one core, the server on another; else each where the system puts it."""
    server_core: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.share_cores(not self.pinned)

    def share_cores(self, shared: bool) -> None:
        """Give the load and the server a core each, or all cores to both. With one core there is no choice."""
        self.pinned = not shared and len(servers.CORES) > 1
        self.server_core = servers.CORES[-1] if self.pinned else None
        servers.pin(0, servers.CORES[0] if self.pinned else None)

    async def observe(self, bridge: Bridge, calls: int) -> Observation:
        """A fresh server under so many calls."""
        with servers.running(bridge, self.service.url, self.server_core) as server:
            idle = server.memory()
            async with self.calling(server, calls) as load:
                return await self.window(server, load, idle)

    @asynccontextmanager
    async def calling(self, server: Server, calls: int) -> AsyncIterator[Load]:
        """While so many calls are on the line of a server, warmed up."""
        load = Load(calls)
        self.service.calls = load.calls
        async with load.calling(server.stream):
            await asyncio.sleep(self.warm_up)
            yield load

    async def window(
        self, server: Server, load: Load, idle: float, until: "asyncio.Task[None] | None" = None
    ) -> Observation:
        """What can be seen of a server and its load within the window: until something is over, or for some seconds."""
        server.look()
        cpu = -server.cpu()
        load.open_window()
        await (until or asyncio.sleep(self.seconds))
        load.close_window()
        cpu += server.cpu()
        result = await load.result()
        return Observation(
            bridge=server.bridge.name,
            workers=server.bridge.workers,
            calls=result.calls,
            cores=cpu / result.seconds,
            cpu_ms=1000 * cpu / result.seconds / result.calls,
            idle_mb=idle,
            loaded_mb=server.memory(),
            result=result,
        )

    async def flooded(self, bridge: Bridge, calls: int, per_second: float) -> Observation:
        """A server that has half of its core, and gets more calls than that can carry: the second half of the time in
        which they come."""
        with servers.running(bridge, self.service.url, self.server_core) as server, servers.spinning(self.server_core):
            idle, load = server.memory(), Load(calls)
            self.service.calls = load.calls
            async with load.coming(server.stream, per_second) as coming:
                await asyncio.sleep(calls / per_second / 2)
                return await self.window(server, load, idle, until=coming)

    async def capacity(self, bridge: Bridge, near: int = 80) -> Capacity:
        """Search from a number that it may be near to: first by ever larger steps, then between the last two."""
        good, bad = await self._bracket(bridge, _size(near))
        while bad.place - good.place > 1:
            middle = await self._probe(bridge, (good.place + bad.place) // 2)
            good, bad = (middle, bad) if middle.sustained else (good, middle)
        limited = bad.saturated or bad.load_cores > BUSY
        return Capacity(bridge.name, bridge.workers, good.calls, good.cores, good.load_cores, limited)

    async def _bracket(self, bridge: Bridge, place: int) -> "tuple[_Probe, _Probe]":
        """A size that is sustained, and a larger one that is not."""
        good, bad = _Probe(-1, sustained=True), _Probe(len(SIZES))
        step = 4
        while True:
            probe = await self._probe(bridge, place)
            good, bad = (probe, bad) if probe.sustained else (good, probe)
            if good.place >= 0 and bad.place < len(SIZES):
                return good, bad
            place = min(good.place + step, len(SIZES) - 1) if probe.sustained else max(bad.place - step, 0)
            if place in (good.place, bad.place):  # Beyond the smallest, or the largest.
                return good, bad
            step *= 2

    async def _probe(self, bridge: Bridge, place: int) -> "_Probe":
        """Whether a size is sustained. A failure counts when it happens twice: the machine has other work too."""
        for _ in range(2):
            seen = await self.observe(bridge, SIZES[place])
            if seen.sustained:
                break
        saturated = seen.result.saturated
        return _Probe(place, seen.sustained, seen.calls, seen.cores, seen.result.cpu, saturated)


@dataclass(frozen=True, slots=True)
class _Probe:
    place: int
    sustained: bool = False
    calls: int = 0
    cores: float = 0.0
    load_cores: float = 0.0
    saturated: bool = False


def _size(near: int) -> int:
    """The place of the largest size that is not above a number."""
    return max((place for place, calls in enumerate(SIZES) if calls <= near), default=0)
