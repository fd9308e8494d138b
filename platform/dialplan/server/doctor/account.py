"""The Twilio account: what its REST API says, and setting one number. Reads and writes; nothing is judged here but
whether an answer is one."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import httpx

from dialplan.server.doctor.asking import NoAnswer, ask
from dialplan.wire import address, twilio_numbers
from dialplan.wire.twilio_numbers import Account, Application, Number, Page

#: Seconds in which all pages of numbers are read.
LIST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Login:
    """Where Twilio is asked, and as whom."""

    api_url: str
    account_sid: str
    auth_token: str = field(repr=False)
    seconds: float = 10.0
    """For each request."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Twilio did not do what it was asked."""

    message: str
    help: str
    away: bool = False
    """Nobody answered at all: asking for something else is in vain too."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """All phone numbers of the account."""

    numbers: tuple[Number, ...]
    malformed: int = 0


async def account(client: httpx.AsyncClient, login: Login) -> Account | Failed:
    """The account, if the token is accepted."""
    body = await _asked(client, login, "GET", twilio_numbers.account_uri(login.account_sid))
    if isinstance(body, Failed):
        return body
    return twilio_numbers.parse_account(body, login.auth_token) or _no_answer_of_twilio(login)


async def numbers(client: httpx.AsyncClient, login: Login) -> Numbers | Failed:
    """Every number of the account, page by page."""
    try:
        async with asyncio.timeout(LIST_SECONDS):
            return await _all_pages(client, login)
    except TimeoutError:
        return Failed(f"the list of numbers does not end within {LIST_SECONDS:g} s", "try again later")


async def _all_pages(client: httpx.AsyncClient, login: Login) -> Numbers | Failed:
    found: dict[str, Number] = {}
    malformed = 0
    seen = set[str]()
    uri = twilio_numbers.numbers_uri(login.account_sid)
    while uri and uri not in seen:  # An API that leads in a circle has been read to its end.
        seen.add(uri)
        page = await _page(client, login, uri)
        if isinstance(page, Failed):
            return page
        found |= {number.sid: number for number in page.numbers}
        malformed += page.malformed
        uri = page.next_uri
    return Numbers(tuple(found.values()), malformed)


async def _page(client: httpx.AsyncClient, login: Login, uri: str) -> Page | Failed:
    body = await _asked(client, login, "GET", uri)
    return body if isinstance(body, Failed) else twilio_numbers.parse_page(body) or _no_answer_of_twilio(login)


async def applications(client: httpx.AsyncClient, login: Login, sids: Iterable[str]) -> dict[str, Application | Failed]:
    """TwiML applications, all at once: an account has few."""
    wanted = sorted(set(sids))
    found = await asyncio.gather(*(_application(client, login, sid) for sid in wanted))
    return dict(zip(wanted, found, strict=True))


async def _application(client: httpx.AsyncClient, login: Login, sid: str) -> Application | Failed:
    body = await _asked(client, login, "GET", twilio_numbers.application_uri(login.account_sid, sid))
    return body if isinstance(body, Failed) else twilio_numbers.parse_application(body) or _no_answer_of_twilio(login)


async def set_number(
    client: httpx.AsyncClient, login: Login, number: Number, values: Mapping[str, str]
) -> Number | Failed:
    """Set fields of a number; it as it is then."""
    uri = twilio_numbers.number_uri(login.account_sid, number.sid)
    body = await _asked(client, login, "POST", uri, twilio_numbers.form(values))
    return body if isinstance(body, Failed) else twilio_numbers.parse_number(body) or _no_answer_of_twilio(login)


async def _asked(
    client: httpx.AsyncClient, login: Login, method: str, uri: str, form: dict[str, str] | None = None
) -> bytes | Failed:
    answer = await ask(
        client,
        method,
        login.api_url + uri,
        seconds=login.seconds,
        auth=httpx.BasicAuth(login.account_sid, login.auth_token),
        data=form,
    )
    if isinstance(answer, NoAnswer):
        help_text = "look at this machine's way to the internet, and at TWILIO_API_URL where it is set"
        return Failed(f"{_name(login)} {answer.why}", help_text, away=True)
    return answer.body if answer.status in (200, 201) else _refused(login, answer.status, answer.body)


def _refused(login: Login, status: int, body: bytes) -> Failed:
    said = twilio_numbers.parse_refusal(body)
    words = f": {said.message[:200]}" + (f" (error {said.code[:20]})" if said.code else "") if said else ""
    return Failed(f"{_name(login)} answers with status {status}{words}", _help(status))


def _help(status: int) -> str:
    match status:
        case 401 | 403:
            return (
                "TWILIO_ACCOUNT_SID (AC…) and TWILIO_AUTH_TOKEN must be of one account, and the token its auth token: "
                "no API key (SK…) and none of a test account; Twilio's console shows both on its first page"
            )
        case 404:
            return "there is no such account or number there: look at TWILIO_ACCOUNT_SID, and at TWILIO_API_URL"
        case 429:
            return "Twilio was asked too often and wants a pause: try again in a minute"
        case _ if status >= 500:
            return "the trouble is Twilio's: see status.twilio.com, and try again later"
        case _ if 300 <= status < 400:
            return "a redirect is not followed, since it could take the token to a stranger: look at TWILIO_API_URL"
    return "look at TWILIO_API_URL and at what stands between this machine and Twilio"


def _no_answer_of_twilio(login: Login) -> Failed:
    help_text = "something else answers there, such as a proxy or a hotel's network: look at TWILIO_API_URL"
    return Failed(f"{_name(login)} answers with something that Twilio would not", help_text)


def _name(login: Login) -> str:
    return address.host(login.api_url) or "Twilio"
