"""What a table says of its format: readers of both formats, and how one of format 1 refuses a newer table."""

import pytest

from schemas.state import (
    FORMAT_KEY,
    HEAD_FIRST,
    META_POSITIONS,
    META_TOPICS,
    MalformedRow,
    NewerState,
    applied_key,
    check_row,
    decode_head,
    decode_heads,
    decode_positions,
    decode_topics,
    encode_format,
    encode_positions,
    encode_topics,
    ends_flush,
    format_of,
    head_key,
    page_key,
    pages_prefix,
    stamps_key,
)
from schemas.topics import HOURS, POLLS, ZONES
from schemas.values import StoreId
from schemas.whole import loss_key

S1 = StoreId("s1")
FORMAT_2 = bytes.fromhex("0200000000000000ffffffffffffffffffffffffffffffff0000000000000000")
"""What stands under FORMAT_KEY in a table of format 2."""
EMPTY_V1 = b"\1" + FORMAT_2[1:]
"""A head of version 1 of which nothing is said."""
STAMPS_V1 = b"\1" + bytes(80)


# Refused by those who do not know it


def test_the_row_of_the_format_is_these_bytes() -> None:
    assert (FORMAT_KEY, encode_format()) == (b"S\0", FORMAT_2)


def test_who_knows_heads_of_version_1_alone_finds_one_of_version_2_and_refuses_in_words() -> None:
    """The key is a head's by its first byte, and the value an empty head's but for its version.

    These are the very readers that version 1 had, and still the ones for heads: of the report's scan, of one store,
    and of the changelog (which looked at the first byte of key and value).
    """
    refusal = "stored head has format 2, this storepulse reads up to 1"
    assert FORMAT_KEY.startswith(b"S")
    with pytest.raises(NewerState, match=refusal):
        decode_heads([EMPTY_V1, FORMAT_2, EMPTY_V1])
    with pytest.raises(NewerState, match=refusal):
        decode_head(FORMAT_2)
    with pytest.raises(NewerState, match=refusal):
        check_row(b"Ss1", FORMAT_2)


def test_the_row_of_the_format_stands_before_all_heads_and_is_no_head_to_us() -> None:
    assert FORMAT_KEY < HEAD_FIRST <= head_key(StoreId("\1"))
    check_row(FORMAT_KEY, FORMAT_2)


def test_a_table_without_the_row_is_of_format_1_and_a_newer_one_is_refused() -> None:
    assert format_of(None) == 1
    assert format_of(FORMAT_2) == 2
    with pytest.raises(
        NewerState, match="stored table has format 3, this storepulse reads up to 2"
    ) as refused:
        format_of(b"\3" + FORMAT_2[1:])
    assert (refused.value.found, refused.value.known) == (3, 2)


# Positions


def test_positions_of_format_1_are_a_row_each_topic() -> None:
    rows = {b"Mapplied\0store-polls": b"17", b"Mapplied\0store-zones": b"3"}
    assert decode_positions(rows.get) == {POLLS: 17, ZONES: 3}
    assert applied_key(POLLS) in rows


def test_positions_of_format_2_are_one_row_and_outweigh_the_old_ones() -> None:
    rows = {b"Mpositions": b'{"store-hours":5,"store-polls":17}', b"Mapplied\0store-zones": b"3"}
    assert decode_positions(rows.get) == {HOURS: 5, POLLS: 17}


def test_a_table_without_positions_has_none() -> None:
    nothing: dict[bytes, bytes] = {}
    assert decode_positions(nothing.get) == {}
    assert decode_topics(None) == {}


def test_positions_and_topics_are_written_in_the_order_of_their_names() -> None:
    """So equal tables have equal bytes."""
    assert encode_positions({POLLS: 17, HOURS: 5}) == b'{"store-hours":5,"store-polls":17}'
    assert encode_topics({POLLS: "b", HOURS: "a"}) == b'{"store-hours":"a","store-polls":"b"}'
    assert decode_topics(encode_topics({POLLS: "b"})) == {POLLS: "b"}


def test_a_flush_ends_with_the_row_of_positions_of_either_format() -> None:
    ends = {key for key in EVERY_KIND if ends_flush(key)}
    assert ends == {META_POSITIONS, applied_key(POLLS)}


# Rows of the changelog

EVERY_KIND = {
    head_key(S1): EMPTY_V1,
    page_key(S1, 19_796): b"\1" + bytes(10),
    FORMAT_KEY: FORMAT_2,
    stamps_key(S1): STAMPS_V1,
    loss_key(POLLS): b'[[0,4,0,"why"]]',
    META_POSITIONS: b"{}",
    META_TOPICS: b"{}",
    applied_key(POLLS): b"17",
    b"Mzone-database": b"2026f",
}


@pytest.mark.parametrize("key", EVERY_KIND)
def test_a_row_of_ours_passes_and_so_does_its_deletion(key: bytes) -> None:
    check_row(key, EVERY_KIND[key])
    check_row(key, None)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        (None, b"x", "no such key"),
        (b"", b"x", "no such key"),
        (b"x", b"x", "no such key"),
        (b"__whole__", b"1", "no such key"),
        (b"Ss1", b"", "empty value"),
        (b"S\0", b"", "empty value"),
        (b"Ss1", EMPTY_V1[:-1], "a head of 31 bytes"),
        (b"Ss1", b"\1", "a head of 1 bytes"),
        (pages_prefix(S1) + bytes(4), b"\1" + bytes(9), "a page of 10 bytes"),
        (b"Mstamps\0s1", STAMPS_V1[:-1], "stamps of 80 bytes"),
    ],
)
def test_a_row_that_none_of_ours_can_be_is_malformed(key: bytes | None, value: bytes, fault: str) -> None:
    with pytest.raises(MalformedRow, match=fault):
        check_row(key, value)


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        (b"Ss1", b"\2" + EMPTY_V1[1:], "head has format 2, this storepulse reads up to 1"),
        (pages_prefix(S1) + bytes(4), b"\2", "page has format 2, this storepulse reads up to 1"),
        (b"Mstamps\0s1", b"\2" + STAMPS_V1[1:], "stamps has format 2, this storepulse reads up to 1"),
        (b"Mstamps\0s1", b"\2", "stamps has format 2, this storepulse reads up to 1"),
        (FORMAT_KEY, b"\3", "table has format 3, this storepulse reads up to 2"),
    ],
)
def test_a_newer_row_is_refused_as_newer_whatever_its_size(key: bytes, value: bytes, what: str) -> None:
    with pytest.raises(NewerState, match=what):
        check_row(key, value)
