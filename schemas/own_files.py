"""The files of a state folder, which are storepulse's own.

Owns: opening them for writing so that no other file is reached: a symbolic link that stands in the place of one
may lead to anything that this user can write. Must not know: what is in them. (Files that are only ever replaced
whole, by schemas.atomic_write, need no opening: the rename takes the place of the link.)
"""

import errno
import os
import stat
from pathlib import Path


class NotOurs(OSError):
    """What stands at `path` is `kind`, and no file that storepulse made."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(
            f"{path} is {kind} and no file of storepulse's own, so nothing was written to it. "
            "Move it away, or choose another state folder (--state)."
        )
        self.path = path
        self.kind = kind


def open_own(path: Path, flags: int) -> int:
    """A descriptor of the regular file `path`, made if `flags` say so. Raises NotOurs, OSError."""
    check_own(path)
    try:  # what was put there since is not followed or waited for either
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotOurs(path, "a symbolic link") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotOurs(path, "no regular file")
    return descriptor


def check_own(path: Path) -> None:
    """Raises NotOurs where something else than a regular file stands at `path`; nothing at all may stand there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise NotOurs(path, "a symbolic link")
    if not stat.S_ISREG(mode):
        raise NotOurs(path, "no regular file")
