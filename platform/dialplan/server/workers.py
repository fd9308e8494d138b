"""Several processes on one port (`serve --workers`): start them, replace one that dies, pass signals on."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from dialplan.server import hangup

logger = logging.getLogger(__name__)

#: Where the processes share their ledger; set for the children, read by them.
LEDGER_VARIABLE = "DIALPLAN_LEDGER"

#: A worker that lived shorter than this is not replaced at once, or a mistake at start would keep a core busy.
SHORT_LIFE = 5.0


def supervise(arguments: Sequence[str], listener: socket.socket, count: int, variables: Mapping[str, str]) -> int:
    """Run `dialplan serve` in several processes until a signal ends them all; the worst of their exit codes.

    Args:
        arguments: of `dialplan serve` for each.
        listener: the socket that all of them accept calls from.
        count: how many.
        variables: their environment.
    """
    # The children read this pipe: its end is the end of this process, even by kill -9.
    lifeline, _ = os.pipe()
    with tempfile.TemporaryDirectory(prefix="dialplan-ledger-") as ledger:
        command = [sys.executable, "-m", "dialplan", "serve", *arguments, "--fd", str(listener.fileno())]
        command += ["--lifeline", str(lifeline)]
        workers = _Workers(command, (listener.fileno(), lifeline), {**variables, LEDGER_VARIABLE: ledger})
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, workers.end)
        signal.signal(signal.SIGHUP, workers.pass_on)
        hangup.release()
        try:
            return workers.run(count)
        finally:
            hangup.ignore()


class _Workers:
    def __init__(self, command: Sequence[str], fds: tuple[int, ...], variables: Mapping[str, str]) -> None:
        self._command = command
        self._fds = fds
        self._variables = variables
        self._running: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._ending = False

    def end(self, sig: int, frame: FrameType | None) -> None:
        """Every worker drains by itself; a second signal reaches them too."""
        self._ending = True
        self.pass_on(sig, frame)

    def pass_on(self, sig: int, frame: FrameType | None) -> None:
        """The signal is meant for every worker."""
        for pid in self._running:
            _send(pid, sig)

    def run(self, count: int) -> int:
        for _ in range(count):
            if not self._ending:
                self._start()
        worst = 0
        while self._running:
            pid, status = os.wait()
            worker, started = self._running.pop(pid, (None, 0.0))
            if worker is None:
                continue
            worker.returncode = os.waitstatus_to_exitcode(status)
            if self._ending:
                # One that had no time to listen to the signal has ended as it was asked to.
                worst = max(worst, 0 if worker.returncode == -signal.SIGTERM else abs(worker.returncode))
                continue
            logger.error("worker %d ended with %d; another one takes its place", pid, worker.returncode)
            if time.monotonic() - started < SHORT_LIFE:
                time.sleep(1.0)
            if not self._ending:
                self._start()
        return worst

    def _start(self) -> None:
        # A process group of its own: Ctrl-C in a terminal would else reach the workers twice.
        with hangup.held():  # One that comes before the worker can listen to it waits there.
            worker = subprocess.Popen(  # noqa: S603 -- this very program
                self._command, pass_fds=self._fds, env=dict(self._variables), start_new_session=True
            )
        self._running[worker.pid] = (worker, time.monotonic())
        if self._ending:  # The signal came while it was being started.
            _send(worker.pid, signal.SIGTERM)


def _send(pid: int, sig: int) -> None:
    """Not Popen's way: it would look whether the child has ended, and `os.wait` would not be told any more."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)
