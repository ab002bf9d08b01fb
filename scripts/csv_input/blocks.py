"""A file as blocks of whole lines, in memory that does not grow with the file.

Owns: decompressing, and where a block ends. Must not know: columns, or what makes a line a good one.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import zstandard

from scripts.csv_input.errors import CorruptFile, UnreadableFile

BLOCK_BYTES: Final = 16 << 20
"""About the size of a block: its own cost vanishes, and several fit in memory with what is made of them."""

BLOCK_LINES: Final = 1 << 18
"""About as many lines as a block of usual ones has: what is made of a line costs more than the line itself."""

LONGEST_LINE: Final = 1 << 20
"""Bytes that a line may have. A file that is no CSV may hold no line end, and must still fit in memory."""

_PIECE: Final = 1 << 18  # nor may it hold anything else: a piece is no more lines than a block
_ZST_PIECE: Final = 1 << 7  # packed: all that is in it comes at once, 4 MiB if every byte is the same
_BOM: Final = b"\xef\xbb\xbf"


def iter_blocks(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The decompressed text of `path`, without a byte order mark, in blocks of whole lines.

    Every block begins with a line end of its own that is not in the file: readers that look for the signature
    of a compressed format (`x^` is one) find none, whatever the first line is. Only the file's last line may
    lack a line end. Of a line longer than LONGEST_LINE, more than that but perhaps not all is there. A block
    has at most twice BLOCK_LINES, so that a few kilobytes that unpack to nothing but line ends stay small.

    Raises UnreadableFile or CorruptFile.
    """
    return _blocks(_short_lines(_without_bom(_decompressed(path))), block_bytes)


def _decompressed(path: Path) -> Iterator[bytes]:
    form = {".gz": _gunzipped, ".zst": _unzstd}.get(path.suffix, _plain)
    try:
        yield from form(path)
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as damage:
        raise CorruptFile(path, str(damage)) from damage
    except OSError as refusal:
        raise UnreadableFile(path, refusal) from refusal


def _plain(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _gunzipped(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        while piece := file.read(_PIECE):
            yield piece


def _unzstd(path: Path) -> Iterator[bytes]:
    """Frame by frame: the library's own stream reader takes a file that is cut off for one that has ended."""
    with path.open("rb") as file:
        packed = file.read(_ZST_PIECE)
        while packed:
            frame = zstandard.ZstdDecompressor().decompressobj()
            while not frame.eof:
                if not packed:
                    raise EOFError("the last frame is not complete")
                unpacked = frame.decompress(packed)
                for start in range(0, len(unpacked), _PIECE):
                    yield unpacked[start : start + _PIECE]
                packed = frame.unused_data if frame.eof else file.read(_ZST_PIECE)
            packed = packed or file.read(_ZST_PIECE)


def _without_bom(pieces: Iterable[bytes]) -> Iterator[bytes]:
    start = b""
    pieces = iter(pieces)
    while len(start) < len(_BOM) and (piece := next(pieces, b"")):
        start += piece
    if start := start.removeprefix(_BOM):
        yield start
    yield from pieces


def _short_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """`pieces` without the far ends of the lines that are longer than LONGEST_LINE."""
    length = 0  # of the line that is not ended yet
    for piece in pieces:
        kept = piece
        if length > LONGEST_LINE:
            line_end = piece.find(b"\n")
            if line_end < 0:
                continue
            kept = piece[line_end:]
        last_line_end = kept.rfind(b"\n")
        length = length + len(kept) if last_line_end < 0 else len(kept) - last_line_end - 1
        yield kept


def _blocks(pieces: Iterable[bytes], block_bytes: int) -> Iterator[bytes]:
    held, size, lines = [b"\n"], 0, 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        lines += piece.count(b"\n")
        end = piece.rfind(b"\n") + 1
        if not end or (size < block_bytes and lines < BLOCK_LINES):
            continue
        held[-1] = piece[:end]
        yield b"".join(held)
        held, size, lines = [b"\n", piece[end:]], len(piece) - end, 0
    if size:
        yield b"".join(held)
