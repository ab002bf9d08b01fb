"""Stored bytes: what version 1 wrote must be read for ever, and a newer version's is refused."""

import numpy as np
import pytest

from schemas.state import (
    EMPTY_HEAD,
    NO_POLL,
    Extent,
    MalformedRow,
    NewerState,
    check_row,
    decode_days,
    decode_extent,
    decode_head,
    decode_heads,
    decode_pages,
    decode_schedule,
    encode_extent,
    encode_heads,
    encode_pages,
)
from schemas.values import DAY_US, day_of, week_of
from tests.builders import at, polls, rows
from tests.core.shelf import Shelf

HEAD_V1 = bytes.fromhex(
    "0101030002000000413254a1dde50b00ffffffffffffffff0100000002000000"
    "0060f646dae50b00413254a1dde50b0000000000000000000000000000000000"
    "b44b00000200000001000000"
    "55544300c4308b0700e4cd3f0e0058bc238b004827ad010000000000"
)
PAGE_V1 = bytes.fromhex("0101d088c3100060d71d144132357817")
"""What version 1 wrote of `shelf()`."""


def shelf() -> Shelf:
    week = week_of(rows("Mon 09:00-17:00", "Sun 22:00-02:00"))
    return Shelf("UTC", week).add(polls("Mon 10:00 active", "Mon 12:00 inactive", "Mon 14:00:00.5 active"))


def test_the_bytes_that_version_1_wrote_are_read_and_still_written() -> None:
    assert shelf().bytes == (HEAD_V1, {day_of(at("Mon 00:00")): PAGE_V1})
    head = decode_head(HEAD_V1)
    assert head.zone == "UTC"
    assert head.week == week_of(rows("Mon 09:00-17:00", "Sun 22:00-02:00"))
    assert (head.mark_codes >> 1).tolist() == [at("Mon 12:00"), at("Mon 14:00:00.5")]
    assert head.days.tolist() == [[day_of(at("Mon 00:00")), 2, 1]]


def test_the_extent_that_version_1_wrote_is_read_and_still_written() -> None:
    extent = Extent(latest=2 * at("Mon 12:00") + 1, carry=NO_POLL)
    assert encode_extent(extent) == b"3348950400000001 -1"
    assert decode_extent(b"3348950400000001 -1") == extent


def test_heads_survive_their_bytes() -> None:
    values = [HEAD_V1, EMPTY_HEAD, Shelf(None, ()).add(polls("Mon 10:00 inactive")).bytes[0], HEAD_V1]
    assert encode_heads(decode_heads(values), decode_days(values)) == values


def test_many_heads_parse_as_each_of_them_alone() -> None:
    values = [shelf().bytes[0], Shelf().add(polls("Tue 10:00 inactive")).bytes[0], Shelf("UTC").bytes[0]] * 2
    columns, days = decode_heads(values), decode_days(values)
    for store, value in enumerate(values):
        head = decode_head(value)
        marks = slice(*columns.first_mark[store : store + 2].tolist())
        assert columns.mark_codes[marks].tolist() == head.mark_codes.tolist()
        assert columns.mark_ups[marks].tolist() == head.mark_ups.tolist()
        assert columns.latest[store] == head.latest
        assert days.rows[slice(*days.first[store : store + 2].tolist())].tolist() == head.days.tolist()
        schedule = decode_schedule(columns.schedules[columns.schedule_of[store]])
        assert schedule == (head.zone, head.week)


def test_a_page_survives_its_bytes_and_takes_five_of_them_a_poll() -> None:
    day = day_of(at("Mon 00:00"))
    codes = np.array([2 * at("Mon 00:00"), 2 * at("Mon 23:59:59.999999") + 1], np.int64)
    every = np.append(codes, codes[0] + 2 * DAY_US)
    pages = encode_pages(np.array([day, day + 1]), np.array([2, 1]), every)
    assert [len(page) for page in pages] == [1 + 5 * 2, 1 + 5]
    decoded, counts = decode_pages([day, day + 1], pages)
    assert decoded.tolist() == [*codes.tolist(), 2 * at("Tue 00:00")]
    assert counts.tolist() == [2, 1]


@pytest.mark.parametrize("value", [b"\x02" + bytes(31)])
def test_bytes_of_a_newer_version_are_refused_with_what_to_do(value: bytes) -> None:
    for decode in (
        decode_head,
        lambda newer: decode_heads([newer]),
        lambda newer: decode_pages([0], [newer]),
    ):
        with pytest.raises(NewerState, match="newer version"):
            decode(value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"x"),
        (b"Xs1", b"x"),
        (b"Ss1", b""),
        (b"Ss1", HEAD_V1[:20]),
        (b"Ss1", HEAD_V1[:-8]),
        (b"Ps1\0\0\0\0\1", PAGE_V1[:-1]),
    ],
)
def test_a_row_that_nobody_of_us_wrote_is_recognized(key: bytes | None, value: bytes) -> None:
    with pytest.raises(MalformedRow):
        check_row(key, value)


def test_our_own_rows_and_deletions_are_let_through() -> None:
    for key, value in ((b"Ss1", HEAD_V1), (b"Ps1\0\0\0\0\1", PAGE_V1), (b"Mx", b"1"), (b"Ss1", None)):
        check_row(key, value)
