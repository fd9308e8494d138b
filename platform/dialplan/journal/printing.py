"""Records as text: a table, a conversation, a line of JSON, the difference of two Settings. Pure."""

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import yaml

from dialplan.journal.reading import Kept, OnRecord
from dialplan.journal.rows import Kind
from dialplan.wire.deepgram import Role
from dialplan.words import columns, printable

#: What stands where a call has no end.
_UNENDED = "not ended"


def table(calls: Sequence[OnRecord]) -> str:
    """A row for each call; times are those of this machine's zone."""
    rows = [("id", "started", "agent", "number", "line", "seconds", "end"), *map(_row, calls)]
    return "\n".join(columns(rows))


def _row(call: OnRecord) -> tuple[str, ...]:
    facts = (call.id, _local(call.started), call.agent, call.number or "hidden", call.line)
    return (*map(_printable, facts), f"{call.seconds:.1f}", call.end or _UNENDED)


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _printable(text: str) -> str:
    """What strangers sent must not move the cursor."""
    return printable(text, "�")


def conversation(call: OnRecord) -> str:
    """A call from its beginning to its end, a line for each entry."""
    began = call.entries[0].at if call.entries else call.started
    head = [f"{call.id}  {call.agent}  {call.number or 'hidden'} → {call.line}", _local(call.started)]
    lines = (f"{(entry.at - began).total_seconds():6.1f}  {text}" for entry in call.entries for text in _told(entry))
    return "\n".join(map(_printable, ("  ".join(head), "", *lines)))


def _told(entry: Kept) -> Iterator[str]:  # noqa: C901 -- one flat case per kind
    data = entry.data
    match entry.kind:
        case Kind.BEGAN:
            yield f"began     {data['agent']}, attempt {data['attempt']}"
        case Kind.SPEECH_SESSION:
            yield f"speech    session {data['request_id']}"
        case Kind.SETTINGS:
            yield f"settings  {data['hash']}"
        case Kind.SAID:
            yield f"{'caller ' if data['role'] == Role.USER else 'agent  '}   {data.get('text', _NOT_KEPT)}"
        case Kind.BARGE_IN:
            yield "          (the caller interrupts)"
        case Kind.FUNCTION_BEGAN | Kind.FUNCTION_ENDED | Kind.FUNCTION_STOPPED:
            yield f"function  {_function(entry)}"
        case Kind.LATENCY:
            yield "latency   " + ", ".join(f"{stage} {seconds:g} s" for stage, seconds in data.items())
        case Kind.WARNING | Kind.SPEECH_LOST:
            yield f"speech    {'warning' if entry.kind == Kind.WARNING else 'lost'}: {data['code']}"
        case Kind.SPEECH_RECOVERED:
            yield f"speech    there again after {data['seconds']:g} s"
        case Kind.CONNECTED:
            yield "line      open"
        case Kind.ENDED:
            yield f"ended     {data['end']}"


_NOT_KEPT = "(not kept)"


def _function(entry: Kept) -> str:
    data = entry.data
    match entry.kind:
        case Kind.FUNCTION_BEGAN:
            return f"{data['function']} begins: {data.get('arguments', _NOT_KEPT)}  [{data['id']}]"
        case Kind.FUNCTION_ENDED:
            result = data.get("result", data["outcome"])
            return f"{data['function']} → {result}  [{data['id']}, {data['seconds'] * 1000:.0f} ms]"
        case _:
            return f"stopped  [{data['id']}]"


def as_object(call: OnRecord) -> dict[str, Any]:
    """A call for a program; times in UTC."""
    return {
        "id": call.id,
        "agent": call.agent,
        "number": call.number,
        "line": call.line,
        "started": call.started.isoformat(),
        "end": call.end,
        "seconds": round(call.seconds, 3),
    }


def as_line(call: OnRecord) -> str:
    """A call with everything in one line of JSON."""
    entries = [asdict(entry) | {"at": entry.at.isoformat()} for entry in call.entries]
    return json.dumps(as_object(call) | {"facts": call.facts, "entries": entries}, ensure_ascii=False)


def difference(one: OnRecord, other: OnRecord) -> str:
    """How the Settings of two calls differ, as a unified diff; empty where they do not."""
    texts = [_as_text((call.settings or {}).get("settings")) for call in (one, other)]
    lines = difflib.unified_diff(texts[0], texts[1], one.id, other.id, lineterm="")
    return "\n".join(lines)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as several lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _as_text(settings: Any) -> list[str]:
    if settings is None:
        return []
    return yaml.dump(settings, Dumper=_Dumper, allow_unicode=True, width=10_000).splitlines()
