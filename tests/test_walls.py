"""The walls of the house: which room may look into which."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "platform" / "dialplan"

#: From the roof to the ground; a room may import from its own floor and from those below.
FLOORS = (
    ("cli", "__main__"),
    ("rehearsal",),
    ("server",),
    ("journal",),
    ("call",),
    ("config", "wire", "metrics", "log"),
    ("errors", "facts", "hosts", "words", ""),
)

#: On one floor, rooms that do not know each other.
APART = {"config": {"wire", "metrics", "log"}, "wire": {"config", "metrics", "log"}}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), path


def room(module: str) -> str:
    """The folder or file right under dialplan/, without .py; empty for the package itself."""
    return module.split(".")[0] if module else ""


def imported_rooms(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "dialplan":
                names = [f"dialplan.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.split(".")[0] == "dialplan":
                inner = name.removeprefix("dialplan").lstrip(".")
                yield room(inner) if (SOURCE / room(inner)).exists() or (SOURCE / f"{room(inner)}.py").exists() else ""


def floor(name: str) -> int:
    return next(index for index, rooms in enumerate(FLOORS) if name in rooms)


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_point_down_only(name: str, path: Path) -> None:
    own = "" if name == "__init__.py" else room(name.removesuffix(".py").replace("/", "."))

    for other in imported_rooms(path):
        if own == "":
            assert other in ("errors", "facts")
        else:
            assert floor(other) >= floor(own), f"{name} imports {other}, which stands above it"
            assert other not in APART.get(own, ()), f"{name} imports {other}, which stands beside it"


def test_platform_is_no_package() -> None:
    """A package named platform would hide the standard library's module."""
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_wire_and_conversation_do_no_io() -> None:
    io = re.compile(r"\b(await|asyncio|socket|open\(|websockets|httpx|starlette|time\.)")

    for path in [*(SOURCE / "wire").glob("*.py"), SOURCE / "call" / "conversation.py", SOURCE / "call" / "settings.py"]:
        code = "\n".join(line for line in _code(path))
        assert not io.search(code), f"{path.name} does I/O or looks at the clock"


def _code(path: Path) -> Iterator[str]:
    """The module without docstrings and comments."""
    yield ast.unparse(_without_docstrings(ast.parse(path.read_text())))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                statement
                for statement in body
                if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            ] or [ast.Pass()]
    return tree


def test_a_broad_except_stands_at_a_wall_only() -> None:
    """Strangers' code is imported, called, and rendered; a call must not reach another one, nor a reload any;
    and what a database's driver may raise is written nowhere."""
    walls = {
        "config/plugins/loader.py",
        "config/jinja/templates.py",
        "call/functions.py",
        "call/session.py",
        "journal/journal.py",
        "journal/writer.py",
        "server/beside.py",
        "server/reload.py",
        "server/watching.py",
    }

    found = {
        name
        for name, path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type)
    }

    assert found <= walls


def _is_broad(kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(_is_broad(element) for element in kind.elts)
    return kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException"))


def test_the_core_does_without_the_rehearsal_extra() -> None:
    """numpy, pocketsphinx and espeak-ng (GPLv3) are imported in rehearsal/ only."""
    extra = {"numpy", "pocketsphinx", "espeakng_loader"}

    for name, path in modules():
        if not name.startswith("rehearsal/"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not extra & {n.split(".")[0] for n in names}, name
