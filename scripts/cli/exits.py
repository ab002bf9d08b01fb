"""What the command says and returns when it fails.

Owns: which error has which exit code, and its text for the terminal. Must not know: what was being done. Imported
only when something failed: the errors of all parts come with half of the program.
"""

import errno
from typing import Final

from pydantic import ValidationError

from query_api.errors import QueryError
from schemas.compatibility import NewerState
from schemas.table_scans import RowsUnreadable
from scripts.cli.outputs import OutputError
from scripts.cli.processes import ChildEnded
from scripts.csv_input import CsvInputError, StrictStop
from scripts.operations.errors import CopyError
from stream.brokers.embedded.errors import LogError
from stream.errors import NotLetIn, StreamError
from stream.state_lock import LockHeld, LockNotWritable

STRICT: Final = 1
USAGE: Final = 2
INPUT: Final = 3
UNUSABLE: Final = 4
ENDED: Final = 5
NO_REPORT: Final = 6
INTERRUPTED: Final = 130

_CODES: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (StrictStop, STRICT),
    (ValidationError, USAGE),
    (OutputError, USAGE),
    (CsvInputError, INPUT),
    (LogError, UNUSABLE),
    (CopyError, UNUSABLE),
    (NotLetIn, ENDED),
    (StreamError, UNUSABLE),
    (LockHeld, UNUSABLE),
    (LockNotWritable, UNUSABLE),
    (NewerState, UNUSABLE),
    (RowsUnreadable, UNUSABLE),
    (OSError, UNUSABLE),
    (ChildEnded, ENDED),
    (QueryError, NO_REPORT),
    (KeyboardInterrupt, INTERRUPTED),
)


def exit_code(error: BaseException) -> int | None:
    """The code for an error that users can do something about; None for a bug of ours."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


def explained(error: BaseException) -> str:
    """What such an error says on the terminal."""
    match error:
        case ValidationError():
            return "; ".join(
                f"STOREPULSE_{str(e['loc'][0]).upper() if e['loc'] else ''}: {e['msg']}"
                for e in error.errors()
            )
        case KeyboardInterrupt():
            return "interrupted"
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return (
                f"no space left on the disk ({error.filename or 'state folder'}): make room and start again"
            )
        case _:
            return str(error)
