"""Twilio's account and numbers, held against Twilio's own package."""

import inspect
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.base.version import Version
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client
from twilio.rest.api.v2010.account import AccountInstance
from twilio.rest.api.v2010.account.application import ApplicationInstance
from twilio.rest.api.v2010.account.incoming_phone_number import (
    IncomingPhoneNumberContext,
    IncomingPhoneNumberInstance,
    IncomingPhoneNumberPage,
)

from dialplan.wire import twilio_numbers
from dialplan.wire.twilio_numbers import FORM_NAMES, Account, Number

TOKEN = "t" * 32

NUMBER: dict[str, Any] = {
    "sid": "PN1",
    "phone_number": "+15550100001",
    "capabilities": {"voice": True, "sms": False},
    "voice_receive_mode": "voice",
    "voice_url": "https://a.example.com/voice",
    "voice_method": "GET",
    "voice_fallback_url": "https://a.example.com/fallback",
    "voice_fallback_method": "POST",
    "status_callback": "https://a.example.com/status",
    "status_callback_method": "POST",
    "voice_application_sid": "AP1",
    "trunk_sid": "TK1",
}


@pytest.fixture
def version() -> Version:
    return Client("AC1", TOKEN).api.v2010


def number(**fields: Any) -> Number:
    found = twilio_numbers.parse_number(json.dumps({**NUMBER, **fields}).encode())
    assert found is not None
    return found


def test_every_field_of_a_number_is_read_as_twilios_package_reads_it(version: Version) -> None:
    theirs = IncomingPhoneNumberInstance(version, NUMBER, "AC1")
    ours = number()

    for name in (*FORM_NAMES, "sid", "phone_number", "voice_application_sid", "trunk_sid"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert theirs.capabilities == {"voice": True, "sms": False}  # Where `voice` stands.
    assert theirs.voice_receive_mode == "voice"


def test_every_field_that_is_set_has_the_name_that_twilios_package_sends() -> None:
    source = inspect.getsource(IncomingPhoneNumberContext._update)  # type: ignore[attr-defined]

    for python_name, form_name in FORM_NAMES.items():
        assert f'"{form_name}": {python_name},' in source


def test_an_account_and_an_application_are_read_as_twilios_package_reads_them(version: Version) -> None:
    fields = {"sid": "AC1", "status": "active", "type": "Trial", "auth_token": TOKEN}
    application = {"sid": "AP1", "voice_url": "https://x", "voice_method": "GET"}

    account = AccountInstance(version, fields)
    theirs = ApplicationInstance(version, application, "AC1")
    ours = twilio_numbers.parse_application(json.dumps(application).encode())

    assert twilio_numbers.parse_account(json.dumps(fields).encode(), TOKEN) == Account("active", "Trial", True)
    assert (account.status, account.type, account.auth_token) == ("active", "Trial", TOKEN)
    assert ours is not None
    assert (ours.voice_url, ours.voice_method) == (theirs.voice_url, theirs.voice_method)
    assert {AccountInstance.Status.ACTIVE, AccountInstance.Type.TRIAL} == {"active", "Trial"}


def test_addresses_are_those_that_twilios_package_asks() -> None:
    asked: list[str] = []

    class Listening(TwilioHttpClient):
        def request(self, method: str, url: str, *arguments: Any, **options: Any) -> Any:
            asked.append(url.removeprefix(twilio_numbers.DEFAULT_URL))
            raise ConnectionError

    account = Client("AC1", TOKEN, http_client=Listening()).api.accounts("AC1")
    for ask in (
        account.fetch,
        account.incoming_phone_numbers.list,
        account.incoming_phone_numbers("PN1").update,
        account.applications("AP1").fetch,
    ):
        with pytest.raises(ConnectionError):
            ask()

    assert asked == [
        twilio_numbers.account_uri("AC1"),
        twilio_numbers.numbers_uri("AC1").partition("?")[0],
        twilio_numbers.number_uri("AC1", "PN1"),
        twilio_numbers.application_uri("AC1", "AP1"),
    ]


def test_a_page_names_the_next_one_as_twilios_package_finds_it(version: Version) -> None:
    body = {"incoming_phone_numbers": [NUMBER], "next_page_uri": "/2010-04-01/x?Page=1", "page": 0}
    page = twilio_numbers.parse_page(json.dumps(body).encode())

    response = type("Response", (), {"text": json.dumps(body), "status_code": 200})()
    theirs = IncomingPhoneNumberPage(version, response, {"account_sid": "AC1"})

    assert page is not None
    assert theirs.next_page_url == twilio_numbers.DEFAULT_URL + page.next_uri
    assert [n.phone_number for n in page.numbers] == ["+15550100001"]


def test_what_is_not_set_is_empty_whether_null_or_missing() -> None:
    bare = twilio_numbers.parse_number(b'{"sid": "PN1", "phone_number": "+1", "voice_url": null}')

    assert bare is not None
    assert (bare.voice_url, bare.trunk_sid, bare.takes_calls) == ("", "", True)


def test_a_number_for_messages_or_faxes_takes_no_calls() -> None:
    assert not number(capabilities={"voice": False, "sms": True}).takes_calls
    assert not number(voice_receive_mode="fax").takes_calls


def test_a_malformed_number_costs_the_page_no_other() -> None:
    body = {"incoming_phone_numbers": [{"sid": 1}, NUMBER, None, {**NUMBER, "voice_url": 5}], "next_page_uri": None}

    page = twilio_numbers.parse_page(json.dumps(body).encode())

    assert page is not None
    assert (len(page.numbers), page.malformed) == (1, 3)


def test_a_next_page_at_another_host_is_not_followed() -> None:
    body = {"incoming_phone_numbers": [], "next_page_uri": "https://evil.example.com/"}

    assert twilio_numbers.parse_page(json.dumps(body).encode()) is None


def test_a_token_that_is_not_the_primary_one_is_told_and_not_kept() -> None:
    found = twilio_numbers.parse_account(b'{"status": "active", "type": "Full", "auth_token": "canary"}', TOKEN)

    assert found == Account("active", "Full", False)
    assert "canary" not in repr(found)


@pytest.mark.parametrize("sid", ["AC1/../../x", "AC1?x=1", "AC1#x"])
def test_a_strange_account_stays_one_part_of_the_address(sid: str) -> None:
    assert twilio_numbers.account_uri(sid).count("/") == 3
    assert not {"?", "#"} & set(twilio_numbers.account_uri(sid))


ANY_TEXT = st.text(st.characters())
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*NUMBER, "message", "status", "auth_token"]) | ANY_TEXT, inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.binary() | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_answered_nothing_is_raised(body: bytes) -> None:
    twilio_numbers.parse_account(body, TOKEN)
    twilio_numbers.parse_application(body)
    twilio_numbers.parse_number(body)
    twilio_numbers.parse_page(body)
    twilio_numbers.parse_refusal(body)


@given(ANY_JSON)
def test_whatever_is_in_a_list_of_numbers_nothing_is_raised(value: Any) -> None:
    for body in ({"incoming_phone_numbers": value}, {"incoming_phone_numbers": [], "next_page_uri": value}):
        twilio_numbers.parse_page(json.dumps(body).encode())
