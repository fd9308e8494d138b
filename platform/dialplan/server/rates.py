"""So many in a second for each: a token bucket, the oldest forgotten. Pure; the clock is given."""

import time
from collections import OrderedDict
from collections.abc import Callable

#: Names that are remembered; who is forgotten begins with a full bucket, as everybody would after a while.
MOST = 10_000


class Rates:
    """Counts for each name by itself.

    Args:
        per_second: how many, for as long as it lasts.
        at_once: how many without a pause, after a quiet time.
        clock: seconds of any monotonic clock.
    """

    def __init__(self, per_second: float, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def allow(self, name: str) -> bool:
        """Whether one more is within the limit; it counts only then."""
        now = self._clock()
        left, since = self._left.pop(name, (float(self._at_once), now))
        left = min(left + (now - since) * self._per_second, float(self._at_once))
        allowed = left >= 1.0
        self._left[name] = (left - allowed, now)
        if len(self._left) > MOST:
            self._left.popitem(last=False)
        return allowed
