"""Positions in the log: how far topics were read, applied or written.

Owns: what a position is, and when one state covers another. Must not know: whose positions they are.
"""

from collections.abc import Mapping

Positions = dict[tuple[str, int], int]
"""Of each (topic, partition), the offset of the next record: to be applied, or that the log will give out."""


def covers(applied: Mapping[tuple[str, int], int], ends: Mapping[tuple[str, int], int]) -> bool:
    """Whether everything before `ends` was applied."""
    return all(applied.get(at, 0) >= end for at, end in ends.items())
