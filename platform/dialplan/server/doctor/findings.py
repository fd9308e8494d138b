"""What the doctor says: one finding for each thing that was looked at, for people and for programs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from dialplan.words import counted, printable


class Check(StrEnum):
    """What was looked at; also the titles, in their order."""

    PYTHON = "Python"
    PROJECT = "project files"
    DEEPGRAM = "Deepgram"
    TWILIO = "Twilio"
    PUBLIC_URL = "public URL"
    NUMBERS = "numbers"


class State(StrEnum):
    """How it was found. Only what is wrong makes the exit code 1."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's; what is wrong says what to do about it."""

    check: Check
    state: State
    message: str
    help: str = ""


def any_wrong(findings: Iterable[Finding]) -> bool:
    """Whether something must be seen to."""
    return any(finding.state is State.WRONG for finding in findings)


def as_text(findings: Sequence[Finding]) -> str:
    """In groups, for people, and their sum."""
    return f"{in_groups(findings)}\n\n{summary(findings)}"


def in_groups(findings: Iterable[Finding]) -> str:
    """One line for each, and one for each thing to do about it."""
    groups = [
        f"{check[0].upper()}{check[1:]}\n" + "\n".join(_line(finding) for finding in group)
        for check, group in groupby(findings, lambda finding: finding.check)
    ]
    return "\n\n".join(groups)


def summary(findings: Sequence[Finding]) -> str:
    """How many want to be seen to."""
    wrong, doubtful = (sum(f.state is state for f in findings) for state in (State.WRONG, State.WARNING))
    warnings = f"; {counted(doubtful, 'warning')}" if doubtful else ""
    return (f"{wrong} wrong" if wrong else "nothing is wrong") + warnings


def as_json(findings: Sequence[Finding]) -> str:
    """A list of objects, for programs."""
    rows = [{"check": f.check.value, "state": f.state.value, "message": f.message, "help": f.help} for f in findings]
    return json.dumps(rows, indent=2)


def _line(finding: Finding) -> str:
    # Others' words may hold what a terminal would take for a command.
    message, *helps = (printable(part, "?") for part in (finding.message, *finding.help.splitlines()))
    return f"  {finding.state:<7}  {message}" + "".join(f"\n           → {part}" for part in helps)
