"""What was said and done in a call so far, for a speech session that was not there (`agent.context.messages`)."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dialplan.call.record import End
from dialplan.wire.deepgram import Role

#: Characters that are remembered; beyond that the oldest go. An hour's conversation would be a megabyte.
MOST = 24_000

#: A session that was led for so many seconds before it was lost is no sign that the call takes its processes with it.
LONG = 60.0

#: Characters that each entry takes besides its own, as the speech service is told of it: even one without words.
AROUND = 50


@dataclass(frozen=True, slots=True)
class Spoken:
    """Words, as the speech service understood or spoke them."""

    role: Role
    text: str

    @property
    def length(self) -> int:
        """In characters."""
        return AROUND + len(self.text)


@dataclass(frozen=True, slots=True)
class Called:
    """A function that the model has called, and what it was told."""

    id: str
    name: str
    arguments: str
    response: str

    @property
    def length(self) -> int:
        """In characters."""
        return AROUND + len(self.id) + len(self.name) + len(self.arguments) + len(self.response)


Past = Spoken | Called


@dataclass(frozen=True, slots=True)
class Recollection:
    """What whoever carries on a call must know of it."""

    agent: str
    attempt: int
    """Which session of the call was the newest."""
    end: End | None
    """How that ended; None where it goes on, or its process was lost."""
    heard: int = 1
    """Which session was the newest that had the caller on the line; 0 where none had."""
    past: tuple[Past, ...] = ()
    """In order; nothing where transcripts are not kept."""
    unfinished: tuple[Called, ...] = ()
    """Functions that began and did not end."""
    broken: int = 0
    """How many sessions in a row were lost, up to the newest, each soon after it began."""


class History:
    """The newest part of a conversation.

    Args:
        past: how it begins, where another process has led it so far.
    """

    def __init__(self, past: Iterable[Past] = ()) -> None:
        self._past: deque[Past] = deque()
        self._length = 0
        for one in past:
            self.add(one)

    def __iter__(self) -> Iterator[Past]:
        return iter(self._past)

    def add(self, one: Past) -> None:
        """It goes on with this."""
        self._past.append(one)
        self._length += one.length
        while self._length > MOST and len(self._past) > 1:
            self._length -= self._past.popleft().length

    def unsay(self, count: int) -> None:
        """So many of the agent's texts at its end were not heard."""
        while count and self._past and isinstance(last := self._past[-1], Spoken) and last.role is Role.ASSISTANT:
            self._length -= self._past.pop().length
            count -= 1

    def divided(self) -> tuple[tuple[Past, ...], str]:
        """What lies behind, and the caller's last words where nobody has answered them."""
        behind, words = list(self._past), []
        while behind and isinstance(last := behind[-1], Spoken) and last.role is Role.USER:
            words.append(last.text)
            behind.pop()
        return tuple(behind), " ".join(reversed(words))
