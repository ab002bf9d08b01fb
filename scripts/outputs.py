"""Where a command writes what it was asked for: `--out` and `--rejects`.

Owns: what a name means, and which names are refused before anything is done. Must not know: what is written
(whole, by query_api.whole_file).

    -                             standard output
    /dev/stdout, /dev/fd/3        that descriptor of ours
    a device, a FIFO              written to, as it is
    a file, or nothing yet        replaced when all of the new one is there
    a symbolic link               what it leads to, by these rules; the link stays

    OutputError
    ├── UnusableOutput      the name can take no file
    ├── InputOverwritten    it is a file that the command reads
    └── OneFileTwice        two outputs are one file
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final, NoReturn

from query_api.whole_file import naming

_STDOUT: Final = 1
_MOST_LINKS: Final = 40  # as many as the system follows


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


@dataclass(frozen=True, slots=True)
class Output:
    """A place that something is written to.

    `target` is a path free of symbolic links, or a `descriptor` takes its place; `found` is what stands there. A
    regular file at `target`, or none, is replaced; all else is written to.
    """

    option: str
    name: str
    target: Path | None
    descriptor: int | None
    found: os.stat_result | None

    def __str__(self) -> str:
        return "standard output" if self.name == "-" else self.name

    @contextmanager
    def path(self) -> Iterator[Path]:
        """Where to write it: whole, by the time the block ends. What is no regular file then gets it in one go.

        It gets what there is also where the block raises; a report has nothing there then. Raises OSError.
        """
        if self.descriptor is None and self.target is not None and _is_replaced(self.found):
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
            try:
                is_same = self.found is not None and os.path.samestat(self.found, path.stat())
            except FileNotFoundError:
                is_same = self.target == Path(os.path.realpath(path))
            if is_same:
                raise InputOverwritten(self.option, self.name, path)

    def refuse_same(self, other: "Output") -> None:
        """Raises OneFileTwice where `other` is the same file."""
        if self.found is None or other.found is None:
            is_same = self.found is other.found and self.target == other.target
        else:
            is_same = os.path.samestat(self.found, other.found)
        if is_same:
            raise OneFileTwice((self.option, other.option), self.name)

    def _copy(self, written: Path) -> None:
        with naming(Path(str(self))), written.open("rb") as source, os.fdopen(self._open(), "wb") as sink:
            shutil.copyfileobj(source, sink)

    def _open(self) -> int:
        if self.descriptor is not None:
            return os.dup(self.descriptor)
        assert self.target is not None
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

    def refuse(cause: str) -> NoReturn:
        raise UnusableOutput(option, name, cause)

    descriptor = _STDOUT if name == "-" else _descriptor(Path(name))
    if descriptor is not None:
        try:
            return Output(option, name, None, descriptor, os.fstat(descriptor))
        except OSError:
            refuse("it is closed")
    target = Path(os.path.realpath(name))
    try:
        found = target.stat()
    except FileNotFoundError:
        found = None
    except OSError as error:
        refuse(f"{error.strerror}, name another file")
    if found is not None and stat.S_ISDIR(found.st_mode):
        refuse("it is a folder, name a file in it")
    if found is not None and stat.S_ISSOCK(found.st_mode):
        refuse("it is a socket, name a file")
    if not target.parent.is_dir():
        refuse(f"there is no folder {target.parent}, make it first")
    needed, how = (target.parent, os.W_OK | os.X_OK) if _is_replaced(found) else (target, os.W_OK)
    if not os.access(needed, how):
        refuse(f"this user may not write to {needed}")
    return Output(option, name, target, None, found)


def _is_replaced(found: os.stat_result | None) -> bool:
    return found is None or stat.S_ISREG(found.st_mode)


def _descriptor(path: Path) -> int | None:
    """The descriptor of this process that `path` leads to, None where it leads elsewhere.

    To open such a path is not the same: of a file it would begin at its start again, and a socket has none.
    """
    ours = {f"/proc/{os.getpid()}/fd", f"/proc/{os.getpid()}/task/{os.getpid()}/fd"}
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(path.parent)
        if folder in ours and path.name.isdecimal():
            return int(path.name)
        here = Path(folder, path.name)
        if not here.is_symlink():
            return None
        path = Path(folder, here.readlink())
    return None
