"""What a table says of itself beside its rows: how far it reaches, and whether it is whole.

Owns: the keys and values that stand in RocksDB alone and never in the changelog, and those rows of the changelog
that tell of losses. Must not know: who writes them (a worker, a replica), who reads them (those, and the API).

A table is *whole* when it has followed the changelog, in order, to an end that was asked for after whoever owned
the partition before was fenced out. While it is being restored it is not, whatever rows it already has: of a
compacted changelog, a beginning is no state that ever was. Readers refuse a table that is not whole.

    __faust\\0offset__   the offset of the last changelog record that the rows reflect
    __whole__           there while the table is whole
    __target__          where the changelog ended when a restore began: how far it must get
"""

from typing import Final

import msgspec

OFFSET_KEY: Final = b"__faust\0offset__"
"""Where Faust keeps the offset of the last changelog record that the rows reflect (a decimal number)."""
WHOLE_KEY: Final = b"__whole__"
"""Present, with any value, while the table is whole."""
TARGET_KEY: Final = b"__target__"
"""The changelog offset (a decimal number) that a restore must reach; read it only where WHOLE_KEY is absent."""
LOCAL_PREFIX: Final = b"__"
"""What the keys above start with, and no row of ours."""

LOSS_PREFIX: Final = b"Mloss\0"
"""Rows of the changelog: the losses of one topic, in one partition, that no operator has accepted yet."""

ACCEPT_LOSS_HEADER: Final = "storepulse.accept-loss"
"""A record on store-polls with this header, whatever its key and value, accepts all losses of its partition."""


class Loss(msgspec.Struct, frozen=True, array_like=True):
    """Records of one topic and partition that were gone before they were applied.

    Offsets [from_offset, to_offset); `to_offset` is -1 where nobody can tell how many there were. `noticed_ms`:
    milliseconds since 1970. `why`: a sentence for operators.
    """

    from_offset: int
    to_offset: int
    noticed_ms: int
    why: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[Loss, ...]).decode


def loss_key(topic: str) -> bytes:
    """The key of the row that tells of the losses of `topic`."""
    return LOSS_PREFIX + topic.encode()


def encode_losses(losses: tuple[Loss, ...]) -> bytes:
    """The value of such a row; the oldest loss first."""
    return _encode(losses)


def decode_losses(value: bytes | None) -> tuple[Loss, ...]:
    """The losses in such a row; none where there is no row."""
    return _decode(value) if value else ()
