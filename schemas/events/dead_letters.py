"""Dead letters: records that were turned away, as they came, with headers that say why.

Owns: the headers, and cutting what is too large. Must not know: who turned a record away.
"""

from schemas.events.many_polls import RejectedPolls
from schemas.values import RejectReason


def dead_letter_headers(  # noqa: PLR0917  # where it stood: topic, partition, offset, index
    reason: RejectReason,
    topic: str,
    partition: int,
    offset: int,
    polls: RejectedPolls | None = None,
    right_partition: int | None = None,
) -> list[tuple[str, bytes]]:
    """Headers that say where a dead letter came from and why.

    `dlq.index` names the bad polls of a many-polls one, `dlq.right_partition` where a misplaced one belongs.
    """
    headers = [
        ("dlq.reason", reason.value.encode()),
        ("dlq.topic", topic.encode()),
        ("dlq.partition", str(partition).encode()),
        ("dlq.offset", str(offset).encode()),
    ]
    if right_partition is not None:
        headers.append(("dlq.right_partition", str(right_partition).encode()))
    if polls is not None:
        unnamed = polls.count - len(polls.indexes)
        more = f" and {unnamed} more" if unnamed else ""
        headers.append(("dlq.index", (",".join(map(str, polls.indexes)) + more).encode()))
    return headers


def cut_to_size(
    key: bytes | None, value: bytes | None, max_bytes: int
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """Key and value of a dead letter, cut where they are longer than `max_bytes` together.

    Where they were cut, there is a header more, which says how long they had been.
    """
    sizes = len(key or b""), len(value or b"")
    if sum(sizes) <= max_bytes:
        return key, value, []
    key = key and key[:max_bytes]
    value = value and value[: max_bytes - len(key or b"")]
    return key, value, [("dlq.truncated", b"key %d, value %d bytes" % sizes)]
