"""Findings, as people and programs read them."""

import json

from dialplan.server.doctor.findings import Check, Finding, State, as_json, as_text
from tests.clinic import Clinic


async def test_findings_are_printed_in_groups_and_as_objects(clinic: Clinic) -> None:
    findings = (await clinic.examined(DEEPGRAM_API_KEY="wrong-canary")).all_findings()

    text, rows = as_text(findings), json.loads(as_json(findings))

    titles = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert titles[:-1] == ["Python", "Project files", "Deepgram", "Twilio", "Public URL", "Numbers"]
    assert titles[-1] == "1 wrong; 1 warning"
    assert "\n  wrong    127.0.0.1" in text
    assert all(set(row) == {"check", "state", "message", "help"} for row in rows)
    assert all(row["help"] for row in rows if row["state"] == "wrong")
    assert "canary" not in text + json.dumps(rows)


def test_what_a_stranger_sends_cannot_command_a_terminal() -> None:
    text = as_text([Finding(Check.TWILIO, State.WRONG, "a\x1b[2Jb\nc\ud800", "d\x07")])

    assert all(c.isprintable() or c == "\n" for c in text)
    assert "a?[2Jb?c?" in text
