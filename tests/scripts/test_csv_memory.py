"""No input costs memory out of proportion (rules 3): a few kilobytes may unpack to gigabytes, of anything.

Each file is read in a process of its own, under a limit, and its most memory is asked of the kernel.
"""

import gzip
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Final

import pytest
import zstandard

pytestmark = pytest.mark.slow

POLLS: Final = b"store_id,status,timestamp_utc"
HOURS: Final = b"store_id,day,start_time_local,end_time_local"
MIB: Final = 1 << 20

MAX_MB: Final = 600
"""Twice of what a usual file takes, polars and all."""
_LIMIT: Final = 8 << 30  # of address space, most of which is never touched: so that a failure is no disaster

READING: Final = """
import sys
from pathlib import Path
from scripts.csv_input import RejectsWriter, find_input
from scripts.csv_input.hours import read_hours
from scripts.csv_input.polls import iter_polls

found, polls, weeks = find_input(Path(sys.argv[1])), 0, 0
with RejectsWriter(None) as rejects:
    if found.hours:
        weeks = len(read_hours(found.hours, rejects).weekly)
    for frame in iter_polls(found.polls, 2_000_000_000_000_000, rejects):
        polls += len(frame)
most_kb = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(polls, weeks, rejects.total, int(most_kb) // 1024)
"""


def read(folder: Path) -> tuple[int, int, int]:
    """Polls, weeks and rejects of a folder; fails where reading it took more than MAX_MB."""
    ran = subprocess.run(
        [sys.executable, "-c", READING, folder],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (_LIMIT, _LIMIT)),
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    polls, weeks, rejects, max_mb = map(int, ran.stdout.split())
    assert max_mb < MAX_MB
    return polls, weeks, rejects


def zst(file: BinaryIO) -> BinaryIO:
    return zstandard.ZstdCompressor(level=3).stream_writer(file)


def gz(file: BinaryIO) -> BinaryIO:
    return gzip.GzipFile("", "wb", compresslevel=1, fileobj=file)  # type: ignore[return-value]


def write(path: Path, packed: Callable[[BinaryIO], BinaryIO], pieces: Iterable[bytes]) -> None:
    with path.open("wb") as file, packed(file) as unpacked:
        for piece in pieces:
            unpacked.write(piece)


def repeated(head: bytes, line: bytes, size: int) -> Iterable[bytes]:
    """`head`, then `line` again and again, `size` bytes in all."""
    yield head
    many = line * (MIB // len(line))
    for _ in range(size // len(many)):
        yield many


def lines(size: int, line: bytes) -> int:
    return size // (len(line) * (MIB // len(line))) * (MIB // len(line))


@pytest.mark.parametrize(("form", "packed"), [(".zst", zst), (".gz", gz)])
def test_a_line_that_unpacks_to_a_gigabyte_is_rejected_alone(
    tmp_path: Path, form: str, packed: Callable[[BinaryIO], BinaryIO]
) -> None:
    path = tmp_path / f"store_status.csv{form}"
    write(path, packed, repeated(POLLS + b"\n", b"\0", 1 << 30))
    assert path.stat().st_size < 5 * MIB
    assert read(tmp_path) == (0, 0, 1)


def test_a_plain_line_of_a_gigabyte_is_rejected_alone(tmp_path: Path) -> None:
    with (tmp_path / "store_status.csv").open("wb") as file:
        file.write(POLLS + b"\n")
        file.seek(1 << 30)
        file.write(b"\ns1,active,2023-01-22 12:09:39 UTC\n")
    assert read(tmp_path) == (1, 0, 1)


def test_a_kilobyte_that_unpacks_to_blank_lines_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "store_status.csv.zst"
    write(path, zst, repeated(POLLS + b"\n", b"\n", 24 * MIB))
    assert path.stat().st_size < 4096
    assert read(tmp_path) == (0, 0, 0)


@pytest.mark.parametrize("columns", [100, 300_000])
def test_a_header_of_many_columns_makes_short_lines_no_larger(tmp_path: Path, columns: int) -> None:
    head = POLLS + b",x" * columns + b"\n"
    good = b"s1,active,2023-01-22 12:09:39 UTC" + b"," * columns + b"\n"
    write(tmp_path / "store_status.csv.zst", zst, repeated(head + good, b"a\n", MIB))
    assert read(tmp_path) == (1, 0, MIB // 2)


def test_a_row_of_hours_repeated_for_ever_is_held_once(tmp_path: Path) -> None:
    row, size = b"a,0,09:00:00,17:00:00\n", 384 * MIB
    write(tmp_path / "menu_hours.csv.zst", zst, repeated(HOURS + b"\n", row, size))
    (tmp_path / "store_status.csv").write_bytes(POLLS + b"\n")
    assert read(tmp_path) == (0, 1, 0)


def test_polls_that_unpack_for_ever_are_read_in_little_memory(tmp_path: Path) -> None:
    row, size = b"s1,active,2023-01-22 12:09:39.388884 UTC\n", 192 * MIB
    write(tmp_path / "store_status.csv.zst", zst, repeated(POLLS + b"\n", row, size))
    assert read(tmp_path) == (lines(size, row), 0, 0)
