"""Every mistake in the bad files is found: its code, its line, and the caret under the very word."""

from pathlib import Path

import pytest

from dialplan.config.loading import load
from dialplan.config.problems import CODES, as_text
from tests.config.expectations import ENVIRONMENT, cases, expected, found, project


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_bad_file_gives_the_problems_that_it_says(case: Path, tmp_path: Path) -> None:
    root = project(case, tmp_path / "project")

    loading = load(root, ENVIRONMENT)

    assert sorted(map(found, loading.problems)) == expected(root), as_text(loading.problems, loading.texts)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_bad_file_is_named_by_a_code_that_it_gives(case: Path, tmp_path: Path) -> None:
    root = project(case, tmp_path / "project")

    assert case.name.split("-")[0].removesuffix(".yaml") in {one.code for one in expected(root)}


def test_every_code_has_a_bad_file() -> None:
    assert {case.name[:4] for case in cases()} == set(CODES)
