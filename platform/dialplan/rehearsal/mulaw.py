"""The sound of a phone line: G.711 μ-law, one byte a sample, 8000 samples a second.

Frames, streams and time are not its business. Nor is relaying a call: the product passes sound on as it came.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dialplan.errors import ConfigError

#: Samples, and so bytes, in a second.
RATE = 8000
#: One sample of nothing; `SILENCE * 160` is 20 ms of it.
SILENCE = b"\xff"


class Later:
    """A module of the extra `rehearsal`, imported when first used: `dialplan check` is quick, and runs without it.

    Raises:
        ConfigError: at that first use, where the extra is not installed.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        try:
            value = getattr(import_module(self._name), attribute)
        except ImportError as exc:
            raise ConfigError(f"{exc.name or self._name} is not installed: pip install 'dialplan[rehearsal]'") from exc
        setattr(self, attribute, value)  # so the next look does not come here
        return value


if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

else:
    np = Later("numpy")


def encode(samples: NDArray[np.int16]) -> bytes:
    """Linear 16-bit samples, shape (n,), as n μ-law bytes."""
    return _encoding()[samples.view(np.uint16)].tobytes()


def decode(audio: bytes) -> NDArray[np.int16]:
    """μ-law bytes as linear samples, int16 of shape (len(audio),)."""
    return _decoding()[np.frombuffer(audio, np.uint8)]


@cache
def _encoding() -> NDArray[np.uint8]:
    """The code of every 16-bit sample, read as unsigned; rounds towards zero on 14 bits, as the reference does."""
    linear = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 2
    magnitude = np.minimum(np.abs(linear), 8158) + 33
    segment = np.searchsorted(1 << np.arange(6, 14), magnitude, side="right")
    code: NDArray[np.int64] = (segment << 4 | magnitude >> (segment + 1) & 15) ^ np.where(linear < 0, 0x7F, 0xFF)
    return code.astype(np.uint8)


@cache
def _decoding() -> NDArray[np.int16]:
    """The sample of every code."""
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 15) << 3) + 132 << (code >> 4 & 7)) - 132
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)
