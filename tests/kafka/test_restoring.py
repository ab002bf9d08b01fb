"""While tables are rebuilt from Kafka, no report is made of what is there of them already."""

from pathlib import Path

import pytest

from tests.e2e.harness import wait_until_applied, wipe_tables
from tests.e2e.restoring import STORES, AskedApi, ask_during, send_stores, verify
from tests.kafka.broker import Kafka
from tests.kafka.harness import fleet

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def test_no_report_is_complete_before_a_worker_or_a_replica_has_rebuilt_its_tables(
    clean_kafka: Kafka, tmp_path: Path
) -> None:
    """First a worker whose folder was wiped, beside it then a new replica."""
    with fleet(clean_kafka.url, tmp_path, session_seconds=20) as ours:
        sent = send_stores(tmp_path / "sender", ours.url)
        worker = ours.worker("owner")
        wait_until_applied(worker.state, sent, seconds=120)
        api = ours.api("owner")
        api.wait_until_current()
        expected = api.report()
        assert expected.count("\n") == STORES + 1
        api.process.stop()
        assert worker.stop() == 0
        wipe_tables(worker.state)
        beside_worker, beside_replica = AskedApi(ours, "owner"), AskedApi(ours, "host")
        by_worker = ask_during(ours.worker("owner"), beside_worker, expected)
        by_replica = ask_during(ours.run("replica", state="host"), beside_replica, expected)
    verify(by_worker)
    verify(by_replica)
