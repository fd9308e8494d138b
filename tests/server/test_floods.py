"""What comes without end, or far too much at once, costs one call and no memory."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from dialplan.call.conversation import MOST_AT_ONCE
from dialplan.call.record import End
from dialplan.call.results import BUSY
from tests.server.test_streams import start, stream
from tests.world import AGENT, ScriptedSession, World, project, server_for, speech_service

pytestmark = pytest.mark.usefixtures("directly")

PLUGIN = '''
def repeat(text: str) -> str:
    """Repeat."""
    return text
'''


@pytest.mark.parametrize(
    "endless",
    [b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 1_000_000, b"GET /" + b"x" * 1_000_000, b"A: b\r\n" * 200_000],
    ids=["a header", "an address", "headers"],
)
async def test_a_request_whose_head_does_not_end_is_refused(tmp_path: Path, endless: bytes) -> None:
    if endless.startswith(b"A"):
        endless = b"GET / HTTP/1.1\r\nHost: x\r\n" + endless

    async with speech_service(ScriptedSession.open) as service:
        async with server_for(project(tmp_path, a=AGENT), service.url) as world:
            reader, writer = await _connected(world)
            try:
                writer.write(endless)
                await writer.drain()
                answer = await reader.read()
                assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
            except ConnectionError:
                pass  # It was cut off while it went on.
            writer.close()
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"{world.url}/healthz")).status_code == 200


async def _connected(world: World) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = world.url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


async def test_of_a_thousand_functions_in_one_message_each_is_answered_and_a_few_are_run(tmp_path: Path) -> None:
    answers: dict[str, str] = {}

    async def script(session: ScriptedSession) -> None:
        await session.open()
        wanted = [
            {"id": f"fc_{n}", "name": "repeat", "arguments": '{"text": "x"}', "client_side": True} for n in range(1000)
        ]
        for _ in range(2):
            await session.send("FunctionCallRequest", functions=wanted)
        while len(answers) < len(wanted):
            answer = await session.message("FunctionCallResponse")
            assert answer["id"] not in answers
            answers[answer["id"]] = answer["content"]
        await session.send("FunctionCallRequest", functions=[{"id": "end", "name": "end_call", "arguments": "{}"}])
        await session.say(b"\x7f" * 160)

    agent = AGENT.replace("[end_call]", "[end_call, repeat]") + "plugins: [plugins.test]\n"
    async with speech_service(script) as service:
        async with server_for(project(tmp_path, PLUGIN, a=agent), service.url) as world:
            async with stream(world, "/bin") as line:
                await line.send(start({}))
                async for message in line:
                    fields = json.loads(message)
                    if fields["event"] == "mark":
                        await line.send(message)
            assert world.live.end_of("CA1") is End.AGENT

    ran = [content for content in answers.values() if content == '"x"']
    assert len(ran) == MOST_AT_ONCE
    assert all(BUSY in content for content in answers.values() if content != '"x"')
