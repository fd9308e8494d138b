"""Run one function for the model: check its arguments, keep its time, turn every failure into an answer.

The other wall against strangers' code (config/plugins.py imports it, this calls it). Every function runs in a thread of
its own, coroutines on one loop that belongs to plugins: a function that blocks holds up its own call and no other
one's audio, and a stuck one is left behind in a daemon thread that cannot keep the process from ending.
"""

import asyncio
import contextlib
import contextvars
import dataclasses
import datetime
import decimal
import inspect
import json
import logging
import threading
import uuid
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, NoReturn, Self
from urllib.parse import urlsplit

import httpx

from dialplan import __version__
from dialplan.config.model import Failure, Function, Http
from dialplan.config.plugins import PluginFunction
from dialplan.config.templates import Template
from dialplan.errors import FunctionError
from dialplan.facts import Call
from dialplan.wire.deepgram import error_content

logger = logging.getLogger(__name__)

#: Characters that a result may have. Beyond that it is no answer for a telephone, and costs the model its memory.
MAX_RESULT = 64_000

#: Functions at work at once. Only functions that hang can fill this up.
MAX_THREADS = 256

FAILED = "This did not work because of a technical problem. Say that you are sorry, and offer to help otherwise."
TOOK_TOO_LONG = "This took too long and was given up. Say that you are sorry, and offer to try again."
BUSY = "Too much is going on at the moment. Ask the caller to try again in a minute."


class Functions:
    """Runs functions for every call of the process.

    An async context manager: leaving it stops the plugins' loop, and abandons what is stuck on it.
    """

    def __init__(self) -> None:
        self.drills: dict[tuple[str, str], Failure] = {}
        """Failures that a rehearsal has asked for, by call id and function name."""
        self._loop = asyncio.new_event_loop()
        self._left = False
        self._thread = threading.Thread(target=self._run_loop, name="plugins", daemon=True)
        self._working = 0
        self._client = httpx.Client(headers={"user-agent": f"dialplan/{__version__}"})

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._leave_loop)
        await asyncio.to_thread(self._thread.join, 1.0)
        if not self._thread.is_alive():
            self._loop.close()
        self._client.close()

    async def run(self, function: Function, arguments: str, call: Call, names: Mapping[str, object]) -> str:
        """The answer for the model, as JSON text; a failure is an answer too.

        Args:
            function: which one.
            arguments: JSON text as the model wrote it.
            call: for functions that want its facts.
            names: further names for the templates of an `http` function.

        Cancelling it stops a coroutine; a thread is left to finish, and its result is dropped.
        """
        failure = self.drills.get((call.id, function.name))
        if failure is not None:
            return error_content(FAILED if failure is Failure.ERROR else TOOK_TOO_LONG)
        if self._working >= MAX_THREADS:
            logger.error("%d functions are at work and none finishes; %s was not run", self._working, function.name)
            return error_content(BUSY)
        work = _Work(function, arguments, call, names, self._client, self._loop)
        self._working += 1
        try:
            async with asyncio.timeout(function.timeout):
                return await work.result(self._finished)
        except TimeoutError:
            logger.warning("%s took longer than %g s and was given up", function.name, function.timeout)
            return error_content(TOOK_TOO_LONG)

    def _finished(self) -> None:
        self._working -= 1

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._left:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt):  # asyncio lets these two through, whichever coroutine raised them.
                logger.warning("a plugin tried to end the process")
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        # One round, so that cancelled coroutines can close what they hold.
        self._loop.run_until_complete(asyncio.sleep(0))

    def _leave_loop(self) -> None:
        self._left = True
        self._loop.stop()


class _Work:
    """One function at work in its thread."""

    def __init__(
        self,
        function: Function,
        arguments: str,
        call: Call,
        names: Mapping[str, object],
        client: httpx.Client,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._function = function
        self._arguments = arguments
        self._call = call
        self._names = names
        self._client = client
        self._plugins = loop
        self._abandoned = threading.Event()
        self._abandon: Callable[[], object] = self._abandoned.set

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
        thread = threading.Thread(target=context.run, args=(work,), name=self._function.name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # The system has no thread left.
            logger.exception("%s was not run", self._function.name)
            finished()
            return error_content(BUSY)
        try:
            return await answer
        finally:
            self._abandon()

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
            return _as_json(result)
        except FunctionError as exc:
            words = str(exc)
            if not words:
                raise
            return error_content(words[:MAX_RESULT])

    def _checked(self) -> dict[str, Any]:
        """The arguments, held against the function's JSON Schema.

        Raises:
            FunctionError: they do not fit; the text lets the model correct them.
        """
        try:
            arguments = json.loads(self._arguments.strip() or "{}", parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise FunctionError("The arguments are not JSON.") from None
        mistakes = [mistake.message for mistake in self._function.arguments.iter_errors(arguments)]
        if mistakes:
            raise FunctionError(f"The arguments do not fit: {'; '.join(mistakes)[:500]}.")
        if not isinstance(arguments, dict):
            raise FunctionError("The arguments must be an object.")
        return arguments

    def _plugin(self, plugin: PluginFunction, arguments: dict[str, Any]) -> object:
        given = arguments | dict.fromkeys(plugin.call_arguments, self._call)
        if not plugin.takes_anything:
            # A model may add what the schema does not forbid.
            given = {name: value for name, value in given.items() if name in plugin.takes | plugin.call_arguments}
        result = plugin.call(**given)
        return self._awaited(result) if inspect.iscoroutine(result) else result

    def _awaited(self, coroutine: Coroutine[Any, Any, object]) -> object:
        """Wait, here in the thread, for a coroutine on the plugins' loop."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._plugins)
        self._abandon = future.cancel
        if self._abandoned.is_set():
            future.cancel()
        return future.result()

    def _request(self, http: Http, arguments: dict[str, Any]) -> object:
        # An argument that was left out is an empty text in the templates, not a mistake; one that nobody declared is
        # none at all, or a model could put it in the place of a fact of the call.
        declared = self._function.parameters.get("properties", {})
        response = self._response(http, {**self._names, **{name: arguments.get(name, "") for name in declared}})
        if not response.is_success:
            logger.warning("%s was answered with status %d", self._function.name, response.status_code)
            raise FunctionError(f"The service answered with the error {response.status_code}.")
        try:
            return response.json()
        except ValueError:
            return response.text

    def _response(self, http: Http, names: Mapping[str, object]) -> httpx.Response:
        query = {name: template.render(names) for name, template in http.query.items()}
        try:
            return self._client.request(
                http.method,
                _address(http.url.render_url(names)).copy_merge_params(query),
                headers=[(name.encode(), template.render(names).encode()) for name, template in http.headers.items()],
                json=_filled(http.json, names) if http.json is not None else None,
                timeout=self._function.timeout,
            )
        except httpx.TimeoutException:
            raise FunctionError(TOOK_TOO_LONG) from None
        except httpx.HTTPError as exc:  # Its text may hold a header, and that a secret.
            logger.warning("%s cannot be requested: %s", self._function.name, type(exc).__name__)
            raise FunctionError(FAILED) from None


def _refuse(constant: str) -> NoReturn:
    """Python reads NaN and Infinity, which are no JSON."""
    raise ValueError(constant)


def _address(url: str) -> httpx.URL:
    """The address of a request.

    Raises:
        FunctionError: a value in it is `..`, which no quoting keeps from taking the path before it away.
    """
    if not {".", ".."}.isdisjoint(urlsplit(url).path.split("/")):
        raise FunctionError("The arguments do not fit: a value cannot be nothing but dots.")
    return httpx.URL(url)


def _filled(body: Any, names: Mapping[str, object]) -> Any:
    """The body of a request with its templates rendered; one that is an expression as a whole keeps its type."""
    match body:
        case Template():
            return body.render_value(names)
        case dict():
            return {key: _filled(value, names) for key, value in body.items()}
        case list():
            return [_filled(item, names) for item in body]
    return body


def _as_json(result: object) -> str:
    """A function's result as JSON text.

    Raises:
        TypeError: it holds something that has no place in JSON.
        ValueError: it is too long, refers to itself, or holds a NaN.
    """
    content = json.dumps(result, default=_converted, ensure_ascii=False, allow_nan=False)
    content.encode()  # Half a surrogate pair would be refused by the socket.
    if len(content) > MAX_RESULT:
        raise ValueError(f"the result has {len(content)} characters; {MAX_RESULT} are allowed")
    return content


def _converted(value: object) -> object:
    """What plugins return and JSON does not know."""
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"a plugin returned {type(value).__name__}, which has no place in JSON")
