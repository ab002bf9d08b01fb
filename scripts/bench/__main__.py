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
from scripts.bench.live import measure_live
from scripts.bench.reports import measure_reports
from scripts.bench.rows import Row, table_of
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
}

_WIDTH: Final = 170
"""Of the table, where it goes to a file."""


def run(
    only: Annotated[list[str] | None, typer.Option(help=f"A part: {', '.join(PARTS)}; repeatable")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Times that each thing is measured")] = 5,
    kafka: Annotated[
        str | None, typer.Option(metavar="BOOTSTRAP", help="host:port; default: a broker of its own")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="CSVs; default: ../shared/data/full, or sample data")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the rows to this file too")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Small counts: see that it works")] = False,
) -> None:
    """Measure storepulse beside its peers."""
    if unknown := set(only or ()) - PARTS.keys():
        raise typer.BadParameter(f"no such part: {', '.join(sorted(unknown))}", param_hint="--only")
    console, rows, failed = Console(stderr=True, highlight=False), list[Row](), False
    with tempfile.TemporaryDirectory(prefix="storepulse-bench-") as scratch:
        bench = Bench(runs, quick, Path(scratch), console.print, data, kafka)
        with bench.stack:
            for name in only or PARTS:
                console.print(f"measuring {name} …")
                try:
                    for row in PARTS[name](bench):
                        rows.append(row)
                        console.print("   " + " | ".join(row.cells()), soft_wrap=True)
                except (BenchFailed, ChildEnded, LocalKafkaError) as error:
                    console.print(f"{name} could not be measured: {error}", markup=False)
                    failed = True
    out = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    out.print(table_of(rows, f"{platform.machine()}, {os.cpu_count()} cores, median of {runs} (min–max)"))
    if json is not None:
        as_json(json, [row.kept() for row in rows])
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(run)
