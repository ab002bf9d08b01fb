"""While tables are rebuilt from the embedded log, no report is made of what is there of them already."""

from pathlib import Path

import pytest

from tests.e2e.harness import wait_until_applied, wipe_tables
from tests.e2e.restoring import STORES, AskedApi, ask_during, send_stores, verify
from tests.kafka.harness import fleet

pytestmark = pytest.mark.long


def test_no_report_is_complete_before_a_worker_has_rebuilt_its_tables(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with fleet(f"embedded://{state / 'log.db'}", tmp_path) as ours:
        sent = send_stores(state, ours.url)
        worker = ours.worker("state")
        wait_until_applied(state, sent, seconds=120)
        api = ours.api("state")
        api.wait_until_current()
        expected = api.report()
        assert expected.count("\n") == STORES + 1
        api.process.stop()
        assert worker.stop() == 0
        wipe_tables(state)
        asked_api = AskedApi(ours, "state")
        # A restore may take longer than a worker goes without a broker: it was let in before.
        asked = ask_during(ours.worker("state", outage_seconds=5), asked_api, expected)
    verify(asked)
