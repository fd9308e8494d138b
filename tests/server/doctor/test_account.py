"""The Twilio account and its numbers, asked of servers that answer as Twilio does, or otherwise."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dialplan.server.doctor import account, asking
from dialplan.server.doctor.account import Failed, Login, Numbers
from dialplan.server.doctor.findings import Check, State
from dialplan.server.doctor.pointing import should_be
from tests import twilio_rest as standin
from tests.clinic import Clinic
from tests.twilio_rest import SID, TOKEN, raw_server
from tests.world import NUMBER


@pytest.mark.parametrize(
    ("name", "value", "state", "words"),
    [
        ("TWILIO_AUTH_TOKEN", "", State.WRONG, "not set"),
        ("TWILIO_ACCOUNT_SID", "", State.WARNING, "not set"),
        ("TWILIO_AUTH_TOKEN", "canary-wrong", State.WRONG, "status 401: Authenticate (error 20003)"),
        ("TWILIO_AUTH_TOKEN", "canary wrong", State.WRONG, "TWILIO_AUTH_TOKEN holds a space"),
        ("TWILIO_ACCOUNT_SID", "ACother", State.WRONG, "status"),
        ("TWILIO_API_URL", "api.twilio.com", State.WRONG, "TWILIO_API_URL is"),
        ("TWILIO_API_URL", "https://[", State.WRONG, "TWILIO_API_URL is"),
        ("TWILIO_API_URL", "http://no-such-name.invalid", State.WRONG, "cannot be found"),
        ("TWILIO_API_URL", "http://127.0.0.1:1", State.WRONG, "nothing listens there"),
    ],
)
async def test_an_account_that_cannot_be_asked_is_found_and_says_what_to_do(
    clinic: Clinic, name: str, value: str, state: State, words: str
) -> None:
    found = await clinic.worst(Check.TWILIO, **{name: value})

    assert (found.state, bool(found.help)) == (state, True)
    assert words in found.message
    numbers = await clinic.found(Check.NUMBERS, **{name: value})
    assert [f.state for f in numbers] == [State.WARNING]
    assert "not looked at" in numbers[0].message


@pytest.mark.parametrize("path", [f"{SID}.json", "IncomingPhoneNumbers.json"])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (HTMLResponse("<html>Welcome to the hotel"), "something that Twilio would not"),
        (Response("[]"), "something that Twilio would not"),
        (Response("{}"), "something that Twilio would not"),
        (standin.error(429, 20429, "Too many requests"), "status 429: Too many requests"),
        (standin.error(503, 20503, "Down"), "status 503"),
        (HTMLResponse("<html>", 502), "status 502"),
        (standin.error(404, 20404, "Not found"), "status 404"),
        (RedirectResponse("https://evil.example.com/"), "status 307"),
        (Response(bytes(5_000_000)), "more than 4 MB"),
        (Response(b"\x1f\x8b", headers={"content-encoding": "gzip"}), "something that Twilio would not"),
    ],
    ids=["html", "list", "empty", "429", "503", "html 502", "404", "redirect", "huge", "gzip"],
)
async def test_whatever_twilio_answers_is_found_in_words(
    clinic: Clinic, path: str, answer: Response, words: str
) -> None:
    clinic.twilio.instead[path] = answer

    check = Check.TWILIO if path.startswith(SID) else Check.NUMBERS
    found = await clinic.worst(check)

    assert words in found.message
    assert found.state is (State.WRONG if check is Check.TWILIO else State.WARNING)


@pytest.mark.parametrize("status", ["suspended", "closed"])
async def test_an_account_that_is_not_active_is_wrong(clinic: Clinic, status: str) -> None:
    clinic.twilio.account["status"] = status

    assert status in (await clinic.worst(Check.TWILIO)).message


async def test_a_trial_account_is_noted_and_a_secondary_token_a_doubt(clinic: Clinic) -> None:
    clinic.twilio.account |= {"type": "Trial", "auth_token": "canary"}

    trial, secondary = await clinic.found(Check.TWILIO)

    assert (trial.state, "trial" in trial.message) == (State.OK, True)
    assert (secondary.state, "primary" in secondary.message) == (State.WARNING, True)


async def test_numbers_on_every_page_are_looked_at(clinic: Clinic) -> None:
    clinic.twilio.page_size = 2
    for i in range(5):
        clinic.twilio.add(f"+4420000000{i}", **should_be(clinic.variables["PUBLIC_URL"]))

    found = await clinic.found(Check.NUMBERS)

    assert sum("points here, but no agent" in f.message for f in found) == 5
    assert clinic.twilio.asked.count(f"GET /2010-04-01/Accounts/{SID}/IncomingPhoneNumbers.json") == 3


async def test_an_account_without_numbers_and_an_entry_that_is_none_are_doubts(clinic: Clinic) -> None:
    clinic.twilio.numbers[:] = [{"sid": "PN1"}]

    found = [f.message for f in await clinic.found(Check.NUMBERS)]

    assert "1 entry of Twilio's list cannot be understood and was passed over" in found
    assert f"{NUMBER} (a) is no number of this account" in found
    assert "the account has no phone numbers" in found


async def test_an_application_is_asked_where_it_leads(clinic: Clinic) -> None:
    clinic.twilio.numbers[0] |= {"voice_application_sid": "AP1", "voice_url": ""}
    clinic.twilio.applications["AP1"] = {"voice_url": clinic.variables["PUBLIC_URL"] + "/twilio/voice"}

    there = await clinic.worst(Check.NUMBERS)
    clinic.twilio.applications["AP1"] = {"voice_url": "https://other.example.com"}
    elsewhere = await clinic.worst(Check.NUMBERS)
    del clinic.twilio.applications["AP1"]
    gone = await clinic.worst(Check.NUMBERS)

    assert [there.state, elsewhere.state, gone.state] == [State.OK, State.WRONG, State.WARNING]


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["incoming_phone_numbers", "next_page_uri", "status", "sid", "phone_number", "message", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=10,
)
BODIES = st.binary(max_size=200) | ANY_JSON.map(lambda value: json.dumps(value).encode())


def http_answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, len(body)) + body


ANSWERS = st.binary(max_size=300) | st.builds(http_answer, st.integers(100, 599), BODIES)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANSWERS)
def test_whatever_bytes_twilio_sends_there_is_an_answer_in_words(sent: bytes) -> None:
    async def asked() -> None:
        async with raw_server(sent) as url, asking.client() as client:
            login = Login(url, SID, TOKEN, seconds=0.5)
            account_found = await account.account(client, login)
            numbers_found = await account.numbers(client, login)

            assert isinstance(account_found, account.Account | Failed)
            assert isinstance(numbers_found, Numbers | Failed)

    asyncio.run(asked())


def test_a_login_does_not_show_its_token() -> None:
    assert TOKEN not in repr(Login("https://api.twilio.com", SID, TOKEN))
