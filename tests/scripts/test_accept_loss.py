"""An operator accepts losses: one record goes to each partition, and what stood is told."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.events.polls import ACCEPT_LOSS_HEADER, decode_polls
from schemas.rows.local import WHOLE_KEY
from schemas.rows.losses import Loss, encode_losses, loss_key
from schemas.settings import Settings
from schemas.topics import HOURS, POLLS
from schemas.values import Rejected
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.records import Record
from stream.brokers.topics import declare_topics
from tests.e2e.harness import storepulse
from tests.query_api.tables import Tables

NOTICED_MS = 1_674_670_402_000
"""2023-01-25 18:13:22 UTC."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A state folder of two partitions, with a log and no tables."""
    made = Settings(state=tmp_path / "state", partitions=2)
    asyncio.run(declare_topics(made))
    return made


@pytest.fixture
def tables(settings: Settings) -> Iterator[Tables]:
    made = Tables(settings, partitions=2)
    yield made
    made.close()


def polls_in(settings: Settings) -> list[Record]:
    with EmbeddedLog(settings.log_path) as log:
        return [record for partition in (0, 1) for record in log.read(POLLS, partition, 0, 10, 10_000)]


def test_each_partition_gets_one_record_that_says_so(settings: Settings) -> None:
    ran = storepulse("accept-loss", state=settings.state)
    assert ran.returncode == 0, ran.stderr
    sent = polls_in(settings)
    assert [(record.partition, record.key, record.value) for record in sent] == [
        (0, b"accept-loss", b"{}"),
        (1, b"accept-loss", b"{}"),
    ]
    assert all(dict(record.headers).keys() == {ACCEPT_LOSS_HEADER} for record in sent)
    assert "store-polls, partition 1: accepted at offset 0\n" in ran.stdout


def test_an_older_worker_finds_no_poll_in_it(settings: Settings) -> None:
    """Then it is a dead letter, and changes nothing."""
    storepulse("accept-loss", state=settings.state)
    for record in polls_in(settings):
        with pytest.raises(Rejected):
            decode_polls(record.key, record.value, record.timestamp_ms)


def test_the_losses_that_stand_are_told(settings: Settings, tables: Tables) -> None:
    losses = (
        Loss(10, 25, NOTICED_MS, "the topic's retention passed"),
        Loss(40, -1, NOTICED_MS, "made again"),
    )
    tables.put(loss_key(POLLS), encode_losses(losses), 1)
    tables.put(loss_key(HOURS), encode_losses(()), 1)
    ran = storepulse("accept-loss", state=settings.state)
    assert ran.stdout.splitlines() == [
        "store-polls, partition 1: lost are the offsets from 10 to 24, noticed 2023-01-25T18:13:22.000000Z: "
        "the topic's retention passed",
        "store-polls, partition 1: lost are the offsets from 40, noticed 2023-01-25T18:13:22.000000Z: made again",
        "store-polls, partition 0: accepted at offset 0",
        "store-polls, partition 1: accepted at offset 0",
    ]


def test_the_same_is_had_as_json(settings: Settings, tables: Tables) -> None:
    tables.put(loss_key(POLLS), encode_losses((Loss(10, -1, NOTICED_MS, "made again"),)), 1)
    assert json.loads(storepulse("accept-loss", "--json", state=settings.state).stdout) == {
        "tables": [0, 1],
        "losses": [
            {
                "topic": "store-polls",
                "partition": 1,
                "from_offset": 10,
                "to_offset": None,
                "noticed_at": "2023-01-25T18:13:22.000000Z",
                "why": "made again",
            }
        ],
        "sent": [
            {"topic": "store-polls", "partition": 0, "offset": 0},
            {"topic": "store-polls", "partition": 1, "offset": 0},
        ],
    }


def test_tables_without_a_loss_and_a_host_without_tables_are_told_apart(settings: Settings) -> None:
    without = storepulse("accept-loss", state=settings.state).stdout
    assert "not known here: there is no table in" in without
    tables = Tables(settings, partitions=2)
    tables.put(WHOLE_KEY, b"1")
    tables.close()
    assert "no loss stands in the tables of this host (partitions 0, 1)" in (
        storepulse("accept-loss", state=settings.state).stdout
    )


def test_a_state_folder_that_is_none_is_refused_and_not_made(tmp_path: Path) -> None:
    ran = storepulse("accept-loss", state=tmp_path / "typo")
    assert ran.returncode == 4
    assert ran.stderr.startswith("storepulse: there is no log at")
    assert not (tmp_path / "typo").exists()
