"""On Kafka an acceptance of losses reaches every partition, with its header."""

import json
from pathlib import Path

from schemas.events.polls import ACCEPT_LOSS_HEADER
from schemas.topics import POLLS
from tests.e2e.harness import storepulse
from tests.kafka.broker import Kafka
from tests.kafka.harness import records_of


def test_each_partition_gets_one_record_that_says_so(clean_kafka: Kafka, tmp_path: Path) -> None:
    ran = storepulse("accept-loss", "--json", "--broker", clean_kafka.url, state=tmp_path / "state")
    assert ran.returncode == 0, ran.stderr
    sent = records_of(clean_kafka.url, POLLS)
    assert sorted(record.partition for record in sent) == list(range(12))
    assert {(record.key, record.value, record.headers) for record in sent} == {
        (b"accept-loss", b"{}", ((ACCEPT_LOSS_HEADER, b""),))
    }
    told = json.loads(ran.stdout)
    assert told["tables"] == []
    assert told["sent"] == [{"topic": POLLS, "partition": number, "offset": 0} for number in range(12)]
