"""What is told of a call as it happens."""

import asyncio
import json
from pathlib import Path

from dialplan.call import record
from dialplan.call.record import End, Entry
from dialplan.config.model import Records
from dialplan.facts import Call
from dialplan.rehearsal.phone import placed
from dialplan.wire.deepgram import Role
from tests.world import AGENT, CALLER, NUMBER, Ear, Script, ScriptedSession, project, server_for, speech_service

TONE = bytes(range(1, 161))

PLUGIN = '''
def price(thing: str) -> dict:
    """What something costs."""
    return {"price": 7}
'''
ASKS = AGENT.replace("[end_call]", "[price]\nplugins: [plugins.test]\nrecords: {keep_days: 30}")


async def told(root: Path, script: Script, agent: str, plugin: str = "", *, ends: bool = False) -> list[Entry]:
    """A call that its caller ends when the script is over, unless it ends by itself."""
    entries: list[Entry] = []
    over = asyncio.Event()

    async def scripted(session: ScriptedSession) -> None:
        await script(session)
        if not ends:
            over.set()

    def observe(call: Call, entry: Entry) -> None:
        entries.append(entry)
        if isinstance(entry, record.Ended):
            over.set()

    async with speech_service(scripted) as service:
        loading = project(root, plugin, a=agent)
        async with server_for(loading, service.url, observe=observe) as world, asyncio.timeout(20):
            async with placed(world.account, NUMBER, CALLER, Ear()):
                await over.wait()
    return entries


async def test_a_call_is_told_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.say(TONE)
        await session.send("ConversationText", role="user", content="The book?")
        await session.request("price", '{"thing": "book"}')
        await session.message("FunctionCallResponse")
        await session.send("LatencyReport", total_latency=0.5)
        await session.send("Warning", code="SLOW_THINK_REQUEST", description="slow")
        await session.audio(TONE * 100)
        await session.send("UserStartedSpeaking")
        await session.send("ConversationText", role="assistant", content="Seven.")
        await session.hear(160)

    entries = await told(tmp_path, script, ASKS, PLUGIN)

    assert entries[0] == record.Began("a", 1, Records(True, 30))
    entries.remove(record.Connected())  # Before or after the Settings, as it happens.
    assert entries[1] == record.Welcomed("r1")
    assert isinstance(entries[2], record.Configured)
    assert json.loads(entries[2].settings)["agent"]["greeting"] == "Hello."
    assert entries[3:5] == [
        record.Said(Role.USER, "The book?"),
        record.Running("fc1", "price", '{"thing": "book"}'),
    ]
    assert isinstance(entries[5], record.Ran)
    assert (entries[5].id, entries[5].result) == ("fc1", '{"price": 7}')
    assert entries[6:10] == [
        record.Reported({"total": 0.5}),
        record.Warned("SLOW_THINK_REQUEST"),
        record.BargedIn(),
        record.Said(Role.ASSISTANT, "Seven."),
    ]
    assert isinstance(entries[-1], record.Ended)
    assert entries[-1].end is End.CALLER


async def test_a_speech_service_that_is_lost_is_told_with_its_reason(tmp_path: Path) -> None:
    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.connection.close(1011)

    entries = await told(tmp_path, script, AGENT, ends=True)

    assert entries.count(record.Lost("closed_1011")) == 4  # It was dialled again, three times.
    assert sum(isinstance(entry, record.Recovered) for entry in entries) == 3
    assert isinstance(entries[-1], record.Ended)
    assert entries[-1].end is End.SPEECH_LOST
