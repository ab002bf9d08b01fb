"""What we rely on in Faust, mode and aiokafka although it is private: each release of theirs may change it."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

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

ROOT: Final = Path(__file__).parents[2]


OVERRIDDEN_OR_CALLED: Final[dict[Any, dict[str, str | None]]] = {
    FaustConsumer: {
        "_commit": "(self, offsets)",
        "_drain_messages": "(self, fetcher)",
        "_get_active_partitions": "(self)",
        "_getmany": "(self, active_partitions, timeout)",
        "_is_changelog_tp": "(self, tp)",
        "_new_offset": "(self, tp)",
        "_new_topicpartition": "(self, topic, partition)",
        "_seek": "(self, partition, offset)",
        "_to_message": "(self, tp, record)",
        "_wait_next_records": "(self, timeout)",
    },
    KafkaConsumer: {"_new_consumer_thread": "(self)", "_to_message": "(self, tp, record)"},
    AIOKafkaConsumerThread: {
        "_commit": "(self, offsets)",
        "_create_worker_consumer": "(self, transport)",
        "_ensure_consumer": "(self)",
        "_fetch_records": "(self, consumer, active_partitions, timeout, max_records)",
        "_seek_wait": "(self, consumer, partitions)",
    },
    ProducerBuffer: {"_send_pending": "(self, fut)"},
    TableManager: {"_update_channels": "(self)"},
    Recovery: {
        "_publish_stats": None,
        "_restart_recovery": None,
        "_resume_streams": "(self, generation_id)",
        "_set_recovery_ended": "(self)",
        "_set_recovery_started": "(self)",
        "_slurp_changelogs": None,
    },
    RocksDBStore: {"_open_for_partition": "(self, partition)"},
    faust.Table: {"_new_store": "(self)"},
}
"""By class: the private methods that ours override or call, with their signatures; None for a task of mode's."""

ATTRIBUTES: Final = {
    *("_acked", "_acked_index", "_commit_every", "_n_acked", "_read_offset", "_thread"),  # of a consumer
    *("_generation_id", "_recovery"),  # of the recovery and the manager of tables
    "_dbs",  # of the store
    *("_client", "_coordinator", "_crashed", "_fetch_max_wait_ms", "_isolation_level"),
    *("_position", "_subscription"),  # all of these in stream.brokers.faust_internals
    *("_transition_info", "_utc_transition_times"),  # of pytz (tests/core/test_calendar.py)
}
"""The private attributes that are read or set."""


@pytest.mark.parametrize(
    ("owner", "name", "signature"),
    [(owner, *each) for owner, names in OVERRIDDEN_OR_CALLED.items() for each in names.items()],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_a_private_method_is_still_called_so(owner: Any, name: str, signature: str | None) -> None:
    method = getattr(owner, name)
    assert signature is None or f"({', '.join(inspect.signature(method).parameters)})" == signature, (
        inspect.signature(method)
    )


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (FaustConsumer, ["consumer_stopped_errors"]),
        (ServiceThread, ["Worker"]),
        (TableManager, ["changelog_queue", "changelog_topics"]),
        (Recovery, ["signal_recovery_start", "wait_for_stopped"]),
        (faust_recovery, ["RebalanceAgain", "ServiceStopped"]),
        (RocksDBStore, ["_db_for_partition", "partition_path"]),
        (AIOKafkaClient, ["get_random_node", "send"]),
        (GroupCoordinator, ["request_rejoin"]),
        (AIOKafkaProducer, ["begin_transaction", "commit_transaction", "create_batch", "send_batch"]),
    ],
)
def test_the_name_is_still_there(owner: Any, names: list[str]) -> None:
    assert [name for name in names if not hasattr(owner, name)] == []


def test_no_other_private_name_of_theirs_is_used() -> None:
    """Whatever our sources call private, and do not define themselves, is pinned above."""
    sources = [ast.parse(path.read_text()) for path in sorted((ROOT / "stream").rglob("*.py"))]
    ours = {name for tree in sources for name in defined_in(tree)}
    pinned = ATTRIBUTES | {name for names in OVERRIDDEN_OR_CALLED.values() for name in names}
    used = {
        node.attr
        for tree in sources
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr)
    }
    assert used - ours - pinned == {"_replace"}, "_replace is public: of a named tuple"
    assert pinned - used <= {"_new_topicpartition", "_publish_stats", "_seek", "_slurp_changelogs"} | ours


def defined_in(tree: ast.AST) -> Iterator[str]:
    """The names of functions and of attributes of their own that the classes of a module have."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name


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
