"""Tells when the files of a project may have changed: soon after the system says so, and once a second in any case."""

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from pathlib import Path

import watchfiles

from dialplan.config.files import stamp_of
from dialplan.server.beside import aside

logger = logging.getLogger(__name__)

#: How often it is told though the system says nothing: network file systems tell nothing, and a folder that was swapped
#: for another one is not watched any more.
LOOK_SECONDS = 1.0

#: Folders that are watched.
MOST_FOLDERS = 500

#: Threads that must be to be had.
_THREADS = 4

#: Milliseconds after a change before it is told, so that a hundred are told as one.
_STEP_MS = 50


async def watching(root: Path, ring: Callable[[], None]) -> None:
    """Ring whenever something in agents/ or plugins/ may have changed. Ends only by being cancelled."""
    warned = ""
    while True:
        ring()
        try:
            async for _ in _told(root):
                ring()
        except Exception as exc:  # noqa: BLE001 -- no watches left, no thread, a name that is no text: then without
            if warned != (warned := _cause(exc)):
                logger.warning("the system does not tell of changes (%s): files are looked at once a second", warned)
            await asyncio.sleep(LOOK_SECONDS)


async def _told(root: Path) -> AsyncIterator[None]:
    """What the system tells of the folders, as long as they are the same ones."""
    folders = await aside(lambda: _folders(root), "watching")
    if not folders:
        await asyncio.sleep(LOOK_SECONDS)
        return
    _demand_threads()
    changes = watchfiles.awatch(
        *folders,
        recursive=False,  # It would follow links without end, on the event loop.
        watch_filter=None,
        step=_STEP_MS,
        debounce=_STEP_MS,
        rust_timeout=round(LOOK_SECONDS * 1000),
        yield_on_timeout=True,
    )
    async with contextlib.aclosing(changes):
        async for _ in changes:
            yield
            if await aside(lambda: _folders(root), "watching") != folders:
                return


def _folders(root: Path) -> dict[str, tuple[int, int]]:
    """The folders to be watched, and which ones they are. What is in others is found by looking."""
    walked = (folder for top in ("agents", "plugins") for folder in _walked(root / top))
    stamps = {folder: stamp_of(folder) for folder in islice(walked, MOST_FOLDERS)}
    return {folder: stamp.identity for folder, stamp in stamps.items() if stamp}


def _walked(top: Path) -> Iterator[str]:
    for folder, folders, _ in os.walk(top):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield folder


def _demand_threads() -> None:
    """watchfiles takes one or two, and where there are none left it ends the process.

    Raises:
        RuntimeError: the system has none.
    """
    done = threading.Event()
    try:
        for _ in range(_THREADS):
            threading.Thread(target=done.wait, name="watching", daemon=True).start()
    finally:
        done.set()


def _cause(exc: BaseException) -> str:
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return str(exc) or type(exc).__name__
