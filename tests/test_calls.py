"""`dialplan calls`, as somebody types it."""

import asyncio
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dialplan.call import record
from dialplan.call.record import End, Entry
from dialplan.cli import main
from dialplan.journal.address import Database
from dialplan.journal.address import database as database_of
from dialplan.journal.journal import Journal
from dialplan.metrics import Metrics
from dialplan.wire.deepgram import Role
from tests.journal.calling import ENDED, QUICK, TALK, began, call_of, counted, kept, tell, until_kept

ANN, BOB = "+15550100098", "+15550100099"


@pytest.fixture
def file_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose records are in a file."""
    monkeypatch.setenv("DIALPLAN_VAR", str(tmp_path / "var"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture(params=["sqlite", "postgresql"])
def root(request: pytest.FixtureRequest, file_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with records of either kind."""
    if request.param == "postgresql":
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("server_url"))
    return file_root


def database(root: Path) -> Database:
    return database_of(os.environ.get("DATABASE_URL", ""), root, root / "var")


def told(root: Path, id_: str, *entries: Entry, number: str = ANN, days_ago: int = 0) -> None:
    """A call that has left a record."""

    async def tell_all() -> None:
        async with Journal(database(root), Metrics(), QUICK) as journal:
            started = datetime.now(UTC) - timedelta(days=days_ago)
            tell(journal, call_of(id_, number, started), *(entries or (began(), *TALK, ENDED)))

    asyncio.run(tell_all())


def run(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["calls", *arguments, "--root", str(root)])


def configured(prompt: str) -> record.Configured:
    return record.Configured(json.dumps({"agent": {"think": {"prompt": prompt, "model": "m"}}}))


def test_calls_are_listed_with_the_newest_first(root: Path) -> None:
    told(root, "CA1", days_ago=2)
    told(root, "CA2", began(agent="florist"), number=BOB)

    lines = run(root, "list").stdout.splitlines()

    assert [line.split()[0] for line in lines] == ["id", "CA2", "CA1"]
    assert lines[1].split()[3:] == ["florist", BOB, "+15550100001", "0.0", "not", "ended"]
    assert lines[2].split()[3:] == ["bakery", ANN, "+15550100001", "12.5", "caller"]


def test_a_process_that_dialled_for_nothing_does_not_tell_how_a_call_ended(root: Path) -> None:
    """The second session has dialled ahead while the stream came to another process, or to nobody."""
    told(root, "CA1", began(), record.Connected(), record.Ended(End.CALLER, 12.5))
    told(root, "CA1", began(attempt=2), record.Ended(End.NEVER_CAME, 0.0))

    assert run(root, "list").stdout.splitlines()[1].split()[-1] == "caller"
    assert json.loads(run(root, "export").stdout)["end"] == "caller"


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (("--agent", "florist"), ["CA2"]),
        (("--number", f" {ANN}"), ["CA1"]),
        (("--number", "+15550100001"), ["CA2", "CA1"]),
        (("--since", "1d"), ["CA2"]),
        (("--since", "2000-01-01", "--last", "1"), ["CA2"]),
        (("--number", "+1 (555) 010-0098"), ["CA1"]),
        (("--number", "15550100098"), ["CA1"]),
        (("--agent", "florist", "--number", "001 555 010-0098"), []),
    ],
)
def test_some_of_them_can_be_chosen(root: Path, options: tuple[str, ...], ids: list[str]) -> None:
    told(root, "CA1", days_ago=2)
    told(root, "CA2", began(agent="florist"), number=BOB)

    assert [call["id"] for call in json.loads(run(root, "list", "--json", *options).stdout)] == ids


def test_where_no_call_was_there_is_nothing_and_nothing_is_made(file_root: Path) -> None:
    listed, exported, deleted = (
        run(file_root, "list"),
        run(file_root, "export"),
        run(file_root, "delete", "--number", ANN, "--yes"),
    )

    assert [result.exit_code for result in (listed, exported, deleted)] == [0, 0, 0]
    assert (listed.stdout, exported.stdout, deleted.stdout) == ("", "", "0 calls deleted\n")
    assert not (file_root / "var").exists()


def test_a_call_is_shown_as_it_went(root: Path) -> None:
    told(root, "CA1")

    shown = run(root, "show", "CA").stdout

    order = [
        "+15550100098",
        "began",
        "agent     Hello canary.",
        "caller    Bread canary?",
        "price begins",
        "interrupts",
    ]
    assert sorted(order, key=shown.index) == order
    assert shown.rstrip().endswith("ended     caller")


def test_what_callers_sent_does_not_move_the_cursor(root: Path) -> None:
    told(root, "CA1", began(), record.Said(Role.USER, "\x1b[2J\x07"), number="sip:\x1b[2J")

    assert "\x1b" not in run(root, "show", "CA1").stdout + run(root, "list").stdout


def test_an_export_has_every_call_in_a_line_with_everything(root: Path) -> None:
    told(root, "CA1", days_ago=1)
    told(root, "CA2", began(), configured("Be brief."))

    first, second = map(json.loads, run(root, "export").stdout.splitlines())

    assert (first["id"], first["end"], len(first["entries"])) == ("CA1", "caller", len(TALK) + 2)
    assert first["facts"]["from"] == ANN
    assert second["entries"][1]["data"]["settings"]["agent"]["think"]["prompt"] == "Be brief."
    assert json.loads(run(root, "show", "CA2", "--json").stdout) == second


def test_settings_that_differ_are_shown_by_lines(root: Path) -> None:
    told(root, "CA1", began(), configured("You are a baker.\nBe brief.\n"))
    told(root, "CA2", began(), configured("You are a florist.\nBe brief.\n"))

    result = run(root, "diff", "CA1", "CA2")

    assert result.exit_code == 1
    changed = [line for line in result.stdout.splitlines() if line[0] in "+-"]
    assert changed[2:] == ["-      You are a baker.", "+      You are a florist."]


def test_settings_that_are_the_same_are_said_to_be(root: Path) -> None:
    told(root, "CA1", began(), configured("Be brief."))
    told(root, "CA2", began(), configured("Be brief."))

    result = run(root, "diff", "CA1", "CA2")

    assert (result.exit_code, result.stdout) == (0, "the Settings are the same\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "CX"), "no call on record begins with 'CX'"),
        (("show", ""), "no call on record"),
        (("show", "CA"), "several calls begin with 'CA'"),
        (("diff", "CA1", "CA3"), "no call on record"),
        (("diff", "CA1", "CA2"), "CA1 has no Settings on record"),
        (("list", "--since", "yesterday"), "write 2026-11-25"),
        (("delete", "--number", ANN), "say --yes"),
        (("delete", "--number", " ", "--yes"), "--number is empty"),
        (("delete", "--number", "(030) 123456", "--yes"), "with a plus and its country: +49…"),
        (("list", "--number", "555 0100"), "with a plus and its country: +49…"),
        (("export", "--number", "Ann"), '"Ann" is no number'),
        (("list", "--agent", "nobody"), "there is no agent nobody, and no record of one; there are: bakery"),
        (("export", "--agent", "bakry"), 'did you mean "bakery"?'),
    ],
)
def test_what_cannot_be_done_is_said_in_words(root: Path, arguments: tuple[str, ...], words: str) -> None:
    told(root, "CA1", began(), ENDED)
    told(root, "CA2", began(), configured("Be brief."))

    result = run(root, *arguments)

    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_the_database_may_be_named_in_dotenv_and_be_none(file_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")  # Restored afterwards, whatever .env puts there.
    monkeypatch.delenv("DATABASE_URL")
    (file_root / ".env").write_text("DATABASE_URL=sqlite:///text.db\n")
    (file_root / "text.db").write_text("This is no database. " * 100)

    result = run(file_root, "list")

    assert result.exit_code == 2
    assert "text.db cannot be used: DatabaseError: file is not a database" in result.stderr


def test_a_deleted_number_is_gone_to_the_last_byte(file_root: Path) -> None:
    told(file_root, "CA1")
    told(file_root, "CA2", began(), record.Said(Role.USER, "I stay."), number=BOB)

    result = run(file_root, "delete", "--number", f"{ANN} ", "--yes")

    assert (result.exit_code, result.stdout) == (0, "1 call deleted\n")
    assert asyncio.run(counted(database(file_root))) == (1, 2)
    found = [file.read_bytes() for file in (file_root / "var").iterdir()]
    assert any(b"I stay." in content for content in found)
    assert not any(ANN.encode() in content or b"canary" in content for content in found)


def test_our_own_number_is_no_persons(root: Path) -> None:
    told(root, "CA1")

    assert run(root, "delete", "--number", "+15550100001", "--yes").stdout == "0 calls deleted\n"


@pytest.mark.parametrize("written", ["+1 (555) 010-0098", "15550100098", "001 555 010 00 98", "tel:+1-555-010-0098"])
def test_a_number_is_deleted_however_it_is_written(root: Path, written: str) -> None:
    told(root, "CA1")

    result = run(root, "delete", "--number", written, "--yes")

    assert (result.exit_code, result.stdout) == (0, "1 call deleted\n")
    assert result.stderr == f"{written} is taken for {ANN}\n"


def test_what_a_record_has_for_a_number_is_deleted_though_nobody_could_dial_it(root: Path) -> None:
    told(root, "CA1", number="1001")
    told(root, "CA2", number="anonymous")

    assert run(root, "delete", "--number", "1001", "--yes").stdout == "1 call deleted\n"
    assert run(root, "delete", "--number", "Anonymous", "--yes").stdout == "1 call deleted\n"


def test_a_line_of_ours_that_nobody_could_dial_is_nobody_to_delete(root: Path) -> None:
    async def call_to_a_short_line() -> None:
        async with Journal(database(root), Metrics(), QUICK) as journal:
            tell(journal, replace(call_of("CA1", ANN, datetime.now(UTC)), to="1001"), began(), ENDED)

    asyncio.run(call_to_a_short_line())

    assert [call["id"] for call in json.loads(run(root, "list", "--json", "--number", "1001").stdout)] == ["CA1"]
    assert run(root, "delete", "--number", "1001", "--yes").exit_code == 2


def test_an_agent_without_calls_is_one_where_it_has_a_file(file_root: Path) -> None:
    (file_root / "agents").mkdir()
    (file_root / "agents" / "clinic.yaml").write_text("prompt: x\n")

    assert run(file_root, "list", "--agent", "clinic").exit_code == 0
    assert 'did you mean "clinic"?' in run(file_root, "list", "--agent", "clinc").stderr


async def test_what_still_waits_of_a_deleted_number_is_not_written(root: Path) -> None:
    ann, bob = call_of("CA1", ANN), call_of("CA2", BOB)
    async with Journal(database(root), Metrics(), QUICK) as journal:
        tell(journal, ann, began())
        await until_kept(database(root), 1)

        result = await asyncio.to_thread(run, root, "delete", "--number", ANN, "--yes")

        tell(journal, ann, *TALK, ENDED)
        tell(journal, bob, began())
        await until_kept(database(root), 1, "CA2")
        tell(journal, call_of("CA3", ANN), began())

    assert result.stdout == "1 call deleted\n"
    assert await kept(database(root), "CA1") == []
    assert len(await kept(database(root), "CA3")) == 1  # Who calls again afterwards is on record again.
