"""The application: which URL leads where."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from dialplan.call.dialling import dialler
from dialplan.call.functions import Functions
from dialplan.call.record import Entry
from dialplan.call.timing import Timing
from dialplan.config.loading import Loading
from dialplan.facts import Call
from dialplan.metrics import Metrics
from dialplan.server import proof
from dialplan.server.admission import Admission
from dialplan.server.environment import Environment
from dialplan.server.gate import Gate
from dialplan.server.ledger import Ledger, Memory
from dialplan.server.live import Live, Records
from dialplan.server.phone import Phone
from dialplan.server.streams import Streams


@asynccontextmanager
async def answering(
    loading: Loading,
    environment: Environment,
    *,
    timing: Timing | None = None,
    ledger: Ledger | None = None,
    directly: bool = True,
    observe: Callable[[Call, Entry], None] | None = None,
    records: Records | None = None,
    metrics: Metrics | None = None,
    admission: Admission | None = None,
) -> AsyncIterator[Live]:
    """Everything that a running server holds: the live calls, and what they share. Leaving it ends them."""
    timing = timing or Timing()
    async with (
        Functions(environment.private_hosts) as functions,
        Live(
            loading.dialplan,
            environment,
            dialler(timing.close, directly=directly),
            functions,
            metrics or Metrics(),
            timing=timing,
            ledger=ledger or Memory(),
            observe=observe,
            records=records,
            admission=admission or Admission(sessions=environment.deepgram_sessions),
        ) as live,
    ):
        live.take(loading)
        yield live


def application(live: Live) -> Starlette:
    """The ASGI application of a server that answers calls."""
    gate = Gate(live)
    phone, streams = Phone(live, gate), Streams(live, gate)

    async def agents_stream(websocket: WebSocket) -> None:
        if websocket.url.path in live.dialplan.streams:
            await streams.of_path(websocket)
        else:
            await websocket.close()  # Not accepted: 403.

    async def healthz(request: Request) -> Response:
        nonce, asked = request.query_params.get("nonce", ""), request.headers.get(proof.QUESTION, "")
        return PlainTextResponse("alive", headers=proof.answer(live.environment.secret, live.dialplan, nonce, asked))

    async def readyz(request: Request) -> Response:
        body = {
            "ready": live.ready,
            "draining": live.draining,
            "late": live.admission.is_late,
            "agents": len(live.dialplan.agents),
            "broken": live.set_aside,
            "calls": len(live),
        }
        return JSONResponse(body, 200 if live.ready else 503)

    async def metrics(request: Request) -> Response:
        return Response(live.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(
        routes=[
            Route("/twilio/voice", phone.voice, methods=["POST"]),
            Route("/twilio/next", phone.next, methods=["POST"]),
            Route("/twilio/status", phone.status, methods=["POST"]),
            WebSocketRoute("/twilio/stream", streams.of_call),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/", _front),
            WebSocketRoute("/{path:path}", agents_stream),
        ]
    )


async def _front(request: Request) -> Response:
    """Says what this is, and nothing about the agents: anybody may look."""
    return HTMLResponse("<!doctype html><title>Dialplan</title><p>Dialplan answers calls here.")
