"""The questions that the benchmark asks. Bridges take turns, repeat after repeat, so that whatever else the machine
does falls on all of them."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench import answering, servers
from bench.measure import Bench, Observation
from bench.servers import BARE, PRODUCT, TEXTBOOK, Bridge

#: Numbers of calls at which the cost of one is measured.
SIZES = (10, 50, 100, 150, 200, 300)

#: Calls of `--quick`.
QUICK_CALLS = 50

#: Where nothing is known of the product's capacity, latency is measured at this many calls.
SOME_CALLS = 150

#: Calls one after another: so many at once, and as long as this unless `--minutes` says otherwise.
ROUND_CALLS = 50
ENDURANCE_MINUTES = 2.0

#: Calls that come to half a core, and how many in a second.
OFFERED_CALLS, OFFERED_PER_SECOND = 500, 10.0

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked, and how often."""

    bench: Bench
    bridges: Sequence[Bridge]
    repeats: int
    tell: Callable[[str], None]
    """Is told how far it is."""
    minutes: float = ENDURANCE_MINUTES
    """How long calls follow one another in `endurance`."""


async def quick(plan: Plan) -> list[Row]:
    """Three bridges under the same load, in windows as short as a minute allows."""
    quickly = replace(plan, bench=replace(plan.bench, warm_up=1.0, seconds=3.0))
    turns = [bridge for _ in range(3) for bridge in (PRODUCT, BARE, TEXTBOOK)]
    return [await _observed(quickly, bridge, QUICK_CALLS) for bridge in turns]


async def capacity(plan: Plan, before: Mapping[str, Any]) -> list[Row]:
    """How many calls each bridge sustains on one core."""
    rows: list[Row] = []
    for repeat in range(plan.repeats):
        for bridge in plan.bridges:
            near = next((row["calls"] for row in reversed(rows) if row["bridge"] == bridge.name), 80)
            found = await plan.bench.capacity(bridge, near)
            plan.tell(f"capacity, repeat {repeat + 1}: {bridge.name} {found.calls}")
            rows.append({"repeat": repeat, **asdict(found)})
    return rows


async def cost(plan: Plan, before: Mapping[str, Any]) -> list[Row]:
    """What one call costs, by how many there are. A bridge that cannot carry so many is left out from there on."""
    rows: list[Row] = []
    for repeat in range(plan.repeats):
        carrying = list(plan.bridges)
        for calls in SIZES:
            for bridge in list(carrying):
                row = await _sustained(plan, bridge, calls)
                if row is None:
                    carrying.remove(bridge)
                else:
                    rows.append({"repeat": repeat, **row})
    return rows


async def latency(plan: Plan, before: Mapping[str, Any]) -> list[Row]:
    """What the product adds to a frame's way at half of its capacity, beside the least that Python adds."""
    found = [row["calls"] for row in before.get("capacity", []) if row["bridge"] == PRODUCT.name]
    calls = round(statistics.median(found) / 2) if found else SOME_CALLS
    turns = [(repeat, bridge) for repeat in range(plan.repeats) for bridge in (PRODUCT, BARE)]
    return [{"repeat": repeat, **await _observed(plan, bridge, calls)} for repeat, bridge in turns]


async def workers(plan: Plan, before: Mapping[str, Any]) -> list[Row]:
    """Whether a second process carries more. The load then shares all cores with the server, in both cases."""
    rows: list[Row] = []
    plan.bench.share_cores(True)
    try:
        for repeat in range(plan.repeats):
            for count in (1, 2):
                near = next((row["calls"] for row in reversed(rows) if row["workers"] == count), 80)
                found = await plan.bench.capacity(replace(PRODUCT, workers=count), near)
                plan.tell(f"workers, repeat {repeat + 1}: {count} carry {found.calls}")
                rows.append({"repeat": repeat, **asdict(found)})
    finally:
        plan.bench.share_cores(False)
    return rows


async def webhook(plan: Plan, before: Mapping[str, Any]) -> list[Row]:
    """How soon Twilio is answered."""
    rows = []
    for repeat in range(plan.repeats):
        found = await answering.webhook(plan.bench)
        plan.tell(f"webhook, repeat {repeat + 1}: p99 {found.latency.p99:.1f} ms")
        rows.append({"repeat": repeat, **asdict(found)})
    return rows


async def greeting(plan: Plan, before: Mapping[str, Any]) -> list[Row]:
    """How soon the caller hears the first word, with few and with many others on the line."""
    rows = []
    for repeat in range(plan.repeats):
        for calls in (1, 100):
            found = await answering.greeting(plan.bench, calls)
            plan.tell(f"greeting, repeat {repeat + 1}: beside {calls} calls p99 {found.latency.p99:.1f} ms")
            rows.append({"repeat": repeat, **asdict(found)})
    return rows


async def endurance(plan: Plan, before: Mapping[str, Any]) -> list[Row]:
    """Whether a process that has carried many calls holds more than before, once they have ended."""
    bench = replace(plan.bench, warm_up=1.0, seconds=1.0)
    with servers.running(PRODUCT, bench.service.url, bench.server_core) as server:
        rows = [{"calls": 0, "idle_mb": server.memory(), "loaded_mb": server.memory()}]
        until = time.monotonic() + 60 * plan.minutes
        for number in itertools.takewhile(lambda _: time.monotonic() < until, itertools.count(1)):
            async with bench.calling(server, ROUND_CALLS):
                loaded = server.memory()
            await asyncio.sleep(1)
            rows.append({"calls": number * ROUND_CALLS, "idle_mb": server.memory(), "loaded_mb": loaded})
            plan.tell(f"endurance: {rows[-1]['calls']} calls, {rows[-1]['idle_mb']:.1f} MB")
    return rows


async def overload(plan: Plan, before: Mapping[str, Any]) -> list[Row]:
    """What callers on the line hear while more come than the server can carry."""
    rows = []
    for repeat in range(plan.repeats):
        for bridge in (PRODUCT, TEXTBOOK):
            seen = await plan.bench.flooded(bridge, OFFERED_CALLS, OFFERED_PER_SECOND)
            told = f"{seen.result.hung_up} of {OFFERED_CALLS} refused, p99 {seen.result.up.latency.p99:.1f} ms"
            plan.tell(f"overload, repeat {repeat + 1}: {bridge.name} {told}")
            rows.append({"repeat": repeat, **asdict(seen)})
    return rows


EXPERIMENTS: Mapping[str, Callable[[Plan, Mapping[str, Any]], Awaitable[list[Row]]]] = {
    "capacity": capacity,
    "cost": cost,
    "latency": latency,
    "greeting": greeting,
    "webhook": webhook,
    "endurance": endurance,
    "overload": overload,
    "workers": workers,
}


async def _observed(plan: Plan, bridge: Bridge, calls: int) -> Row:
    """What is seen of a bridge; where the load was late, once more."""
    for _ in range(3):
        seen = await _told(plan, bridge, calls)
        if not seen.result.saturated:
            break
    return asdict(seen)


async def _sustained(plan: Plan, bridge: Bridge, calls: int) -> Row | None:
    """What is seen of a bridge that sustains so many calls, if need be at the second attempt."""
    for _ in range(2):
        seen = await _told(plan, bridge, calls)
        if seen.sustained:
            return asdict(seen)
    return None


async def _told(plan: Plan, bridge: Bridge, calls: int) -> Observation:
    seen = await plan.bench.observe(bridge, calls)
    plan.tell(f"{bridge.name}, {calls} calls: {seen.cpu_ms:.2f} ms, p99 {seen.result.up.latency.p99:.1f} ms{seen.flaw}")
    return seen
