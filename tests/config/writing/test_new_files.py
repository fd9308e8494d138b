"""Files that were not there before: whole or not at all, and never in the place of another."""

import os
import threading
from pathlib import Path

import pytest

from dialplan.config.writing import new_files
from dialplan.errors import ConfigError


def everything(root: Path) -> dict[str, str]:
    return {p.relative_to(root).as_posix(): p.read_text() for p in root.rglob("*") if p.is_file()}


def test_a_file_is_written_with_the_folders_that_it_needs(tmp_path: Path) -> None:
    folders = new_files.write(tmp_path, [(tmp_path / "a" / "b" / "c.yaml", "text")])

    assert everything(tmp_path) == {"a/b/c.yaml": "text"}
    assert folders == [tmp_path / "a", tmp_path / "a" / "b"]


def test_it_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        new_files.write(tmp_path, [(tmp_path / "a.yaml", "text")])
    finally:
        os.umask(before)

    assert (tmp_path / "a.yaml").stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_there_stays_and_the_others_are_not_written(tmp_path: Path) -> None:
    (tmp_path / "second").write_text("mine")

    with pytest.raises(ConfigError, match="second is there already"):
        new_files.write(tmp_path, [(tmp_path / "new" / "first", "x"), (tmp_path / "second", "y")])

    assert everything(tmp_path) == {"second": "mine"}
    assert not (tmp_path / "new").exists()


def test_of_several_who_write_one_file_at_once_one_does(tmp_path: Path) -> None:
    barrier, done = threading.Barrier(8), []

    def write(number: int) -> None:
        barrier.wait()
        try:
            new_files.write(tmp_path, [(tmp_path / "agents" / "a.yaml", f"{number}" * 1000)])
            done.append(number)
        except ConfigError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (winner,) = done
    assert everything(tmp_path) == {"agents/a.yaml": f"{winner}" * 1000}


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigError, match="there already"):
        new_files.refuse_taken(tmp_path, tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match="there already"):
        new_files.write(tmp_path, [(tmp_path / "a.yaml", "x")])

    assert not (tmp_path / "elsewhere").exists()


def test_a_file_where_a_folder_must_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "agents").write_text("")

    with pytest.raises(ConfigError, match="agents is a file, and must be a folder"):
        new_files.refuse_taken(tmp_path, tmp_path / "agents" / "acme" / "a.yaml")


def test_what_the_system_refuses_is_said_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: file name too long"):
        new_files.write(tmp_path, [(tmp_path / "new" / ("x" * 300), "x")])

    assert not (tmp_path / "new").exists()


def test_where_there_is_no_room_nothing_is_left(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(ConfigError, match="cannot be written"):
            new_files.write(tmp_path, [(tmp_path / "agents" / "a.yaml", "x" * 100_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)

    assert list(tmp_path.iterdir()) == []
