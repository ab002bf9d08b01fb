"""The oracle on the records of an embedded log: what a state that has applied them must show.

Owns: reading polls, hours, zones and forgetting from a log of which nothing is gone, in the plain forms that tests
send. Must not know: tables.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.positions import Positions
from schemas.topics import HOURS, POLLS, ZONES
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.records import Record
from tests.builders import utc
from tests.oracle import oracle_report


def oracle_of(log: Path, before: Positions | None = None) -> str:
    """The oracle's report over the records of a log, or over those `before` some positions."""
    polls: list[tuple[str, int, str]] = []
    hours: dict[str, list[tuple[int, str, str]]] = {}
    zones: dict[str, str] = {}
    for record in records_of(log, before):
        store = (record.key or b"").decode()
        said: Any = json.loads(record.value) if record.value is not None else None
        match record.topic:
            case "store-polls" if said is None:
                polls = [poll for poll in polls if poll[0] != store]
            case "store-polls":
                polls.append((store, utc(said["timestamp_utc"]), said["status"]))
            case "store-hours":
                hours[store] = [
                    (row["day"], row["start_time_local"], row["end_time_local"]) for row in said["hours"]
                ]
            case "store-zones":
                zones[store] = said["timezone_str"]
    return oracle_report(polls, hours, zones)


def records_of(log: Path, before: Positions | None) -> Iterator[Record]:
    """Those records, partition by partition, each in its order."""
    with EmbeddedLog(log) as records:
        for (topic, partition), end in records.end_offsets().items():
            if topic in {POLLS, HOURS, ZONES}:
                wanted = end if before is None else before[topic, partition]
                found = records.read(topic, partition, 0, wanted, 1 << 30) if wanted else []
                assert len(found) == wanted, "a record is gone, so the oracle cannot judge"
                yield from found


def ends(log: Path) -> Positions:
    """Where the topics end that polls, hours and zones come from."""
    with EmbeddedLog(log) as records:
        return {tp: end for tp, end in records.end_offsets().items() if tp[0] in {POLLS, HOURS, ZONES}}
