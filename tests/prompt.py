"""uvicorn as tests want it. Its own looks ten times a second whether it shall end, and waits a tenth of a second more
when it does; nearly every test has a server or two."""

import asyncio
from typing import Any

import uvicorn


class Prompt(uvicorn.Server):
    """Ends when `leave` is set, at once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ready, self.leave = asyncio.Event(), asyncio.Event()

    async def run_on(self, *listeners: Any) -> None:
        """Serve until `leave`, and leave the process's signals alone."""
        await self._serve(list(listeners) or None)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self.leave.wait()

    async def shutdown(self, sockets: Any = None) -> None:
        """What uvicorn does too: connections are told, and have a while for it."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 -- uvicorn's
                    await asyncio.sleep(0.001)
        except TimeoutError:
            for task in self.server_state.tasks:
                task.cancel()
