"""Stored bytes: what older versions wrote must be read for ever, and a newer version's is refused."""

import numpy as np
import pytest

from schemas.compatibility import NewerState
from schemas.opening_hours import NOTHING_SAID, OpeningHours, week_of
from schemas.rows.day_blocks import decode_day_blocks, encode_day_blocks
from schemas.rows.high_water import decode_high_water, encode_high_water
from schemas.rows.kinds import MalformedRow, check_row
from schemas.rows.summaries import (
    EMPTY_SUMMARY,
    decode_day_counts,
    decode_summaries,
    decode_summary,
    encode_summaries,
)
from schemas.summaries import NO_POLL, HighWater
from schemas.values import DAY_US, day_of
from tests.builders import at, opening_hours, polls, rows
from tests.core.shelf import Shelf

SUMMARY_V1 = bytes.fromhex(
    "0101030002000000413254a1dde50b00ffffffffffffffff0100000002000000"
    "0060f646dae50b00413254a1dde50b0000000000000000000000000000000000"
    "b44b00000200000001000000"
    "55544300c4308b0700e4cd3f0e0058bc238b004827ad010000000000"
)
SUMMARY_V2 = bytes.fromhex(
    "0200000002000000413254a1dde50b00ffffffffffffffff010000001b000000"
    "0060f646dae50b00413254a1dde50b0000000000000000000000000000000000"
    "b44b00000200000001000000"
    "01010300"
    "55544300c4308b0700e4cd3f0e0058bc238b004827ad0100"
)
DAY_BLOCK_V1 = bytes.fromhex("0101d088c3100060d71d144132357817")
"""What these versions wrote of `shelf()`."""


def shelf() -> Shelf:
    week = week_of(rows("Mon 09:00-17:00", "Sun 22:00-02:00"))
    return Shelf("UTC", week).add(polls("Mon 10:00 active", "Mon 12:00 inactive", "Mon 14:00:00.5 active"))


@pytest.mark.parametrize("stored", [SUMMARY_V1, SUMMARY_V2])
def test_the_bytes_that_each_version_wrote_are_read(stored: bytes) -> None:
    summary = decode_summary(stored)
    assert summary.hours == opening_hours("UTC", week_of(rows("Mon 09:00-17:00", "Sun 22:00-02:00")))
    assert (summary.change_polls >> 1).tolist() == [at("Mon 12:00"), at("Mon 14:00:00.5")]
    assert summary.days.tolist() == [[day_of(at("Mon 00:00")), 2, 1]]


def test_the_bytes_of_the_newest_version_are_still_written() -> None:
    assert shelf().bytes == (SUMMARY_V2, {day_of(at("Mon 00:00")): DAY_BLOCK_V1})


@pytest.mark.parametrize(
    ("version_1", "hours"),
    [
        ("0100000000000000ffffffffffffffffffffffffffffffff0000000000000000", NOTHING_SAID),
        ("0101000000000000ffffffffffffffffffffffffffffffff0000000000000000", opening_hours(None, ())),
        (
            "0100030000000000ffffffffffffffffffffffffffffffff00000000000000005554430000000000",
            OpeningHours("UTC"),
        ),
    ],
)
def test_a_summary_of_version_1_says_the_same_in_the_newest(version_1: str, hours: OpeningHours) -> None:
    """Nothing was said; no hours at all; a zone alone."""
    old = [bytes.fromhex(version_1)]
    new = encode_summaries(decode_summaries(old), decode_day_counts(old))
    assert new == [Shelf(hours.zone, None if hours.hours is None else hours.week).bytes[0]]
    assert decode_summary(old[0]).hours == decode_summary(new[0]).hours == hours


def test_summaries_of_both_versions_are_read_side_by_side() -> None:
    """While some partitions are migrated and others are not."""
    values = [SUMMARY_V1, SUMMARY_V2, SUMMARY_V1]
    summaries, days = decode_summaries(values), decode_day_counts(values)
    assert encode_summaries(summaries, days) == [SUMMARY_V2] * 3
    assert len(summaries.opening_hours) == 1


def test_the_high_water_mark_that_version_1_wrote_is_read_and_still_written() -> None:
    high_water = HighWater(latest=2 * at("Mon 12:00") + 1, baseline=NO_POLL)
    assert encode_high_water(high_water) == b"3348950400000001 -1"
    assert decode_high_water(b"3348950400000001 -1") == high_water


def test_summaries_survive_their_bytes() -> None:
    values = [
        SUMMARY_V2,
        EMPTY_SUMMARY,
        Shelf(None, ()).add(polls("Mon 10:00 inactive")).bytes[0],
        SUMMARY_V2,
    ]
    assert encode_summaries(decode_summaries(values), decode_day_counts(values)) == values


def test_many_summaries_parse_as_each_of_them_alone() -> None:
    values = [shelf().bytes[0], Shelf().add(polls("Tue 10:00 inactive")).bytes[0], Shelf("UTC").bytes[0]] * 2
    columns, days = decode_summaries(values), decode_day_counts(values)
    for store, value in enumerate(values):
        summary = decode_summary(value)
        changes = slice(*columns.first_change[store : store + 2].tolist())
        assert columns.change_polls[changes].tolist() == summary.change_polls.tolist()
        assert columns.change_up_us[changes].tolist() == summary.change_up_us.tolist()
        assert columns.latest[store] == summary.latest
        assert days.rows[slice(*days.first[store : store + 2].tolist())].tolist() == summary.days.tolist()
        assert columns.opening_hours[columns.hours_of[store]] == summary.hours


def test_a_day_block_survives_its_bytes_and_takes_five_of_them_a_poll() -> None:
    day = day_of(at("Mon 00:00"))
    packed = np.array([2 * at("Mon 00:00"), 2 * at("Mon 23:59:59.999999") + 1], np.int64)
    every = np.append(packed, packed[0] + 2 * DAY_US)
    day_blocks = encode_day_blocks(np.array([day, day + 1]), np.array([2, 1]), every)
    assert [len(day_block) for day_block in day_blocks] == [1 + 5 * 2, 1 + 5]
    decoded, counts = decode_day_blocks([day, day + 1], day_blocks)
    assert decoded.tolist() == [*packed.tolist(), 2 * at("Tue 00:00")]
    assert counts.tolist() == [2, 1]


@pytest.mark.parametrize("value", [b"\x03" + bytes(31)])
def test_bytes_of_a_newer_version_are_refused_with_what_to_do(value: bytes) -> None:
    for decode in (
        decode_summary,
        lambda newer: decode_summaries([newer]),
        lambda newer: decode_day_blocks([0], [newer]),
    ):
        with pytest.raises(NewerState, match="newer version"):
            decode(value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"x"),
        (b"xs1", b"x"),
        (b"Ss1", b""),
        (b"Ss1", SUMMARY_V1[:20]),
        (b"Ss1", SUMMARY_V1[:-8]),
        (b"Ps1\0\0\0\0\1", DAY_BLOCK_V1[:-1]),
    ],
)
def test_a_row_that_nobody_of_us_wrote_is_recognized(key: bytes | None, value: bytes) -> None:
    with pytest.raises(MalformedRow):
        check_row(key, value)


def test_our_own_rows_and_deletions_are_let_through() -> None:
    for key, value in (
        (b"Ss1", SUMMARY_V1),
        (b"Ps1\0\0\0\0\1", DAY_BLOCK_V1),
        (b"Mpartitions", b"1"),
        (b"Ss1", None),
    ):
        check_row(key, value)
