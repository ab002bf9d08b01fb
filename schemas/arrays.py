"""The arrays that many stores are computed with at once.

Owns: their types. Must not know: what is in them.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NO_INTS: Final[Int64s] = np.empty(0, np.int64)
