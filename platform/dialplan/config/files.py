"""The files of a project as they stand at one moment: each is looked at once, and what was looked at can be looked at
again later, to tell whether it has changed.

Knows nothing of what the files mean.
"""

import errno
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


#: Why something is not read that stands there as what it is, or does not stand there: its stamp says so too.
_PLAIN = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


#: Bytes of a file that are read at all; whoever reads it may want less.
MOST_BYTES = 10_000_000

#: Folders in each other that are looked into, and paths in all of them: links may lead round and round.
MOST_FOLDERS = 40
MOST_PATHS = 50_000


class Looks(dict[str, Stamp | None]):
    """What was looked at, and how it stood."""

    def __init__(self) -> None:
        super().__init__()
        self._refused: dict[str, int] = {}
        """What the system did not let us read, and its reason as a number. No stamp tells when that ends."""

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
        with self._reading(path), open(path, "rb") as file:
            self[os.fspath(path)] = _stamp(os.fstat(file.fileno()))
            return file.read()

    def names(self, folder: Path) -> list[str]:
        """What is in a folder.

        Raises:
            OSError: it cannot be listed.
        """
        with self._reading(folder):
            return os.listdir(folder)

    def hidden(self, path: Path) -> OSError | None:
        """Why we cannot see what stands there; None where we can, or where there is nothing."""
        try:
            with self._reading(path):
                os.stat(path)
        except OSError as exc:
            return None if exc.errno in _PLAIN else exc
        return None

    @contextmanager
    def _reading(self, path: str | Path) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            if exc.errno not in _PLAIN:
                self._refused[os.fspath(path)] = exc.errno or 0
            raise

    def changed(self) -> bool:
        """Whether any of it stands differently by now."""
        return any(stamp_of(name) != stamp for name, stamp in list(self.items()))

    def healed(self) -> bool:
        """Whether anything can be read by now that could not be, or for another reason."""
        return any(_refusal(name) != reason for name, reason in list(self._refused.items()))


def _refusal(name: str) -> int:
    """Why the system does not let us read it, as a number; 0 where it does."""
    try:
        file = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            if not stat.S_ISDIR(os.fstat(file).st_mode):
                os.read(file, 1)
        finally:
            os.close(file)
    except OSError as exc:
        return exc.errno or 0
    return 0


class Files:
    """The files of a project; a `Loader` looks at them again and again, one moment after the other."""

    def __init__(self) -> None:
        self.moment = Looks()
        """All that was looked at since the moment began."""
        self._texts: dict[str, tuple[Stamp | None, str]] = {}
        self._drafts: dict[str, str] = {}
        self._noted: dict[str, Stamp | None] = {}
        self._walked = 0

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

    def is_folder(self, path: Path) -> bool:
        """Whether a folder stands there, be it behind a link."""
        stamp = self._look(path)
        return stamp is not None and stat.S_ISDIR(stamp.mode)

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
        if stamp is not None and not stat.S_ISREG(stamp.mode):  # Reading a pipe would wait for somebody who writes.
            raise OSError(errno.EINVAL, "this is no file with a text in it")
        if stamp is not None and stamp.size > MOST_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        known = self._texts.get(name)
        if known is None or known[0] != stamp or stamp is None:
            text = self.moment.read(path).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
            known = self._texts[name] = self._look(path), text
        return known[1]

    def below(self, folder: Path) -> tuple[list[Path], dict[Path, OSError]]:
        """Every path below a folder, without those that begin with a dot, and the folders that cannot be listed. Links
        to folders are followed, as the keys of a Kubernetes ConfigMap are."""
        unlisted: dict[Path, OSError] = {}
        self._walked = 0
        return sorted(self._below(folder, (), unlisted)), unlisted

    def _below(self, folder: Path, above: tuple[Stamp | None, ...], unlisted: dict[Path, OSError]) -> Iterator[Path]:
        stamp = self._look(folder)
        if stamp is None and folder.suffix != ".yaml" and (reason := self.moment.hidden(folder)):
            unlisted[folder] = reason  # Perhaps it is a folder.
        if stamp is None or not stat.S_ISDIR(stamp.mode) or stamp in above:  # A link may lead in a circle.
            return
        try:
            if len(above) == MOST_FOLDERS or self._walked > MOST_PATHS:
                raise OSError(errno.ELOOP, "too many folders in each other")
            names = self.moment.names(folder)
            self._walked += len(names)
        except OSError as exc:
            unlisted[folder] = exc
            return
        for name in names:
            if not name.startswith("."):
                path = folder / name
                yield path
                yield from self._below(path, (*above, stamp), unlisted)

    def _look(self, path: Path) -> Stamp | None:
        name = os.fspath(path)
        stamp = self._noted[name] = self.moment.at(name)
        return stamp
