"""What is remembered of a conversation: its newest part."""

from dialplan.call.history import MOST, Called, History, Spoken
from dialplan.wire.deepgram import Role


def test_the_oldest_is_forgotten_where_it_would_be_too_much() -> None:
    history = History(Spoken(Role.USER, str(n % 10) * 100) for n in range(1000))

    kept = list(history)
    assert sum(one.length for one in kept) <= MOST < sum(one.length for one in kept) + kept[0].length
    assert kept[-1] == Spoken(Role.USER, "9" * 100)


def test_one_that_is_too_long_by_itself_is_kept() -> None:
    result = Called("a", "f", "{}", "x" * 2 * MOST)

    assert list(History([Spoken(Role.USER, "x"), result])) == [result]


def test_only_words_at_the_end_are_unanswered() -> None:
    user, agent, called = Spoken(Role.USER, "u"), Spoken(Role.ASSISTANT, "a"), Called("a", "f", "{}", "1")

    assert History([user, agent, user, user]).divided() == ((user, agent), "u u")
    assert History([user, agent]).divided() == ((user, agent), "")
    assert History([user, called]).divided() == ((user, called), "")
    assert History([user]).divided() == ((), "u")
    assert History().divided() == ((), "")
