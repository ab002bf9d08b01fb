"""menu_hours.csv with dates, special_days.csv and closures.csv: what a folder says of when its stores are open."""

from pathlib import Path

import pytest

from schemas.opening_hours import Closure, DatedWeek, HoursRow, SpecialDay, StoreHours, parse_date
from schemas.values import HOUR_US, RejectReason, StoreId
from scripts.csv_input import HoursMissing, NearlyNamed, Reject, find_input
from scripts.csv_input.all_hours import read_all_hours
from tests.builders import utc

POLLS = "store_id,status,timestamp_utc\n"
HOURS = "store_id,day,start_time_local,end_time_local,valid_from\n"
SPECIAL = "store_id,date,start_time_local,end_time_local,reason\n"
CLOSURES = "store_id,from_utc,to_utc,reason\n"
NINE_TO_FIVE = HoursRow(0, 9 * HOUR_US, 17 * HOUR_US)
TEN_TO_NOON = (10 * HOUR_US, 12 * HOUR_US)
CHRISTMAS = parse_date("2024-12-25")
CUT = Closure(utc("2024-05-01 10:00"), utc("2024-05-01 12:00"), "power cut")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "store_status.csv").write_text(POLLS)
    (tmp_path / "menu_hours.csv").write_text(HOURS)
    return tmp_path


def hours_of(folder: Path, *others: str, rejects: list[Reject] | None = None) -> dict[str, StoreHours]:
    found = read_all_hours(
        find_input(folder), lambda: map(StoreId, others), ([] if rejects is None else rejects).append
    )
    return {str(store_id): hours for store_id, hours in found.hours.items()}


def test_rows_with_a_date_hold_from_it_on_and_rows_without_for_all_time(folder: Path) -> None:
    (folder / "menu_hours.csv").write_text(
        HOURS + "a,0,09:00:00,17:00:00,\na,0,10:00:00,12:00:00,2024-03-01\nb,0,10:00:00,12:00:00,2024-03-01\n"
    )
    dated = DatedWeek(parse_date("2024-03-01"), (HoursRow(0, *TEN_TO_NOON),))
    assert hours_of(folder) == {
        "a": StoreHours((DatedWeek(None, (NINE_TO_FIVE,)), dated)),
        "b": StoreHours((dated,)),
    }


def test_a_row_whose_date_is_none_is_turned_away_and_its_store_is_named(folder: Path) -> None:
    (folder / "menu_hours.csv").write_text(
        HOURS + "a,0,09:00:00,17:00:00,soon\na,1,09:00:00,17:00:00,2024-02-30\na,2,09:00:00,17:00:00, \n"
    )
    rejects: list[Reject] = []
    found = read_all_hours(find_input(folder), tuple, rejects.append)
    assert [(each.line, each.reason) for each in rejects] == [
        (2, RejectReason.BAD_DATE),
        (3, RejectReason.BAD_DATE),
    ]
    assert found.stores_with_bad_rows == {"a"}
    assert [week.valid_from for week in found.hours[StoreId("a")].weekly] == [None]


def test_a_special_day_has_the_rows_of_its_date_and_none_where_it_is_closed(folder: Path) -> None:
    """Rows with times outweigh one that says closed."""
    (folder / "special_days.csv").write_text(
        SPECIAL
        + "a,2024-12-25,,,Christmas\na,2024-12-24,10:00:00,12:00:00,\na,2024-12-24,,,eve\n"
        + "a,2024-12-24,10:00:00,12:00:00,again\n"
    )
    assert hours_of(folder) == {
        "a": StoreHours(
            special_days=(
                SpecialDay(CHRISTMAS - 1, (TEN_TO_NOON,), "eve"),
                SpecialDay(CHRISTMAS, (), "Christmas"),
            )
        )
    }


def test_one_empty_time_is_a_bad_row(folder: Path) -> None:
    (folder / "special_days.csv").write_text(
        SPECIAL + "a,2024-12-25,09:00:00,,x\na,2024-12-25,,09:00:00,x\na,25.12.2024,,,x\n"
    )
    rejects: list[Reject] = []
    assert hours_of(folder, rejects=rejects) == {}
    assert [each.reason for each in rejects] == 2 * [RejectReason.BAD_HOURS] + [RejectReason.BAD_DATE]


def test_a_star_means_every_store_that_another_file_names_and_a_stores_own_rows_replace_it(
    folder: Path,
) -> None:
    (folder / "menu_hours.csv").write_text(HOURS + "a,0,09:00:00,17:00:00,\n")
    (folder / "special_days.csv").write_text(SPECIAL + "*,2024-12-25,,,\nc,2024-12-25,10:00:00,12:00:00,\n")
    (folder / "closures.csv").write_text(
        CLOSURES + "*,2024-05-01 10:00:00 UTC,2024-05-01T12:00:00Z,power cut\nd,2024-05-01,2024-05-02,\n"
    )
    closed, open_ = SpecialDay(CHRISTMAS, ()), SpecialDay(CHRISTMAS, (TEN_TO_NOON,))
    own = Closure(utc("2024-05-01"), utc("2024-05-02"))
    assert hours_of(folder, "b", "c") == {
        "a": StoreHours((DatedWeek(None, (NINE_TO_FIVE,)),), (closed,), (CUT,)),
        "b": StoreHours((), (closed,), (CUT,)),
        "c": StoreHours((), (open_,), (CUT,)),
        "d": StoreHours((), (), (own,)),
    }


def test_a_closure_that_ends_before_it_begins_is_a_bad_row(folder: Path) -> None:
    (folder / "closures.csv").write_text(CLOSURES + "a,2024-05-02,2024-05-01,\na,2024-05-01,2024-05-01,\n")
    rejects: list[Reject] = []
    assert hours_of(folder, rejects=rejects) == {}
    assert [each.reason for each in rejects] == 2 * [RejectReason.BAD_CLOSURE]


@pytest.mark.parametrize("name", ["special_days.csv", "closures.csv"])
def test_special_days_and_closures_without_weekly_hours_are_refused(folder: Path, name: str) -> None:
    (folder / name).write_text(SPECIAL if name == "special_days.csv" else CLOSURES)
    assert hours_of(folder) == {}, "a menu_hours.csv with its header alone says it on purpose"
    (folder / "menu_hours.csv").unlink()
    with pytest.raises(HoursMissing, match="would make every store open all day"):
        hours_of(folder)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Menu-Hours.csv", "menu_hours.csv"),
        ("menuhours.csv.gz", "menu_hours.csv"),
        ("closure.csv", "closures.csv"),
        ("time zones.CSV", "timezones.csv"),
        ("timezon.csv", "timezones.csv"),
        ("special_day.csv.zst", "special_days.csv"),
        ("stroe_status.csv", "store_status.csv"),
    ],
)
def test_a_name_that_is_nearly_one_of_ours_is_an_error_that_says_which(
    folder: Path, name: str, meant: str
) -> None:
    (folder / name).write_text("x\n")
    with pytest.raises(NearlyNamed, match=f"If {meant} is meant"):
        find_input(folder)


def test_other_csvs_are_named_as_not_read(folder: Path) -> None:
    for name in ("report.csv", "hours.csv", "notes.txt", "b.csv.gz"):
        (folder / name).write_text("x\n")
    (folder / "more.csv").mkdir()
    assert find_input(folder).unread == ("b.csv.gz", "hours.csv", "report.csv")
