"""Whether Twilio takes the account's id and token, and which numbers the account has."""

import asyncio
from dataclasses import dataclass, field

from dialplan.errors import PeerError, PeerRefused
from dialplan.server.doctor.finding import Check, Finding, State
from dialplan.server.twilio_account import TwilioAccount, twilio_account
from dialplan.wire.twilio_numbers import ACCOUNT_SID, Account, Number

_WHERE = "Twilio's console → Account → API keys & tokens"


@dataclass(frozen=True, slots=True)
class Access:
    """An address, an account, its token."""

    url: str
    sid: str
    auth_token: str = field(repr=False)


async def found(access: Access) -> tuple[list[Finding], tuple[Number, ...] | None]:
    """What the account is, and its numbers; None where they could not be read."""
    lacking = _lacking(access)
    if lacking or not access.url:
        return lacking, None
    async with twilio_account(access.url, access.sid, access.auth_token) as twilio:
        about, numbers = await asyncio.gather(_about(twilio), _numbers(twilio))
    if isinstance(numbers, Finding):
        # One reason is enough where the account could not be asked either.
        return [about] if about.state is State.WRONG else [about, numbers], None
    return [about, _counted(numbers)], numbers


def _lacking(access: Access) -> list[Finding]:
    found = []
    if not access.sid:
        found.append(_wrong("TWILIO_ACCOUNT_SID is not set", f"set it in .env; it is in {_WHERE}"))
    elif not ACCOUNT_SID.fullmatch(access.sid):
        begins = "is an API key's, not an account's" if access.sid.startswith("SK") else "is no account's"
        found.append(_wrong(f"TWILIO_ACCOUNT_SID {begins}", "set it to the id that begins with AC, 34 characters"))
    if not access.auth_token:
        message = "TWILIO_AUTH_TOKEN is not set, so nobody can tell Twilio's calls from a stranger's"
        found.append(_wrong(message, f"set it in .env to the account's primary token, from {_WHERE}"))
    return found


async def _about(twilio: TwilioAccount) -> Finding:
    try:
        return _judged(await twilio.about())
    except PeerError as exc:
        return _failed(exc)


async def _numbers(twilio: TwilioAccount) -> tuple[Number, ...] | Finding:
    try:
        return tuple(await twilio.numbers())
    except PeerError as exc:
        return _failed(exc)


def _judged(account: Account) -> Finding:
    if account.status != "active":
        help_ = "Twilio's console says why; no call comes through until it is active again"
        return _wrong(f"the account is {account.status or 'in no state that is known'}", help_)
    if account.type == "Trial":
        help_ = "callers hear Twilio's own notice first; it goes when the account is upgraded"
        return Finding(Check.TWILIO, State.INFO, "the account takes the token; it is a trial account", help_)
    return Finding(Check.TWILIO, State.OK, "the account takes the token, and is active")


def _failed(exc: PeerError) -> Finding:
    status = exc.status if isinstance(exc, PeerRefused) else 0
    return _wrong(f"Twilio {exc}", _HELP.get(status, _HELP[0] if status < 500 else _LATER))


_LATER = "try again; then status.twilio.com"
_HELP = {
    0: "TWILIO_API_URL is Twilio's own unless set; this machine must reach it",
    401: f"TWILIO_AUTH_TOKEN must be the primary token of TWILIO_ACCOUNT_SID, from {_WHERE}",
    403: f"TWILIO_AUTH_TOKEN must be the primary token of TWILIO_ACCOUNT_SID, from {_WHERE}",
    404: f"TWILIO_ACCOUNT_SID is an account that does not exist there; it is in {_WHERE}",
    429: "too many requests at once: try again in a minute",
}


def _counted(numbers: tuple[Number, ...]) -> Finding:
    count = f"{len(numbers) or 'no'} number{'s' * (len(numbers) != 1)}"
    return Finding(Check.TWILIO, State.OK if numbers else State.INFO, f"the account has {count}")


def _wrong(message: str, help_: str) -> Finding:
    return Finding(Check.TWILIO, State.WRONG, message, help_)
