"""Rules that hold whatever happens in a call, and in whatever order: random events from both sides, time included."""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dialplan.call.actions import (
    Action,
    Answer,
    Ask,
    Cancel,
    Clear,
    HangUp,
    Inject,
    KeepAlive,
    Play,
    Redial,
    Run,
    SendSilence,
    SetMark,
    StartListening,
)
from dialplan.call.conversation import GOODBYE_LIMIT, GOODBYE_QUIET, Conversation
from dialplan.call.record import End
from dialplan.call.timing import Timing
from dialplan.config.model import Limits
from dialplan.wire.deepgram import (
    AgentAudioDone,
    AgentStartedSpeaking,
    AgentThinking,
    ConversationText,
    EndOfTurn,
    Error,
    Event,
    FunctionCall,
    FunctionCallCancelled,
    FunctionCallRequest,
    InjectionRefused,
    LatencyReport,
    Role,
    SettingsApplied,
    Unknown,
    UserStartedSpeaking,
    Warning,
    Welcome,
)
from tests.conversing import FUNCTIONS

TIMING = Timing()
SHORT = 1e-6

#: After one of these, what the agent says is its next reply.
OPENING: list[Event] = [
    ConversationText(Role.USER, "Hm."),
    EndOfTurn(),
    AgentThinking(),
    AgentStartedSpeaking(),
]
IDLE: list[Event] = [
    ConversationText(Role.ASSISTANT, "Oh."),
    InjectionRefused(""),
    LatencyReport(()),
    Warning("", ""),
    Unknown(""),
]
NAMES = st.sampled_from([*FUNCTIONS, "end_call", "end_call", "nonsense"])


class AnyCall(RuleBasedStateMachine):
    """Drives a conversation, and keeps a book of its own about what it has seen."""

    @initialize(
        silence=st.sampled_from([0.5, 4.0, 30.0]),
        minutes=st.sampled_from([0.2, 2.0, 60.0]),
        under_way=st.sampled_from([True, True, False]),
    )
    def dial(self, silence: float, minutes: float, under_way: bool) -> None:
        self.conversation = Conversation(FUNCTIONS, Limits(silence=silence, minutes=minutes), 0.0, TIMING)
        self.now = 0.0
        self.line_open = self.listening = self.over = False
        self.gate = 0.0  # until when audio is left over from a reply that was cut
        self.buffered: deque[str | None] = deque()  # at Twilio: marks by name, None for audio
        self.flushed: deque[str] = deque()
        self.marks: set[str] = set()
        self.requested: set[str] = set()
        self.answered: set[str] = set()
        self.running: set[str] = set()
        self.orphaned: set[str] = set()  # whoever asked for it is lost
        self.goodbye_asked: float | None = None
        self.goodbye_id: str | None = None
        self.goodbye_marks: set[str] = set()  # that were set after end_call and the audio that came after it
        self.goodbye_begun = False
        self.said: dict[End, float] = {}  # goodbyes of ours: when each was asked for
        self.said_begun = False
        self.said_marks: set[str] = set()  # that were set after the last of them and the audio that came after it
        self.held: list[bool] = []  # from before the line opened: False for audio, True for an end of it
        self.spoken = False  # anybody has said a word
        if under_way:
            self.the_service_gets_ready()
            self.the_line_opens()

    # What is done to it.

    @rule(seconds=st.sampled_from([0.02, 0.3, 1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def it_is_ticked(self) -> None:
        self.see(self.conversation.tick(self.now))

        assert self.over or self.conversation.deadline() > self.now

    @rule(times=st.integers(1, 60))
    def it_is_ticked_when_it_wants_to_be(self, times: int) -> None:
        for _ in range(times):
            if not self.over:
                self.now = max(self.now, self.conversation.deadline())
                self.it_is_ticked()

    @precondition(lambda self: not self.line_open)
    @rule()
    def the_line_opens(self) -> None:
        self.line_open = True
        actions = self.conversation.line_opened(self.now)
        self.see(actions)

        assert [isinstance(a, SetMark) for a in actions] == ([] if self.over else self.held)

    @precondition(lambda self: self.line_open)
    @rule()
    def the_caller_is_heard(self) -> None:
        self.conversation.heard_at = self.now

    @precondition(lambda self: self.buffered)
    @rule(count=st.integers(1, 6))
    def twilio_plays(self, count: int) -> None:
        for _ in range(min(count, len(self.buffered))):
            name = self.buffered.popleft()
            if name is not None:
                self.see(self.conversation.marked(name, self.now), heard=name)

    @precondition(lambda self: self.flushed)
    @rule()
    def twilio_echoes_what_was_flushed(self) -> None:
        assert self.conversation.marked(self.flushed.popleft(), self.now) == []

    @rule(name=st.sampled_from(["", "-", "0", "0-0", "0-99", "x-1", "1-1-1", "٠-1"]))
    def twilio_echoes_nonsense(self, name: str) -> None:
        if name not in self.marks:
            assert self.conversation.marked(name, self.now) == []

    @precondition(lambda self: not self.listening)
    @rule()
    def the_service_gets_ready(self) -> None:
        self.hear(Welcome("id"))
        self.listening = True
        self.hear(SettingsApplied())

    @rule(seconds=st.sampled_from([0.0, 0.02, 1.0, 5.0]))
    def the_agent_speaks(self, seconds: float) -> None:
        audio = b"\x7f" * round(seconds * 8000)
        passes = bool(audio) and self.line_open and not self.over and self.now >= self.gate

        assert self.conversation.agent_audio(audio, self.now) == passes
        self.see([Play(audio)] if passes else [])
        if audio and not self.line_open and self.now >= self.gate:
            self.held.append(False)

    @rule()
    def the_agent_has_spoken(self) -> None:
        cut = self.now < self.gate
        if not self.line_open and not cut and self.held and not self.held[-1]:
            self.held.append(True)

        marks = [a for a in self.hear(AgentAudioDone()) if isinstance(a, SetMark)]

        assert len(marks) == (self.line_open and not cut and not self.over), "not a mark for each utterance"

    @rule()
    def the_caller_interrupts(self) -> None:
        self.goodbye_asked = None
        self.gate = self.now + TIMING.gate
        self.held.clear()
        self.hear(UserStartedSpeaking())

    @rule(event=st.sampled_from(OPENING))
    def the_next_reply_begins(self, event: Event) -> None:
        self.gate = 0.0
        self.hear(event)

    @rule(event=st.sampled_from(IDLE))
    def the_service_says_something_else(self, event: Event) -> None:
        self.hear(event)

    @precondition(lambda self: self.listening)
    @rule(names=st.lists(NAMES, min_size=1, max_size=3), client_side=st.sampled_from([True, True, True, False]))
    def the_model_wants_functions(self, names: list[str], client_side: bool) -> None:
        first = len(self.requested)
        self.requests([FunctionCall(f"fc_{n}", name, "{}", client_side) for n, name in enumerate(names, start=first)])

    @precondition(lambda self: self.requested)
    @rule(data=st.data())
    def the_model_repeats_itself(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.requested)), min_size=1, max_size=2))
        self.requests([FunctionCall(id_, "lookup", "{}", True) for id_ in ids])

    def requests(self, calls: list[FunctionCall]) -> None:
        self.gate = 0.0
        fresh = {call.id: call for call in calls if call.id not in self.requested}

        actions = self.hear(FunctionCallRequest(tuple(calls)))

        self.requested |= fresh.keys()
        if not self.over:
            dealt_with = [a.request.id for a in actions if isinstance(a, Run | Answer)]
            assert sorted(dealt_with) == sorted(id_ for id_, call in fresh.items() if call.client_side)

    @rule(data=st.data())
    def the_model_changes_its_mind(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(["", *sorted(self.requested)]), min_size=1, max_size=2))
        cancelled = self.running & set(ids)
        if self.goodbye_id in ids:
            self.goodbye_asked = None

        actions = self.hear(FunctionCallCancelled(tuple(ids)))

        assert {a.id for a in actions if isinstance(a, Cancel)} == (set() if self.over else cancelled)
        assert not any(isinstance(a, Answer) for a in actions)

    @rule(data=st.data())
    def a_function_finishes(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.running) or ["", *sorted(self.requested)]))
        owed = not self.over and id_ in self.running - self.orphaned
        self.running.discard(id_)

        actions = self.conversation.function_finished(id_, "{}", self.now)

        assert [a.request.id for a in actions if isinstance(a, Answer)] == ([id_] if owed else [])
        self.see(actions)

    @precondition(lambda self: self.now > 15)
    @rule(code=st.sampled_from(["SERVER_GOING_AWAY", "INVALID_SETTINGS"]))
    def the_service_fails(self, code: str) -> None:
        self.hear(Error(code, ""))

    @precondition(lambda self: self.now > 5)
    @rule()
    def the_service_is_lost(self) -> None:
        self.see(self.conversation.speech_lost(self.now))

    @precondition(lambda self: self.now > 15)
    @rule()
    def the_caller_hangs_up(self) -> None:
        self.see(self.conversation.line_ended(End.CALLER))

    # What it may do.

    def hear(self, event: Event) -> list[Action]:
        self.spoken = self.spoken or isinstance(event, ConversationText)
        actions = self.conversation.speech_event(event, self.now)
        self.see(actions)
        return actions

    def see(self, actions: list[Action], heard: str = "") -> None:
        assert not (self.over and actions), "an action after HangUp"
        for index, action in enumerate(actions):
            self.see_one(action, heard)
            assert not self.over or index == len(actions) - 1, "an action after HangUp"

    def see_one(self, action: Action, heard: str) -> None:
        match action:
            case Play() | SetMark() | Clear():
                self.see_on_the_line(action)
            case Run(request=request):
                self.running.add(request.id)
            case Cancel(id=id_):
                self.running.remove(id_)
            case Answer(request=request):
                self.see_answer(request)
            case KeepAlive() | StartListening():
                assert self.listening
            case Ask():
                assert self.listening, "the service was asked before its settings were applied"
            case Redial():
                self.listening = False
                self.gate = 0.0
                if not self.spoken:
                    self.held.clear()  # An opening begins anew.
                self.orphaned |= self.running
            case SendSilence():
                assert self.listening
                assert self.line_open
            case Inject(text=text):
                assert self.listening, "the service was spoken to before its settings were applied"
                if text in (GOODBYE_LIMIT, GOODBYE_QUIET):
                    self.gate = 0.0
                    self.said[End.LIMIT if text == GOODBYE_LIMIT else End.SILENCE] = self.now
                    self.said_begun = False
                    self.said_marks.clear()
            case HangUp(end=end):
                self.see_end(end, heard)

    def see_on_the_line(self, action: Play | SetMark | Clear) -> None:
        assert self.line_open
        match action:
            case Play():
                assert self.now >= self.gate, "audio of a reply that was cut"
                self.buffered.append(None)
                self.goodbye_begun = self.said_begun = True
                self.goodbye_marks.clear()
                self.said_marks.clear()
            case SetMark(name=name):
                assert name not in self.marks, "two marks of one name"
                self.marks.add(name)
                self.buffered.append(name)
                if self.goodbye_asked is not None and self.goodbye_begun:
                    self.goodbye_marks.add(name)
                if self.said_begun:
                    self.said_marks.add(name)
            case Clear():
                self.flushed.extend(name for name in self.buffered if name is not None)
                self.buffered.clear()
                self.goodbye_marks.clear()
                self.said_marks.clear()

    def see_answer(self, request: FunctionCall) -> None:
        assert request.client_side
        assert request.id not in self.answered, "two answers to one request"
        assert request.id not in self.orphaned, "an answer to a session that never asked"
        self.answered.add(request.id)
        if request.name == "end_call" and self.goodbye_asked is None:
            self.goodbye_asked, self.goodbye_id, self.goodbye_begun = self.now, request.id, False
            self.goodbye_marks.clear()

    def see_end(self, end: End, heard: str) -> None:
        self.over = True
        self.running.clear()
        if end is End.AGENT:
            assert self.goodbye_asked is not None, "hung up though the goodbye was taken back"
            late = self.now >= self.goodbye_asked + TIMING.goodbye - SHORT
            assert late or heard in self.goodbye_marks, "hung up before the goodbye was heard"
        if end in (End.SILENCE, End.LIMIT):
            late = self.now >= self.said[end] + TIMING.goodbye - SHORT
            assert late or heard in self.said_marks, "hung up before our own goodbye was heard"

    @invariant()
    def there_is_a_time_to_look_again(self) -> None:
        if hasattr(self, "conversation"):
            assert (self.conversation.deadline() == float("inf")) == self.over


AnyCall.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None, database=None)
TestAnyCall = AnyCall.TestCase
