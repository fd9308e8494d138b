"""Who may come in: what Twilio has signed, and what there is room for. Everybody else gets a status, and no more."""

import logging
from dataclasses import dataclass

from starlette.datastructures import URL
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response

from dialplan.errors import LineBusy
from dialplan.hosts import neighbourhood
from dialplan.server.live import Live
from dialplan.wire import twiml

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gate:
    """Before webhooks and streams."""

    live: Live

    def is_signed(self, connection: HTTPConnection, fields: list[tuple[str, str]], scheme: str) -> bool:
        """Whether Twilio has signed a request with these fields, or with none; always where nobody is to look."""
        token = self.live.environment.auth_token
        given = connection.headers.get("x-twilio-signature", "")
        return not token or twiml.is_signed(token, self._dialled_url(connection, scheme), fields, given)

    def _dialled_url(self, connection: HTTPConnection, scheme: str) -> str:
        """The address as Twilio dialled it. A proxy in between rewrites the host, so the operator's word counts."""
        url = connection.url
        path = connection.scope.get("raw_path", b"").decode("ascii", "replace") or url.path
        query = f"?{url.query}" if url.query else ""
        return f"{self.public(connection, scheme)}{path}{query}"

    def public(self, connection: HTTPConnection, scheme: str) -> str:
        """`https://host` or `wss://host`, without a slash at the end."""
        base = URL(self.live.environment.public_url or str(connection.url.replace(path="", query="", fragment="")))
        secure = base.scheme in ("https", "wss")
        return str(base.replace(scheme=scheme + "s" * secure)).rstrip("/")

    def refused(self, connection: HTTPConnection, reason: str, response: Response) -> Response:
        """The answer to a stranger. One who asks too often is told just that, and fills no log."""
        if too_many := self.too_many(connection):
            return too_many
        what = "a stream" if connection.scope["type"] == "websocket" else "a webhook"
        logger.warning("%s was refused: %s", what, reason)
        self.live.metrics.calls_refused.labels(reason).inc()
        return response

    def too_many(self, connection: HTTPConnection) -> Response | None:
        """The answer to one stranger too many from where this one comes from."""
        host = connection.client.host if connection.client else ""
        if self.live.admission.strangers.allow(neighbourhood(host)):
            return None
        self.live.metrics.calls_refused.labels("rate").inc()
        return PlainTextResponse("too many requests", 429, {"retry-after": "10"})

    def admit(self, account: str) -> None:
        """Whether new calls of an account are taken at all. Who was answered before is on the line, and is not asked.

        Raises:
            LineBusy: they are not.
        """
        if self.live.draining:
            raise LineBusy("draining")
        if not self.live.admission.accounts.allow(account):
            raise LineBusy("rate")
