"""How often and how soon the speech service is dialled again when it is not there. Pure; times are given."""

from collections import deque

from dialplan.call.timing import Timing

#: So often in so many seconds it is dialled again in one call. A service that is lost more often is no use to a caller.
MOST = 3
WITHIN = 60.0

#: Seconds before it is dialled again: at once, and then not in one breath.
PAUSES = (0.0, 0.5, 1.0)


class Attempts:
    """Of one call.

    Args:
        now: when the service was dialled first.
        timing: the protocols' time limits.
    """

    def __init__(self, now: float, timing: Timing) -> None:
        self._timing = timing
        self._dialled_at = now
        self._missing_since: float | None = now
        self._again: deque[float] = deque(maxlen=MOST)
        self._failed = 0  # Since it was there.

    def lost(self, now: float) -> float | None:
        """It is gone, or does not come. Seconds after which it is dialled again; None for not any more."""
        if self._missing_since is None:
            self._missing_since = now
        pause = PAUSES[min(self._failed, len(PAUSES) - 1)]
        often = len(self._again) == MOST and now - self._again[0] < WITHIN
        if often or now + pause >= self._missing_since + self._timing.speech:
            return None
        self._failed += 1
        self._again.append(now)
        self._dialled_at = now + pause
        return pause

    def there(self, now: float) -> float | None:
        """It is ready. Seconds that it was missing; None where it was never lost."""
        since, failed = self._missing_since, self._failed
        self._missing_since, self._failed = None, 0
        return now - since if failed and since is not None else None

    def due(self) -> float:
        """When a service that is not ready has had its time: this attempt's, or all attempts'."""
        limit = float("inf") if self._missing_since is None else self._missing_since + self._timing.speech
        return min(self._dialled_at + self._timing.dial, limit)
