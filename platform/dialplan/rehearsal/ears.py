"""Ears for the line: when somebody speaks, and which of the expected sentences it was.

Not dictation: what is in no rehearsal is not understood. Recognition is pocketsphinx's, in processes of its own,
because it holds the interpreter's lock while it works. What follows from what was heard is decided by the stand-ins.
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dialplan.rehearsal.mulaw import RATE, Later, decode
from dialplan.rehearsal.speech import pronunciations, speak, words

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
        self._lately.append(self._vad.is_speech(decode(frame).tobytes()))
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
        workers: utterances that can be recognised at one time; each takes a core and some 100 MB.

    Raises:
        ConfigError: on entering, where the extra `rehearsal` is not installed.
    """

    def __init__(self, workers: int = 2) -> None:
        self._workers = workers

    async def __aenter__(self) -> Self:
        Endpointer().feed(speak("Ready."))  # tells of a missing extra now; nor is the first call to wait for imports
        spawn = multiprocessing.get_context("spawn")  # a fork would inherit the server's sockets and locks
        self._pool = ProcessPoolExecutor(self._workers, spawn, initializer=_begin)
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

        Raises:
            BrokenProcessPool: a worker was killed; these ears hear nothing any more.
        """
        if not sentences:
            return None
        expected = tuple(sentences)
        return await asyncio.get_running_loop().run_in_executor(self._pool, recognise, audio, expected)


def recognise(audio: bytes, sentences: tuple[str, ...]) -> str | None:
    """What `Ears.hear` gives, but here and now: some 70 ms of work for every second of sound."""
    grammar = _grammar(sentences)
    if not audio or not grammar.sentences:
        return None
    sound = _wideband(decode(audio))
    heard = _explain(grammar.decoder, sound)
    sentence = grammar.sentences.get(heard.words)
    if sentence is None or _hurried(heard, grammar) or not _fits(heard, _explain(_any_phones(), sound)):
        return None
    return sentence


@dataclass(frozen=True, slots=True)
class _Grammar:
    """Sentences, and a decoder that hears nothing else."""

    decoder: pocketsphinx.Decoder
    sentences: dict[tuple[str, ...], str]
    """By their words, under the decoder's names for them."""
    lengths: dict[str, int]
    """Phones in each entry of the decoder's dictionary."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A word, phone or silence of an explanation."""

    name: str
    start: int
    """Frames of 10 ms; `end` is the first that does not belong to it."""
    end: int
    cost: float
    """How badly it fits: -log of its likelihood, relative to the best of the sounds considered, in units of 1e-4."""


@dataclass(frozen=True, slots=True)
class _Explanation:
    """The likeliest way to say a sound; empty where none was found."""

    words: tuple[str, ...]
    parts: tuple[_Part, ...]

    def spoken(self) -> tuple[_Part, ...]:
        return tuple(part for part in self.parts if not part.name.startswith(("<", "[")))  # <sil>, [NOISE]


def _explain(decoder: pocketsphinx.Decoder, sound: bytes) -> _Explanation:
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    if not found:
        return _Explanation((), ())
    segments = [segment for segment in decoder.seg() if segment.word != "(NULL)"]  # a step without a sound
    parts = (_Part(s.word, s.start_frame, s.end_frame + 1, -1e4 * math.log(s.ascore or _NEVER)) for s in segments)
    return _Explanation(tuple(found.hypstr.split()), tuple(parts))


def _hurried(heard: _Explanation, grammar: _Grammar) -> bool:
    """Whether nobody speaks so fast: a decoder finds room for a short word in any noise."""
    spoken = heard.spoken()
    return _length(spoken) < _QUICKEST_PHONE * sum(grammar.lengths[part.name] for part in spoken)


def _fits(heard: _Explanation, anything: _Explanation) -> bool:
    """Whether the sentence explains the sound about as well as phones in any order do, as a whole and word by word.

    A grammar makes the best of whatever it hears. This tells a sentence from a cough, and from another that has one
    word in its place.
    """
    if not anything.parts:
        return False
    least = np.concatenate([np.full(p.end - p.start, p.cost / (p.end - p.start)) for p in anything.parts])
    excess = {part: float(part.cost - least[part.start : part.end].sum()) for part in heard.parts}
    allowed = _DOUBT + _DOUBT_PER_FRAME * _length(heard.spoken())
    return sum(excess.values()) <= allowed and max(excess[part] for part in heard.spoken()) <= _DOUBT_IN_A_WORD


def _length(parts: Iterable[_Part]) -> int:
    return sum(part.end - part.start for part in parts)


@lru_cache(maxsize=8)
def _grammar(sentences: tuple[str, ...]) -> _Grammar:
    """The grammar of these sentences; the few last used are kept, as each takes some 10 MB."""
    ways = {word: ways for sentence in sentences for word in words(sentence) if (ways := pronunciations(word))}
    # Names of our own, because the decoder reads meaning into parentheses and the like.
    names = {word: f"w{n}" for n, word in enumerate(ways)}
    entries = {_entry(names[word], n): phones for word in ways for n, phones in enumerate(ways[word], 1)}
    phrases = {tuple(names[w] for w in words(text) if w in names): text for text in reversed(sentences)}
    phrases.pop((), None)  # what cannot be said is not heard
    decoder = _decoder(beam=1e-100, pbeam=1e-100, wbeam=1e-80)  # the default beams lose one sentence in twenty
    for entry, phones in entries.items():
        decoder.add_word(entry, phones, False)
    if phrases:
        decoder.add_fsg("sentences", decoder.create_fsg("sentences", 0, 1, _tree(phrases)))
        decoder.activate_search("sentences")
    return _Grammar(decoder, phrases, {entry: len(phones.split()) for entry, phones in entries.items()})


def _entry(name: str, number: int) -> str:
    """How the decoder's dictionary calls the second way to say a word, and the third."""
    return name if number == 1 else f"{name}({number})"


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
    """Explains whatever is said, as phones in any order."""
    decoder = _decoder()
    decoder.add_allphone_file("phones", None)
    decoder.activate_search("phones")
    return decoder


def _decoder(**options: float) -> pocketsphinx.Decoder:
    model = pocketsphinx.get_model_path("en-us/en-us")
    # `batch` takes the line's colour from this utterance, not from those that the worker heard before.
    return pocketsphinx.Decoder(hmm=model, lm=None, dict=None, cmn="batch", bestpath=False, loglevel="FATAL", **options)


def _wideband(samples: NDArray[np.int16]) -> bytes:
    """16-bit samples at 16 kHz, which the model was made for; a trace of noise, as it has never met digital silence."""
    wide = np.fft.irfft(np.fft.rfft(samples), 2 * len(samples)) * 2
    noise = np.random.default_rng(0).normal(0, 2, len(wide))
    return np.clip(wide + noise, -32768, 32767).astype(np.int16).tobytes()


def _begin() -> None:
    """A worker's first steps, and all that its first utterance would otherwise wait for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server says when workers end
    threading.Thread(target=_end_with_parent, daemon=True).start()
    recognise(speak("hello"), ("hello",))


def _end_with_parent() -> None:
    """A server that is killed cannot close its workers, and they would wait for work for ever."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


#: The detector takes 20 ms at a time; the numbers below count such frames.
_FRAME = RATE * 20 // 1000
#: Speech has begun when so many of the last so many frames sound like it: a click has fewer, a syllable more.
_ONSET, _WINDOW = 7, 8
#: In so few of them it is a crackle, and prolongs nothing.
_CRACKLE = 2
#: Kept of what was before an utterance, and after it.
_MARGIN = 10
_LONGEST = 30 * RATE // _FRAME

#: Frames of 10 ms that a phone lasts at the least, on average; 6.5 is the least that was seen.
_QUICKEST_PHONE = 4.5
#: How much worse than any phones a sentence may fit: at all, for each frame of speech, and in one word. Chosen on some
#: thousand utterances through noise and twelve of people: this refuses one in a thousand of what was in the grammar,
#: and lets pass one in twenty of strange sentences, one in four of those with a word or two in another's place.
_DOUBT, _DOUBT_PER_FRAME, _DOUBT_IN_A_WORD = 1300.0, 30.0, 2600.0
#: The smallest likelihood, for those too small for a float.
_NEVER = math.ulp(0.0)
