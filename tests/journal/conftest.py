"""Databases to keep records in."""

from pathlib import Path

import pytest

from dialplan.journal.address import Database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    file = tmp_path / "var" / "calls.db"
    return Database(str(file), file=file)
