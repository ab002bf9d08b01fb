"""What Kafka calls a topic beside its name: an id that another topic of the same name does not have.

Owns: version 12 of the Metadata request, which aiokafka lacks. Must not know: what ids are good for.
"""

from collections.abc import Collection
from typing import Any, Final

from aiokafka.protocol.api import Request, RequestStruct, Response  # type: ignore[import-untyped]
from aiokafka.protocol.types import (  # type: ignore[import-untyped]
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from stream.brokers.faust_internals import network_client

_ID: Final = (("id_high", Int64), ("id_low", Int64))
_UNSIGNED: Final = (1 << 64) - 1


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY, API_VERSION = 3, 12
    SCHEMA = Schema(
        ("throttle_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString()),
                ("port", Int32),
                ("rack", CompactString()),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString()),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString()),
                *_ID,
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc]
    API_KEY, API_VERSION, FLEXIBLE_VERSION, RESPONSE_TYPE = 3, 12, True, _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(*_ID, ("name", CompactString()), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([(0, 0, topic, {}) for topic in self._topics], False, False, {})


async def topic_ids(consumer: Any, topics: Collection[str]) -> dict[str, str]:
    """The ids of those `topics` that exist, in hexadecimal; `consumer` is a started client of aiokafka.

    Raises KafkaError, IncompatibleBrokerVersion where the broker is older than Kafka 2.8.
    """
    client = network_client(consumer)
    response = await client.send(client.get_random_node(), _MetadataRequest(topics))
    found = {}
    for error_code, name, high, low, *_ in response.topics:
        if not error_code and (high or low):
            found[name] = f"{high & _UNSIGNED:016x}{low & _UNSIGNED:016x}"
    return found
