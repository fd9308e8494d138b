"""The clinic's functions, loaded by path as the server loads them, over a database of their own.

Every call in here comes in on Wednesday 25 November 2026 at 10:10 in New York, unless a test says otherwise.
"""

import importlib.util
import inspect
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dialplan import Call, FunctionError

SOURCE = Path(__file__).parents[2] / "plugins" / "clinic.py"
NEW_YORK = ZoneInfo("America/New_York")
WEDNESDAY = datetime(2026, 11, 25, 10, 10, tzinfo=NEW_YORK)
CALL = Call(id="CA1", from_="+15550100099", started=WEDNESDAY)
STRANGER = Call(id="CA2", from_="+15550100077", started=WEDNESDAY)

INJECTIONS = [
    "'; DROP TABLE appointments; --",
    "x'); DELETE FROM appointments;--",
    "' OR 1=1 --",
    "\x00",
    "\ud800",
    "now",
]
ANY_TEXT = st.text(st.characters()) | st.sampled_from(INJECTIONS)
ANY_NAME = ANY_TEXT | st.sampled_from(["Anna Jones", "Ben"])
ANY_DAY = (
    ANY_TEXT | st.dates().map(date.isoformat) | st.sampled_from(["monday", "tuesday", "sunday", "today", "tomorrow"])
)
ANY_TIME = ANY_TEXT | st.times().map(lambda at: f"{at:%H:%M}") | st.sampled_from(["9:00", "09:30", "4 pm", "16:30"])


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_dialplan_plugin_clinic", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("DIALPLAN_VAR", str(tmp_path / "var"))
    return load()


@contextmanager
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "var" / "clinic.db")) as db, db:
        yield db


def at(started: datetime) -> Call:
    return Call(id="CA3", from_=CALL.from_, started=started)


def free(clinic: ModuleType, day: str = "", time: str = "", call: Call = CALL) -> list[str]:
    slots = clinic.find_free_slots(call, day=day, time=time)["slots"]
    return [f"{slot['day']} {slot['time']}" for slot in slots]


def test_the_functions_are_the_four_that_an_agent_may_name(clinic: ModuleType) -> None:
    public = [
        name
        for name, value in vars(clinic).items()
        if inspect.isfunction(value) and value.__module__ == clinic.__name__ and not name.startswith("_")
    ]

    assert public == ["find_free_slots", "book_appointment", "lookup_appointment", "cancel_appointment"]


def test_loading_the_plugin_touches_no_file(clinic: ModuleType, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []


# Free slots


def test_without_a_wish_the_next_three_slots_are_offered(clinic: ModuleType) -> None:
    assert clinic.find_free_slots(CALL)["slots"] == [
        {"day": "Wednesday 25 November", "time": "10:30", "date": "2026-11-25"},
        {"day": "Wednesday 25 November", "time": "11:00", "date": "2026-11-25"},
        {"day": "Wednesday 25 November", "time": "11:30", "date": "2026-11-25"},
    ]


def test_a_day_without_a_time_offers_its_morning(clinic: ModuleType) -> None:
    assert free(clinic, "monday") == ["Monday 30 November 9:00", "Monday 30 November 9:30", "Monday 30 November 10:00"]


def test_a_wish_is_answered_with_the_slots_around_it(clinic: ModuleType) -> None:
    assert free(clinic, "2026-12-01", "14:10") == [
        "Tuesday 1 December 13:30",
        "Tuesday 1 December 14:00",
        "Tuesday 1 December 14:30",
    ]


def test_a_booked_slot_is_not_offered(clinic: ModuleType) -> None:
    clinic.book_appointment("Anna", "monday", "9:30", CALL)

    assert free(clinic, "monday") == ["Monday 30 November 9:00", "Monday 30 November 10:00", "Monday 30 November 10:30"]


def test_on_a_friday_evening_the_next_slots_are_on_monday(clinic: ModuleType) -> None:
    friday_evening = at(datetime(2026, 11, 27, 16, 30, tzinfo=NEW_YORK))

    assert free(clinic, call=friday_evening)[0] == "Monday 30 November 9:00"


def test_a_wish_for_the_weekend_is_answered_with_the_nearest_weekday(clinic: ModuleType) -> None:
    assert free(clinic, "sunday", "12:00")[0] == "Monday 30 November 9:00"


def test_the_slots_are_those_of_the_agents_time_zone(clinic: ModuleType) -> None:
    tokyo = at(WEDNESDAY.astimezone(ZoneInfo("Asia/Tokyo")))  # already Thursday there, ten past midnight

    assert free(clinic, call=tokyo)[0] == "Thursday 26 November 9:00"


def test_an_offered_slot_can_be_booked_as_it_was_told(clinic: ModuleType) -> None:
    for slot in clinic.find_free_slots(CALL, "tomorrow")["slots"]:
        booked = clinic.book_appointment("Anna", slot["date"], slot["time"], CALL)

        assert (booked["day"], booked["time"], booked["date"]) == (slot["day"], slot["time"], slot["date"])


def test_when_all_is_booked_the_caller_hears_so(clinic: ModuleType, tmp_path: Path) -> None:
    slots = [slot for n in range(61) for slot in clinic._slots_of(WEDNESDAY.date() + timedelta(n))]
    clinic.find_free_slots(CALL)
    with database(tmp_path) as db:
        rows = [("Anna", "", f"{slot:%Y-%m-%d %H:%M}") for slot in slots]
        db.executemany("INSERT INTO appointments (patient_name, phone, starts) VALUES (?, ?, ?)", rows)

    with pytest.raises(FunctionError, match="No slot is free within the next 60 days"):
        clinic.find_free_slots(CALL)
    with pytest.raises(FunctionError, match="No slot is free within the next 60 days"):
        clinic.book_appointment("Ben", "monday", "9:00", CALL)


# Booking


def test_a_booking_is_told_in_words_that_can_be_read_aloud(clinic: ModuleType) -> None:
    assert clinic.book_appointment(" Anna   Jones ", "monday", "10:00", CALL) == {
        "appointment_id": 1,
        "patient_name": "Anna Jones",
        "status": "booked",
        "day": "Monday 30 November",
        "time": "10:00",
        "date": "2026-11-30",
    }


@pytest.mark.parametrize(
    ("spoken", "day"),
    [
        ("2026-11-30", "2026-11-30"),
        ("monday", "2026-11-30"),
        (" Monday ", "2026-11-30"),
        ("tomorrow", "2026-11-26"),
        ("today", "2026-11-25"),
        ("wednesday", "2026-12-02"),
        ("TUESDAY", "2026-12-01"),
        ("2027-01-22", "2027-01-22"),
    ],
)
def test_a_day_may_be_a_date_or_a_word(clinic: ModuleType, spoken: str, day: str) -> None:
    assert clinic.book_appointment("Anna", spoken, "11:00", CALL)["date"] == day


@pytest.mark.parametrize("day", [WEDNESDAY + timedelta(n) for n in range(7)])
def test_a_weekday_can_be_booked_whatever_day_it_is(clinic: ModuleType, day: datetime) -> None:
    booked = clinic.book_appointment("Anna", "monday", "10:00", at(day))

    assert booked["day"].startswith("Monday")
    assert timedelta(0) < date.fromisoformat(booked["date"]) - day.date() <= timedelta(7)


@pytest.mark.parametrize(
    ("spoken", "time"),
    [
        ("09:00", "9:00"),
        ("9:00", "9:00"),
        ("16:30", "16:30"),
        ("4:30 PM", "16:30"),
        ("10 a.m.", "10:00"),
        ("2pm", "14:00"),
        (" 14:00 ", "14:00"),
    ],
)
def test_a_time_may_be_written_as_models_do(clinic: ModuleType, spoken: str, time: str) -> None:
    assert clinic.book_appointment("Anna", "monday", spoken, CALL)["time"] == time


@pytest.mark.parametrize(
    ("day", "time", "message"),
    [
        ("someday", "10:00", "Give the day as YYYY-MM-DD"),
        ("", "10:00", "Give the day as YYYY-MM-DD"),
        ("2026-02-30", "10:00", "Give the day as YYYY-MM-DD"),
        ("monday", "ten", "Give the time as HH:MM"),
        ("monday", "", "Give the time as HH:MM"),
        ("monday", "25:00", "Give the time as HH:MM"),
        ("2026-11-24", "10:00", "Today is Wednesday 2026-11-25"),
        ("2023-11-27", "10:00", "Today is Wednesday 2026-11-25"),
        ("2027-01-25", "10:00", "for the next 60 days"),
        ("9999-12-31", "10:00", "for the next 60 days"),
        ("saturday", "10:00", "Monday to Friday"),
        ("2026-11-29", "10:00", "Monday to Friday"),
        ("monday", "08:30", "the first at 9:00"),
        ("monday", "17:00", "the last at 16:30"),
        ("monday", "10:15", "every half hour"),
        ("today", "10:00", "it is 10:10 now"),
    ],
)
def test_a_slot_that_does_not_exist_is_refused_in_words(clinic: ModuleType, day: str, time: str, message: str) -> None:
    with pytest.raises(FunctionError, match=message):
        clinic.book_appointment("Anna", day, time, CALL)


@pytest.mark.parametrize(("day", "time"), [("someday", ""), ("", "ten"), ("2026-11-24", ""), ("2027-01-25", "")])
def test_a_wish_that_cannot_be_understood_is_refused_too(clinic: ModuleType, day: str, time: str) -> None:
    with pytest.raises(FunctionError):
        clinic.find_free_slots(CALL, day, time)


@pytest.mark.parametrize("name", ["", "   ", "a" * 101, "Anna\x00", "\ud800"])
def test_a_booking_needs_a_name(clinic: ModuleType, name: str) -> None:
    with pytest.raises(FunctionError, match="name"):
        clinic.book_appointment(name, "monday", "10:00", CALL)


def test_a_taken_slot_is_answered_with_the_nearest_free_ones(clinic: ModuleType) -> None:
    clinic.book_appointment("Anna", "monday", "10:00", CALL)

    with pytest.raises(FunctionError) as refused:
        clinic.book_appointment("Ben", "2026-11-30", "10 am", STRANGER)

    assert str(refused.value) == (
        "That slot is taken. The nearest free ones: "
        "Monday 30 November at 9:00, Monday 30 November at 9:30, Monday 30 November at 10:30."
    )


# Looking up, cancelling


def test_the_next_appointment_of_a_patient_is_found_by_name(clinic: ModuleType) -> None:
    clinic.book_appointment("Anna Jones", "friday", "9:00", CALL)
    soon = clinic.book_appointment("Anna Jones", "tomorrow", "16:00", CALL)
    clinic.book_appointment("Ben Jones", "tomorrow", "9:00", CALL)

    assert clinic.lookup_appointment("anna  jones", CALL) == soon


def test_an_appointment_is_told_to_nobody_on_another_phone(clinic: ModuleType) -> None:
    clinic.book_appointment("Anna", "monday", "10:00", CALL)

    with pytest.raises(FunctionError, match="This phone has no such appointment"):
        clinic.lookup_appointment("Anna", STRANGER)
    with pytest.raises(FunctionError, match="This phone has no such appointment"):
        clinic.cancel_appointment(1, STRANGER)

    assert clinic.lookup_appointment("Anna", CALL)["status"] == "booked"


def test_the_phone_number_is_kept_but_never_told(clinic: ModuleType, tmp_path: Path) -> None:
    told = [
        clinic.book_appointment("Anna", "monday", "10:00", CALL),
        clinic.lookup_appointment("Anna", CALL),
        clinic.cancel_appointment(1, CALL),
    ]

    with database(tmp_path) as db:
        assert db.execute("SELECT phone FROM appointments").fetchall() == [(CALL.from_,)]
    assert CALL.from_ not in json.dumps(told)


def test_an_appointment_that_is_over_is_neither_found_nor_cancelled(clinic: ModuleType) -> None:
    clinic.book_appointment("Anna", "tomorrow", "9:00", CALL)
    afterwards = at(datetime(2026, 11, 26, 9, 1, tzinfo=NEW_YORK))

    with pytest.raises(FunctionError):
        clinic.lookup_appointment("Anna", afterwards)
    with pytest.raises(FunctionError):
        clinic.cancel_appointment(1, afterwards)


def test_a_cancelled_slot_is_free_again(clinic: ModuleType) -> None:
    booked = clinic.book_appointment("Anna", "monday", "9:00", CALL)

    cancelled = clinic.cancel_appointment(booked["appointment_id"], CALL)

    assert cancelled == {**booked, "status": "cancelled"}
    assert free(clinic, "monday")[0] == "Monday 30 November 9:00"
    with pytest.raises(FunctionError):
        clinic.lookup_appointment("Anna", CALL)
    assert clinic.book_appointment("Ben", "monday", "9:00", STRANGER)["appointment_id"] == 2


def test_cancelling_twice_is_answered_alike_and_harms_nobody(clinic: ModuleType) -> None:
    clinic.book_appointment("Anna", "monday", "9:00", CALL)
    first = clinic.cancel_appointment(1, CALL)
    clinic.book_appointment("Ben", "monday", "9:00", STRANGER)

    assert clinic.cancel_appointment(1, CALL) == first
    assert clinic.lookup_appointment("Ben", STRANGER)["status"] == "booked"


@pytest.mark.parametrize("appointment_id", [1, 0, -1, 2**63, -(2**80), 10**300])
def test_an_unknown_appointment_is_answered_in_words(clinic: ModuleType, appointment_id: int) -> None:
    with pytest.raises(FunctionError, match="no such appointment"):
        clinic.cancel_appointment(appointment_id, CALL)


def test_appointments_survive_a_restart(clinic: ModuleType) -> None:
    booked = clinic.book_appointment("Anna", "monday", "9:00", CALL)

    restarted = load()

    assert restarted.lookup_appointment("Anna", CALL) == booked
    with pytest.raises(FunctionError, match="taken"):
        restarted.book_appointment("Ben", "monday", "9:00", CALL)


# Many at once


def test_of_many_threads_that_book_one_slot_exactly_one_gets_it(clinic: ModuleType, tmp_path: Path) -> None:
    at_once = threading.Barrier(24)

    def book(n: int) -> str:
        at_once.wait()
        try:
            return str(clinic.book_appointment(f"Patient {n}", "monday", "10:00", CALL)["status"])
        except FunctionError as refused:
            return str(refused)[:19]

    with ThreadPoolExecutor(24) as threads:
        outcomes = sorted(threads.map(book, range(24)))

    assert outcomes == ["That slot is taken."] * 23 + ["booked"]
    with database(tmp_path) as db:
        assert db.execute("SELECT count(*) FROM appointments").fetchone() == (1,)


#: A process of its own: it says that it is ready, waits for a line, books with several threads, prints the outcomes.
CONTENDER = f"""
import importlib.util, sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from dialplan import Call, FunctionError

spec = importlib.util.spec_from_file_location("_dialplan_plugin_clinic", {str(SOURCE)!r})
clinic = importlib.util.module_from_spec(spec)
spec.loader.exec_module(clinic)
call = Call(id="CA1", from_="+15550100099", started=datetime.fromisoformat({WEDNESDAY.isoformat()!r}))

def book(n):
    try:
        return clinic.book_appointment(f"Patient {{n}}", "monday", "10:00", call)["status"]
    except FunctionError as refused:
        return "refused"

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(4) as threads:
    print(*threads.map(book, range(4)))
"""


def test_of_many_processes_that_book_one_slot_exactly_one_gets_it(clinic: ModuleType) -> None:
    with ExitStack() as stack:
        command = [sys.executable, "-W", "error", "-c", CONTENDER]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        contenders = [stack.enter_context(subprocess.Popen(command, **pipes)) for _ in range(5)]  # type: ignore[call-overload]
        for contender in contenders:
            assert contender.stdout.readline() == "ready\n"

        for contender in contenders:
            contender.stdin.write("go\n")
            contender.stdin.flush()
        outcomes = [outcome for contender in contenders for outcome in contender.stdout.read().split()]

    assert sorted(outcomes) == ["booked"] + ["refused"] * 19


# What the database refuses, whoever asks


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("patient_name", ""),
        ("patient_name", None),
        ("phone", None),
        ("starts", "2026-11-30 10:15"),
        ("starts", "2026-11-30 10:00:30"),
        ("starts", "2026-11-30 08:30"),
        ("starts", "2026-11-30 17:00"),
        ("starts", "2026-11-29 10:00"),
        ("starts", "2026-02-30 10:00"),
        ("starts", "2026-11-30"),
        ("starts", "monday"),
        ("starts", "2026-12-01 09:00"),  # the slot of another
        ("status", "maybe"),
    ],
)
def test_the_database_refuses_a_bad_appointment_even_from_other_programs(
    clinic: ModuleType, tmp_path: Path, column: str, value: object
) -> None:
    clinic.book_appointment("Anna", "monday", "10:00", CALL)
    clinic.book_appointment("Ben", "2026-12-01", "9:00", CALL)

    with database(tmp_path) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute(f"UPDATE appointments SET {column} = ? WHERE appointment_id = 1", (value,))


@settings(deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=ANY_NAME, day=ANY_DAY, time=ANY_TIME, appointment_id=st.integers() | st.integers(1, 20))
@example(name=INJECTIONS[0], day="monday", time="9:00", appointment_id=1)
@example(name="Anna", day=INJECTIONS[0], time=INJECTIONS[1], appointment_id=1)
def test_whatever_a_model_sends_is_answered_with_a_result_or_a_function_error(
    clinic: ModuleType, tmp_path: Path, name: str, day: str, time: str, appointment_id: int
) -> None:
    with suppress(FunctionError):
        clinic.find_free_slots(CALL, day, time)
    with suppress(FunctionError):
        booked = clinic.book_appointment(name, day, time, CALL)
        assert booked["patient_name"] == " ".join(name.split())
    with suppress(FunctionError):
        clinic.lookup_appointment(name, CALL)
    with suppress(FunctionError):
        clinic.cancel_appointment(appointment_id, CALL)

    clinic.find_free_slots(CALL)
    with database(tmp_path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        booked_slots = db.execute("SELECT starts FROM appointments WHERE status = 'booked'").fetchall()
    starts = [datetime.fromisoformat(slot) for (slot,) in booked_slots]
    assert len(starts) == len(set(starts))
    assert all(slot in clinic._slots_of(slot.date()) and slot > WEDNESDAY.replace(tzinfo=None) for slot in starts)


#: What is meant for a database, a file system or a shell, and is a name to a clinic.
HOSTILE = [
    "'; DROP TABLE appointments; --",
    "Anna'); UPDATE appointments SET phone = '+1666'; --",
    "x' UNION SELECT * FROM sqlite_master --",
    "'; ATTACH DATABASE '/tmp/evil.db' AS evil; --",
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\windows\\system32",
    "file:clinic.db?mode=memory",
    "$(touch /tmp/evil)",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_name_that_is_meant_as_sql_or_as_a_path_is_kept_as_a_name(
    clinic: ModuleType, tmp_path: Path, hostile: str
) -> None:
    clinic.book_appointment("Anna Jones", "monday", "10:00", STRANGER)
    with database(tmp_path) as db:
        before = db.execute("SELECT name, sql FROM sqlite_master").fetchall()

    clinic.book_appointment(hostile, "monday", "11:00", CALL)

    assert clinic.lookup_appointment(hostile, CALL)["patient_name"] == hostile
    with database(tmp_path) as db:
        assert db.execute("SELECT name, sql FROM sqlite_master").fetchall() == before
        rows = db.execute("SELECT patient_name, phone, status FROM appointments ORDER BY appointment_id").fetchall()
    assert rows == [("Anna Jones", STRANGER.from_, "booked"), (hostile, CALL.from_, "booked")]
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["var", "var/clinic.db"]


@pytest.mark.parametrize("hostile", [*HOSTILE, "' OR 1=1 --", "%", "_nna Jones", "Anna Jones' --", "*"])
def test_a_name_that_is_meant_as_a_pattern_finds_nobody_elses_appointment(clinic: ModuleType, hostile: str) -> None:
    clinic.book_appointment("Anna Jones", "monday", "10:00", STRANGER)
    clinic.book_appointment("Ben", "monday", "11:00", CALL)

    with pytest.raises(FunctionError, match="no such appointment"):
        clinic.lookup_appointment(hostile, CALL)


@pytest.mark.parametrize("hostile", [*HOSTILE, "1 OR 1=1", "1; DELETE FROM appointments", "' OR phone LIKE '%"])
def test_a_number_that_is_meant_as_sql_cancels_nothing(clinic: ModuleType, tmp_path: Path, hostile: str) -> None:
    """The platform lets no text through for an integer; the plugin does not count on it."""
    clinic.book_appointment("Anna Jones", "monday", "10:00", STRANGER)
    clinic.book_appointment("Ben", "monday", "11:00", CALL)

    with pytest.raises(FunctionError, match="no such appointment"):
        clinic.cancel_appointment(hostile, CALL)

    with database(tmp_path) as db:
        assert db.execute("SELECT count(*) FROM appointments WHERE status = 'booked'").fetchone() == (2,)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_day_or_time_that_is_meant_as_sql_or_as_a_path_is_none(
    clinic: ModuleType, tmp_path: Path, hostile: str
) -> None:
    for day, time in ((hostile, "10:00"), ("monday", hostile)):
        for ask in (clinic.find_free_slots, lambda call, day, time: clinic.book_appointment("Anna", day, time, call)):
            with pytest.raises(FunctionError, match="Give the") as refused:
                ask(CALL, day, time)
            assert hostile not in str(refused.value)

    assert list(tmp_path.iterdir()) == []
