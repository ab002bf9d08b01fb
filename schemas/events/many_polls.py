"""The many-polls form of a record, read in bounded memory whatever it holds.

Owns: which elements of `timestamps_us` are polls, and the count of those that are not, by reason. Must not know:
records, stores.

Two bytes make an element, so a record of 16 MB may hold 8 million: as one Python object each they would take a
gigabyte. So the array stays text. It is cut into pieces of whole elements, and each piece becomes numbers alone.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.arrays import Int64s
from schemas.values import RejectReason

_MAX_INDEXES: Final = 1000
"""Bad polls of one reason whose places are remembered."""
_PIECE_BYTES: Final = 1 << 18
_LATEST_NUMBER: Final = 10**18
"""From here on, and as far below zero, a number is no instant at all; the years have long passed 9999."""
_NO_INSTANT: Final = -_LATEST_NUMBER

_ACTIVE: Final = ord("A")
_INACTIVE: Final = ord("I")
_DEPTH_STEPS: Final = np.zeros(256, np.int8)
"""By how much a byte outside of texts goes deeper."""
_DEPTH_STEPS[list(b"[{")] = 1
_DEPTH_STEPS[list(b"]}")] = -1
_BRACKETS: Final = np.frombuffer(b'"[]{}', np.uint8)

_ELEMENT: Final = re.compile(rb"[\[,]\s*(-?\d{1,18}(?=\s*[,\]]))?")
"""The start of an element and, where it is a number of up to 18 digits, the number."""

_decode_numbers = msgspec.json.Decoder(list[int]).decode


@dataclass(frozen=True, slots=True)
class RejectedPolls:
    """How many polls of one record were turned away for one reason, and the places of the first 1000."""

    count: int = 0
    indexes: tuple[int, ...] = ()


Rejects = Mapping[RejectReason, RejectedPolls]
NO_REJECTS: Final[Rejects] = MappingProxyType({})


def read_polls(timestamps_us: bytes, statuses: str, latest_us: int) -> tuple[Int64s, Rejects]:
    """The good polls of `timestamps_us`, a JSON array, as packed polls; and why the others were turned away.

    Poll k is good where element k is an instant from 0 to `latest_us` and letter k of `statuses` is A or I.
    """
    letters = np.frombuffer(statuses.encode("ascii", "replace"), np.uint8)
    rejects: dict[RejectReason, RejectedPolls] = {}
    packed: list[Int64s] = []
    first = 0
    for piece in _pieces(timestamps_us):
        at_us = _instants(piece)
        said = _letters(letters, first, len(at_us))
        active = said == _ACTIVE
        # As unsigned numbers, those below zero are past every instant.
        good = (active | (said == _INACTIVE)) & (at_us.view(np.uint64) <= latest_us)
        found = at_us * 2 + active
        if np.count_nonzero(good) < len(good):
            _note(rejects, first, at_us, good, latest_us)
            found = found[good]
        # Where so many fit, instants are of a few digits only, and there are not many different ones.
        packed.append(np.unique(found) if len(found) * 8 > _PIECE_BYTES else found)
        first += len(at_us)
    return packed[0] if len(packed) == 1 else np.concatenate(packed), rejects


def _letters(letters: npt.NDArray[np.uint8], first: int, count: int) -> npt.NDArray[np.uint8]:
    """The `count` letters from `first` on; zeros where there are none."""
    said = letters[first : first + count]
    return said if len(said) == count else np.pad(said, (0, count - len(said)))


def _note(
    rejects: dict[RejectReason, RejectedPolls],
    first: int,
    at_us: Int64s,
    good: npt.NDArray[np.bool_],
    latest_us: int,
) -> None:
    """Count the bad polls of a piece whose first element is number `first` of the record."""
    is_instant = abs(at_us) < _LATEST_NUMBER
    is_early, is_late = at_us < 0, at_us > latest_us
    for reason, bad in (
        (RejectReason.BAD_TIME, ~is_instant),
        (RejectReason.BEFORE_1970, is_instant & is_early),
        (RejectReason.TOO_FAR_AHEAD, is_instant & is_late),
        (RejectReason.UNKNOWN_STATUS, ~(good | is_early | is_late)),
    ):
        indexes = np.flatnonzero(bad)
        if len(indexes):
            noted = rejects.get(reason, RejectedPolls())
            more = first + indexes[: _MAX_INDEXES - len(noted.indexes)]
            rejects[reason] = RejectedPolls(noted.count + len(indexes), (*noted.indexes, *more.tolist()))


def _pieces(array: bytes) -> Iterator[bytes]:
    """A JSON array as some arrays of whole elements, without commas or brackets inside of these."""
    if b'"' in array or b"{" in array or array.find(b"[", 1) > 0:
        array = _without_depth(array)
    start = 1
    while len(array) - start > _PIECE_BYTES:
        end = array.find(b",", start + _PIECE_BYTES)
        if end < 0:
            break
        yield b"[%b]" % array[start:end]
        start = end + 1
    yield array if start == 1 else b"[%b" % array[start:]


def _without_depth(array: bytes) -> bytes:
    """A JSON array with x in place of every byte of a text, a list or an object in it."""
    array = array.replace(b"\\\\", b"xx").replace(b'\\"', b"xx")
    flat = np.frombuffer(bytearray(array), np.uint8)
    inside, depth = False, 0
    for start in range(1, len(flat) - 1, _PIECE_BYTES):
        part = flat[start : min(start + _PIECE_BYTES, len(flat) - 1)]
        in_text = np.logical_xor.accumulate(np.append(inside, part == ord('"')))
        steps = np.where(in_text[1:], 0, _DEPTH_STEPS[part])
        depths = depth + np.cumsum(steps)
        inside, depth = bool(in_text[-1]), int(depths[-1])
        part[in_text[1:] | (depths > 0) | np.isin(part, _BRACKETS)] = ord("x")
    return flat.tobytes()


def _instants(piece: bytes) -> Int64s:
    """The numbers in a JSON array; _NO_INSTANT where an element is something else."""
    try:
        numbers = _decode_numbers(piece)
        return np.fromiter(numbers, np.int64, len(numbers))
    except (msgspec.DecodeError, OverflowError):
        found = _ELEMENT.findall(piece)
        return np.fromiter((int(text) if text else _NO_INSTANT for text in found), np.int64, len(found))
