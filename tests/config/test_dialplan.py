"""Who answers a number or a path, and what two agents that want the same one are told."""

from pathlib import Path

import pytest

from dialplan.config.dialplan import Dialplan, canonical
from dialplan.config.loading import load
from tests.config.files import codes, loaded, told, under, write


def dialplan(root: Path, **routes: str) -> Dialplan:
    """A dialplan of agents with these numbers and streams."""
    loading = loaded(root, {f"agents/{name}.yaml": f"{text}\nprompt: x\n" for name, text in routes.items()})
    assert not loading.problems, told(loading)
    return loading.dialplan


def name(dialplan: Dialplan, to: str) -> str | None:
    route = dialplan.answer(to)
    return route.agent.name if route else None


# Numbers.


@pytest.mark.parametrize(
    ("to", "agent"),
    [
        ("+15550100001", "exact"),
        (" +15550100001 ", "exact"),
        ("+15550100002", "longest"),
        ("+15550199999", "long"),
        ("+15559999999", "short"),
        ("+1555", "short"),
        ("+1554", "rest"),
        ("+499999", "rest"),
        ("sip:Desk@Example.com", "sip"),
        ("sip:desk@example.com;transport=tcp;x=y", "sip"),
        ("sip:other@example.com", "rest"),
        ("sip:sales.north@example.com", "sipprefix"),
        ("client:joey", "client"),
        ("whatsapp:+15550100009", "whatsapp"),
        ("whatsapp:+15550100001", "rest"),
        ("anonymous", "rest"),
        ("", "rest"),
    ],
)
def test_the_most_specific_route_answers(tmp_path: Path, to: str, agent: str) -> None:
    found = dialplan(
        tmp_path,
        exact='numbers: ["+15550100001"]',
        longest='numbers: ["+1555010000*"]',
        long='numbers: ["+155501*"]',
        short='numbers: ["+1555*"]',
        rest='numbers: ["*"]',
        sip='numbers: ["sip:desk@example.com"]',
        sipprefix='numbers: ["sip:sales*"]',
        client='numbers: ["client:joey"]',
        whatsapp='numbers: ["whatsapp:+15550100009"]',
    )

    assert name(found, to) == agent


def test_nobody_answers_where_nothing_fits(tmp_path: Path) -> None:
    found = dialplan(tmp_path, a='numbers: ["+1555*"]')

    assert name(found, "+1556") is None
    assert name(found, "") is None
    assert name(Dialplan(), "+1555") is None


def test_every_route_that_fits_is_listed_the_most_specific_first(tmp_path: Path) -> None:
    found = dialplan(tmp_path, a='numbers: ["*", "+15550100001"]', b='numbers: ["+1555*"]', c='numbers: ["+15*"]')

    assert [route.pattern for route in found.matching("+15550100001")] == ["+15550100001", "+1555*", "+15*", "*"]
    assert [str(route.place) for route in found.matching("+19")] == ["agents/a.yaml:1:11"]


def test_the_longest_address_of_a_stranger_is_answered_at_once(tmp_path: Path) -> None:
    found = dialplan(tmp_path, a='numbers: ["sip:a*"]', b='numbers: ["*"]')

    assert name(found, "sip:a" + "b" * 1_000_000) == "a"
    assert name(found, "x" * 1_000_000) == "b"


@pytest.mark.parametrize(
    ("address", "compared"),
    [
        ("+15550100001", "+15550100001"),
        ("sip:A@B.c;transport=tcp", "sip:a@b.c"),
        ("sip:a@b:5060", "sip:a@b:5060"),
        ("client:Joey", "client:joey"),
    ],
)
def test_addresses_are_compared_without_case_and_parameters(address: str, compared: str) -> None:
    assert canonical(address) == compared


def test_a_hundred_thousand_numbers_find_their_agents(tmp_path: Path) -> None:
    files = {}
    for agent in range(4):
        numbers = "".join(f'  - "+1{agent}{number:09}"\n' for number in range(25_000))
        files[f"agents/a{agent}.yaml"] = f"prompt: x\nnumbers:\n{numbers}"

    loading = loaded(tmp_path, files)

    assert len(loading.dialplan.numbers) == 100_000
    assert [name(loading.dialplan, f"+1{agent}{24_999:09}") for agent in range(4)] == ["a0", "a1", "a2", "a3"]
    assert name(loading.dialplan, f"+10{25_000:09}") is None


def test_two_agents_on_one_number_are_told_with_both_places_and_the_first_answers(tmp_path: Path) -> None:
    files = {
        "agents/a.yaml": 'numbers: ["+15550100001"]\nprompt: x\n',
        "agents/b.yaml": 'prompt: x\nnumbers: ["+15550100002", "+15550100001"]\n',
        "agents/c.yaml": 'numbers: ["+15550100002"]\nprompt: x\n',
    }

    loading = loaded(tmp_path, files)

    assert told(loading) == ["b.yaml:2:27 E501 +15550100001 is answered by a already (agents/a.yaml:1:11)"]
    assert loading.set_aside == ("b",)
    assert name(loading.dialplan, "+15550100001") == "a"
    assert name(loading.dialplan, "+15550100002") == "c"


def test_an_agent_with_a_mistake_claims_nothing(tmp_path: Path) -> None:
    files = {
        "agents/a.yaml": 'numbers: ["+15550100001"]\nprompt: x\nvoise: y\n',
        "agents/b.yaml": 'numbers: ["+15550100001"]\nprompt: x\n',
    }

    loading = loaded(tmp_path, files)

    assert codes(loading) == ["E104"]
    assert name(loading.dialplan, "+15550100001") == "b"


def test_numbers_in_the_defaults_are_claimed_by_the_first(tmp_path: Path) -> None:
    files = {"agents/_defaults.yaml": 'numbers: ["+1555"]\nprompt: x\n'} | {f"agents/{n}.yaml": "" for n in "abc"}

    loading = loaded(tmp_path, files)

    assert told(loading) == ["_defaults.yaml:1:11 E501 +1555 is answered by a already (agents/_defaults.yaml:1:11)"]
    assert loading.set_aside == ("b", "c")


def test_one_number_twice_in_one_file_is_told(tmp_path: Path) -> None:
    loading = loaded(tmp_path, {"agents/a.yaml": 'numbers: ["+1555", "+1556", "+1555"]\nprompt: x\n'})

    assert told(loading) == ["a.yaml:1:29 E501 +1555 stands twice; the first is in agents/a.yaml:1:11"]


# Streams.


def test_a_path_of_one_agent_is_answered_by_it_whatever_the_number(tmp_path: Path) -> None:
    found = dialplan(tmp_path, a="streams: [/a, /b]", b='numbers: ["+1555"]\nstreams: [/c]')

    for path, to, agent in (("/a", "", "a"), ("/b", "+1555", "a"), ("/c", "", "b"), ("/c", "+1999", "b")):
        route = found.answer_stream(path, to)
        assert route is not None
        assert (route.agent.name, route.pattern) == (agent, path)
    assert found.answer_stream("/d", "+1555") is None
    assert found.answer_stream("/a/", "") is None


def test_on_a_shared_path_the_number_decides(tmp_path: Path) -> None:
    found = dialplan(
        tmp_path,
        a='numbers: ["+15550100001"]\nstreams: [/shared]',
        b='numbers: ["+1555*"]\nstreams: [/shared]',
        c='numbers: ["+155501*"]',
    )

    def answered(to: str) -> str | None:
        route = found.answer_stream("/shared", to)
        return route.agent.name if route else None

    assert answered("+15550100001") == "a"
    assert answered("+15559") == "b"
    assert answered("+15550199") == "b"  # c is more specific, and does not answer on this path.
    assert answered("+1999") is None
    assert answered("") is None


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ('numbers: ["+15"]\n', 'numbers: ["+25"]\n', True),
        ("", 'numbers: ["+25"]\n', False),
        ('numbers: ["+15"]\n', "", False),
        ("", "", False),
    ],
)
def test_agents_share_a_path_where_each_has_numbers(tmp_path: Path, first: str, second: str, fits: bool) -> None:
    files = {
        "agents/a.yaml": f"{first}streams: [/shared]\nprompt: x\n",
        "agents/b.yaml": f"{second}prompt: x\nstreams: [/own, /shared]\n",
    }

    loading = loaded(tmp_path, files)

    assert codes(loading) == ([] if fits else ["E502"])
    assert under(loading) == ([] if fits else ["/shared"])
    assert loading.set_aside == (() if fits else ("b",))


def test_one_path_twice_in_one_file_is_told(tmp_path: Path) -> None:
    loading = loaded(tmp_path, {"agents/a.yaml": "streams: [/a, /a]\nprompt: x\n"})

    assert told(loading) == ["a.yaml:1:15 E502 /a stands twice; the first is in agents/a.yaml:1:11"]


# Loading.


def test_one_bad_file_hurts_nobody(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "agents/a.yaml": 'numbers: ["+15"]\nprompt: x\n',
        "agents/b.yaml": "{{{",
        "agents/c.yaml": b"\xff",
        "agents/d.yaml": 'numbers: ["+45"]\nprompt: x\nplugins: [plugins.p]\n',
        "agents/e.yaml": 'numbers: ["+55"]\nprompt: x\n',
        "plugins/p.py": "raise SystemExit\n",
    }

    loading = loaded(tmp_path, files)

    assert set(loading.dialplan.agents) == {"a", "e"}
    assert loading.set_aside == ("b", "c", "d")


def test_loading_again_gives_a_new_dialplan_and_leaves_the_old_one(tmp_path: Path) -> None:
    write(tmp_path, {"agents/a.yaml": 'numbers: ["+15"]\nprompt: one\n'})
    before = load(tmp_path, {}).dialplan

    write(tmp_path, {"agents/a.yaml": 'numbers: ["+15"]\nprompt: two\n'})
    after = load(tmp_path, {}).dialplan

    assert before.agents["a"].prompt.source == "one"
    assert after.agents["a"].prompt.source == "two"


def test_problems_come_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    files = {
        "agents/b.yaml": 'numbers: ["+15"]\nprompt: "{{ x }}"\nvoise: y\ngreting: z\n',
        "agents/a.yaml": 'numbers: ["+25"]\nprompt: x\nvoise: y\n',
    }

    assert [line.split(" ")[0] for line in told(loaded(tmp_path, files))] == [
        "a.yaml:3:1",
        "b.yaml:2:13",
        "b.yaml:3:1",
        "b.yaml:4:1",
    ]
