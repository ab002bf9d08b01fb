"""A RocksDB as a failing disk leaves it.

Owns: the damage. Must not know: what is in the table.
"""

from pathlib import Path


def break_a_block(path: Path) -> None:
    """Damage the middle of the largest file of rows: it can be opened, and not read to its end."""
    rows = max(path.glob("*.sst"), key=lambda file: file.stat().st_size)
    content = rows.read_bytes()
    middle = len(content) // 2
    rows.write_bytes(content[:middle] + bytes(100) + content[middle + 100 :])
