"""What a table says of its format: readers of both formats, and how one of format 1 refuses a newer table."""

from contextlib import suppress

import pytest

from schemas.compatibility import NewerState, UnknownRow
from schemas.rows.day_blocks import day_block_key, day_blocks_prefix
from schemas.rows.facts import TOPICS_KEY, decode_topics, encode_topics
from schemas.rows.kinds import KINDS, MalformedRow, RowKind, check_row
from schemas.rows.losses import loss_key
from schemas.rows.positions import POSITIONS_KEY, applied_key, decode_positions, encode_positions, ends_flush
from schemas.rows.stamps import stamps_key
from schemas.rows.summaries import FIRST_SUMMARY, summary_key
from schemas.rows.table_format import FORMAT_KEY, decode_format, encode_format
from schemas.topics import HOURS, POLLS, ZONES
from schemas.values import StoreId
from tests.core import dd7560e

S1 = StoreId("s1")
EMPTY_V1 = bytes.fromhex("0100000000000000ffffffffffffffffffffffffffffffff0000000000000000")
"""A summary of version 1 of which nothing is said."""
FORMAT_2, FORMAT_3 = b"\2" + EMPTY_V1[1:], b"\3" + EMPTY_V1[1:]
"""What stands under FORMAT_KEY in tables of these formats."""
STAMPS_V1 = b"\1" + bytes(80)


# Refused by those who do not know it


def test_the_row_of_the_format_is_these_bytes() -> None:
    assert (FORMAT_KEY, encode_format()) == (b"S\0", FORMAT_3)


@pytest.mark.parametrize("value", [FORMAT_2, FORMAT_3])
def test_who_knows_summaries_of_version_1_alone_finds_a_newer_one_and_refuses_in_words(value: bytes) -> None:
    with pytest.raises(dd7560e.Newer):
        dd7560e.check_row(FORMAT_KEY, value)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_dd7560e_leaves_out_no_row_that_we_write(kind: RowKind) -> None:
    """It would under `skip`, without a word, if it took one for malformed: it must pass it on, or stop at it."""
    key = kind.key + b"s1\0\0\0\0\1" if kind.is_prefix else kind.key
    value = bytes((kind.version or 1,)) + bytes(15)
    if kind.name == "day block":
        value = b"\1" + bytes(10)
    with suppress(dd7560e.Newer):
        dd7560e.check_row(key, value)


def test_a_row_of_a_kind_that_is_still_to_come_stops_dd7560e_and_us() -> None:
    """Keys of new kinds begin with S NUL and a letter, their values with a version from 3 on."""
    with pytest.raises(dd7560e.Newer):
        dd7560e.check_row(b"S\0hs1", b"\3...")
    with pytest.raises(NewerState, match="is of an unknown kind"):
        check_row(b"S\0hs1", b"\3...")


@pytest.mark.parametrize("key", [b"Hs1", b"Zjunk", b"Msomething", b"S\0h", b"S\0hs1"])
@pytest.mark.parametrize("value", [b"1", b"", None])
def test_a_row_of_an_unknown_kind_is_newer_and_never_malformed(key: bytes, value: bytes | None) -> None:
    """Also where it is deleted: whoever leaves out the deletion may have left out the row."""
    with pytest.raises(UnknownRow) as refused:
        check_row(key, value)
    assert refused.value.key == key
    assert "upgrade" in str(refused.value)


def test_the_row_of_the_format_stands_before_all_summaries_and_is_no_summary_to_us() -> None:
    assert FORMAT_KEY < FIRST_SUMMARY <= summary_key(StoreId("\1"))
    check_row(FORMAT_KEY, FORMAT_3)


def test_a_table_without_the_row_is_of_format_1_and_a_newer_one_is_refused() -> None:
    assert decode_format(None) == 1
    assert decode_format(FORMAT_2) == 2
    assert decode_format(FORMAT_3) == 3
    with pytest.raises(
        NewerState, match="stored table has format 4, this storepulse reads up to 3"
    ) as refused:
        decode_format(b"\4" + FORMAT_2[1:])
    assert (refused.value.found, refused.value.known) == (4, 3)


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
    assert ends == {POSITIONS_KEY, applied_key(POLLS)}


# Rows of the changelog

EVERY_KIND = {
    summary_key(S1): EMPTY_V1,
    day_block_key(S1, 19_796): b"\1" + bytes(10),
    FORMAT_KEY: FORMAT_3,
    stamps_key(S1): STAMPS_V1,
    loss_key(POLLS): b'[[0,4,0,"why"]]',
    POSITIONS_KEY: b"{}",
    TOPICS_KEY: b"{}",
    applied_key(POLLS): b"17",
    b"Mzone-database": b"2026f",
}


@pytest.mark.parametrize("key", EVERY_KIND)
def test_a_row_of_ours_passes_and_so_does_its_deletion(key: bytes) -> None:
    check_row(key, EVERY_KIND[key])
    check_row(key, None)


def summary_with(hours: bytes) -> bytes:
    """An empty summary, but for the bytes of its opening hours."""
    body = b"\2" + EMPTY_V1[1:28] + len(hours).to_bytes(4, "little") + hours
    return body + bytes(-len(body) % 8)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        (None, b"x", "no such key"),
        (b"", b"x", "no such key"),
        (b"x", b"x", "no such key"),
        (b"__whole__", b"1", "no such key"),
        (b"Ss1", b"", "empty value"),
        (b"S\0", b"", "empty value"),
        (b"Ss1", EMPTY_V1[:-1], "a summary of 31 bytes"),
        (b"Ss1", b"\1", "a summary of 1 bytes"),
        (b"Ss1", b"\0" + EMPTY_V1[1:], "a summary of 32 bytes"),
        (b"Ss1", summary_with(b"\1\1"), "opening hours of 2 bytes"),
        (b"Ss1", summary_with(b"\1\1\0\0" + bytes(9)), "opening hours of 13 bytes, 0 of a zone"),
        (b"Ss1", summary_with(b"\1\0\4\0UTC"), "opening hours of 7 bytes, 4 of a zone"),
        (b"Ss1", summary_with(b"\2\0\0\0"), "opening hours of 4 bytes, 0 of a zone"),
        (b"Ss1", summary_with(b"\1\0\3\0UTC" + bytes(10)), "opening hours of 17 bytes, 3 of a zone"),
        (day_blocks_prefix(S1) + bytes(4), b"\1" + bytes(9), "a day block of 10 bytes"),
        (b"Mstamps\0s1", STAMPS_V1[:-1], "stamps of 80 bytes"),
    ],
)
def test_a_row_that_none_of_ours_can_be_is_malformed(key: bytes | None, value: bytes, fault: str) -> None:
    with pytest.raises(MalformedRow, match=fault):
        check_row(key, value)


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        (b"Ss1", b"\3" + EMPTY_V1[1:], "summary has format 3, this storepulse reads up to 2"),
        (b"Ss1", summary_with(b"\3\0\0\0"), "opening hours has format 3, this storepulse reads up to 2"),
        (day_blocks_prefix(S1) + bytes(4), b"\2", "day block has format 2, this storepulse reads up to 1"),
        (b"Mstamps\0s1", b"\2" + STAMPS_V1[1:], "stamps has format 2, this storepulse reads up to 1"),
        (b"Mstamps\0s1", b"\2", "stamps has format 2, this storepulse reads up to 1"),
        (FORMAT_KEY, b"\4", "table has format 4, this storepulse reads up to 3"),
    ],
)
def test_a_newer_row_is_refused_as_newer_whatever_its_size(key: bytes, value: bytes, what: str) -> None:
    with pytest.raises(NewerState, match=what):
        check_row(key, value)
