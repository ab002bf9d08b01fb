"""README and docs say what the program does: tables, examples, commands and citations are held against it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import annotated_types
import pytest
import typer
from fastapi import FastAPI
from pydantic.fields import FieldInfo

from query_api.app import create_app
from query_api.snapshots.reader import Reader
from schemas.events.hours import decode_hours
from schemas.events.polls import decode_polls
from schemas.events.zones import decode_zone
from schemas.opening_hours import plain_hours
from schemas.settings import Settings
from schemas.topics import ALL_TOPICS, POLLS
from scripts.cli import main as cli
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.opening import open_probe
from stream.core.cells import COLUMNS
from tests.oracle import report_of_folder

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
README: Final = ROOT / "README.md"
RULES: Final = DOCS / "rules.md"
PAGES: Final = (*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")))
CODE: Final = tuple(
    path
    for package in ("schemas", "stream", "query_api", "scripts", "tests")
    for path in sorted((ROOT / package).rglob("*.py"))
)
MAX_README_LINES: Final = 130
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


def table_under(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    lines = page.read_text().split(f"# {heading}\n")[1].splitlines()
    start = next(nth for nth, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows[2:]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


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
    assert table_under(DOCS / "settings.md", "Settings") == rows, f"the table should read:\n{wanted}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    names = {f"STOREPULSE_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"STOREPULSE_[A-Z_]*[A-Z]\b(?!_)", page.read_text())) <= names


def test_the_exit_codes_are_those_of_the_program() -> None:
    listed = re.search(r"^Exit codes: (.*)\.$", cli.__doc__ or "", re.DOTALL | re.MULTILINE)
    assert listed
    codes = [part.split(maxsplit=1) for part in " ".join(listed[1].split()).split("; ")]
    wanted = "\n".join(f"| {code} | {meaning} |" for code, meaning in codes)
    assert table_under(DOCS / "operations.md", "Exit codes") == codes, f"the table should read:\n{wanted}"


def commands() -> dict[str, set[str]]:
    """The options of each command."""
    program: Any = typer.main.get_command(cli.app)
    return {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in program.commands.items()
    }


def test_every_command_is_listed() -> None:
    rows = table_under(DOCS / "operations.md", "Commands")
    assert [str(re.findall(r"`storepulse ([\w-]+)", row[0])[0]) for row in rows] == list(commands())


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_that_can_be_copied_exist_with_their_options(page: Path) -> None:
    known = commands()
    for line in "".join(blocks(page, "sh")).splitlines():
        for command, options in re.findall(r'(?:^|bin/|&& |exec |")storepulse (\w[\w-]*)([^#&"]*)', line):
            assert command in known, line
            assert set(re.findall(r"--[a-z-]+", options)) <= known[command], line


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_make_is_told_to_do_it_can_do(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "".join(blocks(page, "sh")) + "\n".join(re.findall(r"`(make [^`]*)`", page.read_text()))
    called = re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)
    assert set(called) <= targets


def test_every_topic_is_listed() -> None:
    rows = table_under(DOCS / "topics.md", "Topics")
    assert [row[0] for row in rows] == [f"`{topic.name}`" for topic in ALL_TOPICS]


def test_the_columns_of_the_report_are_shown() -> None:
    assert f"\n{','.join(COLUMNS)}\n" in README.read_text()


@pytest.fixture
def api(tmp_path: Path) -> FastAPI:
    settings = Settings(state=tmp_path)
    return create_app(settings, Reader(settings), open_probe(settings))


def test_every_call_is_listed(api: FastAPI) -> None:
    calls = {
        f"`{method.upper()} {path}`" for path, methods in api.openapi()["paths"].items() for method in methods
    }
    assert {row[0] for row in table_under(DOCS / "http.md", "Calls")} == calls


def test_the_examples_of_records_are_accepted() -> None:
    examples = blocks(DOCS / "topics.md", "json")
    assert len(examples) == 5
    for text in examples:
        example: dict[str, Any] = json.loads(text)
        key, value = example["store_id"].encode(), text.encode()
        if "hours" in example or "weekly" in example:
            assert decode_hours(key, value)[1] != plain_hours(())
        elif "timezone_str" in example:
            assert decode_zone(key, value)[1]
        else:
            polls = decode_polls(key, value, NOW_MS)
            assert polls.packed is not None
            assert len(polls.packed) > 0
            assert not polls.rejects


def test_the_python_example_sends_a_poll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOREPULSE_STATE", str(tmp_path))
    (example,) = blocks(DOCS / "topics.md", "python")
    exec(compile(example, "docs/topics.md", "exec"), {})
    with EmbeddedLog(Settings().log_path) as log:
        (record,) = log.read(POLLS, 0, 0, 10, 1000)
    polls = decode_polls(record.key, record.value, record.timestamp_ms)
    assert polls.packed is not None
    assert list(polls.packed) == [1_674_670_440_000_000 * 2]  # 2023-01-25 18:14:00 UTC, inactive


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_blocks(page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        to = (page.parent / name).resolve() if name else page
        assert to.is_relative_to(ROOT), link
        assert to.exists(), link
        assert not anchor or anchor in anchors(to), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, ahead = set[Path](), [README]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#\s]+\.md|[^)#\s]+/)(?:#[^)]*)?\)", page.read_text())
        pages = [
            each
            for link in links
            if not re.match(r"[a-z]+:", link)
            for to in [(page.parent / link).resolve()]
            for each in (to.glob("*.md") if to.is_dir() else [to])
        ]
        ahead += [each for each in pages if each not in reached]
    assert set(DOCS.rglob("*.md")) <= reached


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", without_blocks(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_module_that_is_named_exists(page: Path) -> None:
    names = set(
        re.findall(r"`((?:schemas|stream|query_api|scripts|tests)(?:\.[a-z_]\w*)+)`", page.read_text())
    )
    assert not {name for name in names if not is_module(name)}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_file_that_is_named_exists(page: Path) -> None:
    names = re.findall(r"`((?:schemas|stream|query_api|scripts|tests|docs)/[\w/.-]+)`", page.read_text())
    assert not [name for name in names if not (ROOT / name).exists()]


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def test_the_walk_of_one_poll_ends_in_the_cells_that_the_rules_give(tmp_path: Path) -> None:
    r"""
    UTC            18:00          18:14                                        19:00
    Chicago        12:00, open    12:14                                        13:00, open
    status         ▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
                   14 min up      46 min down                                  as_of
    """
    walk = (DOCS / "architecture.md").read_text()
    line = "1481966498820158979,inactive,2023-01-25 18:14:00 UTC"
    assert line in walk
    days = "".join(f"1481966498820158979,{day},09:00:00,17:00:00\n" for day in range(7))
    (tmp_path / "store_status.csv").write_text(
        f"store_id,status,timestamp_utc\n{line}\nanother,active,2023-01-25 19:00:00 UTC\n"
    )
    (tmp_path / "menu_hours.csv").write_text(f"store_id,day,start_time_local,end_time_local\n{days}")
    assert "\n1481966498820158979,14.0,46.0," in report_of_folder(tmp_path)
    assert "`14.0` and `46.0` minutes" in walk
    assert f"`[{1_674_670_440_000_000 * 2}]`" in walk


def cited(text: str) -> set[str]:
    """The numbers in `rule 2.4`, `rules 2.3 and 2.4`, `rules 3, 7.1`."""
    runs = re.findall(r"\b[Rr]ules? (\d(?:\.\d+)?(?:(?:, | and )\d(?:\.\d+)?)*)", text)
    return {number for run in runs for number in re.findall(r"\d(?:\.\d+)?", run)}


def test_citations_are_found() -> None:
    assert cited("(rule 2.4) (rules 3, 7.1) by rules 2.3 and 2.10. Rules 6, on cases") == {
        *("2.4", "3", "7.1", "2.3", "2.10", "6")
    }


def test_every_rule_that_is_cited_has_its_number_in_the_rules() -> None:
    numbers = set(re.findall(r"^#+ (\d(?:\.\d+)?)\b", RULES.read_text(), re.MULTILINE))
    wrong = {named(path): cited(path.read_text()) - numbers for path in (*CODE, *PAGES)}
    assert not {path: unknown for path, unknown in wrong.items() if unknown}


def test_nothing_cites_a_document_that_the_repository_lacks() -> None:
    assert not [named(path) for path in (*CODE, *PAGES) if re.search(r"\bSPE[C]\b", path.read_text())]
