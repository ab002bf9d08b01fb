"""A report is what the oracle says it is, whole or not there."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings

from query_api.errors import AsOfOutside, NothingPolled
from query_api.reports.report import ReportFacts, check_as_of, write_report
from query_api.snapshots.reader import Reader
from schemas.opening_hours import week_of
from schemas.settings import Settings
from schemas.topics import POLLS
from schemas.values import DAY_US, Poll
from tests.builders import hourly, poll, poll_words, polls, row_texts, rows, utc
from tests.oracle import oracle_report
from tests.profiles import examples
from tests.query_api.tables import Tables
from tests.strategies import Fleet, fleets

NOW_US = utc("2023-02-01")


def made(reader: Reader, path: Path, as_of_us: int | None = None) -> tuple[str, ReportFacts]:
    with reader.snapshot() as snapshot:
        facts = write_report(snapshot, as_of_us, path)
    return path.read_bytes().decode(), facts


def test_a_report_has_the_rows_and_cells_worked_by_hand(
    tables: Tables, reader: Reader, tmp_path: Path
) -> None:
    """Open daily 08:00 to 12:00 UTC; down from 10:15 on Monday; looked back from 11:00.

    hour   10────┬─────11     up 15 min, down 45 min
    day    08────┴─────11     up 2.25 h, down 0.75 h; and Sunday 11 to 12, up
    """
    tables.name("s1", "UTC", week_of(rows("daily 08:00-12:00")))
    tables.add(polls("Mon 10:15 inactive", "Mon 11:00 inactive"))
    text, facts = made(reader, tmp_path / "report.csv")
    assert text == (
        "store_id,uptime_last_hour,downtime_last_hour,uptime_last_day,downtime_last_day,"
        "uptime_last_week,downtime_last_week\n"
        "s1,15.0,45.0,3.25,0.75,27.25,0.75\n"
    )
    assert facts == ReportFacts(utc("2023-01-23 11:00"), 1, {}, {})


@example_settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fleet=fleets(max_stores=5))
def test_every_fleet_gets_the_oracles_report_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, fleet: Fleet
) -> None:
    folder = tmp_path_factory.mktemp("fleet")
    settings = Settings(state=folder)
    tables, reader = Tables(settings, 2), Reader(settings, chunk=2)
    for store_id in fleet.weeks.keys() | fleet.zones.keys():
        tables.name(store_id, fleet.zones.get(store_id), fleet.weeks.get(store_id))
    tables.add(fleet.polls)
    text, _ = made(reader, folder / "report.csv", fleet.as_of_us)
    assert text == oracle_report(*fleet.words(), fleet.as_of_us)
    reader.close()
    tables.close()


def test_days_of_many_changes_are_answered_from_their_day_blocks(
    tables: Tables, reader: Reader, tmp_path: Path
) -> None:
    """A poll a minute, every other one inactive: each day is compacted, and windows begin within days."""
    flapping = [
        Poll(each.store_id, utc("2023-01-16") + number * 60_000_000, each.status)
        for number, each in enumerate(hourly(0, "AI" * 5000))
    ]
    tables.add(flapping)
    tables.add(polls("Mon 10:00 active", store_id="s2"))
    text, _ = made(reader, tmp_path / "report.csv")
    assert text == oracle_report(poll_words([*flapping, *polls("Mon 10:00 active", store_id="s2")]), {}, {})


@pytest.mark.parametrize("chunk", [1, 3, 100])
@pytest.mark.parametrize("partitions", [1, 3])
def test_partitions_and_chunks_change_no_byte(tmp_path: Path, chunk: int, partitions: int) -> None:
    settings = Settings(state=tmp_path)
    tables, reader = Tables(settings, partitions), Reader(settings, chunk)
    week = week_of(rows("Mon-Fri 09:00-12:00 13:00-17:00", "Sat 22:00-02:00"))
    every = []
    for number in range(20):
        tables.name(f"s{number}", "Europe/Berlin", week)
        every += hourly(utc("2023-01-20 00:20") + number, "AAIIA.IA" * 9, f"s{number}")
    tables.add(every)
    text, facts = made(reader, tmp_path / "report.csv")
    ids = [f"s{number}" for number in range(20)]
    expected = oracle_report(
        poll_words(every), dict.fromkeys(ids, row_texts(week)), dict.fromkeys(ids, "Europe/Berlin")
    )
    assert text == expected
    assert facts.stores == 20
    reader.close()
    tables.close()


def test_a_store_known_from_hours_or_zone_alone_has_a_row(
    tables: Tables, reader: Reader, tmp_path: Path
) -> None:
    tables.add(polls("Mon 10:00 active", store_id="polled"))
    tables.name("hours", week=week_of(rows("Sun 00:00-01:00")))
    tables.name("zone", zone="Asia/Tokyo")
    text, _ = made(reader, tmp_path / "report.csv")
    assert [line.split(",")[0] for line in text.splitlines()[1:]] == ["hours", "polled", "zone"]


def test_ids_that_would_break_a_line_are_quoted_and_others_are_not(
    tables: Tables, reader: Reader, tmp_path: Path
) -> None:
    for store_id in ('a"b', "a,b", "a\nb", "a\rb", "a b", "é"):
        tables.add(polls("Mon 10:00 active", store_id=store_id))
    text, _ = made(reader, tmp_path / "report.csv")
    cells = ",60.0,0.0,24.0,0.0,168.0,0.0\n"
    assert text.split("\n", 1)[1] == cells.join(['"a\nb"', '"a\rb"', "a b", '"a""b"', '"a,b"', "é", ""])


def test_the_facts_of_a_report_say_how_far_the_log_was_applied(
    tables: Tables, reader: Reader, tmp_path: Path
) -> None:
    tables.add(polls("Mon 10:00 active"))
    tables.apply(POLLS, 12)
    _, facts = made(reader, tmp_path / "report.csv")
    assert facts.applied == {(POLLS, 0): 12}


def test_without_any_poll_there_is_no_default_to_look_back_from(
    tables: Tables, reader: Reader, tmp_path: Path
) -> None:
    tables.name("s1", "UTC", None)
    with pytest.raises(NothingPolled, match="as_of"):
        made(reader, tmp_path / "report.csv")
    assert not list(tmp_path.glob("*report*"))
    text, _ = made(reader, tmp_path / "report.csv", utc("2023-01-23"))
    assert text.endswith("s1,60.0,0.0,24.0,0.0,168.0,0.0\n")


def test_a_report_that_cannot_be_finished_leaves_the_old_one_as_it_was(
    settings: Settings, tables: Tables, tmp_path: Path
) -> None:
    reader = Reader(settings, chunk=1)
    tables.add([poll("Mon 10:00 active", store_id=store_id) for store_id in "ab"])
    path = tmp_path / "report.csv"
    path.write_text("the old one")
    with reader.snapshot() as snapshot:
        reader.closing.set()
        with pytest.raises(Exception, match="shutting down"):
            write_report(snapshot, NOW_US, path)
    assert path.read_text() == "the old one"
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["report.csv"]
    reader.close()


def test_a_report_takes_the_place_of_an_older_one(tables: Tables, reader: Reader, tmp_path: Path) -> None:
    tables.add(polls("Mon 10:00 active"))
    path = tmp_path / "report.csv"
    path.write_text("the old one")
    text, _ = made(reader, path)
    assert text.startswith("store_id,")


@pytest.mark.parametrize("as_of_us", [utc("2023-01-16 10:00"), utc("2023-01-23 10:00"), NOW_US])
def test_both_ends_of_the_answerable_span_may_be_asked_for(
    tables: Tables, reader: Reader, as_of_us: int
) -> None:
    tables.add(polls("Mon 10:00 active"))
    with reader.snapshot() as snapshot:
        check_as_of(snapshot, as_of_us, NOW_US, retention_days=14)


@pytest.mark.parametrize("as_of_us", [utc("2023-01-16 10:00") - 1, NOW_US + 1])
def test_an_instant_outside_the_answerable_span_is_refused_and_the_span_named(
    tables: Tables, reader: Reader, as_of_us: int
) -> None:
    tables.add(polls("Mon 10:00 active"))
    with (
        reader.snapshot() as snapshot,
        pytest.raises(AsOfOutside, match=r"from 2023-01-16T10:00:00.000000Z to 2023-02-01T00:00:00.000000Z"),
    ):
        check_as_of(snapshot, as_of_us, NOW_US, retention_days=14)


def test_a_longer_retention_reaches_no_further_than_the_polls_that_a_shorter_one_left(
    settings: Settings, tmp_path: Path
) -> None:
    """Kept with 8 days, asked with 30.

    I 1st 09:00 ┊ A 1st 10:00 │ A 8th 12:00 … A 10th 00:00         the first is dropped, the second carried
                  └── 7 days ──┴▶ from the 8th 10:00 on the week is known
    """
    tables = Tables(Settings(state=settings.state, retention_days=8))
    tables.add(polls("2023-01-01 09:00 inactive", "2023-01-01 10:00 active", "2023-01-08 12:00 active"))
    tables.add(polls("2023-01-10 00:00 active"))
    reader = Reader(settings)
    with reader.snapshot() as snapshot:
        check_as_of(snapshot, utc("2023-01-08 10:00"), NOW_US, retention_days=30)
        with pytest.raises(AsOfOutside, match=r"from 2023-01-08T10:00:00.000000Z"):
            check_as_of(snapshot, utc("2023-01-08 10:00") - 1, NOW_US, retention_days=30)
    reader.close()
    tables.close()


def test_a_poll_ahead_of_the_wall_clock_may_be_looked_back_from(tables: Tables, reader: Reader) -> None:
    tables.add(polls("Mon 10:00 active"))
    with reader.snapshot() as snapshot:
        check_as_of(snapshot, utc("2023-01-23 10:00"), utc("2023-01-23 09:58"), retention_days=14)


def test_before_the_first_poll_any_instant_of_the_past_may_be_named(tables: Tables, reader: Reader) -> None:
    with reader.snapshot() as snapshot:
        check_as_of(snapshot, DAY_US, NOW_US, retention_days=14)
        with pytest.raises(AsOfOutside):
            check_as_of(snapshot, NOW_US + 1, NOW_US, retention_days=14)
