"""What each Twilio number points at and what it should. Decides without asking anybody.

A number that an agent answers should have:

- as voice URL the webhook, `PUBLIC_URL/twilio/voice`;
- as fallback the same webhook, with Twilio's retries in its fragment. Twilio asks the fallback where the voice URL
  could not be had; it has tried that twice at most, and only once where the answer was a 5xx. A server that restarts is
  there a second later, and the webhook gives one answer to one CallSid, however often it is asked. Whoever has a
  fallback elsewhere, a second machine or a TwiML Bin that takes a message, has chosen it for the case that this server
  is gone: it stays;
- as status callback `PUBLIC_URL/twilio/status`, so that a caller who hangs up before the stream opens is known to have
  gone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from dialplan.config.dialplan import Dialplan, Route
from dialplan.server.doctor.account import Failed
from dialplan.server.doctor.findings import Check, Finding, State
from dialplan.wire import address
from dialplan.wire.twilio_numbers import Application, Number
from dialplan.wire.twiml import RETRIED

VOICE_PATH, STATUS_PATH = "/twilio/voice", "/twilio/status"

#: What a field is called in Twilio's console, more or less.
LABELS: Mapping[str, str] = MappingProxyType(
    {
        "voice_url": "voice URL",
        "voice_method": "voice method",
        "voice_fallback_url": "fallback URL",
        "voice_fallback_method": "fallback method",
        "status_callback": "status callback",
        "status_callback_method": "status method",
    }
)

#: Where Twilio keeps TwiML Bins.
_BINS = "handler.twilio.com"

#: Numbers that are named where many are meant.
_NAMED = 3

_FIX = "dialplan doctor --fix sets it"


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a number that should be another."""

    field: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Correction:
    """Everything that should change at one number."""

    number: Number
    route: Route
    changes: tuple[Change, ...]

    @property
    def values(self) -> dict[str, str]:
        """What to set."""
        return {change.field: change.new for change in self.changes}


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of all numbers."""

    findings: tuple[Finding, ...] = ()
    corrections: tuple[Correction, ...] = ()
    """Of numbers whose findings are not among the others: they are found again once they were set, or were not."""
    unseen: str = ""
    """Why nothing could be judged or corrected."""

    def all_findings(self) -> list[Finding]:
        """Before anything was set; by number, since that is what they begin with, and the others after them."""
        return sorted([*self.findings, *map(found_pointing, self.corrections)], key=lambda finding: finding.message)


def judge(
    numbers: Sequence[Number], dialplan: Dialplan, public_url: str, applications: Mapping[str, Application | Failed]
) -> Judgement:
    """Look at every number of the account, and at those of the files that it does not have.

    Args:
        numbers: of the account.
        dialplan: who answers what.
        public_url: of this server; empty where it is not set, and then nothing can be corrected.
        applications: those that the numbers belong to.
    """
    findings: list[Finding] = []
    corrections: list[Correction] = []
    numbers = sorted(numbers, key=lambda number: number.phone_number)
    for number in numbers:
        route = dialplan.answer(number.phone_number)
        if route is None:
            findings += _unclaimed_here(number, public_url)
            continue
        overridden = _overridden(number, route, public_url, applications)
        changes = () if overridden else tuple(_changes(number, public_url))
        if overridden:
            findings.append(overridden)
        elif changes and public_url:
            corrections.append(Correction(number, route, changes))
        else:
            findings.append(_pointing_well(number, route, public_url))
    findings += _left_alone(numbers, dialplan, public_url)
    findings += _not_owned(numbers, dialplan)
    return Judgement(tuple(findings), tuple(corrections))


def should_be(public_url: str) -> dict[str, str]:
    """The fields of a number that points here."""
    return {
        "voice_url": public_url + VOICE_PATH,
        "voice_method": "POST",
        "voice_fallback_url": public_url + VOICE_PATH + RETRIED,
        "voice_fallback_method": "POST",
        "status_callback": public_url + STATUS_PATH,
        "status_callback_method": "POST",
    }


def found_pointing(correction: Correction) -> Finding:
    """How a number was found that should be set. Without the webhook no call comes in; the rest is a doubt."""
    values = correction.values
    where = _shown(correction.number.voice_url)
    name = _named(correction.number, correction.route)
    if "voice_url" in values:
        return _finding(State.WRONG, f"{name} points at {where} instead of {address.shown(values['voice_url'])}", _FIX)
    if "voice_method" in values:
        return _finding(State.WRONG, f"{name} points at {where}, but asks by GET instead of POST", _FIX)
    faults = ["has no fallback for the moment in which the server restarts"] * any(
        "fallback" in name for name in values
    )
    faults += ["does not tell this server when a call is over"] * any("status" in name for name in values)
    return _finding(State.WARNING, f"{name} points at {where}, but {' and '.join(faults)}", _FIX)


def _changes(number: Number, public_url: str) -> Iterator[Change]:
    wanted = should_be(public_url)
    if _has_own_fallback(number):
        del wanted["voice_fallback_url"], wanted["voice_fallback_method"]
    for field, new in wanted.items():
        old = getattr(number, field)
        if not is_as_wanted(field, old, new):
            yield Change(field, old, new)


def is_as_wanted(field: str, old: str, new: str) -> bool:
    """Whether a field does already what it should."""
    if field.endswith("_method"):
        return (old or "POST").upper() == new  # POST is Twilio's default.
    return address.same(old, new)


def _has_own_fallback(number: Number) -> bool:
    """Whether somebody has chosen the fallback. One that this doctor has set, or that is the webhook of before, has to
    move along with it."""
    fallback = number.voice_fallback_url
    ours = fallback.endswith(VOICE_PATH + RETRIED) or address.same(fallback, number.voice_url)
    return bool(fallback) and not ours


def _overridden(
    number: Number, route: Route, public_url: str, applications: Mapping[str, Application | Failed]
) -> Finding | None:
    """Why the number's own addresses are not looked at, let alone set: somebody has decided on it otherwise."""
    named = _named(number, route)
    # A star takes whatever the account has, so that nobody has promised this very number.
    doubt = State.WARNING if route.pattern.endswith("*") else State.WRONG
    if not number.takes_calls:
        help_text = f"buy one that takes voice calls, or remove it from {route.place}"
        return _finding(doubt, f"{named} takes no voice calls", "" if doubt is State.WARNING else help_text)
    if number.trunk_sid:
        message = (
            f"{named} belongs to the SIP trunk {number.trunk_sid}, which takes its calls; its voice URL is ignored"
        )
        help_text = "in Twilio's console, take the number out of the trunk, then: dialplan doctor --fix"
        return _finding(doubt, message, f"{help_text}\nor remove it from {route.place}; --fix leaves it as it is")
    if number.voice_application_sid:
        found = applications.get(number.voice_application_sid)
        return _by_application(named, number.voice_application_sid, found, public_url, doubt)
    if address.host(number.voice_url) == _BINS and route.agent.streams:
        paths = ", ".join(path for path, _ in route.agent.streams)
        message = f"{named} points at a TwiML Bin, whose text Twilio does not show"
        help_text = f"look whether its <Stream> leads to {paths}; --fix leaves it as it is"
        return _finding(State.WARNING, message, help_text)
    return None


def _by_application(
    named: str, sid: str, application: Application | Failed | None, public_url: str, doubt: State
) -> Finding:
    begin = f"{named} belongs to the TwiML application {sid}, whose voice URL counts instead of its own"
    help_text = (
        "in Twilio's console, set the application's voice URL, or take the number out of it and then: dialplan doctor "
        "--fix\n--fix leaves it as it is: an application may have other numbers"
    )
    if not isinstance(application, Application):
        why = f" ({application.message})" if application else ""
        return _finding(State.WARNING, f"{begin}; where that leads cannot be seen{why}", help_text)
    if _is_webhook(application.voice_url, application.voice_method, public_url):
        return _finding(State.OK, f"{begin}; it points here")
    where = f"{_shown(application.voice_url)} by {application.voice_method or 'POST'}"
    return _finding(doubt, f"{begin}; it points at {where}", help_text)


def _is_webhook(url: str, method: str, public_url: str) -> bool:
    posts = (method or "POST").upper() == "POST"
    there = address.same(url, public_url + VOICE_PATH) if public_url else address.path(url).endswith(VOICE_PATH)
    return posts and there


def _pointing_well(number: Number, route: Route, public_url: str) -> Finding:
    """Of a number at which nothing is to be corrected, or cannot be without PUBLIC_URL."""
    if not public_url and not _is_webhook(number.voice_url, number.voice_method, ""):
        message = f"{_named(number, route)} points at {_shown(number.voice_url)}, which is no webhook of Dialplan's"
        return _finding(State.WRONG, message, "set PUBLIC_URL, then: dialplan doctor --fix")
    own = _has_own_fallback(number) and number.voice_fallback_url
    fallback = f"; with a fallback of its own, {address.shown(own)}" if own else ""
    return _finding(State.OK, f"{_named(number, route)} points at {_shown(number.voice_url)}{fallback}")


def _unclaimed_here(number: Number, public_url: str) -> Iterator[Finding]:
    if _is_unclaimed_here(number, public_url):
        message = f"{number.phone_number} points here, but no agent answers it: callers hear that it is not in service"
        yield _finding(State.WARNING, message, f'write numbers: ["{number.phone_number}"] into an agent file')


def _is_unclaimed_here(number: Number, public_url: str) -> bool:
    reached = not number.trunk_sid and not number.voice_application_sid
    return bool(public_url) and reached and address.same(number.voice_url, public_url + VOICE_PATH)


def _left_alone(numbers: Iterable[Number], dialplan: Dialplan, public_url: str) -> Iterator[Finding]:
    others = [n for n in numbers if not dialplan.answer(n.phone_number) and not _is_unclaimed_here(n, public_url)]
    if others:
        named = [number.phone_number for number in others[:_NAMED]]
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        yield _finding(State.OK, f"answered by no agent, and left alone: {', '.join(named)}{more}")


def _not_owned(numbers: Iterable[Number], dialplan: Dialplan) -> Iterator[Finding]:
    owned = {number.phone_number for number in numbers}
    for pattern, route in dialplan.numbers.items():
        if pattern.startswith("+") and not pattern.endswith("*") and pattern not in owned:
            message = f"{pattern} ({route.agent.name}) is no number of this account"
            help_text = (
                f"buy it there, or remove it: {route.place}; another account's calls are not signed for this one"
            )
            yield _finding(State.WARNING, message, help_text)


def _named(number: Number, route: Route) -> str:
    by = "" if route.pattern == number.phone_number else f', by "{route.pattern}"'
    return f"{number.phone_number} ({route.agent.name}{by})"


def _shown(text: str) -> str:
    return address.shown(text) or "nothing"


def _finding(state: State, message: str, help_text: str = "") -> Finding:
    return Finding(Check.NUMBERS, state, message, help_text)
