"""Rows at their edges: a size that is not what the header says, positions of both formats, ids that begin alike."""

import pytest

from schemas.rows.day_blocks import day_block_key, day_blocks_prefix
from schemas.rows.kinds import MalformedRow, check_row
from schemas.rows.positions import POSITIONS_KEY, applied_key, decode_positions, encode_positions
from schemas.topics import HOURS, POLLS, ZONES
from schemas.values import StoreId
from tests.core.test_stored_bytes import SUMMARY_V1, SUMMARY_V2

S1 = StoreId("s1")


@pytest.mark.parametrize("stored", [SUMMARY_V1, SUMMARY_V2])
@pytest.mark.parametrize("bytes_more", [-8, -1, 1, 8])
def test_a_summary_of_another_size_than_its_header_says_is_malformed(stored: bytes, bytes_more: int) -> None:
    check_row(b"Ss1", stored)
    other = stored[:bytes_more] if bytes_more < 0 else stored + bytes(bytes_more)
    with pytest.raises(MalformedRow, match=f"a summary of {len(other)} bytes"):
        check_row(b"Ss1", other)


def test_the_key_of_a_day_block_is_these_bytes_and_ascends_by_day() -> None:
    assert day_block_key(S1, 0x01020304) == b"Ps1\0\1\2\3\4"
    assert sorted([day_block_key(S1, 256), day_block_key(S1, 255)])[0] == day_block_key(S1, 255)


def test_what_day_blocks_of_a_store_begin_with_no_key_of_another_does() -> None:
    assert not day_block_key(StoreId("s10"), 1).startswith(day_blocks_prefix(S1))
    assert day_block_key(S1, 1).startswith(day_blocks_prefix(S1))


def test_where_rows_of_positions_of_both_formats_stand_the_one_row_counts() -> None:
    """As in the moment between a migration's rows."""
    rows = {applied_key(POLLS): b"3", applied_key(ZONES): b"4", POSITIONS_KEY: b'{"store-polls":17}'}
    assert decode_positions(rows.get) == {POLLS: 17}


def test_a_topic_of_which_nothing_was_applied_has_no_position() -> None:
    assert encode_positions({POLLS: 17, HOURS: 0}) == b'{"store-polls":17}'
