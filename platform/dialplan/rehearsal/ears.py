"""Ears for the line: when somebody speaks, and which of the expected sentences it was.

Not dictation: what is in no rehearsal is not understood. Recognition is pocketsphinx's, in processes of its own,
because it holds the interpreter's lock while it works. What follows from what was heard is decided by the stand-ins.
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dialplan.rehearsal.mulaw import RATE, SILENCE, Later, decode
from dialplan.rehearsal.speech import pronunciations, words

if TYPE_CHECKING:
    import numpy as np
    import pocketsphinx
    from numpy.typing import NDArray
else:
    np, pocketsphinx = Later("numpy"), Later("pocketsphinx")


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody has begun to speak, between 120 and 200 ms ago."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Somebody has been silent for the hold, or has spoken for too long."""

    audio: bytes
    """The utterance, μ-law at 8 kHz, with some 200 ms of what was before it and after it."""


class Endpointer:
    """Finds the utterances in the sound of one line; cheap enough for the event loop.

    Args:
        hold: how long a silence ends an utterance, in milliseconds.

    Raises:
        ConfigError: the extra `rehearsal` is not installed.
    """

    def __init__(self, hold: int = 500) -> None:
        self._vad = pocketsphinx.Vad(pocketsphinx.Vad.STRICT, RATE, _FRAME / RATE)
        self._hold = hold * RATE // 1000 // _FRAME
        self._rest = b""
        self._lately = deque[bool](maxlen=_WINDOW)
        self._before = deque[bytes](maxlen=_WINDOW + _MARGIN)
        self._utterance: list[bytes] = []
        self._quiet = 0

    def feed(self, audio: bytes) -> list[SpeechStarted | SpeechEnded]:
        """Takes the next sound of the line, μ-law, any number of bytes; gives what it made clear."""
        audio = self._rest + audio
        whole = len(audio) - len(audio) % _FRAME
        self._rest = audio[whole:]
        events = (self._take(audio[start : start + _FRAME]) for start in range(0, whole, _FRAME))
        return [event for event in events if event]

    def _take(self, frame: bytes) -> SpeechStarted | SpeechEnded | None:
        samples = decode(frame)
        self._lately.append(bool(abs(samples).max() > _FAINT) and self._vad.is_speech(samples.tobytes()))
        return self._during(frame) if self._utterance else self._outside(frame)

    def _outside(self, frame: bytes) -> SpeechStarted | None:
        self._before.append(frame)
        if sum(self._lately) < _ONSET:
            return None
        self._utterance = list(self._before)
        self._quiet = 0
        return SpeechStarted()

    def _during(self, frame: bytes) -> SpeechEnded | None:
        self._utterance.append(frame)
        # A lone frame taken for speech is a crackle on the line, and does not prolong the utterance.
        self._quiet = 0 if sum(self._lately) > _CRACKLE else self._quiet + 1
        if self._quiet < self._hold and len(self._utterance) < _LONGEST:
            return None
        spoken = self._utterance[: len(self._utterance) - max(0, self._quiet - _MARGIN)]
        self._before.extend(self._utterance[-_MARGIN:])
        self._lately.clear()
        self._utterance = []
        return SpeechEnded(b"".join(spoken))


class Ears:
    """Recognises sentences, in worker processes that live as long as the `async with` block.

    Args:
        workers: utterances that can be recognised at one time; each takes a core and some 80 MB.

    Raises:
        ConfigError: on entering, where the extra `rehearsal` is not installed.
    """

    def __init__(self, workers: int = 2) -> None:
        self._workers = workers

    async def __aenter__(self) -> Self:
        Endpointer()  # tells of a missing extra now, and has its modules imported before the first call
        spawn = multiprocessing.get_context("spawn")  # a fork would inherit the server's sockets and locks
        self._pool = ProcessPoolExecutor(self._workers, spawn, initializer=_warm_up)
        self._pool.submit(int)  # processes start with the first task, and none is to wait for that
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def hear(self, audio: bytes, sentences: Sequence[str]) -> str | None:
        """The one of `sentences` that was spoken, as it was given, or None where it was none of them.

        When cancelled, the sound is forgotten; the worker finishes with it and takes the next.

        Args:
            audio: one utterance, μ-law at 8 kHz.
            sentences: what may have been said, a few hundred at most.
        """
        if not sentences:
            return None
        expected = tuple(sentences)
        return await asyncio.get_running_loop().run_in_executor(self._pool, recognise, audio, expected)


def recognise(audio: bytes, sentences: tuple[str, ...]) -> str | None:
    """What `Ears.hear` gives, but here and now: some 60 ms of work for every second of sound."""
    grammar, sound = _grammar(sentences), _wideband(decode(audio))
    heard = grammar.decoder and _explain(grammar.decoder, sound)
    if not heard or heard.words not in grammar.sentences:
        return None
    anything = _explain(_any_phones(), sound)
    if not anything or heard.cost - anything.cost > _DOUBT * heard.spoken:
        return None
    return grammar.sentences[heard.words]


@dataclass(frozen=True, slots=True)
class _Explanation:
    """The likeliest way through a grammar."""

    words: tuple[str, ...]
    cost: float
    """How badly it fits: -log of the likelihood, relative to the best of the sounds considered, in units of 1e-4."""
    spoken: int
    """Frames of 10 ms that are words, not silence."""


@dataclass(frozen=True, slots=True)
class _Grammar:
    decoder: pocketsphinx.Decoder | None
    """None where nothing can be said."""
    sentences: dict[tuple[str, ...], str]
    """By their words, under the decoder's names for them."""


def _explain(decoder: pocketsphinx.Decoder, sound: bytes) -> _Explanation | None:
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    if not found:
        return None
    parts = list(decoder.seg())
    cost = sum(-1e4 * math.log(part.ascore or math.ulp(0)) for part in parts)
    spoken = sum(part.end_frame - part.start_frame + 1 for part in parts if not part.word.startswith(("<", "(", "SIL")))
    return _Explanation(tuple(found.hypstr.split()), cost, spoken)


@lru_cache(maxsize=16)
def _grammar(sentences: tuple[str, ...]) -> _Grammar:
    """The grammar of these sentences; a decoder takes some 10 MB, hence the few that are kept."""
    sayable = {word: ways for sentence in sentences for word in words(sentence) if (ways := pronunciations(word))}
    # Names of our own, because the decoder reads meaning into parentheses and the like.
    names = {word: f"w{n}" for n, word in enumerate(sayable)}
    phrases = {tuple(names[w] for w in words(text) if w in names): text for text in reversed(sentences)}
    phrases.pop((), None)
    if not phrases:
        return _Grammar(None, {})
    decoder = _decoder(beam=1e-100, pbeam=1e-100, wbeam=1e-80)  # the default beams lose one sentence in twenty
    for word, name in names.items():
        for n, phones in enumerate(sayable[word], 1):
            decoder.add_word(name if n == 1 else f"{name}({n})", phones, False)
    decoder.add_fsg("sentences", decoder.create_fsg("sentences", 0, 1, _tree(phrases)))
    decoder.activate_search("sentences")
    return _Grammar(decoder, phrases)


def _tree(phrases: Iterable[tuple[str, ...]]) -> list[tuple[int, int, float, str] | tuple[int, int, float]]:
    """The phrases as transitions from state 0 to state 1; those that begin alike share their beginning."""
    states: dict[tuple[int, str], int] = {}
    ends = set()
    for phrase in phrases:
        state = 0
        for word in phrase:
            state = states.setdefault((state, word), len(states) + 2)
        ends.add(state)
    steps = [(start, end, 1.0, word) for (start, word), end in states.items()]
    return [*steps, *((end, 1, 1.0) for end in ends)]


@cache
def _any_phones() -> pocketsphinx.Decoder:
    """Explains whatever is said, as phones in any order: the measure of how well a sentence explains it."""
    decoder = _decoder()
    decoder.add_allphone_file("phones", None)
    decoder.activate_search("phones")
    return decoder


def _decoder(**options: float) -> pocketsphinx.Decoder:
    model = pocketsphinx.get_model_path("en-us/en-us")
    # `batch` makes each utterance independent of those that the worker heard before.
    return pocketsphinx.Decoder(hmm=model, lm=None, dict=None, cmn="batch", bestpath=False, loglevel="FATAL", **options)


def _wideband(samples: NDArray[np.int16]) -> bytes:
    """16-bit samples at 16 kHz, which the model was made for; a trace of noise, as it has never met digital silence."""
    wide = np.fft.irfft(np.fft.rfft(samples), 2 * len(samples)) * 2
    noise = np.random.default_rng(0).normal(0, 2, len(wide))
    return np.clip(wide + noise, -32768, 32767).astype(np.int16).tobytes()


def _warm_up() -> None:
    """What the first utterance would otherwise wait for: imports, the model, the dictionary."""
    recognise(SILENCE * RATE, ("hello",))
    _explain(_any_phones(), _wideband(decode(SILENCE * RATE)))


#: The detector takes 20 ms at a time; the numbers below count such frames.
_FRAME = RATE * 20 // 1000
#: Speech has begun when so many of the last so many frames sound like it: a click has fewer, a syllable more.
_ONSET, _WINDOW = 7, 8
_CRACKLE = 2
#: Kept of what was before an utterance, and after it.
_MARGIN = 10
_LONGEST = 30 * RATE // _FRAME
#: Samples within this distance of zero, 50 dB under the loudest, are the line's own noise.
_FAINT = 100
#: How much worse than any phones a sentence may fit, for each frame of speech; measured (docs of tests).
_DOUBT = 55.0
