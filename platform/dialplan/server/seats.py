"""How many calls hold a place at once, where places are counted: in this process, or in all that share a port."""

import contextlib
import functools
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

try:
    import fcntl
except ImportError:  # Windows, where several processes cannot share a port anyway.
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

#: Places beyond those that there are, for callers who must not be turned away.
EXTRA = 10_000

#: Gives a place back; once.
Leave = Callable[[], None]


class Seats(Protocol):
    """Places in rooms; a room is named by whoever counts."""

    def take(self, room: str, most: int, *, always: bool = False) -> Leave | None:
        """Take a place in a room that has so many; None where all are taken, unless it is given in any case."""
        ...


class Memory:
    """The places of one process."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def take(self, room: str, most: int, *, always: bool = False) -> Leave | None:
        if self._taken[room] >= most and not always:
            return None
        self._taken[room] += 1
        return functools.partial(self._leave, room)

    def _leave(self, room: str) -> None:
        self._taken[room] -= 1
        if not self._taken[room]:
            del self._taken[room]


class Folder:
    """The places of several processes: a file for each, locked by whoever holds it. What a process held that is killed,
    the system gives back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._memory = Memory()

    def take(self, room: str, most: int, *, always: bool = False) -> Leave | None:
        name = hashlib.sha256(room.encode()).hexdigest()
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            for number in range(most + EXTRA if always else most):
                if (locked := _locked(self._path / f"{name}.{number}")) is not None:
                    return functools.partial(os.close, locked)
        except OSError as exc:  # A full disk must cost the other processes their knowledge, but no call.
            logger.error("places in %s cannot be counted: %s", self._path, exc)
            return self._memory.take(room, most, always=always)
        return None


def _locked(file: Path) -> int | None:
    """The file's descriptor, which holds its lock; None where another one does."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    os.close(descriptor)
    return None
