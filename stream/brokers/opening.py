"""The one place where the broker's URL chooses the broker.

Owns: which broker, sink and probe go with which URL. Must not know: what any of them does.
"""

import asyncio

from schemas.settings import Settings
from stream.brokers.connection import try_servers
from stream.brokers.embedded.broker import EmbeddedBroker
from stream.brokers.embedded.probe import EmbeddedProbe
from stream.brokers.embedded.sink import EmbeddedSink
from stream.brokers.kafka.broker import KafkaBroker
from stream.brokers.kafka.probe import KafkaProbe
from stream.brokers.kafka.sink import KafkaSink
from stream.brokers.ports import Broker
from stream.brokers.sink import Sink
from stream.brokers.topics import reach


def open_broker(settings: Settings) -> Broker:
    """What a worker needs of the configured broker beside Faust's transport."""
    return EmbeddedBroker(settings.log_path) if settings.is_embedded else KafkaBroker(settings)


def open_sink(settings: Settings) -> Sink:
    """The sink of the configured broker. Raises the broker's errors."""
    return EmbeddedSink(settings) if settings.is_embedded else KafkaSink(settings)


def open_probe(settings: Settings) -> EmbeddedProbe | KafkaProbe:
    """The probe of the configured broker. Raises stream.errors.TopicsUnusable where no Kafka answers at start."""
    if settings.is_embedded:
        return EmbeddedProbe(settings)
    asyncio.run(reach(settings, lambda: try_servers(settings)))
    return KafkaProbe(settings)
