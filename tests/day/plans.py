"""What a caller is going to do, and what must come of it: known to the caller and to the speech service, and to nobody
between them."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dialplan.call.results import FAILED, TOOK_TOO_LONG
from dialplan.wire.deepgram import error_content
from tests.day.files import FUNCTION_SECONDS, Editions

#: Bytes of a usual answer, and of one that somebody interrupts.
WORDS, SPEECH = 1600, 16_000

#: The tone of what is no answer to anybody: greetings, fillers, questions.
NEUTRAL = 0x11

#: The tone of an answer to a function's result that was not as it should be.
WRONG = 0x7E


@dataclass(frozen=True, slots=True)
class Turn:
    """What the speech service does when the caller has said something."""

    function: str = ""
    """It calls this one first."""
    what: str | float = 0.0
    """For the function: seconds, or what is to be looked up."""
    length: int = WORDS
    """Bytes of the answer."""
    lost: bool = False
    """It closes its session when the answer is out."""


ANSWER = Turn()


@dataclass(slots=True)
class Plan:
    """One call."""

    kind: str
    tone: int
    calm: bool
    """Nothing is taken from under it: each word is answered the first time, and by the edition that is live."""
    live: Editions
    """What is live for certain when the call begins."""
    greeting: int = WORDS
    turn: Turn = ANSWER
    """The current one."""
    mistakes: list[str] = field(default_factory=list)
    """What the speech service has noticed."""

    def arguments(self) -> str:
        """For the function of the current turn."""
        turn = self.turn
        if turn.function == "look_up":
            return json.dumps({"what": turn.what})
        seconds = {"seconds": turn.what} if turn.function in ("slowly", "awaits") else {}
        return json.dumps({"tone": self.tone, **seconds})

    def fits(self, content: str) -> bool:
        """Whether the result of the current turn's function is as it should be."""
        turn = self.turn
        if turn.function in ("slowly", "awaits") and float(turn.what) > FUNCTION_SECONDS:
            return content == error_content(TOOK_TOO_LONG)
        return _EXPECTED[turn.function](self, content)

    def noted(self, facts: str) -> None:
        """The call has reached the speech service, by a prompt that says so."""
        edition = re.search(r"edition=(\d+)", facts)
        if self.calm and self.kind in DESK_KINDS and (edition is None or int(edition[1]) < self.live.agent):
            self.mistakes.append(f"the agent's file was of edition {edition and edition[1]}, not {self.live.agent}")


#: Kinds of calls to the agent whose file changes.
DESK_KINDS = {"short", "many turns", "functions", "interrupts"}


def _result(plan: Plan, content: str) -> bool:
    told = json.loads(content)
    return told.get("tone") == plan.tone and told.get("edition", -1) >= plan.live.plugin * plan.calm


def _found(plan: Plan, content: str) -> bool:
    if plan.turn.what == "broken":
        return content == error_content("The service answered with the error 500.")
    told = json.loads(content)
    return told.get("found") == plan.turn.what and int(told.get("word", -1)) >= plan.live.word * plan.calm


_EXPECTED: dict[str, Callable[[Plan, str], bool]] = {
    "at_once": _result,
    "slowly": _result,
    "awaits": _result,
    "fails": lambda _, content: content == error_content(FAILED),
    "refuses": lambda _, content: content == error_content("There is none."),
    "look_up": _found,
    "end_call": lambda _, content: "status" in json.loads(content),
}


@dataclass(slots=True)
class Plans:
    """Of all calls on the line, by the caller's number, which the prompt tells the speech service."""

    live: Editions = field(default_factory=Editions)
    _plans: dict[str, Plan] = field(default_factory=dict)
    _last: int = 1_000_000

    def begun(self, kind: str, tone: int, *, calm: bool) -> tuple[str, Plan]:
        """A new caller's number, and its plan."""
        self._last += 1
        number = f"+1555{self._last}"
        self._plans[number] = Plan(kind, tone, calm, replace(self.live))
        return number, self._plans[number]

    def ended(self, number: str) -> None:
        """The caller is gone."""
        del self._plans[number]

    def of(self, facts: str) -> Plan | None:
        """Whose call it is by the prompt; None where the caller is gone."""
        number = re.search(r"from=(\S+)", facts)
        return self._plans.get(number[1]) if number else None
