"""The command `up`: worker and API as children, and a replay first if data is given.

Owns: starting them, watching them, ending them together. Must not know: what they do.
"""

import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from schemas.atomic_write import remove_parts
from schemas.own_files import check_own
from schemas.settings import Settings
from scripts.cli.listening import listen
from scripts.cli.processes import Child
from scripts.cli.progress import Progress
from scripts.cli.summary import say_summary
from scripts.csv_input import InputFolder, RejectsWriter
from scripts.replay import replay
from stream.brokers.opening import open_sink
from stream.brokers.replay_target import ReplayTarget

_LOOK_SECONDS = 0.2


def run_up(settings: Settings, data: InputFolder | None, progress: Progress) -> None:
    """Run until SIGTERM or SIGINT.

    Raises ChildEnded where a child ends by itself, PortInUse, schemas.own_files.NotOurs, OSError.
    """
    told_to_stop = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        told_to_stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    listen(settings.host, settings.port).close()  # to say that a port is taken before anything starts
    settings.state.mkdir(parents=True, exist_ok=True)
    check_own(_rejects(settings))
    remove_parts(_rejects(settings))
    target = ReplayTarget(settings.state)
    target.clear()
    if data is not None:
        target.begin()
    environment = {
        "STOREPULSE_BROKER": settings.broker,
        "STOREPULSE_STATE": str(settings.state),
        "STOREPULSE_HOST": settings.host,
        "STOREPULSE_PORT": str(settings.port),
    }
    with ExitStack() as stack:
        stack.callback(target.clear)
        stack.callback(remove_parts, _rejects(settings))  # a replay that is cut off leaves one
        children = []
        for name in ("worker", "api"):
            child = Child(name, [name], environment)
            stack.callback(child.stop)
            children.append(child)
        failures: list[Exception] = []
        if data is not None:
            work = (settings, data, progress, target, failures)
            threading.Thread(target=_send, args=work, daemon=True).start()
        while not told_to_stop.wait(_LOOK_SECONDS):
            for child in children:
                child.check()
            if failures:
                raise failures[0]
    progress.say("stopped")


def _send(
    settings: Settings, data: InputFolder, progress: Progress, target: ReplayTarget, failures: list[Exception]
) -> None:
    """Replay in a thread, so that a signal is answered at once; what goes wrong ends the command."""
    try:
        with open_sink(settings) as sink, RejectsWriter(_rejects(settings)) as rejects:
            summary = replay(data, sink, rejects, progress)
        target.reach(summary.positions)
        say_summary(progress, summary, rejects)
    except Exception as error:
        failures.append(error)


def _rejects(settings: Settings) -> Path:
    """Where bad lines go; from the command line nobody names this file, so it must be our own."""
    return settings.state / "rejects.csv"
