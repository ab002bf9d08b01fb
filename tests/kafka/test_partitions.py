"""Any way to hand out the records gives the same report; partition counts that cannot work are refused."""

from pathlib import Path

import pytest

from schemas.topics import CHANGELOG, HOURS, POLLS, ZONES
from tests.kafka.broker import Kafka, create_topic
from tests.kafka.harness import Sample, add_partitions, ends_of, fleet, sample_in


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return sample_in(tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("command", ["worker", "replica", "replay", "topics"])
def test_topics_with_different_counts_are_refused(
    command: str, clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    create_topic(clean_kafka.bootstrap, "store-polls", 3)
    create_topic(clean_kafka.bootstrap, "store-hours", 4)
    with fleet(clean_kafka.url, tmp_path) as ours:
        refused = ours.run(command, *([sample.folder] if command == "replay" else []), state="state")
        assert refused.wait() == 4
    assert "have: store-hours 4, store-polls 3" in refused.text
    assert "Delete the topics that were changed, or all of them, and replay" in refused.text
    assert "Traceback" not in refused.text


@pytest.mark.parametrize("command", ["worker", "replay", "topics"])
def test_another_count_than_the_topics_have_is_refused(
    command: str, clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    with fleet(clean_kafka.url, tmp_path) as ours:
        ours.done(ours.run("topics", state="topics", partitions=3))
        refused = ours.run(
            command, *([sample.folder] if command == "replay" else []), state="state", partitions=4
        )
        assert refused.wait() == 4
    assert "the topics have 3 partitions, STOREPULSE_PARTITIONS asks for 4" in refused.text
    assert "Leave the setting at 3, or " in refused.text
    assert "Traceback" not in refused.text


@pytest.mark.parametrize("partitions", [1, 5])
def test_any_number_of_partitions_gives_the_same_report(
    partitions: int, clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    with fleet(clean_kafka.url, tmp_path, partitions=partitions) as ours:
        ours.worker()
        ours.replay(sample.folder)
        assert len(ends_of(ours.url, POLLS)) == partitions
        assert ours.report() == sample.report


@pytest.mark.long
def test_faust_s_own_loop_gives_the_same_report(clean_kafka: Kafka, sample: Sample, tmp_path: Path) -> None:
    with fleet(clean_kafka.url, tmp_path, drain="messages") as ours:
        ours.worker("a")
        ours.worker("b")
        ours.replay(sample.folder)
        assert ours.report() == sample.report


def test_partitions_that_somebody_adds_to_a_topic_in_use_are_refused(
    clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    with fleet(clean_kafka.url, tmp_path, partitions=3) as ours:
        worker = ours.ready_worker("running")
        ours.replay(sample.folder)
        add_partitions(ours.url, POLLS, 4)
        assert worker.wait(60) == 4
        starting = ours.worker("starting")
        assert starting.wait() == 4
    for refused in (worker, starting):
        last = refused.text.splitlines()[-1]
        assert last.startswith("storepulse: these topics need one and the same number of partitions")
        assert "store-hours 3, store-polls 4" in last


def test_topics_that_all_grew_are_refused_where_polls_were_applied_before(
    clean_kafka: Kafka, sample: Sample, tmp_path: Path
) -> None:
    with fleet(clean_kafka.url, tmp_path) as ours:
        worker = ours.ready_worker(partitions=3)
        ours.replay(sample.folder)
        assert ours.report() == sample.report
        assert worker.stop() == 0
        for topic in (POLLS, HOURS, ZONES, CHANGELOG):
            add_partitions(ours.url, topic, 4)
        refused = ours.worker("another")
        assert refused.wait(60) == 4
    last = refused.text.splitlines()[-1]
    assert last.startswith(
        "storepulse: the topics have 4 partitions, and had 3 when their polls were applied"
    )
    assert "Delete all topics and replay" in last
    assert "Traceback" not in refused.text
