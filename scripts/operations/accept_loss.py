"""The command `accept-loss`: an operator knows that records are lost, and goes on without them.

Owns: which losses the tables of this host tell of, the record that accepts them, and how both are told. Must not
know: how a loss is noticed, or what a worker does with the record.

The record goes through the log like any other, one to each partition of the polls. So every table learns of it at
the same position, wherever its worker runs, and a worker that does not know it yet only makes a dead letter of it.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from schemas.events.polls import ACCEPT_LOSS_HEADER
from schemas.rows.losses import LOSS_PREFIX, Loss, decode_losses
from schemas.settings import Settings
from schemas.table_scans import rows_of
from schemas.topics import POLLS
from schemas.values import format_timestamp
from scripts.operations.errors import NothingThere
from scripts.operations.table_copies import partitions_in, still_table
from stream.brokers.opening import open_sink

KEY: Final = b"accept-loss"
VALUE: Final = b"{}"


class StandingLoss(msgspec.Struct, frozen=True):
    """A loss that nobody had accepted. `to_offset` is None where nobody can tell how many records it was."""

    topic: str
    partition: int
    from_offset: int
    to_offset: int | None
    noticed_at: str
    why: str


class Sent(msgspec.Struct, frozen=True):
    """Where a record that accepts is; a table whose position is past it has accepted."""

    topic: str
    partition: int
    offset: int


class Acceptance(msgspec.Struct, frozen=True):
    """What stood in the `tables` (partitions) of this host, and what was sent, to those of all hosts."""

    tables: list[int]
    losses: list[StandingLoss]
    sent: list[Sent]


def accept_losses(settings: Settings) -> Acceptance:
    """Accept the losses of all partitions. Raises CopyError, and the broker's errors."""
    if settings.is_embedded and not settings.log_path.is_file():
        raise NothingThere("log", settings.log_path)
    tables = partitions_in(settings)
    losses = [loss for partition in tables for loss in _standing(settings, partition)]
    with open_sink(settings) as sink:
        for partition in range(sink.partitions):
            sink.send_to(POLLS, partition, KEY, VALUE, ((ACCEPT_LOSS_HEADER, b""),))
        reached = sink.flush()
    sent = [Sent(topic, partition, end - 1) for (topic, partition), end in sorted(reached.items())]
    return Acceptance(tables, losses, sent)


def lines_of(acceptance: Acceptance, settings: Settings) -> Iterator[str]:
    """The same in words, a line each."""
    for loss in acceptance.losses:
        until = "" if loss.to_offset is None else f" to {loss.to_offset - 1}"
        yield (
            f"{loss.topic}, partition {loss.partition}: lost are the offsets from {loss.from_offset}{until}, "
            f"noticed {loss.noticed_at}: {loss.why}"
        )
    if not acceptance.tables:
        yield f"which losses stand is not known here: there is no table in {settings.tables_dir}"
    elif not acceptance.losses:
        yield f"no loss stands in the tables of this host (partitions {', '.join(map(str, acceptance.tables))})"
    for sent in acceptance.sent:
        yield f"{sent.topic}, partition {sent.partition}: accepted at offset {sent.offset}"


def _standing(settings: Settings, partition: int) -> Iterator[StandingLoss]:
    """The losses in one table, by topic, the oldest first. Raises TableUnreadable."""
    with still_table(settings.table_path(partition)) as table:
        for key, value in rows_of(table, LOSS_PREFIX):
            if not key.startswith(LOSS_PREFIX):
                return
            topic = key.removeprefix(LOSS_PREFIX).decode()
            yield from (_told(topic, partition, loss) for loss in decode_losses(value))


def _told(topic: str, partition: int, loss: Loss) -> StandingLoss:
    to_offset = None if loss.to_offset < 0 else loss.to_offset
    noticed_at = format_timestamp(loss.noticed_ms * 1000)
    return StandingLoss(topic, partition, loss.from_offset, to_offset, noticed_at, loss.why)
