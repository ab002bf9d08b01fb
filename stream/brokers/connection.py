"""How Kafka is reached: bootstrap servers, TLS, SASL, in the words of each client.

Owns: turning settings into what aiokafka and Faust take, and why a broker does not take us. Must not know: what
is sent.
"""

import ssl
from typing import Any, Final

import faust
from aiokafka.conn import collect_hosts, create_conn  # type: ignore[import-untyped]  # it has no types
from aiokafka.errors import BrokerNotAvailableError, KafkaError  # type: ignore[import-untyped]
from aiokafka.helpers import create_ssl_context  # type: ignore[import-untyped]  # it has no types
from yarl import URL

from schemas.settings import Settings
from stream.brokers.faust_internals import network_client

_CONNECT_SECONDS: Final = 10.0
_NO_BROKER: Final = "Kafka answers, and names no broker that takes part yet"


def bootstrap_servers(settings: Settings) -> list[str]:
    """`host:port` of each broker in `kafka://host:port,host:port`; 9092 where no port is given."""
    hosts = settings.broker.removeprefix("kafka://").rstrip("/").split(",")
    return [
        host if host.rpartition("]")[2].count(":") else f"{host}:9092"
        for host in map(str.strip, hosts)
        if host
    ]


def faust_broker(settings: Settings) -> list[URL]:
    """The broker's URLs as Faust takes them: as URLs, because it splits strings at every comma."""
    if settings.is_embedded:
        return [URL(settings.broker)]
    return [URL(f"kafka://{server}") for server in bootstrap_servers(settings)]


def client_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments that every aiokafka client is made with. Raises OSError for unreadable files."""
    options: dict[str, Any] = {
        "bootstrap_servers": bootstrap_servers(settings),
        "security_protocol": settings.kafka_security_protocol,
    }
    if _uses_tls(settings):
        options["ssl_context"] = _ssl_context(settings)
    if settings.kafka_sasl_mechanism is not None:
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = _secret(settings)
    return options


async def try_servers(settings: Settings) -> None:
    """Connect to the first server that takes us, and let go again: aiokafka's clients only log why they could not.

    Raises what the last one tried raised: KafkaError, OSError (TLS and timeouts among them).
    """
    options = client_options(settings)
    timeout_ms = int(1000 * min(settings.kafka_patience_seconds, _CONNECT_SECONDS))
    failures: list[Exception] = []
    for host, port, _ in collect_hosts(options.pop("bootstrap_servers")):
        try:
            connection = await create_conn(host, port, request_timeout_ms=timeout_ms, **options)
        except (KafkaError, OSError) as error:
            failures.append(error)
        else:
            connection.close()
            return
    raise failures[-1]


async def start_client(client: Any) -> None:
    """Start a client of aiokafka.

    Raises KafkaError and OSError, among them BrokerNotAvailableError where Kafka answers and names no broker, as it
    does when one was frozen: aiokafka fails an assertion there, at once or at the first question.
    """
    try:
        await client.start()
    except AssertionError as error:
        if _names_a_broker(client):
            raise
        raise BrokerNotAvailableError(_NO_BROKER) from error
    if not _names_a_broker(client):
        raise BrokerNotAvailableError(_NO_BROKER)


def _names_a_broker(client: Any) -> bool:
    return bool(network_client(client).cluster.brokers())


def faust_credentials(settings: Settings) -> Any:
    """The same for a Faust app's `broker_credentials`; None for a plain connection."""
    context = _ssl_context(settings) if _uses_tls(settings) else None
    if settings.kafka_sasl_mechanism is not None:
        return faust.SASLCredentials(
            username=settings.kafka_sasl_username,
            password=_secret(settings),
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context=context)


def _uses_tls(settings: Settings) -> bool:
    return settings.kafka_security_protocol.endswith("SSL")


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    context: ssl.SSLContext = create_ssl_context(
        cafile=_text(settings.kafka_ssl_cafile),
        certfile=_text(settings.kafka_ssl_certfile),
        keyfile=_text(settings.kafka_ssl_keyfile),
    )
    return context


def _text(path: object) -> str | None:
    return None if path is None else str(path)


def _secret(settings: Settings) -> str:
    password = settings.kafka_sasl_password
    return "" if password is None else password.get_secret_value()
