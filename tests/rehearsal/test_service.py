"""The speech service's stand-in: Deepgram's own client converses with it, and it refuses what Deepgram refuses."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from deepgram import AsyncDeepgramClient
from deepgram.agent.v1.socket_client import V1SocketClientResponse
from deepgram.agent.v1.types import (
    AgentV1InjectUserMessage,
    AgentV1SendFunctionCallResponse,
    AgentV1Settings,
)
from deepgram.core.pydantic_utilities import parse_obj_as
from deepgram.environment import DeepgramClientEnvironment
from websockets.asyncio.client import ClientConnection, connect

from dialplan.call.settings import encoded, settings
from dialplan.config.model import Agent
from dialplan.facts import Call
from dialplan.rehearsal.ears import Ears
from dialplan.rehearsal.service import SpeechService, speech_service
from dialplan.rehearsal.speech import CALLER_VOICE, speak
from tests.world import project

PLUGIN = """
def price(thing: str) -> dict[str, float]:
    '''Price of a thing.'''
    return {"price": 5.0}
"""

AGENT = """
numbers: ["+15550100001"]
greeting: Good morning.
prompt: x
plugins: [plugins.test]
functions: [price, end_call]
rehearsals:
  - name: one
    turns:
      - caller: What does the red book cost?
        function: {price: {thing: book}}
        agent: It costs {{ result.price }} dollars.
      - caller: Thank you very much, goodbye.
        agent: Goodbye.
"""


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return project(tmp_path, plugin=PLUGIN, a=AGENT).dialplan.agents["a"]


class Deaf(Ears):
    """Ears that are never asked: what callers say comes as text here."""

    async def __aenter__(self) -> "Deaf":
        return self

    async def __aexit__(self, *args: object) -> None:
        pass


@pytest.fixture
async def service(agent: Agent) -> AsyncIterator[SpeechService]:
    async with Deaf() as ears, speech_service({"a": agent}, ears) as service:
        yield service


@asynccontextmanager
async def connected(service: SpeechService, key: str = "Token k") -> AsyncIterator[ClientConnection]:
    headers = {"Authorization": key} if key else {}
    async with connect(service.url, additional_headers=headers) as connection, asyncio.timeout(20):
        yield connection


async def event(connection: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        message = await connection.recv()
        if isinstance(message, str) and json.loads(message)["type"] == kind:
            fields: dict[str, Any] = json.loads(message)
            return fields


def message_of(agent: Agent) -> str:
    return encoded(settings(agent, Call(id="CA1")))


async def test_deepgrams_own_client_holds_a_conversation_with_it(service: SpeechService, agent: Agent) -> None:
    base = service.url.removesuffix("/v1/agent/converse")
    environment = DeepgramClientEnvironment(base=base, production=base, agent=base, agent_rest=base)
    client = AsyncDeepgramClient(api_key="key", environment=environment)
    said: list[tuple[str, str]] = []
    audio = 0

    async with client.agent.v1.connect() as connection, asyncio.timeout(20):
        async for message in connection:
            match getattr(message, "type", "audio"):
                case "audio":
                    assert isinstance(message, bytes)
                    audio += len(message)
                case "Welcome":
                    await connection.send_settings(AgentV1Settings.model_validate(json.loads(message_of(agent))))
                case "AgentAudioDone" if len(said) == 1:
                    question = AgentV1InjectUserMessage(
                        type="InjectUserMessage", content="What does the red book cost?"
                    )
                    await connection.send_inject_user_message(question)
                case "AgentAudioDone":
                    break
                case "FunctionCallRequest":
                    function = message.functions[0]
                    assert json.loads(function.arguments) == {"thing": "book"}
                    answer = {
                        "type": "FunctionCallResponse",
                        "id": function.id,
                        "name": "price",
                        "content": '{"price": 5}',
                    }
                    await connection.send_function_call_response(AgentV1SendFunctionCallResponse.model_validate(answer))
                case "ConversationText":
                    said.append((message.role, message.content))

    assert said == [
        ("assistant", "Good morning."),
        ("user", "What does the red book cost?"),
        ("assistant", "It costs 5 dollars."),
    ]
    assert audio > 8000


async def test_every_event_that_it_sends_is_one_of_deepgrams(service: SpeechService, agent: Agent) -> None:
    events: list[dict[str, Any]] = []

    async with connected(service) as connection:
        await connection.send(message_of(agent))
        await event(connection, "AgentAudioDone")
        await connection.send(json.dumps({"type": "InjectUserMessage", "content": "What does the red book cost?"}))
        while not events or events[-1]["type"] != "AgentAudioDone":
            message = await connection.recv()
            if isinstance(message, str):
                events.append(json.loads(message))
                if events[-1]["type"] == "FunctionCallRequest":
                    answer = {"id": events[-1]["functions"][0]["id"], "name": "price", "content": '{"price": 1}'}
                    await connection.send(json.dumps({"type": "FunctionCallResponse", **answer}))

    for fields in events:
        parse_obj_as(V1SocketClientResponse, fields)  # type: ignore[arg-type]
    assert {"ConversationText", "FunctionCallRequest", "AgentStartedSpeaking"} <= {e["type"] for e in events}


@pytest.mark.parametrize("key", ["", "Basic abc", "Token "])
async def test_without_a_key_the_handshake_is_refused(service: SpeechService, key: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with connected(service, key):
            pass

    assert refused.value.response.status_code == 401


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('{"type": "KeepAlive"}', "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"),
        (b"\xff" * 160, "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"),
        ('{"type": "settings"}', "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS"),
        ("nonsense", "UNPARSABLE_CLIENT_MESSAGE"),
        ('{"type": "Settings"}', "UNPARSABLE_CLIENT_MESSAGE"),
    ],
)
async def test_a_first_message_that_is_no_settings_ends_the_session(
    service: SpeechService, message: str | bytes, code: str
) -> None:
    async with connected(service) as connection:
        await connection.send(message)
        failure = await event(connection, "Error")
        await connection.wait_closed()

    assert failure["code"] == code


@pytest.mark.parametrize(
    "change",
    [
        {"agent": {"prompt": "x"}},
        {"agent": {"mip_opt_out": True}},
        {"audio": {"input_encoding": "mulaw"}},
        {"agent": {"listen": {"provider": {"type": "deepgram", "version": "v2"}}}},
    ],
    ids=["prompt in the wrong place", "mip_opt_out in the wrong place", "old audio", "flux without a model"],
)
async def test_settings_with_a_field_out_of_place_are_refused(
    service: SpeechService, agent: Agent, change: dict[str, Any]
) -> None:
    fields = json.loads(message_of(agent))
    for key, value in change.items():
        fields[key] |= value

    async with connected(service) as connection:
        await connection.send(json.dumps(fields))
        failure = await event(connection, "Error")

    assert failure["code"] == "UNPARSABLE_CLIENT_MESSAGE"
    assert "Check the" in failure["description"]


async def test_a_second_settings_and_an_unknown_message_end_the_session(service: SpeechService, agent: Agent) -> None:
    codes = []
    for message in (message_of(agent), '{"type": "Shout"}'):
        async with connected(service) as connection:
            await connection.send(message_of(agent))
            await event(connection, "SettingsApplied")
            await connection.send(message)
            codes.append((await event(connection, "Error"))["code"])

    assert codes == ["SETTINGS_ALREADY_APPLIED", "UNPARSABLE_CLIENT_MESSAGE"]


async def test_an_injection_while_the_agent_speaks_is_refused_or_queued(service: SpeechService, agent: Agent) -> None:
    async with connected(service) as connection:
        await connection.send(message_of(agent))
        await event(connection, "AgentStartedSpeaking")
        await connection.send(json.dumps({"type": "InjectAgentMessage", "message": "Hello?"}))
        await event(connection, "InjectionRefused")
        await connection.send(json.dumps({"type": "InjectAgentMessage", "message": "Wait.", "behavior": "queue"}))
        await event(connection, "AgentAudioDone")

        assert (await event(connection, "ConversationText"))["content"] == "Wait."


async def test_a_caller_who_goes_on_speaking_cancels_the_function(ears: Ears, agent: Agent) -> None:
    async with speech_service({"a": agent}, ears) as service, connected(service) as connection:
        await connection.send(message_of(agent))
        await event(connection, "AgentAudioDone")
        await connection.send(speak("What does the red book cost?", CALLER_VOICE) + b"\xff" * 8000)
        request = await event(connection, "FunctionCallRequest")
        await connection.send(speak("Thank you very much, goodbye.", CALLER_VOICE) + b"\xff" * 8000)
        await event(connection, "UserStartedSpeaking")
        cancelled = await event(connection, "FunctionCallCancelled")
        said = await event(connection, "ConversationText")

    assert [f["id"] for f in cancelled["functions"]] == [request["functions"][0]["id"]]
    assert said["content"] == "Thank you very much, goodbye."
