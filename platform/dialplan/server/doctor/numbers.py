"""What each Twilio number points at, what it should, and the plan that sets it right. Pure.

A number that an agent names, in full or by a prefix, belongs here. One that only `"*"` answers may point elsewhere on
purpose, and a number that nobody names is not ours at all: neither is ever changed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dialplan.config.dialplan import Dialplan, Route, canonical
from dialplan.server import addresses
from dialplan.server.doctor.finding import Check, Finding, State
from dialplan.wire.twilio_numbers import Number
from dialplan.wire.twiml import RETRIED

VOICE_PATH = "/twilio/voice"
STATUS_PATH = "/twilio/status"

#: A URL of a number's, and the method that goes with it.
_METHODS: Mapping[str, str] = {
    "voice_url": "voice_method",
    "voice_fallback_url": "voice_fallback_method",
    "status_callback": "status_callback_method",
}

_PATHS: Mapping[str, str] = {
    "voice_url": VOICE_PATH,
    "voice_fallback_url": VOICE_PATH,
    "status_callback": STATUS_PATH,
}

_MISSING: Mapping[str, str] = {
    "voice_fallback_url": "no fallback: while Dialplan restarts, callers hear that an application error has occurred",
    "status_callback": "no status callback: a call whose stream broke unnoticed goes on until it is found silent",
}

#: Where Twilio keeps TwiML Bins.
_BINS = "handler.twilio.com"


@dataclass(frozen=True, slots=True)
class Change:
    """The fields of one number that should say something else."""

    number: Number
    values: Mapping[str, str]

    def lines(self) -> list[str]:
        """Each field, old and new, for people."""
        return [
            f"{self.number.phone_number}  {name}: {_shown(getattr(self.number, name))} → {value}"
            for name, value in self.values.items()
        ]


def judged(numbers: Iterable[Number], dialplan: Dialplan, public_url: str) -> list[Finding]:
    """A finding or more for each number.

    Args:
        numbers: all that the account has.
        dialplan: who answers what.
        public_url: where numbers should point; empty says that nobody knows.
    """
    numbers = list(numbers)
    owned = {canonical(number.phone_number) for number in numbers}
    found = [finding for number in numbers for finding in _judged(number, dialplan, public_url)]
    return [*found, *_not_owned(dialplan, owned)]


def plan(numbers: Iterable[Number], dialplan: Dialplan, public_url: str) -> list[Change]:
    """What to set so that the numbers of our agents lead here. Trunks, applications and Bins are left alone."""
    ours = [number for number in numbers if _may_be_set(number, dialplan.answer(number.phone_number))]
    changes = [Change(number, _right(number, public_url)) for number in ours]
    return [change for change in changes if change.values]


def _may_be_set(number: Number, route: Route | None) -> bool:
    if route is None or not _is_ours(route):
        return False
    return number.takes_calls and not _overridden(number) and not _by_bin(number, route)


def _by_bin(number: Number, route: Route) -> bool:
    """Whether calls come by a TwiML Bin, to an agent that has a path for its stream. Nobody tells what it says."""
    split = addresses.parts(number.voice_url)
    return split is not None and split.hostname == _BINS and bool(route.agent.streams)


def _is_ours(route: Route) -> bool:
    return route.pattern != "*"


def _judged(number: Number, dialplan: Dialplan, public_url: str) -> Iterator[Finding]:
    route = dialplan.answer(number.phone_number)
    here = addresses.same_place(number.voice_url, public_url + VOICE_PATH) and not _overridden(number)
    if route is None:
        yield _unclaimed(number, here)
    elif not public_url:
        yield _finding(State.INFO, number, f"{_who(route)} answers; it points at {_target(number)}")
    elif not _is_ours(route) and not here:
        yield _finding(State.INFO, number, f"points at {_target(number)}; {_who(route)} would answer it here")
    elif not number.takes_calls:
        help_ = "take a number with the capability voice, or take this one out of the agent's file"
        yield _finding(State.WRONG, number, f"cannot take calls, and {_who(route)} should answer it", help_)
    elif _overridden(number):
        yield _finding(State.WRONG, number, f"goes to {_target(number)}, so its voice URL does not count", _FREE_IT)
    elif _by_bin(number, route):
        paths = ", ".join(path for path, _ in route.agent.streams)
        yield _finding(State.INFO, number, f"comes by a TwiML Bin; {_who(route)} answers its stream at {paths}")
    else:
        yield from _pointing(number, route, public_url)


_FREE_IT = (
    "Twilio's console, at the number: choose Webhook instead, then run the doctor again; "
    "or take the number out of the agent's file"
)


def _unclaimed(number: Number, here: bool) -> Finding:
    if here:
        help_ = "put it into an agent's numbers:, or let it point elsewhere"
        return _finding(State.WRONG, number, "points here, and no agent has it: callers hear not in service", help_)
    return _finding(State.INFO, number, f"no agent has it; it points at {_target(number)}")


def _pointing(number: Number, route: Route, public_url: str) -> Iterator[Finding]:
    """Of a number whose own URLs count and should lead here."""
    wrong = _right(number, public_url)
    fix = _fix(route, public_url)
    if "voice_url" in wrong:
        message = f"points at {_target(number)} and not at {wrong['voice_url']}; {_who(route)} should answer"
        yield _finding(State.WRONG, number, message, fix)
        return
    if "voice_method" in wrong:
        yield _finding(State.WRONG, number, f"asks by {number.voice_method or 'nothing'} and must by POST", fix)
    for name in ("voice_fallback_url", "status_callback"):
        if name in wrong or _METHODS[name] in wrong:
            yield _finding(State.WARNING, number, _lacking(number, name), fix)
        elif not addresses.same_place(getattr(number, name), public_url + _PATHS[name]):
            yield _finding(State.INFO, number, f"its {_word(name)} stays {_shown(getattr(number, name))}")
    if not wrong:
        yield _finding(State.OK, number, f"points here; {_who(route)} answers")


def _fix(route: Route, public_url: str) -> str:
    if not addresses.can_be_dialled(public_url):
        return "first set PUBLIC_URL to an address that Twilio can dial"
    return "dialplan doctor --fix sets it" if _is_ours(route) else "set it in Twilio's console"


def _lacking(number: Number, name: str) -> str:
    if not getattr(number, name):
        return _MISSING[name]
    return f"its {_word(name)} is {_shown(getattr(number, name))} by {getattr(number, _METHODS[name]) or 'nothing'}"


def _right(number: Number, public_url: str) -> dict[str, str]:
    """The fields that are not as they should be, and what they should say."""
    values: dict[str, str] = {}
    for name, method in _METHODS.items():
        ours = public_url + _PATHS[name]
        leads_here = addresses.same_place(getattr(number, name), ours)
        if not leads_here and _may_be_replaced(number, name, public_url):
            # The fallback is the same webhook, asked again and again for some seconds: it gives a call the same answer
            # however often it is asked, and what fails most is a process that is just being restarted.
            values |= {name: ours + RETRIED * (name == "voice_fallback_url"), method: "POST"}
        elif leads_here and getattr(number, method) != "POST":
            values[method] = "POST"
    return values


def _may_be_replaced(number: Number, name: str, public_url: str) -> bool:
    """A fallback or a status callback that somebody chose stays: one on another machine is better than ours."""
    url = getattr(number, name)
    if name == "voice_url" or not url:
        return True
    split = addresses.parts(url)
    is_a_dialplan = split is not None and split.path == _PATHS[name]  # At an address that it had before.
    moves = not addresses.same_place(number.voice_url, public_url + VOICE_PATH)
    return is_a_dialplan or (moves and addresses.same_host(url, number.voice_url))


def _overridden(number: Number) -> bool:
    return bool(number.trunk_sid or number.voice_application_sid)


def _target(number: Number) -> str:
    if number.trunk_sid:
        return f"the SIP trunk {number.trunk_sid}"
    if number.voice_application_sid:
        return f"the TwiML application {number.voice_application_sid}"
    return _shown(number.voice_url)


def _shown(url: str) -> str:
    return (addresses.shown(url) if "/" in url else url) or "nothing"


def _who(route: Route) -> str:
    return f"{route.agent.name} ({route.place})"


def _word(name: str) -> str:
    return "fallback" if name == "voice_fallback_url" else "status callback"


def _finding(state: State, number: Number, message: str, help_: str = "") -> Finding:
    return Finding(Check.NUMBERS, state, f"{number.phone_number}  {message}", help_)


def _not_owned(dialplan: Dialplan, owned: set[str]) -> Iterator[Finding]:
    for number, route in dialplan.numbers.items():
        if number.startswith("+") and not number.endswith("*") and number not in owned:
            message = f"{route.pattern}  {_who(route)} should answer it, and the account does not own it"
            help_ = "as it should be where calls come by a TwiML Bin or from another account; else correct the number"
            yield Finding(Check.NUMBERS, State.WARNING, message, help_)
