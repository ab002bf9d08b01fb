"""The README says what the program does: its tables and examples are held against the source."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import annotated_types
import pytest
from fastapi import FastAPI
from pydantic.fields import FieldInfo

from query_api.app import create_app
from query_api.snapshots.reader import Reader
from schemas.events import decode_hours, decode_polls, decode_zone
from schemas.settings import Settings
from schemas.topics import ALL_TOPICS, POLLS
from scripts.cli import main as cli
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.opening import open_probe
from stream.core.cells import COLUMNS

ROOT: Final = Path(__file__).parents[1]
README: Final = (ROOT / "README.md").read_text()
NOW_MS: Final = 1_700_000_000_000

WORKED_OUT_DEFAULTS: Final = {
    "state": "`~/.local/state/storepulse`",
    "broker": "`log.db` in the state folder",
    "kafka_session_seconds": "60 s",
    "partitions": "1 embedded, 12 on Kafka",
}
"""Defaults that depend on something else."""

BOUNDS: Final = (
    (annotated_types.Ge, "ge", "from {}"),
    (annotated_types.Gt, "gt", "over {}"),
    (annotated_types.Le, "le", "to {}"),
)


def table_under(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    lines = README.split(f"\n## {heading}\n")[1].splitlines()
    start = next(nth for nth, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows[2:]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def setting_row(name: str, field: FieldInfo) -> list[str]:
    plain = "none" if field.default is None else f"`{field.default}`"
    default = WORKED_OUT_DEFAULTS.get(name, plain)
    return [f"`STOREPULSE_{name.upper()}`", default, " ".join(bounds_of(field)), str(field.description)]


def bounds_of(field: FieldInfo) -> Iterator[str]:
    for kind in (field.annotation, *get_args(field.annotation)):
        if get_origin(kind) is Literal:
            yield ", ".join(get_args(kind))
    for bound in field.metadata:
        for bounding, attribute, words in BOUNDS:
            if isinstance(bound, bounding):
                yield words.format(getattr(bound, attribute))


def test_the_table_of_settings_is_that_of_the_program() -> None:
    rows = [setting_row(name, field) for name, field in Settings.model_fields.items()]
    wanted = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    assert table_under("Settings") == rows, f"the table should read:\n{wanted}"


def test_the_exit_codes_are_those_of_the_program() -> None:
    listed = re.search(r"^Exit codes: (.*)\.$", cli.__doc__ or "", re.DOTALL | re.MULTILINE)
    assert listed
    codes = [part.split(maxsplit=1) for part in " ".join(listed[1].split()).split("; ")]
    wanted = "\n".join(f"| {code} | {meaning} |" for code, meaning in codes)
    assert table_under("Exit codes") == codes, f"the table should read:\n{wanted}"


def test_every_command_is_listed() -> None:
    named = [str(re.findall(r"`storepulse ([\w-]+)", row[0])[0]) for row in table_under("Start")]
    commands = [
        command.name or command.callback.__name__
        for command in cli.app.registered_commands
        if command.callback
    ]
    assert named == commands


def test_every_topic_is_named() -> None:
    assert not [topic.name for topic in ALL_TOPICS if f"`{topic.name}`" not in README]


def test_the_columns_of_the_report_are_shown() -> None:
    assert f"\n{','.join(COLUMNS)}\n" in README


@pytest.fixture
def api(tmp_path: Path) -> FastAPI:
    settings = Settings(state=tmp_path)
    return create_app(settings, Reader(settings), open_probe(settings))


def test_every_call_is_listed(api: FastAPI) -> None:
    calls = {
        f"`{method.upper()} {path}`" for path, methods in api.openapi()["paths"].items() for method in methods
    }
    assert {row[0] for row in table_under("HTTP")} == calls


def test_the_examples_of_records_are_accepted() -> None:
    for text in blocks("json"):
        example: dict[str, Any] = json.loads(text)
        key, value = example["store_id"].encode(), text.encode()
        if "hours" in example:
            assert decode_hours(key, value)[1]
        elif "timezone_str" in example:
            assert decode_zone(key, value)[1]
        else:
            polls = decode_polls(key, value, NOW_MS)
            assert polls.codes is not None
            assert len(polls.codes) > 0
            assert not polls.rejects


def test_the_python_example_sends_a_poll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOREPULSE_STATE", str(tmp_path))
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), {})
    with EmbeddedLog(Settings().log_path) as log:
        (record,) = log.read(POLLS, 0, 0, 10, 1000)
    polls = decode_polls(record.key, record.value, record.timestamp_ms)
    assert polls.codes is not None
    assert list(polls.codes) == [1_674_670_440_000_000 * 2]  # 2023-01-25 18:14:00 UTC, inactive
