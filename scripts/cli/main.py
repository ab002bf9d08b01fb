"""The `storepulse` command.

Owns: arguments, exit codes and what is printed. Must not know: how anything is done; each command is a few
calls. Results go to stdout or a file, everything else to stderr.

Exit codes: 0 done; 1 a bad line under --strict; 2 wrong arguments or settings; 3 the input cannot be read;
4 broker, state folder, port or output cannot be used, or the disk is full; 5 a part ended by itself;
6 no exact report can be made; 70 a bug, please report it; 130 interrupted in the middle of work;
143 told to stop by SIGTERM in the middle of work.
"""

import gc
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final, NoReturn

import typer

from schemas.report_columns import Extra
from schemas.settings import Settings
from schemas.topics import ALL_TOPICS
from schemas.values import Rejected, parse_timestamp
from scripts.cli.outputs import Output, outputs
from scripts.cli.processes import follow_parent, worker_of
from scripts.cli.progress import Progress
from scripts.csv_input import RejectsWriter, find_input

_BUG: Final = 70
_TERMINATED: Final = 143

app = typer.Typer(
    help="How long was each store up and down, inside its own business hours: exactly, at any moment.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """What a report is written as."""

    CSV = "csv"


Broker = Annotated[
    str | None, typer.Option(help="embedded:///path/to/log.db or kafka://host:9092 [env: STOREPULSE_BROKER]")
]
State = Annotated[
    Path | None, typer.Option(help="Folder of tables, embedded log and reports [env: STOREPULSE_STATE]")
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first bad line, with exit code 1")]
Rejects = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write bad lines to this CSV file; -: standard output")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on [env: STOREPULSE_HOST]")]
Port = Annotated[int | None, typer.Option(help="Port to listen on [env: STOREPULSE_PORT]")]


@app.command(epilog="Example: storepulse report --data ./data --out report.csv")
def report(
    *,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder with store_status.csv")],
    out: Annotated[
        str,
        typer.Option(metavar="FILE", help="The report; appears whole or not at all; -: standard output"),
    ],
    as_of: Annotated[str | None, typer.Option(help="Instant to look back from; default: latest poll")] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Columns to add behind the others: confidence, bounds, or both"),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="Format of the report")] = Format.CSV,
    strict: Strict = False,
    rejects: Rejects = None,
    broker: Broker = None,
    state: State = None,
) -> None:
    """CSVs in, report out; nothing to start first."""
    as_of_us, extras = None if as_of is None else _instant(as_of), _extras(columns)
    found = find_input(data)
    with ExitStack() as stack:
        kept = state
        if kept is None:
            kept = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="storepulse-")))
        settings = _settings(broker=broker or f"embedded://{kept.absolute() / 'log.db'}", state=kept)
        places = outputs({"--out": out, "--rejects": rejects}, [*found.names, settings.log_path])
        child = stack.enter_context(worker_of(settings))
        if state is None and settings.is_embedded:
            stack.callback(child.kill)  # what it would tidy up goes with the temporary folder

        from scripts.cli.report import make_report  # while the worker starts
        from scripts.cli.summary import say_summary

        progress = stack.enter_context(Progress())
        writer = stack.enter_context(_rejects_writer(places, strict=strict))
        with places["--out"].path() as path:
            summary, facts = make_report(
                settings,
                child,
                found,
                path,
                as_of_us,
                extras=extras,
                rejects=writer,
                progress=progress,
            )
        say_summary(progress, summary, writer)
        progress.say(f"{places['--out']}: {facts.stores:,} stores")


@app.command(epilog="Example: storepulse up --data ./data --port 8000")
def up(
    *,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Replay this folder first")] = None,
    host: Host = None,
    port: Port = None,
    broker: Broker = None,
    state: State = None,
) -> None:
    """Worker and API together; Ctrl-C ends both."""
    from scripts.cli.up import run_up

    settings = _settings(host=host, port=port, broker=broker, state=state)
    with Progress() as progress:
        run_up(settings, find_input(data) if data else None, progress)


@app.command(name="replay", epilog="Example: storepulse replay ./data --speed 60")
def replay_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with store_status.csv")],
    *,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Times real time, one poll a record; default: bulk")
    ] = None,
    strict: Strict = False,
    rejects: Rejects = None,
    broker: Broker = None,
    state: State = None,
) -> None:
    """Send a folder of CSVs to the topics."""
    from scripts.cli.summary import say_summary
    from scripts.replay import replay
    from stream.brokers.opening import open_sink

    settings, found = _settings(broker=broker, state=state), find_input(folder)
    places = outputs({"--rejects": rejects}, [*found.names, settings.log_path])
    with (
        Progress() as progress,
        _rejects_writer(places, strict=strict) as writer,
        open_sink(settings) as sink,
    ):
        say_summary(progress, replay(found, sink, writer, progress, speed), writer)


@app.command(epilog="Example: storepulse worker --state /var/lib/storepulse")
def worker(*, broker: Broker = None, state: State = None) -> None:
    """Run a worker: polls become exact uptime, store by store."""
    from stream.worker.app import run_worker

    settings = _settings(broker=broker, state=state)
    follow_parent()
    run_worker(settings)


@app.command(epilog="Example: storepulse api --host 0.0.0.0 --port 8000")
def api(*, host: Host = None, port: Port = None, broker: Broker = None, state: State = None) -> None:
    """Run the query API on the tables of a worker."""
    from scripts.cli.serve import serve_api

    settings = _settings(host=host, port=port, broker=broker, state=state)
    follow_parent()
    serve_api(settings)


@app.command(epilog="Example: storepulse replica --broker kafka://localhost:9092")
def replica(*, broker: Broker = None, state: State = None) -> None:
    """Fill the tables from the changelog, for an API on a host without a worker (Kafka only)."""
    from stream.tables.replica import run_replica

    settings = _settings(broker=broker, state=state)
    if settings.is_embedded:
        raise typer.BadParameter(
            "a replica follows Kafka; beside an embedded log run a worker", param_hint="--broker"
        )
    follow_parent()
    run_replica(settings)


@app.command(epilog="Example: storepulse topics --broker kafka://localhost:9092")
def topics(*, broker: Broker = None, state: State = None) -> None:
    """Declare the topics, and list them with their partitions and clean-up."""
    import asyncio

    from stream.brokers.topics import declare_topics

    partitions = asyncio.run(declare_topics(_settings(broker=broker, state=state)))
    for spec in ALL_TOPICS:
        typer.echo(f"{spec.name}\t{partitions} partitions\t{spec.cleanup}")


@app.command(epilog="Example: storepulse sample ./data --stores 1000 --days 8")
def sample(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Folder to write the CSVs to")],
    *,
    stores: Annotated[int, typer.Option(min=1, help="Stores")] = 1000,
    days: Annotated[int, typer.Option(min=1, help="Days of polls")] = 8,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace the files of an earlier one")] = False,
) -> None:
    """Write a realistic sample data set; without --force, only where it replaces nothing (else exit code 4)."""
    from scripts.sample import check_free, write_sample

    if not force:
        check_free(out_dir)
    write_sample(out_dir, stores=stores, days=days, seed=seed)
    typer.echo(f"{out_dir}: {stores:,} stores, {days:,} days")


@app.command(epilog="Example: storepulse backup /var/backups/monday --state /var/lib/storepulse")
def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The copy; must not exist, or be empty")],
    *,
    broker: Broker = None,
    state: State = None,
) -> None:
    """Copy the state folder while all goes on; the copy opens as `--state DIR`.

    Prints topic, partition and the offset before which the copy has all records. Exit code 4 where there is
    nothing to copy, no room, or a table that is being restored; then nothing is left behind.
    """
    from scripts.operations.backup import back_up

    settings = _settings(broker=broker, state=state)
    made = back_up(settings, folder)
    for topic, partitions in made.positions.items():
        for partition, offset in partitions.items():
            typer.echo(f"{topic}\tpartition {partition}\t{offset}")
    typer.echo(f"{folder}: tables and reports, exact as of these offsets", err=True)
    if not settings.is_embedded:
        typer.echo(
            "the log is Kafka's and not in it; nor are the tables of other hosts, but any worker rebuilds them",
            err=True,
        )


@app.command(name="accept-loss", epilog="Example: storepulse accept-loss --state /var/lib/storepulse")
def accept_loss(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
    broker: Broker = None,
    state: State = None,
) -> None:
    """Accept that records are lost, in all partitions: what is left is then called whole again.

    Prints the losses that the tables of this host tell of, and where the acceptance was sent. Exit code 4 where
    broker or tables cannot be used; then some partitions may have it already, and sending it again does no harm.
    """
    import msgspec

    from scripts.operations.accept_loss import accept_losses, lines_of

    settings = _settings(broker=broker, state=state)
    acceptance = accept_losses(settings)
    if as_json:
        typer.echo(msgspec.json.encode(acceptance))
        return
    for line in lines_of(acceptance, settings):
        typer.echo(line)


@contextmanager
def _rejects_writer(places: Mapping[str, Output], *, strict: bool) -> Iterator[RejectsWriter]:
    with ExitStack() as stack:
        place = places.get("--rejects")
        path = None if place is None else stack.enter_context(place.path())
        yield stack.enter_context(RejectsWriter(path, strict=strict))


def _settings(**options: Any) -> Settings:
    """What all commands begin with: their settings, and logs on stderr. Raises pydantic.ValidationError."""
    from scripts.cli.logs import configure_logs

    settings = Settings(**{name: value for name, value in options.items() if value is not None})
    configure_logs(settings.log_level)
    return settings


def _extras(text: str | None) -> frozenset[Extra]:
    """The kinds of columns in `confidence,bounds`. Raises typer.BadParameter."""
    try:
        return frozenset(Extra(name.strip()) for name in (text or "").split(",") if name.strip())
    except ValueError:
        known = ", ".join(Extra)
        raise typer.BadParameter(f"{text!r} is none of {known}, or several with commas") from None


def _instant(text: str) -> int:
    try:
        return parse_timestamp(text)
    except Rejected as reject:
        raise typer.BadParameter(str(reject), param_hint="--as-of") from None


def main() -> NoReturn:
    """Run the command; an error that users can do something about is one message and an exit code."""
    signal.signal(signal.SIGTERM, _end)  # until a long-running command sets its own
    try:
        app()
    except SystemExit:
        raise
    except BaseException as error:
        from scripts.cli.exits import exit_code, explained

        code = exit_code(error)
        if code is None:
            traceback.print_exc()
            sys.exit(_BUG)
        typer.echo(f"storepulse: {explained(error)}", err=True)
        sys.exit(code)
    finally:
        gc.freeze()  # else Python would look for cycles in all there is, for a tenth of a second, and then go
    sys.exit(0)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """Leave by the way of an error, so that temporary folders and children go."""
    sys.exit(_TERMINATED)


if __name__ == "__main__":
    main()
