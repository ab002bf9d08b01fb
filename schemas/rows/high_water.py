"""Row `M extent`: how far the polls of all stores of a partition reach.

Owns: key and layout (two decimal numbers; the key has the name that version 1 gave it). Must not know: who counts.
"""

from typing import Final

from schemas.summaries import HighWater

HIGH_WATER_KEY: Final = b"Mextent"


def encode_high_water(reached: HighWater) -> bytes:
    """The bytes under HIGH_WATER_KEY."""
    return f"{reached.latest} {reached.baseline}".encode()


def decode_high_water(value: bytes | None) -> HighWater:
    """What is under HIGH_WATER_KEY in one table; nothing where there is no row."""
    return HighWater(*map(int, value.split())) if value else HighWater()
