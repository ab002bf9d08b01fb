"""Quix Streams with a state store: one poll a message, one state update a poll.

    python -m scripts.dev.bench.peers.quix_streams HOST:PORT FOLDER COUNT GROUP

Owns: an application as Quix Streams' own introduction has it, its state in RocksDB with a changelog topic. It runs
in an environment of its own (scripts.dev.bench.quix), so it imports nothing of the product, nor what that depends
on. It prints the seconds from its first poll to its last of COUNT; the checkpoint after that is not counted.
"""

import sys
import time
from typing import Any

from quixstreams import Application, State

from scripts.dev.bench.peers.uptime_step import step

BOOTSTRAP, FOLDER, COUNT, GROUP = *sys.argv[1:3], int(sys.argv[3]), sys.argv[4]


class Uptimes:
    """Each poll changes its store's state."""

    def __init__(self) -> None:
        self.taken = 0
        self.began = 0.0

    def take(self, poll: dict[str, Any], state: State) -> None:
        """Store the uptime after one more poll."""
        self.began = self.began or time.perf_counter()
        state.set("uptime", step(state.get("uptime"), poll["status"], poll["timestamp_utc"]))
        self.taken += 1
        if self.taken == COUNT:
            print(f"seconds {time.perf_counter() - self.began}", flush=True)


def main() -> None:
    """Run until told to end."""
    app = Application(
        broker_address=BOOTSTRAP,
        consumer_group=GROUP,
        auto_offset_reset="earliest",
        state_dir=FOLDER,
        loglevel="WARNING",
    )
    polls = app.topic("store-polls", key_deserializer="str", value_deserializer="json")
    app.dataframe(polls).update(Uptimes().take, stateful=True)
    app.run()


if __name__ == "__main__":
    main()
