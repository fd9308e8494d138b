"""Servers that say nothing and close nothing: as a machine that hangs, or a network that swallows packets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self


class Relay:
    """Passes connections on to a UNIX socket; those that are there when it is frozen are silent from then on.

    Args:
        path: the socket.
    """

    def __init__(self, path: str = "") -> None:
        self.port = 0
        self._path = path
        self._frozen = not path
        self._passing: set[asyncio.Task[None]] = set()
        self._held: list[asyncio.StreamWriter] = []

    def freeze(self) -> None:
        """Not another byte, in either direction; new connections are taken, and silent too."""
        self._frozen = True
        for task in self._passing:
            task.cancel()

    def thaw(self) -> None:
        """New connections are passed on again."""
        self._frozen = False

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[Self]:
        """On a free port."""
        async with await asyncio.start_server(self._take, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            try:
                yield self
            finally:
                server.close()
                self.freeze()
                for writer in self._held:
                    writer.transport.abort()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._held.append(writer)
        if self._frozen:
            return
        inner, outer = await asyncio.open_unix_connection(self._path)
        self._held.append(outer)
        for source, target in ((reader, outer), (inner, writer)):
            task = asyncio.create_task(_pass_on(source, target))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """A server that takes connections and says nothing; its port."""
    async with Relay().standing() as relay:
        yield relay.port
