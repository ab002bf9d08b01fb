"""Where a command writes what it was asked for: `--out` and `--rejects`.

Owns: what a name means, and which names are refused before anything is done. Must not know: what is written
(whole, by schemas.atomic_write).

    -                             standard output
    /dev/stdout, /dev/fd/3        that descriptor of ours
    a device, a FIFO              written to, as it is
    a file, or nothing yet        replaced when all of the new one is there
    a symbolic link               what it leads to, by these rules; the link stays

    OutputError
    ├── UnusableOutput      the name can take no file
    ├── InputOverwritten    it is a file that the command reads
    └── OneFileTwice        two outputs are one file

    OutputClosed            (OSError) the reader of a pipe has gone
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

from schemas.atomic_write import naming

_STDOUT: Final = 1
_MAX_LINKS: Final = 40  # as many as the system follows


class OutputError(Exception):
    """An output cannot be written, or must not; nothing was done."""


class UnusableOutput(OutputError):
    """`option` says `name`, which can take no file; `cause` says why and what to do."""

    def __init__(self, option: str, name: str, cause: str) -> None:
        super().__init__(f"{option} {name}: {cause}.")
        self.option = option
        self.name = name
        self.cause = cause


class InputOverwritten(OutputError):
    """`option` says `name`, which is the file `read` that the command reads."""

    def __init__(self, option: str, name: str, read: Path) -> None:
        super().__init__(
            f"{option} {name}: {read} is a file that this command reads, and no input is ever overwritten. "
            "Name another file."
        )
        self.option = option
        self.name = name
        self.read = read


class OneFileTwice(OutputError):
    """`options` say `name`, and both would be written to one file."""

    def __init__(self, options: Sequence[str], name: str) -> None:
        super().__init__(f"{' and '.join(options)} are one file, {name}. Name two.")
        self.options = tuple(options)
        self.name = name


class OutputClosed(OSError):
    """Whoever read `name` has gone; it has a part of what was meant for it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was closed before all was written to it")
        self.name = name


@dataclass(frozen=True, slots=True)
class Output:
    """A place that something is written to.

    `target` is a path free of symbolic links, or a descriptor of ours; `found` is what stands there. A regular file
    at a path, or none, is replaced; all else is written to.
    """

    option: str
    name: str
    target: Path | int
    found: os.stat_result | None

    def __str__(self) -> str:
        return "standard output" if self.name == "-" else self.name

    @contextmanager
    def path(self) -> Iterator[Path]:
        """Where to write it: whole, by the time the block ends. What is no regular file then gets it in one go.

        It gets what there is also where the block raises; a report has nothing there then. Raises OSError.
        """
        if isinstance(self.target, Path) and _is_replaced(self.found):
            yield self.target
            return
        with tempfile.TemporaryDirectory(prefix="storepulse-") as folder:
            written = Path(folder) / "output"
            try:
                yield written
            finally:
                if written.exists():
                    self._copy(written)

    def refuse(self, read: Sequence[Path]) -> None:
        """Raises InputOverwritten where it is one of the files `read`, by whatever links."""
        for path in read:
            if self._is(Path(os.path.realpath(path)), _found(path)):
                raise InputOverwritten(self.option, self.name, path)

    def refuse_same(self, other: "Output") -> None:
        """Raises OneFileTwice where `other` is the same file."""
        if self._is(other.target, other.found):
            raise OneFileTwice((self.option, other.option), self.name)

    def _is(self, target: Path | int, found: os.stat_result | None) -> bool:
        if self.found is None or found is None:
            return self.found is found and self.target == target
        return os.path.samestat(self.found, found)

    def _copy(self, written: Path) -> None:
        with naming(Path(str(self))), written.open("rb") as source:
            try:
                with os.fdopen(self._open(), "wb") as sink:
                    shutil.copyfileobj(source, sink)
            except BrokenPipeError:
                raise OutputClosed(str(self)) from None

    def _open(self) -> int:
        if isinstance(self.target, int):
            return os.dup(self.target)
        return os.open(self.target, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)


def outputs(named: Mapping[str, str | None], read: Sequence[Path]) -> dict[str, Output]:
    """What options mean by the names given, those without one left out. Raises OutputError.

    `read` are the paths that the command reads, or would if something stood there.
    """
    every = {option: output(option, name) for option, name in named.items() if name is not None}
    for each in every.values():
        each.refuse(read)
    for one, other in combinations(every.values(), 2):
        one.refuse_same(other)
    return every


def output(option: str, name: str) -> Output:
    """What `option` means by `name`. Raises UnusableOutput where it can take no file."""
    descriptor = _STDOUT if name == "-" else _descriptor(Path(name))
    target = Path(os.path.realpath(name)) if descriptor is None else descriptor
    try:
        found = _found(target)
    except OSError as error:
        raise UnusableOutput(option, name, f"{error.strerror}, name another file") from error
    cause = _descriptor_fault(target) if isinstance(target, int) else _path_fault(target, found)
    if cause is not None:
        raise UnusableOutput(option, name, cause)
    return Output(option, name, target, found)


def _descriptor_fault(descriptor: int) -> str | None:
    is_read_only = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    return "it is not open for writing, name another file" if is_read_only else None


def _path_fault(target: Path, found: os.stat_result | None) -> str | None:
    if found is not None and stat.S_ISDIR(found.st_mode):
        return "it is a folder, name a file in it"
    if found is not None and stat.S_ISSOCK(found.st_mode):
        return "it is a socket, name a file"
    if not target.parent.is_dir():
        return f"there is no folder {target.parent}, make it first"
    needed, how = (target.parent, os.W_OK | os.X_OK) if _is_replaced(found) else (target, os.W_OK)
    return None if os.access(needed, how) else f"this user may not write to {needed}"


def _found(target: Path | int) -> os.stat_result | None:
    try:
        return os.stat(target)
    except FileNotFoundError:
        return None


def _is_replaced(found: os.stat_result | None) -> bool:
    return found is None or stat.S_ISREG(found.st_mode)


def _descriptor(path: Path) -> int | None:
    """The descriptor of this process that `path` leads to, None where it leads elsewhere.

    To open such a path is not the same: of a file it would begin at its start again, and a socket has none.
    """
    ours = {f"/proc/{os.getpid()}/fd", f"/proc/{os.getpid()}/task/{os.getpid()}/fd"}
    for _ in range(_MAX_LINKS):
        folder = os.path.realpath(path.parent)
        if folder in ours and path.name.isdecimal():
            return int(path.name)
        here = Path(folder, path.name)
        if not os.path.islink(here):  # unlike Path's own, false where the name is too long for a link
            return None
        path = Path(folder, here.readlink())
    return None
