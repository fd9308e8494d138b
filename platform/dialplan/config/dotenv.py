"""A project's `.env`: names with values, for whoever has not set them in the environment."""

import io
from collections.abc import Mapping

from dotenv import dotenv_values
from dotenv.variables import parse_variables


def values(text: str, given: Mapping[str, str]) -> dict[str, str]:
    """What it says, with `${OTHER}` filled in: by the environment first, since that wins, then by the lines above.

    Args:
        text: of the file.
        given: the environment without it.
    """
    found: dict[str, str] = {}
    for name, value in dotenv_values(stream=io.StringIO(text), interpolate=False).items():
        if value is not None:
            known = {**found, **given}
            found[name] = "".join(part.resolve(known) for part in parse_variables(value))
    return found
