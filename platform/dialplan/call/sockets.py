"""The two sockets of a call, the line to the phone network and the speech service: what each can do.

A socket calls whoever listens, for each message as it comes, and takes what is sent without waiting: no task and no
queue stands between the two ends of a call. What travels on them is in wire/; how they are made is in direct.py,
pumped.py and dialling.py.
"""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

Message = str | bytes


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom a socket tells what happens on it: from the event loop, in order. What it raises closes the socket.

    Args:
        heard: a message has come.
        lost: the other side is gone, with this close code (RFC 6455 §7.4.1); nothing is told after that.
        blocked: True when the other side takes less than is sent to it, False when it has caught up.
    """

    heard: Callable[[Message], None]
    lost: Callable[[int], None]
    blocked: Callable[[bool], None]


class Socket(Protocol):
    """An open WebSocket."""

    def listen(self, listener: Listener) -> None:
        """Tell this listener from now on, and nobody else. What came before anybody listened is told at once."""
        ...

    def send(self, message: Message) -> None:
        """Send a message; messages go out in the order of the calls. Nothing happens where the other side is gone."""
        ...

    def hold(self, on: bool) -> None:
        """Read nothing more from the other side, so that it must wait; or go on."""
        ...

    async def close(self, code: int = 1000) -> None:
        """Tell nobody anything any more, send what is left, and say goodbye; returns when the other side is gone."""
        ...

    def abort(self) -> None:
        """Be rid of it at once."""
        ...


async def closed(socket: Socket, code: int = 1000, *, within: float) -> None:
    """Close it in good order where that takes no longer than these seconds, and in any case."""
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await socket.close(code)
    finally:
        socket.abort()


#: Opens a socket to the speech service: address, API key.
Dial = Callable[[str, str], AbstractAsyncContextManager[Socket]]


class Early:
    """Keeps what a socket has to tell until somebody listens."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._code: int | None = None
        self._blocked = False
        self.listener = Listener(self._messages.append, self._lost, self._block)

    def tell(self, listener: Listener) -> None:
        """Pass everything on, in its order."""
        for message in self._messages:
            listener.heard(message)
        if self._blocked:
            listener.blocked(True)
        if self._code is not None:
            listener.lost(self._code)

    def _lost(self, code: int) -> None:
        self._code = code

    def _block(self, on: bool) -> None:
        self._blocked = on


#: Listens to nothing.
DEAF = Listener(lambda message: None, lambda code: None, lambda on: None)
