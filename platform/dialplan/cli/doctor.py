"""`doctor`: why calls do not come in."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from dialplan import log
from dialplan.cli.project import loaded, read_dotenv, root_option
from dialplan.errors import ConfigError
from dialplan.server.doctor import examination, findings
from dialplan.server.doctor.examination import Examination
from dialplan.server.doctor.findings import Finding


@click.command()
@root_option
@click.option("--fix", is_flag=True, help="Show what would be set at Twilio's numbers, ask, and set it.")
@click.option("--yes", is_flag=True, help="With --fix: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def doctor(root: Path, fix: bool, yes: bool, as_json: bool) -> None:
    """Find out why calls do not come in.

    Looks at Python and packages, the files, Deepgram's keys, the Twilio account, the public URL, and where each Twilio
    number points. Nothing is changed, unless --fix is given. Exit code 1 when something is wrong.
    """
    if fix and as_json:
        raise click.UsageError("--json only looks; it cannot be had with --fix")
    if yes and not fix:
        raise click.UsageError("--yes is for --fix")
    log.configure("WARNING")
    read_dotenv(root)
    loading = loaded(root)
    if sys.stderr.isatty():
        click.echo("Looking at keys, numbers and the public URL; this takes up to half a minute.", err=True)
    examined = examination.examine(loading, os.environ)
    found = examined.all_findings()
    click.echo(findings.as_json(found) if as_json else findings.as_text(found))
    if fix:
        found = [*examined.findings, *examined.judgement.findings, *_fixed(examined, yes)]
        click.echo(findings.summary(found))
    sys.exit(1 if findings.any_wrong(found) else 0)


def _fixed(examined: Examination, yes: bool) -> Sequence[Finding]:
    """Shows the plan, asks, and sets it: the findings on those numbers, by then."""
    if examined.judgement.unseen:
        raise ConfigError(f"nothing can be set: {examined.judgement.unseen}")
    if not examined.judgement.corrections:
        click.echo("\nThere is nothing to set.\n")
        return ()
    click.echo("\n" + examined.plan())
    if not yes and not sys.stdin.isatty():
        raise ConfigError("nothing was set: here is nobody to ask; --yes sets it without asking")
    if not yes and not click.confirm("Set it?"):
        return examined.judgement.all_findings()
    done = examination.fix(examined)
    click.echo(f"\n{findings.in_groups(done)}\n")
    return done
