"""What remains of a call: who spoke with whom, what was said and done, how it ended.

What is said and done is told as it happens and not gathered: an hour's conversation would be a megabyte for each call.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dialplan.config.model import Records
from dialplan.facts import Call
from dialplan.wire.deepgram import Role, is_error_content


class End(StrEnum):
    """Why a call is over."""

    CALLER = "caller"
    """The caller hung up."""
    AGENT = "agent"
    """The agent said goodbye (`end_call`)."""
    SILENCE = "silence"
    """Nobody said anything for too long (`limits.silence`)."""
    LIMIT = "limit"
    """It was as long as it may be (`limits.minutes`)."""
    NEVER_CAME = "never_came"
    """The webhook was answered and no stream came."""
    LINE_LOST = "line_lost"
    """The phone network's socket went away without a word."""
    SPEECH_REFUSED = "speech_refused"
    """The speech service said no: a wrong key, too many sessions, rejected Settings."""
    SPEECH_LOST = "speech_lost"
    """The speech service did not answer, or went away in the middle."""
    FAULT = "fault"
    """A mistake of ours; the log has the traceback."""
    SHUTDOWN = "shutdown"
    """The process had to end."""
    MOVED = "moved"
    """The process had to end, and another one carries the call on."""


#: Ends after which the caller is still on the line, and was told nothing yet.
UNTOLD = frozenset({End.SPEECH_REFUSED, End.SPEECH_LOST, End.FAULT, End.SHUTDOWN})


@dataclass(frozen=True, slots=True)
class Began:
    """A session of the call began: the first thing told of it."""

    agent: str
    attempt: int
    """Which one: a call whose stream broke is connected again."""
    records: Records
    """What of the call may be kept, and how long."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The caller is on the line: what is said from here on is heard, and so is what was kept until then."""


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The speech service has a name for its session; their support asks for it."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Configured:
    """The Settings, as JSON text; secrets by their `${NAME}`."""

    settings: str


@dataclass(frozen=True, slots=True)
class Said:
    """Words, as the speech service understood or spoke them."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class BargedIn:
    """The caller interrupted the agent."""


@dataclass(frozen=True, slots=True)
class Running:
    """A function begins. Where neither `Ran` nor `Stopped` follows, the call ended first, or the process."""

    id: str
    """The model's request."""
    function: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Ran:
    """A function was run, and this is what the model was told."""

    function: str
    arguments: str
    result: str
    seconds: float
    id: str = ""

    @property
    def outcome(self) -> str:
        """`error`, where the model was told why there is no result; else `result`."""
        return "error" if is_error_content(self.result) else "result"


@dataclass(frozen=True, slots=True)
class Stopped:
    """A function was stopped before its end: the caller interrupted, or went on speaking."""

    id: str


@dataclass(frozen=True, slots=True)
class Reported:
    """The seconds that one answer took, by what they were needed for (Deepgram's latency report)."""

    latencies: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Warned:
    """The speech service complains, and goes on."""

    code: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The speech service cannot be had, or is gone."""

    code: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """The speech service is there again, and knows what was said."""

    seconds: float
    """That it was missing."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The session's end is decided: the last thing told of it."""

    end: End
    seconds: float
    """From the open line."""


Entry = (
    Began
    | Connected
    | Welcomed
    | Configured
    | Said
    | BargedIn
    | Running
    | Ran
    | Stopped
    | Reported
    | Warned
    | Lost
    | Recovered
    | Ended
)


@dataclass(slots=True)
class Record:
    """One call, from its first moment to its end."""

    call: Call
    agent: str
    request_id: str = ""
    """Deepgram's name for the session; their support asks for it."""
    end: End | None = None
    seconds: float = 0.0
    """From the open line to the end."""
