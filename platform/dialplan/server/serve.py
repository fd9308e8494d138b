"""The process: listens, answers, and on a signal lets the calls on the line come to their end first."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Coroutine
from types import FrameType
from typing import Any

import uvicorn

try:
    import resource
except ImportError:  # Windows has no such limit.
    resource = None  # type: ignore[assignment]

try:
    from dialplan.server.upgrade import Upgrade
except ImportError:  # There is no picows for this platform.
    Upgrade = None  # type: ignore[assignment, misc]

from dialplan.errors import ConfigError
from dialplan.server.app import application
from dialplan.server.live import WAIT, Drain, Live
from dialplan.server.requests import Requests

logger = logging.getLogger(__name__)

#: Bytes of one message on a stream; Twilio's are some three hundred.
MAX_MESSAGE = 65_536

#: A thread that holds Python's lock hands it over after this many seconds. With the usual 5 ms a plugin that computes
#: would add 5 ms to every system call of everybody's audio.
SWITCH_INTERVAL = 0.0005


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as exc:
        listener.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {exc.strerror}; try another --port or --host") from exc
    listener.setblocking(False)
    return listener


def adopt(fd: int) -> socket.socket:
    """A listening socket that another process has opened."""
    return socket.socket(fileno=fd)


def address(listener: socket.socket) -> str:
    """Where a socket listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(serving: Coroutine[Any, Any, None]) -> None:
    """Run the process's one event loop: uvloop's where there is one."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    # What is loaded by now stays for good. Else every full collection would look through it, for as long as a frame.
    gc.collect()
    gc.freeze()
    _allow_many_sockets()
    factory = uvicorn.Config(lambda: None, log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serving)


def _allow_many_sockets() -> None:
    """Two for each call, and what strangers hold open: as many as the system allows, not the usual 1024."""
    if resource is not None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def serve(live: Live, listener: socket.socket, lifeline: int | None = None, drain: Drain = WAIT) -> None:
    """Answer calls until a signal says otherwise, and until the last call has ended. A second signal ends at once.

    Args:
        live: the calls.
        listener: where they come in.
        lifeline: a pipe that closes when the parent process is gone, which counts as a signal.
        drain: what becomes of the calls on the line.
    """
    async with asyncio.TaskGroup() as group:
        server = Server(live)
        if lifeline is not None:
            server.hang_on(lifeline)
        draining = group.create_task(server.drain_when_asked(listener, drain))
        await server.serve(sockets=[listener])
        draining.cancel()


class Server(uvicorn.Server):
    """uvicorn, which closes every WebSocket the moment it is told to exit: so it is told only after the drain."""

    def __init__(self, live: Live, *, directly: bool = True) -> None:
        super().__init__(
            uvicorn.Config(
                application(live),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                http=Requests,
                ws=Upgrade if directly and Upgrade is not None else "websockets-sansio",
                ws_max_size=MAX_MESSAGE,
                # Speech does not shrink; Twilio does not offer it, and others shall not cost us the work.
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=3,
            )
        )
        if Upgrade is None:
            logger.warning("there is no picows here: calls work, and cost several times as much (docs/performance.md)")
        self._live = live
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        self.ready = asyncio.Event()

    async def run_on(self, listener: socket.socket) -> None:
        """Serve until `should_exit`, and leave the process's signals alone."""
        await self._serve([listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal asks for the drain, the next ends at once. None is raised again: the exit code is 0."""
        if self._live.draining:
            self.should_exit = self.force_exit = True
        else:
            # Not here: the signal may have come in the middle of writing another line.
            told = "%s: no new calls; once more to end at once"
            self._loop.call_soon_threadsafe(logger.info, told, signal.Signals(sig).name)
            self._ask()

    def hang_on(self, lifeline: int) -> None:
        """Drain when the parent process is gone: nobody would pass a signal on."""

        def gone() -> None:
            self._loop.remove_reader(lifeline)
            logger.error("the parent process is gone; no new calls")
            self._ask()

        self._loop.add_reader(lifeline, gone)

    def _ask(self) -> None:
        self._live.draining = True
        self._loop.call_soon_threadsafe(self._asked.set)

    async def drain_when_asked(self, listener: socket.socket, way: Drain) -> None:
        """Wait for a signal, then for the last call; then uvicorn may know."""
        await self._asked.wait()
        if way.move:  # Twilio's next question for a call that was moved must reach somebody else.
            for server in self.servers:
                server.close()
            listener.close()
        await self._live.drain(way)
        self.should_exit = True
