"""Twilio's numbers: our names held against Twilio's own package, which speaks to the same stand-in."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from dialplan.server.twilio_account import twilio_account
from dialplan.wire import twilio_numbers
from dialplan.wire.twilio_numbers import FORM_FIELDS, Account, Number
from tests.twilio_rest import BOUGHT, SID, TOKEN, TwilioRest, number_sid, twilio_rest
from tests.wire.test_strangers import ANY_JSON, HOSTILE

PHONE = "+15550100001"


class AtHome(TwilioHttpClient):
    """Twilio's package has no setting for the address."""

    def __init__(self, url: str) -> None:
        super().__init__(pool_connections=False)
        self._url = url

    def request(self, method: str, url: str, *rest: Any, **more: Any) -> Any:
        return super().request(method, url.replace("https://api.twilio.com", self._url), *rest, **more)


@pytest.fixture
def rest() -> Iterator[TwilioRest]:
    with twilio_rest() as rest:
        rest.own(PHONE, trunk_sid="TK1", voice_application_sid="AP1", voice_fallback_url="https://f.example/")
        yield rest


def vendors(rest: TwilioRest) -> Client:
    return Client(SID, TOKEN, http_client=AtHome(rest.url))


async def test_we_read_of_a_number_what_twilios_package_reads(rest: TwilioRest) -> None:
    (theirs,) = vendors(rest).incoming_phone_numbers.list()

    async with twilio_account(rest.url, SID, TOKEN) as twilio:
        (ours,) = await twilio.numbers()

    names = ["sid", "phone_number", "voice_application_sid", "trunk_sid", *FORM_FIELDS]
    assert {name: getattr(ours, name) for name in names} == {name: getattr(theirs, name) or "" for name in names}
    assert ours.takes_calls is theirs.capabilities["voice"]  # type: ignore[index]


async def test_we_read_of_the_account_what_twilios_package_reads(rest: TwilioRest) -> None:
    theirs = vendors(rest).api.v2010.accounts(SID).fetch()

    async with twilio_account(rest.url, SID, TOKEN) as twilio:
        ours = await twilio.about()

    assert ours == Account(status=str(theirs.status), type=str(theirs.type))


async def test_we_set_what_twilios_package_sets_by_the_same_names(rest: TwilioRest) -> None:
    values = {name: "POST" if "method" in name else f"https://x.example/{name}#rc=1&rp=5xx" for name in FORM_FIELDS}
    vendors(rest).incoming_phone_numbers(number_sid(PHONE)).update(**values)

    async with twilio_account(rest.url, SID, TOKEN) as twilio:
        (number,) = await twilio.numbers()
        after = await twilio.change(number, values)

    assert rest.forms[0] == rest.forms[1]
    assert {name: getattr(after, name) for name in FORM_FIELDS} == values
    assert rest.asked[-1] == rest.asked[0] == f"POST /2010-04-01/Accounts/{SID}/IncomingPhoneNumbers/{number.sid}.json"


def test_what_is_null_or_not_there_is_empty() -> None:
    body = json.dumps({"sid": number_sid("1"), "phone_number": PHONE, "voice_url": None}).encode()

    assert twilio_numbers.read_number(body) == Number(number_sid("1"), PHONE)


@pytest.mark.parametrize("uri", ["https://evil.example/", "@evil.example/", ".evil.example/", 7, {}])
def test_a_next_page_elsewhere_is_no_page(uri: Any) -> None:
    with pytest.raises(ValueError, match="not a page"):
        twilio_numbers.read_page(json.dumps({"incoming_phone_numbers": [], "next_page_uri": uri}).encode())


READERS = [twilio_numbers.read_account, twilio_numbers.read_page, twilio_numbers.read_number]


@given(body=st.binary() | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_read_is_a_value_or_no_value(body: bytes) -> None:
    for read in READERS:
        with contextlib.suppress(ValueError):
            read(body)
    assert isinstance(twilio_numbers.read_refusal(body), str)


@given(
    name=st.sampled_from(["sid", "phone_number", *BOUGHT]),
    value=st.sampled_from(HOSTILE) | ANY_JSON,
)
def test_a_number_with_any_field_of_another_kind_is_a_value_or_no_value(name: str, value: Any) -> None:
    number = {**BOUGHT, "sid": number_sid("1"), "phone_number": PHONE, name: value}
    try:
        read = twilio_numbers.read_page(json.dumps({"incoming_phone_numbers": [number]}).encode()).numbers[0]
    except ValueError:
        return
    assert all(isinstance(getattr(read, field), str) for field in FORM_FIELDS)
    repr(read).encode()
