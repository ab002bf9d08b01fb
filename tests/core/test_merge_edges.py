"""Merging at its edges: midnights, the floor of retention, polls that come late or twice, stores beside each other.

What comes in parts must leave the bytes that it leaves at once; what those are is worked by hand. Days are numbered
from 2023-01-23, a Monday; retention is 8 days.

    0 ─ ─ ─ 4 ─ ─ ─ ─ ─ ─ ─ 12 ─ ─ ─ 20        after a poll on day 20 the floor is day 12
    └ baseline: the last ──┘ └ polls kept ┘
"""

from collections.abc import Sequence

import numpy as np
import pytest

from schemas.opening_hours import week_of
from schemas.rows.summaries import EMPTY_SUMMARY
from schemas.summaries import NO_POLL
from schemas.values import DAY_US, HOUR_US, Poll, Status, StoreId, pack_poll
from stream.core import changes
from stream.core.merge import retained
from tests.builders import opening_hours, rows, utc
from tests.core.shelf import Shelf, merge_together

FIRST_US = utc("2023-01-23")
FIRST_DAY = FIRST_US // DAY_US


def said(*texts: str) -> list[Poll]:
    """Polls from `20 10:00 active`: day, time, status."""
    made = []
    for text in texts:
        day, time, status = text.split()
        hour, minute = map(int, time.split(":"))
        at_us = FIRST_US + int(day) * DAY_US + hour * HOUR_US + minute * 60_000_000
        made.append(Poll(StoreId("s1"), at_us, Status(status)))
    return made


def shelf(*parts: Sequence[Poll]) -> Shelf:
    """What is left after some polls, one part after the other."""
    made = Shelf("UTC", (), retention_days=8)
    for part in parts:
        made.add(part)
    return made


def days(of: Shelf) -> list[int]:
    """The days that have a day block, as the summary lists them."""
    return [day - FIRST_DAY for day in of.summary.days[:, 0].tolist()]


def packed(text: str) -> int:
    (poll,) = said(text)
    return pack_poll(poll.at_us, poll.status)


def changed(of: Shelf) -> list[tuple[float, int, float]]:
    """Of each change: hours since day 0, status after it, hours of uptime accumulated."""
    summary = of.summary
    return [
        (((poll >> 1) - FIRST_US) / HOUR_US, poll & 1, up_us / HOUR_US)
        for poll, up_us in zip(summary.change_polls.tolist(), summary.change_up_us.tolist(), strict=True)
    ]


# What stays, and what is derived again


def test_a_change_at_the_midnight_of_a_compacted_day_is_derived_again_with_that_day() -> None:
    """a ┊ i 0:00 ── a 0:01 ── i 0:02 … i 0:16 ── a 10:00     the last comes later; up for 8 minutes before it

    Kept beside what is derived again, the first would be marked as that of a compacted day, and its uptime gone on
    with.
    """
    flapping = said(*(f"1 00:{nth:02d} {'active' if nth % 2 else 'inactive'}" for nth in range(17)))
    of = shelf([*said("0 10:00 active"), *flapping], said("1 10:00 active"))
    assert changed(of) == [(24, 0, -1 / HOUR_US), (34, 1, 8 / 60)]
    assert of.bytes == shelf([*said("0 10:00 active"), *flapping, *said("1 10:00 active")]).bytes


def test_the_uptime_before_a_new_change_is_kept_where_the_store_was_down_and_where_it_was_up() -> None:
    """i 10 ── a 12 ── i 14 ║ a 10        up from 12 to 14

    i 10 ── a 12 ── i 14 ── a 16 ║ i 10   and from 16 to the next day's 10
    """
    down = said("0 10:00 inactive", "0 12:00 active", "0 14:00 inactive")
    assert changed(shelf(down, said("1 10:00 active")))[-1] == (34, 1, 2)
    up = [*down, *said("0 16:00 active")]
    assert changed(shelf(up, said("1 10:00 inactive")))[-1] == (34, 0, 2 + 18)


def test_a_poll_that_comes_late_leaves_what_comes_in_order_leaves() -> None:
    every = said("0 10:00 inactive", "1 10:00 active", "2 10:00 inactive", "3 10:00 active")
    at_once = shelf(every)
    assert changed(at_once) == [(10, 0, 0), (34, 1, 0), (58, 0, 24), (82, 1, 24)]
    for late in range(len(every)):
        rest = every[:late] + every[late + 1 :]
        assert shelf(rest, [every[late]]).bytes == at_once.bytes


def test_a_day_block_gets_a_poll_beside_those_that_it_has() -> None:
    of = shelf(said("0 10:00 active"), said("0 11:00 active"))
    assert of.summary.days[:, 1:].tolist() == [[2, 0]]
    assert of.packed().tolist() == [packed("0 10:00 active"), packed("0 11:00 active")]


def test_of_polls_of_one_instant_that_disagree_the_inactive_one_is_kept_whichever_comes_first() -> None:
    both = said("0 10:00 active", "0 10:00 inactive")
    for order in (both, both[::-1]):
        for of in (shelf(order), shelf(order[:1], order[1:])):
            assert of.packed().tolist() == [packed("0 10:00 inactive")]
            assert of.summary.latest == packed("0 10:00 inactive")


# Retention


def test_the_day_at_the_floor_is_kept_and_the_one_before_it_is_dropped() -> None:
    of = shelf(said("11 23:59 active", "12 00:00 active"), said("20 00:00 active"))
    assert days(of) == [12, 20]
    assert of.summary.baseline == packed("11 23:59 active")


@pytest.mark.parametrize("status", ["active", "inactive"])
def test_a_new_poll_at_the_midnight_of_the_floor_is_kept(status: str) -> None:
    of = shelf(said("20 10:00 active"), said(f"12 00:00 {status}"))
    assert (days(of), of.summary.baseline) == ([12, 20], NO_POLL)


def test_a_poll_below_the_floor_of_polls_known_before_is_the_baseline_and_derives_all_again() -> None:
    """i 4 ┊ a 20    the store is down until the 20th, though nothing was polled in between"""
    of = shelf(said("20 10:00 active"), said("4 10:00 inactive"))
    assert (days(of), of.summary.baseline) == ([20], packed("4 10:00 inactive"))
    assert changed(of) == [(4 * 24 + 10, 0, 0), (20 * 24 + 10, 1, 0)]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_old_polls_of_one_instant_the_inactive_one_is_the_baseline(order: int) -> None:
    both = said("4 10:00 active", "4 10:00 inactive")[::order]
    for of in (shelf(said("20 10:00 active"), both), shelf(said("20 10:00 active"), both[:1], both[1:])):
        assert of.summary.baseline == packed("4 10:00 inactive")


def test_changes_of_dropped_days_go_and_what_is_left_begins_at_zero() -> None:
    """i 0 ── a 4 ┊ i 20     up when the days were dropped, so the first change that is left is the third"""
    of = shelf(said("0 10:00 inactive", "4 10:00 active"), said("20 10:00 inactive"))
    assert changed(of) == [(20 * 24 + 10, 0, 0)]


def test_a_baseline_that_is_down_is_one_change_however_much_comes_behind_it() -> None:
    """i 4 ┊ a 20 ── i 21"""
    of = shelf(said("4 10:00 inactive"), said("20 10:00 active"), said("21 10:00 inactive"))
    assert changed(of) == [(4 * 24 + 10, 0, 0), (20 * 24 + 10, 1, 0), (21 * 24 + 10, 0, 24)]


@pytest.mark.parametrize(
    ("first", "kept"),
    [
        ("12 10:00 inactive", ["11 10:00 active", "12 10:00 inactive", "20 10:00 active"]),
        ("12 10:00 active", ["11 10:00 active", "12 10:00 active", "20 10:00 active"]),
        ("12 09:59 active", ["12 09:59 active", "20 10:00 active"]),
    ],
)
def test_a_poll_exactly_as_old_as_retention_goes_is_retained_and_so_is_the_one_before_it(
    first: str, kept: list[str]
) -> None:
    """Eight days back from day 20, 10:00: [12, 10:00 …"""
    every = np.array([packed(text) for text in ("11 10:00 active", first, "20 10:00 active")])
    assert retained(every, NO_POLL, 8).tolist() == [packed(text) for text in kept]


# Forgetting


def test_a_store_that_forgets_has_neither_baseline_nor_latest_and_no_row() -> None:
    of = Shelf(retention_days=8).add(said("4 10:00 inactive", "20 10:00 active"))
    assert of.summary.baseline == packed("4 10:00 inactive")
    of.forget_polls()
    assert of.bytes == (EMPTY_SUMMARY, {})


# Beside each other


@pytest.mark.parametrize("most_us", [1, changes._MAX_SPANS_US])
def test_stores_of_several_calendars_are_what_each_is_alone(
    most_us: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where their spans are too long to be read together. Each reaches from the floor to the last day."""
    monkeypatch.setattr(changes, "_MAX_SPANS_US", most_us)
    every = said("12 00:00 inactive", "12 06:00 active", "16 10:00 inactive", "20 23:59 active")
    hours = [
        opening_hours("Asia/Tokyo", week_of(rows("daily 09:00-17:00"))),
        opening_hours("UTC", ()),
        opening_hours("America/Chicago", week_of(rows("Mon-Fri 22:00-03:00"))),
        opening_hours("UTC", ()),
        opening_hours("Europe/Berlin", week_of(rows("daily 00:00-24:00"))),
    ]
    together = [Shelf(each.zone, each.week, retention_days=8) for each in hours]
    merge_together(together, [every[:1]] * len(hours), retention_days=8)
    merge_together(together, [every[1:]] * len(hours), retention_days=8)
    alone = [Shelf(each.zone, each.week, retention_days=8).add(every) for each in hours]
    assert [of.bytes for of in together] == [of.bytes for of in alone]
    assert changed(together[1])[-1] == (20 * 24 + 23 + 59 / 60, 1, 4 * 24 + 4)
