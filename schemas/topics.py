"""Names on the broker: topics, table, consumer group, and how each topic is cleaned up.

Owns: the names and nothing else. Must not know: what is in the records (schemas.events).
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


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is declared. Sources and changelog are co-partitioned: keyed by store, same count."""

    name: str
    cleanup: Literal["delete", "compact"]


SOURCES: Final = (TopicSpec(POLLS, "delete"), TopicSpec(HOURS, "compact"), TopicSpec(ZONES, "compact"))
ALL_TOPICS: Final = (
    *SOURCES,
    TopicSpec(DEAD_LETTERS, "delete"),
    TopicSpec(ALERTS, "delete"),
    TopicSpec(CHANGELOG, "compact"),
)
