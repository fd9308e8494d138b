"""What may be answered when a new agent is begun."""

from pathlib import Path

import pytest

from dialplan.config.writing import answers
from dialplan.errors import ConfigError
from tests.config.files import write


@pytest.mark.parametrize("name", ["clinic", "acme/pharmacy", "Main-Street_2", "café", "v1.2", "2nd"])
def test_a_name_that_is_one(name: str) -> None:
    assert answers.checked_name(name) == name


@pytest.mark.parametrize(
    ("name", "corrected"),
    [
        ("_defaults", "defaults"),
        (".hidden", "hidden"),
        ("clinic.yaml", "clinic"),
        ("clinic.YML", "clinic"),
        ("agents/clinic.yaml", "clinic"),
        (" clinic ", "clinic"),
        ("my clinic", "my-clinic"),
        ("clinic/", "clinic"),
        ("/etc/clinic", "etc/clinic"),
        ("../clinic", "clinic"),
        ("acme//clinic", "acme/clinic"),
        ("acme\\clinic", "acme/clinic"),
        ("acme/_x", "acme/x"),
        ("a:b", "a-b"),
        ("a\nb", "a-b"),
        ("x" * 200, "x" * 100),
    ],
)
def test_a_name_that_is_none_is_told_as_it_could_be(name: str, corrected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        answers.checked_name(name)

    assert str(caught.value).endswith(f"take: {corrected}")
    assert answers.checked_name(corrected) == corrected


@pytest.mark.parametrize("name", ["", "..", "/", "_", ".yaml", "agents/"])
def test_where_nothing_is_left_of_a_name_an_example_stands(name: str) -> None:
    with pytest.raises(ConfigError, match=r"clinic|take: agents"):
        answers.checked_name(name)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+15550100001", "+15550100001"),
        (" +1 (555) 010-0001 ", "+15550100001"),
        ("0049 30 1234", "+49301234"),
        ("+49 (0)30 / 12-34-56", "+4930123456"),
        ("+1 800 *", "+1800*"),
        ("sip:desk@example.com", "sip:desk@example.com"),
        ("+1800*", "+1800*"),
        ("*", "*"),
    ],
)
def test_a_number_as_people_write_it(written: str, number: str) -> None:
    assert answers.checked_number(written, {}) == number


@pytest.mark.parametrize("written", ["555 1234", "(030) 1234", "", "+0", "+1555010000112345", "call me"])
def test_what_is_no_number_is_told_why(written: str) -> None:
    with pytest.raises(ConfigError, match="plus and digits only"):
        answers.checked_number(written, {})


def test_a_number_that_another_agent_has_is_named_with_its_place(tmp_path: Path) -> None:
    write(tmp_path, {"agents/a.yaml": 'numbers: ["+15550100001"]\nvoise: a mistake\n'})

    with pytest.raises(ConfigError, match=r"by a already \(agents/a.yaml:1:11\)"):
        answers.checked_number("+15550100001", answers.claims(tmp_path))


def test_an_invented_number_is_one_that_nobody_in_the_project_has(tmp_path: Path) -> None:
    write(tmp_path, {"agents/a.yaml": 'numbers: ["+15550100001", "+15550100002"]\nprompt: x\n'})

    assert answers.invented_number(answers.claims(tmp_path)) == "+15550100003"


def test_a_project_without_a_folder_claims_nothing(tmp_path: Path) -> None:
    assert answers.claims(tmp_path) == {}


@pytest.mark.parametrize("voice", ["aura-2-thalia-en", "flux-alexis-en", "aura-asteria-en", "aura-2-new-voice-xx"])
def test_a_voice_that_may_be_one(voice: str) -> None:
    assert answers.checked_voice(voice) == voice


@pytest.mark.parametrize(
    ("voice", "suggestion"),
    [
        ("Apollo", '"aura-2-apollo-en"'),
        ("aura 2 thalia en", '"aura-2-thalia-en"'),
        ("aura-2-helena", '"aura-2-helena-en"'),
        ("aura-2-julius", '"aura-2-julius-de"'),
        ("aura-2-thalia-eng", '"aura-2-thalia-en"'),
        ("aura-2-newest", "ends with its language, as in aura-2-thalia-en"),
        ("flux-general-en", "as in aura-2-thalia-en"),
        ("", "aura-2-thalia-en"),
    ],
)
def test_a_voice_that_is_none_is_told_as_it_could_be(voice: str, suggestion: str) -> None:
    with pytest.raises(ConfigError, match=suggestion):
        answers.checked_voice(voice)


def test_a_secret_has_no_place_in_a_description() -> None:
    with pytest.raises(ConfigError, match="KEY"):
        answers.checked_description("Uses ${KEY}.")
