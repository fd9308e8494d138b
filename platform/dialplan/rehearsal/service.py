"""The speech service's stand-in: Deepgram's side of a session, over a real WebSocket.

It hears with rehearsal/ears.py, speaks with rehearsal/speech.py, and thinks what the agent's rehearsals say. It keeps
Deepgram's order, refuses what Deepgram refuses, sends audio faster than real time, and a few late frames after a
barge-in. Where it answers with an error, it uses Deepgram's codes.
"""

import asyncio
import contextlib
import functools
import json
import secrets
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib import resources
from typing import Any

import websockets
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from dialplan.call.settings import template_names
from dialplan.config.model import Agent, Rehearsal, Turn
from dialplan.errors import ConfigError
from dialplan.facts import Call
from dialplan.rehearsal.ears import Ears, Endpointer, SpeechEnded, SpeechStarted
from dialplan.rehearsal.script import Script
from dialplan.rehearsal.speech import AGENT_VOICE, speak

#: Seconds without any message after which Deepgram gives up.
IDLE_SECONDS = 12.0

#: Audio is sent this much faster than it is spoken, in frames of this many bytes; both vary with Deepgram.
SPEED = 4
FRAME_BYTES = 960

#: Frames of a cut reply that were on their way already.
LATE_FRAMES = 2

NOT_UNDERSTOOD = "Sorry, I did not understand that."
NO_RESULT = "I am sorry, that did not work."


@functools.cache
def _settings_validator() -> Draft7Validator:
    text = resources.files("dialplan.rehearsal").joinpath("settings.schema.json").read_text("utf-8")
    return Draft7Validator(json.loads(text))


class SpeechService:
    """The service and what it knows: agents by name, for their rehearsals. Made by `speech_service`."""

    def __init__(self, agents: Mapping[str, Agent], ears: Ears, pace: float) -> None:
        self._agents = agents
        self.ears = ears
        self.speed = SPEED * pace
        self.url = ""
        self._cues: defaultdict[str, deque[Rehearsal]] = defaultdict(deque)

    def know(self, agents: Mapping[str, Agent]) -> None:
        """Go by the rehearsals of these agents from the next session on."""
        self._agents = agents

    def agent(self, name: str) -> Agent | None:
        """An agent by its name, where it is known."""
        return self._agents.get(name)

    def cue(self, agent: str, rehearsal: Rehearsal) -> None:
        """The agent's next session plays this rehearsal and no other."""
        self._cues[agent].append(rehearsal)

    def script(self, agent: Agent | None) -> Script:
        """What a new session with an agent may hear."""
        if agent is None:
            return Script(())
        cues = self._cues[agent.name]
        return Script((cues.popleft(),) if cues else agent.rehearsals)

    async def handle(self, connection: ServerConnection) -> None:
        """One session, to its end."""
        with contextlib.suppress(websockets.ConnectionClosed):
            await _Session(self, connection).run()


@asynccontextmanager
async def speech_service(agents: Mapping[str, Agent], ears: Ears, pace: float = 1.0) -> AsyncIterator[SpeechService]:
    """A service on a free port of this machine, for a line on which everything is so much faster than life."""
    service = SpeechService(agents, ears, pace)
    async with serve(service.handle, "127.0.0.1", 0, compression=None, process_request=_authorized) as server:
        port = server.sockets[0].getsockname()[1]
        service.url = f"ws://127.0.0.1:{port}/v1/agent/converse"
        yield service


@asynccontextmanager
async def offline(agents: Mapping[str, Agent]) -> AsyncIterator[SpeechService]:
    """The service beside a real server (`serve --offline`): anybody can call, and is understood as far as the agents'
    rehearsals go."""
    async with Ears() as ears, speech_service(agents, ears) as service:
        yield service


def _authorized(connection: ServerConnection, request: Request) -> Response | None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() not in ("token", "bearer") or not key:
        return connection.respond(HTTPStatus.UNAUTHORIZED, "Invalid credentials.")
    return None


class _Failed(Exception):
    """The session ends with one of Deepgram's errors."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


class _Session:
    def __init__(self, service: SpeechService, connection: ServerConnection) -> None:
        self._service = service
        self._connection = connection
        self._script = Script(())
        self._names: Mapping[str, object] = {}
        self._functions: list[dict[str, Any]] = []
        self._endpointer = Endpointer()
        self._caller_speaks = False
        self._turn: asyncio.Task[None] | None = None
        self._speaking: list[asyncio.Task[None]] = []
        self._unsent = b""
        self._answers: dict[str, asyncio.Future[str]] = {}

    async def run(self) -> None:
        await self._send("Welcome", request_id=secrets.token_hex(8))
        try:
            settings = await self._settings()
            async with asyncio.TaskGroup() as self._group:
                await self._begin(settings)
                await self._listen()
        except* _Failed as failures:
            failure = failures.exceptions[0]
            assert isinstance(failure, _Failed)
            await self._send("Error", code=failure.code, description=str(failure))
        except* websockets.ConnectionClosed:
            pass

    # Settings.

    async def _settings(self) -> dict[str, Any]:
        message = await self._receive()
        fields = _fields(message) if isinstance(message, str) else {}
        if fields.get("type") != "Settings":
            raise _Failed("NON_SETTINGS_MESSAGE_BEFORE_SETTINGS", "Send a Settings message first.")
        mistake = best_match(_settings_validator().iter_errors(fields))
        if mistake is not None:
            where = ".".join(str(part) for part in mistake.absolute_path) or "message"
            description = (
                f"Error parsing client message. Check the {where} field against the API spec: {mistake.message}"
            )
            raise _Failed("UNPARSABLE_CLIENT_MESSAGE", description[:500])
        return fields

    async def _begin(self, settings: dict[str, Any]) -> None:
        agent = self._agent(settings)
        self._script = self._service.script(agent)
        if agent is not None:
            self._names = template_names(agent, Call(id="offline"))
        think = settings["agent"].get("think", {})
        self._functions = (think[0] if isinstance(think, list) else think).get("functions", [])
        await self._send("SettingsApplied")
        if greeting := settings["agent"].get("greeting"):
            self._say(greeting)

    def _agent(self, settings: dict[str, Any]) -> Agent | None:
        names = [tag.removeprefix("agent:") for tag in settings.get("tags", ()) if tag.startswith("agent:")]
        return self._service.agent(names[0]) if names else None

    # What the client sends.

    async def _receive(self) -> str | bytes:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                return await self._connection.recv()
        except TimeoutError:
            description = (
                "We waited too long for a websocket message. Please ensure that you're sending binary messages."
            )
            raise _Failed("CLIENT_MESSAGE_TIMEOUT", description) from None

    async def _listen(self) -> None:
        while True:
            message = await self._receive()
            if isinstance(message, bytes):
                await self._hear(message)
            else:
                await self._command(_fields(message))

    async def _command(self, fields: dict[str, Any]) -> None:
        match fields:
            case {"type": "KeepAlive"}:
                pass
            case {"type": "FunctionCallResponse", "id": str(id_), "content": str(content)}:
                if (answer := self._answers.pop(id_, None)) and not answer.done():
                    answer.set_result(content)
            case {"type": "InjectAgentMessage", "message": str(text)}:
                await self._inject(text, fields.get("behavior", "default"))
            case {"type": "InjectUserMessage", "content": str(text)}:
                await self._take_turn(self._answer(text))
            case {"type": "Settings"}:
                raise _Failed("SETTINGS_ALREADY_APPLIED", "Settings have already been applied.")
            case {"type": "UpdatePrompt" | "UpdateThink" | "UpdateSpeak" | "UpdateListen" as kind}:
                await self._send(f"{kind.removeprefix('Update')}Updated")
            case _:
                raise _Failed("UNPARSABLE_CLIENT_MESSAGE", "Error parsing client message.")

    async def _inject(self, text: str, behavior: str) -> None:
        busy = self._caller_speaks or (behavior == "default" and self._is_speaking())
        if busy and behavior != "interrupt":
            await self._send("InjectionRefused", message="Somebody is speaking.")
            return
        if behavior == "interrupt":
            self._stop_speaking()
        self._say(text)

    # Hearing.

    async def _hear(self, audio: bytes) -> None:
        for event in self._endpointer.feed(audio):
            match event:
                case SpeechStarted():
                    await self._interrupted()
                case SpeechEnded(audio=utterance):
                    self._caller_speaks = False
                    await self._take_turn(self._understand(utterance))

    async def _interrupted(self) -> None:
        """The caller speaks: thinking and speaking stop, though some audio is on its way already."""
        self._caller_speaks = True
        await self._send("UserStartedSpeaking")
        late = self._unsent if self._is_speaking() else b""
        self._stop_speaking()
        await self._stop_turn()
        for start in range(0, min(len(late), LATE_FRAMES * FRAME_BYTES), FRAME_BYTES):
            await self._connection.send(late[start : start + FRAME_BYTES])

    async def _understand(self, utterance: bytes) -> None:
        line = await self._service.ears.hear(utterance, self._script.lines())
        if line is None:
            self._say(NOT_UNDERSTOOD)
        else:
            await self._answer(line)

    # Thinking.

    async def _take_turn(self, turn: Any) -> None:
        await self._stop_turn()
        self._turn = self._group.create_task(turn)

    async def _stop_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.cancel()
            await asyncio.wait([turn])

    async def _answer(self, line: str) -> None:
        await self._send("ConversationText", role="user", content=line)
        turn = self._script.turn(line)
        if turn is None:
            self._say(NOT_UNDERSTOOD)
            return
        result = await self._call_functions(turn)
        if turn.agent is not None:
            self._say(self._rendered(turn, result))

    async def _call_functions(self, turn: Turn) -> object:
        """Ask for every function of the turn at once, and wait for all answers. One result is `result` itself, several
        are in it by name."""
        if not turn.functions:
            return None
        requests = [self._function_call(name, arguments) for name, arguments in turn.functions]
        pending = {f["id"]: asyncio.get_running_loop().create_future() for f in requests if f["client_side"]}
        self._answers.update(pending)
        await self._send("FunctionCallRequest", functions=requests)
        try:
            await asyncio.gather(*pending.values())
        except asyncio.CancelledError:
            await self._cancel(requests)
            raise
        results = {f["name"]: json.loads(pending[f["id"]].result()) if f["id"] in pending else {} for f in requests}
        return results if len(results) > 1 else next(iter(results.values()))

    def _function_call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """One entry of a request. A function with an endpoint would be called by Deepgram itself."""
        declared = next((f for f in self._functions if f["name"] == name), {})
        return {
            "id": f"fc_{secrets.token_hex(4)}",
            "name": name,
            "arguments": json.dumps(arguments),
            "client_side": "endpoint" not in declared,
        }

    async def _cancel(self, requests: list[dict[str, Any]]) -> None:
        """The caller went on: what was not answered yet is void."""
        void = [{"id": f["id"], "name": f["name"]} for f in requests if self._answers.pop(f["id"], None)]
        if void:
            await self._send("FunctionCallCancelled", functions=void)

    def _rendered(self, turn: Turn, result: object) -> str:
        assert turn.agent is not None
        try:
            return turn.agent.render({**self._names, "result": result})
        except ConfigError:
            return NO_RESULT

    # Speaking.

    def _is_speaking(self) -> bool:
        return any(not task.done() for task in self._speaking)

    def _stop_speaking(self) -> None:
        for task in self._speaking:
            task.cancel()
        self._speaking, self._unsent = [], b""

    def _say(self, text: str) -> None:
        """Speak after what is being spoken already."""
        before = [task for task in self._speaking if not task.done()]
        self._speaking = [*before, self._group.create_task(self._speak(text, before))]

    async def _speak(self, text: str, before: list[asyncio.Task[None]]) -> None:
        if before:
            await asyncio.wait(before)
        self._unsent = await asyncio.to_thread(speak, text, AGENT_VOICE)
        await self._send("ConversationText", role="assistant", content=text)
        await self._send("AgentStartedSpeaking", total_latency=0.3, tts_latency=0.1, ttt_latency=0.2)
        while self._unsent:
            frame, self._unsent = self._unsent[:FRAME_BYTES], self._unsent[FRAME_BYTES:]
            await self._connection.send(frame)
            await asyncio.sleep(len(frame) / 8000 / self._service.speed)
        await self._send("AgentAudioDone")

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._connection.send(json.dumps({"type": kind, **fields}))


def _fields(message: str) -> dict[str, Any]:
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise _Failed("UNPARSABLE_CLIENT_MESSAGE", "Error parsing client message.")
    return fields
