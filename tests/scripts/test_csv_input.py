"""Reading CSV folders: what counts, what is turned away, and that one bad line never costs another."""

import csv
import gzip
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.opening_hours import HoursRow
from schemas.values import Rejected, RejectReason, parse_timestamp
from scripts.csv_input import (
    BadHeader,
    CorruptFile,
    EmptyFile,
    MissingFolder,
    MissingPolls,
    Reject,
    RejectsWriter,
    StrictStop,
    TwoForms,
    UnreadableFile,
    find_input,
)
from scripts.csv_input.blocks import LONGEST_LINE, iter_blocks
from scripts.csv_input.hours import read_hours
from scripts.csv_input.polls import iter_polls, usual_instants
from scripts.csv_input.zones import read_zones
from tests.profiles import examples
from tests.scripts.hours_of_files import weeks_of

HEADER = b"store_id,status,timestamp_utc\n"
NOON_US = 1_674_389_379_388_884  # 2023-01-22 12:09:39.388884 UTC
LATEST_US = 1_700_000_000_000_000  # 2023-11-14 22:13:20 UTC
SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")

Row = tuple[str, int, bool]


def no_reject(reject: Reject) -> None:
    pytest.fail(f"nothing here is bad, but {reject}")


def polls_in(path: Path) -> tuple[list[Row], list[Reject]]:
    rejects: list[Reject] = []
    frames = list(iter_polls(path, LATEST_US, rejects.append))
    assert all(
        frame.schema == {"store_id": pl.String, "at_us": pl.Int64, "active": pl.Boolean} for frame in frames
    )
    return [row for frame in frames for row in frame.iter_rows()], rejects


def polls_of(folder: Path, content: bytes, name: str = "store_status.csv") -> tuple[list[Row], list[Reject]]:
    path = folder / name
    path.write_bytes(content)
    return polls_in(path)


# --- the folder


def test_each_file_is_found_plain_or_compressed_and_nothing_else_is(tmp_path: Path) -> None:
    for name in (
        "store_status.csv.zst",
        "menu_hours.csv",
        "menu_hours.csv.bak",
        "other.csv",
        "hours.csv.gz",
    ):
        (tmp_path / name).touch()
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "timezones.csv").touch()
    found = find_input(tmp_path)
    assert found.polls == tmp_path / "store_status.csv.zst"
    assert found.hours == tmp_path / "menu_hours.csv"
    assert found.zones is None


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFolder, match="no such folder") as stop:
        find_input(tmp_path / "absent")
    assert stop.value.folder == tmp_path / "absent"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "store_status.csv").touch()
    with pytest.raises(MissingFolder):
        find_input(tmp_path / "store_status.csv")


def test_a_folder_without_polls_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "menu_hours.csv").touch()
    with pytest.raises(MissingPolls, match=r"store_status\.csv\.zst"):
        find_input(tmp_path)


def test_two_forms_of_one_file_are_an_error(tmp_path: Path) -> None:
    for name in ("store_status.csv", "timezones.csv", "timezones.csv.gz"):
        (tmp_path / name).touch()
    with pytest.raises(TwoForms, match="Keep one") as stop:
        find_input(tmp_path)
    assert [path.name for path in stop.value.paths] == ["timezones.csv", "timezones.csv.gz"]


# --- files as a whole


ONE_POLL = HEADER + b"s1,active,2023-01-22 12:09:39.388884 UTC\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("store_status.csv", ONE_POLL),
        ("store_status.csv.gz", gzip.compress(ONE_POLL)),
        ("store_status.csv.gz", gzip.compress(ONE_POLL[:40]) + gzip.compress(ONE_POLL[40:])),
        ("store_status.csv.zst", zstandard.compress(ONE_POLL)),
        ("store_status.csv.zst", zstandard.compress(ONE_POLL[:40]) + zstandard.compress(ONE_POLL[40:])),
    ],
)
def test_every_form_reads_the_same(tmp_path: Path, name: str, content: bytes) -> None:
    assert polls_of(tmp_path, content, name) == ([("s1", NOON_US, True)], [])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("store_status.csv.gz", gzip.compress(ONE_POLL)[:-9]),
        ("store_status.csv.gz", gzip.compress(ONE_POLL)[:30] + b"damage" + gzip.compress(ONE_POLL)[36:]),
        ("store_status.csv.gz", ONE_POLL),
        ("store_status.csv.zst", zstandard.compress(ONE_POLL)[:-4]),
        ("store_status.csv.zst", zstandard.compress(ONE_POLL) + zstandard.compress(ONE_POLL)[:6]),
        ("store_status.csv.zst", ONE_POLL),
    ],
)
def test_a_damaged_or_cut_off_file_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(CorruptFile, match="compress it again") as stop:
        polls_of(tmp_path, content, name)
    assert stop.value.path.name == name


def test_what_the_system_will_not_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "store_status.csv").mkdir()
    with pytest.raises(UnreadableFile, match="cannot be read"):
        polls_in(tmp_path / "store_status.csv")


@pytest.mark.parametrize("content", [b"", b"\n\r\n  \n", b"\xef\xbb\xbf"])
def test_a_file_without_a_header_is_empty(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(EmptyFile, match="store_id,status,timestamp_utc"):
        polls_of(tmp_path, content)


@pytest.mark.parametrize("content", [HEADER, HEADER.strip(), HEADER + b"\n\n"])
def test_a_header_alone_is_no_poll_and_no_error(tmp_path: Path, content: bytes) -> None:
    assert polls_of(tmp_path, content) == ([], [])


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadHeader, match="no column timestamp_utc") as stop:
        polls_of(tmp_path, b"store_id,status,time\n")
    assert (stop.value.missing, stop.value.repeated) == (("timestamp_utc",), ())


def test_a_column_that_stands_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadHeader, match="column status twice"):
        polls_of(tmp_path, b"store_id,status,timestamp_utc,status\n")


def test_both_names_of_the_day_column_are_one_column_twice(tmp_path: Path) -> None:
    path = tmp_path / "menu_hours.csv"
    path.write_text("store_id,day,dayOfWeek,start_time_local,end_time_local\n")
    with pytest.raises(BadHeader, match="column day twice"):
        read_hours(path, no_reject)


def test_a_broken_header_lacks_its_columns(tmp_path: Path) -> None:
    with pytest.raises(BadHeader, match="no column store_id"):
        polls_of(tmp_path, b'store_id,"status,timestamp_utc\n')


# --- lines


@pytest.mark.parametrize(
    "content",
    [
        b"timestamp_utc,store_id,status\n2023-01-22 12:09:39.388884 UTC,s1,active\n",
        b"\xef\xbb\xbfstore_id,status,timestamp_utc\r\ns1,active,2023-01-22 12:09:39.388884 UTC\r\n",
        b"store_id,status,timestamp_utc\ns1,active,2023-01-22 12:09:39.388884 UTC",
        b"store_id,status,timestamp_utc\r\ns1,active,2023-01-22 12:09:39.388884 UTC\r",
        b"\n\nstore_id,status,timestamp_utc\n\r\n\ns1,active,2023-01-22 12:09:39.388884 UTC\n\n \n",
        b'"store_id","status","timestamp_utc"\n"s1","active","2023-01-22 12:09:39.388884 UTC"\n',
        b"x, status ,y,store_id,timestamp_utc\n,active,,s1,2023-01-22 12:09:39.388884 UTC\n",
        b'note,store_id,status,timestamp_utc\n"a, ""b""",s1,active,2023-01-22 12:09:39.388884 UTC\n',
        b'note,store_id,status,timestamp_utc\n\xc3\xa9 \x00 \xef\xbf\xbd,s1,active,"2023-01-22T12:09:39.388884Z"\n',
        b"store_id,status,timestamp_utc\n\xc2\xa0s1 ,active, 2023-01-22T17:39:39.3888849+05:30\n",
    ],
)
def test_one_poll_can_be_written_in_many_ways(tmp_path: Path, content: bytes) -> None:
    assert polls_of(tmp_path, content) == ([("s1", NOON_US, True)], [])


GOOD = b"s1,active,2023-01-22 12:09:39.388884 UTC"
BROKEN = [
    (b"s1,active", "s1,active"),
    (b"s1,active,2023-01-22 12:09:39 UTC,", "s1,active,2023-01-22 12:09:39 UTC,"),
    (b's1",active,2023-01-22 12:09:39 UTC', 's1",active,2023-01-22 12:09:39 UTC'),
    (b'"s1,active,2023-01-22 12:09:39 UTC', '"s1,active,2023-01-22 12:09:39 UTC'),
    (b'"s1"x,active,2023-01-22 12:09:39 UTC', '"s1"x,active,2023-01-22 12:09:39 UTC'),
    (b'"s1"",active,2023-01-22 12:09:39 UTC', '"s1"",active,2023-01-22 12:09:39 UTC'),
    (b's1,"active,2023-01-22 12:09:39 UTC', 's1,"active,2023-01-22 12:09:39 UTC'),
    (b"s\xff1,active,2023-01-22 12:09:39 UTC", "s\\xff1,active,2023-01-22 12:09:39 UTC"),
    (b"s1,active,2023-01-22 12:09:39 UTC\xc3", "s1,active,2023-01-22 12:09:39 UTC\\xc3"),
    (b"s1,act\rive,2023-01-22 12:09:39 UTC", "s1,act\rive,2023-01-22 12:09:39 UTC"),
    (b"s1,active,2023-01-22 12:09:39 UTC\r\r", "s1,active,2023-01-22 12:09:39 UTC\r"),
    (b"\x00", "\x00"),
    (b'"', '"'),
]
BAD_VALUES = [
    (b",active,2023-01-22 12:09:39 UTC", RejectReason.NO_STORE_ID),
    (b"  ,active,2023-01-22 12:09:39 UTC", RejectReason.NO_STORE_ID),
    (b"s\x001,active,2023-01-22 12:09:39 UTC", RejectReason.NO_STORE_ID),
    (b",,", RejectReason.NO_STORE_ID),
    (b"s" * 257 + b",active,2023-01-22 12:09:39 UTC", RejectReason.BAD_STORE_ID),
    (b"s\t1,active,2023-01-22 12:09:39 UTC", RejectReason.BAD_STORE_ID),
    ("s\u00851,active,2023-01-22 12:09:39 UTC".encode(), RejectReason.BAD_STORE_ID),
    (b"s1,Active,2023-01-22 12:09:39 UTC", RejectReason.UNKNOWN_STATUS),
    (b"s1,active ,2023-01-22 12:09:39 UTC", RejectReason.UNKNOWN_STATUS),
    (b"s1,active,2023-02-30 12:09:39 UTC", RejectReason.BAD_TIME),
    (b"s1,active,2023-01-22 24:00:00 UTC", RejectReason.BAD_TIME),
    (b"s1,active,2023-01-22 12:09:60 UTC", RejectReason.BAD_TIME),
    (b"s1,active,2023-01-22 12:09:39. UTC", RejectReason.BAD_TIME),
    (b"s1,active,", RejectReason.BAD_TIME),
    (b"s1,active,1969-12-31 23:59:59.999999 UTC", RejectReason.BEFORE_1970),
    (b"s1,active,2999-01-01 00:00:00 UTC", RejectReason.TOO_FAR_AHEAD),
    (b"s1,active,2023-11-14 22:13:20.000001 UTC", RejectReason.TOO_FAR_AHEAD),
]


@pytest.mark.parametrize(("line", "text"), BROKEN)
def test_a_broken_line_is_rejected_alone(tmp_path: Path, line: bytes, text: str) -> None:
    rows, rejects = polls_of(tmp_path, HEADER + GOOD + b"\n" + line + b"\n" + GOOD)
    assert rows == [("s1", NOON_US, True)] * 2
    assert rejects == [Reject("store_status.csv", 3, RejectReason.BROKEN_LINE, text)]


@pytest.mark.parametrize(("line", "reason"), BAD_VALUES)
def test_a_bad_value_rejects_its_line_alone(tmp_path: Path, line: bytes, reason: RejectReason) -> None:
    rows, rejects = polls_of(tmp_path, HEADER + GOOD + b"\n\n" + line + b"\r\n" + GOOD)
    assert rows == [("s1", NOON_US, True)] * 2
    assert rejects == [Reject("store_status.csv", 4, reason, line.decode())]


def test_the_latest_instant_is_still_taken(tmp_path: Path) -> None:
    assert polls_of(tmp_path, HEADER + b"s1,inactive,2023-11-14 22:13:20 UTC") == (
        [("s1", LATEST_US, False)],
        [],
    )


def test_a_first_line_that_looks_compressed_is_text(tmp_path: Path) -> None:
    """`x^` is how a zlib stream can begin."""
    assert polls_of(tmp_path, HEADER + b"x^1" + GOOD[2:])[0] == [("x^1", NOON_US, True)]
    with pytest.raises(BadHeader, match="no column store_id"):
        polls_of(tmp_path, b"x^1,2,3\n")


def test_repeats_and_order_stay_as_they_stand(tmp_path: Path) -> None:
    lines = b"b,active,2023-01-22\na,inactive,2023-01-22 00:00:00\nb,active,2023-01-22 00:00:00 UTC\n"
    assert polls_of(tmp_path, HEADER + lines)[0] == [
        ("b", 1_674_345_600_000_000, True),
        ("a", 1_674_345_600_000_000, False),
        ("b", 1_674_345_600_000_000, True),
    ]


def test_line_numbers_run_on_through_the_blocks_of_a_large_file(tmp_path: Path) -> None:
    rows, rejects = polls_of(tmp_path, HEADER + (GOOD + b"\n") * 450_000 + b"bad\n" + GOOD)
    assert len(rows) == 450_001
    assert rejects == [Reject("store_status.csv", 450_002, RejectReason.BROKEN_LINE, "bad")]


def test_a_line_too_long_to_hold_is_rejected_alone_and_cut(tmp_path: Path) -> None:
    endless = b"s" * (40 << 20) + GOOD[2:]
    rows, rejects = polls_of(tmp_path, HEADER + endless + b"\n" + GOOD + b"\nbad\n" + endless)
    assert rows == [("s1", NOON_US, True)]
    assert [(bad.line, bad.reason, bad.text) for bad in rejects] == [
        (2, RejectReason.BROKEN_LINE, "s" * 500),
        (4, RejectReason.BROKEN_LINE, "bad"),
        (5, RejectReason.BROKEN_LINE, "s" * 500),
    ]


def test_of_an_endless_line_only_the_start_is_held(tmp_path: Path) -> None:
    path = tmp_path / "store_status.csv.gz"
    path.write_bytes(gzip.compress(b"\0" * (64 << 20), 1))
    assert sum(len(block) for block in iter_blocks(path)) < 8 * LONGEST_LINE


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1 << 20])
def test_blocks_are_the_file_in_whole_lines(tmp_path: Path, block_bytes: int) -> None:
    text = b"".join(b"line %d\n" % n for n in range(300_000)) + b"last"
    (tmp_path / "f.csv").write_bytes(b"\xef\xbb\xbf" + text)
    blocks = list(iter_blocks(tmp_path / "f.csv", block_bytes))
    assert all(block.startswith(b"\n") for block in blocks)
    assert all(block.endswith(b"\n") for block in blocks[:-1])
    assert b"".join(block[1:] for block in blocks) == text


# --- properties


digits = st.text("0123456789", min_size=1, max_size=9)
nearly_times = st.one_of(
    st.from_regex(
        r"(19|20|99|00)\d\d-(0\d|1[0-3])-[0-3]\d([T ][0-2]\d:[0-6]\d(:[0-6]\d([.,]\d{0,9})?)?)?"
        r" ?(UTC|Z|utc|[+-]0[0-9](:?[0-6]0)?)?",
        fullmatch=True,
    ),
    st.builds(
        "{} {}:{}:{}.{}{}".format,
        st.dates().map(str),
        *[st.sampled_from(["00", "7", "09", "23", "+1", "59", "60", " 5"])] * 3,
        digits,
        st.sampled_from(
            ["", " UTC", "Z", " Z", "+00:00", "-00", "+0000", "+00:0", " UT", "U", "0:0", "  UTC"]
        ),
    ),
    st.text(max_size=30),
)


@given(st.lists(nearly_times, max_size=30))
@settings(max_examples=examples(300))
def test_the_fast_reading_of_times_is_the_careful_one_or_none(texts: list[str]) -> None:
    for text, at_us in zip(texts, usual_instants(pl.Series(texts, dtype=pl.String)), strict=True):
        if at_us is not None:
            assert at_us == parse_timestamp(text)


@pytest.mark.parametrize("after", ["", " UTC", "Z", " Z", "+00:00", "+00", "-0000"])
@pytest.mark.parametrize("fraction", ["", ".3", ".38", ".388", ".3888", ".38888", ".388884", ".3888849"])
@pytest.mark.parametrize("between", [" ", "T"])
def test_the_usual_forms_of_times_take_the_fast_path(between: str, fraction: str, after: str) -> None:
    text = f"2023-01-22{between}12:09:39{fraction}{after}"
    assert usual_instants(pl.Series([text])).to_list() == [parse_timestamp(text)]


@given(st.lists(nearly_times.filter(lambda text: not {"\r", "\n"} & set(text)), max_size=30))
@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_of_times_gives_what_each_of_them_gives_alone(tmp_path: Path, texts: list[str]) -> None:
    good: list[Row] = []
    bad: list[tuple[int, RejectReason]] = []
    lines = []
    for number, text in enumerate(texts, 2):
        quoted = text.replace('"', '""')
        lines.append(f's,active,"{quoted}"')
        try:
            at_us = parse_timestamp(text)
        except Rejected as error:
            bad.append((number, error.reason))
            continue
        if at_us > LATEST_US:
            bad.append((number, RejectReason.TOO_FAR_AHEAD))
        else:
            good.append(("s", at_us, True))
    rows, rejects = polls_of(tmp_path, HEADER + "\n".join(lines).encode())
    assert rows == good
    assert [(reject.line, reject.reason) for reject in rejects] == bad


NEIGHBOURS = [
    (b"s1,active,2023-01-22 12:09:39.388884 UTC", ("s1", NOON_US, True)),
    (b'"s,1",inactive,2023-01-22T12:09:39.388884', ("s,1", NOON_US, False)),
    (b'"s""1",active,2023-01-22 12:09:39.388884Z', ('s"1', NOON_US, True)),
    (b"\xc3\xa9,active,2023-01-22 12:09:39.388884+00:00", ("é", NOON_US, True)),
    (b"\xef\xbf\xbd,active,2023-01-22 12:09:39.388884 UTC", ("\ufffd", NOON_US, True)),
    (b"54515546588432327,inactive,2023-01-22 12:09:39.388884 UTC\r", ("54515546588432327", NOON_US, False)),
]
any_line = st.one_of(
    st.sampled_from(NEIGHBOURS),
    st.sampled_from([(line, None) for line, _ in BROKEN + BAD_VALUES]),
    st.binary(max_size=12).map(lambda junk: (junk.replace(b"\n", b"").replace(b",", b""), None)),
)


@given(st.lists(any_line, max_size=25))
@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_bad_line_takes_no_neighbour_with_it(tmp_path: Path, lines: list[tuple[bytes, Row | None]]) -> None:
    rows, rejects = polls_of(tmp_path, HEADER + b"\n".join(line for line, _ in lines))
    assert rows == [row for _, row in lines if row]
    not_blank = [number for number, (line, _) in enumerate(lines, 2) if line.decode(errors="replace").strip()]
    bad = [number for number in not_blank if lines[number - 2][1] is None]
    assert [reject.line for reject in rejects] == bad


# --- hours and zones


HOURS = "store_id,dayOfWeek,start_time_local,end_time_local\n"


def test_rows_of_a_store_are_put_together_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "menu_hours.csv"
    path.write_text(
        HOURS
        + "a,1,09:00:00,24:00:00\nb,0,00:00:00,00:10:00\na,0,22:00,02:00:00.5\n"
        + "a,1,09:00:00,24:00:00\n a ,0,07:00:00,08:00:00\n"
    )
    hours = read_hours(path, no_reject)
    assert weeks_of(hours) == {
        "a": (
            HoursRow(0, 25_200_000_000, 28_800_000_000),
            HoursRow(0, 79_200_000_000, 7_200_500_000),
            HoursRow(1, 32_400_000_000, 86_400_000_000),
        ),
        "b": (HoursRow(0, 0, 600_000_000),),
    }
    assert hours.stores_with_bad_rows == frozenset()


def test_a_bad_row_leaves_the_stores_other_rows_and_names_the_store(tmp_path: Path) -> None:
    path = tmp_path / "menu_hours.csv"
    path.write_text(
        HOURS
        + "a,0,09:00:00,17:00:00\na,7,09:00:00,17:00:00\nb,1,24:00:00,17:00:00\nb,1,9 am,17:00:00\n"
        + "c,2,09:00:00\n,2,09:00:00,17:00:00\na,one,09:00:00,17:00:00\nd,2,09:00:00,24:00:01\n"
    )
    rejects: list[Reject] = []
    hours = read_hours(path, rejects.append)
    assert weeks_of(hours) == {"a": (HoursRow(0, 32_400_000_000, 61_200_000_000),)}
    assert hours.stores_with_bad_rows == {"a", "b", "d"}
    assert [(reject.line, reject.reason) for reject in rejects] == [
        (3, RejectReason.BAD_DAY),
        (4, RejectReason.BAD_HOURS),
        (5, RejectReason.BAD_HOURS),
        (6, RejectReason.BROKEN_LINE),
        (7, RejectReason.NO_STORE_ID),
        (8, RejectReason.BAD_DAY),
        (9, RejectReason.BAD_HOURS),
    ]


def test_the_last_good_zone_of_a_store_counts(tmp_path: Path) -> None:
    path = tmp_path / "timezones.csv"
    path.write_text(
        "timezone_str,store_id\nAsia/Beirut,a\nAmerica/Boise,b\nEurope/Dublin,a\nMars/Olympus,a\n,c\n UTC ,d\n"
    )
    rejects: list[Reject] = []
    assert read_zones(path, rejects.append) == {"a": "Europe/Dublin", "b": "America/Boise", "d": "UTC"}
    assert rejects == [
        Reject("timezones.csv", 5, RejectReason.UNKNOWN_ZONE, "Mars/Olympus,a"),
        Reject("timezones.csv", 6, RejectReason.UNKNOWN_ZONE, ",c"),
    ]


def test_files_with_a_header_alone_hold_no_hours_and_no_zones(tmp_path: Path) -> None:
    (tmp_path / "menu_hours.csv").write_text(HOURS)
    (tmp_path / "timezones.csv").write_text("store_id,timezone_str")
    assert read_hours(tmp_path / "menu_hours.csv", no_reject).weekly == {}
    assert read_zones(tmp_path / "timezones.csv", no_reject) == {}


# --- rejects


BAD = Reject("store_status.csv", 3, RejectReason.UNKNOWN_STATUS, 's1,"on, off",\r2023')


def test_rejects_are_written_as_csv_and_counted_by_reason(tmp_path: Path) -> None:
    with RejectsWriter(tmp_path / "rejects.csv") as sink:
        sink(BAD)
        sink(Reject("timezones.csv", 9, RejectReason.UNKNOWN_ZONE, "x"))
        sink(Reject("timezones.csv", 10, RejectReason.UNKNOWN_ZONE, "é"))
    assert sink.counts == {RejectReason.UNKNOWN_STATUS: 1, RejectReason.UNKNOWN_ZONE: 2}
    assert sink.total == 3
    with (tmp_path / "rejects.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["file", "line", "reason", "text"],
            ["store_status.csv", "3", "unknown status", 's1,"on, off",\r2023'],
            ["timezones.csv", "9", "unknown zone", "x"],
            ["timezones.csv", "10", "unknown zone", "é"],
        ]


def test_a_rejects_file_is_of_one_run(tmp_path: Path) -> None:
    (tmp_path / "rejects.csv").write_text("of an earlier run")
    with RejectsWriter(tmp_path / "rejects.csv"):
        pass
    assert (tmp_path / "rejects.csv").read_text() == "file,line,reason,text\n"


def test_rejects_past_the_bound_are_counted_and_not_written(tmp_path: Path) -> None:
    with RejectsWriter(tmp_path / "rejects.csv", max_written=2) as sink:
        for line in (1, 2, 3):
            sink(Reject("timezones.csv", line, RejectReason.UNKNOWN_ZONE, "x"))
    assert sink.total == 3
    assert (tmp_path / "rejects.csv").read_text().splitlines()[-1] == "timezones.csv,2,unknown zone,x"


def test_strict_stops_at_the_first_bad_line_and_still_writes_it(tmp_path: Path) -> None:
    (tmp_path / "store_status.csv").write_bytes(HEADER + GOOD + b"\n\xff\nalso bad\n")
    with (
        pytest.raises(StrictStop, match="line 3: broken line") as stop,
        RejectsWriter(tmp_path / "rejects.csv", strict=True) as sink,
    ):
        list(iter_polls(tmp_path / "store_status.csv", LATEST_US, sink))
    assert stop.value.reject == Reject("store_status.csv", 3, RejectReason.BROKEN_LINE, "\\xff")
    assert sink.total == 1
    assert (tmp_path / "rejects.csv").read_text().splitlines()[1:] == ["store_status.csv,3,broken line,\\xff"]


# --- the known data


@pytest.mark.slow
@needs_shared
def test_the_full_data_has_its_known_counts() -> None:
    folder = find_input(SHARED / "full")
    assert folder.hours is not None
    assert folder.zones is not None
    with RejectsWriter(None) as sink:
        polls = pl.concat(iter_polls(folder.polls, LATEST_US, sink))
        hours = read_hours(folder.hours, sink)
        zones = read_zones(folder.zones, sink)
    assert sink.total == 0
    assert polls.height == 1_822_080
    assert polls["store_id"].n_unique() == 14_092
    assert polls["at_us"].max() == 1_674_670_402_479_220  # 2023-01-25 18:13:22.47922
    assert len(set(polls["store_id"]) | set(hours.weekly) | set(zones)) == 14_228
    assert len(set(polls["store_id"]) - set(hours.weekly)) == 3_094
    assert len(set(polls["store_id"]) - set(zones)) == 644
    assert len(set(zones.values())) == 11
