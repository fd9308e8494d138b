"""A file that was saved is live within a second: watched, read again beside the calls, taken over in one assignment.

A call on the line keeps its agent, its prompt and its plugin's code to its end, since nothing that it holds is changed.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import watchfiles

from dialplan.config import problems
from dialplan.config.files import stamp_of
from dialplan.config.loading import Loader, Loading
from dialplan.server.beside import beside

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

#: Milliseconds without a further change after which what was saved is whole.
QUIET_MS = 100

#: Milliseconds that changes are waited for to come to an end.
MOST_MS = 600

#: How often everything is looked at though nothing was told: network file systems tell nothing, and a folder that was
#: swapped for another one is not watched any more.
LOOK_MS = 1000

#: An editor that saves by renaming takes a file away for a moment. One that stays away for so many seconds is deleted.
GONE_SECONDS = 0.25

#: Files that keep changing while they are read are looked at again after so many seconds.
UNREST_SECONDS = 0.05

#: Reading takes milliseconds; whoever reads this long waits for a plugin that does something while it is imported.
LONG_SECONDS = 10.0

#: Problems that are written out in the log; `dialplan check` prints them all.
MOST_LOGGED = 20


@asynccontextmanager
async def reloading(reload: "Reload", *, watch: bool = True) -> AsyncIterator[None]:
    """Meanwhile reload at every SIGHUP, and whenever a file has changed if that is wanted."""
    asked = asyncio.Event()
    with _at_hangup(asked.set):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(reload.whenever(asked))]
            if watch:
                tasks.append(group.create_task(reload.watch()))
            yield
            for task in tasks:
                task.cancel()


@dataclass(slots=True)
class Reload:
    """The files of a project, and who takes them over when they have changed."""

    root: Path
    loader: Loader
    loading: Loading
    """What the loader has loaded last."""
    told: list[Callable[[Loading], None]] = field(default_factory=list)
    """Each takes over a new loading, and cannot fail."""
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def watch(self) -> None:
        """Reload whenever a file of the project has changed. Ends only by being cancelled."""
        while True:
            folders = self._folders()
            async with contextlib.aclosing(_changes(list(folders))) as changes:
                async for _ in changes:
                    await self.look()
                    if self._folders() != folders:  # One is new, gone, or another one under the old name.
                        break

    async def whenever(self, asked: asyncio.Event) -> None:
        """Reload whenever it is asked for. Ends only by being cancelled."""
        while True:
            await asked.wait()
            asked.clear()
            logger.info("asked to read the files again")
            await self.now()

    async def look(self) -> None:
        """Reload where anything has changed."""
        if await _beside(self.loader.changed):
            await self.now()

    async def now(self) -> None:
        """Read what has changed, and let it answer from here on. Files that find no rest are left for the next look."""
        async with self._busy:
            try:
                loading = await self._at_rest()
            except Exception:  # The reload's wall: whatever goes wrong in here, who answered goes on to.
                logger.exception("the files cannot be read again; all agents stay as they are")
                return
            if loading is not None:
                self._take(loading)

    async def _at_rest(self) -> Loading | None:
        for _ in range(round(1 / UNREST_SECONDS)):
            loading = await self._loaded()
            if loading is not None:
                return loading
            await asyncio.sleep(UNREST_SECONDS)
        return None

    async def _loaded(self) -> Loading | None:
        """All files as they stood at one moment; None where they did not stand still meanwhile."""
        loading = await self._read()
        if self.loading.dialplan.agents.keys() - loading.dialplan.agents.keys():
            await asyncio.sleep(GONE_SECONDS)
        return None if await _beside(self.loader.changed) else loading

    async def _read(self) -> Loading:
        overdue = asyncio.get_running_loop().call_later(LONG_SECONDS, self._tell_overdue)
        try:
            return await _beside(lambda: self.loader.load(self.loading.dialplan))
        finally:
            overdue.cancel()

    def _tell_overdue(self) -> None:
        logger.error("the files are still being read; does %s wait for something?", self.loader.importing or "a disk")

    def _take(self, loading: Loading) -> None:
        before, self.loading = self.loading, loading
        for take in self.told:
            take(loading)
        _log(before, loading)

    def _folders(self) -> dict[Path, tuple[int, int]]:
        """The folders to be watched, and which ones they are."""
        stamps = {folder: stamp_of(folder) for folder in (self.root / "agents", self.root / "plugins")}
        return {folder: stamp.identity for folder, stamp in stamps.items() if stamp}


async def _changes(folders: list[Path]) -> AsyncGenerator[None, None]:
    """Now and then, and soon after something below these folders has changed."""
    try:
        if folders:
            async for _ in watchfiles.awatch(
                *folders,
                watch_filter=None,
                step=QUIET_MS,
                debounce=MOST_MS,
                rust_timeout=LOOK_MS,
                yield_on_timeout=True,
            ):
                yield
    except (OSError, RuntimeError) as exc:  # No watches left, or a file system that has none.
        logger.warning("the system does not tell of changes (%s): files are looked at once a second", exc)
    await asyncio.sleep(LOOK_MS / 1000)
    yield


async def _beside(work: Callable[[], _Result]) -> _Result:
    return await asyncio.wrap_future(beside(work, "reload"))


@contextlib.contextmanager
def _at_hangup(call: Callable[[], None]) -> Iterator[None]:
    """Call this at every SIGHUP meanwhile, where the system has one."""
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, call)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _log(before: Loading, after: Loading) -> None:
    """Tell the operator who is new, changed or gone, and what is wrong that was not before."""
    old, new = before.dialplan.agents, after.dialplan.agents
    words = {
        "new": new.keys() - old.keys(),
        "changed": {name for name, agent in new.items() if name in old and old[name] is not agent},
        "gone": old.keys() - new.keys(),
    }
    told = "; ".join(f"{word}: {problems.listed(names)}" for word, names in words.items() if names)
    logger.info("the files were read again; %s", told or "every agent is as it was")
    fresh = [problem for problem in after.problems if problem not in before.problems]
    if fresh:
        more = f"\n\n… and {len(fresh) - MOST_LOGGED} more; see: dialplan check" if len(fresh) > MOST_LOGGED else ""
        level = logging.ERROR if problems.has_errors(fresh) else logging.WARNING
        logger.log(level, "there are mistakes:\n%s%s", problems.as_text(fresh[:MOST_LOGGED], after.texts), more)
    for name in after.set_aside:
        if name not in before.set_aside:
            state = "its last good version keeps answering" if name in new else "it answers nothing"
            logger.error("%s is set aside until its file is corrected; %s", name, state)
