"""The oracle against a report that an independent program made of real polls."""

import gzip
from pathlib import Path

import pytest

from tests.oracle import report_of_folder

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "sample"


@pytest.mark.skipif(not SAMPLE.exists(), reason="needs ../shared/data/sample")
def test_the_oracle_reproduces_the_expected_report_of_the_sample() -> None:
    expected = gzip.decompress((SAMPLE / "expected_report.csv.gz").read_bytes())
    assert report_of_folder(SAMPLE).encode() == expected
