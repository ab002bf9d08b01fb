"""`python -m scripts.dev.kafka fetch|start|stop|run`: a broker to develop against.

Owns: arguments, exit codes and what is printed. Must not know: how a broker is run.

Exit codes: 0 done; 1 it could not be done; 2 wrong arguments.
"""

import signal
import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from scripts.dev.kafka.broker import KafkaBroker
from scripts.dev.kafka.configuration import Ports
from scripts.dev.kafka.errors import LocalKafkaError
from scripts.dev.kafka.libs import HOME, fetch

_JAVA_OPTIONS: Final = ("-Xmx1g",)

app = typer.Typer(
    help="One Apache Kafka broker on this machine, without containers. Needs Java 17 and, once, Maven.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Folder = Annotated[Path, typer.Option(help="Its data, settings and logs", show_default=".kafka/data")]
Port = Annotated[
    int, typer.Option(min=1, max=65_533, help="Port for clients; the two after it are the broker's own")
]


@app.command(name="fetch")
def fetch_() -> None:
    """Download Kafka (44 MB), unless it is there."""
    typer.echo(fetch())


@app.command()
def start(*, folder: Folder = HOME / "data", port: Port = 9092) -> None:
    """Start a broker that runs until `stop`."""
    broker = _broker(folder, port)
    broker.start(outlives_us=True)
    _say(broker)


@app.command()
def stop(*, folder: Folder = HOME / "data") -> None:
    """Stop it cleanly."""
    broker = KafkaBroker(folder)
    pid = broker.pid
    if pid is None:
        typer.echo(f"no broker runs in {folder}")
        return
    broker.stop()
    typer.echo(f"stopped process {pid}")


@app.command()
def run(*, folder: Folder = HOME / "data", port: Port = 9092) -> None:
    """Run a broker until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    broker = _broker(folder, port)
    try:
        broker.start()
        _say(broker)
        broker.wait()
    except KeyboardInterrupt:
        typer.echo("stopping", err=True)
    finally:
        broker.stop()


def _broker(folder: Path, port: int) -> KafkaBroker:
    return KafkaBroker(folder, ports=Ports(port, port + 1, port + 2), java_options=_JAVA_OPTIONS)


def _say(broker: KafkaBroker) -> None:
    typer.echo(f"Kafka answers: --broker kafka://{broker.bootstrap} (process {broker.pid}, log {broker.log})")


def main() -> NoReturn:
    """Run the command; an error of ours is one message."""
    try:
        app()
    except LocalKafkaError as error:
        typer.echo(f"kafka: {error}", err=True)
        sys.exit(1)
    sys.exit(0)


if __name__ == "__main__":
    main()
