"""The webhook and what follows it, over real HTTP; Twilio's own package signs."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from twilio.request_validator import RequestValidator

from dialplan.server.ledger import Folder
from tests.world import AGENT, AUTH_TOKEN, NUMBER, ScriptedSession, World, project, server_for, speech_service

PUBLIC = "https://voice.example.com"


async def never(session: ScriptedSession) -> None:
    """A service that opens and says nothing more."""
    await session.open()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    other = 'numbers: ["+1800*"]\nprompt: x\nlimits: {calls: 1}\nnotice: This call may be recorded.\nlanguage: en-GB\n'
    loading = project(tmp_path, a=AGENT, other=other)
    async with speech_service(never) as service, server_for(loading, service.url) as world:
        yield world


def form(**fields: str) -> dict[str, str]:
    return {"CallSid": "CA1", "AccountSid": "AC1", "From": "+15550109999", "To": NUMBER, "FromCity": "", **fields}


async def post(world: World, path: str, fields: Mapping[str, Any], signature: str | None = None) -> httpx.Response:
    if signature is None:
        signature = RequestValidator(AUTH_TOKEN).compute_signature(PUBLIC + path, dict(fields))
    async with httpx.AsyncClient() as client:
        return await client.post(world.url + path, data=dict(fields), headers={"x-twilio-signature": signature})


def parameters(document: str) -> dict[str, str]:
    return {p.attrib["name"]: p.attrib["value"] for p in ET.fromstring(document).iter("Parameter")}


async def test_a_call_is_answered_with_a_stream_and_what_comes_after_it(world: World) -> None:
    answer = await post(world, "/twilio/voice", form())

    response = ET.fromstring(answer.text)
    connect = response[0]
    assert answer.headers["content-type"].startswith("text/xml")
    assert [verb.tag for verb in response] == ["Connect"]
    assert connect.attrib["action"].startswith(f"{PUBLIC}/twilio/next?")
    assert "#" in connect.attrib["action"]  # Twilio's connection overrides: it asks again while a process restarts.
    assert connect[0].attrib["url"] == "wss://voice.example.com/twilio/stream"
    assert parameters(answer.text)["to"] == NUMBER
    assert parameters(answer.text)["token"]


async def test_a_notice_is_spoken_before_the_stream(world: World) -> None:
    answer = await post(world, "/twilio/voice", form(To="+18005550100"))

    response = ET.fromstring(answer.text)
    assert [verb.tag for verb in response] == ["Say", "Connect"]
    assert response[0].text == "This call may be recorded."
    assert response[0].attrib["language"] == "en-GB"


async def test_a_retried_webhook_gets_the_same_answer_and_no_second_session(world: World) -> None:
    first = await post(world, "/twilio/voice", form())
    second = await post(world, "/twilio/voice", form())

    assert first.text == second.text
    assert len(world.live) == 1


async def test_an_unknown_number_hears_one_line_and_the_end(world: World) -> None:
    answer = await post(world, "/twilio/voice", form(To="+15550000000"))

    assert [verb.tag for verb in ET.fromstring(answer.text)] == ["Say", "Hangup"]
    assert len(world.live) == 0


async def test_one_call_too_many_is_rejected_as_busy(world: World) -> None:
    await post(world, "/twilio/voice", form(To="+18005550100"))

    answer = await post(world, "/twilio/voice", form(To="+18005550101", CallSid="CA2"))

    assert ET.fromstring(answer.text)[0].tag == "Reject"
    assert ET.fromstring(answer.text)[0].attrib == {"reason": "busy"}


async def test_while_draining_new_calls_are_rejected_and_the_server_is_alive_but_not_ready(world: World) -> None:
    world.live.draining = True

    answer = await post(world, "/twilio/voice", form())
    async with httpx.AsyncClient(base_url=world.url) as client:
        ready, alive = await client.get("/readyz"), await client.get("/healthz")

    assert ET.fromstring(answer.text)[0].tag == "Reject"
    assert (ready.status_code, alive.status_code) == (503, 200)


async def test_while_calls_are_moved_a_new_one_is_sent_to_whoever_lives(world: World) -> None:
    world.live.draining = world.live.moving = True

    response = await post(world, "/twilio/voice", form())
    redirect = ET.fromstring(response.text)[0]

    assert redirect.tag == "Redirect"
    assert (redirect.text or "").startswith("https://voice.example.com/twilio/voice#")


@pytest.mark.parametrize("path", ["/twilio/voice", "/twilio/next", "/twilio/status"])
@pytest.mark.parametrize("signature", ["", "wrong", "ü", "A" * 5000])
async def test_without_twilios_signature_nothing_is_answered(world: World, path: str, signature: str) -> None:
    async with httpx.AsyncClient() as client:
        headers = {"x-twilio-signature": signature.encode()} if signature else {}
        answer = await client.post(world.url + path, data=form(), headers=headers)

    assert answer.status_code == 403
    assert "<" not in answer.text
    assert len(world.live) == 0


async def test_a_signature_for_other_fields_is_refused(world: World) -> None:
    stolen = RequestValidator(AUTH_TOKEN).compute_signature(f"{PUBLIC}/twilio/voice", form())

    answer = await post(world, "/twilio/voice", form(To="+18005550100"), signature=stolen)

    assert answer.status_code == 403


async def test_twilio_may_sign_the_port_or_leave_it_out(world: World) -> None:
    signature = RequestValidator(AUTH_TOKEN).compute_signature("https://voice.example.com:443/twilio/voice", form())

    answer = await post(world, "/twilio/voice", form(), signature=signature)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/x-www-form-urlencoded", 403),
        (b"x" * 100_000, "application/x-www-form-urlencoded", 413),
        (b'{"CallSid": "CA1"}', "application/json", 415),
        (b"CallSid=CA1", "", 415),
        (b"\xff\xfe=%ff", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a%d=1" % i for i in range(1000)), "application/x-www-form-urlencoded", 400),
        (b"--x\r\n", "multipart/form-data; boundary=x", 415),
    ],
    ids=["empty", "huge", "json", "no type", "not utf-8", "a thousand fields", "multipart"],
)
async def test_rubbish_gets_a_status_and_no_traceback(
    world: World, body: bytes, content_type: str, status: int
) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{world.url}/twilio/voice", content=body, headers={"content-type": content_type})

    assert answer.status_code == status
    assert "Traceback" not in answer.text


async def test_a_signed_form_without_a_call_is_refused(world: World) -> None:
    answer = await post(world, "/twilio/voice", {"To": NUMBER})

    assert answer.status_code == 400


@pytest.mark.parametrize("call_sid", ["", "CA" * 200, "CA1\r\n2026-11-24 ERROR", "CA\x1b[2J", "\x00"])
async def test_a_signed_form_whose_call_has_an_impossible_name_is_refused(world: World, call_sid: str) -> None:
    answer = await post(world, "/twilio/voice", form(CallSid=call_sid))

    assert answer.status_code == 400
    assert len(world.live) == 0


async def test_get_is_not_allowed(world: World) -> None:
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{world.url}/twilio/voice")).status_code == 405


async def test_a_repeated_and_an_empty_field_belong_to_the_signature(world: World) -> None:
    fields = {**form(), "Extra": ["b", "a"]}
    signature = RequestValidator(AUTH_TOKEN).compute_signature(f"{PUBLIC}/twilio/voice", _Repeated(fields))

    answer = await post(world, "/twilio/voice", fields, signature=signature)

    assert answer.status_code == 200


class _Repeated(dict[str, Any]):
    """Twilio's validator asks for repeated fields by `getlist`, as web frameworks' forms have it."""

    def getlist(self, name: str) -> list[str]:
        value = self[name]
        return value if isinstance(value, list) else [value]


async def test_markup_in_a_callers_name_stays_text(world: World) -> None:
    answer = await post(world, "/twilio/voice", form(CallerName='"/><Dial>+1900</Dial>\x00\x0b{{ 7 * 7 }}'))

    assert parameters(answer.text)["caller_name"] == '"/><Dial>+1900</Dial>{{ 7 * 7 }}'
    assert not list(ET.fromstring(answer.text).iter("Dial"))


async def test_after_a_call_that_has_ended_there_is_nothing_more(world: World) -> None:
    answer = await post(world, "/twilio/next?attempt=1", form(CallStatus="completed"))

    assert [verb.tag for verb in ET.fromstring(answer.text)] == ["Hangup"]


async def test_a_stream_that_never_came_through_is_connected_again_thrice_at_most(world: World) -> None:
    first = await post(world, "/twilio/voice", form())

    second = await post(world, "/twilio/next?attempt=1", form(CallStatus="in-progress"))
    third = await post(world, "/twilio/next?attempt=2", form(CallStatus="in-progress"))
    last = await post(world, "/twilio/next?attempt=3", form(CallStatus="in-progress"))

    assert [ET.fromstring(d.text)[0].tag for d in (first, second, third, last)] == ["Connect"] * 3 + ["Say"]
    assert len({parameters(d.text)["token"] for d in (first, second, third)}) >= 1
    assert len(world.live) == 1


async def test_a_status_event_ends_a_call_whose_stream_has_said_nothing(world: World) -> None:
    await post(world, "/twilio/voice", form())

    answer = await post(world, "/twilio/status", form(CallStatus="completed"))
    await world.live.drain()

    assert answer.status_code == 204
    assert len(world.live) == 0


async def test_metrics_count_calls_and_refusals(world: World) -> None:
    await post(world, "/twilio/voice", form())
    await post(world, "/twilio/voice", form(), signature="wrong")

    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{world.url}/metrics")).text

    assert 'dialplan_calls_live{agent="a"} 1.0' in text
    assert 'dialplan_calls_refused_total{reason="signature"} 1.0' in text


async def test_readyz_says_how_many_agents_answer(world: World) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{world.url}/readyz")

    assert answer.status_code == 200
    assert json.loads(answer.text)["agents"] == 2


async def test_the_webhook_never_waits_for_the_speech_service(tmp_path: Path) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def silent(session: ScriptedSession) -> None:
        asked.set()
        await answered.wait()

    async with speech_service(silent) as service, server_for(project(tmp_path, a=AGENT), service.url) as world:
        answer = await post(world, "/twilio/voice", form())
        await asked.wait()
        answered.set()

    assert ET.fromstring(answer.text)[0].tag == "Connect"


async def test_without_a_public_url_the_address_of_the_request_counts(tmp_path: Path) -> None:
    async with speech_service(never) as service, server_for(project(tmp_path, a=AGENT), service.url) as world:
        object.__setattr__(world.live.environment, "public_url", "")
        signature = RequestValidator(AUTH_TOKEN).compute_signature(f"{world.url}/twilio/voice", form())

        answer = await post(world, "/twilio/voice", form(), signature=signature)

    stream = next(ET.fromstring(answer.text).iter("Stream")).attrib["url"]
    assert stream == world.url.replace("http", "ws") + "/twilio/stream"


async def test_a_prompt_that_cannot_be_rendered_is_told_as_an_apology(tmp_path: Path) -> None:
    broken = f'numbers: ["{NUMBER}"]\nprompt: "{{{{ 1 // (call.params.shares | int) }}}}"\n'

    async with speech_service(never) as service, server_for(project(tmp_path, a=broken), service.url) as world:
        await post(world, "/twilio/voice", form())
        session = world.live.find("CA1")
        assert session is not None
        await session.ended.wait()
        answer = await post(world, "/twilio/next?attempt=1", form(CallStatus="in-progress"))

    assert [verb.tag for verb in ET.fromstring(answer.text)] == ["Say", "Hangup"]


def test_the_ledger_of_several_processes_lets_one_claim(tmp_path: Path) -> None:
    first, second = Folder(tmp_path), Folder(tmp_path)

    assert first.claim("token x") is True
    assert second.claim("token x") is False
    first.put("end ../../etc/passwd", "agent")
    assert second.get("end ../../etc/passwd") == "agent"
    assert second.get("end other") is None


def test_a_ledger_whose_folder_is_gone_costs_no_call_anything(tmp_path: Path) -> None:
    ledger = Folder(tmp_path / "swept" / "away")
    (tmp_path / "swept").write_text("not a folder")

    ledger.put("answer 1 CA1", "<Response/>")

    assert ledger.get("answer 1 CA1") == "<Response/>"
    assert ledger.claim("token x") is True
    assert ledger.claim("token x") is False
