"""What is private in Faust, mode and aiokafka, and read by us all the same.

Owns: each such name that belongs to an object of theirs; any release of theirs may change it. Must not know: what
it is wanted for. Names that our classes override, or call on themselves, stand in those classes. All are pinned by
tests/stream/test_private_names.py, which fails where one is used that it does not know.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import faust
from aiokafka.client import AIOKafkaClient  # type: ignore[import-untyped]  # it has no types


def crashed(app: faust.App) -> asyncio.Event:
    """Set when something ended the app. There is no public way to await it."""
    return cast(asyncio.Event, app._crashed)


def network_client(client: Any) -> AIOKafkaClient:
    """What a producer, consumer or admin client of aiokafka speaks to the brokers through."""
    return client.client if hasattr(client, "client") else client._client


def read_committed(consumer: Any, fetch_wait_ms: int) -> None:
    """Have a consumer, before it starts, read only what was committed, and wait so long at a fetch.

    Faust's driver has the second as a literal. The first it sets with exactly_once, which has its own transactions.
    """
    consumer._isolation_level = "read_committed"
    consumer._fetch_max_wait_ms = fetch_wait_ms


def positions(consumer: Any) -> Callable[[Any], int | None]:
    """How far each partition of a consumer was read: of a TopicPartition the offset, None where it has none.

    aiokafka moves on over markers and aborted records, and tells nobody.
    """
    assignment = consumer._subscription.subscription.assignment

    def position(tp: Any) -> int | None:
        if assignment is None or tp not in assignment.tps:
            return None
        return cast(int | None, assignment.state_value(tp)._position)

    return position


def request_rejoin(consumer: Any) -> None:
    """Have a consumer take its place in the group again. To be called in its event loop."""
    consumer._coordinator.request_rejoin()
