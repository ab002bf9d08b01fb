"""`python -m scripts.bench`: one table, in one run, on one machine.

Owns: arguments, which parts there are, and what is printed. Must not know: how a part measures.

Exit codes: 0 measured, whether or not targets are met; 1 something could not be measured; 2 wrong arguments.
"""

import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from scripts.bench.backlog import measure_backlog
from scripts.bench.bench import Bench, Part
from scripts.bench.bulk import measure_bulk
from scripts.bench.growth import measure_growth
from scripts.bench.live import measure_live
from scripts.bench.million import measure_million
from scripts.bench.neighbours import Neighbours
from scripts.bench.on_kafka import measure_kafka
from scripts.bench.reports import measure_reports
from scripts.bench.rows import Row, markdown_of, table_of
from scripts.bench.service import BenchFailed, as_json
from scripts.bench.sizes import measure_sizes
from scripts.kafka.errors import LocalKafkaError
from scripts.processes import ChildEnded

PARTS: Final[dict[str, Part]] = {
    "reports": measure_reports,
    "bulk": measure_bulk,
    "backlog": measure_backlog,
    "live": measure_live,
    "sizes": measure_sizes,
    "kafka": measure_kafka,
    "million": measure_million,
    "growth": measure_growth,
}

_WIDTH: Final = 170
"""Of the table, where it goes to a file."""


def run(
    only: Annotated[list[str] | None, typer.Option(help=f"A part: {', '.join(PARTS)}; repeatable")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Times that each thing is measured")] = 5,
    *,
    kafka: Annotated[
        str | None, typer.Option(metavar="BOOTSTRAP", help="host:port; default: a broker of its own")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="CSVs; default: ../shared/data/full, or sample data")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table to this file too, in Markdown")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the rows to this file too")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small counts: see that it works")] = False,
) -> None:
    """Measure storepulse beside its peers."""
    if unknown := set(only or ()) - PARTS.keys():
        raise typer.BadParameter(f"no such part: {', '.join(sorted(unknown))}", param_hint="--only")
    neighbours = Neighbours()
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="storepulse-bench-") as scratch:
        bench = Bench(runs, quick, Path(scratch), console.print, data, kafka)
        rows = measured(bench, only or list(PARTS))
    title = (
        f"{platform.machine()}, {os.cpu_count()} cores, of which other programs took {neighbours.cores():.2g}; "
        f"median of {runs} (min–max)"
    )
    out = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    out.print(table_of(rows, title))
    if markdown is not None:
        markdown.write_text(f"{title}\n\n{markdown_of(rows)}")
    if json is not None:
        as_json(json, [row.kept() for row in rows])
    sys.exit(1 if bench.incomplete else 0)


def measured(bench: Bench, parts: list[str]) -> list[Row]:
    """The rows of some parts; one that fails is told of, and the next one is measured."""
    rows = list[Row]()
    with bench.stack:
        for name in parts:
            bench.say(f"measuring {name} …")
            try:
                for row in PARTS[name](bench):
                    rows.append(row)
                    bench.say("   " + " | ".join(row.cells()))
            except (BenchFailed, ChildEnded, LocalKafkaError) as error:
                bench.miss(name, error)
    return rows


if __name__ == "__main__":
    typer.run(run)
