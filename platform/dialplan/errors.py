"""Every exception that Dialplan raises itself.

DialplanError
├── ConfigError            the operator's files or environment: the server cannot do what it was asked
├── SpeechError            the speech service cannot be had, or was lost
│   ├── SpeechRefused      it said no: a wrong key, too many sessions, rejected Settings
│   └── SpeechLost         it vanished, stalled or never answered
├── LineError              the phone network's side of a call
│   ├── LineRefused        the stream may not come in: no start, a wrong token, an unknown number
│   │   └── LineBusy       the call is one too many
│   └── LineLost           its socket is gone
├── JournalError           the database of records cannot be used as it is
└── FunctionError          a plugin's own words for the model: raised by plugin authors

A mistake in an agent file is not an exception but a `Problem` (config/problems.py): mistakes are collected, not thrown.
"""


class DialplanError(Exception):
    """Something that Dialplan can name; its text is fit for the person it is shown to."""


class ConfigError(DialplanError):
    """The files or the environment do not allow what was asked; the text says what to change."""


class SpeechError(DialplanError):
    """The speech service failed a call.

    Args:
        message: what happened, for the log.
        code: Deepgram's error code, the HTTP status of a refused handshake, or a word of ours; for metrics.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class SpeechRefused(SpeechError):
    """The speech service answered, and its answer was no; trying again unchanged will not help."""


class SpeechLost(SpeechError):
    """The speech service did not answer, or went away in the middle."""


class LineError(DialplanError):
    """The phone network's side of a call failed."""


class LineRefused(LineError):
    """A stream was turned away; `code` is the WebSocket close code it was told (RFC 6455 §7.4.1)."""

    reason = "stream"
    """For metrics."""

    def __init__(self, message: str, code: int = 1008) -> None:
        super().__init__(message)
        self.code = code


class LineBusy(LineRefused):
    """There is no room for one more call.

    Args:
        reason: what there is too much of, for metrics.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the call is one too many: {reason}", 1013)
        self.reason = reason


class LineLost(LineError):
    """The phone network's socket closed or stopped taking audio."""


class JournalError(DialplanError):
    """The database of records cannot be used as it is; calls go on without."""


class FunctionError(DialplanError):
    """Raised by a plugin function: the text is told to the model, which passes it on to the caller.

    Any other exception becomes a short apology instead, because its text was not written for a caller.
    """
