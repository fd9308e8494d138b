"""The stand-ins' voice and ears: mulaw.py, speech.py, ears.py."""

import asyncio
import multiprocessing
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, cycle, islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialplan.errors import ConfigError
from dialplan.rehearsal.ears import Ears, Endpointer, SpeechEnded, SpeechStarted, recognise
from dialplan.rehearsal.mulaw import RATE, SILENCE, Later, decode, encode
from dialplan.rehearsal.speech import AGENT_VOICE, CALLER_VOICE, MARGIN, Voice, pronunciations, speak, words

VOICES = [CALLER_VOICE, AGENT_VOICE]
FRAME = 160
SECOND = SILENCE * RATE
#: Samples by which two renderings of one text may differ: the synthesiser's own noise is never the same.
SLACK = 400

#: What is said in a pharmacy and in a clinic; some of it alike.
LINES = [
    "How much is aspirin?",
    "What does ibuprofen cost?",
    "I'd like to order lisinopril, please.",
    "My name is Maria Garcia.",
    "What's the status of order 1042?",
    "It is order number seven.",
    "It is order number eleven.",
    "That comes to 5.99, please.",
    "I would like to book an appointment for Tuesday at 10:30.",
    "I would like to book an appointment for Thursday at 4:15.",
    "Is Dr. O'Brien free on March 3rd, at two o'clock?",
    "My phone number is 555-0142.",
    "Can I get a discount of 15%?",
    "Yes.",
    "Yes, that's right.",
    "No, thank you — goodbye!",
]
FOREIGN_LINES = [
    "The weather in Chicago is terrible today.",
    "Turn left at the second traffic light.",
    "We watched a film about penguins last night.",
    "There's a leak under the kitchen sink.",
    "How do I reset my password?",
    "Sorry, I didn't catch that.",
    "Is this seat taken?",
    "The new bridge will open in spring.",
    "Banana bread needs three ripe bananas.",
    "Let me think about that for a moment.",
]
#: Each is a line but for its last words.
NEIGHBOURS = [
    "How much is paracetamol?",
    "What does the vaccination cost?",
    "My name is Peter Jones.",
    "I'd like to order a taxi, please.",
    "I would like to book an appointment for Sunday evening.",
    "My phone number is confidential.",
]


def on_the_line(audio: bytes, noise: float = 30.0, lead: float = 0.2, trail: float = 0.2) -> bytes:
    """The audio between seconds of quiet, under white noise of this root mean square (of 32768)."""
    samples = decode(SILENCE * round(lead * RATE) + audio + SILENCE * round(trail * RATE))
    noisy = samples + np.random.default_rng(len(samples)).normal(0, noise, len(samples))
    return encode(np.clip(noisy, -32768, 32767).astype(np.int16))


# The codec


def reference_encode(sample: int) -> int:
    """G.711's μ-law, one sample at a time, on its 14 bits."""
    sample >>= 2
    mask = 0xFF if sample >= 0 else 0x7F
    magnitude = min(abs(sample), 8159) + 33
    if magnitude > 8191:
        return 0x7F ^ mask
    segment = magnitude.bit_length() - 6
    return (segment << 4 | (magnitude >> segment + 1) & 0xF) ^ mask


def reference_decode(code: int) -> int:
    code ^= 0xFF
    magnitude = (((code & 0xF) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def test_every_sample_is_coded_as_the_reference_does() -> None:
    samples = range(-32768, 32768)

    audio = encode(np.array(samples, np.int16))

    assert audio == bytes(reference_encode(sample) for sample in samples)


def test_every_code_is_decoded_as_the_reference_does() -> None:
    samples = decode(bytes(range(256)))

    assert samples.tolist() == [reference_decode(code) for code in range(256)]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="audioop left the standard library")
def test_the_standard_library_agrees_with_the_codec() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import audioop
    samples = np.arange(-32768, 32768).astype(np.int16)

    assert encode(samples) == audioop.lin2ulaw(samples.tobytes(), 2)
    assert decode(bytes(range(256))).tobytes() == audioop.ulaw2lin(bytes(range(256)), 2)


def test_silence_is_the_code_of_nothing() -> None:
    assert encode(np.zeros(3, np.int16)) == SILENCE * 3 == b"\xff\xff\xff"
    assert decode(SILENCE).tolist() == [0]


# The extra


def test_a_missing_extra_is_named_with_the_command_that_installs_it() -> None:
    absent = Later("a_module_of_no_package")

    with pytest.raises(ConfigError, match=r"pip install 'dialplan\[rehearsal\]'"):
        _ = absent.anything


def test_importing_the_ears_imports_nothing_of_the_extra() -> None:
    code = "import sys, dialplan.rehearsal.ears; print({'numpy', 'pocketsphinx', 'espeakng_loader'} & set(sys.modules))"

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed == "set()\n"


# The voice


@pytest.mark.parametrize("voice", VOICES)
def test_a_sentence_takes_as_long_as_people_take(voice: Voice) -> None:
    seconds = len(speak("I would like to book an appointment for Tuesday at 10:30.", voice)) / RATE

    assert 2.5 < seconds < 5


@pytest.mark.parametrize("voice", VOICES)
def test_speech_lies_between_two_margins_of_quiet(voice: Voice) -> None:
    samples = np.abs(decode(speak("Cat.", voice)))

    faint = 0.05 * samples.max()
    assert samples[: MARGIN - 1].max() < faint
    assert samples[-MARGIN + 1 :].max() < faint
    assert samples[MARGIN - 1 : MARGIN + 400].max() > faint


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("text", ["No.", "How much is aspirin?", "Shh!"])
def test_whatever_is_said_is_equally_loud(text: str, voice: Voice) -> None:
    samples = decode(speak(text, voice)).astype(np.float64)

    spoken = samples[MARGIN:-MARGIN]
    assert 2300 < np.sqrt(np.mean(spoken**2)) < 4500


def pitch(audio: bytes) -> float:
    """The median of the voice's fundamental frequency, in hertz."""
    samples = decode(audio).astype(np.float64)
    periods = []
    for start in range(0, len(samples) - 640, 320):
        frame = samples[start : start + 640]
        likeness = np.correlate(frame, frame, "full")[639:]
        period = 30 + int(np.argmax(likeness[30:130]))
        if likeness[period] > 0.6 * likeness[0] > 1e9:
            periods.append(period)
    return RATE / float(np.median(periods))


def test_the_caller_and_the_agent_have_voices_of_their_own() -> None:
    text = "My name is Maria, and I am calling about a new appointment."

    assert pitch(speak(text, CALLER_VOICE)) > 1.25 * pitch(speak(text, AGENT_VOICE))


@pytest.mark.parametrize("text", ["", " \n", "…", "—", "\0\1"])
def test_what_cannot_be_said_is_no_sound_at_all(text: str) -> None:
    assert speak(text) == b""


def test_control_characters_do_not_reach_the_synthesiser_as_commands() -> None:
    disturbed, plain = speak("Hello\0 there,\n\n\x01+50S friend."), speak("Hello there, +50S friend.")

    assert abs(len(disturbed) - len(plain)) < SLACK


def test_a_voice_that_does_not_exist_is_the_operators_mistake() -> None:
    with pytest.raises(ConfigError, match="no voice 'nobody'"):
        speak("Hello.", Voice("nobody"))

    assert speak("Hello.")


def test_threads_may_speak_at_once() -> None:
    errands = [(text, voice) for text in LINES[:8] for voice in VOICES]
    alone = [speak(*errand) for errand in errands]

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda errand: speak(*errand), errands))

    assert all(abs(len(one) - len(other)) < SLACK for one, other in zip(together, alone, strict=True))


# Words and how they are said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How much is Aspirin?", ["how", "much", "is", "aspirin"]),
        ("“It’s 10:30,” she said — I'm sure!", ["it's", "10:30", "she", "said", "i'm", "sure"]),
        ("That is $12.50, 15% off.", ["that", "is", "$12.50", "15%", "off"]),
        ("Call 555-0142 at 9 a.m.", ["call", "555-0142", "at", "9", "a.m."]),
        ("eighty-two; the 4th, no. 1,000", ["eighty", "two", "the", "4th", "no", "1,000"]),
        ("'Zoë' Müller & Sons_Ltd", ["zoë", "müller", "&", "sons", "ltd"]),
        ("five o'clock o' the boys'", ["five", "o'clock", "o", "the", "boys"]),
        ("… — ?!", []),
    ],
)
def test_words_are_what_remains_without_case_and_punctuation(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("5.99", "F AY V P OY N T N AY N N AY N"),
        ("$12", "D AA L ER T W EH L V"),
        ("10:30", "T EH N TH ER T IY"),
        ("1042", "W AH N TH AW Z AH N D F AO R T IY T UW"),
        ("15%", "F IH F T IY N P ER S EH N T"),
        ("a.m.", "EY EH M"),
        ("o'clock", "AH K L AA K"),
        ("lisinopril", "L IH S IH N AA P R AH L"),
        ("müller", "M UW L ER"),
    ],
)
def test_a_word_that_no_dictionary_has_is_said_as_the_voice_says_it(word: str, expected: str) -> None:
    assert expected in pronunciations(word)


def test_a_word_has_the_ways_of_the_dictionary_first() -> None:
    assert pronunciations("tomato")[:2] == ("T AH M EY T OW", "T AH M AA T OW")


@pytest.mark.parametrize("word", ["", "—", "(", "<s>"])
def test_what_is_no_word_does_no_harm(word: str) -> None:
    assert all(phones.replace(" ", "").isalpha() for phones in pronunciations(word))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_can_be_spoken_divided_and_pronounced(text: str) -> None:
    audio = speak(text)
    ways = [pronunciations(word) for word in words(text)]

    assert audio == b"" or len(audio) > 2 * MARGIN
    assert all(phones for some in ways for phones in some)


# The ears


async def test_each_line_is_heard_through_the_noise_from_either_voice(ears: Ears) -> None:
    heard = {
        voice: await asyncio.gather(*(ears.hear(on_the_line(speak(line, voice)), LINES) for line in LINES))
        for voice in VOICES
    }

    assert heard == {CALLER_VOICE: LINES, AGENT_VOICE: LINES}


async def test_what_was_not_expected_is_not_heard(ears: Ears) -> None:
    heard = await asyncio.gather(*(ears.hear(on_the_line(speak(line)), LINES) for line in FOREIGN_LINES))

    assert sum(line is not None for line in heard) / len(FOREIGN_LINES) <= 0.1


async def test_a_line_with_other_words_in_it_is_mostly_not_heard(ears: Ears) -> None:
    heard = await asyncio.gather(*(ears.hear(on_the_line(speak(line)), LINES) for line in NEIGHBOURS))

    assert sum(line is not None for line in heard) / len(NEIGHBOURS) <= 0.5


@pytest.mark.parametrize("noise", [0, 30, 300, 3000])
def test_noise_is_not_a_short_word(noise: float) -> None:
    audio = on_the_line(SECOND, noise)

    assert recognise(audio, ("Yes.", "No.")) is None


@pytest.mark.parametrize("audio", [b"", SILENCE, SILENCE * 161, b"\0" * 900])
def test_a_scrap_of_sound_is_no_sentence(audio: bytes) -> None:
    assert recognise(audio, ("Yes.", "How much is aspirin?")) is None


def test_nothing_is_heard_where_nothing_can_be_said() -> None:
    assert recognise(speak("Hello."), ("…", "")) is None
    assert recognise(speak("Hello."), ("…", "Hello!", "hello")) == "Hello!"


async def test_where_nothing_is_expected_nothing_is_heard(ears: Ears) -> None:
    assert await ears.hear(speak("Hello."), []) is None


async def test_a_cancelled_hearing_leaves_the_ears_at_work() -> None:
    audio = on_the_line(speak(LINES[0]))
    async with Ears(workers=1) as ears:
        abandoned = [asyncio.create_task(ears.hear(audio, LINES)) for _ in range(4)]
        assert await ears.hear(audio, LINES[:1]) == LINES[0]
        late = asyncio.create_task(ears.hear(audio, LINES))
        await asyncio.wait([late], timeout=0)
        for task in [*abandoned, late]:
            task.cancel()
        outcomes = await asyncio.gather(*abandoned, late, return_exceptions=True)

        assert isinstance(outcomes[-1], asyncio.CancelledError)
        assert await ears.hear(audio, LINES) == LINES[0]


async def test_closing_the_ears_leaves_no_process() -> None:
    before = set(multiprocessing.active_children())
    async with Ears() as ears:
        await ears.hear(speak("Yes."), ["Yes."])
        assert len(set(multiprocessing.active_children()) - before) == 2

    assert set(multiprocessing.active_children()) == before


def test_workers_end_with_a_server_that_is_killed() -> None:
    server = """
import asyncio, os, signal
from dialplan.rehearsal.ears import Ears

async def serve():
    async with Ears() as ears:
        await ears.hear(b"", ["Yes."])
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(serve())
"""

    # Its workers hold the other end of its output, so this returns when they have ended too.
    ended = subprocess.run([sys.executable, "-c", server], capture_output=True, timeout=30)

    assert ended.returncode == -signal.SIGKILL


# The endpointer


def listen(endpointer: Endpointer, audio: bytes) -> list[tuple[float, SpeechStarted | SpeechEnded]]:
    """What a call's worth of frames makes clear, with the seconds after which it does."""
    return [
        ((start + FRAME) / RATE, event)
        for start in range(0, len(audio), FRAME)
        for event in endpointer.feed(audio[start : start + FRAME])
    ]


@pytest.mark.parametrize("noise", [0, 30, 100])
@pytest.mark.parametrize("voice", VOICES)
def test_an_utterance_has_one_start_and_one_end_in_time(voice: Voice, noise: float) -> None:
    for line in LINES:
        speech = speak(line, voice)

        events = listen(Endpointer(), on_the_line(speech, noise, lead=1, trail=1.5))

        (started, start), (ended, end) = events
        assert isinstance(start, SpeechStarted)
        assert isinstance(end, SpeechEnded)
        assert 0.1 < started - 1 - MARGIN / RATE < 0.25
        assert 0.4 < ended - (1 + len(speech) / RATE - MARGIN / RATE) < 0.75


def test_an_utterance_comes_with_what_was_just_before_it() -> None:
    speech = speak("What does ibuprofen cost?")

    [_, (_, end)] = listen(Endpointer(), on_the_line(speech, noise=10, lead=1, trail=1.5))

    assert isinstance(end, SpeechEnded)
    assert 0.2 < (len(end.audio) - len(speech)) / RATE < 0.6
    assert recognise(end.audio, tuple(LINES)) == "What does ibuprofen cost?"


def test_each_of_two_utterances_is_told_apart() -> None:
    audio = b"".join(on_the_line(speak(line), lead=0.5, trail=0.5) for line in LINES[:2])
    endpointer = Endpointer()

    events = [event for _, event in listen(endpointer, audio + SECOND)]

    assert [type(event) for event in events] == [SpeechStarted, SpeechEnded] * 2
    heard = [recognise(event.audio, tuple(LINES)) for event in events if isinstance(event, SpeechEnded)]
    assert heard == LINES[:2]


def test_the_hold_decides_which_pause_is_an_end() -> None:
    audio = speak("Yes, please.") + SECOND[: RATE // 2] + speak("That is right.") + SECOND * 2

    ends = {
        hold: sum(isinstance(event, SpeechEnded) for _, event in listen(Endpointer(hold), audio)) for hold in (200, 900)
    }

    assert ends == {200: 2, 900: 1}


@pytest.mark.parametrize("noise", [0, 10, 30, 100])
def test_a_quiet_line_never_speaks(noise: float) -> None:
    assert listen(Endpointer(), on_the_line(SECOND * 20, noise)) == []


@pytest.mark.parametrize("milliseconds", [1, 5, 20, 40])
def test_a_click_is_not_speech(milliseconds: int) -> None:
    click = np.random.default_rng(milliseconds).normal(0, 12000, milliseconds * 8)
    audio = encode(np.clip(click, -32768, 32767).astype(np.int16))

    assert listen(Endpointer(), on_the_line(audio, lead=1, trail=1)) == []


def test_who_speaks_without_end_is_cut_after_half_a_minute() -> None:
    speech = speak("And then, and then, and then, and so on")[MARGIN:-MARGIN]

    events = listen(Endpointer(), SECOND + speech * (40 * RATE // len(speech)) + SECOND)

    assert [type(event) for _, event in events] == [SpeechStarted, SpeechEnded] * 2
    lengths = [len(event.audio) / RATE for _, event in events if isinstance(event, SpeechEnded)]
    assert lengths[0] == 30
    assert sum(lengths) > 40


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=20))
def test_how_the_sound_is_cut_makes_no_difference(sizes: list[int]) -> None:
    audio = SECOND + speak("How much is aspirin?") + SECOND
    cuts = list(accumulate(islice(cycle(sizes), len(audio)), initial=0))
    endpointer = Endpointer()

    events = [event for start, end in pairwise(cuts) for event in endpointer.feed(audio[start:end])]

    assert events == Endpointer().feed(audio)
    assert len(events) == 2


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=800), max_size=12))
def test_any_sound_can_be_listened_to(sounds: list[bytes]) -> None:
    endpointer = Endpointer()

    events = [event for sound in sounds for event in endpointer.feed(sound)]

    assert all(isinstance(event, SpeechStarted | SpeechEnded) for event in events)


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=1600))
def test_any_sound_can_be_recognised(audio: bytes) -> None:
    assert recognise(audio, ("Yes.", "No.")) in {None, "Yes.", "No."}


def test_listening_to_a_frame_costs_the_event_loop_next_to_nothing() -> None:
    audio = on_the_line(speak("How much is aspirin?"))
    frames = [audio[start : start + FRAME] for start in range(0, len(audio) - FRAME, FRAME)]

    costs = []
    for _ in range(5):
        endpointer, begun = Endpointer(), time.process_time()
        for frame in frames:
            endpointer.feed(frame)
        costs.append((time.process_time() - begun) / len(frames))

    assert min(costs) < 50e-6
