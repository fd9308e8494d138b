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

#: Seconds without a sign of the speech service until it is pinged, and until it must have answered: one that is cut off
#: without a word must be noticed while the caller still waits.
SPEECH_PING_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom a socket tells what happens on it: from the event loop, in order. What it raises closes the socket.

    Args:
        text: a text message has come, in UTF-8 as it came: whoever needs no more than a piece of it need not decode it.
        binary: a binary message has come.
        lost: the other side is gone, with this close code (RFC 6455 §7.4.1); nothing is told after that.
        blocked: True when the other side takes less than is sent to it, False when it has caught up.
    """

    text: Callable[[bytes], None]
    binary: Callable[[bytes], None]
    lost: Callable[[int], None]
    blocked: Callable[[bool], None]


class Socket(Protocol):
    """An open WebSocket."""

    def listen(self, listener: Listener) -> None:
        """Tell this listener from now on, and nobody else. What came before anybody listened is told at once."""
        ...

    def send_text(self, message: str | bytes) -> None:
        """Send a text message, encoded or not. Messages go out in the order of the calls; where the other side is gone,
        nothing happens."""
        ...

    def send_binary(self, message: bytes) -> None:
        """Send a binary message, likewise."""
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


class Flow:
    """Whether a socket reads. Who takes nothing is not listened to either: what it asks for would pile up unsent.

    Args:
        read: reads nothing more from the other side, or goes on.
    """

    def __init__(self, read: Callable[[bool], None]) -> None:
        self._read = read
        self._held = self._blocked = False

    def hold(self, on: bool) -> None:
        """Whoever listens wants no more for now."""
        self._held = on
        self._read(not (on or self._blocked))

    def blocked(self, on: bool) -> None:
        """The other side takes less than is sent to it."""
        self._blocked = on
        self._read(not (on or self._held))


#: Opens a socket to the speech service: address, API key.
Dial = Callable[[str, str], AbstractAsyncContextManager[Socket]]


class Early:
    """Keeps what a socket has to tell until somebody listens."""

    def __init__(self) -> None:
        self._told: list[Callable[[Listener], None]] = []
        keep = self._told.append
        self.listener = Listener(
            text=lambda message: keep(lambda listener: listener.text(message)),
            binary=lambda message: keep(lambda listener: listener.binary(message)),
            lost=lambda code: keep(lambda listener: listener.lost(code)),
            blocked=lambda on: keep(lambda listener: listener.blocked(on)),
        )

    def tell(self, listener: Callable[[], Listener]) -> None:
        """Pass everything on, in its order, to whoever listens by then: hearing it may change who that is."""
        for told in self._told:
            told(listener())


def _ignore(what: object) -> None:
    pass


#: Listens to nothing.
DEAF = Listener(_ignore, _ignore, _ignore, _ignore)


class _Nobody:
    def listen(self, listener: Listener) -> None:
        pass

    def send_text(self, message: str | bytes) -> None:
        pass

    def send_binary(self, message: bytes) -> None:
        pass

    def hold(self, on: bool) -> None:
        pass

    async def close(self, code: int = 1000) -> None:
        pass

    def abort(self) -> None:
        pass


#: The socket of a call that has none yet, or no more.
NOBODY: Socket = _Nobody()
