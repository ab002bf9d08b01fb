"""Polls made for measuring: many stores, in time order, one poll a record.

Owns: which polls those are, and sending them. Must not know: what is measured with them.

Stores are those of the data set, so that hours and zones are as there; a round of one poll each is an hour.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.events.polls import encode_poll
from schemas.positions import Positions
from schemas.settings import Settings
from schemas.topics import POLLS
from schemas.values import DAY_US, HOUR_US, SECOND_US, StoreId, format_timestamp
from scripts.dev.bench.bench import Bench
from scripts.dev.bench.revision import OURS, Revision
from scripts.dev.bench.service import storepulse
from stream.brokers.opening import open_sink
from stream.brokers.partitions import partition_of

BEGIN_US: Final = 19_800 * DAY_US
"""2024-03-18T00:00:00Z: after all polls of the known data set, and past."""

_ROUNDS_DOWN: Final = 5
"""A store is inactive for so many rounds at a time, ..."""
_ROUNDS: Final = 23
"""... once in so many."""
Poll = tuple[StoreId, str, int]


@dataclass(frozen=True, slots=True)
class Workload:
    """Polls of some stores from `begin_us` on, a round every `round_us`."""

    stores: Sequence[StoreId]
    begin_us: int = BEGIN_US
    round_us: int = HOUR_US

    def polls(self, first: int, count: int) -> Iterator[Poll]:
        """Polls `first` up to `first + count`: store, status, instant."""
        stores, step_us = len(self.stores), self.round_us // len(self.stores)
        for nth in range(first, first + count):
            round_, store = divmod(nth, stores)
            down = (round_ + store) % _ROUNDS < _ROUNDS_DOWN
            at_us = self.begin_us + round_ * self.round_us + store * step_us
            yield self.stores[store], "inactive" if down else "active", at_us - at_us % SECOND_US

    def last_polls(self, first: int, count: int, partitions: int) -> list[Poll]:
        """Of the polls `first` up to `first + count`, the last one of each partition."""
        last = {partition_of(poll[0], partitions): poll for poll in self.polls(first, count)}
        return list(last.values())

    def records(self, first: int, count: int) -> Iterator[tuple[StoreId, bytes]]:
        """The same as an outside producer would send them."""
        for store, status, at_us in self.polls(first, count):
            yield store, encode_poll(store, status, format_timestamp(at_us))


def send_polls(settings: Settings, workload: Workload, first: int, count: int) -> Positions:
    """Send polls, one a record; where the topics then end."""
    with open_sink(settings) as sink:
        for store, value in workload.records(first, count):
            sink.send(POLLS, store, value)
        return sink.flush()


def send_hours_and_zones(bench: Bench, settings: Settings, revision: Revision = OURS) -> None:
    """Send the data set's hours and zones, and no polls."""
    folder = bench.scratch / "without-polls"
    if not folder.exists():
        folder.mkdir()
        for path in (*bench.data.glob("menu_hours.csv*"), *bench.data.glob("timezones.csv*")):
            (folder / path.name).symlink_to(path)
        (folder / "store_status.csv").write_text("store_id,status,timestamp_utc\n")
    where = ("--broker", settings.broker, "--state", settings.state)
    storepulse("replay", folder, *where, revision=revision)
