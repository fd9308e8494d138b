"""Every time limit of a call, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """How long each side is waited for. Agents set `limits`; these belong to the protocols and are the same for all."""

    line: float = 10.0
    """A pre-dialled session waits this long for its stream."""
    speech: float = 7.0
    """The speech service may be missing for so long, with all attempts to dial it. The caller must hear within 10 s
    that it cannot be had."""
    dial: float = 3.0
    """One attempt, from dialling to SettingsApplied."""
    unanswered: float = 20.0
    """The caller has finished, and the speech service says nothing at all for so long: it hangs. (Deepgram is known to,
    github.com/orgs/deepgram/discussions/1624; while it thinks long, it says so every 5 s.)"""
    turn: float = 60.0
    """The caller may speak for so long before the speech service has to say anything."""
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
