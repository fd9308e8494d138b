"""Work in a thread that the process does not wait for at its end: a plugin that is imported, or a name that is looked
up, may hang for ever."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Result = TypeVar("_Result")


def beside(work: Callable[[], _Result], name: str) -> Future[_Result]:
    """Begin at once; the future has what comes of it."""
    future: Future[_Result] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as exc:  # noqa: BLE001 -- raised again where it was asked for
            future.set_exception(exc)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
