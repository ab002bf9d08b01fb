"""What Kafka's brokers do by themselves: keeping the log bounded while a worker runs.

Owns: when a partition is compacted or trimmed. Must not know: how (stream.brokers.embedded.cleaning), or what the
records mean.

Of a compacted topic only the last record of each key stays. Of the others, records go once they are older than
the retention and, where the group reads the topic, applied.
"""

import time
from collections.abc import Set
from typing import Final

from stream.brokers.embedded.log import EmbeddedLog

PERIOD_S: Final = 60.0
"""How often a running worker looks."""

_WORTHWHILE: Final = 0.5
"""Share of new records from which a compaction pays, as in Kafka."""

_FEW_RECORDS: Final = 1_000
"""A partition with fewer new records is left alone."""

_TOMBSTONES_KEPT_MS: Final = 24 * 3_600_000


def keep_bounded(
    log: EmbeddedLog, group: str, reads: Set[str], retention_ms: int, now_ms: int | None = None
) -> int:
    """Compact and trim whatever is due; how many records were removed.

    The commits of the consumer group `group` say what was applied of the topics that it `reads`.
    `retention_ms` counts from a record's timestamp, `now_ms` is the wall clock unless a test says otherwise.
    """
    now_ms = int(time.time() * 1000) if now_ms is None else now_ms
    committed, removed = log.committed(group), 0
    for topic, info in log.topics().items():
        for partition in range(info.partitions):
            if info.cleanup == "compact":
                if _compaction_pays(log, topic, partition):
                    removed += log.compact(
                        topic, partition, tombstones_before_ms=now_ms - _TOMBSTONES_KEPT_MS
                    )
                continue
            end = log.end_offset(topic, partition)
            applied = committed.get((topic, partition), 0) if topic in reads else end
            removed += log.trim(topic, partition, before_offset=applied, older_than_ms=now_ms - retention_ms)
    return removed


def _compaction_pays(log: EmbeddedLog, topic: str, partition: int) -> bool:
    new = log.end_offset(topic, partition) - log.begin_offset(topic, partition)
    return new > _FEW_RECORDS and log.dirty_ratio(topic, partition) > _WORTHWHILE
