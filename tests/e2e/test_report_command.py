"""`storepulse report`: CSVs in, the exact report out."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from tests.e2e.harness import SHARED, needs_full, needs_sample, sample_data, storepulse
from tests.oracle import report_of_folder


@needs_sample
def test_the_real_sample_gives_the_expected_report_to_the_byte(tmp_path: Path) -> None:
    ran = storepulse("report", "--data", SHARED / "sample", "--out", tmp_path / "r.csv")
    assert ran.returncode == 0, ran.stderr
    expected = gzip.decompress((SHARED / "sample" / "expected_report.csv.gz").read_bytes())
    assert (tmp_path / "r.csv").read_bytes() == expected


@pytest.mark.long
@needs_full
def test_the_full_data_gives_the_oracles_report_to_the_byte(tmp_path: Path) -> None:
    ran = storepulse("report", "--data", SHARED / "full", "--out", tmp_path / "r.csv")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "r.csv").read_text() == report_of_folder(SHARED / "full")


def test_sample_data_gives_the_oracles_report_at_any_as_of(tmp_path: Path) -> None:
    data = sample_data(tmp_path / "data")
    for as_of_us, option in ((None, []), (1_710_450_000_000_000, ["--as-of", "2024-03-14T21:00:00Z"])):
        ran = storepulse("report", "--data", data, "--out", tmp_path / "r.csv", *option)
        assert ran.returncode == 0, ran.stderr
        assert (tmp_path / "r.csv").read_text() == report_of_folder(data, as_of_us)


def test_a_kept_state_leaves_its_folder_and_a_temporary_one_nothing(tmp_path: Path) -> None:
    data = sample_data(tmp_path / "data", stores=5)
    kept = storepulse("report", "--data", data, "--out", tmp_path / "r.csv", "--state", tmp_path / "state")
    assert kept.returncode == 0, kept.stderr
    assert (tmp_path / "state" / "log.db").exists()
    again = storepulse("report", "--data", data, "--out", tmp_path / "s.csv", "--state", tmp_path / "state")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "s.csv").read_text() == (tmp_path / "r.csv").read_text()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--data", "nowhere", "--out", "r.csv"], 3, "nowhere: no such folder"),
        (["--data", ".", "--out", "r.csv"], 3, "holds none of store_status.csv"),
        (["--data", ".", "--out", "r.csv", "--as-of", "yesterday"], 2, "unparseable time: 'yesterday'"),
        (["--data", "."], 2, "--out"),
    ],
)
def test_wrong_arguments_are_said_with_what_to_do(
    args: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = storepulse("report", *args)
    assert ran.returncode == code
    assert said in " ".join(ran.stderr.replace("│", " ").split())
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "r.csv").exists()


def test_an_as_of_outside_the_answerable_span_is_refused_and_names_the_span(tmp_path: Path) -> None:
    data = sample_data(tmp_path / "data", stores=5)
    ran = storepulse("report", "--data", data, "--out", tmp_path / "r.csv", "--as-of", "2020-01-01")
    assert ran.returncode == 6
    assert "from 2024-03-08T" in ran.stderr
    assert not (tmp_path / "r.csv").exists()


def test_no_poll_at_all_is_a_clear_failure(tmp_path: Path) -> None:
    (tmp_path / "store_status.csv").write_text("store_id,status,timestamp_utc\n")
    ran = storepulse("report", "--data", tmp_path, "--out", tmp_path / "r.csv")
    assert ran.returncode == 6
    assert "no store has been polled yet" in ran.stderr
    assert not (tmp_path / "r.csv").exists()


def test_bad_lines_are_set_aside_with_file_line_and_reason_and_all_else_is_exact(tmp_path: Path) -> None:
    data, bad = sample_data(tmp_path / "data", stores=20), tmp_path / "bad"
    bad.mkdir()
    polls = (data / "store_status.csv").read_bytes().splitlines(keepends=True)
    hours = (data / "menu_hours.csv").read_bytes().splitlines(keepends=True)
    zones = (data / "timezones.csv").read_bytes().splitlines(keepends=True)
    polls[1:1] = [
        b"17,active,2999-01-01 00:00:00 UTC\n",
        b"17,active,2024-03-14 00:00:00 UTC,extra\n",
        b"17,act\xffive,2024-03-14 00:00:00 UTC\n",
        b",active,2024-03-14 00:00:00 UTC\n",
        b"17,asleep,2024-03-14 00:00:00 UTC\n",
        b"17,active,1969-12-31 23:59:59 UTC\n",
        b"\n",
    ]
    hours[1:1] = [b"17,7,09:00:00,17:00:00\n", b"17,1,09:00:00,25:00:00\n"]
    zones[1:1] = [b"17,Mars/Olympus\n", b"17,\n"]
    for name, lines in (("store_status", polls), ("menu_hours", hours), ("timezones", zones)):
        (bad / f"{name}.csv").write_bytes(b"".join(lines))

    rejects = tmp_path / "rejects.csv"
    ran = storepulse("report", "--data", bad, "--out", tmp_path / "r.csv", "--rejects", rejects)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "r.csv").read_text() == report_of_folder(data)
    written = pl.read_csv(rejects).select("file", "line", "reason").rows()
    assert sorted(written) == [
        ("menu_hours.csv", 2, "day outside 0 to 6"),
        ("menu_hours.csv", 3, "no time of day"),
        ("store_status.csv", 2, "poll more than 5 minutes ahead of its record"),
        ("store_status.csv", 3, "broken line"),
        ("store_status.csv", 4, "broken line"),
        ("store_status.csv", 5, "no store id"),
        ("store_status.csv", 6, "unknown status"),
        ("store_status.csv", 7, "instant before 1970"),
        ("timezones.csv", 2, "unknown zone"),
        ("timezones.csv", 3, "unknown zone"),
    ]
    assert "1 stores lost rows of their hours" in ran.stderr


def test_strict_stops_at_the_first_bad_line_with_exit_code_1(tmp_path: Path) -> None:
    data = sample_data(tmp_path / "data", stores=5)
    with (data / "timezones.csv").open("a") as file:
        file.write("17,Mars/Olympus\n")
    ran = storepulse("report", "--strict", "--data", data, "--out", tmp_path / "r.csv")
    assert ran.returncode == 1
    assert "timezones.csv, line" in ran.stderr
    assert not (tmp_path / "r.csv").exists()
