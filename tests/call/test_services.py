"""Several addresses and keys of the speech service: the first that works."""

import pytest

from dialplan.call.services import DOWN_SECONDS, Service, Services, services
from dialplan.words import listed

A, B, C = Service("wss://a", "k"), Service("wss://b", "k"), Service("wss://c", "k")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_first_is_taken_as_long_as_it_works() -> None:
    some = Services([A, B])

    assert [some.pick() for _ in range(3)] == [A, A, A]


def test_one_that_failed_is_left_alone_for_a_while_and_then_tried_again() -> None:
    clock = Clock()
    some = Services([A, B], clock)

    some.failed(A)
    assert some.pick() == B
    clock.now = DOWN_SECONDS
    assert some.pick() == A


def test_where_all_are_down_the_one_that_failed_first_is_tried() -> None:
    clock = Clock()
    some = Services([A, B, C], clock)
    for clock.now, service in enumerate((B, A, C)):
        some.failed(service)

    assert some.pick() == B
    some.worked(C)
    assert some.pick() == C


@pytest.mark.parametrize(("down", "another"), [([], True), ([B], False), ([A], True)])
def test_it_is_known_whether_another_one_is_left(down: list[Service], another: bool) -> None:
    some = Services([A, B])
    for service in down:
        some.failed(service)

    assert some.another(A) is another


def test_every_address_is_tried_with_every_key() -> None:
    some = services("wss://a, wss://b", "k1\n k2")
    order = []
    for _ in range(4):
        order.append(some.pick())
        some.failed(order[-1])

    assert order == [Service(url, key) for key in ("k1", "k2") for url in ("wss://a", "wss://b")]


def test_without_a_key_there_is_an_address() -> None:
    assert services("wss://a", "").pick() == Service("wss://a", "")
    assert listed(" a ,, b\tc ") == ["a", "b", "c"]


def test_a_key_is_shown_to_nobody() -> None:
    assert "hush" not in repr(Service("wss://a", "hush"))
