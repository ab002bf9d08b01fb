"""Texts become values by one rule, also where a quicker reading vouches for the usual form."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import values
from schemas.opening_hours import parse_day_time, parse_hours_row, parse_zone
from schemas.values import Rejected, RejectReason, parse_timestamp
from tests.builders import utc
from tests.profiles import examples

_DIGITS = st.text("0123456789", min_size=0, max_size=8)
_ODD = st.sampled_from(["", "Z", "+05:30", "-0800", " ", "T", ".", ",", "x", "٣", "\u00a0", "1"])
TEXTS = st.builds(
    "{}-{}-{}{}{}:{}:{}{}{}{}".format,
    st.sampled_from(["2023", "1969", "1970", "9999", "0001", "023", "202x"]),
    st.sampled_from(["01", "02", "12", "13", "1"]),
    st.sampled_from(["01", "29", "31", "32", "W1"]),
    st.sampled_from([" ", "T", "  ", ""]),
    st.sampled_from(["00", "12", "23", "24", "1"]),
    st.sampled_from(["00", "59", "60", "5"]),
    st.sampled_from(["00", "59", "60", "", "5"]),
    st.one_of(st.just(""), _DIGITS.map(".{}".format), _ODD),
    _ODD,
    st.sampled_from([" UTC", "", "UTC", " UTC ", " utc"]),
)


def read(text: str) -> int | RejectReason:
    try:
        return parse_timestamp(text)
    except Rejected as reject:
        return reject.reason


@settings(max_examples=examples(2000))
@given(TEXTS)
@example("2023-01-22 12:09:39.3888849 UTC")
@example("2023-01-22 12:09:39+05:30 UTC")
@example("2023-01-22 12:09:39, UTC")
def test_the_quick_reading_of_the_usual_form_is_the_reading_of_every_form(text: str) -> None:
    quick = read(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "_usual_timestamp", lambda _: None)
        assert read(text) == quick


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-01-22 12:09:39.388884 UTC", utc("2023-01-22 12:09:39.388884")),
        ("2023-01-22 12:09:39.38 UTC", utc("2023-01-22 12:09:39.380000")),
        ("2023-01-22 12:09:39.3888849 UTC", utc("2023-01-22 12:09:39.388884")),
        ("2023-01-22 12:09:39", utc("2023-01-22 12:09:39")),
        ("2023-01-22T12:09:39Z", utc("2023-01-22 12:09:39")),
        ("2023-01-22T12:09:39+05:30", utc("2023-01-22 06:39:39")),
        ("2023-01-22", utc("2023-01-22")),
        ("1969-12-31 23:59:59 UTC", RejectReason.BEFORE_1970),
        ("soon", RejectReason.BAD_TIME),
        ("2023-02-30 00:00:00 UTC", RejectReason.BAD_TIME),
    ],
)
def test_timestamps(text: str, expected: int | RejectReason) -> None:
    assert read(text) == expected


def test_midnight_as_24_00_is_an_end_and_never_a_start() -> None:
    assert parse_hours_row(0, "09:00", "24:00:00").end_us == 24 * 3_600_000_000
    with pytest.raises(Rejected):
        parse_hours_row(0, "24:00:00", "09:00")


@pytest.mark.parametrize("text", ["25:00", "24:00:01", "12:60", "12:00:60", "noon", "", "-1:00"])
def test_what_is_no_time_of_day_is_rejected(text: str) -> None:
    with pytest.raises(Rejected):
        parse_day_time(text)


@pytest.mark.parametrize("text", ["", " ", "Mars/Olympus", "america/chicago"])
def test_what_is_no_zone_of_the_database_is_rejected(text: str) -> None:
    with pytest.raises(Rejected):
        parse_zone(text)
