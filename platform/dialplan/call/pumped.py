"""A socket of a library whose calls are awaited: one task reads, one writes. Works with any WebSocket there is.

Where picows can be had, direct.py takes its place, at a fraction of the cost.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from dialplan.call.sockets import DEAF, Early, Flow, Listener

Message = str | bytes

#: Bytes that may wait to be sent before the listener is told; asyncio's transports have the same mark.
HIGH_WATER = 65_536


class Gone(Exception):
    """The other side is gone; `code` is the close code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Pumped:
    """See `Socket`. Made by `pumping`.

    Args:
        receive: waits for the next message; raises Gone.
        send: sends one, and waits until there is room; raises Gone.
        shut: closes in good order, with a code.
        abort: closes at once.
    """

    def __init__(
        self,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
        shut: Callable[[int], Awaitable[None]],
        abort: Callable[[], None],
    ) -> None:
        self._receive = receive
        self._send = send
        self._shut = shut
        self.abort = abort
        self._early: Early | None = Early()
        self._listener = self._early.listener
        self._unsent: deque[Message] = deque()
        self._unsent_bytes = 0
        self._blocked = False
        self._more = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._all_sent.set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._flow = Flow(self._reading)
        self._gone = False

    def listen(self, listener: Listener) -> None:
        self._listener = listener
        early, self._early = self._early, None
        if early is not None:
            early.tell(lambda: self._listener)

    def send_text(self, message: str | bytes) -> None:
        self._queue(message if isinstance(message, str) else message.decode())

    def send_binary(self, message: bytes) -> None:
        self._queue(message)

    def _queue(self, message: Message) -> None:
        if self._gone:
            return
        self._unsent.append(message)
        self._unsent_bytes += len(message)
        self._more.set()
        self._all_sent.clear()
        if self._unsent_bytes > HIGH_WATER and not self._blocked:
            self._tell_blocked(True)

    def _tell_blocked(self, on: bool) -> None:
        self._blocked = on
        self._flow.blocked(on)
        self._listener.blocked(on)

    def hold(self, on: bool) -> None:
        self._flow.hold(on)

    def _reading(self, on: bool) -> None:
        if on:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def close(self, code: int = 1000) -> None:
        self._listener = DEAF
        self._flow.hold(False)
        await self._all_sent.wait()
        await self._shut(code)

    async def read(self) -> None:
        """Tell every message, and that there will be no more."""
        try:
            while True:
                message = await self._receive()
                await self._flowing.wait()
                if isinstance(message, str):
                    self._listener.text(message.encode())
                else:
                    self._listener.binary(message)
        except Gone as exc:
            self._give_up()
            self._listener.lost(exc.code)

    async def write(self) -> None:
        """Send what there is to send."""
        try:
            while True:
                await self._more.wait()
                await self._write_one()
        except Gone:  # Whoever reads hears the same, and tells.
            self._give_up()

    async def _write_one(self) -> None:
        # Taken out first: while this waits, whoever reads may learn that the other side is gone, and drop the rest.
        message = self._unsent.popleft()
        await self._send(message)
        self._unsent_bytes -= len(message)
        if not self._unsent:
            self._more.clear()
            self._all_sent.set()
            if self._blocked:
                self._tell_blocked(False)

    def _give_up(self) -> None:
        self._gone = True
        self._unsent.clear()
        self._all_sent.set()


@asynccontextmanager
async def pumping(socket: Pumped) -> AsyncIterator[Pumped]:
    """The socket at work. Leaving this stops its tasks, and closes nothing."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(socket.read()), group.create_task(socket.write())]
        try:
            yield socket
        finally:
            for task in tasks:
                task.cancel()
