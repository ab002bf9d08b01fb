"""Reading a folder of CSV files (rules 3, "CSV").

Owns: which files count, decompressing them, cutting them into lines, and turning away the lines that are bad,
each with its file, line number and reason. Must not know: topics, brokers, or what becomes of a poll.

    folder   which files there are
    blocks   a file as blocks of whole lines, decompressed, in bounded memory
    table    blocks → rows: columns for the regular lines, a careful parser for each odd one
    polls, hours, zones, special_days, closures   what the rows of each file mean
    all_hours  the files on hours put together, store by store
    rejects  where the bad lines go
    errors   what stops the reading of a file altogether

The readers of the files bring polars with them; who needs one imports it from its module.
"""

from scripts.csv_input.errors import (
    BadHeader,
    CorruptFile,
    CsvInputError,
    EmptyFile,
    HoursMissing,
    MissingFolder,
    MissingPolls,
    NearlyNamed,
    TwoForms,
    UnreadableFile,
)
from scripts.csv_input.folder import InputFolder, find_input
from scripts.csv_input.rejects import Reject, RejectSink, RejectsWriter, StrictStop

__all__ = [
    "BadHeader",
    "CorruptFile",
    "CsvInputError",
    "EmptyFile",
    "HoursMissing",
    "InputFolder",
    "MissingFolder",
    "MissingPolls",
    "NearlyNamed",
    "Reject",
    "RejectSink",
    "RejectsWriter",
    "StrictStop",
    "TwoForms",
    "UnreadableFile",
    "find_input",
]
