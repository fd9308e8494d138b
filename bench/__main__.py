"""`python -m bench` measures; `python -m bench report FILE` makes tables and pictures of what was measured.

Results are added to the file after each experiment, so they may be gathered in several sittings.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import uvloop

from bench import experiments, files, report, servers
from bench.calls import Service
from bench.experiments import EXPERIMENTS, Plan
from bench.measure import Bench

PACKAGES = ("dialplan", "uvicorn", "websockets", "uvloop", "picows", "starlette")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Ratios only, at 50 calls, in under a minute.")
@click.option("--only", multiple=True, type=click.Choice(list(EXPERIMENTS)), help="This experiment; may be repeated.")
@click.option(
    "--repeats", default=3, show_default=True, type=click.IntRange(1), help="How often; medians are reported."
)
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(1), help="Of each measured window.")
@click.option(
    "--minutes",
    default=experiments.ENDURANCE_MINUTES,
    show_default=True,
    type=click.FloatRange(0),
    help="How long calls follow one another in the experiment `endurance`.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A JSON file that results are added to.")
@click.option("--pipecat-python", metavar="PATH", help="An interpreter that has pipecat, to compare with it too.")
@click.pass_context
def main(
    context: click.Context,
    quick: bool,
    only: Sequence[str],
    repeats: int,
    seconds: float,
    minutes: float,
    out: Path | None,
    pipecat_python: str | None,
) -> None:
    """What a call costs, beside other bridges: everything that bench/experiments.py asks, in half an hour or so."""
    if context.invoked_subcommand is None:
        uvloop.run(_measure(quick, only or tuple(EXPERIMENTS), repeats, seconds, minutes, out, pipecat_python))


@main.command("report")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--page", default=Path("docs/performance.md"), show_default=True, type=click.Path(path_type=Path))
def write_report(file: Path, page: Path) -> None:
    """Put the tables onto the page, and draw the pictures beside it as SVG."""
    from bench import plots  # matplotlib takes its time, and measuring does not need it.

    results = json.loads(file.read_text())
    page.write_text(report.on_page(page.read_text(), report.tables(results)))
    for path in (page, *plots.draw(results, page.with_suffix(""))):
        click.echo(f"wrote {path}", err=True)


@main.command("files")
@click.option("--agents", default=1000, show_default=True, type=click.IntRange(1), help="How many.")
@click.option(
    "--repeats", default=3, show_default=True, type=click.IntRange(1), help="How often; medians are reported."
)
def measure_files(agents: int, repeats: int) -> None:
    """What many agent files cost: to check, to reload one, to find who answers."""
    click.echo(files.tables(files.measure(agents, repeats)))


async def _measure(
    quick: bool,
    only: Sequence[str],
    repeats: int,
    seconds: float,
    minutes: float,
    out: Path | None,
    pipecat_python: str | None,
) -> None:
    service = Service()
    async with service.listening():
        bench = Bench(service, seconds)
        pipecat = _pipecat(pipecat_python)
        bridges = [servers.PRODUCT, servers.BARE, servers.TEXTBOOK]
        if pipecat:
            bridges.append(servers.pipecat(pipecat_python or sys.executable))
        plan = Plan(bench, bridges, repeats, lambda text: click.echo(text, err=True), minutes)
        if quick:
            rows = await experiments.quick(plan)
            _save({"machine": _machine(), "quick": rows}, out)
            click.echo(report.quick(rows))
            return
        results = json.loads(out.read_text()) if out is not None and out.exists() else {}
        results["machine"] = results.get("machine", {}) | _machine() | ({"pipecat": pipecat} if pipecat else {})
        for name in only:
            results[name] = await EXPERIMENTS[name](plan, results)
            _save(results, out)
    click.echo(report.tables(results))


def _pipecat(python: str | None) -> str:
    """The version of Pipecat that can be compared with; empty where there is none."""
    asked = "import pipecat.workers.runner, fastapi, importlib.metadata as m; print(m.version('pipecat-ai'))"
    found = subprocess.run([python or sys.executable, "-c", asked], capture_output=True, text=True)
    if found.returncode and python:
        raise click.UsageError(f"{python} has no pipecat of a version that this benchmark knows")
    return found.stdout.split()[-1] if found.returncode == 0 else ""


def _machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _save(results: dict[str, Any], out: Path | None) -> None:
    if out is not None:
        out.write_text(json.dumps(_rounded(results), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    """To what was measured: a tenth of a microsecond, where times are in milliseconds."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


if __name__ == "__main__":
    main(prog_name="python -m bench")
