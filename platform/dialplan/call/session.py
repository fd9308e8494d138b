"""The live bridge of one call: two sockets, one task group, and a conversation that decides.

It performs what conversation.py decides, and decides nothing itself. What happens is performed to its end before
anything else can happen: no `await` stands between a message and what follows from it. Whatever happens to it, when
`run` returns both sockets are closed, no task is left, and the record has an end.
"""

import asyncio
import contextvars
import functools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from time import monotonic
from typing import Any, TypeVarTuple

from dialplan.call import actions, record
from dialplan.call import settings as rendering
from dialplan.call.actions import Action
from dialplan.call.alarm import Alarm
from dialplan.call.conversation import Conversation
from dialplan.call.functions import Functions
from dialplan.call.history import LONG, Recollection
from dialplan.call.record import End, Entry, Record
from dialplan.call.services import Services
from dialplan.call.sockets import DEAF, NOBODY, Dial, Listener, Socket, closed
from dialplan.call.timing import Timing
from dialplan.config.model import Agent
from dialplan.errors import ConfigError, SpeechError, SpeechLost, SpeechRefused
from dialplan.facts import Call
from dialplan.log import call_id
from dialplan.metrics import Metrics
from dialplan.wire import deepgram, twilio

logger = logging.getLogger(__name__)

Given = TypeVarTuple("Given")

#: Bytes of the caller's audio that are kept while the speech service is not ready: two seconds.
KEPT_BYTES = 16_000


#: Ends that were not decided here.
_KNOWN_TO_TWILIO = (End.CALLER, End.LINE_LOST, End.NEVER_CAME)


class _Kept:
    """What the caller said while nobody listened: the last two seconds of it."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._bytes = 0

    def put(self, audio: bytes) -> int:
        """Keep this too; how many bytes were dropped for it, the oldest first."""
        self._frames.append(audio)
        self._bytes += len(audio)
        dropped = 0
        while self._bytes > KEPT_BYTES:
            dropped += len(self._frames[0])
            self._bytes -= len(self._frames.popleft())
        return dropped

    def take(self) -> Iterable[bytes]:
        """All of it, and keep nothing."""
        frames, self._frames, self._bytes = self._frames, deque(), 0
        return frames


class _Over(Exception):
    """Ends the task group of a call."""


class Session:
    """One call, from the dialling of the speech service to its end.

    Args:
        agent: who answers.
        call: the facts.
        services: where the speech service is had.
        dial: opens the speech service's socket.
        functions: runs the model's functions.
        metrics: of the process.
        timing: the protocols' time limits.
        observe: is told every entry of the record as it happens.
        over: is told the record when its end is decided, before the line closes: who asks next must know.
        attempt: which session of the call this is.
        recall: what is known of a call that another process has led so far.
        written: waits until what was observed is where another process can read it.
    """

    def __init__(
        self,
        agent: Agent,
        call: Call,
        *,
        services: Services,
        dial: Dial,
        functions: Functions,
        metrics: Metrics,
        timing: Timing,
        observe: Callable[[Call, Entry], None] | None = None,
        over: Callable[[Record], None] | None = None,
        attempt: int = 1,
        recall: Callable[[], Awaitable[Recollection | None]] | None = None,
        written: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.agent = agent
        self.call = call
        self.record = Record(call, agent.name)
        self._services = services
        self._service = services.pick()
        self._dial = dial
        self._functions = functions
        self._metrics = metrics
        self._timing = timing
        self._observe = observe
        self._over = over
        self.attempt = attempt
        self._broken_before = attempt - 1  # As long as nobody knows better.
        self._recall = recall
        self._written = written
        self._started = monotonic()
        self._conversation = Conversation(agent.functions, agent.limits, self._started, timing)
        # What sockets and timers call runs in the context of nobody: its log lines must bear the call's id.
        self._context = contextvars.copy_context()
        self._context.run(call_id.set, call.id)
        self._line: Socket = NOBODY
        self._stream = twilio.Stream("")
        self._line_opened_at = 0.0
        self._line_came = asyncio.Event()
        self._begun = False
        self._speech: Socket = NOBODY
        self._conversing: asyncio.Task[None] | None = None
        self._dialled_at = self._started
        self._listening = False
        self._kept = _Kept()
        self._greeted = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._alarm = Alarm(self._conversation.deadline, self._tick, self._context)
        self._stalls: dict[End, asyncio.TimerHandle] = {}
        self._hung_up = asyncio.Event()
        self.ended = asyncio.Event()
        """Set when everything is closed and the record is complete."""

    async def run(self) -> None:
        """The whole call. Cancelling it closes everything and is recorded as a shutdown."""
        call_id.set(self.call.id)
        self._metrics.calls_live.labels(self.agent.name).inc()
        self._remember(record.Began(self.agent.name, self.attempt, self.agent.records))
        self._begun = True
        if self._line_came.is_set():  # Before this task came to run.
            self._remember(record.Connected())
        try:
            await self._in_one_group()
        finally:
            self._finish()

    def attach(self, line: Socket, stream_sid: str) -> None:
        """Give the call its line; it is closed when the call has ended."""
        self._line, self._stream = line, twilio.Stream(stream_sid)
        self._line_opened_at = monotonic()
        self._line_came.set()
        self._guard(self._open_line)
        line.listen(Listener(self._line_text, self._line_binary, self._line_lost, self._line_blocked))

    @property
    def waiting(self) -> bool:
        """No line has come yet, and one still may."""
        return not self._line_came.is_set() and not self._hung_up.is_set()

    @property
    def quiet(self) -> bool:
        """Nobody speaks, and nothing is at work."""
        return self._conversation.is_quiet(monotonic())

    @property
    def says_goodbye(self) -> bool:
        """It ends by itself, in a moment."""
        return self._conversation.is_ending

    def recollection(self, end: End) -> Recollection:
        """What is known of the call here, for whoever carries it on."""
        broken = self._broken_before + 1 if monotonic() - self._started < LONG else 0
        return self._conversation.recollection(self.agent.name, self.attempt, end, broken)

    def end(self, end: End) -> None:
        """End the call from outside, for a reason of the process's own."""
        self._guard(self._end, end)

    async def _in_one_group(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._walled(self._begin))
                self._alarm.look()
                await self._until_hung_up()
                if self.record.end not in _KNOWN_TO_TWILIO and self._written is not None:
                    await self._written()  # Twilio asks what comes next within a moment, and maybe another process.
                # The caller first: the speech service may take its time to say goodbye.
                await self._close_line()
                raise _Over
        except* _Over:
            pass
        except* Exception:  # noqa: BLE001 -- _fail logs it
            self._fail()
        finally:
            await self._close_line()

    async def _begin(self) -> None:
        known = await self._recall() if self._recall is not None else None
        if known is not None:
            self._broken_before = known.broken
            self._happen(self._conversation.carry_on(known))
        if not self._hung_up.is_set():
            self._converse(after=0.0)

    async def _until_hung_up(self) -> None:
        try:
            await self._hung_up.wait()
        except asyncio.CancelledError:
            self._hang_up(End.SHUTDOWN)
            raise

    def _finish(self) -> None:
        self._alarm.stop()
        for stall in self._stalls.values():
            stall.cancel()
        end = self.record.end or End.FAULT
        self.record.seconds = self._on_the_line()
        self._metrics.calls_live.labels(self.agent.name).dec()
        self._metrics.calls_ended.labels(self.agent.name, end.value).inc()
        logger.info("the call with %s ended after %.1f s: %s", self.agent.name, self.record.seconds, end.value)
        self.ended.set()

    async def _close_line(self) -> None:
        line, self._line = self._line, NOBODY
        await closed(line, within=self._timing.close)

    def _guard(self, work: Callable[[*Given], None], *args: *Given) -> None:
        """Do what a socket has called for. It called in the context of nobody."""
        self._context.run(lambda: self._wall(work, *args))

    def _wall(self, work: Callable[[*Given], None], *args: *Given) -> None:
        """A mistake in here must not reach another call."""
        try:
            work(*args)
        except Exception:  # noqa: BLE001 -- _fail logs it
            self._fail()

    async def _walled(self, work: Callable[[*Given], Coroutine[Any, Any, None]], *args: *Given) -> None:
        """The same for a task. Called only here: a task may be cancelled before it begins."""
        try:
            await work(*args)
        except Exception:  # noqa: BLE001 -- _fail logs it
            self._fail()

    def _fail(self) -> None:
        logger.exception("the call failed")
        self._conversation.line_ended(End.FAULT)  # Nothing more is decided, whatever else comes.
        self._hang_up(End.FAULT)

    # The speech service.

    def _converse(self, after: float) -> None:
        self._conversing = self._group.create_task(self._walled(self._in_session, after))

    async def _in_session(self, after: float) -> None:
        """One session with the speech service, until it is lost or the call is over."""
        await asyncio.sleep(after)
        self._service, self._dialled_at = self._services.pick(), monotonic()
        try:
            async with self._dial(self._service.url, self._service.key) as speech:
                self._speech = speech
                speech.hold(End.LINE_LOST in self._stalls)  # A line that was blocked before still is.
                speech.listen(Listener(self._speech_text, self._speech_binary, self._speech_lost, self._speech_blocked))
                await asyncio.Event().wait()  # Until this is cancelled.
        except SpeechError as exc:
            self._lose_speech(exc)

    def _redial(self, after: float) -> None:
        """Be rid of a session that is lost, and begin another one. Nobody waits for the old one's goodbye."""
        if not self._listening:
            self._services.failed(self._service)
        self._listening = False
        self._speech.listen(DEAF)
        self._speech = NOBODY
        self._stall(End.SPEECH_LOST, False)
        if self._conversing is not None:
            self._conversing.cancel()
        self._converse(after)

    def _speech_binary(self, audio: bytes) -> None:
        """The agent's voice, fifty times a second: no deadline comes nearer by it, and nothing is logged."""
        try:
            if self._conversation.agent_audio(audio, monotonic()):
                self._play(audio)
        except Exception:  # noqa: BLE001 -- _fail logs it
            self._context.run(self._fail)

    def _speech_text(self, message: bytes) -> None:
        self._guard(self._hear_event, message)

    def _speech_lost(self, code: int) -> None:
        self._guard(
            self._lose_speech, SpeechLost(f"the speech service closed the connection ({code})", f"closed_{code}")
        )

    def _speech_blocked(self, on: bool) -> None:
        self._stall(End.SPEECH_LOST, on)

    def _hear_event(self, message: bytes) -> None:
        event = deepgram.parse(message)
        self._note(event)
        self._happen(self._conversation.speech_event(event, monotonic()))

    def _lose_speech(self, exc: SpeechError) -> None:
        logger.warning("%s", exc)
        self._remember(record.Lost(exc.code))
        if isinstance(exc, SpeechRefused) and not self._services.another(self._service):
            self._happen(self._conversation.speech_refused())
        else:
            self._happen(self._conversation.speech_lost(monotonic()))

    def _note(self, event: deepgram.Event) -> None:
        """For the operator: what the service says of itself."""
        match event:
            case deepgram.Welcome(request_id=request_id):
                self.record.request_id = request_id
                logger.info("speech session %s", request_id)
                self._remember(record.Welcomed(request_id))
            case deepgram.LatencyReport(seconds=seconds):
                self._remember(record.Reported(dict(seconds)))
            case deepgram.SettingsApplied():
                self._metrics.speech_ready_seconds.observe(monotonic() - self._dialled_at)
                self._services.worked(self._service)
            case deepgram.Warning(code=code, description=description):
                logger.warning("the speech service warns: %.80s %.300s", code, description)
                self._metrics.speech_warnings.labels(deepgram.known_code(code)).inc()
                self._remember(record.Warned(code))
            case deepgram.Error(code=code, description=description):
                logger.error("the speech service failed: %.80s %.300s", code, description)
                self._remember(record.Lost(deepgram.known_code(code)))
            case deepgram.Unknown(what=what):
                logger.debug("the speech service sent %s", what)

    # The phone network.

    def _line_text(self, message: bytes) -> None:
        """Fifty times a second it is the caller's voice, and passes without more ado."""
        voice = twilio.voice(message)
        if voice is not None and self._listening:
            self._conversation.heard_at = monotonic()
            self._speech.send_binary(voice)
        else:
            self._guard(self._hear_line, message)

    def _line_binary(self, message: bytes) -> None:
        """Twilio sends none, and asks nobody to understand any."""

    def _line_lost(self, code: int) -> None:
        self._guard(self._lose_line, code)

    def _line_blocked(self, on: bool) -> None:
        self._stall(End.LINE_LOST, on)

    def _open_line(self) -> None:
        if self._begun:
            self._remember(record.Connected())
        self._happen(self._conversation.line_opened(monotonic()))

    def _hear_line(self, message: bytes) -> None:
        event = twilio.parse(message)
        match event:
            case twilio.Media(audio=audio):
                self._conversation.heard_at = monotonic()
                self._forward(audio)
            case twilio.Marked(name=name):
                self._happen(self._conversation.marked(name, monotonic()))
            case twilio.Stopped():
                self._end(End.CALLER)
            case twilio.Unknown(what=what):
                logger.debug("the phone network sent %s", what)

    def _lose_line(self, code: int) -> None:
        if not self._hung_up.is_set():
            logger.warning("the phone network's socket closed (%d)", code)
        self._end(End.LINE_LOST)

    def _end(self, end: End) -> None:
        self._happen(self._conversation.line_ended(end))

    def _forward(self, audio: bytes) -> None:
        """The caller's voice, frame by frame; kept while the service is not ready, the oldest dropped."""
        if self._listening:
            self._speech.send_binary(audio)
        elif dropped := self._kept.put(audio):
            self._metrics.audio_dropped.inc(dropped / 8000)

    def _start_listening(self) -> None:
        for audio in self._kept.take():
            self._speech.send_binary(audio)
        self._listening = True

    # What the conversation decides.

    def _happen(self, decided: list[Action]) -> None:
        for action in decided:
            self._perform(action)
        self._alarm.look()

    def _perform(self, action: Action) -> None:  # noqa: C901 -- one flat case per action
        match action:
            case actions.Play(audio=audio):
                self._play(audio)
            case actions.SetMark(name=name):
                self._line.send_text(self._stream.mark(name))
            case actions.Clear():
                self._line.send_text(self._stream.clear())
            case actions.SendSettings():
                self._send_settings(action)
            case actions.Redial(after=after):
                self._redial(after)
            case actions.StartListening():
                self._start_listening()
            case actions.Inject(text=text, behavior=behavior):
                self._speech.send_text(deepgram.inject(text, behavior))
            case actions.Ask(text=text):
                self._speech.send_text(deepgram.ask(text))
            case actions.KeepAlive():
                self._speech.send_text(deepgram.keep_alive())
            case actions.SendSilence(length=length):
                self._speech.send_binary(b"\xff" * length)
            case actions.Run(request=request):
                self._remember(record.Running(request.id, request.name, request.arguments))
                self._tasks[request.id] = self._group.create_task(self._walled(self._run_function, action))
            case actions.Cancel(id=request_id):
                if task := self._tasks.pop(request_id, None):
                    task.cancel()
            case actions.Answer(request=request, content=content):
                self._speech.send_text(deepgram.function_response(request, content))
            case actions.Remember(entry=entry):
                self._remember(entry)
            case actions.HangUp(end=end):
                self._hang_up(end)

    def _hang_up(self, end: End) -> None:
        first = self.record.end is None
        self.record.end = self.record.end or end
        if first and self._over is not None:
            self._over(self.record)
        self._listening = False
        self._hung_up.set()
        if first:
            self._remember(record.Ended(end, self._on_the_line()))

    def _on_the_line(self) -> float:
        """Seconds since the line opened."""
        return monotonic() - self._line_opened_at if self._line_opened_at else 0.0

    async def _run_function(self, run: actions.Run) -> None:
        started = monotonic()
        names = functools.partial(rendering.template_names, self.agent, self.call)
        content = await self._functions.run(run.function, run.request.arguments, self.call, names, run.request.id)
        ran = record.Ran(run.function.name, run.request.arguments, content, monotonic() - started, run.request.id)
        self._metrics.function_seconds.labels(self.agent.name, ran.function, ran.outcome).observe(ran.seconds)
        self._tasks.pop(run.request.id, None)
        self._remember(ran)
        self._happen(self._conversation.function_finished(run.request.id, content, monotonic()))

    def _send_settings(self, wanted: actions.SendSettings) -> None:
        try:
            message = rendering.settings(self.agent, self.call, wanted.opening, wanted.past)
        except ConfigError as exc:
            logger.error("the settings of %s cannot be rendered: %s", self.agent.name, exc)
            self._hang_up(End.FAULT)
            return
        self._speech.send_text(rendering.encoded(message))
        self._remember(record.Configured(rendering.recorded(message)))

    def _play(self, audio: bytes) -> None:
        if not self._greeted:
            self._greeted = True
            self._metrics.greeting_seconds.labels(self.agent.name).observe(monotonic() - self._line_opened_at)
        self._line.send_text(self._stream.media(audio))

    def _remember(self, entry: Entry) -> None:
        match entry:
            case record.BargedIn():
                self._metrics.barge_ins.labels(self.agent.name).inc()
            case record.Lost(code=code):
                self._metrics.speech_warnings.labels(code).inc()
            case record.Recovered(seconds=seconds):
                self._metrics.speech_recovery_seconds.observe(seconds)
        logger.debug("%s", entry)
        if self._observe is not None:
            self._observe(self.call, entry)

    def _stall(self, end: End, on: bool) -> None:
        """One side takes nothing more for now: the other must not bring more, and it must not last."""
        (self._line if end is End.SPEECH_LOST else self._speech).hold(on)
        if on:
            self._stalls[end] = asyncio.get_running_loop().call_later(
                self._timing.send, self._wall, self._give_up, end, context=self._context
            )
        elif stall := self._stalls.pop(end, None):
            stall.cancel()

    def _give_up(self, end: End) -> None:
        if end is End.SPEECH_LOST:
            self._lose_speech(
                SpeechLost(f"the speech service has taken nothing for {self._timing.send:g} s", "blocked")
            )
        else:
            logger.warning("the line has taken nothing for %g s", self._timing.send)
            self._end(end)

    def _tick(self, now: float) -> None:
        self._wall(lambda: self._happen(self._conversation.tick(now)))
