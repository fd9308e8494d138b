"""When it is too much: who may still begin a call. Callers who are on the line never pay for one too many."""

from dataclasses import dataclass, field

from dialplan.call.services import Services
from dialplan.config.model import Agent
from dialplan.errors import LineBusy
from dialplan.server import seats
from dialplan.server.lateness import Lateness
from dialplan.server.rates import Rates
from dialplan.server.seats import Leave, Seats

#: New calls of one Twilio account: in a second, and at once after a quiet time. A server's own fault, such as a loop of
#: calls that call each other, comes from one account; its other calls must live on.
CALLS_PER_SECOND, CALLS_AT_ONCE = 100.0, 300

#: Requests and handshakes that Twilio has not signed, from one address. All callers may come by one, a proxy's, so that
#: this holds for nothing that is signed.
STRANGERS_PER_SECOND, STRANGERS_AT_ONCE = 10.0, 100


@dataclass(frozen=True, slots=True)
class Places:
    """What a call has taken."""

    agent: Leave
    """Given back when the call's end is decided: from then on it is no caller's."""
    speech: Leave
    """Given back when the session with the speech service is closed."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Decides over every new call of a process."""

    seats: Seats = field(default_factory=seats.Memory)
    sessions: int | None = None
    """How many sessions at once the server's key allows; None where nobody has said."""
    lateness: Lateness | None = None
    """Of the event loop; None where nobody looks."""
    accounts: Rates = field(default_factory=lambda: Rates(CALLS_PER_SECOND, CALLS_AT_ONCE))
    strangers: Rates = field(default_factory=lambda: Rates(STRANGERS_PER_SECOND, STRANGERS_AT_ONCE))
    """By address. What Twilio has signed is no stranger's, wherever it comes from."""

    @property
    def is_late(self) -> bool:
        """Whether the audio of those on the line runs late, so that nobody else may come."""
        return self.lateness is not None and self.lateness.is_late

    def admit(self, agent: Agent, services: Services, *, shared: bool, returning: bool) -> Places:
        """Let a call begin.

        Args:
            agent: who is to answer.
            services: where it has its speech from.
            shared: its key is the server's, as that of all agents without one of their own.
            returning: the caller was let in before, and is so again whatever there is.

        Raises:
            LineBusy: it is one too many.
        """
        if self.is_late and not returning:
            raise LineBusy("late")
        in_agent = self._seat(f"agent {agent.name}", agent.limits.calls, returning)
        if in_agent is None:
            raise LineBusy("full")
        sessions = self.sessions * services.keys if self.sessions is not None and shared else None
        in_speech = self._seat("sessions", sessions, returning)
        if in_speech is None:
            in_agent()
            raise LineBusy("sessions")
        return Places(in_agent, in_speech)

    def _seat(self, room: str, most: int | None, returning: bool) -> Leave | None:
        return _nothing if most is None else self.seats.take(room, most, always=returning)


def _nothing() -> None:
    """No place was taken."""
