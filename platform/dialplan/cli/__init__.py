"""The commands. Each parses, calls one function of the rooms below, and prints."""

from typing import Any

import click

from dialplan import __version__
from dialplan.cli import calls, doctor, files, new, rehearsals, serving
from dialplan.errors import DialplanError


class _Commands(click.Group):
    """Says what our own errors say, without a traceback: the command cannot do what was asked (exit code 2)."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DialplanError as exc:
            click.echo(f"dialplan: {exc}", err=True)
            ctx.exit(2)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="dialplan")
def main() -> None:
    """Many phone numbers, each answered by a voice agent, each agent one YAML file."""


for _command in (
    serving.serve,
    files.check,
    rehearsals.demo,
    rehearsals.rehearse,
    new.new,
    files.show,
    files.settings,
    files.routes,
    files.schema,
    doctor.doctor,
    calls.calls,
):
    main.add_command(_command)
