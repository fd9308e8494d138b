"""Which file may be meant by a plugin that is not there."""

from pathlib import Path

import pytest

from dialplan.config.plugins.missing import help_for
from tests.config.files import PLAIN, loaded, write


@pytest.mark.parametrize(
    ("file", "module", "help_text"),
    [
        ("plugins/bike-shop.py", "plugins.bike_shop", "rename plugins/bike-shop.py to plugins/bike_shop.py"),
        (
            "plugins/bike shop.py",
            "bike_shop",
            "rename plugins/bike shop.py to plugins/bike_shop.py and write plugins.bike_shop",
        ),
        (
            "plugins/acme/bike-shop.py",
            "plugins.acme.bike_shop",
            "rename plugins/acme/bike-shop.py to plugins/acme/bike_shop.py",
        ),
        ("plugins/bike_shop.py", "bike_shop", "write plugins.bike_shop"),
        ("plugins/bike_shop.py", "bike_shop.py", "write plugins.bike_shop"),
        ("plugins/bike_shop.py", "plugin.bike_shop", "write plugins.bike_shop"),
        ("plugins/bike_shop.py", "plugins.bikeshop", 'did you mean "plugins.bike_shop"?'),
        ("plugins/bike_shop.py", "plugins.Bike_Shop", 'did you mean "plugins.bike_shop"?'),
        ("agents/bike_shop.py", "plugins.bike_shop", "move agents/bike_shop.py to plugins/bike_shop.py"),
        (
            "agents/bike-shop.py",
            "bike_shop",
            "move agents/bike-shop.py to plugins/bike_shop.py and write plugins.bike_shop",
        ),
        ("bike_shop.py", "plugins.bike_shop", "move bike_shop.py to plugins/bike_shop.py"),
        (
            "plugins/bike-shop.py",
            "plugins.bikeshop",
            'did you mean "plugins.bike_shop"? rename plugins/bike-shop.py to plugins/bike_shop.py, '
            "and write plugins.bike_shop",
        ),
        ("plugins/Bike_Shop.py", "plugins.bike_shop", 'did you mean "plugins.Bike_Shop"?'),
        ("plugins/bakery.py", "plugins.bike_shop", "create plugins/bike_shop.py, or install a package of this name"),
        (
            "plugins/bakery.py",
            "bike_shop",
            "create plugins/bike_shop.py and write plugins.bike_shop, or install a package of this name",
        ),
    ],
)
def test_a_plugin_that_is_not_there_is_looked_for(tmp_path: Path, file: str, module: str, help_text: str) -> None:
    assert help_for(module, write(tmp_path, {file: ""})) == help_text


@pytest.mark.parametrize("written", ["plugins.bike-shop", "plugins/bike-shop.py", "plugins.bike shop"])
def test_what_is_advised_is_no_mistake_in_the_end(tmp_path: Path, written: str) -> None:
    write(tmp_path, {"plugins/bike-shop.py": "", "agents/a.yaml": f"{PLAIN}plugins: [{written}]\n"})
    (first,) = loaded(tmp_path, {}).problems
    assert first.help.startswith("write plugins.bike_shop, and call its file plugins/bike_shop.py")

    (second,) = loaded(tmp_path, {"agents/a.yaml": f"{PLAIN}plugins: [plugins.bike_shop]\n"}).problems
    assert second.help == "rename plugins/bike-shop.py to plugins/bike_shop.py"

    (tmp_path / "plugins" / "bike-shop.py").rename(tmp_path / "plugins" / "bike_shop.py")
    assert loaded(tmp_path, {}).problems == ()
