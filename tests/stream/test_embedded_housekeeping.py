"""The embedded log stays bounded, and nothing goes that is still needed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.brokers.embedded.housekeeping import keep_bounded
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.records import NewRecord

DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    with EmbeddedLog(tmp_path / "log.db") as opened:
        opened.declare_topic("polls", 1, "delete")
        opened.declare_topic("letters", 1, "delete")
        opened.declare_topic("changes", 1, "compact")
        yield opened


def fill(log: EmbeddedLog, topic: str, count: int, age_days: int) -> None:
    log.append(NewRecord(topic, 0, b"k%d" % (n % 10), b"v", NOW_MS - age_days * DAY_MS) for n in range(count))


def offsets(log: EmbeddedLog, topic: str) -> list[int]:
    return [record.offset for record in log.read(topic, 0, 0, 100_000, 1 << 30)]


def test_polls_go_once_they_are_applied_and_old(log: EmbeddedLog) -> None:
    fill(log, "polls", 30, age_days=3)
    fill(log, "polls", 30, age_days=1)
    log.commit("workers", {("polls", 0): 20})
    assert keep_bounded(log, "workers", {"polls"}, 2 * DAY_MS, NOW_MS) == 20
    assert offsets(log, "polls") == list(range(20, 60))
    log.commit("workers", {("polls", 0): 60})
    assert keep_bounded(log, "workers", {"polls"}, 2 * DAY_MS, NOW_MS) == 10
    assert offsets(log, "polls") == list(range(30, 60))


def test_polls_that_nobody_applied_stay_however_old(log: EmbeddedLog) -> None:
    fill(log, "polls", 30, age_days=300)
    assert keep_bounded(log, "workers", {"polls"}, 2 * DAY_MS, NOW_MS) == 0


def test_dead_letters_go_when_they_are_old(log: EmbeddedLog) -> None:
    fill(log, "letters", 5, age_days=3)
    fill(log, "letters", 5, age_days=1)
    assert keep_bounded(log, "workers", {"polls"}, 2 * DAY_MS, NOW_MS) == 5


def test_a_changelog_keeps_the_last_record_of_each_key(log: EmbeddedLog) -> None:
    fill(log, "changes", 2_000, age_days=300)
    assert keep_bounded(log, "workers", {"polls"}, 2 * DAY_MS, NOW_MS) == 1_990
    assert offsets(log, "changes") == list(range(1_990, 2_000))
    assert keep_bounded(log, "workers", {"polls"}, 2 * DAY_MS, NOW_MS) == 0
