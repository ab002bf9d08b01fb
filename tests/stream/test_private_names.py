"""What we rely on in Faust, mode and aiokafka although it is private: each release of theirs may change it."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.client import AIOKafkaClient  # type: ignore[import-untyped]
from aiokafka.consumer.group_coordinator import GroupCoordinator  # type: ignore[import-untyped]
from aiokafka.consumer.subscription_state import SubscriptionState  # type: ignore[import-untyped]
from faust.stores.rocksdb import Store as RocksDBStore
from faust.tables import recovery as faust_recovery
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.consumer import Fetcher
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, ConsumerRebalanceListener
from faust.transport.drivers.aiokafka import Consumer as KafkaConsumer
from faust.transport.producer import ProducerBuffer
from mode.services import ServiceTask
from mode.threads import QueueServiceThread, ServiceThread

from stream.brokers.drain import DrainingConsumer
from stream.tables.store_table import StoreTable
from stream.worker.recovery import TableRecovery


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            FaustConsumer,
            [
                "_commit",
                "_drain_messages",
                "_get_active_partitions",
                "_getmany",
                "_is_changelog_tp",
                "_new_offset",
                "_new_topicpartition",
                "_seek",
                "_to_message",
                "_wait_next_records",
                "consumer_stopped_errors",
            ],
        ),
        (KafkaConsumer, ["_new_consumer_thread", "_to_message"]),
        (
            AIOKafkaConsumerThread,
            ["_commit", "_create_worker_consumer", "_ensure_consumer", "_fetch_records", "_seek_wait"],
        ),
        (ServiceThread, ["Worker"]),
        (ProducerBuffer, ["_send_pending"]),
        (TableManager, ["_update_channels", "changelog_queue", "changelog_topics"]),
        (
            Recovery,
            [
                "_publish_stats",
                "_resume_streams",
                "_restart_recovery",
                "_set_recovery_ended",
                "_set_recovery_started",
                "_slurp_changelogs",
                "signal_recovery_start",
                "wait_for_stopped",
            ],
        ),
        (faust_recovery, ["RebalanceAgain", "ServiceStopped"]),
        (RocksDBStore, ["_db_for_partition", "_open_for_partition", "partition_path"]),
        (AIOKafkaClient, ["get_random_node", "send"]),
        (GroupCoordinator, ["request_rejoin"]),
        (AIOKafkaProducer, ["begin_transaction", "commit_transaction", "create_batch", "send_batch"]),
    ],
)
def test_the_name_is_still_there(owner: Any, names: list[str]) -> None:
    assert [name for name in names if not hasattr(owner, name)] == []


async def test_attributes_are_still_there(tmp_path: Path) -> None:
    broker = "embedded:///nowhere/log.db"
    app = faust.App("names", broker=broker, store="rocksdb://", datadir=tmp_path, web_enabled=False)
    assert not app._crashed.is_set()
    assert missing(app._crashed, "wait") == []
    assert missing(app.consumer, "_acked", "_acked_index", "_committed_offset", "_read_offset") == []
    assert missing(app.consumer, "_commit_every", "_n_acked", "_unacked_messages") == []
    assert missing(cast(Any, app.producer).buffer, "max_messages", "pending") == []
    tables = TableManager(app)
    assert tables._recovery is None
    recovery = tables.recovery
    assert tables._recovery is recovery
    assert missing(recovery, "_generation_id", "active_tps", "standby_tps") == []
    assert missing(RocksDBStore("rocksdb://", app, app.Table("t")), "_dbs") == []


async def test_aiokafka_still_keeps_how_far_a_partition_was_read_where_we_look() -> None:
    """It moves on over markers and aborted records without telling anybody."""
    subscriptions, tp = SubscriptionState(), TopicPartition("store-polls", 0)
    subscriptions.assign_from_user([tp])
    assignment = subscriptions.subscription.assignment
    assert set(assignment.tps) == {tp}
    assert assignment.state_value(tp)._position is None
    assignment.state_value(tp).reset_to(7)
    assert assignment.state_value(tp)._position == 7


def missing(owner: object, *names: str) -> list[str]:
    return [name for name in names if not hasattr(owner, name)]


@pytest.mark.parametrize(
    ("caller", "callee"),
    [
        # our loop, and what it hands over
        (Fetcher, "consumer._drain_messages("),
        (FaustConsumer.getmany, "self._wait_next_records("),
        (FaustConsumer.getmany, "self._to_message"),
        (FaustConsumer._wait_next_records, "self._getmany("),
        (FaustConsumer._filter_committable_offsets, "self._new_offset("),
        (FaustConsumer._commit_offsets, "self._commit("),
        (FaustConsumer.seek, "self._seek("),
        # what is set on the client of aiokafka before it starts
        (AIOKafkaConsumerThread.on_start, "self._create_consumer("),
        (AIOKafkaConsumerThread._create_consumer, "self._create_worker_consumer("),
        (AIOKafkaConsumer.start, "isolation_level=self._isolation_level"),
        (AIOKafkaConsumer.start, "fetch_max_wait_ms=self._fetch_max_wait_ms"),
        (AIOKafkaConsumer.start, "self._coordinator = GroupCoordinator("),
        (AIOKafkaConsumer.start, "max_poll_interval_ms=self._max_poll_interval_ms"),
        (AIOKafkaConsumer.start, "rebalance_timeout_ms=self._rebalance_timeout_ms"),
        (GroupCoordinator._heartbeat_routine, "self._maybe_leave_group("),
        (GroupCoordinator._heartbeat_routine, "self._do_heartbeat("),
        (AIOKafkaConsumer, "self._subscription = SubscriptionState("),
        (AIOKafkaConsumer, "self._client = AIOKafkaClient("),
        # the thread of the client
        (KafkaConsumer, "_new_consumer_thread("),
        (AIOKafkaConsumerThread.getmany, "self._fetch_records,"),
        (AIOKafkaConsumerThread.seek_wait, "self._seek_wait,"),
        (AIOKafkaConsumerThread.commit, "self._commit,"),
        (ServiceThread, "self.Worker("),
        # a rebalance: given up first, then assigned, then taken over, then sought
        (ConsumerRebalanceListener, "on_partitions_revoked("),
        (TableManager.on_partitions_revoked, "self.recovery.on_partitions_revoked)"),
        (TableManager.on_rebalance, "self.recovery.on_rebalance)"),
        (Recovery.on_rebalance, "self.signal_recovery_start.set()"),
        (Recovery.on_rebalance, "self._generation_id = generation_id"),
        (Recovery._resume_streams, "consumer.perform_seek()"),
        (Recovery._resume_streams, "app.on_rebalance_complete.send()"),
        (FaustConsumer.perform_seek, "self.seek_to_committed()"),
        # tables
        (TableManager.on_start, "self._update_channels()"),
        (RocksDBStore._db_for_partition, "self._dbs[partition] = self._open_for_partition(partition)"),
        (faust.Table, "self._new_store()"),
    ],
)
def test_what_we_override_is_still_called(caller: Callable[..., Any], callee: str) -> None:
    classes = inspect.getmro(caller) if inspect.isclass(caller) else (caller,)
    assert any(callee in inspect.getsource(each) for each in classes if each is not object)


def test_recovery_has_no_work_but_what_we_took_out_of_it() -> None:
    """Another task would read the changelog beside us."""
    tasks = {name for name in dir(Recovery) if isinstance(getattr(Recovery, name, None), ServiceTask)}
    assert tasks == {"_publish_stats", "_restart_recovery", "_slurp_changelogs"}
    assert all(isinstance(TableRecovery.__dict__[name], ServiceTask) for name in tasks)


def test_a_thread_of_faust_is_one_of_modes() -> None:
    assert issubclass(AIOKafkaConsumerThread, QueueServiceThread)
    assert issubclass(QueueServiceThread, ServiceThread)


def test_the_drain_can_stand_before_the_kafka_consumer() -> None:
    class Draining(DrainingConsumer, KafkaConsumer):
        pass

    assert Draining.__mro__[1:3] == (DrainingConsumer, KafkaConsumer)
    assert Draining._getmany is KafkaConsumer._getmany
    assert Draining._new_offset is DrainingConsumer._new_offset


def test_a_table_is_asked_for_its_store_by_a_name_that_we_override() -> None:
    assert "_new_store" in StoreTable.__dict__
    assert "_new_store" in dir(faust.Table)
