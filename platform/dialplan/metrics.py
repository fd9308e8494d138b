"""What an operator can count. One `Metrics` per process; docs/operations.md says what each is for."""

import asyncio
from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Every metric of a process, in a registry of its own so that two servers in one process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls_live = Gauge("dialplan_calls_live", "Calls on the line.", ["agent"], registry=self.registry)
        self.calls_ended = Counter(
            "dialplan_calls_ended", "Calls that have ended, by reason.", ["agent", "end"], registry=self.registry
        )
        self.calls_refused = Counter(
            "dialplan_calls_refused", "Calls and streams turned away, by reason.", ["reason"], registry=self.registry
        )
        self.greeting_seconds = Histogram(
            "dialplan_greeting_seconds",
            "From the open line to the first audio of the agent.",
            ["agent"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.speech_ready_seconds = Histogram(
            "dialplan_speech_ready_seconds",
            "From dialling the speech service to SettingsApplied.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.speech_warnings = Counter(
            "dialplan_speech_warnings", "Warnings and errors of the speech service.", ["code"], registry=self.registry
        )
        self.speech_recovery_seconds = Histogram(
            "dialplan_speech_recovery_seconds",
            "From the loss of the speech service to a session that takes over.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.barge_ins = Counter(
            "dialplan_barge_ins", "Times that a caller interrupted the agent.", ["agent"], registry=self.registry
        )
        self.function_seconds = Histogram(
            "dialplan_function_seconds",
            "Run time of functions, by outcome.",
            ["agent", "function", "outcome"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.audio_dropped = Counter(
            "dialplan_audio_dropped_seconds",
            "Audio of callers that came before the speech service was ready and found no room.",
            registry=self.registry,
        )
        self.journal_lost = Counter(
            "dialplan_journal_lost", "Entries of records that could not be written.", registry=self.registry
        )
        self.journal_waiting = Gauge(
            "dialplan_journal_waiting", "Entries of records that are still to be written.", registry=self.registry
        )
        self.loop_late_seconds = Histogram(
            "dialplan_loop_late_seconds",
            "How late the event loop is, and with it all audio; looked at twenty times a second.",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.5),
            registry=self.registry,
        )
        self.tasks = Gauge(
            "dialplan_tasks", "Asyncio tasks of the event loop, counted when asked.", registry=self.registry
        )
        self.tasks.set_function(_tasks)
        self.agents = Gauge("dialplan_agents", "Agents that answer.", registry=self.registry)
        self.agent_broken = Gauge(
            "dialplan_agent_broken", "1 where an agent's file has a mistake, else 0.", ["agent"], registry=self.registry
        )
        self.last_reload_successful = Gauge(
            "dialplan_last_reload_successful",
            "1 where the files could be read and used, 0 where one was set aside, or none could be read.",
            registry=self.registry,
        )
        self.last_reload_timestamp = Gauge(
            "dialplan_last_reload_timestamp_seconds",
            "When the files were last read because they had changed, or at the start.",
            registry=self.registry,
        )

    def loaded(self, answering: Collection[str], broken: Collection[str]) -> None:
        """The files were read: who answers, and whose file has a mistake."""
        self.agents.set(len(answering))
        self.agent_broken.clear()
        for name in {*answering, *broken}:
            self.agent_broken.labels(name).set(name in broken)
        self.last_reload_successful.set(not broken)
        self.last_reload_timestamp.set_to_current_time()

    def not_loaded(self) -> None:
        """The files have changed, and could not be read."""
        self.last_reload_successful.set(0)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry)


def _tasks() -> int:
    """How many the loop has that asks; none where no loop does."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0
