"""The addresses and keys under which the speech service can be had, and which of them are down."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dialplan.words import listed

#: Seconds for which one that failed is asked only where no other is left.
DOWN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Service:
    """One address with one key."""

    url: str
    key: str = field(repr=False)


class Services:
    """Every address with every key, in the order in which they are wanted. All calls of a process share it, so that not
    every caller must find out what is down.

    Args:
        services: at least one.
        clock: seconds of any monotonic clock.
    """

    def __init__(self, services: Sequence[Service], clock: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._clock = clock
        self._down_until: dict[Service, float] = {}

    @property
    def keys(self) -> int:
        """How many keys there are."""
        return len({service.key for service in self._services})

    def pick(self) -> Service:
        """The first that is not known to be down; where all are, the one that has been for the longest time."""
        now = self._clock()
        return min(self._services, key=lambda service: max(self._down_until.get(service, now), now))

    def failed(self, service: Service) -> None:
        """It could not be had just now."""
        self._down_until[service] = self._clock() + DOWN_SECONDS

    def worked(self, service: Service) -> None:
        """It could."""
        self._down_until.pop(service, None)

    def another(self, service: Service) -> bool:
        """Whether there is one besides this that is not known to be down."""
        now = self._clock()
        return any(other != service and self._down_until.get(other, 0.0) <= now for other in self._services)


def services(urls: str, keys: str) -> Services:
    """Every listed address with every listed key: first all of the first key."""
    return Services([Service(url, key) for key in listed(keys) or [""] for url in listed(urls)])
