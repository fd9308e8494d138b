"""Where records go: `DATABASE_URL`, checked. Needs no database library, so that commands start quickly."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode

from dialplan.errors import ConfigError
from dialplan.wire import address

_FORM = "it must be sqlite:///path/to/file.db or postgresql://user:password@host/database"

#: What libpq knows, and asyncpg would take for a setting of the server's.
_NOT_FOR_ASYNCPG = ("channel_binding", "gssencmode")


@dataclass(frozen=True, slots=True)
class Database:
    """One file, or a PostgreSQL."""

    shown: str
    """For people: without a password."""
    file: Path | None = None
    dsn: str = field(default="", repr=False)


def database(url: str, root: Path, var: Path) -> Database:
    """The database that a URL means.

    Args:
        url: `DATABASE_URL`; empty where it is not set.
        root: the project; a relative path counts from it.
        var: where the file lies where nothing else is said.

    Raises:
        ConfigError: it is no such URL. The text never shows a password.
    """
    scheme, _, rest = (url or "").partition("://")
    if not url:
        return _file(var / "dialplan.db")
    if scheme == "sqlite":
        return _file(root / _sqlite_path(rest))
    if scheme in ("postgresql", "postgres"):
        return _postgresql(url)
    raise ConfigError(f"DATABASE_URL begins with {scheme!r}; {_FORM}" if rest else f"DATABASE_URL is no URL; {_FORM}")


def _file(path: Path) -> Database:
    return Database(str(path), file=path)


def _sqlite_path(rest: str) -> str:
    path = unquote(rest.removeprefix("/").partition("?")[0])
    if not rest.startswith("/") or not path or path.endswith("/") or path.startswith(":"):
        raise ConfigError(
            f"DATABASE_URL names no file; {_FORM} (an absolute path has four slashes: sqlite:////srv/x.db)"
        )
    return path


def _postgresql(url: str) -> Database:
    parts = address.parts(url)
    if parts is None:
        raise ConfigError(f"DATABASE_URL has a host or a port that cannot be read; {_FORM}")
    host, port = parts.hostname, parts.port
    options = [(name, value) for name, value in parse_qsl(parts.query) if name not in _NOT_FOR_ASYNCPG]
    if not parts.path.strip("/") or not (host or any(name == "host" for name, _ in options)):
        raise ConfigError(f"DATABASE_URL lacks a host or the name of a database; {_FORM}")
    where = f"{host or ''}{f':{port}' if port else ''}"
    user = f"{quote(unquote(parts.username))}@" if parts.username else ""
    dsn = f"postgresql://{parts.netloc}{parts.path}" + (f"?{urlencode(options)}" if options else "")
    return Database(f"postgresql://{user}{where}{parts.path}", dsn=dsn)
