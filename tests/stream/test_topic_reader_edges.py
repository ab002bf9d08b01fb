"""Records at the edges of what is taken in: strays without a time, ids too long, headers out of place."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.events.hours import encode_hours
from schemas.events.polls import ACCEPT_LOSS_HEADER
from schemas.opening_hours import plain_hours, week_of
from schemas.rows.losses import Loss, decode_losses, encode_losses, loss_key
from schemas.rows.stamps import stamps_key
from schemas.rows.summaries import summary_key
from schemas.stamps import STAMP_HEADER
from schemas.topics import HOURS, POLLS, ZONES
from schemas.values import MAX_STORE_ID_BYTES, StoreId
from stream.brokers.partitions import partition_of
from stream.worker import agents
from tests.builders import rows
from tests.core.shelf import Shelf
from tests.stream.test_topic_reader import (
    ASTRAY,
    HOME,
    NOON_MS,
    PARTITIONS,
    S1,
    ZONE,
    Fleet,
    new_fleet,
    poll,
)

LONG = StoreId("a" * (MAX_STORE_ID_BYTES + 1))
"""An id that only older versions took."""
LONG_HOME = partition_of(LONG, PARTITIONS)
LOSSES = (Loss(0, 4, 1, "why"),)


@pytest.fixture
async def all_ours(tmp_path: Path) -> AsyncIterator[Fleet]:
    fleet = new_fleet(tmp_path)
    for partition in range(PARTITIONS):
        await fleet.begin(partition)
    yield fleet
    fleet.table.close()


# Strays


@pytest.mark.parametrize(("at_ms", "sent_ms"), [(-1, None), (0, 0), (NOON_MS, NOON_MS)])
async def test_a_stray_keeps_its_timestamp_and_without_one_it_gets_that_of_now(
    all_ours: Fleet, at_ms: int, sent_ms: int | None
) -> None:
    """No broker takes a negative one. The stamp says that there was none."""
    all_ours.send(ZONES, ASTRAY, ZONE, at_ms=at_ms)
    await all_ours.read(ZONES, ASTRAY)
    await all_ours.flush()
    (stray,) = all_ours.broker.writers[ASTRAY][-1].flushes[-1].outgoing
    assert stray.timestamp_ms == sent_ms
    assert dict(stray.headers)[STAMP_HEADER] == b"%d %d 0" % (at_ms, ASTRAY)


@pytest.mark.parametrize("room", [0, 1])
async def test_a_stray_that_is_too_large_with_its_stamp_is_a_dead_letter(
    all_ours: Fleet, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Key, value, and a header with its name: 10 bytes round it, as Kafka has it at most."""
    stamp = b"%d %d 0" % (NOON_MS, ASTRAY)
    size = len(b"s1") + len(ZONE) + len(STAMP_HEADER) + len(stamp) + 10
    monkeypatch.setattr(agents, "_MAX_PAYLOAD_BYTES", size - 1 + room)
    all_ours.send(ZONES, ASTRAY, ZONE)
    await all_ours.read(ZONES, ASTRAY)
    await all_ours.flush()
    assert (len(all_ours.logs[ZONES, HOME]), len(all_ours.dead)) == (room, 1 - room)


@pytest.mark.parametrize("stray_ms", [NOON_MS - 1, NOON_MS + 1])
async def test_a_stray_week_overrules_only_what_was_written_before_it(all_ours: Fleet, stray_ms: int) -> None:
    written, stray = rows("Mon 09:00-17:00"), rows("Tue 09:00-17:00")
    all_ours.send(HOURS, HOME, encode_hours(S1, plain_hours(week_of(written))))
    await all_ours.read(HOURS, HOME)
    await all_ours.flush()
    all_ours.send(HOURS, ASTRAY, encode_hours(S1, plain_hours(week_of(stray))), at_ms=stray_ms)
    await all_ours.read(HOURS, ASTRAY)
    await all_ours.flush()
    await all_ours.read(HOURS, HOME)
    await all_ours.flush()
    assert all_ours.summary().hours.week == week_of(stray if stray_ms > NOON_MS else written)


# A direct record


async def test_a_poll_behind_a_forgetting_counts_whatever_the_clock_of_its_producer_says(
    all_ours: Fleet,
) -> None:
    """null at noon + 5 ms, and behind it in the log a poll whose record says a second before noon."""
    all_ours.send(POLLS, HOME, None, at_ms=NOON_MS + 5)
    all_ours.send(POLLS, HOME, poll(), at_ms=NOON_MS - 1000)
    await all_ours.read(POLLS, HOME)
    await all_ours.flush()
    assert all_ours.polls() == 1


# Headers


async def test_the_header_that_accepts_losses_says_so_among_polls_alone(all_ours: Fleet) -> None:
    all_ours.table.rows(HOME)[loss_key(POLLS)] = encode_losses(LOSSES)
    all_ours.send(ZONES, HOME, ZONE, headers=((ACCEPT_LOSS_HEADER, b""),))
    await all_ours.read(ZONES, HOME)
    await all_ours.flush()
    assert decode_losses(all_ours.table.get(HOME, loss_key(POLLS))) == LOSSES
    assert all_ours.summary().hours.zone == "Asia/Kolkata"


# Ids too long


@pytest.mark.parametrize("topic", [POLLS, HOURS, ZONES])
async def test_a_null_of_an_id_too_long_that_nobody_knows_leaves_no_row(all_ours: Fleet, topic: str) -> None:
    all_ours.send(topic, LONG_HOME, None, key=LONG.encode())
    await all_ours.read(topic, LONG_HOME)
    await all_ours.flush()
    assert all_ours.table.get(LONG_HOME, stamps_key(LONG)) is None
    assert all_ours.write_behind.written_to(LONG_HOME, topic) == 1


async def test_a_null_of_an_id_too_long_that_an_older_version_took_is_heeded(all_ours: Fleet) -> None:
    all_ours.table.rows(LONG_HOME)[summary_key(LONG)] = Shelf("Asia/Tokyo").bytes[0]
    all_ours.send(ZONES, LONG_HOME, None, key=LONG.encode())
    await all_ours.read(ZONES, LONG_HOME)
    await all_ours.flush()
    assert all_ours.table.get(LONG_HOME, summary_key(LONG)) is None
