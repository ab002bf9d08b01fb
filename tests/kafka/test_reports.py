"""The report is the same to the byte on Kafka (rules 6), and a worker that lost its folder gets it back."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import SHARED, needs_full, storepulse
from tests.kafka.broker import Kafka
from tests.kafka.harness import fleet


@pytest.mark.long
@needs_full
def test_the_report_on_the_full_data_is_the_embedded_one_and_the_oracles(
    clean_kafka: Kafka, tmp_path: Path
) -> None:
    data, expected, embedded = SHARED / "full", tmp_path / "oracle.csv", tmp_path / "embedded.csv"
    oracle = [sys.executable, "-m", "tests.oracle", str(data), str(expected)]
    with subprocess.Popen(oracle) as slow, fleet(clean_kafka.url, tmp_path / "fleet") as ours:
        ours.worker("a")
        ours.worker("b")
        ours.replay(data)
        report = ours.report()
        assert storepulse("report", "--data", data, "--out", embedded).returncode == 0
        assert slow.wait(120) == 0
    assert report == embedded.read_text() == expected.read_text()
