"""Brokers that ask who we are: SASL and TLS, by the settings alone."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts.dev.kafka.broker import KafkaBroker
from scripts.dev.kafka.configuration import PROTOCOLS, Security
from tests.e2e.harness import free_port
from tests.kafka.conftest import NewKafka
from tests.kafka.harness import Sample, fleet, sample_in


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return sample_in(tmp_path_factory.getbasetemp())


def settings_for(broker: KafkaBroker, mechanism: str | None) -> Mapping[str, object]:
    """How storepulse is told to connect to a broker."""
    settings: dict[str, object] = {"kafka_security_protocol": PROTOCOLS[broker.security]}
    if mechanism is not None:
        settings |= {
            "kafka_sasl_mechanism": mechanism,
            "kafka_sasl_username": broker.user.name,
            "kafka_sasl_password": broker.user.password,
        }
    if broker.security.endswith("ssl"):
        settings |= {
            "kafka_ssl_cafile": broker.certificates.ca,
            "kafka_ssl_certfile": broker.certificates.client_cert,
            "kafka_ssl_keyfile": broker.certificates.client_key,
        }
    return settings


@pytest.mark.parametrize(
    ("security", "mechanism"),
    [
        pytest.param("sasl_plain", "PLAIN", marks=pytest.mark.long),
        pytest.param("sasl_scram", "SCRAM-SHA-256", marks=pytest.mark.long),
        pytest.param("sasl_scram", "SCRAM-SHA-512", marks=pytest.mark.long),
        ("sasl_ssl", "SCRAM-SHA-512"),
        pytest.param("ssl", None, marks=pytest.mark.long),
    ],
)
def test_replay_worker_replica_and_api_connect_by_the_settings(
    security: Security, mechanism: str | None, sample: Sample, new_kafka: NewKafka, tmp_path: Path
) -> None:
    required = {"listener.name.client.ssl.client.auth": "required"} if security == "ssl" else {}
    broker = new_kafka(security=security, properties=required)
    url = f"kafka://{broker.bootstrap}"
    with fleet(url, tmp_path / "fleet", **settings_for(broker, mechanism)) as ours:
        ours.worker()
        ours.replay(sample.folder)
        ours.run("replica", state="host")
        api = ours.api("host")
        api.wait_until_current()
        assert api.report() == sample.report
        assert broker.user.password not in ours.outputs()


@pytest.mark.parametrize("security", [pytest.param("sasl_plain", marks=pytest.mark.long), "sasl_scram"])
def test_a_wrong_password_is_said_at_once(
    security: Security, sample: Sample, new_kafka: NewKafka, tmp_path: Path
) -> None:
    broker = new_kafka(security=security)
    mechanism = "PLAIN" if security == "sasl_plain" else "SCRAM-SHA-256"
    settings = {**settings_for(broker, mechanism), "kafka_sasl_password": "not-the-one"}
    with fleet(f"kafka://{broker.bootstrap}", tmp_path / "fleet", **settings) as ours:
        processes = [
            ours.run("worker", state="worker"),
            ours.run("replay", sample.folder, state="replay"),
            ours.run("api", "--port", free_port(), state="api"),
        ]
        assert [process.wait() for process in processes] == [4, 4, 4]
        for process in processes:
            assert broker.bootstrap in process.text
            assert "uthentication" in process.text
            assert "Traceback" not in process.text
            assert "not-the-one" not in process.text


def test_a_certificate_of_an_unknown_ca_is_said_at_once(
    sample: Sample, new_kafka: NewKafka, tmp_path: Path
) -> None:
    broker = new_kafka(security="ssl")
    settings = {"kafka_security_protocol": "SSL"}
    with fleet(f"kafka://{broker.bootstrap}", tmp_path / "fleet", **settings) as ours:
        process = ours.worker()
        assert process.wait() == 4
    assert broker.bootstrap in process.text
    assert "certificate" in process.text
    assert "Traceback" not in process.text
