"""What stops the reading of a folder, or of one of its files, altogether.

    CsvInputError
    ├── MissingFolder    the folder is not there, or is not a folder
    ├── MissingPolls     no store_status.csv in it, in any form
    ├── TwoForms         one file stands there both plain and compressed
    ├── HoursMissing     special days or closures, and no menu_hours.csv
    ├── NearlyNamed      a file whose name is nearly one of ours
    ├── UnreadableFile   the system will not let us read it
    ├── CorruptFile      compressed, but damaged or cut off
    ├── EmptyFile        not even a header
    ├── BadHeader        a column is missing, or stands twice
    └── StrictStop       a bad line, where the caller wanted none (stands in `rejects`)

Each carries its values, and its text says what to do.
"""

from collections.abc import Sequence
from pathlib import Path


class CsvInputError(Exception):
    """The CSV input cannot be read."""


class MissingFolder(CsvInputError):
    """`folder` does not exist, or is no folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder}: no such folder. Name the folder that holds store_status.csv.")
        self.folder = folder


class MissingPolls(CsvInputError):
    """`folder` holds none of the `names` that polls can come under."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        super().__init__(f"{folder}: holds none of {', '.join(names)}. The polls must be in one of these.")
        self.folder = folder
        self.names = tuple(names)


class TwoForms(CsvInputError):
    """`paths` are forms of one file; which one counts is not ours to guess."""

    def __init__(self, paths: Sequence[Path]) -> None:
        names = ", ".join(path.name for path in paths)
        super().__init__(f"{paths[0].parent}: {names} are forms of one file. Keep one, move the others away.")
        self.paths = tuple(paths)


class HoursMissing(CsvInputError):
    """`folder` holds special days or closures, and no weekly hours."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder}: special_days.csv or closures.csv stand there without menu_hours.csv, which would make "
            "every store open all day but for them. Add it; one with its header alone says so on purpose."
        )
        self.folder = folder


class NearlyNamed(CsvInputError):
    """`path` is named nearly as the file that was `meant`."""

    def __init__(self, path: Path, meant: str) -> None:
        super().__init__(
            f"{path}: not a name that is read. If {meant} is meant, rename it; else move it away."
        )
        self.path = path
        self.meant = meant


class UnreadableFile(CsvInputError):
    """The system refused to open or read `path`."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"{path}: cannot be read ({cause.strerror or cause}). Check it and its permissions.")
        self.path = path
        self.cause = cause


class CorruptFile(CsvInputError):
    """`path` is not the compressed file that its name says, or is damaged or cut off."""

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(f"{path}: damaged or cut off ({detail}). Copy or compress it again.")
        self.path = path
        self.detail = detail


class EmptyFile(CsvInputError):
    """`path` has no line at all, thus no header."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        super().__init__(f"{path}: empty. It needs at least the header {','.join(columns)}.")
        self.path = path
        self.columns = tuple(columns)


class BadHeader(CsvInputError):
    """The `header` line of `path` lacks the columns `missing`, or has the columns `repeated` twice."""

    def __init__(self, path: Path, header: str, missing: Sequence[str], repeated: Sequence[str]) -> None:
        faults = [f"no column {name}" for name in missing] + [f"column {name} twice" for name in repeated]
        super().__init__(f"{path}: {', '.join(faults)} in its header {header!r}. Mend the first line.")
        self.path = path
        self.header = header
        self.missing = tuple(missing)
        self.repeated = tuple(repeated)
