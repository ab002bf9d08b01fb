"""What the streaming peers keep of a store, and what one more poll does to it.

Owns: one small step of arithmetic, the same for each peer. It does less than storepulse, in the peers' favour: no
business hours, no polls kept, and a poll that comes late or twice spoils the sum.
"""

from datetime import UTC, datetime
from typing import TypedDict

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Uptime(TypedDict):
    """The latest poll of a store and its uptime until then, in microseconds."""

    at_us: int
    active: bool
    up_us: int


def step(state: Uptime | None, status: str, timestamp_utc: str) -> Uptime:
    """The state after one more poll."""
    at = datetime.fromisoformat(timestamp_utc.removesuffix(" UTC")).replace(tzinfo=UTC) - _EPOCH
    at_us, active = (at.days * 86_400 + at.seconds) * 1_000_000 + at.microseconds, status == "active"
    if state is None:
        return Uptime(at_us=at_us, active=active, up_us=0)
    gained = at_us - state["at_us"] if state["active"] else 0
    return Uptime(at_us=at_us, active=active, up_us=state["up_us"] + gained)
