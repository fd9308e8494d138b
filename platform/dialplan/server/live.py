"""The calls on the line in this process: begin one, find one, refuse one, let them all come to their end."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from dialplan.call.functions import Functions
from dialplan.call.record import End, Entry, Record
from dialplan.call.session import Session
from dialplan.call.sockets import Dial
from dialplan.call.timing import Timing
from dialplan.config.dialplan import Dialplan
from dialplan.config.model import Agent
from dialplan.facts import Call
from dialplan.metrics import Metrics
from dialplan.server.environment import Environment
from dialplan.server.ledger import Ledger, Memory

logger = logging.getLogger(__name__)

#: Within these seconds a stream that Twilio calls over is noticed here too, or in the process next door.
SETTLE_SECONDS = 2.0


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
    draining: bool = False
    _sessions: dict[str, Session] = field(default_factory=dict)
    _tasks: dict[asyncio.Task[None], Session] = field(default_factory=dict)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        self._idle.set()
        self.metrics.agents.set(len(self.dialplan.agents))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._tasks)

    def find(self, call_id: str) -> Session | None:
        """The call's session, until its end is decided."""
        return self._sessions.get(call_id)

    def is_full(self, agent: Agent) -> bool:
        """Whether the agent has as many calls as it may."""
        if agent.limits.calls is None:
            return False
        busy = Counter(session.agent.name for session in self._tasks.values())
        return busy[agent.name] >= agent.limits.calls

    def begin(self, agent: Agent, call: Call) -> Session:
        """Start a call's session: the speech service is dialled now, the line may come later."""
        session = Session(
            agent,
            call,
            service=(self.environment.deepgram_url, self.environment.deepgram_key),
            dial=self.dial,
            functions=self.functions,
            metrics=self.metrics,
            timing=self.timing,
            observe=self.observe,
            over=self._note_end,
        )
        self.ledger.put(f"end {call.id}", "")
        # The task belongs to this object: it outlives the request that began the call, and ends with `__aexit__`.
        task = asyncio.get_running_loop().create_task(session.run(), name=f"call {call.id}")
        self._sessions[call.id] = self._tasks[task] = session
        self._idle.clear()
        task.add_done_callback(self._ended)
        return session

    async def settled_end(self, call_id: str) -> End | None:
        """Why a call ended, when Twilio says that its stream has; None where nobody here knows of an end.

        A session whose line is over for Twilio gets a moment to notice. One that waits for its line has not ended.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while (end := self._end_of(call_id)) is None and self._may_settle(call_id):  # noqa: ASYNC110
                    await asyncio.sleep(SETTLE_SECONDS / 40)  # No event: it may be decided in another process.
                return end
        if session := self.find(call_id):
            await session.end(End.LINE_LOST)
        return None

    def _end_of(self, call_id: str) -> End | None:
        noted = self.ledger.get(f"end {call_id}")
        return End(noted) if noted else None

    def _may_settle(self, call_id: str) -> bool:
        session = self.find(call_id)
        return not session.waiting if session is not None else self.ledger.shared

    def _note_end(self, record: Record) -> None:
        self._sessions.pop(record.call.id, None)
        # Whoever never came here may be on the line of another process.
        if record.end is not None and record.end is not End.NEVER_CAME:
            self.ledger.put(f"end {record.call.id}", record.end.value)

    async def drain(self) -> None:
        """Take no new calls, and wait until the last one has ended."""
        self.draining = True
        if self._tasks:
            logger.info("draining; on the line: %d", len(self._tasks))
        await self._idle.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        session = self._tasks.pop(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("the call %s failed", session.call.id, exc_info=task.exception())
        if not self._tasks:
            self._idle.set()
