"""Confirmed, turning and assumed time, bounds and verdicts: the core gives what the plain definition gives."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.opening_hours import OpeningHours
from schemas.rows.summaries import decode_summaries
from schemas.values import HOUR_US, pack_poll
from stream.core.confidence import PERCENT, Confidence, StorePolls, confidence, verdicts
from stream.core.totals import totals
from stream.core.windows import Spans
from tests.builders import status_words
from tests.core.shelf import Shelf
from tests.hours_strategies import words
from tests.oracle_confidence import bounds_us, parts_us, verdict
from tests.profiles import examples
from tests.properties.test_hours_over_time import Case, cases

GAPS = st.sampled_from([1, HOUR_US, 2 * HOUR_US, 2 * HOUR_US + 1, 9 * HOUR_US, 40 * HOUR_US])


def found(every: list[Case], spans: list[Spans], gap_us: int) -> list[Confidence]:
    shelves = [Shelf().set_all_hours(OpeningHours(case.zone, case.hours)) for case in every]
    summaries = decode_summaries([shelf.bytes[0] for shelf in shelves])
    packed = [sorted(pack_poll(poll.at_us, poll.status) for poll in case.polls) for case in every]
    polls = StorePolls(
        np.cumsum([0, *map(len, packed)]),
        np.array([each for of_store in packed for each in of_store], np.int64),
    )
    return confidence(summaries, polls, spans, gap_us)


def own_windows(every: list[Case]) -> list[Spans]:
    """For each of the three windows, that of every store: edges of their own."""
    windows = [case.windows for case in every]
    return [
        Spans(
            *(
                np.array([getattr(of_store[nth], edge) for of_store in windows])
                for edge in ("from_us", "to_us")
            )
        )
        for nth in range(3)
    ]


@settings(max_examples=examples(200))
@given(st.lists(cases(), min_size=1, max_size=3), GAPS)
def test_the_parts_of_the_open_time_are_the_oracles_and_add_up(every: list[Case], gap_us: int) -> None:
    spans = own_windows(every)
    for span, of_span in zip(spans, found(every, spans, gap_us), strict=True):
        for store, case in enumerate(every):
            edges = int(span.from_us[store]), int(span.to_us[store])
            parts = parts_us(status_words(case.polls), words(case.hours), case.zone, edges, gap_us)
            assert parts == (
                int(of_span.confirmed_up_us[store]),
                int(of_span.confirmed_down_us[store]),
                int(of_span.turning_us[store]),
                int(of_span.assumed_us[store]),
            )
            assert sum(parts) == int(of_span.open_us[store])


@settings(max_examples=examples(150))
@given(cases(), GAPS)
def test_the_bounds_are_those_of_every_status_that_there_may_have_been(case: Case, gap_us: int) -> None:
    """And rule 5's number lies inside of them. Small cases alone: every status of every stretch is tried."""
    span = own_windows([case])[0]
    edges = int(span.from_us[0]), int(span.to_us[0])
    (of_span,) = found([case], [span], gap_us)
    bounds = int(of_span.least_up_us[0]), int(of_span.most_up_us[0])
    assert bounds == bounds_us(status_words(case.polls), words(case.hours), case.zone, edges, gap_us)
    shelf = Shelf().add(case.polls).set_all_hours(OpeningHours(case.zone, case.hours))
    (total,) = totals(decode_summaries([shelf.bytes[0]]), [span], lambda _, day: shelf.load([day]))
    assert bounds[0] <= int(total.up_us[0]) <= bounds[1]


TARGETS = st.one_of(st.sampled_from([0, 100 * PERCENT, 95 * PERCENT]), st.integers(0, 100 * PERCENT))


@settings(max_examples=examples(200))
@given(cases(), GAPS, TARGETS)
def test_a_verdict_is_the_first_that_fits(case: Case, gap_us: int, target: int) -> None:
    spans = own_windows([case])
    for span, of_span in zip(spans, found([case], spans, gap_us), strict=True):
        edges = int(span.from_us[0]), int(span.to_us[0])
        said = verdict(
            status_words(case.polls), (words(case.hours), case.zone), edges, gap_us, Fraction(target, PERCENT)
        )
        assert [each.value for each in verdicts(of_span, target)] == [said]
