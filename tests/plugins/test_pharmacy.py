"""The pharmacy's functions, loaded by path as the server loads them, over a database of their own."""

import asyncio
import importlib.util
import inspect
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dialplan import Call, FunctionError

SOURCE = Path(__file__).parents[2] / "plugins" / "pharmacy.py"
CALL = Call(id="CA1", from_="+15550100099")
INJECTIONS = [
    "'; DROP TABLE orders; --",
    "Robert'); DELETE FROM orders;--",
    '" OR 1=1 --',
    "%",
    "\x00",
    "\ud800",
    "{{ 1 }}",
]

ANY_TEXT = st.text(st.characters()) | st.sampled_from([*INJECTIONS, "aspirin", " Ibuprofen "])


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_dialplan_plugin_pharmacy", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pharmacy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("DIALPLAN_VAR", str(tmp_path / "var"))
    return load()


@contextmanager
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "var" / "pharmacy.db")) as db, db:
        yield db


def test_the_functions_are_the_three_that_an_agent_may_name(pharmacy: ModuleType) -> None:
    public = [
        name
        for name, value in vars(pharmacy).items()
        if inspect.isfunction(value) and value.__module__ == pharmacy.__name__ and not name.startswith("_")
    ]

    assert public == ["get_drug_info", "place_order", "lookup_order"]


def test_loading_the_plugin_touches_no_file(pharmacy: ModuleType, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []


def test_a_drug_has_a_name_a_description_and_a_price(pharmacy: ModuleType) -> None:
    assert pharmacy.get_drug_info("aspirin") == {
        "name": "Aspirin",
        "description": "Relieves pain, fever and inflammation. Not for children.",
        "price": 5.99,
    }


@pytest.mark.parametrize("spoken", ["aspirin", "Aspirin", "ASPIRIN", "  aspirin ", "aspirin\n"])
def test_a_drug_is_found_however_it_is_written(pharmacy: ModuleType, spoken: str) -> None:
    assert pharmacy.get_drug_info(spoken)["name"] == "Aspirin"


def test_every_price_is_json_and_reads_as_dollars_and_two_digits_of_cents(pharmacy: ModuleType) -> None:
    for drug in pharmacy._DRUGS:
        price = json.loads(json.dumps(pharmacy.get_drug_info(drug)))["price"]

        assert isinstance(price, float)
        assert f"{price}" == f"{price:.2f}"


@pytest.mark.parametrize("spoken", ["", "heroin", "aspirin; DROP TABLE orders", "a" * 10_000])
def test_an_unknown_drug_is_answered_with_what_there_is(pharmacy: ModuleType, spoken: str) -> None:
    with pytest.raises(FunctionError, match="aspirin, ibuprofen, acetaminophen"):
        pharmacy.get_drug_info(spoken)


async def test_an_order_is_placed_at_the_price_of_the_day(pharmacy: ModuleType) -> None:
    order = await pharmacy.place_order(" Anna   Jones ", "Aspirin", CALL)

    assert order == {
        "order_id": 1,
        "customer_name": "Anna Jones",
        "drug_name": "aspirin",
        "status": "placed",
        "price": 5.99,
    }


async def test_order_numbers_count_from_one(pharmacy: ModuleType) -> None:
    orders = [await pharmacy.place_order("Anna", "aspirin", CALL) for _ in range(3)]

    assert [order["order_id"] for order in orders] == [1, 2, 3]


async def test_an_order_is_found_again_by_its_number(pharmacy: ModuleType) -> None:
    order = await pharmacy.place_order("Anna", "ibuprofen", CALL)

    assert pharmacy.lookup_order(order["order_id"]) == order


async def test_orders_survive_a_restart(pharmacy: ModuleType) -> None:
    order = await pharmacy.place_order("Anna", "aspirin", CALL)

    restarted = load()

    assert restarted.lookup_order(1) == order
    assert (await restarted.place_order("Ben", "aspirin", CALL))["order_id"] == 2


async def test_the_phone_number_is_kept_but_never_told(pharmacy: ModuleType, tmp_path: Path) -> None:
    order = await pharmacy.place_order("Anna", "aspirin", CALL)

    with database(tmp_path) as db:
        assert db.execute("SELECT phone FROM orders").fetchall() == [(CALL.from_,)]
    assert CALL.from_ not in json.dumps([order, pharmacy.lookup_order(1)])


async def test_a_caller_who_hides_the_number_can_order(pharmacy: ModuleType) -> None:
    assert (await pharmacy.place_order("Anna", "aspirin", Call(id="CA2")))["order_id"] == 1


@pytest.mark.parametrize("name", ["", "   ", "\n", "a" * 101, "Anna\x00", "\ud800"])
async def test_an_order_needs_a_name(pharmacy: ModuleType, name: str) -> None:
    with pytest.raises(FunctionError, match="name"):
        await pharmacy.place_order(name, "aspirin", CALL)


async def test_an_unknown_drug_is_not_ordered(pharmacy: ModuleType) -> None:
    with pytest.raises(FunctionError, match="It has: aspirin"):
        await pharmacy.place_order("Anna", "heroin", CALL)

    with pytest.raises(FunctionError):
        pharmacy.lookup_order(1)


@pytest.mark.parametrize("order_id", [1, 0, -1, 2**63, -(2**80), 10**300])
def test_an_unknown_order_is_answered_in_words(pharmacy: ModuleType, order_id: int) -> None:
    with pytest.raises(FunctionError, match="no order with that number"):
        pharmacy.lookup_order(order_id)


def test_orders_of_many_threads_at_once_all_get_numbers_of_their_own(pharmacy: ModuleType) -> None:
    def order(n: int) -> object:
        return asyncio.run(pharmacy.place_order(f"Customer {n}", "aspirin", CALL))["order_id"]

    with ThreadPoolExecutor(16) as threads:
        numbers = list(threads.map(order, range(32)))

    assert sorted(numbers) == list(range(1, 33))  # type: ignore[type-var]


async def test_placing_an_order_leaves_the_loop_free_while_the_database_is_busy(
    pharmacy: ModuleType, tmp_path: Path
) -> None:
    await pharmacy.place_order("Anna", "aspirin", CALL)

    with database(tmp_path) as db:
        db.execute("BEGIN EXCLUSIVE")
        order = asyncio.create_task(pharmacy.place_order("Ben", "aspirin", CALL))
        done, _ = await asyncio.wait([order], timeout=0.05)
        assert not done
        db.rollback()

    assert (await order)["order_id"] == 2


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("customer_name", ""),
        ("customer_name", None),
        ("phone", None),
        ("drug_name", ""),
        ("price_cents", 0),
        ("price_cents", "free"),
        ("status", "lost"),
    ],
)
async def test_the_database_refuses_a_bad_order_even_from_other_programs(
    pharmacy: ModuleType, tmp_path: Path, column: str, value: object
) -> None:
    await pharmacy.place_order("Anna", "aspirin", CALL)

    with database(tmp_path) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute(f"UPDATE orders SET {column} = ?", (value,))


@settings(deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=ANY_TEXT, drug=ANY_TEXT, order_id=st.integers())
@example(name=INJECTIONS[0], drug="aspirin", order_id=1)
@example(name="Anna", drug=INJECTIONS[0], order_id=1)
def test_whatever_a_model_sends_is_answered_with_a_result_or_a_function_error(
    pharmacy: ModuleType, tmp_path: Path, name: str, drug: str, order_id: int
) -> None:
    with suppress(FunctionError):
        pharmacy.get_drug_info(drug)
    with suppress(FunctionError):
        order = asyncio.run(pharmacy.place_order(name, drug, CALL))
        assert pharmacy.lookup_order(order["order_id"]) == order
        assert order["customer_name"] == " ".join(name.split())
    with suppress(FunctionError):
        assert pharmacy.lookup_order(order_id)["order_id"] == order_id

    asyncio.run(pharmacy.place_order("Anna", "aspirin", CALL))
    with database(tmp_path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) = max(order_id) FROM orders").fetchone() == (1,)


#: What is meant for a database, a file system or a shell, and is a name to a pharmacy.
HOSTILE_NAMES = [
    "'; DROP TABLE orders; --",
    "Anna'); UPDATE orders SET price_cents = 1; --",
    "x' UNION SELECT * FROM sqlite_master --",
    "'; ATTACH DATABASE '/tmp/evil.db' AS evil; --",
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\windows\\system32",
    "file:pharmacy.db?mode=memory",
    "$(touch /tmp/evil)",
    "|| rm -rf var",
]


@pytest.mark.parametrize("hostile", HOSTILE_NAMES)
def test_a_name_that_is_meant_as_sql_or_as_a_path_is_kept_as_a_name(
    pharmacy: ModuleType, tmp_path: Path, hostile: str
) -> None:
    asyncio.run(pharmacy.place_order("Anna", "aspirin", CALL))
    with database(tmp_path) as db:
        before = db.execute("SELECT name, sql FROM sqlite_master").fetchall()

    order = asyncio.run(pharmacy.place_order(hostile, "ibuprofen", CALL))

    with database(tmp_path) as db:
        assert db.execute("SELECT name, sql FROM sqlite_master").fetchall() == before
        rows = db.execute("SELECT customer_name, drug_name, price_cents FROM orders ORDER BY order_id").fetchall()
    assert rows == [("Anna", "aspirin", 5_99), (hostile, "ibuprofen", 7_49)]
    assert order["customer_name"] == hostile
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["var", "var/pharmacy.db"]


@pytest.mark.parametrize("hostile", HOSTILE_NAMES)
def test_a_drug_that_is_meant_as_sql_or_as_a_path_is_one_that_there_is_not(
    pharmacy: ModuleType, tmp_path: Path, hostile: str
) -> None:
    for ask in (pharmacy.get_drug_info, lambda drug: asyncio.run(pharmacy.place_order("Anna", drug, CALL))):
        with pytest.raises(FunctionError, match="does not have that") as refused:
            ask(hostile)
        assert hostile not in str(refused.value)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hostile", [*HOSTILE_NAMES, "1 OR 1=1", "1; DELETE FROM orders", "0x1"])
def test_an_order_number_that_is_meant_as_sql_finds_no_order(
    pharmacy: ModuleType, tmp_path: Path, hostile: str
) -> None:
    """The platform lets no text through for an integer; the plugin does not count on it."""
    placed = asyncio.run(pharmacy.place_order("Anna", "aspirin", CALL))

    with pytest.raises(FunctionError, match="no order with that number"):
        pharmacy.lookup_order(hostile)

    assert pharmacy.lookup_order(1) == placed
