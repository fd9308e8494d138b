"""A file that was saved is live within a second: read again beside the calls, taken over in one assignment.

A call on the line keeps its agent, its prompt and its plugin's code to its end, since nothing that it holds is changed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dialplan.config import problems
from dialplan.config.loading import Loader, Loading
from dialplan.server import hangup
from dialplan.server.beside import aside
from dialplan.server.watching import LOOK_SECONDS, watching

logger = logging.getLogger(__name__)

#: What was read is whole when nothing of it has changed for so many seconds.
QUIET_SECONDS = 0.1

#: An editor that saves by renaming takes a file away for a moment. One that stays away for so many seconds is deleted.
GONE_SECONDS = 0.4

#: Files that find no such quiet for so many seconds are taken as they stood at one moment.
MOST_SECONDS = 5.0

#: Reading takes milliseconds; whoever reads this long waits for a plugin that does something while it is imported.
LONG_SECONDS = 10.0

#: Problems that are written out in the log; `dialplan check` prints them all.
MOST_LOGGED = 20


@asynccontextmanager
async def reloading(reload: "Reload", *, watch: bool = True) -> AsyncIterator[None]:
    """Meanwhile reload at every SIGHUP, and whenever a file has changed if that is wanted."""
    with hangup.calling(reload.ask):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(reload.run())]
            if watch:
                tasks.append(group.create_task(watching(reload.root, reload.look)))
            yield
            for task in tasks:
                task.cancel()


def _nobody() -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class Reload:
    """The files of a project, and who takes them over when they have changed."""

    root: Path
    loader: Loader
    loading: Loading
    """What the loader has loaded last."""
    told: list[Callable[[Loading], None]] = field(default_factory=list)
    """Each takes over a new loading, and cannot fail."""
    failed: Callable[[], None] = _nobody
    """Called when the files cannot be read again, for now."""
    _ringing: asyncio.Event = field(default_factory=asyncio.Event)
    _asked: bool = False

    def look(self) -> None:
        """Reload soon, if anything has changed."""
        self._ringing.set()

    def ask(self) -> None:
        """Reload soon, in any case."""
        self._asked = True
        self._ringing.set()

    async def run(self) -> None:
        """Do so whenever it is wanted. Ends only by being cancelled."""
        while True:
            await self._ringing.wait()
            self._ringing.clear()
            await self.once()

    async def once(self) -> None:
        """Read what has changed, if it is wanted, and let it answer from here on."""
        try:
            if await self._wanted():
                await self._reload()
        except Exception:  # The reload's wall: whatever goes wrong in here, who answered goes on to.
            logger.exception("the files cannot be read again; all agents stay as they are")
            self.failed()

    async def _wanted(self) -> bool:
        return self._asked or await aside(lambda: self.loader.changed() or self.loader.healed(), "reload")

    async def _reload(self) -> None:
        asked, self._asked = self._asked, False
        loading = await self._at_rest()
        if loading is None:
            logger.error("the files change all the time; all agents stay as they are until that ends")
            self.failed()
            return
        before, self.loading = self.loading, loading
        for take in self.told:
            take(loading)
        await aside(lambda: _log(before, loading, asked), "reload")

    async def _at_rest(self) -> Loading | None:
        """All files as they stood at one moment, if possible one after which they were quiet; None where there was
        no such moment."""
        now = asyncio.get_running_loop().time
        until = now() + MOST_SECONDS
        while now() < until + MOST_SECONDS:
            loading = await self._read()
            if now() < until:
                gone = self.loading.dialplan.agents.keys() - loading.dialplan.agents.keys()
                await asyncio.sleep(GONE_SECONDS if gone else QUIET_SECONDS)
            if not await aside(self.loader.changed, "reload"):
                return loading
        return None

    async def _read(self) -> Loading:
        """Read once. What takes long is waited for until the files are others: then it is left behind in its thread."""
        while True:
            reading = asyncio.ensure_future(aside(lambda: self.loader.load(self.loading.dialplan), "reload"))
            try:
                if await self._comes(reading):
                    return reading.result()
            finally:
                reading.cancel()
            self.loader = self.loader.another()

    async def _comes(self, reading: "asyncio.Future[Loading]") -> bool:
        """Wait for it; False where there is something else to read before it has come."""
        await asyncio.wait([reading], timeout=LONG_SECONDS)
        if not reading.done():
            logger.error("the files are still being read; does %s wait?", self.loader.importing or "a disk")
            self.failed()
        while not reading.done():
            await asyncio.wait([reading], timeout=LOOK_SECONDS)
            if not reading.done() and await aside(self.loader.changed, "reload"):
                return False
        return True


def _log(before: Loading, after: Loading, asked: bool) -> None:
    """Tell the operator who is new, changed or gone, and what is wrong that was not before."""
    old, new = before.dialplan.agents, after.dialplan.agents
    words = {
        "new": new.keys() - old.keys(),
        "changed": {name for name, agent in new.items() if name in old and old[name] is not agent},
        "gone": old.keys() - new.keys(),
    }
    told = "; ".join(f"{word}: {problems.listed(names)}" for word, names in words.items() if names)
    level = logging.INFO if told or asked else logging.DEBUG
    logger.log(level, "the files were read again; %s", told or "every agent is as it was")
    known = set(before.problems)
    fresh = [problem for problem in after.problems if problem not in known]
    if fresh:
        more = f"\n\n… and {len(fresh) - MOST_LOGGED} more; see: dialplan check" if len(fresh) > MOST_LOGGED else ""
        level = logging.ERROR if problems.has_errors(fresh) else logging.WARNING
        logger.log(level, "there are mistakes:\n%s%s", problems.as_text(fresh[:MOST_LOGGED], after.texts), more)
    for name in sorted({*after.set_aside} - {*before.set_aside}):
        state = "its last good version keeps answering" if name in new else "it answers nothing"
        logger.error("%s is set aside until its file is corrected; %s", name, state)
