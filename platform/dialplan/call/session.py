"""The live bridge of one call: two sockets, one task group, and a conversation that decides.

It performs what conversation.py decides, and decides nothing itself. Whatever happens to it, when `run` returns both
sockets are closed, no task is left, and the record has an end.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping

from dialplan.call import actions, record
from dialplan.call import settings as rendering
from dialplan.call.actions import Action
from dialplan.call.conversation import Conversation
from dialplan.call.functions import Functions
from dialplan.call.record import End, Entry, Record
from dialplan.call.sockets import Dial, Line, Speech
from dialplan.call.timing import Timing
from dialplan.config import secret
from dialplan.config.model import Agent
from dialplan.errors import ConfigError, LineLost, SpeechError, SpeechRefused
from dialplan.facts import Call
from dialplan.log import call_id
from dialplan.metrics import Metrics
from dialplan.wire import deepgram, twilio

logger = logging.getLogger(__name__)

#: Bytes of the caller's audio that are kept while the speech service is not ready: two seconds.
KEPT_BYTES = 16_000


class _Over(Exception):
    """Ends the task group of a call."""


class Session:
    """One call, from the dialling of the speech service to its end.

    Args:
        agent: who answers.
        call: the facts.
        service: address and key of the speech service, for agents that bring none of their own.
        dial: opens the speech service's socket.
        functions: runs the model's functions.
        metrics: of the process.
        timing: the protocols' time limits.
        observe: is told every entry of the record as it happens.
        over: is told the record when its end is decided, before the line closes: who asks next must know.
    """

    def __init__(
        self,
        agent: Agent,
        call: Call,
        *,
        service: tuple[str, str],
        dial: Dial,
        functions: Functions,
        metrics: Metrics,
        timing: Timing,
        observe: Callable[[Call, Entry], None] | None = None,
        over: Callable[[Record], None] | None = None,
    ) -> None:
        self.agent = agent
        self.call = call
        self.record = Record(call, agent.name)
        self._url = secret.reveal(agent.deepgram_url) or service[0]
        self._key = secret.reveal(agent.api_key) or service[1]
        self._dial = dial
        self._functions = functions
        self._metrics = metrics
        self._timing = timing
        self._observe = observe
        self._over = over
        self._started = time.monotonic()
        self._conversation = Conversation(agent.functions, agent.limits, self._started, timing)
        self._line: Line | None = None
        self._stream_sid = ""
        self._line_opened_at = 0.0
        self._line_came = asyncio.Event()
        self._speech: Speech | None = None
        self._listening = False
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._greeted = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # One thing at a time: what was decided first is sent first, though sending may have to wait.
        self._performing = asyncio.Lock()
        self._rescheduled = asyncio.Event()
        self._stuck = End.LINE_LOST  # How the call ends if what is being sent is never taken.
        self._hung_up = asyncio.Event()
        self.ended = asyncio.Event()
        """Set when everything is closed and the record is complete."""

    async def run(self) -> None:
        """The whole call. Cancelling it closes everything and is recorded as a shutdown."""
        call_id.set(self.call.id)
        self._metrics.calls_live.labels(self.agent.name).inc()
        try:
            await self._in_one_group()
        except asyncio.CancelledError:
            self._hang_up(End.SHUTDOWN)
            raise
        finally:
            self._finish()

    async def attach(self, line: Line, stream_sid: str) -> None:
        """Give the call its line, and wait until the call has ended. The line is closed then."""
        self._line, self._stream_sid = line, stream_sid
        self._line_came.set()
        await self.ended.wait()

    @property
    def waiting(self) -> bool:
        """No line has come yet, and one still may."""
        return not self._line_came.is_set() and not self._hung_up.is_set()

    async def end(self, end: End) -> None:
        """End the call from outside, for a reason of the process's own."""
        await self._happen(lambda: self._conversation.line_ended(end))

    async def _in_one_group(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._converse())
                group.create_task(self._carry_line())
                group.create_task(self._keep_time())
                await self._hung_up.wait()
                # The caller first: the speech service may take its time to say goodbye.
                await self._close_line()
                raise _Over
        except* _Over:
            pass
        except* Exception:  # The wall of the call: a mistake in here must not reach another call.
            logger.exception("the call failed")
            self._hang_up(End.FAULT)
        finally:
            await self._close_line()

    def _finish(self) -> None:
        end = self.record.end or End.FAULT
        if self._line_opened_at:
            self.record.seconds = time.monotonic() - self._line_opened_at
        self._metrics.calls_live.labels(self.agent.name).dec()
        self._metrics.calls_ended.labels(self.agent.name, end.value).inc()
        logger.info("the call with %s ended after %.1f s: %s", self.agent.name, self.record.seconds, end.value)
        self.ended.set()

    async def _close_line(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            with contextlib.suppress(TimeoutError, LineLost):  # Gone already was the aim.
                async with asyncio.timeout(self._timing.close):
                    await line.close()

    # The speech service.

    async def _converse(self) -> None:
        try:
            async with self._dial(self._url, self._key) as speech:
                self._speech = speech
                while True:
                    await self._hear_service(await speech.receive())
        except SpeechError as exc:
            logger.warning("%s", exc)
            self._metrics.speech_warnings.labels(exc.code).inc()
            end = End.SPEECH_REFUSED if isinstance(exc, SpeechRefused) else End.SPEECH_LOST
            await self._happen(lambda: self._conversation.speech_ended(end))

    async def _hear_service(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            await self._happen(lambda: self._conversation.agent_audio(message, time.monotonic()))
            return
        event = deepgram.parse(message)
        self._note(event)
        await self._happen(lambda: self._conversation.speech_event(event, time.monotonic()))

    def _note(self, event: deepgram.Event) -> None:
        """For the operator: what the service says of itself."""
        match event:
            case deepgram.Welcome(request_id=request_id):
                self.record.request_id = request_id
                logger.info("speech session %s", request_id)
            case deepgram.SettingsApplied():
                self._metrics.speech_ready_seconds.observe(time.monotonic() - self._started)
            case deepgram.Warning(code=code, description=description):
                logger.warning("the speech service warns: %s %s", code, description)
                self._metrics.speech_warnings.labels(deepgram.known_code(code)).inc()
            case deepgram.Error(code=code, description=description):
                logger.error("the speech service failed: %s %s", code, description)
                self._metrics.speech_warnings.labels(deepgram.known_code(code)).inc()
            case deepgram.Unknown(what=what):
                logger.debug("the speech service sent %s", what)

    # The phone network.

    async def _carry_line(self) -> None:
        await self._line_came.wait()
        line = self._line
        assert line is not None
        self._line_opened_at = time.monotonic()
        await self._happen(lambda: self._conversation.line_opened(time.monotonic()))
        try:
            while not self._hung_up.is_set():
                await self._hear_line(await line.receive())
        except LineLost as exc:
            if not self._hung_up.is_set():
                logger.warning("%s", exc)
            await self._happen(lambda: self._conversation.line_ended(End.LINE_LOST))

    async def _hear_line(self, message: str | bytes) -> None:
        event = twilio.parse(message)
        match event:
            case twilio.Media(audio=audio):
                self._conversation.caller_audio(time.monotonic())
                await self._forward(audio)
            case twilio.Marked(name=name):
                await self._happen(lambda: self._conversation.marked(name, time.monotonic()))
            case twilio.Stopped():
                await self._happen(lambda: self._conversation.line_ended(End.CALLER))
            case twilio.Unknown(what=what):
                logger.debug("the phone network sent %s", what)

    async def _forward(self, audio: bytes) -> None:
        """The caller's voice, frame by frame; kept while the service is not ready, the oldest dropped."""
        if self._listening and self._speech is not None:
            await self._send_speech(audio)
            return
        self._kept.append(audio)
        self._kept_bytes += len(audio)
        while self._kept_bytes > KEPT_BYTES:
            dropped = len(self._kept.popleft())
            self._kept_bytes -= dropped
            self._metrics.audio_dropped.inc(dropped / 8000)

    async def _start_listening(self) -> None:
        # Frames that arrive while this waits are kept too, and leave in their order.
        while self._kept:
            audio = self._kept.popleft()
            self._kept_bytes -= len(audio)
            await self._send_speech(audio)
        self._listening = True

    # What the conversation decides.

    async def _happen(self, decide: Callable[[], list[Action]]) -> None:
        async with self._performing:
            try:
                async with asyncio.timeout(self._timing.send):
                    for action in decide():
                        await self._perform(action)
            except TimeoutError:
                logger.warning("a socket has taken nothing for %g s", self._timing.send)
                self._hang_up(self._stuck)
        self._rescheduled.set()

    async def _perform(self, action: Action) -> None:  # noqa: C901 -- one flat case per action
        match action:
            case actions.Play(audio=audio):
                self._note_greeting()
                await self._send_line(twilio.media(self._stream_sid, audio))
            case actions.SetMark(name=name):
                await self._send_line(twilio.mark(self._stream_sid, name))
            case actions.Clear():
                await self._send_line(twilio.clear(self._stream_sid))
            case actions.SendSettings():
                await self._send_settings()
            case actions.StartListening():
                await self._start_listening()
            case actions.Inject(text=text, behavior=behavior):
                await self._send_speech(deepgram.inject(text, behavior))
            case actions.KeepAlive():
                await self._send_speech(deepgram.keep_alive())
            case actions.SendSilence(length=length):
                await self._send_speech(b"\xff" * length)
            case actions.Run():
                self._tasks[action.request.id] = self._group.create_task(self._run_function(action))
            case actions.Cancel(id=request_id):
                if task := self._tasks.pop(request_id, None):
                    task.cancel()
            case actions.Answer(request=request, content=content):
                await self._send_speech(deepgram.function_response(request, content))
            case actions.Remember(entry=entry):
                self._remember(entry)
            case actions.HangUp(end=end):
                self._hang_up(end)

    def _hang_up(self, end: End) -> None:
        if self.record.end is None:
            self.record.end = end
            if self._over is not None:
                self._over(self.record)
        self._hung_up.set()

    async def _run_function(self, run: actions.Run) -> None:
        started = time.monotonic()
        names: Mapping[str, object] = rendering.template_names(self.agent, self.call)
        content = await self._functions.run(run.function, run.request.arguments, self.call, names)
        seconds = time.monotonic() - started
        outcome = "error" if content.startswith('{"error":') else "result"
        self._metrics.function_seconds.labels(self.agent.name, run.function.name, outcome).observe(seconds)
        self._tasks.pop(run.request.id, None)
        self._remember(record.Ran(run.function.name, run.request.arguments, content, seconds))
        await self._happen(lambda: self._conversation.function_finished(run.request.id, content, time.monotonic()))

    async def _send_settings(self) -> None:
        try:
            message = rendering.settings(self.agent, self.call)
        except ConfigError as exc:
            logger.error("the settings of %s cannot be rendered: %s", self.agent.name, exc)
            self._hang_up(End.FAULT)
            return
        await self._send_speech(rendering.encoded(message))

    def _note_greeting(self) -> None:
        if not self._greeted:
            self._greeted = True
            self._metrics.greeting_seconds.labels(self.agent.name).observe(time.monotonic() - self._line_opened_at)

    def _remember(self, entry: Entry) -> None:
        self.record.entries.append(entry)
        if isinstance(entry, record.BargedIn):
            self._metrics.barge_ins.labels(self.agent.name).inc()
        logger.debug("%s", entry)
        if self._observe is not None:
            self._observe(self.call, entry)

    async def _send_line(self, message: str) -> None:
        if self._line is None or self._hung_up.is_set():
            return
        self._stuck = End.LINE_LOST
        with contextlib.suppress(LineLost):  # The task that reads it hears the same, and says so.
            await self._line.send(message)

    async def _send_speech(self, message: str | bytes) -> None:
        if self._speech is None or self._hung_up.is_set():
            return
        self._stuck = End.SPEECH_LOST
        with contextlib.suppress(SpeechError):  # The task that reads it hears the same, and says so.
            await self._speech.send(message)

    # Time.

    async def _keep_time(self) -> None:
        while True:
            await self._until_next_deadline()
            await self._happen(lambda: self._conversation.tick(time.monotonic()))

    async def _until_next_deadline(self) -> None:
        while (seconds := self._conversation.deadline() - time.monotonic()) > 0:
            self._rescheduled.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds if seconds < float("inf") else None):
                    await self._rescheduled.wait()
