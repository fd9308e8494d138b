"""The event loop that plugins' coroutines run on: not the one that carries audio, and replaced when one blocks it."""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

logger = logging.getLogger(__name__)

#: Seconds that a coroutine waits for the loop to begin with it. Whoever blocks longer than this has the loop alone.
STUCK_SECONDS = 1.0


class PluginLoop:
    """Runs coroutines for threads that wait for them. May be used from any thread between `start` and `stop`."""

    def __init__(self) -> None:
        self._replacing = threading.Lock()
        self._current = _Loop()

    def start(self) -> None:
        """Begin."""
        self._current.start()

    def stop(self) -> None:
        """End, and cancel what still runs; a loop that is blocked is left behind."""
        self._current.stop()

    def submit(self, coroutine: Coroutine[Any, Any, object]) -> "Future[object]":
        """Run a coroutine; returns when it has begun, which takes a second where another one blocks the loop."""
        while True:
            loop = self._current
            begun, claim = threading.Event(), threading.Lock()
            future = asyncio.run_coroutine_threadsafe(_claimed(coroutine, begun, claim), loop.loop)
            if begun.wait(STUCK_SECONDS) or not claim.acquire(blocking=False):
                return future
            self._replace(loop)

    def _replace(self, stuck: "_Loop") -> None:
        with self._replacing:
            if self._current is stuck:
                logger.error("a coroutine of a plugin blocks the plugins' event loop; the others get a new one")
                self._current = _Loop()
                self._current.start()
                stuck.retire()


async def _claimed(coroutine: Coroutine[Any, Any, object], begun: threading.Event, claim: threading.Lock) -> object:
    """Await the coroutine, unless it was given to another loop meanwhile."""
    if not claim.acquire(blocking=False):
        return None
    begun.set()
    return await coroutine


class _Loop:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._left = False
        self._thread = threading.Thread(target=self._run, name="plugins", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._leave)
        self._thread.join(1.0)

    def retire(self) -> None:
        """Finish what has begun, should the loop ever move again, and end."""
        asyncio.run_coroutine_threadsafe(self._finish(), self.loop)

    async def _finish(self) -> None:
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        self._leave()

    def _leave(self) -> None:
        self._left = True
        self.loop.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._left:
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt):  # asyncio lets these two through, whichever coroutine raised them.
                logger.warning("a plugin tried to end the process")
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        # One round, so that cancelled coroutines can close what they hold.
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
