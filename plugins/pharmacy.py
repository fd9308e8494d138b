"""What a pharmacy's agent can do: tell about a medicine, take an order, find an order again.

The public functions are what the model may call; it reads their signatures and docstrings, and hears what a
FunctionError says. Names that begin with an underscore stay in here. Orders are kept in the file `pharmacy.db`.
"""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

from dialplan import Call, FunctionError


class _Drug(NamedTuple):
    price_cents: int
    description: str


_DRUGS = {
    "aspirin": _Drug(5_99, "Relieves pain, fever and inflammation. Not for children."),
    "ibuprofen": _Drug(7_49, "Relieves pain, fever and swelling. Take it with food."),
    "acetaminophen": _Drug(6_29, "Relieves pain and fever, and is gentle on the stomach."),
    "loratadine": _Drug(11_79, "Relieves hay fever and other allergies without making you drowsy."),
    "loperamide": _Drug(8_99, "Stops sudden diarrhea."),
    "famotidine": _Drug(9_39, "Prevents and relieves heartburn."),
}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    order_id      INTEGER PRIMARY KEY AUTOINCREMENT,  -- counts from 1, short enough to say, never given twice
    customer_name TEXT NOT NULL CHECK (length(customer_name) BETWEEN 1 AND 100),
    phone         TEXT NOT NULL,
    drug_name     TEXT NOT NULL CHECK (length(drug_name) BETWEEN 1 AND 100),
    price_cents   INTEGER NOT NULL CHECK (price_cents BETWEEN 1 AND 1000000),
    status        TEXT NOT NULL DEFAULT 'placed' CHECK (status IN ('placed', 'ready', 'collected', 'cancelled')),
    placed_at     TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""


def get_drug_info(drug_name: Annotated[str, "Drug to look up, lower case."]) -> dict[str, object]:
    """Price in dollars and description of one drug."""
    name, drug = _find_drug(drug_name)
    return {"name": name.capitalize(), "description": drug.description, "price": drug.price_cents / 100}


async def place_order(
    customer_name: Annotated[str, "Name of the customer, as the caller said it."],
    drug_name: Annotated[str, "Drug to order, lower case."],
    call: Call,
) -> dict[str, object]:
    """Create an order for a drug, once the caller has agreed to its price. Tell the caller the order number."""
    customer = _checked_name(customer_name)
    name, drug = _find_drug(drug_name)
    # A database makes its callers wait, and on the plugins' event loop other calls would wait with them.
    return await asyncio.to_thread(_insert_order, customer, call.from_, name, drug.price_cents)


def lookup_order(order_id: Annotated[int, "Number of the order."]) -> dict[str, object]:
    """Find an order by its number. Ask for the customer's name first; tell nothing of an order in another name."""
    order = str(order_id)  # as text: a made-up number may be longer than SQLite's integers
    with _database() as db:
        return _told_order(db.execute("SELECT * FROM orders WHERE order_id = ?", (order,)).fetchone())


def _find_drug(spoken: str) -> tuple[str, _Drug]:
    name = spoken.strip().lower()
    if name not in _DRUGS:
        raise FunctionError(f"The pharmacy does not have that. It has: {', '.join(_DRUGS)}.")
    return name, _DRUGS[name]


def _checked_name(spoken: str) -> str:
    name = " ".join(spoken.split())
    if not (1 <= len(name) <= 100 and name.isprintable()):
        raise FunctionError("The customer's name is missing or not usable. Ask the caller for it.")
    return name


def _insert_order(customer: str, phone: str, drug_name: str, price_cents: int) -> dict[str, object]:
    query = "INSERT INTO orders (customer_name, phone, drug_name, price_cents) VALUES (?, ?, ?, ?)"
    with _database() as db:
        placed = db.execute(query, (customer, phone, drug_name, price_cents))
        return _told_order(db.execute("SELECT * FROM orders WHERE order_id = ?", (placed.lastrowid,)).fetchone())


def _told_order(row: sqlite3.Row | None) -> dict[str, object]:
    """What a caller may hear of an order, so not the phone number that it came from."""
    if row is None:
        raise FunctionError("There is no order with that number. Ask the caller to repeat it.")
    shown = {key: row[key] for key in ("order_id", "customer_name", "drug_name", "status")}
    return {**shown, "price": row["price_cents"] / 100}


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    """One transaction on a connection of its own, since every function call may come from another thread."""
    folder = Path(os.environ.get("DIALPLAN_VAR", "var"))
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "pharmacy.db", timeout=5)) as db, db:
        db.row_factory = sqlite3.Row
        db.execute(_SCHEMA)
        yield db
