"""Faust's transport over an embedded log: broker URL `embedded:///path/to/log.db`.

Owns: what consumer and producer of one app share. The same app (agents, tables, changelogs, recovery) runs on
it as on Kafka; conductor, acknowledgements and commits are Faust's own. One worker reads a log; the worker
command sees to that with a lock. Must not know: topics by name, or what records mean.
"""

import sqlite3
from pathlib import Path
from typing import Any, ClassVar, cast

from faust.exceptions import ImproperlyConfigured
from faust.transport import base
from faust.types.enums import ProcessingGuarantee
from faust.types.transports import ConsumerCallback, ConsumerT, ProducerT
from yarl import URL

from stream.brokers.drain import Delivery
from stream.brokers.embedded.consumer import Consumer
from stream.brokers.embedded.producer import Producer
from stream.brokers.embedded.topics import Topics


class Transport(base.Transport):
    """What Faust finds under the entry point `faust.transports: embedded`."""

    Consumer: ClassVar[type[ConsumerT]] = Consumer
    Producer: ClassVar[type[ProducerT]] = Producer
    driver_version = f"sqlite={sqlite3.sqlite_version}"

    def __init__(self, *args: Any, delivery: Delivery = Delivery(), **kwargs: Any) -> None:  # noqa: B008  # frozen
        super().__init__(*args, **kwargs)
        self.delivery = delivery
        self.path = log_path(self.url[0])
        self.topics = Topics(self.app)
        self._consumer: Consumer | None = None

    def create_consumer(self, callback: ConsumerCallback, **kwargs: Any) -> ConsumerT:
        """The consumer of the app. Raises `ImproperlyConfigured` for modes that need a Kafka."""
        guarantee = cast(Any, self.app.conf).processing_guarantee  # Faust types the setting as its class
        exactly_once = guarantee is ProcessingGuarantee.EXACTLY_ONCE
        if exactly_once or self.app.client_only:
            raise ImproperlyConfigured(
                "The embedded broker knows neither exactly_once nor client_only: "
                "leave processing_guarantee at at_least_once, or use a Kafka broker."
            )
        self._consumer = Consumer(self, callback=callback, loop=self.loop, **kwargs)
        return self._consumer

    def wake_consumer(self) -> None:
        """Tell the consumer of this process that the log has grown."""
        if self._consumer is not None:
            self._consumer.wake()


def log_path(url: URL) -> Path:
    """The file that `embedded:///path/to/log.db` names. Raises `ImproperlyConfigured` without a full path."""
    if url.host or not url.path.strip("/"):
        raise ImproperlyConfigured(
            f"The broker {url} names no file: write embedded:// and then a full path, as in "
            "embedded:///var/lib/storepulse/log.db"
        )
    return Path(url.path)
