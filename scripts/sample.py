"""A realistic sample data set, of any size.

Owns: what the known data looks like (sticky statuses, hourly polls with jitter, split days, stores without
hours or zone) and writing files of that shape. Must not know: how they are read.

Stores are made in chunks, each from its own random generator, so that memory is flat in the number of stores
and a seed gives the same bytes again. Polls are sorted by status, all active ones first, as in the known data;
for that each chunk is made twice.
"""

import gzip
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

import numpy as np
import polars as pl

from schemas.atomic_write import atomic_write
from schemas.values import DAY_US, HOUR_US, MINUTE_US, SECOND_US

SAMPLE_END_US: Final = 1_710_525_600 * SECOND_US
"""2024-03-15T18:00:00Z: the week before it holds the start of daylight saving in the USA."""

_CHUNK_POLLS: Final = 1_000_000
_MAX_STORES: Final = 100_000_000
_SPREAD: Final = (
    76_543_211  # shares no factor with _MAX_STORES, so that neighbours look unlike and stay apart
)
_WITHOUT_HOURS: Final = 0.22
_WITHOUT_ZONE: Final = 0.05
_WITHOUT_POLLS: Final = 0.008
_UUIDS: Final = 0.03
_LOST_POLLS: Final = 0.02
_WHOLE_SECONDS: Final = 0.01
_BACK_UP: Final = 0.2
"""Chance that an inactive store is active at its next poll: outages last five polls on average."""
_GAP_US: Final = (60 * HOUR_US, 51 * HOUR_US)
"""Before the end of the period, nothing at all was polled from the first to the second."""

_ZONES: Final = {
    "America/New_York": 0.30,
    "America/Chicago": 0.25,
    "America/Los_Angeles": 0.18,
    "America/Denver": 0.10,
    "America/Phoenix": 0.04,
    "America/Boise": 0.02,
    "Europe/London": 0.03,
    "Europe/Dublin": 0.02,
    "Asia/Kolkata": 0.02,
    "Asia/Beirut": 0.02,
    "Australia/Sydney": 0.02,
}

_WEEKS: Final = {
    "all day": (0.30, range(7), ("10:00:00 22:00:00",)),
    "split day": (0.25, range(7), ("11:00:00 14:30:00", "17:00:00 21:45:00")),
    "working days": (0.12, range(5), ("08:30:00 17:00:00",)),
    "round the clock": (0.13, range(7), ("00:00:00 23:59:59",)),
    "past midnight in two rows": (0.10, range(7), ("00:00:00 02:00:00", "11:30:00 23:59:59")),
    "past midnight in one row": (0.05, range(7), ("18:00:00 02:30:00",)),
    "to midnight": (0.03, range(7), ("09:15:00 24:00:00",)),
    "around the clock from six": (0.02, range(7), ("06:00:00 06:00:00",)),
}
"""Share of the stores, weekdays, spans."""

_FILES: Final = ("store_status", "menu_hours", "timezones")

Form = Literal["", ".gz"]


def write_sample(
    out_dir: Path,
    stores: int,
    days: int,
    seed: int,
    polls_per_day: float = 24,
    *,
    end_us: int = SAMPLE_END_US,
    form: Form = "",
    progress: Callable[[float], None] = lambda share_done: None,
) -> None:
    """Write store_status.csv, menu_hours.csv and timezones.csv (or .csv.gz) into `out_dir`, made if missing.

    All polls are in the `days` days before `end_us`. Files of the same names are replaced, when all new ones are
    there; one in another form raises FileExistsError, as no folder may hold both. `progress` is told the share
    done, up to 1.0. Raises OSError, and then nothing was replaced.
    """
    _check_one_form(out_dir, form)
    fleet = _Fleet(stores, days, seed, polls_per_day, end_us)
    out_dir.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[Callable[[int], pl.DataFrame]]] = {
        "store_status": [fleet.active_polls, fleet.inactive_polls],
        "menu_hours": [fleet.hours],
        "timezones": [fleet.zones],
    }
    done = 0
    with ExitStack() as all_or_none:
        for name, passes in tables.items():
            whole = all_or_none.enter_context(atomic_write(out_dir / f"{name}.csv{form}"))
            with _packed(whole, form) as file:
                for nth, rows_of in enumerate(passes):
                    for chunk in range(fleet.chunks):
                        is_first = nth == chunk == 0
                        file.write(rows_of(chunk).write_csv(include_header=is_first).encode())
                        done += 1
                        progress(done / (4 * fleet.chunks))


def check_free(out_dir: Path) -> None:
    """Raises FileExistsError where one of the files is in `out_dir` already, in any form."""
    for path in _paths(out_dir):
        if os.path.lexists(path):
            raise FileExistsError(
                f"{path} is there already, and nothing was written. Name another folder, or replace it by --force."
            )


def _check_one_form(out_dir: Path, form: Form) -> None:
    for path in _paths(out_dir):
        name = f"{path.name.partition('.')[0]}.csv{form}"
        if os.path.lexists(path) and path.name != name:
            raise FileExistsError(f"{path}: move it away, {name} is to be written.")


def _paths(out_dir: Path) -> list[Path]:
    return [out_dir / f"{name}.csv{form}" for name in _FILES for form in ("", ".gz", ".zst")]


@contextmanager
def _packed(file: IO[bytes], form: Form) -> Iterator[IO[bytes]]:
    if form == "":
        yield file
        return
    with gzip.GzipFile("", "wb", compresslevel=3, fileobj=file, mtime=0) as packed:
        yield packed  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class _Fleet:
    stores: int
    days: int
    seed: int
    polls_per_day: float
    end_us: int

    @property
    def polls_a_store(self) -> int:
        return max(1, round(self.days * self.polls_per_day))

    @property
    def stores_a_chunk(self) -> int:
        return max(1, _CHUNK_POLLS // self.polls_a_store)

    @property
    def chunks(self) -> int:
        """How many chunks the stores make; one even if there are none, so that each file has its header."""
        return max(1, -(-self.stores // self.stores_a_chunk))

    def active_polls(self, chunk: int) -> pl.DataFrame:
        return self._polls(chunk, "active")

    def inactive_polls(self, chunk: int) -> pl.DataFrame:
        return self._polls(chunk, "inactive")

    def zones(self, chunk: int) -> pl.DataFrame:
        ids = self._ids(chunk)
        random = self._random("zones", chunk)
        zones = pl.Series(random.choice(list(_ZONES), len(ids), p=_shares(_ZONES.values())))
        rows = pl.DataFrame(
            {"store_id": ids, "timezone_str": zones}, schema_overrides={"timezone_str": pl.String}
        )
        return rows.filter(pl.Series(random.random(len(ids)) >= _WITHOUT_ZONE, dtype=pl.Boolean))

    def hours(self, chunk: int) -> pl.DataFrame:
        ids = self._ids(chunk)
        random = self._random("hours", chunk)
        kinds = random.choice(len(_WEEKS), len(ids), p=_shares(share for share, _, _ in _WEEKS.values()))
        stores = pl.DataFrame({"store_id": ids, "kind": pl.Series(kinds, dtype=pl.Int64)})
        stores = stores.filter(pl.Series(random.random(len(ids)) >= _WITHOUT_HOURS, dtype=pl.Boolean))
        rows = stores.join(_week_rows(), on="kind", maintain_order="left_right")
        return rows.drop("kind")

    def _polls(self, chunk: int, status: str) -> pl.DataFrame:
        """The polls of one status, in no order, as the rows of the known file are."""
        ids = self._ids(chunk)
        random = self._random("polls", chunk)
        shape = (len(ids), self.polls_a_store)
        active = _sticky(random, shape)
        at_us = self._instants(random, shape)
        polled = (random.random(shape) >= _LOST_POLLS) & (random.random((len(ids), 1)) >= _WITHOUT_POLLS)
        before_end_us = self.end_us - at_us
        polled &= (before_end_us > _GAP_US[0]) | (before_end_us <= _GAP_US[1])
        store, nth = np.nonzero(polled & (active == (status == "active")))
        order = random.permutation(len(store))
        return pl.DataFrame(
            {
                "store_id": ids.gather(store[order]),
                "status": pl.repeat(status, len(order), eager=True),
                "timestamp_utc": _time_texts(at_us[store, nth][order]),
            }
        )

    def _instants(self, random: np.random.Generator, shape: tuple[int, int]) -> "np.ndarray[Any, Any]":
        """A poll a slot: each store at its own place in it, give or take two minutes."""
        slot_us = self.days * DAY_US / shape[1]
        place = random.random((shape[0], 1)) * slot_us
        jitter = random.normal(0, 2 * MINUTE_US, shape)
        late_us = slot_us * np.arange(shape[1], 0, -1) - place - jitter
        at_us = self.end_us - np.clip(late_us, 0, self.days * DAY_US - SECOND_US).astype(np.int64)
        finest_us = np.where(random.random(shape) < _WHOLE_SECONDS, SECOND_US, 1)
        return at_us - at_us % finest_us

    def _ids(self, chunk: int) -> pl.Series:
        """15 to 19 digits, a few UUIDs. The last eight digits are the store's own, so no id comes twice."""
        first = chunk * self.stores_a_chunk
        numbers = np.arange(first, min(first + self.stores_a_chunk, self.stores))
        random = self._random("ids", chunk)
        digits = random.choice([7, 8, 9, 10, 11], len(numbers), p=[0.01, 0.02, 0.07, 0.2, 0.7])
        heads = random.integers(10 ** (digits - 1), 10**digits)
        own = (numbers * _SPREAD) % _MAX_STORES
        ids = [f"{head}{tail:08d}" for head, tail in zip(heads.tolist(), own.tolist(), strict=True)]
        for at in np.flatnonzero(random.random(len(numbers)) < _UUIDS):
            ids[at] = str(uuid.UUID(bytes=random.bytes(16), version=4))
        return pl.Series("store_id", ids, dtype=pl.String)

    def _random(self, purpose: str, chunk: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, chunk, *purpose.encode()])


def _sticky(random: np.random.Generator, shape: tuple[int, int]) -> "np.ndarray[Any, Any]":
    """Whether each poll finds its store active. Some stores are hardly ever down, some hardly ever up."""
    down_share = np.minimum(random.beta(0.6, 1.8, shape[0]), 0.8)
    going_down = _BACK_UP * down_share / (1 - down_share)
    active = np.empty(shape, np.bool_)
    active[:, 0] = random.random(shape[0]) >= down_share
    for nth in range(1, shape[1]):
        chance = random.random(shape[0])
        active[:, nth] = np.where(active[:, nth - 1], chance >= going_down, chance < _BACK_UP)
    return active


def _time_texts(at_us: "np.ndarray[Any, Any]") -> pl.Series:
    """As in the known data: zeros at the end of a fraction are not written, nor is a point without digits."""
    instants = pl.Series(at_us, dtype=pl.Int64).cast(pl.Datetime("us"))
    texts = instants.dt.to_string("%Y-%m-%d %H:%M:%S%.6f")
    return texts.str.strip_chars_end("0").str.strip_suffix(".") + " UTC"


def _week_rows() -> pl.DataFrame:
    rows = [
        (kind, day, *span.split())
        for kind, (_, days, spans) in enumerate(_WEEKS.values())
        for day in days
        for span in spans
    ]
    columns = ["kind", "day", "start_time_local", "end_time_local"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def _shares(shares: Iterable[float]) -> "np.ndarray[Any, Any]":
    """`shares` as numpy wants them: to sum to one as exactly as floats can."""
    weights = np.fromiter(shares, np.float64)
    return np.asarray(weights / weights.sum())
