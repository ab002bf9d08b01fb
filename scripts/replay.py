"""Replay: a folder of CSVs becomes records on the topics.

Owns: the order of sending (hours and zones first), the bulk form and the timed form. Must not know: how CSVs
are read (scripts.csv_input) or how a broker is reached (stream.brokers.opening).

    bulk     many polls of one store a record, as fast as the broker takes them
    speed N  one poll a record, in time order, at N times the speed at which they happened
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import polars as pl

from schemas.events.hours import encode_hours
from schemas.events.polls import MAX_AHEAD_US, encode_poll, encode_polls
from schemas.events.zones import encode_zone
from schemas.positions import Positions
from schemas.topics import HOURS, POLLS, ZONES
from schemas.values import SECOND_US, Status, StoreId, format_timestamp
from scripts.csv_input import InputFolder, Reject, RejectsWriter
from scripts.csv_input.all_hours import read_all_hours
from scripts.csv_input.polls import iter_polls
from scripts.csv_input.zones import read_zones
from stream.brokers.sink import Sink

_MAX_POLLS_TOGETHER: Final = 4_000_000
"""Polls of the bulk form held in memory, about 40 bytes each."""
_MAX_POLLS_A_RECORD: Final = 20_000
"""About 400 KB: well below what a broker takes in one record."""
_PACE_SECONDS: Final = 0.01
"""How far apart, at most, the timed form looks at the clock."""


class Counting(Protocol):
    """Whoever is told how far a replay is."""

    def advance(self, by: int, what: str) -> None:
        """`by` more of `what` are done."""


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What a replay sent, stores whose hours lost a row, CSVs that were not read, how far the topics reached."""

    polls: int
    weeks: int
    zones: int
    partly_rejected_weeks: list[StoreId]
    unread: tuple[str, ...]
    positions: Positions


def replay(
    folder: InputFolder, sink: Sink, rejects: RejectsWriter, progress: Counting, speed: float | None = None
) -> ReplaySummary:
    """Send everything in `folder`. Raises CsvInputError (StrictStop too) and the broker's errors."""
    latest_us = time.time_ns() // 1000 + MAX_AHEAD_US
    weeks, partly = _send_hours(folder, latest_us, sink, rejects)
    zones = _send_zones(folder.zones, sink, rejects)
    frames = iter_polls(folder.polls, latest_us, rejects)
    polls = (
        _send_bulk(frames, sink, progress) if speed is None else _send_timed(frames, sink, progress, speed)
    )
    return ReplaySummary(polls, weeks, zones, partly, folder.unread, sink.flush())


def _send_hours(
    folder: InputFolder, latest_us: int, sink: Sink, rejects: RejectsWriter
) -> tuple[int, list[StoreId]]:
    every = read_all_hours(folder, lambda: _named_elsewhere(folder, latest_us), rejects)
    for store_id, hours in every.hours.items():
        sink.send(HOURS, store_id, encode_hours(store_id, hours))
    return len(every.hours), sorted(every.stores_with_bad_rows)


def _named_elsewhere(folder: InputFolder, latest_us: int) -> set[StoreId]:
    """The stores that good rows of polls and zones name. Bad rows of both files are told when they are sent."""

    def ignore(_: Reject) -> None:
        pass

    found: set[StoreId] = set()
    if folder.zones is not None:
        found.update(read_zones(folder.zones, ignore))
    for frame in iter_polls(folder.polls, latest_us, ignore):
        found.update(frame["store_id"].unique().to_list())
    return found


def _send_zones(path: Path | None, sink: Sink, rejects: RejectsWriter) -> int:
    if path is None:
        return 0
    zones = read_zones(path, rejects)
    for store_id, zone in zones.items():
        sink.send(ZONES, store_id, encode_zone(store_id, zone))
    return len(zones)


def _send_bulk(frames: Iterator[pl.DataFrame], sink: Sink, progress: Counting) -> int:
    letter = pl.when(pl.col("active")).then(pl.lit("A")).otherwise(pl.lit("I"))
    sent = 0
    for frame in _together(frames):
        stores = frame.group_by("store_id", maintain_order=True).agg(
            pl.col("at_us"), letter.str.join("").alias("statuses")
        )
        for store_id, at_us, statuses in stores.iter_rows():
            for first in range(0, len(at_us), _MAX_POLLS_A_RECORD):
                part = slice(first, first + _MAX_POLLS_A_RECORD)
                sink.send(POLLS, store_id, encode_polls(store_id, at_us[part], statuses[part]))
        sent += len(frame)
        progress.advance(len(frame), "polls sent")
    return sent


def _together(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Frames put together while they are small: the fewer records a store takes, the less work is the worker's."""
    waiting: list[pl.DataFrame] = []
    for frame in frames:
        waiting.append(frame)
        if sum(map(len, waiting)) > _MAX_POLLS_TOGETHER:
            yield pl.concat(waiting)
            waiting = []
    if waiting:
        yield pl.concat(waiting)


def _send_timed(frames: Iterator[pl.DataFrame], sink: Sink, progress: Counting, speed: float) -> int:
    polls = pl.concat(list(frames)).sort("at_us", maintain_order=True)
    if not len(polls):
        return 0
    began, first_us, unflushed = time.monotonic(), polls["at_us"][0], 0
    for store_id, at_us, active in polls.iter_rows():
        while (early := (at_us - first_us) / SECOND_US / speed - (time.monotonic() - began)) > 0:
            if unflushed:
                sink.flush()
                progress.advance(unflushed, "polls sent")
                unflushed = 0
            time.sleep(min(early, _PACE_SECONDS))
        status = Status.ACTIVE if active else Status.INACTIVE
        sink.send(POLLS, store_id, encode_poll(store_id, status.value, format_timestamp(at_us)))
        unflushed += 1
    progress.advance(unflushed, "polls sent")
    return len(polls)
