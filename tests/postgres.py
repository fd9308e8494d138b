"""A real PostgreSQL for tests: Debian's package, in a folder of its own, without any port."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: Nobody's data is lost here, so nothing waits for the disk.
_OPTIONS = "-c fsync=off -c listen_addresses='' -c unix_socket_directories={folder}"


def programs() -> Path | None:
    """Where PostgreSQL's programs are; None where there are none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    found = shutil.which("initdb") or (debian[-1] if debian else None)
    return Path(found).resolve().parent if found else None


def missing() -> str:
    """Why there can be none here; empty where there can."""
    if programs() is None:
        return "there is no PostgreSQL here; Debian: apt-get install postgresql"
    if os.name != "posix" or (os.getuid() == 0 and not _has_postgres()):
        return "PostgreSQL does not run as root, and there is no user postgres"
    return ""


def _runuser() -> str | None:
    # A user's PATH has no place for an administrator's programs.
    return shutil.which("runuser") or shutil.which("runuser", path="/usr/sbin:/sbin")


def _has_postgres() -> bool:
    return any(entry.pw_name == "postgres" for entry in pwd.getpwall()) and _runuser() is not None


@dataclass(frozen=True)
class Cluster:
    """One server, with a database for each who asks."""

    folder: Path

    def start(self) -> None:
        options = _OPTIONS.format(folder=self.folder)
        self._run("pg_ctl", "-w", "-D", self._data, "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """At once, as a machine that loses its power."""
        self._run("pg_ctl", "-w", "-D", self._data, "-m", "immediate", "stop")

    def create(self, name: str) -> str:
        """A new database; its URL."""
        self._run("createdb", "-h", str(self.folder), name)
        return f"postgresql://{self._user}@/{name}?host={self.folder}"

    def make(self) -> None:
        self._run("initdb", "-D", self._data, "-A", "trust", "-N", "-E", "UTF8", "--locale", "C")

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    @property
    def _user(self) -> str:
        return "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name

    def _run(self, program: str, *arguments: str) -> None:
        folder = programs()
        assert folder is not None
        before = [str(_runuser()), "-u", "postgres", "--"] if os.getuid() == 0 else []
        # The server would keep a pipe open.
        subprocess.run([*before, str(folder / program), *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/")


@contextmanager
def running() -> Iterator[Cluster]:
    """A server meanwhile."""
    # pytest's folders are for its own user only, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="dialplan-pg-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    cluster = Cluster(folder)
    try:
        cluster.make()
        cluster.start()
        yield cluster
        cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
