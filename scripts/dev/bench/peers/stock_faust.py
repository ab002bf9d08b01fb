"""One agent on stock Faust settings: one poll a message, one table write a poll.

    python -m scripts.dev.bench.peers.stock_faust BROKER FOLDER COUNT APP_ID PARTITIONS

Owns: a Faust app as Faust's own introduction has it: a record type, a topic, a table in RocksDB, an agent.
It prints the seconds from its first poll to its last of COUNT.
"""

import sys
import time

import faust
from faust.types import StreamT

from scripts.dev.bench.peers.uptime_step import Uptime, step

BROKER, FOLDER, COUNT, APP_ID, PARTITIONS = (*sys.argv[1:3], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))


class Poll(faust.Record, serializer="json"):
    """One poll."""

    store_id: str
    status: str
    timestamp_utc: str


app = faust.App(
    APP_ID,
    broker=BROKER,
    datadir=FOLDER,
    store="rocksdb://",
    topic_partitions=PARTITIONS,  # as many as store-polls has: Faust asks for that
    web_enabled=False,  # its port may be taken
)
polls = app.topic("store-polls", value_type=Poll)
table = app.Table("uptime", partitions=PARTITIONS, options={"driver": "rocksdict"})


@app.agent(polls)
async def take(stream: StreamT[Poll]) -> None:
    """Each poll changes its store's row."""
    taken, began = 0, 0.0
    async for poll in stream:
        began = began or time.perf_counter()
        state: Uptime | None = table.get(poll.store_id)
        table[poll.store_id] = step(state, poll.status, poll.timestamp_utc)
        taken += 1
        if taken == COUNT:
            print(f"seconds {time.perf_counter() - began}", flush=True)


if __name__ == "__main__":
    faust.Worker(app, loglevel="WARN", redirect_stdouts=False).execute_from_commandline()
