"""Facts about the broker that the other tests here run against."""

import shutil
import signal
import ssl
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from schemas.topics import POLLS
from scripts.dev.kafka.broker import KafkaBroker
from scripts.dev.kafka.configuration import Security
from scripts.dev.kafka.errors import AlreadyRunning, BrokerEnded, NotReady, PortTaken, ToolMissing, ToolTooOld
from scripts.dev.kafka.tools import JAVA, MAVEN, Tool
from tests.kafka.broker import Kafka, commit, committed, create_topic, our_topics, read, wipe, write
from tests.kafka.conftest import NewKafka

HOLDING = """
import sys
from pathlib import Path
from scripts.dev.kafka.broker import KafkaBroker
broker = KafkaBroker(Path(sys.argv[1]))
broker.start()
print(broker.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.long
def test_what_is_written_is_read_back_after_a_stop(own_kafka: KafkaBroker) -> None:
    create_topic(own_kafka.bootstrap, "t")
    write(own_kafka.bootstrap, "t", b"one", b"two")
    before = own_kafka.bootstrap

    own_kafka.stop()
    assert own_kafka.pid is None
    own_kafka.start()

    assert own_kafka.bootstrap == before
    assert read(own_kafka.bootstrap, "t") == [b"one", b"two"]


@pytest.mark.long
def test_what_is_written_is_read_back_after_kill_9(own_kafka: KafkaBroker) -> None:
    create_topic(own_kafka.bootstrap, "t")
    write(own_kafka.bootstrap, "t", b"one", b"two")

    own_kafka.kill()
    assert own_kafka.pid is None
    own_kafka.start()
    write(own_kafka.bootstrap, "t", b"three")

    assert read(own_kafka.bootstrap, "t") == [b"one", b"two", b"three"]


@pytest.mark.long
def test_a_second_broker_on_the_same_folder_is_refused(own_kafka: KafkaBroker) -> None:
    second = KafkaBroker(own_kafka.folder)
    with pytest.raises(AlreadyRunning, match="stop it, or choose another folder") as caught:
        second.start()
    assert caught.value.pid == own_kafka.pid


@pytest.mark.long
def test_a_broker_can_be_stopped_by_its_folder_alone(own_kafka: KafkaBroker) -> None:
    KafkaBroker(own_kafka.folder).stop()

    assert own_kafka.pid is None
    own_kafka.start()
    assert own_kafka.pid is not None, "and who started it can start it again"


@pytest.mark.long
def test_a_broker_ends_with_who_started_it(tmp_path: Path, new_kafka: NewKafka) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        broker = KafkaBroker(tmp_path)
        pid = int(starter.stdout.readline())
        assert broker.pid == pid
        starter.send_signal(signal.SIGKILL)

    broker.wait_until_gone()
    assert broker.pid is None


@pytest.mark.long
def test_a_port_that_is_taken_is_named(tmp_path: Path, own_kafka: KafkaBroker) -> None:
    taken = own_kafka.ports.client
    with pytest.raises(PortTaken, match=f"port {taken} is taken: .* choose another port"):
        KafkaBroker(tmp_path / "second", ports=own_kafka.ports).start()


@pytest.mark.long
def test_a_broker_that_cannot_start_says_why(own_kafka: KafkaBroker) -> None:
    own_kafka.stop()
    (own_kafka.folder / "data" / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=2\n")
    with pytest.raises(BrokerEnded, match=r"exit code 1\. The end of its log:\n[\s\S]* node id 2 ") as caught:
        own_kafka.start()
    assert (caught.value.code, own_kafka.pid) == (1, None)


@pytest.mark.long
def test_a_broker_that_is_late_is_ended_with_the_tail_of_its_log(tmp_path: Path, new_kafka: NewKafka) -> None:
    broker = KafkaBroker(tmp_path / "late")
    with pytest.raises(NotReady, match=r"did not answer at 127.0.0.1:\d+ within 0 s"):
        broker.start(seconds=0)
    assert broker.pid is None


@pytest.mark.long
@pytest.mark.parametrize(
    ("security", "mechanism"),
    [
        ("sasl_plain", "PLAIN"),
        ("sasl_scram", "SCRAM-SHA-256"),
        ("sasl_scram", "SCRAM-SHA-512"),
        ("sasl_ssl", "SCRAM-SHA-512"),
        ("ssl", None),
    ],
)
def test_a_secured_broker_serves_who_may_connect_and_nobody_else(
    new_kafka: NewKafka, security: Security, mechanism: str | None
) -> None:
    broker = new_kafka(security=security)
    allowed = connection(broker, mechanism)

    create_topic(broker.bootstrap, "t", **allowed)
    write(broker.bootstrap, "t", b"one", **allowed)

    assert read(broker.bootstrap, "t", **allowed) == [b"one"]
    assert read(broker.internal, "t") == [b"one"], "the plain way in, to look at it from a test"
    with pytest.raises(KafkaError):
        read(broker.bootstrap, "t", **wrong(allowed))
    assert stat.S_IMODE((broker.folder / "server.properties").stat().st_mode) == 0o600, "it has a password"


@pytest.mark.long
def test_a_broker_may_ask_for_certificates(new_kafka: NewKafka) -> None:
    broker = new_kafka(security="ssl", properties={"listener.name.client.ssl.client.auth": "required"})
    allowed = connection(broker, None)
    with pytest.raises(KafkaError):
        create_topic(broker.bootstrap, "t", **allowed)

    allowed["ssl_context"].load_cert_chain(broker.certificates.client_cert, broker.certificates.client_key)
    create_topic(broker.bootstrap, "t", **allowed)


def test_a_wiped_broker_has_no_topic_or_offset_of_ours_and_the_names_are_free(clean_kafka: Kafka) -> None:
    create_topic(clean_kafka.bootstrap, POLLS, partitions=3)
    commit(clean_kafka.bootstrap, POLLS, 7)
    assert our_topics(clean_kafka.bootstrap) == [POLLS]
    assert committed(clean_kafka.bootstrap, POLLS) == 7

    wipe(clean_kafka.bootstrap)

    assert our_topics(clean_kafka.bootstrap) == []
    assert committed(clean_kafka.bootstrap, POLLS) is None
    create_topic(clean_kafka.bootstrap, POLLS)


@pytest.mark.parametrize(("tool", "needed"), [(JAVA, "Java 17"), (MAVEN, "Maven 3")])
def test_a_missing_tool_is_a_clear_error(
    tool: Tool, needed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ToolMissing, match=f"{tool.name} not found: install {needed}"):
        tool.find()


@pytest.mark.parametrize(
    ("tool", "prints", "found"),
    [
        (JAVA, 'openjdk version "11.0.21" 2023-10-17', "11.0.21"),
        (JAVA, 'java version "1.8.0_392"', "1.8.0"),
        (MAVEN, "Apache Maven 3.0.5 (r01de14724c)", "3.0.5"),
    ],
)
def test_a_tool_that_is_too_old_is_a_clear_error(
    tool: Tool, prints: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(tmp_path / tool.name, prints)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ToolTooOld, match=f"{tool.name} is version {found}: install"):
        tool.find()


@pytest.mark.parametrize("prints", ['openjdk version "17" 2021-09-14', 'openjdk version "21.0.2" 2024-01-16'])
def test_java_17_and_later_will_do(prints: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    say(tmp_path / "java", prints)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert JAVA.find() == str(tmp_path / "java")


def test_the_command_says_in_one_line_what_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.dev.kafka", "start", "--folder", str(tmp_path)],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "kafka: java not found: install Java 17 or later, and have it in PATH\n"


def say(path: Path, text: str) -> None:
    """A command that prints `text` where java does, and does nothing else."""
    path.write_text(f"#!{shutil.which('sh')}\necho '{text}' >&2\n")
    path.chmod(0o755)


def connection(broker: KafkaBroker, mechanism: str | None) -> dict[str, Any]:
    protocol = {"ssl": "SSL", "sasl_ssl": "SASL_SSL"}.get(broker.security, "SASL_PLAINTEXT")
    options: dict[str, Any] = {"security_protocol": protocol}
    if mechanism:
        options |= {
            "sasl_mechanism": mechanism,
            "sasl_plain_username": broker.user.name,
            "sasl_plain_password": broker.user.password,
        }
    if protocol.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(cafile=broker.certificates.ca)
    return options


def wrong(allowed: dict[str, Any]) -> dict[str, Any]:
    """With another password, or without TLS."""
    if "sasl_mechanism" in allowed:
        return {**allowed, "sasl_plain_password": "another"}
    return {"security_protocol": "PLAINTEXT"}
