"""Databases to keep records in: a file, and a real PostgreSQL where there is one."""

from pathlib import Path

import pytest

from dialplan.journal.address import Database
from dialplan.journal.address import database as database_of


@pytest.fixture
def file_database(tmp_path: Path) -> Database:
    file = tmp_path / "var" / "calls.db"
    return Database(str(file), file=file)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Either kind, empty."""
    if request.param == "sqlite":
        found: Database = request.getfixturevalue("file_database")
        return found
    return database_of(request.getfixturevalue("server_url"), tmp_path, tmp_path)
