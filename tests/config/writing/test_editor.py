"""Editors: the schema that they are given judges as we do, and telling them of it costs nobody a line."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, ValidationError
from jsonschema.validators import extend

from dialplan.config.loading import load
from dialplan.config.rules import shape
from dialplan.config.writing import editor
from dialplan.config.yaml import source
from dialplan.errors import ConfigError
from tests.config.expectations import GOOD, cases, project
from tests.config.files import PLAIN, codes, write

LINE = "# yaml-language-server: $schema="


def _pattern(validator: Any, pattern: str, instance: object, schema: object) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError(pattern)


#: As editors judge: in JavaScript, `$` is the end and nothing else.
EditorsValidator = extend(Draft7Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]


def written(root: Path) -> dict[str, str]:
    return {one.file.relative_to(root).as_posix(): one.done for one in editor.write(root)}


def judged(file: Path) -> tuple[bool, bool] | None:
    """Whether we refuse the file's shape, and whether an editor's validator does; None for what is no YAML."""
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError:
        return None
    tree, problems = source.read(file.name, text)
    if tree is None or problems:
        return None
    part = file.name.startswith("_")
    schema = editor.layer_schema() if part else editor.agent_schema(defaults=False)
    known_below = part or bool(tree.get("extends"))  # The prompt may stand in another file.
    ours = [p for p in shape.shape_problems(tree, {file.name: text}) if p.code != "E102" or not known_below]
    return bool(ours), any(EditorsValidator(schema).iter_errors(tree.plain()))


@pytest.mark.parametrize("case", [*cases(), GOOD], ids=lambda case: case.name)
def test_what_one_judge_refuses_by_shape_the_other_refuses(case: Path, tmp_path: Path) -> None:
    root = project(case, tmp_path / "project") if case is not GOOD else GOOD

    for file in (root / "agents").rglob("*.yaml"):
        verdicts = judged(file) if file.is_file() else None
        assert verdicts is None or verdicts[0] == verdicts[1], file


def test_the_schemas_are_draft_07_and_for_a_single_file_the_printed_one_says_the_same() -> None:
    for schema in (shape.schema(), editor.agent_schema(defaults=False), editor.layer_schema()):
        Draft7Validator.check_schema(schema)
        assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    for agent, fits in (({}, False), ({"prompt": "x"}, True), ({"prompt": ""}, False), ({"promt": "x"}, False)):
        assert Draft7Validator(shape.schema()).is_valid(agent) is fits
        assert Draft7Validator(editor.agent_schema(defaults=False)).is_valid(agent) is fits


def test_a_prompt_may_stand_in_a_file_below() -> None:
    assert Draft7Validator(editor.agent_schema(defaults=False)).is_valid({"extends": "_base"})
    assert Draft7Validator(editor.agent_schema(defaults=True)).is_valid({"numbers": ["*"]})
    assert Draft7Validator(editor.layer_schema()).is_valid({"voice": "aura-2-thalia-en"})


def test_the_schemas_stand_beside_the_agents_and_every_file_leads_to_its_own(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "agents/a.yaml": PLAIN,
            "agents/acme/b.yaml": PLAIN,
            "agents/_base.yaml": "voice: x\n",
            "agents/notes.md": "x",
        },
    )

    done = written(root)

    assert done == {
        "agents/agent.schema.json": "written",
        "agents/layer.schema.json": "written",
        "agents/_base.yaml": "changed",
        "agents/a.yaml": "changed",
        "agents/acme/b.yaml": "changed",
        ".vscode/settings.json": "written",
    }
    names = ("a.yaml", "acme/b.yaml", "_base.yaml")
    assert {name: (root / "agents" / name).read_text().split("\n")[0] for name in names} == {
        "a.yaml": f"{LINE}agent.schema.json",
        "acme/b.yaml": f"{LINE}../agent.schema.json",
        "_base.yaml": f"{LINE}layer.schema.json",
    }
    assert (root / "agents/a.yaml").read_text().endswith(PLAIN)


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    root = write(tmp_path, {"agents/a.yaml": PLAIN, "agents/_defaults.yaml": "voice: aura-2-thalia-en\n"})
    written(root)

    assert written(root) == {}


def test_files_keep_their_line_ends_their_mark_and_their_permissions(tmp_path: Path) -> None:
    root = write(tmp_path, {"agents/a.yaml": "\ufeff" + PLAIN.replace("\n", "\r\n")})
    (root / "agents/a.yaml").chmod(0o640)

    written(root)

    text = (root / "agents/a.yaml").read_bytes().decode()
    assert text == f"\ufeff{LINE}agent.schema.json\r\n" + PLAIN.replace("\n", "\r\n")
    assert (root / "agents/a.yaml").stat().st_mode & 0o777 == 0o640
    assert codes(load(root, {})) == []


def test_a_file_that_tells_a_schema_is_left_alone_as_are_links_and_what_is_no_text(tmp_path: Path) -> None:
    own = f"{LINE}https://example.com/mine.json\n{PLAIN}"
    root = write(tmp_path, {"agents/own.yaml": own, "agents/latin.yaml": b"prompt: Caf\xe9\n", "elsewhere.yaml": PLAIN})
    (root / "agents/link.yaml").symlink_to("../elsewhere.yaml")

    done = written(root)

    assert done["agents/link.yaml"] == "is a link and stays as it is"
    assert done["agents/latin.yaml"] == "cannot be read as text and stays as it is"
    assert (root / "agents/own.yaml").read_text() == own
    assert (root / "elsewhere.yaml").read_text() == PLAIN


def test_settings_of_vs_code_keep_what_else_they_hold(tmp_path: Path) -> None:
    mine = {"editor.tabSize": 2, "yaml.schemas": {"./other.json": "other/*.yaml"}}
    root = write(tmp_path, {"agents/a.yaml": PLAIN, ".vscode/settings.json": json.dumps(mine)})

    written(root)

    settings = json.loads((root / ".vscode/settings.json").read_text())
    assert settings["editor.tabSize"] == 2
    assert set(settings["yaml.schemas"]) == {"./other.json", "./agents/agent.schema.json", "./agents/layer.schema.json"}


@pytest.mark.parametrize("theirs", ['{\n  // mine\n  "a": 1\n}', "[]", '{"yaml.schemas": []}', "", "\xff"])
def test_settings_that_are_no_plain_json_stay_and_what_is_missing_is_told(tmp_path: Path, theirs: str) -> None:
    root = write(tmp_path, {"agents/a.yaml": PLAIN, ".vscode/settings.json": theirs})

    done = written(root)

    assert done[".vscode/settings.json"].startswith('stays as it is; put into it: {"yaml.schemas": {"./agents/')
    assert (root / ".vscode/settings.json").read_text() == theirs


def test_where_a_file_cannot_be_written_that_is_said(tmp_path: Path) -> None:
    root = write(tmp_path, {"agents/a.yaml": PLAIN, ".vscode": "a file"})

    with pytest.raises(ConfigError, match=r"settings\.json cannot be written: File exists"):
        written(root)
