"""`DATABASE_URL`, right and wrong."""

from pathlib import Path

import pytest

from dialplan.errors import ConfigError
from dialplan.journal.address import database

ROOT, VAR = Path("/srv/project"), Path("/srv/var")


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("", "/srv/var/dialplan.db"),
        ("sqlite:///var/calls.db", "/srv/project/var/calls.db"),
        ("sqlite:////data/calls.db", "/data/calls.db"),
        ("sqlite:///with%20space.db", "/srv/project/with space.db"),
    ],
)
def test_a_file_counts_from_the_project(url: str, file: str) -> None:
    assert database(url, ROOT, VAR).file == Path(file)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:canary@db.example.com/calls", "postgresql://ann@db.example.com/calls"),
        ("postgres://ann:canary@db:6543/calls?sslmode=require", "postgresql://ann@db:6543/calls"),
        ("postgresql:///calls?host=/run/postgresql", "postgresql:///calls"),
    ],
)
def test_a_server_is_shown_without_its_password(url: str, shown: str) -> None:
    found = database(url, ROOT, VAR)

    assert found.shown == shown
    assert "canary" not in repr(found)
    assert found.dsn.startswith("postgresql://")


def test_options_that_the_driver_does_not_know_are_left_out() -> None:
    found = database("postgresql://h/d?sslmode=require&channel_binding=require", ROOT, VAR)

    assert found.dsn == "postgresql://h/d?sslmode=require"


@pytest.mark.parametrize(
    "url",
    [
        *("calls.db", "mysql://u:canary@h/d", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://calls.db"),
        *("postgresql://u:canary@h", "postgresql://u:canary@h:port/d", "postgresql:///d", "://"),
    ],
)
def test_anything_else_is_told_in_words_and_without_the_password(url: str) -> None:
    with pytest.raises(ConfigError) as told:
        database(url, ROOT, VAR)

    assert "DATABASE_URL" in str(told.value)
    assert "sqlite:///" in str(told.value)
    assert "canary" not in str(told.value)
