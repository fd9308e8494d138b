"""The load: one process that is both ends of every call, the phone network's streams and the speech service.

As cheap as Python can be, so that it is never taken for the server that it measures: no task per call, one timer for
all of them. The frames of N calls are spread evenly over 20 ms, and each leaves by an absolute schedule; how late it
left is measured too, and marks a run in which the load itself was too much for its core.
"""

import asyncio
import gc
import resource
import secrets
import time
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import picows

from bench.calls import Call, PhoneEnd, Tally, now
from bench.stamps import FRAME_SECONDS, MOST_CALLS, Carried, Spread, spread

#: How often the timer looks what is due; uvloop knows whole milliseconds.
TICK_SECONDS = 0.001

#: A turn of the conversation begins in each call this often, as in the rehearsals that ship; its last message comes
#: half a period later.
TURN_SECONDS = 6.0

#: What is in flight when the window closes may still arrive.
GRACE_SECONDS = 2.0

#: Both ends of a call are closed within this time, or cut.
HANG_UP_SECONDS = 3.0

#: Sockets that are opened at the same time.
OPENED_AT_ONCE = 16

#: The 99th percentile of lateness, in ms, from which on the load measures itself.
SATURATED_MS = 5.0


@dataclass(frozen=True, slots=True)
class Result:
    """What the load saw between the opening and the closing of its window."""

    calls: int
    seconds: float
    up: Carried
    down: Carried
    barge_in: Spread
    barge_ins_sent: int
    functions_requested: int
    functions_answered: int
    hung_up: int
    """Calls that the server has not taken, or had given up when the window closed."""
    lateness: Spread
    cpu: float
    """Of a core."""

    @property
    def saturated(self) -> bool:
        """The load itself was late: its times say nothing about the server."""
        return self.lateness.p99 > SATURATED_MS

    @property
    def intact(self) -> bool:
        """Every call is there, and every frame arrived, once and in its turn."""
        return not (self.hung_up or self.up.mistakes or self.down.mistakes)


class Load:
    """Calls that speak both ways all the time, take turns, interrupt and look things up."""

    def __init__(self, calls: int) -> None:
        if calls > MOST_CALLS:
            raise ValueError(f"a stamp has room for {MOST_CALLS} calls")
        self.tally = Tally(calls)
        # No two calls of a server's life have the same ids.
        load_id = secrets.token_hex(12).encode()
        self.calls = [Call(self.tally, load_id, number) for number in range(calls)]
        self._lateness: array[float] = array("d")
        self._hung_up = 0
        self._window_opened = self._window_closed = 0.0
        self._cpu = 0.0
        self._stopped = False
        self._began = 0.0
        self._next_frame = self._next_turn = 0

    @asynccontextmanager
    async def calling(self, url: str) -> AsyncIterator["Load"]:
        """While the calls are on the line. The garbage collector waits: it would hold up everybody's audio."""
        async with self._talking():
            await self._connect(url)
            self._begin()
            yield self

    @asynccontextmanager
    async def coming(self, url: str, per_second: float) -> AsyncIterator[asyncio.Task[None]]:
        """While more and more calls come in, so many in a second, beside those that talk already. The task ends when
        the last one has come."""
        async with self._talking():
            self._begin()
            coming = asyncio.create_task(self._come(url, per_second))
            yield coming
            await coming

    @asynccontextmanager
    async def _talking(self) -> AsyncIterator[None]:
        allow_many_sockets()
        try:
            yield
        finally:
            self._stopped = True
            gc.enable()
            await self._hang_up()

    def _begin(self) -> None:
        gc.collect()
        gc.disable()
        self._began = now()
        self._tick()

    def open_window(self) -> None:
        """What happens from now on counts."""
        self._window_opened, self._cpu = now(), time.process_time()
        self._lateness = array("d")
        self.tally.open(self._window_opened)

    def close_window(self) -> None:
        """What is sent from now on does not count."""
        self._window_closed, self._cpu = now(), time.process_time() - self._cpu
        self._lateness, self._counted = array("d"), self._lateness
        self._hung_up = sum(call.line is None or call.session is None for call in self.calls)
        self.tally.close(self._window_closed)

    async def result(self) -> Result:
        """What was seen; waits for what is in flight."""
        late = now() + GRACE_SECONDS
        tally = self.tally
        while (tally.up.missing or tally.down.missing) and now() < late:
            await asyncio.sleep(0.1)
        seconds = self._window_closed - self._window_opened
        return Result(
            calls=len(self.calls),
            seconds=seconds,
            up=tally.up.carried(),
            down=tally.down.carried(),
            barge_in=spread(tally.barge_ins),
            barge_ins_sent=tally.barge_ins_sent,
            functions_requested=tally.functions_requested,
            functions_answered=tally.functions_answered,
            hung_up=self._hung_up,
            lateness=spread(self._counted),
            cpu=self._cpu / seconds,
        )

    async def _connect(self, url: str) -> None:
        for first in range(0, len(self.calls), OPENED_AT_ONCE):
            some = self.calls[first : first + OPENED_AT_ONCE]
            opening = (picows.ws_connect(lambda call=call: PhoneEnd(call), url) for call in some)
            # One that is refused is counted when the window closes.
            await asyncio.gather(*opening, return_exceptions=True)

    async def _come(self, url: str, per_second: float) -> None:
        opening = []
        for number, call in enumerate(self.calls):
            await asyncio.sleep(max(self._began + number / per_second - now(), 0.0))
            opening.append(asyncio.ensure_future(picows.ws_connect(lambda call=call: PhoneEnd(call), url)))
        await asyncio.gather(*opening, return_exceptions=True)

    async def _hang_up(self) -> None:
        for call in self.calls:
            call.hang_up()
        late = now() + HANG_UP_SECONDS
        while any(call.line or call.session for call in self.calls) and now() < late:
            await asyncio.sleep(0.02)
        for call in self.calls:
            for socket in (call.line, call.session):
                if socket is not None:
                    socket.disconnect(graceful=False)

    def _tick(self) -> None:
        if self._stopped:
            return
        asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)
        self._send_frames()
        self._take_turns()

    def _send_frames(self) -> None:
        """Every frame that is due. Half a frame's time is between what a call sends and what it is sent."""
        count = len(self.calls)
        step = FRAME_SECONDS / count
        due = int((now() - self._began) / step)
        for index in range(self._next_frame, due + 1):
            at = now()
            self._lateness.append(at - self._began - index * step)
            self.calls[index % count].caller_speaks(at)
            self.calls[(index + count // 2) % count].agent_speaks(now())
        self._next_frame = max(self._next_frame, due + 1)

    def _take_turns(self) -> None:
        count = len(self.calls)
        due = int((now() - self._began) * count / TURN_SECONDS)
        for index in range(self._next_turn, due + 1):
            self.calls[index % count].turn()
            self.calls[(index + count // 2) % count].turn_is_over()
        self._next_turn = max(self._next_turn, due + 1)


def allow_many_sockets() -> None:
    """Two for each call, and the system's usual limit is 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
