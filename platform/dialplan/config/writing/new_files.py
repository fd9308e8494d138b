"""Files that were not there before: each whole or not at all, and never in the place of another one."""

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dialplan.config.layers import reason
from dialplan.errors import ConfigError

_AWAY = "take another name, or move that file away first"


def refuse_taken(root: Path, file: Path) -> None:
    """Look whether there is room for a file.

    Raises:
        ConfigError: there is a file already, or one where a folder must be.
    """
    if os.path.lexists(file):
        raise ConfigError(f"{_named(root, file)} is there already, and is not overwritten; {_AWAY}")
    for folder in file.parents:
        if os.path.lexists(folder) and not folder.is_dir():
            raise ConfigError(f"{_named(root, folder)} is a file, and must be a folder; rename that file")
        if folder == root:
            return


def write(root: Path, files: Sequence[tuple[Path, str]]) -> list[Path]:
    """Write all of the files, or none; the folders that had to be made.

    Raises:
        ConfigError: one is there already, or cannot be written.
    """
    written: list[Path] = []
    folders: list[Path] = []
    for file, text in files:
        try:
            folders += _made(file.parent)
            _write(file, text)
        except OSError as exc:
            _remove(written, folders)
            why = (
                f"is there already; {_AWAY}"
                if isinstance(exc, FileExistsError)
                else f"cannot be written: {reason(exc)}"
            )
            raise ConfigError(f"{_named(root, file)} {why}") from exc
        written.append(file)
    return folders


def _made(folder: Path) -> list[Path]:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return list(reversed(missing))


def _write(file: Path, text: str) -> None:
    """Under another name first: whoever reads the folder meanwhile finds the whole file, or none."""
    beside = file.with_name(f".{secrets.token_hex(8)}.new")
    try:
        with beside.open("x", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
        _link(beside, file, text)
    finally:
        beside.unlink(missing_ok=True)


def _link(beside: Path, file: Path, text: str) -> None:
    """Give the file its name, unless another one has it. Not every file system knows two names of one file."""
    try:
        file.hardlink_to(beside)
    except FileExistsError:
        raise
    except OSError:
        try:
            with file.open("x", encoding="utf-8", newline="\n") as opened:
                opened.write(text)
        except FileExistsError:
            raise
        except OSError:
            file.unlink(missing_ok=True)
            raise


def _remove(files: Sequence[Path], folders: Sequence[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
    for folder in reversed(folders):
        with suppress(OSError):
            folder.rmdir()


def _named(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
