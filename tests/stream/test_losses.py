"""Where a table reads on in a topic, and what is lost before that.

In the pictures ▲ is the position of the table, [ the oldest record left of the topic, ) the next to come, × lost.
"""

import pytest

from stream.worker.losses import Resumption, TopicSpan, resumption


def span(first: int, end: int, committed: int | None = None, topic_id: str = "A") -> TopicSpan:
    return TopicSpan(first, end, committed, topic_id)


@pytest.mark.parametrize(
    ("position", "made_from", "topic", "offset"),
    [
        # a table that never was begins where the topic begins:   [)   [····)      [····)
        (None, "", span(0, 0), 0),
        (None, "", span(0, 9), 0),
        (None, "", span(4, 9), 4),
        # offset 0 committed: nothing was applied    [····)
        (None, "", span(0, 9, committed=0), 0),
        #     [··▲··)      ▲····)      [····▲      ▲
        (6, "A", span(4, 9), 6),
        (4, "A", span(4, 9), 4),
        (9, "A", span(4, 9), 9),
        (0, "A", span(0, 0), 0),
        # a table, or a broker, that knows no ids    [··▲··)
        (6, "", span(4, 9), 6),
        (6, "A", span(4, 9, topic_id=""), 6),
        # what the group has committed says nothing where the table has a position
        (6, "A", span(4, 9, committed=2), 6),
        (6, "A", span(4, 9, committed=800), 6),
    ],
)
def test_nothing_is_lost(position: int | None, made_from: str, topic: TopicSpan, offset: int) -> None:
    assert resumption(position, made_from, topic) == Resumption(offset)


@pytest.mark.parametrize(
    ("position", "made_from", "topic", "found", "why"),
    [
        # retention:   ▲×××[····)
        (2, "A", span(4, 9), (4, 2, 4), "deleted from the topic before they were applied"),
        (0, "", span(4, 9), (4, 0, 4), "deleted from the topic before they were applied"),
        # the same topic, cut short:   [····)×××▲    reads on at its end
        (12, "A", span(4, 9), (9, 9, 12), "cut short"),
        # maybe another topic:         [····)×××▲    reads all of it
        (12, "", span(0, 9), (0, 9, 12), "made again"),
        (12, "A", span(3, 9, topic_id=""), (3, 9, 12), "made again"),
        # another topic for sure, inside of it or not:   [··▲××    [····)  ▲××
        (6, "A", span(0, 9, topic_id="B"), (0, 6, -1), "deleted and made again"),
        (12, "A", span(0, 9, topic_id="B"), (0, 12, -1), "deleted and made again"),
        # the table is gone:   ××××[····)
        (
            None,
            "",
            span(4, 9, committed=7),
            (4, 0, 4),
            "the table is gone, though offset 7 was committed; read again from 4",
        ),
    ],
)
def test_a_loss_is_told_with_offsets_and_cause(
    position: int | None, made_from: str, topic: TopicSpan, found: tuple[int, int, int], why: str
) -> None:
    resumed = resumption(position, made_from, topic)
    assert (resumed.offset, resumed.lost_from, resumed.lost_to) == found
    assert why in resumed.why
