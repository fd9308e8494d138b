"""What must be known of a call beyond its session: the answer given, the token used, the end.

One process keeps it in memory. Several processes on one port (`--workers`) keep it in a folder, since Twilio's next
request for a call may reach any of them.
"""

import hashlib
import logging
import os
import time
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)

#: Seconds after which an entry in a folder is of no call that still goes on.
STALE = 4 * 3600

#: Entries in memory; some hundred bytes each. A day of a busy server.
MOST = 50_000


class Ledger(Protocol):
    """Texts by key. A key names one call, so that entries never change hands."""

    shared: bool
    """Other processes write in it."""

    def get(self, key: str) -> str | None:
        """What was put there, where anything was."""
        ...

    def put(self, key: str, text: str) -> None:
        """Note it; a later entry replaces an earlier one."""
        ...

    def claim(self, key: str) -> bool:
        """True for the first who asks, and for nobody after."""
        ...


class Memory:
    """The ledger of one process; the oldest entries are forgotten."""

    shared = False

    def __init__(self) -> None:
        self._entries: OrderedDict[str, str] = OrderedDict()

    def get(self, key: str) -> str | None:
        return self._entries.get(key)

    def put(self, key: str, text: str) -> None:
        self._entries[key] = text
        self._entries.move_to_end(key)
        while len(self._entries) > MOST:
            self._entries.popitem(last=False)

    def claim(self, key: str) -> bool:
        if key in self._entries:
            return False
        self.put(key, "")
        return True


class Folder:
    """The ledger of several processes: a file for every entry. The system makes creating one atomic."""

    shared = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._memory = Memory()
        self._written = 0

    def get(self, key: str) -> str | None:
        try:
            return self._file(key).read_text("utf-8")
        except OSError:
            return self._memory.get(key)

    def put(self, key: str, text: str) -> None:
        # First here: a full disk or a swept folder must cost the other processes their knowledge, but no call.
        self._memory.put(key, text)
        file = self._file(key)
        draft = file.with_suffix(f".{os.getpid()}")
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            draft.write_text(text, "utf-8")
            draft.replace(file)
        except OSError as exc:
            logger.error("the ledger in %s cannot be written: %s", self._path, exc)
        self._sweep()

    def claim(self, key: str) -> bool:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._file(key).touch(exist_ok=False)
        except FileExistsError:
            return False
        except OSError as exc:
            logger.error("the ledger in %s cannot be written: %s", self._path, exc)
            return self._memory.claim(key)
        return True

    def _sweep(self) -> None:
        """Now and then remove what is of no call any more."""
        self._written += 1
        if self._written % 1000 == 0:
            for file in self._path.iterdir():
                if time.time() - file.stat().st_mtime > STALE:
                    file.unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        # Keys hold what strangers send; a digest can be no path.
        return self._path / hashlib.sha256(key.encode()).hexdigest()
