"""What a conversation can ask of its session."""

from dataclasses import dataclass
from enum import StrEnum

from dialplan.call.history import Past
from dialplan.call.record import End, Entry
from dialplan.config.model import Function
from dialplan.wire.deepgram import Behavior, FunctionCall


class Opening(StrEnum):
    """What the agent says of itself when a speech session begins."""

    GREETING = "greeting"
    RESUMED = "resumed"
    """The caller was cut off for a moment."""
    NONE = "none"
    """The caller has noticed nothing, or very little."""


@dataclass(frozen=True, slots=True)
class SendSettings:
    """The speech service is ready for the Settings."""

    opening: Opening = Opening.GREETING
    past: tuple[Past, ...] = ()
    """What it must know."""


@dataclass(frozen=True, slots=True)
class Redial:
    """The speech service is lost: dial it again, after so many seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class StartListening:
    """The speech service takes audio from now on; what was kept of the caller goes first."""


@dataclass(frozen=True, slots=True)
class Play:
    """Audio for the caller."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class SetMark:
    """Have it reported when the caller has heard everything so far."""

    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Throw away what the caller has not heard yet."""


@dataclass(frozen=True, slots=True)
class Inject:
    """Make the agent say something."""

    text: str
    behavior: Behavior


@dataclass(frozen=True, slots=True)
class Ask:
    """Make the agent answer this, as if the caller had said it."""

    text: str


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Tell the speech service that we are still there."""


@dataclass(frozen=True, slots=True)
class SendSilence:
    """The caller's audio has stopped; silence of this length, in bytes, takes its place."""

    length: int


@dataclass(frozen=True, slots=True)
class Run:
    """Run a function, and report with `function_finished`."""

    request: FunctionCall
    function: Function


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop a running function."""

    id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Tell the model what came of a function."""

    request: FunctionCall
    content: str


@dataclass(frozen=True, slots=True)
class Remember:
    """Put it into the record."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close both sockets."""

    end: End


Action = (
    SendSettings
    | Redial
    | StartListening
    | Play
    | SetMark
    | Clear
    | Inject
    | Ask
    | KeepAlive
    | SendSilence
    | Run
    | Cancel
    | Answer
    | Remember
    | HangUp
)
