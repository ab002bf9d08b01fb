"""Rows `__…` that stand in RocksDB alone and never in the changelog: how far a table has come.

Owns: their keys. Must not know: who writes them (a worker, a replica), who reads them (those, and the API).

A table is *whole* when it has followed the changelog, in order, to an end that was asked for after whoever owned
the partition before was fenced out. While it is being restored it is not, whatever rows it already has: the
beginning of a compacted changelog is no state that ever was. Readers refuse a table that is not whole.

    __faust\\0offset__   the offset of the last changelog record that the rows reflect
    __whole__           there while the table is whole
    __target__          where the changelog ended when a restore began: how far it must get
"""

from typing import Final

OFFSET_KEY: Final = b"__faust\0offset__"
"""Where Faust keeps the offset of the last changelog record that the rows reflect (a decimal number)."""
WHOLE_KEY: Final = b"__whole__"
"""Present, with any value, while the table is whole."""
TARGET_KEY: Final = b"__target__"
"""The changelog offset (a decimal number) that a restore must reach; read it only where WHOLE_KEY is absent."""
LOCAL_PREFIX: Final = b"__"
"""What the keys above start with, and no row of the changelog."""
