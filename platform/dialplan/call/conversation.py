"""What happens next in a call: events in, actions out. No I/O and no clock of its own.

Times are seconds of any monotonic clock, given with every event. Each method returns the actions that session.py must
perform, in this order. After `HangUp` there are none.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dialplan.call.actions import (
    Action,
    Answer,
    Ask,
    Cancel,
    Clear,
    HangUp,
    Inject,
    KeepAlive,
    Opening,
    Play,
    Redial,
    Remember,
    Run,
    SendSettings,
    SendSilence,
    SetMark,
    StartListening,
)
from dialplan.call.attempts import Attempts
from dialplan.call.history import Called, History, Recollection, Spoken
from dialplan.call.record import BargedIn, End, Lost, Ran, Recovered, Said, Stopped
from dialplan.call.results import BUSY
from dialplan.call.timing import Timing
from dialplan.config.model import Builtin, Endpoint, Function, Limits, OnInterrupt
from dialplan.wire import deepgram
from dialplan.wire.deepgram import Behavior, FunctionCall, Role, error_content

#: μ-law at 8 kHz: bytes in a second of audio.
BYTES_PER_SECOND = 8000

#: A greeting longer than a minute waits for nobody.
HELD_BYTES = 60 * BYTES_PER_SECOND

#: Pieces that it may come in, with the ends of utterances between them: each weighs more than the audio in it.
HELD_PIECES = 6_000

#: Functions at work at once in one call. A model asks for a few; a call must not be able to take the threads of all.
MOST_AT_ONCE = 16

#: Requests that are remembered, so that one which is repeated is not answered twice. It would be repeated at once.
MOST_IDS = 1_000

STILL_THERE = "Are you still there?"
GOODBYE_QUIET = "I will hang up now. Goodbye."
GOODBYE_LIMIT = "I am sorry, this call has reached its time limit. Goodbye."

#: What the model is told, as if the caller had said it, when a speech session takes over from one that was lost.
GO_ON = "(The line was cut for a moment. Please go on where you were.)"
FINISHED = "({name} has finished. Its result: {content} Please go on.)"

#: What came of a function that is still at work when its speech session is lost.
UNKNOWN = error_content(
    "It is not known whether this was done: the line was cut meanwhile. Find out before it is done again."
)
STILL_AT_WORK = json.dumps({"status": "This is still at work. You will be told when it has finished."})


@dataclass(slots=True)
class _Running:
    """A function at work."""

    request: FunctionCall
    function: Function
    filler_at: float | None
    orphaned: bool = False
    """The speech session that asked for it is lost: nobody waits for an answer."""


@dataclass(slots=True)
class _Ending:
    """The goodbye: the line closes when the caller has heard it."""

    end: End
    deadline: float
    revocable: bool = True
    """An interrupted goodbye takes the hang-up back; the time limit of a call does not bend."""
    begun: bool = False
    """Audio has come since it was asked for: an utterance that is only now complete was no goodbye."""
    mark: str = ""
    """The newest mark after the goodbye's audio; empty while it is not all there."""
    function_id: str | None = None
    """The request that asked for the end; none where a limit did."""


class Conversation:
    """The state of one call between the phone network and the speech service.

    Args:
        functions: what the model may call, by name.
        limits: the agent's.
        started: when the speech service was dialled.
        timing: the protocols' time limits.
    """

    def __init__(self, functions: Mapping[str, Function], limits: Limits, started: float, timing: Timing) -> None:
        self._functions = functions
        self._limits = limits
        self._started = started
        self._timing = timing
        self._over = False
        self._opened = False  # The line: audio can be played.
        self._opened_at = 0.0
        # The speech service, which may be lost and dialled again.
        self._attempts = Attempts(started, timing)
        self._configured = False  # It has the Settings.
        self._listening = False  # It takes audio.
        self._history = History()
        self._opening = Opening.GREETING
        self._to_ask: list[str] = []  # As soon as it listens.
        self._asked_of_it = ""  # Comes back as the caller's words, and is none.
        self._answer_due: float | None = None  # It owes the caller a sign of life, by then.
        self.heard_at = 0.0
        """When audio last came from the caller's side. It passes without a decision, so the session just says when."""
        self._kept_alive_at = 0.0
        self._silence_at = 0.0
        # The agent's speech.
        self._held: list[bytes | None] = []  # From before the line opened; None where an utterance was complete.
        self._held_bytes = 0
        self._gate_until: float | None = None  # Audio before this is left over from a reply that the caller cut off.
        self._playing_until = 0.0  # When the caller will have heard everything, by the length of what was sent.
        self._epoch = 0  # Counts the clears: a mark of an older epoch was flushed, not heard.
        self._marks = 0
        self._audio_since_mark = False  # A sentence has begun, and is not all there.
        self._unsaid = 0  # The agent's newest texts that the caller has not heard, or only a part of an opening.
        # The model's functions.
        self._running: dict[str, _Running] = {}
        self._requested: dict[str, None] = {}  # In order, the newest last.
        # The quiet, and the end.
        self._quiet_since = 0.0
        self._asked = False  # The agent has asked whether anybody is there.
        self._ending: _Ending | None = None

    def carry_on(self, known: Recollection) -> list[Action]:
        """Another process has led the call so far: what it has kept of it. Comes before anything else."""
        if self._over or not known.heard:
            return []
        self._history = History(known.past)
        self._opening = Opening.NONE if known.end is End.MOVED else Opening.RESUMED
        return [action for one in known.unfinished for action in self._take_up(one)]

    def _take_up(self, begun: Called) -> list[Action]:
        """A function was at work: it is run again where that does no harm, and else nobody knows what came of it."""
        function = self._functions.get(begun.name)
        if function is None or not function.idempotent:
            self._history.add(replace(begun, response=UNKNOWN))
            # On record, so that whoever comes after us does not tell it once more.
            return [Remember(Ran(begun.name, begun.arguments, UNKNOWN, 0.0, begun.id))]
        request = FunctionCall(begun.id, begun.name, begun.arguments, client_side=True)
        self._note_request(begun.id)
        self._running[begun.id] = _Running(request, function, None, orphaned=True)
        return [Run(request, function)]

    def recollection(self, agent: str, attempt: int, end: End, broken: int) -> Recollection:
        """What this process knows of the call, for whoever carries it on."""
        unfinished = tuple(_called(one.request, "") for one in self._running.values())
        heard = attempt if self._opened else 0
        return Recollection(agent, attempt, end, heard, tuple(self._history), unfinished, broken)

    def is_quiet(self, now: float) -> bool:
        """Nobody speaks or waits for an answer, and nothing is at work: another process could carry the call on."""
        busy = self._running or self._ending or self._answer_due is not None or not self._listening
        return not busy and self._opened and now >= self._playing_until

    @property
    def is_ending(self) -> bool:
        """The agent says goodbye, or is about to."""
        return self._ending is not None

    # The phone network's side.

    def line_opened(self, now: float) -> list[Action]:
        """The caller can hear. What the agent has already said goes out at once."""
        if self._over:
            return []
        self._opened, self._opened_at, self._quiet_since, self.heard_at = True, now, now, now
        held, self._held = self._held, []
        actions: list[Action] = []
        for audio in held:
            if audio is None:
                actions += self._utterance_complete()
            elif self.agent_audio(audio, now):
                actions.append(Play(audio))
        return actions

    def marked(self, name: str, now: float) -> list[Action]:
        """Twilio echoes a mark: everything before it was heard, or flushed by a clear."""
        epoch, _, _ = name.partition("-")
        if self._over or epoch != str(self._epoch):
            return []
        self._quiet_since = now
        if not self._audio_since_mark and name == self._mark_name():
            self._playing_until = now
        if self._ending and self._ending.mark == name:
            return self._hang_up(self._ending.end)
        return []

    def line_ended(self, end: End) -> list[Action]:
        """The caller hung up, or the phone network is gone."""
        return self._hang_up(end)

    # The speech service's side.

    def agent_audio(self, audio: bytes, now: float) -> bool:
        """The agent speaks: whether this is played now. It is the one thing that comes fifty times a second."""
        if self._over or not audio or self._gated(now):
            return False
        if not self._opened:
            self._hold(audio)
            return False
        self._audio_since_mark = True
        self._answer_due = None
        if self._opening is Opening.NONE:
            self._unsaid = 0
        playing = self._playing_until
        self._playing_until = (playing if playing > now else now) + len(audio) / BYTES_PER_SECOND
        if self._ending:
            self._ending.begun, self._ending.mark = True, ""  # There is more to hear than what was marked.
        return True

    def speech_event(self, event: deepgram.Event, now: float) -> list[Action]:  # noqa: C901 -- one flat case per event
        """The speech service says something other than audio."""
        if self._over:
            return []
        if self._answer_due is not None:
            self._answer_due = max(self._answer_due, now + self._timing.unanswered)
        match event:
            case deepgram.Welcome():
                return self._welcomed()
            case deepgram.SettingsApplied() if not self._listening:
                return self._start_listening(now)
            case deepgram.UserStartedSpeaking():
                return self._barge_in(now)
            case deepgram.ConversationText(role=role, content=content):
                return self._said(role, content, now)
            case deepgram.EndOfTurn() | deepgram.AgentThinking() | deepgram.AgentStartedSpeaking():
                self._gate_until = None
            case deepgram.AgentAudioDone():
                return self._audio_done(now)
            case deepgram.FunctionCallRequest(functions=requests):
                return self._requests(requests, now)
            case deepgram.FunctionCallCancelled(ids=ids):
                return self._cancelled(ids)
            case deepgram.InjectionRefused():
                self._injection_refused(now)
            case deepgram.Error(retryable=True):
                return self.speech_lost(now)
            case deepgram.Error():
                return self.speech_refused()
        return []

    def speech_lost(self, now: float) -> list[Action]:
        """The speech service is gone, or cannot be had now."""
        if self._over or self._has_said_goodbye():
            return []
        pause = self._attempts.lost(now)
        return self._hang_up(End.SPEECH_LOST) if pause is None else self._redial(pause, now)

    def speech_refused(self) -> list[Action]:
        """The speech service said no, and would again."""
        return [] if self._has_said_goodbye() else self._hang_up(End.SPEECH_REFUSED)

    def _has_said_goodbye(self) -> bool:
        """All of it is with Twilio: the caller hears it without the speech service."""
        return self._ending is not None and bool(self._ending.mark)

    # Functions.

    def function_finished(self, request_id: str, content: str, now: float) -> list[Action]:
        """A function has a result, or an apology. Nobody is told of one that was cancelled meanwhile."""
        running = self._running.pop(request_id, None)
        if self._over or running is None:
            return []
        self._quiet_since = now
        self._history.add(_called(running.request, content))
        return self._tell(running, content, now)

    def _tell(self, running: _Running, content: str, now: float) -> list[Action]:
        """The model gets the result: as an answer where it waits for one."""
        if not running.orphaned:
            self._answer_due = now + self._timing.unanswered
            return [Answer(running.request, content)]
        if not self._configured:
            return []  # It is in the history.
        asked = FINISHED.format(name=running.request.name, content=content)
        if self._listening:
            return self._ask(asked, now)
        self._to_ask.append(asked)
        return []

    # Time.

    def deadline(self) -> float:
        """When `tick` has something to do at the latest, unless something happens before."""
        return min(self._deadlines()) if not self._over else float("inf")

    def tick(self, now: float) -> list[Action]:
        """Do what is due."""
        if self._over:
            return []
        if not self._opened and now >= self._started + self._timing.line:
            return self._hang_up(End.NEVER_CAME)
        if now >= self._missing_due():
            return [Remember(Lost("hanging" if self._listening else "late")), *self.speech_lost(now)]
        if self._ending and now >= self._ending.deadline:
            return self._hang_up(self._ending.end)
        return [*self._upstream(now), *self._fillers(now), *self._time_limits(now)]

    def _deadlines(self) -> list[float]:
        deadlines = [self._missing_due()]
        if self._listening:
            deadlines.append(self._keep_alive_due())
        if not self._opened:
            deadlines.append(self._started + self._timing.line)
        elif self._listening:
            deadlines.append(self._silence_due())
            if not self._ending:
                deadlines += (self._limit_due(), self._quiet_due())
        if self._ending:
            deadlines.append(self._ending.deadline)
        for running in self._running.values():
            if running.filler_at is not None:
                deadlines.append(running.filler_at)
        return deadlines

    def _upstream(self, now: float) -> list[Action]:
        """Deepgram ends a session that hears nothing, and is known to do so in spite of KeepAlive alone."""
        actions: list[Action] = []
        if self._listening and now >= self._keep_alive_due():
            self._kept_alive_at = now
            actions.append(KeepAlive())
        if self._listening and self._opened and now >= self._silence_due():
            self._silence_at = now
            actions.append(SendSilence(round(self._timing.silence_frame * BYTES_PER_SECOND)))
        return actions

    def _missing_due(self) -> float:
        """When a speech service counts as lost that has not said so."""
        if self._has_said_goodbye():
            return float("inf")
        if not self._listening:
            return self._attempts.due()
        return float("inf") if self._answer_due is None or self._running else self._answer_due

    def _keep_alive_due(self) -> float:
        return max(self.heard_at, self._kept_alive_at) + self._timing.keep_alive

    def _silence_due(self) -> float:
        return max(self.heard_at + self._timing.stalled, self._silence_at + self._timing.silence_frame)

    def _fillers(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for running in self._running.values():
            if running.filler_at is not None and now >= running.filler_at:
                running.filler_at = None
                actions.append(Inject(running.function.filler, Behavior.QUEUE))
        return actions

    def _time_limits(self, now: float) -> list[Action]:
        # Before it listens, the service must not be asked to say anything.
        if self._ending or not (self._listening and self._opened):
            return []
        if now >= self._limit_due():
            return self._say_goodbye(End.LIMIT, GOODBYE_LIMIT, Behavior.INTERRUPT, now)
        if now < self._quiet_due():
            return []
        self._quiet_since = now
        if self._asked:
            return self._say_goodbye(End.SILENCE, GOODBYE_QUIET, Behavior.DEFAULT, now)
        self._asked = True
        return [Inject(STILL_THERE, Behavior.DEFAULT)]

    def _limit_due(self) -> float:
        return self._opened_at + self._limits.minutes * 60

    def _quiet_due(self) -> float:
        if self._running:
            return float("inf")
        return max(self._quiet_since, self._playing_until) + self._limits.silence

    # The speech service is lost, and another session of it takes over.

    def _redial(self, pause: float, now: float) -> list[Action]:
        """What was on its way between us is lost. What the caller has still to hear is with Twilio, and is played."""
        # A sentence that broke off is owed until one is whole, however many sessions are lost meanwhile.
        self._to_ask = [GO_ON] if self._audio_since_mark else []
        self._asked_of_it = ""
        self._configured = self._listening = False
        self._gate_until = self._answer_due = None
        self._history.unsay(self._unsaid)
        self._unsaid = 0
        if self._ending and self._ending.function_id is None:
            self._ending = None  # A limit's goodbye is said by whoever comes.
        for running in self._running.values():
            running.orphaned, running.filler_at = True, None
        # An opening that was cut short begins anew, and is heard once.
        cut_short = self._opening is not Opening.NONE and (self._held or now < self._playing_until)
        return [Redial(pause), *(self._cut(now) if cut_short else [])]

    def _welcomed(self) -> list[Action]:
        """Settings go out once: a second time ends the session."""
        if self._configured:
            return []
        self._configured = True
        running = tuple(_called(one.request, STILL_AT_WORK) for one in self._running.values())
        if running or self._opening is not Opening.NONE:
            self._to_ask = []  # The opening comes first; whoever is at work will be told of.
            return [SendSettings(self._opening, (*self._history, *running))]
        past, words = self._history.divided()
        if words:
            self._to_ask = [words]
        elif past and isinstance(past[-1], Called):
            self._to_ask = [GO_ON]
        return [SendSettings(Opening.NONE, past)]

    def _start_listening(self, now: float) -> list[Action]:
        self._listening, self._kept_alive_at, self._quiet_since = True, now, now
        missing = self._attempts.there(now)
        recovered = [] if missing is None else [Remember(Recovered(missing))]
        to_ask, self._to_ask = self._to_ask, []
        return [*recovered, StartListening(), *(self._ask(" ".join(to_ask), now) if to_ask else [])]

    def _ask(self, text: str, now: float) -> list[Action]:
        self._asked_of_it, self._answer_due = text, now + self._timing.unanswered
        return [Ask(text)]

    # Barge-in.

    def _barge_in(self, now: float) -> list[Action]:
        interrupted = now < self._playing_until
        if interrupted:
            self._opening = Opening.NONE  # That is behind them.
        self._someone_speaks(now)
        # It answers when the caller has finished; of a cough nothing comes at all.
        self._answer_due = now + self._timing.turn
        self._gate_until = now + self._timing.gate
        actions = self._cut(now)
        if interrupted:
            actions.append(Remember(BargedIn()))
        return actions + self._stop_interruptible()

    def _cut(self, now: float) -> list[Action]:
        """Nobody will hear what was not heard yet."""
        self._epoch += 1
        self._playing_until = now
        self._audio_since_mark, self._unsaid = False, 0
        self._held, self._held_bytes = [], 0
        return [Clear()] if self._opened else []

    def _someone_speaks(self, now: float) -> None:
        self._quiet_since, self._asked = now, False
        if self._ending and self._ending.revocable:
            self._ending = None

    def _injection_refused(self, now: float) -> None:
        """Somebody is speaking, then: there was no quiet to ask about, and no goodbye to say."""
        self._quiet_since, self._asked = now, False
        if self._ending and self._ending.end is End.SILENCE:
            self._ending = None

    def _stop_interruptible(self) -> list[Action]:
        actions: list[Action] = []
        for id_, running in list(self._running.items()):
            if running.function.on_interrupt is OnInterrupt.CANCEL:
                del self._running[id_]
                content = error_content("The caller interrupted; it was stopped.")
                self._history.add(_called(running.request, content))
                answer = [] if running.orphaned else [Answer(running.request, content)]
                actions += [Cancel(id_), *answer, Remember(Stopped(id_))]
        return actions

    def _gated(self, now: float) -> bool:
        if self._gate_until is None or now >= self._gate_until:
            self._gate_until = None
            return False
        return True

    # The agent's speech.

    def _hold(self, audio: bytes) -> None:
        if self._held_bytes + len(audio) <= HELD_BYTES and len(self._held) < HELD_PIECES:
            self._held_bytes += len(audio)
            self._held.append(audio)

    def _said(self, role: Role, content: str, now: float) -> list[Action]:
        if role is Role.USER:
            self._gate_until = None
            self._quiet_since, self._asked = now, False
            self._answer_due = now + self._timing.unanswered
            if content == self._asked_of_it:
                self._asked_of_it = ""
                return []
            self._opening, self._unsaid = Opening.NONE, 0
        else:
            self._unsaid += 1
        self._history.add(Spoken(role, content))
        return [Remember(Said(role, content))]

    def _audio_done(self, now: float) -> list[Action]:
        if self._gated(now):
            return []  # Of the reply that was cut off.
        self._opening, self._unsaid = Opening.NONE, 0
        if not self._opened:
            if self._held and self._held[-1] is not None:
                self._held.append(None)
            return []
        return self._utterance_complete()

    def _utterance_complete(self) -> list[Action]:
        self._marks += 1
        self._audio_since_mark = False
        if self._ending and self._ending.begun and not self._owes_results(self._ending):
            self._ending.mark = self._mark_name()
        return [SetMark(self._mark_name())]

    def _owes_results(self, ending: _Ending) -> bool:
        """What is said meanwhile is a filler: the model says goodbye when it has every result."""
        return ending.function_id is not None and bool(self._running)

    def _mark_name(self) -> str:
        return f"{self._epoch}-{self._marks}"

    # The model's functions.

    def _requests(self, requests: tuple[FunctionCall, ...], now: float) -> list[Action]:
        self._gate_until = self._answer_due = None
        actions: list[Action] = []
        for request in requests:
            if request.id not in self._requested and request.id not in self._running:
                self._note_request(request.id)
                actions += self._request(request, now)
        return actions

    def _note_request(self, id_: str) -> None:
        self._requested[id_] = None
        if len(self._requested) > MOST_IDS:
            del self._requested[next(iter(self._requested))]

    def _request(self, request: FunctionCall, now: float) -> list[Action]:
        if not request.client_side:
            return []  # Deepgram calls its endpoint itself.
        function = self._functions.get(request.name)
        if function is None or isinstance(function.runs, Endpoint):
            return self._answered_here(request, error_content(f"Unknown function: {request.name}"))
        if function.runs is Builtin.END_CALL:
            return self._end_call(request, now)
        if len(self._running) >= MOST_AT_ONCE:
            return self._answered_here(request, error_content(BUSY))
        filler_at = now + self._timing.filler if function.filler else None
        self._running[request.id] = _Running(request, function, filler_at)
        return [Run(request, function)]

    def _cancelled(self, ids: tuple[str, ...]) -> list[Action]:
        if self._ending and self._ending.function_id in ids:
            self._ending = None
        cancelled = [id_ for id_ in ids if self._running.pop(id_, None)]
        return [*map(Cancel, cancelled), *(Remember(Stopped(id_)) for id_ in cancelled)]

    def _answered_here(self, request: FunctionCall, content: str) -> list[Action]:
        """Nothing is to be run."""
        self._history.add(_called(request, content))
        return [Answer(request, content), Remember(Ran(request.name, request.arguments, content, 0.0, request.id))]

    # The end.

    def _end_call(self, request: FunctionCall, now: float) -> list[Action]:
        """The goodbye comes after what the caller has still to hear."""
        deadline = max(now, self._playing_until) + self._timing.goodbye
        self._ending = self._ending or _Ending(End.AGENT, deadline, function_id=request.id)
        content = json.dumps({"status": "The call ends as soon as you have said goodbye."})
        return self._answered_here(request, content)

    def _say_goodbye(self, end: End, text: str, behavior: Behavior, now: float) -> list[Action]:
        self._ending = _Ending(end, now + self._timing.goodbye, revocable=end is not End.LIMIT)
        self._gate_until = None
        # What interrupts the agent would else wait in Twilio's buffer behind what it has interrupted.
        cut = self._cut(now) if behavior is Behavior.INTERRUPT else []
        return [*cut, Inject(text, behavior)]

    def _hang_up(self, end: End) -> list[Action]:
        if self._over:
            return []
        self._over = True
        return [*(Cancel(id_) for id_ in self._running), HangUp(end)]


def _called(request: FunctionCall, content: str) -> Called:
    return Called(request.id, request.name, request.arguments, content)
