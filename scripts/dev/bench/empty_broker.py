"""A Kafka broker without topics, as each measurement there begins.

Owns: removing what the measurement before left. Must not know: what is measured.

A broker that was named by the user must be empty to begin with, so that nothing of anybody's is ever removed.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]  # it has no types

from scripts.dev.bench.service import BenchFailed

_INTERNAL: Final = "__"
_WAIT_S: Final = 0.2
_WAITS: Final = 150


@contextmanager
def lent(bootstrap: str) -> Iterator[None]:
    """A broker without topics, and without topics again in the end. Raises BenchFailed where it has some."""
    if found := asyncio.run(_listed(bootstrap)):
        raise BenchFailed(f"the broker at {bootstrap} is in use, it has topics: {', '.join(found)}")
    try:
        yield
    finally:
        make_empty(bootstrap)


def make_empty(bootstrap: str) -> None:
    """Delete all topics, with them the groups' places in them. Raises BenchFailed where some remain."""
    asyncio.run(_make_empty(bootstrap))


async def _listed(bootstrap: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return await _topics(admin)
    finally:
        await admin.close()


async def _make_empty(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=60_000)
    await admin.start()
    try:
        if found := await _topics(admin):
            await admin.delete_topics(found)
        for _ in range(_WAITS):
            if not await _topics(admin):
                return
            await asyncio.sleep(_WAIT_S)
        raise BenchFailed(f"the broker at {bootstrap} does not let go of its topics")
    finally:
        await admin.close()


async def _topics(admin: Any) -> list[str]:
    return sorted(name for name in await admin.list_topics() if not name.startswith(_INTERNAL))
