"""Frames of audio that are recognised at the other end, and the account of them: late, lost, doubled, out of order.

Both ends of every call are in one process, so one clock times a frame: when it left is looked up when it is found.
"""

import binascii
import math
from array import array
from dataclasses import dataclass

FRAME_BYTES = 160
FRAME_SECONDS = 0.02

#: A frame begins with these 12 bytes, here as the 16 characters that base64 makes of them: a mark, the call, the number
#: of the frame. The digits are octal because 8 and 9 could make the byte 0x7f, which a bridge that decodes μ-law and
#: encodes it again turns into 0xff: in linear audio the two are the same.
STAMP = b"DIAL%04o%08o"
STAMP_BYTES = 12
STAMP_TEXT = 16
MARK = STAMP[:4]
MOST_CALLS = 8**4

#: No bridge holds back more of the agent's voice than this on purpose.
INTERRUPTED_FRAMES = 10

_FILLING = b"\x55" * (FRAME_BYTES - STAMP_BYTES)
#: What follows a stamp in the base64 of a frame: 12 bytes are 16 characters, so it can be made beforehand.
FILLING_TEXT = binascii.b2a_base64(_FILLING, newline=False)
FRAME_TEXT = STAMP_TEXT + len(FILLING_TEXT)


def stamped(call: int, number: int) -> bytes:
    """A frame."""
    return binascii.a2b_base64(STAMP % (call, number)) + _FILLING


def stamps(audio: bytes) -> list[bytes]:
    """The stamps in audio of several frames; silence that a bridge has put in has none."""
    starts = range(0, len(audio) - STAMP_BYTES + 1, FRAME_BYTES)
    texts = (binascii.b2a_base64(audio[at : at + STAMP_BYTES], newline=False) for at in starts)
    return [text for text in texts if text.startswith(MARK)]


@dataclass(frozen=True, slots=True)
class Spread:
    """How a measure is distributed, in milliseconds."""

    samples: int
    p50: float
    p99: float
    max: float
    percentiles: tuple[float, ...]
    """From the 0th to the 100th."""


def spread(seconds: "array[float]") -> Spread:
    """Of times in seconds; all zero where there are none."""
    ms = [1000 * value for value in sorted(seconds)] or [0.0]
    percentiles = tuple(ms[min(len(ms) - 1, math.ceil(len(ms) * p / 100) - 1 if p else 0)] for p in range(101))
    return Spread(len(seconds), percentiles[50], percentiles[99], ms[-1], percentiles)


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of the frames of one direction that were sent within the window."""

    sent: int
    found: int
    lost: int
    cut_off: int
    """On their way when the caller interrupted, and never arrived: a bridge may throw them away."""
    doubled: int
    disordered: int
    latency: Spread

    @property
    def mistakes(self) -> int:
        """Frames that did not arrive as they should."""
        return self.lost + self.doubled + self.disordered


class Direction:
    """One direction of all calls. What is sent while the window is open is accounted for."""

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._sent: list[array[float]] = [array("d") for _ in range(calls)]
        self._found = [bytearray() for _ in range(calls)]
        self._newest = [-1] * calls
        self._latencies: array[float] = array("d")
        self._disordered = 0
        self._interrupted: set[tuple[int, int]] = set()
        self._opened = self._closed = float("inf")
        self._first = self._last = [0] * calls

    def send(self, call: int, now: float) -> int:
        """The number of the frame that leaves now."""
        sent = self._sent[call]
        sent.append(now)
        self._found[call].append(0)
        return len(sent) - 1

    def find(self, stamp: bytes, now: float) -> None:
        """A frame has arrived."""
        call, number = int(stamp[4:8], 8), int(stamp[8:16], 8)
        sent = self._sent[call][number]
        found = self._found[call]
        if found[number] < 255:
            found[number] += 1
        late = number < self._newest[call]
        if not late:
            self._newest[call] = number
        if self._opened <= sent < self._closed:
            self._latencies.append(now - sent)
            self._disordered += late

    def interrupt(self, call: int) -> None:
        """The caller interrupts: what is on its way to him need not arrive."""
        found = self._found[call]
        for number in range(max(0, len(found) - INTERRUPTED_FRAMES), len(found)):
            if not found[number]:
                self._interrupted.add((call, number))

    def open(self, now: float) -> None:
        """What is sent from now on is in the window."""
        self._opened = now
        self._first = [len(sent) for sent in self._sent]

    def close(self, now: float) -> None:
        """What is sent from now on is not."""
        self._closed = now
        self._last = [len(sent) for sent in self._sent]

    @property
    def sent(self) -> int:
        """Frames sent within the window."""
        return sum(self._last) - sum(self._first)

    @property
    def missing(self) -> int:
        """Frames sent within the window that were not found so far, and should be."""
        return sum(found.count(0) for found in self._windowed()) - self._cut_off()

    def carried(self) -> Carried:
        """The account of the window."""
        sent, lost, cut_off = self.sent, self.missing, self._cut_off()
        doubled = sum(sum(found) - len(found) + found.count(0) for found in self._windowed())
        found = sent - lost - cut_off
        return Carried(sent, found, lost, cut_off, doubled, self._disordered, spread(self._latencies))

    def _cut_off(self) -> int:
        return sum(
            self._first[call] <= number < self._last[call] and not self._found[call][number]
            for call, number in self._interrupted
        )

    def _windowed(self) -> list[bytearray]:
        return [found[self._first[n] : self._last[n]] for n, found in enumerate(self._found)]
