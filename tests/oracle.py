"""The slow, plain answer to the report, made from the rules alone (rules 2).

Owns: a second opinion. Shares no code with the product, and no library for zones either: `zoneinfo` here (on
the files of the `tzdata` package, never the machine's), pytz there; both hold the same IANA release.
Must not know: stream, query_api, schemas.

Method: collect every instant of a window at which anything may change (its edges, the polls, both UTC ends of
every business span). Between two neighbours nothing changes, so ask at the first of them "open?" and "which
status?", each by its definition, and add the length to uptime, to downtime or to nothing.

    python -m tests.oracle DIR OUT      the CSVs of DIR (plain, .gz or .zst; clean ones) → the report OUT
"""

import csv
import gzip
import io
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import IO, cast
from zoneinfo import ZoneInfo

import zstandard

HEADER = (
    "store_id",
    "uptime_last_hour",
    "downtime_last_hour",
    "uptime_last_day",
    "downtime_last_day",
    "uptime_last_week",
    "downtime_last_week",
)
WINDOWS = (
    (timedelta(hours=1), timedelta(minutes=1)),
    (timedelta(hours=24), timedelta(hours=1)),
    (timedelta(hours=7 * 24), timedelta(hours=1)),
)
"""Each window's length, and the unit in which the report prints it."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def oracle_report(
    polls: Iterable[tuple[str, int, str]],
    hours: Mapping[str, Sequence[tuple[int, str, str]]],
    zones: Mapping[str, str],
    as_of_us: int | None = None,
) -> str:
    """The whole report as CSV text (rule 2.6).

    `polls` are (store id, instant in us, status), in any order, repeats welcome; `hours` has each store's
    rows (day, local start, local end); `zones` its zone name. `as_of_us` None means the latest poll over all
    stores; ValueError where there is none.
    """
    polls_of: dict[str, list[tuple[int, str]]] = {}
    for store_id, at_us, status in polls:
        polls_of.setdefault(store_id, []).append((at_us, status))
    if as_of_us is None:
        if not polls_of:
            raise ValueError("no poll and no as_of: nothing to look back from")
        as_of_us = max(at_us for of_store in polls_of.values() for at_us, _ in of_store)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(HEADER)
    for store_id in sorted(polls_of.keys() | hours.keys() | zones.keys()):
        of_store = polls_of.get(store_id, [])
        rows = hours.get(store_id, ())
        zone = zones.get(store_id, "America/Chicago")
        lines.writerow([store_id, *_cells(of_store, rows, zone, as_of_us)])
    return text.getvalue()


def _cells(
    polls_of_store: Sequence[tuple[int, str]],
    rows: Sequence[tuple[int, str, str]],
    zone: str,
    as_of_us: int,
) -> Iterator[str]:
    for length, unit in WINDOWS:
        from_us = as_of_us - length // MICROSECOND
        for spent_us in oracle_uptime_us(polls_of_store, rows, zone, from_us, as_of_us):
            yield cell(spent_us, unit // MICROSECOND)


def cell(spent_us: int, unit_us: int) -> str:
    """`spent_us` in units of `unit_us`, half-even to 2 decimals; a second that is zero goes (`45.0`)."""
    hundredths = round(Fraction(100 * spent_us, unit_us))  # a Fraction rounds exactly, a half to even
    return str(Decimal(hundredths).scaleb(-2)).removesuffix("0")


def oracle_uptime_us(
    polls_of_store: Iterable[tuple[int, str]],
    rows: Sequence[tuple[int, str, str]],
    zone: str,
    from_us: int,
    to_us: int,
) -> tuple[int, int]:
    """Open microseconds in [from_us, to_us) with status active, and with status inactive (rule 2.5).

    `polls_of_store` are (instant in us, status); `rows` are (day, local start, local end), none: open 24/7.
    """
    known = status_at_each(polls_of_store)
    instants = sorted(known)
    spans = business_spans(rows, zone, from_us, to_us)
    edges = {from_us, to_us, *instants, *(end for span in spans for end in span)}
    up_us = down_us = 0
    for begin_us, next_us in pairwise(sorted(edge for edge in edges if from_us <= edge <= to_us)):
        is_open = not rows or any(start <= begin_us < end for start, end in spans)
        polls_so_far = bisect_right(instants, begin_us)
        status = known[instants[polls_so_far - 1]] if polls_so_far else "active"
        if is_open and status == "active":
            up_us += next_us - begin_us
        elif is_open:
            down_us += next_us - begin_us
    return up_us, down_us


def status_at_each(polls_of_store: Iterable[tuple[int, str]]) -> dict[int, str]:
    """The status at each polled instant: `inactive` wins where polls of one instant disagree (rule 2.1)."""
    known: dict[int, str] = {}
    for at_us, status in polls_of_store:
        known[at_us] = "inactive" if known.get(at_us) == "inactive" else status
    return known


def business_spans(
    rows: Sequence[tuple[int, str, str]], zone: str, from_us: int, to_us: int
) -> list[tuple[int, int]]:
    """Every business span [start, end) in UTC us that may touch [from_us, to_us) (rule 2.2), not unioned.

    Local dates from 3 days before to 3 days after: a span ends by the end of the next local date, no zone is
    a day off UTC, and no clock ever skipped more than a day.
    """
    spans = []
    day = _utc_date(from_us) - timedelta(days=3)
    while day <= _utc_date(to_us) + timedelta(days=3):
        for weekday, start, end in rows:
            if weekday == day.weekday():
                spans.append(_span(day, wall_time(start), wall_time(end), zone))
        day += timedelta(days=1)
    return [(start_us, end_us) for start_us, end_us in spans if start_us < end_us]


def _span(day: date, start: timedelta, end: timedelta, zone: str) -> tuple[int, int]:
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 (a wall time has no zone)
    end_midnight = midnight + timedelta(days=1) if end <= start else midnight
    return instant_of(midnight + start, zone), instant_of(end_midnight + end, zone)


def instant_of(wall: datetime, zone: str) -> int:
    """The instant (UTC us) of a wall time (rule 2.4, RFC 5545).

    PEP 495 defines fold=0 as that rule: of two occurrences the first, and in a gap the offset before it.
    `test_oracle_wall_time.py` holds zoneinfo to it, clock change by clock change.
    """
    return (wall.replace(tzinfo=zone_of(zone), fold=0) - EPOCH) // MICROSECOND


@cache
def zone_of(name: str) -> ZoneInfo:
    """The zone as the pinned `tzdata` package has it, whatever the machine has. FileNotFoundError if none."""
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as compiled:
        return ZoneInfo.from_file(compiled, key=name)


@cache
def wall_time(text: str) -> timedelta:
    """Time since local midnight of `HH:MM`, `HH:MM:SS` or `HH:MM:SS.ffffff`; `24:00:00` is a day."""
    hour, minute, second = [*text.split(":"), "0"][:3]
    microseconds = int(Decimal(second) * 1_000_000)
    return timedelta(hours=int(hour), minutes=int(minute), microseconds=microseconds)


def _utc_date(at_us: int) -> date:
    return (EPOCH + timedelta(microseconds=at_us)).date()


def retained(polls: Iterable[tuple[str, int, str]], retention_days: int) -> set[tuple[str, int, str]]:
    """The polls that are kept (rule 2.8): per store, all from `retention_days` before its latest poll on.

    Of the older ones the latest is kept; where two of that instant disagree, the inactive one. Younger ones
    that disagree are all kept.
    """
    polls = set(polls)
    kept = set()
    for store_id in {store_id for store_id, _, _ in polls}:
        of_store = [poll for poll in polls if poll[0] == store_id]
        oldest_us = max(at_us for _, at_us, _ in of_store) - timedelta(days=retention_days) // MICROSECOND
        kept |= {poll for poll in of_store if poll[1] >= oldest_us}
        older = status_at_each((at_us, status) for _, at_us, status in of_store if at_us < oldest_us)
        if older:
            kept.add((store_id, max(older), older[max(older)]))
    return kept


def report_of_folder(folder: Path, as_of_us: int | None = None) -> str:
    """The report of a folder of clean CSVs (rules 3). Nothing is rejected: a value that is broken raises."""
    polls = (
        (line["store_id"], _instant(line["timestamp_utc"]), line["status"])
        for line in _lines(folder, "store_status")
    )
    hours: dict[str, list[tuple[int, str, str]]] = {}
    for line in _lines(folder, "menu_hours"):
        day = int(line["day"] if "day" in line else line["dayOfWeek"])
        hours.setdefault(line["store_id"], []).append((day, line["start_time_local"], line["end_time_local"]))
    zones = {line["store_id"]: line["timezone_str"] for line in _lines(folder, "timezones")}
    return oracle_report(polls, hours, zones, as_of_us)


def _instant(text: str) -> int:
    at = datetime.fromisoformat(text.removesuffix(" UTC"))
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND


def _lines(folder: Path, name: str) -> Iterator[dict[str, str]]:
    for path in (folder / f"{name}.csv", folder / f"{name}.csv.gz", folder / f"{name}.csv.zst"):
        if path.exists():
            with _text_of(path) as text:
                yield from csv.DictReader(text)


def _text_of(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    if path.suffix == ".zst":
        return cast(IO[str], zstandard.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(report_of_folder(Path(sys.argv[1])), encoding="utf-8", newline="")
