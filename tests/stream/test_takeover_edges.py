"""Taking over, at its edges: a changelog that names another one, and news that comes while the broker is asked."""

from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from schemas.rows.facts import TOPICS_KEY
from schemas.topics import CHANGELOG, POLLS
from stream.brokers.records import TopicPartition
from tests.stream.lists import MARKER, positions
from tests.stream.test_takeover import BEGINNING, OLD, Worker, summary


@pytest.fixture
async def taking(tmp_path: Path) -> AsyncIterator[Worker]:
    worker = Worker(tmp_path)
    yield worker
    await worker.take_over.stop_copying()
    worker.table.close()


async def test_a_changelog_that_names_another_one_than_itself_is_filled(taking: Worker) -> None:
    """Who did not notice that it was made again noted a new topic, and the changelog that it knew."""
    taking.left(800, *OLD)
    taking.log(summary("s3"), (TOPICS_KEY, b'{"storepulse-stores-changelog":"B"}'), positions(7), MARKER)
    await taking.take_over([0], [])
    assert [len(writer.flushes) for writer in taking.broker.writers[0]] == [1]
    assert taking.stores() == [b"Ss1", b"Ss2"]


async def test_a_changelog_that_names_itself_beside_others_is_not_filled_again(taking: Worker) -> None:
    taking.left(800, *OLD)
    ids = b'{"store-polls":"P","storepulse-stores-changelog":"%b"}'
    taking.log(summary("s3"), BEGINNING, (TOPICS_KEY, ids % b"B"), positions(7), MARKER)
    taking.log((TOPICS_KEY, ids % b"C"), positions(8), MARKER)
    await taking.take_over([0], [])
    assert (taking.table.made, taking.stores()) == ([0], [b"Ss3"])
    assert taking.write_behind.taken_to(0, POLLS) == 8


@pytest.mark.parametrize("is_taken", [True, False])
async def test_records_that_were_taken_in_while_the_broker_was_asked_are_not_lost(
    taking: Worker, is_taken: bool
) -> None:
    """▲ at 0 before, and at 5 when the answer comes: [5····9) is all that is left, and all that we need."""
    await taking.take_over([0], [])
    spans = taking.broker.spans

    async def taken_meanwhile(
        partitions: Collection[TopicPartition],
    ) -> dict[TopicPartition, tuple[int, int]]:
        if is_taken:
            await taking.write_behind.taken(0, POLLS, 5, lambda: None, more_waits=False)
        taking.broker.topics[POLLS, 0] = 5, 9
        return await spans(partitions)

    taking.broker.spans = taken_meanwhile  # type: ignore[method-assign]
    await taking.take_over.look_for_losses()
    assert taking.write_behind.owns(0) == is_taken


async def test_a_partition_whose_changelog_has_no_id_any_more_is_taken_over_again(taking: Worker) -> None:
    """It was deleted, and is not there; the other topics still have theirs."""
    await taking.take_over([0], [])
    del taking.broker.ids[CHANGELOG]
    await taking.take_over.look_for_losses()
    assert not taking.write_behind.owns(0)
