"""Python and the packages beside it: whether they are those that Dialplan asks for."""

import operator
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata

from dialplan.server.doctor.finding import Check, Finding, State

#: Packages that Dialplan does without, and what that costs.
_COSTS: Mapping[str, str] = {
    "picows": "audio goes through websockets, which takes about 1.7 times the processor time (docs/performance.md)",
    "uvloop": "the event loop is Python's own, and carries fewer calls",
    "httptools": "HTTP is read in Python, and webhooks are answered a little later",
}

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9._-]+)[^;<>=!~]*([^;]*)(?:;(.*))?")
_BOUND = re.compile(r"(>=|<=|<|>)\s*([0-9]+(?:\.[0-9]+)*)")

_HOLDS: Mapping[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "<": operator.lt,
    ">": operator.gt,
}

_INSTALL = "install Dialplan once more: pip install dialplan, or make test in its own folder"


def found() -> list[Finding]:
    """What is installed here."""
    version = ".".join(map(str, sys.version_info[:3]))
    try:
        required = metadata.requires("dialplan") or []
    except metadata.PackageNotFoundError:
        return [_finding(State.INFO, f"Python {version}; Dialplan is not installed as a package, so nothing is known")]
    missing = list(_missing(required))
    return [_finding(State.OK, f"Python {version}" + ("" if missing else ", and every package")), *missing]


def _missing(required: list[str]) -> Iterator[Finding]:
    for requirement in required:
        match = _REQUIREMENT.match(requirement)
        if match and "extra" not in (match[3] or ""):
            yield from _package(match[1], match[2], match[3] or "")


def _package(name: str, bounds: str, marker: str) -> Iterator[Finding]:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        if name in _COSTS:
            state, help_ = (State.WARNING, f"pip install {name}") if _is_for_here(marker) else (State.INFO, "")
            yield _finding(state, f"{name} is not installed: {_COSTS[name]}", help_)
        elif not marker:  # What only some systems need, the installer has decided about.
            yield _finding(State.WRONG, f"{name} is not installed", _INSTALL)
    else:
        if not fits(version, bounds):
            yield _finding(
                State.WARNING, f"{name} is {version}, and Dialplan was tried with {bounds.strip()}", _INSTALL
            )


def _is_for_here(marker: str) -> bool:
    """Of the two conditions that our packages have; who reads any is pip."""
    elsewhere = platform.system() == "Windows" and "sys_platform != 'win32'" in marker
    return not elsewhere and (platform.python_implementation() == "CPython" or "CPython" not in marker)


def fits(version: str, bounds: str) -> bool:
    """Whether a version is within bounds such as `>=0.50,<0.60`; only its numbers are compared."""
    return all(_HOLDS[sign](_numbers(version), _numbers(bound)) for sign, bound in _BOUND.findall(bounds))


def _numbers(version: str) -> tuple[int, ...]:
    """Without zeros at the end: 1.0 is 1."""
    release = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    numbers = [int(number) for number in release[0].split(".")] if release else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _finding(state: State, message: str, help_: str = "") -> Finding:
    return Finding(Check.PYTHON, state, message, help_)
