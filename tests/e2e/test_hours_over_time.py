"""Dated hours, special days and closures from a folder of CSVs to the cells of the report."""

from datetime import date
from pathlib import Path

from tests.builders import hourly, utc
from tests.e2e.harness import storepulse
from tests.oracle import HEADER, MICROSECOND, WINDOWS, cell
from tests.oracle_confidence import parts_us
from tests.oracle_hours import Hours, uptime_us

AS_OF_US = utc("2024-05-06 12:00")
NIGHT = [(4, "18:00:00", "23:59:00"), (5, "00:00:00", "02:00:00"), (0, "09:00:00", "17:00:00")]
CUT = (utc("2024-05-06 10:30"), utc("2024-05-06 11:15"))
HOURS = {
    "closed": Hours({None: NIGHT}, {date(2024, 5, 3): [], date(2024, 5, 6): []}, [CUT]),
    "dated": Hours(
        {None: NIGHT, date(2024, 5, 6): [(0, "11:00:00", "13:00:00")]}, {date(2024, 5, 3): []}, [CUT]
    ),
    "polled": Hours({}, {date(2024, 5, 3): []}, [CUT]),
}
"""2024-05-03 is a Friday, closed for all; 2024-05-06 a Monday."""


def test_the_report_of_a_folder_with_hours_over_time_is_the_oracles(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    polls = {name: hourly(utc("2024-04-28 00:00"), "AAIAII" * 34 + "A", name) for name in HOURS}
    (data / "store_status.csv").write_text(
        "store_id,status,timestamp_utc\n"
        + "".join(
            f"{poll.store_id},{poll.status.value},{_text(poll.at_us)}\n"
            for each in polls.values()
            for poll in each
        )
    )
    (data / "menu_hours.csv").write_text(
        "store_id,day,start_time_local,end_time_local,valid_from\n"
        + "".join(
            f"{name},{day},{start},{end},\n" for name in ("closed", "dated") for day, start, end in NIGHT
        )
        + "dated,0,11:00:00,13:00:00,2024-05-06\n"
    )
    (data / "timezones.csv").write_text(
        "store_id,timezone_str\n" + "".join(f"{name},Europe/Berlin\n" for name in HOURS)
    )
    (data / "special_days.csv").write_text(
        "store_id,date,start_time_local,end_time_local,reason\n*,2024-05-03,,,\nclosed,2024-05-06,,,ill\n"
    )
    (data / "closures.csv").write_text(
        "store_id,from_utc,to_utc,reason\n*,2024-05-06 10:30:00 UTC,2024-05-06 11:15:00 UTC,power cut\n"
    )
    out = tmp_path / "report.csv"
    ran = storepulse("report", "--data", data, "--out", out, "--as-of", "2024-05-06 12:00:00 UTC")
    assert ran.returncode == 0, ran.stderr
    expected = [",".join(HEADER)]
    for name, hours in sorted(HOURS.items()):
        said = [(poll.at_us, poll.status.value) for poll in polls[name]]
        cells = []
        for length, unit in WINDOWS:
            from_us = AS_OF_US - length // MICROSECOND
            up_us, down_us, _ = uptime_us(said, hours, "Europe/Berlin", from_us, AS_OF_US)
            cells += [cell(up_us, unit // MICROSECOND), cell(down_us, unit // MICROSECOND)]
        expected.append(",".join((name, *cells)))
    assert out.read_text().splitlines() == expected

    columns = ("--columns", "bounds,confidence", "--as-of", "2024-05-06 12:00:00 UTC")
    assert storepulse("report", "--data", data, "--out", out, *columns).returncode == 0
    header, *rows = out.read_text().splitlines()
    assert [row.split(",")[:7] for row in rows] == [row.split(",") for row in expected[1:]]
    assert header.split(",")[7:13] == [
        *("confirmed_up_last_hour", "confirmed_down_last_hour", "turning_last_hour", "assumed_last_hour"),
        *("uptime_min_last_hour", "uptime_max_last_hour"),
    ]
    for row, (name, hours) in zip(rows, sorted(HOURS.items()), strict=True):
        said = [(poll.at_us, poll.status.value) for poll in polls[name]]
        cells = []
        for length, unit in WINDOWS:
            span = AS_OF_US - length // MICROSECOND, AS_OF_US
            parts = parts_us(said, hours, "Europe/Berlin", span, 7_200_000_000)
            bounds = parts[0], sum(parts) - parts[1]
            cells += [cell(part, unit // MICROSECOND) for part in (*parts, *bounds)]
        assert row.split(",")[7:] == cells


def _text(at_us: int) -> str:
    seconds = at_us // 1_000_000
    day, second = divmod(seconds, 86_400)
    return f"{date.fromordinal(719_163 + day)} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d} UTC"
