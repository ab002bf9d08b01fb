"""The `storepulse` command.

Owns: arguments, exit codes and what is printed. Must not know: how anything is done; each command is a few
calls. Exit codes: 0 done; 1 a bad line under --strict; 2 wrong arguments; 3 input cannot be read; 4 broker
or state cannot be used; 5 a part ended by itself; 130 interrupted.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from schemas.settings import Settings

app = typer.Typer(
    help="How long was each store up and down, inside its own business hours: exactly, at any moment.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

EXIT_STRICT: Final = 1
EXIT_INPUT: Final = 3
EXIT_STATE: Final = 4
EXIT_ENDED: Final = 5
EXIT_INTERRUPTED: Final = 130

Broker = Annotated[
    str | None,
    typer.Option(help="embedded:///path/to/log.db or kafka://host:9092 [env: STOREPULSE_BROKER]"),
]
State = Annotated[
    Path | None, typer.Option(help="Folder of tables, embedded log and reports [env: STOREPULSE_STATE]")
]


@app.command(epilog="Example: storepulse worker --state /var/lib/storepulse")
def worker(broker: Broker = None, state: State = None) -> None:
    """Run a worker: polls become ledgers."""
    from scripts.processes import follow_parent
    from stream.app import run_worker

    follow_parent()
    run_worker(_settings(broker=broker, state=state))


@app.command(name="replay", epilog="Example: storepulse replay ./data --speed 60")
def replay_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with store_status.csv")],
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Times real time, one poll a record; default: bulk")
    ] = None,
    strict: Annotated[bool, typer.Option(help="Stop at the first bad line, with exit code 1")] = False,
    rejects: Annotated[Path | None, typer.Option(help="Write bad lines to this CSV file")] = None,
    broker: Broker = None,
    state: State = None,
) -> None:
    """Send a folder of CSVs to the topics."""
    from scripts.csv_input import RejectsWriter, find_input
    from scripts.progress import Progress
    from scripts.replay import replay
    from scripts.sinks import open_sink

    settings = _settings(broker=broker, state=state)
    with (
        Progress() as progress,
        RejectsWriter(rejects, strict=strict) as writer,
        open_sink(settings) as sink,
    ):
        summary = replay(find_input(folder), sink, writer, progress, speed)
        progress.say(str(summary.polls))


def _settings(**options: Any) -> Settings:
    return Settings(**{name: value for name, value in options.items() if value is not None})


def main() -> NoReturn:
    """Run the command and exit with its code."""
    app()
    sys.exit(0)


if __name__ == "__main__":
    main()
