"""Deepgram's keys, shown to servers that take them, refuse them, or are something else."""

import pytest

from dialplan.rehearsal import service as rehearsal_service
from dialplan.server.doctor.findings import Check, State
from tests.clinic import Clinic, loaded
from tests.twilio_rest import raw_server


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
    ("key", "words"),
    [("", "is not set"), ("wrong", "status 401"), ("“dg key”", "no key has"), ("k\x00y", "no key has")],
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
