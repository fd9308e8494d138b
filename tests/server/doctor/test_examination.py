"""The whole examination, and --fix: a project, the servers around it over real sockets, and what is found."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from dialplan.config.dialplan import Dialplan
from dialplan.config.loading import Loading
from dialplan.rehearsal import service as rehearsal_service
from dialplan.server.doctor import account, asking, examination
from dialplan.server.doctor.account import Failed, Login, Numbers
from dialplan.server.doctor.examination import Examination
from dialplan.server.doctor.findings import Check, Finding, State, any_wrong, as_json, as_text
from dialplan.server.doctor.pointing import should_be
from dialplan.wire.twiml import RETRIED
from tests import twilio_rest as standin
from tests.clinic import Clinic, loaded
from tests.twilio_rest import SID, TOKEN, http_server, raw_server
from tests.world import AGENT, NUMBER, project, server_for

OTHER = "+15550100002"


async def test_where_all_is_well_nothing_is_wrong_and_nothing_is_changed(clinic: Clinic) -> None:
    examined = await clinic.examined()
    findings = examined.all_findings()

    doubts = [f for f in findings if f.state is not State.OK]
    assert [f.check for f in doubts] == [Check.PUBLIC_URL]  # It is an address of this machine.
    assert not any_wrong(findings)
    assert {f.check for f in findings} == set(Check)
    assert clinic.twilio.forms == []
    assert all(line.startswith("GET ") for line in clinic.twilio.asked)
    assert clinic.deepgram.heard == []  # No Settings: nothing begins.


async def test_findings_are_printed_in_groups_and_as_objects(clinic: Clinic) -> None:
    findings = (await clinic.examined(DEEPGRAM_API_KEY="wrong-canary")).all_findings()

    text, rows = as_text(findings), json.loads(as_json(findings))

    titles = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert titles[:-1] == ["Python", "Project files", "Deepgram", "Twilio", "Public URL", "Numbers"]
    assert titles[-1] == "1 wrong; 1 warning"
    assert "\n  wrong    127.0.0.1" in text
    assert all(set(row) == {"check", "state", "message", "help"} for row in rows)
    assert all(row["help"] for row in rows if row["state"] == "wrong")
    assert "canary" not in text + json.dumps(rows)


def test_what_a_stranger_sends_cannot_command_a_terminal() -> None:
    text = as_text([Finding(Check.TWILIO, State.WRONG, "a\x1b[2Jb\nc\ud800", "d\x07")])

    assert all(c.isprintable() or c == "\n" for c in text)
    assert "a?[2Jb?c?" in text


# The project.


async def test_a_file_with_a_mistake_is_wrong_and_names_the_command_that_shows_it(clinic: Clinic) -> None:
    (clinic.root / "agents" / "bad.yaml").write_text("voise: x\n")
    clinic.loading = loaded(clinic.root)

    found = await clinic.worst(Check.PROJECT)

    assert found.state is State.WRONG
    assert "bad" in found.message
    assert "dialplan check" in found.help


# Deepgram.


async def test_the_real_stand_in_of_the_speech_service_accepts_too(clinic: Clinic) -> None:
    async with rehearsal_service.offline(clinic.loading.dialplan.agents) as service:
        assert (await clinic.worst(Check.DEEPGRAM, DEEPGRAM_URL=service.url)).state is State.OK


async def test_agents_with_a_key_of_their_own_are_looked_at_too_each_key_once(clinic: Clinic) -> None:
    for name in ("one", "two"):
        (clinic.root / "agents" / f"{name}.yaml").write_text('prompt: x\ndeepgram: {api_key: "${TENANT_KEY}"}\n')
    clinic.loading = loaded(clinic.root)

    refused = await clinic.found(Check.DEEPGRAM)
    clinic.deepgram.keys.add("tenant-canary")
    accepted = await clinic.found(Check.DEEPGRAM)

    assert [f.state for f in refused] == [State.OK, State.WRONG]
    assert "${TENANT_KEY} (of one, two)" in refused[1].message
    assert [f.state for f in accepted] == [State.OK, State.OK]
    assert len(clinic.deepgram.shown) == 4


@pytest.mark.parametrize(
    ("key", "words"), [("", "is not set"), ("wrong", "status 401"), ("“dg key”", "no key has"), ("k\n", "no key has")]
)
async def test_a_key_that_is_not_accepted_is_wrong_and_says_what_to_do(clinic: Clinic, key: str, words: str) -> None:
    found = await clinic.worst(Check.DEEPGRAM, DEEPGRAM_API_KEY=key)

    assert (found.state, bool(found.help)) == (State.WRONG, True)
    assert words in found.message


@pytest.mark.parametrize(
    "first", ["no JSON", '{"type": "History"}', b"\x00\x01", '{"type": "Error", "code": "INTERNAL_SERVER_ERROR"}', None]
)
async def test_a_service_that_does_not_begin_with_welcome_is_wrong(clinic: Clinic, first: str | bytes | None) -> None:
    clinic.deepgram.first = first

    found = await clinic.worst(Check.DEEPGRAM, seconds="0.5" if first is None else "5")

    assert (found.state, bool(found.help)) == (State.WRONG, True)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "status 403"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "status 404"),
        (b"HTTP/1.1 302 Found\r\nlocation: https://x\r\ncontent-length: 0\r\n\r\n", "status 302"),
        (b"HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\n\r\n", "status 503"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<html", "status 200"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 3_000_000, ""),
        (b"", ""),
        (b"SSH-2.0\r\n", ""),
        (None, "within 1 s"),
    ],
    ids=["403", "404", "redirect", "503", "html", "huge", "closed", "ssh", "silent"],
)
async def test_something_else_at_deepgrams_address_is_wrong(clinic: Clinic, sent: bytes | None, words: str) -> None:
    async with raw_server(sent) as url:
        found = await clinic.worst(Check.DEEPGRAM, DEEPGRAM_URL=url.replace("http", "ws") + "/v1", seconds="1")

    assert (found.state, bool(found.help)) == (State.WRONG, True)
    assert words in found.message


async def test_too_many_sessions_at_the_moment_is_a_doubt(clinic: Clinic) -> None:
    async with raw_server(b"HTTP/1.1 429 Too Many\r\ncontent-length: 0\r\n\r\n") as url:
        found = await clinic.worst(Check.DEEPGRAM, DEEPGRAM_URL=url.replace("http", "ws"))

    assert found.state is State.WARNING


# Twilio.


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


# The public URL.


async def test_a_server_that_is_this_one_is_told_by_its_proof(clinic: Clinic) -> None:
    found = await clinic.found(Check.PUBLIC_URL)

    assert [f.message for f in found if f.state is State.OK] == [
        f"{clinic.variables['PUBLIC_URL']} leads to this server",
        "WebSockets come through",
    ]


@pytest.mark.usefixtures("directly")
async def test_a_server_as_serve_runs_it_is_told_too(clinic: Clinic) -> None:
    async with server_for(clinic.loading, "ws://127.0.0.1:1") as world:
        found = await clinic.found(Check.PUBLIC_URL, PUBLIC_URL=world.url, DIALPLAN_SECRET="secret")

    assert [f.message for f in found if f.state is State.OK] == [
        f"{world.url} leads to this server",
        "WebSockets come through",
    ]


async def test_a_server_with_another_secret_is_another_dialplan(clinic: Clinic) -> None:
    found = await clinic.worst(Check.PUBLIC_URL, DIALPLAN_SECRET="canary")

    assert (found.state, "another secret" in found.message) == (State.WRONG, True)


async def test_a_server_that_has_other_agents_is_a_doubt(clinic: Clinic) -> None:
    (clinic.root / "agents" / "b.yaml").write_text(f'numbers: ["{OTHER}"]\nprompt: x\n')
    clinic.loading = loaded(clinic.root)

    found = [f for f in await clinic.found(Check.PUBLIC_URL) if "restart" in f.help]

    assert [f.state for f in found] == [State.WARNING]


async def test_without_any_secret_it_cannot_be_told_who_answers(clinic: Clinic) -> None:
    found = [f for f in await clinic.found(Check.PUBLIC_URL, TWILIO_AUTH_TOKEN="") if "cannot be told" in f.message]

    assert [f.state for f in found] == [State.WARNING]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (PlainTextResponse("alive"), "something that is not this server"),
        (HTMLResponse("<html>nginx"), "something that is not this server"),
        (PlainTextResponse("alive", headers={"dialplan-proof": "0" * 64}), "something that is not this server"),
        (RedirectResponse("https://u:canary@www.example.com/healthz?canary"), "redirects to https://…@www.example.com"),
        (HTMLResponse("<html>", 404), "status 404"),
        (HTMLResponse("<html>", 502), "no server behind it"),
        (HTMLResponse("<html>", 401), "status 401"),
        (Response(bytes(5_000_000)), "more than 4 MB"),
    ],
    ids=["alive", "nginx", "false proof", "redirect", "404", "502", "401", "huge"],
)
async def test_something_else_at_the_public_url_is_wrong(clinic: Clinic, answer: Response, words: str) -> None:
    async with http_server(answer) as url:
        found = await clinic.worst(Check.PUBLIC_URL, PUBLIC_URL=url)

    assert (found.state, bool(found.help)) == (State.WRONG, True)
    assert words in found.message


@pytest.mark.parametrize(
    ("url", "state", "words"),
    [
        ("", State.WARNING, "not set"),
        ("voice.example.com", State.WRONG, "whole address"),
        ("https://[", State.WRONG, "whole address"),
        ("https://x.invalid/twilio/voice", State.WRONG, "address only"),
        ("https://x.invalid", State.WRONG, "cannot be found"),
        ("http://127.0.0.1:1", State.WRONG, "nothing listens there"),
    ],
)
async def test_a_public_url_that_leads_nowhere_is_found(clinic: Clinic, url: str, state: State, words: str) -> None:
    found = await clinic.worst(Check.PUBLIC_URL, PUBLIC_URL=url)

    assert (found.state, bool(found.help)) == (state, True)
    assert words in found.message


async def test_an_address_that_is_no_https_is_a_doubt_of_its_own(clinic: Clinic) -> None:
    found = await clinic.found(Check.PUBLIC_URL, PUBLIC_URL="http://voice.example.invalid.")

    assert [f.state for f in found] == [State.WARNING, State.WRONG]


async def test_a_proxy_that_passes_no_websockets_on_is_a_doubt(clinic: Clinic) -> None:
    """It forwards requests, and loses the headers of an upgrade."""

    async def forward(request: Request) -> Response:
        async with httpx.AsyncClient() as client:
            headers = {name: value for name, value in request.headers.items() if name.startswith("dialplan-")}
            url = f"{clinic.variables['PUBLIC_URL']}{request.url.path}?{request.url.query}"
            answer = await client.get(url, headers=headers)
            return Response(answer.content, answer.status_code, dict(answer.headers))

    async with http_server(Starlette(routes=[Route("/{path:path}", forward)]), ws="none") as url:
        found = await clinic.found(Check.PUBLIC_URL, PUBLIC_URL=url)

    assert [f.message for f in found if f.state is State.OK] == [f"{url} leads to this server"]
    assert any(f.state is State.WARNING and "WebSockets do not seem to come through" in f.message for f in found)


async def test_everything_is_asked_at_once(clinic: Clinic) -> None:
    """Three that say nothing take as long as one."""
    async with raw_server(None) as url:
        silent = {"TWILIO_API_URL": url, "DEEPGRAM_URL": url.replace("http", "ws"), "PUBLIC_URL": url}
        began = asyncio.get_running_loop().time()
        findings = (await clinic.examined(**silent, seconds="1")).all_findings()
        took = asyncio.get_running_loop().time() - began

    assert sum("within 1 s" in f.message for f in findings) == 4
    assert took < 2.9


# --fix.


async def fixed(clinic: Clinic, examined: Examination) -> list[Finding]:
    return await asyncio.to_thread(examination.fix, examined)


async def test_the_plan_shows_number_field_old_and_new_without_passwords(clinic: Clinic) -> None:
    public = clinic.variables["PUBLIC_URL"]
    clinic.twilio.numbers[0] |= {"voice_url": "https://u:canary@old.example.com/x?canary", "status_callback": ""}

    plan = (await clinic.examined()).plan()

    assert plan.splitlines() == [
        "To be set at Twilio, 2 fields of 1 number:",
        f"  {NUMBER} (a)",
        f"    voice URL        https://…@old.example.com/x?… → {public}/twilio/voice",
        f"    status callback  nothing → {public}/twilio/status",
        f"  But {public} is an address of this machine or network, which Twilio cannot reach",
    ]


async def test_the_plan_says_where_the_public_url_leads_elsewhere(clinic: Clinic) -> None:
    plan = (await clinic.examined(PUBLIC_URL="https://x.invalid")).plan()

    assert "  But https://x.invalid cannot be found" in plan


async def test_a_password_in_the_public_url_is_not_shown_either(clinic: Clinic) -> None:
    examined = await clinic.examined(PUBLIC_URL=clinic.variables["PUBLIC_URL"].replace("://", "://u:canary@"))

    assert "canary" not in examined.plan() + as_text(examined.all_findings())
    assert "#ct=" in examined.plan()


async def test_what_is_planned_is_set_and_nothing_else(clinic: Clinic) -> None:
    untouched = [
        clinic.twilio.add("+442000000000", voice_url="https://other.example.com"),
        clinic.twilio.add("+442000000001", trunk_sid="TK1"),
    ]
    before = json.dumps(untouched)
    public = clinic.variables["PUBLIC_URL"]
    clinic.twilio.numbers[0] |= {
        "voice_url": "",
        "voice_fallback_url": "",
        "status_callback": "",
        "voice_method": "GET",
    }

    done = await fixed(clinic, await clinic.examined())

    assert [f.state for f in done] == [State.OK]
    assert clinic.twilio.forms == [
        (
            NUMBER,
            {
                "VoiceUrl": f"{public}/twilio/voice",
                "VoiceMethod": "POST",
                "VoiceFallbackUrl": f"{public}/twilio/voice{RETRIED}",
                "StatusCallback": f"{public}/twilio/status",
            },
        )
    ]
    assert json.dumps(untouched) == before
    assert not any_wrong((await clinic.examined()).all_findings())
    assert not (await clinic.examined()).judgement.corrections


async def test_twilios_own_package_sends_the_same(clinic: Clinic) -> None:
    values = should_be(clinic.variables["PUBLIC_URL"])
    number = clinic.twilio.numbers[0]
    number |= dict.fromkeys(values, "") | {
        "voice_method": "GET",
        "voice_fallback_method": "GET",
        "status_callback_method": "GET",
    }
    sid = str(number["sid"])

    class Here(TwilioHttpClient):
        def request(self, method: str, url: str, *arguments: Any, **options: Any) -> Any:
            return super().request(
                method, url.replace("https://api.twilio.com", clinic.twilio.url), *arguments, **options
            )

    def by_the_package() -> None:
        http = Here(pool_connections=False)
        Client(SID, TOKEN, http_client=http).incoming_phone_numbers(sid).update(**values)  # type: ignore[arg-type]

    done = await fixed(clinic, await clinic.examined())
    await asyncio.to_thread(by_the_package)

    ours, theirs = clinic.twilio.forms
    assert ours == theirs
    assert [f.state for f in done] == [State.OK]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (standin.error(400, 21402, "VoiceUrl is not valid"), "VoiceUrl is not valid (error 21402)"),
        (standin.error(401, 20003, "Authenticate"), "status 401"),
        (standin.error(429, 20429, "Too many requests"), "status 429"),
        (HTMLResponse("<html>"), "something that Twilio would not"),
        (Response('{"sid": "PN1", "phone_number": "+1"}'), "still has another voice URL"),
    ],
    ids=["400", "401", "429", "html", "kept"],
)
async def test_what_could_not_be_set_is_told_and_the_rest_is_set(clinic: Clinic, answer: Response, words: str) -> None:
    clinic.loading = project(clinic.root, a=AGENT, b=f'numbers: ["{OTHER}"]\nprompt: x\n')
    clinic.twilio.numbers[0]["voice_url"] = ""
    clinic.twilio.add(OTHER)
    clinic.twilio.instead[f"{clinic.twilio.numbers[0]['sid']}.json"] = answer

    bad, good = await fixed(clinic, await clinic.examined())

    assert (bad.state, bool(bad.help), good.state) == (State.WRONG, True, State.OK)
    assert words in bad.message
    assert [number for number, _ in clinic.twilio.forms] == [OTHER]


async def test_when_twilio_is_gone_in_the_middle_the_rest_is_not_tried(clinic: Clinic) -> None:
    clinic.loading = project(clinic.root, a=AGENT, b=f'numbers: ["{OTHER}"]\nprompt: x\n')
    clinic.twilio.numbers[0]["voice_url"] = ""
    clinic.twilio.add(OTHER)
    examined = await clinic.examined()
    assert examined.login is not None

    done = await fixed(clinic, replace(examined, login=replace(examined.login, api_url="http://127.0.0.1:1")))

    assert [f.state for f in done] == [State.WRONG, State.WRONG]
    assert "was not set" in done[0].message
    assert "was not tried" in done[1].message


# Whatever is answered.

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


NAMES = [
    "TWILIO_AUTH_TOKEN",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_API_URL",
    "DEEPGRAM_API_KEY",
    "DEEPGRAM_URL",
    "PUBLIC_URL",
    "DIALPLAN_SECRET",
]
HOSTILE = [
    *[
        "",
        " ",
        "\udcff",
        "\x00",
        "ü",
        "x" * 9999,
        "https://",
        "wss://",
        "https://\udcff.invalid",
        "https://a..b",
        "//x",
    ],
    *["http://127.0.0.1:1", "ws://127.0.0.1:1", "http://u:p@127.0.0.1:1/?x#y", "https://a:0", "https://a:99999"],
    *["http://[::1]:1", "ws://[::1", "https://x.invalid\n", "http://127.0.0.1:1/\x00", "ws://127.0.0.1:1/\r\nx: y"],
]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        # An address that is not set is the vendor's own, which no test may ask.
        {name: st.sampled_from(HOSTILE[1:] if name.endswith("_URL") else HOSTILE) for name in NAMES}
    )
)
def test_whatever_the_variables_are_the_examination_ends_in_findings(variables: dict[str, str]) -> None:
    examined = examination.examine(Loading(Dialplan(), (), {}, ()), variables, 0.5)

    findings = examined.all_findings()
    assert {finding.check for finding in findings} == set(Check)
    assert all(finding.help for finding in findings if finding.state is State.WRONG)
    assert as_text(findings).encode()
    json.loads(as_json(findings))


def test_a_login_does_not_show_its_token() -> None:
    assert TOKEN not in repr(Login("https://api.twilio.com", SID, TOKEN))
