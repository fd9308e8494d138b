"""The operator's Twilio account by its REST API: what it is, which numbers it has, and setting where these lead.

Its names are in wire/twilio_numbers.py. Three requests do without Twilio's own package, which keeps no time limit where
asyncio is used and brings aiohttp along.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx

from dialplan.errors import PeerRefused
from dialplan.server import asking
from dialplan.wire import twilio_numbers
from dialplan.wire.twilio_numbers import Account, Number

#: Seconds for one request.
SECONDS = 5.0

#: Of a thousand numbers each.
MAX_PAGES = 20

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """An account that can be asked. Everything raises PeerError, whose text goes on after "Twilio"."""

    _client: httpx.AsyncClient
    _url: str
    _sid: str

    async def about(self) -> Account:
        """The account itself."""
        return await self._ask("GET", twilio_numbers.account_path(self._sid), twilio_numbers.read_account)

    async def numbers(self) -> list[Number]:
        """Every number of the account."""
        path, numbers = twilio_numbers.numbers_path(self._sid), list[Number]()
        for _ in range(MAX_PAGES):
            page = await self._ask("GET", path, twilio_numbers.read_page)
            numbers += page.numbers
            if not page.next:
                return numbers
            path = page.next
        raise PeerRefused(f"has more than {MAX_PAGES} pages of phone numbers")

    async def change(self, number: Number, values: Mapping[str, str]) -> Number:
        """Set these fields of a number and no others; returns what Twilio holds afterwards."""
        path = twilio_numbers.number_path(self._sid, number.sid)
        return await self._ask("POST", path, twilio_numbers.read_number, twilio_numbers.form(values))

    async def _ask(
        self, method: str, path: str, read: Callable[[bytes], _Read], form: Mapping[str, str] | None = None
    ) -> _Read:
        answer = await asking.ask(self._client, method, self._url + path, within=SECONDS, form=form)
        if answer.status != 200:
            raise PeerRefused(_refusal(answer), answer.status)
        try:
            return read(answer.body)
        except ValueError as exc:
            raise PeerRefused(f"answered with something else: {exc}") from exc


@asynccontextmanager
async def twilio_account(url: str, sid: str, auth_token: str) -> AsyncIterator[TwilioAccount]:
    """Args: Twilio's address without a slash at its end, the account's id, its primary auth token."""
    async with asking.client((sid, auth_token)) as client:
        yield TwilioAccount(client, url, sid)


def _refusal(answer: asking.Answer) -> str:
    said = twilio_numbers.read_refusal(answer.body)
    return f"answered with status {answer.status}" + (f": {said}" if said else "")
