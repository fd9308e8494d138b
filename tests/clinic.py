"""Everything that `dialplan doctor` can look at, for tests: a project, its server, Twilio's API and Deepgram."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from dialplan.config.loading import Loading, load
from dialplan.server.app import answering, application
from dialplan.server.doctor import examination
from dialplan.server.doctor.examination import Examination
from dialplan.server.doctor.findings import Check, Finding, State, as_json, as_text
from dialplan.server.doctor.pointing import should_be
from dialplan.server.environment import Environment
from tests.twilio_rest import SID, TOKEN, TwilioRest, http_server, twilio_rest
from tests.world import AGENT, NUMBER, project

KEY = "dg-canary-key"
CANARIES = (TOKEN, KEY, "canary")


@dataclass
class Deepgram:
    """Accepts one key, and says Welcome."""

    url: str = ""
    keys: set[str] = field(default_factory=lambda: {KEY})
    shown: list[str] = field(default_factory=list)
    first: str | bytes | None = '{"type": "Welcome", "request_id": "r1"}'
    heard: list[str | bytes] = field(default_factory=list)

    def process(self, connection: ServerConnection, request: Any) -> Any:
        self.shown.append(request.headers.get("Authorization", ""))
        accepted = self.shown[-1] in {f"Token {key}" for key in self.keys}
        return None if accepted else connection.respond(HTTPStatus.UNAUTHORIZED, "no")

    async def handle(self, connection: ServerConnection) -> None:
        if self.first is not None:
            await connection.send(self.first)
        async for message in connection:
            self.heard.append(message)


@asynccontextmanager
async def deepgram() -> AsyncIterator[Deepgram]:
    one = Deepgram()
    async with serve(one.handle, "127.0.0.1", 0, process_request=one.process) as server:
        one.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/agent/converse"
        yield one


@dataclass
class Clinic:
    """Everything that a doctor can look at."""

    root: Path
    loading: Loading
    twilio: TwilioRest
    deepgram: Deepgram
    variables: dict[str, str]

    async def examined(self, **variables: str) -> Examination:
        """In a thread: it has a loop of its own, as the command has."""
        seconds = float(variables.pop("seconds", 5.0))
        return await asyncio.to_thread(examination.examine, self.loading, {**self.variables, **variables}, seconds)

    async def found(self, check: Check, **variables: str) -> list[Finding]:
        findings = (await self.examined(**variables)).all_findings()
        assert not any(canary in as_text(findings) + as_json(findings) for canary in CANARIES)
        return [finding for finding in findings if finding.check is check]

    async def worst(self, check: Check, **variables: str) -> Finding:
        order = list(State)
        return max(await self.found(check, **variables), key=lambda finding: order.index(finding.state))


@asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[Clinic]:
    """A server that runs, an account whose number points at it, and a key that is accepted: nothing is wrong."""
    loading = project(tmp_path, a=AGENT)
    environment = Environment(TOKEN, f"dialplan stream token {TOKEN}", KEY, "ws://127.0.0.1:1", "")
    async with answering(loading, environment) as live, http_server(application(live)) as public_url:
        async with twilio_rest() as rest, deepgram() as service:
            rest.add(NUMBER, **should_be(public_url))
            variables = {
                "TWILIO_API_URL": rest.url,
                "TWILIO_ACCOUNT_SID": SID,
                "TWILIO_AUTH_TOKEN": TOKEN,
                "DEEPGRAM_URL": service.url,
                "DEEPGRAM_API_KEY": KEY,
                "PUBLIC_URL": public_url,
            }
            yield Clinic(tmp_path, loading, rest, service, variables)


def loaded(root: Path) -> Loading:
    """The project read again."""
    return load(root, {"TENANT_KEY": "tenant-canary"})
