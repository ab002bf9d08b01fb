"""The sample data set: the same for a seed, and of the shape of the known data."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from schemas.opening_hours import Week
from schemas.values import DAY_US, StoreId
from scripts import sample
from scripts.csv_input import RejectsWriter, find_input
from scripts.csv_input.hours import read_hours
from scripts.csv_input.polls import iter_polls
from scripts.csv_input.zones import read_zones
from scripts.sample import SAMPLE_END_US, write_sample
from tests.scripts.hours_of_files import weeks_of

NAMES = ("store_status.csv", "menu_hours.csv", "timezones.csv")


@dataclass(frozen=True, slots=True)
class Fleet:
    polls: pl.DataFrame
    weeks: dict[StoreId, Week]
    zones: dict[StoreId, str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, stores=3000, days=7, seed=1)
    return folder


@pytest.fixture(scope="module")
def fleet(folder: Path) -> Fleet:
    found = find_input(folder)
    assert found.hours is not None
    assert found.zones is not None
    with RejectsWriter(None, strict=True) as sink:
        polls = pl.concat(iter_polls(found.polls, SAMPLE_END_US, sink))
        return Fleet(polls, weeks_of(read_hours(found.hours, sink)), read_zones(found.zones, sink))


def test_a_seed_gives_the_same_bytes_again_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("again", 7), ("other", 8)):
        write_sample(tmp_path / name, stores=300, days=2, seed=seed)
    for name in NAMES:
        one = (tmp_path / "one" / name).read_bytes()
        assert one == (tmp_path / "again" / name).read_bytes()
        assert one != (tmp_path / "other" / name).read_bytes()


def test_compressed_files_hold_the_same_rows_and_are_the_same_bytes_again(tmp_path: Path) -> None:
    write_sample(tmp_path / "plain", stores=50, days=1, seed=7)
    write_sample(tmp_path / "gz", stores=50, days=1, seed=7, form=".gz")
    write_sample(tmp_path / "gz again", stores=50, days=1, seed=7, form=".gz")
    for name in NAMES:
        packed = tmp_path / "gz" / (name + ".gz")
        assert packed.read_bytes() == (tmp_path / "gz again" / (name + ".gz")).read_bytes()
        assert pl.read_csv(packed).equals(pl.read_csv(tmp_path / "plain" / name))


def test_all_polls_are_in_the_period(fleet: Fleet) -> None:
    assert SAMPLE_END_US == 1_710_525_600_000_000  # 2024-03-15T18:00:00Z
    assert fleet.polls["at_us"].is_between(SAMPLE_END_US - 7 * DAY_US, SAMPLE_END_US).all()
    assert (fleet.polls["at_us"] > SAMPLE_END_US - DAY_US // 24).any()


def test_polls_are_sorted_by_status_and_by_nothing_else(fleet: Fleet) -> None:
    active = fleet.polls["active"]
    assert active.is_sorted(descending=True)
    assert not fleet.polls.filter(active)["at_us"].is_sorted()


def test_about_a_quarter_of_the_polls_is_inactive_and_statuses_stick(fleet: Fleet) -> None:
    inactive = 1 - fleet.polls["active"].mean()  # type: ignore[operator]
    assert 0.21 < inactive < 0.27
    changed = fleet.polls.sort("store_id", "at_us").select(
        (pl.col("active") != pl.col("active").shift().over("store_id")).mean()
    )
    assert 0.02 < changed.item() < 0.15  # independent polls would change about every third time


def test_stores_are_polled_about_once_an_hour_but_for_the_gap(fleet: Fleet) -> None:
    counts = fleet.polls["store_id"].value_counts()["count"]
    assert 150 < counts.mean() < 162  # type: ignore[operator]  # 168 hours, 9 of them a gap, 2 % lost
    seen = fleet.polls["at_us"].sort().diff().max()
    assert seen is not None
    assert 9 * 3600 * 10**6 <= int(str(seen)) < 9.1 * 3600 * 10**6


def test_some_stores_lack_hours_or_zone_or_polls(fleet: Fleet) -> None:
    polled = set(fleet.polls["store_id"])
    assert 0.19 < 1 - len(fleet.weeks) / 3000 < 0.25
    assert 0.03 < 1 - len(fleet.zones) / 3000 < 0.07
    assert 2950 < len(polled) < 3000
    assert set(fleet.weeks) - polled


def test_ids_are_digits_that_no_float_can_hold_and_some_uuids(fleet: Fleet) -> None:
    ids = pl.Series(sorted({*fleet.polls["store_id"], *fleet.weeks, *fleet.zones}))
    digits = ids.str.contains(r"^[1-9][0-9]{14,18}$")
    uuids = ids.str.contains(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
    assert (digits | uuids).all()
    assert 0.02 < uuids.mean() < 0.04  # type: ignore[operator]
    assert set(ids.filter(digits).str.len_chars()) == {15, 16, 17, 18, 19}


def test_every_kind_of_week_is_there(fleet: Fleet) -> None:
    rows = {row for week in fleet.weeks.values() for row in week}
    assert any(row.end_us < row.start_us for row in rows)
    assert any(row.end_us == row.start_us for row in rows)
    assert any(row.end_us == DAY_US for row in rows)
    assert any(row.end_us == 86_399_000_000 for row in rows)
    assert any(len({row.day for row in week}) == 5 for week in fleet.weeks.values())
    assert any(sum(row.day == 0 for row in week) == 2 for week in fleet.weeks.values())


def test_zones_with_and_without_daylight_saving_are_there(fleet: Fleet) -> None:
    zones = set(fleet.zones.values())
    assert {
        "America/New_York",
        "America/Phoenix",
        "Europe/Dublin",
        "Asia/Kolkata",
        "Australia/Sydney",
    } <= zones


def test_fractions_have_up_to_six_digits_and_no_zero_at_the_end(folder: Path) -> None:
    times = pl.read_csv(folder / "store_status.csv", infer_schema=False)["timestamp_utc"]
    assert times.str.contains(r"^2024-03-\d\d \d\d:\d\d:\d\d(?:\.\d{0,5}[1-9])? UTC$").all()
    assert set(times.str.len_chars()) >= {23, 28, 29, 30}


def test_chunks_leave_no_trace_in_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "_CHUNK_POLLS", 1000)
    write_sample(tmp_path, stores=100, days=1, seed=7)
    with RejectsWriter(None, strict=True) as sink:
        polls = pl.concat(iter_polls(tmp_path / "store_status.csv", SAMPLE_END_US, sink))
    assert polls["active"].is_sorted(descending=True)
    assert polls["store_id"].n_unique() >= 95


def test_the_end_and_the_polls_a_day_can_be_chosen(tmp_path: Path) -> None:
    end_us = 1_700_000_000_000_000
    write_sample(tmp_path, stores=40, days=2, seed=7, polls_per_day=3, end_us=end_us)
    with RejectsWriter(None, strict=True) as sink:
        polls = pl.concat(iter_polls(tmp_path / "store_status.csv", end_us, sink))
    assert polls["at_us"].is_between(end_us - 2 * DAY_US, end_us).all()
    assert 200 < polls.height <= 240


def test_a_folder_keeps_one_form_of_each_file(tmp_path: Path) -> None:
    write_sample(tmp_path, stores=5, days=1, seed=7)
    write_sample(tmp_path, stores=5, days=1, seed=8)
    with pytest.raises(FileExistsError, match="move it away"):
        write_sample(tmp_path, stores=5, days=1, seed=7, form=".gz")


def test_no_stores_make_files_of_headers(tmp_path: Path) -> None:
    write_sample(tmp_path, stores=0, days=1, seed=7)
    assert [(tmp_path / name).read_text().count("\n") for name in NAMES] == [1, 1, 1]


def test_progress_ends_at_one(tmp_path: Path) -> None:
    told: list[float] = []
    write_sample(tmp_path, stores=5, days=1, seed=7, progress=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]
