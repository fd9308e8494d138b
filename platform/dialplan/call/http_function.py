"""Run an `http` function: fill its templates in, ask, and read the answer as far as it is wanted."""

import codecs
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from dialplan.call.outbound import HostRefused, within
from dialplan.call.results import FAILED, MAX_RESULT, TOOK_TOO_LONG
from dialplan.config.jinja.templates import Template
from dialplan.config.model import Function, Http
from dialplan.errors import FunctionError

logger = logging.getLogger(__name__)


#: Characters of an encoding's name that are looked at: Python remembers every name that it was asked for.
_LONGEST_NAME = 40


def request(
    client: httpx.Client,
    function: Function,
    http: Http,
    names: Mapping[str, object],
    abandoned: Callable[[], bool],
) -> object:
    """The answer as JSON, or as text where it is none.

    Args:
        client: of the process.
        function: the one that is run.
        http: how.
        names: for the templates, the arguments included.
        abandoned: whether anybody still waits for the answer.

    Raises:
        FunctionError: there is none; the text is fit for the model.
    """
    asked = _request(client, http, names)
    try:
        with within(function.timeout), contextlib.closing(client.send(asked, stream=True)) as response:
            _check(response, function)
            return _answer(_body(response, abandoned), response.charset_encoding or "utf-8")
    except httpx.TimeoutException:
        raise FunctionError(TOOK_TOO_LONG) from None
    except HostRefused as exc:
        logger.warning("%s cannot be requested: %s", function.name, exc)
        raise FunctionError(FAILED) from None
    except httpx.HTTPError as exc:  # Its text may hold a header, and that a secret.
        logger.warning("%s cannot be requested: %s", function.name, type(exc).__name__)
        raise FunctionError(FAILED) from None


def _request(client: httpx.Client, http: Http, names: Mapping[str, object]) -> httpx.Request:
    """What will be sent.

    Raises:
        FunctionError: an argument cannot be; the text lets the model correct it.
    """
    try:
        query = {name: template.render(names) for name, template in http.query.items()}
        return client.build_request(
            http.method,
            _address(http.url.render_url(names)).copy_merge_params(query),
            headers=[(name.encode(), template.render(names).encode()) for name, template in http.headers.items()],
            json=_filled(http.json, names) if http.json is not None else None,
        )
    except (httpx.InvalidURL, UnicodeError):  # Too long; half a surrogate pair.
        raise FunctionError("The arguments do not fit: one of them is no text that can be sent.") from None


def _check(response: httpx.Response, function: Function) -> None:
    """Raises FunctionError: this is no answer to be read."""
    if not response.is_success:
        logger.warning("%s was answered with status %d", function.name, response.status_code)
        raise FunctionError(f"The service answered with the error {response.status_code}.")
    # Nothing else was asked for, and a kilobyte may unfold to a gigabyte.
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        logger.warning("%s was answered with compressed data, which is not read", function.name)
        raise FunctionError(FAILED)


def _body(response: httpx.Response, abandoned: Callable[[], bool]) -> bytes:
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > 4 * MAX_RESULT or abandoned():
            raise FunctionError("The service answered with more than can be told on the phone.")
    return bytes(body)


def _answer(body: bytes, encoding: str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    try:
        known = codecs.lookup(encoding[:_LONGEST_NAME]).name
        # For names of hosts only: on a long text it works for seconds.
        return body.decode("utf-8" if known == "punycode" else known, "replace")
    except (LookupError, ValueError):
        return body.decode("utf-8", "replace")


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
