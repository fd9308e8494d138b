"""The calls on the line in this process: begin one, find one, refuse one, let them all come to their end."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, Self

from dialplan.call import services as speech_services
from dialplan.call.functions import Functions
from dialplan.call.history import Recollection
from dialplan.call.record import End, Entry, Record
from dialplan.call.services import Services
from dialplan.call.session import Session
from dialplan.call.sockets import Dial
from dialplan.call.timing import Timing
from dialplan.config.dialplan import Dialplan
from dialplan.config.loading import Loading
from dialplan.config.model import Agent
from dialplan.config.secret import reveal
from dialplan.errors import JournalError
from dialplan.facts import Call
from dialplan.metrics import Metrics
from dialplan.server.admission import Admission
from dialplan.server.environment import Environment
from dialplan.server.ledger import Ledger, Memory

logger = logging.getLogger(__name__)

#: Within these seconds a stream that Twilio calls over is noticed here too, or in the process next door.
SETTLE_SECONDS = 2.0

#: What another process has kept of a call is waited for this long; then it is carried on without.
RECALL_SECONDS = 1.0

#: Twilio asks what comes next within some hundred milliseconds of a stream's end; a TwiML Bin may never ask.
QUESTION_SECONDS = 5.0


#: A call that is moved waits this long for a quiet moment.
MOVE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Drain:
    """What becomes of the calls on the line when the process is to end."""

    move: bool = False
    """Another process carries them on; else they are waited for."""
    seconds: float | None = None
    """For so long at most; None for as long as they last."""


WAIT = Drain()


class Records(Protocol):
    """What is kept of calls, by this process and by others."""

    def observe(self, call: Call, entry: Entry) -> None:
        """Keep this too."""
        ...

    async def recall(self, call_id: str, before: int | None = None) -> Recollection | None:
        """What is known of a call's attempts before this one. Raises JournalError: that cannot be told now."""
        ...

    async def was_heard(self, call_id: str) -> bool:
        """Whether the call has had its caller on the line before. Raises JournalError: that cannot be told now."""
        ...

    async def written(self) -> None:
        """Wait until others can read what was observed."""
        ...


@dataclass(slots=True)
class Live:
    """An async context manager: leaving it ends every call that is still on the line."""

    dialplan: Dialplan
    """Replaced as a whole by a reload; a call keeps the agent that it began with."""
    environment: Environment
    dial: Dial
    functions: Functions
    metrics: Metrics = field(default_factory=Metrics)
    timing: Timing = field(default_factory=Timing)
    ledger: Ledger = field(default_factory=Memory)
    observe: Callable[[Call, Entry], None] | None = None
    """Is told every entry of every record; unless given, `records` is."""
    records: Records | None = None
    admission: Admission = field(default_factory=Admission)
    set_aside: tuple[str, ...] = ()
    """Names of agents whose file has a mistake."""
    draining: bool = False
    moving: bool = False
    """While draining: others live, and whoever asks again reaches them."""
    _services: dict[tuple[str, str], Services] = field(default_factory=dict, repr=False)
    _sessions: dict[str, Session] = field(default_factory=dict)
    _broken: dict[str, Recollection] = field(default_factory=dict)
    _tasks: dict[asyncio.Task[None], Session] = field(default_factory=dict)
    _unasked: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    _looking: set[asyncio.Task[None]] = field(default_factory=set)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        self._idle.set()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.moving:  # A second signal: whoever lives carries on what could not wait for a quiet moment.
            for session in list(self._sessions.values()):
                session.end(End.MOVED)
        tasks = [*self._tasks, *self._looking]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for later in self._unasked.values():
            later.cancel()

    def __len__(self) -> int:
        return len(self._tasks)

    def take(self, loading: Loading) -> None:
        """Answer by these files from here on. Calls on the line go on with what they began with."""
        self.dialplan, self.set_aside = loading.dialplan, loading.set_aside
        self.metrics.loaded(loading.dialplan.agents, loading.set_aside)

    def find(self, call_id: str) -> Session | None:
        """The call's session, until its end is decided."""
        return self._sessions.get(call_id)

    def awaited(self, call_id: str, attempt: int) -> Session | None:
        """The call's session, if it waits for the stream of this attempt. One that waits for an earlier one's was
        dialled here while the stream went elsewhere: it has missed what was said there, and ends."""
        session = self.find(call_id)
        if session is None or not session.waiting or session.attempt >= attempt:
            return session
        session.end(End.NEVER_CAME)
        return None

    @property
    def ready(self) -> bool:
        """Whether a new call would be answered."""
        return bool(self.dialplan.agents) and not self.draining and not self.admission.is_late

    def begin(
        self,
        agent: Agent,
        call: Call,
        line_within: float | None = None,
        attempt: int = 1,
        known: Recollection | None = None,
        *,
        admitted: bool = False,
        signed: bool = True,
    ) -> Session:
        """Start a call's session: the speech service is dialled now, the line may come later.

        Args:
            agent: who answers.
            call: the facts.
            line_within: seconds in which the line must come, where they are not the usual ones.
            attempt: which session of the call it is. From the second on, it carries on what the others have led.
            known: what they have, where that was asked before.
            admitted: the caller was let in before, here or elsewhere.
            signed: it comes by an answer to Twilio, which is given once for a call. Whoever writes TwiML by hand may
                connect one call several times.

        Raises:
            LineBusy: the call is one too many.
        """
        services, shared = self._services_of(agent), reveal(agent.api_key) in ("", self.environment.deepgram_key)
        places = self.admission.admit(agent, services, shared=shared, returning=admitted or attempt > 1)

        async def recall() -> Recollection | None:
            return known or await self.recall(call.id, attempt)

        def over(record: Record) -> None:
            places.agent()
            self._note_end(record)

        session = Session(
            agent,
            call,
            services=services,
            dial=self.dial,
            functions=self.functions,
            metrics=self.metrics,
            timing=self.timing if line_within is None else replace(self.timing, line=line_within),
            observe=self.observe or (self.records.observe if self.records else None),
            over=over,
            attempt=attempt,
            recall=recall if attempt > 1 else None,
            written=self.records.written if self.records else None,
        )
        self.ledger.put(f"end {call.id}", "")
        self.ledger.put(f"agent {call.id}", agent.name)
        # The task belongs to this object: it outlives the request that began the call, and ends with `__aexit__`.
        task = asyncio.get_running_loop().create_task(session.run(), name=f"call {call.id}")
        self._sessions[call.id] = self._tasks[task] = session
        self._idle.clear()
        task.add_done_callback(self._ended)
        task.add_done_callback(lambda _: places.speech())
        if signed and attempt == 1 and self.records is not None:
            looking = asyncio.get_running_loop().create_task(self._end_if_replayed(session, self.records))
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)
        return session

    async def _end_if_replayed(self, session: Session, records: Records) -> None:
        """Twilio's signature bears no time: what it has signed for a call that was on the line before, somebody has
        kept. The speech service is dialled meanwhile: no caller waits for the database."""
        with contextlib.suppress(JournalError, TimeoutError):
            async with asyncio.timeout(RECALL_SECONDS):
                if not await records.was_heard(session.call.id):
                    return
            logger.warning("the call %s was on the line before: somebody has kept its webhook", session.call.id)
            self.metrics.calls_refused.labels("replayed").inc()
            session.end(End.CALLER)

    def _services_of(self, agent: Agent) -> Services:
        """Where an agent has its speech from; all calls with the same addresses and keys learn from each other."""
        url = reveal(agent.deepgram_url) or self.environment.deepgram_url
        key = reveal(agent.api_key) or self.environment.deepgram_key
        return self._services.setdefault((url, key), speech_services.services(url, key))

    def agent_of(self, call_id: str) -> Agent | None:
        """Who has answered a call before, where the agent is still there."""
        return self.dialplan.agents.get(self.ledger.get(f"agent {call_id}") or "")

    async def recall(self, call_id: str, before: int | None = None) -> Recollection | None:
        """What is known of a call's attempts so far, or before this one: by this process, else by the records."""
        if known := self._broken.get(call_id):
            return known
        if self.records is None:
            return None
        try:
            async with asyncio.timeout(RECALL_SECONDS):
                return await self.records.recall(call_id, before)
        except (JournalError, TimeoutError) as exc:
            logger.error("what was said in the call cannot be told: %s", exc or "the database does not answer")
            return None

    async def settled_end(self, call_id: str) -> End | None:
        """Why a call ended, when Twilio says that its stream has; None where nobody here knows of an end.

        A session whose line is over for Twilio gets a moment to notice. One that waits for its line has not ended.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while (end := self.end_of(call_id)) is None and self._may_settle(call_id):  # noqa: ASYNC110
                    await asyncio.sleep(SETTLE_SECONDS / 40)  # No event: it may be decided in another process.
                return end
        if session := self.find(call_id):
            session.end(End.LINE_LOST)
        return None

    def end_of(self, call_id: str) -> End | None:
        """Why a call ended, where that is decided."""
        noted = self.ledger.get(f"end {call_id}")
        return End(noted) if noted else None

    def _may_settle(self, call_id: str) -> bool:
        session = self.find(call_id)
        return not session.waiting if session is not None else self.ledger.shared

    def _note_end(self, record: Record) -> None:
        session = self._sessions.get(record.call.id)
        if session is not None and session.record is record:
            del self._sessions[record.call.id]
            if record.end is End.LINE_LOST:
                self._broken[record.call.id] = session.recollection(record.end)
        # Whoever never came here may be on the line of another process.
        if record.end is not None and record.end is not End.NEVER_CAME:
            self.ledger.put(f"end {record.call.id}", record.end.value)
            self._await_question(record)

    def _await_question(self, record: Record) -> None:
        """Twilio asks what comes after a stream. While draining, somebody must be there to say that it is the end: who
        comes after us would take the caller for one who was cut off."""
        if record.end not in (End.CALLER, End.MOVED) and record.call.id not in self._unasked:
            later = asyncio.get_running_loop().call_later(QUESTION_SECONDS, self.asked, record.call.id)
            self._unasked[record.call.id] = later
            self._idle.clear()

    def asked(self, call_id: str) -> None:
        """Twilio has asked what comes after a call's stream, or told that the call is over; or it never will."""
        self._broken.pop(call_id, None)
        if later := self._unasked.pop(call_id, None):
            later.cancel()
        self._look_idle()

    def _look_idle(self) -> None:
        if not self._tasks and not self._unasked:
            self._idle.set()

    async def drain(self, way: Drain = WAIT) -> None:
        """Take no new calls, and wait until the last one has ended and Twilio knows."""
        self.draining, self.moving = True, way.move
        if self._tasks:
            logger.info("draining; on the line: %d", len(self._tasks))
        try:
            async with asyncio.timeout(way.seconds):
                if way.move:
                    await self._move()
                await self._idle.wait()
        except TimeoutError:
            logger.warning("%d calls go on after %g s: they end now", len(self._tasks), way.seconds)
            for session in list(self._sessions.values()):
                session.end(End.MOVED if way.move else End.SHUTDOWN)
            await self._idle.wait()

    async def _move(self) -> None:
        """Hand every call to whoever lives, each in a quiet moment of its own."""
        async with asyncio.TaskGroup() as group:
            for session in list(self._sessions.values()):
                group.create_task(self._move_one(session))

    async def _move_one(self, session: Session) -> None:
        if session.waiting:  # Its stream comes to somebody else.
            session.end(End.NEVER_CAME)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MOVE_SECONDS):
                while not session.quiet and not session.ended.is_set():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)  # Quiet comes by the clock, when the caller has heard everything.
        if session.says_goodbye:  # Whoever took over would not know that it was one, and the caller would wait.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.timing.goodbye):
                    await session.ended.wait()
        session.end(End.MOVED)

    def _ended(self, task: asyncio.Task[None]) -> None:
        session = self._tasks.pop(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("the call %s failed", session.call.id, exc_info=task.exception())
        self._look_idle()
