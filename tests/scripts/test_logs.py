"""Which lines a long-running command logs at each level, and in which form.

A process of its own each time: logging is set up once a process.
"""

import json
import os
import pty
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")

_SAY: Final = """
import logging, sys, structlog
from scripts.cli.logs import configure_logs

configure_logs(sys.argv[1])
methods = ("debug", "info", "warning", "error")
for name in ("schemas.a", "stream.b.c", "query_api.d", "scripts.e"):
    for method in methods:
        getattr(structlog.get_logger(name), method)(f"{name} {method}", partition=3)
for name in ("faust.app", "aiokafka.conn", "stream.worker.of_faust"):
    for method in methods:
        getattr(logging.getLogger(name), method)("%s %s", name, method)
for logger in (structlog.get_logger("stream.b.c"), logging.getLogger("aiokafka.conn")):
    try:
        raise ValueError("why")
    except ValueError:
        logger.exception("it failed")
"""


def say(level: str, stderr: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _SAY, level], stdout=subprocess.PIPE, stderr=stderr, text=True
    )


@cache
def lines(level: str) -> tuple[dict[str, Any], ...]:
    """What stands on stderr, each line read as JSON, the two errors that were caught last."""
    process = say(level, subprocess.PIPE)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, ""), errors
    return tuple(json.loads(line) for line in errors.splitlines())


def shown(level: str, name: str) -> list[str]:
    said = [line["event"].split() for line in lines(level)[:-2]]
    return [words[1].upper() for words in said if words[0] == name]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["schemas.a", "stream.b.c", "query_api.d", "scripts.e"])
def test_what_we_say_is_shown_from_the_level_on(name: str, level: str) -> None:
    assert shown(level, name) == list(LEVELS[LEVELS.index(level) :])


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("DEBUG", ["DEBUG", "INFO", "WARNING", "ERROR"]),
        ("INFO", ["WARNING", "ERROR"]),
        ("WARNING", ["WARNING", "ERROR"]),
        ("ERROR", ["ERROR"]),
    ],
)
@pytest.mark.parametrize(
    "name",
    ["faust.app", "aiokafka.conn", pytest.param("stream.worker.of_faust", id="Faust under a name of ours")],
)
def test_libraries_are_shown_from_warning_on_unless_all_is(
    name: str, level: str, expected: list[str]
) -> None:
    assert shown(level, name) == expected


def test_a_line_is_an_object_with_its_event_level_time_and_what_belongs_to_it() -> None:
    (ours,) = (line for line in lines("INFO") if line["event"] == "stream.b.c info")
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {"event": "stream.b.c info", "level": "info", "partition": 3}


def test_a_line_of_a_library_has_the_same_form() -> None:
    (theirs,) = (line for line in lines("INFO") if line["event"] == "aiokafka.conn warning")
    assert theirs.pop("timestamp").endswith("Z")
    assert theirs == {"event": "aiokafka.conn warning", "level": "warning"}


def test_an_error_that_we_caught_is_shown_with_its_traceback() -> None:
    ours = lines("INFO")[-2]
    assert (ours["event"], ours["level"]) == ("it failed", "error")
    assert ours["exception"].startswith("Traceback")
    assert ours["exception"].endswith("ValueError: why")


def test_an_error_that_a_library_caught_is_shown_without_one() -> None:
    theirs = lines("INFO")[-1]
    del theirs["timestamp"]
    assert theirs == {"event": "it failed", "level": "error", "error": "ValueError('why')"}


def test_at_debug_a_library_shows_its_traceback_too() -> None:
    assert lines("DEBUG")[-1]["exception"].startswith("Traceback")


def test_on_a_terminal_the_lines_are_plain() -> None:
    terminal, ours = pty.openpty()
    process = say("INFO", ours)
    os.close(ours)
    said = read_terminal(terminal)
    process.communicate(timeout=60)
    line = next(line for line in said.splitlines() if "query_api.d info" in line)
    assert "partition" in line
    assert "{" not in line
    assert any("aiokafka.conn warning" in line for line in said.splitlines())


def read_terminal(terminal: int) -> str:
    """All that is written to a terminal until nobody has it open; a terminal tells of that with an error."""
    said = b""
    try:
        while part := os.read(terminal, 65_536):
            said += part
    except OSError:
        pass
    finally:
        os.close(terminal)
    return said.decode()


@pytest.mark.parametrize("level", ["info", ""])
def test_another_level_is_refused_in_one_sentence(level: str, tmp_path: Path) -> None:
    environment = {**os.environ, "STOREPULSE_LOG_LEVEL": level, "STOREPULSE_STATE": str(tmp_path / "state")}
    ran = subprocess.run(
        [sys.executable, "-m", "scripts.cli.main", "worker"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr == (
        "storepulse: STOREPULSE_LOG_LEVEL: Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'\n"
    )
    assert not (tmp_path / "state").exists()
