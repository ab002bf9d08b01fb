"""Cells: half-even from exact microseconds, printed as the old reports were."""

import numpy as np
import pytest

from schemas.values import HOUR_US, MINUTE_US
from stream.core.cells import CELLS, hundredths


@pytest.mark.parametrize(
    ("span_us", "unit_us", "text"),
    [
        (45 * MINUTE_US, MINUTE_US, "45.0"),
        (18 * HOUR_US + 30 * MINUTE_US, HOUR_US, "18.5"),
        (142 * HOUR_US + 20 * MINUTE_US, HOUR_US, "142.33"),
        (0, MINUTE_US, "0.0"),
        (168 * HOUR_US, HOUR_US, "168.0"),
        (300_000, MINUTE_US, "0.0"),  # 0.005 min: to the even neighbour, 0.00
        (900_000, MINUTE_US, "0.02"),  # 0.015 min: to 0.02
        (300_001, MINUTE_US, "0.01"),
        (18_000_000, HOUR_US, "0.0"),  # 0.005 h
        (54_000_000, HOUR_US, "0.02"),  # 0.015 h
        (53_999_999, HOUR_US, "0.01"),
    ],
)
def test_a_cell_is_rounded_half_even_and_drops_a_second_zero(span_us: int, unit_us: int, text: str) -> None:
    assert CELLS[int(hundredths(np.array([span_us]), unit_us)[0])] == text
