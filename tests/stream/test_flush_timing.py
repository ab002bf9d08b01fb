"""When a flush is due: states, events, and how long each state lasts.

quiet ── taken ──▶ gathering ── 0.5 s ──▶ due ── flush ──▶ quiet
  └── taken, more waits ──▶ backlog ── 2 s, or all taken ──▶ …
"""

import pytest

from stream.worker.flush_timing import TRANSITIONS, Event, FlushTiming, State

TAKEN, MORE, HURRY = Event.TAKEN_ALL, Event.TAKEN_MORE_WAITS, Event.HURRY
TIME, BEGINS = Event.TIME_IS_UP, Event.FLUSH_BEGINS
ENDS, ENDS_MORE = Event.FLUSH_ENDS, Event.FLUSH_ENDS_MORE_WAITS


def after(*events: tuple[Event, float]) -> FlushTiming:
    """A timing of half a second, after what happened at some moments."""
    timing = FlushTiming(flush_seconds=0.5, now_s=0.0)
    for event, now_s in events:
        timing.on(event, now_s)
    return timing


def test_every_event_has_an_answer_in_every_state() -> None:
    assert set(TRANSITIONS) == set(Event)
    assert all(set(answers) == set(State) for answers in TRANSITIONS.values())


@pytest.mark.parametrize(
    ("events", "state", "ends_s"),
    [
        ((), State.QUIET, None),
        (((TAKEN, 3.0),), State.GATHERING, 3.5),
        (((TAKEN, 3.0), (TAKEN, 3.4)), State.GATHERING, 3.5),
        (((TAKEN, 3.0), (MORE, 3.1)), State.GATHERING, 3.5),
        (((MORE, 3.0),), State.BACKLOG, 5.0),
        (((MORE, 3.0), (MORE, 4.9)), State.BACKLOG, 5.0),
        (((MORE, 3.0), (TAKEN, 4.0)), State.GATHERING, 4.5),
        (((MORE, 3.0), (TAKEN, 4.8)), State.GATHERING, 5.0),
        (((MORE, 3.0), (TIME, 5.0)), State.DUE, 5.0),
        (((TAKEN, 3.0), (TIME, 3.5)), State.DUE, 3.5),
        (((TIME, 3.0),), State.QUIET, None),
        (((HURRY, 3.0),), State.DUE, 3.0),
        (((TAKEN, 3.0), (HURRY, 3.1)), State.DUE, 3.1),
        (((HURRY, 3.0), (TAKEN, 3.1)), State.DUE, 3.0),
        (((TAKEN, 3.0), (BEGINS, 3.5)), State.QUIET, None),
        (((TAKEN, 3.0), (BEGINS, 3.5), (ENDS, 3.6)), State.QUIET, None),
    ],
)
def test_a_state_ends_when_it_should(
    events: tuple[tuple[Event, float], ...], state: State, ends_s: float | None
) -> None:
    timing = after(*events)
    assert (timing.state, timing.ends_s()) == (state, ends_s)


@pytest.mark.parametrize(
    ("taken", "ends", "ends_s"),
    [([TAKEN], ENDS, 9.5), ([MORE], ENDS_MORE, 11.0), ([TAKEN, MORE], ENDS_MORE, 11.0)],
)
def test_what_comes_while_a_flush_is_under_way_has_its_time_from_the_end_of_it(
    taken: list[Event], ends: Event, ends_s: float
) -> None:
    """Else a worker under load would do nothing but flush: also where one partition is live and another behind."""
    came = [(event, 2.0) for event in taken]
    assert after((TAKEN, 1.0), (BEGINS, 1.5), *came, (ends, 9.0)).ends_s() == ends_s


def test_what_waited_for_as_long_as_anything_may_is_overdue() -> None:
    timing = after((MORE, 3.0), (TAKEN, 4.8))
    assert (timing.is_overdue(4.9), timing.is_overdue(5.0)) == (False, True)
    assert not after().is_overdue(100.0)


def test_who_waits_is_told_of_a_new_state_and_of_nothing_else() -> None:
    timing = FlushTiming(flush_seconds=0.5, now_s=0.0)
    assert [timing.on(event, 1.0) for event in (MORE, MORE, TAKEN, TAKEN, HURRY, HURRY, BEGINS, BEGINS)] == [
        True,
        False,
        True,
        False,
        True,
        False,
        True,
        False,
    ]
