"""--fix: the plan, and what is set at Twilio's numbers."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from starlette.responses import HTMLResponse, Response
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from dialplan.server.doctor import examination
from dialplan.server.doctor.examination import Examination
from dialplan.server.doctor.findings import Finding, State, any_wrong, as_text
from dialplan.server.doctor.pointing import should_be
from dialplan.wire.twiml import RETRIED
from tests import twilio_rest as standin
from tests.clinic import Clinic
from tests.twilio_rest import SID, TOKEN
from tests.world import AGENT, NUMBER, project

OTHER = "+15550100002"


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
