"""`dialplan doctor` as the operator types it: a process, its exit codes, its question."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass

import pytest

from tests.clinic import Clinic
from tests.twilio_rest import TOKEN
from tests.world import NUMBER


@dataclass
class Run:
    code: int | None
    out: str
    err: str = ""


def variables(clinic: Clinic, **changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return {**kept, **clinic.variables, **changes}


async def doctor(clinic: Clinic, *options: str, **changes: str) -> Run:
    """Run without a terminal."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *["-m", "dialplan", "doctor", "--root", str(clinic.root), *options],
        env=variables(clinic, **changes),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert "Traceback" not in out.decode() + err.decode()
    assert TOKEN not in out.decode() + err.decode()
    return Run(process.returncode, out.decode(), err.decode())


async def doctor_in_a_terminal(clinic: Clinic, answer: str, *options: str) -> Run:
    """Run in a terminal, where somebody types an answer once there is a question."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *["-m", "dialplan", "doctor", "--root", str(clinic.root), *options],
        env=variables(clinic),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = ""
    try:
        async with asyncio.timeout(30):
            while "[y/N]" not in shown:
                shown += (await asyncio.to_thread(os.read, ours, 4096)).decode()
            os.write(ours, answer.encode())
            shown += await asyncio.to_thread(rest, ours)
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)
    return Run(process.returncode, shown)


def rest(terminal: int) -> str:
    """What is shown until the other side closes, which Linux calls an error."""
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:
        pass
    return shown.decode()


def spoil(clinic: Clinic) -> None:
    clinic.twilio.numbers[0]["voice_url"] = "https://u:canary@old.example.com/voice"


async def test_where_nothing_is_wrong_the_exit_code_is_0_and_nothing_is_said_beside(clinic: Clinic) -> None:
    run = await doctor(clinic)

    assert (run.code, run.err) == (0, "")
    assert run.out.splitlines()[-1] == "nothing is wrong; 1 warning"


async def test_what_is_wrong_makes_the_exit_code_1_and_nothing_is_changed(clinic: Clinic) -> None:
    spoil(clinic)

    run = await doctor(clinic)

    assert run.code == 1
    assert f"{NUMBER} (a) points at https://…@old.example.com/voice instead of" in run.out
    assert "→ dialplan doctor --fix sets it" in run.out
    assert clinic.twilio.forms == []


async def test_a_program_gets_a_list_of_objects(clinic: Clinic) -> None:
    spoil(clinic)

    run = await doctor(clinic, "--json")

    assert run.code == 1
    assert {row["state"] for row in json.loads(run.out) if row["check"] == "numbers"} == {"wrong"}


async def test_the_variables_are_read_from_dotenv_too(clinic: Clinic) -> None:
    lines = [f"{name}={value}" for name, value in clinic.variables.items()]
    (clinic.root / ".env").write_text("\n".join(lines))
    clinic.variables = {}

    assert (await doctor(clinic)).code == 0


@pytest.mark.parametrize("options", [("--yes",), ("--fix", "--json"), ("--fix", "--yes", "--json"), ("--nonsense",)])
async def test_wrong_use_goes_to_stderr_and_exits_2(clinic: Clinic, options: tuple[str, ...]) -> None:
    run = await doctor(clinic, *options)

    assert (run.code, run.out) == (2, "")
    assert run.err
    assert clinic.twilio.asked == []


async def test_without_a_terminal_and_yes_the_plan_is_shown_and_nothing_is_set(clinic: Clinic) -> None:
    spoil(clinic)

    run = await doctor(clinic, "--fix")

    assert run.code == 2
    assert "To be set at Twilio, 1 field of 1 number:" in run.out
    assert "--yes" in run.err
    assert "canary" not in run.out + run.err
    assert clinic.twilio.forms == []


async def test_with_yes_it_is_set_without_a_question(clinic: Clinic) -> None:
    spoil(clinic)

    run = await doctor(clinic, "--fix", "--yes")
    again = await doctor(clinic, "--fix")

    assert run.code == 0
    assert f"{NUMBER} (a) is set: voice URL" in run.out
    assert clinic.twilio.numbers[0]["voice_url"] == clinic.variables["PUBLIC_URL"] + "/twilio/voice"
    assert again.code == 0
    assert "There is nothing to set." in again.out


async def test_what_remains_wrong_beside_it_makes_the_exit_code_1(clinic: Clinic) -> None:
    spoil(clinic)

    run = await doctor(clinic, "--fix", "--yes", DEEPGRAM_API_KEY="wrong")

    assert run.code == 1
    assert len(clinic.twilio.forms) == 1


@pytest.mark.parametrize(
    ("name", "words"), [("PUBLIC_URL", "PUBLIC_URL is needed"), ("TWILIO_ACCOUNT_SID", "TWILIO_ACCOUNT_SID and")]
)
async def test_what_cannot_be_set_is_wrong_use_and_says_what_is_missing(clinic: Clinic, name: str, words: str) -> None:
    spoil(clinic)

    run = await doctor(clinic, "--fix", "--yes", **{name: ""})

    assert run.code == 2
    assert f"nothing can be set: {words}" in run.err
    assert clinic.twilio.forms == []


async def test_somebody_who_says_yes_gets_it_set(clinic: Clinic) -> None:
    spoil(clinic)

    run = await doctor_in_a_terminal(clinic, "y\n", "--fix")

    assert run.code == 0
    assert run.out.index("To be set at Twilio") < run.out.index("[y/N]") < run.out.index("is set: voice URL")
    assert len(clinic.twilio.forms) == 1


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"], ids=["no", "nothing", "end"])
async def test_somebody_who_does_not_gets_nothing_set(clinic: Clinic, answer: str) -> None:
    spoil(clinic)

    run = await doctor_in_a_terminal(clinic, answer, "--fix")

    assert run.code == 1
    assert clinic.twilio.forms == []


async def test_an_environment_that_cannot_be_used_is_said_without_a_traceback(clinic: Clinic) -> None:
    run = await doctor(clinic, ALL_PROXY="socks5://127.0.0.1:9")

    assert run.code == 2
    assert "ALL_PROXY" in run.err
