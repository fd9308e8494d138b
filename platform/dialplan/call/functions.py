"""Run one function for the model: check its arguments, keep its time, turn every failure into an answer.

The other wall against strangers' code (config/plugins/loader.py imports it, this calls it). Every function runs in a
thread of its own, coroutines on one loop that belongs to plugins: a function that blocks holds up its own call and no
other one's audio, and a stuck one is left behind in a daemon thread that cannot keep the process from ending.
"""

import asyncio
import contextlib
import contextvars
import functools
import inspect
import json
import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, NoReturn, Self

import httpx

from dialplan import hosts
from dialplan.call.http_function import request
from dialplan.call.outbound import http_client
from dialplan.call.plugin_loop import PluginLoop
from dialplan.call.results import BUSY, FAILED, MAX_RESULT, TOOK_TOO_LONG, as_json
from dialplan.call.threads import Threads
from dialplan.config.model import Failure, Function, Http
from dialplan.config.plugins.loader import PluginFunction
from dialplan.errors import FunctionError
from dialplan.facts import Call, IdempotencyKey
from dialplan.hosts import PrivateHosts
from dialplan.wire.deepgram import error_content
from dialplan.wire.fields import legible

logger = logging.getLogger(__name__)

#: Threads at work at once, for one function and for all. Only functions that hang can fill this up.
MAX_AT_WORK = 128
MAX_THREADS = 512

#: The same for one call, those included that were given up and have not come to their end: a call whose functions hang
#: must leave threads for the others.
MAX_OF_CALL = 32

#: Characters of arguments. No model writes so many, and checking more could take a thread for hours.
MAX_ARGUMENTS = 64_000


class Functions:
    """Runs functions for every call of the process.

    An async context manager: leaving it stops the plugins' loop, and abandons what is stuck on it.

    Args:
        private: hosts that `http` functions may reach beside those on the internet.

    Raises:
        ConfigError: the environment names a proxy that is none.
    """

    def __init__(self, private: PrivateHosts = hosts.NONE) -> None:
        self.drills: dict[tuple[str, str], Failure] = {}
        """Failures that a rehearsal has asked for, by call id and function name."""
        self._loop = PluginLoop()
        self._threads = Threads()
        self._working: Counter[int] = Counter()
        self._of_call: Counter[str] = Counter()
        self._client = http_client(private)

    async def __aenter__(self) -> Self:
        self._loop.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._loop.stop)
        self._threads.stop()
        self._client.close()

    async def run(
        self,
        function: Function,
        arguments: str,
        call: Call,
        names: Callable[[], Mapping[str, object]],
        request_id: str = "",
    ) -> str:
        """The answer for the model, as JSON text; a failure is an answer too.

        Args:
            function: which one.
            arguments: JSON text as the model wrote it.
            call: for functions that want its facts.
            names: further names for the templates of an `http` function.
            request_id: the model's, for functions that want to know whether they have done this before.

        Cancelling it stops a coroutine; a thread is left to finish, and its result is dropped.
        """
        failure = self.drills.get((call.id, function.name))
        if failure is not None:
            return error_content(FAILED if failure is Failure.ERROR else TOOK_TOO_LONG)
        if self._is_too_much(function, call):
            logger.error("%s is at work too often and does not finish; it was not run again", function.name)
            return error_content(BUSY)
        key = IdempotencyKey(f"{call.id}:{request_id}")
        work = _Work(function, arguments, call, names, key, self._client, self._loop, self._threads)
        self._working[id(function)] += 1
        self._of_call[call.id] += 1
        try:
            async with asyncio.timeout(function.timeout):
                return await work.result(lambda: self._finished(function, call))
        except TimeoutError:
            logger.warning("%s took longer than %g s and was given up", function.name, function.timeout)
            return error_content(TOOK_TOO_LONG)

    def _is_too_much(self, function: Function, call: Call) -> bool:
        return (
            self._working[id(function)] >= MAX_AT_WORK
            or self._of_call[call.id] >= MAX_OF_CALL
            or self._working.total() >= MAX_THREADS
        )

    def _finished(self, function: Function, call: Call) -> None:
        self._working[id(function)] -= 1
        self._of_call[call.id] -= 1
        if not self._of_call[call.id]:
            del self._of_call[call.id]  # Calls are many; functions are as many as the files have.


class _Work:
    """One function at work in its thread."""

    def __init__(
        self,
        function: Function,
        arguments: str,
        call: Call,
        names: Callable[[], Mapping[str, object]],
        key: IdempotencyKey,
        client: httpx.Client,
        loop: PluginLoop,
        threads: Threads,
    ) -> None:
        self._function = function
        self._arguments = arguments
        self._call = call
        self._names = names
        self._key = key
        self._client = client
        self._plugins = loop
        self._threads = threads
        self._abandoned = threading.Event()
        self._cancel: Callable[[], object] = self._abandoned.set

    async def result(self, finished: Callable[[], None]) -> str:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()

        def deliver(content: str) -> None:
            finished()
            if not answer.done():
                answer.set_result(content)

        def work() -> None:
            content = self._content()
            # The server's loop is closed where the process ends while a function hangs.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(deliver, content)

        context = contextvars.copy_context()
        try:
            self._threads.run(functools.partial(context.run, work), self._function.name)
        except RuntimeError:  # The system has no thread left.
            logger.exception("%s was not run", self._function.name)
            finished()
            return error_content(BUSY)
        try:
            return await answer
        finally:
            self._abandoned.set()
            self._cancel()

    def _content(self) -> str:
        try:
            return self._outcome()
        except CancelledError:
            return error_content(TOOK_TOO_LONG)
        except BaseException:  # A stranger's code may raise anything, SystemExit too; the call goes on.
            logger.exception("the function %s failed", self._function.name)
            return error_content(FAILED)

    def _outcome(self) -> str:
        try:
            arguments = self._checked()
            match self._function.runs:
                case PluginFunction() as plugin:
                    result = self._plugin(plugin, arguments)
                case Http() as http:
                    result = self._request(http, arguments)
                case other:
                    raise TypeError(f"{other} is not run here")
            return as_json(result)
        except FunctionError as exc:
            words = str(exc)
            if not words:
                raise
            return error_content(legible(words)[:MAX_RESULT])

    def _checked(self) -> dict[str, Any]:
        """The arguments, held against the function's JSON Schema.

        Raises:
            FunctionError: they do not fit; the text lets the model correct them.
        """
        if len(self._arguments) > MAX_ARGUMENTS:
            raise FunctionError("The arguments are too long.")
        try:
            arguments = json.loads(self._arguments.strip() or "{}", parse_constant=_refuse, parse_float=_finite)
        except (ValueError, RecursionError):
            raise FunctionError("The arguments are not JSON.") from None
        mistakes = [mistake.message for mistake in self._function.arguments.iter_errors(arguments)]
        if mistakes:
            raise FunctionError(f"The arguments do not fit: {'; '.join(mistakes)[:500]}.")
        if not isinstance(arguments, dict):
            raise FunctionError("The arguments must be an object.")
        return arguments

    def _plugin(self, plugin: PluginFunction, arguments: dict[str, Any]) -> object:
        ours = dict.fromkeys(plugin.call_arguments, self._call) | dict.fromkeys(plugin.key_arguments, self._key)
        if not plugin.takes_anything:
            # A model may add what the schema does not forbid.
            arguments = {name: value for name, value in arguments.items() if name in plugin.takes}
        result = plugin.call(**{**arguments, **ours})
        return self._awaited(result) if inspect.iscoroutine(result) else result

    def _awaited(self, coroutine: Coroutine[Any, Any, object]) -> object:
        """Wait, here in the thread, for a coroutine on the plugins' loop."""
        future = self._plugins.submit(coroutine)
        self._cancel = future.cancel
        if self._abandoned.is_set():
            future.cancel()
        return future.result()

    def _request(self, http: Http, arguments: dict[str, Any]) -> object:
        # An argument that was left out is an empty text in the templates, not a mistake; one that nobody declared is
        # none at all, or a model could put it in the place of a fact of the call.
        declared = self._function.parameters.get("properties", {})
        names = {**self._names(), **{name: arguments.get(name, "") for name in declared}}
        return request(self._client, self._function, http, names, self._abandoned.is_set)


def _refuse(constant: str) -> NoReturn:
    """Python reads NaN and Infinity, which are no JSON."""
    raise ValueError(constant)


def _finite(digits: str) -> float:
    """What is larger than any number that there is becomes infinite, and could not be told as JSON again."""
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)
