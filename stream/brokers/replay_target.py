"""How far the data of `up --data` reaches: what must be readable before the API is ready.

Owns: the file that says so. Must not know: who replays, what readiness is.
"""

import json
from pathlib import Path
from typing import Literal

from schemas.atomic_write import atomic_write
from schemas.positions import Positions


class ReplayTarget:
    """A file in the state folder by which `up --data` tells the API what must be readable first."""

    def __init__(self, state: Path) -> None:
        self._path = state / "replaying.json"

    def begin(self) -> None:
        """A replay has begun; how far it reaches is not known yet."""
        with atomic_write(self._path) as file:
            file.write(b"null")

    def reach(self, positions: Positions) -> None:
        """The replay is sent; these positions must be applied."""
        listed = [[topic, partition, offset] for (topic, partition), offset in positions.items()]
        with atomic_write(self._path) as file:
            file.write(json.dumps(listed).encode())

    def clear(self) -> None:
        """Nothing is being replayed."""
        self._path.unlink(missing_ok=True)

    def read(self) -> Positions | Literal["pending"] | None:
        """What must be applied, "pending" while that is not known, None where nothing was replayed."""
        try:
            listed = json.loads(self._path.read_text())
        except FileNotFoundError:
            return None
        return "pending" if listed is None else {(topic, p): offset for topic, p, offset in listed}
