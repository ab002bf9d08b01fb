"""How far polls reach: raised at once, counted again only where what was forgotten reached as far.

stored   latest ─────────────▲ 90      baseline ────▲ 40
"""

import pytest

from schemas.summaries import HighWater
from stream.worker.high_water import HighWaterKeeper

STORED = HighWater(latest=90, baseline=40)
NOTHING = HighWater()


def keeper(reached: HighWater, forgotten: HighWater = NOTHING) -> HighWaterKeeper:
    kept = HighWaterKeeper(STORED)
    kept.add(reached, forgotten)
    return kept


@pytest.mark.parametrize("reached", [NOTHING, HighWater(90, 40), HighWater(7, 3)])
def test_polls_that_reach_no_further_leave_the_mark_as_it_is(reached: HighWater) -> None:
    kept = keeper(reached)
    assert (kept.must_count, kept.after(None)) == (False, None)


@pytest.mark.parametrize(
    ("reached", "mark"), [(HighWater(91, 3), HighWater(91, 40)), (HighWater(7, 41), HighWater(90, 41))]
)
def test_polls_that_reach_further_raise_it(reached: HighWater, mark: HighWater) -> None:
    assert keeper(reached).after(None) == mark


@pytest.mark.parametrize(
    ("forgotten", "must_count"),
    [
        (HighWater(89, 39), False),
        (HighWater(90, -1), True),
        (HighWater(-1, 40), True),
        (NOTHING, False),
    ],
)
def test_a_count_is_needed_where_the_forgotten_reached_as_far(forgotten: HighWater, must_count: bool) -> None:
    assert keeper(NOTHING, forgotten).must_count == must_count


def test_a_count_of_the_others_and_what_was_said_is_the_mark_also_where_it_is_the_same() -> None:
    """The table may say one more than there is, so it is written all the same."""
    kept = keeper(HighWater(50, 10), HighWater(90, 40))
    assert kept.after(HighWater(60, 5)) == HighWater(60, 10)
    assert kept.after(HighWater(90, 40)) == STORED


def test_one_part_of_a_flush_that_needs_a_count_is_enough() -> None:
    kept = HighWaterKeeper(STORED)
    for forgotten in (NOTHING, HighWater(90, -1), NOTHING):
        kept.add(NOTHING, forgotten)
    assert kept.must_count
