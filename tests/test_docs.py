"""The docs are true: commands, metrics, variables, links and examples."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dialplan.cli import main
from dialplan.config.loading import load
from dialplan.metrics import Metrics
from dialplan.server.environment import VARIABLES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = ROOT / "docs" / "commands.md"


def command_names(group: click.Group) -> Iterator[str]:
    """Every command, those of groups behind their group's name."""
    for name, command in group.commands.items():
        yield name
        if isinstance(command, click.Group):
            yield from (f"{name} {below}" for below in command_names(command))


def commands_page() -> str:
    """docs/commands.md, as `make reference` writes it."""
    assert isinstance(main, click.Group)
    page = "# Commands\n\nWritten by `make reference` from `--help`; a test keeps it true.\n"
    for name in ("", *sorted(command_names(main))):
        title = f"dialplan {name}".strip()
        result = CliRunner().invoke(main, [*name.split(), "--help"], prog_name="dialplan", terminal_width=100)
        page += f"\n## {title}\n\n```\n{result.output.rstrip()}\n```\n"
    return page


def test_the_commands_page_is_what_help_says() -> None:
    assert COMMANDS.read_text() == commands_page(), "run: make reference"


def test_the_readme_shows_both_commands_and_names_every_other() -> None:
    assert isinstance(main, click.Group)
    readme = (ROOT / "README.md").read_text()

    assert "make demo" in readme
    assert "make test" in readme
    assert all(f"dialplan {name}" in readme for name in main.commands)


def test_every_metric_and_label_is_on_the_operators_page() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()

    for metric in Metrics().registry.collect():
        suffix = "_total" if metric.type == "counter" else ""
        row = next((line for line in page.splitlines() if line.startswith(f"| `{metric.name}{suffix}")), "")
        assert row, metric.name


def test_every_variable_is_on_the_operators_page_and_in_the_example() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    example = (ROOT / ".env.example").read_text()

    for name in VARIABLES:
        assert f"`{name}`" in page
        assert f"{name}=" in example


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_defence_is_shown_by_a_test() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    rows = [row for row in page.splitlines() if row.startswith("|") and not row.startswith(("|---", "| threat "))]

    for row in rows:
        shown = re.findall(r"`(tests/[^`]+\.py)::(test_\w+)`", row.rpartition("|")[0].rpartition("|")[2])
        assert shown, row
        for file, name in shown:
            assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"


def test_the_readmes_agent_and_plugin_work(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    agent = next(block for block in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL) if "agents/bakery" in block)
    plugin = next(block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "plugins/bakery" in block)
    (tmp_path / "agents").mkdir()
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "bakery.py").write_text(plugin)
    with_plugin = agent.replace("functions: [end_call]", "plugins: [plugins.bakery]\nfunctions: [get_price, reserve]")
    for name, text in (("bakery", agent), ("other", with_plugin.replace("0003", "0004"))):
        (tmp_path / "agents" / f"{name}.yaml").write_text(text)

    loading = load(tmp_path, {})

    assert loading.problems == ()
    assert set(loading.dialplan.agents["other"].functions) == {"get_price", "reserve"}


def test_the_map_in_the_readme_names_every_file() -> None:
    readme = (ROOT / "README.md").read_text()
    house = readme[readme.index("## The house") :]

    for path in (ROOT / "platform" / "dialplan").rglob("*.py"):
        if path.name not in ("__init__.py", "__main__.py", "fields.py"):
            assert path.name in house, path


def test_the_agents_that_ship_have_no_mistake() -> None:
    assert load(ROOT, {}).problems == ()
