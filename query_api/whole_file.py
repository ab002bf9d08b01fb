"""Files that appear whole or not at all.

Owns: the temporary file beside the one that is meant, and the rename. Must not know: what is written.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

PART: Final = ".part"
"""How the names of unfinished files end; they begin with a dot."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write `path`: it takes the place of an older one when the block ends, on disk to stay, and not before.

    If the block raises, or the disk is full, nothing is left behind. Raises OSError.
    """
    part = path.with_name(f".{path.name}.{uuid4().hex[:12]}{PART}")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
