"""What waits to be written. Calls put it in, from the thread of the audio; the writer takes it out, in its own.

How much it is counts in bytes of memory: the Settings of one call may weigh as much as a thousand words of another's.
Each counter is changed by one thread only, so that none needs a lock.
"""

import contextlib
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dialplan.journal.rows import Noted

#: Bytes of an entry besides its texts: objects, numbers, its place in the queue. Some hundred; an upper limit counts.
OVERHEAD = 1_000


def size_of(noted: Noted) -> int:
    """Bytes of memory that an entry holds at the most: with its call's facts, which others may hold too."""
    return OVERHEAD + sum(map(sys.getsizeof, _texts((noted.call, noted.entry))))


def _texts(things: Iterable[Any]) -> Iterator[str]:
    for thing in things:
        match thing:
            case str():
                yield thing
            case Mapping():
                yield from _texts((*thing.keys(), *thing.values()))
            case _ if hasattr(thing, "__dataclass_fields__"):
                yield from _texts(getattr(thing, name) for name in thing.__dataclass_fields__)


class Backlog:
    """See above.

    Args:
        bound: bytes that it may hold; beyond that the oldest entries are lost.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._waiting: deque[Noted] = deque()
        # By calls.
        self.put_in = 0
        """Entries, from the first one on."""
        self._lost = 0
        self._put_bytes = 0
        self._lost_bytes = 0
        # By the writer.
        self._done = 0
        self._done_bytes = 0

    def __len__(self) -> int:
        """Entries that are neither written nor lost; the writer may have taken them."""
        return self.put_in - self.gone

    @property
    def gone(self) -> int:
        """Entries that are written or lost, from the first one on: they go in the order in which they came."""
        return self._lost + self._done

    @property
    def bytes(self) -> int:
        """What it holds."""
        return self._put_bytes - self._lost_bytes - self._done_bytes

    # Calls.

    def put(self, noted: Noted) -> int:
        """One more; how many of the oldest were lost for it."""
        self._waiting.append(noted)
        self._put_bytes += size_of(noted)
        self.put_in += 1
        lost = self._lost
        with contextlib.suppress(IndexError):  # The writer has just taken all.
            while self.bytes > self._bound:
                self._lost_bytes += size_of(self._waiting.popleft())
                self._lost += 1
        return self._lost - lost

    # The writer.

    @property
    def any(self) -> bool:
        """There is something to take."""
        return bool(self._waiting)

    def take(self, entries: int, bytes_: int) -> list[Noted]:
        """The oldest, so many and so much at most, but one at least. They count until they are `done`."""
        taken: list[Noted] = []
        with contextlib.suppress(IndexError):
            while len(taken) < entries and bytes_ > 0:
                taken.append(self._waiting.popleft())
                bytes_ -= size_of(taken[-1])
        return taken

    def done(self, taken: Sequence[Noted]) -> None:
        """They are written, or cannot be."""
        self._done += len(taken)
        self._done_bytes += sum(map(size_of, taken))
