"""Whatever a plugin returns, the model is told JSON of a bounded length, or that it did not work."""

import datetime
import decimal
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplan.call.results import MAX_RESULT, as_json

#: A result's characters and what JSON puts around and between them.
LONGEST = 8 * MAX_RESULT


class Liar(str):
    """Says that there is nothing in it."""

    def __len__(self) -> int:
        return 0


class LiarNumber(int):
    def bit_length(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "9" * 10 * LONGEST


class LiarMapping(dict[str, str]):
    """Has no length, and no end."""

    def __len__(self) -> int:
        return -1

    def items(self) -> Any:
        return ((str(n), n) for n in count())


class Endless(list[int]):
    def __iter__(self) -> Iterator[int]:
        return count()


class Broken:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError(name)

    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __iter__ = __len__ = __hash__ = __str__  # type: ignore[assignment]


class Disguised:
    @property
    def __class__(self) -> Any:
        raise ZeroDivisionError


def itself() -> list[Any]:
    result: list[Any] = []
    result.append(result)
    return result


HOSTILE: dict[str, Any] = {
    "a text that lies about its length": Liar("x" * 2 * LONGEST),
    "such a text as key": {Liar("x" * 2 * LONGEST): 1},
    "a number that lies about its length": LiarNumber(1 << 8 * LONGEST),
    "a number with more digits than Python prints": 10**5000,
    "such numbers as keys": {10**4000 + n: 1 for n in range(1000)},
    "a mapping without end": LiarMapping(a="b"),
    "a list without end": Endless(),
    "something that raises": Broken(),
    "such a thing in a list": [Broken()],
    "something that does not say what it is": Disguised(),
    "itself": itself(),
    "bytes": b"x",
    "a generator": (n for n in range(3)),
    "not a number as key": {float("nan"): 1},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_result_is_short_json_or_a_failure(name: str) -> None:
    assert_told_or_failed(HOSTILE[name])


@dataclass(frozen=True)
class Named:
    """Stands for something hostile: hypothesis would look at the thing itself."""

    name: str


def built(value: Any) -> Any:
    """The value, with what is named in it in its place."""
    match value:
        case Named(name):
            return HOSTILE[name]
        case list() | tuple():
            return type(value)(map(built, value))
        case dict():
            return {key: built(item) for key, item in value.items()}
    return value


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary(max_size=3)
    | st.just(decimal.Decimal("NaN"))
    | st.just(uuid.UUID(int=1))
    | st.just(datetime.date(2026, 11, 24))
    | st.sampled_from(list(HOSTILE)).map(Named)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=6,
)


@given(result=ANYTHING)
def test_any_result_is_short_json_or_a_failure(result: object) -> None:
    assert_told_or_failed(built(result))


def assert_told_or_failed(result: object) -> None:
    """What is raised, the wall of call/functions.py takes."""
    try:
        content = as_json(result)
    except Exception:  # noqa: BLE001
        return
    content.encode()
    json.loads(content, parse_constant=lambda constant: pytest.fail(constant))
    assert len(content) <= LONGEST
