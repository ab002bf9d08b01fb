"""What tables say of themselves, at its edges: who knows how many there must be, and how many a sentence names."""

from dataclasses import replace

import pytest

from query_api.snapshots.standing import Standing, TableStanding, lost_records
from query_api.stores.explain import local_days
from schemas.opening_hours import OpeningHours
from schemas.rows.losses import Loss
from schemas.topics import POLLS
from stream.core.calendar import Calendar
from stream.core.windows import Window
from tests.builders import local

WHOLE = TableStanding(True, 7, None, 2, {POLLS: 5}, {}, "2026f")
RESTORING = replace(WHOLE, whole=False, reached=3, target=9)


@pytest.mark.parametrize(
    ("said", "expected", "partitions"), [(2, 3, 3), (3, 2, 3), (2, None, 2), (None, 3, 3), (None, None, None)]
)
def test_there_must_be_as_many_partitions_as_the_broker_or_any_table_says(
    said: int | None, expected: int | None, partitions: int | None
) -> None:
    tables = {0: replace(WHOLE, partitions=said), 1: replace(WHOLE, partitions=None)}
    assert Standing(tables, expected).partitions == partitions


def test_while_nobody_says_how_many_partitions_there_are_nothing_is_whole() -> None:
    standing = Standing({0: replace(WHOLE, partitions=None)}, None)
    assert (standing.unfinished, standing.whole) == ((), False)
    assert standing.obstacle() == "how many partitions there are is not known yet"


@pytest.mark.parametrize(
    ("unfinished", "words"),
    [
        (3, "1 of 4 partitions are whole; {0}; {1}; {2}"),
        (4, "0 of 4 partitions are whole; {0}; {1}; {2} (and 1 more)"),
    ],
)
def test_three_partitions_are_named_and_further_ones_counted(unfinished: int, words: str) -> None:
    tables = {number: RESTORING if number < unfinished else WHOLE for number in range(4)}
    named = [f"partition {number} is being restored: 3 of 9" for number in range(4)]
    assert Standing(tables, 4).obstacle() == words.format(*named)


@pytest.mark.parametrize("end", [5, 6])
def test_a_state_reflects_the_log_once_it_has_applied_up_to_its_end(end: int) -> None:
    words = None if end == 5 else "position 5 of 6 of store-polls partition 0"
    assert Standing({0: WHOLE, 1: WHOLE}, 2).obstacle({(POLLS, 0): end}) == words


@pytest.mark.parametrize(("to_offset", "records"), [(9, 5), (4, 0), (-1, 0)])
def test_a_loss_of_which_nobody_knows_the_end_counts_no_record(to_offset: int, records: int) -> None:
    assert lost_records(Loss(4, to_offset, 0, "why")) == records


def test_a_window_from_local_midnight_to_local_midnight_has_no_empty_day() -> None:
    """0 ─────── 0 ─────── 0      New York on 2023-03-11 and 12; the second has 23 hours"""
    days = [local(day, "America/New_York") for day in ("2023-03-11", "2023-03-12", "2023-03-13")]
    assert local_days(Calendar(OpeningHours("America/New_York")), Window(days[0], days[2])) == [
        Window(days[0], days[1]),
        Window(days[1], days[2]),
    ]
