"""What the doctor finds: one line each, and what to do about it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import groupby


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    WRONG = "wrong"


class Check(StrEnum):
    """What was looked at, in the order in which it is told."""

    PYTHON = "Python"
    PROJECT = "Project"
    DEEPGRAM = "Deepgram"
    ADDRESS = "Public address"
    TWILIO = "Twilio"
    NUMBERS = "Numbers"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    check: Check
    state: State
    message: str
    help: str = ""
    """What to do; every wrong one says it."""


def anything_wrong(findings: Iterable[Finding]) -> bool:
    """Whether something must be done before calls are answered."""
    return any(finding.state is State.WRONG for finding in findings)


def veiled(finding: Finding, secrets: Sequence[str]) -> Finding:
    """Without any of these secrets, and without characters that would do something to a terminal.

    No finding is written with a secret in it. What other servers say about us may have one.
    """
    return replace(finding, message=_veiled(finding.message, secrets), help=_veiled(finding.help, secrets))


#: Characters of one line, whatever a stranger has to say.
_LONGEST = 500


def _veiled(text: str, secrets: Sequence[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        # Shorter ones stand in every other word, and veil nothing.
        text = text.replace(secret, "…") if len(secret) > 3 else text
    return "".join(character if character.isprintable() else "�" for character in text[:_LONGEST])


def summary(findings: Iterable[Finding]) -> str:
    """How it stands, in a line."""
    states = [finding.state for finding in findings]
    wrong, warnings = states.count(State.WRONG), states.count(State.WARNING)
    counted = [f"{wrong} wrong"] * bool(wrong) + [f"{warnings} warning{'s' * (warnings != 1)}"] * bool(warnings)
    return ", ".join(counted) or "nothing is wrong"


def as_json(findings: Iterable[Finding]) -> str:
    """For a program."""
    return json.dumps([asdict(finding) for finding in findings], indent=2)


def as_text(findings: Iterable[Finding]) -> str:
    """For people: in groups, each with a headline."""
    order = list(Check)
    told = sorted(findings, key=lambda finding: order.index(finding.check))
    return "\n\n".join(
        "\n".join([check.value, *(_lines(each) for each in group)])
        for check, group in groupby(told, key=lambda finding: finding.check)
    )


def _lines(finding: Finding) -> str:
    line = f"  {finding.state:<8} {finding.message}"
    return f"{line}\n           {finding.help}" if finding.help else line
