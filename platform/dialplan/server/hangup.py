"""SIGHUP asks a server to read its files again. It comes whenever somebody sends it, also before there is anybody who
could: until then the system holds it back, across a fork too. Its usual effect would be the end of the process."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

_SIGNALS = {signal.SIGHUP} if hasattr(signal, "SIGHUP") else set()


def hold() -> None:
    """Let every SIGHUP wait from here on, in this thread and in processes that it starts."""
    if _SIGNALS:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def release() -> None:
    """Let it come, one that has waited too: somebody handles it by now."""
    if _SIGNALS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def ignore() -> None:
    """Let it do nothing from here on, in no thread: the process ends."""
    for sig in _SIGNALS:
        signal.signal(sig, signal.SIG_IGN)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let every SIGHUP wait meanwhile."""
    hold()
    try:
        yield
    finally:
        release()


@contextlib.contextmanager
def calling(call: Callable[[], None]) -> Iterator[None]:
    """Call this at every SIGHUP meanwhile, and once for those that have waited; later ones do nothing."""
    loop = asyncio.get_running_loop()
    for sig in _SIGNALS:
        loop.add_signal_handler(sig, call)
    release()
    try:
        yield
    finally:
        for sig in _SIGNALS:
            loop.remove_signal_handler(sig)
        ignore()
