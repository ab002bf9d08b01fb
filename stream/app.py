"""The worker, wired: the one place where Faust app, table, ledgers and agents meet.

Owns: which settings Faust runs with, and the life of a worker process. Must not know: any rule.
"""

import asyncio
import gc
import signal
import time
from collections.abc import Coroutine
from typing import Any, Final, cast

import faust
import structlog
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]  # it has no types
from faust.exceptions import ProducerSendError
from prometheus_client import start_http_server

from schemas.settings import Settings
from schemas.topics import APP_ID, CHANGELOG_TOPIC, SOURCES
from schemas.values import DAY_US
from stream.agents import add_agents
from stream.connection import faust_broker, faust_credentials
from stream.drain import KeepingFlow
from stream.embedded.lock import StateLock
from stream.errors import BrokerLost, PartitionsAdded
from stream.ledgers import Ledgers
from stream.tables import PromptTableManager, store_table
from stream.topics import MOST_RECORD_BYTES, agreed_count, declare_topics

log = structlog.get_logger(__name__)

_GC_THRESHOLDS: Final = (100_000, 50, 1000)
"""A backlog makes many small objects, none of them in cycles: looking for cycles less often saves a twentieth."""
_COMMIT_SECONDS: Final = 0.5
_PRODUCER_BATCH_BYTES: Final = 512 << 10
_STOP_SECONDS: Final = 8.0
"""How long stopping may take; what is not acknowledged by then is delivered again."""
_CANCEL_SECONDS: Final = 1.0
_EVENTS_BUFFERED: Final = 8
"""Events (batches of records) that wait before an agent; more only costs memory."""


def create_app(settings: Settings, partitions: int) -> faust.App:
    """The Faust app of a worker. The broker's URL chooses the transport; nothing else depends on it.

    `partitions` is the count that the topics have.
    """
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
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=_EVENTS_BUFFERED,
        stream_wait_empty=True,
        table_standby_replicas=settings.standby_replicas,
        producer_max_batch_size=_PRODUCER_BATCH_BYTES,
        producer_max_request_size=MOST_RECORD_BYTES,
        TableManager=PromptTableManager,
    )
    app.flow_control = KeepingFlow()
    transport = cast(Any, app.transport)  # either of ours; Faust's interface lacks these
    transport.drain = settings.drain
    batched = (*SOURCES, CHANGELOG_TOPIC) if settings.drain == "batches" else (CHANGELOG_TOPIC,)
    transport.batched_topics = frozenset(spec.name for spec in batched)
    transport.retention_ms = int(settings.log_retention_days * DAY_US / 1000)
    table = store_table(app, partitions)
    table.skips_malformed = settings.malformed_changelog == "skip"
    ledgers = Ledgers(table, partitions, settings.retention_days, settings.flush_seconds)
    add_agents(app, ledgers, partitions)

    _log_rebalances(app)
    _refuse_added_partitions(app, partitions)
    return app


def _refuse_added_partitions(app: faust.App, partitions: int) -> None:
    """Stop where somebody gives a topic in use more partitions: a new count makes Kafka rebalance."""

    async def assigned(*_: Any, **__: Any) -> None:
        counts = {spec.name: app.consumer.topic_partitions(spec.name) or partitions for spec in SOURCES}
        if (found := agreed_count(counts, None, partitions)) != partitions:
            raise PartitionsAdded(found, partitions)

    app.on_partitions_assigned.connect(cast(Any, assigned), weak=False)


def _log_rebalances(app: faust.App) -> None:
    """Say for how long a rebalance kept this worker's partitions unserved."""
    revoked_at = [time.monotonic()]

    async def revoked(*_: Any, **__: Any) -> None:
        revoked_at[0] = time.monotonic()

    async def complete(*_: Any, **__: Any) -> None:
        served = sorted({tp.partition for tp in app.assignor.assigned_actives()})
        log.info(
            "partitions served", partitions=served, unserved_s=round(time.monotonic() - revoked_at[0], 3)
        )

    app.on_partitions_revoked.connect(cast(Any, revoked), weak=False)
    app.on_rebalance_complete.connect(cast(Any, complete), weak=False)


def run_worker(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT. Raises what made it stop otherwise.

    Raises stream.embedded.lock.LockHeld where another worker has the state folder, TopicsUnusable where the
    broker does not answer or its topics do not fit, BrokerLost where it is gone for too long.
    """
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    with StateLock(settings.worker_lock):
        if settings.worker_metrics_port:
            start_http_server(settings.worker_metrics_port, settings.host)
        try:
            _run(_serve(settings))
        except (KafkaError, ProducerSendError) as error:
            raise BrokerLost(str(error)) from error


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
    app = create_app(settings, await declare_topics(settings))
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    log.info("worker starting", broker=settings.broker, state=str(settings.state))
    starting = asyncio.create_task(app.start())
    stopping = asyncio.create_task(told_to_stop.wait())
    crashed = asyncio.create_task(app._crashed.wait())  # no public way to await it
    try:
        await asyncio.wait({starting, stopping, crashed}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            log.info("worker ready")
            await asyncio.wait({stopping, crashed}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        log.info("worker stopping")
        if crashed.done():
            app.conf.stream_wait_empty = False  # what was not written cannot be acknowledged any more
        leaving = asyncio.create_task(app.stop())
        await asyncio.wait({leaving}, timeout=_STOP_SECONDS)
        if not leaving.done():
            log.warning(
                "leaving without having stopped all of Faust; nothing is lost", waited_s=_STOP_SECONDS
            )
        for task in (starting, stopping, crashed, leaving):
            task.cancel()
    if app.crash_reason is not None:
        raise app.crash_reason
