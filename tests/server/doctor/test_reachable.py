"""PUBLIC_URL: who answers there, and whether WebSockets come through."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from dialplan.server.doctor.findings import Check, State
from tests.clinic import Clinic, loaded
from tests.twilio_rest import http_server
from tests.world import server_for

OTHER = "+15550100002"


async def test_a_server_that_is_this_one_is_told_by_its_proof(clinic: Clinic) -> None:
    found = await clinic.found(Check.PUBLIC_URL)

    assert [f.message for f in found if f.state is State.OK] == [
        f"{clinic.variables['PUBLIC_URL']} leads to this server",
        "WebSockets come through",
    ]


@pytest.mark.usefixtures("directly")
async def test_a_server_as_serve_runs_it_is_told_too(clinic: Clinic) -> None:
    async with server_for(clinic.loading, "ws://127.0.0.1:1") as world:
        found = await clinic.found(Check.PUBLIC_URL, PUBLIC_URL=world.url, DIALPLAN_SECRET="secret")

    assert [f.message for f in found if f.state is State.OK] == [
        f"{world.url} leads to this server",
        "WebSockets come through",
    ]


async def test_a_server_with_another_secret_is_another_dialplan(clinic: Clinic) -> None:
    found = await clinic.worst(Check.PUBLIC_URL, DIALPLAN_SECRET="canary")

    assert (found.state, "another secret" in found.message) == (State.WRONG, True)


async def test_a_server_that_has_other_agents_is_a_doubt(clinic: Clinic) -> None:
    (clinic.root / "agents" / "b.yaml").write_text(f'numbers: ["{OTHER}"]\nprompt: x\n')
    clinic.loading = loaded(clinic.root)

    found = [f for f in await clinic.found(Check.PUBLIC_URL) if "restart" in f.help]

    assert [f.state for f in found] == [State.WARNING]


async def test_without_any_secret_it_cannot_be_told_who_answers(clinic: Clinic) -> None:
    found = [f for f in await clinic.found(Check.PUBLIC_URL, TWILIO_AUTH_TOKEN="") if "cannot be told" in f.message]

    assert [f.state for f in found] == [State.WARNING]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (PlainTextResponse("alive"), "something that is not this server"),
        (HTMLResponse("<html>nginx"), "something that is not this server"),
        (PlainTextResponse("alive", headers={"dialplan-proof": "0" * 64}), "something that is not this server"),
        (RedirectResponse("https://u:canary@www.example.com/healthz?canary"), "redirects to https://…@www.example.com"),
        (HTMLResponse("<html>", 404), "status 404"),
        (HTMLResponse("<html>", 502), "no server behind it"),
        (HTMLResponse("<html>", 401), "status 401"),
        (Response(bytes(5_000_000)), "more than 4 MB"),
    ],
    ids=["alive", "nginx", "false proof", "redirect", "404", "502", "401", "huge"],
)
async def test_something_else_at_the_public_url_is_wrong(clinic: Clinic, answer: Response, words: str) -> None:
    async with http_server(answer) as url:
        found = await clinic.worst(Check.PUBLIC_URL, PUBLIC_URL=url)

    assert (found.state, bool(found.help)) == (State.WRONG, True)
    assert words in found.message


@pytest.mark.parametrize(
    ("url", "state", "words"),
    [
        ("", State.WARNING, "not set"),
        ("voice.example.com", State.WRONG, "whole address"),
        ("https://[", State.WRONG, "whole address"),
        ("https://x.invalid/twilio/voice", State.WRONG, "address only"),
        ("https://x.invalid", State.WRONG, "cannot be found"),
        ("http://127.0.0.1:1", State.WRONG, "nothing listens there"),
    ],
)
async def test_a_public_url_that_leads_nowhere_is_found(clinic: Clinic, url: str, state: State, words: str) -> None:
    found = await clinic.worst(Check.PUBLIC_URL, PUBLIC_URL=url)

    assert (found.state, bool(found.help)) == (state, True)
    assert words in found.message


async def test_an_address_that_is_no_https_is_a_doubt_of_its_own(clinic: Clinic) -> None:
    found = await clinic.found(Check.PUBLIC_URL, PUBLIC_URL="http://voice.example.invalid.")

    assert [f.state for f in found] == [State.WARNING, State.WRONG]


async def test_a_proxy_that_passes_no_websockets_on_is_a_doubt(clinic: Clinic) -> None:
    """It forwards requests, and loses the headers of an upgrade."""

    async def forward(request: Request) -> Response:
        async with httpx.AsyncClient() as client:
            headers = {name: value for name, value in request.headers.items() if name.startswith("dialplan-")}
            url = f"{clinic.variables['PUBLIC_URL']}{request.url.path}?{request.url.query}"
            answer = await client.get(url, headers=headers)
            return Response(answer.content, answer.status_code, dict(answer.headers))

    async with http_server(Starlette(routes=[Route("/{path:path}", forward)]), ws="none") as url:
        found = await clinic.found(Check.PUBLIC_URL, PUBLIC_URL=url)

    assert [f.message for f in found if f.state is State.OK] == [f"{url} leads to this server"]
    assert any(f.state is State.WARNING and "WebSockets do not seem to come through" in f.message for f in found)
