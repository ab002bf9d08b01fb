"""What the tables say of themselves: which are there, how far each reaches, whether it is whole, what was lost.

Owns: reading those rows (schemas.rows.local), and saying what a state still lacks. Must not know: stores, reports,
HTTP.

A state is whole when as many partitions have a table as there are partitions, and each table is whole. How many
there are says the broker, or a row of any table; where neither does, nobody knows whether one is missing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from schemas.positions import Positions
from schemas.rows.facts import PARTITIONS_KEY, ZONE_DATABASE_KEY
from schemas.rows.local import LOCAL_PREFIX, OFFSET_KEY, TARGET_KEY, WHOLE_KEY
from schemas.rows.losses import LOSS_PREFIX, Loss, decode_losses
from schemas.rows.positions import APPLIED_PREFIX, POSITIONS_KEY, decode_positions
from schemas.table_scans import Table, rows_within

Losses = dict[tuple[str, int], tuple[Loss, ...]]
"""Of each (topic, partition) that lost records, its losses, the oldest first."""

_SAID: Final = (
    (APPLIED_PREFIX, POSITIONS_KEY),  # losses and the number of partitions stand between
    (ZONE_DATABASE_KEY, ZONE_DATABASE_KEY),
    (LOCAL_PREFIX, WHOLE_KEY),
)
"""The keys of what a table says of itself: not the stamps, of which there are as many as stores."""

_MAX_NAMED: Final = 3
"""Partitions that a sentence names; of further ones it says how many."""


@dataclass(frozen=True, slots=True)
class TableStanding:
    """What the table of one partition says.

    While it is not whole, `reached` of `target` offsets of the changelog are in it; None where it does not say.
    `partitions` is how many there were when it was made, `zone_database` the release that it was made with: None
    before its first record.
    """

    whole: bool
    reached: int | None
    target: int | None
    partitions: int | None
    applied: Mapping[str, int]
    losses: Mapping[str, tuple[Loss, ...]]
    zone_database: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the tables of all partitions said at one moment.

    `expected` is how many partitions the broker says there are, None where it was not asked.
    """

    tables: Mapping[int, TableStanding]
    expected: int | None

    @property
    def partitions(self) -> int | None:
        """How many partitions there must be; None where nobody says."""
        said = [table.partitions for table in self.tables.values()]
        return max((count for count in (*said, self.expected) if count), default=None)

    @property
    def unfinished(self) -> tuple[int, ...]:
        """The partitions whose table is missing or not whole, ascending."""
        every = self.tables.keys() | set(range(self.partitions or 0))
        return tuple(sorted(each for each in every if each not in self.tables or not self.tables[each].whole))

    @property
    def whole(self) -> bool:
        """True where nothing of the state is missing."""
        return self.partitions is not None and not self.unfinished

    @property
    def applied(self) -> Positions:
        """How far each source topic was applied."""
        return {
            (topic, partition): offset
            for partition, table in self.tables.items()
            for topic, offset in table.applied.items()
        }

    @property
    def losses(self) -> Losses:
        """What was lost and not accepted."""
        return {
            (topic, partition): spans
            for partition, table in sorted(self.tables.items())
            for topic, spans in sorted(table.losses.items())
        }

    def obstacle(self, ends: Positions | None = None) -> str | None:
        """What keeps the state from being whole, and from reflecting the log up to `ends`; None: nothing does."""
        if not self.tables:
            return "no partition has a table here yet: is a worker running, or on an API's host a replica?"
        if self.partitions is None:
            return "how many partitions there are is not known yet"
        if unfinished := self.unfinished:
            words = _listed(self._progress(partition) for partition in unfinished)
            return f"{self.partitions - len(unfinished)} of {self.partitions} partitions are whole; {words}"
        return self._behind(ends or {})

    def _progress(self, partition: int) -> str:
        table = self.tables.get(partition)
        if table is None:
            return f"no table for partition {partition}"
        if table.target is None:
            return f"no worker has looked through the table of partition {partition} yet"
        return f"partition {partition} is being restored: {table.reached or 0:,} of {table.target:,}"

    def _behind(self, ends: Positions) -> str | None:
        applied = self.applied
        late = [
            f"position {applied.get((topic, partition), 0):,} of {end:,} of {topic} partition {partition}"
            for (topic, partition), end in ends.items()
            if applied.get((topic, partition), 0) < end
        ]
        return _listed(iter(late)) if late else None


def standing_of(tables: Mapping[int, Table], expected: int | None) -> Standing:
    """What some tables, by partition, say of themselves."""
    return Standing({partition: _said_by(table) for partition, table in tables.items()}, expected)


def partitions_of(ends: Positions) -> int | None:
    """How many partitions the broker says there are; None where it has none of our topics yet."""
    return max((partition + 1 for _, partition in ends), default=None)


def lost_records(loss: Loss) -> int:
    """How many records a loss is of; 0 where nobody can tell."""
    return max(0, loss.to_offset - loss.from_offset)


def _said_by(table: Table) -> TableStanding:
    said = rows_within(table, _SAID)
    zone_database = said.get(ZONE_DATABASE_KEY)
    return TableStanding(
        whole=WHOLE_KEY in said,
        reached=_number(said.get(OFFSET_KEY)),
        target=_number(said.get(TARGET_KEY)),
        partitions=_number(said.get(PARTITIONS_KEY)),
        applied=decode_positions(said.get),
        losses={
            key.removeprefix(LOSS_PREFIX).decode(): losses
            for key, value in said.items()
            if key.startswith(LOSS_PREFIX) and (losses := decode_losses(value))
        },
        zone_database=None if zone_database is None else zone_database.decode(),
    )


def _number(value: bytes | None) -> int | None:
    return None if value is None else int(value)


def _listed(words: Iterator[str]) -> str:
    every = list(words)
    more = f" (and {len(every) - _MAX_NAMED} more)" if len(every) > _MAX_NAMED else ""
    return "; ".join(every[:_MAX_NAMED]) + more
