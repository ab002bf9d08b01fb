"""Row `M loss NUL <topic>`: what was lost of one topic, in one partition, and not yet accepted (rule 7.3).

Owns: key and layout (JSON). Must not know: how a loss is noticed (stream.worker.losses).
"""

from typing import Final

import msgspec

LOSS_PREFIX: Final = b"Mloss\0"


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
