"""Apache Kafka as a worker needs it beside Faust's transport: writers that fence, the changelog, offsets.

Owns: one transactional producer per partition, and what is asked of Kafka. Must not know: Faust, what rows mean.

The producer's `transactional.id` belongs to the partition. Starting a new one (InitProducerId) ends the open
transaction of whoever had the id before, and nothing that one sends is ever taken again: not after a pause of days,
and whatever the group believes. Fencing by the group's generation instead lets a late commit through.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    ClusterAuthorizationFailedError,
    IllegalOperation,
    IncompatibleBrokerVersion,
    KafkaError,
    MessageSizeTooLargeError,
    TransactionalIdAuthorizationFailed,
)

from schemas.settings import Settings
from schemas.topics import APP_ID, CHANGELOG, MAX_ROW_BYTES
from stream.brokers.connection import client_options, start_client
from stream.brokers.kafka.asking import (
    CLOSE_SECONDS,
    RETRY_SECONDS,
    Asking,
    Patience,
    close_client,
    seen,
    started,
)
from stream.brokers.kafka.record_batches import LARGE_BYTES, batches
from stream.brokers.kafka.topic_ids import topic_ids
from stream.brokers.ports import Outgoing, PartitionWriter, Rows, Stretch, WriterLost
from stream.brokers.records import Record
from stream.brokers.records import TopicPartition as At
from stream.errors import RowTooLarge, TopicsUnusable

log = structlog.get_logger(__name__)

TRANSACTIONAL_ID: Final = f"{APP_ID}-{{partition}}"
"""Workers need the rights Write and Describe on the transactional ids that start with `storepulse-`."""

_BATCH_BYTES: Final = 512 << 10
_OWN_SECONDS: Final = 15.0
"""How long a broker may take to give a producer its id, before we try again."""
_TRANSACTION_SECONDS: Final = 300.0
"""How long a flush may take: filling a changelog again, or meeting a broker that restarts. Kafka allows 900."""
_FETCH_MS: Final = 100
_REFUSALS: Final = (TransactionalIdAuthorizationFailed, ClusterAuthorizationFailedError)


class KafkaBroker:
    """See stream.brokers.ports.Broker. Make it in a running event loop; it connects when first asked.

    Whatever is asked of it and of its changelog waits for a broker that is away, for ever (see Patience).
    """

    forgets_deletions = True
    log_file = None

    def __init__(self, settings: Settings) -> None:
        self._options = client_options(settings)
        self._asking = Asking(self._options, "read_uncommitted")
        self.changelog = KafkaChangelog(self._options, self._asking)

    async def own(self, partitions: Collection[int]) -> dict[int, PartitionWriter]:
        """See stream.brokers.ports.Broker."""
        writers: dict[int, PartitionWriter] = {}

        async def become(partition: int) -> None:
            writers[partition] = await self._own(partition)

        try:
            async with asyncio.TaskGroup() as group:
                for partition in partitions:
                    group.create_task(become(partition))
        except BaseException as error:
            closing = asyncio.gather(*(writer.close() for writer in writers.values()))
            await asyncio.shield(closing)  # a second cancellation leaves none of them open
            if isinstance(error, BaseExceptionGroup):
                first = error.exceptions[0]
                raise first from first.__cause__
            raise
        return writers

    async def _own(self, partition: int) -> PartitionWriter:
        transactional_id = TRANSACTIONAL_ID.format(partition=partition)
        has_said = False
        while True:
            producer = AIOKafkaProducer(
                **self._options,
                transactional_id=transactional_id,
                max_batch_size=_BATCH_BYTES,
                max_request_size=MAX_ROW_BYTES,
                transaction_timeout_ms=round(_TRANSACTION_SECONDS * 1000),
            )
            try:
                async with asyncio.timeout(_OWN_SECONDS):
                    await start_client(producer)
            except _REFUSALS as error:
                await close_client(producer)
                raise TopicsUnusable(
                    f"Kafka does not let this worker write in transactions ({error!r}): give its user the rights "
                    "Write and Describe on the transactional ids that start with storepulse-"
                ) from error
            except (KafkaError, OSError) as error:  # TimeoutError is one
                if not has_said:
                    log.warning(
                        "cannot become a partition's writer yet", partition=partition, cause=repr(error)
                    )
                    has_said = True
                await close_client(producer)
                await asyncio.sleep(RETRY_SECONDS)
            except BaseException:
                await close_client(producer)
                raise
            else:
                return KafkaWriter(partition, producer)

    async def spans(self, partitions: Collection[At]) -> dict[At, tuple[int, int]]:
        """See stream.brokers.ports.Broker."""
        asked = [TopicPartition(*at) for at in partitions]
        first, end = await self._asking.ask(
            lambda consumer: asyncio.gather(consumer.beginning_offsets(asked), consumer.end_offsets(asked))
        )
        return {(tp.topic, tp.partition): (first[tp], end[tp]) for tp in asked}

    async def committed(self, partitions: Collection[At]) -> dict[At, int]:
        """See stream.brokers.ports.Broker."""
        asked = [TopicPartition(*at) for at in partitions]
        offsets = await self._asking.ask(lambda consumer: asyncio.gather(*map(consumer.committed, asked)))
        return {at: offset for at, offset in zip(partitions, offsets, strict=True) if offset is not None}

    async def topic_ids(self, topics: Collection[str]) -> dict[str, str]:
        """See stream.brokers.ports.Broker. Kafka from 2.8 on has them."""
        try:
            return await self._asking.ask(lambda consumer: topic_ids(consumer, topics))
        except IncompatibleBrokerVersion:
            return {}

    async def close(self) -> None:
        """See stream.brokers.ports.Broker."""
        await self.changelog.close()
        await self._asking.close()


class KafkaWriter:
    """Writes a partition's flushes, each in one transaction (see stream.brokers.ports.PartitionWriter).

    Whatever goes wrong in a transaction, it is lost: whether it was committed only the log can tell, and whoever
    owns the partition next reads that.
    """

    def __init__(self, partition: int, producer: Any) -> None:
        self.partition = partition
        self.is_lost = False
        self._producer = producer
        self._writing: asyncio.Task[int] | None = None

    async def write(
        self, slices: AsyncIterator[Rows], outgoing: Sequence[Outgoing], positions: Mapping[str, int]
    ) -> int:
        """See stream.brokers.ports.PartitionWriter.

        `positions` stand in the rows; the group's are committed apart.
        """
        if self.is_lost:
            raise WriterLost(self.partition, "it was lost before")
        sending: list[asyncio.Future[Any]] = []
        self._writing = asyncio.create_task(self._transact(slices, outgoing, sending))
        try:
            return await self._written(self._writing)
        except MessageSizeTooLargeError as error:  # the next owner would meet it again
            self.is_lost = True
            raise RowTooLarge(self.partition, str(error)) from error
        except (KafkaError, IllegalOperation, AssertionError) as error:  # the latter two: it failed for good
            self.is_lost = True
            raise WriterLost(self.partition, repr(error)) from error
        except _RowsFailed as failed:
            self.is_lost = True
            raise failed.error from None
        except BaseException:
            self.is_lost = True
            raise
        finally:
            for each in sending:
                each.add_done_callback(seen)

    async def _written(self, writing: "asyncio.Task[int]") -> int:
        try:
            async with asyncio.timeout(_TRANSACTION_SECONDS):
                return await writing
        except TimeoutError:  # a topic that was deleted, say: aiokafka asks for it for ever
            raise WriterLost(self.partition, f"not written within {_TRANSACTION_SECONDS:g} s") from None
        except asyncio.CancelledError:
            if self.is_lost:  # by `close`, not by whoever awaits this
                raise WriterLost(self.partition, "it was let go") from None
            raise

    async def _transact(
        self, slices: AsyncIterator[Rows], outgoing: Sequence[Outgoing], sending: list[asyncio.Future[Any]]
    ) -> int:
        producer = self._producer
        await producer.begin_transaction()
        for each in outgoing:
            sent = await producer.send(
                each.topic,
                each.value,
                each.key,
                partition=each.partition,
                timestamp_ms=each.timestamp_ms,
                headers=list(each.headers),
            )
            sending.append(sent)
            if len(each.value or b"") + len(each.key or b"") >= LARGE_BYTES:
                await sent
        last, count, now_ms = None, 0, time.time_ns() // 1_000_000
        async for rows in _ours(slices):
            for batch in batches(producer, rows, now_ms):
                last, count = (
                    await producer.send_batch(batch, CHANGELOG, partition=self.partition),
                    batch.record_count(),
                )
                sending.append(last)
        for sent in sending:
            await sent
        await producer.commit_transaction()
        if last is None:
            raise AssertionError("a flush has at least the row of its positions")
        return int((await last).offset + count)  # the transaction's marker

    async def close(self) -> None:
        """See stream.brokers.ports.PartitionWriter.

        A producer that is stopped leaves whoever waits for its transaction waiting for ever.
        """
        self.is_lost = True
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=CLOSE_SECONDS)
            self._writing.cancel()
        await close_client(self._producer)


class KafkaChangelog:
    """The changelog, read committed (see stream.brokers.ports.ChangelogReader)."""

    def __init__(self, options: Mapping[str, Any], asking: "Asking") -> None:
        self._options = options
        self._asking = asking
        self._asking_committed = Asking(options, "read_committed")
        self._consumer: Any = None
        self._reading: tuple[Any, ...] = ()

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """See stream.brokers.ports.ChangelogReader."""
        return await self._asking.ends(CHANGELOG, partitions)

    async def readable_ends(self, partitions: Collection[int]) -> dict[int, int]:
        """See stream.brokers.ports.ChangelogReader."""
        return await self._asking_committed.ends(CHANGELOG, partitions)

    async def begin(self, positions: Mapping[int, int]) -> None:
        """See stream.brokers.ports.ChangelogReader."""
        if self._consumer is None:
            self._consumer = await Patience().wait_for(self._connected)
        self._reading = tuple(TopicPartition(CHANGELOG, partition) for partition in positions)
        self._consumer.assign(self._reading)
        for tp in self._reading:
            self._consumer.seek(tp, positions[tp.partition])

    async def _connected(self) -> Any:
        consumer = AIOKafkaConsumer(
            **self._options,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_MS,
            max_partition_fetch_bytes=4 << 20,
        )
        await started(consumer)
        return consumer

    async def read(self, timeout_s: float) -> list[Stretch]:
        """See stream.brokers.ports.ChangelogReader."""
        fetched = await self._consumer.getmany(
            *self._reading, timeout_ms=min(round(timeout_s * 1000), _FETCH_MS)
        )
        stretches = []
        for tp in self._reading:
            records = fetched.get(tp, ())
            # What was asked of aiokafka has no answer for a fetch of markers alone: it moves on and tells nobody.
            position = await self._consumer.position(tp)
            stretches.append(Stretch(tp.partition, [record_of(each) for each in records], position))
        return stretches

    async def close(self) -> None:
        """See stream.brokers.ports.ChangelogReader."""
        await self._asking_committed.close()
        if self._consumer is not None:
            await close_client(self._consumer)
            self._consumer = None


class _RowsFailed(Exception):
    """Making the rows failed: a bug of ours, or a table that cannot be read. Carries the error."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


async def _ours(slices: AsyncIterator[Rows]) -> AsyncIterator[Rows]:
    """The same slices, whose errors cannot be taken for the producer's."""
    iterator = aiter(slices)
    while True:
        try:
            rows = await anext(iterator)
        except StopAsyncIteration:
            return
        except Exception as error:
            raise _RowsFailed(error) from error
        yield rows


def record_of(record: Any) -> Record:
    """A record as aiokafka has it, as ours."""
    return Record(
        record.topic,
        record.partition,
        record.offset,
        -1 if record.timestamp is None else record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )
