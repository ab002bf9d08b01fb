"""Days of many changes: from which number on they are compacted, what is stored of them, what is answered."""

import pytest

from schemas.arrays import NO_INTS
from schemas.rows.summaries import decode_summaries
from schemas.values import HOUR_US, MINUTE_US, Poll
from stream.core.totals import totals
from stream.core.windows import Window
from tests.builders import at, polls, status_words
from tests.core.shelf import Shelf
from tests.oracle import oracle_uptime_us

MOST = 16
"""Changes of one day that are all kept (docs of stream.core.changes)."""


def flapping(changes: int, first: str = "inactive", day: str = "Mon") -> list[Poll]:
    """A change a minute from 10:00 on.

    10:00 10:01 10:02 10:03
      i     a     i     a  …      up from each odd minute to the even one after it
    """
    second = {"inactive": "active", "active": "inactive"}[first]
    return polls(*(f"{day} 10:{nth:02d} {second if nth % 2 else first}" for nth in range(changes)))


def stored(shelf: Shelf) -> list[tuple[int, int]]:
    """Of each change that the summary keeps: the instant, and what stands in the place of its uptime."""
    summary = shelf.summary
    return list(zip((summary.change_polls >> 1).tolist(), summary.change_up_us.tolist(), strict=True))


def answer(shelf: Shelf, from_us: int, to_us: int) -> tuple[int, int]:
    """Uptime and downtime."""
    summaries = decode_summaries([shelf.bytes[0]])
    (total,) = totals(summaries, [Window(from_us, to_us)], lambda _, day: shelf.load([day]))
    return int(total.up_us[0]), int(total.down_us[0])


def test_a_day_of_sixteen_changes_is_kept_whole() -> None:
    """Up for a minute between the second and the third, the fourth and the fifth, and so on."""
    assert stored(Shelf().add(flapping(MOST))) == [
        (at(f"Mon 10:{nth:02d}"), nth // 2 * MINUTE_US) for nth in range(MOST)
    ]


def test_of_a_day_of_seventeen_the_first_and_the_last_are_kept_and_the_first_is_marked() -> None:
    """~0 is -1; up for 8 minutes from 10:00 to 10:16."""
    assert stored(Shelf().add(flapping(MOST + 1))) == [
        (at("Mon 10:00"), -1),
        (at("Mon 10:16"), 8 * MINUTE_US),
    ]


def test_the_mark_of_a_compacted_day_is_the_uptime_before_it_inverted() -> None:
    """Down on Sunday from 10 to 11, up for 23 hours until Monday 10:00."""
    shelf = Shelf().add(polls("Sun-7 10:00 inactive", "Sun-7 11:00 active")).add(flapping(MOST + 1))
    assert stored(shelf)[2:] == [
        (at("Mon 10:00"), -23 * HOUR_US - 1),
        (at("Mon 10:16"), 23 * HOUR_US + 8 * MINUTE_US),
    ]


@pytest.mark.parametrize("before", ["inactive", "active"])
@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        ("Mon 10:05:30", "Mon 10:11:30"),  # both inside of the day's changes
        ("Mon 09:30", "Mon 10:04:30"),
        ("Mon 10:07:30", "Tue 10:07:30"),
        ("Mon 10:16", "Mon 10:17"),
        ("Mon 09:00", "Wed 00:00"),
        ("Tue 10:03:30", "Tue 10:08:30"),
    ],
)
def test_spans_that_begin_or_end_inside_of_compacted_days_are_answered_as_the_oracle_does(
    before: str, begins: str, ends: str
) -> None:
    """Monday begins with the other status than Sunday left; Tuesday goes on from Monday's last."""
    first, then = ("active", "inactive") if before == "inactive" else ("inactive", "active")
    every = [*polls(f"Sun-7 10:00 {before}", "Sun-7 11:00 inactive", f"Sun-7 12:00 {before}")]
    every += [*flapping(MOST + 3, first), *flapping(MOST + 4, then, "Tue")]
    shelf = Shelf().add(every)
    expected = oracle_uptime_us(status_words(every), [], "America/Chicago", at(begins), at(ends))
    assert answer(shelf, at(begins), at(ends)) == expected


def test_of_several_stores_each_keeps_its_changes_when_one_is_looked_up_in_its_day_block() -> None:
    """Down from 10:00 on: the second store, behind one whose Monday has 18 changes."""
    compacted, plain = Shelf().add(flapping(MOST + 2)), Shelf().add(polls("Mon 10:00 inactive"))
    summaries = decode_summaries([compacted.bytes[0], plain.bytes[0], compacted.bytes[0]])
    shelves = (compacted, plain, compacted)
    window = Window(at("Mon 09:30"), at("Mon 10:05:30"))
    (total,) = totals(summaries, [window], lambda store, day: shelves[store].load([day]))
    assert total.up_us.tolist() == [32.5 * MINUTE_US, 30 * MINUTE_US, 32.5 * MINUTE_US]


def test_while_its_day_block_is_not_there_a_compacted_day_counts_by_its_first_and_last_change() -> None:
    """Summary and day block are written one after the other: inactive at 10:00 and at 10:16 is all there is."""
    summaries = decode_summaries([Shelf().add(flapping(MOST + 1)).bytes[0]])
    (total,) = totals(summaries, [Window(at("Mon 09:00"), at("Mon 10:08"))], lambda *_: NO_INTS)
    assert total.up_us.tolist() == [HOUR_US]
