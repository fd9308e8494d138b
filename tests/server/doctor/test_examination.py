"""The whole examination: a project, the servers around it over real sockets, and what is found."""

import asyncio
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialplan.config.dialplan import Dialplan
from dialplan.config.loading import Loading
from dialplan.server.doctor import examination
from dialplan.server.doctor.findings import Check, State, any_wrong, as_json, as_text
from tests.clinic import Clinic, loaded
from tests.twilio_rest import raw_server


async def test_where_all_is_well_nothing_is_wrong_and_nothing_is_changed(clinic: Clinic) -> None:
    examined = await clinic.examined()
    findings = examined.all_findings()

    doubts = [f for f in findings if f.state is not State.OK]
    assert [f.check for f in doubts] == [Check.PUBLIC_URL]  # It is an address of this machine.
    assert not any_wrong(findings)
    assert {f.check for f in findings} == set(Check)
    assert clinic.twilio.forms == []
    assert all(line.startswith("GET ") for line in clinic.twilio.asked)
    assert clinic.deepgram.heard == []  # No Settings: nothing begins.


async def test_a_file_with_a_mistake_is_wrong_and_names_the_command_that_shows_it(clinic: Clinic) -> None:
    (clinic.root / "agents" / "bad.yaml").write_text("voise: x\n")
    clinic.loading = loaded(clinic.root)

    found = await clinic.worst(Check.PROJECT)

    assert found.state is State.WRONG
    assert "bad" in found.message
    assert "dialplan check" in found.help


async def test_everything_is_asked_at_once(clinic: Clinic) -> None:
    """Three that say nothing take as long as one."""
    async with raw_server(None) as url:
        silent = {"TWILIO_API_URL": url, "DEEPGRAM_URL": url.replace("http", "ws"), "PUBLIC_URL": url}
        began = asyncio.get_running_loop().time()
        findings = (await clinic.examined(**silent, seconds="1")).all_findings()
        took = asyncio.get_running_loop().time() - began

    assert sum("within 1 s" in f.message for f in findings) == 4
    assert took < 2.9


NAMES = [
    "TWILIO_AUTH_TOKEN",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_API_URL",
    "DEEPGRAM_API_KEY",
    "DEEPGRAM_URL",
    "PUBLIC_URL",
    "DIALPLAN_SECRET",
]
HOSTILE = [
    *[
        "",
        " ",
        "\udcff",
        "\x00",
        "ü",
        "x" * 9999,
        "https://",
        "wss://",
        "https://\udcff.invalid",
        "https://a..b",
        "//x",
    ],
    *["http://127.0.0.1:1", "ws://127.0.0.1:1", "http://u:p@127.0.0.1:1/?x#y", "https://a:0", "https://a:99999"],
    *["http://[::1]:1", "ws://[::1", "https://x.invalid\n", "http://127.0.0.1:1/\x00", "ws://127.0.0.1:1/\r\nx: y"],
]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        # An address that is not set is the vendor's own, which no test may ask.
        {name: st.sampled_from(HOSTILE[1:] if name.endswith("_URL") else HOSTILE) for name in NAMES}
    )
)
def test_whatever_the_variables_are_the_examination_ends_in_findings(variables: dict[str, str]) -> None:
    examined = examination.examine(Loading(Dialplan(), (), {}, ()), variables, 0.5)

    findings = examined.all_findings()
    assert {finding.check for finding in findings} == set(Check)
    assert all(finding.help for finding in findings if finding.state is State.WRONG)
    assert as_text(findings).encode()
    json.loads(as_json(findings))
