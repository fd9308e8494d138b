"""Work in a thread that the process does not wait for at its end: a plugin that is imported, or a name that is looked
up, may hang for ever."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Result = TypeVar("_Result")


def beside(work: Callable[[], _Result], name: str) -> Future[_Result]:
    """Begin at once; the future has what comes of it.

    Raises:
        RuntimeError: the system has no thread left.
    """
    future: Future[_Result] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as exc:  # noqa: BLE001 -- raised again where it was asked for
            future.set_exception(exc)
        except BaseException as exc:  # noqa: BLE001 -- a plugin's SystemExit is not meant for who waits here
            died = RuntimeError(f"{type(exc).__name__} in the thread {name}")
            died.__cause__ = exc
            future.set_exception(died)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


async def aside(work: Callable[[], _Result], name: str) -> _Result:
    """What comes of it, waited for on the event loop. Who is cancelled leaves it behind.

    Raises:
        RuntimeError: the system has no thread left; besides, what the work raises.
    """
    return await asyncio.wrap_future(beside(work, name))
