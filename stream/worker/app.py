"""The worker, wired: the one place where Faust app, broker, table, write-behind and agents meet.

Owns: which settings Faust runs with, and the life of a worker process. Must not know: any rule.
"""

import asyncio
import errno
import gc
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import faust
import structlog
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]  # it has no types
from faust.exceptions import ProducerSendError
from faust.transport import by_url
from prometheus_client import start_http_server

from schemas.settings import Settings
from schemas.topics import APP_ID, SOURCES
from schemas.values import DAY_US
from stream.brokers.connection import faust_broker, faust_credentials
from stream.brokers.drain import Checkpoint, Delivery, KeepingFlow
from stream.brokers.faust_internals import crashed
from stream.brokers.opening import open_broker
from stream.brokers.ports import Broker
from stream.brokers.topics import agreed_count, declare_topics
from stream.errors import BrokerLost, DiskFull, MetricsPortUnusable, PartitionsAdded
from stream.state_lock import StateLock
from stream.tables.store_table import StoreRows, store_table
from stream.worker.agents import add_agents
from stream.worker.outage import Outage
from stream.worker.recovery import StoreTableManager
from stream.worker.takeover import TakeOver
from stream.worker.write_behind import WriteBehind

log = structlog.get_logger(__name__)

_SWITCH_SECONDS: Final = 0.0005
"""The consumer fetches in a thread of its own, which would keep the loop waiting for ten times as long."""
_GC_THRESHOLDS: Final = (100_000, 50, 1000)
"""A backlog makes many small objects, none of them in cycles: looking for cycles less often saves a twentieth."""
_COMMIT_SECONDS: Final = 0.5
_IDLE_SECONDS: Final = 10 * 365 * 86_400.0
"""How long a member may fetch nothing and keep its place in the group: for ever, in effect.

aiokafka takes a worker without partitions, or one that restores its tables, for idle: it would leave the group, and
not join again before it fetches. One that hangs is seen by its lag in /health. Kafka is never told of this; the
`broker_rebalance_timeout` says how long it waits for a member in a rebalance.
"""
_STOP_SECONDS: Final = 8.0
"""How long stopping may take; what is not acknowledged by then is delivered again."""
_FAILED_STOP_SECONDS: Final = 0.7
"""The same where something failed for good: others are waiting for the partitions."""
_CANCEL_SECONDS: Final = 0.5
_EVENTS_BUFFERED: Final = 8
"""Events (batches of records) that wait before an agent; more only costs memory."""


@dataclass(frozen=True, slots=True)
class Worker:
    """The parts of a worker that have a life of their own."""

    app: faust.App
    broker: Broker
    write_behind: WriteBehind
    take_over: TakeOver
    outage: Outage


def create_worker(settings: Settings, partitions: int) -> Worker:
    """A worker, to be made in a running event loop; `partitions` is the count that the topics have.

    The broker's URL chooses transport and broker; nothing else depends on it.
    """

    def rejoin() -> None:
        outage.lost()
        cast(Any, app.consumer).rejoin()

    def let_in() -> None:
        outage.served()

    broker = open_broker(settings)
    rows = StoreRows(settings.table_path)
    write_behind = WriteBehind(rows, partitions, settings.retention_days, settings.flush_seconds, rejoin)
    take_over = TakeOver(
        broker,
        rows,
        write_behind,
        skip_malformed=settings.malformed_changelog == "skip",
        let_in=let_in,
        rejoin=rejoin,
        crash=lambda error: asyncio.ensure_future(app.crash(error)),
    )
    outage = Outage(settings.outage_seconds, take_over.look_for_losses)
    app = _create_app(settings, partitions, partial(StoreTableManager, take_over=take_over, left=outage.lost))
    app.transport = _transport(settings, app, write_behind)
    store_table(app, partitions, rows, write_behind)
    add_agents(app, write_behind, broker, partitions)
    _watch_rebalances(app, outage)
    _refuse_added_partitions(app, partitions)
    return Worker(app, broker, write_behind, take_over, outage)


def _create_app(
    settings: Settings, partitions: int, table_manager: Callable[..., StoreTableManager]
) -> faust.App:
    app = faust.App(
        APP_ID,
        broker=faust_broker(settings),
        broker_credentials=faust_credentials(settings),
        store="rocksdb://",
        datadir=settings.worker_dir,
        web_enabled=False,
        topic_partitions=partitions,
        topic_replication_factor=settings.replication,
        topic_disable_leader=True,
        broker_commit_interval=_COMMIT_SECONDS,
        broker_max_poll_interval=_IDLE_SECONDS,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=_EVENTS_BUFFERED,
        stream_wait_empty=True,
        table_standby_replicas=settings.standby_replicas,
        TableManager=cast(Any, table_manager),
        **_session(settings),
    )
    app.flow_control = KeepingFlow()
    return app


def _transport(settings: Settings, app: faust.App, checkpoint: Checkpoint) -> Any:
    """The transport that Faust would choose by the URL, told how records reach our agents."""
    delivery = Delivery(
        drain=settings.drain,
        batched_topics=frozenset(spec.name for spec in SOURCES if settings.drain == "batches"),
        checkpoint=checkpoint,
        retention_ms=int(settings.log_retention_days * DAY_US / 1000),
    )
    urls = faust_broker(settings)
    return cast(Any, by_url(urls[0]))(urls, app, delivery=delivery)


def _session(settings: Settings) -> dict[str, Any]:
    """Faust's settings for how long a silent worker keeps its place in the group."""
    seconds = settings.kafka_session_seconds
    return (
        {}
        if seconds is None
        else {"broker_session_timeout": seconds, "broker_heartbeat_interval": seconds / 6}
    )


def _refuse_added_partitions(app: faust.App, partitions: int) -> None:
    """Stop where somebody gives a topic in use more partitions: a new count makes Kafka rebalance."""

    async def assigned(*_: Any, **__: Any) -> None:
        counts = {spec.name: app.consumer.topic_partitions(spec.name) or partitions for spec in SOURCES}
        if (found := agreed_count(counts, None, partitions)) != partitions:
            raise PartitionsAdded(found, partitions)

    app.on_partitions_assigned.connect(cast(Any, assigned), weak=False)


def _watch_rebalances(app: faust.App, outage: Outage) -> None:
    """Say for how long a rebalance kept this worker's partitions unserved."""
    revoked_at = [time.monotonic()]

    async def revoked(*_: Any, **__: Any) -> None:
        revoked_at[0] = time.monotonic()

    async def complete(*_: Any, **__: Any) -> None:
        outage.served()
        served = sorted({tp.partition for tp in app.assignor.assigned_actives()})
        log.info(
            "partitions served", partitions=served, unserved_s=round(time.monotonic() - revoked_at[0], 3)
        )

    app.on_partitions_revoked.connect(cast(Any, revoked), weak=False)
    app.on_rebalance_complete.connect(cast(Any, complete), weak=False)


def run_worker(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT. Raises what made it stop otherwise.

    Raises stream.state_lock.LockHeld where another worker has the state folder, TopicsUnusable where the
    broker does not answer or its topics do not fit, BrokerLost where it is gone for too long, MetricsPortUnusable.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    with StateLock(settings.worker_lock):
        if settings.worker_metrics_port:
            _serve_metrics(settings.host, settings.worker_metrics_port)
        try:
            _run(_serve(settings))
        except (KafkaError, ProducerSendError) as error:
            raise BrokerLost(str(error)) from error
        except Exception as error:
            if _is_disk_full(error):
                raise DiskFull(settings.state, str(error)) from error
            raise


def _serve_metrics(host: str, port: int) -> None:
    try:
        start_http_server(port, host)
    except OSError as error:
        raise MetricsPortUnusable(host, port, error.strerror or str(error)) from None


def _is_disk_full(error: Exception) -> bool:
    """Whether RocksDB, whose errors have no kinds, or the system found no room."""
    return "No space left on device" in str(error) or getattr(error, "errno", None) == errno.ENOSPC


def _run(serving: Coroutine[Any, Any, None]) -> None:
    """What asyncio.run does, but where a library's task will not be cancelled it is left behind.

    Stopping in the middle of a rebalance can leave Faust waiting for its own consumer thread, and that for Faust.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(serving)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=_CANCEL_SECONDS))
        loop.set_exception_handler(lambda *_: None)  # it would complain of those that are still there


async def _serve(settings: Settings) -> None:
    worker = create_worker(settings, await declare_topics(settings))
    app = worker.app
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    log.info("worker starting", broker=settings.broker, state=str(settings.state))
    starting = asyncio.create_task(app.start())
    stopping = asyncio.create_task(told_to_stop.wait())
    has_crashed = asyncio.create_task(crashed(app).wait())
    watching = asyncio.create_task(worker.outage.watch())
    try:
        await asyncio.wait({starting, stopping, has_crashed, watching}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and not has_crashed.done():
            starting.result()
            log.info("worker ready")
            await asyncio.wait({stopping, has_crashed, watching}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        has_failed = has_crashed.done() or watching.done()
        log.info("worker stopping")
        if has_failed:
            app.conf.stream_wait_empty = False  # what was not written cannot be acknowledged any more
        leaving = asyncio.create_task(_leave(worker))
        await asyncio.wait({leaving}, timeout=_FAILED_STOP_SECONDS if has_failed else _STOP_SECONDS)
        if not leaving.done():
            log.warning("leaving without having stopped all of Faust; nothing is lost")
        for task in (starting, stopping, has_crashed, leaving):
            task.cancel()
    if app.crash_reason is not None:
        raise app.crash_reason
    if watching.done():
        watching.result()
    watching.cancel()


async def _leave(worker: Worker) -> None:
    await worker.take_over.stop_copying()
    await worker.app.stop()
    await worker.write_behind.release()
    await worker.broker.close()
