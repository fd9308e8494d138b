"""Every time limit of a call, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """How long each side is waited for. Agents set `limits`; these belong to the protocols and are the same for all."""

    line: float = 10.0
    """A pre-dialled session waits this long for its stream."""
    speech: float = 7.0
    """From dialling to SettingsApplied. The caller must hear within 10 s that it cannot be had."""
    keep_alive: float = 5.0
    """Quiet on our side after which Deepgram is told that we are there (docs: agent-keep-alive; it gives up at 10)."""
    stalled: float = 1.0
    """Without audio from the caller's side, which Twilio sends all the time, silence goes out in its place."""
    silence_frame: float = 0.08
    """One frame of such silence; Deepgram likes 80 ms at most."""
    gate: float = 3.0
    """After a barge-in, audio is let through again at the latest after this."""
    filler: float = 1.2
    """A function that takes longer than this gets its filler said."""
    goodbye: float = 15.0
    """A goodbye is waited for this long, then the line closes anyway."""
    send: float = 5.0
    """A socket that takes nothing for this long is dead."""
    close: float = 2.0
    """For closing a socket in good order."""
