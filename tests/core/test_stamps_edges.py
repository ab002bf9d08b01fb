"""Which record holds, where clocks go back, copies come in any order, or there is no clock at all.

partition 2 (right)     A@10   B@7 ▶ counts as 10
partition 0 (stray)     S@9, S@11
"""

import pytest

from schemas.stamps import STAMP_HEADER, Held, LastSaid, Stamp, stamp_header, stamp_in

A, B = Stamp(10, 2, 0), Stamp(7, 2, 1)


def stray(timestamp_ms: int, partition: int = 0) -> Stamp:
    return Stamp(timestamp_ms, partition, 0)


@pytest.mark.parametrize("is_one_flush", [True, False])
def test_a_direct_record_of_a_slow_clock_counts_with_the_time_of_the_one_before_it(
    is_one_flush: bool,
) -> None:
    """Written behind A at 10, it is later than a stray of 9, also where both are told at once."""
    said = LastSaid[str]()
    said.say_direct(A, "A")
    held = Held()
    if not is_one_flush:
        held, _, _ = said.resolve(held)
        said = LastSaid[str]()
    said.say_direct(B, "B")
    held, value, is_new = said.resolve(held)
    assert (held, value, is_new) == (Held(Stamp(10, 2, 1), 10), "B", True)
    late = LastSaid[str]()
    late.say_stray(stray(9), "S")
    assert late.resolve(held) == (held, None, False)


@pytest.mark.parametrize("order", [1, -1])
def test_of_copies_that_come_at_once_the_one_written_last_holds_in_whichever_order(order: int) -> None:
    said = LastSaid[str]()
    for timestamp_ms in (9, 11)[::order]:
        said.say_stray(stray(timestamp_ms), f"S{timestamp_ms}")
    assert said.resolve(Held())[1] == "S11"


def test_a_copy_that_holds_makes_no_direct_record_later_than_it_is() -> None:
    """S@11 holds; B@7 comes behind it in the log, but no direct record was as late as 11."""
    said = LastSaid[str]()
    said.say_stray(stray(11), "S")
    held, _, _ = said.resolve(Held())
    direct = LastSaid[str]()
    direct.say_direct(B, "B")
    assert direct.resolve(held) == (Held(stray(11), 7), None, False)


def test_a_record_without_a_timestamp_has_a_stamp_all_the_same() -> None:
    """Kafka says -1."""
    none = Stamp(-1, 2, 7)
    assert stamp_header(none) == (STAMP_HEADER, b"-1 2 7")
    assert stamp_in([stamp_header(none)]) == none
