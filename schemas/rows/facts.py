"""Rows `M …` that stand once in each table: what it was made with.

Owns: their keys and layouts. Must not know: who compares them with what there is now.

    M zone-database     the release of the zone database that all accumulators were made with
    M partitions        how many partitions there were
    M topics            by topic, what its broker calls it beside its name (JSON): another id is another topic
    M swept             the UTC day on which old stamps were last looked for
"""

from collections.abc import Mapping
from typing import Final

import msgspec

ZONE_DATABASE_KEY: Final = b"Mzone-database"
PARTITIONS_KEY: Final = b"Mpartitions"
TOPICS_KEY: Final = b"Mtopics"
SWEPT_KEY: Final = b"Mswept"


def encode_topics(ids: Mapping[str, str]) -> bytes:
    """By topic, its id."""
    return msgspec.json.encode(dict(sorted(ids.items())))


def decode_topics(value: bytes | None) -> dict[str, str]:
    """The topics that a table was made from; none where it does not say."""
    return msgspec.json.decode(value, type=dict[str, str]) if value else {}
