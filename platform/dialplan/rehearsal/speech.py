"""A voice for the line, and how it says each word: espeak-ng, asked in this process.

What was said is heard in ears.py; when it is said, and to whom, is decided by the stand-ins.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain, count, takewhile
from typing import TYPE_CHECKING

from dialplan.errors import ConfigError
from dialplan.rehearsal.mulaw import RATE, Later, encode

if TYPE_CHECKING:
    import espeakng_loader
    import numpy as np
    import pocketsphinx
    from numpy.typing import NDArray
else:
    espeakng_loader, np, pocketsphinx = Later("espeakng_loader"), Later("numpy"), Later("pocketsphinx")


@dataclass(frozen=True, slots=True)
class Voice:
    """Somebody who speaks."""

    name: str
    """espeak-ng's: a language, and after a plus one of its variants."""
    pitch: int = 50
    """0 is the lowest that the variant has, 99 the highest."""


#: Two people who cannot be mistaken for each other, and whom the ears understand: of the numbers that they say through
#: noise, each among others like it, one in fifty is misheard; of those of the plain `en-us`, one in nine.
CALLER_VOICE = Voice("en-us+klatt6", pitch=80)
AGENT_VOICE = Voice("en-us+klatt3", pitch=25)
#: Quiet that `speak` leaves before the first sound and after the last, in samples: 60 ms.
MARGIN = RATE * 60 // 1000

#: Root mean square of what `speak` returns, on the 16-bit scale: 20 dB under the loudest, as on a telephone.
_LOUDNESS = 3000.0

_WORD = re.compile(
    r"[$£€#+]?\d+(?:[.,:/-]\d+)*[^\W_]*%?"  # 10:30, $12.50, 555-0142, 4th, 15%
    r"|(?:[^\W\d_]\.){2,}"  # a.m.
    r"|[^\W_]+(?:'[^\W_]+)*"  # o'clock
    r"|[&@]"  # signs that are spoken
)

#: espeak-ng's English sounds in the alphabet of the decoder's dictionary; of foreign ones, the nearest.
_ARPABET = {
    "ɑː": "AA",
    "ɑ": "AA",
    "ɒ": "AA",
    "a": "AA",
    "æ": "AE",
    "ʌ": "AH",
    "ə": "AH",
    "ɐ": "AH",
    "ɔː": "AO",
    "ɔ": "AO",
    "aʊ": "AW",
    "aɪ": "AY",
    "ɛ": "EH",
    "e": "EH",
    "ɜː": "ER",
    "ɚ": "ER",
    "œ": "ER",
    "eɪ": "EY",
    "ɪ": "IH",
    "ᵻ": "IH",
    "iː": "IY",
    "i": "IY",
    "oʊ": "OW",
    "o": "OW",
    "ɔɪ": "OY",
    "ʊ": "UH",
    "uː": "UW",
    "u": "UW",
    "iə": "IY AH",
    "aɪɚ": "AY ER",
    "aɪə": "AY AH",
    "ɑːɹ": "AA R",
    "ɔːɹ": "AO R",
    "ɛɹ": "EH R",
    "ɪɹ": "IH R",
    "ʊɹ": "UH R",
    "əl": "AH L",
    "n̩": "AH N",
    "y": "Y UW",
    "b": "B",
    "tʃ": "CH",
    "d": "D",
    "ð": "DH",
    "f": "F",
    "ɡ": "G",
    "h": "HH",
    "dʒ": "JH",
    "k": "K",
    "x": "K",
    "l": "L",
    "ɬ": "L",
    "m": "M",
    "n": "N",
    "ŋ": "NG",
    "p": "P",
    "ɹ": "R",
    "r": "R",
    "ʁ": "R",
    "s": "S",
    "ʃ": "SH",
    "t": "T",
    "ɾ": "T",
    "ʔ": "T",
    "θ": "TH",
    "v": "V",
    "w": "W",
    "j": "Y",
    "z": "Z",
    "ʒ": "ZH",
}
_SOUND = re.compile("|".join(sorted(_ARPABET, key=len, reverse=True)))
_LANGUAGE_SWITCH = re.compile(r"\([a-z-]+\)")  # espeak-ng marks a foreign word: (fr)…(en-us)


def speak(text: str, voice: Voice = CALLER_VOICE) -> bytes:
    """The spoken text, μ-law at 8 kHz, with `MARGIN` of quiet around it; empty where nothing in it can be said.

    May be called from any thread; they take turns. No two renderings of a text are alike to the last bit.

    Raises:
        ConfigError: the extra `rehearsal` is not installed, or it has no such voice.
    """
    with _ESPEAK:
        sound = _espeak().say(_one_line(text), voice)
    return encode(_level(_trim(_to_line_rate(sound))))


def words(text: str) -> list[str]:
    """The words of a text as they are compared: lower case, no punctuation but what belongs to a number or a word.

    `"Tuesday, at 10:30 — it’s $12.50!"` gives `tuesday`, `at`, `10:30`, `it's`, `$12.50`.
    """
    return _WORD.findall(unicodedata.normalize("NFC", text.lower()).replace("’", "'"))


@lru_cache(maxsize=10_000)
def pronunciations(word: str) -> tuple[str, ...]:
    """The ways to say one of `words`, in ARPAbet, `"OW K L AA K"`: the dictionary's, then espeak-ng's own.

    A number is said as espeak-ng says it, in several words maybe. Empty where nothing can be said.
    """
    with _ESPEAK:
        phonemes = _espeak().phonemes(_one_line(word))
    spelt = " ".join(_ARPABET[sound] for sound in _SOUND.findall(_LANGUAGE_SWITCH.sub("", phonemes)))
    return tuple(dict.fromkeys([*_dictionary_entries(word), *filter(None, [spelt])]))


def _one_line(text: str) -> str:
    """Control characters are commands to espeak-ng, and a line break a pause that sounds like the end."""
    return " ".join("".join(" " if unicodedata.category(c) in {"Cc", "Cs"} else c for c in text).split())


def _to_line_rate(sound: bytes) -> NDArray[np.float64]:
    """22 050 samples a second to 8000, without what lies above 4 kHz; by way of the whole utterance's spectrum."""
    samples = np.frombuffer(sound, np.int16)
    blocks = -(-len(samples) // 441)  # 441 samples last as long as 160 at the lower rate
    if not blocks:
        return np.zeros(0)
    spectrum = np.fft.rfft(samples, blocks * 441)[: blocks * 80 + 1]
    return np.fft.irfft(spectrum * _microphone(np.linspace(0, 4000, len(spectrum))), blocks * 160) * (160 / 441)


def _microphone(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a telephone's microphone makes of each frequency; of nothing, from 4000 Hz.

    It lifts the upper end (ITU-T P.48), here by 12 dB. Without that an s drowns in the line's noise, as most of it lies
    above 4 kHz, and seven is heard as eleven.
    """
    lift = 12 * np.clip((hertz - 1000) / 2400, 0, 1)
    return np.clip((4000 - hertz) / 300, 0, 1) * 10 ** (lift / 20)  # a sharper edge would ring


def _trim(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the quiet at both ends, but for `MARGIN`."""
    audible = np.flatnonzero(np.abs(samples) > 0.02 * np.max(np.abs(samples), initial=1.0))
    if not len(audible):
        return audible.astype(np.float64)
    return np.pad(samples, MARGIN)[audible[0] : audible[-1] + 1 + 2 * MARGIN]


def _level(samples: NDArray[np.float64]) -> NDArray[np.int16]:
    """At `_LOUDNESS`, whoever speaks and whatever is said."""
    loudness = np.sqrt(np.mean(samples**2)) if len(samples) else 1.0
    return np.clip(samples * (_LOUDNESS / loudness), -32000, 32000).astype(np.int16)


def _dictionary_entries(word: str) -> list[str]:
    """What the decoder's dictionary has under `word`, `word(2)`, `word(3)`, …"""
    names = chain([word], (f"{word}({n})" for n in count(2)))
    return list(takewhile(bool, (_dictionary().get(name, "") for name in names)))


@cache
def _dictionary() -> dict[str, str]:
    """The dictionary that comes with the decoder; its lines are `word PHONES`."""
    with open(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"), encoding="utf-8") as file:
        return dict(line.rstrip().split(" ", 1) for line in file)


#: espeak-ng has one state for the whole process: one voice at a time, one text at a time.
_ESPEAK = threading.Lock()


@cache
def _espeak() -> _Espeak:
    return _Espeak()


class _Espeak:
    """The library. Whoever calls it holds `_ESPEAK`."""

    def __init__(self) -> None:
        self._library = _load()
        self._said = bytearray()
        self._voice: Voice | None = None
        # ctypes keeps no reference of its own: without this attribute the callback would be collected.
        self._collector = _COLLECT(self._collect)
        self._library.espeak_SetSynthCallback(self._collector)

    def say(self, text: str, voice: Voice) -> bytes:
        """16-bit samples, 22 050 a second."""
        self._choose(voice)
        self._said.clear()
        spoken = text.encode() + b"\0"
        self._library.espeak_Synth(spoken, len(spoken), 0, 0, 0, _UTF8, None, None)
        return bytes(self._said)

    def phonemes(self, text: str) -> str:
        """IPA, clause after clause."""
        self._choose(CALLER_VOICE)
        spoken = text.encode()
        rest, clauses = ctypes.c_char_p(spoken), []
        while rest.value:
            clauses.append(self._library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA).decode())
        return " ".join(clauses)

    def _choose(self, voice: Voice) -> None:
        if voice == self._voice:
            return
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise ConfigError(f"espeak-ng has no voice {voice.name!r}; {CALLER_VOICE.name!r} is one that it has")
        self._library.espeak_SetParameter(_PITCH, voice.pitch, 0)
        self._voice = voice

    def _collect(self, samples: int | None, count: int, _events: int | None) -> int:
        """Called by the library while it speaks; 0 asks it to go on."""
        if samples:
            self._said += ctypes.string_at(samples, count * 2)
        return 0


# From espeak-ng's speak_lib.h.
_COLLECT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_SYNCHRONOUS, _DONT_EXIT, _UTF8, _IPA, _PITCH = 2, 0x8000, 1, 2, 3


def _load() -> ctypes.CDLL:
    """espeak-ng, initialised; it makes sound in memory and opens no audio device."""
    data = espeakng_loader.get_data_path()
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    if library.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(data), _DONT_EXIT) < 0:
        raise ConfigError(f"espeak-ng cannot read its data in {data}")
    return library
