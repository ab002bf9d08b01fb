"""The core gives the oracle's answer, whatever the week, zone, polls, order and instant."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.opening_hours import Week
from schemas.rows.summaries import decode_summaries
from schemas.values import Poll, Status, StoreId
from stream.core.totals import totals
from stream.core.windows import windows
from tests.builders import opening_hours, row_texts, status_words
from tests.core.shelf import Shelf, merge_together
from tests.oracle import oracle_uptime_us
from tests.profiles import examples
from tests.strategies import Case, cases, weeks, zones


def core_answer(shelf: Shelf, as_of_us: int) -> list[tuple[int, int]]:
    summaries = decode_summaries([shelf.bytes[0]])
    every = totals(summaries, windows(as_of_us), lambda _, day: shelf.load([day]))
    return [(int(total.up_us[0]), int(total.down_us[0])) for total in every]


def oracle_answer(case: Case) -> list[tuple[int, int]]:
    words, hours = status_words(case.polls), row_texts(case.week)
    return [
        oracle_uptime_us(words, hours, case.zone, window.from_us, window.to_us)
        for window in windows(case.as_of_us)
    ]


@settings(max_examples=examples(400))
@given(cases())
def test_the_core_gives_the_oracles_uptime_and_downtime(case: Case) -> None:
    assert core_answer(Shelf(case.zone, case.week).add(case.polls), case.as_of_us) == oracle_answer(case)


@settings(max_examples=examples(200))
@given(cases(retention_days=8))
def test_a_shorter_retention_changes_no_answer_that_may_be_asked(case: Case) -> None:
    shelf = Shelf(case.zone, case.week, retention_days=8).add(case.polls)
    assert core_answer(shelf, case.as_of_us) == oracle_answer(case)


@settings(max_examples=examples(200))
@given(cases(), st.data())
def test_any_order_repeats_and_splits_of_the_polls_give_the_same_bytes(
    case: Case, data: st.DataObject
) -> None:
    expected = Shelf(case.zone, case.week).add(case.polls).bytes
    shuffled = data.draw(st.permutations(case.polls + case.polls))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=6)))
    late_schedule = Shelf()
    for first, last in itertools.pairwise([0, *cuts, len(shuffled)]):
        late_schedule.add(shuffled[first:last])
    assert late_schedule.set_hours(case.zone, case.week).bytes == expected


@settings(max_examples=examples(200))
@given(cases(), st.data())
def test_every_poll_alone_and_in_any_order_gives_the_same_bytes_within_a_short_retention(
    case: Case, data: st.DataObject
) -> None:
    expected = Shelf(case.zone, case.week, retention_days=8).add(case.polls).bytes
    one_by_one = Shelf(case.zone, case.week, retention_days=8)
    for poll in data.draw(st.permutations(case.polls)):
        one_by_one.add([poll])
    assert one_by_one.bytes == expected


@settings(max_examples=examples(200))
@given(st.lists(cases(), min_size=2, max_size=5), st.data())
def test_stores_merged_together_become_what_each_becomes_alone(
    every: list[Case], data: st.DataObject
) -> None:
    together, alone = [Shelf() for _ in every], [Shelf() for _ in every]
    for _ in range(data.draw(st.integers(1, 3))):
        updates = [data.draw(st.permutations(case.polls))[: data.draw(st.integers(0, 6))] for case in every]
        said = {
            store: opening_hours(case.zone, case.week)
            for store, case in enumerate(every)
            if data.draw(st.booleans())
        }
        forgets = [data.draw(st.integers(0, 9)) == 0 for _ in every]
        merge_together(together, updates, said, forgets=forgets)
        for store, shelf in enumerate(alone):
            mine = {0: said[store]} if store in said else {}
            merge_together([shelf], [updates[store]], mine, forgets=[forgets[store]])
    assert [shelf.bytes for shelf in together] == [shelf.bytes for shelf in alone]


@settings(max_examples=examples(100))
@given(cases(), zones(), weeks())
def test_a_change_of_hours_or_zone_reads_the_whole_past_again(case: Case, zone: str, week: Week) -> None:
    changed = Shelf(zone, week).add(case.polls).set_hours(case.zone, case.week)
    assert changed.bytes == Shelf(case.zone, case.week).add(case.polls).bytes


@settings(max_examples=examples(100))
@given(zones(), weeks(), st.integers(0, 2**60), st.data())
def test_a_day_of_many_changes_is_compacted_and_still_exact(
    zone: str, week: Week, seed: int, data: st.DataObject
) -> None:
    random = np.random.default_rng(seed)
    first_us = data.draw(st.sampled_from((1_678_500_000_000_000, 1_667_000_000_000_000)))
    at = np.unique(random.integers(first_us, first_us + 9 * 86_400_000_000, 700))
    active = random.integers(0, 2, len(at))
    polls = tuple(
        Poll(StoreId("s1"), int(at_us), Status.ACTIVE if up else Status.INACTIVE)
        for at_us, up in zip(at, active, strict=True)
    )
    as_of_us = data.draw(st.integers(int(at[-1]) - 86_400_000_000, int(at[-1]) + 86_400_000_000))
    case = Case(zone, week, polls, as_of_us)
    shelf = Shelf(zone, week).add(random.permutation(np.array(polls, object)).tolist())
    assert len(shelf.summary.change_polls) < 200
    assert core_answer(shelf, as_of_us) == oracle_answer(case)


@settings(max_examples=examples(200))
@given(cases(retention_days=8), st.data())
def test_polls_delivered_again_after_a_crash_between_rows_give_the_same_answer(
    case: Case, data: st.DataObject
) -> None:
    """Some polls are in; of the rest, any part of the rows is written, and then they come again, one by one."""
    order = data.draw(st.permutations(case.polls))
    cut = data.draw(st.integers(0, len(order)))
    known, updates = order[:cut], order[cut:]
    shelf = Shelf(case.zone, case.week, retention_days=8).add(known)
    if updates:
        shelf.add_but_crash(updates, rows_written=data.draw(st.integers(0, 6)))
    for poll in updates:
        shelf.add([poll])
    whole = Shelf(case.zone, case.week, retention_days=8).add(case.polls)
    assert shelf.bytes[0] == whole.bytes[0]
    assert core_answer(shelf, case.as_of_us) == oracle_answer(case)
