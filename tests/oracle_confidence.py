"""How sure a number is, by its plain definition (rule 2.9): the oracle's part for it.

Owns: what each stretch between edges is. Shares no code with the product. Must not know: stream, query_api,
schemas.
"""

from bisect import bisect_right
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise, product

from tests.oracle import status_at_each
from tests.oracle_hours import Hours, spans


def parts_us(
    polls_of_store: Iterable[tuple[int, str]], hours: Hours, zone: str, span: tuple[int, int], gap_us: int
) -> tuple[int, int, int, int]:
    """Confirmed up, confirmed down, turning and assumed microseconds of the open time in a span."""
    up_us = down_us = turning_us = assumed_us = 0
    for begin_us, next_us, kind in _stretches(polls_of_store, hours, zone, span, gap_us):
        length_us = next_us - begin_us
        up_us += length_us * (kind == "active")
        down_us += length_us * (kind == "inactive")
        turning_us += length_us * (kind == "turning")
        assumed_us += length_us * (kind == "assumed")
    return up_us, down_us, turning_us, assumed_us


def bounds_us(
    polls_of_store: Iterable[tuple[int, str]], hours: Hours, zone: str, span: tuple[int, int], gap_us: int
) -> tuple[int, int]:
    """The least and the most uptime over every status that each stretch which is not confirmed may have had."""
    stretches = list(_stretches(polls_of_store, hours, zone, span, gap_us))
    free = [next_us - begin_us for begin_us, next_us, kind in stretches if kind in ("turning", "assumed")]
    sure = sum(next_us - begin_us for begin_us, next_us, kind in stretches if kind == "active")
    every = [
        sure + sum(length * up for length, up in zip(free, ups, strict=True))
        for ups in product((0, 1), repeat=len(free))
    ]
    return min(every), max(every)


def verdict(
    polls_of_store: Iterable[tuple[int, str]],
    store: tuple[Hours, str],
    span: tuple[int, int],
    gap_us: int,
    target: Fraction,
) -> str:
    """Against a target in percent: the first that fits of the five (rule 2.9)."""
    polls_of_store, (hours, zone) = list(polls_of_store), store
    parts = parts_us(polls_of_store, hours, zone, span, gap_us)
    if not sum(parts):
        return "not open"
    if not any(span[0] - gap_us <= at_us <= span[1] + gap_us for at_us, _ in polls_of_store):
        return "no data"
    open_us = sum(parts)
    if Fraction(100 * parts[0], open_us) >= target:
        return "met"
    return "missed" if Fraction(100 * (open_us - parts[1]), open_us) < target else "undecided"


def _stretches(
    polls_of_store: Iterable[tuple[int, str]], hours: Hours, zone: str, span: tuple[int, int], gap_us: int
) -> Iterable[tuple[int, int, str]]:
    """The open stretches of [from_us, to_us) in which nothing changes, and what each is."""
    from_us, to_us = span
    known = status_at_each(polls_of_store)
    instants = sorted(known)
    by_hours = spans(hours, zone, from_us, to_us)
    edges = {from_us, to_us, *instants, *(end for each in (*by_hours, *hours.closures) for end in each)}
    for begin_us, next_us in pairwise(sorted(edge for edge in edges if from_us <= edge <= to_us)):
        is_open = any(start <= begin_us < end for start, end in by_hours)
        if not is_open or any(start <= begin_us < end for start, end in hours.closures):
            continue
        before = bisect_right(instants, begin_us)
        if before in (0, len(instants)) or instants[before] - instants[before - 1] > gap_us:
            yield begin_us, next_us, "assumed"
        elif known[instants[before - 1]] == known[instants[before]]:
            yield begin_us, next_us, known[instants[before]]
        else:
            yield begin_us, next_us, "turning"
