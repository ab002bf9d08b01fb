"""What is read from one record, however large or hostile: its good polls, and why the others are not."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events.dead_letters import cut_to_size, dead_letter_headers
from schemas.events.hours import decode_hours
from schemas.events.many_polls import RejectedPolls
from schemas.events.polls import decode_polls, encode_poll, encode_polls
from schemas.events.zones import decode_zone
from schemas.opening_hours import HoursRow, parse_day_time
from schemas.rows.opening_hours import decode_opening_hours, encode_opening_hours
from schemas.values import DAY_US, Rejected, RejectReason, StoreId, parse_known_store_id, parse_store_id
from stream.brokers.partitions import partition_of
from tests.builders import opening_hours, utc

RECORDED_MS = utc("2024-03-14 12:00") // 1000
NOON_US = utc("2024-03-14 12:00")
ELEVEN_US = utc("2024-03-14 11:00")
BAD_TIME, UNKNOWN_STATUS = RejectReason.BAD_TIME, RejectReason.UNKNOWN_STATUS

FIND_OUT = """
    import resource, sys, time
    from schemas.events.hours import decode_hours
    from schemas.events.polls import decode_polls
    value, decode = eval(f"({sys.argv[1]})"), sys.argv[2]
    def most_kb():
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")  # the most so far, which making the record may have taken, is forgotten
    before_kb = most_kb()
    try:
        polls = decode_polls(b"s1", value, 1 << 41) if decode == "polls" else decode_hours(b"s1", value)
        found = "read"
    except ValueError as rejected:
        found = rejected.reason.value
    print(len(value), most_kb() - before_kb, time.process_time(), found, sep="|")
"""


def many(timestamps_us: str, statuses: str) -> bytes:
    return f'{{"store_id": "s1", "timestamps_us": {timestamps_us}, "statuses": "{statuses}"}}'.encode()


def read(timestamps_us: str, statuses: str) -> tuple[list[int], dict[RejectReason, tuple[int, ...]]]:
    """The packed polls of a many-polls record, and the places of its bad polls."""
    polls = decode_polls(b"s1", many(timestamps_us, statuses), RECORDED_MS)
    assert polls.packed is not None
    for rejected in polls.rejects.values():
        assert rejected.count == len(rejected.indexes)
    return list(map(int, polls.packed)), {reason: each.indexes for reason, each in polls.rejects.items()}


def reason_of(read: Callable[[], object]) -> RejectReason:
    with pytest.raises(Rejected) as raised:
        read()
    return raised.value.reason


# Elements


@pytest.mark.parametrize(
    "element",
    [
        '"noon"',
        "1.5",
        "1674389379388884.0",
        "1e3",
        "1e999999",
        "-1e999999",
        "null",
        "true",
        "[]",
        "[1, 2]",
        "{}",
        '{"a": [1, "]"], "b": "}"}',
        '",1,"',
        r'"a\"],[\\"',
        '"\u00e9\U0001f600"',
        "1" * 4300,
        "1" * 50_000,
        "-" + "9" * 5000,
        "9223372036854775808",
        "1000000000000000000",
        f"{'[' * 500}1, 2{']' * 500}",
    ],
)
def test_an_element_that_is_no_instant_costs_only_itself(element: str) -> None:
    packed, rejects = read(f"[{ELEVEN_US}, {element}, {NOON_US}]", "AAI")
    assert packed == [ELEVEN_US * 2 + 1, NOON_US * 2]
    assert rejects == {BAD_TIME: (1,)}


def test_polls_are_turned_away_for_the_first_thing_that_is_wrong_with_each() -> None:
    late = NOON_US + 300_000_001
    packed, rejects = read(f"[{late}, -1, {late - 1}, 0, 7, 8, 9, 1.0, -2]", "xxAIx\u00e9 x")
    assert packed == [(late - 1) * 2 + 1, 0]
    assert rejects == {
        RejectReason.TOO_FAR_AHEAD: (0,),
        RejectReason.BEFORE_1970: (1, 8),
        UNKNOWN_STATUS: (4, 5, 6),
        BAD_TIME: (7,),
    }


def test_a_poll_without_a_letter_has_no_status_and_a_letter_without_a_poll_means_nothing() -> None:
    assert read("[1, 2, 3]", "A") == ([3], {UNKNOWN_STATUS: (1, 2)})
    assert read("[1]", "AIA") == ([3], {})
    assert read("[]", "A") == ([], {})
    assert read("[ ]", "") == ([], {})


@given(
    st.lists(
        st.one_of(
            st.integers(0, 9),
            st.integers(),
            st.none(),
            st.booleans(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text('a"\\[]{},: \u00e9', max_size=4),
            st.lists(st.integers(0, 9), max_size=3),
            st.dictionaries(st.text('a"[,', max_size=2), st.text("]}", max_size=2), max_size=2),
        ),
        max_size=12,
    ),
    st.sampled_from([(", ", ": "), (",", ":"), (" ,\n\t", " : ")]),
)
def test_of_any_array_those_elements_count_that_are_whole_numbers(
    elements: list[object], separators: tuple[str, str]
) -> None:
    """What Python's own reader makes of the array is the judge."""
    letters = "A" * len(elements)
    packed, rejects = read(json.dumps(elements, separators=separators), letters)
    sound = [at for at in elements if type(at) is int and 0 <= at <= NOON_US]
    assert packed == [at * 2 + 1 for at in sound]
    assert sum(map(len, rejects.values())) == len(elements) - len(sound)


def test_a_record_of_many_pieces_reads_as_one_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    elements = [str(ELEVEN_US + at) if at % 7 else '"a,b"' if at % 2 else "[1,[2]]" for at in range(200)]
    record, letters = f"[{', '.join(elements)}]", "AIx-" * 50
    whole = read(record, letters)
    for size in (1, 7, 100):
        monkeypatch.setattr("schemas.events.many_polls._PIECE_BYTES", size)
        packed, rejects = read(record, letters)
        assert (sorted(packed), rejects) == (sorted(whole[0]), whole[1])


def test_millions_of_repeats_are_one_poll() -> None:
    polls = decode_polls(b"s1", many(f"[{','.join(['5'] * 600_000)}]", "A" * 600_000), RECORDED_MS)
    assert polls.packed is not None
    assert set(map(int, polls.packed)) == {11}
    assert len(polls.packed) < 100


def test_a_usual_record_keeps_its_polls_in_their_order() -> None:
    at_us = [ELEVEN_US - DAY_US * (nth % 5) + nth for nth in range(50_000)]
    polls = decode_polls(b"s1", encode_polls(StoreId("s1"), at_us, "AI" * 25_000), RECORDED_MS)
    assert polls.packed is not None
    assert np.asarray(polls.packed).tolist() == [at * 2 + (nth % 2 == 0) for nth, at in enumerate(at_us)]
    assert not polls.rejects


# Whole records


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xef\xbb\xbf" + encode_poll(StoreId("s1"), "active", "2024-03-14"), RejectReason.NOT_JSON),
        (b'{"store_id": "s\xff"}', RejectReason.NOT_JSON),
        (b'{"store_id": "\\ud800"}', RejectReason.NOT_JSON),
        (b'{"store_id": NaN}', RejectReason.NO_STORE_ID),
        (b'{"store_id": "s1", "status": ' + b"1" * 5000 + b"}", RejectReason.NOT_JSON),
        (b'{"store_id": "s1", "timestamps_us": [NaN], "statuses": "A"}', RejectReason.NOT_JSON),
        (b'{"store_id": "s1", "timestamps_us": [1,], "statuses": "A"}', RejectReason.NOT_JSON),
        (b'{"store_id": "s1", "timestamps_us": "1", "statuses": "A"}', RejectReason.NOT_JSON),
        (b'{"store_id": "s1", "timestamps_us": {"1": 2}, "statuses": "A"}', RejectReason.NOT_JSON),
        (b'{"store_id": "s1", "timestamps_us": 1, "statuses": "A"}', RejectReason.NOT_JSON),
        (b'{"store_id": "s1", "timestamps_us": [1], "statuses": null}', RejectReason.NOT_JSON),
        (b'{"store_id": "s1", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", RejectReason.NOT_JSON),
        (b'{"store_id": "s1", "timestamps_us": ' + b"[" * 100_000, RejectReason.NOT_JSON),
        (b'{"store_id": "s1", "timestamps_us": [' + b'{"a":' * 100_000, RejectReason.NOT_JSON),
        (b"", RejectReason.NOT_JSON),
        (b"[]", RejectReason.NOT_JSON),
        (b"null", RejectReason.NOT_JSON),
    ],
)
def test_what_is_not_our_json_is_turned_away(value: bytes, reason: RejectReason) -> None:
    assert reason_of(lambda: decode_polls(b"s1", value, RECORDED_MS)) in {reason, RejectReason.NOT_JSON}


def test_of_a_name_that_stands_twice_the_last_one_holds() -> None:
    value = (
        b'{"store_id": "s2", "timestamps_us": ["x"], "timestamps_us": [1], "statuses": "I", "store_id": "s1"}'
    )
    assert decode_polls(b"s1", value, RECORDED_MS).packed == [2]
    value = b'{"store_id": "s1", "timestamps_us": [1], "timestamps_us": null, "status": "inactive",'
    value += b' "timestamp_utc": "1970-01-01"}'
    assert decode_polls(b"s1", value, RECORDED_MS).packed == [0]


def test_a_million_unknown_names_are_ignored() -> None:
    unknown = ",".join(f'"k{nth}": 1e999999' for nth in range(1_000_000))
    value = f'{{{unknown}, "store_id": "s1", "status": "active", "timestamp_utc": "1970-01-01"}}'.encode()
    assert decode_polls(b"s1", value, RECORDED_MS).packed == [1]


RECORDS = {
    "short instants": """b'{"store_id":"s1","timestamps_us":[' + b",".join([b"0"] * 8_000_000) + b']}'""",
    "early instants": """b'{"store_id":"s1","timestamps_us":[' + b",".join([b"-9"] * 5_300_000) + b']}'""",
    "lists": """b'{"store_id":"s1","timestamps_us":[' + b",".join([b"[]"] * 5_300_000) + b']}'""",
    "texts": """b'{"store_id":"s1","timestamps_us":[' + b",".join([b'""'] * 5_300_000) + b']}'""",
    "fractions": """b'{"store_id":"s1","timestamps_us":[' + b",".join([b"0.5"] * 4_000_000) + b']}'""",
    "good repeats": """b'{"store_id":"s1","statuses":"' + b"A" * 5_300_000 + b'","timestamps_us":['
        + b",".join([b"0"] * 5_300_000) + b']}'""",
    "one number": """b'{"store_id":"s1","timestamps_us":[' + b"1" * 16_000_000 + b']}'""",
    "unprintable status": """b'{"store_id":"s1","status":"' + b"\\x7f" * 16_000_000
        + "\U0001f600".encode() + b'"}'""",
    "long time": """b'{"store_id":"s1","status":"active","timestamp_utc":"' + b"1" * 16_000_000
        + "\U0001f600".encode() + b'"}'""",
    "long id": """b'{"store_id":"' + b"s" * 16_000_000 + "\U0001f600".encode() + b'"}'""",
}


@pytest.mark.slow
@pytest.mark.parametrize("record", RECORDS)
def test_a_record_of_16_mb_costs_memory_in_proportion_and_seconds_at_most(record: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FIND_OUT), RECORDS[record], "polls"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    size, more_kb, seconds, _ = found.stdout.strip().split("|")
    assert int(size) > 15_000_000
    assert int(more_kb) < 150_000
    assert float(seconds) < 10


@pytest.mark.slow
def test_hours_of_16_mb_cost_memory_in_proportion() -> None:
    row = """b'{"day":%d,"start_time_local":"09:%02d:00.%06d","end_time_local":"10:00"}'"""
    rows = f"""b",".join({row} % (i % 7, i % 60, i) for i in range(220_000))"""
    value = f"""b'{{"store_id":"s1","hours":[' + {rows} + b']}}'"""
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FIND_OUT), value, "hours"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    size, more_kb, _, outcome = found.stdout.strip().split("|")
    assert (int(size) > 15_000_000, outcome) == (True, "read")
    assert int(more_kb) < 200_000


# Store ids


@pytest.mark.parametrize("good", ["s", "a" * 256, "\u00e9" * 128, "\U0001f600" * 64, "a b", "\u200b", "*"])
def test_a_store_id_is_up_to_256_bytes_of_utf_8(good: str) -> None:
    assert parse_store_id(f" {good}\n") == good


@pytest.mark.parametrize(
    "bad", ["a" * 257, "\u00e9" * 128 + "a", "a\nb", "a\x7fb", "a\u0085b", "a\x1fb", "a\ud800b"]
)
def test_a_longer_one_or_one_with_control_characters_is_none(bad: str) -> None:
    assert reason_of(lambda: parse_store_id(bad)) is RejectReason.BAD_STORE_ID


@pytest.mark.parametrize("bad", [b"a" * 257, b"a\nb", "a\u0085b".encode()])
def test_no_topic_takes_such_an_id_with_or_without_a_key(bad: bytes) -> None:
    quoted = json.dumps(bad.decode()).encode()
    poll = b'{"store_id": %s, "status": "active", "timestamp_utc": "2024-03-14"}' % quoted
    hours, zone = (
        b'{"store_id": %s, "hours": []}' % quoted,
        b'{"store_id": %s, "timezone_str": "UTC"}' % quoted,
    )
    for key in (bad, None, bad, None):
        for read_it in (
            partial(decode_polls, key, poll, RECORDED_MS),
            partial(decode_hours, key, hours),
            partial(decode_zone, key, zone),
        ):
            assert reason_of(read_it) is RejectReason.BAD_STORE_ID


@pytest.mark.parametrize("known", ["a" * 257, "a\nb", "a" * (1 << 20)])
def test_a_store_that_an_older_version_took_can_be_forgotten(known: str) -> None:
    key = known.encode()
    assert parse_known_store_id(known) == known
    assert decode_polls(key, None, RECORDED_MS).store_id == known
    assert decode_polls(key, None, RECORDED_MS).packed is None
    assert decode_hours(key, None) == (known, None)
    assert decode_zone(key, None) == (known, None)


@pytest.mark.parametrize("key", [None, b"", b" ", b"a\x00b", b"a" * (9 << 20)])
def test_a_null_without_a_store_forgets_nothing(key: bytes | None) -> None:
    reason = reason_of(lambda: decode_polls(key, None, RECORDED_MS))
    assert reason in {RejectReason.NO_STORE_ID, RejectReason.BAD_STORE_ID}


def test_a_key_that_is_no_utf_8_is_no_store() -> None:
    assert reason_of(lambda: decode_polls(b"\xff", None, RECORDED_MS)) is RejectReason.KEY_MISMATCH


@pytest.mark.slow
def test_no_cache_keeps_a_long_text() -> None:
    """60 of 400 kB each, all of them good: they are read, and gone. One cache of them would be 24 MB."""
    script = """
        import resource
        from schemas.events.polls import decode_polls, encode_poll
        from schemas.events.zones import decode_zone, encode_zone
        from schemas.opening_hours import HoursRow, OpeningHours, parse_day_time, plain_hours
        from schemas.rows.opening_hours import decode_opening_hours, encode_opening_hours
        from stream.brokers.partitions import partition_of
        def all_of(nth):
            long, blanks = f"{nth:06d}" + "x" * 400_000, " " * 400_000
            partition_of(decode_polls(long.encode(), None, 0).store_id, 12)
            decode_polls(f"{nth}{blanks}".encode(), encode_poll(f"{blanks}{nth}", "active", "2024-03-14"), 1 << 41)
            decode_zone(f"{nth}{blanks}".encode(), encode_zone(str(nth), "UTC"))
            parse_day_time(f"09:00:00.{nth:06d}{'0' * 400_000}")
            hours = OpeningHours("UTC", plain_hours(tuple(HoursRow(0, at, nth) for at in range(5_000))))
            assert decode_opening_hours(encode_opening_hours(hours)) == hours
        all_of(0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for nth in range(60):
            all_of(nth)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert int(found.stdout) < 16_000


def test_what_no_cache_keeps_is_read_all_the_same() -> None:
    long = StoreId("x" * 1000)
    assert partition_of(long, 12) == partition_of(long, 12)
    assert parse_day_time("09:00:00." + "0" * 100) == parse_day_time("09:00")
    for count in (49, 50, 51, 2000):
        hours = opening_hours("Asia/Kolkata", tuple(HoursRow(1, at, 7) for at in range(count)))
        assert decode_opening_hours(encode_opening_hours(hours)) == hours


# Dead letters


def test_a_dead_letter_names_the_first_thousand_bad_polls_and_counts_the_others() -> None:
    headers = dict(dead_letter_headers(BAD_TIME, "polls", 3, 17, RejectedPolls(1002, tuple(range(1000)))))
    assert headers["dlq.index"] == ",".join(map(str, range(1000))).encode() + b" and 2 more"
    polls = decode_polls(b"s1", many(f"[{','.join(['-1'] * 300_000)}]", ""), RECORDED_MS)
    (rejected,) = polls.rejects.values()
    assert (rejected.count, rejected.indexes) == (300_000, tuple(range(1000)))
    assert "dlq.index" not in dict(dead_letter_headers(BAD_TIME, "polls", 3, 17))


@pytest.mark.parametrize(
    ("key", "value", "sizes"),
    [
        (b"k" * 30, None, (10, None)),
        (b"k" * 30, b"v" * 30, (10, 0)),
        (b"k" * 4, b"v" * 30, (4, 6)),
        (None, b"v" * 30, (None, 10)),
        (b"k" * 4, b"v" * 6, (4, 6)),
    ],
)
def test_a_dead_letter_is_cut_to_what_fits(
    key: bytes | None, value: bytes | None, sizes: tuple[int | None, int | None]
) -> None:
    kept_key, kept_value, headers = cut_to_size(key, value, 10)
    assert (kept_key and len(kept_key), None if kept_value is None else len(kept_value)) == sizes
    assert bool(headers) is (sizes != (4, 6) or len(value or b"") > 6)


def test_a_refusal_quotes_the_beginning_of_a_long_text_only() -> None:
    assert len(str(Rejected(BAD_TIME, "\x7f" * 1_000_000))) < 1000
