"""What the broker is told: its listeners, its settings, and where it logs.

Owns: the text of server.properties and log4j2.properties. Must not know: processes.

Three listeners on the loopback: CLIENT, the one that clients are given and `security` is about; INTERNAL, always
plain, for the broker itself and for asking whether it serves; CONTROLLER. Doors are further plain ones, each of
which tells its clients another address than its own: that of a proxy in front of it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from scripts.dev.kafka.tls import Certificates

HOST: Final = "127.0.0.1"

Security = Literal["plaintext", "sasl_plain", "sasl_scram", "ssl", "sasl_ssl"]
"""`sasl_scram`: SCRAM-SHA-256 and -512 in the clear; `sasl_ssl`: the same and PLAIN, over TLS."""
SCRAM: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512")
MECHANISMS: Final[Mapping[Security, tuple[str, ...]]] = {
    "sasl_plain": ("PLAIN",),
    "sasl_scram": SCRAM,
    "sasl_ssl": ("PLAIN", *SCRAM),
}
PROTOCOLS: Final[Mapping[Security, str]] = {
    "plaintext": "PLAINTEXT",
    "sasl_plain": "SASL_PLAINTEXT",
    "sasl_scram": "SASL_PLAINTEXT",
    "ssl": "SSL",
    "sasl_ssl": "SASL_SSL",
}

_SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "INTERNAL",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    # After kill -9 a broker may come back once its last session has timed out; the default is 9 s.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    # One broker is all replicas there can be, and one partition of its own topics does.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # The default, 128 MB, is a quarter of the heap.
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
}
QUICK: Final = {
    "log.cleaner.backoff.ms": "500",
    "log.cleaner.min.cleanable.ratio": "0.01",
    "log.roll.ms": "2000",
    "log.segment.delete.delay.ms": "1000",
    "group.min.session.timeout.ms": "1000",
}
"""For tests: compaction, deletion and the loss of a consumer within seconds."""

_LOGGING: Final = """\
status = off
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log}
appender.file.filePattern = {log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %c{{1}}: %m%n
appender.file.policies.type = SizeBasedTriggeringPolicy
appender.file.policies.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 1
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = file
logger.settings.name = org.apache.kafka.common.config.AbstractConfig
logger.settings.level = WARN
"""


class Ports(NamedTuple):
    """Where each listener is."""

    client: int
    internal: int
    controller: int


class Door(NamedTuple):
    """One more listener: where it is, and the port that its clients are told to connect to from then on."""

    port: int
    advertised: int


class User(NamedTuple):
    """Who may connect where `security` asks for SASL."""

    name: str
    password: str


def server_properties(
    *,
    data: Path,
    ports: Ports,
    security: Security,
    user: User,
    certificates: Certificates,
    doors: Sequence[Door],
    more: Mapping[str, str],
) -> str:
    """server.properties; `more` comes last and may overrule any."""
    protocols = {"CLIENT": PROTOCOLS[security], "INTERNAL": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
    protocols |= {_name(number): "PLAINTEXT" for number in range(len(doors))}
    advertised = [*_own(ports), *((_name(number), door.advertised) for number, door in enumerate(doors))]
    listeners = [
        *_own(ports),
        ("CONTROLLER", ports.controller),
        *((_name(number), door.port) for number, door in enumerate(doors)),
    ]
    settings = {
        **_SETTINGS,
        "log.dirs": str(data),
        "controller.quorum.bootstrap.servers": f"{HOST}:{ports.controller}",
        "listeners": _addresses(listeners),
        "advertised.listeners": _addresses(advertised),
        "listener.security.protocol.map": ",".join(f"{name}:{each}" for name, each in protocols.items()),
        **_sasl(security, user),
        **_ssl(security, certificates),
        **more,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def logging_properties(log: Path) -> str:
    """log4j2.properties: all to the file `log`, 20 MB at most."""
    return _LOGGING.format(log=log)


def scram_credentials(security: Security, user: User) -> list[str]:
    """What `format --add-scram` takes, one for each mechanism."""
    return [
        f"{mechanism}=[name={user.name},password={user.password}]"
        for mechanism in MECHANISMS.get(security, ())
        if mechanism in SCRAM
    ]


def _addresses(listeners: Sequence[tuple[str, int]]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in listeners)


def _name(door: int) -> str:
    return f"DOOR{door}"


def _own(ports: Ports) -> tuple[tuple[str, int], tuple[str, int]]:
    return ("CLIENT", ports.client), ("INTERNAL", ports.internal)


def _sasl(security: Security, user: User) -> dict[str, str]:
    mechanisms = MECHANISMS.get(security, ())
    modules = {
        "PLAIN": f'plain.PlainLoginModule required user_{user.name}="{user.password}"',
        **dict.fromkeys(SCRAM, "scram.ScramLoginModule required"),
    }
    prefix = "listener.name.client"
    return {
        **({f"{prefix}.sasl.enabled.mechanisms": ",".join(mechanisms)} if mechanisms else {}),
        **{
            f"{prefix}.{each.lower()}.sasl.jaas.config": f"org.apache.kafka.common.security.{modules[each]};"
            for each in mechanisms
        },
    }


def _ssl(security: Security, certificates: Certificates) -> dict[str, str]:
    """A client may show a certificate, which must then be ours; `ssl.client.auth=required` makes it one must."""
    if not PROTOCOLS[security].endswith("SSL"):
        return {}
    prefix = "listener.name.client.ssl"
    return {
        f"{prefix}.keystore.type": "PEM",
        f"{prefix}.keystore.location": str(certificates.broker_store),
        f"{prefix}.truststore.type": "PEM",
        f"{prefix}.truststore.location": str(certificates.ca),
        f"{prefix}.client.auth": "requested",
    }
