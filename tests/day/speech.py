"""The speech service of the day: every session knows its caller's plan by the prompt, hears tones, answers with the
same one, and calls functions. And the server that the `http` function asks."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import websockets
from websockets.asyncio.server import ServerConnection, serve

from dialplan.rehearsal.phone import FRAME_BYTES
from tests.day.plans import NEUTRAL, WORDS, WRONG, Plan, Plans
from tests.faults.drill import ENDING_FRAMES, SPOKEN_FRAMES
from tests.world import ScriptedSession

#: Frames of a tone until it is noticed that somebody speaks.
NOTICED_FRAMES = 3


@dataclass
class Host:
    """One session."""

    session: ScriptedSession
    plan: Plan
    _heard: Counter[int] = field(default_factory=Counter)
    _quiet: int = 0
    _speaking: bool = False
    _asked: int = 0

    async def run(self) -> None:
        """Until it is closed, or the plan closes it."""
        agent = self.session.settings["agent"]
        if "greeting" in agent:
            await self._say(NEUTRAL, self.plan.greeting, agent["greeting"])
        async for message in self.session.connection:
            if isinstance(message, bytes):
                await self._hear(message)
            else:
                await self._told(json.loads(message))

    async def _told(self, fields: dict[str, str]) -> None:
        match fields["type"]:
            case "InjectAgentMessage":
                await self._say(NEUTRAL, WORDS, fields["message"])
            case "InjectUserMessage":
                await self.session.send("ConversationText", role="user", content=fields["content"])
                await self._say(NEUTRAL, WORDS, "(goes on)")
            case "FunctionCallResponse":
                await self._result(fields["name"], fields["content"])

    async def _hear(self, frame: bytes) -> None:
        tones = Counter(frame) - Counter({0xFF: len(frame)})
        self._heard.update(tones)
        self._quiet = self._quiet + 1 if not tones else 0
        if not self._speaking and self._heard.total() >= NOTICED_FRAMES * FRAME_BYTES:
            self._speaking = True
            await self.session.send("UserStartedSpeaking")
        if self._heard and self._quiet >= ENDING_FRAMES:
            tone, length = self._heard.most_common(1)[0]
            self._heard.clear()
            self._speaking = False
            if length >= SPOKEN_FRAMES * FRAME_BYTES // 2:
                await self._answer(tone)

    async def _answer(self, tone: int) -> None:
        plan = self.plan
        if tone != plan.tone:
            plan.mistakes.append(f"the speech service has heard another caller ({tone:#x})")
        await self.session.send("ConversationText", role="user", content=f"({tone})")
        if plan.turn.function:
            self._asked += 1
            request = f"{id(self)}-{self._asked}"
            await self.session.request(plan.turn.function, plan.arguments(), request)
        else:
            await self._reply(tone)

    async def _result(self, name: str, content: str) -> None:
        plan = self.plan
        fits = name == plan.turn.function and plan.fits(content)
        if not fits:
            plan.mistakes.append(f"{name}, where {plan.turn} was asked for, came back with {content[:200]}")
        await self._reply(plan.tone if fits else WRONG)

    async def _reply(self, tone: int) -> None:
        await self._say(tone, self.plan.turn.length, f"({tone})")
        if self.plan.turn.lost:
            await self.session.connection.close(1011)

    async def _say(self, tone: int, length: int, text: str) -> None:
        await self.session.send("ConversationText", role="assistant", content=text)
        for start in range(0, length, WORDS):
            await self.session.audio(bytes([tone]) * min(WORDS, length - start))
        await self.session.send("AgentAudioDone")


@asynccontextmanager
async def hosts(plans: Plans) -> AsyncIterator[tuple[str, set[ServerConnection]]]:
    """The speech service's address, and the sessions that are open."""
    sessions: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        sessions.add(connection)
        try:
            session = ScriptedSession(connection)
            await session.open()
            facts = session.settings["agent"]["think"]["prompt"]
            if plan := plans.of(facts):
                plan.noted(facts)
                await Host(session, plan).run()
            else:
                await session.until_closed()
        except websockets.ConnectionClosed:
            pass
        finally:
            sessions.discard(connection)

    async with serve(handle, "127.0.0.1", 0, compression=None, logger=None) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/agent/converse", sessions


@dataclass
class Asked:
    """A server that finds everything but `broken`, and tells with which word it was asked."""

    url: str = ""
    _answering: set[asyncio.Task[None]] = field(default_factory=set)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for as long as it is kept."""
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        with contextlib.closing(writer), contextlib.suppress(asyncio.CancelledError, OSError, EOFError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
                writer.write(_found(head))
                await writer.drain()

    async def hang_up(self) -> None:
        """Close the connections that clients keep; they close theirs when they want to use them again."""
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering)


def _found(head: list[str]) -> bytes:
    """The answer to a request."""
    what = head[0].split()[1].removeprefix("/")
    word = next(line.split(": ")[1] for line in head if line.lower().startswith("authorization"))
    body = json.dumps({"found": what, "word": word}).encode()
    status = "500 Broken" if what == "broken" else "200 OK"
    fields = f"content-type: application/json\r\ncontent-length: {len(body)}"
    return f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode() + body


@asynccontextmanager
async def asked() -> AsyncIterator[Asked]:
    """While it answers."""
    service = Asked()
    async with await asyncio.start_server(service.answer, "127.0.0.1", 0) as server:
        service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield service
        server.close()
        await service.hang_up()
