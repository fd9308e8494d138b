"""Python and the packages that are installed, against what Dialplan demands (pyproject.toml)."""

import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata

from dialplan.server.doctor.findings import Check, Finding, State

#: Packages that calls do without, and at what price.
_PRICES: Mapping[str, str] = {
    "picows": "calls cost several times as much (docs/performance.md)",
    "uvloop": "calls cost more",
}

_REINSTALL = "pip install -e '.[rehearsal]', or for the core alone: pip install -e ."


@dataclass(frozen=True, slots=True)
class Requirement:
    """One package of pyproject.toml."""

    name: str
    versions: tuple[tuple[str, str], ...]
    """Comparisons that all hold: (`>=`, `1.0`)."""
    markers: tuple[tuple[str, str, str], ...]
    """Where it is wanted: (`sys_platform`, `!=`, `win32`)."""


def examine(version_of: Callable[[str], str] = metadata.version) -> list[Finding]:
    """Look at Python, and at every package that this machine should have.

    Args:
        version_of: of an installed package; raises PackageNotFoundError.
    """
    try:
        declared = metadata.metadata("dialplan")
    except metadata.PackageNotFoundError:
        message = f"Python {platform.python_version()}; Dialplan is not installed as a package, so none is compared"
        return [_finding(State.WARNING, message, _REINSTALL)]
    demanded = [read_requirement(text) for text in declared.get_all("Requires-Dist") or ()]
    core = [r for r in demanded if not any(name == "extra" for name, _, _ in r.markers) and _is_wanted(r)]
    rehearsal = [r for r in demanded if ("extra", "==", "rehearsal") in r.markers]
    return [
        _python(declared["Requires-Python"] or ""),
        *_packages(core, version_of),
        *_extra(rehearsal, version_of),
    ]


def _python(demanded: str) -> Finding:
    version = platform.python_version()
    if fits(version, read_versions(demanded)):
        return _finding(State.OK, f"Python {version} ({platform.python_implementation()}, {sys.platform})")
    return _finding(
        State.WRONG, f"Python {version} is installed, and Dialplan needs {demanded}", "make PYTHON=python3.12"
    )


def _packages(demanded: Iterable[Requirement], version_of: Callable[[str], str]) -> Iterator[Finding]:
    found = {requirement.name: _package(requirement, version_of) for requirement in demanded}
    fitting = sum(finding is None for finding in found.values())
    yield _finding(
        State.OK,
        f"{'all' if fitting == len(found) else f'{fitting} of'} {len(found)} packages are there, in versions that fit",
    )
    yield from (finding for finding in found.values() if finding)


def _package(requirement: Requirement, version_of: Callable[[str], str]) -> Finding | None:
    name = requirement.name
    try:
        version = version_of(name)
    except metadata.PackageNotFoundError:
        if name in _PRICES:
            return _finding(State.WARNING, f"there is no {name}: {_PRICES[name]}", f"pip install {name}")
        return _finding(State.WRONG, f"there is no {name}", _REINSTALL)
    if not fits(version, requirement.versions):
        demanded = ",".join(sign + wanted for sign, wanted in requirement.versions)
        return _finding(State.WRONG, f"{name} is {version}, and Dialplan needs {name}{demanded}", _REINSTALL)
    return None


def _extra(demanded: Iterable[Requirement], version_of: Callable[[str], str]) -> Iterator[Finding]:
    missing = [requirement.name for requirement in demanded if _package(requirement, version_of)]
    if missing:
        message = f"rehearse, demo and serve --offline cannot run: the extra rehearsal lacks {', '.join(missing)}"
        yield _finding(State.WARNING, message, "pip install -e '.[rehearsal]'; answering calls does without it")


def read_requirement(text: str) -> Requirement:
    """One line of pyproject.toml. As much of PEP 508 as stands there; a test holds it against `packaging`."""
    demanded, _, marker = text.partition(";")
    name, versions = re.fullmatch(r"\s*([\w.-]+)(?:\[[^]]*])?\s*(.*)", demanded.strip(), re.DOTALL).groups()  # type: ignore[union-attr]
    markers = re.findall(r"(\w+)\s*(==|!=)\s*['\"]([^'\"]*)['\"]", marker)
    return Requirement(name, read_versions(versions), tuple(markers))


def read_versions(text: str) -> tuple[tuple[str, str], ...]:
    """`>=1.0,<2` as comparisons."""
    return tuple(re.findall(r"(>=|<=|==|!=|<|>)\s*([\w.]+)", text))


def fits(version: str, demanded: Iterable[tuple[str, str]]) -> bool:
    """Whether a version is one of those that are demanded."""
    return all(_HOLDS[sign](_release(version), _release(wanted)) for sign, wanted in demanded)


_HOLDS: Mapping[str, Callable[[list[int], list[int]], bool]] = {
    ">=": lambda one, other: one >= other,
    "<=": lambda one, other: one <= other,
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    ">": lambda one, other: one > other,
}


def _release(version: str) -> list[int]:
    """The numbers of a version, without zeros at the end, so that 1.0 is 1."""
    numbers = [int(part) for part in re.match(r"[0-9.]*", version.partition("!")[2] or version)[0].split(".") if part]  # type: ignore[index]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def _is_wanted(requirement: Requirement) -> bool:
    here = {"sys_platform": sys.platform, "platform_python_implementation": platform.python_implementation()}
    return all((here.get(name) == value) is (sign == "==") for name, sign, value in requirement.markers)


def _finding(state: State, message: str, help_text: str = "") -> Finding:
    return Finding(Check.PYTHON, state, message, help_text)
