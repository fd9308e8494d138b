"""Who may know whether a server is this one, and who learns nothing."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dialplan.config.dialplan import Dialplan
from dialplan.server import proof
from dialplan.server.proof import NONCE_LENGTH, PROOF, QUESTION, ROUTES, Verdict
from tests.world import AGENT, project

NONCE = "0123456789abcdef" * 2
EMPTY = Dialplan()


def answered(asker: str, server: str, dialplan: Dialplan = EMPTY) -> dict[str, str]:
    return proof.answer(server, dialplan, NONCE, proof.question(asker, NONCE)[QUESTION])


def test_a_server_with_the_same_secret_and_routes_is_this_one() -> None:
    assert proof.verdict("s", EMPTY, NONCE, answered("s", "s")) is Verdict.THIS


def test_one_with_another_secret_is_not() -> None:
    assert proof.verdict("s", EMPTY, NONCE, answered("s", "other")) is Verdict.OTHER_DIALPLAN


def test_one_whose_agents_answer_other_numbers_is_told_apart(tmp_path: Path) -> None:
    dialplan = project(tmp_path, a=AGENT).dialplan

    assert proof.verdict("s", EMPTY, NONCE, answered("s", "s", dialplan)) is Verdict.OTHER_ROUTES
    assert proof.verdict("s", dialplan, NONCE, answered("s", "s", dialplan)) is Verdict.THIS


def test_an_answer_to_another_nonce_proves_nothing() -> None:
    assert proof.verdict("s", EMPTY, "f" * NONCE_LENGTH, answered("s", "s")) is Verdict.NO_PROOF


def test_whoever_does_not_know_the_secret_gets_nothing_made_from_it() -> None:
    assert proof.answer("s", EMPTY, NONCE, "") == {PROOF: proof.DIFFERENT}
    assert proof.answer("s", EMPTY, NONCE, answered("s", "s")[PROOF]) == {PROOF: proof.DIFFERENT}


def test_question_proof_and_routes_are_three_different_words() -> None:
    words = {proof.question("s", NONCE)[QUESTION], answered("s", "s")[PROOF], answered("s", "s")[ROUTES]}

    assert len(words) == 3


@given(st.text(), st.text())
def test_only_a_nonce_of_its_one_form_is_answered(nonce: str, asked: str) -> None:
    assert proof.answer("s", EMPTY, nonce, asked) == {}
    assert proof.answer("s", EMPTY, NONCE + nonce[:1], asked) in ({}, {PROOF: proof.DIFFERENT})
    assert proof.answer("s", EMPTY, NONCE + "\n", asked) == {}


@given(st.dictionaries(st.sampled_from([PROOF, ROUTES]), st.text()))
def test_whatever_headers_come_back_nothing_is_proved(headers: dict[str, str]) -> None:
    assert proof.verdict("s", EMPTY, NONCE, headers) in (Verdict.NO_PROOF, Verdict.OTHER_DIALPLAN)
