"""`python -m scripts.dev.bench`: one table, in one run, on one machine.

    python -m scripts.dev.bench                  storepulse beside its peers, part by part
    python -m scripts.dev.bench --beside DIR     this revision and that of another work tree, by turns

Owns: arguments, which parts there are, and what is printed. Must not know: how a part measures.

Exit codes: 0 measured, whether or not targets are met; 1 something could not be measured; 2 wrong arguments.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from scripts.cli.processes import ChildEnded
from scripts.dev.bench.backlog import measure_backlog
from scripts.dev.bench.bench import Bench, Part
from scripts.dev.bench.beside import MEASURES, parts_beside
from scripts.dev.bench.bulk import measure_bulk
from scripts.dev.bench.compared import columns
from scripts.dev.bench.growth import measure_growth
from scripts.dev.bench.live import measure_live
from scripts.dev.bench.million import measure_million
from scripts.dev.bench.neighbours import Neighbours
from scripts.dev.bench.on_kafka import measure_kafka
from scripts.dev.bench.reports import measure_reports
from scripts.dev.bench.revision import OURS, Revision, revision_in
from scripts.dev.bench.rows import COLUMNS, Printed, markdown_of, table_of
from scripts.dev.bench.service import BenchFailed, as_json
from scripts.dev.bench.sizes import measure_sizes
from scripts.dev.kafka.errors import LocalKafkaError

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
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="One that --list names; repeatable")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Times that each thing is measured")] = 5,
    *,
    beside: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Compare with the revision in that work tree, by turns"),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name what can be measured, and end")] = False,
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
    """Measure storepulse beside its peers, or beside another revision of itself."""
    if list_:
        print(f"beside its peers: {', '.join(PARTS)}\nwith --beside: {', '.join(MEASURES)}")
        return
    parts, heads = (PARTS, COLUMNS) if beside is None else _comparison(_revision(beside))
    if unknown := set(only or ()) - parts.keys():
        raise typer.BadParameter(f"no such part: {', '.join(sorted(unknown))}", param_hint="--only")
    neighbours = Neighbours()
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="storepulse-bench-") as scratch:
        bench = Bench(runs, quick, Path(scratch), console.print, data, kafka)
        rows = measured(bench, {name: parts[name] for name in only or parts})
    title = f"{neighbours.machine()}; median of {runs} (min–max)"
    out = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    out.print(table_of(rows, title, heads))
    if markdown is not None:
        markdown.write_text(f"{title}\n\n{markdown_of(rows, heads)}")
    if json is not None:
        as_json(json, [row.kept() for row in rows])
    sys.exit(1 if bench.incomplete else 0)


def measured(bench: Bench, parts: Mapping[str, Part]) -> list[Printed]:
    """The rows of some parts; one that fails is told of, and the next one is measured."""
    rows = list[Printed]()
    with bench.stack:
        for name, part in parts.items():
            bench.say(f"measuring {name} …")
            try:
                for row in part(bench):
                    rows.append(row)
                    bench.say("   " + " | ".join(row.cells()))
            except (BenchFailed, ChildEnded, LocalKafkaError) as error:
                bench.miss(name, error)
    return rows


def _revision(folder: Path) -> Revision:
    try:
        return revision_in(folder)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error), param_hint="--beside") from error


def _comparison(theirs: Revision) -> tuple[dict[str, Part], tuple[str, ...]]:
    """What is measured of both revisions, and the heads of the table."""
    return parts_beside(theirs), columns(f"ours, {OURS.name}", f"theirs, {theirs.name}")


if __name__ == "__main__":
    typer.run(run)
