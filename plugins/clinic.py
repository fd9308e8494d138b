"""What a clinic's agent can do: find free slots, book one, look an appointment up, cancel it.

One doctor sees a patient every half hour, Monday to Friday, 9:00 to 17:00 in the agent's time zone. Appointments are
kept in the file `clinic.db`; when two calls want one slot, its index `one_patient_per_slot` decides. An appointment
belongs to the phone that booked it: a model can be talked into anything, the caller's number cannot.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import date, datetime, time, timedelta
from heapq import nsmallest
from pathlib import Path
from typing import Annotated

from dialplan import Call, FunctionError

_DAYS_AHEAD = 60

_SCHEMA = """
CREATE TABLE IF NOT EXISTS appointments (
    appointment_id INTEGER PRIMARY KEY AUTOINCREMENT,  -- counts from 1, short enough to say, never given twice
    patient_name   TEXT NOT NULL CHECK (length(patient_name) BETWEEN 1 AND 100),
    phone          TEXT NOT NULL,
    starts         TEXT NOT NULL CHECK (starts IS strftime('%Y-%m-%d %H:%M', starts, '+0 days')),  -- a day that exists
    status         TEXT NOT NULL DEFAULT 'booked' CHECK (status IN ('booked', 'cancelled')),
    CHECK (strftime('%w', starts) BETWEEN '1' AND '5'),
    CHECK (strftime('%H:%M', starts) BETWEEN '09:00' AND '16:30' AND strftime('%M', starts) IN ('00', '30'))
);
CREATE UNIQUE INDEX IF NOT EXISTS one_patient_per_slot ON appointments (starts) WHERE status = 'booked';
"""

_Patient = Annotated[str, "First and last name of the patient."]
_Day = Annotated[str, "Date as YYYY-MM-DD, or 'today', 'tomorrow', or a weekday: the next one after today."]
_Time = Annotated[str, "Time of day as HH:MM, 24 hours."]


def find_free_slots(call: Call, day: _Day = "", time: _Time = "") -> dict[str, object]:
    """The three free slots nearest to the day and time that the caller would like; with neither, the next three."""
    now = _now(call)
    wish = datetime.combine(_parse_day(day or "today", now.date()), _parse_time(time or "9:00"))
    with _database() as db:
        return {"slots": [_told_slot(slot) for slot in _nearest_free(db, wish, now)]}


def book_appointment(patient_name: _Patient, day: _Day, time: _Time, call: Call) -> dict[str, object]:
    """Book a free slot for a patient. Repeat the day, the time and the appointment's number to the caller."""
    patient, now = _checked_name(patient_name), _now(call)
    slot = datetime.combine(_parse_day(day, now.date()), _parse_time(time))
    if slot not in _slots_of(slot.date()):
        raise FunctionError("Appointments are Monday to Friday, every half hour, the first at 9:00, the last at 16:30.")
    if slot <= now:
        raise FunctionError(f"That time has passed: it is {now:%H:%M} now.")
    with _database() as db:
        try:
            query = "INSERT INTO appointments (patient_name, phone, starts) VALUES (?, ?, ?)"
            booked = db.execute(query, (patient, call.from_, _stored(slot)))
        except sqlite3.IntegrityError as taken:
            others = ", ".join("{day} at {time}".format(**_told_slot(free)) for free in _nearest_free(db, slot, now))
            raise FunctionError(f"That slot is taken. The nearest free ones: {others}.") from taken
        query = "SELECT * FROM appointments WHERE appointment_id = ?"
        return _told_appointment(db.execute(query, (booked.lastrowid,)).fetchone())


def lookup_appointment(patient_name: _Patient, call: Call) -> dict[str, object]:
    """A patient's next appointment, if it was booked from the phone that is calling."""
    query = """
        SELECT * FROM appointments
        WHERE patient_name = ? COLLATE NOCASE AND phone = ? AND status = 'booked' AND starts > ? ORDER BY starts
    """
    with _database() as db:
        mine = (_checked_name(patient_name), call.from_, _stored(_now(call)))
        return _told_appointment(db.execute(query, mine).fetchone())


def cancel_appointment(appointment_id: Annotated[int, "Number of the appointment."], call: Call) -> dict[str, object]:
    """Cancel an appointment, if it was booked from the phone that is calling. Have the caller confirm it first."""
    mine = (str(appointment_id), call.from_)  # as text: a made-up number may be longer than SQLite's integers
    with _database() as db:
        query = "UPDATE appointments SET status = 'cancelled' WHERE appointment_id = ? AND phone = ? AND starts > ?"
        db.execute(query, (*mine, _stored(_now(call))))
        query = "SELECT * FROM appointments WHERE appointment_id = ? AND phone = ? AND status = 'cancelled'"
        return _told_appointment(db.execute(query, mine).fetchone())


def _now(call: Call) -> datetime:
    """The clinic's wall clock, which all times in here are read from."""
    return call.started.replace(tzinfo=None)


def _checked_name(spoken: str) -> str:
    name = " ".join(spoken.split())
    if not (1 <= len(name) <= 100 and name.isprintable()):
        raise FunctionError("The patient's name is missing or not usable. Ask the caller for it.")
    return name


def _parse_day(spoken: str, today: date) -> date:
    week = [today + timedelta(days) for days in range(1, 8)]
    names = {"today": today, "tomorrow": week[0], **{f"{day:%A}".lower(): day for day in week}}
    word = spoken.strip().lower()
    try:
        day = names[word] if word in names else date.fromisoformat(word)
    except ValueError:
        raise FunctionError("Give the day as YYYY-MM-DD, or as today, tomorrow or a weekday.") from None
    if not today <= day <= today + timedelta(_DAYS_AHEAD):
        raise FunctionError(f"Today is {today:%A %Y-%m-%d}. Appointments are made for the next {_DAYS_AHEAD} days.")
    return day


def _parse_time(spoken: str) -> time:
    for form in ("%H:%M", "%I:%M%p", "%I%p"):
        with suppress(ValueError):
            return datetime.strptime("".join(spoken.replace(".", "").split()), form).time()
    raise FunctionError("Give the time as HH:MM, for example 14:30.")


def _slots_of(day: date) -> list[datetime]:
    opens = datetime.combine(day, time(9))
    return [opens + n * timedelta(minutes=30) for n in range(16)] if day.weekday() < 5 else []


def _nearest_free(db: sqlite3.Connection, wish: datetime, now: datetime) -> list[datetime]:
    taken = {row["starts"] for row in db.execute("SELECT starts FROM appointments WHERE status = 'booked'")}
    days = (now.date() + timedelta(days) for days in range(_DAYS_AHEAD + 1))
    free = [slot for day in days for slot in _slots_of(day) if slot > now and _stored(slot) not in taken]
    if not free:
        raise FunctionError(f"No slot is free within the next {_DAYS_AHEAD} days.")
    return sorted(nsmallest(3, free, key=lambda slot: abs(slot - wish)))


def _stored(slot: datetime) -> str:
    return slot.isoformat(" ", "minutes")


def _told_slot(slot: datetime) -> dict[str, object]:
    """As it is read aloud, with the date beside it for booking."""
    return {"day": f"{slot:%A} {slot.day} {slot:%B}", "time": f"{slot.hour}:{slot:%M}", "date": slot.date().isoformat()}


def _told_appointment(row: sqlite3.Row | None) -> dict[str, object]:
    if row is None:
        raise FunctionError("This phone has no such appointment. Ask the caller to repeat the name or the number.")
    shown = {key: row[key] for key in ("appointment_id", "patient_name", "status")}
    return {**shown, **_told_slot(datetime.fromisoformat(row["starts"]))}


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    """One transaction on a connection of its own, since every function call may come from another thread."""
    folder = Path(os.environ.get("DIALPLAN_VAR", "var"))
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "clinic.db", timeout=5)) as db, db:
        db.row_factory = sqlite3.Row
        db.executescript(_SCHEMA)
        yield db
