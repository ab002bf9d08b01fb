"""The broker is away: at start a clear end, in the middle a pause."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from schemas.settings import Settings
from schemas.topics import CHANGELOG, POLLS
from scripts.dev.kafka.broker import KafkaBroker
from stream.brokers.kafka import broker as kafka_broker
from stream.brokers.topics import declare_topics
from tests.e2e.harness import free_port
from tests.kafka.harness import Sample, fleet, sample_in

_SPEED: Final = 60_000
"""Eight days in about 12 s, one poll a record."""
_AWAY_SECONDS: Final = 45.0
"""aiokafka gives a question up after 40."""
_BACK_SECONDS: Final = 30.0


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return sample_in(tmp_path_factory.getbasetemp())


@pytest.mark.long
@pytest.mark.parametrize("end", [KafkaBroker.stop, KafkaBroker.kill], ids=["stopped", "killed"])
def test_a_broker_that_goes_and_comes_back_mid_replay_changes_nothing(
    end: Callable[[KafkaBroker], None], sample: Sample, own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    """Replay, worker, replica and API go on by themselves."""
    with fleet(f"kafka://{own_kafka.bootstrap}", tmp_path / "fleet") as ours:
        worker = ours.ready_worker()
        host = ours.run("replica", state="host")
        api = ours.api("host")
        api.wait_for(200)
        replay = ours.start_replay(sample.folder, "--speed", _SPEED)
        time.sleep(5)  # a moment in the middle, not a wait for anything
        assert replay.exit_code is None
        end(own_kafka)
        api.wait_for(503)
        own_kafka.start()
        ours.done(replay)
        assert ours.report() == sample.report
        api.wait_until_current()
        assert api.report() == sample.report
        assert (worker.exit_code, host.exit_code, api.process.exit_code) == (None, None, None)


@pytest.mark.parametrize("command", ["worker", "replica", "replay", "topics", "api", "up"])
def test_a_broker_that_does_not_answer_is_named_and_tried_again_for_as_long_as_set(
    command: str, sample: Sample, tmp_path: Path
) -> None:
    server = f"127.0.0.1:{free_port()}"
    arguments: dict[str, tuple[object, ...]] = {
        "replay": (sample.folder,),
        "api": ("--port", free_port()),
        "up": ("--port", free_port(), "--data", sample.folder),
    }
    with fleet(f"kafka://{server}", tmp_path, kafka_patience_seconds=2) as ours:
        began_s = time.monotonic()
        process = ours.run(command, *arguments.get(command, ()), state="state")
        assert process.wait() == 4
        took_s = time.monotonic() - began_s
    assert f"no Kafka broker answers at {server} (tried for 2 s" in process.text
    assert process.text.count("no Kafka broker answers yet") >= 2
    assert "Traceback" not in process.text
    assert took_s > 2


@pytest.mark.long
@pytest.mark.parametrize("has_asked", [True, False], ids=["connected before", "never connected"])
async def test_what_is_asked_of_a_broker_that_is_away_is_answered_when_it_is_back(
    has_asked: bool, own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    settings = Settings(state=tmp_path, broker=f"kafka://{own_kafka.bootstrap}", partitions=1)
    await declare_topics(settings)
    broker, at = kafka_broker.KafkaBroker(settings), (POLLS, 0)
    if has_asked:
        await broker.spans([at])
        await broker.changelog.readable_ends([0])
    await asyncio.to_thread(own_kafka.kill)
    asking = asyncio.gather(
        broker.spans([at]),
        broker.committed([at]),
        broker.topic_ids([POLLS, CHANGELOG]),
        broker.changelog.ends([0]),
        broker.changelog.readable_ends([0]),
        broker.changelog.begin({0: 0}),
    )
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asking), _AWAY_SECONDS)
    await asyncio.to_thread(own_kafka.start)
    async with asyncio.timeout(_BACK_SECONDS):
        spans, committed, ids, ends, readable_ends, _ = await asking
    await broker.close()
    assert (spans, committed, ends, readable_ends) == ({at: (0, 0)}, {}, {0: 0}, {0: 0})
    assert set(ids) == {POLLS, CHANGELOG}
