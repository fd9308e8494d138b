"""Twilio's Media Streams messages: what the phone network says on a stream, and what may be said to it.

Pure text in, values out. Field by field as documented at twilio.com/docs/voice/media-streams/websocket-messages;
whatever does not fit is a value too (`Unknown`), because a peer's mistake must not end a call. The webhook's side of
Twilio is in twiml.py.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pybase64 import b64decode, b64encode

from dialplan.wire.fields import MALFORMED, fields_of, identifier, text


@dataclass(frozen=True, slots=True)
class Connected:
    """The socket speaks the stream protocol; `Started` comes next. Nothing may be sent before that."""


@dataclass(frozen=True, slots=True)
class Started:
    """The stream of one call is open."""

    stream_sid: str
    call_sid: str
    account_sid: str
    parameters: Mapping[str, str]
    """The `<Parameter>`s of the TwiML; there is no To or From unless they are among these."""
    encoding: str
    sample_rate: int
    """Hz."""


@dataclass(frozen=True, slots=True)
class Media:
    """The caller's voice: μ-law, 8 kHz, mono; 160 bytes (20 ms) each in practice, though that is no promise."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Dtmf:
    """The caller pressed a key."""

    digit: str


@dataclass(frozen=True, slots=True)
class Marked:
    """Everything sent before this mark was played, or thrown away by a `clear`: both echo it."""

    name: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The call or the stream is over; the socket closes next."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message that fits nothing we know; `what` says in a few words why."""

    what: str


Event = Connected | Started | Media | Dtmf | Marked | Stopped | Unknown


# No quote can stand inside of JSON's strings, so these are what they seem to be.
_MEDIA, _TRACK = b'{"event":"media","sequenceNumber":"', b'"media":{"track":"inbound",'
_PAYLOAD = b'"payload":"'


def voice(message: bytes) -> bytes | None:
    """The caller's voice in a message that is written as Twilio does it; None says nothing: see `parse`.

    Fifty messages a second and call are, and reading all of their JSON takes four times as long.
    """
    track = message.find(_TRACK, len(_MEDIA))
    payload = message.find(_PAYLOAD, track + len(_TRACK))
    if track < 0 or payload < 0 or not message.startswith(_MEDIA):
        return None
    start = payload + len(_PAYLOAD)
    try:
        # An empty binary message may tell a speech service that there is no more to come.
        return b64decode(message[start : message.find(b'"', start)], validate=True) or None
    except ValueError:
        return None


def parse(message: str | bytes) -> Event:
    """One text message of the stream as a value; never raises, whatever was sent."""
    try:
        fields = fields_of(message)
    except ValueError:
        return Unknown("not a JSON object")
    event = fields.get("event")
    parser = _PARSERS.get(event) if isinstance(event, str) else None
    if parser is None:
        return Unknown(f"event {event!a:.40}")
    try:
        return parser(fields)
    except MALFORMED:
        return Unknown(f"a malformed {event!r}")


class Stream:
    """What may be said on a stream.

    Args:
        stream_sid: from `Started`.
    """

    def __init__(self, stream_sid: str) -> None:
        self._sid = stream_sid
        # Fifty times a second only the payload differs.
        media = _message({"event": "media", "streamSid": stream_sid, "media": {"payload": "|"}}).encode()
        self._before, _, self._after = media.rpartition(b"|")

    def media(self, audio: bytes) -> bytes:
        """Audio for the caller: raw μ-law at 8 kHz, of any length; Twilio buffers it and plays it in order."""
        return self._before + b64encode(audio) + self._after

    def mark(self, name: str) -> str:
        """Ask to be told (`Marked`) when all audio sent so far was played."""
        return _message({"event": "mark", "streamSid": self._sid, "mark": {"name": name}})

    def clear(self) -> str:
        """Throw away the audio that was not played yet. Every outstanding mark is echoed at once."""
        return _message({"event": "clear", "streamSid": self._sid})


def _message(fields: dict[str, Any]) -> str:
    # Exactly the documented fields: one too many is Twilio's warning 31951, and the message is dropped.
    return json.dumps(fields, separators=(",", ":"))


def _started(fields: dict[str, Any]) -> Started:
    start = fields["start"]
    media_format = start.get("mediaFormat") or {}
    parameters = start.get("customParameters") or {}
    return Started(
        stream_sid=identifier(start.get("streamSid") or fields["streamSid"]),
        call_sid=identifier(start["callSid"]),
        account_sid=text(start.get("accountSid", "")),
        parameters={text(name): text(value) for name, value in parameters.items()},
        encoding=text(media_format.get("encoding", "audio/x-mulaw")),
        sample_rate=int(media_format.get("sampleRate", 8000)),
    )


def _media(fields: dict[str, Any]) -> Media | Unknown:
    # In `media` the track is inside; a `<Connect>` stream carries the caller only, but be sure.
    if fields["media"].get("track", "inbound") != "inbound":
        return Unknown("another track")
    audio = b64decode(text(fields["media"]["payload"]), validate=True)
    return Media(audio) if audio else Unknown("media without audio")


_PARSERS: dict[str, Callable[[dict[str, Any]], Event]] = {
    "connected": lambda fields: Connected(),
    "start": _started,
    "media": _media,
    "dtmf": lambda fields: Dtmf(text(fields["dtmf"]["digit"])),
    "mark": lambda fields: Marked(text(fields["mark"]["name"])),
    "stop": lambda fields: Stopped(),
}
