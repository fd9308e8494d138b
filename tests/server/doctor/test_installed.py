"""Packages against what pyproject.toml demands; PyPA's own package judges how it is read."""

import platform
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from dialplan.server.doctor import installed
from dialplan.server.doctor.findings import State

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
DEMANDED = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["rehearsal"]
VERSIONS = [
    "0.5",
    "0.6.4",
    "0.49.9",
    "0.50",
    "0.50.0",
    "0.55.1",
    "0.60",
    "1",
    "1.0.0",
    "2.3.1",
    "2.4",
    "9.13.0",
    "16.1",
]


def test_everything_is_installed_here() -> None:
    findings = installed.examine()

    assert {finding.state for finding in findings} == {State.OK}
    assert platform.python_version() in findings[0].message


@pytest.mark.parametrize("line", [*DEMANDED, "a >=1 , != 2 ; extra == 'x'", "b[c]==3.1", "d"])
def test_a_requirement_is_read_as_packaging_reads_it(line: str) -> None:
    theirs, ours = Requirement(line), installed.read_requirement(line)

    assert ours.name == theirs.name
    for version in VERSIONS:
        assert installed.fits(version, ours.versions) == theirs.specifier.contains(version), version
    wanted = installed._is_wanted(ours)
    assert wanted == (theirs.marker is None or theirs.marker.evaluate({"extra": ""}))


def test_python_itself_is_held_against_what_is_demanded() -> None:
    demanded = installed.read_versions(PROJECT["requires-python"])

    for version in ("3.9.2", "3.10.14", "3.11.0", "3.13.1"):
        assert installed.fits(version, demanded) == SpecifierSet(PROJECT["requires-python"]).contains(version)


def versions(**others: str | None) -> installed.Callable[[str], str]:
    def version_of(name: str) -> str:
        version = others.get(name, metadata.version(name))
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    return version_of


def test_a_package_that_is_too_old_is_wrong_and_says_how_to_get_it() -> None:
    wrong = [f for f in installed.examine(versions(uvicorn="0.30.1")) if f.state is not State.OK]

    assert [f.state for f in wrong] == [State.WRONG]
    assert (
        wrong[0].message == "uvicorn is 0.30.1, and Dialplan needs uvicorn>=0.50,<0.60" or "<0.60" in wrong[0].message
    )
    assert "pip install" in wrong[0].help


def test_a_package_that_is_missing_is_wrong() -> None:
    assert any(f.state is State.WRONG and "httpx" in f.message for f in installed.examine(versions(httpx=None)))


@pytest.mark.skipif(sys.platform == "win32", reason="it is not wanted there")
@pytest.mark.parametrize("name", ["uvloop", "picows"])
def test_a_package_that_only_makes_calls_cheaper_is_a_warning_that_says_what_it_costs(name: str) -> None:
    found = [f for f in installed.examine(versions(**{name: None})) if f.state is not State.OK]

    assert [f.state for f in found] == [State.WARNING]
    assert f"there is no {name}: " in found[0].message


def test_without_the_extra_calls_are_answered_but_not_rehearsed() -> None:
    found = [f for f in installed.examine(versions(pocketsphinx=None)) if f.state is not State.OK]

    assert [f.state for f in found] == [State.WARNING]
    assert "rehearse" in found[0].message
