"""Names on the broker: topics, table, consumer group, how each topic is cleaned up, how large a record may be.

Owns: these and nothing else. Must not know: what is in the records (schemas.events).
"""

from dataclasses import dataclass
from typing import Final, Literal

APP_ID: Final = "storepulse"
"""Faust's app id, hence the consumer group of the workers and the prefix of the changelog."""

POLLS: Final = "store-polls"
HOURS: Final = "store-hours"
ZONES: Final = "store-zones"
DEAD_LETTERS: Final = "store-polls-dlq"
ALERTS: Final = "store-alerts"

TABLE: Final = "stores"
CHANGELOG: Final = f"{APP_ID}-{TABLE}-changelog"

MAX_RECORD_BYTES: Final = 16 << 20
"""A record of the topics may be this large: a million polls, or a dead letter with its headers."""

MAX_ROW_BYTES: Final = 64 << 20
"""A row of the table may be this large: a store's day block, from records that were as large as may be."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is declared. Sources and changelog are co-partitioned: keyed by store, same count."""

    name: str
    cleanup: Literal["delete", "compact"]
    max_bytes: int = MAX_RECORD_BYTES


POLLS_TOPIC: Final = TopicSpec(POLLS, "delete")
HOURS_TOPIC: Final = TopicSpec(HOURS, "compact")
ZONES_TOPIC: Final = TopicSpec(ZONES, "compact")
DEAD_LETTERS_TOPIC: Final = TopicSpec(DEAD_LETTERS, "delete")
ALERTS_TOPIC: Final = TopicSpec(ALERTS, "delete")
CHANGELOG_TOPIC: Final = TopicSpec(CHANGELOG, "compact", MAX_ROW_BYTES)

SOURCES: Final = (POLLS_TOPIC, HOURS_TOPIC, ZONES_TOPIC)
ALL_TOPICS: Final = (*SOURCES, DEAD_LETTERS_TOPIC, ALERTS_TOPIC, CHANGELOG_TOPIC)
