"""The files of a project as they stand at one moment: each is looked at once, and what was looked at can be looked at
again later, to tell whether it has changed.

Knows nothing of what the files mean.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """What tells a file from its next version. A folder's changes with what it holds."""

    mode: int
    device: int
    inode: int
    modified: int
    changed: int
    size: int

    @property
    def identity(self) -> tuple[int, int]:
        """The same for all versions that were written into one file."""
        return self.device, self.inode


def stamp_of(path: str | Path) -> Stamp | None:
    """The stamp of whatever stands there now, of a link, of what it leads to; None where there is nothing."""
    try:
        return _stamp(os.stat(path))
    except (OSError, ValueError):  # A name that no file can have.
        return None


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_mode, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


class Looks(dict[str, Stamp | None]):
    """What was looked at, and how it stood."""

    def at(self, path: str | Path) -> Stamp | None:
        """The stamp of a path, looked up once."""
        name = os.fspath(path)
        if name not in self:
            self[name] = stamp_of(name)
        return self[name]

    def read(self, path: str | Path) -> bytes:
        """A file's content, with the stamp of the very file that was read: behind a link there may have been another
        one a moment before, and again a moment later.

        Raises:
            OSError: it cannot be read.
        """
        with open(path, "rb") as file:
            self[os.fspath(path)] = _stamp(os.fstat(file.fileno()))
            return file.read()

    def changed(self) -> bool:
        """Whether any of it stands differently by now."""
        return any(stamp_of(name) != stamp for name, stamp in list(self.items()))


class Files:
    """The files of a project; a `Loader` looks at them again and again, one moment after the other."""

    def __init__(self) -> None:
        self.moment = Looks()
        """All that was looked at since the moment began."""
        self._texts: dict[str, tuple[Stamp | None, str]] = {}
        self._drafts: dict[str, str] = {}
        self._noted: dict[str, Stamp | None] = {}

    def begin(self) -> None:
        """Let a new moment begin. What was not looked at in the last one is not kept."""
        self._texts = {name: text for name, text in self._texts.items() if name in self.moment}
        self.moment = Looks()

    @contextmanager
    def noting(self) -> Iterator[Mapping[str, Stamp | None]]:
        """All that is looked at meanwhile: what depends on these files."""
        noted: dict[str, Stamp | None] = {}
        self._noted = noted
        yield noted
        self._noted = {}

    def stand_as(self, noted: Mapping[str, Stamp | None]) -> bool:
        """Whether all that was noted stands now as it did then."""
        return all(self.moment.at(name) == stamp for name, stamp in noted.items())

    def is_file(self, path: Path) -> bool:
        """Whether a file stands there, be it behind a link."""
        stamp = self._look(path)
        return stamp is not None and stat.S_ISREG(stamp.mode)

    def put(self, path: Path, text: str) -> None:
        """Take this for the content of a file that is still to be written."""
        self._drafts[os.fspath(path)] = text

    def text(self, path: Path) -> str:
        """A file's content.

        Raises:
            OSError: it cannot be read.
            UnicodeDecodeError: it is not UTF-8.
        """
        name, stamp = os.fspath(path), self._look(path)
        if name in self._drafts:
            return self._drafts[name]
        known = self._texts.get(name)
        if known is None or known[0] != stamp or stamp is None:
            text = self.moment.read(path).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
            known = self._texts[name] = self._look(path), text
        return known[1]

    def below(self, folder: Path) -> list[Path]:
        """Every path below a folder, without those that begin with a dot; links to folders are followed, as the keys
        of a Kubernetes ConfigMap are."""
        return sorted(self._below(folder, ()))

    def _below(self, folder: Path, above: tuple[Stamp | None, ...]) -> Iterator[Path]:
        stamp = self._look(folder)
        if stamp is None or not stat.S_ISDIR(stamp.mode) or stamp in above:  # A link may lead in a circle.
            return
        try:
            names = os.listdir(folder)
        except OSError:
            return
        for name in names:
            if not name.startswith("."):
                path = folder / name
                yield path
                yield from self._below(path, (*above, stamp))

    def _look(self, path: Path) -> Stamp | None:
        name = os.fspath(path)
        stamp = self._noted[name] = self.moment.at(name)
        return stamp
