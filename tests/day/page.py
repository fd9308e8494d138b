"""The figures of a day on the page that shows them."""

import re
import shutil
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"

#: Between these two lines stands what was run, and what came of it.
BEGIN, END = "<!-- python -m tests.day --publish writes this -->", "<!-- to here -->"


def publish(ran: str, report: str, picture: Path, page: Path = PAGE) -> None:
    """Write the figures and the picture in the place of those that are there.

    Args:
        ran: the command.
        report: what it has printed.
        picture: an SVG file; the one of before stays where there is none.
        page: with the two lines in it.
    """
    text = f"{BEGIN}\n`{ran}`:\n\n```\n{report}\n```\n{END}"
    page.write_text(re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: text, page.read_text(), flags=re.DOTALL))
    if picture.exists():
        folder = page.with_suffix("")
        folder.mkdir(exist_ok=True)
        shutil.copy(picture, folder / "day.svg")
