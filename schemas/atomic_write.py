"""Files that appear whole or not at all.

Owns: the temporary file beside the one that is meant, and the rename. Must not know: what is written.

The rename takes the place of whatever has the name, a symbolic link too: nothing that it leads to is reached.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

PART: Final = ".part"
"""How the names of unfinished files end; they begin with a dot."""

_MAX_SHOWN: Final = 50  # characters of the file's own name; a name has room for 255 bytes


class WholeFile:
    """A file in the making: write to `file`, then `keep` or `drop` it."""

    def __init__(self, path: Path) -> None:
        """Begin it beside `path`. Raises OSError."""
        self._path = path
        self._part = path.with_name(f"{_start_of(path)}{uuid4().hex[:12]}{PART}")
        self.file: BinaryIO = self._part.open("xb")

    def keep(self) -> None:
        """Let it take the place of an older one, on disk to stay. Raises OSError, and then it was dropped."""
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            self._part.replace(self._path)
        except BaseException:
            self.drop()
            raise
        _sync_folder(self._path.parent)

    def drop(self) -> None:
        """Leave nothing behind but an older one."""
        with suppress(OSError):  # what it cannot write any more is not wanted
            self.file.close()
        self._part.unlink(missing_ok=True)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Write `path`: it takes the place of an older one when the block ends, on disk to stay, and not before.

    If the block raises, or the disk is full, nothing is left behind. Raises OSError, with the name of the file.
    """
    with naming(path):
        whole = WholeFile(path)
        try:
            yield whole.file
        except BaseException:
            whole.drop()
            raise
        whole.keep()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an OSError say that it was about `path`: one from a write says nothing of the kind."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def remove_parts(path: Path) -> None:
    """Remove what was left beside `path` by those that ended in the middle of it. Nobody may be writing it."""
    start = _start_of(path)
    for each in path.parent.iterdir():
        if each.name.startswith(start) and each.name.endswith(PART):
            each.unlink(missing_ok=True)


def _start_of(path: Path) -> str:
    """How the names of the unfinished files of `path` begin."""
    return f".{path.name[:_MAX_SHOWN]}."


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
