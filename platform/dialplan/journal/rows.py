"""What is told of a call → the rows that are kept of it. Pure.

Here it is decided what a record may hold: without transcripts nothing that was said, and nothing that functions were
given or answered.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from dialplan.call import record
from dialplan.call.record import Began, Entry
from dialplan.config.dialplan import canonical
from dialplan.facts import Call
from dialplan.journal.tables import MOST


class Kind(StrEnum):
    """What an entry is about."""

    BEGAN = "began"
    CONNECTED = "connected"
    SPEECH_SESSION = "speech_session"
    SETTINGS = "settings"
    SAID = "said"
    BARGE_IN = "barge_in"
    FUNCTION_BEGAN = "function_began"
    FUNCTION_ENDED = "function_ended"
    FUNCTION_STOPPED = "function_stopped"
    LATENCY = "latency"
    WARNING = "warning"
    SPEECH_LOST = "speech_lost"
    SPEECH_RECOVERED = "speech_recovered"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Noted:
    """One entry, with its place in the record."""

    call: Call
    began: Began
    session: int
    seq: int
    at: float
    entry: Entry


def call_row(noted: Noted) -> dict[str, Any]:
    """The row of the call that an entry belongs to."""
    call, days = noted.call, noted.began.records.keep_days
    outbound = call.direction.startswith("outbound")
    number, line = (call.to, call.from_) if outbound else (call.from_, call.to)
    facts = {name: value for name, value in call.for_templates().items() if isinstance(value, str)}
    return {
        "id": _clean(call.id),
        "agent": _clean(noted.began.agent),
        "number": kept_number(number),
        "line": kept_number(line),
        "started": call.started,
        "keep_until": call.started + timedelta(days=days) if days is not None else None,
        "facts": facts | {"params": dict(call.params)},
        "digest": digest(number),
    }


def entry_row(noted: Noted) -> dict[str, Any]:
    """The row of an entry."""
    kind, data = _data(noted.entry, whole=noted.began.records.transcripts)
    return {
        "call_id": _clean(noted.call.id),
        "session": noted.session,
        "seq": noted.seq,
        "at": datetime.fromtimestamp(noted.at, UTC),
        "kind": kind.value,
        "data": data,
    }


def kept_number(number: str) -> str:
    """A number as the tables have it."""
    return _clean(canonical(number))


def digest(number: str) -> str:
    """Stands for a number where the number itself must not be kept."""
    return hashlib.sha256(kept_number(number).encode()).hexdigest()


def _clean(text: str) -> str:
    """A text that every database takes."""
    return text.encode("utf-8", "replace").decode().replace("\0", "�")[:MOST]


def _data(entry: Entry, whole: bool) -> tuple[Kind, dict[str, Any]]:
    """Kind and data of an entry; what was said only where the whole may be kept."""
    match entry:
        case record.Said(role=role, text=text):
            return Kind.SAID, {"role": role.value} | ({"text": text} if whole else {})
        case record.Running(id=id_, function=function, arguments=arguments):
            given = {"arguments": arguments} if whole else {}
            return Kind.FUNCTION_BEGAN, {"id": id_, "function": function} | given
        case record.Ran():
            return Kind.FUNCTION_ENDED, _ran(entry, whole)
        case record.Configured(settings=settings):
            return Kind.SETTINGS, _settings(settings, whole)
        case _:
            return _plain(entry)


def _plain(entry: Entry) -> tuple[Kind, dict[str, Any]]:  # noqa: C901 -- one flat case per entry
    """Entries that hold nothing that anybody has said."""
    match entry:
        case Began(agent=agent, attempt=attempt, records=records):
            kept = {"transcripts": records.transcripts, "keep_days": records.keep_days}
            return Kind.BEGAN, {"agent": agent, "attempt": attempt, **kept}
        case record.Welcomed(request_id=request_id):
            return Kind.SPEECH_SESSION, {"request_id": request_id}
        case record.Stopped(id=id_):
            return Kind.FUNCTION_STOPPED, {"id": id_}
        case record.Reported(latencies=latencies):
            return Kind.LATENCY, {stage: value for stage, value in latencies.items() if math.isfinite(value)}
        case record.Warned(code=code):
            return Kind.WARNING, {"code": code}
        case record.Lost(code=code):
            return Kind.SPEECH_LOST, {"code": code}
        case record.Recovered(seconds=seconds):
            return Kind.SPEECH_RECOVERED, {"seconds": round(seconds, 3)}
        case record.Ended(end=end, seconds=seconds):
            return Kind.ENDED, {"end": end.value, "seconds": round(seconds, 3)}
        case record.Connected():
            return Kind.CONNECTED, {}
        case record.BargedIn():
            return Kind.BARGE_IN, {}
        case record.Said() | record.Running() | record.Ran() | record.Configured():
            raise ValueError("this holds what was said")


def _ran(ran: record.Ran, whole: bool) -> dict[str, Any]:
    data = {"id": ran.id, "function": ran.function, "seconds": round(ran.seconds, 6), "outcome": ran.outcome}
    return data | ({"arguments": ran.arguments, "result": ran.result} if whole else {})


def _settings(text: str, whole: bool) -> dict[str, Any]:
    """The Settings and their hash. Their `context` is what was said before, where a call is carried on."""
    settings: Mapping[str, Any] = json.loads(text)
    if not whole and isinstance(settings.get("agent"), dict):
        agent = {key: value for key, value in settings["agent"].items() if key != "context"}
        settings = {**settings, "agent": agent}
    return {"hash": settings_hash(settings), "settings": settings}


def settings_hash(settings: Mapping[str, Any]) -> str:
    """The same for Settings that say the same."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
