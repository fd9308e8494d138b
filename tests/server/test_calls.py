"""Whole calls: the phone network's stand-in, the server, a scripted speech service."""

import asyncio
from pathlib import Path

from dialplan.call.record import End
from dialplan.rehearsal.phone import placed
from tests.world import AGENT, CALLER, NUMBER, Ear, ScriptedSession, project, server_for, speech_service

TONE = bytes(range(1, 161))


async def test_a_greeting_is_heard_whole(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.say(TONE * 10)

    ear = Ear()
    async with (
        speech_service(script) as service,
        server_for(project(tmp_path, a=AGENT), service.url) as world,
        placed(world.account, NUMBER, CALLER, ear) as caller,
    ):
        await ear.until(lambda e: bool(e.utterances))

    assert ear.utterances == [TONE * 10]
    assert caller.warnings == []


async def test_the_callers_audio_arrives_frame_by_frame(tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        while TONE * 5 not in session.heard:
            await session.hear(len(session.heard) + 1)
        arrived.set()

    async with (
        speech_service(script) as service,
        server_for(project(tmp_path, a=AGENT), service.url) as world,
        placed(world.account, NUMBER, CALLER, Ear()) as caller,
    ):
        caller.speak(TONE * 5)
        await arrived.wait()

    assert set(service.sessions[0].frames) == {160}


async def test_end_call_hangs_up_after_the_goodbye_was_heard(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.request("end_call")
        await session.message("FunctionCallResponse")
        await session.say(TONE * 20)

    ear = Ear()
    async with (
        speech_service(script) as service,
        server_for(project(tmp_path, a=AGENT), service.url) as world,
        placed(world.account, NUMBER, CALLER, ear) as caller,
    ):
        await caller.over.wait()
    assert await world.live.settled_end(caller.call_sid) is End.AGENT

    assert ear.utterances == [TONE * 20]
    assert "Hangup" in caller.documents[-1]
