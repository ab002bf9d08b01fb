"""Where a table reads on in a topic, and what is lost for good before that (rule 7.3).

Owns: the one comparison that sees every loss. Must not know: which broker it is, who asks when.

    oldest record left ──▶ first                 end ◀── the next to come
                             ├───────────────────┤
    position      ▲ lost up to first    ▲ reads on          ▲ beyond the end: another topic, or one cut short
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TopicSpan:
    """What the broker says of one topic and partition.

    Offsets of the oldest record left and of the next to come; what the workers' group has committed, None for
    nothing; and the topic's id, "" where the broker has none.
    """

    first: int
    end: int
    committed: int | None
    topic_id: str


@dataclass(frozen=True, slots=True)
class Resumption:
    """The offset to read on from, and where records are lost: [lost_from, lost_to), -1 for unknown, and why."""

    offset: int
    lost_from: int = 0
    lost_to: int = 0
    why: str = ""


def resumption(position: int | None, made_from: str, span: TopicSpan) -> Resumption:
    """Where a table that has applied a topic up to `position` reads on.

    `position` is None where the table knows nothing of the topic, `made_from` the id of the topic that its position
    is of, "" where it does not say.
    """
    if position is None:
        if not span.committed:
            return Resumption(span.first)
        return Resumption(
            span.first,
            0,
            span.first,
            f"the table is gone, though offset {span.committed} was committed; read again from {span.first}",
        )
    if made_from and span.topic_id and made_from != span.topic_id:
        return Resumption(span.first, position, -1, "the topic was deleted and made again")
    if position < span.first:
        return Resumption(span.first, position, span.first, "deleted from the topic before they were applied")
    if position > span.end:
        is_same = made_from and made_from == span.topic_id
        return Resumption(
            span.end if is_same else span.first,
            span.end,
            position,
            "the topic ends before what was applied of it: it was cut short, or made again",
        )
    return Resumption(position)
