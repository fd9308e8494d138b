"""SIGHUP never ends a server, and none is lost."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from dialplan.server import hangup
from dialplan.server.workers import _send


@pytest.fixture
def holding() -> Iterator[None]:
    """As a server does from its first line on."""
    with hangup.held():
        yield


@pytest.mark.usefixtures("holding")
async def test_one_that_came_too_early_is_told_once_there_is_somebody_who_listens() -> None:
    signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
    heard = asyncio.Event()
    with hangup.calling(heard.set):
        async with asyncio.timeout(10):
            await heard.wait()

    hangup.release()
    signal.pthread_kill(threading.get_ident(), signal.SIGHUP)  # Ends nothing any more.


def test_a_worker_that_has_just_ended_is_signalled_without_harm_and_still_reported() -> None:
    worker = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    worker.stdout.read()
    worker.stdout.close()

    _send(worker.pid, signal.SIGHUP)

    pid, status = os.waitpid(worker.pid, 0)
    worker.returncode = os.waitstatus_to_exitcode(status)
    assert pid == worker.pid
